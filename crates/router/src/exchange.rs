//! One request through the router: match, refuse or redirect, pass on, answer.
//!
//! Owns the decisions about one request. Headers are `headers`' affair, bytes `body`'s, connections `upstream`'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{ConnectionInfo, Slot};
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::attempts::{Asked, Attempts, Replay};
use crate::body::{Progress, RequestBody, ResponseBody};
use crate::cookie;
use crate::headers::{self, HostError, Origin, RequestedHost};
use crate::page;
use crate::table::{Insecure, Rule, Security, Table};
use crate::tunnel;
use crate::upstream::{Connection, Target, Upstreams};

/// The body of an answer: a backend's, or a page of ours.
pub(crate) type Answer = Response<Either<ResponseBody, Full<Bytes>>>;

/// What all requests share. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) table: Arc<ArcSwap<Table>>,
    /// Told whenever the table is replaced.
    pub(crate) published: Arc<Notify>,
    pub(crate) upstreams: Upstreams,
    pub(crate) idle: Duration,
    /// Where plain HTTP is redirected to.
    pub(crate) https_port: u16,
    pub(crate) tasks: Tasks,
}

impl Exchange {
    /// Answers one request.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Answer {
        let Some(info) = ConnectionInfo::of(&request).cloned() else {
            return own(page::bad_gateway()); // listeners always say where a request came from
        };
        let requested = match headers::requested_host(request.uri(), request.headers()) {
            Ok(requested) => requested,
            Err(HostError::Invalid) => return own(page::bad_host()),
            Err(HostError::Contradiction) => return own(page::misdirected()),
        };
        let sni = info.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        if sni.is_some_and(|sni| sni.trim_end_matches('.') != requested.host) {
            return own(page::misdirected());
        }
        let rule = self.table.load().find(&requested.host, request.uri().path()).map(Arc::clone);
        let Some(rule) = rule else { return own(page::unavailable()) };
        match (&rule.security, info.tls.is_some()) {
            (Security::Plain, false) | (Security::Edge { .. } | Security::Reencrypt { .. }, true) => {}
            (Security::Plain | Security::Passthrough { .. }, true) => return own(page::unavailable()),
            (Security::Edge { insecure, .. } | Security::Reencrypt { insecure, .. }, false) => match insecure
            {
                Insecure::Allow => {}
                Insecure::Redirect => return own(self.redirect(&requested, request.uri())),
                Insecure::Refuse => return own(page::unavailable()),
            },
            (Security::Passthrough { insecure }, false) => match insecure {
                Insecure::Redirect => return own(self.redirect(&requested, request.uri())),
                Insecure::Allow | Insecure::Refuse => return own(page::unavailable()),
            },
        }
        self.pass_on(request, rule, &info, &requested).await
    }

    fn redirect(&self, requested: &RequestedHost, uri: &Uri) -> Response<Full<Bytes>> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        page::redirect(&requested.host, self.https_port, path)
    }

    async fn pass_on(
        self,
        mut request: Request<Incoming>,
        rule: Arc<Rule>,
        info: &ConnectionInfo,
        requested: &RequestedHost,
    ) -> Answer {
        let (namespace, name) = (&rule.key.0, &rule.key.1);
        let asked = Asked {
            host: &requested.host,
            path: request.uri().path_and_query().cloned(),
            client: info.peer.ip().to_canonical(),
            encrypted: info.tls.is_some(),
            mark: rule.cookie.as_ref().and_then(|cookie| cookie::take(request.headers_mut(), cookie)),
        };
        let mark = asked.mark.clone();
        let mut attempts = Attempts::new(&self, Arc::clone(&rule), asked);
        let upgrade = headers::wanted_upgrade(request.headers()).is_some();
        let client = upgrade.then(|| hyper::upgrade::on(&mut request));
        let origin = Origin {
            peer: info.peer.ip(),
            port: info.local.port(),
            encrypted: info.tls.is_some(),
            authority: &requested.authority,
        };
        let progress = Progress::start(rule.idle.unwrap_or(self.idle));
        let request = prepare(request, origin, &progress);
        let (mut response, connection) = match self.send(request, &mut attempts, &progress).await {
            Ok(answered) => answered,
            Err(failure) => {
                debug!(namespace, route = name, error = %failure, "Request for route {namespace}/{name}: {failure}");
                return own(failure.page());
            }
        };
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if upgraded {
            let Some(client) = client else {
                warn!(namespace, route = name, "The backend changed the protocol without being asked");
                return own(page::bad_gateway());
            };
            self.tunnel(client, hyper::upgrade::on(&mut response), &rule, info.slot.clone());
        }
        headers::prepare_response(response.headers_mut(), upgraded);
        if let Some(cookie) = &attempts.rule().cookie {
            let serving = attempts.rule().backends.mark(connection.lease.address());
            if mark.as_ref() != Some(&serving) {
                cookie::set(response.headers_mut(), cookie, &serving, info.tls.is_some());
            }
        }
        *response.version_mut() = Version::default();
        let connection = (!upgraded).then_some((connection.sender, connection.lease));
        response.map(|incoming| Either::Left(ResponseBody::new(incoming, progress, connection)))
    }

    /// Sends the request to the first endpoint that takes it.
    async fn send(
        &self,
        mut request: Request<RequestBody>,
        attempts: &mut Attempts<'_>,
        progress: &Progress,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let mut failure = Failure::NoEndpoint;
        let mut replay = Replay::of(&request);
        // An endpoint may be well, and only the kept connection to it old: it is asked again on a fresh one.
        let (mut once_more, mut fresh): (Option<Target>, bool) = (None, false);
        loop {
            let Some(target) = once_more.take().or_else(|| attempts.next()) else {
                if attempts.renew().await {
                    continue;
                }
                return Err(failure);
            };
            let reused = match self.try_one(request, &target, fresh, progress).await {
                Tried::Answered(response, connection) => return Ok((response, connection)),
                Tried::Failed(why) => return Err(why),
                Tried::Unsent { request: unsent, failure: why, reused } => {
                    (request, failure) = (unsent, why);
                    reused
                }
                Tried::Lost { failure: why, reused } => match replay.again(progress) {
                    None => return Err(why),
                    Some(again) => {
                        debug!(address = %target.address, error = %why, "A request is sent again: {why}");
                        (request, failure) = (again, why);
                        reused
                    }
                },
            };
            if reused {
                (once_more, fresh) = (Some(target), true);
            }
        }
    }

    async fn try_one(
        &self,
        request: Request<RequestBody>,
        target: &Target,
        fresh: bool,
        progress: &Progress,
    ) -> Tried {
        let connected = match fresh {
            false => self.upstreams.connection(target).await,
            true => self.upstreams.connect(target).await,
        };
        let Ok(mut connection) = connected else {
            // Why is told where connections are made, and only once.
            let failure = Failure::Unreachable(target.address);
            return Tried::Unsent { request, failure, reused: false };
        };
        let sent = tokio::select! {
            sent = connection.sender.try_send_request(request) => sent,
            () = progress.stalled() => return Tried::Failed(Failure::Stalled),
        };
        let mut error = match sent {
            Ok(response) => return Tried::Answered(response, connection),
            Err(error) => error,
        };
        let reused = connection.reused;
        // The request comes back only if nothing of it was sent: a kept connection may have been closed.
        match error.take_message() {
            Some(request) => Tried::Unsent { request, failure: Failure::Broken(error.into_error()), reused },
            None => match error.into_error() {
                // Something came, if nothing sensible: the backend has seen the request.
                error if error.is_parse() => Tried::Failed(Failure::Broken(error)),
                error => Tried::Lost { failure: Failure::Broken(error), reused },
            },
        }
    }

    /// Connects the two ends of an upgraded connection, in the background.
    fn tunnel(&self, client: OnUpgrade, backend: OnUpgrade, rule: &Rule, slot: Slot) {
        let idle = rule.tunnel_idle.unwrap_or(tunnel::IDLE);
        self.tasks.spawn("upgraded connection", |stop| async move {
            let _slot = slot;
            let ends = tokio::select! {
                ends = async { tokio::try_join!(client, backend) } => ends,
                () = stop.cancelled() => return,
            };
            match ends {
                Ok((client, backend)) => {
                    let ended = tunnel::run(TokioIo::new(client), TokioIo::new(backend), idle, stop).await;
                    if let Err(error) = ended {
                        debug!(%error, "Upgraded connection ended early");
                    }
                }
                Err(error) => debug!(%error, "Upgrading a connection failed"),
            }
        });
    }
}

/// What came of asking one endpoint.
enum Tried {
    /// It answers.
    Answered(Response<Incoming>, Connection),
    /// It saw nothing of the request, which is given back.
    Unsent { request: Request<RequestBody>, failure: Failure, reused: bool },
    /// The connection ended without an answer; it may have seen the request.
    Lost { failure: Failure, reused: bool },
    /// Nobody else can do better.
    Failed(Failure),
}

/// Why a request got no answer from a backend.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no endpoint is ready")]
    NoEndpoint,
    #[error("no endpoint can be reached, the last tried was {0}")]
    Unreachable(SocketAddr),
    #[error("the backend broke off: {0}")]
    Broken(hyper::Error),
    #[error("the backend did not answer in time")]
    Stalled,
}

impl Failure {
    fn page(&self) -> Response<Full<Bytes>> {
        match self {
            Self::NoEndpoint | Self::Unreachable(_) => page::unavailable(),
            Self::Broken(_) => page::bad_gateway(),
            Self::Stalled => page::gateway_timeout(),
        }
    }
}

fn own(page: Response<Full<Bytes>>) -> Answer {
    page.map(Either::Right)
}

/// The request as the backend gets it: HTTP/1.1, origin form, our headers.
fn prepare(request: Request<Incoming>, origin: Origin<'_>, progress: &Progress) -> Request<RequestBody> {
    let (mut parts, incoming) = request.into_parts();
    let path = parts.uri.path_and_query().cloned();
    parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    parts.version = Version::HTTP_11;
    parts.extensions = http::Extensions::new();
    headers::prepare_request(&mut parts.headers, origin);
    let continues =
        parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let mut body = RequestBody::new(incoming, progress.clone());
    let want = continues.then(|| body.hold());
    let mut request = Request::from_parts(parts, body);
    if let Some(want) = want {
        let want = parking_lot::Mutex::new(Some(want));
        hyper::ext::on_informational(&mut request, move |informational| {
            if informational.status() == StatusCode::CONTINUE
                && let Some(want) = want.lock().take()
            {
                // The body may be gone already, and with it whoever waits.
                want.send(()).unwrap_or_default();
            }
        });
    }
    request
}
