//! Looks after one pod from its arrival at this node until nothing is left of it.
//!
//! Each look reads what there is, plans, tells the API, and does the plan's steps; then it waits for news or for the time
//! the plan named. Long things (pulls, hooks, probes) run beside it and leave their results in the memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use pierhead_api::core::{Container, LifecycleHandler, Pod, PodStatus};
use pierhead_api::meta::{DeleteOptions, Preconditions};
use pierhead_client::{Client, ClientError, Reflected};
use pierhead_runtime::{Backoff, CancellationToken, SharedClock, Tasks};
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::ask::{Answer, Asker};
use crate::creation::PodFolders;
use crate::disk;
use crate::engine::{Engine, EngineError, Observed, RunState};
use crate::events::{Kind, Recorder};
use crate::fields::Place;
use crate::image_tenants::ImageTenants;
use crate::labels::{PodIdentity, Role};
use crate::machine::Machine;
use crate::memory::{Health, Memory};
use crate::plan::{self, Action, Situation};
use crate::policy::Policy;
use crate::probes::Prober;
use crate::status::{self, Host};

/// Even without news a pod is compared with its containers this often.
const COMPARE: Duration = Duration::from_secs(15);
/// Steps that lead to further steps; more in a row than any pod needs.
const MOST_ROUNDS: usize = 50;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// What all pods of a node share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) engine: Engine,
    pub(crate) pods: Reflected<Pod>,
    pub(crate) clock: SharedClock,
    pub(crate) recorder: Recorder,
    pub(crate) machine: Machine,
    pub(crate) tenants: ImageTenants,
    pub(crate) tasks: Tasks,
    /// Identity of the cluster.
    pub(crate) cluster: String,
    pub(crate) network: String,
    pub(crate) folder: std::path::PathBuf,
    pub(crate) policy: Policy,
}

/// What is known of one pod, shared with what runs beside its worker.
pub(crate) struct PodState {
    pub(crate) memory: Mutex<Memory>,
    news: Notify,
}

impl PodState {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { memory: Mutex::new(Memory::new(now)), news: Notify::new() }
    }

    /// Makes the worker look.
    pub(crate) fn notify(&self) {
        self.news.notify_one();
    }

    pub(crate) fn set_health(&self, container_id: &str, change: impl FnOnce(&mut Health)) {
        change(self.memory.lock().health.entry(container_id.to_owned()).or_default());
        self.notify();
    }
}

/// Why a look was not finished; it is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("removing {}: {source}", path.display())]
    Remove { path: std::path::PathBuf, source: std::io::Error },
}

/// What follows a look.
enum Next {
    /// Wait, until this time at most.
    Wait(Option<Timestamp>),
    /// Nothing is left.
    Done,
}

/// Looks after one pod.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Arc<PodState>,
    pub(crate) owner: PodIdentity,
    /// The newest that is known of the object.
    pub(crate) pod: Arc<Pod>,
    pub(crate) folders: PodFolders,
    probers: BTreeMap<String, CancellationToken>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, state: Arc<PodState>, pod: Arc<Pod>) -> Self {
        let owner = PodIdentity {
            cluster: shared.cluster.clone(),
            uid: pod.metadata.uid.clone(),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
        };
        let folders = PodFolders::new(&shared.folder, &owner.uid);
        Self { shared, state, owner, pod, folders, probers: BTreeMap::new() }
    }

    /// Until nothing is left of the pod, or `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        loop {
            let wait = match self.look().await {
                Ok(Next::Done) => break,
                Ok(Next::Wait(until)) => {
                    backoff.reset();
                    let now = self.shared.clock.now();
                    let left =
                        until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
                    left.map_or(COMPARE, |left| left.min(COMPARE))
                }
                Err(error) => {
                    let pod = format!("{}/{}", self.owner.namespace, self.owner.name);
                    match &error {
                        // Podman has states for a moment that are not the API's.
                        LookError::Engine(error @ (EngineError::Unreachable(_) | EngineError::Answer(_))) => {
                            debug!(pod, %error, "Asking the engine for {pod} again: {error}");
                        }
                        LookError::Client(error) if error.is_conflict() => {}
                        error => warn!(pod, %error, "Looking after {pod} failed, trying again: {error}"),
                    }
                    backoff.next_wait()
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.state.news.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn tell(&self, container: Option<&str>, kind: Kind, reason: &str, message: &str) {
        self.shared.recorder.tell(&self.pod, container, kind, reason, message);
    }

    /// Takes over what the API says; false once the object is gone.
    fn refresh(&mut self) -> bool {
        let cached = self.shared.pods.get(Some(&self.owner.namespace), &self.owner.name);
        match cached.filter(|pod| pod.metadata.uid == self.owner.uid) {
            Some(pod) => {
                // What we wrote ourselves may be newer than what the cache has heard of.
                let revision = |pod: &Pod| pod.metadata.resource_version.parse::<u64>().unwrap_or_default();
                if revision(&pod) >= revision(&self.pod) {
                    self.pod = pod;
                }
                true
            }
            None => false,
        }
    }

    async fn look(&mut self) -> Result<Next, LookError> {
        for _ in 0..MOST_ROUNDS {
            let gone = !self.refresh();
            let observed = self.shared.engine.pod_containers(&self.owner.uid, &self.shared.network).await?;
            {
                let mut memory = self.state.memory.lock();
                memory.follow(&observed);
                memory.recall_health(&self.pod.status, &observed);
            }
            self.read_messages(&observed).await;
            let (plan, status, change) = {
                let memory = self.state.memory.lock();
                let situation =
                    Situation { pod: &self.pod, gone, observed: &observed, memory: &memory, now: self.now() };
                let host = Host { engine: self.shared.engine.kind(), ip: self.shared.machine.address() };
                let (status, change) = status::status(&situation, &host);
                (plan::plan(&situation), status, change)
            };
            self.ask_containers(&observed);
            self.announce_waits(&status);
            if !gone && status != self.pod.status {
                self.write_status(status).await?;
            }
            if plan.actions.contains(&Action::Finish) {
                self.finish(&observed, gone).await?;
                return Ok(Next::Done);
            }
            let mut progress = false;
            for action in plan.actions {
                progress |= self.perform(action, &observed).await?;
            }
            if !progress {
                return Ok(Next::Wait([plan.wake, change].into_iter().flatten().min()));
            }
        }
        Ok(Next::Wait(None))
    }

    /// Tells once of each wait that keeps a container from running.
    fn announce_waits(&self, status: &PodStatus) {
        for container in status.init_container_statuses.iter().chain(&status.container_statuses) {
            let name = container.name.as_str();
            let reason = container.state.waiting.as_ref().map(|waiting| waiting.reason.as_str());
            let wait = match reason {
                Some("CrashLoopBackOff") => {
                    let ended = container.last_state.terminated.as_ref();
                    let id = ended.map(|ended| ended.container_id.clone()).unwrap_or_default();
                    Some((id, "Back-off restarting failed container".to_owned()))
                }
                Some("ImagePullBackOff") => {
                    Some(("image".to_owned(), format!("Back-off pulling image {:?}", container.image)))
                }
                _ => None,
            };
            let announced = wait.as_ref().map(|(id, _)| id.clone());
            let before =
                std::mem::replace(&mut self.state.memory.lock().container(name).announced, announced.clone());
            if let Some((_, message)) = wait.filter(|_| before != announced) {
                self.tell(Some(name), Kind::Warning, "BackOff", &message);
            }
        }
    }

    async fn write_status(&mut self, status: PodStatus) -> Result<(), ClientError> {
        let mut pod = Pod::clone(&self.pod);
        pod.status = status;
        match self.shared.client.replace_status(Some(&self.owner.namespace), &pod).await {
            Ok(written) => {
                self.pod = Arc::new(written);
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.is_conflict() => {
                let newest =
                    self.shared.client.find::<Pod>(Some(&self.owner.namespace), &self.owner.name).await?;
                if let Some(newest) = newest.filter(|newest| newest.metadata.uid == self.owner.uid) {
                    self.pod = Arc::new(newest);
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes all that the pod had here, then the object itself.
    async fn finish(&mut self, observed: &[Observed], gone: bool) -> Result<(), LookError> {
        for prober in std::mem::take(&mut self.probers).into_values() {
            prober.cancel();
        }
        let engine = &self.shared.engine;
        // Containers first: they use the infra container's network.
        let (infra, others): (Vec<_>, Vec<_>) =
            observed.iter().partition(|container| container.identity.role == Role::Infra);
        for container in others.into_iter().chain(infra) {
            engine.remove_container(&container.id).await?;
        }
        for (volume, _) in engine.pod_volumes(&self.owner.uid).await? {
            engine.remove_volume(&volume).await?;
        }
        remove_folder(self.folders.root()).await?;
        if gone {
            return Ok(());
        }
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(self.owner.uid.clone()),
                ..Preconditions::default()
            }),
            ..DeleteOptions::default()
        };
        match self.shared.client.delete::<Pod>(Some(&self.owner.namespace), &self.owner.name, &options).await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts asking containers that run, and stops asking those that do not, or are to end.
    fn ask_containers(&mut self, observed: &[Observed]) {
        let stopping = |id: &String| self.state.memory.lock().stops.contains_key(id);
        let asked: BTreeMap<&String, &Observed> = observed
            .iter()
            .filter(|container| container.state == RunState::Running && !stopping(&container.id))
            .map(|container| (&container.id, container))
            .collect();
        self.probers.retain(|id, prober| {
            let stays = asked.contains_key(id);
            if !stays {
                prober.cancel();
            }
            stays
        });
        for (id, running) in asked {
            let Some(container) =
                self.specified(&running.identity.container).filter(|found| Prober::is_needed(found))
            else {
                continue;
            };
            if self.probers.contains_key(id) {
                continue;
            }
            let Some(asker) = self.asker(running, container, observed) else { continue };
            let started = running.started.unwrap_or_else(|| self.now());
            let prober = Prober {
                pod: Arc::clone(&self.pod),
                container: container.clone(),
                container_id: id.clone(),
                age: Duration::try_from(self.now().duration_since(started)).unwrap_or_default(),
                asker,
                state: Arc::clone(&self.state),
                recorder: self.shared.recorder.clone(),
            };
            let cancel = self.shared.tasks.stop_token().child_token();
            self.probers.insert(id.clone(), cancel.clone());
            self.shared.tasks.spawn("probe", |_| prober.run(cancel));
        }
    }

    pub(crate) fn asker(
        &self,
        running: &Observed,
        container: &Container,
        observed: &[Observed],
    ) -> Option<Asker> {
        let sandbox = observed.iter().find(|container| container.id == running.identity.sandbox);
        let address = sandbox.and_then(|sandbox| sandbox.address.clone());
        // Whoever has no address of its own is not asked at the machine's.
        let of_machine = || self.pod.spec.host_network.then(|| self.shared.machine.address());
        let address = address.or_else(of_machine).unwrap_or_default();
        match Asker::new(self.shared.engine.clone(), &running.id, container, &address) {
            Ok(asker) => Some(asker),
            Err(error) => {
                warn!(%error, "A container cannot be asked: {error}");
                None
            }
        }
    }

    /// A container of the pod by its name.
    pub(crate) fn specified(&self, name: &str) -> Option<&Container> {
        let spec = &self.pod.spec;
        spec.containers.iter().chain(&spec.init_containers).find(|container| container.name == name)
    }

    /// What the pod's fields say of this machine.
    pub(crate) fn place(&self, observed: &[Observed]) -> Place {
        let infra = observed.iter().filter(|container| container.identity.role == Role::Infra);
        let address =
            infra.filter(|infra| infra.state == RunState::Running).find_map(|infra| infra.address.clone());
        self.shared.machine.place(address.unwrap_or_default())
    }

    /// Runs a hook of a container beside the worker; then calls back with what came of it.
    pub(crate) fn spawn_hook(
        &self,
        asker: Asker,
        hook: LifecycleHandler,
        limit: Duration,
        then: impl FnOnce(Answer) + Send + 'static,
    ) {
        self.shared.tasks.spawn("hook", |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                answer = asker.hook(&hook, limit) => then(answer),
            }
        });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        for prober in self.probers.values() {
            prober.cancel();
        }
    }
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(crate) async fn remove_folder(path: &std::path::Path) -> Result<(), LookError> {
    let owned = path.to_path_buf();
    match disk::run(move || std::fs::remove_dir_all(owned)).await {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(LookError::Remove { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}
