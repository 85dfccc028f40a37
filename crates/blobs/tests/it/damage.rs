//! Damaged files: never served whole, and healed by the next push (reliability D9, D10).

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pierhead_blobs::{BlobError, Blobs};
use pierhead_oci::Digest;

use crate::{clock, push, read, sample, shared};

const LENGTH: usize = 1_000_000;

fn path_of(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs/sha256").join(hex.get(..2).unwrap()).join(hex)
}

fn flip_a_byte(path: &Path) {
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(123)).unwrap();
    file.write_all(b"X").unwrap();
}

fn truncate(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// Damaged, then pushed again.
    Push,
    /// The same after a restart, when nothing is known of the files.
    RestartThenPush,
    /// Damaged, then read, then pushed again.
    ReadThenPush,
    /// The same after a restart.
    RestartReadThenPush,
}

impl Next {
    fn restarts(self) -> bool {
        matches!(self, Self::RestartThenPush | Self::RestartReadThenPush)
    }

    /// A read puts the damaged file away, so that the push finds none.
    fn reads(self) -> bool {
        matches!(self, Self::ReadThenPush | Self::RestartReadThenPush)
    }
}

async fn check(name: &str, damage: fn(&Path), next: Next, is_there: bool) {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut blobs = Blobs::filesystem(directory.path(), shared(&clock)).unwrap();
    let content = sample(LENGTH);
    let digest = Digest::sha256(&content);
    push(&blobs, &content, 100_000, &digest).await.unwrap();
    damage(&path_of(directory.path(), &digest));
    if next.restarts() {
        blobs = Blobs::filesystem(directory.path(), shared(&clock)).unwrap();
    }
    if next.reads() {
        let (received, error) = read(&blobs, &digest, LENGTH, None).await.unwrap_err();
        assert!(received < LENGTH, "{name}: the last chunk is held back");
        assert!(matches!(error, BlobError::Damaged { .. } | BlobError::NotFound { .. }), "{name}: {error:?}");
        assert_eq!(blobs.stat(&digest).await.unwrap(), None, "{name}: it is out of the way");
    }
    let healed = push(&blobs, &content, 100_000, &digest).await.unwrap().healed;
    assert_eq!(healed, is_there && !next.reads(), "{name} {next:?}");
    assert_eq!(u64::from(healed), blobs.healed_total(), "{name} {next:?}");
    assert_eq!(read(&blobs, &digest, LENGTH, None).await.unwrap(), content, "{name} {next:?}");
    let fresh = Blobs::filesystem(directory.path(), shared(&clock)).unwrap();
    assert!(!push(&fresh, &content, 100_000, &digest).await.unwrap().healed, "{name} {next:?}");
    assert_eq!(read(&fresh, &digest, LENGTH, None).await.unwrap(), content, "{name} {next:?}");
}

#[tokio::test]
async fn a_push_heals_whatever_happened_to_the_file() {
    for next in [Next::Push, Next::RestartThenPush, Next::ReadThenPush, Next::RestartReadThenPush] {
        check("emptied", |path| truncate(path, 0), next, true).await;
        check("cut", |path| truncate(path, 999_999), next, true).await;
        check("grown", |path| truncate(path, 1_000_001), next, true).await;
        check("flipped", flip_a_byte, next, true).await;
        check("unlinked", |path| fs::remove_file(path).unwrap(), next, false).await;
    }
}

#[tokio::test]
async fn a_range_of_a_damaged_blob_does_not_complete() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::filesystem(directory.path(), shared(&clock())).unwrap();
    let content = sample(LENGTH);
    let digest = Digest::sha256(&content);
    push(&blobs, &content, LENGTH, &digest).await.unwrap();
    flip_a_byte(&path_of(directory.path(), &digest));
    let (received, error) = read(&blobs, &digest, LENGTH, Some(500_000..900_000)).await.unwrap_err();
    assert!(received < 400_000);
    assert!(matches!(error, BlobError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn damaged_files_are_kept_for_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::filesystem(directory.path(), shared(&clock())).unwrap();
    let content = sample(LENGTH);
    let digest = Digest::sha256(&content);
    push(&blobs, &content, LENGTH, &digest).await.unwrap();
    truncate(&path_of(directory.path(), &digest), 1);
    read(&blobs, &digest, LENGTH, None).await.unwrap_err();
    let now = jiff::Timestamp::now();
    let hour = std::time::Duration::from_hours(1);
    assert_eq!(blobs.empty_quarantine(now, hour).await.unwrap(), 0);
    assert_eq!(blobs.empty_quarantine(now + 2 * hour, hour).await.unwrap(), 1);
}
