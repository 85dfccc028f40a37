//! Replication controllers with the pods they have.

use serde_json::Value;

use super::{Context, pod_template};
use crate::{deployments::number, object};

pub(super) async fn describe(context: &Context<'_>, controller: &Value) -> String {
    format!(
        "Name:\t{}\nNamespace:\t{}\nSelector:\t{}\n{}{}Replicas:\t{}\nPods Status:\t{}\n{}",
        object::name(controller),
        object::namespace(controller).unwrap_or_default(),
        super::map_line(controller, "spec.selector"),
        super::map_lines("Labels", controller, "metadata.labels", '='),
        super::map_lines("Annotations", controller, "metadata.annotations", ':'),
        replicas(controller),
        pods_status(context, controller).await,
        pod_template::describe(controller.pointer("/spec/template").unwrap_or(&Value::Null)),
    )
}

/// `1 current / 2 desired`.
pub(super) fn replicas(controller: &Value) -> String {
    format!(
        "{} current / {} desired",
        number(controller, "status.replicas"),
        number(controller, "spec.replicas")
    )
}

/// `1 Running / 0 Waiting / 0 Succeeded / 0 Failed`, of the pods that it selects.
pub(super) async fn pods_status(context: &Context<'_>, controller: &Value) -> String {
    let labels = object::string_map(controller, "spec.selector");
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let namespace = object::namespace(controller).unwrap_or_default();
    let uid = object::text(controller, "metadata.uid");
    let pods = if selector.is_empty() {
        Vec::new()
    } else {
        context.related("pods", namespace, &[("labelSelector", &selector)]).await
    };
    let is_own = |pod: &&Value| {
        let owners = object::list(pod, "metadata.ownerReferences");
        owners.is_empty() || owners.iter().any(|owner| object::text(owner, "uid") == uid)
    };
    let count = |phase: &str| {
        pods.iter().filter(is_own).filter(|pod| object::text(pod, "status.phase") == phase).count()
    };
    format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    )
}
