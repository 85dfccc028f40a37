//! A node in memory: pods that are bound to it run, become ready and go when asked.
//!
//! What a pod does is told by its command: `fail` fails, `done` succeeds, anything else runs and is ready.
//! Images whose name has `broken` in it never become ready.

use pierhead_api::core::{Node, Pod, PodCondition};
use pierhead_api::from_value;
use pierhead_api::meta::{DeleteOptions, Time};
use pierhead_client::Client;
use pierhead_runtime::{SharedClock, Tasks};
use serde_json::json;

pub(crate) const NAME: &str = "node";

/// Registers the node and keeps its pods, until the tasks are shut down.
pub(crate) async fn start(client: Client, clock: SharedClock, tasks: &Tasks) {
    let ready = json!({"type": "Ready", "status": "True"});
    let node: Node =
        from_value(&json!({"metadata": {"name": NAME}, "status": {"conditions": [ready]}})).unwrap();
    client.create(None, &node).await.unwrap();
    let pods = client.reflect::<Pod>(None, tasks);
    tasks.spawn("node", |stop| async move {
        let mut changed = pods.changed();
        loop {
            for pod in pods.list() {
                if pod.spec.node_name == NAME {
                    keep(&client, &clock, Pod::clone(&pod)).await;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                _ = changed.changed() => {}
            }
        }
    });
}

async fn keep(client: &Client, clock: &SharedClock, mut pod: Pod) {
    let namespace = pod.metadata.namespace.clone();
    if pod.metadata.deletion_timestamp.is_some() {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        // The cache may show a pod that is gone already.
        drop(client.delete::<Pod>(Some(&namespace), &pod.metadata.name, &options).await);
        return;
    }
    let container = &pod.spec.containers[0];
    let phase = match container.command.first().map(String::as_str) {
        Some("fail") => "Failed",
        Some("done") => "Succeeded",
        _ => "Running",
    };
    let ready = phase == "Running" && !container.image.contains("broken");
    if pod.status.phase == phase && pod.is_ready() == ready {
        return;
    }
    pod.status.phase = phase.into();
    pod.status.message = if phase == "Failed" { "it failed".into() } else { String::new() };
    pod.status.pod_ip = format!("10.0.0.{}", pod.metadata.uid.trim_start_matches("uid-"));
    pod.status.conditions.retain(|condition| condition.condition_type != "Ready");
    pod.status.conditions.push(PodCondition {
        condition_type: "Ready".into(),
        status: if ready { "True" } else { "False" }.into(),
        last_transition_time: Some(Time(clock.now())),
        ..PodCondition::default()
    });
    drop(client.replace_status(Some(&namespace), &pod).await);
}
