//! Where each file lies, and the directories that must exist before the first blob.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use pierhead_oci::{Algorithm, Digest};
use tracing::warn;
use uuid::Uuid;

use crate::{BlobError, UploadId, UploadOwner};

/// Written last when a tree is laid out; its presence says that all shards exist and are on disk.
const FORMAT_FILE: &str = "format";
const FORMAT: &str = "pierhead blobs 1\n";

#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

/// An upload that an earlier process left.
#[derive(Debug)]
pub(super) struct FoundPart {
    pub(super) id: UploadId,
    pub(super) owner: UploadOwner,
    pub(super) offset: u64,
    pub(super) touched: Timestamp,
}

impl Layout {
    pub(super) fn open(root: &Path) -> Result<Self, BlobError> {
        let layout = Self { root: root.to_owned() };
        if !layout.is_formatted()? {
            layout.format()?;
        }
        Ok(layout)
    }

    /// False also when the file that says so was cut off by a crash.
    fn is_formatted(&self) -> Result<bool, BlobError> {
        let path = self.root.join(FORMAT_FILE);
        let found = match fs::read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(BlobError::io("reading", &path, error)),
        };
        if !FORMAT.as_bytes().starts_with(&found) {
            let found = String::from_utf8_lossy(&found).trim_end().to_owned();
            return Err(BlobError::Foreign { path, found });
        }
        Ok(found.len() == FORMAT.len())
    }

    /// Makes every directory a blob will ever need, so that a commit syncs one directory and not its ancestors.
    fn format(&self) -> Result<(), BlobError> {
        make(&self.root)?;
        if let Some(parent) = self.root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        for name in ["uploads", "quarantine", "blobs"] {
            make(&self.root.join(name))?;
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let directory = self.algorithm(algorithm);
            make(&directory)?;
            for shard in 0..=u8::MAX {
                make(&directory.join(format!("{shard:02x}")))?;
            }
            sync_directory(&directory)?;
        }
        sync_directory(&self.root.join("blobs"))?;
        sync_directory(&self.root)?;
        let path = self.root.join(FORMAT_FILE);
        let write = || {
            fs::write(&path, FORMAT)?;
            File::open(&path)?.sync_all()
        };
        write().map_err(|error| BlobError::io("writing", &path, error))?;
        sync_directory(&self.root)
    }

    fn algorithm(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    /// The directory whose entry makes a blob exist.
    pub(super) fn shard(&self, digest: &Digest) -> PathBuf {
        let shard = digest.hash().first().copied().unwrap_or_default();
        self.algorithm(digest.algorithm()).join(format!("{shard:02x}"))
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.shard(digest).join(digest.hex())
    }

    /// The folder of unfinished uploads, to ask about its disk.
    pub(super) fn open_uploads(&self) -> Result<File, BlobError> {
        let path = self.root.join("uploads");
        File::open(&path).map_err(|error| BlobError::io("opening", &path, error))
    }

    pub(super) fn part(&self, id: UploadId, owner: &UploadOwner) -> PathBuf {
        self.root.join("uploads").join(format!("{id}.{}.part", owner.as_str()))
    }

    /// A part that belongs to no upload session: removed at the next start if it is left behind.
    pub(super) fn nameless_part(&self) -> PathBuf {
        self.root.join("uploads").join(format!("{}.tmp", Uuid::new_v4()))
    }

    pub(super) fn quarantined(&self, digest: &Digest) -> PathBuf {
        self.root.join("quarantine").join(format!("{}.{}", digest.hex(), Uuid::new_v4()))
    }

    /// The uploads an earlier process left. Leftovers that cannot be continued are removed.
    pub(super) fn parts(&self) -> Result<Vec<FoundPart>, BlobError> {
        let mut found = Vec::new();
        let directory = self.root.join("uploads");
        for entry in entries(&directory)? {
            let entry = entry.map_err(|error| BlobError::io("listing", &directory, error))?;
            match found_part(&entry) {
                Ok(Some(part)) => found.push(part),
                Ok(None) => super::remove(&entry.path())?,
                Err(error) => return Err(BlobError::io("looking at", &entry.path(), error)),
            }
        }
        Ok(found)
    }

    /// Removes what was moved to quarantine at least `age` ago; says how many files.
    pub(super) fn empty_quarantine(&self, now: Timestamp, age: Duration) -> Result<usize, BlobError> {
        let directory = self.root.join("quarantine");
        let mut removed = 0;
        for entry in entries(&directory)? {
            let entry = entry.map_err(|error| BlobError::io("listing", &directory, error))?;
            if age_of(&entry, now).is_some_and(|found| found >= age) {
                super::remove(&entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(super) fn blobs_older_than(&self, now: Timestamp, age: Duration) -> Result<Vec<Digest>, BlobError> {
        let mut old = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for shard in 0..=u8::MAX {
                let directory = self.algorithm(algorithm).join(format!("{shard:02x}"));
                for entry in entries(&directory)? {
                    let entry = entry.map_err(|error| BlobError::io("listing", &directory, error))?;
                    let name = entry.file_name();
                    let digest =
                        name.to_str().and_then(|hex| format!("{algorithm}:{hex}").parse::<Digest>().ok());
                    let Some(digest) = digest else {
                        warn!(path = %entry.path().display(), "Found a file among the blobs that is none");
                        continue;
                    };
                    if age_of(&entry, now).is_some_and(|found| found >= age) {
                        old.push(digest);
                    }
                }
            }
        }
        Ok(old)
    }
}

/// `None` for what is not a part that can be continued.
fn found_part(entry: &DirEntry) -> io::Result<Option<FoundPart>> {
    let name = entry.file_name();
    let Some((id, rest)) = name.to_str().and_then(|name| name.split_once('.')) else { return Ok(None) };
    let Some(owner) = rest.strip_suffix(".part") else { return Ok(None) };
    let (Ok(id), Ok(owner)) = (id.parse(), owner.parse()) else { return Ok(None) };
    let meta = entry.metadata()?;
    let touched = Timestamp::try_from(meta.modified()?).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(FoundPart { id, owner, offset: meta.len(), touched }))
}

/// How long ago the file appeared under its name; `None` when it vanished meanwhile.
fn age_of(entry: &DirEntry, now: Timestamp) -> Option<Duration> {
    use std::os::unix::fs::MetadataExt;
    let changed = entry.metadata().ok()?.ctime();
    let changed = Timestamp::from_second(changed).ok()?;
    Duration::try_from(now.duration_since(changed)).ok()
}

fn entries(directory: &Path) -> Result<fs::ReadDir, BlobError> {
    fs::read_dir(directory).map_err(|error| BlobError::io("listing", directory, error))
}

fn make(directory: &Path) -> Result<(), BlobError> {
    fs::create_dir_all(directory).map_err(|error| BlobError::io("creating", directory, error))
}

/// Makes the entries of a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> Result<(), BlobError> {
    let sync = || File::open(directory)?.sync_all();
    sync().map_err(|error| BlobError::io("syncing", directory, error))
}
