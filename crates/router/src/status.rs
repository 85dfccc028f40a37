//! Tells each route what became of it (`openshift-platform.md` 7.4).
//!
//! Owns this router's entry in `status.ingress`; entries of other routers are left as they are. Writing is idempotent:
//! a route that says the right thing already is not written.

use std::sync::Arc;

use pierhead_api::meta::Time;
use pierhead_api::route::{Route, RouteIngress, RouteIngressCondition};
use pierhead_client::{Client, ClientError};

use crate::table::Verdict;

/// How the router calls itself in the status of routes.
#[derive(Clone, Debug)]
pub struct RouterName {
    /// `routerName` of the entry.
    pub name: String,
    /// `routerCanonicalHostname` of the entry; empty leaves it out.
    pub canonical_hostname: String,
}

/// The route with the status that `verdict` asks for; none when it has it already.
pub(crate) fn updated(route: &Route, verdict: &Verdict, router: &RouterName, now: Time) -> Option<Route> {
    let own = route.status.ingress.iter().position(|ingress| ingress.router_name == router.name);
    let present = own.and_then(|index| route.status.ingress.get(index));
    let wanted = entry(route, verdict, router, present, now);
    if present == Some(&wanted) {
        return None;
    }
    let mut route = route.clone();
    match own.and_then(|index| route.status.ingress.get_mut(index)) {
        Some(entry) => *entry = wanted,
        None => route.status.ingress.push(wanted),
    }
    Some(route)
}

fn entry(
    route: &Route,
    verdict: &Verdict,
    router: &RouterName,
    present: Option<&RouteIngress>,
    now: Time,
) -> RouteIngress {
    let (host, status, reason, message) = match verdict {
        Verdict::Admitted { host } => (host, "True", "", ""),
        Verdict::Rejected { host, reason, message } => (host, "False", *reason, message.as_str()),
    };
    let admitted = present
        .and_then(|entry| entry.conditions.iter().find(|condition| condition.condition_type == "Admitted"));
    let since = admitted
        .filter(|condition| condition.status == status)
        .and_then(|condition| condition.last_transition_time);
    RouteIngress {
        host: host.clone(),
        router_name: router.name.clone(),
        conditions: vec![RouteIngressCondition {
            condition_type: "Admitted".into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            last_transition_time: Some(since.unwrap_or_else(|| now.to_second())),
        }],
        wildcard_policy: if route.spec.wildcard_policy.is_empty() {
            "None".into()
        } else {
            route.spec.wildcard_policy.clone()
        },
        router_canonical_hostname: router.canonical_hostname.clone(),
    }
}

/// Writes the status of one route. Losing a race or finding the route gone is success: the change that won will be
/// seen, and decided on, next.
pub(crate) async fn write(client: &Client, route: &Arc<Route>, updated: &Route) -> Result<(), ClientError> {
    match client.replace_status(Some(&route.metadata.namespace), updated).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
