//! A blob that is sent to a client while it arrives from elsewhere.
//!
//! Owns the last bytes of every answer: they leave when the digest of the whole blob was right. If it was not, or the
//! source broke off, the transfer breaks off too, so that no client takes what it got for the blob.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use pierhead_blobs::{BlobError, PartReader};
use tokio::sync::watch;

use super::{Stage, UpstreamError};

/// How many bytes wait for the digest.
const HELD_BACK: u64 = 16 << 10;

/// A blob on its way.
pub(crate) struct Arriving {
    reader: PartReader,
    flight: watch::Receiver<Stage>,
    size: u64,
}

/// An answer that broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivingError {
    /// The source failed, or sent something else.
    #[error("the blob did not arrive: {0}")]
    Upstream(#[source] Arc<UpstreamError>),
    /// What arrived cannot be read.
    #[error("reading what arrived")]
    Part(#[from] BlobError),
}

impl Arriving {
    pub(super) const fn new(reader: PartReader, flight: watch::Receiver<Stage>, size: u64) -> Self {
        Self { reader, flight, size }
    }

    /// How long the blob is.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Its bytes, wholly or in part.
    pub(crate) fn open(self, range: Option<Range<u64>>) -> ArrivingBody {
        let Range { start, end } = range.unwrap_or(0..self.size);
        let sending = Sending { reader: self.reader, flight: self.flight, position: start, end };
        let frames = futures_util::stream::unfold(Some(sending), |sending| async move {
            let mut sending = sending?;
            match sending.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(sending))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        ArrivingBody { frames: Box::pin(frames), remaining: end - start }
    }
}

struct Sending {
    reader: PartReader,
    flight: watch::Receiver<Stage>,
    position: u64,
    end: u64,
}

impl Sending {
    async fn next(&mut self) -> Result<Option<Bytes>, ArrivingError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let unverified_end = self.end.saturating_sub(HELD_BACK).max(self.position);
        let outcome = match &*self.flight.borrow() {
            Stage::Done(outcome) => Some(outcome.clone()),
            Stage::Asking | Stage::Sending(_) => None,
        };
        let readable_end = match outcome {
            Some(outcome) => {
                outcome.map_err(ArrivingError::Upstream)?;
                self.end
            }
            // A writer that is gone has an outcome soon.
            None if self.position < unverified_end && self.reader.grown(self.position).await => {
                unverified_end.min(self.reader.written())
            }
            None => {
                self.landed().await?;
                self.end
            }
        };
        let bytes = self.reader.read(self.position, readable_end - self.position).await?;
        if bytes.is_empty() {
            let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            let path = "the part of an upload".into();
            return Err(BlobError::Io { action: "reading", path, source: error }.into());
        }
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Waits until the blob is verified and stored.
    async fn landed(&mut self) -> Result<(), ArrivingError> {
        let done = self.flight.wait_for(|stage| matches!(stage, Stage::Done(_))).await;
        match done.as_deref() {
            Ok(Stage::Done(outcome)) => outcome.clone().map_err(ArrivingError::Upstream),
            Ok(Stage::Asking | Stage::Sending(_)) | Err(_) => {
                Err(ArrivingError::Upstream(UpstreamError::interrupted()))
            }
        }
    }
}

/// The bytes of a blob on its way, as an HTTP body of exact length.
pub(crate) struct ArrivingBody {
    frames: Pin<Box<dyn Stream<Item = Result<Bytes, ArrivingError>> + Send>>,
    remaining: u64,
}

impl ArrivingBody {
    /// How many bytes are still to come.
    pub(crate) const fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl Body for ArrivingBody {
    type Data = Bytes;
    type Error = ArrivingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ArrivingError>>> {
        let frame = ready!(self.frames.as_mut().poll_next(context));
        if let Some(Ok(bytes)) = &frame {
            self.remaining -= bytes.len() as u64;
        }
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
