//! Who owns what: writes of every form are recorded, and applies conflict with them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{Reply, World, admin};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

async fn apply(world: &World, query: &str, wanted: &Value) -> Reply {
    let headers = [("content-type", "application/apply-patch+yaml")];
    world.send(&admin(), "PATCH", &format!("{MAPS}/a?{query}"), &headers, wanted.to_string()).await
}

async fn patch(world: &World, agent: &str, patch: Value) -> Reply {
    let headers = [("content-type", "application/merge-patch+json"), ("user-agent", agent)];
    world.send(&admin(), "PATCH", &format!("{MAPS}/a"), &headers, patch.to_string()).await
}

/// Manager, operation, subresource and fields of each record.
fn records(object: &Value) -> Vec<Value> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| json!([entry["manager"], entry["operation"], entry["subresource"], entry["fieldsV1"]]))
        .collect()
}

#[tokio::test]
async fn every_write_is_recorded_and_applies_conflict_with_it() {
    let world = World::new().await;
    let headers = [("user-agent", "kubectl/v1.32.0 (linux/amd64)")];
    let body = map(&json!({"x": "1", "y": "1"})).to_string();
    let made = world.send(&admin(), "POST", MAPS, &headers, body).await;
    let all = json!({"f:data": {".": {}, "f:x": {}, "f:y": {}}});
    assert_eq!(records(&made.body), [json!(["kubectl", "Update", null, all])]);

    let changed = patch(&world, "robot/1", json!({"data": {"x": "2"}})).await;
    let rest = json!({"f:data": {".": {}, "f:y": {}}});
    let robots = json!(["robot", "Update", null, {"f:data": {"f:x": {}}}]);
    assert_eq!(records(&changed.body), [json!(["kubectl", "Update", null, rest]), robots]);

    let wanted = map(&json!({"x": "3", "y": "1"}));
    let refused = apply(&world, "fieldManager=ann", &wanted).await;
    assert_eq!(
        refused.says(),
        (409, r#"Apply failed with 1 conflict: conflict with "robot" using v1: .data.x"#)
    );
    let both = map(&json!({"x": "3", "y": "3"}));
    assert_eq!(
        apply(&world, "fieldManager=ann", &both).await.says().1,
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using v1:\n- .data.y\nconflicts with \"robot\" using v1:\n- .data.x"
    );
    let forced = apply(&world, "fieldManager=ann&force=true", &wanted).await;
    assert_eq!(forced.status, StatusCode::OK, "{}", forced.body);
    let anns = json!(["ann", "Apply", null, {"f:data": {"f:x": {}, "f:y": {}}}]);
    assert_eq!(records(&forced.body), [anns, json!(["kubectl", "Update", null, rest])]);
    // What she lets go of and another still has stays; what nobody has goes.
    let less = apply(&world, "fieldManager=ann", &map(&json!({}))).await;
    assert_eq!(less.body["data"], json!({"y": "1"}), "{}", less.body);
}

#[tokio::test]
async fn an_object_without_records_is_somebodys_from_the_first_apply_on() {
    let world = World::new().await;
    world.post(&admin(), MAPS, map(&json!({"x": "1"}))).await;
    let bare = patch(&world, "robot/1", json!({"metadata": {"managedFields": [{}]}})).await;
    assert_eq!(records(&bare.body), [Value::Null; 0]);
    let still = patch(&world, "robot/1", json!({"data": {"z": "1"}})).await;
    assert_eq!(records(&still.body), [Value::Null; 0]);
    let refused = apply(&world, "fieldManager=ann", &map(&json!({"x": "2"}))).await;
    assert!(refused.says().1.contains(r#"conflict with "before-first-apply" using v1: .data.x"#));
    let agreed = apply(&world, "fieldManager=ann", &map(&json!({"x": "1"}))).await;
    let all = json!({"f:data": {".": {}, "f:x": {}, "f:z": {}}});
    let anns = json!(["ann", "Apply", null, {"f:data": {"f:x": {}}}]);
    assert_eq!(records(&agreed.body), [anns, json!(["before-first-apply", "Update", null, all])]);
}

/// `kubectl apply` wrote an annotation; `kubectl apply --server-side` takes over what it says, and patches the records.
#[tokio::test]
async fn kubectl_goes_on_from_what_its_earlier_self_applied() {
    const NOTE: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let world = World::new().await;
    let applied = map(&json!({"x": "1", "y": "1"}));
    let mut sent = applied.clone();
    sent["metadata"]["annotations"] = json!({NOTE: applied.to_string()});
    let query = format!("{MAPS}?fieldManager=kubectl-client-side-apply");
    world.post(&admin(), &query, sent).await;
    let wanted = map(&json!({"x": "2", "y": "1"}));
    assert_eq!(apply(&world, "fieldManager=ann", &wanted).await.status, StatusCode::CONFLICT);
    let taken = apply(&world, "fieldManager=kubectl", &wanted).await;
    assert_eq!((taken.status, &taken.body["data"]["x"]), (StatusCode::OK, &json!("2")), "{}", taken.body);
    let note = taken.body["metadata"]["annotations"][NOTE].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(note).unwrap()["data"]["x"], "2", "users can go back");
    // What clients do then: one manager's fields become another's, by a patch that insists on the version.
    let mut entries = taken.body["metadata"]["managedFields"].clone();
    entries.as_array_mut().unwrap().retain(|entry| entry["manager"] == "kubectl");
    let version = taken.body["metadata"]["resourceVersion"].clone();
    let migrated = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]);
    let moved = world.patch(&admin(), &format!("{MAPS}/a"), "json-patch", migrated).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
    assert_eq!(records(&moved.body).len(), 1, "{}", moved.body);
}

#[tokio::test]
async fn a_status_and_a_scale_are_recorded_by_their_path() {
    let world = World::new().await;
    let controllers = "/api/v1/namespaces/default/replicationcontrollers";
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 1, "selector": {"a": "b"}, "template": template});
    let made = world.post(&admin(), controllers, json!({"metadata": {"name": "a"}, "spec": spec})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let status = json!({"status": {"replicas": 1}, "metadata": {"managedFields": [{}]}});
    let path = format!("{controllers}/a");
    let seen =
        world.patch(&admin(), &format!("{path}/status?fieldManager=looker"), "merge-patch", status).await;
    let looker = json!(["looker", "Update", "status", {"f:status": {"f:replicas": {}}}]);
    assert!(records(&seen.body).contains(&looker), "{}", seen.body);
    let scale = json!({"spec": {"replicas": 3}});
    world.patch(&admin(), &format!("{path}/scale?fieldManager=scaler"), "merge-patch", scale).await;
    let scaled = world.get(&admin(), &path).await;
    let scaler = json!(["scaler", "Update", "scale", {"f:spec": {"f:replicas": {}}}]);
    assert!(records(&scaled.body).contains(&scaler), "{}", scaled.body);
    let wanted = json!({"apiVersion": "v1", "kind": "ReplicationController", "spec": {"replicas": 5}});
    let headers = [("content-type", "application/apply-patch+yaml")];
    let applied = format!("{path}?fieldManager=ann");
    let refused = world.send(&admin(), "PATCH", &applied, &headers, wanted.to_string()).await;
    let text = r#"conflict with "scaler" with subresource "scale" using v1: .spec.replicas"#;
    assert!(refused.says().1.ends_with(text), "{}", refused.body);
}

#[tokio::test]
async fn managers_have_decent_names() {
    let world = World::new().await;
    world.post(&admin(), MAPS, map(&json!({}))).await;
    let check = async |query: String, text: &str| {
        let reply = world.put(&admin(), &format!("{MAPS}/a?{query}"), map(&json!({}))).await;
        assert_eq!(reply.status.as_u16(), 422, "{}", reply.body);
        assert!(reply.says().1.contains(text), "{}", reply.body);
    };
    check(
        format!("fieldManager={}", "x".repeat(129)),
        "fieldManager: Too long: may not be more than 128 bytes",
    )
    .await;
    check("fieldManager=a%0Ab".to_owned(), "fieldManager: Invalid value").await;
    let forced = world.patch(&admin(), &format!("{MAPS}/a?force=true"), "merge-patch", json!({})).await;
    assert!(forced.says().1.contains("force: Forbidden: may not be specified for non-apply patch"));
}

/// W4: a hundred writers count one number up, each in its own way; nobody's step is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_a_hundred_writers_count_without_a_loss() {
    const STEPS: usize = 5;
    let world = Arc::new(World::new().await);
    world.post(&admin(), MAPS, map(&json!({"count": "0"}))).await;
    let step = async |world: &World, writer: usize| loop {
        let now = world.get(&admin(), &format!("{MAPS}/a")).await.body;
        let version = now["metadata"]["resourceVersion"].clone();
        let next = now["data"]["count"].as_str().unwrap().parse::<u64>().unwrap() + 1;
        let data = json!({"count": next.to_string()});
        let path = format!("{MAPS}/a");
        let pinned = json!({"metadata": {"resourceVersion": version}, "data": data});
        let reply = match writer % 5 {
            0 => {
                let mut object = now.clone();
                object["data"] = data;
                world.put(&admin(), &path, object).await
            }
            1 => {
                let test = json!({"op": "test", "path": "/data/count", "value": now["data"]["count"]});
                let set = json!({"op": "replace", "path": "/data/count", "value": next.to_string()});
                world.patch(&admin(), &path, "json-patch", json!([test, set])).await
            }
            2 => world.patch(&admin(), &path, "merge-patch", pinned).await,
            3 => world.patch(&admin(), &path, "strategic-merge-patch", pinned).await,
            _ => {
                let mut wanted = map(&data);
                wanted["metadata"]["resourceVersion"] = version;
                apply(world, &format!("fieldManager=w{}&force=true", writer % 10), &wanted).await
            }
        };
        match reply.status.as_u16() {
            200 => return,
            // A failed test of a JSON patch says the same as a conflict.
            409 | 422 => {}
            _ => panic!("{}", reply.body),
        }
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..100 {
        let world = Arc::clone(&world);
        writers.spawn(async move {
            for _ in 0..STEPS {
                step(&world, writer).await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let end = world.get(&admin(), &format!("{MAPS}/a")).await.body;
    assert_eq!(end["data"]["count"], (100 * STEPS).to_string());
    assert!(end["metadata"]["managedFields"].as_array().unwrap().len() <= 12, "{end}");
}
