//! The host by which the registry is reached from outside: that of the oldest admitted route to its service.
//!
//! Image streams show it as `status.publicDockerImageRepository`. It has a port unless the route has TLS and the router
//! has port 443: to every client a host without a port means HTTPS on that port.

use pierhead_api::route::Route;
use pierhead_client::Client;
use pierhead_runtime::Tasks;
use std::sync::{Arc, RwLock};

/// Where the service of the registry is.
const NAMESPACE: &str = "default";
const SERVICE: &str = "docker-registry";

/// The newest known host. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct PublicRegistry {
    host: Arc<RwLock<Option<String>>>,
}

impl PublicRegistry {
    /// A function that tells the newest known host.
    pub(crate) fn reader(&self) -> Arc<dyn Fn() -> Option<String> + Send + Sync> {
        let host = Arc::clone(&self.host);
        Arc::new(move || host.read().map(|host| host.clone()).unwrap_or_default())
    }

    /// Follows the routes until `tasks` stops.
    pub(crate) fn follow(&self, client: &Client, ports: RouterPorts, tasks: &Tasks) {
        let routes = client.reflect::<Route>(Some(NAMESPACE), tasks);
        let host = Arc::clone(&self.host);
        tasks.spawn("public registry host", |stop| async move {
            let mut changed = routes.changed();
            loop {
                let newest = host_of(&routes.list(), ports);
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
    let mut exposing: Vec<&Arc<Route>> =
        routes.iter().filter(|route| route.spec.to.name == SERVICE).collect();
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

fn admitted_host(route: &Route) -> Option<String> {
    let admitted = |ingress: &&pierhead_api::route::RouteIngress| {
        ingress
            .conditions
            .iter()
            .any(|condition| condition.condition_type == "Admitted" && condition.status == "True")
    };
    route.status.ingress.iter().find(admitted).map(|ingress| ingress.host.clone())
}

#[cfg(test)]
mod tests {
    use super::{RouterPorts, host_of};
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
        assert_eq!(host_of(&[Arc::new(route)], ports).as_deref(), expected);
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
