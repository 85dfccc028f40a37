//! One unfinished upload in its file: appending, resuming, and turning it into a blob.

use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pierhead_oci::{Algorithm, Digest, Hasher};
use rustix::io::{Errno, pwritev};
use tokio::sync::OwnedMutexGuard;

use super::publish::Published;
use super::{Filesystem, hash_file, remove, room_for};
use crate::follow::FollowedFile;
use crate::sessions::Gauge;
use crate::{BlobError, PartReader, UploadError, UploadId};

/// Pieces per system call; Linux takes up to 1024.
const SLICES: usize = 64;

/// What is known of a part between requests.
#[derive(Debug)]
pub(crate) struct Part {
    offset: u64,
    /// The hash of the first `offset` bytes; `None` after a restart, when the file has to be read again.
    hasher: Option<Hasher>,
    /// Whether it has a file; it gets one with its first bytes.
    on_disk: bool,
}

impl Part {
    pub(super) fn empty() -> Self {
        Self { offset: 0, hasher: Some(Hasher::new(Algorithm::Sha256)), on_disk: false }
    }

    /// A part of an earlier process. Its bytes are hashed when somebody continues it: after a power cut they may not
    /// be those that were hashed before, so a stored hash state would vouch for bytes that are not there.
    pub(super) const fn found(offset: u64) -> Self {
        Self { offset, hasher: None, on_disk: true }
    }

    pub(super) const fn is_on_disk(&self) -> bool {
        self.on_disk
    }
}

/// The exclusive right to write to a part. All methods block.
#[derive(Debug)]
pub(crate) struct PartWriter {
    files: Arc<Filesystem>,
    id: UploadId,
    path: PathBuf,
    /// `None` until there is something to write.
    file: Option<File>,
    part: OwnedMutexGuard<Part>,
    gauge: Arc<Gauge>,
    followed: Option<FollowedFile>,
}

impl PartWriter {
    /// Continues a part that has no bytes yet.
    pub(super) fn fresh(
        files: Arc<Filesystem>,
        id: UploadId,
        path: PathBuf,
        part: OwnedMutexGuard<Part>,
        gauge: Arc<Gauge>,
    ) -> Self {
        gauge.set(part.offset, files.clock.now());
        Self { files, id, path, file: None, part, gauge, followed: None }
    }

    pub(super) fn open(
        files: Arc<Filesystem>,
        id: UploadId,
        path: PathBuf,
        mut part: OwnedMutexGuard<Part>,
        gauge: Arc<Gauge>,
    ) -> Result<Self, BlobError> {
        let io = |action, error| BlobError::io(action, &path, error);
        let file =
            File::options().read(true).write(true).open(&path).map_err(|error| io("opening", error))?;
        let length = file.metadata().map_err(|error| io("looking at", error))?.len();
        if length < part.offset {
            (part.offset, part.hasher) = (length, None);
        }
        if length > part.offset {
            // The tail of a write that failed in the middle and was never counted.
            file.set_len(part.offset).map_err(|error| io("truncating", error))?;
        }
        if part.hasher.is_none() {
            let (hasher, read) = hash_file(&file, Algorithm::Sha256, part.offset, &path)?;
            (part.offset, part.hasher) = (read, Some(hasher));
        }
        gauge.set(part.offset, files.clock.now());
        Ok(Self { files, id, path, file: Some(file), part, gauge, followed: None })
    }

    pub(crate) fn id(&self) -> UploadId {
        self.id
    }

    pub(crate) fn offset(&self) -> u64 {
        self.part.offset
    }

    /// A view for those who read while this writes.
    pub(crate) fn follow(&mut self) -> Result<PartReader, BlobError> {
        let (followed, reader) = FollowedFile::new(self.part.offset, Arc::clone(self.files.buffers()));
        if let Some(file) = &self.file {
            followed.has_file(file, &self.path)?;
        }
        self.followed = Some(followed);
        Ok(reader)
    }

    /// Appends `pieces`. When the disk is full the upload ends, so that what it held is free again.
    pub(crate) fn append(&mut self, pieces: &[Bytes]) -> Result<(), BlobError> {
        if pieces.is_empty() {
            return Ok(());
        }
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let outcome = room_for(&self.files.uploads, length, &self.path)
            .and_then(|()| pieces.chunks(SLICES).try_for_each(|pieces| self.append_some(pieces)));
        self.gauge.set(self.part.offset, self.files.clock.now());
        if let Some(followed) = &self.followed {
            followed.has_grown(self.part.offset);
        }
        if matches!(outcome, Err(BlobError::OutOfSpace)) {
            self.end()?;
        }
        outcome
    }

    /// The file of the part, which is made if there is none.
    fn file(&mut self) -> Result<&File, BlobError> {
        match &mut self.file {
            Some(file) => Ok(file),
            none @ None => {
                let create = File::options().read(true).write(true).create_new(true).open(&self.path);
                let file = create.map_err(|error| BlobError::io("creating", &self.path, error))?;
                self.part.on_disk = true;
                if let Some(followed) = &self.followed {
                    followed.has_file(&file, &self.path)?;
                }
                Ok(none.insert(file))
            }
        }
    }

    /// Whether taking its bytes has to wait for the disk.
    pub(crate) const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    fn append_some(&mut self, pieces: &[Bytes]) -> Result<(), BlobError> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = slices.as_mut_slice();
        let mut offset = self.part.offset;
        let path = self.path.clone();
        let file = self.file()?;
        while left.iter().any(|slice| !slice.is_empty()) {
            match pwritev(file, left, offset) {
                Ok(0) => return Err(BlobError::OutOfSpace),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut left, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(BlobError::io("writing", &path, error.into())),
            }
        }
        if let Some(hasher) = &mut self.part.hasher {
            pieces.iter().for_each(|piece| hasher.update(piece));
        }
        self.part.offset = offset;
        Ok(())
    }

    /// Verifies, stores, names: the end of this upload in any case.
    pub(crate) fn commit(mut self, expected: &Digest) -> Result<(u64, bool), UploadError> {
        let size = self.part.offset;
        let hasher = self.part.hasher.take();
        let path = self.path.clone();
        let file = self.file()?;
        let hasher = match hasher {
            Some(hasher) if hasher.algorithm() == expected.algorithm() => hasher,
            _ => hash_file(file, expected.algorithm(), size, &path)?.0,
        };
        let actual = hasher.finish();
        if actual != *expected {
            self.end()?;
            return Err(UploadError::digest_mismatch(expected, actual));
        }
        let files = Arc::clone(&self.files);
        let published = files.publish(self.file()?, &path, expected, size);
        files.sessions.remove(self.id);
        Ok((size, published? == Published::Healed))
    }

    /// Ends the upload; what was written and `rest`, which was not.
    pub(crate) fn into_content(self, rest: &[Bytes]) -> Result<Bytes, BlobError> {
        let room = room_for(&self.files.uploads, 0, &self.path);
        if room.is_err() {
            self.end()?;
        }
        room?;
        let written = usize::try_from(self.part.offset).map_err(|_too_large| BlobError::OutOfSpace)?;
        let mut content = vec![0; written];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut content, 0)
                .map_err(|error| BlobError::io("reading", &self.path, error))?;
        }
        self.end()?;
        rest.iter().for_each(|piece| content.extend_from_slice(piece));
        Ok(content.into())
    }

    /// Forgets the upload and removes its bytes.
    pub(crate) fn end(&self) -> Result<(), BlobError> {
        self.files.sessions.remove(self.id);
        if self.part.on_disk { remove(&self.path) } else { Ok(()) }
    }
}
