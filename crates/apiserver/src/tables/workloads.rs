//! Columns of pods, replication controllers and nodes, with the words `kubectl get` uses for their states.

use jiff::Timestamp;
use pierhead_api::age;
use pierhead_api::core::{Container, ContainerState, Node, Pod, ReplicationController};
use serde_json::Value;

use super::{Column, ColumnSet, Sets, age_of, name, or_none, typed};

pub(super) const SETS: Sets = &[
    (
        "pods",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Ready"),
                Column::text("Status"),
                Column::text("Restarts"),
                Column::AGE,
                Column::text("IP").wide(),
                Column::text("Node").wide(),
                Column::text("Nominated Node").wide(),
                Column::text("Readiness Gates").wide(),
            ],
            cells: pod,
        },
    ),
    (
        "replicationcontrollers",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::number("Desired"),
                Column::number("Current"),
                Column::number("Ready"),
                Column::AGE,
                Column::text("Containers").wide(),
                Column::text("Images").wide(),
                Column::text("Selector").wide(),
            ],
            cells: controller,
        },
    ),
    (
        "nodes",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Status"),
                Column::text("Roles"),
                Column::AGE,
                Column::text("Version"),
                Column::text("Internal-IP").wide(),
                Column::text("External-IP").wide(),
                Column::text("OS-Image").wide(),
                Column::text("Kernel-Version").wide(),
                Column::text("Container-Runtime").wide(),
            ],
            cells: node,
        },
    ),
];

fn pod(object: &Value, now: Timestamp) -> Vec<Value> {
    let pod: Pod = typed(object);
    let ready =
        pod.status.container_statuses.iter().filter(|status| status.ready && runs(&status.state)).count();
    let gates = &pod.spec.readiness_gates;
    let passed = gates.iter().filter(|gate| {
        pod.status.condition(&gate.condition_type).is_some_and(|condition| condition.status == "True")
    });
    let gates = if gates.is_empty() { String::new() } else { format!("{}/{}", passed.count(), gates.len()) };
    vec![
        name(object),
        format!("{ready}/{}", pod.spec.containers.len()).into(),
        state(&pod).into(),
        restarts(&pod, now).into(),
        age_of(object, now),
        or_none(pod.status.pod_ip.clone()),
        or_none(pod.spec.node_name.clone()),
        or_none(pod.status.nominated_node_name.clone()),
        or_none(gates),
    ]
}

fn runs(state: &ContainerState) -> bool {
    state.running.is_some()
}

/// How often containers were restarted, and when last.
fn restarts(pod: &Pod, now: Timestamp) -> String {
    let statuses = if initializing(pod).is_some() {
        &pod.status.init_container_statuses
    } else {
        &pod.status.container_statuses
    };
    let count: i32 = statuses.iter().map(|status| status.restart_count).sum();
    let ended =
        |status: &pierhead_api::core::ContainerStatus| status.last_state.terminated.as_ref()?.finished_at;
    match statuses.iter().filter_map(ended).max() {
        Some(last) if count > 0 => format!("{count} ({} ago)", age::short_since(Some(last), now)),
        _ => count.to_string(),
    }
}

/// The state of the init container that the pod waits for, if it waits for one.
fn initializing(pod: &Pod) -> Option<String> {
    let statuses = &pod.status.init_container_statuses;
    for (index, status) in statuses.iter().enumerate() {
        let state = &status.state;
        if let Some(ended) = &state.terminated {
            if ended.exit_code == 0 {
                continue;
            }
            return Some(format!("Init:{}", how_it_ended(ended)));
        }
        if let Some(waiting) = &state.waiting
            && !waiting.reason.is_empty()
            && waiting.reason != "PodInitializing"
        {
            return Some(format!("Init:{}", waiting.reason));
        }
        if status.started == Some(true) && runs_along(pod, &status.name) {
            continue;
        }
        return Some(format!("Init:{index}/{}", pod.spec.init_containers.len()));
    }
    None
}

/// Whether an init container is one of those that run along.
fn runs_along(pod: &Pod, name: &str) -> bool {
    let always = |container: &Container| container.restart_policy.as_deref() == Some("Always");
    pod.spec.init_containers.iter().any(|container| container.name == name && always(container))
}

fn how_it_ended(ended: &pierhead_api::core::ContainerStateTerminated) -> String {
    match (ended.reason.as_str(), ended.signal) {
        ("", 0) => format!("ExitCode:{}", ended.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// The STATUS cell: the phase, unless something more telling is known.
pub(super) fn state(pod: &Pod) -> String {
    let status = &pod.status;
    let mut reason = if status.reason.is_empty() { status.phase.clone() } else { status.reason.clone() };
    let initializing = initializing(pod);
    let initialized = initializing.is_none()
        || status.condition("Initialized").is_some_and(|condition| condition.status == "True");
    if let Some(initializing) = initializing {
        reason = initializing;
    }
    if initialized {
        let mut any_runs = false;
        for container in status.container_statuses.iter().rev() {
            let state = &container.state;
            match (&state.waiting, &state.terminated) {
                (Some(waiting), _) if !waiting.reason.is_empty() => reason.clone_from(&waiting.reason),
                (_, Some(ended)) => reason = how_it_ended(ended),
                _ => any_runs |= container.ready && runs(state),
            }
        }
        if reason == "Completed" && any_runs {
            let ready = status.condition("Ready").is_some_and(|condition| condition.status == "True");
            reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        reason = if status.reason == "NodeLost" { "Unknown" } else { "Terminating" }.to_owned();
    }
    reason
}

fn controller(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller: ReplicationController = typed(object);
    let containers: &[Container] =
        controller.spec.template.as_ref().map_or(&[], |template| &template.spec.containers);
    let list = |field: fn(&Container) -> &str| containers.iter().map(field).collect::<Vec<_>>().join(",");
    let selector: Vec<String> =
        controller.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        name(object),
        controller.spec.replicas.unwrap_or(1).into(),
        controller.status.replicas.into(),
        controller.status.ready_replicas.into(),
        age_of(object, now),
        list(|container| &container.name).into(),
        list(|container| &container.image).into(),
        or_none(selector.join(",")),
    ]
}

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    const ROLE: &str = "node-role.kubernetes.io/";
    let node: Node = typed(object);
    let ready = node.status.conditions.iter().find(|condition| condition.condition_type == "Ready");
    let mut state = match ready.map(|condition| condition.status.as_str()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node.spec.unschedulable {
        state.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = node.metadata.labels.keys().filter_map(|label| label.strip_prefix(ROLE)).collect();
    let address = |wanted: &str| {
        let found = node.status.addresses.iter().find(|address| address.address_type == wanted);
        or_none(found.map(|address| address.address.clone()).unwrap_or_default())
    };
    let info = &node.status.node_info;
    let known = |text: &str| if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() };
    vec![
        name(object),
        state.into(),
        or_none(roles.join(",")),
        age_of(object, now),
        info.kubelet_version.clone().into(),
        address("InternalIP"),
        address("ExternalIP"),
        known(&info.os_image).into(),
        known(&info.kernel_version).into(),
        known(&info.container_runtime_version).into(),
    ]
}

#[cfg(test)]
mod tests {
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::state;
    use crate::tables::tests::check;

    #[track_caller]
    fn shows(status: Value, expected: &str) {
        let init = json!([{"name": "i"}, {"name": "side", "restartPolicy": "Always"}]);
        let pod = json!({"spec": {"initContainers": init, "containers": [{"name": "a"}]}, "status": status});
        assert_eq!(state(&from_value(&pod).unwrap()), expected, "{status}");
    }

    #[test]
    fn the_state_of_a_pod_is_what_tells_most() {
        let waiting = |reason: &str| json!({"state": {"waiting": {"reason": reason}}});
        let ended =
            |code: i32, reason: &str| json!({"state": {"terminated": {"exitCode": code, "reason": reason}}});
        let running = json!({"ready": true, "state": {"running": {}}});
        shows(json!({"phase": "Pending"}), "Pending");
        shows(json!({"phase": "Failed", "reason": "Evicted"}), "Evicted");
        shows(json!({"phase": "Running", "containerStatuses": [running]}), "Running");
        shows(
            json!({"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]}),
            "ImagePullBackOff",
        );
        shows(json!({"phase": "Succeeded", "containerStatuses": [ended(0, "Completed")]}), "Completed");
        shows(json!({"phase": "Failed", "containerStatuses": [ended(3, "")]}), "ExitCode:3");
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let both = json!([ended(0, "Completed"), running]);
        shows(json!({"phase": "Running", "conditions": ready, "containerStatuses": both}), "Running");
        shows(json!({"phase": "Running", "containerStatuses": both}), "NotReady");
        shows(
            json!({"phase": "Pending", "initContainerStatuses": [waiting("ErrImagePull")]}),
            "Init:ErrImagePull",
        );
        shows(json!({"phase": "Pending", "initContainerStatuses": [ended(1, "Error")]}), "Init:Error");
        let done = ended(0, "Completed");
        shows(
            json!({"phase": "Pending", "initContainerStatuses": [done, waiting("PodInitializing")]}),
            "Init:1/2",
        );
        let side = json!({"name": "side", "started": true, "state": {"running": {}}});
        shows(
            json!({"phase": "Running", "initContainerStatuses": [done, side], "containerStatuses": [running]}),
            "Running",
        );
    }

    #[test]
    fn prints_workloads() {
        check(
            "pods",
            json!({
                "metadata": {"name": "web-1-abcde", "creationTimestamp": "2016-05-01T11:55:00Z"},
                "spec": {"nodeName": "n1", "containers": [{"name": "a"}, {"name": "b"}]},
                "status": {"phase": "Running", "podIP": "10.1.0.2", "containerStatuses": [
                    {"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}},
                     "lastState": {"terminated": {"finishedAt": "2016-05-01T11:58:00Z"}}},
                    {"name": "b", "ready": false, "restartCount": 1, "state": {"running": {}}},
                ]},
            }),
            &[
                ("Name", "web-1-abcde"),
                ("Ready", "1/2"),
                ("Status", "Running"),
                ("Restarts", "3 (2m ago)"),
                ("Age", "5m"),
                ("[IP]", "10.1.0.2"),
                ("[Node]", "n1"),
                ("[Nominated Node]", "<none>"),
                ("[Readiness Gates]", "<none>"),
            ],
        );
        check(
            "replicationcontrollers",
            json!({
                "metadata": {"name": "web-1"},
                "spec": {"replicas": 3, "selector": {"app": "web"}, "template": {"spec": {"containers": [
                    {"name": "a", "image": "i"}, {"name": "b", "image": "j"},
                ]}}},
                "status": {"replicas": 2, "readyReplicas": 1},
            }),
            &[
                ("Name", "web-1"),
                ("Desired", "3"),
                ("Current", "2"),
                ("Ready", "1"),
                ("Age", "<unknown>"),
                ("[Containers]", "a,b"),
                ("[Images]", "i,j"),
                ("[Selector]", "app=web"),
            ],
        );
        check(
            "nodes",
            json!({
                "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/worker": ""}},
                "spec": {"unschedulable": true},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1", "containerRuntimeVersion": "docker://27.0.1"},
                },
            }),
            &[
                ("Name", "n1"),
                ("Status", "Ready,SchedulingDisabled"),
                ("Roles", "worker"),
                ("Age", "<unknown>"),
                ("Version", "v1"),
                ("[Internal-IP]", "10.0.0.1"),
                ("[External-IP]", "<none>"),
                ("[OS-Image]", "<unknown>"),
                ("[Kernel-Version]", "<unknown>"),
                ("[Container-Runtime]", "docker://27.0.1"),
            ],
        );
    }
}
