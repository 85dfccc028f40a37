//! Finds a node for every pod that waits for one.
//!
//! Takes pods that name no scheduler or `default-scheduler`. The node with the fewest pods wins among those that
//! are ready and that the pod's selector and tolerations admit. Resources are not counted: a node here is a
//! container engine, and the engine holds its containers to their limits. A pod nobody can run stays Pending and
//! says why in its condition `PodScheduled` and in an event.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use pierhead_api::core::{
    Binding, DEFAULT_SCHEDULER, Node, ObjectReference, Pod, PodCondition, Taint, Toleration,
};
use pierhead_api::meta::{ObjectMeta, Time};
use pierhead_api::to_value;
use pierhead_client::{Client, ClientError, Reflected, Resource};
use pierhead_runtime::SharedClock;
use tokio::sync::watch;

use crate::events::{Events, Happening, reference};
use crate::names::NamespacedName;
use crate::runner::{Outcome, Reconciler};

const SCHEDULED: &str = "PodScheduled";
const UNSCHEDULABLE: &str = "Unschedulable";

pub(crate) struct Scheduler {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) pods: Reflected<Pod>,
    pub(crate) nodes: Reflected<Node>,
}

impl Reconciler for Scheduler {
    type Key = NamespacedName;
    type Error = ClientError;

    const NAME: &'static str = "scheduler";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.pods.changed(), self.nodes.changed()]
    }

    async fn synced(&self) {
        self.pods.synced().await;
        self.nodes.synced().await;
    }

    fn due(&self) -> Vec<NamespacedName> {
        let pods = self.pods.list();
        let nodes = self.nodes.list();
        let load = load(&pods);
        let due = pods.iter().filter(|pod| waits(pod) && plan(pod, &nodes, &load).is_some());
        due.map(|pod| NamespacedName::of(&pod.metadata)).collect()
    }

    async fn reconcile(&self, key: &NamespacedName) -> Result<Outcome, ClientError> {
        let Some(pod) = self.client.find::<Pod>(Some(&key.namespace), &key.name).await? else {
            return Ok(Outcome::Nothing);
        };
        if !waits(&pod) {
            return Ok(Outcome::Nothing);
        }
        match plan(&pod, &self.nodes.list(), &load(&self.pods.list())) {
            None => return Ok(Outcome::Nothing),
            Some(Verdict::Run { node }) => self.bind(&pod, &node).await?,
            Some(Verdict::Wait { message }) => self.refuse(pod, message).await?,
        }
        Ok(Outcome::Changed)
    }
}

impl Scheduler {
    async fn bind(&self, pod: &Pod, node: &str) -> Result<(), ClientError> {
        let ObjectMeta { namespace, name, uid, .. } = &pod.metadata;
        let metadata =
            ObjectMeta { uid: uid.clone(), ..ObjectMeta::in_namespace(namespace.as_str(), name.as_str()) };
        let binding = Binding { metadata, target: ObjectReference::of_kind("Node", node) };
        let path = Resource::of::<Pod>().item(Some(namespace), name, Some("binding"));
        self.client.request(Method::POST, &path, None, Some(&to_value(&binding))).await?;
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        self.events().tell(&reference(pod), &Happening::normal("Scheduled", message)).await;
        Ok(())
    }

    async fn refuse(&self, mut pod: Pod, message: String) -> Result<(), ClientError> {
        let refused = PodCondition {
            condition_type: SCHEDULED.into(),
            status: "False".into(),
            last_transition_time: Some(Time(self.clock.now())),
            reason: UNSCHEDULABLE.into(),
            message: message.clone(),
            ..PodCondition::default()
        };
        let conditions = &mut pod.status.conditions;
        match conditions.iter_mut().find(|condition| condition.condition_type == SCHEDULED) {
            Some(known) if known.status == refused.status => {
                known.reason = refused.reason;
                known.message = refused.message;
            }
            Some(known) => *known = refused,
            None => conditions.push(refused),
        }
        self.client.replace_status(Some(&pod.metadata.namespace), &pod).await?;
        self.events().tell(&reference(&pod), &Happening::warning("FailedScheduling", message)).await;
        Ok(())
    }

    fn events(&self) -> Events {
        Events { client: self.client.clone(), clock: self.clock.clone(), component: DEFAULT_SCHEDULER }
    }
}

/// What is to be done with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Run { node: String },
    Wait { message: String },
}

fn waits(pod: &Pod) -> bool {
    let ours = pod.spec.scheduler_name.is_empty() || pod.spec.scheduler_name == DEFAULT_SCHEDULER;
    ours && pod.spec.node_name.is_empty() && crate::pods::is_active(pod)
}

/// How many pods each node has.
fn load(pods: &[Arc<Pod>]) -> BTreeMap<String, usize> {
    let mut load = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.is_finished() && !pod.spec.node_name.is_empty()) {
        *load.entry(pod.spec.node_name.clone()).or_default() += 1;
    }
    load
}

/// Why a node does not take a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    NotReady,
    Unschedulable,
    Selector,
    Taint,
}

impl Refusal {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "node(s) were not ready",
            Self::Unschedulable => "node(s) were unschedulable",
            Self::Selector => "node(s) didn't match Pod's node affinity/selector",
            Self::Taint => "node(s) had untolerated taint(s)",
        }
    }
}

/// Where a waiting pod goes; none if all was said already.
fn plan(pod: &Pod, nodes: &[Arc<Node>], load: &BTreeMap<String, usize>) -> Option<Verdict> {
    let mut refusals = BTreeMap::<Refusal, usize>::new();
    let mut fit: Vec<(usize, &str)> = Vec::new();
    for node in nodes {
        let name = node.metadata.name.as_str();
        match refusal(pod, node) {
            Some(refusal) => *refusals.entry(refusal).or_default() += 1,
            None => fit.push((load.get(name).copied().unwrap_or_default(), name)),
        }
    }
    if let Some((_, node)) = fit.into_iter().min() {
        return Some(Verdict::Run { node: node.to_owned() });
    }
    let message = if nodes.is_empty() {
        "no nodes available to schedule pods".to_owned()
    } else {
        let why: Vec<String> =
            refusals.iter().map(|(refusal, count)| format!("{count} {}", refusal.as_str())).collect();
        format!("0/{} nodes are available: {}.", nodes.len(), why.join(", "))
    };
    let said = pod.status.condition(SCHEDULED);
    let is_said = said.is_some_and(|said| said.status == "False" && said.message == message);
    (!is_said).then_some(Verdict::Wait { message })
}

fn refusal(pod: &Pod, node: &Node) -> Option<Refusal> {
    if !node.is_ready() || node.metadata.deletion_timestamp.is_some() {
        return Some(Refusal::NotReady);
    }
    if node.spec.unschedulable {
        return Some(Refusal::Unschedulable);
    }
    let labels = &node.metadata.labels;
    if !pod.spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
        return Some(Refusal::Selector);
    }
    let keeps_off = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    let tolerations = &pod.spec.tolerations;
    let mut taints = node.spec.taints.iter().filter(keeps_off);
    taints.any(|taint| !is_tolerated(taint, tolerations)).then_some(Refusal::Taint)
}

/// Whether one of a pod's tolerations names a taint: key, value and effect, each of which may be left open.
fn is_tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|Toleration { key, operator, value, effect, .. }| {
        let exists = operator == "Exists";
        let same_key = if key.is_empty() { exists } else { *key == taint.key };
        same_key && (effect.is_empty() || *effect == taint.effect) && (exists || *value == taint.value)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pierhead_api::core::{Node, Pod};
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{Verdict, plan, waits};

    fn node(name: &str, ready: &str, spec: &Value, labels: &Value) -> Arc<Node> {
        let document = json!({
            "metadata": {"name": name, "labels": labels}, "spec": spec,
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        Arc::new(from_value(&document).unwrap())
    }

    fn nodes() -> Vec<Arc<Node>> {
        let none = json!({});
        let taint = json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]});
        vec![
            node("down", "False", &none, &none),
            node("closed", "True", &json!({"unschedulable": true}), &none),
            node("special", "True", &taint, &none),
            node("east", "True", &none, &json!({"zone": "east"})),
            node("west", "True", &none, &json!({"zone": "west"})),
        ]
    }

    #[track_caller]
    fn check(nodes: &[Arc<Node>], spec: &Value, said: &str, expected: Option<&str>) {
        let condition = json!({"type": "PodScheduled", "status": "False", "message": said});
        let pod: Pod = from_value(&json!({"spec": spec, "status": {"conditions": [condition]}})).unwrap();
        let load = BTreeMap::from([("east".to_owned(), 2), ("west".to_owned(), 1)]);
        let verdict = plan(&pod, nodes, &load).map(|verdict| match verdict {
            Verdict::Run { node } => node,
            Verdict::Wait { message } => message,
        });
        assert_eq!(verdict.as_deref(), expected);
    }

    #[test]
    fn the_emptiest_node_that_fits_gets_the_pod() {
        let nodes = nodes();
        check(&nodes, &json!({}), "", Some("west"));
        check(&nodes, &json!({"nodeSelector": {"zone": "east"}}), "", Some("east"));
        check(&nodes, &json!({"tolerations": [{"operator": "Exists"}]}), "", Some("special"));
        check(&nodes, &json!({"tolerations": [{"key": "gpu", "value": "yes"}]}), "", Some("west"));
    }

    #[test]
    fn says_once_why_no_node_fits() {
        let message = "0/5 nodes are available: 1 node(s) were not ready, 1 node(s) were unschedulable, \
                       3 node(s) didn't match Pod's node affinity/selector.";
        let elsewhere = json!({"nodeSelector": {"zone": "north"}});
        check(&nodes(), &elsewhere, "", Some(message));
        check(&nodes(), &elsewhere, message, None);
        check(&[], &json!({}), message, Some("no nodes available to schedule pods"));
        check(&[], &json!({}), "no nodes available to schedule pods", None);
    }

    #[test]
    fn leaves_other_pods_alone() {
        let check = |pod: Value, expected: bool| {
            assert_eq!(waits(&from_value(&pod).unwrap()), expected, "{pod}");
        };
        check(json!({}), true);
        check(json!({"spec": {"schedulerName": "default-scheduler"}}), true);
        check(json!({"spec": {"schedulerName": "pierhead-deployer"}}), false);
        check(json!({"spec": {"nodeName": "east"}}), false);
        check(json!({"status": {"phase": "Failed"}}), false);
        check(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), false);
    }
}
