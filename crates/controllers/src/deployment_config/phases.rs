//! The life of one version: from New by way of its deployer pod to Complete or Failed (platform 8.2.5).
//!
//! The phase follows the deployer pod. What was done is read from objects alone, so a step that was cut off is
//! done again or was done already: the version's own pod with the right name is the deployer, pods from before a
//! retry or of a namesake are removed first, and whether a New version is a retry is told by the note when its
//! deployer completed.

use jiff::Timestamp;
use pierhead_api::apps::annotations::{self, Phase};
use pierhead_api::apps::{DeploymentConfig, encoded_config};
use pierhead_api::core::{Pod, ReplicationController};
use pierhead_api::meta::{ObjectMeta, Time};

use crate::deployment_config::deployment::{deployer_pod, version};
use crate::deployment_config::plan::Step;
use crate::deployment_config::status::created;
use crate::events::Happening;

/// Whether somebody, or a newer version, wants the rollout to stop.
pub(crate) fn is_cancelled(deployment: &ReplicationController) -> bool {
    deployment.metadata.annotation(annotations::CANCELLED) == Some(annotations::CANCELLED_VALUE)
}

/// What is to be done next about one version; `pods` are its deployer and hook pods.
pub(super) fn steps(deployment: &ReplicationController, pods: &[&Pod], now: Timestamp) -> Vec<Step> {
    let version = Version { deployment, pods, now };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    match Phase::of(&deployment.metadata) {
        Phase::New => version.begin(),
        phase @ (Phase::Pending | Phase::Running) => version.follow(phase),
        Phase::Complete => remove(pods.iter().copied()),
        Phase::Failed => Vec::new(),
    }
}

struct Version<'a> {
    deployment: &'a ReplicationController,
    pods: &'a [&'a Pod],
    now: Timestamp,
}

impl Version<'_> {
    fn begin(&self) -> Vec<Step> {
        let ObjectMeta { name, annotations: notes, .. } = &self.deployment.metadata;
        if is_cancelled(self.deployment) {
            return self.cancelled();
        }
        if notes.contains_key(annotations::DEPLOYER_POD_COMPLETED_AT) {
            return self.begin_again();
        }
        let config = match encoded_config(&self.deployment.metadata) {
            None => return Vec::new(),
            Some(Ok(config)) => config,
            Some(Err(error)) => {
                let message = format!("couldn't decode deployment config from deployment {name}: {error}");
                return self.failed(Some(&message), Happening::warning("FailedCreate", message.clone()));
            }
        };
        let strays: Vec<&Pod> = self.pods.iter().filter(|pod| is_stray(pod)).copied().collect();
        if !strays.is_empty() {
            return remove(strays.into_iter());
        }
        match self.deployer() {
            None => {
                let message = created(name, version(&self.deployment.metadata));
                vec![
                    Step::Once(Happening::normal("DeploymentCreated", message)),
                    Step::CreatePod(Box::new(deployer_pod(self.deployment, &config))),
                ]
            }
            Some(pod) if !self.is_mine(pod) => {
                let pod = &pod.metadata.name;
                let message = format!(
                    "Error creating deployer pod since another pod with the same name ({pod:?}) exists"
                );
                let happening = Happening::warning("FailedCreate", message);
                self.failed(Some(annotations::UNRELATED_POD_EXISTS), happening)
            }
            Some(pod) => {
                let next = if pod.status.phase == "Running" { Phase::Running } else { Phase::Pending };
                self.moved(next, |notes| {
                    notes.insert(annotations::DEPLOYER_POD.into(), pod.metadata.name.clone());
                    note_time(notes, annotations::DEPLOYER_POD_CREATED_AT, pod.metadata.creation_timestamp);
                    note_time(notes, annotations::DEPLOYER_POD_STARTED_AT, pod.status.start_time);
                })
            }
        }
    }

    /// A retry: what the last try left goes, then its notes, and then it is as new.
    fn begin_again(&self) -> Vec<Step> {
        if !self.pods.is_empty() {
            return remove(self.pods.iter().copied());
        }
        self.moved(Phase::New, |notes| {
            for note in [
                annotations::DEPLOYER_POD,
                annotations::DEPLOYER_POD_CREATED_AT,
                annotations::DEPLOYER_POD_STARTED_AT,
                annotations::DEPLOYER_POD_COMPLETED_AT,
            ] {
                notes.remove(note);
            }
        })
    }

    fn follow(&self, phase: Phase) -> Vec<Step> {
        let Some(pod) = self.deployer().filter(|pod| self.is_mine(pod)) else {
            if is_cancelled(self.deployment) {
                return self.cancelled();
            }
            let pod = annotations::deployer_pod_name(&self.deployment.metadata.name);
            let happening = Happening::warning("Failed", format!("Deployer pod {pod:?} has gone missing"));
            return self.failed(Some(annotations::DEPLOYER_POD_VANISHED), happening);
        };
        let is_cancelled = is_cancelled(self.deployment);
        match pod.status.phase.as_str() {
            "Succeeded" => self.succeeded(is_cancelled),
            "Failed" if is_cancelled => self.cancelled(),
            "Failed" => self.given_up(),
            _ if is_cancelled => remove(self.pods.iter().copied()),
            "Running" if phase != Phase::Running => self.moved(Phase::Running, |notes| {
                note_time(notes, annotations::DEPLOYER_POD_STARTED_AT, pod.status.start_time);
            }),
            _ => Vec::new(),
        }
    }

    fn succeeded(&self, is_cancelled: bool) -> Vec<Step> {
        let mut steps = self.moved(Phase::Complete, |notes| {
            notes.remove(annotations::CANCELLED);
            if is_cancelled {
                notes.remove(annotations::STATUS_REASON);
            }
            note_time(notes, annotations::DEPLOYER_POD_COMPLETED_AT, Some(Time(self.now)));
        });
        if is_cancelled {
            let message = "Succeeded before cancel recorded";
            steps.push(Step::Tell(Happening::warning("FailedCancellation", message)));
        }
        steps
    }

    fn cancelled(&self) -> Vec<Step> {
        let message = format!("Rollout for {:?} cancelled", self.label());
        self.failed(None, Happening::normal("RolloutCancelled", message))
    }

    /// The deployer failed; if it had all its time, that is told.
    fn given_up(&self) -> Vec<Step> {
        let mut steps = self.failed_quietly(None);
        let config = encoded_config(&self.deployment.metadata).and_then(Result::ok);
        let timeout = config.map_or(0, |config: DeploymentConfig| config.spec.strategy.timeout_seconds());
        let began = self.deployment.metadata.creation_timestamp.map_or(self.now, |created| created.0);
        if timeout > 0 && self.now.duration_since(began).as_secs() > timeout {
            let message = format!("Rollout for {:?} failed (timed out after {timeout}s)", self.label());
            steps.push(Step::Tell(Happening::warning("RolloutTimeout", message)));
        }
        steps
    }

    fn failed(&self, reason: Option<&str>, happening: Happening) -> Vec<Step> {
        let mut steps = self.failed_quietly(reason);
        steps.push(Step::Tell(happening));
        steps
    }

    fn failed_quietly(&self, reason: Option<&str>) -> Vec<Step> {
        self.moved(Phase::Failed, |notes| {
            if let Some(reason) = reason {
                notes.insert(annotations::STATUS_REASON.into(), reason.into());
            }
            note_time(notes, annotations::DEPLOYER_POD_COMPLETED_AT, Some(Time(self.now)));
        })
    }

    fn moved(&self, to: Phase, change: impl FnOnce(&mut Notes)) -> Vec<Step> {
        let mut deployment = self.deployment.clone();
        let notes = &mut deployment.metadata.annotations;
        notes.insert(annotations::PHASE.into(), to.as_str().into());
        change(notes);
        vec![Step::Change(Box::new(deployment))]
    }

    fn deployer(&self) -> Option<&Pod> {
        let name = annotations::deployer_pod_name(&self.deployment.metadata.name);
        self.pods.iter().find(|pod| pod.metadata.name == name).copied()
    }

    fn is_mine(&self, pod: &Pod) -> bool {
        pod.metadata.owner_references.iter().any(|owner| owner.uid == self.deployment.metadata.uid)
    }

    fn label(&self) -> String {
        format!("{}/{}", self.deployment.metadata.namespace, self.deployment.metadata.name)
    }
}

/// Whether a pod was made for a version of this name that is gone, and lost its owner.
fn is_stray(pod: &Pod) -> bool {
    pod.metadata.labels.contains_key(annotations::DEPLOYER_POD_FOR)
        && pod.metadata.owner_references.is_empty()
}

fn remove<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<Step> {
    let staying = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    staying
        .map(|pod| Step::DeletePod { name: pod.metadata.name.clone(), uid: pod.metadata.uid.clone() })
        .collect()
}

type Notes = std::collections::BTreeMap<String, String>;

/// Times in annotations are written as in 2016.
fn note_time(notes: &mut Notes, note: &str, time: Option<Time>) {
    if let Some(time) = time {
        notes.insert(note.into(), time.0.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    }
}
