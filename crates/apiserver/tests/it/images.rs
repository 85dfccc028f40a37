//! Image streams and tags as objects, under all three prefixes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, user};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/shop/imagestreams";

#[tokio::test]
async fn a_manifest_of_2016_makes_a_stream_under_every_prefix() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let stream = |name: &str| json!({"kind": "ImageStream", "apiVersion": "v1", "metadata": {"name": name}});
    for (prefix, name) in [
        ("/oapi/v1/namespaces/shop/imagestreams", "old"),
        ("/api/v1/namespaces/shop/legacyimagestreams", "alias"),
        (STREAMS, "grouped"),
    ] {
        let made = world.post(&ann, prefix, stream(name)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{prefix}: {}", made.body);
        let version = if prefix == STREAMS { "image.openshift.io/v1" } else { "v1" };
        assert_eq!(made.body["apiVersion"], version);
        let repository = &made.body["status"]["dockerImageRepository"];
        assert_eq!(*repository, format!("172.30.0.1:5000/shop/{name}"));
    }
    let list = world.get(&ann, STREAMS).await.body;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert_eq!(world.post(&ann, STREAMS, stream("old")).await.says().0, 409);
    let nowhere = STREAMS.replace("shop", "none");
    assert_eq!(world.post(&crate::world::admin(), &nowhere, stream("x")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tag_is_put_seen_and_deleted() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let tags = "/apis/image.openshift.io/v1/namespaces/shop/imagestreamtags";
    let tag = json!({
        "kind": "ImageStreamTag", "metadata": {"name": "web:1"},
        "tag": {"name": "1", "from": {"kind": "DockerImage", "name": "docker.io/library/nginx:1"}},
    });
    let made = world.put(&ann, &format!("{tags}/web:1"), tag.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let again = world.put(&ann, &format!("{tags}/web%3A1"), tag).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    let stream = world.get(&ann, &format!("{STREAMS}/web")).await.body;
    assert_eq!(stream["spec"]["tags"][0]["from"]["name"], "docker.io/library/nginx:1");
    let pending = world.get(&ann, &format!("{tags}/web:1")).await;
    assert_eq!(pending.says(), (404, r#"imagestreamtags.image.openshift.io "web:1" not found"#));
    let gone = world.delete(&ann, &format!("{tags}/web:1")).await;
    assert_eq!((gone.status, &gone.body["status"]), (StatusCode::OK, &json!("Success")), "{}", gone.body);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/web")).await.body["spec"]["tags"], Value::Null);
    let bad = world.get(&ann, &format!("{tags}/web")).await;
    assert_eq!(bad.says(), (400, "ImageStreamTags must be retrieved with <name>:<tag>"));
}

#[tokio::test]
async fn an_apply_makes_a_tag_and_its_stream() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = "/apis/image.openshift.io/v1/namespaces/shop/imagestreamtags/web:1?fieldManager=ann";
    let headers = [("content-type", "application/apply-patch+yaml")];
    for (from, code) in [("quay.example.com/a/b:1", 201), ("quay.example.com/a/b:2", 200)] {
        let wanted = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag", "metadata": {"name": "web:1"},
            "tag": {"name": "1", "reference": true, "from": {"kind": "DockerImage", "name": from}},
        });
        let applied = world.send(&ann, "PATCH", path, &headers, wanted.to_string()).await;
        assert_eq!(applied.status.as_u16(), code, "{}", applied.body);
        let stream = world.get(&ann, &format!("{STREAMS}/web")).await.body;
        assert_eq!(stream["spec"]["tags"][0]["from"]["name"], from, "{stream}");
    }
}

#[tokio::test]
async fn a_stream_changes_by_patch_and_not_blindly() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let made = world.post(&ann, STREAMS, json!({"metadata": {"name": "web"}})).await.body;
    let patch =
        json!({"spec": {"lookupPolicy": {"local": true}}, "status": {"dockerImageRepository": "evil"}});
    let patched = world.patch(&ann, &format!("{STREAMS}/web"), "merge-patch", patch).await.body;
    assert_eq!(patched["spec"]["lookupPolicy"]["local"], true, "{patched}");
    assert_eq!(patched["status"]["dockerImageRepository"], "172.30.0.1:5000/shop/web");
    let mut blind = made.clone();
    blind["metadata"]["resourceVersion"] = Value::Null;
    assert_eq!(world.put(&ann, &format!("{STREAMS}/web"), blind).await.status.as_u16(), 422);
    let mut stale = made;
    stale["spec"]["lookupPolicy"]["local"] = false.into();
    assert_eq!(world.put(&ann, &format!("{STREAMS}/web"), stale).await.status.as_u16(), 409);
    let dry = world.post(&ann, &format!("{STREAMS}?dryRun=All"), json!({"metadata": {"name": "dry"}})).await;
    assert_eq!(dry.status, StatusCode::CREATED, "{}", dry.body);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/dry")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.delete(&ann, &format!("{STREAMS}/web")).await.status, StatusCode::OK);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/web")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_is_watched() {
    use http_body_util::BodyExt as _;
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = format!("{}?watch=true&resourceVersion={}", STREAMS, world.store.revision());
    let mut body = world.open(&ann, "GET", &path, &[], "").await.into_body();
    world.post(&ann, STREAMS, json!({"metadata": {"name": "web"}})).await;
    let added: Value =
        serde_json::from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
    assert_eq!((&added["type"], &added["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("web")));
    world.delete(&ann, &format!("{STREAMS}/web")).await;
    let deleted: Value =
        serde_json::from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
    assert_eq!(deleted["type"], "DELETED");
}

#[tokio::test]
async fn pull_secrets_are_listed_for_any_stream() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let list = world.get(&ann, &format!("{STREAMS}/none/secrets")).await;
    assert_eq!((list.status, &list.body["kind"]), (StatusCode::OK, &json!("SecretList")), "{}", list.body);
    assert_eq!(list.body["apiVersion"], "v1");
}
