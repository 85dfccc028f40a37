//! Connections to backends.
//!
//! Owns opening them, keeping idle ones for the next request and dropping them when they grow old. HTTP/1.1 only, one
//! request at a time on each. Does not choose the backend and does not read requests.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pierhead_runtime::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use tokio_rustls::TlsConnector;
use tracing::{debug, info};

use crate::body::RequestBody;
use crate::table::UpstreamTls;

/// How long a backend may take to accept, when there is nobody else to ask.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The same when there is.
const IMPATIENT_LIMIT: Duration = Duration::from_secs(1);
/// How long a backend that could not be reached is asked only after the others.
const AVOIDED_FOR: Duration = Duration::from_secs(3);
/// Shorter than any backend's own limit that we know of, so that we close first.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const IDLE_PER_TARGET: usize = 256;
/// How long a connection may take to notice that its last answer was read to the end.
const SETTLE_LIMIT: Duration = Duration::from_millis(5);
/// Reads grow up to this with the speed of the backend: fewer, larger pieces for big blobs.
const READ_BUFFER: usize = 512 * 1024;
const HEAD_LIMIT: usize = 64 * 1024;

/// A backend and how to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<UpstreamTls>>,
    /// Whether there is nobody to ask after it.
    pub(crate) is_last: bool,
}

type Key = (SocketAddr, Option<u64>);

impl Target {
    fn key(&self) -> Key {
        (self.address, self.tls.as_ref().map(|tls| tls.id))
    }
}

/// A connection to a backend that was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("connecting to {address} failed")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("connecting to {address} took too long")]
    TooSlow { address: SocketAddr, source: Elapsed },
    #[error("speaking HTTP to {address} failed")]
    Handshake { address: SocketAddr, source: hyper::Error },
}

/// The connections to all backends. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    idle: Mutex<Option<HashMap<Key, Vec<Idle>>>>,
    /// The backends of the present table; connections to others are not kept.
    known: ArcSwap<HashSet<SocketAddr>>,
    /// Backends that could not be reached lately, and until when they are avoided.
    avoided: Mutex<HashMap<SocketAddr, Instant>>,
    /// Whether `avoided` holds anything: looked at for every request, without the lock.
    avoids: AtomicBool,
    tasks: Tasks,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// A connection ready for one request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    pub(crate) lease: Lease,
    /// Whether it served a request before, and so may have been closed by the backend meanwhile.
    pub(crate) reused: bool,
}

/// The way back into the pool for a connection whose answer was read to the end.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    key: Key,
}

impl Upstreams {
    /// An empty pool. Idle connections are closed when `tasks` stops; busy ones end with their request.
    pub(crate) fn start(tasks: &Tasks) -> Self {
        let shared = Arc::new(Shared {
            idle: Mutex::new(Some(HashMap::new())),
            known: ArcSwap::from_pointee(HashSet::new()),
            avoided: Mutex::default(),
            avoids: AtomicBool::new(false),
            tasks: tasks.child(),
        });
        let swept = Arc::clone(&shared);
        tasks.spawn("upstream sweeper", |stop| async move {
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(SWEEP_EVERY) => {}
                }
                if let Some(idle) = swept.idle.lock().as_mut() {
                    idle.retain(|_, connections| {
                        connections
                            .retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_LIMIT);
                        !connections.is_empty()
                    });
                }
            }
            drop(swept.idle.lock().take());
        });
        Self { shared }
    }

    /// Puts the backends that could not be reached lately last.
    pub(crate) fn prefer_reachable(&self, addresses: &mut [SocketAddr]) {
        if self.shared.avoids.load(Ordering::Relaxed) {
            let now = Instant::now();
            let mut avoided = self.shared.avoided.lock();
            avoided.retain(|_, until| *until > now);
            self.shared.avoids.store(!avoided.is_empty(), Ordering::Relaxed);
            addresses.sort_by_key(|address| avoided.contains_key(address));
        }
    }

    /// Takes note of how connecting to a backend went, and tells when it is no longer as before.
    fn remember<T>(&self, address: SocketAddr, opened: &Result<T, ConnectError>) {
        if let Err(error) = opened {
            let until = Instant::now() + AVOIDED_FOR;
            let known = self.shared.avoided.lock().insert(address, until);
            self.shared.avoids.store(true, Ordering::Relaxed);
            if known.is_none() {
                info!(%address, error = %describe(error), "A backend cannot be reached");
            }
        } else if self.shared.avoids.load(Ordering::Relaxed) {
            self.shared.avoided.lock().remove(&address);
        }
    }

    /// Closes the idle connections to backends that are gone: their addresses may belong to somebody else by tomorrow.
    pub(crate) fn keep_only(&self, addresses: HashSet<SocketAddr>) {
        let mut idle = self.shared.idle.lock();
        if let Some(idle) = idle.as_mut() {
            idle.retain(|(address, _), _| addresses.contains(address));
        }
        // Under the lock: whoever gives a connection back sees either the new set or the map before it was swept.
        self.shared.known.store(Arc::new(addresses));
    }

    /// An idle connection if there is one, else a new one.
    pub(crate) async fn connection(&self, target: &Target) -> Result<Connection, ConnectError> {
        while let Some(mut sender) = self.take_idle(target.key()) {
            let ready = sender.is_ready()
                || matches!(tokio::time::timeout(SETTLE_LIMIT, sender.ready()).await, Ok(Ok(())));
            if ready {
                return Ok(Connection { sender, lease: self.lease(target), reused: true });
            }
        }
        self.connect(target).await
    }

    fn take_idle(&self, key: Key) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.shared.idle.lock();
        let connections = idle.as_mut()?.get_mut(&key)?;
        while let Some(Idle { sender, since }) = connections.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE_LIMIT {
                return Some(sender);
            }
        }
        None
    }

    fn lease(&self, target: &Target) -> Lease {
        Lease { shared: Arc::clone(&self.shared), key: target.key() }
    }

    /// A new connection.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Connection, ConnectError> {
        let sender = self.within_limit(target.address, target.is_last, self.open(target)).await?;
        Ok(Connection { sender, lease: self.lease(target), reused: false })
    }

    /// A connection for bytes that nobody here reads.
    pub(crate) async fn connect_raw(
        &self,
        address: SocketAddr,
        is_last: bool,
    ) -> Result<TcpStream, ConnectError> {
        let opening = async {
            let opened = connect_tcp(address).await;
            opened.map_err(|source| ConnectError::Connect { address, source })
        };
        self.within_limit(address, is_last, opening).await
    }

    async fn within_limit<T>(
        &self,
        address: SocketAddr,
        is_last: bool,
        opening: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let limit = if is_last { CONNECT_LIMIT } else { IMPATIENT_LIMIT };
        let opened = tokio::time::timeout(limit, opening).await;
        let opened = opened.map_err(|source| ConnectError::TooSlow { address, source }).flatten();
        self.remember(address, &opened);
        opened
    }

    async fn open(&self, target: &Target) -> Result<SendRequest<RequestBody>, ConnectError> {
        let address = target.address;
        let failed = |source| ConnectError::Connect { address, source };
        let stream = connect_tcp(address).await.map_err(failed)?;
        match &target.tls {
            None => self.speak(stream, address).await,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let stream = connector.connect(tls.server_name.clone(), stream).await.map_err(failed)?;
                self.speak(stream, address).await
            }
        }
    }

    async fn speak<S>(&self, stream: S, address: SocketAddr) -> Result<SendRequest<RequestBody>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .max_header_size(HEAD_LIMIT)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|source| ConnectError::Handshake { address, source })?;
        self.shared.tasks.spawn("upstream connection", |_| async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%address, %error, "Connection to {address} ended early");
            }
        });
        Ok(sender)
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Opens a connection on which small writes leave at once.
async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Lease {
    /// The backend at the other end.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.key.0
    }

    /// Gives a connection back for the next request.
    pub(crate) fn give_back(self, sender: SendRequest<RequestBody>) {
        let mut idle = self.shared.idle.lock();
        // Without the map the process is stopping: dropping the sender closes the connection.
        if let Some(connections) = idle.as_mut().map(|idle| idle.entry(self.key).or_default())
            && connections.len() < IDLE_PER_TARGET
            && self.shared.known.load().contains(&self.key.0)
            && !sender.is_closed()
        {
            connections.push(Idle { sender, since: Instant::now() });
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_runtime::Tasks;
    use tokio::net::TcpListener;

    use super::Upstreams;

    #[tokio::test]
    async fn a_backend_that_cannot_be_reached_is_remembered_until_it_can() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let gone = listener.local_addr().unwrap();
        drop(listener);
        let other = ([127, 0, 0, 1], 1).into();
        let tasks = Tasks::new();
        let upstreams = Upstreams::start(&tasks);
        let order = || {
            let mut addresses = [gone, other];
            upstreams.prefer_reachable(&mut addresses);
            addresses
        };
        assert_eq!(order(), [gone, other]);
        upstreams.connect_raw(gone, false).await.unwrap_err();
        assert_eq!(order(), [other, gone]);
        let _back = TcpListener::bind(gone).await.unwrap();
        upstreams.connect_raw(gone, false).await.unwrap();
        assert_eq!(order(), [gone, other]);
    }
}
