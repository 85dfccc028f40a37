//! What engines have and tell, and what becomes of the `Node` objects.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use pierhead_api::core::Node;
use pierhead_client::Client;
use pierhead_runtime::SystemClock;
use serde_json::{Value, json};

use super::{Heartbeat, Machine, is_stale, retire, set_ready, without_heartbeats};
use crate::engine::fake::FakeEngine;
use crate::engine::{Engine, EngineKind};
use crate::pause;

#[test]
fn conditions_turn_with_the_engine_and_beat_without_turning() {
    let mut node = Node::default();
    let start = Timestamp::UNIX_EPOCH;
    assert!(set_ready(&mut node, None, start));
    assert!(node.is_ready());
    let before = node.clone();
    let later = start + SignedDuration::from_secs(61);
    assert!(is_stale(&node, later));
    assert!(!set_ready(&mut node, None, later));
    assert!(!is_stale(&node, later));
    assert_eq!(without_heartbeats(&node), without_heartbeats(&before));
    assert!(set_ready(&mut node, Some("no such file".into()), later));
    let ready = node.status.conditions.iter().find(|condition| condition.condition_type == "Ready").unwrap();
    assert_eq!(ready.message, "container runtime is down: no such file");
    assert_eq!(ready.last_transition_time.unwrap().0, later);
}

/// The layer's digest in an archive that an engine was given.
fn layer_of(archive: &[u8]) -> String {
    let text = String::from_utf8_lossy(archive);
    let (_, after) = text.split_once("\"diff_ids\":[\"").unwrap();
    after.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn infra_containers_run_our_image_whatever_has_its_name() {
    // Images by name and by id: id and layer.
    let images: Arc<Mutex<BTreeMap<String, (String, String)>>> = Arc::default();
    let kept = Arc::clone(&images);
    let fake = FakeEngine::start(move |line, body| {
        let mut images = kept.lock();
        if line == "GET /networks/pierhead" {
            return Some((200, json!({"Name": "pierhead", "Id": "n"})));
        }
        if line.starts_with("POST /images/load") {
            let ours = ("sha256:ours".to_owned(), layer_of(body));
            images.insert("sha256:ours".to_owned(), ours.clone());
            images.insert(pause::NAME.to_owned(), ours);
            return Some((200, json!({"stream": "Loaded"})));
        }
        let name = line.strip_prefix("GET /images/").and_then(|rest| rest.strip_suffix("/json"));
        Some(match name.and_then(|name| images.get(name)) {
            Some((id, layer)) => {
                let files = json!({"Type": "layers", "Layers": [layer]});
                (200, json!({"Id": id, "RootFS": files, "Config": {"Entrypoint": ["/pause"]}}))
            }
            None if name.is_some() => (404, json!({"message": "No such image"})),
            None => (200, json!({})),
        })
    });
    let machine = Machine::new();
    let theirs = ("sha256:theirs".to_owned(), "sha256:0".to_owned());
    let prepare = async |loads: usize| {
        assert_eq!(machine.prepare(&fake.engine, "pierhead").await.unwrap(), "sha256:ours");
        let asked = fake.asked();
        assert_eq!(
            asked.iter().filter(|line| line.starts_with("POST /images/load")).count(),
            loads,
            "{asked:?}"
        );
    };
    images.lock().insert(pause::NAME.to_owned(), theirs.clone());
    prepare(1).await;
    images.lock().insert(pause::NAME.to_owned(), theirs);
    prepare(0).await;
    images.lock().remove("sha256:ours");
    prepare(1).await;
}

/// The API of nodes and nothing else.
fn nodes_api(nodes: &Arc<Mutex<BTreeMap<String, Value>>>) -> Client {
    let nodes = Arc::clone(nodes);
    Client::in_process(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let nodes = Arc::clone(&nodes);
        async move {
            let method = request.method().clone();
            let path = request.uri().path().strip_prefix("/api/v1/nodes").unwrap().to_owned();
            let query = request.uri().query().unwrap_or_default().to_owned();
            let wanted = query.split('&').find_map(|part| part.strip_prefix("labelSelector="));
            let wanted = wanted.map(|label| label.replace("%2F", "/").replace("%2E", "."));
            let body = request.into_body().collect().await?.to_bytes();
            let mut nodes = nodes.lock();
            let mut name = path.split('/').nth(1).unwrap_or_default().to_owned();
            let answer = if method == Method::POST || method == Method::PUT {
                let mut sent: Value = serde_json::from_slice(&body).unwrap();
                sent["metadata"]["name"].as_str().unwrap().clone_into(&mut name);
                if path.ends_with("/status") {
                    sent["metadata"] = nodes[&name]["metadata"].clone();
                }
                nodes.insert(name.clone(), sent.clone());
                Some(sent)
            } else if method == Method::DELETE {
                nodes.remove(&name)
            } else if name.is_empty() {
                let has = |node: &&Value| {
                    wanted.as_ref().is_none_or(|label| node["metadata"]["labels"].get(label).is_some())
                };
                let items: Vec<Value> = nodes.values().filter(has).cloned().collect();
                Some(json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": items}))
            } else {
                nodes.get(&name).cloned()
            };
            let status = if answer.is_some() { 200 } else { 404 };
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
            let body = Bytes::from(answer.unwrap_or(gone).to_string());
            Ok::<_, Infallible>(Response::builder().status(status).body(Full::new(body)).unwrap())
        }
    }))
}

fn heartbeat(client: &Client, name: &str) -> Heartbeat {
    Heartbeat {
        client: client.clone(),
        engine: Engine::new(EngineKind::Docker, "/nowhere".into()),
        machine: Machine::new(),
        clock: SystemClock::shared(),
        name: name.to_owned(),
        network: "pierhead".to_owned(),
    }
}

#[tokio::test]
async fn a_node_under_another_name_takes_the_place_of_the_former() {
    let nodes = Arc::default();
    let client = nodes_api(&nodes);
    heartbeat(&client, "a").tell(None).await.unwrap();
    // One that somebody else made is left alone.
    nodes
        .lock()
        .insert("other".into(), json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "other"}}));
    retire(&client, Some("b")).await.unwrap();
    heartbeat(&client, "b").tell(None).await.unwrap();
    assert_eq!(nodes.lock().keys().collect::<Vec<_>>(), ["b", "other"]);
    retire(&client, None).await.unwrap();
    assert_eq!(nodes.lock().keys().collect::<Vec<_>>(), ["other"]);
}

#[tokio::test]
async fn what_labels_say_follows_when_the_engine_comes_back() {
    let nodes = Arc::default();
    let client = nodes_api(&nodes);
    let heartbeat = heartbeat(&client, "a");
    heartbeat.tell(Some("away".into())).await.unwrap();
    let labels = || nodes.lock()["a"]["metadata"]["labels"].clone();
    assert_eq!(labels().get("kubernetes.io/arch"), None);
    nodes.lock().get_mut("a").unwrap()["metadata"]["labels"]["zone"] = "east".into();
    heartbeat.machine.known.lock().facts.architecture = "x86_64".to_owned();
    heartbeat.tell(None).await.unwrap();
    let labels = labels();
    assert_eq!((&labels["kubernetes.io/arch"], &labels["zone"]), (&json!("amd64"), &json!("east")));
}
