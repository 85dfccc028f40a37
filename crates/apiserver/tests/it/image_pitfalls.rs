//! What re-implementations of the image API got wrong (images 11), as clients see it, where no other test shows it.

use http::StatusCode;
use serde_json::json;

use crate::world::{World, admin, user};

const GROUP: &str = "/apis/image.openshift.io/v1";

fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

#[tokio::test]
async fn the_metadata_of_an_image_has_the_group_of_the_path_it_was_asked_under() {
    let world = World::new().await;
    let metadata = json!({"kind": "DockerImage", "apiVersion": "1.0", "Id": "x", "Architecture": "amd64"});
    let image = json!({
        "metadata": {"name": digest()}, "dockerImageReference": "quay.io/a/b:1",
        "dockerImageMetadata": metadata, "dockerImageMetadataVersion": "1.0",
    });
    let made = world.post(&admin(), &format!("{GROUP}/images"), image).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let escaped = digest().replace(':', "%3A");
    for (path, expected) in [
        (format!("{GROUP}/images/{}", digest()), "image.openshift.io/1.0"),
        (format!("{GROUP}/images/{escaped}"), "image.openshift.io/1.0"),
        (format!("/oapi/v1/images/{}", digest()), "1.0"),
        (format!("/oapi/v1/images/{escaped}"), "1.0"),
    ] {
        let shown = world.get(&admin(), &path).await.body;
        assert_eq!(shown["dockerImageMetadata"]["apiVersion"], expected, "{path}");
        assert_eq!(shown["dockerImageMetadataVersion"], "1.0");
    }
    let list = world.get(&admin(), "/oapi/v1/images").await.body;
    assert_eq!(list["items"][0]["dockerImageMetadata"]["apiVersion"], "1.0", "{list}");
}

#[tokio::test]
async fn a_registry_learns_from_a_mapping_that_it_must_make_the_stream() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let image = json!({"metadata": {"name": digest()}, "dockerImageReference": "quay.io/a/b:1"});
    let mapping = json!({"metadata": {"name": "web"}, "tag": "v1", "image": image});
    let path = format!("{GROUP}/namespaces/shop/imagestreammappings");
    // The registry of 2016 asks below `/oapi` and wants to hear of streams.
    let old = "/oapi/v1/namespaces/shop/imagestreammappings";
    for (path, kind) in [(path.as_str(), "imagestreammappings"), (old, "imagestreams")] {
        let missing = world.post(&admin(), path, mapping.clone()).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{}", missing.body);
        let details = &missing.body["details"];
        assert_eq!((&details["kind"], &details["name"]), (&json!(kind), &json!("web")), "{path}");
    }
    let elsewhere = world.post(&admin(), &path.replace("shop", "nowhere"), mapping).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "{}", elsewhere.body);
}

#[tokio::test]
async fn a_tag_of_a_foreign_project_is_refused_as_invalid_and_says_where() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    world.project(&user("bob"), "other").await;
    let streams = |namespace: &str| format!("{GROUP}/namespaces/{namespace}/imagestreams");
    world.post(&user("bob"), &streams("other"), json!({"metadata": {"name": "base"}})).await;
    let follow = |namespace: Option<&str>| {
        let from = json!({"kind": "ImageStreamTag", "namespace": namespace, "name": "base:latest"});
        json!({"metadata": {"name": "web"}, "spec": {"tags": [{"name": "t", "from": from}]}})
    };
    let refused = world.post(&user("ann"), &streams("shop"), follow(Some("other"))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(refused.body["details"]["causes"][0]["field"], "spec.tags[t].from");
    let message = refused.body["details"]["causes"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("Forbidden: other/base: "), "{message}");
    // Without a namespace, or with its own, nobody is asked.
    world.post(&user("ann"), &streams("shop"), json!({"metadata": {"name": "base"}})).await;
    let own = world.post(&user("ann"), &streams("shop"), follow(Some("shop"))).await;
    assert_eq!(own.status, StatusCode::CREATED, "{}", own.body);
}

#[tokio::test]
async fn everybody_who_logged_in_pulls_from_the_shared_project() {
    let world = World::new().await;
    let ann = user("ann");
    let path = format!("{GROUP}/namespaces/openshift/imagestreams");
    let made = world.post(&admin(), &path, json!({"metadata": {"name": "ruby"}})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(world.get(&ann, &format!("{path}/ruby")).await.status, StatusCode::OK);
    world.auth.permit_pull(&ann, "openshift", "ruby").expect("the streams there are for everybody");
    assert!(world.auth.permit_push(&ann, "openshift", "ruby").is_err());
}

#[tokio::test]
async fn a_tag_put_over_a_newer_stream_says_how_new_it_is() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = format!("{GROUP}/namespaces/shop/imagestreamtags/web:1");
    let tag = |version: &str| {
        let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:1"});
        json!({"metadata": {"name": "web:1", "resourceVersion": version}, "tag": {"name": "1", "from": from}})
    };
    let made = world.put(&ann, &path, tag("")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let newest = made.body["metadata"]["resourceVersion"].as_str().unwrap();
    let stale = world.put(&ann, &path, tag("1")).await;
    let expected = format!(
        "Operation cannot be fulfilled on imagestreamtags.image.openshift.io \"web:1\": another caller has updated \
         the resource version to {newest}"
    );
    assert_eq!(stale.says(), (409, expected.as_str()));
    let none = path.replace("web:1", "none:1");
    let gone = world.put(&ann, &none, json!({
        "metadata": {"name": "none:1", "resourceVersion": "5"}, "tag": {"name": "1", "from": {"kind": "DockerImage", "name": "x/y:1"}},
    }));
    assert_eq!(gone.await.says(), (404, "imagestreamtags.image.openshift.io \"none:1\" not found"));
}
