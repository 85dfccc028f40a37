//! What a node remembers of a pod between two looks at it: waits, pulls in progress, probes' results.
//!
//! None of it is kept across a restart, and nothing goes wrong when it is lost: waits start over, a signal is sent twice,
//! probes ask again. Until they have answers, what the pod's status says of its containers counts on.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::{ContainerStatus, PodStatus};
use pierhead_api::meta::Time;

use crate::engine::{Observed, RunState};
use crate::sources::Tokens;

const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(300);
/// A container that ran this long is no longer one that keeps crashing.
const FORGIVEN: SignedDuration = SignedDuration::from_secs(600);
/// A container that lacks something is tried again after this.
const CONFIG_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// Waits that double: 10 seconds up to 5 minutes.
fn doubled(wait: SignedDuration) -> SignedDuration {
    (wait + wait).clamp(FIRST_WAIT, LONGEST_WAIT)
}

/// Everything remembered of one pod.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    /// When the node took the pod.
    pub(crate) accepted: Timestamp,
    /// That the pod is over, whatever its containers do.
    pub(crate) ended: Option<Ended>,
    /// Whether its volumes are there.
    pub(crate) volumes: VolumesState,
    /// Why there is no infra container.
    pub(crate) sandbox: Option<Failure>,
    pub(crate) containers: BTreeMap<String, ContainerMemory>,
    /// Containers that were told to end, by id.
    pub(crate) stops: BTreeMap<String, Stop>,
    /// What probes found out, by id of the container.
    pub(crate) health: BTreeMap<String, Health>,
    /// Termination messages by id of the container.
    pub(crate) messages: BTreeMap<String, String>,
    /// Names with digests by the engine's ids of images.
    pub(crate) image_names: BTreeMap<String, String>,
    /// Tokens in its volumes.
    pub(crate) tokens: Tokens,
}

/// The end of a pod that its containers did not bring about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) reason: &'static str,
    pub(crate) message: &'static str,
    pub(crate) at: Timestamp,
}

/// Something that did not work, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For programs, such as `CreateContainerConfigError`.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
    pub(crate) retry_at: Timestamp,
}

impl Failure {
    /// Something is missing that may come at any time.
    pub(crate) fn config(reason: &'static str, message: String, now: Timestamp) -> Self {
        Self { reason, message, retry_at: now + CONFIG_WAIT }
    }
}

/// Whether the volumes of a pod are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VolumesState {
    /// Nobody tried yet.
    Unknown,
    Failed(Failure),
    /// They are, as of this time; files among them are looked at again now and then.
    Ready {
        at: Timestamp,
    },
}

/// What is remembered of one container of a pod, over all its attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerMemory {
    pub(crate) image: ImageState,
    pub(crate) pull_wait: SignedDuration,
    /// Why the next attempt was not made.
    pub(crate) failure: Option<Failure>,
    pub(crate) crash: CrashWait,
    /// What the wait was for that was told of last.
    pub(crate) announced: Option<String>,
}

/// How far the image for the next attempt is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ImageState {
    /// Not asked for.
    #[default]
    Unknown,
    Pulling,
    /// The engine's id.
    Present {
        id: String,
        user: String,
    },
    Failed {
        /// `ErrImagePull`, `ErrImageNeverPull`, `InvalidImageName`.
        reason: &'static str,
        message: String,
        at: Timestamp,
        retry_at: Timestamp,
    },
}

/// How long a container that keeps ending waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CrashWait {
    wait: SignedDuration,
    last_restart: Option<Timestamp>,
}

impl CrashWait {
    /// When a container that ended then may start again.
    pub(crate) fn restart_at(&self, finished: Timestamp) -> Timestamp {
        if self.is_forgiven(finished) { finished } else { finished + self.wait }
    }

    /// The wait after an end at that time.
    pub(crate) fn wait(&self, finished: Timestamp) -> SignedDuration {
        if self.is_forgiven(finished) { SignedDuration::ZERO } else { self.wait }
    }

    /// It is started again now.
    pub(crate) fn restarted(&mut self, finished: Timestamp, now: Timestamp) {
        let before = if self.is_forgiven(finished) { SignedDuration::ZERO } else { self.wait };
        *self = Self { wait: doubled(before), last_restart: Some(now) };
    }

    fn is_forgiven(&self, finished: Timestamp) -> bool {
        self.last_restart.is_none_or(|last| finished.duration_since(last) > FORGIVEN)
    }

    /// What the wait must have been, judging by a container that was found.
    fn recalled(container: &Observed) -> Self {
        let doublings = container.identity.attempt.saturating_sub(1);
        let wait = (0..doublings.min(5)).fold(FIRST_WAIT, |wait, _| doubled(wait));
        Self { wait, last_restart: container.started }
    }
}

/// A container that was told to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// When it is killed.
    pub(crate) deadline: Timestamp,
    /// How much later it is killed because a hook took the time that was for the signal to end.
    pub(crate) spare: SignedDuration,
}

/// What probes and hooks found out about a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// It is past its startup probe.
    pub(crate) started: bool,
    /// Its readiness probe says yes.
    pub(crate) ready: bool,
    /// Why it must be restarted, and with which grace in seconds if not the pod's.
    pub(crate) dead: Option<(String, Option<i64>)>,
}

impl Health {
    /// It is past its startup probe. Who was ready before a restart of ours is so until a readiness probe says no.
    pub(crate) fn has_started(&mut self, has_readiness_probe: bool) {
        self.ready = !has_readiness_probe || (self.started && self.ready);
        self.started = true;
    }
}

impl Memory {
    /// Nothing is known yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            accepted: now,
            ended: None,
            volumes: VolumesState::Unknown,
            sandbox: None,
            containers: BTreeMap::new(),
            stops: BTreeMap::new(),
            health: BTreeMap::new(),
            messages: BTreeMap::new(),
            image_names: BTreeMap::new(),
            tokens: Tokens::new(),
        }
    }

    pub(crate) fn container(&mut self, name: &str) -> &mut ContainerMemory {
        self.containers.entry(name.to_owned()).or_default()
    }

    /// Tokens that are not old yet.
    pub(crate) fn fresh_tokens(&self, now: Timestamp) -> Tokens {
        let fresh = self.tokens.iter().filter(|(_, token)| token.renew_at > now);
        fresh.map(|(key, token)| (key.clone(), token.clone())).collect()
    }

    /// Believes what the status says of containers that nobody asked yet and that run since: a server that starts again
    /// must not take healthy pods out of service until their probes have answered.
    pub(crate) fn recall_health(&mut self, status: &PodStatus, observed: &[Observed]) {
        let statuses = status.container_statuses.iter().chain(&status.init_container_statuses);
        for container in observed.iter().filter(|container| container.state == RunState::Running) {
            let is_told = |told: &&ContainerStatus| {
                let since = told.state.running.as_ref().and_then(|running| running.started_at);
                let id = told.container_id.split_once("://").map(|(_, id)| id);
                id == Some(&container.id) && since == container.started.map(|time| Time(time).to_second())
            };
            if let Some(told) = statuses.clone().find(is_told).filter(|told| told.started == Some(true)) {
                let health = Health { started: true, ready: told.ready, dead: None };
                self.health.entry(container.id.clone()).or_insert(health);
            }
        }
    }

    /// Forgets containers that are no more, and guesses the waits of those that were there before us.
    pub(crate) fn follow(&mut self, observed: &[Observed]) {
        let exists = |id: &String| observed.iter().any(|container| container.id == *id);
        self.stops.retain(|id, _| exists(id));
        self.health.retain(|id, _| exists(id));
        self.messages.retain(|id, _| exists(id));
        for container in observed.iter().filter(|container| container.identity.attempt > 0) {
            let known = self.container(&container.identity.container);
            if known.crash == CrashWait::default() && container.state != RunState::Created {
                known.crash = CrashWait::recalled(container);
            }
        }
    }
}

impl ContainerMemory {
    /// The image could not be had: wait twice as long as before.
    pub(crate) fn image_failed(&mut self, reason: &'static str, message: String, now: Timestamp) {
        self.pull_wait = doubled(self.pull_wait);
        self.image = ImageState::Failed { reason, message, at: now, retry_at: now + self.pull_wait };
    }

    /// The engine has the image.
    pub(crate) fn image_present(&mut self, id: String, user: String) {
        self.pull_wait = SignedDuration::ZERO;
        self.image = ImageState::Present { id, user };
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{ContainerMemory, CrashWait, Health, ImageState, Memory};
    use crate::sources::Token;

    #[test]
    fn crashes_wait_10_seconds_to_5_minutes_and_are_forgiven_after_10_minutes() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut crash = CrashWait::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            now += SignedDuration::from_secs(1);
            let finished = now;
            waits.push(crash.wait(finished).as_secs());
            now = crash.restart_at(finished);
            crash.restarted(finished, now);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        let finished = now + SignedDuration::from_secs(601);
        assert_eq!(crash.restart_at(finished), finished);
        crash.restarted(finished, finished);
        assert_eq!(crash.wait(finished), SignedDuration::from_secs(10));
    }

    #[test]
    fn readiness_waits_for_its_probe_unless_it_is_known() {
        let health = |started, ready| Health { started, ready, dead: None };
        for (before, has_probe, after) in [
            (health(false, false), true, health(true, false)),
            (health(false, false), false, health(true, true)),
            (health(true, true), true, health(true, true)),
            (health(true, false), true, health(true, false)),
        ] {
            let mut known = before.clone();
            known.has_started(has_probe);
            assert_eq!(known, after, "{before:?} {has_probe}");
        }
    }

    #[test]
    fn tokens_are_used_until_they_are_to_be_renewed() {
        let now = Timestamp::UNIX_EPOCH;
        let mut memory = Memory::new(now);
        let token = |seconds: i64| Token {
            value: "t".to_owned().into(),
            renew_at: now + SignedDuration::from_secs(seconds),
        };
        memory.tokens.insert((String::new(), 600), token(480));
        memory.tokens.insert(("vault".into(), 3600), token(2880));
        let fresh = |seconds| memory.fresh_tokens(now + SignedDuration::from_secs(seconds)).len();
        assert_eq!([fresh(0), fresh(480), fresh(2880)], [2, 1, 0]);
    }

    #[test]
    fn pulls_wait_ever_longer_until_one_works() {
        let now = Timestamp::UNIX_EPOCH;
        let mut memory = ContainerMemory::default();
        let mut waits = Vec::new();
        for _ in 0..7 {
            memory.image_failed("ErrImagePull", "no".into(), now);
            let ImageState::Failed { retry_at, .. } = &memory.image else { panic!("it failed") };
            waits.push(retry_at.duration_since(now).as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        memory.image_present("sha256:1".into(), String::new());
        memory.image_failed("ErrImagePull", "no".into(), now);
        assert_eq!(memory.pull_wait, SignedDuration::from_secs(10));
    }
}
