//! Room for what imports hold until it is written: bounded for all of them together.
//!
//! Nobody waits for room, since those who wait could wait for each other: what does not fit fails or is left out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of manifests and configs that all running imports may hold.
const ROOM: usize = 128 << 20;
/// Room is counted in pieces of this many bytes.
const PIECE: usize = 1 << 10;

/// The room there is. Clones share it.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM / PIECE)))
    }
}

impl Room {
    /// Room for so many bytes until the answer is dropped; `None` when there is not enough left.
    pub(super) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(pieces).ok()
    }
}
