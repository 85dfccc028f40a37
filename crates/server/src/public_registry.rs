//! The host name by which the registry is reached from outside: that of the oldest admitted route to its service.
//!
//! Image streams show it as `status.publicDockerImageRepository`, and service accounts' pull secrets name it.

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
    pub(crate) fn follow(&self, client: &Client, tasks: &Tasks) {
        let routes = client.reflect::<Route>(Some(NAMESPACE), tasks);
        let host = Arc::clone(&self.host);
        tasks.spawn("public registry host", |stop| async move {
            let mut changed = routes.changed();
            loop {
                let newest = host_of(&routes.list());
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

fn host_of(routes: &[Arc<Route>]) -> Option<String> {
    let mut exposing: Vec<&Arc<Route>> =
        routes.iter().filter(|route| route.spec.to.name == SERVICE).collect();
    exposing.sort_by_key(|route| (route.metadata.creation_timestamp, route.metadata.uid.clone()));
    exposing.iter().find_map(|route| admitted_host(route))
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
