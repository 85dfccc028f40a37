//! Other hosts, friendly and hostile: real listeners on this machine under names of their own, with what they were asked.
//!
//! All are on 127.0.0.2, which the policy of these tests allows; 127.0.0.1 stays forbidden and stands for what is inside.

mod addresses;
mod bounds;
mod certificates;
mod hops;
mod proxies;
mod realms;
mod registries;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use pierhead_api::core::Secret;
use pierhead_api::from_value;
use pierhead_client::distribution::{RemoteName, RemoteRepository};
use pierhead_client::egress::{AddressPolicy, Authorities, Egress, EgressConfig, Resolver, RetryPolicy};
use pierhead_client::keyring::Keyring;
use pierhead_runtime::listen::{self, BoxError, ConnectionInfo, Limits};
use pierhead_runtime::tls::{self, Alpn, Authority, CertResolver, ClientCertificates, Leaf, Purpose};
use pierhead_runtime::{Clock as _, SystemClock, Tasks};
use serde_json::json;

/// What must not get where it does not belong: the password of every credential here.
pub(crate) const CANARY: &str = "canary-4711";

/// The address of all hosts here.
pub(crate) const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

/// The authority that all clients here trust, and one that none does.
static TRUSTED: LazyLock<Authority> =
    LazyLock::new(|| Authority::create("trusted", SystemClock.now()).unwrap());
static UNTRUSTED: LazyLock<Authority> =
    LazyLock::new(|| Authority::create("untrusted", SystemClock.now()).unwrap());

/// How a host can be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Trusted,
    Untrusted,
}

/// A request as a host saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
}

impl Seen {
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok())
    }

    /// Whether it carries any credential at all.
    pub(crate) fn is_tainted(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION) || self.headers.contains_key(COOKIE)
    }
}

pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// A host of its own, until it is dropped.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    tasks: Tasks,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

impl Host {
    /// Listens under `name`; `reply` answers everything.
    pub(crate) fn start(
        name: &str,
        security: Security,
        reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(OUTSIDE, name, security, reply)
    }

    pub(crate) fn start_at(
        address: IpAddr,
        name: &str,
        security: Security,
        reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        tls::install_provider();
        let listener = listen::bind(SocketAddr::new(address, 0)).unwrap();
        let address = listener.local_addr();
        let (tasks, seen, reply) = (Tasks::new(), Arc::new(Mutex::new(Vec::new())), Arc::new(reply));
        let config = match security {
            Security::Plain => None,
            Security::Trusted => Some(server_config(&TRUSTED, name)),
            Security::Untrusted => Some(server_config(&UNTRUSTED, name)),
        };
        let record = Arc::clone(&seen);
        let handler = move |request: Request<hyper::body::Incoming>| {
            let (reply, record) = (Arc::clone(&reply), Arc::clone(&record));
            async move {
                let (head, _) = request.into_parts();
                let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
                let peer = head.extensions.get::<ConnectionInfo>().unwrap().peer;
                let seen = Seen { method: head.method, path, headers: head.headers, peer };
                record.lock().push(seen.clone());
                reply(&seen)
            }
        };
        listen::serve(listener, config, handler, &tasks, Limits::default());
        Self { name: name.to_owned(), address, seen, tasks }
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.name, self.address.port())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Paths asked, with their methods.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }
}

fn server_config(authority: &Authority, name: &str) -> Arc<rustls::ServerConfig> {
    let leaf = Leaf {
        common_name: name.to_owned(),
        organizations: Vec::new(),
        names: vec![name.to_owned()],
        purpose: Purpose::Server,
        valid_for: Duration::from_hours(1),
    };
    let pair = authority.issue(&leaf, SystemClock.now()).unwrap();
    let key = tls::certified_key(pair.certificate.as_bytes(), pair.key.expose().as_bytes()).unwrap();
    let resolver = Arc::new(CertResolver::new(Some(key)));
    tls::server_config(resolver, &ClientCertificates::Ignored, Alpn::Http1).unwrap()
}

/// Answers whatever is asked of names with the address of the hosts here.
pub(crate) fn resolver() -> Resolver {
    Arc::new(|_| Box::pin(async { Ok(vec![OUTSIDE]) }))
}

pub(crate) fn config() -> EgressConfig {
    let authorities = Authorities::none().with_extra(TRUSTED.certificate().as_bytes()).unwrap();
    let usual = EgressConfig::new(authorities);
    EgressConfig {
        addresses: AddressPolicy { allow: vec![OUTSIDE.to_string().parse().unwrap()], deny: Vec::new() },
        resolver: resolver(),
        retry: RetryPolicy { retries: 0, ..usual.retry },
        ..usual
    }
}

/// A keyring in which each host has the same user.
pub(crate) fn keyring(hosts: &[&str]) -> Keyring {
    keyring_of(hosts.iter().map(|host| (*host, "ann")))
}

/// A keyring with a user for each host, or host and path.
pub(crate) fn keyring_of<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Keyring {
    let entry = |user: &str| json!({"username": user, "password": CANARY});
    let entries: HashMap<&str, _> = users.into_iter().map(|(place, user)| (place, entry(user))).collect();
    let document = json!({
        "metadata": {"name": "pull"}, "type": "kubernetes.io/dockercfg",
        "stringData": {".dockercfg": json!(entries).to_string()},
    });
    let mut secret: Secret = from_value(&document).unwrap();
    secret.set_defaults();
    Keyring::from_secrets([&secret])
}

/// The repository `shop/web` of a host, as somebody with `keyring` sees it.
pub(crate) fn repository(egress: &Egress, host: &str, keyring: Keyring) -> RemoteRepository {
    repository_of(egress, host, keyring, false)
}

pub(crate) fn repository_of(
    egress: &Egress,
    host: &str,
    keyring: Keyring,
    insecure: bool,
) -> RemoteRepository {
    let name = RemoteName { host: host.to_owned(), repository: "shop/web".to_owned(), insecure };
    RemoteRepository::new(egress, name, keyring)
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()).unwrap()
}

/// A body that goes on as `pieces` does.
pub(crate) fn streamed(
    status: u16,
    headers: &[(&str, &str)],
    pieces: impl futures_util::Stream<Item = Bytes> + Send + 'static,
) -> Reply {
    use futures_util::StreamExt as _;
    let frames = pieces.map(|piece| Ok::<_, BoxError>(http_body::Frame::data(piece)));
    let body = http_body_util::StreamBody::new(frames).boxed_unsync();
    reply(status, headers, Bytes::new()).map(|_| body)
}

pub(crate) fn redirect(status: u16, location: &str) -> Reply {
    reply(status, &[("location", location)], "")
}

pub(crate) fn challenge(challenge: &str) -> Reply {
    reply(401, &[("www-authenticate", challenge)], "")
}

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A small manifest; `text` makes it another one.
pub(crate) fn manifest(text: &str) -> Bytes {
    let digest = pierhead_oci::Digest::sha256(b"{}");
    let json = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
        "layers": [], "annotations": {"text": text},
    });
    json.to_string().into()
}

pub(crate) fn sends_manifest(bytes: Bytes) -> Reply {
    reply(200, &[("content-type", MANIFEST_TYPE)], bytes)
}

/// The names by which hosts were asked.
pub(crate) fn host_headers(host: &Host) -> Vec<String> {
    let name = |seen: &Seen| seen.headers.get(HOST).map(|value| value.to_str().unwrap().to_owned());
    host.seen().iter().filter_map(name).collect()
}
