//! Which blobs and manifests a repository may serve, and the leases that protect them from collection.
//!
//! A blob reaches a client only through a link of the asked repository, so a digest that somebody knows is of no use
//! where it does not belong. A link says "may serve"; whether the bytes are there is looked up when they are served.

use pierhead_oci::{Descriptor, Digest, Manifest, MediaType};
use pierhead_store::{KeyRange, StoreError, WriteTx};

use crate::manifest_record::{ManifestHeader, ManifestRecord};
use crate::remote::name_missing_parts;
use crate::rows::Rows;
use crate::tables::{
    DELETED_MANIFESTS, HELD, HeldRecord, LINKED, LINKS, LinkRecord, MANIFESTS, REFERRERS, ReferrerRecord,
    RepositoryId,
};

/// How old a lease gets before an answer renews it. Collection waits much longer than this.
pub(crate) const RENEW_AFTER_S: i64 = 600;

/// Lets `repository` serve a blob, and protects it from collection from `now` on.
pub(crate) fn link(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    size: u64,
    now_s: i64,
) -> Result<(), StoreError> {
    let key = digest.to_key();
    if let Some(link) = tx.link(repository, digest)? {
        if link.size == size && now_s - link.touched < RENEW_AFTER_S {
            return Ok(());
        }
    } else {
        tx.put(&LINKED, &(key.clone(), repository), &())?;
    }
    tx.put(&LINKS, &(repository, key), &LinkRecord { size, touched: now_s })?;
    Ok(())
}

/// Takes a blob from `repository`; false if it had none.
pub(crate) fn unlink(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, StoreError> {
    let key = digest.to_key();
    tx.delete(&LINKED, &(key.clone(), repository))?;
    tx.delete(&LINKS, &(repository, key))
}

/// Whether some repository may serve a blob, which means that its bytes were stored once and are kept.
pub(crate) fn is_linked_anywhere(rows: &impl Rows, digest: &Digest) -> Result<bool, StoreError> {
    Ok(!rows.rows(&LINKED, &KeyRange::prefix(&digest.to_key().as_slice()), 1)?.is_empty())
}

/// What an image may refer to, all manifests below it included, to be tagged in one transaction: a hundred milliseconds.
const MAX_PARTS: usize = 50_000;

/// Why `repository` cannot be given a manifest in one transaction; `None` if it can, or has it.
pub(crate) fn taking_refusal(
    rows: &impl Rows,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<String>, StoreError> {
    let refused = !rows.holds(repository, digest)? && is_too_large(rows, digest)?;
    Ok(refused.then(|| format!("the image refers to more than {MAX_PARTS} layers and manifests")))
}

/// Whether a manifest refers to more than one transaction may bring to a repository.
fn is_too_large(rows: &impl Rows, digest: &Digest) -> Result<bool, StoreError> {
    let (mut pending, mut parts) = (vec![digest.clone()], 0);
    while let Some(digest) = pending.pop() {
        let Some(record) = rows.row(&MANIFESTS, &digest.to_key())? else { continue };
        parts += 1 + record.header.layers.len();
        pending.extend(record.header.children);
        if parts + pending.len() > MAX_PARTS {
            return Ok(true);
        }
    }
    Ok(false)
}

/// From where a repository takes what a manifest refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    /// Another repository, whose reader the caller is: what it may serve, this one may.
    Repository(RepositoryId),
    /// Wherever it is, for callers who may read everything.
    Anywhere,
}

/// Lets `repository` serve a manifest that it got by tagging, with everything it refers to that `giver` has. A manifest
/// that is not here (an import that was never fetched) is left to those who fetch it; so is a blob. That a manifest
/// names a blob proves nothing: whoever imports writes manifests as they please. What is too large to be taken at once is
/// left, too; where somebody waits for an answer, they were told before ([`taking_refusal`]).
pub(crate) fn adopt(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    giver: Giver,
    now_s: i64,
) -> Result<(), StoreError> {
    // Whoever tags a deleted manifest wants it again.
    tx.delete(&DELETED_MANIFESTS, &(repository, digest.to_key()))?;
    if tx.holds(repository, digest)? || is_too_large(tx, digest)? {
        return Ok(());
    }
    let mut pending = vec![digest.clone()];
    while let Some(digest) = pending.pop() {
        if tx.holds(repository, &digest)? || !giver.holds(tx, &digest)? {
            continue;
        }
        let Some(mut record) = tx.row(&MANIFESTS, &digest.to_key())? else { continue };
        if let Some(media_type) = giver.declared(tx, &digest)? {
            record.header.media_type = media_type;
        }
        for part in record.header.blobs() {
            if tx.link(repository, &part.digest)?.is_none() && giver.links(tx, &part.digest)? {
                link(tx, repository, &part.digest, part.size, now_s)?;
            }
        }
        let referrer = giver.referrer(tx, &digest, &record)?;
        take_in(tx, repository, &digest, &record.header, referrer, now_s)?;
        pending.extend(record.header.children);
    }
    Ok(())
}

/// Lets `repository` serve a manifest that came by tagging, an import or a fetch. What of it is here is protected from
/// collection, which may be looking at this very moment; what is not is noted; and it is listed as `referrer` of what it
/// says something about.
pub(crate) fn take_in(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    header: &ManifestHeader,
    referrer: Option<Descriptor>,
    now_s: i64,
) -> Result<(), StoreError> {
    if hold(tx, repository, digest, now_s)? {
        tx.delete(&DELETED_MANIFESTS, &(repository, digest.to_key()))?;
        renew_parts(tx, repository, header, now_s)?;
    }
    declare(tx, repository, digest, &header.media_type)?;
    if let Some((subject, referrer)) = header.subject.as_ref().zip(referrer) {
        refer(tx, repository, subject, referrer)?;
    }
    name_missing_parts(tx, repository, digest, header)
}

/// Keeps what is known of a manifest. Where nothing was, nothing protected its parts from collection: those that
/// `repository` has are protected from now on, though it may have served the manifest before.
pub(crate) fn keep_record(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    record: &ManifestRecord,
    now_s: i64,
) -> Result<(), StoreError> {
    let key = digest.to_key();
    if tx.has(&MANIFESTS, &key)? {
        return Ok(());
    }
    tx.put(&MANIFESTS, &key, record)?;
    renew_parts(tx, repository, &record.header, now_s)
}

fn renew_parts(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    header: &ManifestHeader,
    now_s: i64,
) -> Result<(), StoreError> {
    for part in header.blobs() {
        if let Some(found) = tx.link(repository, &part.digest)? {
            link(tx, repository, &part.digest, found.size, now_s)?;
        }
    }
    Ok(())
}

/// How lists of referrers show a manifest; `None` for one that says nothing about another.
pub(crate) fn referrer(manifest: &Manifest, digest: &Digest) -> Option<Descriptor> {
    manifest.subject()?;
    let size = manifest.bytes().len() as u64;
    let mut descriptor = Descriptor::new(manifest.media_type().clone(), digest.clone(), size);
    descriptor.artifact_type = manifest.artifact_type().cloned();
    descriptor.annotations = manifest.annotations().clone();
    Some(descriptor)
}

impl Giver {
    fn holds(self, rows: &impl Rows, digest: &Digest) -> Result<bool, StoreError> {
        match self {
            Self::Repository(repository) => rows.holds(repository, digest),
            Self::Anywhere => Ok(true),
        }
    }

    /// What the giver says a manifest is, where that is not what was said first.
    fn declared(self, rows: &impl Rows, digest: &Digest) -> Result<Option<MediaType>, StoreError> {
        let Self::Repository(repository) = self else { return Ok(None) };
        Ok(rows.row(&HELD, &(repository, digest.to_key()))?.and_then(|held| held.media_type))
    }

    fn links(self, rows: &impl Rows, digest: &Digest) -> Result<bool, StoreError> {
        match self {
            Self::Repository(repository) => Ok(rows.link(repository, digest)?.is_some()),
            Self::Anywhere => is_linked_anywhere(rows, digest),
        }
    }

    /// How lists of referrers show a manifest: as the giver's list does, or as the manifest says where it is in its row.
    fn referrer(
        self,
        rows: &impl Rows,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<Option<Descriptor>, StoreError> {
        let Some(subject) = &record.header.subject else { return Ok(None) };
        if let Self::Repository(repository) = self
            && let Some(listed) = rows.row(&REFERRERS, &(repository, subject.to_key(), digest.to_key()))?
        {
            return Ok(Some(listed.descriptor));
        }
        let media_type = record.header.media_type.as_str();
        let parsed = record.bytes.as_ref().map(|bytes| Manifest::parse(media_type, &**bytes));
        Ok(parsed.and_then(Result::ok).and_then(|manifest| referrer(&manifest, digest)))
    }
}

/// Whether everything that a manifest refers to is in `repository` already, as a push of it demands.
pub(crate) fn has_all_parts(
    rows: &impl Rows,
    repository: RepositoryId,
    header: &ManifestHeader,
) -> Result<bool, StoreError> {
    for part in header.blobs() {
        if rows.link(repository, &part.digest)?.is_none() {
            return Ok(false);
        }
    }
    for child in &header.children {
        if !rows.holds(repository, child)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lets `repository` serve a manifest; false if it did already.
pub(crate) fn hold(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now_s: i64,
) -> Result<bool, StoreError> {
    if tx.holds(repository, digest)? {
        return Ok(false);
    }
    let held = HeldRecord { since: now_s, media_type: None };
    tx.put(&HELD, &(repository, digest.to_key()), &held)?;
    Ok(true)
}

/// Notes what `repository` says a manifest is that it serves. Bytes that name no type may be pushed as one here and as
/// another elsewhere, and nobody decides that for others. Says whether that changed.
pub(crate) fn declare(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    media_type: &MediaType,
) -> Result<bool, StoreError> {
    let key = (repository, digest.to_key());
    let Some(held) = tx.row(&HELD, &key)? else { return Ok(false) };
    let first = tx.row(&MANIFESTS, &key.1)?.map(|record| record.header.media_type);
    let own = first.filter(|first| first != media_type).map(|_| media_type.clone());
    if held.media_type == own {
        return Ok(false);
    }
    tx.put(&HELD, &key, &HeldRecord { media_type: own, ..held })?;
    Ok(true)
}

/// Takes a manifest from `repository`, and from the list of those it refers to; false if it was not there.
pub(crate) fn release(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, StoreError> {
    let key = digest.to_key();
    if let Some(ManifestRecord { header, .. }) = tx.row(&MANIFESTS, &key)?
        && let Some(subject) = header.subject
    {
        tx.delete(&REFERRERS, &(repository, subject.to_key(), key.clone()))?;
    }
    tx.delete(&HELD, &(repository, key))
}

/// Lists a manifest among those that refer to its subject.
pub(crate) fn refer(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    subject: &Digest,
    descriptor: Descriptor,
) -> Result<(), StoreError> {
    let key = (repository, subject.to_key(), descriptor.digest.to_key());
    if tx.row(&REFERRERS, &key)?.is_none() {
        tx.put(&REFERRERS, &key, &ReferrerRecord { descriptor })?;
    }
    Ok(())
}
