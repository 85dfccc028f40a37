//! What a repository names and does not have: where else it is, and how it comes here.
//!
//! Owns who may have something fetched (readers of the repository, and only what its manifests and tags name), from
//! where (the places its tags were imported from), and keeping what was fetched. Bytes that another repository happens
//! to have are not taken: a hostile source could name them without having them. Asking other hosts is the registry's
//! business.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_api::image::annotation;
use pierhead_auth::{Permit, Pull};
use pierhead_blobs::{Committed, PartReader, Upload, UploadOwner};
use pierhead_oci::{Digest, ImageReference, Manifest, ManifestKind, Reference};
use pierhead_store::{KeyRange, StoreError, WriteTx};
use tracing::info;

use crate::Images;
use crate::error::{PullError, UploadError};
use crate::links::hold;
use crate::manifest_record::{INLINE_LIMIT, ManifestHeader, ManifestRecord};
use crate::rows::{Rows, stream_key};
use crate::small_blobs::SMALL_BYTES;
use crate::tables::{
    MANIFESTS, REMOTE_PARTS, RemotePart, RepositoryId, SPEC_TAGS, STREAMS, TAG_EVENTS, TAG_IMAGES, TAGS,
};

/// Places that are tried for one thing.
const MAX_SOURCES: usize = 8;
/// Items of one tag's history, tags of one image and manifests around one part that are looked at.
const MAX_LOOKED_AT: usize = 1_000;

/// A repository of another registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteSource {
    /// `host` or `host:port`, as the tag's reference spells it.
    pub host: String,
    /// Path of the repository there.
    pub repository: String,
    /// Whether the stream or the tag calls the registry insecure.
    pub insecure: bool,
}

/// A blob that a manifest of a repository names, and where it may be.
#[derive(Clone, Debug)]
pub struct MissingBlob {
    images: Images,
    namespace: String,
    name: String,
    digest: Digest,
    size: u64,
    sources: Vec<RemoteSource>,
}

/// A manifest that a tag or list of a repository names, and where it may be.
#[derive(Clone, Debug)]
pub struct MissingManifest {
    images: Images,
    namespace: String,
    name: String,
    digest: Digest,
    sources: Vec<RemoteSource>,
}

/// A blob that is being fetched. Dropping it leaves what was written to the reaper of uploads.
#[derive(Debug)]
pub struct RemoteFetch {
    missing: MissingBlob,
    upload: Upload,
}

impl Images {
    /// Where a manifest may be that the repository names and does not have; `None` when it names none.
    pub fn missing_manifest(
        &self,
        permit: &Permit<Pull>,
        reference: &Reference,
    ) -> Result<Option<MissingManifest>, PullError> {
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        let found = self.store().read(|tx| {
            let Some(repository) = tx.repository(&namespace, &name)? else {
                return Ok::<_, StoreError>(None);
            };
            let digest = match reference {
                Reference::Digest(digest) => Some(digest.clone()),
                Reference::Tag(tag) => {
                    let record = tx.row(&TAGS, &(repository, tag.as_str().to_owned()))?;
                    record.and_then(|record| record.item).and_then(|item| item.image.parse().ok())
                }
            };
            let Some(digest) = digest else { return Ok(None) };
            let sources = self.sources_of(tx, (&namespace, &name), repository, &digest)?;
            Ok((!sources.is_empty()).then_some((digest, sources)))
        })?;
        Ok(found.map(|(digest, sources)| MissingManifest {
            images: self.clone(),
            namespace,
            name,
            digest,
            sources,
        }))
    }

    /// Where a blob may be that a manifest of the repository names; `None` when none does.
    pub fn missing_blob(
        &self,
        permit: &Permit<Pull>,
        digest: &Digest,
    ) -> Result<Option<MissingBlob>, PullError> {
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        let found = self.store().read(|tx| {
            let Some(repository) = tx.repository(&namespace, &name)? else {
                return Ok::<_, StoreError>(None);
            };
            let mut sources = Vec::new();
            let mut size = None;
            for (manifest, part) in naming(tx, repository, digest)? {
                size.get_or_insert(part.size);
                for source in self.sources_of(tx, (&namespace, &name), repository, &manifest)? {
                    if !sources.contains(&source) {
                        sources.push(source);
                    }
                }
            }
            // Secure places first; within each kind the order of the manifests' own places.
            sources.sort_by_key(|source: &RemoteSource| source.insecure);
            sources.truncate(MAX_SOURCES);
            Ok(size.filter(|_| !sources.is_empty()).map(|size| (size, sources)))
        })?;
        let digest = digest.clone();
        let images = self.clone();
        Ok(found.map(|(size, sources)| MissingBlob { images, namespace, name, digest, size, sources }))
    }

    /// Places where a manifest was seen, or a list that names it: newest of all tags first, secure before insecure
    /// (images 6.7). Our own registry is none of them.
    fn sources_of(
        &self,
        rows: &impl Rows,
        (namespace, name): (&str, &str),
        repository: RepositoryId,
        manifest: &Digest,
    ) -> Result<Vec<RemoteSource>, StoreError> {
        let stream = rows.row(&STREAMS, &stream_key(namespace, name))?;
        let all_insecure = stream.is_some_and(|stream| {
            stream.metadata.annotation(annotation::INSECURE_REPOSITORY) == Some("true")
        });
        let mut found: Vec<(bool, Reverse<Timestamp>, RemoteSource)> = Vec::new();
        let mut seen = BTreeSet::from([manifest.clone()]);
        let mut pending = vec![manifest.clone()];
        while let Some(digest) = pending.pop() {
            for tag in tags_of(rows, repository, &digest)? {
                let newest = rows.row(&TAGS, &(repository, tag.clone()))?.and_then(|record| record.item);
                let wanted = rows.row(&SPEC_TAGS, &(repository, tag.clone()))?;
                let insecure = all_insecure || wanted.is_some_and(|record| record.tag.import_policy.insecure);
                let events =
                    rows.rows(&TAG_EVENTS, &KeyRange::prefix(&(repository, tag.as_str())), MAX_LOOKED_AT)?;
                let image = digest.to_string();
                for (_, event) in events.into_iter().filter(|(_, event)| event.item.image == image) {
                    let is_newest = newest.as_ref().is_some_and(|newest| *newest == event.item);
                    if let Some(source) = self.source(&event.item.reference, insecure) {
                        found.push((!is_newest, Reverse(event.item.created), source));
                    }
                }
            }
            for (parent, _) in naming(rows, repository, &digest)? {
                if seen.len() < MAX_LOOKED_AT && seen.insert(parent.clone()) {
                    pending.push(parent);
                }
            }
        }
        found.sort_by_key(|(rank, place, source)| (source.insecure, *rank, *place));
        let mut sources: Vec<RemoteSource> = Vec::new();
        for (_, _, source) in found {
            if sources.len() < MAX_SOURCES && !sources.contains(&source) {
                sources.push(source);
            }
        }
        Ok(sources)
    }

    fn source(&self, reference: &str, insecure: bool) -> Option<RemoteSource> {
        let reference: ImageReference = reference.parse().ok()?;
        let reference = reference.docker_client_defaults();
        let repository = reference.repository_path();
        let host = reference.registry?;
        (!self.config().names_us(&host)).then_some(RemoteSource { host, repository, insecure })
    }
}

impl MissingBlob {
    /// Its name.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How long it is, as the manifest says.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Where it may be, best first.
    pub fn sources(&self) -> &[RemoteSource] {
        &self.sources
    }

    /// Namespace and name of the repository.
    pub fn repository(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Whether it came here meanwhile.
    pub async fn is_here(&self) -> Result<bool, PullError> {
        let linked = self.images.renew(&self.namespace, &self.name, &self.digest).await?;
        let small = self.images.small_blob(&self.digest)?;
        let stored = self.images.stored_size(&self.digest, small.as_ref()).await?;
        Ok(linked.is_some() && linked == stored)
    }

    /// Starts to take its bytes.
    pub async fn fetch(&self) -> Result<RemoteFetch, UploadError> {
        let limit = self.images.config().max_blob_bytes;
        if self.size > limit {
            return Err(UploadError::TooLarge { limit });
        }
        let owner: UploadOwner = "pull-through".parse().expect("letters and a dash make an owner");
        let id = self.images.blobs().create_upload(owner).await?;
        let upload = self.images.blobs().upload(id).await?;
        Ok(RemoteFetch { missing: self.clone(), upload })
    }
}

impl RemoteFetch {
    /// A view of the bytes while they arrive. They are not verified before [`RemoteFetch::commit`].
    pub fn follow(&mut self) -> Result<PartReader, UploadError> {
        Ok(self.upload.follow()?)
    }

    /// Appends bytes; more than the manifest says are an error.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let limit = self.missing.size;
        if self.upload.offset().saturating_add(bytes.len() as u64) > limit {
            return Err(UploadError::TooLarge { limit });
        }
        Ok(self.upload.append(bytes).await?)
    }

    /// Lets followers see what was appended, although no more comes at the moment.
    pub async fn flush(&mut self) -> Result<(), UploadError> {
        Ok(self.upload.flush().await?)
    }

    /// Verifies and stores the blob and lets the repository serve it.
    pub async fn commit(self) -> Result<Committed, UploadError> {
        let MissingBlob { images, namespace, name, digest, size, .. } = self.missing;
        if self.upload.offset() <= SMALL_BYTES {
            let content = self.upload.into_content(&digest).await?;
            let size = content.len() as u64;
            images.link_blob((namespace, name), &digest, size, Some(content)).await?;
            return Ok(Committed { digest, size, healed: false });
        }
        let _kept = images.stripe(&digest).read().await;
        let committed = self.upload.commit(&digest).await?;
        images.link_blob((namespace.clone(), name.clone()), &digest, committed.size, None).await?;
        info!(repository = %format_args!("{namespace}/{name}"), %digest, size, "Fetched blob {digest}");
        Ok(committed)
    }

    /// Gives up and removes what was written.
    pub async fn cancel(self) -> Result<(), UploadError> {
        Ok(self.upload.cancel().await?)
    }
}

impl MissingManifest {
    /// Its name.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where it may be, best first.
    pub fn sources(&self) -> &[RemoteSource] {
        &self.sources
    }

    /// Namespace and name of the repository.
    pub fn repository(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Whether it came here meanwhile.
    pub fn is_here(&self) -> Result<bool, PullError> {
        Ok(self.images.store().read(|tx| {
            let Some(repository) = tx.repository(&self.namespace, &self.name)? else {
                return Ok::<_, StoreError>(false);
            };
            Ok(tx.holds(repository, &self.digest)? && tx.row(&MANIFESTS, &self.digest.to_key())?.is_some())
        })?)
    }

    /// Stores what was fetched, whose digest the caller has compared, and lets the repository serve it. A repository
    /// that is gone by now gets nothing.
    pub async fn keep(&self, manifest: Manifest) -> Result<(), UploadError> {
        let actual = manifest.digest(self.digest.algorithm());
        if actual != self.digest {
            let expected = Box::new(self.digest.clone());
            return Err(UploadError::DigestMismatch { expected, actual: Box::new(actual) });
        }
        let _kept = self.images.stripe(&self.digest).read().await;
        if manifest.bytes().len() > INLINE_LIMIT {
            self.images.blobs().put(&self.digest, Bytes::from_owner(manifest.shared_bytes())).await?;
        }
        let depth = matches!(manifest.kind(), ManifestKind::Index { .. }).then_some(0);
        let record = ManifestRecord::new(&manifest, depth);
        let (namespace, name, digest) = (self.namespace.clone(), self.name.clone(), self.digest.clone());
        let now = self.images.now_s();
        self.images
            .write(move |tx| {
                let Some(repository) = tx.repository(&namespace, &name)? else { return Ok(()) };
                if tx.row(&MANIFESTS, &digest.to_key())?.is_none() {
                    tx.put(&MANIFESTS, &digest.to_key(), &record)?;
                }
                hold(tx, repository, &digest, now)?;
                name_missing_parts(tx, repository, &digest, &record.header)
            })
            .await?;
        info!(
            repository = %format_args!("{}/{}", self.namespace, self.name),
            digest = %self.digest, "Fetched manifest {}", self.digest
        );
        Ok(())
    }
}

/// Notes what a manifest that a repository serves refers to and the repository does not have, so that it can be fetched
/// when somebody asks for it.
pub(crate) fn name_missing_parts(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    header: &ManifestHeader,
) -> Result<(), StoreError> {
    let mut missing = Vec::new();
    for part in header.blobs() {
        if tx.link(repository, &part.digest)?.is_none() {
            missing.push((part.digest.to_key(), part.size));
        }
    }
    for child in &header.children {
        if !tx.holds(repository, child)? {
            missing.push((child.to_key(), 0));
        }
    }
    for (part, size) in missing {
        let key = (repository, part, manifest.to_key());
        if tx.row(&REMOTE_PARTS, &key)?.is_none() {
            tx.put(&REMOTE_PARTS, &key, &RemotePart { size })?;
        }
    }
    Ok(())
}

/// The manifests of the repository that name `part` and came without it.
fn naming(
    rows: &impl Rows,
    repository: RepositoryId,
    part: &Digest,
) -> Result<Vec<(Digest, RemotePart)>, StoreError> {
    let range = KeyRange::prefix(&(repository, part.to_key().as_slice()));
    let mut naming = Vec::new();
    for ((_, _, manifest), part) in rows.rows(&REMOTE_PARTS, &range, MAX_LOOKED_AT)? {
        let Ok(manifest) = Digest::from_key(&manifest) else { continue };
        if rows.holds(repository, &manifest)? {
            naming.push((manifest, part));
        }
    }
    Ok(naming)
}

/// The tags in whose history an image is.
fn tags_of(rows: &impl Rows, repository: RepositoryId, image: &Digest) -> Result<Vec<String>, StoreError> {
    let range = KeyRange::prefix(&(repository, image.to_key().as_slice()));
    let rows = rows.rows(&TAG_IMAGES, &range, MAX_LOOKED_AT)?;
    Ok(rows.into_iter().map(|((_, _, tag), ())| tag).collect())
}
