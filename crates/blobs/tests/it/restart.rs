//! Unfinished uploads outlive the process; what was half-written does not confuse them.

use std::fs;
use std::io::Write;

use bytes::Bytes;
use pierhead_blobs::{Blobs, UploadError};
use pierhead_oci::Digest;

use crate::{clock, owner, read, sample, shared};

#[tokio::test]
async fn an_upload_continues_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let content = sample(1_500_000);
    let (first, second) = content.split_at(900_000);
    let before = Blobs::filesystem(directory.path(), shared(&clock)).unwrap();
    let id = before.create_upload(owner()).await.unwrap();
    let mut upload = before.upload(id).await.unwrap();
    upload.append(Bytes::copy_from_slice(first)).await.unwrap();
    upload.suspend().await.unwrap();
    drop(before);
    fs::write(directory.path().join("uploads/leftover.tmp"), b"of a put that was cut").unwrap();

    let after = Blobs::filesystem(directory.path(), shared(&clock)).unwrap();
    assert_eq!(fs::read_dir(directory.path().join("uploads")).unwrap().count(), 1);
    let session = after.session(id).unwrap();
    assert_eq!((session.offset, session.owner), (900_000, owner()));
    let mut upload = after.upload(id).await.unwrap();
    upload.append(Bytes::copy_from_slice(second)).await.unwrap();
    upload.commit(&Digest::sha256(&content)).await.unwrap();
    assert_eq!(read(&after, &Digest::sha256(&content), 1_500_000, None).await.unwrap(), content);
}

#[tokio::test]
async fn a_tail_that_was_never_counted_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::filesystem(directory.path(), shared(&clock())).unwrap();
    let id = blobs.create_upload(owner()).await.unwrap();
    let mut upload = blobs.upload(id).await.unwrap();
    upload.append(Bytes::from_static(b"counted")).await.unwrap();
    upload.suspend().await.unwrap();
    let part = fs::read_dir(directory.path().join("uploads")).unwrap().next().unwrap().unwrap().path();
    fs::File::options().append(true).open(&part).unwrap().write_all(b" torn").unwrap();
    let committed = blobs.upload(id).await.unwrap().commit(&Digest::sha256(b"counted")).await.unwrap();
    assert_eq!(committed.size, 7);
}

/// `/dev/full` refuses every write: the client gets the reason, and neither a part nor a session is left.
#[tokio::test]
async fn a_full_disk_ends_the_upload_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::filesystem(directory.path(), shared(&clock())).unwrap();
    let id = blobs.create_upload(owner()).await.unwrap();
    let mut upload = blobs.upload(id).await.unwrap();
    upload.append(Bytes::from_static(b"fits")).await.unwrap();
    upload.suspend().await.unwrap();
    let part = fs::read_dir(directory.path().join("uploads")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&part).unwrap();
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let mut upload = blobs.upload(id).await.unwrap();
    upload.append(Bytes::from_static(b"does not fit")).await.unwrap();
    let answer = upload.suspend().await;
    assert!(matches!(answer, Err(UploadError::Blob(pierhead_blobs::BlobError::OutOfSpace))), "{answer:?}");
    assert!(blobs.session(id).is_none());
    assert_eq!(fs::read_dir(directory.path().join("uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn blobs_of_another_release_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Blobs::filesystem(directory.path(), shared(&clock())).map(drop);
    open().unwrap();
    let (format, upload) =
        (directory.path().join("format"), directory.path().join("uploads/of-a-later-kind"));
    fs::write(&upload, "half of a layer").unwrap();
    fs::write(&format, "pierhead blobs 2\n").unwrap();
    let refused = open().unwrap_err().to_string();
    assert_eq!(
        refused,
        format!("{} says `pierhead blobs 2`, which this release does not know", format.display())
    );
    assert!(upload.exists());
    // What a crash leaves of the first start.
    for torn in ["", "pierhead bl"] {
        fs::write(&format, torn).unwrap();
        open().unwrap();
        assert_eq!(fs::read_to_string(&format).unwrap(), "pierhead blobs 1\n");
    }
}
