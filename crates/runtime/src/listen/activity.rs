//! Notices whether a connection is idle, in the middle of a request head or answering, and times out the first two.
//!
//! hyper has one timer for "no complete request head yet", which also runs while a kept-alive connection waits for its
//! next request. The timer here allows a long wait for the first byte and a short one from there to the end of the head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Counts what arrived on one connection, and what is under way.
#[derive(Debug)]
pub(super) struct Activity {
    bytes: AtomicU64,
    requests: AtomicU64,
    running: AtomicU64,
    began: Instant,
    /// When the last response had ended, in milliseconds after `began`.
    rested_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            running: AtomicU64::new(0),
            began: Instant::now(),
            rested_ms: AtomicU64::new(0),
        }
    }

    /// A request began; it ends, with its response, when the answer is dropped.
    pub(super) fn request_began(self: &Arc<Self>) -> Running {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Since when nothing was asked; `None` while something is answered.
    pub(super) fn rests_since(&self) -> Option<Instant> {
        let is_at_rest = self.running.load(Ordering::Acquire) == 0;
        is_at_rest.then(|| self.began + Duration::from_millis(self.rested_ms.load(Ordering::Acquire)))
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A request whose response has not ended.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        let rested_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.rested_ms.store(rested_ms, Ordering::Release);
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream that counts what is read from it.
#[derive(Debug)]
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        if read > 0 {
            self.activity.bytes.fetch_add(read as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
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

/// The timer that one HTTP/1 connection gives to hyper. Only its deadline for request heads is used there.
#[derive(Clone, Debug)]
pub(super) struct HeadTimer {
    pub(super) activity: Arc<Activity>,
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadDeadline {
            activity: Arc::clone(&self.activity),
            bytes_at_start: self.activity.bytes(),
            head: self.head,
            in_head: false,
            sleep: Box::pin(tokio::time::sleep(self.idle)),
        })
    }

    #[expect(clippy::disallowed_types, reason = "the signature is hyper's")]
    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(self.idle)
    }
}

/// Ends `idle` after its start when nothing arrives, or `head` after the first byte arrived.
struct HeadDeadline {
    activity: Arc<Activity>,
    bytes_at_start: u64,
    head: Duration,
    in_head: bool,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Future for HeadDeadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.in_head && this.activity.bytes() != this.bytes_at_start {
            this.in_head = true;
            this.sleep.as_mut().reset(Instant::now() + this.head);
        }
        this.sleep.as_mut().poll(cx)
    }
}

impl Sleep for HeadDeadline {}
