//! Notices whether a connection is idle, in the middle of a request head or answering, and times out the first two.
//!
//! hyper has one timer for "no complete request head yet", which also runs while a kept-alive connection waits for its
//! next request. The timer here allows a long wait for the first byte and a short one from there to the end of the head.
//! It also notices that a client may still be sending when hyper closes, which [`super::watched`] then waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

/// Counts what arrived on one connection, and what is under way.
#[derive(Debug)]
pub(super) struct Activity {
    bytes: AtomicU64,
    requests: AtomicU64,
    running: AtomicU64,
    /// `bytes` when the client last owed nothing: where a head was waited for, or a request without a body began.
    settled: AtomicU64,
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
            settled: AtomicU64::new(0),
            began: Instant::now(),
            rested_ms: AtomicU64::new(0),
        }
    }

    /// A request began; it ends, with its response, when the answer is dropped.
    pub(super) fn request_began(self: &Arc<Self>, request: &Request<Incoming>) -> Running {
        if request.version() > Version::HTTP_11 {
            self.settle_for_good();
        } else if request.body().is_end_stream() {
            self.settle();
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Since when nothing was asked; `None` while something is answered.
    pub(super) fn rests_since(&self) -> Option<Instant> {
        let is_at_rest = self.running.load(Ordering::Acquire) == 0;
        is_at_rest.then(|| self.began + Duration::from_millis(self.rested_ms.load(Ordering::Acquire)))
    }

    /// Whether the client may be in the middle of a request head or body, as far as HTTP/1 goes.
    pub(super) fn may_owe_more(&self) -> bool {
        self.bytes() > self.settled.load(Ordering::Relaxed)
    }

    /// From here on what arrives is not for HTTP/1: streams of HTTP/2 end one by one, upgrades in their own way.
    pub(super) fn settle_for_good(&self) {
        self.settled.store(u64::MAX, Ordering::Relaxed);
    }

    fn settle(&self) {
        self.settled.fetch_max(self.bytes(), Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn has_read(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A request whose response has not ended.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Running {
    /// The connection is no longer HTTP's once this request is answered.
    pub(super) fn is_upgraded(&self) {
        self.0.settle_for_good();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let rested_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.rested_ms.store(rested_ms, Ordering::Release);
        self.0.running.fetch_sub(1, Ordering::AcqRel);
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
        self.activity.settle();
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
