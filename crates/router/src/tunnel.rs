//! Bytes that pass through unread: passthrough TLS and upgraded connections.
//!
//! Owns the copying and its end: either side's end is passed on, and a tunnel where nothing moves for too long is
//! closed. Does not look at the bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Each direction has one buffer of this size, allocated once.
const BUFFER: usize = 256 * 1024;

/// After the stop signal a tunnel ends at its first pause of this length, so that a running transfer may finish.
const PAUSE_AFTER_STOP: Duration = Duration::from_millis(500);

/// Copies both ways until both sides ended, one failed, nothing moved for `idle`, or it pauses after `stop` fired.
pub(crate) async fn run<A, B>(
    client: A,
    backend: B,
    idle: Duration,
    stop: CancellationToken,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Counted { stream: client, moved: Arc::clone(&moved) };
    let mut backend = Counted { stream: backend, moved: Arc::clone(&moved) };
    tokio::select! {
        copied = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER) => {
            copied.map(|_| ())
        }
        () = stalled(&moved, idle) => Err(io::ErrorKind::TimedOut.into()),
        () = async { stop.cancelled().await; stalled(&moved, PAUSE_AFTER_STOP).await } => Ok(()),
    }
}

async fn stalled(moved: &AtomicU64, idle: Duration) {
    let mut seen = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(idle).await;
        let now = moved.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Counts what is read.
struct Counted<S> {
    stream: S,
    moved: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        self.moved.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream some bytes of which were read before: they come first.
#[derive(Debug)]
pub(crate) struct Replayed<S> {
    first: Vec<u8>,
    replayed: usize,
    stream: S,
}

impl<S> Replayed<S> {
    pub(crate) fn new(first: Vec<u8>, stream: S) -> Self {
        Self { first, replayed: 0, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = this.first.get(this.replayed..).unwrap_or_default();
        if left.is_empty() {
            this.first = Vec::new();
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let (now, _) = left.split_at(left.len().min(buf.remaining()));
        buf.put_slice(now);
        this.replayed += now.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
