//! What every back end promises.

use std::path::Path;

use bytes::Bytes;
use pierhead_blobs::{BlobError, Blobs, UploadError};
use pierhead_oci::{Algorithm, Digest};
use pierhead_runtime::ManualClock;

use crate::{clock, owner, push, read, sample, shared};

#[tokio::test]
async fn files_keep_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    conformance(&Blobs::filesystem(directory.path(), shared(&clock)).unwrap(), &clock).await;
    let uploads: Vec<_> = files_in(&directory.path().join("uploads"));
    assert_eq!(uploads, Vec::<String>::new(), "no part is left behind");
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    let clock = clock();
    conformance(&Blobs::memory(shared(&clock)), &clock).await;
}

fn files_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn conformance(blobs: &Blobs, clock: &ManualClock) {
    what_was_pushed_is_read_whole_and_in_ranges(blobs).await;
    absent_blob_is_not_found(blobs).await;
    wrong_digest_leaves_nothing(blobs).await;
    two_writers_of_one_digest_both_succeed(blobs).await;
    an_upload_is_continued_where_it_stopped(blobs).await;
    a_small_upload_can_be_kept_elsewhere(blobs).await;
    only_one_request_writes(blobs).await;
    idle_uploads_are_reaped(blobs, clock).await;
    deleted_is_gone(blobs).await;
}

async fn what_was_pushed_is_read_whole_and_in_ranges(blobs: &Blobs) {
    for (length, piece) in [(0, 1), (1, 1), (5_000, 7), (262_144, 262_144), (3_000_001, 65_536)] {
        let content = sample(length);
        for digest in [Digest::sha256(&content), Digest::of(Algorithm::Sha512, &content)] {
            let committed = push(blobs, &content, piece, &digest).await.unwrap();
            assert_eq!((committed.size, committed.healed), (length as u64, false));
            assert_eq!(blobs.stat(&digest).await.unwrap(), Some(length as u64));
            assert_eq!(read(blobs, &digest, length, None).await.unwrap(), content);
            assert_eq!(blobs.content(&digest, length as u64).await.unwrap(), content);
            let (start, end) = (length / 3, length - length / 4);
            let part = read(blobs, &digest, length, Some(start as u64..end as u64)).await.unwrap();
            assert_eq!(part, content.get(start..end).unwrap());
            let beyond = read(blobs, &digest, length, Some(0..length as u64 + 1)).await;
            assert!(matches!(beyond, Err((0, BlobError::Range { .. }))), "{beyond:?}");
        }
    }
    let content = Bytes::from(sample(100));
    blobs.put(&Digest::sha256(&content), content.clone()).await.unwrap();
    assert_eq!(blobs.content(&Digest::sha256(&content), 100).await.unwrap(), content);
}

async fn absent_blob_is_not_found(blobs: &Blobs) {
    let digest = Digest::sha256(b"never pushed");
    assert_eq!(blobs.stat(&digest).await.unwrap(), None);
    let answer = read(blobs, &digest, 12, None).await;
    assert!(matches!(answer, Err((0, BlobError::NotFound { .. }))), "{answer:?}");
}

async fn wrong_digest_leaves_nothing(blobs: &Blobs) {
    let promised = Digest::sha256(b"something else");
    let answer = push(blobs, &sample(1_000_000), 65_536, &promised).await;
    assert!(matches!(answer, Err(UploadError::DigestMismatch { .. })), "{answer:?}");
    assert_eq!(blobs.stat(&promised).await.unwrap(), None);
    assert_eq!(blobs.stat(&Digest::sha256(&sample(1_000_000))).await.unwrap(), None);
    assert!(blobs.sessions().is_empty());
}

async fn two_writers_of_one_digest_both_succeed(blobs: &Blobs) {
    let content = sample(700_000);
    let digest = Digest::sha256(&content);
    let both =
        futures_util::join!(push(blobs, &content, 10_000, &digest), push(blobs, &content, 10_000, &digest));
    assert_eq!((both.0.unwrap().size, both.1.unwrap().size), (700_000, 700_000));
    assert_eq!(read(blobs, &digest, 700_000, None).await.unwrap(), content);
}

async fn an_upload_is_continued_where_it_stopped(blobs: &Blobs) {
    let content = sample(2_000_000);
    let (first, second) = content.split_at(1_100_000);
    let id = blobs.create_upload(owner()).await.unwrap();
    let mut upload = blobs.upload(id).await.unwrap();
    upload.append(Bytes::copy_from_slice(first)).await.unwrap();
    assert_eq!(upload.suspend().await.unwrap(), 1_100_000);
    assert_eq!(blobs.session(id).unwrap().offset, 1_100_000);
    let mut upload = blobs.upload(id).await.unwrap();
    assert_eq!(upload.offset(), 1_100_000);
    upload.append(Bytes::copy_from_slice(second)).await.unwrap();
    upload.commit(&Digest::sha256(&content)).await.unwrap();
    let again = blobs.upload(id).await;
    assert!(matches!(again, Err(UploadError::Unknown { .. })), "{again:?}");
}

async fn a_small_upload_can_be_kept_elsewhere(blobs: &Blobs) {
    let digest = Digest::sha256(b"first second");
    for expected in [&digest, &Digest::sha256(b"other")] {
        let id = blobs.create_upload(owner()).await.unwrap();
        let mut upload = blobs.upload(id).await.unwrap();
        upload.append(Bytes::from_static(b"first ")).await.unwrap();
        upload.suspend().await.unwrap();
        let mut upload = blobs.upload(id).await.unwrap();
        upload.append(Bytes::from_static(b"second")).await.unwrap();
        match upload.into_content(expected).await {
            Ok(content) => assert_eq!((content.as_ref(), expected), (b"first second".as_slice(), &digest)),
            Err(error) => assert!(matches!(error, UploadError::DigestMismatch { .. }), "{error:?}"),
        }
        assert!(blobs.session(id).is_none());
    }
    assert_eq!(blobs.stat(&digest).await.unwrap(), None);
}

async fn only_one_request_writes(blobs: &Blobs) {
    let id = blobs.create_upload(owner()).await.unwrap();
    let first = blobs.upload(id).await.unwrap();
    let second = blobs.upload(id);
    let (cancelled, second) = futures_util::join!(first.cancel(), second);
    cancelled.unwrap();
    assert!(matches!(second, Err(UploadError::Unknown { .. })), "{second:?}");
}

async fn idle_uploads_are_reaped(blobs: &Blobs, clock: &ManualClock) {
    use pierhead_runtime::Clock;
    let idle = blobs.create_upload(owner()).await.unwrap();
    clock.advance(std::time::Duration::from_hours(25));
    let fresh = blobs.create_upload(owner()).await.unwrap();
    let day_ago = clock.now() - std::time::Duration::from_hours(24);
    let reaped = blobs.reap_uploads(day_ago).await.unwrap();
    assert_eq!(reaped.iter().map(|session| session.id).collect::<Vec<_>>(), [idle]);
    blobs.upload(fresh).await.unwrap().cancel().await.unwrap();
}

async fn deleted_is_gone(blobs: &Blobs) {
    let content = sample(321);
    let digest = Digest::sha256(&content);
    push(blobs, &content, 321, &digest).await.unwrap();
    assert!(blobs.delete(&digest).await.unwrap());
    assert!(!blobs.delete(&digest).await.unwrap());
    assert_eq!(blobs.stat(&digest).await.unwrap(), None);
}
