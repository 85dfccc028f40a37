//! Deployment configs with their latest deployments (platform 8.5).

use serde_json::Value;

use super::{Context, pod_template, replication_controller};
use crate::{
    deployments::{self, annotation, number},
    globals::Era,
    object,
    print::age,
};

/// How many deployments are shown.
const SHOWN: usize = 3;

pub(super) async fn describe(context: &Context<'_>, config: &Value) -> String {
    let mut text = head(context, config);
    text.push_str(&triggers(config));
    text.push_str(&strategy(config));
    let template = config.pointer("/spec/template").unwrap_or(&Value::Null);
    text.push_str("Template:\n");
    text.push_str(&super::indent(&pod_template::describe(template), 0));
    let namespace = object::namespace(config).unwrap_or_default();
    let name = object::name(config);
    let selector = format!("{}={name}", deployments::CONFIG);
    let query = [("labelSelector", selector.as_str())];
    let mut rollouts = context.related("replicationcontrollers", namespace, &query).await;
    rollouts.sort_by_key(|rollout| std::cmp::Reverse(deployments::version(rollout)));
    if rollouts.is_empty() {
        let message = match deployments::latest_version(config) {
            0 => "Latest Deployment:\t<none>\n",
            _ => "Latest Deployment:\t<not found>\n",
        };
        text.push('\n');
        text.push_str(message);
        return text;
    }
    let latest = deployments::latest_version(config);
    for rollout in rollouts.iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&deployment(context, rollout, deployments::version(rollout) == latest).await);
    }
    text
}

fn head(context: &Context<'_>, config: &Value) -> String {
    let created = age::words(Some(object::text(config, "metadata.creationTimestamp")), context.now);
    let mut text = format!("Name:\t{}\n", object::name(config));
    if context.era == Era::V4 {
        text.push_str(&format!("Namespace:\t{}\n", object::namespace(config).unwrap_or_default()));
    }
    let latest = match deployments::latest_version(config) {
        0 => "Not deployed".to_owned(),
        version => version.to_string(),
    };
    text.push_str(&format!(
        "Created:\t{created} ago\n{}{}Latest Version:\t{latest}\nSelector:\t{}\nReplicas:\t{}{}\n",
        super::map_lines("Labels", config, "metadata.labels", '='),
        super::map_lines("Annotations", config, "metadata.annotations", '='),
        super::map_line(config, "spec.selector"),
        number(config, "spec.replicas"),
        if flag(config, "spec.test") { " (test, will be scaled down between deployments)" } else { "" },
    ));
    if flag(config, "spec.paused") {
        text.push_str("Paused:\tyes\n");
    }
    text
}

fn flag(object: &Value, path: &str) -> bool {
    object::at(object, path).and_then(Value::as_bool).unwrap_or(false)
}

/// `Config, Image(web@latest, auto=true)`.
fn triggers(config: &Value) -> String {
    let all: Vec<String> = object::list(config, "spec.triggers")
        .iter()
        .map(|trigger| match object::text(trigger, "type") {
            "ConfigChange" => "Config".to_owned(),
            "ImageChange" => {
                let name = object::text(trigger, "imageChangeParams.from.name");
                let name = name.replacen(':', "@", 1);
                let name = match object::text(trigger, "imageChangeParams.from.namespace") {
                    "" => name,
                    own if Some(own) == object::namespace(config) => name,
                    other => format!("{other}/{name}"),
                };
                format!("Image({name}, auto={})", flag(trigger, "imageChangeParams.automatic"))
            }
            other => other.to_owned(),
        })
        .collect();
    format!("Triggers:\t{}\n", if all.is_empty() { "<none>".to_owned() } else { all.join(", ") })
}

fn strategy(config: &Value) -> String {
    let kind = object::text(config, "spec.strategy.type");
    let mut text = format!("Strategy:\t{kind}\n");
    let parameters = match kind {
        "Rolling" => "rollingParams",
        "Recreate" => "recreateParams",
        _ => "customParams",
    };
    if kind == "Custom" {
        text.push_str(&format!("  Image:\t{}\n", object::text(config, "spec.strategy.customParams.image")));
    }
    for (title, hook) in [("Pre-deployment", "pre"), ("Mid-deployment", "mid"), ("Post-deployment", "post")] {
        let Some(hook) = object::at(config, &format!("spec.strategy.{parameters}.{hook}")) else { continue };
        let policy = object::text(hook, "failurePolicy");
        if let Some(pod) = object::at(hook, "execNewPod") {
            let words: Vec<&str> = object::list(pod, "command").iter().filter_map(Value::as_str).collect();
            let variables: Vec<String> = object::list(pod, "env")
                .iter()
                .map(|variable| {
                    format!("{}={}", object::text(variable, "name"), object::text(variable, "value"))
                })
                .collect();
            text.push_str(&format!(
                "  {title} hook (pod type, failure policy: {policy}):\n    Container:\t{}\n    Command:\t{}\n    Env:\t{}\n",
                object::text(pod, "containerName"),
                words.join(" "),
                if variables.is_empty() { "<none>".to_owned() } else { variables.join(", ") },
            ));
        }
        for tag in object::list(hook, "tagImages") {
            text.push_str(&format!(
                "  {title} hook (tag images, failure policy: {policy}):\n    Tag:\tcontainer {} to {} {}\n",
                object::text(tag, "containerName"),
                object::text(tag, "to.kind"),
                object::text(tag, "to.name"),
            ));
        }
    }
    text
}

async fn deployment(context: &Context<'_>, rollout: &Value, is_latest: bool) -> String {
    let created = age::words(Some(object::text(rollout, "metadata.creationTimestamp")), context.now);
    let version = deployments::version(rollout);
    let phase = annotation(rollout, deployments::PHASE);
    if !is_latest {
        return format!(
            "Deployment #{version}:\n  Created:\t{created} ago\n  Status:\t{phase}\n  Replicas:\t{}\n",
            replication_controller::replicas(rollout)
        );
    }
    format!(
        "Deployment #{version} (latest):\n  Name:\t{}\n  Created:\t{created} ago\n  Status:\t{phase}\n  Replicas:\t{}\n  \
         Selector:\t{}\n  Labels:\t{}\n  Pods Status:\t{}\n",
        object::name(rollout),
        replication_controller::replicas(rollout),
        super::map_line(rollout, "spec.selector"),
        super::map_line(rollout, "metadata.labels"),
        replication_controller::pods_status(context, rollout).await,
    )
}
