//! A proxy, backends and clients on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pierhead_api::from_value;
use pierhead_router::table::{Inputs, PemCache, Policy, Table};
use pierhead_router::{Proxy, ProxyConfig};
use pierhead_runtime::listen::{self, BoxError, Limits};
use pierhead_runtime::tls::{
    self, Alpn, Authority, CertResolver, ClientCertificates, Leaf, PemPair, Purpose,
};
use pierhead_runtime::{Clock as _, SystemClock, Tasks};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const GRACE: Duration = Duration::from_secs(10);
pub(crate) const PIECE: usize = 64 * 1024;

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What the backend of the tests counted.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Bytes of a big answer that the backend was asked for so far.
    pub(crate) produced: Arc<AtomicU64>,
}

pub(crate) struct Fixture {
    pub(crate) proxy: Proxy,
    pub(crate) authority: Authority,
    pub(crate) tasks: Tasks,
    pub(crate) seen: Seen,
    pub(crate) plain_backend: SocketAddr,
    pub(crate) tls_backend: SocketAddr,
}

impl Fixture {
    /// A proxy without routes, a plain backend and one with TLS whose certificate is for `backend.internal`.
    pub(crate) fn start() -> Self {
        Self::with_idle(Duration::from_secs(60))
    }

    pub(crate) fn with_idle(idle: Duration) -> Self {
        let authority = Authority::create("test", SystemClock.now()).unwrap();
        let default = issue(&authority, "router.default");
        let default =
            tls::certified_key(default.certificate.as_bytes(), default.key.expose().as_bytes()).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let tasks = Tasks::new();
        let config = ProxyConfig {
            http: any,
            https: any,
            public_https_port: None,
            default_certificate: default,
            idle,
            limits: Limits::default(),
        };
        let proxy = Proxy::start(&config, &tasks).unwrap();
        let seen = Seen::default();
        let backend = issue(&authority, "backend.internal");
        let key =
            tls::certified_key(backend.certificate.as_bytes(), backend.key.expose().as_bytes()).unwrap();
        let resolver = Arc::new(CertResolver::new(Some(key)));
        let config = tls::server_config(resolver, &ClientCertificates::Ignored, Alpn::Http2AndHttp1).unwrap();
        let plain_backend = backend_on(None, &seen, &tasks);
        let tls_backend = backend_on(Some(config), &seen, &tasks);
        Self { proxy, authority, tasks, seen, plain_backend, tls_backend }
    }

    /// Serves these routes; each leads to the service `plain` or `secure`, or to `none`, which has no endpoints.
    pub(crate) fn publish(&self, specs: &[Value]) {
        self.publish_services(specs, &[("plain", &[self.plain_backend]), ("secure", &[self.tls_backend])]);
    }

    /// Serves these routes; the service `pods` has these endpoints.
    pub(crate) fn publish_pods(&self, specs: &[Value], pods: &[SocketAddr]) {
        self.publish_services(specs, &[("pods", pods)]);
    }

    fn publish_services(&self, specs: &[Value], services: &[(&str, &[SocketAddr])]) {
        let route = |(index, spec): (usize, &Value)| {
            let metadata =
                json!({"namespace": "shop", "name": format!("route-{index}"), "uid": format!("{index}")});
            Arc::new(from_value(&json!({"metadata": metadata, "spec": spec})).unwrap())
        };
        let routes: Vec<_> = specs.iter().enumerate().map(route).collect();
        let subset = |address: &SocketAddr| json!({"addresses": [{"ip": address.ip().to_string()}], "ports": [{"port": address.port()}]});
        let endpoints: Vec<_> = services
            .iter()
            .map(|(name, addresses)| {
                let subsets: Vec<Value> = addresses.iter().map(subset).collect();
                let document = json!({"metadata": {"namespace": "shop", "name": name}, "subsets": subsets});
                Arc::new(from_value(&document).unwrap())
            })
            .collect();
        let policy = Policy { router_name: "router".into(), wildcards: false, service_authority: None };
        let inputs = Inputs { routes: &routes, services: &[], endpoints: &endpoints };
        self.proxy.publish(Arc::new(Table::build(inputs, &policy, &mut PemCache::default())));
    }

    /// Sends raw bytes to the plain listener and gives what comes back until it closes.
    pub(crate) async fn raw(&self, sent: &str) -> String {
        let mut stream = TcpStream::connect(self.proxy.http_addr()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        tokio::time::timeout(GRACE, stream.read_to_end(&mut received)).await.unwrap().unwrap();
        String::from_utf8_lossy(&received).into_owned()
    }

    /// One request over TLS with the given server name, and the certificate the server showed.
    pub(crate) async fn over_tls(
        &self,
        sni: &str,
        request: Request<Full<Bytes>>,
    ) -> (Response<Incoming>, Vec<u8>) {
        let stream = self.tls_to(sni, Alpn::Http1).await;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn("client", |_| async { drop(connection.await) });
        (sender.send_request(request).await.unwrap(), shown)
    }

    /// One request over HTTP/2.
    pub(crate) async fn over_http2(&self, sni: &str, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TokioIo::new(self.tls_to(sni, Alpn::Http2AndHttp1).await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        self.tasks.spawn("client", |_| async { drop(connection.await) });
        sender.send_request(request).await.unwrap()
    }

    async fn tls_to(&self, sni: &str, alpn: Alpn) -> TlsStream<TcpStream> {
        let roots = tls::roots(self.authority.certificate().as_bytes()).unwrap();
        let config = tls::client_config(roots, alpn).unwrap();
        let mut config = rustls::ClientConfig::clone(&config);
        config.dangerous().set_certificate_verifier(Arc::new(anyone::Anyone));
        let stream = TcpStream::connect(self.proxy.https_addr()).await.unwrap();
        let name = sni.to_owned().try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// One request over plain HTTP.
    pub(crate) async fn over_http(&self, request: Request<Body>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.proxy.http_addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn("client", |_| async { drop(connection.await) });
        sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.tasks.shutdown(GRACE).await.unwrap();
    }
}

pub(crate) fn issue(authority: &Authority, name: &str) -> PemPair {
    let leaf = Leaf {
        common_name: name.into(),
        organizations: vec![],
        names: vec![name.into()],
        purpose: Purpose::Server,
        valid_for: Duration::from_secs(3600),
    };
    authority.issue(&leaf, SystemClock.now()).unwrap()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn backend_on(tls: Option<Arc<rustls::ServerConfig>>, seen: &Seen, tasks: &Tasks) -> SocketAddr {
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr();
    let (seen, tunnels) = (seen.clone(), tasks.clone());
    let handler = move |request| backend(request, seen.clone(), tunnels.clone());
    listen::serve(listener, tls, handler, tasks, Limits::default());
    address
}

/// Pieces of a body of `pieces` × [`PIECE`] zero bytes, counted when they are asked for.
pub(crate) fn pieces(pieces: usize, produced: Arc<AtomicU64>) -> Body {
    let piece = Bytes::from(vec![0; PIECE]);
    let frames = futures_util::stream::iter(0..pieces).map(move |_| {
        produced.fetch_add(PIECE as u64, Ordering::Relaxed);
        Ok::<_, BoxError>(Frame::data(piece.clone()))
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn backend(mut request: Request<Incoming>, seen: Seen, tasks: Tasks) -> Response<Body> {
    match request.uri().path() {
        "/headers" => {
            let mut lines: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            lines.sort_unstable();
            Response::new(whole(lines.join("\n")))
        }
        "/count" => {
            let mut body = request.into_body();
            let mut count = 0;
            while let Some(frame) = body.frame().await {
                count += frame.unwrap().data_ref().map_or(0, Bytes::len);
            }
            Response::new(whole(count.to_string()))
        }
        "/refuse" => {
            let mut response = Response::new(whole("refused"));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response
        }
        "/big" => Response::new(pieces(1024, seen.produced)),
        "/hang" => std::future::pending().await,
        "/upgrade" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tasks.spawn("echo", |_| async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut word = [0; 5];
                stream.read_exact(&mut word).await.unwrap();
                word.reverse();
                stream.write_all(&word).await.unwrap();
                stream.shutdown().await.unwrap();
            });
            let mut response = Response::new(whole(""));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "echo".parse().unwrap());
            response
        }
        path => Response::new(whole(format!("backend {path}"))),
    }
}

mod anyone {
    //! The tests look at the certificate themselves.

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::{DigitallySignedStruct, SignatureScheme};
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    #[derive(Debug)]
    pub(super) struct Anyone;

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            pierhead_runtime::tls::provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
