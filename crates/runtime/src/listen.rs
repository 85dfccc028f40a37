//! Listeners: accepting connections, ending TLS, speaking HTTP/1.1 and HTTP/2, stopping without cutting answers off.
//!
//! Owns deadlines of handshakes and request heads, limits of head sizes, and what a handler learns of its connection.
//! Bodies have no total time limit: pushes and pulls may take hours. Does not route: the handler gets every request.
//! Deadlines and limits: `reliability-and-security.md` 6-L L1, 7-J J4, J6.

mod activity;
mod connection;
mod watched;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::Tasks;

use connection::{Handler, boxed, converse};

pub use connection::serve_stream;

/// The error type of bodies that handlers answer with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

const ACCEPT_QUEUE: u32 = 1024;
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// A bound TCP address that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
}

/// An address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Binds `address`; port 0 lets the system choose. Must be called within a tokio runtime.
///
/// # Errors
/// [`BindError`] when the address is in use, not ours, or not permitted.
pub fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    open(address).map_err(|source| BindError { address, source })
}

fn open(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(ACCEPT_QUEUE)?;
    Ok(Listener { local_addr: socket.local_addr()?, socket })
}

impl Listener {
    /// The address in fact bound, with the real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// What a connection may use of time and memory. The defaults are the documented limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request head to its last.
    pub request_head: Duration,
    /// How long a connection may wait for its next request; HTTP/2 for `request_head` longer.
    pub idle: Duration,
    /// Largest request head in bytes; more is answered with 431.
    pub head_bytes: usize,
    /// Connections open at once; more wait in the accept queue.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            head_bytes: 64 * 1024,
            connections: 65_536,
        }
    }
}

/// What is known of the connection that a request came on. Every request carries it in its extensions.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// Our end, as the client addressed it.
    pub local: SocketAddr,
    /// Present when the connection is encrypted.
    pub tls: Option<Arc<TlsInfo>>,
    /// Its place among the connections of its listener.
    pub slot: Slot,
}

/// The place of a connection among those that [`Limits::connections`] allows. It is free once the connection has ended
/// and no copy is left: whoever goes on with a connection that was upgraded keeps one.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// What the TLS handshake told.
#[derive(Clone, Debug, Default)]
pub struct TlsInfo {
    /// The host name the client asked for, in lower case; absent when it gave none or an address.
    pub sni: Option<String>,
    /// The client's own certificate, verified against the authority that the server configuration names.
    pub client_certificate: Option<CertificateDer<'static>>,
    /// What came with it, to lead to that authority.
    pub client_intermediates: Vec<CertificateDer<'static>>,
    /// Whether the client chose HTTP/2 in the handshake.
    pub http2: bool,
}

impl ConnectionInfo {
    /// The connection that `request` came on; absent for requests made in process.
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// Accepts connections in the background until `tasks` stops, then lets every running request end.
///
/// A panic in `handler` costs one request (500); broken connections cost themselves.
pub fn serve<H, F, B>(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    handler: H,
    tasks: &Tasks,
    limits: Limits,
) where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    serve_any(listener, tls, boxed(handler), tasks, limits);
}

fn serve_any(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    handler: Handler,
    tasks: &Tasks,
    limits: Limits,
) {
    let accepting = limits.clone();
    accept(listener, tasks, &accepting, move |stream, info, stop| {
        let (tls, handler, limits) = (tls.clone(), Arc::clone(&handler), limits.clone());
        async move {
            let Some(config) = tls else {
                return converse(Box::new(stream), info, handler, limits, stop).await;
            };
            let handshake = TlsAcceptor::from(config).accept(stream);
            match tokio::time::timeout(limits.handshake, handshake).await {
                Ok(Ok(stream)) => {
                    let tls = Some(Arc::new(TlsInfo::of_session(stream.get_ref().1)));
                    let info = ConnectionInfo { tls, ..info };
                    converse(Box::new(stream), info, handler, limits, stop).await;
                }
                Ok(Err(error)) => {
                    debug!(peer = %info.peer, %error, "TLS handshake with {} failed", info.peer)
                }
                Err(_) => debug!(peer = %info.peer, "TLS handshake with {} took too long", info.peer),
            }
        }
    });
}

/// Accepts connections in the background and gives each to `connection`, for protocols other than plain HTTP.
///
/// `connection` gets the stop signal; shutdown of `tasks` waits for it.
pub fn accept<C, F>(listener: Listener, tasks: &Tasks, limits: &Limits, connection: C)
where
    C: Fn(TcpStream, ConnectionInfo, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let connections = tasks.child();
    let slots = Arc::new(Semaphore::new(limits.connections));
    tasks.spawn("listener", |stop| async move {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = next(&listener.socket, &slots) => accepted,
            };
            let (stream, peer, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors or memory, or a connection reset while it queued: neither ends the listener.
                    warn!(local = %listener.local_addr, %error, "Accepting a connection failed");
                    tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
                    continue;
                }
            };
            if let Err(error) = prepare(&stream) {
                debug!(%peer, %error, "Setting options of the connection from {peer} failed");
            }
            let local = stream.local_addr().unwrap_or(listener.local_addr);
            let slot = Slot { _permit: Some(Arc::new(slot)) };
            let info = ConnectionInfo { peer, local, tls: None, slot: slot.clone() };
            connections.spawn("connection", |stop| {
                let serving = connection(stream, info, stop);
                async move {
                    serving.await;
                    drop(slot);
                }
            });
        }
    });
}

async fn next(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    Ok((stream, peer, slot))
}

/// Small answers leave at once; peers that vanished without a word are noticed by the kernel.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

impl TlsInfo {
    /// What a finished handshake told.
    pub fn of_session(session: &rustls::ServerConnection) -> Self {
        Self {
            sni: session.server_name().map(str::to_ascii_lowercase),
            client_certificate: session.peer_certificates().and_then(<[_]>::first).cloned(),
            client_intermediates: session
                .peer_certificates()
                .and_then(|chain| chain.get(1..))
                .unwrap_or_default()
                .to_vec(),
            http2: session.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Whatever a connection's bytes come from: TCP, TLS over it, or a pipe in memory.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}
