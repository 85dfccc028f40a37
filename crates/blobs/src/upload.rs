//! An upload in the hands of one request: takes bytes as they come, and turns them into a blob.
//!
//! Owns the gathering of pieces and the pressure back to the sender: while one half-MiB is being written and hashed
//! on a blocking thread the next is gathered, and no more.

use bytes::{Bytes, BytesMut};
use pierhead_oci::Digest;
use tokio::task::JoinHandle;

use crate::filesystem::PartWriter;
use crate::memory::MemoryWriter;
use crate::{BlobError, PartReader, UploadError};

/// Bytes gathered before they are handed to a blocking thread. Twice this is in flight per upload.
const GATHERED: usize = 512 * 1024;

/// Pieces below this are copied together, so that a sender of tiny frames costs no more than its bytes.
const SMALL: usize = 16 * 1024;

/// What a finished upload became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its address.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it replaced a damaged copy.
    pub healed: bool,
}

/// The exclusive right to continue an upload. Dropping it keeps what was written so far.
#[derive(Debug)]
pub struct Upload(Target);

#[derive(Debug)]
enum Target {
    Filesystem(Gathering),
    Memory(MemoryWriter),
}

impl Upload {
    pub(crate) fn filesystem(writer: PartWriter) -> Self {
        Self(Target::Filesystem(Gathering::new(writer)))
    }

    pub(crate) const fn memory(writer: MemoryWriter) -> Self {
        Self(Target::Memory(writer))
    }

    /// How many bytes it holds, those in flight included.
    pub fn offset(&self) -> u64 {
        match &self.0 {
            Target::Filesystem(gathering) => gathering.offset,
            Target::Memory(writer) => writer.offset(),
        }
    }

    /// Appends; waits while the disk is behind. After an error the upload is in the state its session says.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        match &mut self.0 {
            Target::Filesystem(gathering) => gathering.append(bytes).await,
            Target::Memory(writer) => {
                writer.append(&bytes);
                Ok(())
            }
        }
    }

    /// A view of the upload for those who want its bytes while they arrive. Not to be asked for twice.
    pub fn follow(&mut self) -> Result<PartReader, UploadError> {
        match &mut self.0 {
            Target::Filesystem(gathering) => gathering.follow(),
            Target::Memory(writer) => Ok(writer.follow()),
        }
    }

    /// Starts writing what is gathered, so that followers see it although no more comes at the moment.
    pub async fn flush(&mut self) -> Result<(), UploadError> {
        match &mut self.0 {
            Target::Filesystem(gathering) => gathering.hand_over().await,
            Target::Memory(_) => Ok(()),
        }
    }

    /// Writes what is in flight and lets go of the upload; answers how many bytes it holds.
    pub async fn suspend(self) -> Result<u64, UploadError> {
        match self.0 {
            Target::Filesystem(gathering) => Ok(gathering.settle().await?.offset()),
            Target::Memory(writer) => Ok(writer.offset()),
        }
    }

    /// Ends the upload. Bytes become a blob here, and only if they hash to `expected`; durable when it answers.
    pub async fn commit(self, expected: &Digest) -> Result<Committed, UploadError> {
        let (size, healed) = match self.0 {
            Target::Filesystem(gathering) => {
                // The rest and the commit in one go: a small blob visits a blocking thread once.
                let (mut writer, rest) = gathering.rest().await?;
                let digest = expected.clone();
                let commit = move || {
                    writer.append(&rest)?;
                    writer.commit(&digest)
                };
                tokio::task::spawn_blocking(commit).await.map_err(BlobError::from)??
            }
            Target::Memory(writer) => (writer.commit(expected)?, false),
        };
        Ok(Committed { digest: expected.clone(), size, healed })
    }

    /// Ends the upload and answers its bytes, verified, for callers that keep small blobs elsewhere. Nothing is stored.
    pub async fn into_content(self, expected: &Digest) -> Result<Bytes, UploadError> {
        let content = match self.0 {
            Target::Filesystem(gathering) => {
                let (writer, rest) = gathering.rest().await?;
                let has_file = writer.has_file();
                let take = move || writer.into_content(&rest);
                if has_file {
                    tokio::task::spawn_blocking(take).await.map_err(BlobError::from)??
                } else {
                    take()?
                }
            }
            Target::Memory(writer) => writer.into_content(),
        };
        let actual = Digest::of(expected.algorithm(), &content);
        if actual != *expected {
            return Err(UploadError::digest_mismatch(expected, actual));
        }
        Ok(content)
    }

    /// Ends the upload and removes its bytes.
    pub async fn cancel(self) -> Result<(), UploadError> {
        match self.0 {
            Target::Filesystem(gathering) => {
                let (writer, _unwritten) = gathering.rest().await?;
                let end = move || writer.end();
                Ok(tokio::task::spawn_blocking(end).await.map_err(BlobError::from)??)
            }
            Target::Memory(writer) => {
                writer.end();
                Ok(())
            }
        }
    }
}

type Written = (PartWriter, Result<(), BlobError>);

#[derive(Debug)]
struct Gathering {
    id: crate::UploadId,
    pen: Pen,
    pieces: Vec<Bytes>,
    /// Small pieces, copied together; always the newest bytes.
    small: BytesMut,
    gathered: usize,
    offset: u64,
}

/// Who has the writer: we, a blocking thread, or nobody after an error.
#[derive(Debug)]
enum Pen {
    Here(PartWriter),
    Away(JoinHandle<Written>),
    Broken,
}

impl Gathering {
    fn new(writer: PartWriter) -> Self {
        let (id, offset) = (writer.id(), writer.offset());
        Self { id, pen: Pen::Here(writer), pieces: Vec::new(), small: BytesMut::new(), gathered: 0, offset }
    }

    fn follow(&mut self) -> Result<PartReader, UploadError> {
        match &mut self.pen {
            Pen::Here(writer) => Ok(writer.follow()?),
            Pen::Away(_) => Err(UploadError::Busy { id: self.id }),
            Pen::Broken => Err(UploadError::Unknown { id: self.id }),
        }
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        self.gathered += bytes.len();
        self.offset += bytes.len() as u64;
        if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
        } else {
            self.seal_small();
            self.pieces.push(bytes);
        }
        if self.gathered >= GATHERED {
            self.hand_over().await?;
        }
        Ok(())
    }

    fn seal_small(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }

    /// Gives what is gathered to a blocking thread, after the one before has finished.
    async fn hand_over(&mut self) -> Result<(), UploadError> {
        self.take_back().await?;
        self.seal_small();
        self.gathered = 0;
        let pieces = std::mem::take(&mut self.pieces);
        if pieces.is_empty() {
            return Ok(());
        }
        self.pen = match std::mem::replace(&mut self.pen, Pen::Broken) {
            Pen::Here(mut writer) => Pen::Away(tokio::task::spawn_blocking(move || {
                let outcome = writer.append(&pieces);
                (writer, outcome)
            })),
            Pen::Away(_) | Pen::Broken => return Err(UploadError::Unknown { id: self.id }),
        };
        Ok(())
    }

    async fn take_back(&mut self) -> Result<(), UploadError> {
        if let Pen::Away(job) = &mut self.pen {
            let written = job.await;
            // Until it is known to be well: a job that ended in a panic must not be asked twice.
            self.pen = Pen::Broken;
            let (writer, outcome) = written.map_err(BlobError::from)?;
            outcome?;
            self.pen = Pen::Here(writer);
        }
        Ok(())
    }

    /// Writes everything and gives the writer back.
    async fn settle(mut self) -> Result<PartWriter, UploadError> {
        self.hand_over().await?;
        Ok(self.rest().await?.0)
    }

    /// Gives the writer back, and what is not written yet.
    async fn rest(mut self) -> Result<(PartWriter, Vec<Bytes>), UploadError> {
        self.take_back().await?;
        self.seal_small();
        match self.pen {
            Pen::Here(writer) => Ok((writer, self.pieces)),
            Pen::Broken => Err(UploadError::Unknown { id: self.id }),
            Pen::Away(_) => unreachable!("take_back leaves the pen here or broken"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{GATHERED, Gathering, Pen};
    use crate::{BlobError, UploadError, UploadId};

    #[tokio::test]
    async fn a_panic_on_the_blocking_thread_is_told_once_and_ends_the_upload() {
        let mut gathering = Gathering {
            id: UploadId::random(),
            pen: Pen::Away(tokio::task::spawn_blocking(|| panic!("the pen broke"))),
            pieces: Vec::new(),
            small: BytesMut::new(),
            gathered: 0,
            offset: 0,
        };
        let first = gathering.append(Bytes::from(vec![0; GATHERED])).await;
        assert!(matches!(first, Err(UploadError::Blob(BlobError::Interrupted(_)))), "{first:?}");
        let settled = gathering.settle().await;
        assert!(matches!(settled, Err(UploadError::Unknown { .. })), "{settled:?}");
    }
}
