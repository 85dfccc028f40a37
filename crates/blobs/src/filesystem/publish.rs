//! The moment bytes become a blob: on disk first, named second, the name on disk third, then an answer.
//!
//! Also heals: a stored file that does not hold its bytes is replaced by the pushed ones.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use pierhead_oci::Digest;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tracing::warn;

use super::layout::sync_directory;
use super::{Filesystem, Identity, blocking, hash_file, remove, room_for};
use crate::{BlobError, UploadError};

/// What publishing did with the stored copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// There was none, or a good one.
    Stored,
    /// There was a damaged one.
    Healed,
}

/// A stored file, and whether it was what its name says.
#[derive(Clone, Copy, Debug)]
struct Seen {
    identity: Identity,
    is_sound: bool,
}

impl Filesystem {
    /// Makes the verified `part` the blob `digest` of `size` bytes. On error the part is gone or in quarantine.
    pub(super) fn publish(
        &self,
        file: &File,
        part: &Path,
        digest: &Digest,
        size: u64,
    ) -> Result<Published, BlobError> {
        if let Err(error) = file.sync_data() {
            // The kernel forgets that it failed; a second sync would lie. The bytes are kept for a look, not for use.
            if let Err(kept) = fs::rename(part, self.layout.quarantined(digest)) {
                warn!(%digest, %kept, "A part that failed to sync could not be moved to quarantine");
            }
            return Err(BlobError::io("syncing", part, error));
        }
        let path = self.layout.blob(digest);
        // Before anybody is kept from the stripe: hashing may take long. What fails here fails again below.
        let seen = self.look(&path, digest, size, None).ok().flatten();
        let _stripe = self.stripe(digest).lock();
        let published = match rename_new(part, &path) {
            Ok(()) => Published::Stored,
            Err(Errno::EXIST) if self.is_sound(&path, digest, size, seen) => {
                remove(part)?;
                // Whoever named it may not have got as far as syncing the name.
                return sync_directory(&self.layout.shard(digest)).map(|()| Published::Stored);
            }
            Err(Errno::EXIST) => {
                fs::rename(part, &path).map_err(|error| BlobError::io("replacing", &path, error))?;
                self.healed.fetch_add(1, Ordering::Relaxed);
                warn!(%digest, size, "Replaced damaged blob {digest} by the pushed one");
                Published::Healed
            }
            Err(error) => {
                remove(part)?;
                return Err(BlobError::io("naming", &path, error.into()));
            }
        };
        if let Err(error) = sync_directory(&self.layout.shard(digest)) {
            self.checked.forget(digest);
            if let Err(kept) = fs::rename(&path, self.layout.quarantined(digest)) {
                warn!(%digest, %kept, "A blob whose name failed to sync could not be moved to quarantine");
            }
            return Err(error);
        }
        self.checked.remember(digest, &Identity::of(file, &path)?);
        Ok(published)
    }

    /// Whether the stored file is what its name says. Hashes it only if it is not the one that was `seen`.
    fn is_sound(&self, path: &Path, digest: &Digest, size: u64, seen: Option<Seen>) -> bool {
        let seen = self.look(path, digest, size, seen).unwrap_or_else(|error| {
            warn!(%digest, %error, "Stored blob {digest} cannot be read; replacing it");
            None
        });
        seen.is_some_and(|seen| seen.is_sound)
    }

    /// Looks at the stored file, if there is one. Hashes it unless that was done since it changed.
    fn look(
        &self,
        path: &Path,
        digest: &Digest,
        size: u64,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>, BlobError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BlobError::io("opening", path, error)),
        };
        let identity = Identity::of(&file, path)?;
        let now = |is_sound| Ok(Some(Seen { identity, is_sound }));
        if identity.size != size {
            return now(false);
        }
        if let Some(seen) = seen.filter(|seen| seen.identity == identity) {
            return now(seen.is_sound);
        }
        if self.checked.knows(digest, &identity) {
            return now(true);
        }
        let _turn = self.push_check(digest).lock();
        // Whoever had the turn may have looked at the same file.
        if self.checked.knows(digest, &identity) {
            return now(true);
        }
        let is_sound = hash_file(&file, digest.algorithm(), size, path)?.0.finish() == *digest;
        if is_sound {
            self.checked.remember(digest, &identity);
        }
        now(is_sound)
    }

    pub(crate) async fn put(self: &Arc<Self>, digest: &Digest, content: Bytes) -> Result<(), UploadError> {
        let actual = Digest::of(digest.algorithm(), &content);
        if actual != *digest {
            return Err(UploadError::digest_mismatch(digest, actual));
        }
        let (files, digest) = (Arc::clone(self), digest.clone());
        let put = move || {
            let part = files.layout.nameless_part();
            let write = || {
                let mut file = File::options().write(true).create_new(true).open(&part)?;
                file.write_all(&content)?;
                Ok(file)
            };
            let file = match write() {
                Ok(file) => file,
                Err(error) => {
                    remove(&part)?;
                    return Err(BlobError::io("writing", &part, error));
                }
            };
            if let Err(full) = room_for(&file, 0, &part) {
                remove(&part)?;
                return Err(full);
            }
            files.publish(&file, &part, &digest, content.len() as u64)
        };
        blocking(put).await?;
        Ok(())
    }
}

/// Renames, unless the target exists. Filesystems without `RENAME_NOREPLACE` get a hard link and an unlink.
fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::link(from, to)?;
            rustix::fs::unlink(from)
        }
        done => done,
    }
}
