//! The promises of blobs, for every back end, and what only files can suffer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod damage;
mod restart;

use pierhead_blobs::{BlobError, Blobs, Committed, UploadError, UploadOwner};
use pierhead_oci::Digest;
use pierhead_runtime::{ManualClock, SharedClock};

/// Bytes that repeat at no power of two, so that a chunk in the wrong place is noticed.
pub(crate) fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::new("2026-11-23T00:00:00Z".parse().unwrap())
}

pub(crate) fn shared(clock: &ManualClock) -> SharedClock {
    clock.shared()
}

pub(crate) fn owner() -> UploadOwner {
    "somebody".parse().unwrap()
}

/// Pushes `content` in pieces of `piece` bytes, as if it were `digest`.
pub(crate) async fn push(
    blobs: &Blobs,
    content: &[u8],
    piece: usize,
    digest: &Digest,
) -> Result<Committed, UploadError> {
    let id = blobs.create_upload(owner()).await?;
    let mut upload = blobs.upload(id).await?;
    for piece in content.chunks(piece) {
        upload.append(piece.to_vec().into()).await?;
    }
    upload.commit(digest).await
}

/// Reads a blob or a part of it as a client would: all frames, or the error that ended them.
pub(crate) async fn read(
    blobs: &Blobs,
    digest: &Digest,
    size: usize,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, (usize, BlobError)> {
    use http_body_util::BodyExt;
    let mut body = blobs.open(digest, size as u64, range).await.map_err(|error| (0, error))?;
    let mut received = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return Err((received.len(), error)),
        }
    }
    Ok(received)
}
