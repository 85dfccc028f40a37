//! Reading from a repository: manifests, blobs, tags, referrers, and the list of repositories.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pierhead_auth::{Catalog, Permit, Pull};
use pierhead_blobs::{BlobBody, BlobError};
use pierhead_oci::{Descriptor, Digest, Reference};
use pierhead_store::{KeyRange, Revision, StoreError};
use tracing::warn;

use crate::Images;
use crate::error::PullError;
use crate::links::{RENEW_AFTER_S, link};
use crate::manifest_record::ManifestRecord;
use crate::rows::{Rows, stream_key};
use crate::tables::{HEADS, HELD, MANIFESTS, REFERRERS, RepositoryId, TAGS};

/// A manifest as it was pushed.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// Its name.
    pub digest: Digest,
    /// For `Content-Type`.
    pub media_type: Arc<str>,
    /// The bytes of the push.
    pub bytes: Bytes,
}

/// Some items of an ordered list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Whether the list goes on.
    pub more: bool,
}

impl<T> Page<T> {
    /// Cuts what was read to `limit`, when one more than that was asked for.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// A blob that the caller may read.
#[derive(Clone, Debug)]
pub struct Blob {
    images: Images,
    namespace: String,
    name: String,
    digest: Digest,
    size: u64,
    /// The bytes, where they came with the look-up.
    small: Option<Bytes>,
}

impl Blob {
    /// Its name.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its bytes, wholly or in part. The body ends with an error when they are not those of the digest.
    pub async fn open(&self, range: Option<Range<u64>>) -> Result<BlobBody, PullError> {
        if let Some(content) = &self.small {
            return slice(content, range.unwrap_or(0..self.size)).map(BlobBody::memory);
        }
        match self.images.blobs().open(&self.digest, self.size, range).await {
            Err(BlobError::NotFound { .. }) => Err(self.unknown()),
            opened => Ok(opened?),
        }
    }

    fn unknown(&self) -> PullError {
        blob_unknown(&self.namespace, &self.name, &self.digest)
    }
}

/// How much depends on a blob staying where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// The client skips an upload because of the answer.
    Needed,
    /// It would be good.
    Wanted,
}

impl Lease {
    /// Whether one that is so old, in seconds, will do if it cannot be renewed. Half of the grace is long enough for a
    /// push.
    fn is_met(self, age_s: i64, grace: Duration) -> bool {
        let half = i64::try_from(grace.as_secs() / 2).unwrap_or(i64::MAX);
        self == Self::Wanted || age_s < half
    }
}

/// What a consistent look found of a manifest.
struct Found {
    digest: Digest,
    record: ManifestRecord,
    read_at: Revision,
}

impl Images {
    /// The manifest of a tag or digest. By tag, what the stream's status says; by digest, what was pushed here or is
    /// in the stream's history (images 6.6).
    pub async fn manifest(
        &self,
        permit: &Permit<Pull>,
        reference: &Reference,
    ) -> Result<StoredManifest, PullError> {
        let repository = [permit.namespace(), permit.name()].join("/");
        let text = reference.to_string();
        if let Some(manifest) = self.0.manifests.find(self.store(), &repository, &text) {
            return Ok(manifest);
        }
        let found = self.find_manifest(permit, reference)?;
        let unknown = || manifest_unknown(permit, reference);
        let bytes = match found.record.bytes {
            Some(bytes) => bytes,
            None => match self.blobs().content(&found.digest, found.record.header.size).await {
                Err(BlobError::NotFound { .. }) => return Err(unknown()),
                content => content?,
            },
        };
        let media_type = found.record.header.media_type.as_str().into();
        let manifest = StoredManifest { digest: found.digest, media_type, bytes };
        self.0.manifests.keep(&repository, &text, found.read_at, &manifest);
        Ok(manifest)
    }

    fn find_manifest(&self, permit: &Permit<Pull>, reference: &Reference) -> Result<Found, PullError> {
        let unknown = || manifest_unknown(permit, reference);
        self.store().read(|tx| {
            let repository = existing(tx, permit)?;
            let digest = match reference {
                Reference::Tag(tag) => {
                    let record = tx.row(&TAGS, &(repository, tag.as_str().to_owned()))?;
                    let image = record.and_then(|record| record.item).map(|item| item.image);
                    image.and_then(|image| image.parse().ok()).ok_or_else(unknown)?
                }
                Reference::Digest(digest) => digest.clone(),
            };
            let held = tx.row(&HELD, &(repository, digest.to_key()))?.ok_or_else(unknown)?;
            let mut record = tx.row(&MANIFESTS, &digest.to_key())?.ok_or_else(unknown)?;
            if let Some(media_type) = held.media_type {
                record.header.media_type = media_type;
            }
            Ok(Found { digest, record, read_at: tx.revision() })
        })
    }

    /// A blob of the repository, if its file is there and has the right length. The answer keeps it from collection
    /// for a day (reliability 3.4), so a client that saw it may refer to it; when nothing can be written, for half a day
    /// or not at all.
    pub async fn blob(&self, permit: &Permit<Pull>, digest: &Digest) -> Result<Blob, PullError> {
        self.find_blob(permit, digest, Lease::Needed).await
    }

    /// A blob whose bytes are wanted. It is kept from collection like any, but if that cannot be written down, reading
    /// goes on.
    pub async fn blob_to_send(&self, permit: &Permit<Pull>, digest: &Digest) -> Result<Blob, PullError> {
        self.find_blob(permit, digest, Lease::Wanted).await
    }

    async fn find_blob(
        &self,
        permit: &Permit<Pull>,
        digest: &Digest,
        lease: Lease,
    ) -> Result<Blob, PullError> {
        let unknown = || blob_unknown(permit.namespace(), permit.name(), digest);
        let size = self.renew(permit.namespace(), permit.name(), digest, lease).await?.ok_or_else(unknown)?;
        let small = self.small_blob(digest)?;
        match self.stored_size(digest, small.as_ref()).await? {
            Some(length) if length == size => {}
            Some(length) => {
                warn!(%digest, length, size, "Blob {digest} has the wrong length; saying it is not there");
                return Err(unknown());
            }
            None => return Err(unknown()),
        }
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        Ok(Blob { images: self.clone(), namespace, name, digest: digest.clone(), size, small })
    }

    /// Renews the lease of a link if it is getting old; says how long the blob is, if it is linked. When nothing can be
    /// written, half of the lease is enough, and for who does not rely on it any.
    pub(crate) async fn renew(
        &self,
        namespace: &str,
        name: &str,
        digest: &Digest,
        lease: Lease,
    ) -> Result<Option<u64>, StoreError> {
        let now = self.now_s();
        let found = self.store().read(|tx| {
            let Some(repository) = tx.repository(namespace, name)? else { return Ok::<_, StoreError>(None) };
            Ok(tx.link(repository, digest)?.map(|found| (repository, found)))
        })?;
        let Some((repository, found)) = found else { return Ok(None) };
        if now - found.touched < RENEW_AFTER_S {
            return Ok(Some(found.size));
        }
        let asked = digest.clone();
        let renewed = self.write(move |tx| {
            let Some(found) = tx.link(repository, &asked)? else { return Ok(None) };
            link(tx, repository, &asked, found.size, now)?;
            Ok(Some(found.size))
        });
        match renewed.await {
            Err(error) => {
                if !lease.is_met(now - found.touched, self.config().blob_grace) {
                    return Err(error);
                }
                warn!(%digest, %error, "The lease of blob {digest} cannot be renewed: {error}");
                Ok(Some(found.size))
            }
            renewed => renewed,
        }
    }

    /// The tags after `last`, in lexical order, which point at an image.
    pub fn tags(
        &self,
        permit: &Permit<Pull>,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, PullError> {
        self.store().read(|tx| {
            let repository = existing(tx, permit)?;
            let mut names = Vec::new();
            let mut after = last.map(str::to_owned);
            loop {
                let mut range = KeyRange::prefix(&repository);
                if let Some(after) = &after {
                    range = range.after(&(repository, after.clone()));
                }
                let wanted = limit + 1 - names.len();
                let rows = tx.rows(&TAGS, &range, wanted)?;
                let end = rows.len() < wanted;
                after = rows.last().map(|((_, tag), _)| tag.clone());
                let pullable = rows
                    .into_iter()
                    .filter(|(_, tag)| tag.item.as_ref().is_some_and(|item| !item.image.is_empty()));
                names.extend(pullable.map(|((_, tag), _)| tag));
                if end || names.len() > limit {
                    return Ok(Page::cut(names, limit));
                }
            }
        })
    }

    /// Manifests of the repository after `last` that say something about `subject`, which itself need not be here; in the
    /// order of their digests. Each may be half a megabyte long.
    pub fn referrers(
        &self,
        permit: &Permit<Pull>,
        subject: &Digest,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Descriptor>, PullError> {
        self.store().read(|tx| {
            let repository = existing(tx, permit)?;
            let key = subject.to_key();
            let mut range = KeyRange::prefix(&(repository, key.as_slice()));
            if let Some(last) = last {
                range = range.after(&(repository, key, last.to_key()));
            }
            let rows = tx.rows(&REFERRERS, &range, limit + 1)?;
            Ok(Page::cut(rows.into_iter().map(|(_, record)| record.descriptor).collect(), limit))
        })
    }

    /// The repositories after `last`, as `namespace/name`, in the order of namespace and name.
    pub fn catalog(
        &self,
        _permit: &Permit<Catalog>,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, PullError> {
        let mut range = KeyRange::all();
        if let Some(last) = last {
            let (namespace, name) = last.split_once('/').unwrap_or((last, ""));
            range = range.after(&stream_key(namespace, name));
        }
        let rows = self.store().read(|tx| tx.rows(&HEADS, &range, limit + 1))?;
        let names = rows.into_iter().map(|((namespace, name), _)| format!("{namespace}/{name}")).collect();
        Ok(Page::cut(names, limit))
    }
}

fn slice(content: &Bytes, range: Range<u64>) -> Result<Bytes, PullError> {
    let size = content.len() as u64;
    match (usize::try_from(range.start), usize::try_from(range.end)) {
        (Ok(start), Ok(end)) if start <= end && end <= content.len() => Ok(content.slice(start..end)),
        _ => Err(BlobError::Range { start: range.start, end: range.end, size }.into()),
    }
}

/// The number of the repository, if its stream exists.
fn existing(tx: &impl Rows, permit: &Permit<Pull>) -> Result<RepositoryId, PullError> {
    let head = tx.head(permit.namespace(), permit.name())?;
    head.map(|head| head.repository).ok_or_else(|| {
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        PullError::RepositoryUnknown { namespace, name }
    })
}

fn manifest_unknown(permit: &Permit<Pull>, reference: &Reference) -> PullError {
    let (namespace, name) = stream_key(permit.namespace(), permit.name());
    PullError::ManifestUnknown { namespace, name, reference: reference.to_string() }
}

fn blob_unknown(namespace: &str, name: &str, digest: &Digest) -> PullError {
    let (namespace, name) = stream_key(namespace, name);
    PullError::BlobUnknown { namespace, name, digest: digest.clone() }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Lease};

    #[track_caller]
    fn check(lease: Lease, age_s: i64, expected: bool) {
        assert_eq!(lease.is_met(age_s, Duration::from_hours(24)), expected, "{lease:?} {age_s}");
    }

    #[test]
    fn bytes_are_sent_without_a_new_lease_and_promises_need_a_young_one() {
        check(Lease::Wanted, 11 * 3_600, true);
        check(Lease::Wanted, 48 * 3_600, true);
        check(Lease::Needed, 11 * 3_600, true);
        check(Lease::Needed, 12 * 3_600, false);
    }
}
