//! Bodies: what arrives in pieces, and what leaves in pieces.
//!
//! Nothing here gathers a blob: uploads are handed on chunk by chunk, and a chunk is asked for only when the one
//! before was taken. Manifests are gathered, up to their limit.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use pierhead_blobs::BlobBody;
use pierhead_runtime::listen::BoxError;

use crate::metrics::Observation;
use crate::pull_through::ArrivingBody;

/// The body of a request.
pub(crate) struct RequestBody(Option<UnsyncBoxBody<Bytes, BoxError>>);

impl RequestBody {
    /// Wraps whatever the server or a test gives.
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self(None);
        }
        Self(Some(body.map_err(Into::into).boxed_unsync()))
    }

    /// How many bytes will come, if the client said so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |body| body.size_hint().exact())
    }

    /// The next bytes, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(body) = &mut self.0 else { return Ok(None) };
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All bytes, unless there are more than `limit`; then reading stops at once.
    pub(crate) async fn gather(mut self, limit: usize) -> Result<BytesMut, BodyError> {
        let announced = self.length().unwrap_or_default();
        if announced > limit as u64 {
            return Err(BodyError::TooLarge { limit });
        }
        let mut gathered = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if gathered.len() + bytes.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            gathered.extend_from_slice(&bytes);
        }
        Ok(gathered)
    }
}

/// A request's body did not arrive as a whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client sent more than is allowed.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// The connection ended, or what came was no HTTP.
    #[error("reading the body of the request")]
    Broken(#[source] BoxError),
}

/// The body of an answer.
#[derive(Default)]
pub struct ResponseBody {
    content: Content,
    observation: Option<Observation>,
}

#[derive(Default)]
enum Content {
    #[default]
    Empty,
    Bytes(Bytes),
    Blob(Box<BlobBody>),
    Arriving(Box<ArrivingBody>),
}

impl ResponseBody {
    /// An answer that is in memory.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Bytes(bytes.into()), observation: None }
    }

    /// An answer that is read from storage as the client takes it.
    pub(crate) fn blob(blob: BlobBody) -> Self {
        Self { content: Content::Blob(Box::new(blob)), observation: None }
    }

    /// An answer that arrives from elsewhere while the client takes it.
    pub(crate) fn arriving(body: ArrivingBody) -> Self {
        Self { content: Content::Arriving(Box::new(body)), observation: None }
    }

    /// How long the answer is.
    pub(crate) fn length(&self) -> u64 {
        match &self.content {
            Content::Empty => 0,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Blob(blob) => blob.remaining(),
            Content::Arriving(body) => body.remaining(),
        }
    }

    /// The request counts as answered when the last byte was taken, or the client went away.
    pub(crate) fn observed(mut self, observation: Observation) -> Self {
        self.observation = Some(observation);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.content {
            Content::Empty => None,
            Content::Bytes(_) => match std::mem::take(&mut self.content) {
                Content::Bytes(bytes) if !bytes.is_empty() => Some(Ok(Frame::data(bytes))),
                Content::Bytes(_) | Content::Empty | Content::Blob(_) | Content::Arriving(_) => None,
            },
            Content::Blob(blob) => match Pin::new(blob.as_mut()).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame.map(|frame| frame.map_err(Into::into)),
            },
            Content::Arriving(body) => match Pin::new(body.as_mut()).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame.map(|frame| frame.map_err(Into::into)),
            },
        };
        if let (Some(observation), Some(Ok(frame))) = (&mut self.observation, &frame) {
            observation.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        if let (Some(observation), Some(Err(error))) = (&mut self.observation, &frame) {
            observation.failed(error);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Blob(blob) => blob.is_end_stream(),
            Content::Arriving(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::{BodyError, Frame, RequestBody, ResponseBody};

    fn check(body: RequestBody, limit: usize, expected: Result<&[u8], &str>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let gathered = runtime.block_on(body.gather(limit));
        let gathered = gathered.as_deref().map_err(ToString::to_string);
        assert_eq!(gathered, expected.map_err(String::from));
    }

    fn chunked(chunks: &[&'static str]) -> RequestBody {
        let frames: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, std::io::Error>(Frame::data(Bytes::from(*chunk)))).collect();
        RequestBody::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[test]
    fn gathers_up_to_the_limit() {
        check(RequestBody::new(Full::new(Bytes::new())), 0, Ok(b""));
        check(RequestBody::new(Full::new(Bytes::from("abc"))), 3, Ok(b"abc"));
        check(RequestBody::new(Full::new(Bytes::from("abcd"))), 3, Err("the body has more than 3 bytes"));
        check(chunked(&["ab", "c"]), 3, Ok(b"abc"));
        check(chunked(&["ab", "cd", "never read"]), 3, Err("the body has more than 3 bytes"));
    }

    #[test]
    fn a_broken_body_is_no_short_body() {
        let frames = [Ok(Frame::data(Bytes::from("ab"))), Err(std::io::Error::other("cut"))];
        let body = RequestBody::new(StreamBody::new(futures_util::stream::iter(frames)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(runtime.block_on(body.gather(9)), Err(BodyError::Broken(_))));
    }

    #[test]
    fn bytes_are_sent_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = ResponseBody::bytes("abc");
        assert_eq!(body.length(), 3);
        assert_eq!(runtime.block_on(body.collect()).unwrap().to_bytes(), "abc");
    }
}
