//! Registries and API servers behind proxies: tunnels, relays and SOCKS, with credentials, and what is said where a proxy
//! leads nowhere. The names of the hosts mean something to the proxies alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::{Egress, EgressConfig, Resolver};
use pierhead_client::{HttpClient, Proxies, ProxySettings, Trust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{
    CANARY, Host, OUTSIDE, Security, TRUSTED, UNTRUSTED, config, keyring, manifest, repository,
    repository_of, sends_manifest, server_config,
};

/// A proxy that lets in whoever says `ann` and the canary.
struct Middle {
    address: SocketAddr,
    /// First lines of what it was asked, without what it refused.
    led: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
enum Speaks {
    Http,
    Https(TlsAcceptor),
    Socks,
    /// Refuses everybody with this line.
    Never(&'static str),
}

impl Middle {
    async fn start(speaks: Speaks) -> Self {
        let listener = TcpListener::bind((OUTSIDE, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let led = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&led);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (speaks, log) = (speaks.clone(), Arc::clone(&log));
                // Clients may leave whenever they like.
                connections.spawn(async move { serve(stream, speaks, &log).await.ok() });
            }
        });
        Self { address, led, _tasks: tasks }
    }

    fn url(&self, scheme: &str, user: &str) -> String {
        format!("{scheme}://{user}@{}", self.address)
    }

    fn led(&self) -> Vec<String> {
        self.led.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, speaks: Speaks, log: &Mutex<Vec<String>>) -> io::Result<()> {
    match speaks {
        Speaks::Http => serve_http(stream, log).await,
        Speaks::Https(acceptor) => serve_http(acceptor.accept(stream).await?, log).await,
        Speaks::Socks => serve_socks(stream, log).await,
        Speaks::Never(line) => {
            read_head(&mut stream).await?;
            stream.write_all(format!("{line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await
        }
    }
}

async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    let vouched = format!("proxy-authorization: basic {}", STANDARD.encode(format!("ann:{CANARY}")));
    if !head.lines().any(|line| line.eq_ignore_ascii_case(&vouched)) {
        return stream.write_all(b"HTTP/1.1 407 Who Are You\r\ncontent-length: 0\r\n\r\n").await;
    }
    let first = head.lines().next().unwrap();
    log.lock().push(first.to_owned());
    let target = first.split(' ').nth(1).unwrap();
    let place = target.strip_prefix("http://").unwrap_or(target).split('/').next().unwrap();
    let mut onward = TcpStream::connect((OUTSIDE, port_of(place))).await?;
    if first.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Go\r\n\r\n").await?;
    } else {
        onward.write_all(head.as_bytes()).await?;
    }
    copy_bidirectional(&mut stream, &mut onward).await.map(|_| ())
}

/// RFC 1928 and 1929, as much of them as there is need for.
async fn serve_socks(mut stream: TcpStream, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let counted = async |stream: &mut TcpStream| {
        let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
        stream.read_exact(&mut bytes).await?;
        io::Result::Ok(String::from_utf8(bytes).unwrap())
    };
    assert_eq!(stream.read_u8().await?, 5);
    let methods = counted(&mut stream).await?;
    assert!(methods.contains('\u{2}'), "{methods:?}");
    stream.write_all(&[5, 2]).await?;
    assert_eq!(stream.read_u8().await?, 1);
    let (user, password) = (counted(&mut stream).await?, counted(&mut stream).await?);
    let known = user == "ann" && password == CANARY;
    stream.write_all(&[1, u8::from(!known)]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request, [5, 1, 0, 3], "a connection to a name");
    let name = counted(&mut stream).await?;
    let port = stream.read_u16().await?;
    log.lock().push(format!("{name}:{port}"));
    let mut onward = TcpStream::connect((OUTSIDE, port)).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut stream, &mut onward).await.map(|_| ())
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn port_of(place: &str) -> u16 {
    place.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn acceptor(security: Security) -> TlsAcceptor {
    let authority = if security == Security::Trusted { &TRUSTED } else { &UNTRUSTED };
    TlsAcceptor::from(server_config(authority, &OUTSIDE.to_string()))
}

fn open(security: Security) -> Host {
    Host::start("registry.test", security, |_| sends_manifest(manifest("a")))
}

/// Who resolves no name: that is the proxies' business.
fn egress(all: &str, no_proxy: &str) -> Egress {
    let nobody: Resolver =
        Arc::new(|_| Box::pin(async { Err(io::Error::other("names are not looked up here")) }));
    let resolver = if no_proxy.is_empty() { nobody } else { super::resolver() };
    let proxies = Proxies::of_environment(ProxySettings { all, no_proxy, ..ProxySettings::default() });
    Egress::new(EgressConfig { resolver, proxies, ..config() })
}

async fn pull(egress: &Egress, host: &Host) -> Result<(), RemoteError> {
    repository(egress, &host.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await.map(|_| ())
}

#[tokio::test]
async fn registries_are_reached_through_tunnels() {
    let host = open(Security::Trusted);
    for (speaks, scheme) in [
        (Speaks::Http, "http"),
        (Speaks::Https(acceptor(Security::Trusted)), "https"),
        (Speaks::Socks, "socks5"),
    ] {
        let proxy = Middle::start(speaks).await;
        pull(&egress(&proxy.url(scheme, &format!("ann:{CANARY}")), ""), &host).await.unwrap();
        let led = proxy.led();
        assert!(!led.is_empty() && led.iter().all(|line| line.contains(&host.authority())), "{led:?}");
        assert_eq!(led[0].starts_with("CONNECT "), scheme != "socks5", "{led:?}");
    }
    assert!(host.seen().iter().all(|seen| !seen.headers.contains_key("proxy-authorization")));
}

#[tokio::test]
async fn requests_in_plain_http_are_handed_to_the_proxy() {
    let (host, proxy) = (open(Security::Plain), Middle::start(Speaks::Http).await);
    let through = egress(&proxy.url("http", &format!("ann:{CANARY}")), "");
    let remote = repository_of(&through, &host.authority(), keyring(&[]), true);
    remote.manifest(&"a".parse().unwrap()).await.unwrap();
    let line = format!("GET http://{}/v2/ HTTP/1.1", host.authority());
    assert!(proxy.led().contains(&line), "{:?}", proxy.led());

    let through = egress(&proxy.url("http", "ann:wrong"), "");
    let remote = repository_of(&through, &host.authority(), keyring(&[]), true);
    let text = remote.manifest(&"a".parse().unwrap()).await.unwrap_err().to_string();
    assert!(text.contains("Proxy Authentication Required") && !text.contains("wrong"), "{text}");
}

#[tokio::test]
async fn no_proxy_is_honoured() {
    let (host, proxy) = (open(Security::Trusted), Middle::start(Speaks::Http).await);
    let url = proxy.url("http", &format!("ann:{CANARY}"));
    pull(&egress(&url, ".test"), &host).await.unwrap();
    assert_eq!((proxy.led().len(), host.seen().is_empty()), (0, false));
    pull(&egress(&url, "other.test"), &host).await.unwrap_or_default();
    assert!(!proxy.led().is_empty());
}

#[tokio::test]
async fn proxies_that_lead_nowhere_are_named_without_their_password() {
    let host = open(Security::Trusted);
    let closed = TcpListener::bind((OUTSIDE, 0)).await.unwrap().local_addr().unwrap();
    let proxy = Middle::start(Speaks::Http).await;
    let strict = Middle::start(Speaks::Never("HTTP/1.1 403 Not There")).await;
    let odd = Middle::start(Speaks::Never("220 mail.example.com")).await;
    let secure = Middle::start(Speaks::Https(acceptor(Security::Untrusted))).await;
    let socks = Middle::start(Speaks::Socks).await;
    let rows = [
        (format!("http://ann:{CANARY}@{closed}"), "cannot be reached: Connection refused"),
        (proxy.url("http", &format!("bob:{CANARY}")), "Proxy Authentication Required: the proxy http://"),
        (socks.url("socks5", &format!("bob:{CANARY}")), "does not take the credentials in its URL"),
        (strict.url("http", CANARY), "it answered 403 Forbidden"),
        (odd.url("http", CANARY), "does not connect to registry.test"),
        (secure.url("https", CANARY), "cannot be reached: invalid peer certificate: UnknownIssuer"),
        (format!("socks4://ann:{CANARY}@{closed}"), "is not the URL of a proxy"),
    ];
    for (url, expected) in rows {
        let text = pull(&egress(&url, ""), &host).await.unwrap_err().to_string();
        let address = url.rsplit_once('@').unwrap().1;
        assert!(text.contains(expected) && text.contains(address), "{text}");
        assert!(!text.contains(CANARY), "{text}");
    }
    assert!(host.seen().is_empty() && proxy.led().is_empty() && socks.led().is_empty());
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_named() {
    let host = open(Security::Trusted);
    // Connections to it wait for somebody who takes them up.
    let silent = TcpListener::bind((OUTSIDE, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    for scheme in ["http", "https", "socks5"] {
        let proxies = Proxies::always(&format!("{scheme}://ann:{CANARY}@{address}"));
        let connect_timeout = Duration::from_millis(500);
        let through = Egress::new(EgressConfig { proxies, connect_timeout, ..config() });
        let text = pull(&through, &host).await.unwrap_err().to_string();
        let expected =
            format!("the proxy {scheme}://{address} did not connect to {} within 450ms", host.authority());
        assert!(text.contains(&expected), "{text}");
    }
}

#[tokio::test]
async fn api_servers_are_reached_through_the_proxy_of_their_cluster() {
    let (host, proxy) =
        (open(Security::Trusted), Middle::start(Speaks::Https(acceptor(Security::Trusted))).await);
    let trust =
        Trust { certificate_authority: Some(TRUSTED.certificate().as_bytes().to_vec()), ..Trust::default() };
    let fetch = async |user: &str| {
        let client = HttpClient::through(&trust, &Proxies::always(&proxy.url("https", user))).unwrap();
        let url = format!("https://{}/version", host.authority());
        client.fetch(Method::GET, &url, HeaderMap::new(), bytes::Bytes::new()).await
    };
    assert_eq!(fetch(&format!("ann:{CANARY}")).await.unwrap().status, 200);
    assert_eq!(proxy.led(), [format!("CONNECT {} HTTP/1.1", host.authority())]);
    let text = fetch("ann:wrong").await.unwrap_err().to_string();
    let expected = format!(
        "Unable to connect to the server: Proxy Authentication Required: the proxy https://{} does not take the \
         credentials in its URL",
        proxy.address
    );
    assert_eq!(text, expected);
}
