//! Which endpoint gets a request, and which gets it next when that one does not answer.
//!
//! Owns the order of endpoints for one request and the right to send it again. A request goes to another endpoint when
//! nothing of it was sent, or when sending it twice does no harm and no answer came. While endpoints come and go, a
//! table that is newer than the request's own may know one that is there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::{EXPECT, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body::Body as _;

use crate::body::{Progress, RequestBody};
use crate::exchange::Exchange;
use crate::table::{Rule, Security, UpstreamTls};
use crate::upstream::Target;

/// Endpoints of one table that are tried before a request, or a connection that is passed through, is given up.
pub(crate) const TRIES: usize = 3;
/// Tables that are asked: the one the request found, and newer ones.
const TABLES: usize = 3;
/// How long a request whose endpoints are all gone waits to hear of others.
const NEWS_LIMIT: Duration = Duration::from_millis(500);
/// How often a request that was sent is sent again.
const REPLAYS: u8 = 2;

/// The endpoints for one request, in order.
pub(crate) struct Attempts<'a> {
    exchange: &'a Exchange,
    request: Asked<'a>,
    rule: Arc<Rule>,
    queue: Vec<SocketAddr>,
    next: usize,
    tables: usize,
}

/// What of a request decides where it goes.
pub(crate) struct Asked<'a> {
    /// The host, in lower case and without port.
    pub(crate) host: &'a str,
    /// The path.
    pub(crate) path: Option<PathAndQuery>,
    /// The client.
    pub(crate) client: IpAddr,
    /// Whether it came over TLS.
    pub(crate) encrypted: bool,
    /// The endpoint that served it before, as its cookie says.
    pub(crate) mark: Option<String>,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(exchange: &'a Exchange, rule: Arc<Rule>, request: Asked<'a>) -> Self {
        let queue = order(exchange, &rule, &request);
        Self { exchange, request, rule, queue, next: 0, tables: 1 }
    }

    /// The route that the endpoint given last belongs to.
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The next endpoint of the table at hand.
    pub(crate) fn next(&mut self) -> Option<Target> {
        let address = *self.queue.get(self.next).filter(|_| self.next < TRIES)?;
        self.next += 1;
        let tls = upstream_of(&self.rule.security, self.request.encrypted)?;
        let is_last = self.next == TRIES.min(self.queue.len());
        Some(Target { address, tls, is_last })
    }

    /// Goes on with a newer table that knows other endpoints; waits for one a moment. False when there is none.
    pub(crate) async fn renew(&mut self) -> bool {
        if self.queue.is_empty() || self.tables == TABLES {
            return false;
        }
        self.tables += 1;
        let waited = tokio::time::timeout(NEWS_LIMIT, async {
            loop {
                // Asked before the table is looked at: one that is published in between counts.
                let published = self.exchange.published.notified();
                if let Some((rule, queue)) = self.others() {
                    return (rule, queue);
                }
                published.await;
            }
        })
        .await;
        match waited {
            Ok((rule, queue)) => {
                (self.rule, self.queue, self.next) = (rule, queue, 0);
                true
            }
            Err(_) => false,
        }
    }

    /// The route as it is now with its endpoints that were not asked yet; `None` where there are none.
    fn others(&self) -> Option<(Arc<Rule>, Vec<SocketAddr>)> {
        let path = self.request.path.as_ref().map_or("/", PathAndQuery::path);
        let rule = self.exchange.table.load().find(self.request.host, path).map(Arc::clone)?;
        if Arc::ptr_eq(&rule, &self.rule) {
            return None;
        }
        let mut queue = order(self.exchange, &rule, &self.request);
        let (asked, _) = self.queue.split_at(self.next);
        queue.retain(|address| !asked.contains(address));
        (!queue.is_empty()).then_some((rule, queue))
    }
}

fn order(exchange: &Exchange, rule: &Rule, request: &Asked<'_>) -> Vec<SocketAddr> {
    let mut queue = rule.backends.next(request.client);
    if let Some(mark) = &request.mark
        && let Some(place) = queue.iter().position(|address| rule.backends.mark(*address) == *mark)
        && let Some(up_to_it) = queue.get_mut(..=place)
    {
        up_to_it.rotate_right(1);
    }
    exchange.upstreams.prefer_reachable(&mut queue);
    queue
}

/// How the backends of a route are spoken to; `None` when a request that came this way is none of theirs.
#[expect(clippy::option_option, reason = "the inner one is the meaning of `Target::tls`")]
fn upstream_of(security: &Security, encrypted: bool) -> Option<Option<Arc<UpstreamTls>>> {
    match security {
        Security::Plain if encrypted => None,
        Security::Plain | Security::Edge { .. } => Some(None),
        Security::Reencrypt { upstream, .. } => Some(Some(Arc::clone(upstream))),
        Security::Passthrough { .. } => None,
    }
}

/// A request that may be sent again, for as long as it may.
pub(crate) struct Replay {
    head: Option<Parts>,
    left: u8,
}

impl Replay {
    /// For requests that do no harm when they arrive twice, and have no body that would be gone.
    pub(crate) fn of(request: &Request<RequestBody>) -> Self {
        let harmless = request.method().is_idempotent()
            && request.body().is_end_stream()
            && !request.headers().contains_key(UPGRADE)
            && !request.headers().contains_key(EXPECT);
        Self { head: harmless.then(|| head_of(request)), left: REPLAYS }
    }

    /// The request once more.
    pub(crate) fn again(&mut self, progress: &Progress) -> Option<Request<RequestBody>> {
        self.left = self.left.checked_sub(1)?;
        let head = if self.left == 0 { self.head.take()? } else { self.head.clone()? };
        Some(Request::from_parts(head, RequestBody::empty(progress.clone())))
    }
}

/// The head of a request, without what was noted beside it.
fn head_of(request: &Request<RequestBody>) -> Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.into_parts().0
}
