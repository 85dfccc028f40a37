//! Bodies on their way through.
//!
//! Owns three things that happen beside the bytes: noting progress for the idle limit, holding a request body back until
//! the backend wants it (`Expect: 100-continue`), and giving the connection back after the last byte of an answer.
//! The bytes themselves are passed on as they come, never copied and never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use pierhead_runtime::listen::BoxError;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::upstream::Lease;

/// After this a request body is sent even if the backend said nothing (RFC 9110 10.1.1 lets us).
const CONTINUE_LIMIT: Duration = Duration::from_secs(1);

/// When either side of one exchange last sent something.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    started: Instant,
    limit: Duration,
    last_ms: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn start(limit: Duration) -> Self {
        Self { started: Instant::now(), limit, last_ms: Arc::default() }
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    /// When the exchange is over unless something arrives until then.
    fn deadline(&self) -> Instant {
        self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + self.limit
    }

    /// Resolves when nothing was sent for as long as the limit allows.
    pub(crate) async fn stalled(&self) {
        loop {
            let deadline = self.deadline();
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// A client's request body on its way to the backend.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// Absent where there is nothing to send.
    incoming: Option<Incoming>,
    progress: Progress,
    held: Option<Held>,
}

/// Waits for the backend to ask for the body.
#[derive(Debug)]
struct Held {
    wanted: oneshot::Receiver<()>,
    limit: Pin<Box<Sleep>>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, progress: Progress) -> Self {
        Self { incoming: Some(incoming), progress, held: None }
    }

    /// No body at all.
    pub(crate) fn empty(progress: Progress) -> Self {
        Self { incoming: None, progress, held: None }
    }

    /// Holds the body back until the result is used, or for [`CONTINUE_LIMIT`].
    pub(crate) fn hold(&mut self) -> oneshot::Sender<()> {
        let (want, wanted) = oneshot::channel();
        self.held = Some(Held { wanted, limit: Box::pin(tokio::time::sleep(CONTINUE_LIMIT)) });
        want
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        if let Some(held) = &mut this.held {
            // A dropped sender means that the callback is gone, and with it the reason to wait.
            if Pin::new(&mut held.wanted).poll(cx).is_pending() && held.limit.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.held = None;
        }
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        this.progress.note();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// A backend's answer on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    incoming: Incoming,
    progress: Progress,
    stalled: Option<Pin<Box<Sleep>>>,
    connection: Option<(SendRequest<RequestBody>, Lease)>,
}

/// The backend stopped in the middle of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the backend sent nothing for {limit:?} in the middle of an answer")]
struct Stalled {
    limit: Duration,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: Incoming,
        progress: Progress,
        connection: Option<(SendRequest<RequestBody>, Lease)>,
    ) -> Self {
        let mut body = Self { incoming, progress, stalled: None, connection };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some((sender, lease)) = self.connection.take() {
            lease.give_back(sender);
        }
    }

    /// Whether the backend was silent for too long; looked at only while waiting for it.
    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.progress.deadline();
        let sleep = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while sleep.as_mut().poll(cx).is_ready() {
            let deadline = self.progress.deadline();
            if Instant::now() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
        false
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.progress.note();
                if this.incoming.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.connection = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending if this.has_stalled(cx) => {
                this.connection = None;
                Poll::Ready(Some(Err(Stalled { limit: this.progress.limit }.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
