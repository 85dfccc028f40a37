//! Reading an upload while somebody else writes it.
//!
//! Owns the view of a part that grows. What is read here is not verified yet: who reads must keep something back until
//! the upload was committed. A reader keeps the bytes readable, also when the part becomes a blob or is removed.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::watch;

use crate::BlobError;
use crate::buffer::{Buffer, BufferPool, CHUNK};

/// The reading end. Clones read on their own.
#[derive(Clone, Debug)]
pub struct PartReader {
    source: Source,
    written: watch::Receiver<u64>,
}

#[derive(Clone, Debug)]
enum Source {
    File { file: Arc<OnceLock<File>>, buffers: Arc<BufferPool> },
    Memory(Arc<Mutex<BytesMut>>),
}

/// The writing end of a part in a file.
#[derive(Debug)]
pub(crate) struct FollowedFile {
    file: Arc<OnceLock<File>>,
    written: watch::Sender<u64>,
}

/// The writing end of a part in memory.
#[derive(Debug)]
pub(crate) struct FollowedMemory {
    content: Arc<Mutex<BytesMut>>,
    written: watch::Sender<u64>,
}

impl FollowedFile {
    pub(crate) fn new(offset: u64, buffers: Arc<BufferPool>) -> (Self, PartReader) {
        let file = Arc::new(OnceLock::new());
        let (written, reader) = watch::channel(offset);
        let source = Source::File { file: Arc::clone(&file), buffers };
        (Self { file, written }, PartReader { source, written: reader })
    }

    /// The part has a file now.
    pub(crate) fn has_file(&self, file: &File, path: &Path) -> Result<(), BlobError> {
        if self.file.get().is_none() {
            let file = file.try_clone().map_err(|error| BlobError::io("sharing", path, error))?;
            self.file.get_or_init(|| file);
        }
        Ok(())
    }

    /// The part has so many bytes now.
    pub(crate) fn has_grown(&self, offset: u64) {
        self.written.send_replace(offset);
    }
}

impl FollowedMemory {
    pub(crate) fn new(content: &[u8]) -> (Self, PartReader) {
        let shared = Arc::new(Mutex::new(BytesMut::from(content)));
        let (written, reader) = watch::channel(content.len() as u64);
        let source = Source::Memory(Arc::clone(&shared));
        (Self { content: shared, written }, PartReader { source, written: reader })
    }

    pub(crate) fn append(&self, bytes: &[u8]) {
        let mut content = self.content.lock();
        content.extend_from_slice(bytes);
        self.written.send_replace(content.len() as u64);
    }
}

impl PartReader {
    /// How many bytes can be read now.
    pub fn written(&self) -> u64 {
        *self.written.borrow()
    }

    /// Waits until there are more than `beyond` bytes; false when the writer is gone and there never will be.
    pub async fn grown(&mut self, beyond: u64) -> bool {
        self.written.wait_for(|written| *written > beyond).await.is_ok()
    }

    /// Reads bytes from position `at`, which must be written: one at least, and at most `most` or 256 KiB.
    pub async fn read(&self, at: u64, most: u64) -> Result<Bytes, BlobError> {
        let wanted = usize::try_from(most.min(self.written().saturating_sub(at))).unwrap_or(CHUNK).min(CHUNK);
        match &self.source {
            Source::Memory(content) => {
                let content = content.lock();
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
                let (_, rest) = content.split_at(start);
                Ok(Bytes::copy_from_slice(rest.split_at(wanted.min(rest.len())).0))
            }
            Source::File { file, buffers } => read_file(file, buffers, at, wanted).await,
        }
    }
}

/// What was just written is in memory as a rule, and is read without leaving this thread.
async fn read_file(
    file: &Arc<OnceLock<File>>,
    buffers: &Arc<BufferPool>,
    at: u64,
    wanted: usize,
) -> Result<Bytes, BlobError> {
    let mut buffer = buffers.take();
    let Some(open) = file.get() else { return Ok(Bytes::new()) };
    match preadv2(open, &mut [IoSliceMut::new(buffer.space(wanted))], at, ReadWriteFlags::NOWAIT) {
        Ok(read) if read > 0 || wanted == 0 => {
            buffer.set_filled(read);
            return Ok(buffer.into_bytes());
        }
        Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let file = Arc::clone(file);
    let read = move || -> Result<Buffer, BlobError> {
        let open = file.get().expect("it was there before this thread was asked");
        open.read_exact_at(buffer.space(wanted), at).map_err(failed)?;
        buffer.set_filled(wanted);
        Ok(buffer)
    };
    Ok(tokio::task::spawn_blocking(read).await??.into_bytes())
}

fn failed(error: std::io::Error) -> BlobError {
    BlobError::io("reading", Path::new("the part of an upload"), error)
}
