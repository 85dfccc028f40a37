//! Blobs in a directory tree: `blobs/<algorithm>/<2 hex>/<hex>`, `uploads/<id>.<owner>.part`, `quarantine/`.
//!
//! Owns paths, durability and healing. Everything that may wait for the disk runs on blocking threads; only reads of
//! cached pages happen elsewhere (`body`). Crash rules: a blob's name appears after its bytes are on disk, and an
//! answer is given after the name is. What an unfinished upload holds is not promised to survive a power cut.

mod checked;
mod layout;
mod part;
mod publish;

pub(crate) use checked::Identity;
pub(crate) use part::PartWriter;

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use pierhead_oci::{Algorithm, Digest, Hasher};
use pierhead_runtime::clock::SharedClock;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::buffer::{BufferPool, CHUNK};
use crate::sessions::{Gauge, OpenSession, Sessions};
use crate::{BlobBody, BlobError, UploadError, UploadId, UploadOwner};
use checked::Checked;
use layout::Layout;
use part::Part;

/// Left to the metadata when the disk fills: blobs stop here, and deleting, which makes room, goes on.
const RESERVE: u64 = 16 << 20;

/// Digests are spread over this many locks, which keep publishing, quarantine and deletion of one blob apart.
const STRIPES: usize = 64;

pub(crate) struct Filesystem {
    layout: Layout,
    /// The folder of parts; stands for its disk.
    uploads: File,
    clock: SharedClock,
    sessions: Sessions<Part>,
    checked: Checked,
    stripes: Vec<Mutex<()>>,
    buffers: Arc<BufferPool>,
    /// Whole-file checks at a time: they compete with uploads for the hashing units.
    checks: Semaphore,
    /// By digest, as the stripes are: pushes of one blob do not each hash the stored one.
    push_checks: Vec<Mutex<()>>,
    healed: AtomicU64,
}

impl std::fmt::Debug for Filesystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filesystem").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// Runs `work` on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work).await?
}

impl Filesystem {
    pub(crate) fn open(root: &Path, clock: SharedClock) -> Result<Self, BlobError> {
        let layout = Layout::open(root)?;
        let uploads = layout.open_uploads()?;
        let sessions = Sessions::new();
        for found in layout.parts()? {
            sessions.insert(
                found.id,
                found.owner,
                Gauge::new(found.offset, found.touched),
                Part::found(found.offset),
            );
        }
        let stripes = || std::iter::repeat_with(|| Mutex::new(())).take(STRIPES).collect();
        let (buffers, healed) = (Arc::default(), AtomicU64::new(0));
        let checks = Semaphore::new(2);
        Ok(Self {
            layout,
            uploads,
            clock,
            sessions,
            checked: Checked::new(),
            stripes: stripes(),
            buffers,
            checks,
            push_checks: stripes(),
            healed,
        })
    }

    pub(crate) const fn sessions(&self) -> &Sessions<Part> {
        &self.sessions
    }

    pub(crate) fn healed_total(&self) -> u64 {
        self.healed.load(Ordering::Relaxed)
    }

    pub(crate) fn buffers(&self) -> &Arc<BufferPool> {
        &self.buffers
    }

    /// Starts an upload. Its file is made with the first bytes: many blobs are small and never have one.
    pub(crate) fn create_upload(&self, owner: UploadOwner) -> Result<UploadId, UploadError> {
        let id = UploadId::random();
        room_for(&self.uploads, 0, &self.layout.part(id, &owner))?;
        self.sessions.insert(id, owner, Gauge::new(0, self.clock.now()), Part::empty());
        Ok(id)
    }

    pub(crate) async fn upload(self: &Arc<Self>, id: UploadId) -> Result<PartWriter, UploadError> {
        let owner = self.sessions.find(id).ok_or(UploadError::Unknown { id })?.owner;
        let (part, gauge) = self.sessions.enter(id).await?;
        let path = self.layout.part(id, &owner);
        let files = Arc::clone(self);
        if !part.is_on_disk() {
            return Ok(PartWriter::fresh(files, id, path, part, gauge));
        }
        Ok(blocking(move || PartWriter::open(files, id, path, part, gauge)).await?)
    }

    pub(crate) async fn reap_uploads(
        self: &Arc<Self>,
        before: Timestamp,
    ) -> Result<Vec<OpenSession>, BlobError> {
        let reaped = self.sessions.take_idle(before);
        self.remove_parts(&reaped).await?;
        Ok(reaped)
    }

    /// Removes the bytes of uploads that were taken out of the sessions.
    pub(crate) async fn remove_parts(
        &self,
        ended: impl IntoIterator<Item = &OpenSession>,
    ) -> Result<(), BlobError> {
        let parts = ended.into_iter().map(|session| self.layout.part(session.id, &session.owner));
        let parts: Vec<PathBuf> = parts.collect();
        blocking(move || parts.iter().try_for_each(|part| remove(part))).await
    }

    pub(crate) async fn stat(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let path = self.layout.blob(digest);
        blocking(move || match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlobError::io("looking at", &path, error)),
        })
        .await
    }

    /// The file of a blob, if it has the right size; else the file goes to quarantine.
    fn open_sized(&self, digest: &Digest, size: u64) -> Result<(File, Identity), BlobError> {
        let path = self.layout.blob(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BlobError::NotFound { digest: digest.clone() });
            }
            Err(error) => return Err(BlobError::io("opening", &path, error)),
        };
        let identity = Identity::of(&file, &path)?;
        if identity.size != size {
            self.quarantine(digest, &identity);
            return Err(BlobError::Damaged { digest: digest.clone() });
        }
        Ok((file, identity))
    }

    pub(crate) async fn read(
        self: &Arc<Self>,
        digest: &Digest,
        size: u64,
        range: Range<u64>,
    ) -> Result<BlobBody, BlobError> {
        let (files, digest) = (Arc::clone(self), digest.clone());
        let known = digest.clone();
        let (file, identity) = blocking(move || files.open_sized(&known, size)).await?;
        Ok(BlobBody::file(Arc::clone(self), Arc::new(file), digest, identity, range))
    }

    pub(crate) async fn content(self: &Arc<Self>, digest: &Digest, size: u64) -> Result<Bytes, BlobError> {
        let (files, digest) = (Arc::clone(self), digest.clone());
        blocking(move || {
            let (file, identity) = files.open_sized(&digest, size)?;
            let length = usize::try_from(size).map_err(|_too_large| BlobError::OutOfSpace)?;
            let mut content = vec![0; length];
            let path = files.layout.blob(&digest);
            file.read_exact_at(&mut content, 0).map_err(|error| BlobError::io("reading", &path, error))?;
            if !files.checked.knows(&digest, &identity) {
                let sound = Digest::of(digest.algorithm(), &content) == digest;
                files.settle(&digest, &identity, sound)?;
            }
            Ok(Bytes::from(content))
        })
        .await
    }

    pub(crate) async fn delete(self: &Arc<Self>, digest: &Digest) -> Result<bool, BlobError> {
        let (files, digest) = (Arc::clone(self), digest.clone());
        blocking(move || {
            let _stripe = files.stripe(&digest).lock();
            files.checked.forget(&digest);
            let path = files.layout.blob(&digest);
            match fs::remove_file(&path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(BlobError::io("removing", &path, error)),
            }
        })
        .await
    }

    pub(crate) async fn older_than(
        self: &Arc<Self>,
        now: Timestamp,
        age: Duration,
    ) -> Result<Vec<Digest>, BlobError> {
        let files = Arc::clone(self);
        blocking(move || files.layout.blobs_older_than(now, age)).await
    }

    pub(crate) async fn empty_quarantine(
        self: &Arc<Self>,
        now: Timestamp,
        age: Duration,
    ) -> Result<usize, BlobError> {
        let files = Arc::clone(self);
        blocking(move || files.layout.empty_quarantine(now, age)).await
    }

    pub(crate) fn is_checked(&self, digest: &Digest, identity: &Identity) -> bool {
        self.checked.knows(digest, identity)
    }

    /// Records the outcome of hashing a stored file: sound files are remembered, others go to quarantine.
    pub(crate) fn settle(&self, digest: &Digest, identity: &Identity, sound: bool) -> Result<(), BlobError> {
        if sound {
            self.checked.remember(digest, identity);
            return Ok(());
        }
        self.quarantine(digest, identity);
        Err(BlobError::Damaged { digest: digest.clone() })
    }

    /// Hashes the whole stored file, unless that was done since it last changed.
    pub(crate) async fn check(
        self: Arc<Self>,
        file: Arc<File>,
        digest: Digest,
        identity: Identity,
    ) -> Result<(), BlobError> {
        let Ok(_turn) = self.checks.acquire().await else {
            unreachable!("the semaphore of checks is never closed");
        };
        if self.checked.knows(&digest, &identity) {
            return Ok(());
        }
        let files = Arc::clone(&self);
        blocking(move || {
            let actual =
                hash_file(&file, digest.algorithm(), identity.size, &files.layout.blob(&digest))?.0.finish();
            files.settle(&digest, &identity, actual == digest)
        })
        .await
    }

    /// Moves a damaged file away, if it is still the one that was looked at. Best effort: the caller refuses the bytes
    /// either way.
    fn quarantine(&self, digest: &Digest, seen: &Identity) {
        let _stripe = self.stripe(digest).lock();
        self.checked.forget(digest);
        let path = self.layout.blob(digest);
        let same = File::open(&path).ok().and_then(|file| Identity::of(&file, &path).ok());
        if same.is_none_or(|now| now.inode != seen.inode) {
            return;
        }
        match fs::rename(&path, self.layout.quarantined(digest)) {
            Ok(()) => warn!(%digest, size = seen.size, "Moved damaged blob {digest} to quarantine"),
            Err(error) => warn!(%digest, %error, "Damaged blob {digest} could not be moved to quarantine"),
        }
    }

    fn stripe(&self, digest: &Digest) -> &Mutex<()> {
        &self.stripes[stripe_of(digest)]
    }

    fn push_check(&self, digest: &Digest) -> &Mutex<()> {
        &self.push_checks[stripe_of(digest)]
    }
}

fn stripe_of(digest: &Digest) -> usize {
    digest.hash().last().copied().map_or(0, usize::from) % STRIPES
}

/// Fails when the disk of `file` has no room for so many more bytes.
fn room_for(file: &File, bytes: u64, path: &Path) -> Result<(), BlobError> {
    let disk = rustix::fs::fstatvfs(file)
        .map_err(|error| BlobError::io("looking at the disk of", path, error.into()))?;
    // What some file systems answer that cannot tell.
    let known = disk.f_blocks > 0;
    if known && disk.f_bavail.saturating_mul(disk.f_frsize) < bytes + RESERVE {
        return Err(BlobError::OutOfSpace);
    }
    Ok(())
}

/// Hashes the first `length` bytes of `file`; fewer if it is shorter. Also says how many there were.
fn hash_file(
    file: &File,
    algorithm: Algorithm,
    length: u64,
    path: &Path,
) -> Result<(Hasher, u64), BlobError> {
    let mut hasher = Hasher::new(algorithm);
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).map_or(CHUNK, |left| left.min(CHUNK));
        let read = match file.read_at(chunk.split_at_mut(wanted).0, offset) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BlobError::io("reading", path, error)),
        };
        hasher.update(chunk.split_at(read).0);
        offset += read as u64;
    }
    Ok((hasher, offset))
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<(), BlobError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BlobError::io("removing", path, error)),
    }
}
