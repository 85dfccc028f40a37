//! Routes, services and endpoints, turned into what listeners ask: which route serves this host and path?
//!
//! Owns the match and the snapshot; which routes are admitted is in `admission`, endpoints in `backends`,
//! certificates in `certificates`. Pure: no I/O and no clock. Nothing of a route is ever put into a text that
//! something else parses (`reliability-and-security.md` 7-A A9).

mod admission;
mod backends;
mod certificates;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pierhead_api::core::{Endpoints, Service};
use pierhead_api::route::Route;
use rustls::sign::CertifiedKey;

pub use admission::Verdict;
pub(crate) use backends::Backends;
pub use certificates::PemCache;
pub(crate) use certificates::UpstreamTls;

/// What a table is built from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// All routes of all namespaces.
    pub routes: &'a [Arc<Route>],
    /// All services of all namespaces.
    pub services: &'a [Arc<Service>],
    /// All endpoints of all namespaces.
    pub endpoints: &'a [Arc<Endpoints>],
}

/// What the router admits, beyond what is valid.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name under which the router writes into the status of routes.
    pub router_name: String,
    /// Whether routes may claim `*.domain`.
    pub wildcards: bool,
    /// PEM of the authorities that vouch for backends of reencrypt routes that name none.
    pub service_authority: Option<String>,
}

/// The name of a route: namespace and name.
pub type RouteKey = (String, String);

/// An immutable snapshot of what is served.
#[derive(Debug, Default)]
pub struct Table {
    hosts: HashMap<String, Host>,
    /// By the domain after `*.`.
    wildcards: HashMap<String, Host>,
    verdicts: BTreeMap<RouteKey, Verdict>,
}

/// The routes of one host, longest path first.
#[derive(Debug, Default)]
pub(crate) struct Host {
    rules: Vec<Arc<Rule>>,
}

/// An admitted route.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) key: RouteKey,
    /// Empty means every path.
    pub(crate) path: String,
    pub(crate) security: Security,
    pub(crate) backends: Backends,
    /// The cookie that keeps a client at its endpoint; absent where there is nothing to keep or the route forbids it.
    pub(crate) cookie: Option<String>,
    /// How long neither side may send anything; the router's own limit when absent.
    pub(crate) idle: Option<Duration>,
    /// The same for tunnels: upgraded connections, and before `idle` passthrough ones.
    pub(crate) tunnel_idle: Option<Duration>,
}

/// How a route treats encryption.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    /// Plain HTTP only.
    Plain,
    /// TLS ends here; the backend speaks plain HTTP.
    Edge { insecure: Insecure, certificate: Option<Arc<CertifiedKey>> },
    /// TLS ends here and begins anew towards the backend.
    Reencrypt { insecure: Insecure, certificate: Option<Arc<CertifiedKey>>, upstream: Arc<UpstreamTls> },
    /// TLS ends at the backend; we see only the host name.
    Passthrough { insecure: Insecure },
}

/// What happens to plain HTTP on a route with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insecure {
    /// 503.
    Refuse,
    /// Served like HTTPS.
    Allow,
    /// 302 to HTTPS.
    Redirect,
}

impl Table {
    /// Decides which routes are admitted and makes them findable.
    pub fn build(inputs: Inputs<'_>, policy: &Policy, cache: &mut PemCache) -> Self {
        let lookup = backends::Lookup::new(inputs.services, inputs.endpoints);
        let mut table = Self::default();
        cache.begin();
        for candidate in admission::decide(inputs.routes, policy, cache) {
            let key = candidate.key();
            if let Ok(security) = &candidate.outcome {
                let backends = lookup.backends(candidate.route);
                let rule = Rule {
                    key: key.clone(),
                    path: candidate.route.spec.path.trim_end_matches('/').to_owned(),
                    security: security.clone(),
                    cookie: backends.offers_choice().then(|| cookie_name(candidate.route)).flatten(),
                    backends,
                    idle: limit(candidate.route, TIMEOUT_ANNOTATION),
                    tunnel_idle: limit(candidate.route, TUNNEL_ANNOTATION),
                };
                table.host_mut(&candidate).rules.push(Arc::new(rule));
            }
            table.verdicts.insert(key, candidate.verdict());
        }
        cache.end();
        for host in table.hosts.values_mut().chain(table.wildcards.values_mut()) {
            host.rules.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
        }
        table
    }

    fn host_mut(&mut self, candidate: &admission::Candidate<'_>) -> &mut Host {
        match candidate.wildcard_domain() {
            Some(domain) => self.wildcards.entry(domain.to_owned()).or_default(),
            None => self.hosts.entry(candidate.host.clone()).or_default(),
        }
    }

    /// Whether each route is admitted, and why not.
    pub fn verdicts(&self) -> impl Iterator<Item = (&RouteKey, &Verdict)> {
        self.verdicts.iter()
    }

    /// The route for a host (lower case, no port) and a path.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Arc<Rule>> {
        let exact = self.hosts.get(host).and_then(|host| host.find(path));
        exact.or_else(|| self.wildcard(host)?.find(path))
    }

    /// The passthrough route of a host, if it has one: it takes all TLS of that host.
    pub(crate) fn passthrough(&self, host: &str) -> Option<&Arc<Rule>> {
        let rules = self.hosts.get(host).or_else(|| self.wildcard(host)).map(|host| host.rules.as_slice());
        rules.unwrap_or_default().iter().find(|rule| matches!(rule.security, Security::Passthrough { .. }))
    }

    /// Every endpoint that some route leads to.
    pub(crate) fn addresses(&self) -> HashSet<SocketAddr> {
        let hosts = self.hosts.values().chain(self.wildcards.values());
        hosts.flat_map(|host| &host.rules).flat_map(|rule| rule.backends.addresses()).collect()
    }

    fn wildcard(&self, host: &str) -> Option<&Host> {
        self.wildcards.get(host.split_once('.')?.1)
    }

    /// The certificates to show, by host name or `*.domain`.
    pub(crate) fn certificates(&self) -> HashMap<String, Arc<CertifiedKey>> {
        let exact = self.hosts.iter().map(|(name, host)| (name.clone(), host));
        let wildcards = self.wildcards.iter().map(|(domain, host)| (format!("*.{domain}"), host));
        let own = |host: &Host| host.rules.iter().find_map(|rule| rule.security.certificate()).cloned();
        exact.chain(wildcards).filter_map(|(name, host)| Some((name, own(host)?))).collect()
    }
}

impl Host {
    fn find(&self, path: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| covers(&rule.path, path))
    }
}

/// Whether `prefix`, which does not end in `/`, is `path` or a parent of it.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
}

impl Security {
    fn certificate(&self) -> Option<&Arc<CertifiedKey>> {
        match self {
            Self::Edge { certificate, .. } | Self::Reencrypt { certificate, .. } => certificate.as_ref(),
            Self::Plain | Self::Passthrough { .. } => None,
        }
    }
}

const TIMEOUT_ANNOTATION: &str = "haproxy.router.openshift.io/timeout";
const TUNNEL_ANNOTATION: &str = "haproxy.router.openshift.io/timeout-tunnel";
const COOKIE_ANNOTATION: &str = "router.openshift.io/cookie_name";
const NO_COOKIES_ANNOTATION: &str = "haproxy.router.openshift.io/disable_cookies";

/// The limit that a route's annotation sets; anything that is not a duration is as good as none.
fn limit(route: &Route, annotation: &str) -> Option<Duration> {
    parse_duration(route.metadata.annotation(annotation)?)
}

/// The name of a route's cookie: the annotation's, or one that does not tell what it belongs to.
fn cookie_name(route: &Route) -> Option<String> {
    let metadata = &route.metadata;
    if metadata.annotation(NO_COOKIES_ANNOTATION).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let is_token = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let chosen = metadata.annotation(COOKIE_ANNOTATION).filter(is_token).map(str::to_owned);
    let made_up = || backends::mark_of(&format!("{}/{}", metadata.namespace, metadata.name));
    Some(chosen.unwrap_or_else(made_up))
}

/// Durations as HAProxy writes them: a number and `us`, `ms`, `s`, `m`, `h` or `d`; milliseconds without a unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let microseconds: u64 = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    Some(Duration::from_micros(number.checked_mul(microseconds)?)).filter(|limit| !limit.is_zero())
}
