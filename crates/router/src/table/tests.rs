//! Rows for admission, matching and balancing.

use std::collections::BTreeMap;
use std::sync::Arc;

use pierhead_api::from_value;
use pierhead_api::route::Route;
use serde_json::{Value, json};

use super::{Inputs, PemCache, Policy, Table, Verdict, covers, parse_duration};

/// Any client.
const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn policy() -> Policy {
    Policy { router_name: "router".into(), wildcards: true, service_authority: None }
}

/// `namespace/name`, the second it was created in, and its spec.
fn route(key: &str, second: u8, spec: Value) -> Arc<Route> {
    let (namespace, name) = key.split_once('/').unwrap();
    let document = json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("uid-{name}"),
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        },
        "spec": spec,
    });
    let mut route: Route = from_value(&document).unwrap();
    route.set_defaults();
    Arc::new(route)
}

fn build(routes: &[Arc<Route>], policy: &Policy) -> Table {
    Table::build(Inputs { routes, services: &[], endpoints: &[] }, policy, &mut PemCache::default())
}

/// Each route's verdict as `admitted` or `Reason: message`; independent of the order in which routes are given.
#[track_caller]
fn check(routes: &[Arc<Route>], expected: &[(&str, &str)]) {
    let backwards: Vec<_> = routes.iter().rev().cloned().collect();
    for order in [routes, &backwards] {
        let table = build(order, &policy());
        let verdicts: BTreeMap<String, String> = table
            .verdicts()
            .map(|((namespace, name), verdict)| {
                let text = match verdict {
                    Verdict::Admitted { .. } => "admitted".to_owned(),
                    Verdict::Rejected { reason, message, .. } => format!("{reason}: {message}"),
                };
                (format!("{namespace}/{name}"), text)
            })
            .collect();
        let expected = expected.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        assert_eq!(verdicts, expected);
    }
}

#[test]
fn the_oldest_route_wins_a_host_and_path() {
    let host = json!({"host": "shop.example.com", "to": {"name": "web"}});
    let other_path = json!({"host": "Shop.example.com", "path": "/api", "to": {"name": "web"}});
    check(
        &[
            route("shop/new", 3, host.clone()),
            route("shop/old", 1, host.clone()),
            route("shop/api", 2, other_path),
            route("evil/thief", 2, host),
        ],
        &[
            ("shop/old", "admitted"),
            ("shop/api", "admitted"),
            ("shop/new", "HostAlreadyClaimed: route old already exposes shop.example.com and is older"),
            (
                "evil/thief",
                "HostAlreadyClaimed: a route in another namespace holds shop.example.com and is older than thief",
            ),
        ],
    );
}

#[test]
fn equal_age_is_decided_by_uid() {
    let host = json!({"host": "shop.example.com", "to": {"name": "web"}});
    check(
        &[route("a/second", 1, host.clone()), route("b/first", 1, host)],
        &[
            ("b/first", "admitted"),
            (
                "a/second",
                "HostAlreadyClaimed: a route in another namespace holds shop.example.com and is older than second",
            ),
        ],
    );
}

#[test]
fn a_route_that_was_served_is_told_by_whom_it_was_replaced() {
    let host = json!({"host": "shop.example.com", "to": {"name": "web"}});
    for (status, message) in [("True", ""), ("False", "replaced by older route old")] {
        let mut served = Route::clone(&route("shop/new", 2, host.clone()));
        let ingress = json!([{"host": "shop.example.com", "routerName": "router",
            "conditions": [{"type": "Admitted", "status": status, "message": message}]}]);
        served.status.ingress = serde_json::from_value(ingress).unwrap();
        check(
            &[route("shop/old", 1, host.clone()), Arc::new(served)],
            &[("shop/old", "admitted"), ("shop/new", "HostAlreadyClaimed: replaced by older route old")],
        );
    }
}

#[test]
fn a_wildcard_holds_its_domain_against_other_namespaces() {
    let wildcard = json!({"host": "any.example.com", "wildcardPolicy": "Subdomain", "to": {"name": "web"}});
    let below = json!({"host": "shop.example.com", "to": {"name": "web"}});
    let deeper = json!({"host": "a.shop.example.com", "to": {"name": "web"}});
    let routes = [
        route("shop/all", 1, wildcard.clone()),
        route("shop/own", 2, below.clone()),
        route("evil/below", 2, json!({"host": "x.example.com", "to": {"name": "web"}})),
        route("evil/deeper", 2, deeper),
    ];
    check(
        &routes,
        &[
            ("shop/all", "admitted"),
            ("shop/own", "admitted"),
            (
                "evil/below",
                "HostAlreadyClaimed: a route in another namespace holds x.example.com and is older than below",
            ),
            ("evil/deeper", "admitted"),
        ],
    );
    let table = build(&routes, &policy());
    let found = |host: &str| table.find(host, "/").map(|rule| rule.key.1.clone());
    assert_eq!(found("shop.example.com").as_deref(), Some("own"));
    assert_eq!(found("other.example.com").as_deref(), Some("all"));
    assert_eq!(found("example.com"), None);
    check(
        &[route("shop/own", 1, below), route("evil/all", 2, wildcard.clone())],
        &[
            ("shop/own", "admitted"),
            (
                "evil/all",
                "HostAlreadyClaimed: a route in another namespace holds any.example.com and is older than all",
            ),
        ],
    );
    let refusing = Policy { wildcards: false, ..policy() };
    let table = build(&[route("shop/all", 1, wildcard)], &refusing);
    let verdict = table.verdicts().next().unwrap().1;
    assert_eq!(
        *verdict,
        Verdict::Rejected {
            host: "any.example.com".into(),
            reason: "RouteNotAdmitted",
            message: "wildcard routes are not allowed".into()
        }
    );
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    let check_one =
        |spec: Value, expected: &str| check(&[route("shop/web", 1, spec)], &[("shop/web", expected)]);
    check_one(json!({"to": {"name": "web"}}), "NoHostValue: no host value was defined for the route");
    for hostile in
        ["a b.example.com", "shop.example.com\n  server evil 192.0.2.1", "{{.Host}}", "-a.example.com"]
    {
        check_one(
            json!({"host": hostile, "to": {"name": "web"}}),
            "InvalidHost: host name must conform to DNS 952 subdomain conventions, with labels of at most 63 characters",
        );
    }
    check_one(
        json!({"host": "a.example.com", "tls": {"termination": "edge", "certificate": "x", "key": "y"}}),
        "ExtendedValidationFailed: spec.tls.certificate: Invalid value: \"redacted certificate data\": \
         no certificate found in certificate",
    );
    check_one(
        json!({"host": "a.example.com", "tls": {"termination": "edge", "certificate": "x"}}),
        "ExtendedValidationFailed: spec.tls: certificate and key must be given together",
    );
    check_one(
        json!({"host": "a.example.com", "tls": {"termination": "reencrypt"}}),
        "ExtendedValidationFailed: spec.tls.destinationCACertificate: Required value: \
         no service authority is configured",
    );
}

#[test]
fn the_longest_path_wins_and_ends_at_a_slash() {
    let at = |name: &str, path: &str| {
        route(
            &format!("shop/{name}"),
            1,
            json!({"host": "shop.example.com", "path": path, "to": {"name": "web"}}),
        )
    };
    let table = build(&[at("root", ""), at("api", "/api"), at("v2", "/api/v2/")], &policy());
    let check = |path: &str, expected: &str| {
        assert_eq!(table.find("shop.example.com", path).unwrap().key.1, expected, "{path}");
    };
    check("/", "root");
    check("/apis", "root");
    check("/api", "api");
    check("/api/v1", "api");
    check("/api/v2", "v2");
    check("/api/v2/pods", "v2");
    let table = build(&[at("api", "/api")], &policy());
    assert!(table.find("shop.example.com", "/").is_none());
    assert!(covers("", "*"));
}

fn balanced(spec: Value) -> Table {
    balanced_route(route("shop/web", 1, spec))
}

/// The table of one route to services `a`, with two endpoints, `b`, with one, and `empty`.
fn balanced_route(route: Arc<Route>) -> Table {
    let service = |name: &str, ports: Value| {
        let document = json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"ports": ports}});
        Arc::new(from_value(&document).unwrap())
    };
    let endpoints = |name: &str, addresses: &[&str], ports: Value| {
        let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        let subsets =
            json!([{"addresses": addresses, "notReadyAddresses": [{"ip": "10.9.9.9"}], "ports": ports}]);
        let document = json!({"metadata": {"namespace": "shop", "name": name}, "subsets": subsets});
        Arc::new(from_value(&document).unwrap())
    };
    let ports = json!([{"name": "web", "port": 80, "targetPort": 8080}, {"name": "admin", "port": 81, "targetPort": "adm"}]);
    let services = [service("a", ports.clone()), service("b", ports.clone()), service("empty", ports)];
    let ports = json!([{"name": "web", "port": 8080}, {"name": "admin", "port": 9090}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    let endpoints =
        [endpoints("a", &["10.0.0.1", "10.0.0.2"], ports.clone()), endpoints("b", &["10.0.1.1"], ports)];
    let inputs = Inputs { routes: &[route], services: &services, endpoints: &endpoints };
    Table::build(inputs, &policy(), &mut PemCache::default())
}

/// How many of `requests` each address gets first.
fn shares(spec: Value, requests: usize) -> BTreeMap<String, usize> {
    let table = balanced(spec);
    let rule = table.find("shop.example.com", "/").unwrap();
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        if let Some(first) = rule.backends.next(CLIENT).first() {
            *shares.entry(first.to_string()).or_default() += 1;
        }
    }
    shares
}

#[test]
fn the_port_is_found_by_name_number_or_target() {
    let first = |port: Value| {
        let spec = json!({"host": "shop.example.com", "to": {"name": "b"}, "port": {"targetPort": port}});
        shares(spec, 1).into_keys().next()
    };
    assert_eq!(first(json!("web")).as_deref(), Some("10.0.1.1:8080"));
    assert_eq!(first(json!(8080)).as_deref(), Some("10.0.1.1:8080"));
    assert_eq!(first(json!(80)).as_deref(), Some("10.0.1.1:8080"));
    assert_eq!(first(json!("adm")).as_deref(), Some("10.0.1.1:9090"));
    assert_eq!(first(json!(53)), None);
    assert_eq!(first(json!("nothing")), None);
}

#[test]
fn requests_are_spread_by_weight() {
    let spec = |weights: [i32; 2], other: &str| {
        json!({"host": "shop.example.com", "port": {"targetPort": "web"},
            "to": {"name": "b", "weight": weights[0]},
            "alternateBackends": [{"name": other, "weight": weights[1]}]})
    };
    let even = shares(spec([100, 100], "a"), 1000);
    assert!((480..=520).contains(&even["10.0.1.1:8080"]), "{even:?}");
    assert!((230..=270).contains(&even["10.0.0.1:8080"]), "{even:?}");
    let uneven = shares(spec([10, 30], "a"), 1000);
    assert!((230..=270).contains(&uneven["10.0.1.1:8080"]), "{uneven:?}");
    assert_eq!(shares(spec([0, 1], "a"), 100).get("10.0.1.1:8080"), None);
    assert_eq!(shares(spec([1, 250], "empty"), 100)["10.0.1.1:8080"], 100);
    assert_eq!(shares(spec([0, 0], "a"), 100), BTreeMap::new());
    let everyone = balanced(spec([100, 1], "a"));
    let order = everyone.find("shop.example.com", "/").unwrap().backends.next(CLIENT);
    assert_eq!(order.len(), 3, "all endpoints are there to fall back on: {order:?}");
}

#[test]
fn annotations_say_who_is_asked_and_for_how_long() {
    let spec = json!({"host": "shop.example.com", "to": {"name": "a"}, "port": {"targetPort": "web"}});
    let table = |annotations: Value, spec: &Value| {
        let mut route = Route::clone(&route("shop/web", 1, spec.clone()));
        route.metadata.annotations = serde_json::from_value(annotations).unwrap();
        balanced_route(Arc::new(route))
    };
    let firsts = |table: &Table, client: [u8; 4]| -> std::collections::BTreeSet<_> {
        let rule = table.find("shop.example.com", "/").unwrap();
        (0..64).filter_map(|_| rule.backends.next(client.into()).first().copied()).collect()
    };
    let by = |balance: &str| table(json!({"haproxy.router.openshift.io/balance": balance}), &spec);
    assert_eq!(firsts(&by("roundrobin"), [10, 0, 0, 1]).len(), 2);
    assert_eq!(firsts(&by("random"), [10, 0, 0, 1]).len(), 2);
    let source = by("source");
    let all: std::collections::BTreeSet<_> = (0..64)
        .flat_map(|host| {
            let mine = firsts(&source, [10, 0, 0, host]);
            assert_eq!(mine.len(), 1, "a client stays where it is");
            mine
        })
        .collect();
    assert_eq!(all.len(), 2, "clients are spread");
    let mut passthrough = spec.clone();
    passthrough["tls"] = json!({"termination": "passthrough"});
    assert_eq!(firsts(&table(json!({}), &passthrough), [10, 0, 0, 1]).len(), 1);
    let rule_of =
        |annotations: Value| Arc::clone(table(annotations, &spec).find("shop.example.com", "/").unwrap());
    let plain = rule_of(json!({}));
    assert_eq!(plain.cookie.as_deref().map(str::len), Some(16));
    assert_eq!((plain.idle, plain.tunnel_idle), (None, None));
    let named = rule_of(json!({
        "router.openshift.io/cookie_name": "shop", "haproxy.router.openshift.io/timeout": "5s",
        "haproxy.router.openshift.io/timeout-tunnel": "1h",
    }));
    assert_eq!(named.cookie.as_deref(), Some("shop"));
    let seconds = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_secs());
    assert_eq!((seconds(named.idle), seconds(named.tunnel_idle)), (Some(5), Some(3600)));
    let answers = rule_of(json!({"haproxy.router.openshift.io/timeout": "5s"}));
    assert_eq!(answers.tunnel_idle, None, "what is meant for answers ends no websocket");
    let hostile = rule_of(json!({"router.openshift.io/cookie_name": "a=b; path=/"}));
    assert_eq!(hostile.cookie, plain.cookie);
    assert_eq!(rule_of(json!({"haproxy.router.openshift.io/disable_cookies": "true"})).cookie, None);
}

#[test]
fn durations_are_read_as_haproxy_does() {
    let check = |text: &str, expected: Option<u64>| {
        assert_eq!(parse_duration(text).map(|limit| limit.as_millis()), expected.map(u128::from), "{text}");
    };
    check("30s", Some(30_000));
    check("5000", Some(5000));
    check("2h", Some(7_200_000));
    check("0", None);
    check("s", None);
    check("1y", None);
    check("99999999999999999999s", None);
    check("5m; server evil", None);
}
