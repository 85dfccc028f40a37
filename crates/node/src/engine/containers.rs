//! Containers: what there is, and how they are made, started, told to end and removed.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::labels::{self, ContainerIdentity, PodIdentity, Role};

/// The signal that tells a program to end unless its image says another.
pub(crate) const USUAL_STOP: &str = "SIGTERM";

/// How far a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// Made and never started.
    Created,
    /// It runs.
    Running,
    /// It ran and ended.
    Exited,
}

/// A container of ours as the engine tells of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Observed {
    pub(crate) id: String,
    pub(crate) identity: ContainerIdentity,
    pub(crate) state: RunState,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
    pub(crate) exit_code: i32,
    pub(crate) out_of_memory: bool,
    /// What the engine says went wrong, such as a program that does not exist.
    pub(crate) error: String,
    /// The engine's id of its image.
    pub(crate) image_id: String,
    /// Its address in our network; infra containers have one.
    pub(crate) address: Option<String>,
    /// The address of this machine in that network.
    pub(crate) gateway: Option<String>,
}

/// Who has a container of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) pod: Option<PodIdentity>,
    pub(crate) container: Option<ContainerIdentity>,
}

impl Engine {
    /// The containers of one pod, in whatever state.
    pub(crate) async fn pod_containers(
        &self,
        uid: &str,
        network: &str,
    ) -> Result<Vec<Observed>, EngineError> {
        let mut observed = Vec::new();
        for id in self.list(&labels::of_pod(uid)).await?.into_iter().map(|(id, _)| id) {
            match self.inspect(&id, network).await {
                Ok(container) => observed.extend(container),
                // Removed since the list was made.
                Err(EngineError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(observed)
    }

    /// Every container of a cluster, with the pod it belongs to and what it is for.
    pub(crate) async fn cluster_containers(
        &self,
        cluster: &str,
    ) -> Result<Vec<(String, PodIdentity, Option<Role>)>, EngineError> {
        let listed = self.list(&labels::of_cluster(cluster)).await?.into_iter();
        let owned = listed.filter_map(|(id, labels)| {
            let role = ContainerIdentity::read(&labels).map(|identity| identity.role);
            Some((id, PodIdentity::read(&labels)?, role))
        });
        Ok(owned.collect())
    }

    async fn list(&self, label: &str) -> Result<Vec<(String, HashMap<String, String>)>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.docker().await?.list_containers(Some(options)).await?;
        let known =
            listed.into_iter().filter_map(|summary| Some((summary.id?, summary.labels.unwrap_or_default())));
        Ok(known.collect())
    }

    /// One container; none if it is not ours.
    async fn inspect(&self, id: &str, network: &str) -> Result<Option<Observed>, EngineError> {
        let answer = self.docker().await?.inspect_container(id, None::<InspectContainerOptions>).await?;
        Ok(observed(answer, network))
    }

    /// Makes a container and gives its id.
    pub(crate) async fn create_container(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        Ok(self.docker().await?.create_container(Some(options), body).await?.id)
    }

    /// Who has the container of this name.
    pub(crate) async fn owner_of(&self, name: &str) -> Result<Option<Owner>, EngineError> {
        match self.docker().await?.inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(answer) => {
                let labels = answer.config.and_then(|config| config.labels).unwrap_or_default();
                Ok(Some(Owner {
                    id: answer.id.unwrap_or_default(),
                    pod: PodIdentity::read(&labels),
                    container: ContainerIdentity::read(&labels),
                }))
            }
            Err(error) => match EngineError::from(error) {
                EngineError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Starts a container; one that runs already is fine.
    pub(crate) async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let started = self.docker().await?.start_container(id, None::<StartContainerOptions>).await;
        already_so(started)
    }

    /// Sends a signal, by name or number; a container that does not run is fine.
    pub(crate) async fn signal_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let sent = self.docker().await?.kill_container(id, Some(options)).await;
        match already_so(sent) {
            // Podman answers 500 where Docker answers 409.
            Err(EngineError::Refused { message })
                if message.contains("not running") || message.contains("state improper") =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// The signal that tells a container to end: its image's choice.
    pub(crate) async fn stop_signal(&self, id: &str) -> Result<String, EngineError> {
        let answer = self.docker().await?.inspect_container(id, None::<InspectContainerOptions>).await?;
        let signal = answer.config.and_then(|config| config.stop_signal).filter(|signal| !signal.is_empty());
        Ok(signal.unwrap_or_else(|| USUAL_STOP.to_owned()))
    }

    /// Kills and removes a container with its anonymous volumes; one that is gone is fine.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        already_so(self.docker().await?.remove_container(id, Some(options)).await)
    }
}

/// What was to be reached is reached: the container is gone, runs already, or is being removed.
fn already_so(result: Result<(), bollard::errors::Error>) -> Result<(), EngineError> {
    match result.map_err(EngineError::from) {
        Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

fn observed(answer: ContainerInspectResponse, network: &str) -> Option<Observed> {
    let labels = answer.config.and_then(|config| config.labels)?;
    let identity = ContainerIdentity::read(&labels)?;
    let state = answer.state.unwrap_or_default();
    let endpoint = answer.network_settings.and_then(|settings| settings.networks?.remove(network));
    let EndpointSettings { ip_address, gateway, .. } = endpoint.unwrap_or_default();
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let made = answer.created.as_deref().and_then(time);
    let started = state.started_at.as_deref().and_then(time);
    let run_state = match state.status {
        _ if state.running == Some(true) => RunState::Running,
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED) => RunState::Running,
        Some(ContainerStateStatusEnum::STOPPING) => RunState::Running,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => RunState::Exited,
        _ if started.is_some() => RunState::Exited,
        // Docker's word for a container whose program could not be started.
        _ if state.exit_code.unwrap_or_default() != 0
            && !state.error.as_deref().unwrap_or_default().is_empty() =>
        {
            RunState::Exited
        }
        _ => RunState::Created,
    };
    Some(Observed {
        id: answer.id?,
        identity,
        state: run_state,
        started,
        finished: state
            .finished_at
            .as_deref()
            .and_then(time)
            .or(made.filter(|_| run_state == RunState::Exited)),
        exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
        out_of_memory: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        image_id: answer.image.unwrap_or_default(),
        address: given(ip_address),
        gateway: given(gateway),
    })
}

/// Engines write the year 1 for "never".
fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}
