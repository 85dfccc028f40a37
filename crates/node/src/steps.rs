//! The steps of a plan, done through the engine. Each may be cut off at any point, and done again.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::{Container, Volume};
use pierhead_runtime::{Backoff, SharedClock};
use tracing::warn;

use crate::ask::Answer;
use crate::creation::{self, CreationError, Parts, is_empty_dir};
use crate::disk;
use crate::engine::{Engine, EngineError, Observed, RunState, USUAL_STOP};
use crate::environment::Environment;
use crate::events::Kind;
use crate::labels::{ContainerIdentity, Role};
use crate::memory::{Ended, Failure, ImageState, Stop, VolumesState};
use crate::plan::{Action, Why};
use crate::pull::{ImageProblem, Puller};
use crate::sources::{Sources, Wanted};
use crate::volume_files::{self, VolumeError};
use crate::worker::{LookError, PodState, Shared, Worker};

/// Most bytes of a termination message.
const MESSAGE_LIMIT: u64 = 4096;
/// Most of a log that stands in for a termination message.
const LOG_LINES: u64 = 80;
const LOG_LIMIT: usize = 2048;
/// Longer than anybody waits, and yet a time that a clock can show.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
/// What a container gets to end after its hook, however long that took.
const AFTER_HOOK: Duration = Duration::from_secs(2);

impl Worker {
    /// Does a step; true if the next plan may have more to do at once.
    pub(crate) async fn perform(&mut self, action: Action, observed: &[Observed]) -> Result<bool, LookError> {
        match action {
            Action::PrepareVolumes => self.prepare_volumes(observed).await,
            Action::CreateSandbox { attempt } => self.create_sandbox(attempt).await,
            Action::EnsureImage { container } => {
                self.ensure_image(container);
                Ok(false)
            }
            Action::Create { container, role, attempt, sandbox } => {
                let identity = ContainerIdentity { role, container, attempt, sandbox, image: String::new() };
                self.create(identity, observed).await
            }
            Action::Start { id, container } => self.start(&id, &container, observed).await,
            Action::BeginStop { id, container, deadline, why } => {
                self.begin_stop(id, &container, deadline, &why, observed);
                Ok(false)
            }
            Action::Kill { id } => {
                self.shared.engine.signal_container(&id, "SIGKILL").await?;
                Ok(false)
            }
            Action::Remove { id } => {
                self.shared.engine.remove_container(&id).await?;
                Ok(true)
            }
            Action::End(ended) => {
                let Ended { reason, message, .. } = ended;
                self.state.memory.lock().ended = Some(ended);
                self.tell(None, Kind::Normal, reason, message);
                Ok(true)
            }
            // The worker sees to it, because nothing comes after it.
            Action::Finish => Ok(false),
        }
    }

    async fn prepare_volumes(&mut self, observed: &[Observed]) -> Result<bool, LookError> {
        let was_ready = matches!(self.state.memory.lock().volumes, VolumesState::Ready { .. });
        let mut wanted = Wanted::by_volumes(&self.pod);
        let tokens = self.state.memory.lock().fresh_tokens(self.now());
        wanted.tokens.retain(|key| !tokens.contains_key(key));
        let prepared = match Sources::read(&self.shared.client, &self.pod, &wanted).await {
            Ok(mut sources) => {
                sources.tokens.extend(tokens);
                self.state.memory.lock().tokens.clone_from(&sources.tokens);
                self.prepare_each(&sources, was_ready, observed).await?
            }
            Err(error) if error.is_forbidden() || error.is_not_found() || error.is_invalid() => {
                Err(error.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        let now = self.now();
        if let Err(message) = &prepared {
            self.tell(None, Kind::Warning, "FailedMount", message);
        }
        let mut memory = self.state.memory.lock();
        memory.volumes = match prepared {
            Err(message) if !was_ready => {
                VolumesState::Failed(Failure::config("ContainerCreating", message, now))
            }
            // What containers have seen once stays as it is until its sources are well again.
            Ok(()) | Err(_) => VolumesState::Ready { at: now },
        };
        Ok(true)
    }

    /// Makes or refreshes every volume; the error is for people, and says which.
    async fn prepare_each(
        &mut self,
        sources: &Sources,
        refresh: bool,
        observed: &[Observed],
    ) -> Result<Result<(), String>, LookError> {
        let failed = |volume: &Volume, error: &dyn std::fmt::Display| {
            format!("MountVolume.SetUp failed for volume {:?} : {error}", volume.name)
        };
        let place = self.place(observed);
        let group = self.pod.spec.security_context.as_ref().and_then(|context| context.fs_group);
        let group = group.and_then(|group| u32::try_from(group).ok());
        let pod = Arc::clone(&self.pod);
        for volume in &pod.spec.volumes {
            if is_empty_dir(volume) {
                if refresh {
                    continue;
                }
                let source = volume.empty_dir.clone().unwrap_or_default();
                let limit = source.size_limit.map(|limit| limit.value()).filter(|bytes| *bytes > 0);
                let memory = (source.medium == "Memory").then_some(limit);
                match self.shared.engine.ensure_volume(&self.owner, &volume.name, memory).await {
                    Ok(()) => {}
                    Err(error) if error.is_unreachable() => return Err(error.into()),
                    Err(error) => return Ok(Err(failed(volume, &error))),
                }
                continue;
            }
            let files = match volume_files::files_of(&pod, volume, sources, &place) {
                Ok(Some(files)) => files,
                Ok(None) if volume.host_path.is_some() && self.shared.policy.host_paths => continue,
                Ok(None) if volume.host_path.is_some() => {
                    return Ok(Err(failed(volume, &VolumeError::HostPath)));
                }
                Ok(None) => return Ok(Err(failed(volume, &VolumeError::Unsupported))),
                Err(error) => return Ok(Err(failed(volume, &error))),
            };
            let folder = self.folders.volume(&volume.name);
            let written = disk::run(move || volume_files::write(&folder, &files, group)).await;
            if let Err(error) = written {
                return Ok(Err(failed(volume, &error)));
            }
        }
        Ok(Ok(()))
    }

    async fn create_sandbox(&mut self, attempt: u32) -> Result<bool, LookError> {
        let identity = ContainerIdentity {
            role: Role::Infra,
            container: String::new(),
            attempt,
            sandbox: String::new(),
            image: crate::pause::NAME.to_owned(),
        };
        let problem = match self.started_sandbox(&identity).await {
            Ok(made) => made.err().map(|error| error.to_string()),
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        let now = self.now();
        if let Some(message) = &problem {
            let message = format!("Failed to create pod sandbox: {message}");
            self.tell(None, Kind::Warning, "FailedCreatePodSandBox", &message);
        }
        let failed = problem.is_some();
        self.state.memory.lock().sandbox =
            problem.map(|message| Failure::config("ContainerCreating", message, now));
        Ok(!failed)
    }

    /// Makes and starts the infra container; the inner error is the pod's fault.
    async fn started_sandbox(
        &self,
        identity: &ContainerIdentity,
    ) -> Result<Result<(), CreationError>, EngineError> {
        let Shared { engine, machine, network, policy, .. } = &*self.shared;
        let image = machine.prepare(engine, network).await?;
        let body = match creation::sandbox(&self.pod, &self.owner, identity, &image, network, *policy) {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let id = self.made(identity, body).await?;
        engine.start_container(&id).await?;
        Ok(Ok(()))
    }

    /// Makes a container. A name that is taken by the very same container is one of ours whose making was cut off; one
    /// that is taken by another is left alone.
    async fn made(
        &self,
        identity: &ContainerIdentity,
        body: bollard::models::ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let engine = &self.shared.engine;
        let name = self.owner.container_name(identity);
        let taken = match engine.create_container(&name, body.clone()).await {
            Err(EngineError::Conflict { message }) => message,
            // Podman's answer to the same.
            Err(EngineError::Refused { message }) if message.contains("already in use") => message,
            other => return other,
        };
        match engine.owner_of(&name).await? {
            Some(owner)
                if owner.pod.as_ref() == Some(&self.owner) && owner.container.as_ref() == Some(identity) =>
            {
                Ok(owner.id)
            }
            _ => {
                warn!(name, "The name of a container is taken, using another: {taken}");
                let name = format!("{name}_{:08x}", rand::random::<u32>());
                engine.create_container(&name, body).await
            }
        }
    }

    /// Finds or pulls the image beside the worker.
    fn ensure_image(&self, name: String) {
        let Some(container) = self.specified(&name).cloned() else { return };
        self.state.memory.lock().container(&name).image = ImageState::Pulling;
        let clock = Arc::clone(&self.shared.clock);
        let pulling = Pulling { state: Arc::clone(&self.state), name: name.clone(), clock };
        let (shared, state, pod) = (Arc::clone(&self.shared), Arc::clone(&self.state), Arc::clone(&self.pod));
        self.shared.tasks.spawn("image pull", |stop| async move {
            let _pulling = pulling;
            let puller = Puller {
                engine: &shared.engine,
                client: &shared.client,
                recorder: &shared.recorder,
                tenants: &shared.tenants,
                pod: &pod,
                container: &container,
            };
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = puller.ensure() => result,
            };
            let now = shared.clock.now();
            {
                let mut memory = state.memory.lock();
                match result {
                    Ok(found) => {
                        if let Some(by_digest) = found.by_digest {
                            memory.image_names.insert(found.image.id.clone(), by_digest);
                        }
                        memory.container(&name).image_present(found.image.id, found.image.user);
                    }
                    Err(ImageProblem::Failed { reason, message }) => {
                        memory.container(&name).image_failed(reason, message, now);
                    }
                    Err(problem @ (ImageProblem::Engine(_) | ImageProblem::Client(_))) => {
                        warn!(%problem, "Whether an image is there is not known: {problem}");
                        let container = memory.container(&name);
                        container.image = ImageState::Unknown;
                        container.failure =
                            Some(Failure::config("ContainerCreating", problem.to_string(), now));
                    }
                }
            }
        });
    }

    async fn create(
        &mut self,
        mut identity: ContainerIdentity,
        observed: &[Observed],
    ) -> Result<bool, LookError> {
        let name = identity.container.clone();
        let Some(container) = self.specified(&name).cloned() else { return Ok(false) };
        identity.image.clone_from(&container.image);
        let ended = observed
            .iter()
            .filter(|old| old.identity.container == name && old.state == RunState::Exited)
            .max_by_key(|old| old.identity.attempt)
            .and_then(|old| old.finished.or(old.started));
        let body = match self.body(&container, &identity, observed).await? {
            Ok(body) => body,
            Err(message) => return Ok(self.failed(&name, "CreateContainerConfigError", message)),
        };
        let id = match self.made(&identity, body).await {
            Ok(id) => id,
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => {
                // The image may have been removed since it was found.
                self.state.memory.lock().container(&name).image = ImageState::Unknown;
                return Ok(self.failed(&name, "CreateContainerError", error.to_string()));
            }
        };
        {
            let now = self.now();
            let mut memory = self.state.memory.lock();
            let known = memory.container(&name);
            known.failure = None;
            known.image = ImageState::Unknown;
            if let Some(ended) = ended {
                known.crash.restarted(ended, now);
            }
        }
        self.tell(Some(&name), Kind::Normal, "Created", &format!("Created container {name}"));
        self.start(&id, &name, observed).await
    }

    /// Remembers and tells why a container is not there.
    fn failed(&self, name: &str, reason: &'static str, message: String) -> bool {
        self.tell(Some(name), Kind::Warning, "Failed", &format!("Error: {message}"));
        let failure = Failure::config(reason, message, self.now());
        self.state.memory.lock().container(name).failure = Some(failure);
        true
    }

    /// What the engine is asked to make; the inner error is for people.
    async fn body(
        &mut self,
        container: &Container,
        identity: &ContainerIdentity,
        observed: &[Observed],
    ) -> Result<Result<bollard::models::ContainerCreateBody, String>, LookError> {
        let sources =
            Sources::read(&self.shared.client, &self.pod, &Wanted::by_environment(container)).await?;
        let place = self.place(observed);
        let environment = match Environment::of(&self.pod, container, &sources, &place) {
            Ok(environment) => environment,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let image = match self.state.memory.lock().container(&container.name).image.clone() {
            ImageState::Present { id, user } => (id, user),
            ImageState::Unknown | ImageState::Pulling | ImageState::Failed { .. } => {
                (container.image.clone(), String::new())
            }
        };
        self.find_empty_dirs(container).await?;
        let message = self.folders.message(&container.name, identity.attempt);
        if let Err(error) = make_message_file(message).await {
            return Ok(Err(format!("making the termination message file: {error}")));
        }
        let parts = Parts {
            pod: &self.pod,
            owner: &self.owner,
            container,
            identity,
            image: (&image.0, &image.1),
            environment: &environment,
            folders: &self.folders,
            policy: self.shared.policy,
        };
        Ok(creation::container(&parts).map_err(|error: CreationError| error.to_string()))
    }

    /// Parts of `emptyDir`s are mounted by their paths on this machine.
    async fn find_empty_dirs(&mut self, container: &Container) -> Result<(), EngineError> {
        let partly = |mount: &&pierhead_api::core::VolumeMount| {
            !mount.sub_path.is_empty() || !mount.sub_path_expr.is_empty()
        };
        for mount in container.volume_mounts.iter().filter(partly) {
            let volume = self.pod.spec.volumes.iter().find(|volume| volume.name == mount.name);
            if volume.is_some_and(is_empty_dir) {
                let path = self.shared.engine.volume_path(&self.owner, &mount.name).await?;
                self.folders.empty_dirs.insert(mount.name.clone(), path);
            }
        }
        Ok(())
    }

    async fn start(&mut self, id: &str, name: &str, observed: &[Observed]) -> Result<bool, LookError> {
        match self.shared.engine.start_container(id).await {
            Ok(()) => {}
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => return Ok(self.failed(name, "RunContainerError", error.to_string())),
        }
        self.state.memory.lock().container(name).failure = None;
        self.tell(Some(name), Kind::Normal, "Started", &format!("Started container {name}"));
        let Some(container) = self.specified(name).cloned() else { return Ok(true) };
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone());
        let Some(hook) = hook else { return Ok(true) };
        let running = self.shared.engine.pod_containers(&self.owner.uid, &self.shared.network).await?;
        let running = running.iter().find(|container| container.id == id);
        let Some(asker) = running.and_then(|running| self.asker(running, &container, observed)) else {
            return Ok(true);
        };
        let (state, recorder, pod) =
            (Arc::clone(&self.state), self.shared.recorder.clone(), Arc::clone(&self.pod));
        let (id, name) = (id.to_owned(), name.to_owned());
        self.spawn_hook(asker, hook, Duration::MAX, move |answer| {
            if let Answer::Bad(why) = answer {
                let told = format!("PostStartHook failed: {why}");
                recorder.tell(&pod, Some(&name), Kind::Warning, "FailedPostStartHook", &told);
                let message = format!("Container {name} failed its PostStartHook, will be restarted");
                state.set_health(&id, |health| health.dead = Some((message, None)));
            }
        });
        Ok(true)
    }

    /// Runs the hook before the end, then sends the friendly signal; both beside the worker.
    fn begin_stop(&self, id: String, name: &str, deadline: Timestamp, why: &Why, observed: &[Observed]) {
        let message = match why {
            Why::PodEnds => format!("Stopping container {name}"),
            Why::Changed => format!("Container {name} definition changed, will be restarted"),
            Why::Unhealthy(message) => message.clone(),
        };
        self.tell(Some(name), Kind::Normal, "Killing", &message);
        let container = self.specified(name);
        let hook = container.and_then(|container| container.lifecycle.as_ref()?.pre_stop.clone());
        let running = observed.iter().find(|container| container.id == id);
        let asker = running.and_then(|running| self.asker(running, container?, observed));
        let hook = hook.zip(asker);
        let spare = hook.as_ref().map(|_| AFTER_HOOK).unwrap_or_default();
        let spare = SignedDuration::try_from(spare).unwrap_or_default();
        self.state.memory.lock().stops.insert(id.clone(), Stop { deadline, spare });
        let engine = self.shared.engine.clone();
        let (recorder, pod, state) =
            (self.shared.recorder.clone(), Arc::clone(&self.pod), Arc::clone(&self.state));
        let limit = Duration::try_from(deadline.duration_since(self.now())).unwrap_or_default();
        let mut end = tokio::time::Instant::now() + limit.min(FOREVER);
        let name = name.to_owned();
        self.shared.tasks.spawn("container stop", |stop| async move {
            if let Some((hook, asker)) = hook {
                let answer = tokio::select! {
                    () = stop.cancelled() => return,
                    answer = asker.hook(&hook, limit) => answer,
                };
                if let Answer::Bad(why) = answer {
                    let told = format!("PreStopHook failed: {why}");
                    recorder.tell(&pod, Some(&name), Kind::Warning, "FailedPreStopHook", &told);
                }
                let least = tokio::time::Instant::now() + AFTER_HOOK;
                if least <= end {
                    if let Some(told) = state.memory.lock().stops.get_mut(&id) {
                        told.spare = SignedDuration::ZERO;
                    }
                    state.notify();
                }
                end = end.max(least);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(end) => {}
                () = tell_to_end(&engine, &id) => {}
            }
            state.notify();
        });
    }

    /// Reads what ended containers left as their last words.
    pub(crate) async fn read_messages(&self, observed: &[Observed]) {
        let ended = |container: &&Observed| {
            container.state == RunState::Exited && container.identity.role != Role::Infra
        };
        for container in observed.iter().filter(ended) {
            if self.state.memory.lock().messages.contains_key(&container.id) {
                continue;
            }
            let message = self.message_of(container).await;
            self.state.memory.lock().messages.insert(container.id.clone(), message);
        }
    }

    async fn message_of(&self, ended: &Observed) -> String {
        let name = &ended.identity.container;
        let file = self.folders.message(name, ended.identity.attempt);
        let message = disk::run(move || read_start(&file)).await.unwrap_or_default();
        let from_log = self
            .specified(name)
            .is_some_and(|container| container.termination_message_policy == "FallbackToLogsOnError");
        if message.is_empty() && from_log && ended.exit_code != 0 {
            return self.shared.engine.log_end(&ended.id, LOG_LINES, LOG_LIMIT).await.unwrap_or_default();
        }
        String::from_utf8_lossy(&message).into_owned()
    }
}

/// The first bytes of a termination message. Its container may have made it as long as the disk is.
fn read_start(file: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    fs::File::open(file)?.take(MESSAGE_LIMIT).read_to_end(&mut start)?;
    Ok(start)
}

/// Sends the signal that its image chose, or the usual one where the engine knows no such signal.
async fn send_stop_signal(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let signal = match engine.stop_signal(id).await {
        Err(EngineError::NotFound { .. }) => return Ok(()),
        other => other?,
    };
    match engine.signal_container(id, &signal).await {
        Err(EngineError::Refused { .. }) if signal != USUAL_STOP => {
            engine.signal_container(id, USUAL_STOP).await
        }
        sent => sent,
    }
}

/// Tries until the signal is sent. Whoever calls it bounds the time: the kill comes by its deadline in any case.
async fn tell_to_end(engine: &Engine, id: &str) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    while let Err(error) = send_stop_signal(engine, id).await {
        warn!(%error, "A container was not told to end, trying again: {error}");
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// A pull that goes on. However it ends, the container does not wait for it any longer.
struct Pulling {
    state: Arc<PodState>,
    name: String,
    clock: SharedClock,
}

impl Drop for Pulling {
    fn drop(&mut self) {
        let mut memory = self.state.memory.lock();
        let container = memory.container(&self.name);
        if container.image == ImageState::Pulling {
            let message = "the pull was cut off".to_owned();
            container.image = ImageState::Unknown;
            container.failure = Some(Failure::config("ContainerCreating", message, self.clock.now()));
        }
        drop(memory);
        self.state.notify();
    }
}

/// An empty file that any user of a container can write.
async fn make_message_file(path: PathBuf) -> io::Result<()> {
    disk::run(move || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, b"")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use pierhead_runtime::SystemClock;
    use serde_json::json;

    use super::{MESSAGE_LIMIT, Pulling, read_start, tell_to_end};
    use crate::engine::fake::FakeEngine;
    use crate::memory::ImageState;
    use crate::worker::PodState;

    #[test]
    fn a_termination_message_costs_its_limit_however_long_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(read_start(file.path()).unwrap().len() as u64, MESSAGE_LIMIT);
    }

    #[tokio::test]
    async fn a_signal_that_the_engine_does_not_know_is_replaced_by_one_it_knows() {
        let fake = FakeEngine::start(|line, _| {
            Some(match line {
                "GET /containers/c/json" => (200, json!({"Id": "c", "Config": {"StopSignal": "SIGNO"}})),
                "POST /containers/c/kill?signal=SIGTERM" => (204, json!(null)),
                _ => (400, json!({"message": "Invalid signal: SIGNO"})),
            })
        });
        tell_to_end(&fake.engine, "c").await;
        let kills = ["POST /containers/c/kill?signal=SIGNO", "POST /containers/c/kill?signal=SIGTERM"];
        assert_eq!(fake.asked(), ["GET /containers/c/json", kills[0], kills[1]]);
    }

    #[test]
    fn nobody_waits_for_a_pull_that_vanished() {
        let state = Arc::new(PodState::new(Timestamp::UNIX_EPOCH));
        let pull = || {
            state.memory.lock().container("web").image = ImageState::Pulling;
            Pulling { state: Arc::clone(&state), name: "web".to_owned(), clock: SystemClock::shared() }
        };
        drop(pull());
        let known = state.memory.lock().container("web").clone();
        assert_eq!(known.image, ImageState::Unknown);
        assert_eq!(known.failure.unwrap().message, "the pull was cut off");
        let ended = pull();
        state.memory.lock().container("web").image_present("sha256:1".into(), String::new());
        drop(ended);
        let present = ImageState::Present { id: "sha256:1".into(), user: String::new() };
        assert_eq!(state.memory.lock().container("web").image, present);
    }
}
