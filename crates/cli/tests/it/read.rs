//! `get` in its forms.

use serde_json::{Value, json};

use crate::api::{Api, status};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams";
const SERVICES: &str = "/api/v1/namespaces/pushed/services";

fn api() -> Api {
    let api = Api::default();
    for (name, size) in [("b", 12), ("a", 3)] {
        api.put(
            &format!("{STREAMS}/{name}"),
            json!({
                "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
                "metadata": {"name": name, "namespace": "pushed", "labels": {"app": name}, "creationTimestamp": "2016-03-30T11:58:00Z",
                             "managedFields": [{"manager": "x"}]},
                "spec": {"size": size},
            }),
        );
    }
    api.put(
        &format!("{SERVICES}/web"),
        json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web", "creationTimestamp": "2016-03-27T10:00:00Z"}}),
    );
    api
}

#[tokio::test]
async fn servers_without_tables_get_names_and_ages() {
    let api = api();
    for name in ["a", "b"] {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings/{name}");
        api.put(
            &path,
            json!({"metadata": {"name": name, "labels": {"app": name}, "creationTimestamp": "2016-03-30T11:58:00Z"}}),
        );
    }
    let bindings = "rolebindings.rbac.authorization.k8s.io";
    assert_eq!(api.run(&format!("get {bindings}")).await.ok(), "NAME   AGE\na      2m\nb      2m\n");
    assert_eq!(
        api.run(&format!("get {bindings} b --no-headers --show-labels")).await.ok(),
        "b     2m    app=b\n"
    );
    assert_eq!(
        api.run("get is/a svc/web").await.ok(),
        "NAME                               IMAGE REPOSITORY   TAGS   UPDATED\nimagestream.image.openshift.io/a                             \n\n\
         NAME          TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\nservice/web          <none>       <none>        <none>    3d2h\n"
    );
    let all = api.run("get all").await.ok();
    assert!(all.contains("service/web") && all.contains("imagestream.image.openshift.io/b"), "{all}");
}

#[tokio::test]
async fn tables_of_the_server_are_shown() {
    let api = Api::default();
    let column = |name: &str, priority: i32| json!({"name": name, "type": "string", "priority": priority});
    let row = |cells: Value| json!({"cells": cells, "object": {"metadata": {"name": "x", "namespace": "pushed", "labels": {"l": "1"}}}});
    let table = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": [column("Name", 0), column("Tags", 0), column("Image Repository", 1)],
        "rows": [row(json!(["x", "a,b", "h/p/x"])), row(json!(["evil\u{1b}[31m", 7, null]))],
    });
    api.answer(&format!("GET {STREAMS}"), 200, table.clone());
    assert_eq!(api.run("get is").await.ok(), "NAME         TAGS\nx            a,b\nevil^[[31m   7\n");
    let wide = api.run("get is -o wide -L l").await.ok();
    assert_eq!(wide.lines().next().unwrap(), "NAME         TAGS   IMAGE REPOSITORY   L");
    assert_eq!(wide.lines().nth(1).unwrap(), "x            a,b    h/p/x              1");
    api.answer("GET /apis/image.openshift.io/v1/imagestreams", 200, table);
    let all = api.run("get is -A").await.ok();
    assert_eq!(all.lines().nth(1).unwrap(), "pushed      x            a,b");
}

#[tokio::test]
async fn other_forms() {
    let api = api();
    assert_eq!(
        api.run("get is -o name").await.ok(),
        "imagestream.image.openshift.io/a\nimagestream.image.openshift.io/b\n"
    );
    assert_eq!(
        api.run("get is a -o yaml").await.ok(),
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  creationTimestamp: \"2016-03-30T11:58:00Z\"\n  labels:\n    app: a\n  name: a\n  namespace: pushed\nspec:\n  size: 3\n"
    );
    let json: Value = serde_json::from_str(&api.run("get is -o json").await.ok()).unwrap();
    assert_eq!((json["kind"].as_str(), json["items"].as_array().map(Vec::len)), (Some("List"), Some(2)));
    assert_eq!(api.run("get is -o jsonpath='{.items[*].metadata.name}'").await.ok(), "a b");
    assert_eq!(
        api.run("get is -o jsonpath-as-json='{.items[*].spec}'").await.ok(),
        "[\n    {\n        \"size\": 3\n    },\n    {\n        \"size\": 12\n    }\n]\n"
    );
    assert_eq!(api.run("get is -o go-template='{{range .items}}{{.spec.size}};{{end}}'").await.ok(), "3;12;");
    assert_eq!(
        api.run("get is --sort-by=.spec.size -o custom-columns=N:.metadata.name,S:.spec.size").await.ok(),
        "N     S\na     3\nb     12\n"
    );
    assert_eq!(
        api.run("get --raw /apis/image.openshift.io/v1/namespaces/pushed/imagestreams/a -n x").await.code,
        0
    );
}

#[tokio::test]
async fn nothing_found_and_refusals() {
    let api = api();
    let outcome = api.run("get routes").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""));
    assert_eq!(outcome.stderr, "No resources found in pushed namespace.\n");
    assert_eq!(
        api.run("get is nope").await.failed(),
        "Error from server (NotFound): imagestreams \"nope\" not found\n"
    );
    assert_eq!(api.run("get is nope --ignore-not-found").await.ok(), "");
    assert_eq!(
        api.run("get gadgets").await.failed(),
        "error: the server doesn't have a resource type \"gadgets\"\n"
    );
    let columns = json!([{"name": "Name", "type": "string"}]);
    let empty =
        json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": columns, "rows": null});
    api.answer(&format!("GET {SERVICES}"), 200, empty);
    assert_eq!(api.run("get svc").await.stderr, "No resources found in pushed namespace.\n");
    let (code, refusal) = status(403, "Forbidden", "services is forbidden: no");
    api.answer(&format!("GET {SERVICES}"), code, refusal);
    let outcome = api.run("get svc,is").await;
    assert_eq!(outcome.code, 3);
    assert!(outcome.stdout.contains("imagestream.image.openshift.io/a"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "Error from server (Forbidden): services is forbidden: no\n");
    assert_eq!(api.run("get is -o fancy").await.code, 1);
}

#[tokio::test]
async fn names_prefer_what_people_mean() {
    let api = Api::default();
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings/x";
    api.put(path, json!({"kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "x"}}));
    assert_eq!(api.run("get rolebinding x -o name").await.ok(), "rolebinding.rbac.authorization.k8s.io/x\n");
    assert_eq!(
        api.run("get rolebindings.rbac.authorization.k8s.io -o name").await.ok(),
        "rolebinding.rbac.authorization.k8s.io/x\n"
    );
    assert_eq!(api.run("get rolebindings.authorization.openshift.io").await.code, 0);
}
