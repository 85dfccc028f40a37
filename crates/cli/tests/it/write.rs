//! Verbs that change objects.

use serde_json::json;

use crate::api::Api;

const STREAM: &str = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/app";

fn api() -> Api {
    let api = Api::default();
    let digest = "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";
    api.put(
        STREAM,
        json!({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": "app", "namespace": "pushed", "resourceVersion": "1", "uid": "u", "labels": {"a": "1"}},
            "spec": {"lookupPolicy": {"local": false}},
            "status": {"tags": [{"tag": "v1", "items": [{"image": digest, "dockerImageReference": "h/pushed/app@x"}]}]},
        }),
    );
    api
}

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let api = Api::default();
    let manifest = "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: new}, spec: {lookupPolicy: {local: true}}}";
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "imagestream \"new\" created\n");
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "imagestream \"new\" unchanged\n");
    let changed = manifest
        .replace("{local: true}", "{local: false}")
        .replace("name: new", "name: new, labels: {x: '1'}");
    assert_eq!(api.run_with("apply -f -", &changed).await.ok(), "imagestream \"new\" configured\n");
    let path = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/new";
    assert_eq!(api.object(path)["spec"]["lookupPolicy"]["local"], false);
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "imagestream \"new\" configured\n");
    assert!(api.object(path)["metadata"]["labels"].is_null(), "{}", api.object(path));
}

#[tokio::test]
async fn patch_label_and_annotate_say_what_changed() {
    let api = api();
    assert_eq!(api.run(r#"patch is/app -p '{"spec":{"x":1}}'"#).await.ok(), "imagestream \"app\" patched\n");
    assert_eq!(api.run("label is app b=2 a-").await.ok(), "imagestream \"app\" labeled\n");
    assert_eq!(api.object(STREAM)["metadata"]["labels"], json!({"b": "2"}));
    let error = api.run("label is/app b=3").await.failed();
    assert_eq!(error, "error: 'b' already has a value (2), and --overwrite is false\n");
    assert_eq!(api.run("label is/app b=3 --overwrite").await.ok(), "imagestream \"app\" labeled\n");
    assert_eq!(api.run("label is/app b-").await.ok(), "imagestream \"app\" unlabeled\n");
    assert_eq!(api.run("annotate is app 'x.io/y=a b'").await.ok(), "imagestream \"app\" annotated\n");
    assert_eq!(api.object(STREAM)["metadata"]["annotations"], json!({"x.io/y": "a b"}));
}

#[tokio::test]
async fn delete_waits_and_names_what_is_gone() {
    let api = api();
    assert_eq!(api.run("delete is/app").await.ok(), "imagestream \"app\" deleted\n");
    assert_eq!(
        api.run("delete is app").await.failed(),
        "Error from server (NotFound): imagestreams \"app\" not found\n"
    );
    let api = self::api();
    assert_eq!(
        api.run("delete is/app --compat=4").await.ok(),
        "imagestream.image.openshift.io \"app\" deleted\n"
    );
    assert_eq!(api.run("delete is app --ignore-not-found").await.ok(), "");
    let nameless = "{apiVersion: v1, kind: Secret, metadata: {name: yes}}";
    for verb in ["delete", "replace --force", "apply"] {
        let error = api.run_with(&format!("{verb} -f -"), nameless).await.failed();
        assert_eq!(error, "error: resource name may not be empty\n", "{verb}");
    }
    assert_eq!(
        api.run("delete is").await.failed(),
        "error: resource(s) were provided, but no name was specified\n"
    );
}

#[tokio::test]
async fn tags_are_set_by_digest() {
    let api = api();
    let digest = "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";
    let said = api.run("tag app:v1 production/app:prod").await.ok();
    assert_eq!(said, format!("Tag production/app:prod set to pushed/app@{digest}.\n"));
    let path = "/apis/image.openshift.io/v1/namespaces/production/imagestreamtags/app:prod";
    let from = &api.object(path)["tag"]["from"];
    assert_eq!(
        *from,
        json!({"kind": "ImageStreamImage", "name": format!("app@{digest}"), "namespace": "pushed"})
    );
    assert_eq!(
        api.run("tag app:v1 app:stable --alias").await.ok(),
        "Tag app:stable set up to track app:v1.\n"
    );
    assert_eq!(
        api.run("tag quay.io/org/app:1 app:1 --scheduled").await.ok(),
        "Tag app:1 set to import quay.io/org/app:1 periodically.\n"
    );
    assert_eq!(api.run("tag -d app:1").await.ok(), "Deleted tag pushed/app:1.\n");
    let error = api.run("tag app:none app:x").await.failed();
    assert_eq!(
        error,
        "error: \"app:none\" is not currently pointing to an image, cannot use it as the source of a tag\n"
    );
}

#[tokio::test]
async fn creation_by_flags() {
    let api = Api::default();
    let said = api.run("create secret generic s --from-literal=a=b --from-literal=c=d").await.ok();
    assert_eq!(said, "secret \"s\" created\n");
    assert_eq!(api.last_body()["data"], json!({"a": "Yg==", "c": "ZA=="}));
    assert_eq!(api.last_body()["type"], "Opaque");
    let said = api.run("create is app --dry-run=client -o yaml").await.ok();
    assert!(said.starts_with("apiVersion: image.openshift.io/v1\nkind: ImageStream\n"), "{said}");
    api.put(
        "/api/v1/namespaces/pushed/services/web",
        json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
    );
    assert_eq!(
        api.run("create route edge --service=web --hostname=x.example.com").await.ok(),
        "route \"web\" created\n"
    );
    assert_eq!(
        api.last_body()["spec"],
        json!({"to": {"kind": "Service", "name": "web"}, "port": {"targetPort": 8080}, "tls": {"termination": "edge"}, "host": "x.example.com"})
    );
    assert_eq!(
        api.run("create rolebinding b --clusterrole=view --user=ed --serviceaccount=pushed:pusher")
            .await
            .ok(),
        "rolebinding \"b\" created\n"
    );
    assert_eq!(api.last_body()["subjects"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        api.run("create secret generic s --from-literal=oops").await.failed(),
        "error: invalid literal source oops, expected key=value\n"
    );
    let other = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: other}}";
    assert!(
        api.run_with("create -f -", other).await.failed().contains("does not match the namespace \"pushed\"")
    );
}
