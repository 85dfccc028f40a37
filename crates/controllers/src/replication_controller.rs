//! Keeps as many pods of each replication controller as it asks for.
//!
//! A pod is one of a controller's if an owner reference says so; pods without an owner that its selector chooses
//! are adopted, and its own that the selector no longer chooses are released. What there is, is asked of the
//! server before anything is made or deleted, and one controller is worked on once at a time: a cache that lags
//! behind makes a run needless, and never a pod too many. Many pods are made in batches that double, so that a
//! refusal is met once and not a hundred times.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use pierhead_api::apps::annotations;
use pierhead_api::core::{
    Pod, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use pierhead_api::meta::{DeleteOptions, ObjectMeta, Preconditions, Time};
use pierhead_client::{Client, ClientError, Reflected};
use pierhead_runtime::SharedClock;
use tokio::sync::watch;

use crate::events::{Events, Happening, reference};
use crate::names::NamespacedName;
use crate::pods::{available_in, controlled_by, is_active, is_available, selects};
use crate::runner::{Outcome, Reconciler};

const REPLICA_FAILURE: &str = "ReplicaFailure";
const FAILED_CREATE: &str = "FailedCreate";
const FAILED_DELETE: &str = "FailedDelete";
/// How many pods one run makes or deletes at most.
const BURST: usize = 500;

pub(crate) struct Replication {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) controllers: Reflected<ReplicationController>,
    pub(crate) pods: Reflected<Pod>,
}

impl Reconciler for Replication {
    type Key = NamespacedName;
    type Error = ClientError;

    const NAME: &'static str = "replication-controller";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.controllers.changed(), self.pods.changed()]
    }

    async fn synced(&self) {
        self.controllers.synced().await;
        self.pods.synced().await;
    }

    fn due(&self) -> Vec<NamespacedName> {
        let now = self.clock.now();
        let controllers = self.controllers.list();
        let due = controllers.iter().filter(|controller| {
            let pods = self.pods.list_in(&controller.metadata.namespace);
            !plan(controller, &pods, now).is_nothing(controller)
        });
        due.map(|controller| NamespacedName::of(&controller.metadata)).collect()
    }

    fn wake(&self) -> Option<Duration> {
        let now = self.clock.now();
        let patient = self.controllers.list().into_iter().filter(|rc| rc.spec.min_ready_seconds > 0);
        let waits = patient.flat_map(|controller| {
            let pods = self.pods.list_in(&controller.metadata.namespace).into_iter();
            let ours = pods.filter(|pod| is_of(pod, &controller) && is_active(pod)).collect::<Vec<_>>();
            ours.into_iter().filter_map(move |pod| available_in(&pod, controller.spec.min_ready_seconds, now))
        });
        waits.filter(|wait| !wait.is_zero()).min()
    }

    async fn reconcile(&self, key: &NamespacedName) -> Result<Outcome, ClientError> {
        let namespace = Some(key.namespace.as_str());
        let Some(controller) = self.client.find::<ReplicationController>(namespace, &key.name).await? else {
            return Ok(Outcome::Nothing);
        };
        let pods = self.client.list::<Pod>(namespace).await?.into_iter().map(Arc::new).collect::<Vec<_>>();
        let mut plan = plan(&controller, &pods, self.clock.now());
        if plan.is_nothing(&controller) {
            return Ok(Outcome::Nothing);
        }
        self.claim(&controller, &plan).await?;
        let resized = self.resize(&controller, &plan).await;
        if let Err((reason, error)) = &resized {
            self.admit_failure(&mut plan.status, reason, error);
        }
        // While pods come and go, the next run knows the numbers better.
        if (plan.is_settled() || resized.is_err()) && plan.status != controller.status {
            let with_status = ReplicationController { status: plan.status, ..controller };
            self.client.replace_status(namespace, &with_status).await?;
        }
        resized.map_err(|(_, error)| error)?;
        Ok(Outcome::Changed)
    }
}

impl Replication {
    async fn claim(&self, controller: &ReplicationController, plan: &Plan) -> Result<(), ClientError> {
        let namespace = Some(controller.metadata.namespace.as_str());
        for pod in &plan.adopt {
            let mut pod = Pod::clone(pod);
            pod.metadata.owner_references.push(controlled_by(controller));
            self.client.replace(namespace, &pod).await?;
        }
        for pod in &plan.release {
            let mut pod = Pod::clone(pod);
            pod.metadata.owner_references.retain(|owner| owner.uid != controller.metadata.uid);
            self.client.replace(namespace, &pod).await?;
        }
        Ok(())
    }

    /// Makes or deletes pods; an error comes with the reason it is shown under.
    async fn resize(
        &self,
        controller: &ReplicationController,
        plan: &Plan,
    ) -> Result<(), (&'static str, ClientError)> {
        let mut left = plan.create;
        let mut batch = 1;
        while left > 0 {
            let made = join_all((0..batch.min(left)).map(|_| self.create(controller))).await;
            left -= made.len();
            batch *= 2;
            for result in made {
                result.map_err(|error| (FAILED_CREATE, error))?;
            }
        }
        for pod in &plan.delete {
            self.delete(controller, pod).await.map_err(|error| (FAILED_DELETE, error))?;
        }
        Ok(())
    }

    async fn create(&self, controller: &ReplicationController) -> Result<(), ClientError> {
        let about = reference(controller);
        match self.client.create(Some(&controller.metadata.namespace), &new_pod(controller)).await {
            Ok(pod) => {
                let message = format!("Created pod: {}", pod.metadata.name);
                self.events().tell(&about, &Happening::normal("SuccessfulCreate", message)).await;
                Ok(())
            }
            Err(error) => {
                let message = format!("Error creating: {error}");
                self.events().tell(&about, &Happening::warning(FAILED_CREATE, message)).await;
                Err(error)
            }
        }
    }

    async fn delete(&self, controller: &ReplicationController, pod: &Pod) -> Result<(), ClientError> {
        let ObjectMeta { namespace, name, uid, .. } = &pod.metadata;
        let preconditions = Preconditions { uid: Some(uid.clone()), ..Preconditions::default() };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        let about = reference(controller);
        match self.client.delete::<Pod>(Some(namespace), name, &options).await {
            Ok(_) => {
                let message = format!("Deleted pod: {name}");
                self.events().tell(&about, &Happening::normal("SuccessfulDelete", message)).await;
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => {
                let message = format!("Error deleting: {error}");
                self.events().tell(&about, &Happening::warning(FAILED_DELETE, message)).await;
                Err(error)
            }
        }
    }

    /// Says in the status that pods cannot be made or deleted.
    fn admit_failure(&self, status: &mut ReplicationControllerStatus, reason: &str, error: &ClientError) {
        let message = error.to_string();
        let conditions = &mut status.conditions;
        if conditions.iter().any(|known| known.condition_type == REPLICA_FAILURE && known.message == message)
        {
            return;
        }
        conditions.retain(|known| known.condition_type != REPLICA_FAILURE);
        conditions.push(ReplicationControllerCondition {
            condition_type: REPLICA_FAILURE.into(),
            status: "True".into(),
            last_transition_time: Some(Time(self.clock.now())),
            reason: reason.into(),
            message,
        });
    }

    fn events(&self) -> Events {
        Events { client: self.client.clone(), clock: self.clock.clone(), component: "replication-controller" }
    }
}

/// A pod of the controller's template; the server completes its name.
fn new_pod(controller: &ReplicationController) -> Pod {
    let template = controller.spec.template.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        generate_name: format!("{}-", controller.metadata.name),
        namespace: controller.metadata.namespace.clone(),
        labels: template.metadata.labels,
        annotations: template.metadata.annotations,
        finalizers: template.metadata.finalizers,
        owner_references: vec![controlled_by(controller)],
        ..ObjectMeta::default()
    };
    Pod { metadata, spec: template.spec, ..Pod::default() }
}

/// What is to be done about one controller.
#[derive(Debug)]
struct Plan {
    adopt: Vec<Arc<Pod>>,
    release: Vec<Arc<Pod>>,
    create: usize,
    delete: Vec<Arc<Pod>>,
    /// What the status should say.
    status: ReplicationControllerStatus,
}

impl Plan {
    /// Whether there are as many pods as there should be.
    fn is_settled(&self) -> bool {
        self.create == 0 && self.delete.is_empty()
    }

    fn is_nothing(&self, controller: &ReplicationController) -> bool {
        self.is_settled()
            && self.adopt.is_empty()
            && self.release.is_empty()
            && self.status == controller.status
    }
}

fn is_of(pod: &Pod, controller: &ReplicationController) -> bool {
    pod.metadata.controller().is_some_and(|owner| owner.uid == controller.metadata.uid)
}

fn plan(controller: &ReplicationController, pods: &[Arc<Pod>], now: Timestamp) -> Plan {
    let ReplicationController { metadata, spec, .. } = controller;
    let is_going = metadata.deletion_timestamp.is_some();
    // Deployer and hook pods may carry any labels, and are nobody's replicas.
    let is_plain = |pod: &Pod| !pod.metadata.labels.contains_key(annotations::DEPLOYER_POD_FOR);
    let chosen = |pod: &Pod| selects(&spec.selector, &pod.metadata.labels) && is_plain(pod);
    let (mut own, mut adopt, mut release) = (Vec::new(), Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| pod.metadata.namespace == metadata.namespace) {
        match pod.metadata.controller() {
            Some(owner) if owner.uid != metadata.uid => {}
            Some(_) if chosen(pod) => own.push(Arc::clone(pod)),
            Some(_) => release.push(Arc::clone(pod)),
            None if chosen(pod) && is_active(pod) && !is_going => adopt.push(Arc::clone(pod)),
            None => {}
        }
    }
    own.extend(adopt.iter().map(Arc::clone));
    own.retain(|pod| is_active(pod));
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
    let (mut create, mut delete) = (0, Vec::new());
    if !is_going {
        create = wanted.saturating_sub(own.len()).min(BURST);
        delete = too_many(&own, own.len().saturating_sub(wanted).min(BURST));
    }
    let settled = create == 0 && delete.is_empty();
    let status = status(controller, &own, settled, now);
    Plan { adopt, release, create, delete, status }
}

/// The pods one misses least: without a node, not running, not ready, ready for the shortest time, restarted
/// most often, youngest.
fn too_many(pods: &[Arc<Pod>], count: usize) -> Vec<Arc<Pod>> {
    let mut pods = pods.to_vec();
    pods.sort_by_cached_key(|pod| {
        let rank = match pod.status.phase.as_str() {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        };
        let ready = pod.status.condition("Ready").filter(|condition| condition.status == "True");
        let ready_since = ready.and_then(|condition| condition.last_transition_time);
        let restarts = pod.status.container_statuses.iter().map(|status| status.restart_count).max();
        (
            !pod.spec.node_name.is_empty(),
            rank,
            ready.is_some(),
            Reverse(ready_since),
            Reverse(restarts.unwrap_or_default()),
            Reverse(pod.metadata.creation_timestamp),
            pod.metadata.name.clone(),
        )
    });
    pods.truncate(count);
    pods
}

fn status(
    controller: &ReplicationController,
    pods: &[Arc<Pod>],
    settled: bool,
    now: Timestamp,
) -> ReplicationControllerStatus {
    let count = |is: &dyn Fn(&Pod) -> bool| {
        i32::try_from(pods.iter().filter(|pod| is(pod)).count()).unwrap_or(i32::MAX)
    };
    let template = controller.spec.template.as_ref();
    let labels = template.map(|template| &template.metadata.labels);
    let mut conditions = controller.status.conditions.clone();
    if settled {
        conditions.retain(|condition| condition.condition_type != REPLICA_FAILURE);
    }
    ReplicationControllerStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: count(&|pod| {
            labels.is_none_or(|labels| labels.is_empty() || selects(labels, &pod.metadata.labels))
        }),
        ready_replicas: count(&Pod::is_ready),
        available_replicas: count(&|pod| is_available(pod, controller.spec.min_ready_seconds, now)),
        observed_generation: controller.metadata.generation.unwrap_or_default(),
        conditions,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pierhead_api::core::{Pod, ReplicationController};
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{new_pod, plan};

    const NOW: &str = "2026-01-01T01:00:00Z";

    fn controller(replicas: i32) -> ReplicationController {
        let document = json!({
            "metadata": {"namespace": "shop", "name": "web-1", "uid": "rc", "generation": 3},
            "spec": {
                "replicas": replicas, "selector": {"app": "web"}, "minReadySeconds": 10,
                "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {}},
            },
        });
        from_value(&document).unwrap()
    }

    /// `name owner labels state`: owner `rc`, another uid or `-`; labels `web`, `web+front` or else; state
    /// `new`, `bound`, `running`, `ready@<minutes of the hour>`, `going`, `failed`.
    fn pod(words: &str) -> Arc<Pod> {
        let words: Vec<&str> = words.split(' ').collect();
        let [name, owner, labels, state] = words.as_slice() else { panic!("{words:?}") };
        let labels = match *labels {
            "web+front" => json!({"app": "web", "tier": "front"}),
            labels => json!({"app": labels}),
        };
        let mut pod = json!({
            "metadata": {"namespace": "shop", "name": name, "uid": name, "labels": labels},
            "spec": {"nodeName": if *state == "new" { "" } else { "node" }}, "status": {"phase": "Pending"},
        });
        if *owner != "-" {
            let owner = json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "x", "uid": owner,
                "controller": true});
            pod["metadata"]["ownerReferences"] = json!([owner]);
        }
        if *state == "failed" {
            pod["status"]["phase"] = "Failed".into();
        } else if *state == "going" {
            pod["metadata"]["deletionTimestamp"] = NOW.into();
        } else if *state == "running" || state.starts_with("ready") {
            pod["status"]["phase"] = "Running".into();
        }
        if let Some(minute) = state.strip_prefix("ready@") {
            let since = format!("2026-01-01T00:{minute}Z");
            let ready: Value = json!({"type": "Ready", "status": "True", "lastTransitionTime": since});
            pod["status"]["conditions"] = json!([ready]);
        }
        Arc::new(from_value(&pod).unwrap())
    }

    fn names(pods: &[Arc<Pod>]) -> String {
        pods.iter().map(|pod| pod.metadata.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// What is adopted, released and deleted, and how many are made.
    #[track_caller]
    fn check(replicas: i32, pods: &[&str], expected: (&str, &str, &str, usize)) {
        let pods: Vec<Arc<Pod>> = pods.iter().map(|words| pod(words)).collect();
        let plan = plan(&controller(replicas), &pods, NOW.parse().unwrap());
        let seen = (names(&plan.adopt), names(&plan.release), names(&plan.delete), plan.create);
        assert_eq!((seen.0.as_str(), seen.1.as_str(), seen.2.as_str(), seen.3), expected);
    }

    #[test]
    fn makes_what_is_missing_and_counts_only_what_lives() {
        check(3, &[], ("", "", "", 3));
        check(2, &["a rc web running", "b rc web going", "c rc web failed"], ("", "", "", 1));
        check(1, &["a other web running"], ("", "", "", 1));
        check(0, &[], ("", "", "", 0));
        check(9999, &[], ("", "", "", 500));
    }

    #[test]
    fn adopts_orphans_and_releases_strays() {
        check(1, &["a - web running"], ("a", "", "", 0));
        check(1, &["a - db running", "b rc db running"], ("", "b", "", 1));
        check(1, &["a - web failed", "b - web going"], ("", "", "", 1));
        check(0, &["a - web running"], ("a", "", "a", 0));
    }

    #[test]
    fn deletes_first_what_is_missed_least() {
        let pods = [
            "old rc web ready@10:00",
            "young rc web ready@50:00",
            "running rc web running",
            "bound rc web bound",
            "new rc web new",
        ];
        check(4, &pods, ("", "", "new", 0));
        check(0, &pods, ("", "", "new bound running young old", 0));
    }

    #[test]
    fn a_controller_that_is_going_makes_nothing() {
        let mut going = controller(3);
        going.metadata.deletion_timestamp = Some(pierhead_api::meta::Time(NOW.parse().unwrap()));
        let plan = plan(&going, &[pod("a - web running")], NOW.parse().unwrap());
        assert_eq!((plan.create, plan.adopt.len(), plan.delete.len()), (0, 0, 0));
    }

    #[test]
    fn counts_pods_for_the_status() {
        let pods = ["a rc web+front ready@10:00", "b rc web ready@59:55", "c rc web bound", "d rc web going"];
        let pods: Vec<Arc<Pod>> = pods.iter().map(|words| pod(words)).collect();
        let mut failing = controller(3);
        let failure = json!({"type": "ReplicaFailure", "status": "True"});
        failing.status.conditions = vec![serde_json::from_value(failure).unwrap()];
        let status = plan(&failing, &pods, NOW.parse().unwrap()).status;
        let numbers = [
            status.replicas,
            status.fully_labeled_replicas,
            status.ready_replicas,
            status.available_replicas,
        ];
        assert_eq!((numbers, status.observed_generation, status.conditions.len()), ([3, 1, 2, 1], 3, 0));
    }

    #[test]
    fn new_pods_are_named_after_their_controller_and_owned_by_it() {
        let pod = new_pod(&controller(1));
        assert_eq!((pod.metadata.name.as_str(), pod.metadata.generate_name.as_str()), ("", "web-1-"));
        let owner = pod.metadata.controller().unwrap();
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("ReplicationController", "rc"));
        assert_eq!(pod.metadata.labels.len(), 2);
    }
}
