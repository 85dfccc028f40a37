//! The two ways in: plain HTTP, and TLS sorted by the host name in its first bytes.
//!
//! Owns what happens before the first request: reading the ClientHello, ending TLS or passing it through.
//! Deadlines cover the whole of it (`reliability-and-security.md` 7-J J6).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, ConnectionInfo, Limits, Listener, TlsInfo};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::attempts::TRIES;
use crate::exchange::Exchange;
use crate::hello::{self, Hello, LONGEST_HELLO};
use crate::table::Rule;
use crate::tunnel::{self, Replayed};

/// Serves plain HTTP on `listener` in the background.
pub(crate) fn serve_http(listener: Listener, exchange: &Exchange, tasks: &Tasks, limits: Limits) {
    let exchange = exchange.clone();
    listen::serve(listener, None, move |request| exchange.clone().answer(request), tasks, limits);
}

/// Serves TLS on `listener` in the background.
pub(crate) fn serve_https(
    listener: Listener,
    exchange: &Exchange,
    config: Arc<ServerConfig>,
    tasks: &Tasks,
    limits: Limits,
) {
    let front = Front { exchange: exchange.clone(), config, limits: limits.clone() };
    listen::accept(listener, tasks, &limits, move |stream, info, stop| {
        front.clone().connection(stream, info, stop)
    });
}

#[derive(Clone)]
struct Front {
    exchange: Exchange,
    config: Arc<ServerConfig>,
    limits: Limits,
}

enum Opened {
    Terminated(Box<TlsStream<Replayed<TcpStream>>>),
    Passthrough(Arc<Rule>, Vec<u8>, TcpStream),
}

impl Front {
    async fn connection(self, stream: TcpStream, info: ConnectionInfo, stop: CancellationToken) {
        let peer = info.peer;
        match tokio::time::timeout(self.limits.handshake, self.open(stream)).await {
            Ok(Ok(Opened::Terminated(stream))) => {
                let tls = Some(Arc::new(TlsInfo::of_session(stream.get_ref().1)));
                let info = ConnectionInfo { tls, ..info };
                let exchange = self.exchange;
                let handler = move |request| exchange.clone().answer(request);
                listen::serve_stream(*stream, info, handler, &self.limits, stop).await;
            }
            Ok(Ok(Opened::Passthrough(rule, first, stream))) => {
                let idle = rule.tunnel_idle.or(rule.idle).unwrap_or(tunnel::IDLE);
                let passed = async {
                    let mut backend = self.reach(&rule, peer.ip()).await?;
                    backend.write_all(&first).await?;
                    tunnel::run(stream, backend, idle, stop).await
                };
                if let Err(error) = passed.await {
                    debug!(%peer, %error, "Passthrough connection from {peer} ended early");
                }
            }
            Ok(Err(error)) => debug!(%peer, %error, "TLS handshake with {peer} failed"),
            Err(_) => debug!(%peer, "TLS handshake with {peer} took too long"),
        }
    }

    /// Reads as much as it takes to know the host, then either ends TLS or leaves it alone.
    async fn open(&self, mut stream: TcpStream) -> io::Result<Opened> {
        let mut first = Vec::with_capacity(2048);
        let server_name = loop {
            if stream.read_buf(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match hello::parse(&first) {
                Hello::Complete { server_name } => break server_name,
                Hello::Incomplete if first.len() < LONGEST_HELLO => {}
                Hello::Incomplete | Hello::NotTls => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "not a TLS ClientHello"));
                }
            }
        };
        let host = server_name.as_deref().map(|name| name.trim_end_matches('.'));
        let passthrough = host.and_then(|host| self.exchange.table.load().passthrough(host).map(Arc::clone));
        if let Some(rule) = passthrough {
            return Ok(Opened::Passthrough(rule, first, stream));
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let stream = acceptor.accept(Replayed::new(first, stream)).await?;
        Ok(Opened::Terminated(Box::new(stream)))
    }

    /// A connection to the first endpoint of a passthrough route that takes one.
    async fn reach(&self, rule: &Rule, client: IpAddr) -> io::Result<TcpStream> {
        let upstreams = &self.exchange.upstreams;
        let mut addresses = rule.backends.next(client.to_canonical());
        upstreams.prefer_reachable(&mut addresses);
        addresses.truncate(TRIES);
        let mut failure = io::Error::new(io::ErrorKind::NotConnected, "no endpoint is ready");
        for (index, address) in addresses.iter().enumerate() {
            match upstreams.connect_raw(*address, index + 1 == addresses.len()).await {
                Ok(backend) => return Ok(backend),
                Err(error) => failure = io::Error::other(error),
            }
        }
        Err(failure)
    }
}
