//! What a configuration says of itself: numbers taken from its replication controllers, and conditions.

use jiff::Timestamp;
use pierhead_api::apps::annotations::{self, Phase};
use pierhead_api::apps::{DeploymentCondition, DeploymentConfig, DeploymentConfigStatus, condition};
use pierhead_api::core::ReplicationController;
use pierhead_api::meta::Time;

use crate::rollout_limits::Limits;

/// The status by what there is; `latest` is the replication controller of the newest version.
pub(super) fn status(
    config: &DeploymentConfig,
    deployments: &[&ReplicationController],
    latest: Option<&ReplicationController>,
    now: Timestamp,
) -> DeploymentConfigStatus {
    let sum = |number: fn(&ReplicationController) -> i32| {
        deployments.iter().fold(0_i32, |sum, rc| sum.saturating_add(number(rc)))
    };
    let available = sum(|rc| rc.status.available_replicas);
    let wanted = sum(|rc| rc.spec.replicas.unwrap_or_default());
    let mut status = DeploymentConfigStatus {
        replicas: sum(|rc| rc.status.replicas),
        updated_replicas: latest.map_or(0, |latest| latest.status.replicas),
        available_replicas: available,
        ready_replicas: sum(|rc| rc.status.ready_replicas),
        unavailable_replicas: wanted.saturating_sub(available).max(0),
        ..config.status.clone()
    };
    let enough = available > 0 && available >= config.spec.replicas - Limits::tolerated(&config.spec);
    let availability = match enough {
        true => ("True", "Deployment config has minimum availability."),
        false => ("False", "Deployment config does not have minimum availability."),
    };
    set(&mut status, &Said::new(condition::AVAILABLE, availability.0, "", availability.1), now);
    if let Some(progress) = progress(config, latest) {
        set(&mut status, &progress, now);
    }
    let failure = latest.and_then(|latest| {
        latest.status.conditions.iter().find(|said| said.condition_type == condition::REPLICA_FAILURE)
    });
    match failure {
        Some(failure) => {
            let said =
                Said::new(condition::REPLICA_FAILURE, &failure.status, &failure.reason, &failure.message);
            set(&mut status, &said, now);
        }
        None => status.conditions.retain(|said| said.condition_type != condition::REPLICA_FAILURE),
    }
    status
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    condition_type: &'static str,
    status: String,
    reason: String,
    message: String,
}

impl Said {
    pub(super) fn new(
        condition_type: &'static str,
        status: &str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self { condition_type, status: status.into(), reason: reason.into(), message: message.into() }
    }
}

/// Says something in the status, unless it is said already.
pub(super) fn set(status: &mut DeploymentConfigStatus, said: &Said, now: Timestamp) {
    let now = Some(Time(now).to_second());
    let conditions = &mut status.conditions;
    let known = conditions.iter_mut().find(|known| known.condition_type == said.condition_type);
    let transition = match &known {
        Some(known) if known.status == said.status => {
            if known.reason == said.reason && known.message == said.message {
                return;
            }
            known.last_transition_time
        }
        _ => now,
    };
    let condition = DeploymentCondition {
        condition_type: said.condition_type.into(),
        status: said.status.clone(),
        last_update_time: now,
        last_transition_time: transition,
        reason: said.reason.clone(),
        message: said.message.clone(),
    };
    match known {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// How the newest rollout goes.
fn progress(config: &DeploymentConfig, latest: Option<&ReplicationController>) -> Option<Said> {
    let said =
        |status, reason, message: String| Some(Said::new(condition::PROGRESSING, status, reason, message));
    let paused = config.spec.paused;
    let was_paused = config
        .status
        .condition(condition::PROGRESSING)
        .is_some_and(|known| known.reason == condition::PAUSED);
    let is_over = latest.is_none_or(|latest| Phase::of(&latest.metadata).is_terminal());
    if paused && is_over {
        return said("Unknown", condition::PAUSED, "Deployment config is paused".into());
    }
    let Some(latest) = latest else {
        return was_paused
            .then(|| said("Unknown", condition::RESUMED, "Deployment config is resumed".into()))
            .flatten();
    };
    let name = &latest.metadata.name;
    match Phase::of(&latest.metadata) {
        Phase::New => {
            let message = created(name, config.status.latest_version);
            said("True", condition::NEW_CONTROLLER_CREATED, message)
        }
        Phase::Pending => {
            let pod = annotations::deployer_pod_name(name);
            let message = format!("replication controller {name:?} is waiting for pod {pod:?} to run");
            said("Unknown", "", message)
        }
        Phase::Running => {
            let message = format!("replication controller {name:?} is progressing");
            said("True", condition::CONTROLLER_UPDATED, message)
        }
        Phase::Failed if super::phases::is_cancelled(latest) => {
            let message = format!("rollout of replication controller {name:?} was cancelled");
            said("False", condition::CANCELLED, message)
        }
        Phase::Failed => {
            let message = format!("replication controller {name:?} has failed progressing");
            said("False", condition::DEADLINE_EXCEEDED, message)
        }
        Phase::Complete => {
            let message = format!("replication controller {name:?} successfully rolled out");
            said("True", condition::NEW_CONTROLLER_AVAILABLE, message)
        }
    }
}

/// What is said of a new version, in an event and in a condition.
pub(super) fn created(name: &str, version: i64) -> String {
    format!("Created new replication controller {name:?} for version {version}")
}

#[cfg(test)]
mod tests {
    use pierhead_api::apps::{DeploymentConfig, DeploymentConfigStatus};
    use pierhead_api::core::ReplicationController;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{Said, set, status};

    fn config(spec: &Value, progressing: &str) -> DeploymentConfig {
        let condition = json!({"type": "Progressing", "status": "Unknown", "reason": progressing});
        let status = json!({"latestVersion": 2, "conditions": [condition]});
        from_value(&json!({"metadata": {"name": "web"}, "spec": spec, "status": status})).unwrap()
    }

    fn deployment(version: u32, phase: &str, spec: i32, available: i32) -> ReplicationController {
        let notes = json!({"openshift.io/deployment.phase": phase, "openshift.io/deployment.cancelled":
            if phase == "Failed" && version == 9 { "true" } else { "" }});
        let status = json!({"replicas": spec, "readyReplicas": available, "availableReplicas": available});
        let metadata = json!({"name": format!("web-{version}"), "annotations": notes});
        from_value(&json!({"metadata": metadata, "spec": {"replicas": spec}, "status": status})).unwrap()
    }

    #[track_caller]
    fn check_progress(spec: Value, before: &str, latest: Option<ReplicationController>, expected: &str) {
        let all: Vec<&ReplicationController> = latest.iter().collect();
        let status = status(&config(&spec, before), &all, latest.as_ref(), jiff::Timestamp::UNIX_EPOCH);
        let said = status.condition("Progressing").unwrap();
        assert_eq!(format!("{} {} {}", said.status, said.reason, said.message), expected);
    }

    #[test]
    fn says_how_the_newest_rollout_goes() {
        let check = |version, phase, expected: &str| {
            check_progress(json!({}), "", Some(deployment(version, phase, 1, 0)), expected);
        };
        check(
            2,
            "New",
            "True NewReplicationControllerCreated Created new replication controller \"web-2\" for version 2",
        );
        check(
            2,
            "Pending",
            "Unknown  replication controller \"web-2\" is waiting for pod \"web-2-deploy\" to run",
        );
        check(
            2,
            "Running",
            "True ReplicationControllerUpdated replication controller \"web-2\" is progressing",
        );
        check(
            2,
            "Complete",
            "True NewReplicationControllerAvailable replication controller \"web-2\" successfully rolled out",
        );
        check(
            2,
            "Failed",
            "False ProgressDeadlineExceeded replication controller \"web-2\" has failed progressing",
        );
        check(
            9,
            "Failed",
            "False RolloutCancelled rollout of replication controller \"web-9\" was cancelled",
        );
        let paused = json!({"paused": true});
        let is_paused = "Unknown DeploymentConfigPaused Deployment config is paused";
        check_progress(paused.clone(), "", Some(deployment(2, "Complete", 1, 1)), is_paused);
        check_progress(paused.clone(), "", None, is_paused);
        let running = "True ReplicationControllerUpdated replication controller \"web-2\" is progressing";
        check_progress(paused, "", Some(deployment(2, "Running", 1, 1)), running);
        let resumed = "Unknown DeploymentConfigResumed Deployment config is resumed";
        check_progress(json!({}), "DeploymentConfigPaused", None, resumed);
    }

    #[test]
    fn numbers_come_from_the_replication_controllers() {
        let (old, new) = (deployment(1, "Complete", 2, 2), deployment(2, "Running", 3, 1));
        let check = |spec: Value, expected: ([i32; 5], &str)| {
            let found = status(&config(&spec, ""), &[&old, &new], Some(&new), jiff::Timestamp::UNIX_EPOCH);
            let DeploymentConfigStatus { replicas, updated_replicas, available_replicas, .. } = found;
            let numbers = [
                replicas,
                updated_replicas,
                available_replicas,
                found.ready_replicas,
                found.unavailable_replicas,
            ];
            let available = found.condition("Available").unwrap();
            assert_eq!((numbers, available.status.as_str()), expected);
        };
        check(json!({"replicas": 3}), ([5, 3, 3, 3, 2], "True"));
        check(json!({"replicas": 4}), ([5, 3, 3, 3, 2], "False"));
        let share = json!({"replicas": 4, "strategy": {"type": "Rolling", "rollingParams":
            {"maxUnavailable": "25%", "maxSurge": "25%"}}});
        check(share, ([5, 3, 3, 3, 2], "True"));
    }

    #[test]
    fn what_is_said_already_is_not_said_again() {
        let (early, late) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::from_second(60).unwrap());
        let mut status = DeploymentConfigStatus::default();
        set(&mut status, &Said::new("Progressing", "True", "a", "b"), early);
        let first = status.clone();
        set(&mut status, &Said::new("Progressing", "True", "a", "b"), late);
        assert_eq!(status, first);
        set(&mut status, &Said::new("Progressing", "True", "c", "b"), late);
        let said = status.condition("Progressing").unwrap();
        assert_eq!(said.last_transition_time.unwrap().0, early);
        assert_eq!(said.last_update_time.unwrap().0, late);
        set(&mut status, &Said::new("Progressing", "False", "c", "b"), late);
        assert_eq!(status.condition("Progressing").unwrap().last_transition_time.unwrap().0, late);
    }
}
