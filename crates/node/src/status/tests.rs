//! Rows: containers and what is remembered; and the status of the pod.

use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::{Pod, PodStatus};
use pierhead_api::from_value;
use serde_json::{Value, json};

use super::{Host, status};
use crate::engine::{EngineKind, Observed, RunState};
use crate::labels::{ContainerIdentity, Role};
use crate::memory::{Ended, Failure, Health, Memory};
use crate::plan::Situation;

const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn pod(spec: Value) -> Pod {
    let mut document = json!({
        "metadata": {"name": "p", "namespace": "shop", "uid": "u"},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "web", "image": "i:1"}]},
        "status": {"phase": "Pending"},
    });
    for (key, value) in spec.as_object().unwrap() {
        document["spec"][key] = value.clone();
    }
    from_value(&document).unwrap()
}

fn container(name: &str, attempt: u32, state: RunState, exit_code: i32) -> Observed {
    let role = if name.is_empty() { Role::Infra } else { Role::Main };
    Observed {
        id: format!("{name}{attempt}"),
        identity: ContainerIdentity {
            role,
            container: name.to_owned(),
            attempt,
            sandbox: "0".to_owned(),
            image: "i:1".to_owned(),
        },
        state,
        started: Some(NOW - SignedDuration::from_secs(20)),
        finished: (state == RunState::Exited).then(|| NOW - SignedDuration::from_secs(5)),
        exit_code,
        out_of_memory: false,
        error: String::new(),
        image_id: "sha256:1".to_owned(),
        address: (role == Role::Infra).then(|| "10.0.0.2".to_owned()),
        gateway: None,
    }
}

fn of(pod: &Pod, memory: &Memory, observed: &[Observed]) -> PodStatus {
    let situation = Situation { pod, gone: false, observed, memory, now: NOW };
    status(&situation, &Host { engine: EngineKind::Docker, ip: "10.0.0.1".into() }).0
}

/// Phase, then per container: state, restarts, readiness; then the conditions that are not true.
fn shown(status: &PodStatus) -> String {
    let mut words = vec![status.phase.clone()];
    for container in status.init_container_statuses.iter().chain(&status.container_statuses) {
        let state = match (&container.state.waiting, &container.state.running, &container.state.terminated) {
            (Some(waiting), ..) if waiting.message.is_empty() => waiting.reason.clone(),
            (Some(waiting), ..) => format!("{} ({})", waiting.reason, waiting.message),
            (_, Some(_), _) => "running".into(),
            (.., Some(ended)) => format!("{} {}", ended.reason, ended.exit_code),
            (None, None, None) => "nothing".into(),
        };
        let ready = if container.ready { " ready" } else { "" };
        words.push(format!("{}: {state} {}{ready}", container.name, container.restart_count));
    }
    let untrue = status.conditions.iter().filter(|condition| condition.status != "True");
    let untrue: Vec<String> =
        untrue.map(|condition| format!("{}={}", condition.condition_type, condition.reason)).collect();
    words.push(untrue.join(" "));
    words.join("; ")
}

#[track_caller]
fn check(pod: &Pod, memory: &Memory, observed: &[Observed], expected: &str) {
    assert_eq!(shown(&of(pod, memory, observed)), expected);
}

const UNREADY: &str = "Ready=ContainersNotReady ContainersReady=ContainersNotReady";

#[test]
fn a_pod_waits_runs_and_ends() {
    let memory = Memory::new(NOW);
    let infra = container("", 0, RunState::Running, 0);
    check(&pod(json!({})), &memory, &[], &format!("Pending; web: ContainerCreating 0; {UNREADY}"));
    let running = [infra.clone(), container("web", 0, RunState::Running, 0)];
    check(&pod(json!({})), &memory, &running, "Running; web: running 0 ready; ");
    let seen = of(&pod(json!({})), &memory, &running);
    assert_eq!((seen.pod_ip.as_str(), seen.host_ip.as_str()), ("10.0.0.2", "10.0.0.1"));
    assert_eq!(seen.container_statuses[0].container_id, "docker://web0");
    let ended = |code| [infra.clone(), container("web", 0, RunState::Exited, code)];
    let over = "Ready=PodCompleted ContainersReady=PodCompleted";
    let never = pod(json!({"restartPolicy": "Never"}));
    check(&never, &memory, &ended(0), &format!("Succeeded; web: Completed 0 0; {over}"));
    let over = "Ready=PodFailed ContainersReady=PodFailed";
    check(&never, &memory, &ended(3), &format!("Failed; web: Error 3 0; {over}"));
    check(&pod(json!({})), &memory, &ended(3), &format!("Running; web: ContainerCreating 0; {UNREADY}"));
}

#[test]
fn crashes_and_pulls_wait_with_their_words() {
    let infra = container("", 0, RunState::Running, 0);
    let mut memory = Memory::new(NOW);
    let before = NOW - SignedDuration::from_secs(25);
    memory.container("web").crash.restarted(before, before);
    let crashed =
        [infra.clone(), container("web", 0, RunState::Exited, 1), container("web", 1, RunState::Exited, 1)];
    let text = "back-off 10s restarting failed container=web pod=p_shop(u)";
    check(
        &pod(json!({})),
        &memory,
        &crashed,
        &format!("Running; web: CrashLoopBackOff ({text}) 1; {UNREADY}"),
    );
    let last = of(&pod(json!({})), &memory, &crashed).container_statuses[0].last_state.terminated.clone();
    assert_eq!(last.unwrap().container_id, "docker://web1");

    let mut memory = Memory::new(NOW);
    memory.container("web").image_failed("ErrImagePull", "denied".into(), NOW);
    let infra = [infra];
    check(&pod(json!({})), &memory, &infra, &format!("Pending; web: ErrImagePull (denied) 0; {UNREADY}"));
    memory.container("web").image_failed("ErrImagePull", "denied".into(), NOW - SignedDuration::from_secs(5));
    let text = "Back-off pulling image \"i:1\": ErrImagePull: denied";
    check(&pod(json!({})), &memory, &infra, &format!("Pending; web: ImagePullBackOff ({text}) 0; {UNREADY}"));
    memory.container("web").failure =
        Some(Failure::config("CreateContainerConfigError", "no secret".into(), NOW));
    let text = "CreateContainerConfigError (no secret)";
    check(&pod(json!({})), &memory, &infra, &format!("Pending; web: {text} 0; {UNREADY}"));
}

#[test]
fn probes_decide_who_is_ready() {
    let probed = pod(
        json!({"containers": [{"name": "web", "image": "i:1", "readinessProbe": {"tcpSocket": {"port": 1}}}]}),
    );
    let running = [container("", 0, RunState::Running, 0), container("web", 0, RunState::Running, 0)];
    let mut memory = Memory::new(NOW);
    check(&probed, &memory, &running, &format!("Running; web: running 0; {UNREADY}"));
    memory.health.insert("web0".into(), Health { started: true, ready: true, dead: None });
    check(&probed, &memory, &running, "Running; web: running 0 ready; ");
    // After a restart of ours nothing is remembered, and the status counts for containers that run since.
    let mut told = probed.clone();
    told.status = of(&probed, &memory, &running);
    let mut memory = Memory::new(NOW);
    memory.recall_health(&told.status, &running);
    check(&told, &memory, &running, "Running; web: running 0 ready; ");
    let mut again = running.clone();
    again[1].started = Some(NOW);
    let mut memory = Memory::new(NOW);
    memory.recall_health(&told.status, &again);
    check(&told, &memory, &again, &format!("Running; web: running 0; {UNREADY}"));
    let gated = pod(json!({"readinessGates": [{"conditionType": "example.org/go"}]}));
    check(&gated, &Memory::new(NOW), &running, "Running; web: running 0 ready; Ready=ReadinessGatesNotReady");
}

#[test]
fn init_containers_hold_the_phase() {
    let pod = pod(json!({"initContainers": [{"name": "setup", "image": "i:1"}]}));
    let infra = container("", 0, RunState::Running, 0);
    let expected = format!(
        "Pending; setup: running 0; web: PodInitializing 0; Initialized=ContainersNotInitialized {UNREADY}"
    );
    check(&pod, &Memory::new(NOW), &[infra.clone(), container("setup", 0, RunState::Running, 0)], &expected);
    let done = [infra, container("setup", 0, RunState::Exited, 0)];
    let expected = format!("Pending; setup: Completed 0 0 ready; web: PodInitializing 0; {UNREADY}");
    check(&pod, &Memory::new(NOW), &done, &expected);
}

#[test]
fn ends_from_outside_and_memory_are_told() {
    let running = [container("", 0, RunState::Running, 0), container("web", 0, RunState::Running, 0)];
    let mut memory = Memory::new(NOW);
    memory.ended = Some(Ended { reason: "DeadlineExceeded", message: "too long", at: NOW });
    let ended = of(&pod(json!({})), &memory, &running);
    assert_eq!((ended.phase.as_str(), ended.reason.as_str()), ("Failed", "DeadlineExceeded"));
    let never_ran = of(&pod(json!({})), &memory, &[]);
    assert!(
        shown(&never_ran).starts_with("Failed; web: ContainerStatusUnknown 137 0"),
        "{}",
        shown(&never_ran)
    );
    let mut killed = container("web", 0, RunState::Exited, 137);
    killed.out_of_memory = true;
    let never = pod(json!({"restartPolicy": "Never"}));
    let status = of(&never, &Memory::new(NOW), &[killed]);
    assert_eq!(status.container_statuses[0].state.terminated.as_ref().unwrap().reason, "OOMKilled");
}

#[test]
fn a_container_that_vanished_is_told_and_counted() {
    let running = [container("", 0, RunState::Running, 0), container("web", 0, RunState::Running, 0)];
    let mut pod = pod(json!({}));
    pod.status = of(&pod, &Memory::new(NOW), &running);
    pod.status = of(&pod, &Memory::new(NOW), &[]);
    assert_eq!(shown(&pod.status), format!("Running; web: ContainerCreating 0; {UNREADY}"));
    let lost = pod.status.container_statuses[0].last_state.terminated.clone().unwrap();
    assert_eq!((lost.reason.as_str(), lost.exit_code), ("ContainerStatusUnknown", 137));
    assert_eq!(of(&pod, &Memory::new(NOW), &[]), pod.status);
}

#[test]
fn a_status_that_says_all_does_not_change() {
    let running = [container("", 0, RunState::Running, 0), container("web", 0, RunState::Running, 0)];
    let mut pod = pod(json!({}));
    let memory = Memory::new(NOW);
    pod.status = of(&pod, &memory, &running);
    assert_eq!(of(&pod, &memory, &running), pod.status);
}
