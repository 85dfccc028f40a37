//! Blobs in memory, with the same promises as on disk except durability.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use pierhead_oci::Digest;
use pierhead_runtime::clock::SharedClock;
use tokio::sync::OwnedMutexGuard;

use crate::follow::FollowedMemory;
use crate::sessions::{Gauge, Sessions};
use crate::{BlobBody, BlobError, PartReader, UploadError, UploadId, UploadOwner};

pub(crate) struct Memory {
    clock: SharedClock,
    blobs: Mutex<HashMap<Digest, Bytes>>,
    sessions: Sessions<BytesMut>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, blobs: Mutex::default(), sessions: Sessions::new() }
    }

    pub(crate) const fn sessions(&self) -> &Sessions<BytesMut> {
        &self.sessions
    }

    pub(crate) fn create_upload(&self, owner: UploadOwner) -> UploadId {
        let id = UploadId::random();
        self.sessions.insert(id, owner, Gauge::new(0, self.clock.now()), BytesMut::new());
        id
    }

    pub(crate) async fn upload(self: &Arc<Self>, id: UploadId) -> Result<MemoryWriter, UploadError> {
        let (part, gauge) = self.sessions.enter(id).await?;
        Ok(MemoryWriter { memory: Arc::clone(self), id, part, gauge, followed: None })
    }

    pub(crate) fn stat(&self, digest: &Digest) -> Option<u64> {
        self.blobs.lock().get(digest).map(|content| content.len() as u64)
    }

    pub(crate) fn read(&self, digest: &Digest, size: u64, range: Range<u64>) -> Result<BlobBody, BlobError> {
        let content = self.content(digest, size)?;
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
        Ok(BlobBody::memory(content.slice(index(range.start)..index(range.end))))
    }

    pub(crate) fn content(&self, digest: &Digest, size: u64) -> Result<Bytes, BlobError> {
        let content = self.blobs.lock().get(digest).cloned();
        let content = content.ok_or_else(|| BlobError::NotFound { digest: digest.clone() })?;
        if content.len() as u64 != size {
            return Err(BlobError::Damaged { digest: digest.clone() });
        }
        Ok(content)
    }

    pub(crate) fn put(&self, digest: &Digest, content: Bytes) -> Result<(), UploadError> {
        let actual = Digest::of(digest.algorithm(), &content);
        if actual != *digest {
            return Err(UploadError::digest_mismatch(digest, actual));
        }
        self.blobs.lock().insert(actual, content);
        Ok(())
    }

    pub(crate) fn delete(&self, digest: &Digest) -> bool {
        self.blobs.lock().remove(digest).is_some()
    }

    pub(crate) fn all(&self) -> Vec<Digest> {
        self.blobs.lock().keys().cloned().collect()
    }
}

/// The exclusive right to write to an upload in memory.
#[derive(Debug)]
pub(crate) struct MemoryWriter {
    memory: Arc<Memory>,
    id: UploadId,
    part: OwnedMutexGuard<BytesMut>,
    gauge: Arc<Gauge>,
    followed: Option<FollowedMemory>,
}

impl MemoryWriter {
    pub(crate) fn offset(&self) -> u64 {
        self.part.len() as u64
    }

    pub(crate) fn append(&mut self, bytes: &Bytes) {
        self.part.extend_from_slice(bytes);
        if let Some(followed) = &self.followed {
            followed.append(bytes);
        }
        self.gauge.set(self.offset(), self.memory.clock.now());
    }

    /// A view for those who read while this writes.
    pub(crate) fn follow(&mut self) -> PartReader {
        let (followed, reader) = FollowedMemory::new(&self.part);
        self.followed = Some(followed);
        reader
    }

    pub(crate) fn commit(mut self, expected: &Digest) -> Result<u64, UploadError> {
        let content = std::mem::take(&mut *self.part).freeze();
        self.end();
        let size = content.len() as u64;
        self.memory.put(expected, content).map(|()| size)
    }

    pub(crate) fn into_content(mut self) -> Bytes {
        self.end();
        std::mem::take(&mut *self.part).freeze()
    }

    pub(crate) fn end(&self) {
        self.memory.sessions.remove(self.id);
    }
}
