//! Sending a blob to another host as it comes from elsewhere, without holding it.
//!
//! Owns the patience for it: bytes may flow for hours, but nobody is waited for who neither takes any nor answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::EgressError;
use super::target::Target;
use super::{Egress, Home, Incomer, Lane, Mode, RequestBody, new_request};

/// How long a host may take no byte and say nothing: some move a blob to its place before they answer.
const STANDSTILL: Duration = Duration::from_secs(300);

/// A blob to send, once: it cannot be taken back to its beginning.
pub(crate) struct Upload<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// Where the credentials are for.
    pub(crate) home: &'a Home,
    pub(crate) authorization: Option<&'a HeaderValue>,
    /// Its length, where that is known.
    pub(crate) size: Option<u64>,
    pub(crate) content: RequestBody,
}

impl Egress {
    /// Sends a blob. Redirects are answers like others: what was sent is gone.
    pub(crate) async fn upload(&self, upload: Upload<'_>) -> Result<Incomer, EgressError> {
        let Upload { method, target, home, authorization, size, content } = upload;
        let at_home = target.origin == home.origin;
        let mode = if at_home { home.mode } else { Mode::Verified };
        let last = Arc::new(Mutex::new(Instant::now()));
        let content = Watched { content, last: Arc::clone(&last) };
        let mut request = new_request(&method, authorization.filter(|_| at_home), content);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.extend(size.map(|size| (CONTENT_LENGTH, HeaderValue::from(size))));
        // The exchange itself has no limit that a large blob could meet.
        let mut exchange = Box::pin(self.exchange(mode, &target, request, (Lane::Blob, Duration::MAX)));
        loop {
            let deadline = *last.lock() + STANDSTILL;
            tokio::select! {
                answer = &mut exchange => return answer,
                () = tokio::time::sleep_until(deadline) => {
                    if last.lock().elapsed() >= STANDSTILL {
                        return Err(EgressError::timeout(&target, STANDSTILL));
                    }
                }
            }
        }
    }
}

/// A body that notes when it was asked for more.
struct Watched {
    content: RequestBody,
    last: Arc<Mutex<Instant>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        *self.last.lock() = Instant::now();
        Pin::new(&mut self.content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }
}
