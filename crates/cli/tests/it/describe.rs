//! Descriptions that are not in the guide.

use serde_json::json;

use crate::api::Api;

#[tokio::test]
async fn a_route_with_its_endpoints() {
    let api = Api::default();
    api.put(
        "/apis/route.openshift.io/v1/namespaces/pushed/routes/web",
        json!({
            "kind": "Route", "apiVersion": "route.openshift.io/v1",
            "metadata": {"name": "web", "namespace": "pushed", "creationTimestamp": "2016-03-30T11:00:00Z"},
            "spec": {"host": "web.example.com", "to": {"kind": "Service", "name": "web", "weight": 100}, "tls": {"termination": "edge"}},
            "status": {"ingress": [{"routerName": "router", "conditions": [
                {"type": "Admitted", "status": "True", "lastTransitionTime": "2016-03-30T11:00:00Z"}]}]},
        }),
    );
    api.put(
        "/api/v1/namespaces/pushed/services/web",
        json!({"kind": "Service", "metadata": {"name": "web", "namespace": "pushed"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
    );
    api.put(
        "/api/v1/namespaces/pushed/endpoints/web",
        json!({"metadata": {"name": "web"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 8080}]}]}),
    );
    insta::assert_snapshot!(api.run("describe route web").await.ok(), @r"
    Name:             web
    Namespace:        pushed
    Created:          About an hour ago
    Labels:           <none>
    Annotations:      <none>
    Requested Host:   web.example.com
                      exposed on router router About an hour ago
    Path:             <none>
    TLS Termination:  edge
    Insecure Policy:  <none>
    Endpoint Port:    <all endpoint ports>

    Service:    web
    Weight:     100 (100%)
    Endpoints:  10.0.0.1:8080
    ");
}

#[tokio::test]
async fn a_stream_with_imports_in_both_forms() {
    let api = Api::default();
    let item = |digit: &str, created: &str| {
        let digest = format!("sha256:{}", digit.repeat(64));
        json!({"image": digest, "dockerImageReference": format!("quay.io/org/app@{digest}"), "created": created})
    };
    api.put(
        "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/app",
        json!({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": "app", "namespace": "pushed", "creationTimestamp": "2016-03-30T11:00:00Z"},
            "spec": {"tags": [
                {"name": "1.2", "from": {"kind": "DockerImage", "name": "quay.io/org/app:1.2"}, "importPolicy": {"scheduled": true, "insecure": true}, "referencePolicy": {"type": "Local"}},
                {"name": "bad", "from": {"kind": "DockerImage", "name": "quay.io/org/app:bad"}, "generation": 2},
                {"name": "stable", "from": {"kind": "ImageStreamTag", "name": "1.2"}},
            ]},
            "status": {"dockerImageRepository": "172.30.1.1:5000/pushed/app", "tags": [
                {"tag": "1.2", "items": [item("a", "2016-03-30T11:57:00Z"), item("b", "2016-03-28T11:00:00Z")]},
                {"tag": "bad", "items": null, "conditions": [{"type": "ImportSuccess", "status": "False", "reason": "NotFound", "generation": 2,
                    "message": "the image does not exist", "lastTransitionTime": "2016-03-30T11:59:00Z"}]},
            ]},
        }),
    );
    insta::assert_snapshot!("stream-2016", api.run("describe is app").await.ok());
    insta::assert_snapshot!("stream-4", api.run("describe is app --compat=4").await.ok());
}

#[tokio::test]
async fn half_a_name_is_enough() {
    let api = Api::default();
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings/admin-of-ed";
    api.put(
        path,
        json!({
            "kind": "RoleBinding", "metadata": {"name": "admin-of-ed", "namespace": "pushed"},
            "roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [{"kind": "User", "name": "ed"}],
        }),
    );
    let text = api.run("describe rolebinding admin").await.ok();
    assert!(text.contains("Name:         admin-of-ed\n") && text.contains("  User  ed"), "{text}");
    assert_eq!(
        api.run("describe rolebinding none").await.failed(),
        "Error from server (NotFound): rolebindings \"none\" not found\n"
    );
}
