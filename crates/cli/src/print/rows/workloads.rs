//! Pods and what they belong to.

use jiff::Timestamp;
use serde_json::Value;

use super::{Rows, age_of, or_none, pairs};
use crate::{
    deployments::number,
    describe::{event, service_addresses},
    object,
    print::age,
};

fn name(object: &Value) -> String {
    object::name(object).to_owned()
}

pub(super) const PODS: Rows = Rows {
    columns: &["Name", "Ready", "Status", "Restarts", "Age", "+IP", "+Node"],
    cells: |pod, now| {
        let states = object::list(pod, "status.containerStatuses");
        let is_ready = |state: &&Value| object::at(state, "ready").and_then(Value::as_bool).unwrap_or(false);
        let restarts: u64 = states.iter().map(|state| number(state, "restartCount")).sum();
        vec![
            name(pod),
            format!(
                "{}/{}",
                states.iter().filter(is_ready).count(),
                object::list(pod, "spec.containers").len()
            ),
            pod_status(pod),
            restarts.to_string(),
            age_of(pod, now),
            or_none(object::text(pod, "status.podIP").to_owned()),
            or_none(object::text(pod, "spec.nodeName").to_owned()),
        ]
    },
};

/// The phase, or the reason why a container does not run.
pub(super) fn pod_status(pod: &Value) -> String {
    if object::at(pod, "metadata.deletionTimestamp").is_some() {
        return "Terminating".to_owned();
    }
    for (position, state) in object::list(pod, "status.initContainerStatuses").iter().enumerate() {
        if object::at(state, "state.terminated.exitCode").and_then(Value::as_i64) == Some(0) {
            continue;
        }
        let why = ["state.terminated.reason", "state.waiting.reason"]
            .into_iter()
            .map(|path| object::text(state, path))
            .find(|reason| !reason.is_empty() && *reason != "PodInitializing");
        let total = object::list(pod, "spec.initContainers").len();
        return why.map_or_else(|| format!("Init:{position}/{total}"), |reason| format!("Init:{reason}"));
    }
    let phase = match object::text(pod, "status.reason") {
        "" => object::text(pod, "status.phase"),
        reason => reason,
    };
    let mut status = phase.to_owned();
    for state in object::list(pod, "status.containerStatuses").iter().rev() {
        let waiting = object::text(state, "state.waiting.reason");
        let ended = object::text(state, "state.terminated.reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut status);
        } else if !ended.is_empty() {
            ended.clone_into(&mut status);
        } else if object::at(state, "state.terminated").is_some() {
            let signal = number(state, "state.terminated.signal");
            status = match signal {
                0 => format!("ExitCode:{}", number(state, "state.terminated.exitCode")),
                signal => format!("Signal:{signal}"),
            };
        }
    }
    status
}

fn images(object: &Value, field: &str) -> String {
    let containers = object::list(object, "spec.template.spec.containers");
    containers.iter().map(|container| object::text(container, field)).collect::<Vec<_>>().join(",")
}

pub(super) const REPLICATION_CONTROLLERS: Rows = Rows {
    columns: &["Name", "Desired", "Current", "Ready", "Age", "+Containers", "+Images", "+Selector"],
    cells: |controller, now| {
        vec![
            name(controller),
            number(controller, "spec.replicas").to_string(),
            number(controller, "status.replicas").to_string(),
            number(controller, "status.readyReplicas").to_string(),
            age_of(controller, now),
            images(controller, "name"),
            images(controller, "image"),
            pairs(controller, "spec.selector"),
        ]
    },
};

pub(super) const DEPLOYMENT_CONFIGS: Rows = Rows {
    columns: &["Name", "Revision", "Desired", "Current", "Triggered By"],
    cells: |config, _| {
        let triggers: Vec<String> = object::list(config, "spec.triggers")
            .iter()
            .map(|trigger| match object::text(trigger, "type") {
                "ConfigChange" => "config".to_owned(),
                "ImageChange" => format!("image({})", object::text(trigger, "imageChangeParams.from.name")),
                other => other.to_owned(),
            })
            .collect();
        vec![
            name(config),
            number(config, "status.latestVersion").to_string(),
            number(config, "spec.replicas").to_string(),
            number(config, "status.replicas").to_string(),
            triggers.join(","),
        ]
    },
};

pub(super) const DEPLOYMENTS: Rows = Rows {
    columns: &["Name", "Ready", "Up-to-date", "Available", "Age", "+Containers", "+Images", "+Selector"],
    cells: |deployment, now| {
        vec![
            name(deployment),
            format!("{}/{}", number(deployment, "status.readyReplicas"), number(deployment, "spec.replicas")),
            number(deployment, "status.updatedReplicas").to_string(),
            number(deployment, "status.availableReplicas").to_string(),
            age_of(deployment, now),
            images(deployment, "name"),
            images(deployment, "image"),
            pairs(deployment, "spec.selector.matchLabels"),
        ]
    },
};

pub(super) const NODES: Rows = Rows {
    columns: &[
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
        "+Internal-IP",
        "+OS-Image",
        "+Kernel-Version",
        "+Container-Runtime",
    ],
    cells: |node, now| {
        let ready = object::list(node, "status.conditions")
            .iter()
            .find(|condition| object::text(condition, "type") == "Ready")
            .map_or("Unknown", |condition| match object::text(condition, "status") {
                "True" => "Ready",
                _ => "NotReady",
            });
        let disabled = object::at(node, "spec.unschedulable").and_then(Value::as_bool).unwrap_or(false);
        let roles: Vec<&str> = object::string_map(node, "metadata.labels")
            .into_iter()
            .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
            .collect();
        let address = object::list(node, "status.addresses")
            .iter()
            .find(|address| object::text(address, "type") == "InternalIP")
            .map_or("", |address| object::text(address, "address"));
        let info = |field: &str| or_none(object::text(node, &format!("status.nodeInfo.{field}")).to_owned());
        vec![
            name(node),
            if disabled { format!("{ready},SchedulingDisabled") } else { ready.to_owned() },
            or_none(roles.join(",")),
            age_of(node, now),
            object::text(node, "status.nodeInfo.kubeletVersion").to_owned(),
            or_none(address.to_owned()),
            info("osImage"),
            info("kernelVersion"),
            info("containerRuntimeVersion"),
        ]
    },
};

pub(super) const SERVICES: Rows = Rows {
    columns: &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"],
    cells: |service, now| {
        let ports: Vec<String> = object::list(service, "spec.ports")
            .iter()
            .map(|port| {
                let protocol = match object::text(port, "protocol") {
                    "" => "TCP",
                    protocol => protocol,
                };
                match number(port, "nodePort") {
                    0 => format!("{}/{protocol}", number(port, "port")),
                    node => format!("{}:{node}/{protocol}", number(port, "port")),
                }
            })
            .collect();
        let external: Vec<&str> =
            object::list(service, "spec.externalIPs").iter().filter_map(Value::as_str).collect();
        vec![
            name(service),
            object::text(service, "spec.type").to_owned(),
            or_none(object::text(service, "spec.clusterIP").to_owned()),
            or_none(external.join(",")),
            or_none(ports.join(",")),
            age_of(service, now),
            pairs(service, "spec.selector"),
        ]
    },
};

/// How many endpoints are shown.
const SHOWN_ENDPOINTS: usize = 3;

pub(super) const ENDPOINTS: Rows = Rows {
    columns: &["Name", "Endpoints", "Age"],
    cells: |endpoints, now| {
        let all = service_addresses(endpoints);
        let shown = match all.len().checked_sub(SHOWN_ENDPOINTS) {
            Some(more) if more > 0 => format!("{} + {more} more...", all[..SHOWN_ENDPOINTS].join(",")),
            _ => or_none(all.join(",")),
        };
        vec![name(endpoints), shown, age_of(endpoints, now)]
    },
};

fn size(object: &Value, field: &str) -> usize {
    object::at(object, field).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

pub(super) const CONFIG_MAPS: Rows = Rows {
    columns: &["Name", "Data", "Age"],
    cells: |map, now| {
        vec![name(map), (size(map, "data") + size(map, "binaryData")).to_string(), age_of(map, now)]
    },
};

pub(super) const SECRETS: Rows = Rows {
    columns: &["Name", "Type", "Data", "Age"],
    cells: |secret, now| {
        let kind = object::text(secret, "type").to_owned();
        vec![name(secret), kind, size(secret, "data").to_string(), age_of(secret, now)]
    },
};

pub(super) const SERVICE_ACCOUNTS: Rows = Rows {
    columns: &["Name", "Secrets", "Age"],
    cells: |account, now| {
        vec![name(account), object::list(account, "secrets").len().to_string(), age_of(account, now)]
    },
};

pub(super) const NAMESPACES: Rows = Rows {
    columns: &["Name", "Status", "Age"],
    cells: |space, now| vec![name(space), object::text(space, "status.phase").to_owned(), age_of(space, now)],
};

pub(super) const EVENTS: Rows = Rows {
    columns: &[
        "Last Seen",
        "Type",
        "Reason",
        "Object",
        "+Subobject",
        "+Source",
        "Message",
        "+First Seen",
        "+Count",
        "+Name",
    ],
    cells: |found, now| {
        let ago = |time: &str| age::short(Some(time).filter(|time| !time.is_empty()), now);
        let involved = |field: &str| object::text(found, &format!("involvedObject.{field}")).to_owned();
        vec![
            ago(event::last_seen(found)),
            object::text(found, "type").to_owned(),
            object::text(found, "reason").to_owned(),
            format!("{}/{}", involved("kind").to_lowercase(), involved("name")),
            involved("fieldPath"),
            event::source(found),
            object::text(found, "message").trim().to_owned(),
            ago(event::first_seen(found)),
            event::count(found).to_string(),
            name(found),
        ]
    },
};

pub(super) const ROUTES: Rows = Rows {
    columns: &["Name", "Host/Port", "Path", "Services", "Port", "Termination", "Wildcard"],
    cells: |route, _: Timestamp| {
        let port =
            object::at(route, "spec.port.targetPort").map_or_else(|| "<all>".to_owned(), object::plain);
        let policy = object::text(route, "spec.tls.insecureEdgeTerminationPolicy");
        let slash = if policy.is_empty() { "" } else { "/" };
        vec![
            name(route),
            object::text(route, "spec.host").to_owned(),
            object::text(route, "spec.path").to_owned(),
            object::text(route, "spec.to.name").to_owned(),
            port,
            format!("{}{slash}{policy}", object::text(route, "spec.tls.termination")),
            object::text(route, "spec.wildcardPolicy").to_owned(),
        ]
    },
};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::pod_status;

    #[track_caller]
    fn check(status: Value, expected: &str) {
        assert_eq!(pod_status(&json!({"metadata": {}, "spec": {}, "status": status})), expected);
    }

    #[test]
    fn a_pod_says_why_it_does_not_run() {
        check(json!({"phase": "Pending"}), "Pending");
        let waiting = json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}});
        check(json!({"phase": "Pending", "containerStatuses": [waiting]}), "ImagePullBackOff");
        let ended = json!({"state": {"terminated": {"exitCode": 3}}});
        check(json!({"phase": "Failed", "containerStatuses": [ended]}), "ExitCode:3");
        let running = json!({"ready": true, "state": {"running": {}}});
        check(json!({"phase": "Running", "containerStatuses": [running]}), "Running");
        check(json!({"phase": "Failed", "reason": "Evicted"}), "Evicted");
    }
}
