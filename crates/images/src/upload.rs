//! Blobs arrive: uploads bound to their repository and principal, and mounts from other repositories.

use bytes::Bytes;
use pierhead_api::Object as _;
use pierhead_api::core::ResourceQuota;
use pierhead_api::quota::ClusterResourceQuota;
use pierhead_auth::{Permit, Pull, Push};
use pierhead_blobs::{Committed, Upload, UploadId, UploadOwner};
use pierhead_oci::Digest;
use pierhead_quota::{ChargeError, ImageLimits, LimitExceeded, Mode, charge_stream};
use pierhead_store::{KeyRange, OBJECTS, StoreError, WriteTx};
use tracing::info;

use crate::Images;
use crate::error::UploadError;
use crate::limits::image_limits;
use crate::links::link;
use crate::rows::{Rows, obtain_repository, stream_key, takes_streams};
use crate::small_blobs::SMALL_BYTES;
use crate::tables::{LINKED, REPOSITORY_NAMES, RepositoryId, SMALL_BLOBS, SmallBlob};

/// Repositories asked about at most when a mount does not say from where.
const MOUNT_CANDIDATES: usize = 64;

/// An unfinished upload in the hands of one request.
#[derive(Debug)]
pub struct OpenUpload {
    images: Images,
    namespace: String,
    name: String,
    upload: Upload,
    /// What the namespace allows.
    limits: ImageLimits,
    /// Whether bytes were refused, so that no blob can come of it.
    refused: bool,
}

impl OpenUpload {
    /// How many bytes it holds.
    pub fn offset(&self) -> u64 {
        self.upload.offset()
    }

    /// Appends bytes; waits while the disk is behind.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let allowed = self.check_size(self.upload.offset().saturating_add(bytes.len() as u64));
        self.refused |= allowed.is_err();
        allowed?;
        Ok(self.upload.append(bytes).await?)
    }

    /// No image may have a blob that is larger than an image may be.
    fn check_size(&self, bytes: u64) -> Result<(), UploadError> {
        let limit = self.images.config().max_blob_bytes;
        if bytes > limit {
            return Err(UploadError::TooLarge { limit });
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let refuse = |exceeded: LimitExceeded| UploadError::Refused { reason: exceeded.to_string() };
        self.limits.check_size(bytes).map_err(refuse)
    }

    /// Lets go of the upload with all its bytes written; says how many there are. One that was refused bytes ends:
    /// nobody could go on with it.
    pub async fn suspend(self) -> Result<u64, UploadError> {
        if self.refused {
            let offset = self.upload.offset();
            self.upload.cancel().await?;
            return Ok(offset);
        }
        Ok(self.upload.suspend().await?)
    }

    /// Ends the upload: verified, on disk, and linked to the repository when this answers. An error if the namespace
    /// ended meanwhile.
    pub async fn commit(self, digest: &Digest) -> Result<Committed, UploadError> {
        if let Err(refused) = self.check_size(self.upload.offset()) {
            self.upload.cancel().await?;
            return Err(refused);
        }
        let Self { images, namespace, name, upload, limits: _, refused: _ } = self;
        let at = (namespace, name);
        if upload.offset() <= SMALL_BYTES {
            let content = upload.into_content(digest).await?;
            let size = content.len() as u64;
            images.link_uploaded(at, digest, size, Some(content)).await?;
            return Ok(Committed { digest: digest.clone(), size, healed: false });
        }
        let _kept = images.stripe(digest).read().await;
        let committed = upload.commit(digest).await?;
        images.link_uploaded(at, digest, committed.size, None).await?;
        Ok(committed)
    }

    /// Ends the upload and removes its bytes.
    pub async fn cancel(self) -> Result<(), UploadError> {
        Ok(self.upload.cancel().await?)
    }
}

/// Where a mounted blob may come from.
pub enum MountSource<'a> {
    /// A repository the client named and may read.
    From(&'a Permit<Pull>),
    /// Any repository of which `may_pull(namespace, stream)` says that the client may read it.
    Anywhere(&'a (dyn Fn(&str, &str) -> bool + Sync)),
}

/// Whether a mount saved an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// The repository has the blob now.
    Mounted {
        /// Its length in bytes.
        size: u64,
    },
    /// The client has to upload it. Says nothing about whether it is elsewhere.
    NotMounted,
}

impl Images {
    /// Starts an upload of the caller to the repository. A caller who has as many as allowed loses the one that rested
    /// longest, so that interrupted uploads lock nobody out; if all of them move, there is no further one.
    pub async fn start_upload(&self, permit: &Permit<Push>) -> Result<UploadId, UploadError> {
        self.expect_repository(permit.namespace(), permit.name())?;
        self.expect_room(permit.namespace(), permit.name()).await?;
        let limit = self.config().max_open_uploads;
        let principal = principal_tag(permit);
        let theirs = |owner: &UploadOwner| owner.as_str().starts_with(&principal);
        if self.blobs().count_sessions(theirs) >= limit {
            let before = self.0.clock.now() - self.config().upload_rest;
            let Some(ended) = self.blobs().end_longest_idle(before, theirs).await? else {
                return Err(UploadError::TooMany { limit });
            };
            info!(id = %ended.id, "Upload {} gave way to a new one of the same principal", ended.id);
        }
        Ok(self.blobs().create_upload(owner_of(permit)).await?)
    }

    /// Continues an upload, which nobody else can until this is dropped.
    pub async fn upload(&self, permit: &Permit<Push>, id: UploadId) -> Result<OpenUpload, UploadError> {
        self.upload_offset(permit, id)?;
        let upload = self.blobs().upload(id).await?;
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        let limits = self.store().read(|tx| image_limits(tx, &namespace))?;
        Ok(OpenUpload { images: self.clone(), namespace, name, upload, limits, refused: false })
    }

    /// How many bytes an upload has received, without waiting for whoever writes to it.
    pub fn upload_offset(&self, permit: &Permit<Push>, id: UploadId) -> Result<u64, UploadError> {
        let session = self.blobs().session(id).filter(|session| session.owner == owner_of(permit));
        Ok(session.ok_or(UploadError::Unknown { id })?.offset)
    }

    /// Ends an upload and removes its bytes.
    pub async fn cancel_upload(&self, permit: &Permit<Push>, id: UploadId) -> Result<(), UploadError> {
        self.upload(permit, id).await?.cancel().await
    }

    /// Lets the repository serve a blob that another one has, if the client may read it there.
    pub async fn mount(
        &self,
        permit: &Permit<Push>,
        digest: &Digest,
        source: MountSource<'_>,
    ) -> Result<Mount, UploadError> {
        let size = match self.link_size(permit.namespace(), permit.name(), digest)? {
            Some(size) => Some(size),
            None => match source {
                MountSource::From(from) => self.link_size(from.namespace(), from.name(), digest)?,
                MountSource::Anywhere(may_pull) => self.find_source(digest, may_pull)?,
            },
        };
        let _kept = self.stripe(digest).read().await;
        let small = self.small_blob(digest)?;
        let stored = self.stored_size(digest, small.as_ref()).await?;
        match size {
            Some(size) if stored == Some(size) => {
                let at = stream_key(permit.namespace(), permit.name());
                let is_linked = self.link_blob(at, digest, size, small).await?;
                Ok(if is_linked { Mount::Mounted { size } } else { Mount::NotMounted })
            }
            _ => Ok(Mount::NotMounted),
        }
    }

    /// Refuses early what could not be linked in the end. A repository that is there is not asked for its namespace.
    fn expect_repository(&self, namespace: &str, name: &str) -> Result<(), UploadError> {
        self.store().read(|tx| {
            if tx.repository(namespace, name)?.is_some() || takes_streams(tx, namespace)? {
                return Ok(());
            }
            let (namespace, name) = stream_key(namespace, name);
            Err(UploadError::StreamMissing { namespace, name })
        })
    }

    /// Refuses early what a quota would refuse in the end: bytes for a stream that may not be made.
    async fn expect_room(&self, namespace: &str, name: &str) -> Result<(), UploadError> {
        let is_asked = self.store().read(|tx| {
            let counted = || has_quotas(tx, namespace);
            Ok::<_, StoreError>(tx.head(namespace, name)?.is_none() && counted()?)
        })?;
        if !is_asked {
            return Ok(());
        }
        let namespace = namespace.to_owned();
        let tried: Result<(), ChargeError> =
            self.store().write(move |tx| charge_stream(tx, &namespace, Mode::Try)).await;
        tried.map_err(|error| match error {
            ChargeError::Refused(refusal) => UploadError::Refused { reason: refusal.to_string() },
            ChargeError::Store(error) => UploadError::Store(error),
            other => UploadError::Quota(other),
        })
    }

    fn link_size(&self, namespace: &str, name: &str, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.store().read(|tx| {
            let Some(repository) = tx.repository(namespace, name)? else { return Ok(None) };
            Ok(tx.link(repository, digest)?.map(|found| found.size))
        })
    }

    fn find_source(
        &self,
        digest: &Digest,
        may_pull: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<Option<u64>, StoreError> {
        let key = digest.to_key();
        let candidates = self.store().read(|tx| {
            let rows = tx.rows(&LINKED, &KeyRange::prefix(&key.as_slice()), MOUNT_CANDIDATES)?;
            let mut candidates = Vec::new();
            for ((_, repository), ()) in rows {
                let names = tx.row(&REPOSITORY_NAMES, &repository)?;
                let link = tx.link(repository, digest)?;
                candidates.extend(names.zip(link));
            }
            Ok::<_, StoreError>(candidates)
        })?;
        let readable = candidates.into_iter().find(|(names, _)| may_pull(&names.namespace, &names.name));
        Ok(readable.map(|(_, link)| link.size))
    }

    async fn link_uploaded(
        &self,
        at: (String, String),
        digest: &Digest,
        size: u64,
        small: Option<Bytes>,
    ) -> Result<(), UploadError> {
        if self.link_blob(at.clone(), digest, size, small).await? {
            return Ok(());
        }
        let (namespace, name) = at;
        Err(UploadError::StreamMissing { namespace, name })
    }

    /// Lets a repository serve a blob; a small one is stored with the link. False if its namespace is gone or going and
    /// there is no such repository: it gets nothing.
    async fn link_blob(
        &self,
        (namespace, name): (String, String),
        digest: &Digest,
        size: u64,
        small: Option<Bytes>,
    ) -> Result<bool, StoreError> {
        let (digest, now) = (digest.clone(), self.now_s());
        self.write(move |tx| {
            let repository = match tx.repository(&namespace, &name)? {
                Some(repository) => repository,
                None if takes_streams(tx, &namespace)? => obtain_repository(tx, &namespace, &name)?,
                None => return Ok(false),
            };
            link_with_content(tx, repository, &digest, (size, small.as_ref()), now)?;
            Ok(true)
        })
        .await
    }

    /// Lets the repository that asked for it serve a blob that was fetched; if it is gone by now, nobody.
    pub(crate) async fn link_fetched(
        &self,
        repository: RepositoryId,
        (namespace, name): (String, String),
        digest: &Digest,
        size: u64,
        small: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let (digest, now) = (digest.clone(), self.now_s());
        self.write(move |tx| {
            if tx.repository(&namespace, &name)? != Some(repository) {
                return Ok(());
            }
            link_with_content(tx, repository, &digest, (size, small.as_ref()), now)
        })
        .await
    }

    /// Removes the uploads that rested too long; says how many.
    pub async fn reap_uploads(&self) -> Result<usize, UploadError> {
        let before = self.0.clock.now() - self.config().upload_life;
        Ok(self.blobs().reap_uploads(before).await?.len())
    }
}

/// Whether any quota could count in a namespace.
fn has_quotas(rows: &impl Rows, namespace: &str) -> Result<bool, StoreError> {
    let own = KeyRange::prefix(&(ResourceQuota::PLURAL, namespace));
    let shared = KeyRange::prefix(&(ClusterResourceQuota::qualified_resource().as_str(),));
    Ok(!rows.rows(&OBJECTS, &own, 1)?.is_empty() || !rows.rows(&OBJECTS, &shared, 1)?.is_empty())
}

fn link_with_content(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    (size, small): (u64, Option<&Bytes>),
    now_s: i64,
) -> Result<(), StoreError> {
    if let Some(content) = small
        && tx.row(&SMALL_BLOBS, &digest.to_key())?.is_none()
    {
        tx.put(&SMALL_BLOBS, &digest.to_key(), &SmallBlob(content.clone()))?;
    }
    link(tx, repository, digest, size, now_s)
}

/// An upload belongs to a principal and a repository. Both are in the name of its file, as hashes: the caller's permit
/// must give the same.
fn owner_of(permit: &Permit<Push>) -> UploadOwner {
    let repository = [permit.namespace(), permit.name()].join("/");
    let owner = format!("{}-{}", principal_tag(permit), short_hash(&repository));
    owner.parse().expect("two hashes in hexadecimal and a dash make an owner")
}

fn principal_tag(permit: &Permit<Push>) -> String {
    short_hash(&permit.subject().username)
}

/// 128 bits are enough against chance, and nobody gains by a collision with a name they cannot have.
fn short_hash(text: &str) -> String {
    let mut hex = Digest::sha256(text.as_bytes()).hex();
    hex.truncate(32);
    hex
}
