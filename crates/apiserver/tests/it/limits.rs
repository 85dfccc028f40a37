//! What one request may cost, and how one over a limit is answered.

use serde_json::{Map, Value, json};

use crate::world::{World, admin, user};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("x"), |inner, _| json!({"a": inner}))
}

#[tokio::test]
async fn no_patch_makes_an_object_that_cannot_be_read() {
    let world = World::new().await;
    let path = format!("{MAPS}/a");
    world.post(&admin(), MAPS, json!({"metadata": {"name": "a"}})).await;
    let deep = |levels: usize| {
        let list = json!({"op": "add", "path": "/metadata/managedFields", "value": [nested(50)]});
        let below = format!("/metadata/managedFields/0{}", "/a".repeat(50));
        json!([list, {"op": "add", "path": below, "value": nested(levels)}])
    };
    let check = async |patch: Value, code: u16| {
        let reply = world.patch(&admin(), &path, "json-patch", patch).await;
        assert_eq!(reply.status.as_u16(), code, "{}", reply.body);
        reply
    };
    // The object, its metadata and the list are three of the levels.
    check(deep(64 - 53), 200).await;
    let refused = check(deep(64 - 53 + 1), 400).await;
    assert!(refused.says().1.contains("would exceed max depth 64"), "{}", refused.body);
    assert_eq!(world.get(&admin(), &path).await.status.as_u16(), 200);
    assert_eq!(world.delete(&admin(), &path).await.status.as_u16(), 200);
}

#[tokio::test]
async fn answers_do_not_grow_with_what_is_wrong() {
    let world = World::new().await;
    let labels: Map<String, Value> = (0..5_000).map(|n| (format!("-{n}"), json!("-"))).collect();
    let request = json!({"kind": "ProjectRequest", "metadata": {"name": "shop", "labels": labels}});
    let path = "/apis/project.openshift.io/v1/projectrequests";
    let refused = world.post(&user("ann"), path, request).await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.body);
    assert_eq!(refused.body["details"]["causes"].as_array().unwrap().len(), 100);
    assert!(refused.says().1.ends_with(" more]"), "{}", refused.body["message"]);

    let mut unknown: Map<String, Value> = (0..5_000).map(|n| (format!("field{n}"), json!(1))).collect();
    unknown.insert("metadata".to_owned(), json!({"name": "a"}));
    let made = world.post(&admin(), MAPS, Value::Object(unknown)).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let warnings = made.headers.get_all("warning").iter().count();
    assert!((2..=51).contains(&warnings), "{warnings}");
}

#[tokio::test]
async fn a_watch_may_ask_for_any_time() {
    let world = World::new().await;
    let path = format!("{MAPS}?watch=true&timeoutSeconds={}", i64::MAX);
    assert_eq!(world.open(&admin(), "GET", &path, &[], "").await.status().as_u16(), 200);
}

#[tokio::test]
async fn forms_are_small() {
    let world = World::new().await;
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let post = async |bytes: usize| {
        world.send(&admin(), "POST", "/oauth/token", &headers, "x".repeat(bytes)).await.status.as_u16()
    };
    assert_ne!(post(64 * 1024).await, 413);
    assert_eq!(post(64 * 1024 + 1).await, 413);
}
