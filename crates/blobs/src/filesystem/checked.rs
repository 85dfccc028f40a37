//! Which stored files are known to hold the bytes their name promises, so that serving them needs no hashing.
//!
//! Knowledge is bound to the file as it was: inode, size, times of change. A file that was touched since, or that was
//! checked longer than a day ago, is hashed again when it is next served or pushed.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use pierhead_oci::Digest;
use tokio::time::Instant;

use crate::BlobError;

/// How long a check is believed.
const BELIEVED: Duration = Duration::from_hours(24);

/// Entries kept: about 100 bytes each.
const KEPT: usize = 65_536;

/// A file at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of(file: &File, path: &Path) -> Result<Self, BlobError> {
        let meta = file.metadata().map_err(|error| BlobError::io("looking at", path, error))?;
        Ok(Self {
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

#[derive(Debug)]
pub(super) struct Checked(Mutex<HashMap<Digest, (Identity, Instant)>>);

impl Checked {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) fn knows(&self, digest: &Digest, identity: &Identity) -> bool {
        let known = self.0.lock();
        known.get(digest).is_some_and(|(seen, at)| seen == identity && at.elapsed() < BELIEVED)
    }

    pub(super) fn remember(&self, digest: &Digest, identity: &Identity) {
        let mut known = self.0.lock();
        if known.len() >= KEPT {
            // Half of them, whichever: forgetting costs one hashing, and this happens once in 32 768 checks.
            let mut keep = false;
            known.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        known.insert(digest.clone(), (*identity, Instant::now()));
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.0.lock().remove(digest);
    }
}
