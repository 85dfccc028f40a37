//! The node as a whole: started once, then on its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pierhead_api::core::{Namespace, Pod};
use pierhead_client::{Client, Reflected};
use pierhead_runtime::{Backoff, CancellationToken, SharedClock, Tasks};
use tracing::warn;

use crate::engine::{Engine, EngineKind};
use crate::events::Recorder;
use crate::image_tenants::ImageTenants;
use crate::machine::{Heartbeat, Machine};
use crate::pods::Pods;
use crate::policy::Policy;
use crate::worker::Shared;

/// The namespace whose uid tells clusters apart: it is there from the first start, and cannot be deleted.
const CLUSTER_NAMESPACE: &str = "default";
const DEFAULT_NETWORK: &str = "pierhead";

/// What a node is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the `Node` object; pods bound to it run here.
    pub name: String,
    /// What answers at the socket.
    pub engine: EngineKind,
    /// The engine's socket.
    pub socket: PathBuf,
    /// Where the files of pods' volumes are written, as an absolute path that the engine sees, too.
    pub folder: PathBuf,
    /// Name of the engine's network that pods share; made if there is none.
    pub network: String,
    /// What pods may ask of this machine.
    pub policy: Policy,
}

impl Config {
    /// A node that refuses everything dangerous.
    pub fn new(name: String, engine: EngineKind, socket: PathBuf, folder: PathBuf) -> Self {
        Self { name, engine, socket, folder, network: DEFAULT_NETWORK.to_owned(), policy: Policy::default() }
    }
}

/// A node that runs in this process. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    engine: Engine,
    network: Arc<str>,
}

impl Node {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn network(&self) -> &str {
        &self.network
    }
}

/// Starts a node in the background, until the tasks are shut down; containers stay. Call it within a tokio runtime.
///
/// `client` must act as somebody who may do everything. The engine may be away, now or later.
///
/// # Errors
/// What is kept in the folder cannot be read.
pub fn start(client: Client, config: Config, clock: SharedClock, tasks: &Tasks) -> std::io::Result<Node> {
    let tenants = ImageTenants::open(config.folder.join("images.json"))?;
    let engine = Engine::new(config.engine, config.socket.clone());
    let node = Node { engine: engine.clone(), network: Arc::from(config.network.as_str()) };
    let pods = client.reflect::<Pod>(None, tasks);
    let inner = tasks.clone();
    tasks.spawn("node", |stop| async move {
        let starting = Starting { client, config, clock, engine, pods, tenants, tasks: inner };
        starting.run(stop).await;
    });
    Ok(node)
}

struct Starting {
    client: Client,
    config: Config,
    clock: SharedClock,
    engine: Engine,
    pods: Reflected<Pod>,
    tenants: ImageTenants,
    tasks: Tasks,
}

impl Starting {
    async fn run(self, stop: CancellationToken) {
        let Some(cluster) = self.cluster(&stop).await else { return };
        let Self { client, config, clock, engine, pods, tenants, tasks } = self;
        let machine = Machine::new();
        let recorder = Recorder::start(client.clone(), config.name.clone(), Arc::clone(&clock), &tasks);
        let heartbeat = Heartbeat {
            client: client.clone(),
            engine: engine.clone(),
            machine: machine.clone(),
            clock: Arc::clone(&clock),
            name: config.name.clone(),
            network: config.network.clone(),
        };
        tasks.spawn("node heartbeat", |stop| heartbeat.run(stop));
        let shared = Shared {
            client,
            engine,
            pods,
            clock,
            recorder,
            machine,
            tenants,
            tasks: tasks.clone(),
            cluster,
            network: config.network,
            folder: config.folder.join("pods"),
            policy: config.policy,
        };
        let pods = Pods::new(Arc::new(shared), config.name);
        for (name, work) in
            [("pod dispatch", Work::Follow), ("engine news", Work::Listen), ("pod sweep", Work::Sweep)]
        {
            let pods = pods.clone();
            tasks.spawn(name, |stop| async move {
                match work {
                    Work::Follow => pods.follow(stop).await,
                    Work::Listen => pods.listen(stop).await,
                    Work::Sweep => pods.sweep(stop).await,
                }
            });
        }
    }

    /// Which cluster this is, as soon as the API says so.
    async fn cluster(&self, stop: &CancellationToken) -> Option<String> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            match self.client.get::<Namespace>(None, CLUSTER_NAMESPACE).await {
                Ok(namespace) => return Some(namespace.metadata.uid),
                Err(error) => warn!(%error, "The node waits for the API: {error}"),
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Work {
    Follow,
    Listen,
    Sweep,
}
