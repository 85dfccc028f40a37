//! Rows: a pod, its containers, what is remembered; and what is to be done.

use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::Pod;
use pierhead_api::from_value;
use serde_json::{Value, json};

use super::{Action, Situation, plan};
use crate::engine::{Observed, RunState};
use crate::labels::{ContainerIdentity, Role};
use crate::memory::{Failure, Health, ImageState, Memory, Stop, VolumesState};

const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

/// A pod with one container `web`, changed by `spec`.
fn pod(spec: Value) -> Pod {
    let mut document = json!({
        "metadata": {"name": "p", "namespace": "shop", "uid": "u"},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "web", "image": "i:1"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        document["spec"][key] = value.clone();
    }
    from_value(&document).unwrap()
}

/// `ROLE NAME ATTEMPT STATE`, such as `main web 0 running` or `main web 1 exited:2@30` (code 2 at second 30).
fn observed(text: &str) -> Observed {
    let words: Vec<&str> = text.split(' ').collect();
    let (role, name, attempt, state) = (words[0], words[1], words[2].parse().unwrap(), words[3]);
    let (state, end) = state.split_once(':').unwrap_or((state, "0@0"));
    let (code, second) = end.split_once('@').unwrap_or((end, "0"));
    let role = match role {
        "infra" => Role::Infra,
        "init" => Role::Init,
        _ => Role::Main,
    };
    let is_infra = role == Role::Infra;
    Observed {
        id: format!("{name}-{attempt}"),
        identity: ContainerIdentity {
            role,
            container: if is_infra { String::new() } else { name.to_owned() },
            attempt,
            sandbox: if is_infra { String::new() } else { words.get(4).unwrap_or(&"infra-0").to_string() },
            image: "i:1".to_owned(),
        },
        state: match state {
            "created" => RunState::Created,
            "running" => RunState::Running,
            _ => RunState::Exited,
        },
        started: (state != "created").then_some(START),
        finished: (state == "exited").then(|| at(second.parse().unwrap())),
        exit_code: code.parse().unwrap(),
        out_of_memory: false,
        error: String::new(),
        image_id: "sha256:1".to_owned(),
        address: is_infra.then(|| "10.0.0.2".to_owned()),
        gateway: None,
    }
}

fn ready() -> Memory {
    let mut memory = Memory::new(START);
    memory.volumes = VolumesState::Ready { at: START };
    memory
}

fn with_image(mut memory: Memory) -> Memory {
    for name in ["web", "setup", "side", "log"] {
        memory.container(name).image = ImageState::Present { id: "sha256:1".into(), user: String::new() };
    }
    memory
}

fn shown(action: &Action) -> String {
    match action {
        Action::PrepareVolumes => "volumes".into(),
        Action::CreateSandbox { attempt } => format!("sandbox {attempt}"),
        Action::EnsureImage { container } => format!("image {container}"),
        Action::Create { container, attempt, sandbox, .. } => {
            format!("create {container} {attempt} in {sandbox}")
        }
        Action::Start { id, .. } => format!("start {id}"),
        Action::BeginStop { id, deadline, .. } => {
            format!("stop {id} by {}", deadline.duration_since(START).as_secs())
        }
        Action::Kill { id } => format!("kill {id}"),
        Action::Remove { id } => format!("remove {id}"),
        Action::End(ended) => format!("end {}", ended.reason),
        Action::Finish => "finish".into(),
    }
}

struct Row {
    pod: Pod,
    memory: Memory,
    gone: bool,
    now: i64,
}

impl Row {
    fn new(pod: Pod, memory: Memory) -> Self {
        Self { pod, memory, gone: false, now: 30 }
    }

    fn at(mut self, second: i64) -> Self {
        self.now = second;
        self
    }

    /// The plan as text, with the second of the next look after `|`.
    #[track_caller]
    fn check(&self, containers: &[&str], expected: &str) {
        let observed: Vec<Observed> = containers.iter().map(|text| observed(text)).collect();
        let situation = Situation {
            pod: &self.pod,
            gone: self.gone,
            observed: &observed,
            memory: &self.memory,
            now: at(self.now),
        };
        let plan = plan(&situation);
        let actions: Vec<String> = plan.actions.iter().map(shown).collect();
        let wake = plan.wake.map(|wake| format!(" | {}", wake.duration_since(START).as_secs()));
        assert_eq!(format!("{}{}", actions.join(", "), wake.unwrap_or_default()), expected);
    }
}

#[test]
fn a_pod_comes_to_life_step_by_step() {
    let row = |memory| Row::new(pod(json!({})), memory);
    row(Memory::new(START)).check(&[], "volumes");
    row(ready()).check(&[], "sandbox 0 | 60");
    row(ready()).check(&["infra infra 0 created"], "remove infra-0, sandbox 1 | 60");
    row(ready()).check(&["infra infra 0 running"], "image web | 60");
    row(with_image(ready())).check(&["infra infra 0 running"], "create web 0 in infra-0 | 60");
    let containers = ["infra infra 0 running", "main web 0 created"];
    row(ready()).check(&containers, "start web-0 | 60");
    row(ready()).check(&["infra infra 0 running", "main web 0 running"], " | 60");
}

#[test]
fn what_failed_waits() {
    let mut memory = ready();
    memory.sandbox = Some(Failure::config("ContainerCreating", "no".into(), at(28)));
    Row::new(pod(json!({})), memory).check(&[], " | 33");
    let mut memory = ready();
    memory.container("web").image_failed("ErrImagePull", "no".into(), at(25));
    let row = Row::new(pod(json!({})), memory);
    row.check(&["infra infra 0 running"], " | 35");
    row.at(35).check(&["infra infra 0 running"], "image web | 60");
    let mut memory = with_image(ready());
    memory.container("web").failure =
        Some(Failure::config("CreateContainerConfigError", "no".into(), at(29)));
    Row::new(pod(json!({})), memory).check(&["infra infra 0 running"], " | 34");
}

#[test]
fn containers_restart_by_policy_and_wait_ever_longer() {
    let ended = ["infra infra 0 running", "main web 0 exited:1@30"];
    let always = |memory| Row::new(pod(json!({})), memory);
    always(ready()).check(&ended, "image web | 60");
    let mut crashed = ready();
    crashed.container("web").crash.restarted(at(20), at(20));
    always(crashed).check(&["infra infra 0 running", "main web 1 exited:1@30"], " | 40");
    let policy = |name: &str| pod(json!({"restartPolicy": name}));
    Row::new(policy("Never"), ready()).check(&ended, "kill infra-0");
    let over = ["infra infra 0 exited:137@31", "main web 0 exited:1@30"];
    Row::new(policy("Never"), ready()).check(&over, "");
    Row::new(policy("OnFailure"), ready()).check(&ended, "image web | 60");
    let well = ["infra infra 0 running", "main web 0 exited:0@30"];
    Row::new(policy("OnFailure"), ready()).check(&well, "kill infra-0");
    Row::new(pod(json!({})), ready()).check(&well, "image web | 60");
}

#[test]
fn old_attempts_go_but_the_last_two() {
    let containers = [
        "infra infra 0 running",
        "main web 0 exited:1@1",
        "main web 1 exited:1@2",
        "main web 2 exited:1@3",
        "main web 3 running",
    ];
    Row::new(pod(json!({})), ready()).check(&containers, "remove web-1, remove web-0 | 60");
}

#[test]
fn init_containers_go_first_one_by_one() {
    let spec =
        json!({"initContainers": [{"name": "setup", "image": "i:1"}, {"name": "log", "image": "i:1"}]});
    let row = || Row::new(pod(spec.clone()), with_image(ready()));
    row().check(&["infra infra 0 running"], "create setup 0 in infra-0 | 60");
    row().check(&["infra infra 0 running", "init setup 0 running"], " | 60");
    let first = ["infra infra 0 running", "init setup 0 exited:0@10"];
    row().check(&first, "create log 0 in infra-0 | 60");
    let both = ["infra infra 0 running", "init setup 0 exited:0@10", "init log 0 exited:0@20"];
    row().check(&both, "create web 0 in infra-0 | 60");
    let removed = ["infra infra 0 running", "main web 0 running"];
    row().check(&removed, " | 60");
    let failed = ["infra infra 0 running", "init setup 0 exited:2@10"];
    row().check(&failed, "create setup 1 in infra-0 | 60");
    let mut never = row();
    never.pod.spec.restart_policy = "Never".into();
    never.check(&failed, "kill infra-0");
}

#[test]
fn sidecars_run_along() {
    let spec = json!({"initContainers": [
        {"name": "side", "image": "i:1", "restartPolicy": "Always"}, {"name": "setup", "image": "i:1"}]});
    let row = || Row::new(pod(spec.clone()), with_image(ready()));
    row().check(&["infra infra 0 running"], "create side 0 in infra-0 | 60");
    row().check(&["infra infra 0 running", "init side 0 running"], "create setup 0 in infra-0 | 60");
    let all =
        ["infra infra 0 running", "init side 0 exited:0@10", "init setup 0 exited:0@5", "main web 0 running"];
    row().check(&all, "create side 1 in infra-0 | 60");
}

#[test]
fn a_dead_sandbox_is_replaced_with_all_that_hangs_on_it() {
    let containers = ["infra infra 0 exited:0@10", "main web 0 running"];
    let row = || Row::new(pod(json!({})), with_image(ready()));
    row().check(&containers, "kill web-0, sandbox 1 | 60");
    let new = ["infra infra 1 running", "main web 0 exited:137@20 infra-0"];
    row().check(&new, "create web 1 in infra-1 | 60");
    let unneeded = ["infra infra 0 exited:137@20", "infra infra 1 running", "main web 1 running infra-1"];
    row().check(&unneeded, "remove infra-0 | 60");
    let two = ["infra infra 0 running", "infra infra 1 running", "main web 0 running infra-1"];
    row().check(&two, "remove infra-0 | 60");
    let mut never = row();
    never.pod.spec.restart_policy = "Never".into();
    never.check(&["infra infra 0 exited:0@10", "main web 0 exited:137@10"], "");
}

#[test]
fn a_pod_that_goes_ends_by_its_deadline_and_leaves_nothing() {
    let mut row = Row::new(pod(json!({})), ready());
    row.pod.metadata.deletion_timestamp = Some(at(60).into());
    let running = ["infra infra 0 running", "main web 0 running"];
    row.check(&running, "stop web-0 by 60 | 60");
    row.memory.stops.insert("web-0".into(), Stop { deadline: at(60), spare: SignedDuration::ZERO });
    row.check(&running, " | 60");
    let mut row = row.at(60);
    row.check(&running, "kill web-0 | 61");
    // A hook took all of the time.
    let spare = SignedDuration::from_secs(2);
    row.memory.stops.insert("web-0".into(), Stop { deadline: at(60), spare });
    row.check(&running, " | 62");
    row.check(&["infra infra 0 running", "main web 0 exited:137@60"], "finish");
    let mut gone = Row::new(pod(json!({})), ready());
    gone.gone = true;
    gone.check(&running, "kill web-0 | 31");
    gone.check(&[], "finish");
}

#[test]
fn a_deadline_that_comes_nearer_holds() {
    let mut row = Row::new(pod(json!({})), ready());
    row.memory.stops.insert("web-0".into(), Stop { deadline: at(90), spare: SignedDuration::from_secs(2) });
    row.pod.metadata.deletion_timestamp = Some(at(31).into());
    row.check(&["infra infra 0 running", "main web 0 running"], " | 31");
    row.at(31).check(&["infra infra 0 running", "main web 0 running"], "kill web-0 | 32");
}

#[test]
fn active_deadlines_end_the_pod() {
    let row =
        || Row::new(pod(json!({"activeDeadlineSeconds": 40, "terminationGracePeriodSeconds": 5})), ready());
    let running = ["infra infra 0 running", "main web 0 running"];
    row().check(&running, " | 40");
    row().at(40).check(&running, "end DeadlineExceeded");
    let mut ended = row().at(41);
    let message = "Pod was active on the node longer than the specified deadline";
    ended.memory.ended = Some(crate::memory::Ended { reason: "DeadlineExceeded", message, at: at(40) });
    ended.check(&running, "stop web-0 by 45 | 45");
    ended.check(&["infra infra 0 running", "main web 0 exited:0@42"], "kill infra-0");
}

#[test]
fn unhealthy_and_changed_containers_end() {
    let running = ["infra infra 0 running", "main web 0 running"];
    let mut row = Row::new(pod(json!({"terminationGracePeriodSeconds": 5})), ready());
    let dead = Health { dead: Some(("failed".into(), Some(2))), ..Health::default() };
    row.memory.health.insert("web-0".into(), dead);
    row.check(&running, "stop web-0 by 32 | 32");
    let mut row = Row::new(pod(json!({"terminationGracePeriodSeconds": 5})), ready());
    row.pod.spec.containers[0].image = "i:2".into();
    row.check(&running, "stop web-0 by 35 | 35");
}

#[test]
fn restart_counts_survive_removed_containers() {
    let mut row = Row::new(pod(json!({})), with_image(ready()));
    let status = json!([{"name": "web", "restartCount": 4, "containerID": "docker://x"}]);
    row.pod.status.container_statuses = serde_json::from_value(status).unwrap();
    row.check(&["infra infra 0 running"], "create web 5 in infra-0 | 60");
    let older = ["infra infra 0 running", "main web 3 exited:1@20"];
    row.check(&older, "create web 5 in infra-0 | 60");
    let told = ["infra infra 0 running", "main web 4 exited:1@20"];
    row.check(&told, "create web 5 in infra-0 | 60");
}
