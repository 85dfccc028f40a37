//! What is to be done about one configuration and its versions. Pure: no clock, no network.

use std::cmp::Reverse;

use jiff::Timestamp;
use pierhead_api::apps::annotations::{self, Phase};
use pierhead_api::apps::{DeploymentConfig, DeploymentDetails, encoded_config};
use pierhead_api::core::{Pod, ReplicationController};

use crate::deployment_config::deployment::{replication_controller, version};
use crate::deployment_config::phases::{self, is_cancelled};
use crate::deployment_config::status;
use crate::events::Happening;
use crate::pods::controlled_by;

/// One thing to do. Each does nothing when it was done already.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Make the replication controller of a new version.
    CreateDeployment(Box<ReplicationController>),
    /// Store a replication controller whose metadata were changed.
    Change(Box<ReplicationController>),
    /// Make a deployer pod.
    CreatePod(Box<Pod>),
    /// End a deployer or hook pod.
    DeletePod { name: String, uid: String },
    /// Set the number of pods of a version.
    Scale { deployment: Box<ReplicationController>, to: i32 },
    /// Remove a version from the history.
    DeleteDeployment { name: String, uid: String },
    /// Store the status of the configuration.
    Status(Box<DeploymentConfig>),
    /// Tell of something that happens once.
    Once(Happening),
    /// Tell of something that may happen again.
    Tell(Happening),
}

/// What a plan is made from.
pub(super) struct View<'a> {
    /// The configuration; none if it is gone and its versions stayed.
    pub(super) config: Option<&'a DeploymentConfig>,
    /// The replication controllers with its name on them.
    pub(super) deployments: Vec<&'a ReplicationController>,
    /// Deployer and hook pods of the namespace.
    pub(super) pods: Vec<&'a Pod>,
    pub(super) now: Timestamp,
}

/// What is to be done, in order.
pub(super) fn plan(view: &View<'_>) -> Vec<Step> {
    let mut deployments = view.deployments.clone();
    deployments.retain(|deployment| belongs(deployment, view.config));
    deployments.sort_by_key(|deployment| version(&deployment.metadata));
    let newest = view.config.map_or(0, |config| config.status.latest_version);
    let is_superseded = !deployments.iter().any(|deployment| version(&deployment.metadata) >= newest);
    let mut steps = Vec::new();
    for deployment in &deployments {
        let is_new = Phase::of(&deployment.metadata) == Phase::New && !is_cancelled(deployment);
        if is_superseded && is_new {
            continue;
        }
        let name = Some(deployment.metadata.name.as_str());
        let is_its = |pod: &&&Pod| {
            pod.metadata.label(annotations::DEPLOYER_POD_FOR) == name
                || pod.metadata.name == annotations::deployer_pod_name(&deployment.metadata.name)
        };
        let pods: Vec<&Pod> = view.pods.iter().filter(is_its).copied().collect();
        steps.extend(phases::steps(deployment, &pods, view.now));
    }
    match view.config.filter(|config| config.metadata.deletion_timestamp.is_none()) {
        Some(config) => {
            let latest_version = config.status.latest_version;
            let latest = deployments
                .iter()
                .find(|deployment| latest_version > 0 && version(&deployment.metadata) == latest_version);
            Versions { config, deployments: &deployments, latest: latest.copied(), now: view.now }
                .plan(&mut steps);
        }
        None => steps.extend(abandoned(&deployments)),
    }
    steps
}

/// Whether a version is the configuration's: another configuration of that name may have been there before.
fn belongs(deployment: &ReplicationController, config: Option<&DeploymentConfig>) -> bool {
    match (deployment.metadata.controller(), config) {
        (Some(owner), Some(config)) => owner.uid == config.metadata.uid,
        // Its owner is gone; the pods it still has are removed with it.
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// Whether a replication controller is stored by one of the steps already; twice would be a conflict.
fn changes(steps: &[Step], deployment: &ReplicationController) -> bool {
    let name = &deployment.metadata.name;
    steps.iter().any(|step| matches!(step, Step::Change(changed) if changed.metadata.name == *name))
}

/// Failed versions that nobody owns have no pods either.
fn abandoned(deployments: &[&ReplicationController]) -> Vec<Step> {
    let failed = deployments.iter().filter(|deployment| {
        Phase::of(&deployment.metadata) == Phase::Failed && deployment.spec.replicas.unwrap_or_default() != 0
    });
    failed.map(|deployment| Step::Scale { deployment: Box::new((*deployment).clone()), to: 0 }).collect()
}

/// The versions of a configuration that exists.
struct Versions<'a> {
    config: &'a DeploymentConfig,
    /// Oldest first.
    deployments: &'a [&'a ReplicationController],
    latest: Option<&'a ReplicationController>,
    now: Timestamp,
}

impl Versions<'_> {
    fn plan(&self, steps: &mut Vec<Step>) {
        self.adopt(steps);
        let is_missing = self.config.status.latest_version > 0 && self.latest.is_none();
        let mut details = None;
        if is_missing {
            self.begin_version(steps);
        } else {
            details = self.trigger();
        }
        let is_over = self.latest.is_some_and(|latest| Phase::of(&latest.metadata).is_terminal());
        if is_over {
            self.scale(steps);
        }
        if is_over || self.config.spec.paused {
            self.forget(steps);
        }
        let mut status = status::status(self.config, self.deployments, self.latest, self.now);
        if let Some(details) = details {
            // The conditions still tell of the version before: who waits for a rollout must not take its end for the
            // end of this one, so the generation is observed once the new version is there.
            status.latest_version += 1;
            status.details = Some(details);
        } else if !is_missing {
            // Only now are the triggers known to have been asked about this generation.
            status.observed_generation = self.config.metadata.generation.unwrap_or_default();
        }
        if status != self.config.status {
            let config = DeploymentConfig { status, ..self.config.clone() };
            steps.push(Step::Status(Box::new(config)));
        }
    }

    fn adopt(&self, steps: &mut Vec<Step>) {
        for deployment in self.deployments {
            if deployment.metadata.controller().is_none() && !changes(steps, deployment) {
                let mut adopted = (*deployment).clone();
                adopted.metadata.owner_references.push(controlled_by(self.config));
                steps.push(Step::Change(Box::new(adopted)));
            }
        }
    }

    /// Makes the newest version once no older one is being rolled out.
    fn begin_version(&self, steps: &mut Vec<Step>) {
        let latest_version = self.config.status.latest_version;
        let running: Vec<_> =
            self.deployments.iter().filter(|it| !Phase::of(&it.metadata).is_terminal()).collect();
        for deployment in running.iter().filter(|deployment| !is_cancelled(deployment)) {
            // A version that moves on just now is looked at again first.
            if changes(steps, deployment) {
                continue;
            }
            let mut cancelled = (**deployment).clone();
            let notes = &mut cancelled.metadata.annotations;
            notes.insert(annotations::CANCELLED.into(), annotations::CANCELLED_VALUE.into());
            notes.insert(annotations::STATUS_REASON.into(), annotations::CANCELLED_BY_NEWER.into());
            let name = cancelled.metadata.name.clone();
            steps.push(Step::Change(Box::new(cancelled)));
            let message = format!("Cancelled deployment {name:?} superceded by version {latest_version}");
            steps.push(Step::Tell(Happening::normal("DeploymentCancelled", message)));
        }
        if running.iter().any(|deployment| !is_cancelled(deployment)) {
            let message = format!(
                "Deployment of version {latest_version} awaiting cancellation of older running deployments"
            );
            steps.push(Step::Once(Happening::normal("DeploymentAwaitingCancellation", message)));
        }
        if running.is_empty() && !self.config.spec.paused {
            steps.push(Step::CreateDeployment(Box::new(replication_controller(self.config))));
        }
    }

    /// Why the next version begins now, if it does.
    fn trigger(&self) -> Option<DeploymentDetails> {
        let DeploymentConfig { metadata, spec, status } = self.config;
        let has_triggers = spec.has_config_change_trigger() || spec.image_triggers().next().is_some();
        if spec.paused || !has_triggers {
            return None;
        }
        let was_asked =
            metadata.generation.is_some_and(|generation| generation == status.observed_generation);
        if self.latest.is_some() && was_asked {
            return None;
        }
        let deployed = match self.latest.map(|latest| encoded_config(&latest.metadata)) {
            None => None,
            Some(Some(Ok(config))) => Some(config),
            // Nobody knows what was rolled out, so nobody knows whether it changed.
            Some(None | Some(Err(_))) => return None,
        };
        let causes = self.config.causes(deployed.as_ref(), false).ok()?;
        (!causes.is_empty()).then(|| DeploymentDetails::of_causes(causes))
    }

    /// The newest version that was rolled out follows the configuration, all others have no pods.
    fn scale(&self, steps: &mut Vec<Step>) {
        let complete = |it: &&&ReplicationController| Phase::of(&it.metadata) == Phase::Complete;
        let active = self.deployments.iter().rev().find(complete).map(|active| &active.metadata.name);
        for deployment in self.deployments {
            let is_active = Some(&deployment.metadata.name) == active;
            let to = if is_active && !self.config.spec.test { self.config.spec.replicas } else { 0 };
            let from = deployment.spec.replicas.unwrap_or(1);
            if from != to && !changes(steps, deployment) {
                let name = &deployment.metadata.name;
                let message = format!("Scaled replication controller {name:?} from {from} to {to}");
                steps.push(Step::Scale { deployment: Box::new((*deployment).clone()), to });
                steps.push(Step::Tell(Happening::normal("ReplicationControllerScaled", message)));
            }
        }
    }

    /// Removes the oldest versions that are over and have no pods, beyond the limit.
    fn forget(&self, steps: &mut Vec<Step>) {
        let Some(limit) = self.config.spec.revision_history_limit else { return };
        let mut past: Vec<&&ReplicationController> = self
            .deployments
            .iter()
            .filter(|it| Phase::of(&it.metadata).is_terminal())
            .filter(|it| Some(version(&it.metadata)) != self.latest.map(|latest| version(&latest.metadata)))
            .collect();
        let complete = |it: &&&ReplicationController| Phase::of(&it.metadata) == Phase::Complete;
        let active = self.deployments.iter().rev().find(complete);
        past.retain(|it| active.is_none_or(|active| active.metadata.name != it.metadata.name));
        past.sort_by_key(|it| Reverse(version(&it.metadata)));
        for deployment in past.into_iter().skip(usize::try_from(limit).unwrap_or_default()).rev() {
            let has_pods = deployment.spec.replicas.unwrap_or(1) != 0 || deployment.status.replicas != 0;
            if !has_pods && deployment.metadata.deletion_timestamp.is_none() {
                let (name, uid) = (deployment.metadata.name.clone(), deployment.metadata.uid.clone());
                steps.push(Step::DeleteDeployment { name, uid });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::apps::DeploymentConfig;
    use pierhead_api::apps::annotations::Phase;
    use pierhead_api::core::{Pod, ReplicationController};
    use pierhead_api::{Object, from_value, to_value};
    use serde_json::{Value, json};

    use super::{Step, View, is_cancelled, plan};

    const NOW: &str = "2026-01-01T00:01:00Z";

    /// A configuration `web` of two pods with the latest version, changed by a merge of `spec`.
    fn config(latest_version: i64, spec: &Value) -> DeploymentConfig {
        let mut document = json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "dc", "generation": 7},
            "spec": {
                "replicas": 2, "selector": {"app": "web"}, "triggers": [{"type": "ConfigChange"}],
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "r/web:1"}]},
                },
            },
            "status": {"latestVersion": latest_version, "observedGeneration": 6},
        });
        for (field, value) in spec.as_object().unwrap() {
            document["spec"][field] = value.clone();
        }
        from_value(&document).unwrap()
    }

    /// `version phase replicas` and any of `cancelled`, `retried`, `orphan`, `other` (owner), `old` (template).
    fn deployment(words: &str) -> ReplicationController {
        let words: Vec<&str> = words.split(' ').collect();
        let [version, phase, replicas, flags @ ..] = words.as_slice() else { panic!("{words:?}") };
        let mut deployed = config(version.parse().unwrap(), &json!({}));
        if flags.contains(&"old") {
            deployed.spec.template.as_mut().unwrap().spec.containers[0].image = "r/web:0".into();
        }
        let mut notes = json!({
            "openshift.io/deployment-config.name": "web",
            "openshift.io/deployment-config.latest-version": version,
            "openshift.io/deployment.phase": phase,
            "openshift.io/encoded-deployment-config": to_value(&deployed).to_string(),
        });
        if flags.contains(&"cancelled") {
            notes["openshift.io/deployment.cancelled"] = "true".into();
        }
        if flags.contains(&"retried") {
            notes["openshift.io/deployer-pod.completed-at"] = "before".into();
        }
        let uid = if flags.contains(&"other") { "other" } else { "dc" };
        let owner = json!({"kind": "DeploymentConfig", "name": "web", "uid": uid, "controller": true});
        let owners = if flags.contains(&"orphan") { json!([]) } else { json!([owner]) };
        let document = json!({
            "metadata": {
                "namespace": "shop", "name": format!("web-{version}"), "uid": format!("rc{version}"),
                "annotations": notes, "ownerReferences": owners, "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"replicas": replicas.parse::<i32>().unwrap()},
        });
        from_value(&document).unwrap()
    }

    /// `version suffix phase`, of the version unless `foreign` or `stray` (without an owner) follows.
    fn pod(words: &str) -> Pod {
        let words: Vec<&str> = words.split(' ').collect();
        let [version, suffix, phase, flags @ ..] = words.as_slice() else { panic!("{words:?}") };
        let name = format!("web-{version}-{suffix}");
        let of = format!("web-{version}");
        let mut metadata = json!({"namespace": "shop", "name": name, "uid": name});
        if !flags.contains(&"foreign") {
            metadata["labels"] = json!({"openshift.io/deployer-pod-for.name": of});
        }
        if flags.is_empty() {
            let uid = format!("rc{version}");
            let owner = json!({"kind": "ReplicationController", "name": of, "uid": uid});
            metadata["ownerReferences"] = json!([owner]);
        }
        from_value(&json!({"metadata": metadata, "status": {"phase": phase}})).unwrap()
    }

    fn shown(step: &Step) -> Option<String> {
        let named = |object: &dyn Fn() -> String, verb: &str| Some(format!("{verb} {}", object()));
        let name = |metadata: &pierhead_api::meta::ObjectMeta| metadata.name.clone();
        match step {
            Step::CreateDeployment(it) => named(&|| name(it.metadata()), "create"),
            Step::CreatePod(it) => named(&|| name(it.metadata()), "create"),
            Step::DeletePod { name, .. } => Some(format!("end {name}")),
            Step::DeleteDeployment { name, .. } => Some(format!("forget {name}")),
            Step::Scale { deployment, to } => Some(format!("scale {} to {to}", deployment.metadata.name)),
            Step::Change(it) => {
                let owned = if it.metadata.controller().is_some() { "" } else { " orphan" };
                let cancelled = if is_cancelled(it) { " cancelled" } else { "" };
                Some(format!("{} is {}{cancelled}{owned}", it.metadata.name, Phase::of(&it.metadata)))
            }
            Step::Status(config) => {
                let details = config.status.details.as_ref()?;
                Some(format!("version {}: {}", config.status.latest_version, details.message))
            }
            Step::Once(said) | Step::Tell(said) => Some(format!("{}: {}", said.reason, said.message)),
        }
    }

    #[track_caller]
    fn check(config: Option<&DeploymentConfig>, deployments: &[&str], pods: &[&str], expected: &[&str]) {
        let all: Vec<_> = deployments.iter().map(|words| deployment(words)).collect();
        let pods: Vec<_> = pods.iter().map(|words| pod(words)).collect();
        let view = View {
            config,
            deployments: all.iter().collect(),
            pods: pods.iter().collect(),
            now: NOW.parse().unwrap(),
        };
        let steps: Vec<String> = plan(&view).iter().filter_map(shown).collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_version_begins_when_something_changed() {
        let image = |last: &str| {
            json!({"triggers": [{"type": "ImageChange", "imageChangeParams": {
                "automatic": true, "containerNames": ["web"], "lastTriggeredImage": last,
                "from": {"kind": "ImageStreamTag", "name": "web:1"},
            }}, {"type": "ConfigChange"}]})
        };
        check(Some(&config(0, &json!({}))), &[], &[], &["version 1: config change"]);
        check(Some(&config(0, &json!({"triggers": []}))), &[], &[], &[]);
        check(Some(&config(0, &json!({"paused": true}))), &[], &[], &[]);
        check(Some(&config(0, &image(""))), &[], &[], &[]);
        check(Some(&config(0, &image("r/web@1"))), &[], &[], &["version 1: image change"]);
        check(Some(&config(1, &json!({}))), &["1 Complete 2"], &[], &[]);
        check(Some(&config(1, &json!({}))), &["1 Complete 2 old"], &[], &["version 2: config change"]);
        check(
            Some(&config(1, &json!({}))),
            &["1 Running 2 old"],
            &["1 deploy Running"],
            &["version 2: config change"],
        );
        check(Some(&config(1, &json!({"triggers": []}))), &["1 Complete 2 old"], &[], &[]);
        check(Some(&config(1, &json!({"paused": true}))), &["1 Complete 2 old"], &[], &[]);
        // What was asked about this generation is not asked again.
        let mut seen = config(1, &json!({}));
        seen.status.observed_generation = 7;
        check(Some(&seen), &["1 Complete 2 old"], &[], &[]);
    }

    /// Clients take the conditions for those of the newest version as soon as the generation is observed.
    #[test]
    fn a_generation_is_observed_once_its_version_is_there() {
        let check = |latest_version, words: &str, expected: Option<i64>| {
            let (config, deployment) = (config(latest_version, &json!({})), deployment(words));
            let now = NOW.parse().unwrap();
            let view = View { config: Some(&config), deployments: vec![&deployment], pods: Vec::new(), now };
            let observed = plan(&view).iter().find_map(|step| match step {
                Step::Status(config) => Some(config.status.observed_generation),
                _ => None,
            });
            assert_eq!(observed, expected, "{latest_version}: {words}");
        };
        check(1, "1 Complete 2", Some(7));
        check(1, "1 Complete 2 old", Some(6));
        check(2, "1 Complete 2 old", Some(6));
        check(2, "2 New 0", Some(7));
    }

    #[test]
    fn a_version_is_made_once_nothing_else_is_rolled_out() {
        let newest = config(2, &json!({}));
        check(Some(&newest), &["1 Complete 2"], &[], &["create web-2"]);
        check(Some(&newest), &["1 Failed 0"], &[], &["create web-2"]);
        check(Some(&config(2, &json!({"paused": true}))), &["1 Complete 2"], &[], &[]);
        let cancels = [
            "web-1 is Running cancelled",
            "DeploymentCancelled: Cancelled deployment \"web-1\" superceded by version 2",
            "DeploymentAwaitingCancellation: Deployment of version 2 awaiting cancellation of older running \
             deployments",
        ];
        check(Some(&newest), &["1 Running 2"], &["1 deploy Running"], &cancels);
        check(Some(&newest), &["1 Running 2 cancelled"], &["1 deploy Running"], &["end web-1-deploy"]);
        let failed = ["web-1 is Failed cancelled", "RolloutCancelled: Rollout for \"shop/web-1\" cancelled"];
        check(Some(&newest), &["1 Running 2 cancelled"], &[], &failed);
        // A version that has not begun yet does not begin any more.
        let cancelled_new = check_first(&newest, "1 New 0");
        assert_eq!(cancelled_new, "web-1 is New cancelled");
    }

    fn check_first(config: &DeploymentConfig, words: &str) -> String {
        let deployment = deployment(words);
        let now = NOW.parse().unwrap();
        let view = View { config: Some(config), deployments: vec![&deployment], pods: Vec::new(), now };
        plan(&view).iter().find_map(shown).unwrap()
    }

    #[test]
    fn the_phase_follows_the_deployer_pod() {
        let config = config(1, &json!({"triggers": []}));
        let check = |deployment: &str, pods: &[&str], expected: &[&str]| {
            check(Some(&config), &[deployment], pods, expected);
        };
        let created = "DeploymentCreated: Created new replication controller \"web-1\" for version 1";
        check("1 New 0", &[], &[created, "create web-1-deploy"]);
        check("1 New 0", &["1 deploy Pending"], &["web-1 is Pending"]);
        check("1 New 0", &["1 deploy Running"], &["web-1 is Running"]);
        check("1 New 0", &["1 deploy Succeeded"], &["web-1 is Pending"]);
        let foreign = "FailedCreate: Error creating deployer pod since another pod with the same name \
                       (\"web-1-deploy\") exists";
        check("1 New 0", &["1 deploy Running foreign"], &["web-1 is Failed", foreign]);
        let strays = ["1 deploy Succeeded stray", "1 hook-pre Succeeded stray"];
        check("1 New 0", &strays, &["end web-1-deploy", "end web-1-hook-pre"]);
        check("1 Pending 0", &["1 deploy Pending"], &[]);
        check("1 Pending 0", &["1 deploy Running"], &["web-1 is Running"]);
        check("1 Running 0", &["1 deploy Running"], &[]);
        check("1 Running 2", &["1 deploy Succeeded"], &["web-1 is Complete"]);
        check("1 Running 2", &["1 deploy Failed"], &["web-1 is Failed"]);
        let gone = "Failed: Deployer pod \"web-1-deploy\" has gone missing";
        check("1 Running 2", &[], &["web-1 is Failed", gone]);
        let ended = ["end web-1-deploy", "end web-1-hook-pre"];
        check("1 Complete 2", &["1 deploy Succeeded", "1 hook-pre Succeeded"], &ended);
        check("1 Failed 0", &["1 deploy Failed"], &[]);
    }

    #[test]
    fn cancelling_ends_the_deployer_and_retrying_begins_anew() {
        let config = config(1, &json!({"triggers": []}));
        let check = |deployment: &str, pods: &[&str], expected: &[&str]| {
            check(Some(&config), &[deployment], pods, expected);
        };
        let cancelled =
            ["web-1 is Failed cancelled", "RolloutCancelled: Rollout for \"shop/web-1\" cancelled"];
        check("1 New 0 cancelled", &[], &cancelled);
        let both = ["1 deploy Running", "1 hook-pre Running"];
        check("1 Running 1 cancelled", &both, &["end web-1-deploy", "end web-1-hook-pre"]);
        check("1 Running 1 cancelled", &["1 deploy Failed"], &cancelled);
        let too_late = ["web-1 is Complete", "FailedCancellation: Succeeded before cancel recorded"];
        check("1 Running 1 cancelled", &["1 deploy Succeeded"], &too_late);
        check(
            "1 New 0 retried",
            &["1 deploy Failed", "1 hook-pre Failed"],
            &["end web-1-deploy", "end web-1-hook-pre"],
        );
        check("1 New 0 retried", &[], &["web-1 is New"]);
    }

    #[test]
    fn the_newest_complete_version_has_all_the_pods() {
        let scaled = |name: &str, from: i32, to: i32| {
            [
                format!("scale {name} to {to}"),
                format!(
                    "ReplicationControllerScaled: Scaled replication controller \"{name}\" from {from} to {to}"
                ),
            ]
        };
        let check = |spec: Value, deployments: &[&str], expected: &[[String; 2]]| {
            let expected: Vec<&str> = expected.iter().flatten().map(String::as_str).collect();
            let mut spec = spec;
            spec["triggers"] = json!([]);
            check(Some(&config(3, &spec)), deployments, &[], &expected);
        };
        let two = || json!({});
        check(two(), &["2 Complete 0", "3 Complete 2"], &[]);
        check(two(), &["2 Complete 1", "3 Complete 1"], &[scaled("web-2", 1, 0), scaled("web-3", 1, 2)]);
        check(
            two(),
            &["1 Complete 2", "2 Complete 0", "3 Failed 1"],
            &[scaled("web-1", 2, 0), scaled("web-2", 0, 2), scaled("web-3", 1, 0)],
        );
        check(json!({"test": true}), &["3 Complete 2"], &[scaled("web-3", 2, 0)]);
        check(json!({"paused": true, "replicas": 5}), &["3 Complete 2"], &[scaled("web-3", 2, 5)]);
    }

    #[test]
    fn history_ends_at_its_limit() {
        let limited = config(5, &json!({"revisionHistoryLimit": 1, "triggers": []}));
        let history = ["1 Failed 0", "2 Complete 0", "3 Failed 0", "4 Failed 0", "5 Complete 2"];
        check(Some(&limited), &history, &[], &["forget web-1", "forget web-2", "forget web-3"]);
        let unlimited = config(5, &json!({"triggers": []}));
        check(Some(&unlimited), &history, &[], &[]);
        // The one whose pods serve is not history.
        let none = config(5, &json!({"revisionHistoryLimit": 0, "triggers": []}));
        check(Some(&none), &["3 Failed 0", "4 Complete 2", "5 Failed 0"], &[], &["forget web-3"]);
    }

    #[test]
    fn versions_are_told_from_those_of_a_namesake() {
        let again = config(1, &json!({"triggers": []}));
        check(Some(&again), &["1 Complete 2 orphan"], &[], &["web-1 is Complete"]);
        check(Some(&again), &["1 Complete 2 other"], &[], &["create web-1"]);
        check(None, &["1 Running 1 orphan"], &["1 deploy Failed"], &["web-1 is Failed orphan"]);
        check(None, &["1 Failed 1 orphan"], &["1 deploy Failed"], &["scale web-1 to 0"]);
        check(None, &["1 Complete 1 orphan"], &[], &[]);
    }
}
