//! What a repository names and does not have: where else it is, and how it comes here.
//!
//! Owns who may have something fetched (readers of the repository, and only what its manifests and tags name), from
//! where (the places its tags were imported from), and keeping what was fetched. Bytes that another repository happens
//! to have are not taken: a hostile source could name them without having them. Asking other hosts is the registry's
//! business.

use std::cmp::Reverse;
use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_api::image::is_insecure;
use pierhead_auth::{Permit, Pull};
use pierhead_blobs::{Committed, PartReader, Upload, UploadOwner};
use pierhead_oci::{Digest, ImageReference, Manifest, Reference};
use pierhead_store::{KeyRange, StoreError, WriteTx};
use tracing::info;

use crate::Images;
use crate::error::{PullError, UploadError};
use crate::images::Config;
use crate::links::{keep_record, referrer, take_in};
use crate::manifest_record::{INLINE_LIMIT, ManifestHeader, ManifestRecord, child_depth};
use crate::pull::Lease;
use crate::rows::{Rows, stream_key};
use crate::small_blobs::SMALL_BYTES;
use crate::tables::{
    DELETED_MANIFESTS, MANIFESTS, REMOTE_PARTS, RemotePart, RepositoryId, SPEC_TAGS, STREAMS, TAG_EVENTS,
    TAG_IMAGES, TAGS,
};

/// Places that are tried for one thing.
const MAX_SOURCES: usize = 8;
/// Rows that one look for such places reads: newest items of histories first, so what is pulled most is found.
const MAX_ROWS: usize = 2_000;
/// Items of a history that are read in one step; tags of one image and manifests around one part that are looked at.
const PAGE: usize = 100;

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
    repository: RepositoryId,
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
    repository: RepositoryId,
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
            if tx.has_row(&DELETED_MANIFESTS, &(repository, digest.to_key()))? {
                return Ok(None);
            }
            let mut look = Look::begin(tx, self.config(), (&namespace, &name), repository)?;
            look.around(&digest)?;
            let sources = look.sources();
            Ok((!sources.is_empty()).then_some((repository, digest, sources)))
        })?;
        Ok(found.map(|(repository, digest, sources)| MissingManifest {
            images: self.clone(),
            repository,
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
            // Lists name manifests as they name blobs, and know no size of them.
            if tx.holds(repository, digest)? {
                return Ok(None);
            }
            let mut look = Look::begin(tx, self.config(), (&namespace, &name), repository)?;
            let mut size = None;
            for (manifest, part) in look.naming(digest)? {
                size.get_or_insert(part.size);
                look.around(&manifest)?;
            }
            let sources = look.sources();
            Ok(size.filter(|_| !sources.is_empty()).map(|size| (repository, size, sources)))
        })?;
        Ok(found.map(|(repository, size, sources)| MissingBlob {
            images: self.clone(),
            repository,
            namespace,
            name,
            digest: digest.clone(),
            size,
            sources,
        }))
    }
}

/// One look for places where something may be: newest of all tags first, secure before insecure (images 6.7). Our own
/// registry is none of them. However large the repository is, it reads a bounded number of rows.
struct Look<'r, R> {
    rows: &'r R,
    config: &'r Config,
    repository: RepositoryId,
    /// Whether the stream calls all its registries insecure.
    all_insecure: bool,
    rows_left: usize,
    /// Manifests that were looked at.
    seen: HashSet<Digest>,
    found: Vec<Place>,
    /// The secure ones among the places.
    secure: HashSet<RemoteSource>,
}

/// A place, and what decides about its rank.
struct Place {
    is_newest: bool,
    created: Timestamp,
    source: RemoteSource,
}

impl<'r, R: Rows> Look<'r, R> {
    fn begin(
        rows: &'r R,
        config: &'r Config,
        (namespace, name): (&str, &str),
        repository: RepositoryId,
    ) -> Result<Self, StoreError> {
        let stream = rows.row(&STREAMS, &stream_key(namespace, name))?;
        let all_insecure = stream.is_some_and(|stream| is_insecure(&stream.metadata));
        Ok(Self {
            rows,
            config,
            repository,
            all_insecure,
            rows_left: MAX_ROWS,
            seen: HashSet::new(),
            found: Vec::new(),
            secure: HashSet::new(),
        })
    }

    /// Looks where a manifest was seen, or a list that names it.
    fn around(&mut self, manifest: &Digest) -> Result<(), StoreError> {
        let mut pending = vec![manifest.clone()];
        while let Some(digest) = pending.pop() {
            if self.is_over() || !self.seen.insert(digest.clone()) {
                continue;
            }
            for tag in self.tags_of(&digest)? {
                self.history_of(&tag, &digest)?;
            }
            pending.extend(self.naming(&digest)?.into_iter().map(|(parent, _)| parent));
        }
        Ok(())
    }

    /// Looks where the items of a tag's history come from that are the image. A long history leaves half of what may be
    /// read to others.
    fn history_of(&mut self, tag: &str, image: &Digest) -> Result<(), StoreError> {
        if self.is_over() {
            return Ok(());
        }
        let key = (self.repository, tag.to_owned());
        self.spend(2);
        let newest = self.rows.row(&TAGS, &key)?.map(|record| record.seq);
        let wanted = self.rows.row(&SPEC_TAGS, &key)?;
        let insecure = self.all_insecure || wanted.is_some_and(|record| record.tag.import_policy.insecure);
        let image = image.to_string();
        let mut range = KeyRange::prefix(&(self.repository, tag));
        let mut left = self.rows_left.div_ceil(2);
        while left > 0 && !self.is_over() {
            let page = self.rows.rows_reverse(&TAG_EVENTS, &range, PAGE.min(left))?;
            self.spend(page.len());
            left -= page.len();
            let Some((last, _)) = page.last() else { break };
            range = range.before(last);
            for ((_, _, seq), event) in page.into_iter().filter(|(_, event)| event.item.image == image) {
                if let Some(source) = source(self.config, &event.item.reference, insecure) {
                    if !source.insecure {
                        self.secure.insert(source.clone());
                    }
                    let (is_newest, created) = (newest == Some(seq), event.item.created);
                    self.found.push(Place { is_newest, created, source });
                }
            }
        }
        Ok(())
    }

    /// The manifests of the repository that name `part` and came without it. Those that were deleted since may be many;
    /// looking past them leaves most of what may be read to others.
    fn naming(&mut self, part: &Digest) -> Result<Vec<(Digest, RemotePart)>, StoreError> {
        let mut range = KeyRange::prefix(&(self.repository, part.to_key().as_slice()));
        let mut left = self.rows_left.div_ceil(4);
        let mut naming = Vec::new();
        while left > 0 && naming.len() < PAGE {
            let page = self.rows.rows(&REMOTE_PARTS, &range, PAGE.min(left.div_ceil(2)))?;
            // A row each here, and one for the look whether it is held.
            self.spend(page.len() * 2);
            left = left.saturating_sub(page.len() * 2);
            let Some((last, _)) = page.last() else { break };
            range = range.after(last);
            for ((_, _, manifest), part) in page {
                let Ok(manifest) = Digest::from_key(&manifest) else { continue };
                if self.rows.holds(self.repository, &manifest)? {
                    naming.push((manifest, part));
                }
            }
        }
        Ok(naming)
    }

    /// The tags in whose history an image is.
    fn tags_of(&mut self, image: &Digest) -> Result<Vec<String>, StoreError> {
        let range = KeyRange::prefix(&(self.repository, image.to_key().as_slice()));
        let rows = self.rows.rows(&TAG_IMAGES, &range, self.rows_left.min(PAGE))?;
        self.spend(rows.len());
        Ok(rows.into_iter().map(|((_, _, tag), ())| tag).collect())
    }

    fn spend(&mut self, rows: usize) {
        self.rows_left = self.rows_left.saturating_sub(rows);
    }

    /// Whether enough is known, or enough was read.
    fn is_over(&self) -> bool {
        self.rows_left == 0 || self.secure.len() >= MAX_SOURCES
    }

    fn sources(mut self) -> Vec<RemoteSource> {
        self.found.sort_by_key(|place| (place.source.insecure, !place.is_newest, Reverse(place.created)));
        let mut sources: Vec<RemoteSource> = Vec::new();
        for Place { source, .. } in self.found {
            if sources.len() < MAX_SOURCES && !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }
}

fn source(config: &Config, reference: &str, insecure: bool) -> Option<RemoteSource> {
    let reference: ImageReference = reference.parse().ok()?;
    let reference = reference.docker_client_defaults();
    let repository = reference.repository_path();
    let host = reference.registry?;
    (!config.names_us(&host)).then_some(RemoteSource { host, repository, insecure })
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
        let linked = self.images.renew(&self.namespace, &self.name, &self.digest, Lease::Wanted).await?;
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

    /// Verifies and stores the blob and lets the repository serve it. A repository that is gone by now gets nothing, nor
    /// does one that took its name.
    pub async fn commit(self) -> Result<Committed, UploadError> {
        let MissingBlob { images, repository, namespace, name, digest, size, .. } = self.missing;
        if self.upload.offset() <= SMALL_BYTES {
            let content = self.upload.into_content(&digest).await?;
            let size = content.len() as u64;
            images.link_fetched(repository, (namespace, name), &digest, size, Some(content)).await?;
            return Ok(Committed { digest, size, healed: false });
        }
        let _kept = images.stripe(&digest).read().await;
        let committed = self.upload.commit(&digest).await?;
        let at = (namespace.clone(), name.clone());
        images.link_fetched(repository, at, &digest, committed.size, None).await?;
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
    /// that is gone by now gets nothing, nor does one that took its name; and what was deleted meanwhile stays deleted.
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
        let (namespace, name, digest) = (self.namespace.clone(), self.name.clone(), self.digest.clone());
        let repository = self.repository;
        let now = self.images.now_s();
        self.images
            .write(move |tx| {
                let is_gone = tx.repository(&namespace, &name)? != Some(repository);
                if is_gone || tx.has(&DELETED_MANIFESTS, &(repository, digest.to_key()))? {
                    return Ok::<_, StoreError>(());
                }
                let record = ManifestRecord::new(&manifest, child_depth(tx, &manifest)?);
                keep_record(tx, repository, &digest, &record, now)?;
                take_in(tx, repository, &digest, &record.header, referrer(&manifest, &digest), now)
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
/// when somebody asks for it; and which manifests it lists, because what those lack is fetched from where it came from.
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
    // Those that are here, too: the parts they lack are where the list is.
    missing.extend(header.children.iter().map(|child| (child.to_key(), 0)));
    for (part, size) in missing {
        let key = (repository, part, manifest.to_key());
        if tx.row(&REMOTE_PARTS, &key)?.is_none() {
            tx.put(&REMOTE_PARTS, &key, &RemotePart { size })?;
        }
    }
    Ok(())
}
