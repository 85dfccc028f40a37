//! Deployments on one line each, as `deploy` and `status` show them.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    deployments::{self, annotation, number},
    object,
    print::age,
};

/// A line per deployment of a config, newest first: those since the last one that succeeded, and that one, but at
/// most `limit`.
pub(crate) fn rollout_lines(config: &Value, rollouts: &[Value], limit: usize, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let latest = deployments::latest_version(config);
    let is_there = rollouts.first().is_some_and(|rollout| deployments::version(rollout) == latest);
    if !is_there {
        let (on, automatic) = triggers(config);
        if latest == 0 {
            lines.push(format!("deployment #1 waiting {on}"));
        } else if automatic {
            lines.push(format!("deployment #{latest} pending {on}"));
        }
    }
    let is_test = object::at(config, "spec.test").and_then(Value::as_bool).unwrap_or(false);
    for (position, rollout) in rollouts.iter().enumerate().take(limit) {
        lines.push(line(rollout, position == 0 && is_there, is_test, now));
        if deployments::phase(rollout) == "Complete" {
            break;
        }
    }
    lines
}

/// What a deployment waits for, and whether it begins by itself.
fn triggers(config: &Value) -> (&'static str, bool) {
    let triggers = object::list(config, "spec.triggers");
    let has = |wanted: &str| triggers.iter().any(|trigger| object::text(trigger, "type") == wanted);
    match (has("ImageChange"), has("ConfigChange")) {
        _ if triggers.is_empty() => ("on manual trigger", false),
        (true, true) => ("on image or update", true),
        (true, false) => ("on image", true),
        (false, true) => ("on update", true),
        (false, false) => ("for unknown", false),
    }
}

fn line(rollout: &Value, is_latest: bool, is_test: bool, now: Timestamp) -> String {
    let since = age::words(Some(object::text(rollout, "metadata.creationTimestamp")), now).to_lowercase();
    let version = deployments::version(rollout);
    let phase = deployments::phase(rollout);
    let cancelling = if deployments::is_cancelled(rollout) && !deployments::is_over(rollout) {
        " (cancelling)"
    } else {
        ""
    };
    let test = if is_test { "test " } else { "" };
    let pods = |include_none: bool| {
        pods(number(rollout, "status.replicas"), number(rollout, "spec.replicas"), include_none)
    };
    match phase {
        "Failed" => {
            let reason = match annotation(rollout, deployments::STATUS_REASON) {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            format!("deployment #{version} failed {since} ago{reason}{}", pods(false))
        }
        "Complete" if is_test => format!("test deployment #{version} deployed {since} ago"),
        "Complete" => format!("deployment #{version} deployed {since} ago{}", pods(is_latest)),
        "Running" => format!("{test}deployment #{version} running{cancelling} for {since}{}", pods(false)),
        other => {
            format!(
                "{test}deployment #{version} {}{cancelling} {since} ago{}",
                other.to_lowercase(),
                pods(false)
            )
        }
    }
}

/// How many pods there are and should be.
pub(crate) fn pod_count(actual: u64, wanted: u64) -> String {
    pods(actual, wanted, true)
}

/// ` - 2 pods`, ` - 1/2 pods growing to 2`.
fn pods(actual: u64, wanted: u64, include_none: bool) -> String {
    match (actual, wanted) {
        (0, 0) if !include_none => String::new(),
        (1, 1) => " - 1 pod".to_owned(),
        (actual, wanted) if actual == wanted => format!(" - {actual} pods"),
        (actual, wanted) if wanted > actual => format!(" - {actual}/{wanted} pods growing to {wanted}"),
        (actual, wanted) => format!(" - {actual}/{wanted} pods reducing to {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::rollout_lines;

    fn rollout(version: u64, phase: &str, actual: u64, wanted: u64) -> Value {
        json!({
            "metadata": {"creationTimestamp": "2016-03-30T11:57:00Z", "annotations": {
                "openshift.io/deployment-config.latest-version": version.to_string(),
                "openshift.io/deployment.phase": phase,
                "openshift.io/deployment.status-reason": if phase == "Failed" { "no image" } else { "" },
            }},
            "spec": {"replicas": wanted}, "status": {"replicas": actual},
        })
    }

    #[track_caller]
    fn check(latest: u64, rollouts: &[Value], expected: &[&str]) {
        let config =
            json!({"spec": {"triggers": [{"type": "ConfigChange"}]}, "status": {"latestVersion": latest}});
        let now = "2016-03-30T12:00:00Z".parse().unwrap();
        assert_eq!(rollout_lines(&config, rollouts, 9, now), expected);
    }

    #[test]
    fn deployments_in_words() {
        check(0, &[], &["deployment #1 waiting on update"]);
        check(1, &[rollout(1, "Complete", 1, 1)], &["deployment #1 deployed 3 minutes ago - 1 pod"]);
        check(
            3,
            &[
                rollout(3, "Running", 1, 2),
                rollout(2, "Failed", 0, 0),
                rollout(1, "Complete", 2, 1),
                rollout(0, "Complete", 0, 0),
            ],
            &[
                "deployment #3 running for 3 minutes - 1/2 pods growing to 2",
                "deployment #2 failed 3 minutes ago: no image",
                "deployment #1 deployed 3 minutes ago - 2/1 pods reducing to 1",
            ],
        );
        check(
            2,
            &[rollout(1, "Complete", 0, 0)],
            &["deployment #2 pending on update", "deployment #1 deployed 3 minutes ago"],
        );
    }
}
