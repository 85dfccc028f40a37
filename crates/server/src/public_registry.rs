//! The hosts by which the registry is reached: from outside those of the admitted routes to its service, and inside those
//! of the service.
//!
//! Image streams show the oldest route's as `status.publicDockerImageRepository`. It has a port unless the route has TLS and the router
//! has port 443: to every client a host without a port means HTTPS on that port.

use pierhead_api::route::Route;
use pierhead_client::Client;
use pierhead_client::egress::OwnHosts;
use pierhead_runtime::Tasks;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

/// Where the service of the registry is.
const NAMESPACE: &str = "default";
const SERVICE: &str = "docker-registry";

/// The newest known hosts. Clones are the same.
#[derive(Clone)]
pub(crate) struct PublicRegistry {
    host: Arc<RwLock<Option<String>>>,
    /// All that lead to us by a route.
    routed: Arc<RwLock<BTreeSet<String>>>,
    /// Where the service listens.
    service: SocketAddr,
}

impl PublicRegistry {
    /// Knows the names of the service, and nothing of routes yet.
    pub(crate) fn new(service: SocketAddr) -> Self {
        Self { host: Arc::default(), routed: Arc::default(), service }
    }

    /// A function that tells where a host, with its port where it has one, leads to if it is one of our own names.
    pub(crate) fn own_hosts(&self) -> OwnHosts {
        let (routed, service) = (Arc::clone(&self.routed), self.service);
        let port = service.port();
        let name = format!("{SERVICE}.{NAMESPACE}.svc");
        let inside = [service.to_string(), format!("{name}:{port}"), format!("{name}.cluster.local:{port}")];
        Arc::new(move |host| {
            let host = host.to_ascii_lowercase();
            let ours = inside.contains(&host) || routed.read().is_ok_and(|routed| routed.contains(&host));
            ours.then_some(service)
        })
    }

    /// A function that tells the newest known host.
    pub(crate) fn reader(&self) -> Arc<dyn Fn() -> Option<String> + Send + Sync> {
        let host = Arc::clone(&self.host);
        Arc::new(move || host.read().map(|host| host.clone()).unwrap_or_default())
    }

    /// Follows the routes until `tasks` stops.
    pub(crate) fn follow(&self, client: &Client, ports: RouterPorts, tasks: &Tasks) {
        let routes = client.reflect::<Route>(Some(NAMESPACE), tasks);
        let (host, routed) = (Arc::clone(&self.host), Arc::clone(&self.routed));
        tasks.spawn("public registry host", |stop| async move {
            let mut changed = routes.changed();
            loop {
                let newest = host_of(&routes.list(), ports);
                if let Ok(mut routed) = routed.write() {
                    *routed = all_hosts(&routes.list(), ports);
                }
                if let Ok(mut host) = host.write() {
                    *host = newest;
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    alive = changed.changed() => if alive.is_err() { return },
                }
            }
        });
    }
}

/// Where the router listens.
#[derive(Clone, Copy)]
pub(crate) struct RouterPorts {
    pub(crate) http: u16,
    pub(crate) https: u16,
}

fn host_of(routes: &[Arc<Route>], ports: RouterPorts) -> Option<String> {
    let mut exposing: Vec<&Arc<Route>> = routes.iter().filter(|route| route.leads_to(SERVICE)).collect();
    exposing.sort_by_key(|route| (route.metadata.creation_timestamp, route.metadata.uid.clone()));
    exposing.iter().find_map(|route| {
        let host = admitted_host(route)?;
        Some(match (&route.spec.tls, ports) {
            (Some(_), RouterPorts { https: 443, .. }) => host,
            (Some(_), RouterPorts { https, .. }) => format!("{host}:{https}"),
            (None, RouterPorts { http, .. }) => format!("{host}:{http}"),
        })
    })
}

/// Every spelling under which a route leads to the registry.
fn all_hosts(routes: &[Arc<Route>], ports: RouterPorts) -> BTreeSet<String> {
    let exposing = routes.iter().filter(|route| route.leads_to(SERVICE));
    let hosts = exposing.filter_map(|route| admitted_host(route));
    hosts
        .flat_map(|host| {
            let host = host.to_ascii_lowercase();
            let with_ports = [80, 443, ports.http, ports.https].map(|port| format!("{host}:{port}"));
            with_ports.into_iter().chain([host])
        })
        .collect()
}

fn admitted_host(route: &Route) -> Option<String> {
    route.status.ingress.iter().find(|ingress| ingress.is_admitted()).map(|ingress| ingress.host.clone())
}

#[cfg(test)]
mod tests {
    use super::{PublicRegistry, RouterPorts, all_hosts, host_of};
    use pierhead_api::route::Route;
    use std::sync::Arc;

    #[track_caller]
    fn check(tls: serde_json::Value, ports: RouterPorts, expected: Option<&str>) {
        let route: Route = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "docker-registry"},
            "spec": {"host": "r.x", "to": {"kind": "Service", "name": "docker-registry"}, "tls": tls},
            "status": {"ingress": [{"host": "r.x", "conditions": [{"type": "Admitted", "status": "True"}]}]},
        }))
        .unwrap();
        let routes = [Arc::new(route)];
        assert_eq!(host_of(&routes, ports).as_deref(), expected);
        let registry = PublicRegistry::new(([127, 0, 0, 1], 5000).into());
        *registry.routed.write().unwrap() = all_hosts(&routes, ports);
        let own = registry.own_hosts();
        for host in
            ["R.x", "r.x:80", "r.x:443", expected.unwrap_or("r.x"), "docker-registry.default.svc:5000"]
        {
            assert_eq!(own(host), Some(([127, 0, 0, 1], 5000).into()), "{host}");
        }
        assert_eq!((own("r.x:81"), own("quay.io"), own("127.0.0.1")), (None, None, None));
    }

    #[test]
    fn the_host_can_be_typed_as_it_is() {
        let (usual, other) = (RouterPorts { http: 80, https: 443 }, RouterPorts { http: 8080, https: 8444 });
        let edge = || serde_json::json!({"termination": "edge"});
        check(serde_json::Value::Null, usual, Some("r.x:80"));
        check(serde_json::Value::Null, other, Some("r.x:8080"));
        check(edge(), usual, Some("r.x"));
        check(edge(), other, Some("r.x:8444"));
        assert_eq!(host_of(&[], usual), None);
    }
}
