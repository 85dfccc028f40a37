//! What can go wrong with blobs and uploads, in the domain's words.

use std::io;
use std::path::{Path, PathBuf};

use pierhead_oci::Digest;

use crate::UploadId;

/// Why a blob could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob, or no longer.
    #[error("blob {digest} is not stored")]
    NotFound {
        /// What was asked for.
        digest: Digest,
    },
    /// The stored bytes are not those the digest names. They were moved to quarantine; pushing the blob again heals it.
    #[error("blob {digest} is damaged")]
    Damaged {
        /// Whose bytes are wrong.
        digest: Digest,
    },
    /// The asked range does not lie inside the blob.
    #[error("range {start}..{end} does not lie inside a blob of {size} bytes")]
    Range {
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// How long the blob is.
        size: u64,
    },
    /// The disk or the quota is full. What was half-written is removed.
    #[error("no space left for blobs")]
    OutOfSpace,
    /// The directory has blobs as another release lays them out.
    #[error("{path} says `{found}`, which this release does not know", path = path.display())]
    Foreign {
        /// The file that says how blobs are laid out.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The operating system refused.
    #[error("{action} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb: `opening`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The thread that did the work panicked or the process is stopping.
    #[error("the work on a blob was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl BlobError {
    /// Wraps an error of the operating system; a full disk gets its own variant, because clients are told so.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::OutOfSpace,
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }
}

/// Why an upload could not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No such upload: never started, finished, cancelled or expired.
    #[error("upload {id} is not open")]
    Unknown {
        /// What was asked for.
        id: UploadId,
    },
    /// Another request is writing to it and did not finish in time.
    #[error("upload {id} is being written by another request")]
    Busy {
        /// Which one.
        id: UploadId,
    },
    /// The bytes do not have the promised digest. The upload is gone.
    #[error("the uploaded bytes have digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client promised.
        expected: Box<Digest>,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// Writing failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl UploadError {
    pub(crate) fn digest_mismatch(expected: &Digest, actual: Digest) -> Self {
        Self::DigestMismatch { expected: Box::new(expected.clone()), actual: Box::new(actual) }
    }
}
