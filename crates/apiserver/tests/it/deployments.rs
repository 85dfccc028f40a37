//! Deployment configurations and what is asked of them: versions, images, older versions, scale.

use std::sync::Arc;

use pierhead_auth::Subject;
use pierhead_store::StoreError;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use serde_json::{Value, json};

use crate::world::{Reply, World, admin, user};

const CONFIGS: &str = "/apis/apps.openshift.io/v1/namespaces/shop/deploymentconfigs";
const OLD: &str = "/oapi/v1/namespaces/shop";

struct Shop {
    world: World,
    ann: Arc<Subject>,
}

impl Shop {
    async fn open() -> Self {
        let (world, ann) = (World::new().await, user("ann"));
        world.project(&ann, "shop").await;
        Self { world, ann }
    }

    async fn create(&self, config: Value) -> Value {
        let made = self.world.post(&self.ann, CONFIGS, config).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
        made.body
    }

    async fn ask(&self, name: &str, subresource: &str, body: Value) -> Reply {
        self.world.post(&self.ann, &format!("{CONFIGS}/{name}/{subresource}"), body).await
    }

    async fn config(&self, name: &str) -> Value {
        self.world.get(&self.ann, &format!("{CONFIGS}/{name}")).await.body
    }

    /// What the controller makes of a version.
    async fn deploy(&self, config: &Value, phase: &str) {
        let name = config["metadata"]["name"].as_str().unwrap();
        let name = format!("{name}-{}", config["status"]["latestVersion"]);
        let controller = json!({
            "apiVersion": "v1", "kind": "ReplicationController",
            "metadata": {"name": name, "namespace": "shop", "annotations": {
                "openshift.io/encoded-deployment-config": config.to_string(),
                "openshift.io/deployment.phase": phase,
            }},
        });
        let (key, bytes) = (ObjectKey::new("replicationcontrollers", "shop", &name), controller.to_string());
        let put = move |tx: &mut pierhead_store::WriteTx<'_>| -> Result<(), StoreError> {
            tx.put(&OBJECTS, &key, &ObjectRecord(bytes.clone().into())).map(|_| ())
        };
        self.world.store.write(put).await.unwrap();
    }

    /// Makes the tag `app:v1` mean an image; gives its pull spec.
    async fn tag(&self, letter: char) -> String {
        let digest = format!("sha256:{}", letter.to_string().repeat(64));
        let reference = format!("quay.example.com/x/app@{digest}");
        let streams = "/apis/image.openshift.io/v1/namespaces/shop/imagestreams";
        self.world.post(&self.ann, streams, json!({"metadata": {"name": "app"}})).await;
        let mapping = json!({
            "metadata": {"name": "app", "namespace": "shop"}, "tag": "v1",
            "image": {"metadata": {"name": digest}, "dockerImageReference": reference},
        });
        let path = "/apis/image.openshift.io/v1/namespaces/shop/imagestreammappings";
        let mapped = self.world.post(&admin(), path, mapping).await;
        assert_eq!(mapped.status.as_u16(), 201, "{}", mapped.body);
        reference
    }
}

/// The configuration of the seed: an image of another registry, named directly.
fn by_name() -> Value {
    json!({
        "kind": "DeploymentConfig", "apiVersion": "v1", "metadata": {"name": "web"},
        "spec": {
            "replicas": 1, "selector": {"name": "web"},
            "template": {
                "metadata": {"labels": {"name": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/pushed/app:latest"}]},
            },
        },
        "status": {"latestVersion": 7},
    })
}

fn following(automatic: bool) -> Value {
    let mut config = by_name();
    config["spec"]["template"]["spec"]["containers"][0]["image"] = " ".into();
    config["spec"]["triggers"] = json!([{"type": "ImageChange", "imageChangeParams": {
        "automatic": automatic, "containerNames": ["web"], "lastTriggeredImage": "forged",
        "from": {"kind": "ImageStreamTag", "name": "app:v1"},
    }}]);
    config
}

fn request(latest: bool, force: bool) -> Value {
    json!({"kind": "DeploymentRequest", "apiVersion": "v1", "name": "web", "latest": latest, "force": force})
}

#[tokio::test]
async fn a_manifest_of_2016_is_defaulted_and_begins_at_version_0() {
    let shop = Shop::open().await;
    for (path, version) in [
        (format!("{OLD}/deploymentconfigs"), "v1"),
        ("/api/v1/namespaces/shop/legacydeploymentconfigs".to_owned(), "v1"),
        (CONFIGS.to_owned(), "apps.openshift.io/v1"),
    ] {
        let made = shop.world.post(&shop.ann, &path, by_name()).await;
        assert_eq!(made.status.as_u16(), 201, "{path}: {}", made.body);
        assert_eq!(made.body["apiVersion"], version);
        assert_eq!(made.body["metadata"]["generation"], 1);
        assert_eq!(made.body["status"]["latestVersion"], 0);
        let spec = &made.body["spec"];
        assert_eq!(spec["triggers"], json!([{"type": "ConfigChange"}]));
        assert_eq!(spec["strategy"]["rollingParams"]["maxSurge"], "25%");
        assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
        // Only the group's API limits the history.
        let limit = if path.starts_with("/oapi") { Value::Null } else { 10.into() };
        assert_eq!(spec["revisionHistoryLimit"], limit, "{path}");
        shop.world.delete(&shop.ann, &format!("{CONFIGS}/web")).await;
    }
    let mut wrong = by_name();
    wrong["spec"]["selector"] = json!({"name": "other"});
    let refused = shop.world.post(&shop.ann, CONFIGS, wrong).await;
    let text = "DeploymentConfig.apps.openshift.io \"web\" is invalid: spec.template.metadata.labels: Invalid value: \
                {\"name\":\"web\"}: `selector` does not match template `labels`";
    assert_eq!(refused.says(), (422, text));
}

#[tokio::test]
async fn the_status_is_the_controllers_but_for_the_next_version() {
    let shop = Shop::open().await;
    shop.create(by_name()).await;
    let path = format!("{CONFIGS}/web");
    for (sent, version, generation) in [(5, 0, 1), (1, 1, 2), (1, 1, 2), (2, 2, 3)] {
        let patch = json!({"status": {"latestVersion": sent, "replicas": 9}});
        let patched = shop.world.patch(&shop.ann, &path, "merge-patch", patch).await.body;
        let got = (&patched["status"]["latestVersion"], &patched["metadata"]["generation"]);
        assert_eq!(got, (&json!(version), &json!(generation)), "{patched}");
        assert_eq!(patched["status"]["replicas"], 0);
    }
    let config = shop.config("web").await;
    assert_eq!(
        config["status"]["details"],
        json!({"message": "manual change", "causes": [{"type": "Manual"}]})
    );
    // The controllers write the rest, and change nothing else by that.
    let mut observed = config.clone();
    observed["status"]["observedGeneration"] = 3.into();
    observed["spec"]["replicas"] = 5.into();
    observed["metadata"]["labels"] = json!({"forged": "yes"});
    let written = shop.world.put(&admin(), &format!("{path}/status"), observed).await.body;
    assert_eq!(written["status"]["observedGeneration"], 3, "{written}");
    assert_eq!((&written["spec"]["replicas"], &written["metadata"]["labels"]), (&json!(1), &Value::Null));
    let mut back = written;
    back["status"]["latestVersion"] = 1.into();
    let refused = shop.world.put(&admin(), &format!("{path}/status"), back).await;
    assert!(refused.says().1.ends_with("latestVersion cannot be decremented"), "{}", refused.body);
    assert_eq!(shop.world.put(&shop.ann, &format!("{path}/status"), config).await.status.as_u16(), 403);
}

#[tokio::test]
async fn a_request_resolves_images_and_counts_up() {
    let shop = Shop::open().await;
    let made = shop.create(following(true)).await;
    let params = "/spec/triggers/0/imageChangeParams";
    assert_eq!(made.pointer(&format!("{params}/lastTriggeredImage")), None, "{made}");
    assert_eq!(made.pointer(&format!("{params}/from/namespace")), Some(&json!("shop")));
    let unresolved = "cannot trigger a deployment for \"web\" because it contains unresolved images";
    assert_eq!(shop.ask("web", "instantiate", request(true, false)).await.says(), (400, unresolved));
    let first = shop.tag('a').await;
    let begun = shop.ask("web", "instantiate", request(true, false)).await;
    assert_eq!(begun.status.as_u16(), 201, "{}", begun.body);
    let config = begun.body;
    assert_eq!(config["spec"]["template"]["spec"]["containers"][0]["image"], first);
    assert_eq!(config.pointer(&format!("{params}/lastTriggeredImage")), Some(&json!(first)));
    assert_eq!(
        (&config["status"]["latestVersion"], &config["metadata"]["generation"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(config["status"]["details"]["message"], "image change");
    let cause = &config["status"]["details"]["causes"][0]["imageTrigger"]["from"];
    assert_eq!(*cause, json!({"kind": "ImageStreamTag", "namespace": "shop", "name": "app:v1"}));
    // The controller has not made anything of version 1 yet.
    let early = shop.ask("web", "instantiate", request(true, false)).await;
    assert_eq!(early.says(), (404, "replicationcontrollers \"web-1\" not found"));
    shop.deploy(&config, "Complete").await;
    let again = shop.ask("web", "instantiate", request(true, false)).await;
    assert_eq!(again.status.as_u16(), 201);
    let nothing = "deployment config \"web\" cannot be instantiated";
    assert_eq!((&again.body["code"], again.says().1), (&json!(204), nothing));
    let second = shop.tag('b').await;
    let moved = shop.ask("web", "instantiate", request(true, false)).await.body;
    assert_eq!(
        (&moved["status"]["latestVersion"], &moved["spec"]["template"]["spec"]["containers"][0]["image"]),
        (&json!(2), &json!(second))
    );
    shop.deploy(&moved, "Complete").await;
    let forced = shop.ask("web", "instantiate", request(false, true)).await.body;
    assert_eq!(forced["status"]["details"]["message"], "manual change", "{forced}");
}

#[tokio::test]
async fn a_request_is_refused_where_it_makes_no_sense() {
    let shop = Shop::open().await;
    shop.create(following(false)).await;
    shop.tag('a').await;
    // Triggers that do not act by themselves are resolved only by force.
    assert_eq!(shop.ask("web", "instantiate", request(true, false)).await.status.as_u16(), 400);
    let begun = shop.ask("web", "instantiate", request(true, true)).await;
    assert_eq!((begun.status.as_u16(), &begun.body["status"]["latestVersion"]), (201, &json!(1)));
    let mut other = request(true, true);
    other["name"] = "other".into();
    let refused = shop.ask("web", "instantiate", other).await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.body);
    assert_eq!(shop.ask("none", "instantiate", request(true, true)).await.status.as_u16(), 404);
    let path = format!("{CONFIGS}/web");
    shop.world.patch(&shop.ann, &path, "merge-patch", json!({"spec": {"paused": true}})).await;
    let paused = "DeploymentRequest.apps.openshift.io \"web\" is invalid: spec.paused: Invalid value: true: deployment \
                  config \"web\" is paused - unpause to request a new deployment";
    assert_eq!(shop.ask("web", "instantiate", request(true, true)).await.says(), (422, paused));
    let stranger = shop.world.post(&user("eve"), &format!("{path}/instantiate"), request(true, true)).await;
    assert_eq!(stranger.status.as_u16(), 403);
}

#[tokio::test]
async fn an_older_version_is_shown_and_not_stored() {
    let shop = Shop::open().await;
    shop.create(by_name()).await;
    let rollback = |revision: i64| json!({"name": "web", "updatedAnnotations": {"by": "ann"}, "spec": {"revision": revision, "includeTemplate": true}});
    let said =
        |reply: &Reply| reply.body["details"]["causes"][0]["message"].as_str().unwrap_or_default().to_owned();
    let path = format!("{CONFIGS}/web");
    for (version, image, refused) in [
        (0, "one", "cannot rollback an undeployed config"),
        (1, "two", "no previous deployment exists for \"shop/web\""),
        (2, "three", "version 2 is already the latest"),
    ] {
        let reply = shop.ask("web", "rollback", rollback(version)).await;
        assert_eq!(
            (reply.status.as_u16(), said(&reply)),
            (422, format!("Invalid value: \"web\": {refused}"))
        );
        let patch = json!({
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}},
            "status": {"latestVersion": version + 1},
        });
        let next = shop.world.patch(&shop.ann, &path, "strategic-merge-patch", patch).await.body;
        assert_eq!(next["status"]["latestVersion"], version + 1, "{next}");
        shop.deploy(&next, if version == 1 { "Failed" } else { "Complete" }).await;
    }
    let image = |config: &Value| config["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    for (wanted, expected) in [(0, "one"), (2, "two"), (1, "one")] {
        let back = shop.ask("web", "rollback", rollback(wanted)).await;
        assert_eq!((back.status.as_u16(), image(&back.body)), (201, json!(expected)), "{}", back.body);
        assert_eq!(back.body["status"]["latestVersion"], 4);
        assert_eq!(back.body["metadata"]["annotations"]["by"], "ann");
    }
    assert_eq!(image(&shop.config("web").await), "three");
    let lost = shop.ask("web", "rollback", rollback(9)).await;
    assert_eq!(said(&lost), "Invalid value: \"web\": couldn't find deployment for rollback");
    // The resource of 2016 names the replication controller; what it answers with is put back.
    let old = json!({
        "kind": "DeploymentConfigRollback", "apiVersion": "v1",
        "spec": {"from": {"name": "web-1"}, "includeTemplate": true},
    });
    let back = shop.world.post(&shop.ann, &format!("{OLD}/deploymentconfigrollbacks"), old).await;
    assert_eq!((back.status.as_u16(), &back.body["apiVersion"]), (201, &json!("v1")), "{}", back.body);
    let put = shop.world.put(&shop.ann, &format!("{OLD}/deploymentconfigs/web"), back.body).await.body;
    assert_eq!((image(&put), &put["status"]["latestVersion"]), (json!("one"), &json!(4)), "{put}");
}

#[tokio::test]
async fn scale_and_generation_of_2016() {
    let shop = Shop::open().await;
    shop.create(following(true)).await;
    let scale = format!("{CONFIGS}/web/scale");
    let shown = shop.world.get(&shop.ann, &scale).await.body;
    assert_eq!((&shown["apiVersion"], &shown["kind"]), (&json!("extensions/v1beta1"), &json!("Scale")));
    assert_eq!(
        (&shown["spec"]["replicas"], &shown["status"]["targetSelector"]),
        (&json!(1), &json!("name=web"))
    );
    let patched = shop.world.patch(&shop.ann, &scale, "merge-patch", json!({"spec": {"replicas": 3}})).await;
    assert_eq!(patched.body["spec"]["replicas"], 3, "{}", patched.body);
    let mut sent = patched.body;
    sent["spec"]["replicas"] = 0.into();
    let put = shop.world.put(&shop.ann, &format!("{OLD}/deploymentconfigs/web/scale"), sent).await;
    assert_eq!((put.status.as_u16(), &put.body["spec"]["replicas"]), (200, &Value::Null), "{}", put.body);
    let wrong = shop.world.patch(&shop.ann, &scale, "merge-patch", json!({"spec": {"replicas": -1}})).await;
    let text = "Scale.extensions \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!(wrong.says(), (422, text));
    assert_eq!(shop.config("web").await["metadata"]["generation"], 3);

    let image = shop.tag('a').await;
    let made = shop.world.get(&shop.ann, &format!("{OLD}/generatedeploymentconfigs/web")).await.body;
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["image"], image, "{made}");
    assert_eq!((&made["apiVersion"], &made["status"]["latestVersion"]), (&json!("v1"), &json!(1)));
    assert_eq!(shop.config("web").await["status"]["latestVersion"], 0);
    let resources = shop.world.get(&shop.ann, "/oapi/v1").await.body.to_string();
    assert!(
        resources.contains("deploymentconfigs/scale") && !resources.contains("generatedeploymentconfigs")
    );
}

#[tokio::test]
async fn short_names_are_resolved_only_where_they_are_written() {
    let shop = Shop::open().await;
    let mut config = by_name();
    config["spec"]["template"]["spec"]["containers"][0]["image"] = "app:v1".into();
    config["metadata"]["annotations"] = json!({"alpha.image.policy.openshift.io/resolve-names": "*"});
    shop.create(config).await;
    let image = shop.tag('a').await;
    let shown = |config: &Value| {
        let image = &config["spec"]["template"]["spec"]["containers"][0]["image"];
        (image.clone(), config["metadata"]["generation"].clone())
    };
    let path = format!("{CONFIGS}/web");
    let mut sent = shop.config("web").await;
    sent["status"]["replicas"] = 1.into();
    let put = shop.world.put(&admin(), &format!("{path}/status"), sent).await.body;
    assert_eq!((shown(&put), &put["status"]["replicas"]), ((json!("app:v1"), json!(1)), &json!(1)), "{put}");
    let scale = json!({"spec": {"replicas": 2}});
    shop.world.patch(&shop.ann, &format!("{path}/scale"), "merge-patch", scale).await;
    assert_eq!(shown(&shop.config("web").await), (json!("app:v1"), json!(2)));
    let other = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "other"}]}}}});
    let back = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "app:v1"}]}}}});
    shop.world.patch(&shop.ann, &path, "strategic-merge-patch", other).await;
    shop.world.patch(&shop.ann, &path, "strategic-merge-patch", back).await;
    assert_eq!(shown(&shop.config("web").await), (json!(image), json!(4)));
}

#[tokio::test]
async fn images_of_other_projects_are_for_those_who_may_pull_them() {
    let shop = Shop::open().await;
    let image = shop.tag('a').await;
    let bob = user("bob");
    shop.world.project(&bob, "garden").await;
    let configs = CONFIGS.replace("shop", "garden");
    let mut config = following(true);
    config["spec"]["triggers"][0]["imageChangeParams"]["from"]["namespace"] = "shop".into();
    let made = shop.world.post(&bob, &configs, config).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let generated = || async {
        let path = "/oapi/v1/namespaces/garden/generatedeploymentconfigs/web";
        let config = shop.world.get(&bob, path).await.body;
        config["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!(generated().await, " ");
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
    for (subject, expected) in [
        (json!({"kind": "User", "name": "bob"}), image.as_str()),
        (json!({"kind": "ServiceAccount", "namespace": "garden", "name": "default"}), image.as_str()),
        (json!({"kind": "ServiceAccount", "namespace": "garden", "name": "builder"}), " "),
    ] {
        let binding = json!({
            "metadata": {"name": "pull"}, "subjects": [subject],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-puller",
            },
        });
        let bound = shop.world.post(&shop.ann, path, binding).await;
        assert_eq!(bound.status.as_u16(), 201, "{}", bound.body);
        assert_eq!(generated().await, expected, "{subject}");
        shop.world.delete(&shop.ann, &format!("{path}/pull")).await;
    }
}
