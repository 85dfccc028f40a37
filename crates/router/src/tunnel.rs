//! Bytes that pass through unread: passthrough TLS and upgraded connections.
//!
//! Owns the copying and its end: either side's end is passed on, and a tunnel where nothing moves for too long is
//! closed. Does not look at the bytes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How long nothing may move where the route says nothing, as long as OpenShift's router waits.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// What the buffer of each direction begins with: most tunnels are quiet for most of their life.
const FIRST_BUFFER: usize = 8 * 1024;
/// What it grows to while the bytes come faster than they are taken.
const LARGEST_BUFFER: usize = 256 * 1024;

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
    let moved = AtomicU64::new(0);
    let (from_client, to_client) = tokio::io::split(client);
    let (from_backend, to_backend) = tokio::io::split(backend);
    let copied = async {
        tokio::try_join!(copy(from_client, to_backend, &moved), copy(from_backend, to_client, &moved))
    };
    tokio::select! {
        copied = copied => copied.map(|_| ()),
        () = stalled(&moved, idle) => Err(io::ErrorKind::TimedOut.into()),
        () = async { stop.cancelled().await; stalled(&moved, PAUSE_AFTER_STOP).await } => Ok(()),
    }
}

/// Copies one way, up to the end and including it.
async fn copy<R, W>(mut from: R, mut to: W, moved: &AtomicU64) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; FIRST_BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        let (read, _) = buffer.split_at(count);
        if read.is_empty() {
            return to.shutdown().await;
        }
        moved.fetch_add(read.len() as u64, Ordering::Relaxed);
        to.write_all(read).await?;
        to.flush().await?;
        if count == buffer.len() && count < LARGEST_BUFFER {
            buffer = vec![0; count * 2];
        }
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_util::sync::CancellationToken;

    use super::{IDLE, run};

    #[tokio::test]
    async fn all_bytes_arrive_and_each_end_is_passed_on() {
        let (mut client, ours) = tokio::io::duplex(1 << 20);
        let (theirs, mut backend) = tokio::io::duplex(1 << 20);
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let upload = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let serve = async {
            let mut received = Vec::new();
            backend.read_to_end(&mut received).await.unwrap();
            backend.write_all(b"thanks").await.unwrap();
            backend.shutdown().await.unwrap();
            received
        };
        let tunnel = run(ours, theirs, IDLE, CancellationToken::new());
        let (answer, received, ended) = tokio::join!(upload, serve, tunnel);
        ended.unwrap();
        assert_eq!(answer, "thanks");
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_tunnel_ends_in_time_and_no_sooner() {
        let (mut client, ours) = tokio::io::duplex(64);
        let (theirs, _backend) = tokio::io::duplex(64);
        let started = tokio::time::Instant::now();
        client.write_all(b"hello").await.unwrap();
        run(ours, theirs, IDLE, CancellationToken::new()).await.unwrap_err();
        assert!((IDLE..=IDLE * 2).contains(&started.elapsed()));
    }
}
