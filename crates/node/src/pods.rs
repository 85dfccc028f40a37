//! Which pods are looked after: a worker for each that is bound to this node, and nothing left of those that are not.
//!
//! Owns the workers, the news of the API and of the engine that wake them, and the sweep: what an engine has of a pod that
//! no longer exists is removed, whoever made it and whenever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use pierhead_api::core::Pod;
use pierhead_runtime::CancellationToken;
use tracing::{debug, info, warn};

use crate::disk;
use crate::engine::EngineError;
use crate::labels::{PodIdentity, Role};
use crate::worker::{LookError, PodState, Shared, Worker, remove_folder};

/// How often what the engine has is compared with all pods.
const SWEEP: Duration = Duration::from_secs(10);
/// Wait before the engine's news are asked for again.
const RECONNECT: Duration = Duration::from_secs(1);

/// The pods of this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pods {
    shared: Arc<Shared>,
    node: String,
    workers: Arc<Mutex<BTreeMap<String, Looked>>>,
}

/// A worker that runs. However it ends, its pod may have another one then.
struct Looking {
    workers: Arc<Mutex<BTreeMap<String, Looked>>>,
    uid: String,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.workers.lock().remove(&self.uid);
    }
}

struct Looked {
    state: Arc<PodState>,
    /// What the object said when its worker was last woken for it.
    revision: String,
}

impl Pods {
    pub(crate) fn new(shared: Arc<Shared>, node: String) -> Self {
        Self { shared, node, workers: Arc::default() }
    }

    /// Follows the API, until `stop`.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.shared.pods.synced() => {}
        }
        let mut changed = self.shared.pods.changed();
        loop {
            changed.mark_unchanged();
            self.dispatch();
            tokio::select! {
                () = stop.cancelled() => return,
                change = changed.changed() => if change.is_err() { return },
            }
        }
    }

    /// Wakes the workers whose pods changed, and makes workers for new pods.
    fn dispatch(&self) {
        let bound = self.bound();
        let mut workers = self.workers.lock();
        for (uid, worker) in workers.iter_mut() {
            let revision =
                bound.get(uid).map(|pod| pod.metadata.resource_version.clone()).unwrap_or_default();
            if worker.revision != revision {
                worker.revision = revision;
                worker.state.notify();
            }
        }
        for (uid, pod) in bound {
            if workers.contains_key(&uid) {
                continue;
            }
            let state = Arc::new(PodState::new(self.shared.clock.now()));
            let revision = pod.metadata.resource_version.clone();
            workers.insert(uid.clone(), Looked { state: Arc::clone(&state), revision });
            let worker = Worker::new(Arc::clone(&self.shared), state, pod);
            let looking = Looking { workers: Arc::clone(&self.workers), uid };
            self.shared.tasks.spawn("pod", |stop| async move {
                let _looking = looking;
                Box::pin(worker.run(stop)).await;
            });
        }
    }

    /// The pods bound to this node, by uid.
    fn bound(&self) -> BTreeMap<String, Arc<Pod>> {
        let pods = self.shared.pods.list().into_iter().filter(|pod| pod.spec.node_name == self.node);
        pods.map(|pod| (pod.metadata.uid.clone(), pod)).collect()
    }

    fn notify_all(&self) {
        for worker in self.workers.lock().values() {
            worker.state.notify();
        }
    }

    /// Passes on the engine's news, until `stop`. Lost ones cost time only: workers look by themselves now and then.
    pub(crate) async fn listen(self, stop: CancellationToken) {
        loop {
            let listening = async {
                let mut events = std::pin::pin!(self.shared.engine.pod_events(&self.shared.cluster).await?);
                self.notify_all();
                while let Some(event) = events.next().await {
                    let uid = event?;
                    if let Some(worker) = self.workers.lock().get(&uid) {
                        worker.state.notify();
                    }
                }
                Ok::<(), LookError>(())
            };
            tokio::select! {
                () = stop.cancelled() => return,
                end = listening => if let Err(error) = end {
                    debug!(%error, "The engine's news ended: {error}");
                },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    /// Removes what no pod needs any more, again and again, until `stop`.
    pub(crate) async fn sweep(self, stop: CancellationToken) {
        let mut is_up = self.shared.machine.is_up();
        self.shared.pods.synced().await;
        loop {
            // Workers whose end nobody planned are followed by new ones.
            self.dispatch();
            if *is_up.borrow_and_update()
                && let Err(error) = self.sweep_once().await
                && !matches!(error, LookError::Engine(EngineError::Unreachable(_) | EngineError::Answer(_)))
            {
                warn!(%error, "Removing what no pod needs failed, trying again: {error}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                change = is_up.changed() => {
                    if change.is_err() {
                        return;
                    }
                    self.notify_all();
                }
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    async fn sweep_once(&self) -> Result<(), LookError> {
        let Shared { engine, cluster, folder, .. } = &*self.shared;
        let mut containers = engine.cluster_containers(cluster).await?;
        containers.retain(|(_, owner, _)| !self.is_known(&owner.uid));
        // Podman removes no infra container that others need.
        containers.sort_by_key(|(.., role)| *role == Some(Role::Infra));
        for (id, owner, _) in containers {
            let PodIdentity { namespace, name, .. } = owner;
            info!(pod = name, namespace, container = id, "Removing a container of a pod that is gone");
            engine.remove_container(&id).await?;
        }
        for (name, owner) in engine.cluster_volumes(cluster).await? {
            if !self.is_known(&owner.uid) {
                engine.remove_volume(&name).await?;
            }
        }
        let pods = folder.clone();
        let names = disk::run(move || {
            let names = std::fs::read_dir(pods)?.map(|entry| Ok(entry?.file_name()));
            names.collect::<std::io::Result<Vec<_>>>()
        });
        // There is no folder before the first pod.
        for name in names.await.unwrap_or_default() {
            if !self.is_known(&name.to_string_lossy()) {
                remove_folder(&folder.join(name)).await?;
            }
        }
        Ok(())
    }

    /// A worker looks after the pod, or will.
    fn is_known(&self, uid: &str) -> bool {
        self.workers.lock().contains_key(uid) || self.bound().contains_key(uid)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;
    use parking_lot::Mutex;
    use pierhead_runtime::Tasks;

    use super::{Looked, Looking};
    use crate::worker::PodState;

    #[tokio::test]
    async fn a_worker_that_panics_makes_room_for_another() {
        let state = Arc::new(PodState::new(Timestamp::UNIX_EPOCH));
        let looked = Looked { state, revision: String::new() };
        let workers = Arc::new(Mutex::new(BTreeMap::from([("u".to_owned(), looked)])));
        let looking = Looking { workers: Arc::clone(&workers), uid: "u".to_owned() };
        let tasks = Tasks::new();
        tasks.spawn("pod", |_| async move {
            let _looking = looking;
            panic!("a bug");
        });
        tasks.shutdown(Duration::from_secs(10)).await.unwrap();
        assert!(workers.lock().is_empty());
    }
}
