//! Plays deployer pods: pods `<version>-deploy` with a scheduler name of our own, which are objects like any other
//! to look at, and run in this process instead of a container.
//!
//! A play writes the pod's status and log, and scales replication controllers as the configuration's strategy says
//! (platform 8.2.5). It remembers nothing: begun again after a restart, or after an error of the API, it reads from
//! the objects how far it is. It ends without a word when its pod is removed, which is how a rollout is cancelled.

mod hooks;
mod play;
mod recreate;
mod rolling;

use std::collections::{BTreeMap, BTreeSet};

use pierhead_api::apps::annotations;
use pierhead_api::core::{Pod, ReplicationController};
use pierhead_client::{Client, Reflected};
use pierhead_runtime::{CancellationToken, SharedClock, Tasks};
use tracing::warn;

use crate::deployer::play::Play;
use crate::deployer_logs::DeployerLogs;

/// What plays are made of. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Deployer {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) logs: DeployerLogs,
    pub(crate) pods: Reflected<Pod>,
    pub(crate) controllers: Reflected<ReplicationController>,
}

/// Starts playing, until the tasks are shut down.
pub(crate) fn start(deployer: Deployer, tasks: &Tasks) {
    let plays = tasks.child();
    tasks.spawn("deployer", move |stop| run(deployer, plays, stop));
}

async fn run(deployer: Deployer, plays: Tasks, stop: CancellationToken) {
    let mut changed = deployer.pods.changed();
    tokio::select! {
        () = stop.cancelled() => return,
        () = deployer.pods.synced() => {}
    }
    // By uid: a play ends by itself, and is begun once.
    let mut begun = BTreeMap::<String, CancellationToken>::new();
    // Whose logs were kept when the others were removed.
    let mut kept = None;
    loop {
        let pods = deployer.pods.list();
        let ours: Vec<_> = pods.iter().filter(|pod| is_deployer(pod)).collect();
        let uids: BTreeSet<String> = ours.iter().map(|pod| pod.metadata.uid.clone()).collect();
        if kept.as_ref() != Some(&uids) {
            let (logs, uids) = (deployer.logs.clone(), uids.clone());
            match tokio::task::spawn_blocking(move || logs.keep_only(&uids).map(|()| uids)).await {
                Ok(Ok(uids)) => kept = Some(uids),
                Ok(Err(error)) => {
                    warn!(%error, "Logs of removed deployer pods could not be removed: {error}");
                }
                Err(error) => warn!(%error, "Removing logs of deployer pods did not end: {error}"),
            }
        }
        begun.retain(|uid, ended| uids.contains(uid) && !ended.is_cancelled());
        for pod in ours {
            let is_over = pod.is_finished() || pod.metadata.deletion_timestamp.is_some();
            if !is_over && !begun.contains_key(&pod.metadata.uid) {
                let ended = CancellationToken::new();
                begun.insert(pod.metadata.uid.clone(), ended.clone());
                let play = Play::new(deployer.clone(), Pod::clone(pod));
                // A play that panics has ended, too, and is begun again with the next change.
                let ended = ended.drop_guard();
                plays.spawn("deployer-pod", |stop| async move {
                    Box::pin(play.run(stop)).await;
                    drop(ended);
                });
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            change = changed.changed() => if change.is_err() { return },
        }
    }
}

/// Whether a pod is played here.
fn is_deployer(pod: &Pod) -> bool {
    pod.spec.scheduler_name == annotations::DEPLOYER_SCHEDULER
        && pod.metadata.labels.contains_key(annotations::DEPLOYER_POD_FOR)
}
