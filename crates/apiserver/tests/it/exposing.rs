//! Services and routes: what leads to the registry from outside.

use std::sync::Arc;

use pierhead_apiserver::{ApiServer, Config};
use pierhead_auth::Era;
use pierhead_blobs::Blobs;
use pierhead_images::Images;
use pierhead_runtime::ManualClock;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const SERVICES: &str = "/api/v1/namespaces/shop/services";
const ROUTES: &str = "/apis/route.openshift.io/v1/namespaces/shop/routes";

async fn shop() -> World {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    world
}

/// The same store behind a server that imitates a newer OpenShift.
fn modern(world: &World) -> World {
    let clock = ManualClock::default().shared();
    let images = Images::open(
        world.store.clone(),
        Blobs::memory(Arc::clone(&clock)),
        pierhead_images::Config::new("172.30.0.1:5000"),
        Arc::clone(&clock),
    )
    .unwrap();
    let config = Config { era: Era::V4, ..Config::new("https://127.0.0.1:8443", "apps.example.com") };
    let server = ApiServer::new(world.store.clone(), world.auth.clone(), images, config, clock);
    World { server, store: world.store.clone(), auth: world.auth.clone() }
}

#[tokio::test]
async fn services_get_an_address_and_keep_it() {
    let world = shop().await;
    let service = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let ports = json!([{"port": 5000}]);
    let made = world.post(&user("ann"), SERVICES, service("a", json!({"ports": ports}))).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let address = made.body["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("172.30."), "{address}");
    assert_eq!(made.body["spec"]["ports"][0]["targetPort"], 5000);

    let taken =
        world.post(&user("ann"), SERVICES, service("b", json!({"ports": ports, "clusterIP": address}))).await;
    assert_eq!(taken.status.as_u16(), 422);
    assert!(taken.says().1.contains("provided IP is already allocated"), "{}", taken.body);

    let put = world
        .put(&user("ann"), &format!("{SERVICES}/a"), service("a", json!({"ports": [{"port": 80}]})))
        .await;
    assert_eq!(put.status.as_u16(), 200, "{}", put.body);
    assert_eq!(put.body["spec"]["clusterIP"], address);
    let moved = service("a", json!({"ports": ports, "clusterIP": "172.30.9.9"}));
    let moved = world.put(&user("ann"), &format!("{SERVICES}/a"), moved).await;
    assert!(moved.says().1.contains("may not change once set"), "{}", moved.body);

    for (address, text) in [
        ("8.8.8.8", "provided IP is not in the valid range"),
        ("172.30.255.255", "provided IP is not in the valid range"),
        ("172.31.0.1", "provided IP is not in the valid range"),
    ] {
        let wrong = service("b", json!({"ports": ports, "clusterIP": address}));
        let wrong = world.post(&user("ann"), SERVICES, wrong).await;
        assert!(wrong.status.as_u16() == 422 && wrong.says().1.contains(text), "{address}: {}", wrong.body);
    }

    let headless = world.post(&user("ann"), SERVICES, service("c", json!({"clusterIP": "None"}))).await;
    assert_eq!(headless.body["spec"]["clusterIP"], "None", "{}", headless.body);
}

#[tokio::test]
async fn an_address_is_given_once_however_many_ask_and_again_when_it_is_free() {
    let world = shop().await;
    let ann = user("ann");
    let wanted = |name: &str| {
        let spec = json!({"ports": [{"port": 80}], "clusterIP": "172.30.0.9"});
        world.post(&ann, SERVICES, json!({"metadata": {"name": name}, "spec": spec}))
    };
    let (one, two) = tokio::join!(wanted("one"), wanted("two"));
    let mut codes = [one.status.as_u16(), two.status.as_u16()];
    codes.sort_unstable();
    assert_eq!(codes, [201, 422], "{} {}", one.body, two.body);
    assert!(two.says().1.contains("provided IP is already allocated"), "{}", two.body);
    world.delete(&ann, &format!("{SERVICES}/one")).await;
    assert_eq!(wanted("two").await.status.as_u16(), 201);
}

#[tokio::test]
async fn exposing_a_service_gives_it_a_host() {
    let world = shop().await;
    let route = json!({
        "apiVersion": "v1", "kind": "Route", "metadata": {"name": "docker-registry"},
        "spec": {"to": {"name": "docker-registry"}}, "status": {"ingress": [{"host": "forged"}]},
    });
    let made = world.post(&user("ann"), "/oapi/v1/namespaces/shop/routes", route).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let expected = json!({
        "host": "docker-registry-shop.apps.example.com", "wildcardPolicy": "None",
        "to": {"kind": "Service", "name": "docker-registry", "weight": 100},
    });
    assert_eq!(made.body["spec"], expected);
    assert_eq!(made.body["metadata"]["annotations"]["openshift.io/host.generated"], "true");
    assert_eq!(made.body["status"], json!({}));
    assert_eq!(made.body["metadata"]["generation"], 1);

    let mut changed = made.body.clone();
    changed["spec"]["host"] = "".into();
    changed["spec"]["path"] = "/v2".into();
    let put = world.put(&user("ann"), "/oapi/v1/namespaces/shop/routes/docker-registry", changed).await;
    assert_eq!(put.body["spec"]["host"], expected["host"], "{}", put.body);
    assert_eq!(put.body["metadata"]["generation"], 2);

    let mut status = world.get(&admin(), &format!("{ROUTES}/docker-registry")).await.body;
    status["status"] = json!({"ingress": [{
        "host": "h", "routerName": "router", "conditions": [{"type": "Admitted", "status": "True"}],
    }]});
    let told = world.put(&admin(), &format!("{ROUTES}/docker-registry/status"), status).await;
    assert_eq!(told.status.as_u16(), 200, "{}", told.body);
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table = world.send(&user("ann"), "GET", ROUTES, &[table], "").await.body;
    assert_eq!(table["rows"][0]["cells"][1], "h", "{table}");

    let bad = json!({"metadata": {"name": "x"}, "spec": {"to": {"name": ""}, "path": "v2"}});
    let bad = world.post(&user("ann"), ROUTES, bad).await;
    let message = r#"Route.route.openshift.io "x" is invalid: [spec.path: Invalid value: "v2": path must begin with /, spec.to.name: Required value]"#;
    assert_eq!(bad.says(), (422, message));
}

#[tokio::test]
async fn newer_servers_guard_hosts_and_certificates() {
    let world = modern(&shop().await);
    let rules = json!([{"verbs": ["*"], "apiGroups": ["route.openshift.io"], "resources": ["routes"]}]);
    let role = json!({"metadata": {"name": "exposer"}, "rules": rules});
    let binding = json!({
        "metadata": {"name": "exposer"}, "roleRef": {"kind": "Role", "name": "exposer"},
        "subjects": [{"kind": "User", "name": "bob"}],
    });
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
    assert_eq!(world.post(&admin(), &format!("{rbac}/roles"), role).await.status.as_u16(), 201);
    assert_eq!(world.post(&admin(), &format!("{rbac}/rolebindings"), binding).await.status.as_u16(), 201);

    let check = async |spec: Value, expected: (u16, &str)| {
        let mut route = json!({"metadata": {"generateName": "r-"}, "spec": {"to": {"name": "s"}}});
        route["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let reply = world.post(&user("bob"), ROUTES, route).await;
        let (code, message) = reply.says();
        assert_eq!(code, expected.0, "{}", reply.body);
        assert!(message.ends_with(expected.1), "{message}");
    };
    check(json!({}), (201, "")).await;
    let host = "spec.host: Forbidden: you do not have permission to set the host field of the route";
    check(json!({"host": "x.example.com"}), (422, host)).await;
    let tls = "spec.tls: Forbidden: you do not have permission to set certificate fields on the route";
    check(json!({"tls": {"termination": "edge", "certificate": "c", "key": "k"}}), (422, tls)).await;

    let marked = json!({
        "metadata": {"name": "marked", "annotations": {"openshift.io/host.generated": "true"}},
        "spec": {"to": {"name": "s"}, "host": "stolen.example.com"},
    });
    assert_eq!(world.post(&user("bob"), ROUTES, marked).await.says().0, 422, "the mark is no way around");

    let list = world.get(&user("bob"), ROUTES).await.body;
    let mut moved = list["items"][0].clone();
    moved["spec"]["host"] = "y.example.com".into();
    let path = format!("{ROUTES}/{}", moved["metadata"]["name"].as_str().unwrap());
    let refused = world.put(&user("bob"), &path, moved.clone()).await;
    assert!(refused.says().1.ends_with("you do not have permission to set the host field of the route"));
    assert_eq!(world.put(&admin(), &path, moved).await.status.as_u16(), 200);
}

#[tokio::test]
async fn secrets_are_checked_by_type() {
    let world = shop().await;
    let secrets = "/api/v1/namespaces/shop/secrets";
    let made = json!({"metadata": {"name": "a"}, "stringData": {"k": "v"}});
    let made = world.post(&user("ann"), secrets, made).await;
    assert_eq!((&made.body["type"], &made.body["data"]["k"]), (&json!("Opaque"), &json!("dg==")));
    assert_eq!(made.body.get("stringData"), None);
    let bad = json!({"metadata": {"name": "b"}, "type": "kubernetes.io/dockercfg"});
    let bad = world.post(&user("ann"), secrets, bad).await;
    assert_eq!(bad.says(), (422, r#"Secret "b" is invalid: data[.dockercfg]: Required value"#));
    let found = world.get(&user("ann"), &format!("{secrets}?fieldSelector=type=Opaque")).await.body;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let retyped = json!({"metadata": {"name": "a"}, "type": "other", "data": {}});
    let retyped = world.put(&user("ann"), &format!("{secrets}/a"), retyped).await;
    assert!(
        retyped.says().1.contains(r#"type: Invalid value: "other": field is immutable"#),
        "{}",
        retyped.body
    );
    let patched = world
        .patch(
            &user("ann"),
            "/api/v1/namespaces/shop/serviceaccounts/builder",
            "strategic-merge-patch",
            json!({"imagePullSecrets": [{"name": "a"}]}),
        )
        .await;
    assert_eq!(patched.body["imagePullSecrets"], json!([{"name": "a"}]), "{}", patched.body);
}
