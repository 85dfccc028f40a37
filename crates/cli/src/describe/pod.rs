//! Pods with their containers.

use serde_json::Value;

use super::pod_template;
use crate::{globals::Era, object};

pub(super) fn describe(pod: &Value, era: Era) -> String {
    let mut text =
        format!("Name:\t{}\nNamespace:\t{}\n", object::name(pod), object::namespace(pod).unwrap_or_default());
    if era == Era::V4 {
        let priority = object::at(pod, "spec.priority").and_then(Value::as_i64).unwrap_or(0);
        text.push_str(&format!("Priority:\t{priority}\n"));
        let account = object::text(pod, "spec.serviceAccountName");
        if !account.is_empty() {
            text.push_str(&format!("Service Account:\t{account}\n"));
        }
    }
    let node = match (object::text(pod, "spec.nodeName"), object::text(pod, "status.hostIP")) {
        ("", _) if era == Era::V4 => "<none>".to_owned(),
        (node, host) => format!("{node}/{host}"),
    };
    text.push_str(&format!("Node:\t{node}\n"));
    let started = object::text(pod, "status.startTime");
    if !started.is_empty() {
        text.push_str(&format!("Start Time:\t{}\n", super::long_time(started)));
    }
    match era {
        Era::V3_2 => text.push_str(&format!("Labels:\t{}\n", super::map_line(pod, "metadata.labels"))),
        Era::V4 => {
            text.push_str(&super::map_lines("Labels", pod, "metadata.labels", '='));
            text.push_str(&super::map_lines("Annotations", pod, "metadata.annotations", ':'));
        }
    }
    text.push_str(&status(pod));
    text.push_str(&format!("IP:\t{}\n", object::text(pod, "status.podIP")));
    if era == Era::V4 {
        let addresses = object::list(pod, "status.podIPs");
        text.push_str(if addresses.is_empty() { "IPs:\t<none>\n" } else { "IPs:\n" });
        for address in addresses {
            text.push_str(&format!("  IP:\t{}\n", object::text(address, "ip")));
        }
    }
    text.push_str(&owner(pod, era));
    let nothing = Value::Null;
    let state = pod.get("status").unwrap_or(&nothing);
    text.push_str(&pod_template::containers("Init Containers", pod, state));
    text.push_str(&pod_template::containers("Containers", pod, state));
    let conditions = object::list(pod, "status.conditions");
    if !conditions.is_empty() {
        text.push_str("Conditions:\n  Type\tStatus\n");
        for condition in conditions {
            text.push_str(&format!(
                "  {}\t{}\n",
                object::text(condition, "type"),
                object::text(condition, "status")
            ));
        }
    }
    text.push_str(&pod_template::volumes(pod));
    if era == Era::V4 {
        let class = object::text(pod, "status.qosClass");
        if !class.is_empty() {
            text.push_str(&format!("QoS Class:\t{class}\n"));
        }
        text.push_str(&super::map_lines("Node-Selectors", pod, "spec.nodeSelector", '='));
        text.push_str(&tolerations(pod));
    }
    text
}

fn status(pod: &Value) -> String {
    let since = object::text(pod, "metadata.deletionTimestamp");
    let mut text = if since.is_empty() {
        format!("Status:\t{}\n", object::text(pod, "status.phase"))
    } else {
        let grace =
            object::at(pod, "metadata.deletionGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(0);
        format!(
            "Status:\tTerminating (since {})\nTermination Grace Period:\t{grace}s\n",
            super::long_time(since)
        )
    };
    for (title, field) in [("Reason", "status.reason"), ("Message", "status.message")] {
        let value = object::text(pod, field);
        if !value.is_empty() {
            text.push_str(&format!("{title}:\t{value}\n"));
        }
    }
    text
}

fn owner(pod: &Value, era: Era) -> String {
    let owners = object::list(pod, "metadata.ownerReferences");
    let is_controller = |owner: &&Value| owner.get("controller").and_then(Value::as_bool).unwrap_or(false);
    let owner = owners.iter().find(is_controller);
    let shown = owner.map(|owner| format!("{}/{}", object::text(owner, "kind"), object::text(owner, "name")));
    match (era, shown) {
        (Era::V3_2, shown) => format!("Controllers:\t{}\n", shown.as_deref().unwrap_or("<none>")),
        (Era::V4, Some(shown)) => format!("Controlled By:\t{shown}\n"),
        (Era::V4, None) => String::new(),
    }
}

fn tolerations(pod: &Value) -> String {
    let lines: Vec<String> = object::list(pod, "spec.tolerations")
        .iter()
        .map(|toleration| {
            let field = |name: &str| object::text(toleration, name).to_owned();
            let mut line = field("key");
            if !field("value").is_empty() {
                line.push_str(&format!("={}", field("value")));
            }
            if !field("effect").is_empty() {
                line.push_str(&format!(":{}", field("effect")));
            }
            if field("operator") == "Exists" {
                line.push_str(" op=Exists");
            }
            if let Some(seconds) = toleration.get("tolerationSeconds").and_then(Value::as_u64) {
                line.push_str(&format!(" for {seconds}s"));
            }
            line
        })
        .collect();
    if lines.is_empty() {
        "Tolerations:\t<none>\n".to_owned()
    } else {
        format!("Tolerations:\t{}\n", lines.join("\n\t"))
    }
}
