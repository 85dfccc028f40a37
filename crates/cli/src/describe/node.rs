//! Nodes with their pods.

use serde_json::Value;

use super::Context;
use crate::{object, verbs::get};

pub(super) async fn describe(context: &Context<'_>, node: &Value) -> String {
    let mut text = super::head(node);
    let created = object::text(node, "metadata.creationTimestamp");
    let unschedulable = object::at(node, "spec.unschedulable").and_then(Value::as_bool).unwrap_or(false);
    text.push_str(&format!(
        "CreationTimestamp:\t{}\nUnschedulable:\t{unschedulable}\nConditions:\n  \
         Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n  \
         ----\t------\t-----------------\t------------------\t------\t-------\n",
        super::long_time(created)
    ));
    for condition in object::list(node, "status.conditions") {
        text.push_str(&format!(
            "  {}\t{}\t{}\t{}\t{}\t{}\n",
            object::text(condition, "type"),
            object::text(condition, "status"),
            super::long_time(object::text(condition, "lastHeartbeatTime")),
            super::long_time(object::text(condition, "lastTransitionTime")),
            object::text(condition, "reason"),
            object::text(condition, "message"),
        ));
    }
    text.push_str("Addresses:\n");
    for address in object::list(node, "status.addresses") {
        text.push_str(&format!(
            "  {}:\t{}\n",
            object::text(address, "type"),
            object::text(address, "address")
        ));
    }
    for (title, field) in [("Capacity", "status.capacity"), ("Allocatable", "status.allocatable")] {
        let amounts = object::string_map(node, field);
        if !amounts.is_empty() {
            text.push_str(&format!("{title}:\n"));
            for (name, amount) in amounts {
                text.push_str(&format!("  {name}:\t{amount}\n"));
            }
        }
    }
    text.push_str("System Info:\n");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        text.push_str(&format!("  {title}:\t{}\n", object::text(node, &format!("status.nodeInfo.{field}"))));
    }
    text.push_str(&pods(context, object::name(node)).await);
    text
}

/// The pods that run there.
async fn pods(context: &Context<'_>, node: &str) -> String {
    let Ok(kind) = context.discovery.known("", "pods") else { return String::new() };
    let selector = format!("spec.nodeName={node}");
    let found = get::read_all(context.client, kind, None, &[("fieldSelector", &selector)]).await;
    let Ok(pods) = found else { return "Non-terminated Pods:\t<unknown>\n".to_owned() };
    let running: Vec<&Value> = pods
        .iter()
        .filter(|pod| !matches!(object::text(pod, "status.phase"), "Succeeded" | "Failed"))
        .collect();
    let mut text =
        format!("Non-terminated Pods:\t({} in total)\n  Namespace\tName\n  ---------\t----\n", running.len());
    for pod in running {
        text.push_str(&format!("  {}\t{}\n", object::namespace(pod).unwrap_or_default(), object::name(pod)));
    }
    text
}
