//! Deployment configurations as the API shows them, on a site without a container engine: what a push starts, what is
//! asked by request, and the paths and forms of 2016. Nothing is scaled up, so every rollout completes.

use anyhow::{Context as _, Result, ensure};
use pierhead_e2e::sample::SampleImage;
use pierhead_e2e::wire::Wire;
use pierhead_testkit::{Actor, Site, eventually};
use serde_json::{Value, json};

/// A configuration of 2016 whose image is left to the tag `app:v1`.
const FOLLOWING: &str = r#"
apiVersion: v1
kind: DeploymentConfig
metadata:
  name: web
spec:
  replicas: 0
  selector:
    name: web
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [web]
      from:
        kind: ImageStreamTag
        name: app:v1
  template:
    metadata:
      labels:
        name: web
    spec:
      containers:
      - name: web
        image: ' '
        env:
        - name: LEVEL
          value: debug
      - name: helper
        image: hub.example.com/helper:1
"#;

const OLD: &str = "/oapi/v1/namespaces/shop/deploymentconfigs/web";

struct Shop {
    site: Site,
    ed: Actor,
    token: String,
}

impl Shop {
    async fn open() -> Result<Self> {
        let site = Site::start().await?;
        let ed = site.user("ed").await?;
        ed.oc(["new-project", "shop"]).await.succeeds();
        let token = ed.oc(["whoami", "-t"]).await.succeeds().trim().to_owned();
        Ok(Self { site, ed, token })
    }

    /// Pushes another image as `app:v1`; gives its digest.
    async fn push(&self) -> Result<String> {
        let image = SampleImage::random(&mut rand::rng(), 2 << 10);
        let authorization = format!("Bearer {}", self.token);
        let registry = self.site.addresses().registry;
        let mut wire = Wire::connect(registry, &registry.to_string(), Some(&authorization)).await?;
        for blob in [&image.config, &image.layer] {
            wire.push_blob("shop/app", &blob.digest, blob.bytes.clone()).await?;
        }
        wire.push_manifest("shop/app", "v1", image.manifest.bytes.clone()).await?;
        Ok(image.manifest.digest)
    }

    async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let got = self.ed.kubectl(["get", kind, name, "-o", "json"]).await;
        if got.code == Some(0) { serde_json::from_str(&got.stdout).ok() } else { None }
    }

    /// The replication controller of a version, once it is complete.
    async fn complete(&self, version: u32) -> Result<Value> {
        let name = format!("web-{version}");
        eventually("the version is complete", async || {
            let controller = self.get("rc", &name).await?;
            let phase = &controller["metadata"]["annotations"]["openshift.io/deployment.phase"];
            (*phase == "Complete").then_some(controller)
        })
        .await
    }

    async fn version(&self) -> Result<Value> {
        let config = self.get("dc", "web").await.context("the configuration is there")?;
        Ok(config["status"]["latestVersion"].clone())
    }

    /// Posts a document to a path, as a client of 2016 would.
    async fn post(&self, path: &str, document: &Value) -> pierhead_testkit::Outcome {
        self.ed.kubectl_with_input(["create", "--raw", path, "-f", "-"], &document.to_string()).await
    }

    /// Puts what is taken; takes it again if the configuration has changed between the two, as
    /// a controller's report of its status does.
    async fn takes_and_puts(&self, mut take: impl AsyncFnMut() -> Result<String>) -> Result<()> {
        eventually("what was taken is put", async || {
            let taken = match take().await {
                Ok(taken) => taken,
                Err(error) => return Some(Err(error)),
            };
            let args = ["replace", "--raw", OLD, "-f", "-"];
            let put = self.ed.kubectl_with_input(args, &taken).await;
            if put.said("the object has been modified") {
                return None;
            }
            put.succeeds();
            Some(Ok(()))
        })
        .await?
    }
}

fn image_of(controller: &Value) -> &str {
    controller["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_rolls_out_what_follows_the_tag() -> Result<()> {
    let shop = Shop::open().await?;
    let made = shop.ed.oc_with_input(["create", "-f", "-"], FOLLOWING).await.succeeds();
    ensure!(made.contains("deploymentconfig") && made.contains("created"), "{made}");
    let waits = shop.ed.oc(["rollout", "status", "dc/web", "--watch=false"]).await;
    ensure!(waits.said("Deployment config \"web\" waiting on image update"), "{waits}");
    let shown = shop.ed.kubectl(["get", "dc"]).await.succeeds();
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(lines[0] == ["NAME", "REVISION", "DESIRED", "CURRENT", "TRIGGERED", "BY"], "{shown}");
    ensure!(lines[1] == ["web", "0", "0", "0", "config,image(app:v1)"], "{shown}");

    let first = shop.push().await?;
    let controller = shop.complete(1).await?;
    ensure!(image_of(&controller).ends_with(&format!("/shop/app@{first}")), "{controller}");
    let annotations = &controller["metadata"]["annotations"];
    ensure!(annotations["openshift.io/deployment.status-reason"] == "image change", "{annotations}");

    let second = shop.push().await?;
    let controller = shop.complete(2).await?;
    ensure!(image_of(&controller).ends_with(&second), "{controller}");
    // An image somebody put there by hand is taken back by the tag.
    let mine =
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"hub.example.com/mine"}]}}}}"#;
    shop.ed.oc(["patch", "dc/web", "-p", mine]).await.succeeds();
    eventually("the tag wins", async || {
        let config = shop.get("dc", "web").await?;
        image_of(&config).ends_with(&second).then_some(())
    })
    .await?;
    shop.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_not_followed_by_itself_is_resolved_on_request() -> Result<()> {
    let shop = Shop::open().await?;
    let by_hand = FOLLOWING.replace("automatic: true", "automatic: false");
    shop.ed.oc_with_input(["create", "-f", "-"], &by_hand).await.succeeds();
    let request = |latest: bool, force: bool| json!({"kind": "DeploymentRequest", "apiVersion": "v1", "name": "web", "latest": latest, "force": force});
    let instantiate = format!("{OLD}/instantiate");
    let refused = shop.post(&instantiate, &request(true, true)).await;
    refused.fails_with("cannot trigger a deployment for \"web\" because it contains unresolved images");
    let digest = shop.push().await?;
    ensure!(shop.version().await? == 0);
    shop.ed.oc(["rollout", "latest", "dc/web"]).await.succeeds();
    let controller = shop.complete(1).await?;
    ensure!(image_of(&controller).ends_with(&digest), "{controller}");
    let nothing = shop.post(&instantiate, &request(true, false)).await;
    ensure!(nothing.said("cannot be instantiated"), "{nothing}");
    shop.ed.oc(["rollout", "pause", "dc/web"]).await.succeeds();
    let paused = shop.post(&instantiate, &request(true, true)).await;
    paused.fails_with("deployment config \"web\" is paused - unpause to request a new deployment");
    shop.ed.oc(["rollout", "resume", "dc/web"]).await.succeeds();

    // What clients of 2016 do: take what is generated, and put it.
    let generated = "/oapi/v1/namespaces/shop/generatedeploymentconfigs/web";
    shop.takes_and_puts(async || {
        let generated = shop.ed.kubectl(["get", "--raw", generated]).await.succeeds();
        let config: Value = serde_json::from_str(&generated)?;
        ensure!(config["apiVersion"] == "v1" && config["status"]["latestVersion"] == 2, "{generated}");
        Ok(generated)
    })
    .await?;
    shop.complete(2).await?;
    let rollback = json!({
        "kind": "DeploymentConfigRollback", "apiVersion": "v1",
        "spec": {"from": {"kind": "ReplicationController", "name": "web-1"}, "includeTemplate": true},
    });
    let path = "/oapi/v1/namespaces/shop/deploymentconfigrollbacks";
    shop.takes_and_puts(async || Ok(shop.post(path, &rollback).await.succeeds())).await?;
    shop.complete(3).await?;
    shop.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_merge_by_name_and_scale_is_one_number() -> Result<()> {
    let shop = Shop::open().await?;
    let manifest = FOLLOWING.replace("automatic: true", "automatic: false");
    shop.ed.oc_with_input(["create", "-f", "-"], &manifest).await.succeeds();
    let patch = json!({"spec": {"template": {"spec": {
        "containers": [{"name": "web", "env": [{"name": "MORE", "value": "1"}], "ports": [{"containerPort": 80}]}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }}}});
    shop.ed.oc(["patch", "dc/web", "-p", &patch.to_string()]).await.succeeds();
    let config = shop.get("dc", "web").await.context("the configuration is there")?;
    let containers = &config["spec"]["template"]["spec"]["containers"];
    ensure!(containers[0]["env"].as_array().map(Vec::len) == Some(2), "{containers}");
    ensure!(
        containers[1]["name"] == "helper" && containers.as_array().map(Vec::len) == Some(2),
        "{containers}"
    );
    shop.ed.kubectl(["scale", "dc/web", "--replicas=3"]).await.succeeds();
    shop.ed.oc(["scale", "dc/web", "--replicas=2"]).await.succeeds();
    let scale = shop.ed.kubectl(["get", "--raw", &format!("{OLD}/scale")]).await.succeeds();
    let scale: Value = serde_json::from_str(&scale)?;
    ensure!(scale["apiVersion"] == "extensions/v1beta1" && scale["spec"]["replicas"] == 2, "{scale}");
    ensure!(scale["status"]["targetSelector"] == "name=web", "{scale}");
    let wrong = r#"{"spec":{"selector":{"name":"other"}}}"#;
    let refused = shop.ed.kubectl(["patch", "dc", "web", "--type=merge", "-p", wrong]).await;
    refused.fails_with("`selector` does not match template `labels`");
    let log = shop.ed.oc(["logs", "dc/web"]).await;
    log.fails_with("no deployment exists for deploymentConfig \"web\"");
    shop.site.stop()
}
