//! The one entrance to the bytes: the same calls for every back end.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_oci::Digest;
use pierhead_runtime::clock::SharedClock;

use crate::filesystem::Filesystem;
use crate::memory::Memory;
use crate::upload::Upload;
use crate::{BlobBody, BlobError, OpenSession, UploadError, UploadId, UploadOwner};

/// All blobs of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Filesystem(Arc<Filesystem>),
    Memory(Arc<Memory>),
}

impl Blobs {
    /// Opens the blobs below `root`, which is created and laid out when it is not there yet. Unfinished uploads of an
    /// earlier process can be continued. Blocks; called once, at start.
    pub fn filesystem(root: &Path, clock: SharedClock) -> Result<Self, BlobError> {
        Ok(Self(Backend::Filesystem(Arc::new(Filesystem::open(root, clock)?))))
    }

    /// Blobs that live as long as the process: for tests and demonstrations.
    pub fn memory(clock: SharedClock) -> Self {
        Self(Backend::Memory(Arc::new(Memory::new(clock))))
    }

    /// Starts an upload for `owner`.
    #[expect(clippy::unused_async, reason = "a back end elsewhere has to wait")]
    pub async fn create_upload(&self, owner: UploadOwner) -> Result<UploadId, UploadError> {
        match &self.0 {
            Backend::Filesystem(files) => files.create_upload(owner),
            Backend::Memory(memory) => Ok(memory.create_upload(owner)),
        }
    }

    /// Continues an upload; nobody else can until the answer is dropped. Waits up to 10 s for whoever holds it.
    pub async fn upload(&self, id: UploadId) -> Result<Upload, UploadError> {
        match &self.0 {
            Backend::Filesystem(files) => files.upload(id).await.map(Upload::filesystem),
            Backend::Memory(memory) => memory.upload(id).await.map(Upload::memory),
        }
    }

    /// An unfinished upload, without waiting for whoever writes to it.
    pub fn session(&self, id: UploadId) -> Option<OpenSession> {
        match &self.0 {
            Backend::Filesystem(files) => files.sessions().find(id),
            Backend::Memory(memory) => memory.sessions().find(id),
        }
    }

    /// All unfinished uploads.
    pub fn sessions(&self) -> Vec<OpenSession> {
        match &self.0 {
            Backend::Filesystem(files) => files.sessions().list(),
            Backend::Memory(memory) => memory.sessions().list(),
        }
    }

    /// How many unfinished uploads have an owner that `counts`.
    pub fn count_sessions(&self, counts: impl Fn(&UploadOwner) -> bool) -> usize {
        match &self.0 {
            Backend::Filesystem(files) => files.sessions().count(counts),
            Backend::Memory(memory) => memory.sessions().count(counts),
        }
    }

    /// Removes the uploads that have not moved since `before`, and says which.
    pub async fn reap_uploads(&self, before: Timestamp) -> Result<Vec<OpenSession>, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => files.reap_uploads(before).await,
            Backend::Memory(memory) => Ok(memory.sessions().take_idle(before)),
        }
    }

    /// Removes the one of `whose` uploads that has rested longest, if it rested since before `before` and nobody writes
    /// to it.
    pub async fn end_longest_idle(
        &self,
        before: Timestamp,
        whose: impl Fn(&UploadOwner) -> bool,
    ) -> Result<Option<OpenSession>, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => {
                let ended = files.sessions().take_longest_idle(before, whose);
                files.remove_parts(&ended).await?;
                Ok(ended)
            }
            Backend::Memory(memory) => Ok(memory.sessions().take_longest_idle(before, whose)),
        }
    }

    /// How long the stored blob is; `None` when there is none.
    pub async fn stat(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => files.stat(digest).await,
            Backend::Memory(memory) => Ok(memory.stat(digest)),
        }
    }

    /// Opens a blob of `size` bytes, wholly or in part. A file of another size is an error here, before anything was
    /// answered, and goes to quarantine. Wrong bytes of the right size are an error of the body at its last chunk.
    pub async fn open(
        &self,
        digest: &Digest,
        size: u64,
        range: Option<Range<u64>>,
    ) -> Result<BlobBody, BlobError> {
        let range = range.unwrap_or(0..size);
        if range.start > range.end || range.end > size {
            return Err(BlobError::Range { start: range.start, end: range.end, size });
        }
        match &self.0 {
            Backend::Filesystem(files) => files.read(digest, size, range).await,
            Backend::Memory(memory) => memory.read(digest, size, range),
        }
    }

    /// The whole content of a small blob, verified. For configs and manifests; layers go through [`Blobs::open`].
    pub async fn content(&self, digest: &Digest, size: u64) -> Result<Bytes, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => files.content(digest, size).await,
            Backend::Memory(memory) => memory.content(digest, size),
        }
    }

    /// Stores a small blob whose digest the caller has computed. Durable when it answers.
    pub async fn put(&self, digest: &Digest, content: Bytes) -> Result<(), UploadError> {
        match &self.0 {
            Backend::Filesystem(files) => files.put(digest, content).await,
            Backend::Memory(memory) => memory.put(digest, content),
        }
    }

    /// Removes a blob; false when there was none. The caller has made sure that nobody needs it.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => files.delete(digest).await,
            Backend::Memory(memory) => Ok(memory.delete(digest)),
        }
    }

    /// The digests of stored blobs that are at least `age` old at `now`, in no order: for finding files that no row
    /// knows.
    pub async fn each_older_than(&self, now: Timestamp, age: Duration) -> Result<Vec<Digest>, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => files.older_than(now, age).await,
            Backend::Memory(memory) => Ok(memory.all()),
        }
    }

    /// Removes the damaged files that were put aside at least `age` ago; says how many.
    pub async fn empty_quarantine(&self, now: Timestamp, age: Duration) -> Result<usize, BlobError> {
        match &self.0 {
            Backend::Filesystem(files) => files.empty_quarantine(now, age).await,
            Backend::Memory(_) => Ok(0),
        }
    }

    /// How many damaged blobs were replaced by a good push since the start.
    pub fn healed_total(&self) -> u64 {
        match &self.0 {
            Backend::Filesystem(files) => files.healed_total(),
            Backend::Memory(_) => 0,
        }
    }
}
