//! The one way out: every request of this server to a host that a user names (design 3.8).
//!
//! Owns what must hold for all of them, whatever they are for: addresses that are judged when they are connected to,
//! redirects followed by hand, credentials that reach the origin they are for and no other, certificates that are
//! verified, bodies that are capped or stream, time that is bounded, and hosts that do not wait for each other. Knows
//! nothing of registries: that is `distribution`.

mod address;
mod ask;
mod authorities;
mod body;
mod connector;
mod error;
mod target;
mod upload;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, PROXY_AUTHORIZATION,
    USER_AGENT,
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use address::{AddressPolicy, ForbiddenAddress, Network, NetworkError};
pub use ask::{Ask, Asked};
pub use authorities::Authorities;
pub use connector::{OwnHosts, Resolver};
pub use error::EgressError;

pub(crate) use body::EgressBody;
pub(crate) use connector::Mode;
pub(crate) use target::{Origin, Scheme, Target};
pub(crate) use upload::Upload;

use crate::Proxies;
use crate::proxy::Dialer;
use authorities::TlsConfigs;
use connector::Connector;

/// Redirects followed of one request.
const MAX_REDIRECTS: usize = 5;
/// What is read of a redirect's body, and for how long.
const REDIRECT_BYTES: usize = 64 << 10;
const REDIRECT_LIMIT: Duration = Duration::from_secs(2);
/// Hosts whose turns are remembered; those that nobody waits for are forgotten beyond it.
const MAX_HOSTS: usize = 4_096;
const HEAD_BYTES: usize = 128 << 10;
const IDLE_CONNECTIONS: usize = 8;

/// Settings of [`Egress`].
#[derive(Clone)]
pub struct EgressConfig {
    /// Which addresses are connected to.
    pub addresses: AddressPolicy,
    /// Whose certificates are believed.
    pub authorities: Authorities,
    /// Names of our own registry.
    pub own: OwnHosts,
    /// How names become addresses.
    pub resolver: Resolver,
    /// Which requests go through which proxy. No address of those is judged here, so a server has none.
    pub proxies: Proxies,
    /// From looking a name up to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// From a request to the head of its answer.
    pub head_timeout: Duration,
    /// How long a body may stand still.
    pub idle_timeout: Duration,
    /// Longest time for all of a small answer, redirects included.
    pub small_timeout: Duration,
    /// Longest wait for a turn at a host.
    pub turn_timeout: Duration,
    /// Requests for small answers that one host answers at a time.
    pub small_per_host: usize,
    /// Blobs that one host sends at a time.
    pub blobs_per_host: usize,
    /// Waits between tries of those who try again.
    pub retry: RetryPolicy,
}

/// How often and after which waits a request is tried again (images 5.3).
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Tries after the first.
    pub retries: u32,
    /// Wait after an error of the server.
    pub after_failure: Duration,
    /// Wait after `429` without `Retry-After`.
    pub after_refusal: Duration,
    /// A longer `Retry-After` than this is not waited for, but handed on.
    pub longest_wait: Duration,
}

impl EgressConfig {
    /// The usual settings, with these authorities: reading the system's takes time and memory, so nobody gets them
    /// without asking.
    #[must_use]
    pub fn new(authorities: Authorities) -> Self {
        Self {
            addresses: AddressPolicy::default(),
            authorities,
            own: Arc::new(|_| None),
            resolver: connector::system_resolver(),
            proxies: Proxies::default(),
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            small_timeout: Duration::from_secs(60),
            turn_timeout: Duration::from_secs(60),
            small_per_host: 8,
            blobs_per_host: 12,
            retry: RetryPolicy {
                retries: 2,
                after_failure: Duration::from_secs(5),
                after_refusal: Duration::from_secs(2),
                longest_wait: Duration::from_secs(10),
            },
        }
    }
}

impl fmt::Debug for EgressConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressConfig").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// The way out. Clones share connections, turns and what was learned of hosts.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

/// What is sent: nothing, a manifest, or a blob as it comes from elsewhere.
type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
type HttpClient = Client<Connector, RequestBody>;

struct Shared {
    config: EgressConfig,
    verified: HttpClient,
    insecure: HttpClient,
    own: HttpClient,
    turns: Mutex<HashMap<(Origin, Lane), Arc<Semaphore>>>,
    /// Ways out that trust more authorities, for questions to single servers.
    trusting: Mutex<HashMap<Arc<str>, Egress>>,
    known: crate::distribution::KnownHosts,
}

/// What a request waits for: small answers never wait behind blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Manifests, tokens, lists.
    Small,
    /// Blobs.
    Blob,
}

/// An origin and whose rules hold there. Every other origin is met with the strict ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) origin: Origin,
    pub(crate) mode: Mode,
}

/// A request to send.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// Where the credentials are for.
    pub(crate) home: &'a Home,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) accept: Option<HeaderValue>,
    /// What of the content is wanted; all of it without.
    pub(crate) range: Option<HeaderValue>,
    /// What is sent, and its type.
    pub(crate) body: Option<(HeaderValue, Bytes)>,
    pub(crate) lane: Lane,
}

/// An answer, its body still on the way.
pub(crate) struct Incomer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: EgressBody,
    /// Who answered, after redirects.
    pub(crate) origin: Origin,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Egress {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(config: EgressConfig) -> Self {
        let shared = Arc::new(connector::Shared {
            addresses: config.addresses.clone(),
            tls: TlsConfigs::new(&config.authorities),
            own: Arc::clone(&config.own),
            resolver: Arc::clone(&config.resolver),
            // A proxy that hangs is to be named, so its time is up before that of all the connecting.
            dialer: Dialer::new(config.proxies.clone(), config.connect_timeout * 9 / 10, || {
                config.authorities.usual().clone()
            }),
            limit: config.connect_timeout,
        });
        let client = |mode| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .http1_max_buf_size(HEAD_BYTES)
                .build(Connector { mode, shared: Arc::clone(&shared) })
        };
        Self(Arc::new(Shared {
            verified: client(Mode::Verified),
            insecure: client(Mode::Insecure),
            own: client(Mode::Own),
            turns: Mutex::default(),
            trusting: Mutex::default(),
            known: crate::distribution::KnownHosts::default(),
            config,
        }))
    }

    pub(crate) fn config(&self) -> &EgressConfig {
        &self.0.config
    }

    pub(crate) fn known(&self) -> &crate::distribution::KnownHosts {
        &self.0.known
    }

    /// Whether `origin` is our own registry.
    pub(crate) fn is_own(&self, origin: &Origin) -> bool {
        connector::own_address(&self.0.config.own, origin).is_some()
    }

    /// Sends a request and follows its redirects. Credentials are sent to their home only, and are gone for good after
    /// the first hop away from it.
    pub(crate) async fn send(&self, outgoing: Outgoing<'_>) -> Result<Incomer, EgressError> {
        let Outgoing { method, mut target, home, mut authorization, accept, range, body, lane } = outgoing;
        for _ in 0..=MAX_REDIRECTS {
            let at_home = target.origin == home.origin;
            if !at_home {
                authorization = None;
            }
            let mode = if at_home { home.mode } else { Mode::Verified };
            let (content_type, content) = body.clone().unzip();
            let length = content.as_ref().map_or(0, Bytes::len);
            let mut request = new_request(&method, authorization, Full::from(content.unwrap_or_default()));
            let headers = request.headers_mut();
            headers.extend(accept.clone().map(|accept| (http::header::ACCEPT, accept)));
            headers.extend(range.clone().map(|range| (http::header::RANGE, range)));
            headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
            if matches!(method, Method::POST | Method::PUT) {
                // Some registries refuse those of unknown length, the empty ones too.
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            let limit = self.0.config.head_timeout;
            let answer = self.exchange(mode, &target, request, (lane, limit)).await?;
            if !is_redirect(answer.status) {
                return Ok(answer);
            }
            target = next_hop(&target, &answer.headers)?;
            // What is read to its end keeps the connection, which the next request to this host will want.
            let rest = tokio::time::timeout(REDIRECT_LIMIT, answer.body.gather(REDIRECT_BYTES)).await;
            if !matches!(rest, Ok(Ok(_))) {
                tracing::trace!(%target, "The body of a redirect was not read to its end");
            }
        }
        Err(EgressError::redirect(&target, "is one too many"))
    }

    /// As [`Egress::send`], with the whole body; bounded in size and time.
    pub(crate) async fn fetch(
        &self,
        outgoing: Outgoing<'_>,
        limit: usize,
    ) -> Result<(StatusCode, HeaderMap, Bytes, Origin), EgressError> {
        let target = outgoing.target.clone();
        let budget = self.0.config.small_timeout;
        let exchange = async {
            let Incomer { status, headers, body, origin } = self.send(outgoing).await?;
            Ok((status, headers, body.gather(limit).await?, origin))
        };
        match tokio::time::timeout(budget, exchange).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(EgressError::timeout(&target, budget)),
        }
    }

    async fn exchange(
        &self,
        mode: Mode,
        target: &Target,
        mut request: Request<RequestBody>,
        (lane, limit): (Lane, Duration),
    ) -> Result<Incomer, EgressError> {
        let uri = target.to_string().parse::<http::Uri>();
        let uri = uri.map_err(|error| EgressError::classify(target, error))?;
        let relay = self.0.config.proxies.relay_for(&uri).filter(|_| mode != Mode::Own);
        let vouched = relay.and_then(|relay| relay.authorization());
        request.headers_mut().extend(vouched.map(|value| (PROXY_AUTHORIZATION, value.clone())));
        *request.uri_mut() = uri;
        let turn = self.turn(target, lane).await?;
        let client = match mode {
            Mode::Verified => &self.0.verified,
            Mode::Insecure => &self.0.insecure,
            Mode::Own => &self.0.own,
        };
        let answer: http::Response<Incoming> =
            match tokio::time::timeout(limit, client.request(request)).await {
                Ok(answer) => answer.map_err(|error| EgressError::classify(target, error))?,
                Err(_elapsed) => return Err(EgressError::timeout(target, limit)),
            };
        if let Some(refusal) = relay.and_then(|relay| relay.refusal(answer.status())) {
            return Err(EgressError::classify(target, refusal));
        }
        let (head, body) = answer.into_parts();
        let body = EgressBody::new(body, target.clone(), self.0.config.idle_timeout, turn);
        Ok(Incomer { status: head.status, headers: head.headers, body, origin: target.origin.clone() })
    }

    /// Waits for a turn at the host. Each host has its own: a dead one keeps nobody from another.
    async fn turn(&self, target: &Target, lane: Lane) -> Result<OwnedSemaphorePermit, EgressError> {
        let limit = self.0.config.turn_timeout;
        let turns = {
            let mut hosts = self.0.turns.lock();
            if hosts.len() >= MAX_HOSTS {
                hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
            }
            let at_a_time = match lane {
                Lane::Small => self.0.config.small_per_host,
                Lane::Blob => self.0.config.blobs_per_host,
            };
            let fresh = || Arc::new(Semaphore::new(at_a_time));
            Arc::clone(hosts.entry((target.origin.clone(), lane)).or_insert_with(fresh))
        };
        match tokio::time::timeout(limit, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_closed)) => unreachable!("the semaphores of hosts are never closed"),
            Err(_elapsed) => Err(EgressError::timeout(target, limit)),
        }
    }
}

fn new_request<B>(method: &Method, authorization: Option<&HeaderValue>, body: B) -> Request<RequestBody>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.method_mut() = method.clone();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("pierhead"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.extend(authorization.map(|value| (AUTHORIZATION, value.clone())));
    request
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

fn next_hop(target: &Target, headers: &HeaderMap) -> Result<Target, EgressError> {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let Some(next) = location.and_then(|location| target.join(location)) else {
        return Err(EgressError::redirect(target, "leads to no address that can be followed"));
    };
    if target.origin.scheme == Scheme::Https && next.origin.scheme == Scheme::Http {
        return Err(EgressError::redirect(target, "leads from HTTPS to plain HTTP"));
    }
    Ok(next)
}
