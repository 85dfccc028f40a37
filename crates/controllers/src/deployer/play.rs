//! One deployer pod from its first status to its last, and what all strategies do: look, scale, wait, say.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pierhead_api::DecodeError;
use pierhead_api::apps::annotations::{self, Phase};
use pierhead_api::apps::{DeploymentConfig, encoded_config, strategy};
use pierhead_api::core::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
    ReplicationController,
};
use pierhead_api::meta::Time;
use pierhead_client::{ClientError, ListQuery};
use pierhead_runtime::CancellationToken;
use pierhead_runtime::backoff::Backoff;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use crate::deployer::Deployer;
use crate::deployer::recreate::Recreate;
use crate::deployer::rolling::Rolling;
use crate::deployment_config::is_cancelled;
use crate::pods::{is_active, is_available};
use crate::runner::Retry as _;

/// How long a wait for objects lasts at most before they are looked at again.
const LONGEST_LOOK_AWAY: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Why a play does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// The rollout failed; the text is the last line of the log.
    #[error("{0}")]
    Failed(String),
    /// The pod had all the time it may have.
    #[error("Pod was active on the node longer than the specified deadline")]
    Deadline,
    /// The pod is gone, or is going: nobody waits for a word.
    #[error("the rollout was cancelled")]
    Gone,
    /// The API did not answer as it should; trying again may help.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log cannot be written; trying again may help.
    #[error("writing the log")]
    Log(#[from] io::Error),
    /// The replication controller does not say what to roll out.
    #[error("couldn't decode the deployment config: {0}")]
    Config(#[from] DecodeError),
}

/// A deployer pod that is played.
pub(super) struct Play {
    deployer: Deployer,
    pod: Pod,
}

/// What a strategy works on.
pub(super) struct Rollout {
    /// The configuration as it was when the version was made.
    pub(super) config: DeploymentConfig,
    /// Name of the newest version that was rolled out before.
    pub(super) from: Option<String>,
    /// The version that is rolled out.
    pub(super) to: ReplicationController,
    /// How many pods it gets.
    pub(super) desired: i32,
}

impl Play {
    pub(super) fn new(deployer: Deployer, pod: Pod) -> Self {
        Self { deployer, pod }
    }

    /// Plays the pod to its end, or until the process stops.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        loop {
            let played = tokio::select! {
                () = stop.cancelled() => return,
                played = self.attempt() => played,
            };
            let ended = match played {
                Ok(()) => self.end(Ended::Succeeded).await,
                Err(Stop::Gone) => return,
                Err(Stop::Deadline) => self.end(Ended::OutOfTime).await,
                Err(error @ (Stop::Failed(_) | Stop::Config(_))) => self.fail(&error).await,
                Err(error @ (Stop::Client(_) | Stop::Log(_))) => Err(error),
            };
            let Err(error) = ended else { return };
            self.complain(&error);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff.next_wait()) => {}
            }
        }
    }

    fn complain(&self, error: &Stop) {
        let (namespace, name) = (&self.pod.metadata.namespace, &self.pod.metadata.name);
        match error {
            Stop::Client(error) if error.is_expected() => {
                debug!(%namespace, %name, %error, "Deployer {namespace}/{name} looks again: {error}");
            }
            error => warn!(%namespace, %name, %error, "Deployer {namespace}/{name} tries again: {error}"),
        }
    }

    /// From wherever the objects are to the end of the rollout.
    async fn attempt(&mut self) -> Result<(), Stop> {
        self.begin().await?;
        let rollout = self.prepare().await?;
        let params = &rollout.config.spec.strategy;
        match params.strategy_type.as_str() {
            strategy::RECREATE => Recreate::of(&rollout.config).deploy(self, &rollout).await?,
            strategy::CUSTOM => {
                return Err(Stop::Failed("the custom strategy names no image".into()));
            }
            _ => Rolling::of(&rollout.config).deploy(self, &rollout).await?,
        }
        self.say("--> Success")
    }

    /// Says that the pod runs.
    async fn begin(&mut self) -> Result<(), Stop> {
        self.deployer.logs.begin(&self.pod.metadata.uid)?;
        let mut pod = self.own_pod().await?;
        if pod.status.phase != "Running" {
            let now = Some(Time(self.now()).to_second());
            let state = ContainerState {
                running: Some(ContainerStateRunning { started_at: now }),
                ..Default::default()
            };
            pod.status.phase = "Running".into();
            pod.status.start_time = now;
            pod.status.conditions = conditions(now, "True", "");
            pod.status.container_statuses = container_statuses(&pod, &state, true);
            pod = self.deployer.client.replace_status(Some(&self.pod.metadata.namespace), &pod).await?;
        }
        self.pod = pod;
        Ok(())
    }

    async fn prepare(&self) -> Result<Rollout, Stop> {
        let to = self.target().await?;
        let name = to.metadata.name.clone();
        let Some(config) = encoded_config(&to.metadata) else {
            return Err(Stop::Failed(format!("{name} has no deployment config")));
        };
        let config = config?;
        let desired = to.metadata.annotation(annotations::DESIRED_REPLICAS);
        let Some(desired) = desired.and_then(|desired| desired.parse::<i32>().ok()) else {
            let label = format!("{}/{name}", to.metadata.namespace);
            return Err(Stop::Failed(format!("deployment {label} has already run to completion")));
        };
        let mut others = self.versions(&config.metadata.name).await?;
        others.retain(|other| other.metadata.name != name);
        others.sort_by_key(|other| -version(other));
        let complete = |other: &&ReplicationController| Phase::of(&other.metadata) == Phase::Complete;
        let from = others.iter().find(complete);
        if let Some(from) = from.filter(|from| version(from) > version(&to)) {
            let namespace = &to.metadata.namespace;
            return Err(Stop::Failed(format!(
                "deployment {namespace}/{name} is older than {namespace}/{}",
                from.metadata.name
            )));
        }
        let from = from.map(|from| from.metadata.name.clone());
        for other in others.iter().filter(|other| Some(&other.metadata.name) != from.as_ref()) {
            if other.spec.replicas.unwrap_or(1) > 0 {
                self.set_replicas(&other.metadata.name, 0).await?;
                self.say(&format!("--> Scaled older deployment {} down", other.metadata.name))?;
            }
        }
        Ok(Rollout { config, from, to, desired })
    }

    async fn versions(&self, config: &str) -> Result<Vec<ReplicationController>, Stop> {
        let labels = Some(format!("{}={config}", annotations::CONFIG));
        let query = ListQuery { labels, ..ListQuery::default() };
        let namespace = Some(self.pod.metadata.namespace.as_str());
        Ok(self.deployer.client.list_matching(namespace, &query).await?)
    }

    async fn fail(&self, error: &Stop) -> Result<(), Stop> {
        self.say(&format!("error: {error}"))?;
        self.end(Ended::Failed).await
    }

    /// Writes the last status of the pod; whoever cancelled it meanwhile is not contradicted.
    async fn end(&self, ended: Ended) -> Result<(), Stop> {
        let mut pod = match self.own_pod().await {
            Err(Stop::Gone) => return Ok(()),
            pod => pod?,
        };
        let now = Some(Time(self.now()).to_second());
        let (phase, exit_code, reason) = match ended {
            Ended::Succeeded => ("Succeeded", 0, "Completed"),
            Ended::Failed => ("Failed", 1, "Error"),
            Ended::OutOfTime => ("Failed", 137, "Error"),
        };
        let terminated = ContainerStateTerminated {
            exit_code,
            reason: reason.into(),
            started_at: pod.status.start_time,
            finished_at: now,
            ..ContainerStateTerminated::default()
        };
        let state = ContainerState { terminated: Some(terminated), ..ContainerState::default() };
        pod.status.phase = phase.into();
        pod.status.conditions = conditions(now, "False", "PodCompleted");
        pod.status.container_statuses = container_statuses(&pod, &state, false);
        if ended == Ended::OutOfTime {
            pod.status.reason = "DeadlineExceeded".into();
            pod.status.message = Stop::Deadline.to_string();
        }
        self.deployer.client.replace_status(Some(&self.pod.metadata.namespace), &pod).await?;
        self.deployer.logs.end(&self.pod.metadata.uid)?;
        Ok(())
    }

    /// The deployer pod as it is now, if it is still to be played.
    async fn own_pod(&self) -> Result<Pod, Stop> {
        let metadata = &self.pod.metadata;
        let pod = self.deployer.client.find::<Pod>(Some(&metadata.namespace), &metadata.name).await?;
        let is_it = |pod: &Pod| pod.metadata.uid == metadata.uid && is_active(pod);
        pod.filter(is_it).ok_or(Stop::Gone)
    }

    /// The version that is rolled out, if it still is. Asked before everything that changes something.
    pub(super) async fn target(&self) -> Result<ReplicationController, Stop> {
        let pod = self.own_pod().await?;
        let deadline = pod.spec.active_deadline_seconds.zip(pod.status.start_time);
        if let Some((seconds, start)) = deadline
            && self.now().duration_since(start.0).as_secs() >= seconds
        {
            return Err(Stop::Deadline);
        }
        let name = self.pod.metadata.label(annotations::DEPLOYER_POD_FOR).unwrap_or_default();
        let to = self.controller(name).await?.ok_or(Stop::Gone)?;
        let is_over = Phase::of(&to.metadata).is_terminal() || is_cancelled(&to);
        if is_over { Err(Stop::Gone) } else { Ok(to) }
    }

    pub(super) async fn controller(&self, name: &str) -> Result<Option<ReplicationController>, Stop> {
        Ok(self.deployer.client.find(Some(&self.pod.metadata.namespace), name).await?)
    }

    /// How many pods a version is to have; none when it is gone.
    pub(super) async fn replicas(&self, name: &str) -> Result<i32, Stop> {
        Ok(self.controller(name).await?.map_or(0, |controller| controller.spec.replicas.unwrap_or(1)))
    }

    async fn set_replicas(&self, name: &str, to: i32) -> Result<(), Stop> {
        loop {
            self.target().await?;
            let Some(mut controller) = self.controller(name).await? else { return Ok(()) };
            if controller.spec.replicas == Some(to) {
                return Ok(());
            }
            controller.spec.replicas = Some(to);
            match self.deployer.client.replace(Some(&self.pod.metadata.namespace), &controller).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sets how many pods a version has, and waits until it has them.
    pub(super) async fn scale(&self, name: &str, to: i32, timeout: Duration) -> Result<(), Stop> {
        self.set_replicas(name, to).await?;
        if self.wait_for(timeout, Until::Scaled(name)).await? {
            return Ok(());
        }
        Err(Stop::Failed(format!("couldn't scale {name} to {to}: timed out waiting for the condition")))
    }

    /// Waits until something holds; false if it takes longer than `timeout`.
    pub(super) async fn wait_for(&self, timeout: Duration, what: Until<'_>) -> Result<bool, Stop> {
        let limit = Instant::now() + timeout;
        loop {
            let changes = self.changes();
            let target = self.target().await?;
            if self.holds(what, &target).await? {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= limit {
                return Ok(false);
            }
            changes.next(limit.min(now + LONGEST_LOOK_AWAY)).await;
        }
    }

    async fn holds(&self, what: Until<'_>, target: &ReplicationController) -> Result<bool, Stop> {
        Ok(match what {
            Until::Scaled(name) => self.controller(name).await?.is_none_or(|controller| {
                let status = &controller.status;
                let seen = status.observed_generation >= controller.metadata.generation.unwrap_or_default();
                seen && status.replicas == controller.spec.replicas.unwrap_or(1)
            }),
            Until::Available(enough) => self.available(target) >= enough,
            Until::AllAvailable => self.available(target) >= target.spec.replicas.unwrap_or(1),
            Until::Gone(controller) => self.remaining(controller) == 0,
        })
    }

    /// From now on.
    pub(super) fn changes(&self) -> Changes {
        let mut changes =
            Changes { pods: self.deployer.pods.changed(), controllers: self.deployer.controllers.changed() };
        changes.pods.mark_unchanged();
        changes.controllers.mark_unchanged();
        changes
    }

    /// How many pods of a version have been ready for long enough.
    pub(super) fn available(&self, controller: &ReplicationController) -> i32 {
        let now = self.now();
        let is_available = |pod: &&Arc<Pod>| {
            let owner = pod.metadata.controller();
            owner.is_some_and(|owner| owner.uid == controller.metadata.uid)
                && is_active(pod)
                && is_available(pod, controller.spec.min_ready_seconds, now)
        };
        let pods = self.deployer.pods.list_in(&controller.metadata.namespace);
        i32::try_from(pods.iter().filter(is_available).count()).unwrap_or(i32::MAX)
    }

    /// Pods of a version that are there in whatever state.
    fn remaining(&self, controller: &ReplicationController) -> usize {
        let pods = self.deployer.pods.list_in(&controller.metadata.namespace);
        let of_it = pods.iter().filter(|pod| {
            let owner = pod.metadata.controller();
            owner.is_some_and(|owner| owner.uid == controller.metadata.uid) && !pod.is_finished()
        });
        of_it.count()
    }

    pub(super) fn deployer(&self) -> &Deployer {
        &self.deployer
    }

    /// When the pod began to run, and how long it may.
    pub(super) fn seconds_left(&self) -> Option<i64> {
        let start = self.pod.status.start_time?;
        Some(self.pod.spec.active_deadline_seconds? - self.now().duration_since(start.0).as_secs())
    }

    /// Adds a line to the log.
    pub(super) fn say(&self, line: &str) -> Result<(), Stop> {
        Ok(self.deployer.logs.append(&self.pod.metadata.uid, line)?)
    }

    fn now(&self) -> Timestamp {
        self.deployer.clock.now()
    }
}

/// What a play waits for.
#[derive(Clone, Copy)]
pub(super) enum Until<'a> {
    /// The version of this name has as many pods as it is to have, or is gone.
    Scaled(&'a str),
    /// So many pods of the new version are available.
    Available(i32),
    /// All pods of the new version are available.
    AllAvailable,
    /// No pod of this version is left.
    Gone(&'a ReplicationController),
}

/// Changes of objects since this was made.
pub(super) struct Changes {
    pods: tokio::sync::watch::Receiver<u64>,
    controllers: tokio::sync::watch::Receiver<u64>,
}

impl Changes {
    /// Waits for one, until `limit` at most.
    pub(super) async fn next(mut self, limit: Instant) {
        tokio::select! {
            // A cache that is gone changes no more; then only time goes by.
            Ok(()) = self.pods.changed() => {}
            Ok(()) = self.controllers.changed() => {}
            () = sleep_until(limit) => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Succeeded,
    Failed,
    OutOfTime,
}

fn version(deployment: &ReplicationController) -> i64 {
    let version = deployment.metadata.annotation(annotations::CONFIG_VERSION);
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn conditions(now: Option<Time>, ready: &str, reason: &str) -> Vec<PodCondition> {
    let condition = |condition_type: &str, status: &str, reason: &str| PodCondition {
        condition_type: condition_type.into(),
        status: status.into(),
        last_transition_time: now,
        reason: reason.into(),
        ..PodCondition::default()
    };
    vec![
        condition("Initialized", "True", ""),
        condition("Ready", ready, reason),
        condition("ContainersReady", ready, reason),
        condition("PodScheduled", "True", ""),
    ]
}

fn container_statuses(pod: &Pod, state: &ContainerState, ready: bool) -> Vec<ContainerStatus> {
    let containers = pod.spec.containers.iter();
    let status = containers.map(|container| ContainerStatus {
        name: container.name.clone(),
        state: state.clone(),
        ready,
        image: container.image.clone(),
        started: Some(ready),
        ..ContainerStatus::default()
    });
    status.collect()
}
