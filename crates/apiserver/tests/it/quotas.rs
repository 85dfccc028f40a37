//! Limit ranges and quotas through the front door: how they are made, shown, kept up and enforced.

use std::sync::Arc;

use pierhead_auth::Subject;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const QUOTAS: &str = "/api/v1/namespaces/shop/resourcequotas";
const MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/shop/imagestreams";
const SHARED: &str = "/apis/quota.openshift.io/v1/clusterresourcequotas";

async fn shop() -> (World, Arc<Subject>) {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    (world, ann)
}

async fn make(world: &World, path: &str, body: Value) -> Value {
    let made = world.post(&admin(), path, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

async fn used(world: &World) -> Value {
    world.get(&admin(), &format!("{QUOTAS}/q")).await.body["status"]["used"].clone()
}

#[tokio::test]
async fn a_quota_is_true_from_its_first_moment() {
    let (world, ann) = shop().await;
    make(&world, MAPS, json!({"metadata": {"name": "a"}})).await;
    make(&world, STREAMS, json!({"metadata": {"name": "web"}})).await;
    let hard = json!({"configmaps": "2", "openshift.io/imagestreams": "1", "count/roles.rbac.authorization.k8s.io": "0"});
    let quota = make(
        &world,
        QUOTAS,
        json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"used": {"configmaps": "99"}}}),
    )
    .await;
    let start = json!({"configmaps": "1", "openshift.io/imagestreams": "1", "count/roles.rbac.authorization.k8s.io": "0"});
    assert_eq!((&quota["status"]["hard"], &quota["status"]["used"]), (&hard, &start));
    assert_eq!(world.post(&ann, MAPS, json!({"metadata": {"name": "b"}})).await.status, 201);
    let over = "exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2";
    let reply = world.post(&ann, MAPS, json!({"metadata": {"name": "c"}})).await;
    assert_eq!(reply.says(), (403, format!("configmaps \"c\" is forbidden: {over}").as_str()));
    let tried = world.post(&ann, &format!("{MAPS}?dryRun=All"), json!({"metadata": {"name": "c"}})).await;
    assert_eq!(tried.status, 403);
    let reply = world.post(&ann, STREAMS, json!({"metadata": {"name": "more"}})).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "imagestreams.image.openshift.io \"more\" is forbidden: exceeded quota: q, requested: \
             openshift.io/imagestreams=1, used: openshift.io/imagestreams=1, limited: openshift.io/imagestreams=1"
        )
    );
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles";
    let reply = world.post(&admin(), roles, json!({"metadata": {"name": "r"}, "rules": []})).await;
    assert_eq!(reply.status, 403, "{}", reply.body);
    world.delete(&ann, &format!("{MAPS}/a")).await;
    world.delete(&ann, &format!("{STREAMS}/web")).await;
    assert_eq!(used(&world).await["configmaps"], "1");
    assert_eq!(used(&world).await["openshift.io/imagestreams"], "0");
    // Nobody talks a quota into another number.
    let mut lie = world.get(&admin(), &format!("{QUOTAS}/q")).await.body;
    lie["status"]["used"]["configmaps"] = json!("0");
    let told = world.put(&admin(), &format!("{QUOTAS}/q/status"), lie).await;
    assert_eq!(told.body["status"]["used"]["configmaps"], "1", "{}", told.body);
    // Members read quotas and do not change them.
    assert_eq!(world.get(&ann, QUOTAS).await.status, 200);
    assert_eq!(world.delete(&ann, &format!("{QUOTAS}/q")).await.status, 403);
}

#[tokio::test]
async fn writers_at_the_same_time_stay_within_a_quota() {
    let (world, ann) = shop().await;
    let before = world.get(&ann, MAPS).await.body["items"].as_array().unwrap().len();
    let hard = json!({"configmaps": (before + 6).to_string()});
    make(&world, QUOTAS, json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})).await;
    let bodies = (0..30).map(|number| json!({"metadata": {"name": format!("m{number}")}}));
    let replies = futures_util::future::join_all(bodies.map(|body| world.post(&ann, MAPS, body))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 6);
    assert_eq!(used(&world).await, hard);
}

#[tokio::test]
async fn watchers_see_what_is_used_and_versions_stay_in_order() {
    let (world, _) = shop().await;
    make(&world, QUOTAS, json!({"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "9"}}})).await;
    let map = make(&world, MAPS, json!({"metadata": {"name": "a"}})).await;
    let version =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let stored = world.get(&admin(), &format!("{MAPS}/a")).await.body;
    let quota = world.get(&admin(), &format!("{QUOTAS}/q")).await.body;
    assert_eq!(version(&map), version(&stored));
    assert!(version(&quota) < version(&stored), "each change has a revision of its own");
}

#[tokio::test]
async fn projects_of_a_team_share_a_quota() {
    let (world, ann) = shop().await;
    world.project(&ann, "other").await;
    let spec = json!({
        "selector": {"annotations": {"openshift.io/requester": "ann"}, "labels": null},
        "quota": {"hard": {"configmaps": "100", "openshift.io/imagestreams": "1"}},
    });
    make(&world, STREAMS, json!({"metadata": {"name": "web"}})).await;
    let quota = make(&world, SHARED, json!({"metadata": {"name": "team"}, "spec": spec})).await;
    let names: Vec<&str> = quota["status"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["namespace"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["other", "shop"]);
    let elsewhere = "/apis/image.openshift.io/v1/namespaces/other/imagestreams";
    let reply = world.post(&ann, elsewhere, json!({"metadata": {"name": "web"}})).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "imagestreams.image.openshift.io \"web\" is forbidden: exceeded quota: team, requested: \
             openshift.io/imagestreams=1, used: openshift.io/imagestreams=1, limited: openshift.io/imagestreams=1"
        )
    );
    // Its members see it from inside, though not the quota itself.
    let applied = "/apis/quota.openshift.io/v1/namespaces/shop/appliedclusterresourcequotas";
    let listed = world.get(&ann, applied).await.body;
    assert_eq!(listed["items"][0]["metadata"]["name"], "team", "{listed}");
    assert_eq!(world.get(&ann, &format!("{applied}/team")).await.body["kind"], "AppliedClusterResourceQuota");
    assert_eq!(world.get(&ann, &format!("{SHARED}/team")).await.status, 403);
    // A project that comes is counted, one that goes is not.
    world.project(&ann, "third").await;
    let count = async || {
        let quota = world.get(&admin(), &format!("{SHARED}/team")).await.body;
        quota["status"]["namespaces"].as_array().unwrap().len()
    };
    assert_eq!(count().await, 3);
    let annotation = json!({"metadata": {"annotations": {"openshift.io/requester": "bob"}}});
    world.patch(&admin(), "/api/v1/namespaces/third", "merge-patch", annotation).await;
    assert_eq!(count().await, 2);
    let reply =
        world.post(&admin(), SHARED, json!({"metadata": {"name": "all"}, "spec": {"quota": {}}})).await;
    assert_eq!(
        reply.says(),
        (
            422,
            "ClusterResourceQuota.quota.openshift.io \"all\" is invalid: spec.selector.labels: Required value: must \
             restrict the selected projects"
        )
    );
}

#[tokio::test]
async fn pods_take_defaults_and_keep_to_limits() {
    let (world, _) = shop().await;
    let limits = json!([{"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}}]);
    let path = "/api/v1/namespaces/shop/limitranges";
    let made = make(&world, path, json!({"metadata": {"name": "l"}, "spec": {"limits": limits}})).await;
    assert_eq!(made["spec"]["limits"][0]["defaultRequest"], json!({"cpu": "500m"}));
    let account = "/api/v1/namespaces/shop/serviceaccounts/default";
    let no_token = json!({"automountServiceAccountToken": false});
    world.patch(&admin(), account, "merge-patch", no_token).await;
    let pod = |name: &str, resources: Value| json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x:1", "resources": resources}]}});
    let pods = "/api/v1/namespaces/shop/pods";
    let made = make(&world, pods, pod("a", json!({}))).await;
    let container = &made["spec"]["containers"][0];
    assert_eq!(container["resources"], json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}));
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let reply = world.post(&admin(), pods, pod("b", json!({"limits": {"cpu": "2"}}))).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "pods \"b\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per \
             Container is 1, but request is 2]"
        )
    );
}
