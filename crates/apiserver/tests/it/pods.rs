//! Pods from their birth to their end, and what scales and binds them.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::BodyExt as _;
use pierhead_auth::Subject;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    })
}

/// The project `shop` of ann, whose default account has a token and a secret to pull with.
async fn shop() -> (World, Arc<Subject>) {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = "/api/v1/namespaces/shop/serviceaccounts/default";
    let mut account = world.get(&admin(), path).await.body;
    let secret = json!({
        "metadata": {"name": "default-token-abcde", "annotations": {
            "kubernetes.io/service-account.name": "default",
            "kubernetes.io/service-account.uid": account["metadata"]["uid"],
        }},
        "type": "kubernetes.io/service-account-token", "data": {"token": "dA=="},
    });
    let made = world.post(&admin(), "/api/v1/namespaces/shop/secrets", secret).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    account["secrets"] = json!([{"name": "default-token-abcde"}]);
    account["imagePullSecrets"] = json!([{"name": "default-dockercfg-x"}]);
    world.put(&admin(), path, account).await;
    (world, ann)
}

async fn bind(world: &World, name: &str) {
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}});
    let bound = world.post(&admin(), &format!("{PODS}/{name}/binding"), binding).await;
    assert_eq!(bound.status, StatusCode::CREATED, "{}", bound.body);
}

#[tokio::test]
async fn a_pod_takes_what_its_account_has() {
    let (world, ann) = shop().await;
    let made = world.post(&ann, PODS, pod("a")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let spec = &made.body["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "default-dockercfg-x"}]));
    assert_eq!(
        spec["volumes"],
        json!([{"name": "default-token-abcde", "secret": {"secretName": "default-token-abcde", "defaultMode": 420}}])
    );
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([{
            "name": "default-token-abcde", "readOnly": true,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }])
    );
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(made.body["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    let mut own = pod("b");
    own["spec"]["imagePullSecrets"] = json!([{"name": "mine"}]);
    own["spec"]["automountServiceAccountToken"] = json!(false);
    let made = world.post(&ann, PODS, own).await.body;
    assert_eq!(made["spec"]["imagePullSecrets"], json!([{"name": "mine"}]));
    assert_eq!(made["spec"]["volumes"], Value::Null);
    let selected =
        world.get(&ann, &format!("{PODS}?fieldSelector=status.phase=Pending,spec.nodeName=")).await;
    assert_eq!(selected.body["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_its_account_is_refused() {
    let (world, ann) = shop().await;
    let mut other = pod("a");
    other["spec"]["serviceAccountName"] = json!("builder2");
    let reply = world.post(&ann, PODS, other.clone()).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "pods \"a\" is forbidden: error looking up service account shop/builder2: serviceaccount \"builder2\" not found"
        )
    );
    other["spec"]["serviceAccountName"] = json!("builder");
    let (code, text) = (
        500,
        "no API token found for service account \"builder\", retry after the token is \
                              automatically created and added to the service account",
    );
    assert_eq!(world.post(&ann, PODS, other).await.says(), (code, text));
    let path = "/api/v1/namespaces/shop/serviceaccounts/default";
    let enforce = json!({"metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}});
    world.patch(&admin(), path, "merge-patch", enforce).await;
    let mut curious = pod("a");
    curious["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "other"}}]);
    let reply = world.post(&ann, PODS, curious).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "pods \"a\" is forbidden: volume with secret.secretName=\"other\" is not allowed because service account \
             default does not reference that secret"
        )
    );
}

#[tokio::test]
async fn a_pod_on_a_node_gets_time_to_end() {
    let (world, ann) = shop().await;
    let path = format!("{PODS}/a");
    let uid = world.post(&ann, PODS, pod("a")).await.body["metadata"]["uid"].clone();
    bind(&world, "a").await;
    let again = json!({"metadata": {"name": "a"}, "target": {"name": "n2"}});
    assert_eq!(
        world.post(&admin(), &format!("{path}/binding"), again).await.says(),
        (
            409,
            "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n1\""
        )
    );
    let dying = world.delete(&ann, &path).await;
    assert_eq!(dying.body["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z", "{}", dying.body);
    assert_eq!(dying.body["metadata"]["deletionGracePeriodSeconds"], 30);
    // What the node reports meanwhile changes nothing about that.
    let mut running = dying.body;
    running["status"] = json!({"phase": "Running", "podIP": "10.0.0.9"});
    let reported = world.put(&admin(), &format!("{path}/status"), running).await;
    assert_eq!(reported.status, StatusCode::OK, "{}", reported.body);
    assert_eq!(world.get(&ann, &path).await.body["status"]["podIP"], "10.0.0.9");
    let shorter = world.delete(&ann, &format!("{path}?gracePeriodSeconds=5")).await;
    assert_eq!(shorter.body["metadata"]["deletionTimestamp"], "2026-01-01T00:00:05Z");
    let longer = world.delete(&ann, &format!("{path}?gracePeriodSeconds=60")).await;
    assert_eq!(longer.body["metadata"]["deletionGracePeriodSeconds"], 5);
    let end = |uid: &Value| json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}).to_string();
    let other = world.send(&admin(), "DELETE", &path, &[], end(&json!("other"))).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.body);
    let gone = world.send(&admin(), "DELETE", &path, &[], end(&uid)).await;
    assert_eq!((gone.status, &gone.body["kind"]), (StatusCode::OK, &json!("Pod")));
    assert_eq!(world.get(&ann, &path).await.says(), (404, "pods \"a\" not found"));
}

#[tokio::test]
async fn what_runs_nowhere_goes_at_once() {
    let (world, ann) = shop().await;
    world.post(&ann, PODS, pod("a")).await;
    world.delete(&ann, &format!("{PODS}/a")).await;
    assert_eq!(world.get(&ann, &format!("{PODS}/a")).await.status, StatusCode::NOT_FOUND);
    world.post(&ann, PODS, pod("b")).await;
    let evicted = world.post(&ann, &format!("{PODS}/b/eviction"), json!({"metadata": {"name": "b"}})).await;
    assert_eq!((evicted.status, &evicted.body["status"]), (StatusCode::CREATED, &json!("Success")));
    assert_eq!(world.get(&ann, &format!("{PODS}/b")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_controller_scales_and_takes_its_pods_along() {
    let (world, ann) = shop().await;
    let path = "/api/v1/namespaces/shop/replicationcontrollers";
    let controller = json!({
        "metadata": {"name": "web-1"},
        "spec": {"template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    });
    let made = world.post(&ann, path, controller).await.body;
    assert_eq!(made["spec"]["selector"], json!({"app": "web"}), "{made}");
    assert_eq!((&made["spec"]["replicas"], &made["status"]), (&json!(1), &json!({"replicas": 0})));
    let scale = format!("{path}/web-1/scale");
    let shown = world.get(&ann, &scale).await.body;
    assert_eq!(shown["apiVersion"], "autoscaling/v1");
    assert_eq!(shown["spec"], json!({"replicas": 1}));
    assert_eq!(shown["status"], json!({"replicas": 0, "selector": "app=web"}));
    let scaled = world.patch(&ann, &scale, "merge-patch", json!({"spec": {"replicas": 3}})).await;
    assert_eq!(scaled.body["spec"]["replicas"], 3, "{}", scaled.body);
    let negative = world.patch(&ann, &scale, "merge-patch", json!({"spec": {"replicas": -1}})).await;
    assert_eq!(
        negative.says(),
        (
            422,
            "Scale.autoscaling \"web-1\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        )
    );
    let now = world.get(&ann, &format!("{path}/web-1")).await.body;
    assert_eq!((&now["spec"]["replicas"], &now["metadata"]["generation"]), (&json!(3), &json!(2)));
    let owner = json!([{
        "apiVersion": "v1", "kind": "ReplicationController", "name": "web-1", "uid": now["metadata"]["uid"],
        "controller": true,
    }]);
    for name in ["placed", "waiting"] {
        let mut owned = pod(name);
        owned["metadata"]["ownerReferences"] = owner.clone();
        world.post(&ann, PODS, owned).await;
    }
    bind(&world, "placed").await;
    world.delete(&ann, &format!("{path}/web-1")).await;
    assert_eq!(world.get(&ann, &format!("{PODS}/waiting")).await.status, StatusCode::NOT_FOUND);
    let placed = world.get(&ann, &format!("{PODS}/placed")).await.body;
    assert_eq!(placed["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z", "{placed}");
}

#[tokio::test]
async fn output_is_text_of_the_container_asked_for() {
    let (world, ann) = shop().await;
    let log = format!("{PODS}/a/log");
    assert_eq!(world.get(&ann, &log).await.says(), (404, "pods \"a\" not found"));
    world.post(&ann, PODS, pod("a")).await;
    assert_eq!(world.get(&ann, &log).await.body, "");
    bind(&world, "a").await;
    let reply = world.get(&ann, &format!("{log}?tailLines=2")).await;
    assert_eq!(reply.headers["content-type"], "text/plain");
    assert_eq!(reply.body, "web says: tail 2\n");
    assert_eq!(world.get(&ann, &format!("{log}?limitBytes=3")).await.body, "web");
    let wrong = world.get(&ann, &format!("{log}?container=x")).await;
    assert_eq!(wrong.says(), (400, "container x is not valid for pod a"));
    let stranger = world.get(&user("bob"), &log).await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    let session = world.send(&ann, "POST", &format!("{PODS}/a/exec?command=ls"), &[], "").await;
    assert_eq!(session.says(), (501, "exec is not implemented by this server"));
}

#[tokio::test]
async fn followed_output_ends_with_the_right_to_it() {
    let (world, ann) = shop().await;
    world.post(&ann, PODS, pod("a")).await;
    bind(&world, "a").await;
    let mut body = world.open(&ann, "GET", &format!("{PODS}/a/log?follow=true"), &[], "").await.into_body();
    for _ in 0..3 {
        assert!(body.frame().await.is_some());
    }
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
    let taken = world.delete(&admin(), &format!("{bindings}/admin")).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn short_names_mean_streams_that_say_so() {
    let (world, ann) = shop().await;
    let mapping = |stream: &str| {
        json!({
            "metadata": {"name": stream}, "tag": "1",
            "image": {
                "metadata": {"name": format!("sha256:{}", "a".repeat(64))},
                "dockerImageReference": format!("172.30.0.1:5000/shop/{stream}@sha256:{}", "a".repeat(64)),
            },
        })
    };
    let group = "/apis/image.openshift.io/v1/namespaces/shop";
    for (stream, local) in [("web", true), ("other", false)] {
        let body = json!({"metadata": {"name": stream}, "spec": {"lookupPolicy": {"local": local}}});
        let made = world.post(&admin(), &format!("{group}/imagestreams"), body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let made = world.post(&admin(), &format!("{group}/imagestreammappings"), mapping(stream)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    let reference = json!({
        "metadata": {"name": "web:3"},
        "tag": {"name": "3", "reference": true, "from": {"kind": "DockerImage", "name": "quay.example.com/x/y:3"}},
    });
    let made = world.put(&ann, &format!("{group}/imagestreamtags/web:3"), reference).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let image = async |name: &str, image: &str, annotated: bool| {
        let mut wanted = pod(name);
        wanted["spec"]["containers"][0]["image"] = json!(image);
        if annotated {
            wanted["metadata"]["annotations"] = json!({"alpha.image.policy.openshift.io/resolve-names": "*"});
        }
        world.post(&ann, PODS, wanted).await.body["spec"]["containers"][0]["image"].clone()
    };
    let resolved = |stream: &str| json!(format!("172.30.0.1:5000/shop/{stream}@sha256:{}", "a".repeat(64)));
    assert_eq!(image("a", "web:1", false).await, resolved("web"));
    assert_eq!(image("b", "web:2", false).await, "web:2");
    assert_eq!(image("c", "other:1", false).await, "other:1");
    assert_eq!(image("d", "other:1", true).await, resolved("other"));
    assert_eq!(image("e", "library/web:1", true).await, "library/web:1");
    assert_eq!(image("f", "web:3", false).await, "quay.example.com/x/y:3");
    let path = format!("/apis/image.openshift.io/v1/images/sha256:{}", "a".repeat(64));
    let gone = world.delete(&admin(), &path).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
    assert_eq!(image("g", "web:1", false).await, resolved("web"));
}

#[tokio::test]
async fn events_are_the_same_in_both_forms() {
    let (world, ann) = shop().await;
    let event = json!({
        "metadata": {"name": "web.1"}, "involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"},
        "reason": "Pulled", "message": "got it", "type": "Normal", "count": 2, "source": {"component": "node"},
    });
    let made = world.post(&admin(), "/api/v1/namespaces/shop/events", event).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let newer = "/apis/events.k8s.io/v1/namespaces/shop/events";
    let shown = world.get(&ann, &format!("{newer}?fieldSelector=regarding.name=web")).await.body;
    let shown = &shown["items"][0];
    assert_eq!(shown["apiVersion"], "events.k8s.io/v1", "{shown}");
    assert_eq!((&shown["note"], &shown["regarding"]["name"]), (&json!("got it"), &json!("web")));
    assert_eq!(
        (&shown["deprecatedCount"], &shown["deprecatedSource"]["component"]),
        (&json!(2), &json!("node"))
    );
    let bare = json!({"metadata": {"name": "web.2"}, "regarding": {"namespace": "shop"}, "type": "Normal"});
    let refused = world.post(&admin(), newer, bare).await;
    assert_eq!(
        refused.says(),
        (
            422,
            "Event.events.k8s.io \"web.2\" is invalid: [eventTime: Required value, reportingController: Required value, \
             reportingInstance: Required value, action: Required value, reason: Required value]"
        )
    );
    let full = json!({
        "metadata": {"name": "web.2"}, "regarding": {"kind": "Pod", "name": "web", "namespace": "shop"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x/y", "reportingInstance": "z",
        "action": "Run", "reason": "Started", "type": "Normal", "note": "runs",
    });
    let made = world.post(&admin(), newer, full).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let core = world.get(&ann, "/api/v1/namespaces/shop/events/web.2").await.body;
    assert_eq!((&core["message"], &core["reportingComponent"]), (&json!("runs"), &json!("x/y")), "{core}");
    assert_eq!(core["apiVersion"], "v1");
}
