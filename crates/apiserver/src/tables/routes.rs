//! Columns of routes, whose host cell tells what routers made of the route (platform 1.6).

use jiff::Timestamp;
use pierhead_api::route::{Route, RouteTargetReference};
use serde_json::Value;

use super::{Column, ColumnSet, Sets, name, typed};

pub(super) const SETS: Sets = &[(
    "routes.route.openshift.io",
    ColumnSet {
        columns: &[
            Column::NAME,
            Column::text("Host/Port"),
            Column::text("Path"),
            Column::text("Services"),
            Column::text("Port"),
            Column::text("Termination"),
            Column::text("Wildcard"),
        ],
        cells: route,
    },
)];

fn route(object: &Value, _: Timestamp) -> Vec<Value> {
    let route: Route = typed(object);
    let port =
        route.spec.port.as_ref().map_or_else(|| "<all>".to_owned(), |port| port.target_port.to_string());
    let termination = route.spec.tls.as_ref().map_or_else(String::new, |tls| {
        match tls.insecure_edge_termination_policy.as_str() {
            "" => tls.termination.clone(),
            policy => format!("{}/{policy}", tls.termination),
        }
    });
    vec![
        name(object),
        host(&route).into(),
        route.spec.path.clone().into(),
        services(&route).into(),
        port.into(),
        termination.into(),
        route.spec.wildcard_policy.clone().into(),
    ]
}

/// The host when a router serves it; otherwise why none does.
fn host(route: &Route) -> String {
    let ingress = &route.status.ingress;
    if ingress.is_empty() {
        return route.spec.host.clone();
    }
    let mut hosts: Vec<&str> = Vec::new();
    let mut rejected = 0_u32;
    let mut reason = None;
    for one in ingress {
        match one.admitted() {
            Some(_) if one.is_admitted() => hosts.push(&one.host),
            Some(condition) if condition.status == "False" => {
                rejected += 1;
                reason.get_or_insert(condition.reason.as_str());
            }
            _ => {}
        }
    }
    match (hosts.as_slice(), rejected) {
        ([], 0) => "Pending".to_owned(),
        ([], _) => reason.unwrap_or_default().to_owned(),
        ([first, ..], 1..) => format!("{first} ... {rejected} rejected"),
        ([only], 0) => (*only).to_owned(),
        ([first, more @ ..], 0) => format!("{first} ... {} more", more.len()),
    }
}

/// The services, with their shares of the traffic when there are several.
fn services(route: &Route) -> String {
    let others = &route.spec.alternate_backends;
    if others.is_empty() {
        return route.spec.to.name.clone();
    }
    let weight = |target: &RouteTargetReference| target.weight.unwrap_or(100).max(0);
    let all = || std::iter::once(&route.spec.to).chain(others);
    let total: i32 = all().map(weight).sum();
    let share = |target: &RouteTargetReference| {
        let percent = if total == 0 { 0 } else { weight(target) * 100 / total };
        format!("{}({percent}%)", target.name)
    };
    all().map(share).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{host, services};
    use crate::tables::tests::check;

    #[test]
    fn prints_routes() {
        check(
            "routes.route.openshift.io",
            json!({
                "metadata": {"name": "registry"},
                "spec": {
                    "host": "r.example.com", "path": "/v2", "to": {"name": "docker-registry"}, "wildcardPolicy": "None",
                    "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
                },
            }),
            &[
                ("Name", "registry"),
                ("Host/Port", "r.example.com"),
                ("Path", "/v2"),
                ("Services", "docker-registry"),
                ("Port", "<all>"),
                ("Termination", "edge/Redirect"),
                ("Wildcard", "None"),
            ],
        );
    }

    #[track_caller]
    fn check_host(ingress: Value, expected: &str) {
        let document = json!({"spec": {"host": "h"}, "status": {"ingress": ingress}});
        assert_eq!(host(&from_value(&document).unwrap()), expected);
    }

    #[test]
    fn the_host_cell_tells_what_routers_think() {
        let says = |host: &str, status: &str, reason: &str| json!({"host": host, "conditions": [{"type": "Admitted", "status": status, "reason": reason}]});
        check_host(json!([]), "h");
        check_host(json!([{"host": "a"}]), "Pending");
        check_host(json!([says("a", "True", "")]), "a");
        check_host(json!([says("a", "True", ""), says("b", "True", "")]), "a ... 1 more");
        check_host(json!([says("a", "False", "HostAlreadyClaimed")]), "HostAlreadyClaimed");
        check_host(json!([says("a", "False", "X"), says("b", "True", "")]), "b ... 1 rejected");
    }

    #[test]
    fn shares_of_traffic_are_shown() {
        let document = json!({"spec": {
            "to": {"name": "a", "weight": 100}, "alternateBackends": [{"name": "b", "weight": 300}],
        }});
        assert_eq!(services(&from_value(&document).unwrap()), "a(25%),b(75%)");
    }
}
