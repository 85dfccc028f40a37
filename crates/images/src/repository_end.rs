//! The end of a repository: one small transaction makes it unreachable, its rows go afterwards in small steps.
//!
//! Numbers of repositories are never used twice, so rows that are still there belong to nobody.

use pierhead_oci::Digest;
use pierhead_store::{Key, KeyRange, Record, StoreError, Table, WriteTx};

use crate::Images;
use crate::error::StreamError;
use crate::links::unlink;
use crate::rows::{ALL, Rows, stream_key};
use crate::stream::DryRun;
use crate::tables::{
    DEAD_REPOSITORIES, HEADS, HELD, LINKS, REFERRERS, REMOTE_PARTS, REPOSITORIES, REPOSITORY_NAMES,
    RepositoryId, SPEC_TAGS, STREAMS, TAG_EVENTS, TAG_IMAGES, TAGS,
};

/// Rows removed in one transaction, so that pushes wait a few milliseconds at most.
const STEP: usize = 500;

/// Makes a stream and its repository unreachable.
pub(crate) fn bury(tx: &mut WriteTx<'_>, namespace: &str, name: &str) -> Result<(), StoreError> {
    let key = stream_key(namespace, name);
    tx.delete(&HEADS, &key)?;
    tx.delete(&STREAMS, &key)?;
    if let Some(repository) = tx.repository(namespace, name)? {
        tx.delete(&REPOSITORIES, &key)?;
        tx.delete(&REPOSITORY_NAMES, &repository)?;
        tx.put(&DEAD_REPOSITORIES, &repository, &())?;
    }
    Ok(())
}

impl Images {
    /// Deletes all streams and repositories of a namespace that is going away.
    pub async fn delete_namespace(&self, namespace: &str) -> Result<(), StreamError> {
        let namespace = namespace.to_owned();
        self.edit(DryRun::No, move |tx| {
            for ((_, name), _) in tx.rows(&REPOSITORIES, &KeyRange::prefix(&namespace), ALL)? {
                bury(tx, &namespace, &name)?;
            }
            Ok(())
        })
        .await?;
        Ok(self.purge_dead_repositories().await?)
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
