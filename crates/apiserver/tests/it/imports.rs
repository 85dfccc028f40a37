//! Imports as requests: what is refused before anything is fetched, and how a registry that is not reached is told.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const IMPORTS: &str = "/apis/image.openshift.io/v1/namespaces/shop/imagestreamimports";
const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/shop/imagestreams";

fn import(metadata: Value, spec: Value) -> Value {
    json!({"kind": "ImageStreamImport", "metadata": metadata, "spec": spec})
}

/// An image at an address that the policy forbids: nothing leaves the test.
fn image() -> Value {
    json!({
        "import": true,
        "images": [{"from": {"kind": "DockerImage", "name": "127.0.0.1:1/a/b:1"}, "to": {"name": "1"}}],
    })
}

#[tokio::test]
async fn imports_are_checked_before_anything_is_fetched() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let web = || json!({"name": "web"});
    let made = world.post(&ann, STREAMS, json!({"kind": "ImageStream", "metadata": web()})).await;
    let version = made.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let kind = r#"ImageStreamImport.image.openshift.io "web" is invalid"#;
    let source = |kind: &str, name: &str| json!({"repository": {"from": {"kind": kind, "name": name}}});
    for (metadata, spec, code, message) in [
        (
            web(),
            json!({}),
            422,
            format!(
                "{kind}: spec.images: Invalid value: null: you must specify at least one image or a repository import"
            ),
        ),
        (
            web(),
            source("ImageStreamTag", "a:b"),
            422,
            format!(
                "{kind}: spec.repository.from.kind: Invalid value: \"ImageStreamTag\": only DockerImage is supported"
            ),
        ),
        (
            web(),
            source("DockerImage", "quay.io/a/b:1"),
            422,
            format!(
                "{kind}: spec.repository.from.name: Invalid value: \"quay.io/a/b:1\": you must specify a repository, not a tag"
            ),
        ),
        (
            json!({"name": "none", "resourceVersion": "7"}),
            image(),
            404,
            "imagestreams.image.openshift.io \"none\" not found".to_owned(),
        ),
        (
            json!({"name": "web", "uid": "another"}),
            image(),
            404,
            "imagestreams.image.openshift.io \"web\" not found".to_owned(),
        ),
        (
            json!({"name": "web", "resourceVersion": "1"}),
            image(),
            409,
            format!(
                "Operation cannot be fulfilled on imagestreams.image.openshift.io \"web\": the image stream was updated \
                 from \"1\" to \"{version}\""
            ),
        ),
    ] {
        let refused = world.post(&ann, IMPORTS, import(metadata, spec)).await;
        assert_eq!(refused.says(), (code, message.as_str()));
    }
    let nowhere = world.post(&admin(), &IMPORTS.replace("shop", "none"), import(web(), image())).await;
    assert_eq!(nowhere.says(), (404, "namespaces \"none\" not found"));
    let refused = world.post(&user("eve"), IMPORTS, import(web(), image())).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.body["details"]["kind"], "imagestreamimports");
}

#[tokio::test]
async fn what_cannot_be_reached_is_a_status_and_a_condition() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let look = json!({"import": false, "images": image()["images"]});
    let looked = world.post(&ann, IMPORTS, import(json!({"name": "web"}), look)).await;
    assert_eq!(looked.status, StatusCode::CREATED, "{}", looked.body);
    assert_eq!(looked.body["status"]["import"], Value::Null);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/web")).await.status, StatusCode::NOT_FOUND);
    for (prefix, version) in
        [("/oapi/v1/namespaces/shop/imagestreamimports", "v1"), (IMPORTS, "image.openshift.io/v1")]
    {
        let made = world.post(&ann, prefix, import(json!({"name": "web"}), image())).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(made.body["apiVersion"], version);
        let failure = &made.body["status"]["images"][0];
        assert_eq!((&failure["tag"], &failure["status"]["code"]), (&json!("1"), &json!(500)));
        let stream = &made.body["status"]["import"];
        assert_eq!(stream["spec"]["tags"][0]["from"]["name"], "127.0.0.1:1/a/b:1");
        let condition = &stream["status"]["tags"][0]["conditions"][0];
        assert_eq!(condition["message"], failure["status"]["message"]);
        assert_eq!((&condition["type"], &condition["status"]), (&json!("ImportSuccess"), &json!("False")));
        assert_eq!(stream["metadata"]["generation"], 1, "the same failure again is no news");
    }
}
