//! This machine as its engine describes it, and the `Node` object that says so.
//!
//! Owns whether the engine answers, what pods share on it (network, image of infra containers), and the heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use pierhead_api::core::{Node, NodeAddress, NodeCondition, NodeSystemInfo, Quantity};
use pierhead_api::meta::{DeleteOptions, ObjectMeta, Time};
use pierhead_client::{Client, ClientError, ListQuery};
use pierhead_runtime::{Backoff, CancellationToken, SharedClock, Tasks};
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::engine::{Engine, EngineError, Facts, Image, Network};
use crate::fields::Place;
use crate::pause::{self, Architecture};

/// How often the engine is asked whether it is there.
const ASK: Duration = Duration::from_secs(3);
/// An engine that is busy may take this long to say so.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// How old the last heartbeat in the object may become.
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(60);
const MOST_PODS: i64 = 110;
/// Label of the objects that this crate made; its value is the engine.
const OWN_NODE: &str = "node.pierhead.io/engine";

/// What is known of the machine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Machine {
    known: Arc<Mutex<Known>>,
    up: watch::Sender<bool>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    facts: Facts,
    network: Network,
    /// The engine's id of the image of infra containers.
    pause: Option<String>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { known: Arc::default(), up: watch::Sender::new(false) }
    }

    /// Whether the engine answers; changes are told.
    pub(crate) fn is_up(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// This machine's address in the pods' network.
    pub(crate) fn address(&self) -> String {
        self.known.lock().network.gateway.clone().unwrap_or_default()
    }

    /// What pods on this machine can say of it.
    pub(crate) fn place(&self, pod_ip: String) -> Place {
        let known = self.known.lock();
        Place {
            pod_ip,
            host_ip: known.network.gateway.clone().unwrap_or_default(),
            cpu: Quantity::whole(known.facts.processors),
            memory: Quantity::bytes(known.facts.memory_bytes),
        }
    }

    /// Sees to it that the engine has what every pod needs; gives its id of the image of infra containers.
    pub(crate) async fn prepare(&self, engine: &Engine, network: &str) -> Result<String, EngineError> {
        let found = engine.ensure_network(network).await?;
        let pause = {
            let mut known = self.known.lock();
            known.network = found;
            known.pause.clone()
        };
        if let Some(id) = pause
            && engine.find_image(&id).await?.is_some()
        {
            return Ok(id);
        }
        let id = self.pause_image(engine).await?;
        self.known.lock().pause = Some(id.clone());
        Ok(id)
    }

    /// Finds our image, and loads it where its name is another's or nobody's.
    async fn pause_image(&self, engine: &Engine) -> Result<String, EngineError> {
        let known = self.known.lock().facts.architecture.clone();
        let name = if known.is_empty() { engine.facts().await?.architecture } else { known };
        let architecture = Architecture::named(&name).ok_or_else(|| EngineError::Refused {
            message: format!("there is no pause program for the architecture {name:?}"),
        })?;
        let ours = |image: &Image| pause::is_ours(image, architecture);
        if let Some(image) = engine.find_image(pause::NAME).await?.filter(ours) {
            return Ok(image.id);
        }
        engine.load_image(pause::archive(architecture)).await?;
        let loaded = engine.find_image(pause::NAME).await?.filter(ours);
        let image = loaded.ok_or_else(|| EngineError::Refused {
            message: format!("the engine was given {} and has another image of that name", pause::NAME),
        })?;
        Ok(image.id)
    }

    async fn ask(&self, engine: &Engine, network: &str) -> Result<(), EngineError> {
        if *self.up.borrow() {
            return engine.ping().await;
        }
        let facts = engine.facts().await?;
        self.known.lock().facts = facts;
        self.prepare(engine, network).await.map(drop)
    }
}

/// Deletes, in the background, the objects of nodes that ran in this cluster's process once and do so no more: without an
/// engine, or under another name. Their pods are given up.
pub fn retire_others(client: Client, name: Option<String>, tasks: &Tasks) {
    tasks.spawn("node retirement", |stop| async move {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        while let Err(error) = retire(&client, name.as_deref()).await {
            warn!(%error, "Objects of former nodes were not deleted, trying again: {error}");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    });
}

async fn retire(client: &Client, name: Option<&str>) -> Result<(), ClientError> {
    let query = ListQuery { labels: Some(OWN_NODE.to_owned()), fields: None };
    for node in client.list_matching::<Node>(None, &query).await? {
        if Some(node.metadata.name.as_str()) == name {
            continue;
        }
        match client.delete::<Node>(None, &node.metadata.name, &DeleteOptions::default()).await {
            Ok(_) => info!(node = node.metadata.name, "A former node is gone"),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Keeps the `Node` object true.
pub(crate) struct Heartbeat {
    pub(crate) client: Client,
    pub(crate) engine: Engine,
    pub(crate) machine: Machine,
    pub(crate) clock: SharedClock,
    pub(crate) name: String,
    pub(crate) network: String,
}

impl Heartbeat {
    /// Asks the engine and tells the API, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            let problem = self.ask().await;
            let is_up = problem.is_none();
            if *self.machine.up.borrow() != is_up {
                match &problem {
                    None => info!(node = self.name, "The container engine answers"),
                    Some(problem) => {
                        warn!(node = self.name, "The node is not ready: {problem}");
                        self.engine.disconnect();
                    }
                }
                self.machine.up.send_replace(is_up);
            }
            if let Err(error) = self.tell(problem).await
                && !error.is_conflict()
            {
                warn!(%error, "The node's object was not written: {error}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ASK) => {}
            }
        }
    }

    async fn ask(&self) -> Option<String> {
        match tokio::time::timeout(ASK_LIMIT, self.machine.ask(&self.engine, &self.network)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_elapsed) => Some(format!("no answer within {} seconds", ASK_LIMIT.as_secs())),
        }
    }

    async fn tell(&self, problem: Option<String>) -> Result<(), ClientError> {
        let now = self.clock.now();
        let mut found = match self.client.find::<Node>(None, &self.name).await? {
            Some(found) => found,
            None => {
                let node = Node { metadata: ObjectMeta::named(&self.name), ..Node::default() };
                self.client.create(None, &self.labelled(&node)).await?
            }
        };
        // An engine that was away has told its architecture since; older objects lack what newer ones have.
        let labelled = self.labelled(&found);
        if labelled.metadata.labels != found.metadata.labels {
            found = self.client.replace(None, &labelled).await?;
        }
        let mut node = found.clone();
        self.describe(&mut node);
        let is_changed = set_ready(&mut node, problem, now);
        if is_changed || is_stale(&found, now) || without_heartbeats(&node) != without_heartbeats(&found) {
            self.client.replace_status(None, &node).await?;
        }
        Ok(())
    }

    /// The node with what labels say of it, as far as it is known, beside the labels of others.
    fn labelled(&self, node: &Node) -> Node {
        let mut node = node.clone();
        let architecture = self.architecture();
        let labels = [
            (OWN_NODE, self.engine.kind().name()),
            ("kubernetes.io/hostname", &self.name),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", &architecture),
        ];
        let known = labels.into_iter().filter(|(_, value)| !value.is_empty());
        node.metadata.labels.extend(known.map(|(key, value)| (key.to_owned(), value.to_owned())));
        node
    }

    fn architecture(&self) -> String {
        let name = self.machine.known.lock().facts.architecture.clone();
        Architecture::named(&name).map_or(name, |known| known.name().to_owned())
    }

    fn describe(&self, node: &mut Node) {
        let known = self.machine.known.lock().clone();
        let facts = known.facts;
        if facts.version.is_empty() {
            return;
        }
        let capacity = BTreeMap::from([
            ("cpu".to_owned(), Quantity::whole(facts.processors)),
            ("memory".to_owned(), Quantity::bytes(facts.memory_bytes)),
            ("pods".to_owned(), Quantity::whole(MOST_PODS)),
        ]);
        node.status.allocatable = capacity.clone();
        node.status.capacity = capacity;
        let address = |address_type: &str, address: &str| NodeAddress {
            address_type: address_type.to_owned(),
            address: address.to_owned(),
        };
        let gateway = known.network.gateway.as_deref().map(|gateway| address("InternalIP", gateway));
        node.status.addresses = gateway.into_iter().chain([address("Hostname", &self.name)]).collect();
        let version = concat!("v", env!("CARGO_PKG_VERSION"));
        node.status.node_info = NodeSystemInfo {
            machine_id: facts.id.clone(),
            system_uuid: facts.id,
            kernel_version: facts.kernel,
            os_image: facts.operating_system,
            container_runtime_version: format!("{}://{}", self.engine.kind().name(), facts.version),
            kubelet_version: version.to_owned(),
            kube_proxy_version: version.to_owned(),
            operating_system: "linux".to_owned(),
            architecture: self.architecture(),
            ..NodeSystemInfo::default()
        };
    }
}

/// Sets the condition `Ready`; true if it turned.
fn set_ready(node: &mut Node, problem: Option<String>, now: Timestamp) -> bool {
    let (name, status, reason, message) = match problem {
        None => ("Ready", "True", "KubeletReady", "the container engine answers".to_owned()),
        Some(problem) => {
            let message = format!("container runtime is down: {problem}");
            ("Ready", "False", "KubeletNotReady", message)
        }
    };
    let known = node.status.conditions.iter().position(|condition| condition.condition_type == name);
    let index = known.unwrap_or_else(|| {
        let condition = NodeCondition { condition_type: name.to_owned(), ..NodeCondition::default() };
        node.status.conditions.push(condition);
        node.status.conditions.len() - 1
    });
    let condition = node.status.conditions.get_mut(index).expect("found or pushed just now");
    let turned = condition.status != status;
    if turned {
        status.clone_into(&mut condition.status);
        condition.last_transition_time = Some(Time(now).to_second());
    }
    reason.clone_into(&mut condition.reason);
    condition.message = message;
    condition.last_heartbeat_time = Some(Time(now).to_second());
    turned
}

fn is_stale(node: &Node, now: Timestamp) -> bool {
    let beats = node.status.conditions.iter().map(|condition| condition.last_heartbeat_time);
    beats
        .map(|time| time.map_or(SignedDuration::MAX, |time| now.duration_since(time.0)))
        .any(|age| age > HEARTBEAT)
}

fn without_heartbeats(node: &Node) -> Value {
    let mut status = node.status.clone();
    for condition in &mut status.conditions {
        condition.last_heartbeat_time = None;
    }
    serde_json::to_value(status).unwrap_or_default()
}

#[cfg(test)]
mod tests;
