//! Keeps the proxy's table in step with the API.
//!
//! Owns the loop: objects change, the table is built anew and published, routes are told. A change that arrives while a
//! table is being built leads to another one; many changes at once lead to one.

use std::sync::Arc;
use std::time::Duration;

use pierhead_api::core::{Endpoints, Service};
use pierhead_api::route::Route;
use pierhead_client::{Client, Reflected};
use pierhead_runtime::{Backoff, CancellationToken, SharedClock, Tasks};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::proxy::{Proxy, ProxyConfig, StartError};
use crate::status::{self, RouterName};
use crate::table::{Inputs, PemCache, Policy, Table};

/// Changes that come within this are taken together.
const SETTLE: Duration = Duration::from_millis(10);

/// What the router needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses, certificate, limits.
    pub proxy: ProxyConfig,
    /// What it writes into the status of routes.
    pub name: RouterName,
    /// Whether routes may claim `*.domain`.
    pub wildcards: bool,
    /// PEM of the authorities that vouch for backends of reencrypt routes that name none.
    pub service_authority: Option<String>,
}

/// The router: a proxy for the routes of a cluster.
pub struct Router {
    client: Client,
    config: Config,
    clock: SharedClock,
}

#[derive(Clone)]
struct Sources {
    routes: Reflected<Route>,
    services: Reflected<Service>,
    endpoints: Reflected<Endpoints>,
}

impl Router {
    /// A router that reads and writes through `client`.
    pub fn new(client: Client, config: Config, clock: SharedClock) -> Self {
        Self { client, config, clock }
    }

    /// Binds, then serves and follows the API in the background until `tasks` stops.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn start(self, tasks: &Tasks) -> Result<Proxy, StartError> {
        let proxy = Proxy::start(&self.config.proxy, tasks)?;
        let sources = Sources {
            routes: self.client.reflect(None, tasks),
            services: self.client.reflect(None, tasks),
            endpoints: self.client.reflect(None, tasks),
        };
        let policy = Policy {
            router_name: self.config.name.name.clone(),
            wildcards: self.config.wildcards,
            service_authority: self.config.service_authority.clone(),
        };
        let (tables, published) = watch::channel(Arc::new(Table::default()));
        let (following, routes) = (sources.clone(), sources.routes);
        let serving = proxy.clone();
        tasks.spawn("route table", |stop| async move {
            following
                .follow(&policy, stop, |table| {
                    serving.publish(Arc::clone(&table));
                    tables.send_replace(table);
                })
                .await;
        });
        tasks.spawn("route status", |stop| self.tell(routes, published, stop));
        Ok(proxy)
    }

    /// Writes the status of routes whenever a table was published.
    async fn tell(
        self,
        routes: Reflected<Route>,
        mut published: watch::Receiver<Arc<Table>>,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut retry = None;
        loop {
            let wait = async {
                match retry {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = published.changed() => if changed.is_err() { return },
                () = wait => {}
            }
            let table = Arc::clone(&published.borrow_and_update());
            retry = if self.tell_all(&routes, &table).await {
                backoff.reset();
                None
            } else {
                Some(backoff.next_wait())
            };
        }
    }

    /// Whether every status that was wrong could be written.
    async fn tell_all(&self, routes: &Reflected<Route>, table: &Table) -> bool {
        let mut complete = true;
        for ((namespace, name), verdict) in table.verdicts() {
            let Some(route) = routes.get(Some(namespace), name) else { continue };
            let now = self.clock.now().into();
            let Some(updated) = status::updated(&route, verdict, &self.config.name, now) else { continue };
            match status::write(&self.client, &route, &updated).await {
                Ok(()) => {
                    info!(namespace, route = name, ?verdict, "Told route {namespace}/{name}: {verdict:?}")
                }
                Err(error) => {
                    complete = false;
                    warn!(namespace, route = name, %error, "Writing the status of route {namespace}/{name} failed");
                }
            }
        }
        complete
    }
}

impl Sources {
    /// Builds a table now and after every change.
    async fn follow(self, policy: &Policy, stop: CancellationToken, publish: impl Fn(Arc<Table>)) {
        let mut cache = PemCache::default();
        let mut changes = (self.routes.changed(), self.services.changed(), self.endpoints.changed());
        tokio::select! {
            () = stop.cancelled() => return,
            ((), (), ()) = async { tokio::join!(self.routes.synced(), self.services.synced(), self.endpoints.synced()) } => {}
        }
        loop {
            changes.0.mark_unchanged();
            changes.1.mark_unchanged();
            changes.2.mark_unchanged();
            publish(Arc::new(self.table(policy, &mut cache)));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = changes.0.changed() => if changed.is_err() { return },
                changed = changes.1.changed() => if changed.is_err() { return },
                changed = changes.2.changed() => if changed.is_err() { return },
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn table(&self, policy: &Policy, cache: &mut PemCache) -> Table {
        let (routes, services, endpoints) = (self.routes.list(), self.services.list(), self.endpoints.list());
        let inputs = Inputs { routes: &routes, services: &services, endpoints: &endpoints };
        Table::build(inputs, policy, cache)
    }
}
