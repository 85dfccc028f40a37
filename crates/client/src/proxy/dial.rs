//! Connecting where a request goes, straight or through a proxy.
//!
//! A proxy that speaks HTTP is asked for a tunnel (`CONNECT`, RFC 9110, 9.3.6) to servers of HTTPS, and handed the
//! requests for servers of plain HTTP as they are. A SOCKS proxy looks names up itself. The certificate of a proxy is
//! verified whatever is said of the server's.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Uri, header, uri::Scheme};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use pierhead_runtime::tls::{self, Alpn};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tower::{Service, ServiceExt as _};

use super::{
    Proxies, Proxy, ProxyError,
    socks::{self, SocksError},
};

type BoxError = Box<dyn Error + Send + Sync>;

trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// A connection, encrypted or not.
pub(crate) struct Link {
    io: Pin<Box<dyn Io>>,
    to_relay: bool,
}

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    proxies: Proxies,
    direct: HttpConnector,
    /// For proxies that speak TLS, where there are any.
    tls: Option<Arc<ClientConfig>>,
    /// From looking the proxy's name up to the tunnel.
    limit: Duration,
}

impl Dialer {
    /// Connects to nothing yet. `roots` are those who may vouch for proxies; they are asked for where a proxy speaks TLS.
    pub(crate) fn new(proxies: Proxies, limit: Duration, roots: impl FnOnce() -> RootCertStore) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_connect_timeout(Some(limit));
        direct.set_nodelay(true);
        let tls = proxies.any(Proxy::is_https).then(|| {
            tls::client_config(roots(), Alpn::Http1)
                .expect("our provider speaks the versions that rustls holds for safe")
        });
        Self { proxies, direct, tls, limit }
    }

    /// A connection to the host of a URL through its proxy; none if it has none.
    pub(crate) async fn through_proxy(&self, uri: &Uri) -> Result<Option<Link>, ProxyError> {
        let Some(proxy) = self.proxies.proxy_for(uri).map_err(ProxyError::Unusable)? else { return Ok(None) };
        let target = with_port(uri);
        match tokio::time::timeout(self.limit, self.open(proxy, uri, &target)).await {
            Ok(link) => link.map(Some),
            Err(_elapsed) => Err(ProxyError::Timeout { proxy: proxy.to_string(), target, limit: self.limit }),
        }
    }

    async fn open(&self, proxy: &Proxy, uri: &Uri, target: &str) -> Result<Link, ProxyError> {
        let unreachable = |source| ProxyError::Unreachable { proxy: proxy.to_string(), source };
        let mut link = self.reach(proxy).await.map_err(unreachable)?;
        let broken =
            |source| ProxyError::Broken { proxy: proxy.to_string(), target: target.to_owned(), source };
        if proxy.is_socks() {
            let place = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_else(|| usual_port(uri)));
            return match socks::connect(&mut link, proxy.0.raw_auth(), place).await {
                Ok(()) => Ok(link),
                Err(SocksError::Credentials) => Err(ProxyError::Credentials { proxy: proxy.to_string() }),
                Err(error) => Err(broken(error.into())),
            };
        }
        if uri.scheme() == Some(&Scheme::HTTP) {
            link.to_relay = true;
            return Ok(link);
        }
        match by_tunnel(proxy, link, target).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(status)) => Err(proxy.refusal(status).unwrap_or_else(|| ProxyError::Refused {
                proxy: proxy.to_string(),
                target: target.to_owned(),
                status,
            })),
            Err(error) => Err(broken(error)),
        }
    }

    /// Connects to the proxy itself.
    async fn reach(&self, proxy: &Proxy) -> Result<Link, BoxError> {
        let uri = proxy.0.uri();
        let host = uri.host().unwrap_or_default();
        let usual = if proxy.is_socks() { 1080 } else { usual_port(uri) };
        let place: Uri = format!("http://{host}:{}", uri.port_u16().unwrap_or(usual)).parse()?;
        let mut direct = self.direct.clone();
        // Shorter than the limit of all of it: that nobody is there is to be told from that somebody does not go on.
        direct.set_connect_timeout(Some(self.limit * 4 / 5));
        let stream = direct.oneshot(place).await?.into_inner();
        let Some(config) = self.tls.as_ref().filter(|_| proxy.is_https()) else {
            return Ok(Link::new(stream));
        };
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        Ok(Link::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
    }
}

/// A tunnel to `target`, or what the proxy answered instead.
async fn by_tunnel(
    proxy: &Proxy,
    link: Link,
    target: &str,
) -> Result<Result<Link, http::StatusCode>, BoxError> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = target.parse()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, target.parse()?);
    headers.insert(header::USER_AGENT, header::HeaderValue::from_static("pierhead"));
    headers.extend(proxy.authorization().map(|value| (header::PROXY_AUTHORIZATION, value.clone())));
    let (mut sender, connection) = http1::handshake(TokioIo::new(link)).await?;
    let mut asking = Box::pin(async move {
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            return Ok(Err(answer.status()));
        }
        Ok::<_, BoxError>(Ok(Link::new(TokioIo::new(hyper::upgrade::on(answer).await?))))
    });
    tokio::select! {
        asked = &mut asking => asked,
        // It may have answered before it went away.
        ended = connection.with_upgrades() => match (asking.await, ended) {
            (Err(_given_up), Err(error)) => Err(error.into()),
            (asked, _) => asked,
        },
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Link>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<Link>, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let link = match dialer.through_proxy(&uri).await? {
                Some(link) => link,
                None => Link::new(dialer.direct.oneshot(uri).await?.into_inner()),
            };
            Ok(TokioIo::new(link))
        })
    }
}

fn usual_port(uri: &Uri) -> u16 {
    if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 }
}

fn with_port(uri: &Uri) -> String {
    let port = uri.port_u16().unwrap_or_else(|| usual_port(uri));
    format!("{}:{port}", uri.host().unwrap_or_default())
}

impl Link {
    pub(crate) fn new(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self { io: Box::pin(io), to_relay: false }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        // Requests to a relay name the host that they are for in their first line.
        Connected::new().proxy(self.to_relay)
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_shutdown(context)
    }
}
