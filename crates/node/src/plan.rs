//! What is to be done about a pod now: from what is wanted, what there is and what is remembered. Pure.
//!
//! A plan is computed anew after every change, so it only ever says the next steps. Each step may be cut off or done
//! twice without harm.

use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::{Container, DEFAULT_GRACE_SECONDS, Pod};

use crate::engine::{Observed, RunState};
use crate::labels::Role;
use crate::memory::{Ended, Failure, ImageState, Memory, VolumesState};

/// Files of volumes are compared with their sources this often.
const REFRESH_VOLUMES: SignedDuration = SignedDuration::from_secs(60);
/// A container that was killed and still runs is killed again.
const KILL_AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Dead containers that are kept of each name: the last, and the one before for its log.
const KEPT: usize = 2;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make the volumes, or bring their files up to date.
    PrepareVolumes,
    /// Make and start the infra container.
    CreateSandbox {
        attempt: u32,
    },
    /// Find or pull the image of a container.
    EnsureImage {
        container: String,
    },
    /// Make and start a container.
    Create {
        container: String,
        role: Role,
        attempt: u32,
        sandbox: String,
    },
    /// Start what was made and never started.
    Start {
        id: String,
        container: String,
    },
    /// Tell a container to end, and remember when it is to be killed.
    BeginStop {
        id: String,
        container: String,
        deadline: Timestamp,
        why: Why,
    },
    Kill {
        id: String,
    },
    Remove {
        id: String,
    },
    /// The pod is over.
    End(Ended),
    /// Remove all that the pod had, and the pod.
    Finish,
}

/// Why a container is told to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The pod goes, or is over.
    PodEnds,
    /// Its specification is another one now.
    Changed,
    /// A probe or a hook failed; the text says which.
    Unhealthy(String),
}

/// Steps to do now, and when to look again if nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    pub(crate) wake: Option<Timestamp>,
}

impl Plan {
    fn add(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn wake_at(&mut self, time: Timestamp) {
        self.wake = Some(self.wake.map_or(time, |wake| wake.min(time)));
    }
}

/// All that a plan depends on.
#[derive(Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) pod: &'a Pod,
    /// The object is gone: nothing is waited for.
    pub(crate) gone: bool,
    pub(crate) observed: &'a [Observed],
    pub(crate) memory: &'a Memory,
    pub(crate) now: Timestamp,
}

/// Whether a container with this exit code is started again.
pub(crate) fn restarts(pod: &Pod, exit_code: i32) -> bool {
    match pod.spec.restart_policy.as_str() {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

/// An init container that keeps running beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether a phase is the last one.
pub(crate) fn is_terminal(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// Seconds between the friendly and the last signal.
pub(crate) fn grace_seconds(pod: &Pod) -> i64 {
    pod.spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_SECONDS).max(0)
}

/// That many seconds later, or as late as can be.
pub(crate) fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

impl<'a> Situation<'a> {
    /// The newest attempt of a container, in whatever sandbox.
    pub(crate) fn latest(&self, name: &str) -> Option<&'a Observed> {
        self.attempts(name).max_by_key(|container| container.identity.attempt)
    }

    /// The attempt before the newest.
    pub(crate) fn previous(&self, name: &str) -> Option<&'a Observed> {
        let latest = self.latest(name)?;
        self.attempts(name)
            .filter(|container| container.identity.attempt < latest.identity.attempt)
            .max_by_key(|container| container.identity.attempt)
    }

    fn attempts(&self, name: &str) -> impl Iterator<Item = &'a Observed> {
        let name = name.to_owned();
        self.observed.iter().filter(move |container| {
            container.identity.role != Role::Infra && container.identity.container == name
        })
    }

    /// The infra container that runs.
    pub(crate) fn sandbox(&self) -> Option<&'a Observed> {
        self.infra()
            .filter(|container| container.state == RunState::Running)
            .max_by_key(|container| container.identity.attempt)
    }

    fn infra(&self) -> impl Iterator<Item = &'a Observed> {
        self.observed.iter().filter(|container| container.identity.role == Role::Infra)
    }

    fn running(&self) -> impl Iterator<Item = &'a Observed> {
        let runs = |container: &&Observed| {
            container.identity.role != Role::Infra && container.state == RunState::Running
        };
        self.observed.iter().filter(runs)
    }

    /// An init container failed for good.
    pub(crate) fn init_failed(&self) -> bool {
        self.pod.spec.init_containers.iter().filter(|container| !is_sidecar(container)).any(|container| {
            self.latest(&container.name).is_some_and(|latest| {
                latest.state == RunState::Exited
                    && latest.exit_code != 0
                    && self.pod.spec.restart_policy == "Never"
            })
        })
    }

    /// Every container ended for good.
    pub(crate) fn is_finished(&self) -> bool {
        let finished = |container: &Container| {
            self.latest(&container.name).is_some_and(|latest| {
                latest.state == RunState::Exited && !restarts(self.pod, latest.exit_code)
            })
        };
        self.init_failed() || self.pod.spec.containers.iter().all(finished)
    }

    /// The number of the next attempt of a container: one more than any the engine or the status knows of.
    fn next_attempt(&self, name: &str) -> u32 {
        let latest = self.latest(name).map(|latest| latest.identity.attempt + 1);
        let status = &self.pod.status;
        let mut statuses = status.container_statuses.iter().chain(&status.init_container_statuses);
        let told = statuses.find(|status| status.name == name && !status.container_id.is_empty());
        let told = told.map(|status| u32::try_from(status.restart_count).unwrap_or_default());
        // The status may tell of the latest one itself, or of a later one that somebody removed.
        let lost = told.filter(|told| latest.is_none_or(|latest| *told >= latest)).map(|told| told + 1);
        lost.or(latest).unwrap_or_default()
    }
}

/// The next steps for a pod.
pub(crate) fn plan(situation: &Situation<'_>) -> Plan {
    let mut plan = Plan::default();
    let Situation { pod, memory, now, .. } = *situation;
    if situation.gone {
        situation.stop_all(now, &mut plan);
        if situation.running().next().is_none() {
            plan.add(Action::Finish);
        }
        return plan;
    }
    if let Some(deadline) = pod.metadata.deletion_timestamp {
        situation.stop_all(deadline.0, &mut plan);
        if situation.running().next().is_none() {
            plan.add(Action::Finish);
        }
        return plan;
    }
    if is_terminal(&pod.status.phase) || memory.ended.is_some() || situation.is_finished() {
        let since = memory.ended.as_ref().map_or(now, |ended| ended.at);
        situation.stop_all(later(since, grace_seconds(pod)), &mut plan);
        if situation.running().next().is_none() {
            situation.end_infra(None, &mut plan);
        }
        return plan;
    }
    if let Some(seconds) = pod.spec.active_deadline_seconds {
        let start = pod.status.start_time.map_or(memory.accepted, |time| time.0);
        let deadline = later(start, seconds);
        if deadline <= now {
            let message = "Pod was active on the node longer than the specified deadline";
            plan.add(Action::End(Ended { reason: "DeadlineExceeded", message, at: now }));
            return plan;
        }
        plan.wake_at(deadline);
    }
    if situation.has_volumes(&mut plan)
        && let Some(sandbox) = situation.ensured_sandbox(&mut plan)
    {
        situation.run_containers(sandbox, &mut plan);
    }
    situation.remove_old(&mut plan);
    plan
}

impl Situation<'_> {
    /// Ends every container by the deadline.
    fn stop_all(&self, deadline: Timestamp, plan: &mut Plan) {
        for container in self.running() {
            self.stop(container, deadline, Why::PodEnds, plan);
        }
    }

    fn stop(&self, container: &Observed, deadline: Timestamp, why: Why, plan: &mut Plan) {
        let id = container.id.clone();
        let known = self.memory.stops.get(&id);
        let due = match known {
            Some(stop) if stop.deadline <= deadline => stop.deadline + stop.spare,
            _ => deadline,
        };
        if due <= self.now {
            plan.add(Action::Kill { id });
            plan.wake_at(self.now + KILL_AGAIN);
            return;
        }
        plan.wake_at(due);
        if known.is_none() {
            let container = container.identity.container.clone();
            plan.add(Action::BeginStop { id, container, deadline, why });
        }
    }

    /// Whether the volumes are there; if not, sees to them.
    fn has_volumes(&self, plan: &mut Plan) -> bool {
        match &self.memory.volumes {
            VolumesState::Ready { at } => {
                let again = *at + REFRESH_VOLUMES;
                if again <= self.now {
                    plan.add(Action::PrepareVolumes);
                } else {
                    plan.wake_at(again);
                }
                true
            }
            VolumesState::Failed(failure) if self.waits(failure, plan) => false,
            VolumesState::Failed(_) | VolumesState::Unknown => {
                plan.add(Action::PrepareVolumes);
                false
            }
        }
    }

    fn waits(&self, failure: &Failure, plan: &mut Plan) -> bool {
        let waits = failure.retry_at > self.now;
        if waits {
            plan.wake_at(failure.retry_at);
        }
        waits
    }

    /// Ends infra containers but this one. They stay as long as a container needs them: Podman keeps to that order.
    fn end_infra(&self, but: Option<&String>, plan: &mut Plan) {
        for infra in self.infra().filter(|infra| Some(&infra.id) != but) {
            let is_needed = self.observed.iter().any(|container| container.identity.sandbox == infra.id);
            if !is_needed {
                plan.add(Action::Remove { id: infra.id.clone() });
            } else if infra.state == RunState::Running {
                plan.add(Action::Kill { id: infra.id.clone() });
            }
        }
    }

    /// The infra container, if it runs; if not, sees to it that one does, and ends what hangs on an old one.
    fn ensured_sandbox(&self, plan: &mut Plan) -> Option<String> {
        let current = self.sandbox();
        let id = current.map(|sandbox| sandbox.id.clone());
        self.end_infra(id.as_ref(), plan);
        for container in self.running().filter(|container| Some(&container.identity.sandbox) != id.as_ref()) {
            plan.add(Action::Kill { id: container.id.clone() });
        }
        if current.is_none() && !self.memory.sandbox.as_ref().is_some_and(|failure| self.waits(failure, plan))
        {
            let attempt = self.infra().map(|infra| infra.identity.attempt + 1).max().unwrap_or_default();
            plan.add(Action::CreateSandbox { attempt });
        }
        id
    }

    fn run_containers(&self, sandbox: String, plan: &mut Plan) {
        let spec = &self.pod.spec;
        let current = |container: &Container| {
            self.latest(&container.name).filter(|latest| latest.identity.sandbox == sandbox)
        };
        // Init containers may have been removed since; what came after them tells that they are done.
        let past_init = spec.containers.iter().any(|container| current(container).is_some());
        for container in &spec.init_containers {
            let latest = current(container);
            if is_sidecar(container) {
                self.keep_running(container, Role::Init, latest, &sandbox, plan);
                let started = |latest: &Observed| {
                    let healthy = container.startup_probe.is_none()
                        || self.memory.health.get(&latest.id).is_some_and(|health| health.started);
                    latest.state == RunState::Running && healthy
                };
                if !past_init && !latest.is_some_and(started) {
                    return;
                }
                continue;
            }
            if past_init
                || latest.is_some_and(|latest| latest.state == RunState::Exited && latest.exit_code == 0)
            {
                continue;
            }
            self.keep_running(container, Role::Init, latest, &sandbox, plan);
            return;
        }
        for container in &spec.containers {
            let latest = current(container);
            let over = self.latest(&container.name).is_some_and(|latest| {
                latest.state == RunState::Exited && !restarts(self.pod, latest.exit_code)
            });
            if !over {
                self.keep_running(container, Role::Main, latest, &sandbox, plan);
            }
        }
    }

    /// Starts a container, starts it again, or ends it because it must be another one.
    fn keep_running(
        &self,
        container: &Container,
        role: Role,
        latest: Option<&Observed>,
        sandbox: &str,
        plan: &mut Plan,
    ) {
        let Some(latest) = latest else {
            return self.start(container, role, sandbox, plan);
        };
        match latest.state {
            RunState::Created => {
                let failure =
                    self.memory.containers.get(&container.name).and_then(|known| known.failure.as_ref());
                if !failure.is_some_and(|failure| self.waits(failure, plan)) {
                    let (id, container) = (latest.id.clone(), container.name.clone());
                    plan.add(Action::Start { id, container });
                }
            }
            RunState::Running => self.check(container, latest, plan),
            RunState::Exited => {
                let finished = latest.finished.or(latest.started).unwrap_or(self.now);
                let crash = self.memory.containers.get(&container.name).map(|known| known.crash.clone());
                let restart_at = crash.unwrap_or_default().restart_at(finished);
                if restart_at > self.now {
                    plan.wake_at(restart_at);
                } else {
                    self.start(container, role, sandbox, plan);
                }
            }
        }
    }

    fn check(&self, container: &Container, latest: &Observed, plan: &mut Plan) {
        let grace =
            |seconds: Option<i64>| later(self.now, seconds.unwrap_or_else(|| grace_seconds(self.pod)).max(0));
        if latest.identity.image != container.image {
            return self.stop(latest, grace(None), Why::Changed, plan);
        }
        let dead = self.memory.health.get(&latest.id).and_then(|health| health.dead.as_ref());
        if let Some((message, seconds)) = dead {
            self.stop(latest, grace(*seconds), Why::Unhealthy(message.clone()), plan);
        } else if let Some(stop) = self.memory.stops.get(&latest.id) {
            self.stop(latest, stop.deadline, Why::Changed, plan);
        }
    }

    fn start(&self, container: &Container, role: Role, sandbox: &str, plan: &mut Plan) {
        let name = container.name.clone();
        let known = self.memory.containers.get(&name);
        if known.and_then(|known| known.failure.as_ref()).is_some_and(|failure| self.waits(failure, plan)) {
            return;
        }
        match known.map_or(&ImageState::Unknown, |known| &known.image) {
            ImageState::Pulling => {}
            ImageState::Failed { retry_at, .. } if *retry_at > self.now => plan.wake_at(*retry_at),
            ImageState::Unknown | ImageState::Failed { .. } => {
                plan.add(Action::EnsureImage { container: name });
            }
            ImageState::Present { .. } => {
                let attempt = self.next_attempt(&name);
                plan.add(Action::Create { container: name, role, attempt, sandbox: sandbox.to_owned() });
            }
        }
    }

    /// Of each name, only the newest dead containers are kept.
    fn remove_old(&self, plan: &mut Plan) {
        for container in self.pod.spec.init_containers.iter().chain(&self.pod.spec.containers) {
            let mut attempts: Vec<&Observed> = self.attempts(&container.name).collect();
            attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.identity.attempt));
            for old in attempts.into_iter().skip(KEPT).filter(|old| old.state != RunState::Running) {
                plan.add(Action::Remove { id: old.id.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests;
