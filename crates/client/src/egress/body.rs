//! What another host sends, as it comes.
//!
//! Owns the patience: a body that stands still, or trickles, ends in an error. Nothing is gathered but what has a cap.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::error::EgressError;
use super::target::Target;

/// A sender must manage this many bytes in each window, or is taken for dead: it would hold its connection for days.
const WINDOW_BYTES: u64 = 64 << 10;
const WINDOW: Duration = Duration::from_secs(60);

/// A body on its way from another host.
pub(crate) struct EgressBody {
    incoming: Incoming,
    target: Target,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    window_end: Instant,
    window_bytes: u64,
    ended: bool,
    /// The turn at the host; others may have it when the body ends.
    _turn: OwnedSemaphorePermit,
}

impl EgressBody {
    pub(super) fn new(
        incoming: Incoming,
        target: Target,
        idle: Duration,
        turn: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            incoming,
            target,
            idle,
            timer: Box::pin(tokio::time::sleep(idle)),
            window_end: Instant::now() + WINDOW,
            window_bytes: 0,
            ended: false,
            _turn: turn,
        }
    }

    /// How many bytes will come, if the sender said so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// The next bytes, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, EgressError> {
        while let Some(frame) = self.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All bytes, if there are at most `limit`.
    pub(crate) async fn gather(mut self, limit: usize) -> Result<Bytes, EgressError> {
        if self.length().is_some_and(|length| length > limit as u64) {
            return Err(EgressError::too_large(&self.target, limit));
        }
        let mut gathered = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if gathered.len() + bytes.len() > limit {
                return Err(EgressError::too_large(&self.target, limit));
            }
            gathered.extend_from_slice(&bytes);
        }
        Ok(gathered.freeze())
    }

    /// Whether the sender kept up, now that `arrived` more bytes are here.
    fn keeps_up(&mut self, arrived: usize) -> bool {
        self.window_bytes += arrived as u64;
        let now = Instant::now();
        if now < self.window_end {
            return true;
        }
        let enough = self.window_bytes >= WINDOW_BYTES;
        (self.window_end, self.window_bytes) = (now + WINDOW, 0);
        enough
    }
}

impl Body for EgressBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        let outcome = match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let arrived = frame.data_ref().map_or(0, Bytes::len);
                let deadline = Instant::now() + self.idle;
                self.timer.as_mut().reset(deadline);
                if self.keeps_up(arrived) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(EgressError::timeout(&self.target, WINDOW)))
            }
            Poll::Ready(Some(Err(error))) => Some(Err(EgressError::classify(&self.target, error))),
            Poll::Ready(None) => None,
            Poll::Pending => match self.timer.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => Some(Err(EgressError::timeout(&self.target, self.idle))),
            },
        };
        self.ended = true;
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
