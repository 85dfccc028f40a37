//! Opening connections to other hosts.
//!
//! Owns the order that makes the policy hold: resolve, judge every address, connect to one that was judged. Nothing
//! resolves again afterwards, so a name that changes its mind gains nothing (DNS rebinding, reliability 7-B B3).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::proxy::{Dialer, Link, ProxyError};

use super::address::{AddressPolicy, ForbiddenAddress};
use super::authorities::TlsConfigs;
use super::target::{Origin, Scheme};

/// Finds the addresses of a name. The default asks the system; tests answer themselves.
pub type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Names of our own registry (`name` or `name:port`) and where it listens: reached in plain HTTP, under no policy.
pub type OwnHosts = Arc<dyn Fn(&str) -> Option<SocketAddr> + Send + Sync>;

/// Addresses tried of one name.
const MAX_ADDRESSES: usize = 8;
/// How long an address may keep the next one waiting.
const NEXT_ADDRESS: Duration = Duration::from_millis(300);
/// Names looked up at a time: each takes a thread, and a dead name server holds it for half a minute.
const LOOK_UPS: usize = 128;
const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);
/// How long an insecure registry may take to say that it speaks TLS.
const INSECURE_HANDSHAKE: Duration = Duration::from_secs(4);

/// Asks the system, as every program does.
pub(super) fn system_resolver() -> Resolver {
    let turns = Arc::new(Semaphore::new(LOOK_UPS));
    Arc::new(move |host: String| {
        let turns = Arc::clone(&turns);
        Box::pin(async move {
            let Ok(_turn) = turns.acquire().await else {
                unreachable!("the semaphore of look-ups is never closed");
            };
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Whose rules hold for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// Policy, and verified certificates.
    Verified,
    /// Policy, and any certificate: somebody called the registry insecure.
    Insecure,
    /// Our own registry: its listener, whatever the name resolves to.
    Own,
}

/// Why there is no connection. The innermost cause is the source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Every address of the name is forbidden.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    /// The name has no address.
    #[error("lookup {host}: no such host")]
    NoSuchHost { host: String },
    /// Looking the name up failed.
    #[error("lookup {host}")]
    LookUp {
        host: String,
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("connecting to {host} took longer than {limit:?}")]
    TooSlow { host: String, limit: Duration },
    /// Nobody answers there.
    #[error("dial tcp {address}")]
    Dial {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// What answers there does not speak TLS as it should.
    #[error("TLS with {host}")]
    Handshake {
        host: String,
        #[source]
        source: io::Error,
    },
    /// The proxy leads nowhere.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The URI has no host; ours always have.
    #[error("there is no host in the address")]
    NoHost,
}

/// Connects for one [`Mode`]. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) mode: Mode,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) addresses: AddressPolicy,
    pub(super) tls: TlsConfigs,
    pub(super) own: OwnHosts,
    pub(super) resolver: Resolver,
    pub(super) dialer: Dialer,
    pub(super) limit: Duration,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<TokioIo<Link>, ConnectError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { mode, shared } = self.clone();
        Box::pin(async move {
            let scheme = if uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
            let authority = uri.authority().ok_or(ConnectError::NoHost)?;
            let origin = Origin::parse(scheme, authority.as_str()).ok_or(ConnectError::NoHost)?;
            let opening = shared.open(mode, &origin, &uri);
            let limit = shared.limit;
            match tokio::time::timeout(limit, opening).await {
                Ok(link) => Ok(TokioIo::new(link?)),
                Err(_elapsed) => Err(ConnectError::TooSlow { host: origin.host, limit }),
            }
        })
    }
}

impl Shared {
    async fn open(&self, mode: Mode, origin: &Origin, uri: &Uri) -> Result<Link, ConnectError> {
        if mode == Mode::Own {
            let address = own_address(&self.own, origin).ok_or(ConnectError::NoHost)?;
            return Ok(Link::new(dial(address).await?));
        }
        if let Some(link) = self.dialer.through_proxy(uri).await? {
            return self.secure(mode, origin, link).await;
        }
        let addresses = self.permitted(origin).await?.into_iter();
        let stream = dial_first(addresses.map(|address| SocketAddr::new(address, origin.port))).await;
        let no_such_host = || ConnectError::NoSuchHost { host: origin.host.clone() };
        self.secure(mode, origin, Link::new(stream.ok_or_else(no_such_host)??)).await
    }

    /// The addresses of the host that may be connected to, in the resolver's order. An error if there is none.
    async fn permitted(&self, origin: &Origin) -> Result<Vec<IpAddr>, ConnectError> {
        let host = || origin.host.clone();
        let found = match origin.address() {
            Some(address) => vec![address],
            None => {
                let look_up = (self.resolver)(host());
                match tokio::time::timeout(LOOK_UP_LIMIT, look_up).await {
                    Ok(found) => found.map_err(|source| ConnectError::LookUp { host: host(), source })?,
                    Err(_elapsed) => {
                        return Err(ConnectError::TooSlow { host: host(), limit: LOOK_UP_LIMIT });
                    }
                }
            }
        };
        let mut forbidden = None;
        let mut permitted = Vec::new();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            match self.addresses.check(address) {
                Ok(()) => permitted.push(address),
                Err(error) => forbidden = Some(error),
            }
        }
        match (permitted.is_empty(), forbidden) {
            (false, _) => Ok(permitted),
            (true, Some(forbidden)) => Err(forbidden.into()),
            (true, None) => Err(ConnectError::NoSuchHost { host: host() }),
        }
    }

    async fn secure(&self, mode: Mode, origin: &Origin, stream: Link) -> Result<Link, ConnectError> {
        if origin.scheme == Scheme::Http {
            return Ok(stream);
        }
        let config = match mode {
            Mode::Insecure => self.tls.unverified(),
            Mode::Verified | Mode::Own => self.tls.verified(&origin.host, origin.port),
        };
        let name = match origin.address() {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(origin.host.clone())
                .map_err(|_invalid_name| ConnectError::NoSuchHost { host: origin.host.clone() })?,
        };
        let connecting = TlsConnector::from(config).connect(name, stream);
        // Some servers of plain HTTP wait for more of what they take for a request; an insecure registry is asked in
        // plain HTTP next.
        let limit = if mode == Mode::Insecure { self.limit.min(INSECURE_HANDSHAKE) } else { self.limit };
        match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(stream)) => Ok(Link::new(stream)),
            Ok(Err(source)) => Err(ConnectError::Handshake { host: origin.host.clone(), source }),
            Err(_elapsed) => Err(ConnectError::TooSlow { host: origin.host.clone(), limit }),
        }
    }
}

/// Where our own registry listens, if `origin` is a name of it. Names are asked for with their port, and without it
/// where the port is a usual one.
pub(super) fn own_address(own: &OwnHosts, origin: &Origin) -> Option<SocketAddr> {
    let usual = matches!(origin.port, 80 | 443);
    let by_port = own(&format!("{}:{}", origin.host, origin.port));
    by_port.or_else(|| usual.then(|| own(&origin.host)).flatten())
}

/// The first connection there is. An address that does not answer soon is joined by the next one, so that a dead one
/// does not hide the others (RFC 8305, 5).
async fn dial_first(
    mut addresses: impl Iterator<Item = SocketAddr>,
) -> Option<Result<TcpStream, ConnectError>> {
    let mut dialing = FuturesUnordered::from_iter(addresses.next().map(dial));
    let mut failure = None;
    loop {
        match tokio::time::timeout(NEXT_ADDRESS, dialing.next()).await {
            Ok(Some(Ok(stream))) => return Some(Ok(stream)),
            Ok(Some(Err(error))) => failure = Some(Err(error)),
            Ok(None) => return failure,
            Err(_elapsed) => {}
        }
        dialing.extend(addresses.next().map(dial));
    }
}

async fn dial(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Dial { address, source };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}
