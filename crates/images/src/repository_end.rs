//! The end of a repository: one small transaction makes it unreachable, its rows go afterwards in small steps.
//!
//! Numbers of repositories are never used twice, so rows that are still there belong to nobody.

use pierhead_oci::Digest;
use pierhead_quota::{Mode, charge_stream};
use pierhead_store::{Key, KeyRange, OBJECTS, ObjectKey, Record, StoreError, Table, WriteTx};
use tracing::warn;

use crate::Images;
use crate::links::unlink;
use crate::rows::{ALL, Rows, stream_key};
use crate::tables::{
    DEAD_REPOSITORIES, DELETED_MANIFESTS, FOLLOWERS, HEADS, HELD, LINKS, REFERRERS, REMOTE_PARTS,
    REPOSITORIES, REPOSITORY_NAMES, RepositoryId, RepositoryName, SPEC_TAGS, STREAMS, TAG_EVENTS, TAG_IMAGES,
    TAGS,
};

/// Rows removed in one transaction, so that pushes wait a few milliseconds at most.
const STEP: usize = 500;

/// Steps for which whoever deletes a repository waits; what is left then goes with the next collection.
const STEPS_AT_ONCE: usize = 8;

/// Makes a stream and its repository unreachable; answers the repository, whose rows are nobody's now.
pub(crate) fn bury(
    tx: &mut WriteTx<'_>,
    namespace: &str,
    name: &str,
) -> Result<Option<RepositoryId>, StoreError> {
    let key = stream_key(namespace, name);
    if tx.delete(&HEADS, &key)? {
        release_charge(tx, namespace);
    }
    tx.delete(&STREAMS, &key)?;
    let repository = tx.repository(namespace, name)?;
    if let Some(repository) = repository {
        tx.delete(&REPOSITORIES, &key)?;
        tx.delete(&REPOSITORY_NAMES, &repository)?;
        tx.put(&DEAD_REPOSITORIES, &repository, &())?;
    }
    Ok(repository)
}

/// The end of a stream is never refused: a quota that cannot be read is counted anew when it is written.
fn release_charge(tx: &mut WriteTx<'_>, namespace: &str) {
    if let Err(error) = charge_stream(tx, namespace, Mode::Record) {
        warn!(namespace, %error, "A quota still counts a deleted stream: {error}");
    }
}

/// Makes a repository unreachable that nobody needs: its namespace is gone, or it has neither a stream nor a blob.
pub(crate) fn bury_forsaken(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    at: &RepositoryName,
) -> Result<(), StoreError> {
    if tx.repository(&at.namespace, &at.name)? == Some(repository) && is_forsaken(tx, repository, at)? {
        bury(tx, &at.namespace, &at.name)?;
    }
    Ok(())
}

/// Whether nobody needs a repository.
pub(crate) fn is_forsaken(
    rows: &impl Rows,
    repository: RepositoryId,
    at: &RepositoryName,
) -> Result<bool, StoreError> {
    if !rows.has_row(&OBJECTS, &ObjectKey::new("namespaces", "", at.namespace.as_str()))? {
        return Ok(true);
    }
    let is_empty = || rows.rows(&LINKS, &KeyRange::prefix(&repository), 1).map(|links| links.is_empty());
    Ok(rows.head(&at.namespace, &at.name)?.is_none() && is_empty()?)
}

/// Makes all streams and repositories of a namespace unreachable. Belongs into the transaction that deletes the namespace:
/// one that takes its name must find nothing of it. Answers how many there were.
pub fn bury_namespace(tx: &mut WriteTx<'_>, namespace: &str) -> Result<usize, StoreError> {
    let mut buried = 0;
    for ((_, name), _) in tx.rows(&REPOSITORIES, &KeyRange::prefix(&namespace), ALL)? {
        bury(tx, namespace, &name)?;
        buried += 1;
    }
    Ok(buried)
}

impl Images {
    /// Removes some rows of a repository that just ended. They are unreachable already, so nobody is told if that fails.
    pub(crate) async fn purge_soon(&self, dead: Option<RepositoryId>) {
        let Some(repository) = dead else { return };
        for _ in 0..STEPS_AT_ONCE {
            let purged: Result<bool, StoreError> = self.write(move |tx| purge_some(tx, repository)).await;
            match purged {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    warn!(%error, "Rows of a deleted repository stay until the next collection: {error}");
                    return;
                }
            }
        }
    }

    /// Removes the rows of repositories that ended, also of those that an earlier process did not get to.
    pub(crate) async fn purge_dead_repositories(&self) -> Result<(), StoreError> {
        let dead = self.store().read(|tx| tx.rows(&DEAD_REPOSITORIES, &KeyRange::all(), ALL))?;
        for (repository, ()) in dead {
            while self.write(move |tx| purge_some(tx, repository)).await? {}
        }
        Ok(())
    }
}

/// Removes some rows; says whether there may be more.
fn purge_some(tx: &mut WriteTx<'_>, repository: RepositoryId) -> Result<bool, StoreError> {
    let range = KeyRange::prefix(&repository);
    let links = tx.rows(&LINKS, &range, STEP)?;
    if !links.is_empty() {
        for ((_, key), _) in links {
            match Digest::from_key(&key) {
                Ok(digest) => unlink(tx, repository, &digest)?,
                Err(_) => tx.delete(&LINKS, &(repository, key))?,
            };
        }
        return Ok(true);
    }
    let left = purge_table(tx, &TAG_EVENTS, &range)?
        || purge_table(tx, &TAG_IMAGES, &range)?
        || purge_table(tx, &TAGS, &range)?
        || purge_table(tx, &SPEC_TAGS, &range)?
        || purge_table(tx, &REFERRERS, &range)?
        || purge_table(tx, &REMOTE_PARTS, &range)?
        || purge_table(tx, &FOLLOWERS, &range)?
        || purge_table(tx, &DELETED_MANIFESTS, &range)?
        || purge_table(tx, &HELD, &range)?;
    if !left {
        tx.delete(&DEAD_REPOSITORIES, &repository)?;
    }
    Ok(left)
}

fn purge_table<K: Key, R: Record>(
    tx: &mut WriteTx<'_>,
    table: &Table<K, R>,
    range: &KeyRange,
) -> Result<bool, StoreError> {
    let rows = tx.rows(table, range, STEP)?;
    for (key, _) in &rows {
        tx.delete(table, key)?;
    }
    Ok(!rows.is_empty())
}
