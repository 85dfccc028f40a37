//! Recycled read buffers: 256 KiB each, never zeroed twice.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// How much one read of a blob asks for (dependencies 3.3: larger does not help, smaller costs system calls).
pub(crate) const CHUNK: usize = 256 * 1024;

/// Buffers kept for reuse; more are freed. 32 × 256 KiB = 8 MiB.
const KEPT: usize = 32;

/// The free buffers of one back end.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Box<[u8]>>>);

impl BufferPool {
    pub(crate) fn take(self: &Arc<Self>) -> Buffer {
        let bytes = self.0.lock().pop().unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice());
        Buffer { pool: Arc::clone(self), bytes, filled: 0 }
    }
}

/// A buffer that goes back to its pool when the last [`Bytes`] made of it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    pool: Arc<BufferPool>,
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// The first `wanted` bytes, at most [`CHUNK`], to read into.
    pub(crate) fn space(&mut self, wanted: usize) -> &mut [u8] {
        let wanted = wanted.min(self.bytes.len());
        self.bytes.split_at_mut(wanted).0
    }

    /// Says how many bytes of the space are valid.
    pub(crate) fn set_filled(&mut self, filled: usize) {
        self.filled = filled.min(self.bytes.len());
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.split_at(self.filled).0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.pool.0.lock();
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}
