//! Which routes are admitted (`openshift-platform.md` 7.4).
//!
//! Owns the claims on hosts and paths: the oldest route wins, a host belongs to the namespace of its oldest route.
//! The answer depends on the set of routes only, not on the order in which they became known; the one use of a
//! route's present status is the wording for a route that was admitted before an older one appeared.

use std::collections::HashMap;
use std::sync::Arc;

use pierhead_api::name;
use pierhead_api::route::Route;

use super::certificates::{CertificateProblem, PemCache};
use super::{Insecure, Policy, RouteKey, Security};

/// Whether the router serves a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Admitted {
        /// The host it is served under.
        host: String,
    },
    /// It does not.
    Rejected {
        /// The host it wanted.
        host: String,
        /// One word for programs.
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
}

/// Why a route is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    reason: &'static str,
    message: String,
}

impl Rejection {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A route on its way through admission.
pub(super) struct Candidate<'a> {
    pub(super) route: &'a Route,
    /// In lower case.
    pub(super) host: String,
    pub(super) outcome: Result<Security, Rejection>,
}

impl Candidate<'_> {
    pub(super) fn key(&self) -> RouteKey {
        let metadata = &self.route.metadata;
        (metadata.namespace.clone(), metadata.name.clone())
    }

    pub(super) fn verdict(&self) -> Verdict {
        let host = self.route.spec.host.clone();
        match &self.outcome {
            Ok(_) => Verdict::Admitted { host },
            Err(rejection) => {
                Verdict::Rejected { host, reason: rejection.reason, message: rejection.message.clone() }
            }
        }
    }

    /// The domain that the route claims as a whole.
    pub(super) fn wildcard_domain(&self) -> Option<&str> {
        let wildcard = self.route.spec.wildcard_policy == "Subdomain";
        self.host.split_once('.').map(|(_, domain)| domain).filter(|_| wildcard)
    }
}

/// Decides on every route, oldest first.
pub(super) fn decide<'a>(
    routes: &'a [Arc<Route>],
    policy: &Policy,
    cache: &mut PemCache,
) -> Vec<Candidate<'a>> {
    let mut routes: Vec<&Route> = routes.iter().map(Arc::as_ref).collect();
    routes.sort_by(|a, b| age(a).cmp(&age(b)));
    let mut claims = Claims::default();
    let mut candidates = Vec::with_capacity(routes.len());
    for route in routes {
        let mut candidate = Candidate {
            route,
            host: route.spec.host.to_ascii_lowercase(),
            outcome: validate(route, policy, cache),
        };
        if candidate.outcome.is_ok()
            && let Err(rejection) = claims.claim(&candidate, &policy.router_name)
        {
            candidate.outcome = Err(rejection);
        }
        candidates.push(candidate);
    }
    candidates
}

/// Sorts by creation, then uid. A route without a creation time is newest: it was not stored yet.
fn age(route: &Route) -> (bool, Option<pierhead_api::meta::Time>, &str, &str, &str) {
    let metadata = &route.metadata;
    let created = metadata.creation_timestamp;
    (created.is_none(), created, &metadata.uid, &metadata.namespace, &metadata.name)
}

/// What a route may be refused for without looking at others.
fn validate(route: &Route, policy: &Policy, cache: &mut PemCache) -> Result<Security, Rejection> {
    let spec = &route.spec;
    if spec.host.is_empty() {
        return Err(Rejection::new("NoHostValue", "no host value was defined for the route"));
    }
    let problems = name::dns1123_subdomain(&spec.host.to_ascii_lowercase());
    let long_label = spec.host.split('.').any(|label| label.len() > 63);
    if !problems.is_empty() || long_label {
        let message =
            "host name must conform to DNS 952 subdomain conventions, with labels of at most 63 characters";
        return Err(Rejection::new("InvalidHost", message));
    }
    match spec.wildcard_policy.as_str() {
        "" | "None" => {}
        "Subdomain" if policy.wildcards && spec.host.contains('.') => {}
        _ => return Err(Rejection::new("RouteNotAdmitted", "wildcard routes are not allowed")),
    }
    security(route, policy, cache)
}

fn security(route: &Route, policy: &Policy, cache: &mut PemCache) -> Result<Security, Rejection> {
    let Some(tls) = &route.spec.tls else { return Ok(Security::Plain) };
    let insecure = match tls.insecure_edge_termination_policy.as_str() {
        "Allow" => Insecure::Allow,
        "Redirect" => Insecure::Redirect,
        _ => Insecure::Refuse,
    };
    let invalid =
        |problem: CertificateProblem| Rejection::new("ExtendedValidationFailed", problem.to_string());
    match tls.termination.as_str() {
        "passthrough" => Ok(Security::Passthrough { insecure }),
        "edge" | "" => {
            let certificate = cache.certificate(tls).map_err(invalid)?;
            Ok(Security::Edge { insecure, certificate })
        }
        "reencrypt" => {
            let certificate = cache.certificate(tls).map_err(invalid)?;
            let upstream =
                cache.upstream(route, tls, policy.service_authority.as_deref()).map_err(invalid)?;
            Ok(Security::Reencrypt { insecure, certificate, upstream })
        }
        other => {
            let message = format!("spec.tls.termination: Unsupported value: {other:?}");
            Err(Rejection::new("ExtendedValidationFailed", message))
        }
    }
}

/// Who holds which host and path. Filled oldest first.
#[derive(Default)]
struct Claims<'a> {
    /// Namespace that holds a host.
    hosts: HashMap<String, &'a str>,
    /// Namespace that holds a domain as a whole.
    domains: HashMap<String, &'a str>,
    /// Namespaces that hold hosts directly below a domain.
    below: HashMap<String, Vec<&'a str>>,
    /// Route that holds a host (or `*.domain`) and path.
    paths: HashMap<(String, String), &'a str>,
}

impl<'a> Claims<'a> {
    fn claim(&mut self, candidate: &Candidate<'a>, router_name: &str) -> Result<(), Rejection> {
        let metadata = &candidate.route.metadata;
        let (namespace, name) = (metadata.namespace.as_str(), metadata.name.as_str());
        let domain = candidate.host.split_once('.').map_or("", |(_, domain)| domain).to_owned();
        let is_wildcard = candidate.wildcard_domain().is_some();
        let (held, holder) = if is_wildcard {
            let below = self.below.get(&domain).and_then(|all| all.iter().find(|other| **other != namespace));
            (format!("*.{domain}"), self.domains.get(&domain).or(below))
        } else {
            let holder = self.hosts.get(&candidate.host).or_else(|| self.domains.get(&domain));
            (candidate.host.clone(), holder)
        };
        if holder.is_some_and(|holder| *holder != namespace) {
            let message = format!(
                "a route in another namespace holds {} and is older than {name}",
                candidate.route.spec.host
            );
            return Err(Rejection::new("HostAlreadyClaimed", message));
        }
        let path = candidate.route.spec.path.trim_end_matches('/').to_owned();
        if let Some(older) = self.paths.get(&(held.clone(), path.clone())) {
            let replaced = format!("replaced by older route {older}");
            let message = if was_admitted(candidate.route, router_name, &replaced) {
                replaced
            } else {
                format!("route {older} already exposes {} and is older", candidate.route.spec.host)
            };
            return Err(Rejection::new("HostAlreadyClaimed", message));
        }
        self.paths.insert((held, path), name);
        if is_wildcard {
            self.domains.entry(domain).or_insert(namespace);
        } else {
            self.hosts.entry(candidate.host.clone()).or_insert(namespace);
            self.below.entry(domain).or_default().push(namespace);
        }
        Ok(())
    }
}

/// Whether the route's status says that this router served it, or stopped to for this very reason.
fn was_admitted(route: &Route, router_name: &str, replaced: &str) -> bool {
    let own = route.status.ingress.iter().filter(|ingress| ingress.router_name == router_name);
    let mut conditions = own
        .flat_map(|ingress| &ingress.conditions)
        .filter(|condition| condition.condition_type == "Admitted");
    conditions.any(|condition| condition.status == "True" || condition.message == replaced)
}
