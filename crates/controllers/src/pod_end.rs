//! Removes pods that nobody else will remove.
//!
//! Those are: pods on a node that is gone for good, pods that are going and were never given a node, pods and
//! replication controllers whose owner is gone (the server takes dependents along when it deletes; this is for a
//! server that was killed meanwhile), deployer and hook pods whose version is gone, whoever owns them, and the
//! oldest finished pods when there are very many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pierhead_api::Object;
use pierhead_api::apps::{DeploymentConfig, annotations};
use pierhead_api::core::{Node, Pod, ReplicationController};
use pierhead_api::meta::{DeleteOptions, ObjectMeta, Preconditions};
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::names::NamespacedName;
use crate::runner::{Outcome, Reconciler};

/// How many finished pods are kept.
const MOST_FINISHED: usize = 1000;
/// How long a node may be missing before its pods are given up.
const NODE_GRACE: Duration = Duration::from_secs(40);

pub(crate) struct PodEnd {
    client: Client,
    pods: Reflected<Pod>,
    controllers: Reflected<ReplicationController>,
    configs: Reflected<DeploymentConfig>,
    nodes: Reflected<Node>,
    /// Since when pods have named nodes that are not there.
    missing_nodes: Mutex<BTreeMap<String, Instant>>,
}

/// One object that may have to go. A namesake made since is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Remains {
    what: What,
    name: NamespacedName,
    uid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Pod,
    Controller,
}

impl Remains {
    fn of(what: What, metadata: &ObjectMeta) -> Self {
        Self { what, name: NamespacedName::of(metadata), uid: metadata.uid.clone() }
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.what {
            What::Pod => "pod",
            What::Controller => "replication controller",
        };
        write!(f, "{kind} {}", self.name)
    }
}

impl Reconciler for PodEnd {
    type Key = Remains;
    type Error = ClientError;

    const NAME: &'static str = "pod-end";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.pods.changed(), self.controllers.changed(), self.configs.changed(), self.nodes.changed()]
    }

    async fn synced(&self) {
        self.pods.synced().await;
        self.controllers.synced().await;
        self.configs.synced().await;
        self.nodes.synced().await;
    }

    fn due(&self) -> Vec<Remains> {
        let pods = self.pods.list();
        let gone_nodes = self.gone_nodes(&pods);
        let surplus = surplus(&pods, MOST_FINISHED);
        let mut due = Vec::new();
        for pod in &pods {
            let facts = Facts {
                node_gone: gone_nodes.contains(&pod.spec.node_name),
                owner_gone: self.misses_owner(&pod.metadata),
                surplus: surplus.contains(&pod.metadata.uid),
            };
            if end_of(pod, facts).is_some() {
                due.push(Remains::of(What::Pod, &pod.metadata));
            }
        }
        for controller in self.controllers.list() {
            let is_going = controller.metadata.deletion_timestamp.is_some();
            if !is_going && self.misses_owner(&controller.metadata) {
                due.push(Remains::of(What::Controller, &controller.metadata));
            }
        }
        due
    }

    fn wake(&self) -> Option<Duration> {
        next_end(self.missing_nodes.lock().values(), Instant::now())
    }

    async fn reconcile(&self, remains: &Remains) -> Result<Outcome, ClientError> {
        let (namespace, name) = (Some(remains.name.namespace.as_str()), remains.name.name.as_str());
        match remains.what {
            What::Pod => match self.client.find::<Pod>(namespace, name).await? {
                Some(pod) if pod.metadata.uid == remains.uid => self.end(&pod).await,
                _ => Ok(Outcome::Nothing),
            },
            What::Controller => match self.client.find::<ReplicationController>(namespace, name).await? {
                Some(found) if self.has_lost_owner(&found.metadata).await? => {
                    self.delete::<ReplicationController>(&found.metadata, None).await
                }
                _ => Ok(Outcome::Nothing),
            },
        }
    }
}

impl PodEnd {
    pub(crate) fn new(
        client: Client,
        pods: Reflected<Pod>,
        controllers: Reflected<ReplicationController>,
        configs: Reflected<DeploymentConfig>,
        nodes: Reflected<Node>,
    ) -> Self {
        Self { client, pods, controllers, configs, nodes, missing_nodes: Mutex::default() }
    }

    async fn end(&self, pod: &Pod) -> Result<Outcome, ClientError> {
        let pods = self.pods.list();
        let facts = Facts {
            node_gone: self.gone_nodes(&pods).contains(&pod.spec.node_name),
            owner_gone: self.has_lost_owner(&pod.metadata).await?,
            surplus: surplus(&pods, MOST_FINISHED).contains(&pod.metadata.uid),
        };
        match end_of(pod, facts) {
            None => Ok(Outcome::Nothing),
            Some(End::AtOnce) => self.delete::<Pod>(&pod.metadata, Some(0)).await,
            Some(End::Gently) => self.delete::<Pod>(&pod.metadata, None).await,
        }
    }

    /// The nodes that pods name and that have been missing for long enough.
    fn gone_nodes(&self, pods: &[Arc<Pod>]) -> BTreeSet<String> {
        let named = pods.iter().map(|pod| &pod.spec.node_name).filter(|name| !name.is_empty());
        let missing: BTreeSet<&String> = named.filter(|name| self.nodes.get(None, name).is_none()).collect();
        let now = Instant::now();
        let mut since = self.missing_nodes.lock();
        since.retain(|name, _| missing.contains(name));
        for name in missing {
            since.entry(name.clone()).or_insert(now);
        }
        since.iter().filter(|(_, since)| **since + NODE_GRACE <= now).map(|(name, _)| name.clone()).collect()
    }

    /// Whether what an object belongs to is not there, by the caches. Owners of other kinds always are.
    fn misses_owner(&self, metadata: &ObjectMeta) -> bool {
        let namespace = Some(metadata.namespace.as_str());
        owner(metadata).is_some_and(|owner| match owner.kind {
            OwnerKind::Controller => {
                let found = self.controllers.get(namespace, owner.name);
                found.is_none_or(|found| owner.is_other(&found.metadata.uid))
            }
            OwnerKind::Config => {
                let found = self.configs.get(namespace, owner.name);
                found.is_none_or(|found| owner.is_other(&found.metadata.uid))
            }
        })
    }

    /// The same, asked of the server: the caches of two kinds need not show the same moment.
    async fn has_lost_owner(&self, metadata: &ObjectMeta) -> Result<bool, ClientError> {
        if !self.misses_owner(metadata) {
            return Ok(false);
        }
        let Some(owner) = owner(metadata) else { return Ok(false) };
        let namespace = Some(metadata.namespace.as_str());
        let uid = match owner.kind {
            OwnerKind::Config => {
                let found = self.client.find::<DeploymentConfig>(namespace, owner.name).await?;
                found.map(|config| config.metadata.uid)
            }
            OwnerKind::Controller => {
                let found = self.client.find::<ReplicationController>(namespace, owner.name).await?;
                found.map(|controller| controller.metadata.uid)
            }
        };
        Ok(uid.is_none_or(|uid| owner.is_other(&uid)))
    }

    /// Deletes an object as it was judged: who was set free meanwhile, when its owner was deleted alone, stays.
    async fn delete<K: Object>(
        &self,
        judged: &ObjectMeta,
        grace: Option<i64>,
    ) -> Result<Outcome, ClientError> {
        let same = Preconditions {
            uid: Some(judged.uid.clone()),
            resource_version: Some(judged.resource_version.clone()),
        };
        let options = DeleteOptions {
            grace_period_seconds: grace,
            preconditions: Some(same),
            ..DeleteOptions::default()
        };
        match self.client.delete::<K>(Some(&judged.namespace), &judged.name, &options).await {
            Ok(_) => Ok(Outcome::Changed),
            Err(error) if error.is_not_found() => Ok(Outcome::Nothing),
            Err(error) => Err(error),
        }
    }
}

/// How soon the next node is given up that has been missing since one of these times. One that is given up already is no
/// news, however long its pods stay.
fn next_end<'a>(since: impl IntoIterator<Item = &'a Instant>, now: Instant) -> Option<Duration> {
    let waits = since.into_iter().map(|since| (*since + NODE_GRACE).saturating_duration_since(now));
    waits.filter(|wait| !wait.is_zero()).min()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnerKind {
    Controller,
    Config,
}

/// What an object belongs to.
struct Owner<'a> {
    kind: OwnerKind,
    name: &'a str,
    /// None if any namesake will do.
    uid: Option<&'a str>,
}

impl Owner<'_> {
    fn is_other(&self, uid: &str) -> bool {
        self.uid.is_some_and(|wanted| wanted != uid)
    }
}

/// The owner by reference; for deployer and hook pods that lost the reference, the version on their label.
fn owner(metadata: &ObjectMeta) -> Option<Owner<'_>> {
    let version = metadata.label(annotations::DEPLOYER_POD_FOR);
    let plain = version.and_then(|_| metadata.owner_references.first());
    let Some(owner) = metadata.controller().or(plain) else {
        return Some(Owner { kind: OwnerKind::Controller, name: version?, uid: None });
    };
    let kind = match owner.kind.as_str() {
        ReplicationController::KIND => OwnerKind::Controller,
        DeploymentConfig::KIND => OwnerKind::Config,
        _ => return None,
    };
    Some(Owner { kind, name: &owner.name, uid: Some(&owner.uid) })
}

/// What is known of a pod besides itself.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    node_gone: bool,
    owner_gone: bool,
    /// Finished, and one of too many.
    surplus: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There is nothing left that could be stopped.
    AtOnce,
    /// Its node stops it first.
    Gently,
}

fn end_of(pod: &Pod, facts: Facts) -> Option<End> {
    let ObjectMeta { deletion_timestamp, finalizers, .. } = &pod.metadata;
    let is_going = deletion_timestamp.is_some();
    // Whoever put a finalizer there decides when the pod goes; asking again changes nothing. What is to become of
    // dependents holds up nobody.
    if is_going && finalizers.iter().any(|name| name != "orphan") {
        return None;
    }
    let unbound = is_going && pod.spec.node_name.is_empty();
    if facts.node_gone || facts.surplus || unbound {
        return Some(End::AtOnce);
    }
    (facts.owner_gone && !is_going).then_some(End::Gently)
}

/// The uids of the oldest finished pods beyond `most`.
fn surplus(pods: &[Arc<Pod>], most: usize) -> BTreeSet<String> {
    let mut finished: Vec<&Arc<Pod>> = pods.iter().filter(|pod| pod.is_finished()).collect();
    let too_many = finished.len().saturating_sub(most);
    if too_many == 0 {
        return BTreeSet::new();
    }
    finished
        .sort_by_key(|pod| (pod.metadata.creation_timestamp, &pod.metadata.namespace, &pod.metadata.name));
    finished.into_iter().take(too_many).map(|pod| pod.metadata.uid.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use tokio::time::Instant;

    use super::{End, Facts, NODE_GRACE, end_of, next_end, owner, surplus};

    const NOTHING: Facts = Facts { node_gone: false, owner_gone: false, surplus: false };

    #[track_caller]
    fn check(pod: Value, facts: Facts, expected: Option<End>) {
        let pod: Pod = from_value(&pod).unwrap();
        assert_eq!(end_of(&pod, facts), expected);
    }

    #[test]
    fn pods_end_when_nobody_else_can_end_them() {
        let bound = json!({"spec": {"nodeName": "node"}});
        check(bound.clone(), NOTHING, None);
        check(bound.clone(), Facts { node_gone: true, ..NOTHING }, Some(End::AtOnce));
        check(bound.clone(), Facts { surplus: true, ..NOTHING }, Some(End::AtOnce));
        check(bound, Facts { owner_gone: true, ..NOTHING }, Some(End::Gently));
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        check(json!({"metadata": going}), NOTHING, Some(End::AtOnce));
        let going_on_node = json!({"metadata": going, "spec": {"nodeName": "node"}});
        check(going_on_node.clone(), NOTHING, None);
        check(going_on_node, Facts { owner_gone: true, ..NOTHING }, None);
        let held = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["held"]});
        check(json!({"metadata": held}), Facts { node_gone: true, ..NOTHING }, None);
        let noted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["orphan"]});
        check(json!({"metadata": noted}), Facts { node_gone: true, ..NOTHING }, Some(End::AtOnce));
    }

    #[test]
    fn a_node_that_is_given_up_wakes_nobody() {
        let now = Instant::now();
        assert_eq!(next_end([&now], now), Some(NODE_GRACE));
        let given_up = now + NODE_GRACE;
        assert_eq!(next_end([&now], given_up), None);
        assert_eq!(next_end([&now, &given_up], given_up), Some(NODE_GRACE));
    }

    #[test]
    fn deployer_pods_belong_to_their_version_even_without_a_reference() {
        let check = |metadata: Value, expected: Option<(&str, Option<&str>)>| {
            let pod: Pod = from_value(&json!({"metadata": metadata})).unwrap();
            assert_eq!(owner(&pod.metadata).map(|owner| (owner.name, owner.uid)), expected);
        };
        let label = json!({"openshift.io/deployer-pod-for.name": "web-1"});
        let by = |kind: &str| json!([{"kind": kind, "name": "web-2", "uid": "u"}]);
        let controlled = json!([{"kind": "Job", "name": "web-2", "uid": "u", "controller": true}]);
        check(json!({}), None);
        check(json!({"labels": label}), Some(("web-1", None)));
        check(
            json!({"labels": label, "ownerReferences": by("ReplicationController")}),
            Some(("web-2", Some("u"))),
        );
        check(json!({"ownerReferences": by("ReplicationController")}), None);
        check(json!({"ownerReferences": controlled}), None);
    }

    #[test]
    fn the_oldest_finished_pods_are_too_many() {
        let pod = |uid: &str, phase: &str, minute: u32| {
            let created = format!("2026-01-01T00:{minute:02}:00Z");
            let metadata = json!({"name": uid, "uid": uid, "creationTimestamp": created});
            Arc::new(from_value(&json!({"metadata": metadata, "status": {"phase": phase}})).unwrap())
        };
        let pods =
            [pod("c", "Failed", 3), pod("a", "Succeeded", 1), pod("b", "Failed", 2), pod("x", "Running", 0)];
        assert!(surplus(&pods, 3).is_empty());
        assert_eq!(surplus(&pods, 1).into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
