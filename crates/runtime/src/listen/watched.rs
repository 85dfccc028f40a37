//! The stream below HTTP on one connection.
//!
//! Owns counting what arrives and the way a connection closes: after an answer that did not wait for the whole request
//! (401, 403, 404, 413, 431), the client is given time to stop sending and read it. Speaks no HTTP.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;

/// How long a client may take to end what it sends after it was answered.
const LINGER: Duration = Duration::from_secs(10);
/// How much it may send in that time.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const DISCARD_BYTES: usize = 16 * 1024;

/// A stream that counts what is read from it, and that closes without losing the last answer.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    lingering: Option<Lingering>,
}

/// What is left of the patience with a client that was answered before it had sent everything.
#[derive(Debug)]
struct Lingering {
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, lingering: None }
    }
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
            self.activity.has_read(read);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// A socket closed with bytes unread is reset, and the reset overtakes the answer: so our side ends first, and the
    /// rest of the request is read until the client ends too.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.activity.may_owe_more() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this.lingering.get_or_insert_with(Lingering::new);
        lingering.poll_discard(&mut this.stream, cx).map(Ok)
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

impl Lingering {
    fn new() -> Self {
        Self { bytes: LINGER_BYTES, deadline: Box::pin(tokio::time::sleep(LINGER)) }
    }

    /// Reads and forgets until `stream` ends or fails, or patience does.
    fn poll_discard(&mut self, stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut forgotten = [MaybeUninit::uninit(); DISCARD_BYTES];
        while self.bytes > 0 && self.deadline.as_mut().poll(cx).is_pending() {
            let mut forgotten = ReadBuf::uninit(&mut forgotten);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut forgotten)) {
                Ok(()) if !forgotten.filled().is_empty() => {
                    self.bytes = self.bytes.saturating_sub(forgotten.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}
