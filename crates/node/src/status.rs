//! What a pod's status says: states of its containers, conditions, phase. Pure.
//!
//! What only the API knows (conditions of others, names of images that were found long ago) is taken from the status that
//! is there.

use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIp, PodStatus,
};
use pierhead_api::meta::Time;

use crate::engine::{EngineKind, Observed, RunState};
use crate::memory::{ContainerMemory, ImageState};
use crate::plan::{Situation, is_sidecar, is_terminal, restarts};

/// For so long a failed pull is told as such; then as the wait for the next one.
const FRESH_FAILURE: SignedDuration = SignedDuration::from_secs(4);

/// As if it had been killed.
const LOST_EXIT_CODE: i32 = 137;

/// The machine's part of a status.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) engine: EngineKind,
    pub(crate) ip: String,
}

/// The status a pod should have now, and when it changes by itself.
pub(crate) fn status(situation: &Situation<'_>, host: &Host) -> (PodStatus, Option<Timestamp>) {
    let Situation { pod, memory, now, .. } = *situation;
    let view = View { situation: *situation, host };
    let mut status = pod.status.clone();
    status.start_time.get_or_insert(Time(memory.accepted).to_second());
    status.qos_class = pod.qos_class().to_owned();
    status.host_ip.clone_from(&host.ip);
    status.host_ips = if host.ip.is_empty() { Vec::new() } else { vec![HostIP { ip: host.ip.clone() }] };
    status.observed_generation = pod.metadata.generation.or(status.observed_generation);
    if let Some(address) = situation.sandbox().and_then(|sandbox| sandbox.address.clone()) {
        status.pod_ips = vec![PodIp { ip: address.clone() }];
        status.pod_ip = address;
    }
    let init_done = view.init_is_done();
    let initial = if pod.spec.init_containers.is_empty() { "ContainerCreating" } else { "PodInitializing" };
    status.init_container_statuses = pod
        .spec
        .init_containers
        .iter()
        .map(|container| view.container(container, &pod.status.init_container_statuses, "PodInitializing"))
        .collect();
    status.container_statuses = pod
        .spec
        .containers
        .iter()
        .map(|container| view.container(container, &pod.status.container_statuses, initial))
        .collect();
    if !is_terminal(&pod.status.phase) {
        view.phase(&mut status, init_done);
    }
    view.conditions(&mut status, init_done);
    (status, view.next_change(now))
}

struct View<'a> {
    situation: Situation<'a>,
    host: &'a Host,
}

impl View<'_> {
    fn pod(&self) -> &Pod {
        self.situation.pod
    }

    /// Every init container did its part.
    fn init_is_done(&self) -> bool {
        let begun = self
            .pod()
            .spec
            .containers
            .iter()
            .any(|container| self.situation.latest(&container.name).is_some());
        begun
            || self.pod().spec.init_containers.iter().all(|container| {
                let latest = self.situation.latest(&container.name);
                latest.is_some_and(|latest| match latest.state {
                    RunState::Running => is_sidecar(container),
                    RunState::Exited => latest.exit_code == 0,
                    RunState::Created => false,
                })
            })
    }

    fn container(&self, container: &Container, before: &[ContainerStatus], initial: &str) -> ContainerStatus {
        let before = before.iter().find(|status| status.name == container.name);
        let known = self.situation.memory.containers.get(&container.name);
        let Some(latest) = self.situation.latest(&container.name) else {
            let waiting = || self.waiting(container, known, initial);
            let is_over = is_terminal(&self.pod().status.phase) || self.situation.memory.ended.is_some();
            return unseen(container, before, is_over, waiting);
        };
        let id = self.engine_id(latest);
        let same = before.filter(|status| status.container_id == id);
        let image_id = self.image_id(latest, same);
        let ended = |ended: &Observed| self.terminated(ended, before);
        let over = self.is_over(latest);
        let (state, last_state) = match latest.state {
            RunState::Running => {
                let running = ContainerStateRunning { started_at: latest.started.map(whole) };
                let last = self.situation.previous(&container.name).map(ended);
                (ContainerState { running: Some(running), ..ContainerState::default() }, last)
            }
            RunState::Exited if over => {
                let state = ContainerState { terminated: Some(ended(latest)), ..ContainerState::default() };
                (state, self.situation.previous(&container.name).map(ended))
            }
            RunState::Exited => (self.waiting_again(container, latest, known, initial), Some(ended(latest))),
            RunState::Created => {
                let last = self.situation.previous(&container.name).map(ended);
                (self.waiting(container, known, initial), last)
            }
        };
        let health = self.situation.memory.health.get(&latest.id);
        let runs = latest.state == RunState::Running;
        let started = runs && health.map_or(container.startup_probe.is_none(), |health| health.started);
        let is_init = self.pod().spec.init_containers.iter().any(|init| init.name == container.name);
        let ready = if is_init && !is_sidecar(container) {
            latest.state == RunState::Exited && latest.exit_code == 0
        } else {
            started && health.map_or(container.readiness_probe.is_none(), |health| health.ready)
        };
        ContainerStatus {
            name: container.name.clone(),
            state,
            last_state: last_state
                .map(|terminated| ContainerState {
                    terminated: Some(terminated),
                    ..ContainerState::default()
                })
                .unwrap_or_default(),
            ready,
            // Somebody may have removed a later one.
            restart_count: i32::try_from(latest.identity.attempt)
                .unwrap_or(i32::MAX)
                .max(before.map_or(0, |before| before.restart_count)),
            image: container.image.clone(),
            image_id,
            container_id: id,
            started: Some(started),
            ..ContainerStatus::default()
        }
    }

    /// Nothing will be made of it again.
    fn is_over(&self, latest: &Observed) -> bool {
        let Situation { pod, memory, gone, .. } = self.situation;
        let stays = gone
            || pod.metadata.deletion_timestamp.is_some()
            || memory.ended.is_some()
            || is_terminal(&pod.status.phase);
        let init = pod.spec.init_containers.iter().find(|init| init.name == latest.identity.container);
        let done = match init {
            Some(init) => !is_sidecar(init) && (latest.exit_code == 0 || pod.spec.restart_policy == "Never"),
            None => !restarts(pod, latest.exit_code),
        };
        stays || done
    }

    fn engine_id(&self, container: &Observed) -> String {
        format!("{}://{}", self.host.engine.name(), container.id)
    }

    /// By digest where the image came from a registry.
    fn image_id(&self, latest: &Observed, same: Option<&ContainerStatus>) -> String {
        let named = self.situation.memory.image_names.get(&latest.image_id).cloned();
        let known = same.map(|status| status.image_id.clone()).filter(|id| !id.is_empty());
        let engine = self.host.engine.name();
        named
            .map(|name| format!("docker-pullable://{name}"))
            .or(known)
            .unwrap_or_else(|| format!("{engine}://{}", latest.image_id))
    }

    fn terminated(&self, ended: &Observed, before: Option<&ContainerStatus>) -> ContainerStateTerminated {
        let container_id = self.engine_id(ended);
        let told = before.and_then(|status| {
            let states = [&status.state, &status.last_state].map(|state| state.terminated.as_ref());
            states.into_iter().flatten().find(|state| state.container_id == container_id)
        });
        let message = self.situation.memory.messages.get(&ended.id).cloned();
        let message = message.or_else(|| told.map(|told| told.message.clone()));
        let cannot_run = ended.started.is_none() && !ended.error.is_empty();
        let reason = match ended.exit_code {
            _ if ended.out_of_memory => "OOMKilled",
            _ if cannot_run => "ContainerCannotRun",
            0 => "Completed",
            _ => "Error",
        };
        ContainerStateTerminated {
            exit_code: ended.exit_code,
            reason: reason.to_owned(),
            message: message.filter(|message| !message.is_empty()).unwrap_or_else(|| ended.error.clone()),
            started_at: ended.started.map(whole),
            finished_at: ended.finished.map(whole),
            container_id,
            ..ContainerStateTerminated::default()
        }
    }

    /// A container that ended and will run again.
    fn waiting_again(
        &self,
        container: &Container,
        latest: &Observed,
        known: Option<&ContainerMemory>,
        initial: &str,
    ) -> ContainerState {
        let finished = latest.finished.or(latest.started).unwrap_or(self.situation.now);
        let crash = known.map(|known| known.crash.clone()).unwrap_or_default();
        if crash.restart_at(finished) <= self.situation.now {
            return self.waiting(container, known, initial);
        }
        let metadata = &self.pod().metadata;
        let message = format!(
            "back-off {} restarting failed container={} pod={}_{}({})",
            go_duration(crash.wait(finished)),
            container.name,
            metadata.name,
            metadata.namespace,
            metadata.uid,
        );
        waiting("CrashLoopBackOff", message)
    }

    fn waiting(
        &self,
        container: &Container,
        known: Option<&ContainerMemory>,
        initial: &str,
    ) -> ContainerState {
        if let Some(failure) = known.and_then(|known| known.failure.as_ref()) {
            return waiting(failure.reason, failure.message.clone());
        }
        match known.map(|known| &known.image) {
            Some(ImageState::Failed { reason: "ErrImagePull", message, at, .. })
                if at.saturating_add(FRESH_FAILURE).is_ok_and(|end| end <= self.situation.now) =>
            {
                let text = format!("Back-off pulling image \"{}\": ErrImagePull: {message}", container.image);
                waiting("ImagePullBackOff", text)
            }
            Some(ImageState::Failed { reason, message, .. }) => waiting(reason, message.clone()),
            _ => waiting(initial, String::new()),
        }
    }

    fn phase(&self, status: &mut PodStatus, init_done: bool) {
        let Situation { pod, memory, gone, .. } = self.situation;
        let latest = |container: &Container| self.situation.latest(&container.name);
        let exits = || pod.spec.containers.iter().filter_map(latest);
        let all_exited = pod
            .spec
            .containers
            .iter()
            .all(|container| latest(container).is_some_and(|latest| latest.state == RunState::Exited));
        let ends = gone || pod.metadata.deletion_timestamp.is_some();
        let phase = if let Some(ended) = &memory.ended {
            ended.reason.clone_into(&mut status.reason);
            ended.message.clone_into(&mut status.message);
            "Failed"
        } else if self.situation.is_finished() || (ends && all_exited) {
            let failed = self.situation.init_failed() || exits().any(|latest| latest.exit_code != 0);
            if failed { "Failed" } else { "Succeeded" }
        } else if !init_done {
            "Pending"
        } else {
            let begun = |status: &ContainerStatus| {
                status.state.waiting.is_none() || status.last_state.terminated.is_some()
            };
            if status.container_statuses.iter().all(begun) { "Running" } else { "Pending" }
        };
        phase.clone_into(&mut status.phase);
    }

    fn conditions(&self, status: &mut PodStatus, init_done: bool) {
        let over = is_terminal(&status.phase);
        let done =
            |status: &PodStatus| if status.phase == "Succeeded" { "PodCompleted" } else { "PodFailed" };
        let names = |statuses: &[ContainerStatus]| {
            let unready = statuses.iter().filter(|status| !status.ready);
            unready.map(|status| status.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let initialized = if init_done || status.phase == "Succeeded" {
            Verdict::yes()
        } else {
            let names = names(&status.init_container_statuses);
            Verdict::no("ContainersNotInitialized", format!("containers with incomplete status: [{names}]"))
        };
        let unready = names(&status.container_statuses);
        let containers_ready = if over {
            Verdict::no(done(status), String::new())
        } else if unready.is_empty() {
            Verdict::yes()
        } else {
            Verdict::no("ContainersNotReady", format!("containers with unready status: [{unready}]"))
        };
        let open_gates: Vec<&str> = self
            .pod()
            .spec
            .readiness_gates
            .iter()
            .map(|gate| gate.condition_type.as_str())
            .filter(|gate| {
                let met = |condition: &PodCondition| {
                    condition.condition_type == *gate && condition.status == "True"
                };
                !status.conditions.iter().any(met)
            })
            .collect();
        let ready = if containers_ready.holds && !open_gates.is_empty() {
            let gates = open_gates.join(", ");
            Verdict::no(
                "ReadinessGatesNotReady",
                format!("the status of pod readiness gates is not \"True\": {gates}"),
            )
        } else {
            containers_ready.clone()
        };
        let now = Time(self.situation.now).to_second();
        set(status, "Initialized", initialized, now);
        set(status, "Ready", ready, now);
        set(status, "ContainersReady", containers_ready, now);
        set(status, "PodScheduled", Verdict::yes(), now);
    }

    /// A failed pull is told in other words after a while.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let fresh = self.situation.memory.containers.values().filter_map(|known| match &known.image {
            ImageState::Failed { at, .. } => at.saturating_add(FRESH_FAILURE).ok(),
            ImageState::Unknown | ImageState::Pulling | ImageState::Present { .. } => None,
        });
        fresh.filter(|end| *end > now).min()
    }
}

/// A container the engine knows nothing of.
fn unseen(
    container: &Container,
    before: Option<&ContainerStatus>,
    is_over: bool,
    state: impl FnOnce() -> ContainerState,
) -> ContainerStatus {
    let known = before.cloned().unwrap_or_default();
    let lost = |message: &str| ContainerStateTerminated {
        exit_code: LOST_EXIT_CODE,
        reason: "ContainerStatusUnknown".to_owned(),
        message: message.to_owned(),
        container_id: known.container_id.clone(),
        ..ContainerStateTerminated::default()
    };
    let terminated = |ended| ContainerState { terminated: Some(ended), ..ContainerState::default() };
    let last_state = if known.state.running.is_some() {
        terminated(lost("The container could not be found; it was running"))
    } else if known.state.terminated.is_some() {
        known.state.clone()
    } else {
        known.last_state.clone()
    };
    let state = match is_over {
        // It was removed after it ended.
        true if known.state.terminated.is_some() => known.state.clone(),
        true => terminated(lost("The container could not be located when the pod was terminated")),
        false => state(),
    };
    ContainerStatus {
        name: container.name.clone(),
        state,
        last_state,
        ready: false,
        restart_count: known.restart_count,
        image: container.image.clone(),
        image_id: known.image_id,
        // Tells that there was one: the next is another attempt.
        container_id: known.container_id,
        started: Some(false),
        ..ContainerStatus::default()
    }
}

#[derive(Clone)]
struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    const fn yes() -> Self {
        Self { holds: true, reason: "", message: String::new() }
    }

    const fn no(reason: &'static str, message: String) -> Self {
        Self { holds: false, reason, message }
    }
}

fn set(status: &mut PodStatus, condition_type: &str, verdict: Verdict, now: Time) {
    let text = if verdict.holds { "True" } else { "False" };
    let known = status.conditions.iter_mut().find(|condition| condition.condition_type == condition_type);
    let condition = match known {
        Some(condition) => condition,
        None => {
            status
                .conditions
                .push(PodCondition { condition_type: condition_type.to_owned(), ..PodCondition::default() });
            status.conditions.last_mut().expect("one was pushed just now")
        }
    };
    if condition.status != text {
        text.clone_into(&mut condition.status);
        condition.last_transition_time = Some(now);
    }
    verdict.reason.clone_into(&mut condition.reason);
    condition.message = verdict.message;
}

fn waiting(reason: &str, message: String) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: reason.to_owned(), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn whole(time: Timestamp) -> Time {
    Time(time).to_second()
}

/// As Go writes durations of whole seconds: `40s`, `1m20s`, `5m0s`.
fn go_duration(duration: SignedDuration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    if minutes > 0 { format!("{minutes}m{seconds}s") } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests;
