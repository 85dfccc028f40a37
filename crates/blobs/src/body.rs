//! The body of a blob on its way to a client.
//!
//! Pages that are in memory are read inline with `preadv2(RWF_NOWAIT)`; anything else goes to a blocking thread. A
//! file that was not checked since it changed is hashed while it is served, and its last chunk leaves only after the
//! digest came out right: a damaged blob never completes an answer (reliability I5, D10).

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use pierhead_oci::{Digest, Hasher};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use crate::BlobError;
use crate::buffer::{Buffer, CHUNK};
use crate::filesystem::{Filesystem, Identity};

/// The bytes of a blob or of a range of it, as an HTTP body of exact length.
#[derive(Debug)]
pub struct BlobBody {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File(Box<FileSource>),
}

struct FileSource {
    files: Arc<Filesystem>,
    file: Arc<File>,
    digest: Digest,
    identity: Identity,
    position: u64,
    end: u64,
    proof: Proof,
    reading: Option<JoinHandle<Result<Read, BlobError>>>,
}

/// What a blocking thread brings back.
struct Read {
    buffer: Buffer,
    hasher: Option<Box<Hasher>>,
}

/// What vouches for the bytes.
enum Proof {
    /// The file was checked and has not changed since.
    Known,
    /// The digest of the bytes sent so far; decides at the end.
    Hashing(Box<Hasher>),
    /// A check of the whole file that runs beside a partial read; the last chunk waits for it.
    Checking(BoxFuture<'static, Result<(), BlobError>>),
    /// An error was answered.
    Refused,
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource")
            .field("digest", &self.digest)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl BlobBody {
    /// A body of bytes that are in memory already.
    pub const fn memory(content: Bytes) -> Self {
        Self { source: Source::Memory(content) }
    }

    pub(crate) fn file(
        files: Arc<Filesystem>,
        file: Arc<File>,
        digest: Digest,
        identity: Identity,
        range: Range<u64>,
    ) -> Self {
        let proof = if files.is_checked(&digest, &identity) {
            Proof::Known
        } else if range == (0..identity.size) {
            Proof::Hashing(Box::new(Hasher::new(digest.algorithm())))
        } else {
            let check = Arc::clone(&files).check(Arc::clone(&file), digest.clone(), identity);
            Proof::Checking(Box::pin(check))
        };
        let (position, end) = (range.start, range.end);
        let source = FileSource { files, file, digest, identity, position, end, proof, reading: None };
        Self { source: Source::File(Box::new(source)) }
    }

    /// How many bytes are still to come.
    pub fn remaining(&self) -> u64 {
        match &self.source {
            Source::Memory(content) => content.len() as u64,
            Source::File(source) => source.end - source.position,
        }
    }
}

impl Body for BlobBody {
    type Data = Bytes;
    type Error = BlobError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BlobError>>> {
        match &mut self.source {
            Source::Memory(content) if content.is_empty() => Poll::Ready(None),
            Source::Memory(content) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(content))))),
            Source::File(source) => {
                let chunk = ready!(source.poll_chunk(context)).transpose();
                if matches!(chunk, Some(Err(_))) {
                    source.proof = Proof::Refused;
                }
                Poll::Ready(chunk.map(|chunk| chunk.map(|buffer| Frame::data(buffer.into_bytes()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

impl FileSource {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Buffer>, BlobError>> {
        if self.position == self.end || matches!(self.proof, Proof::Refused) {
            return Poll::Ready(Ok(None));
        }
        let wanted = usize::try_from(self.end - self.position).map_or(CHUNK, |left| left.min(CHUNK));
        if let Proof::Checking(check) = &mut self.proof {
            match check.as_mut().poll(context) {
                Poll::Ready(outcome) => {
                    outcome?;
                    self.proof = Proof::Known;
                }
                // A shorter read than wanted is never the last chunk, so the end always passes here.
                Poll::Pending if self.position + wanted as u64 == self.end => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        if self.reading.is_none() {
            if matches!(self.proof, Proof::Known | Proof::Checking(_))
                && let Some(buffer) = self.read_inline(wanted)?
            {
                return Poll::Ready(Ok(Some(buffer)));
            }
            self.reading = Some(self.read_blocking(wanted));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(None)) };
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let read = read??;
        self.position += read.buffer.as_ref().len() as u64;
        if let Some(hasher) = read.hasher {
            self.proof = Proof::Hashing(hasher);
        }
        Poll::Ready(Ok(Some(read.buffer)))
    }

    /// `None` when the pages are not in memory.
    fn read_inline(&mut self, wanted: usize) -> Result<Option<Buffer>, BlobError> {
        let mut buffer = self.files.buffers().take();
        let space = &mut [IoSliceMut::new(buffer.space(wanted))];
        match preadv2(&*self.file, space, self.position, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(BlobError::Damaged { digest: self.digest.clone() }),
            Ok(read) => {
                buffer.set_filled(read);
                self.position += read as u64;
                Ok(Some(buffer))
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(self.failed(error.into())),
        }
    }

    /// Reads the whole of `wanted`, and hashes it where that is the proof.
    fn read_blocking(&mut self, wanted: usize) -> JoinHandle<Result<Read, BlobError>> {
        let mut hasher = match std::mem::replace(&mut self.proof, Proof::Known) {
            Proof::Hashing(hasher) => Some(hasher),
            other => {
                self.proof = other;
                None
            }
        };
        let (files, file) = (Arc::clone(&self.files), Arc::clone(&self.file));
        let (digest, identity, position) = (self.digest.clone(), self.identity, self.position);
        let last = position + wanted as u64 == self.end;
        tokio::task::spawn_blocking(move || {
            let mut buffer = files.buffers().take();
            file.read_exact_at(buffer.space(wanted), position).map_err(|source| match source.kind() {
                std::io::ErrorKind::UnexpectedEof => BlobError::Damaged { digest: digest.clone() },
                _ => BlobError::Io { action: "reading", path: digest.to_string().into(), source },
            })?;
            buffer.set_filled(wanted);
            if let Some(hashing) = &mut hasher {
                hashing.update(buffer.as_ref());
            }
            if last && let Some(complete) = hasher.take() {
                files.settle(&digest, &identity, complete.finish() == digest)?;
            }
            Ok(Read { buffer, hasher })
        })
    }

    fn failed(&self, source: std::io::Error) -> BlobError {
        BlobError::Io { action: "reading", path: self.digest.to_string().into(), source }
    }
}
