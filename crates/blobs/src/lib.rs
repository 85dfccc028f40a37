//! Content-addressed bytes: uploads that can be resumed, verified commits, reads that never lie.
//!
//! Owns the files of blobs and of unfinished uploads. Does not know repositories, permissions or links: who may read
//! a blob is decided by `images`, and what may be deleted too. Bytes become a blob only in [`Upload::commit`] and
//! [`Blobs::put`], after their digest was checked and they are on disk (reliability 3.1).

mod blobs;
mod body;
mod buffer;
mod error;
mod filesystem;
mod follow;
mod memory;
mod sessions;
mod upload;
mod upload_id;

pub use blobs::Blobs;
pub use body::BlobBody;
pub use error::{BlobError, UploadError};
pub use follow::PartReader;
pub use sessions::OpenSession;
pub use upload::{Committed, Upload};
pub use upload_id::{UploadId, UploadIdError, UploadOwner, UploadOwnerError};
