//! Rollouts with a container engine: both strategies with their hooks, what fails and is taken back, scale, pause and
//! cancel, and that nothing is left in the engine however many there were.
//!
//! `PIERHEAD_ROLLOUTS` says how many rollouts in a row the last tests do; a hundred for `cargo xtask torture`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Actor, DockerEngine, Lan, Outcome, Site, SiteOptions, eventually_within};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
/// Rollouts in a row where nobody asks for more.
const FEW: u32 = 4;
/// Pods of `web`.
const REPLICAS: usize = 2;
/// The longest wait from asking for a rollout to the end of the server.
const KILLED_WITHIN: Duration = Duration::from_secs(3);

struct Cluster {
    site: Site,
    docker: DockerEngine,
    ed: Actor,
    _lan: Lan,
}

/// `web`, with two pods of an image that the engine has, replaced by `strategy`.
fn config(strategy: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "DeploymentConfig", "metadata": {"name": "web"},
        "spec": {
            "replicas": REPLICAS, "strategy": strategy, "selector": {"name": "web"},
            "template": {
                "metadata": {"labels": {"name": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "web", "image": "local/app:1", "imagePullPolicy": "IfNotPresent",
                        "readinessProbe": {"periodSeconds": 1, "httpGet": {"path": "/message", "port": 8080}},
                    }],
                },
            },
        },
    })
}

fn hook(command: &str) -> Value {
    json!({"failurePolicy": "Abort", "execNewPod": {"command": ["/bin/busybox", "sh", "-c", command]}})
}

impl Cluster {
    async fn start() -> Result<Self> {
        let lan = Lan::new()?;
        let machine = lan.machine()?;
        let docker = DockerEngine::start_on(&machine).await?;
        let config = Some(docker.node_section());
        let options = SiteOptions { machine: Some(machine), config, ..SiteOptions::default() };
        let site = Site::start_with(options).await?;
        docker.make_web_image("local/app:1", "hello\n").await?;
        let ed = site.user("ed").await?;
        ed.oc(["new-project", "shop"]).await.succeeds();
        Ok(Self { site, docker, ed, _lan: lan })
    }

    async fn oc(&self, line: &str) -> Outcome {
        self.ed.oc(line.split(' ')).await
    }

    async fn create(&self, config: &Value) {
        self.ed.oc_with_input(["create", "-f", "-"], &config.to_string()).await.succeeds();
    }

    async fn patch(&self, patch: &Value) {
        self.ed.oc(["patch", "dc/web", "-p", &patch.to_string()]).await.succeeds();
    }

    async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let got = self.ed.kubectl(["get", kind, name, "-o", "json"]).await;
        if got.code == Some(0) { serde_json::from_str(&got.stdout).ok() } else { None }
    }

    /// Waits until a version has ended, and says how.
    async fn ended(&self, version: u32) -> Result<String> {
        let name = format!("web-{version}");
        let ended = eventually_within(PATIENCE, "the rollout ends", async || {
            let controller = self.get("rc", &name).await?;
            let phase = controller["metadata"]["annotations"]["openshift.io/deployment.phase"].as_str()?;
            matches!(phase, "Complete" | "Failed").then(|| phase.to_owned())
        })
        .await;
        let seen = self.oc("get dc,rc,pods,events").await;
        ended.with_context(|| format!("{name}\n{seen}"))
    }

    async fn completes(&self, version: u32) -> Result<()> {
        let ended = self.ended(version).await?;
        ensure!(ended == "Complete", "web-{version} is {ended}\n{}", self.oc("get rc,pods,events").await);
        let said = self.oc("rollout status dc/web").await.succeeds();
        ensure!(said.contains(&format!("\"web-{version}\" successfully rolled out")), "{said}");
        Ok(())
    }

    /// Waits until `count` pods of a version are ready and no other ones are left.
    async fn runs(&self, version: u32, count: usize) -> Result<()> {
        let deployment = format!("web-{version}");
        let found = eventually_within(PATIENCE, "the pods are those of the version", async || {
            let pods = self.ed.kubectl(["get", "pods", "-l", "name=web", "-o", "json"]).await.succeeds();
            let pods: Value = serde_json::from_str(&pods).ok()?;
            let pods = pods["items"].as_array()?;
            let ready = pods.iter().filter(|pod| {
                let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
                let mut ready = conditions.filter(|known| known["type"] == "Ready");
                let of_version = pod["metadata"]["labels"]["deployment"] == deployment.as_str();
                of_version && ready.any(|known| known["status"] == "True")
            });
            (ready.count() == count && pods.len() == count).then_some(())
        })
        .await;
        let seen = self.oc("get dc,rc,pods").await;
        found.with_context(|| format!("{count} pods of {deployment}\n{seen}"))
    }

    async fn condition(&self, kind: &str) -> Result<Value> {
        let config = self.get("dc", "web").await.context("the configuration is there")?;
        let mut conditions = config["status"]["conditions"].as_array().into_iter().flatten();
        Ok(conditions.find(|known| known["type"] == kind).cloned().unwrap_or_default())
    }

    /// Deletes everything, and waits until the engine has as little as before.
    async fn leaves_nothing(self) -> Result<()> {
        for kind in ["dc", "rc", "pods"] {
            self.oc(&format!("delete {kind} --all")).await.succeeds();
        }
        let mut left = String::new();
        let emptied = eventually_within(PATIENCE, "the engine is empty", async || {
            left.clear();
            for what in [&["ps", "-aq"][..], &["volume", "ls", "-q"]] {
                left.push_str(self.docker.docker(what).await.succeeds().trim());
            }
            // The node keeps one network for all pods there will ever be.
            let networks = ["network", "ls", "-q", "--filter", "type=custom"];
            let networks = self.docker.docker(networks).await.succeeds();
            left.extend(networks.lines().skip(1));
            left.is_empty().then_some(())
        })
        .await;
        emptied.with_context(|| left)?;
        self.site.stop()?;
        drop(self.docker);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_replace_each_other_and_failed_ones_do_not() -> Result<()> {
    let cluster = Cluster::start().await?;
    let rolling = json!({"type": "Rolling", "rollingParams": {
        "timeoutSeconds": 60, "pre": hook("echo before"), "post": hook("echo after"),
    }});
    cluster.create(&config(&rolling)).await;
    cluster.completes(1).await?;
    cluster.runs(1, 2).await?;
    ensure!(cluster.condition("Available").await?["status"] == "True");
    ensure!(cluster.condition("Progressing").await?["reason"] == "NewReplicationControllerAvailable");

    // A change of the template rolls out by itself, with both hooks.
    cluster.oc("set env dc/web LEVEL=debug").await.succeeds();
    cluster.completes(2).await?;
    cluster.runs(2, 2).await?;
    let log = cluster.oc("logs dc/web --version=2").await;
    ensure!(log.code == Some(0), "{log}");

    let recreate = json!({"type": "Recreate", "rollingParams": null, "recreateParams": {
        "timeoutSeconds": 60, "mid": hook("echo between"),
    }});
    cluster.patch(&json!({"spec": {"strategy": recreate}})).await;
    cluster.oc("rollout latest dc/web").await.succeeds();
    cluster.completes(3).await?;
    cluster.runs(3, 2).await?;

    // A hook that fails leaves the old pods where they are.
    let failing = json!({"spec": {"strategy": {
        "type": "Rolling", "recreateParams": null, "rollingParams": {"timeoutSeconds": 60, "pre": hook("exit 3")},
    }}});
    cluster.patch(&failing).await;
    cluster.oc("rollout latest dc/web").await.succeeds();
    ensure!(cluster.ended(4).await? == "Failed");
    cluster.runs(3, 2).await?;
    cluster
        .oc("rollout status dc/web")
        .await
        .fails_with("replication controller \"web-4\" has failed progressing");
    ensure!(cluster.condition("Progressing").await?["reason"] == "ProgressDeadlineExceeded");
    let history = cluster.oc("rollout history dc/web").await.succeeds();
    ensure!(history.contains("Failed"), "{history}");

    // Back to the first version, strategy and all; then a number is all that changes.
    let undone = json!({"spec": {"strategy": {"rollingParams": {"pre": null}}}});
    cluster.patch(&undone).await;
    cluster.oc("rollout undo dc/web --to-revision=1").await.succeeds();
    cluster.completes(5).await?;
    cluster.runs(5, 2).await?;
    let config = cluster.get("dc", "web").await.context("the configuration is there")?;
    let container = &config["spec"]["template"]["spec"]["containers"][0];
    ensure!(container.get("env").is_none(), "{container}");
    cluster.oc("scale dc/web --replicas=1").await.succeeds();
    cluster.runs(5, 1).await?;
    ensure!(cluster.condition("Available").await?["status"] == "True");
    cluster.leaves_nothing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_waits_while_paused_and_ends_when_cancelled() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.create(&config(&json!({"rollingParams": {"timeoutSeconds": 60}}))).await;
    cluster.completes(1).await?;
    cluster.oc("rollout pause dc/web").await.succeeds();
    cluster.oc("set env dc/web LEVEL=debug").await.succeeds();
    cluster.oc("scale dc/web --replicas=1").await.succeeds();
    cluster.runs(1, 1).await?;
    cluster.oc("rollout latest dc/web").await.fails_with("paused");
    ensure!(cluster.get("rc", "web-2").await.is_none());
    cluster.oc("rollout resume dc/web").await.succeeds();
    cluster.completes(2).await?;

    // An image that is nowhere never becomes ready.
    let image = json!([{"name": "web", "image": "local/none:1", "imagePullPolicy": "Never"}]);
    cluster.patch(&json!({"spec": {"template": {"spec": {"containers": image}}}})).await;
    eventually_within(PATIENCE, "the rollout is under way", async || {
        let controller = cluster.get("rc", "web-3").await?;
        (controller["metadata"]["annotations"]["openshift.io/deployment.phase"] == "Running").then_some(())
    })
    .await?;
    cluster.oc("rollout cancel dc/web").await.succeeds();
    ensure!(cluster.ended(3).await? == "Failed");
    cluster
        .oc("rollout status dc/web")
        .await
        .fails_with("rollout of replication controller \"web-3\" was cancelled");
    cluster.runs(2, 1).await?;
    cluster.docker.docker(["tag", "local/app:1", "local/none:1"]).await.succeeds();
    cluster.oc("rollout retry dc/web").await.succeeds();
    cluster.completes(3).await?;
    cluster.runs(3, 1).await?;
    cluster.leaves_nothing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rollouts_leave_nothing_behind() -> Result<()> {
    let asked = std::env::var_os("PIERHEAD_ROLLOUTS").and_then(|text| text.to_str()?.parse().ok());
    let rounds: u32 = asked.unwrap_or(FEW);
    let cluster = Cluster::start().await?;
    let mut config = config(&json!({"rollingParams": {"timeoutSeconds": 60}}));
    config["spec"]["replicas"] = 1.into();
    config["spec"]["revisionHistoryLimit"] = 2.into();
    let volumes = json!([{"name": "data", "emptyDir": {}}]);
    config["spec"]["template"]["spec"]["volumes"] = volumes;
    config["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/data"}]);
    cluster.create(&config).await;
    cluster.completes(1).await?;
    for version in 2..=rounds + 1 {
        cluster.oc("rollout latest dc/web").await.succeeds();
        cluster.completes(version).await?;
    }
    cluster.runs(rounds + 1, 1).await?;
    // What is there is what one rollout needs: containers of one pod, and the few kept versions.
    let containers = cluster.docker.docker(["ps", "-aq"]).await.succeeds().lines().count();
    ensure!(containers <= 2, "{containers} containers");
    let controllers = cluster.ed.kubectl(["get", "rc", "-o", "name"]).await.succeeds().lines().count();
    ensure!(controllers <= 4, "{controllers} replication controllers");
    cluster.leaves_nothing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rollouts_end_the_same_when_the_server_is_killed() -> Result<()> {
    let asked = std::env::var_os("PIERHEAD_ROLLOUTS").and_then(|text| text.to_str()?.parse().ok());
    let rounds: u32 = asked.unwrap_or(FEW);
    let mut cluster = Cluster::start().await?;
    let mut config = config(&json!({"rollingParams": {"timeoutSeconds": 60}}));
    config["spec"]["revisionHistoryLimit"] = 2.into();
    cluster.create(&config).await;
    cluster.completes(1).await?;
    for version in 2..=rounds + 1 {
        cluster.oc("rollout latest dc/web").await.succeeds();
        // Where in the rollout it falls is chance: before its first write, after its last, or anywhere between.
        let until = rand::random_range(Duration::ZERO..KILLED_WITHIN);
        tokio::time::sleep(until).await;
        cluster.site.kill_and_start_again().await?;
        cluster.completes(version).await.with_context(|| format!("killed after {until:?}"))?;
        cluster.runs(version, REPLICAS).await.with_context(|| format!("killed after {until:?}"))?;
    }
    cluster.leaves_nothing().await
}
