//! What a listener promises: deadlines, limits, panics that cost one request, and shutdown that cuts nothing off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use pierhead_runtime::listen::{self, ConnectionInfo, Limits, Slot, TlsInfo};
use pierhead_runtime::tls::{
    self, Alpn, Authority, CertResolver, ClientCertificates, Leaf, PemPair, Purpose,
};
use pierhead_runtime::{Clock as _, SystemClock, Tasks};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

const GRACE: Duration = Duration::from_secs(10);

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/panic" => panic!("asked to"),
        "/who" => {
            let info = ConnectionInfo::of(&request).unwrap();
            let tls = info.tls.clone().unwrap_or_default();
            let client = tls.client_certificate.as_ref().map(|der| der.len() > 100);
            let text = format!("{} {:?} {client:?} h2={}", info.peer.ip(), tls.sni, tls.http2);
            Response::new(Full::from(text))
        }
        _ => Response::new(Full::from("ok")),
    }
}

fn start(limits: Limits, tls: Option<Arc<rustls::ServerConfig>>) -> (SocketAddr, Tasks) {
    start_with(answer, limits, tls)
}

fn start_with<H, F>(handler: H, limits: Limits, tls: Option<Arc<rustls::ServerConfig>>) -> (SocketAddr, Tasks)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let tasks = Tasks::new();
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr();
    listen::serve(listener, tls, handler, &tasks, limits);
    (address, tasks)
}

/// Tells of a request, and answers when it is let go.
#[derive(Clone)]
struct Gate {
    came: mpsc::UnboundedSender<()>,
    go: Arc<Semaphore>,
}

impl Gate {
    fn new() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (came, has_come) = mpsc::unbounded_channel();
        (Self { came, go: Arc::new(Semaphore::new(0)) }, has_come)
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/slow" {
            self.came.send(()).unwrap();
            self.go.acquire().await.unwrap().forget();
        }
        Response::new(Full::from("answered"))
    }
}

/// Sends bytes and gives everything that comes back until the server closes.
async fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    read_to_close(&mut stream).await
}

async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    // A reset after the answer is as good as a close.
    drop(
        tokio::time::timeout(GRACE, stream.read_to_end(&mut received))
            .await
            .expect("the server never closed"),
    );
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_panic_costs_one_request_and_not_the_connection() {
    let (address, tasks) = start(Limits::default(), None);
    let sent =
        b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let received = exchange(address, sent).await;
    assert!(received.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{received}");
    assert!(received.contains("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(received.ends_with("ok"), "{received}");
    tasks.shutdown(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up_and_an_idle_connection_lives_longer() {
    let head = Duration::from_millis(200);
    // Longer than `exchange` waits.
    let limits = Limits { request_head: head, idle: 6 * GRACE, ..Limits::default() };
    let (address, tasks) = start(limits, None);
    for unfinished in ["", "PRI * HTTP", "GET / HTTP/1.1\r\nHost: a-long-enough-name\r\n"] {
        assert!(!exchange(address, unfinished.as_bytes()).await.contains("200 OK"));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut buffer = [0; 1024];
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0, "the idle connection was closed");
        tokio::time::sleep(head * 3).await;
    }
    tasks.shutdown(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let (address, tasks) = start(Limits::default(), None);
    let request = |filler: usize| {
        format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Filler: {}\r\n\r\n", "a".repeat(filler))
    };
    let fits = exchange(address, request(60 * 1024).as_bytes()).await;
    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits}");
    let too_long = exchange(address, request(70 * 1024).as_bytes()).await;
    assert!(too_long.is_empty() || too_long.starts_with("HTTP/1.1 431 "), "{too_long}");
    tasks.shutdown(GRACE).await.unwrap();
}

/// Sends more than the kernel buffers before it reads anything, as simple clients do.
async fn send_all_then_read(mut stream: impl listen::Stream, head: &str, body_bytes: usize) -> String {
    let mut received = Vec::new();
    tokio::time::timeout(GRACE, async {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; body_bytes]).await.unwrap();
        stream.read_to_end(&mut received).await.unwrap();
    })
    .await
    .expect("the client gets its answer in time");
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_request_is_not_lost() {
    const BODY: usize = 16 * 1024 * 1024;
    let authority = Authority::create("test", SystemClock.now()).unwrap();
    let (plain, plain_tasks) = start(Limits::default(), None);
    let (encrypted, encrypted_tasks) = start(Limits::default(), Some(encryption(&authority)));
    let put = format!("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY}\r\n\r\n");

    let stream = TcpStream::connect(plain).await.unwrap();
    let answer = send_all_then_read(stream, &put, BODY).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    let stream = connect_over_tls(encrypted, &authority, None, b"http/1.1").await;
    let answer = send_all_then_read(stream, &put, BODY).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    let stream = TcpStream::connect(plain).await.unwrap();
    let answer = send_all_then_read(stream, "GET /", BODY).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    plain_tasks.shutdown(GRACE).await.unwrap();
    encrypted_tasks.shutdown(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_body_is_not_waited_for_for_ever() {
    let (mut client, server) = tokio::io::duplex(1024);
    client.write_all(b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await.unwrap();
    let limits = Limits::default();
    let served = listen::serve_stream(server, unknown(None), answer, &limits, CancellationToken::new());
    tokio::time::timeout(limits.idle, served).await.expect("patience ends");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ended_its_body_does_not_hold_up_a_stop() {
    let (mut client, server) = tokio::io::duplex(1024);
    let echo = async |request: Request<Incoming>| Response::new(request.into_body());
    let (limits, stop) = (Limits::default(), CancellationToken::new());
    let served = listen::serve_stream(server, unknown(None), echo, &limits, stop.clone());
    let asking = async {
        client.write_all(b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
        let mut received = String::new();
        while !received.ends_with("body") {
            received.push(client.read_u8().await.unwrap().into());
        }
        stop.cancel();
        Instant::now()
    };
    let (stopped, ()) = tokio::join!(asking, served);
    assert_eq!(stopped.elapsed(), Duration::ZERO, "it waits for more of a body that has ended");
}

#[tokio::test]
async fn an_http2_connection_that_asks_nothing_is_closed_and_one_that_waits_is_not() {
    let (gate, mut has_come) = Gate::new();
    let go = Arc::clone(&gate.go);
    let (request_head, idle) = (Duration::from_secs(1), Duration::from_millis(100));
    let limits = Limits { request_head, idle, ..Limits::default() };
    let (address, tasks) = start_with(move |request| gate.clone().answer(request), limits, None);
    let connect = || async {
        let io = hyper_util::rt::TokioIo::new(TcpStream::connect(address).await.unwrap());
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap()
    };
    let (mut sender, connection) = connect().await;
    let clients = Tasks::new();
    let (tell, closed) = oneshot::channel();
    clients.spawn("waiting", |_| async move { tell.send(connection.await.is_ok()).unwrap() });
    let request = Request::get(format!("http://{address}/slow")).body(Full::<Bytes>::default()).unwrap();
    let waiting = sender.send_request(request);
    let answered = async {
        has_come.recv().await.unwrap();
        // It outlives one that came after it and asks nothing.
        let (_idle_sender, idle_connection) = connect().await;
        tokio::time::timeout(GRACE, idle_connection).await.expect("it was never closed").unwrap();
        go.add_permits(1);
    };
    let (response, ()) = tokio::join!(waiting, answered);
    assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes(), "answered");
    // It was not told to ask elsewhere meanwhile.
    let next = Request::get(format!("http://{address}/")).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(next).await.unwrap().status(), StatusCode::OK);
    assert!(tokio::time::timeout(GRACE, closed).await.expect("it was never closed").unwrap());
    tasks.shutdown(GRACE).await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_a_running_request_end_and_closes_idle_connections() {
    let (gate, mut has_come) = Gate::new();
    let go = Arc::clone(&gate.go);
    let (address, tasks) = start_with(move |request| gate.clone().answer(request), Limits::default(), None);
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    has_come.recv().await.unwrap();
    let running = async {
        // It closes when the stop has arrived, so the answer comes after that.
        assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
        go.add_permits(1);
        read_to_close(&mut busy).await
    };
    let (stopped, answered) = tokio::join!(tasks.shutdown(GRACE), running);
    stopped.unwrap();
    assert!(answered.ends_with("answered"), "{answered}");
}

fn unknown(tls: Option<Arc<TlsInfo>>) -> ConnectionInfo {
    let address = ([127, 0, 0, 1], 1).into();
    ConnectionInfo { peer: address, local: address, tls, slot: Slot::default() }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_begins_does_not_hold_up_a_stop() {
    let limits = Limits::default();
    for http2 in [false, true] {
        let (_client, server) = tokio::io::duplex(1024);
        let info = unknown(Some(Arc::new(TlsInfo { http2, ..TlsInfo::default() })));
        let stop = CancellationToken::new();
        stop.cancel();
        let served = listen::serve_stream(server, info, answer, &limits, stop);
        let ended = tokio::time::timeout(2 * limits.request_head, served).await;
        assert!(ended.is_ok(), "http2={http2}: it waits for a request");
    }
}

fn issue(authority: &Authority, purpose: Purpose) -> PemPair {
    let leaf = Leaf {
        common_name: "tester".into(),
        organizations: vec!["testers".into()],
        names: vec!["api.example.com".into()],
        purpose,
        valid_for: Duration::from_secs(3600),
    };
    authority.issue(&leaf, SystemClock.now()).unwrap()
}

fn encryption(authority: &Authority) -> Arc<rustls::ServerConfig> {
    let server = issue(authority, Purpose::Server);
    let key = tls::certified_key(server.certificate.as_bytes(), server.key.expose().as_bytes()).unwrap();
    let resolver = Arc::new(CertResolver::new(Some(key)));
    tls::server_config(resolver, &ClientCertificates::Ignored, Alpn::Http1).unwrap()
}

async fn connect_over_tls(
    address: SocketAddr,
    authority: &Authority,
    client: Option<&PemPair>,
    alpn: &[u8],
) -> TlsStream<TcpStream> {
    let roots = tls::roots(authority.certificate().as_bytes()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = tls::certificates("client", pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "api.example.com".try_into().unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn ask_over_tls(
    address: SocketAddr,
    authority: &Authority,
    client: Option<&PemPair>,
    alpn: &[u8],
) -> String {
    let io = hyper_util::rt::TokioIo::new(connect_over_tls(address, authority, client, alpn).await);
    let request = Request::get("https://api.example.com/who").body(Full::<Bytes>::default()).unwrap();
    let response = if alpn == b"h2" {
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        Tasks::new().spawn("client", |_| async { drop(connection.await) });
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        Tasks::new().spawn("client", |_| async { drop(connection.await) });
        sender.send_request(request).await.unwrap()
    };
    assert_eq!(response.status(), StatusCode::OK);
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_handler_learns_name_and_client_certificate_from_the_handshake() {
    let authority = Authority::create("test", SystemClock.now()).unwrap();
    let server = issue(&authority, Purpose::Server);
    let key = tls::certified_key(server.certificate.as_bytes(), server.key.expose().as_bytes()).unwrap();
    let roots = Arc::new(tls::roots(authority.certificate().as_bytes()).unwrap());
    let resolver = Arc::new(CertResolver::new(Some(key)));
    let config =
        tls::server_config(resolver, &ClientCertificates::Verified(roots), Alpn::Http2AndHttp1).unwrap();
    let (address, tasks) = start(Limits::default(), Some(config));
    let client = issue(&authority, Purpose::Client);
    assert_eq!(
        ask_over_tls(address, &authority, None, b"http/1.1").await,
        r#"127.0.0.1 Some("api.example.com") None h2=false"#
    );
    assert_eq!(
        ask_over_tls(address, &authority, Some(&client), b"h2").await,
        r#"127.0.0.1 Some("api.example.com") Some(true) h2=true"#
    );
    tasks.shutdown(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_stalled_handshake_is_given_up() {
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
    let authority = Authority::create("test", SystemClock.now()).unwrap();
    let (address, tasks) = start(limits, Some(encryption(&authority)));
    assert_eq!(exchange(address, b"\x16\x03").await, "");
    tasks.shutdown(GRACE).await.unwrap();
}
