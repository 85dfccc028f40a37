//! `rollout status`: follow a deployment to its end.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::ConfigWords;
use crate::{
    deployments::{self, latest_version, number},
    environment::ExitStatus,
    error,
    follow::Followed,
    object,
    session::{Session, parse_timeout},
};

/// Show how a deployment goes, until it is done
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    config: ConfigWords,
    /// Fail unless this deployment is the latest; 0 takes any
    #[arg(long, default_value_t = 0, value_name = "N")]
    revision: u64,
    /// Wait for the end
    #[arg(short = 'w', long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    watch: bool,
    /// Longest wait, such as 5m; 0 waits for ever
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It goes on; what to say about it.
    Going(String),
    /// It is done; what to say about it.
    Done(String),
    /// It will not succeed.
    Failed(String),
}

pub(crate) async fn run(args: StatusArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, name) = args.config.resolve(&discovery)?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let progress: fn(&Value, u64) -> Progress = match (kind.group.as_str(), kind.plural.as_str()) {
        (deployments::GROUP, "deploymentconfigs") => of_config,
        ("apps" | "extensions", "deployments") => of_deployment,
        _ => bail!("no status viewer has been implemented for {}", kind.display_name()),
    };
    let mut followed = Followed::new(&client, &kind.resource(), kind.scope(&namespace), &name);
    let deadline = args.timeout.as_deref().map(parse_timeout).transpose()?.flatten();
    let following = async {
        let mut said = String::new();
        let mut found = false;
        loop {
            let Some(object) = followed.next().await? else {
                if found {
                    bail!("object has been deleted");
                }
                bail!("{} {name:?} not found", kind.qualified_plural());
            };
            found = true;
            let (line, is_done) = match progress(&object, args.revision) {
                Progress::Failed(message) => bail!(message),
                Progress::Going(line) => (line, false),
                Progress::Done(line) => (line, true),
            };
            if line != said {
                session.say(&line)?;
                session.environment.stdout.flush()?;
                said = line;
            }
            if is_done || !args.watch {
                return Ok(ExitStatus::SUCCESS);
            }
        }
    };
    match deadline {
        None => following.await,
        Some(deadline) => match tokio::time::timeout(deadline, following).await {
            Ok(ended) => ended,
            Err(_elapsed) => Err(error::TimedOut("timed out waiting for the condition".to_owned()).into()),
        },
    }
}

/// What the numbers of replicas mean while they are not what they should be.
fn replicas(subject: &str, wanted: u64, status: &Value) -> Option<String> {
    let count = |field: &str| number(status, field);
    let (updated, available) = (count("updatedReplicas"), count("availableReplicas"));
    let waiting = format!("Waiting for {subject} to finish");
    if updated < wanted {
        return Some(format!("{waiting}: {updated} out of {wanted} new replicas have been updated..."));
    }
    let old = count("replicas").saturating_sub(updated);
    if old > 0 {
        return Some(format!("{waiting}: {old} old replicas are pending termination..."));
    }
    (available < updated)
        .then(|| format!("{waiting}: {available} of {updated} updated replicas are available..."))
}

fn progressing(object: &Value) -> Option<(&str, &str)> {
    let conditions = object::list(object, "status.conditions");
    let found = conditions.iter().find(|condition| object::text(condition, "type") == "Progressing")?;
    Some((object::text(found, "reason"), object::text(found, "message")))
}

fn is_observed(object: &Value) -> bool {
    number(object, "metadata.generation") <= number(object, "status.observedGeneration")
}

/// The progress of a deployment config.
pub(crate) fn of_config(config: &Value, revision: u64) -> Progress {
    let name = object::name(config);
    let latest = latest_version(config);
    if latest == 0 {
        let triggers = object::list(config, "spec.triggers");
        let follows_images = triggers.iter().any(|trigger| object::text(trigger, "type") == "ImageChange");
        if follows_images {
            return Progress::Going(format!("Deployment config {name:?} waiting on image update"));
        }
        if triggers.is_empty() {
            return Progress::Failed(format!(
                "Deployment config {name:?} waiting on manual update (use 'oc rollout latest {name}')"
            ));
        }
    }
    if revision > 0 && latest != revision {
        return Progress::Failed(format!(
            "desired revision ({revision}) is different from the running revision ({latest})"
        ));
    }
    if is_observed(config) {
        match progressing(config) {
            Some(("NewReplicationControllerAvailable", message)) => {
                return Progress::Done(message.to_owned());
            }
            Some(("ProgressDeadlineExceeded" | "RolloutCancelled", message)) => {
                return Progress::Failed(message.to_owned());
            }
            Some(("DeploymentConfigPaused", _)) => {
                return Progress::Failed(format!(
                    "Deployment config {name:?} is paused. Resume to continue watching the status of the rollout."
                ));
            }
            _ => {}
        }
        let status = config.get("status").cloned().unwrap_or_default();
        if let Some(line) = replicas("rollout", number(config, "spec.replicas"), &status) {
            return Progress::Going(line);
        }
    }
    Progress::Going(
        "Waiting for latest deployment config spec to be observed by the controller loop...".to_owned(),
    )
}

/// The progress of a deployment.
pub(crate) fn of_deployment(deployment: &Value, revision: u64) -> Progress {
    let name = object::name(deployment);
    let current = deployments::annotation(deployment, "deployment.kubernetes.io/revision");
    if revision > 0 && current.parse() != Ok(revision) {
        return Progress::Failed(format!(
            "desired revision ({revision}) is different from the running revision ({current})"
        ));
    }
    if !is_observed(deployment) {
        return Progress::Going("Waiting for deployment spec update to be observed...".to_owned());
    }
    if let Some(("ProgressDeadlineExceeded", _)) = progressing(deployment) {
        return Progress::Failed(format!("deployment {name:?} exceeded its progress deadline"));
    }
    let status = deployment.get("status").cloned().unwrap_or_default();
    match replicas(&format!("deployment {name:?} rollout"), number(deployment, "spec.replicas"), &status) {
        Some(line) => Progress::Going(line),
        None => Progress::Done(format!("deployment {name:?} successfully rolled out")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Progress, of_config};

    #[track_caller]
    fn check(spec: Value, status: Value, expected: Progress) {
        let config = json!({"metadata": {"name": "web", "generation": 2}, "spec": spec, "status": status});
        assert_eq!(of_config(&config, 0), expected);
    }

    fn status(reason: &str, updated: u64, all: u64, available: u64) -> Value {
        json!({
            "latestVersion": 2, "observedGeneration": 2, "updatedReplicas": updated, "replicas": all,
            "availableReplicas": available,
            "conditions": [{"type": "Progressing", "reason": reason, "message": "said"}],
        })
    }

    #[test]
    fn a_config_progresses() {
        let going = |text: &str| Progress::Going(text.into());
        let spec = json!({"replicas": 3, "triggers": [{"type": "ConfigChange"}]});
        check(
            json!({"triggers": [{"type": "ImageChange"}]}),
            json!({}),
            going("Deployment config \"web\" waiting on image update"),
        );
        check(
            json!({"triggers": []}),
            json!({}),
            Progress::Failed(
                "Deployment config \"web\" waiting on manual update (use 'oc rollout latest web')".into(),
            ),
        );
        let unseen = "Waiting for latest deployment config spec to be observed by the controller loop...";
        check(spec.clone(), json!({"latestVersion": 1, "observedGeneration": 1}), going(unseen));
        let rows = [
            (1, 3, 1, "Waiting for rollout to finish: 1 out of 3 new replicas have been updated..."),
            (3, 4, 1, "Waiting for rollout to finish: 1 old replicas are pending termination..."),
            (3, 3, 1, "Waiting for rollout to finish: 1 of 3 updated replicas are available..."),
        ];
        for (updated, all, available, line) in rows {
            check(spec.clone(), status("ReplicationControllerUpdated", updated, all, available), going(line));
        }
        check(
            spec.clone(),
            status("NewReplicationControllerAvailable", 3, 3, 3),
            Progress::Done("said".into()),
        );
        check(spec.clone(), status("RolloutCancelled", 0, 3, 3), Progress::Failed("said".into()));
        check(spec, status("ProgressDeadlineExceeded", 0, 3, 3), Progress::Failed("said".into()));
    }
}
