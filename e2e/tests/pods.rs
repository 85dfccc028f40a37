//! Pods on a real engine: Docker's, and Podman's service, which speaks the same API.
//!
//! What users see of a pod's life (state, logs, addresses, restarts), what happens when the engine is killed, and that
//! nothing is left behind in the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{
    Actor, DockerEngine, Lan, Machine, Process, Site, SiteOptions, Tool, eventually_within, layout,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(90);
const WEB: &str = "localhost/web:1";

/// A site whose node uses the engine at this socket, both on a machine whose network is theirs alone: engines choose
/// their addresses by what is in use, and leave their bridges behind.
async fn site_with(engine: &str, socket: &Path, machine: &Machine) -> Result<Site> {
    let config = Some(format!("[node]\nengine = {engine:?}\nsocket = {socket:?}\nname = \"worker\"\n"));
    Site::start_with(SiteOptions { machine: Some(machine.clone()), config, ..SiteOptions::default() }).await
}

async fn create(user: &Actor, object: &Value) {
    user.kubectl_with_input(["create", "-f", "-"], &object.to_string()).await.succeeds();
}

/// A pod of our image with this command, and with further fields of its spec.
fn pod(name: &str, command: &str, more: Value) -> Value {
    let mut container = json!({
        "name": "main", "image": WEB, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", command],
    });
    let mut spec = json!({"terminationGracePeriodSeconds": 1});
    for (key, value) in more.as_object().into_iter().flatten() {
        match key.strip_prefix("container.") {
            Some(key) => container[key] = value.clone(),
            None => spec[key] = value.clone(),
        }
    }
    spec["containers"] = json!([container]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

async fn field_of(user: &Actor, kind: &str, name: &str, path: &str) -> String {
    let path = format!("jsonpath={{{path}}}");
    user.kubectl(["get", kind, name, "-o", &path]).await.stdout
}

async fn field(user: &Actor, pod: &str, path: &str) -> String {
    field_of(user, "pod", pod, path).await
}

/// Waits until a field of an object is as it should be.
async fn object_becomes(
    user: &Actor,
    (kind, name): (&str, &str),
    path: &str,
    holds: impl Fn(&str) -> bool,
) -> Result<String> {
    let mut last = String::new();
    let found = eventually_within(PATIENCE, "a field of the object", async || {
        last = field_of(user, kind, name, path).await;
        holds(&last).then(|| last.clone())
    })
    .await;
    match found {
        Ok(found) => Ok(found),
        Err(error) => {
            let seen = user.kubectl(["describe", kind, name]).await;
            Err(error.context(format!("{path} of {kind} {name} is {last:?}\n{seen}")))
        }
    }
}

/// Waits until a field of a pod is as it should be.
async fn becomes(user: &Actor, pod: &str, path: &str, holds: impl Fn(&str) -> bool) -> Result<String> {
    object_becomes(user, ("pod", pod), path, holds).await
}

/// Waits until the node is ready ("True"), or is not ("False").
async fn node_becomes(admin: &Actor, expected: &str) -> Result<String> {
    let path = ".status.conditions[?(@.type==\"Ready\")].status";
    object_becomes(admin, ("node", "worker"), path, |status| status == expected).await
}

const PHASE: &str = ".status.phase";
const WAITING: &str = ".status.containerStatuses[0].state.waiting.reason";
const RESTARTS: &str = ".status.containerStatuses[0].restartCount";
const READY: &str = ".status.containerStatuses[0].ready";

/// The life every engine must give a pod.
async fn tells_the_basic_story(site: &Site, machine: &Machine) -> Result<Actor> {
    node_becomes(&site.admin()?, "True").await?;
    let ann = site.user("ann").await?;
    ann.oc(["new-project", "shop"]).await.succeeds();

    ann.kubectl(["run", "web", "--image", WEB, "--image-pull-policy=Never"]).await.succeeds();
    becomes(&ann, "web", READY, |ready| ready == "true").await?;
    let address = field(&ann, "web", ".status.podIP").await;
    let message = format!("http://{address}:8080/message");
    let got = machine.tool("busybox", ann.home()).run(["wget", "-q", "-O", "-", &message]).await;
    ensure!(got.succeeds() == "hello", "another message at {address}");

    create(
        &ann,
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                         "data": {"COLOR": "blue"}}),
    )
    .await;
    create(
        &ann,
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
                         "stringData": {"password": "hunter2"}}),
    )
    .await;
    let job = pod(
        "job",
        "echo $COLOR $IP; cat /login/password /shared/made; touch /memory/x; echo; echo bye >&2; \
         echo because >/dev/termination-log; exit 4",
        json!({
            "restartPolicy": "Never",
            "volumes": [{"name": "login", "secret": {"secretName": "login"}}, {"name": "shared", "emptyDir": {}},
                        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
            "initContainers": [{"name": "setup", "image": WEB, "imagePullPolicy": "Never",
                                "command": ["/bin/sh", "-c", "echo made >/shared/made"],
                                "securityContext": {"runAsUser": 1234},
                                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
            "container.envFrom": [{"configMapRef": {"name": "settings"}}],
            "container.env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "container.volumeMounts": [{"name": "login", "mountPath": "/login"}, {"name": "shared", "mountPath": "/shared"},
                                       {"name": "memory", "mountPath": "/memory"}],
        }),
    );
    create(&ann, &job).await;
    becomes(&ann, "job", PHASE, |phase| phase == "Failed").await?;
    let address = field(&ann, "job", ".status.podIP").await;
    let log = ann.kubectl(["logs", "job"]).await.succeeds();
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    let mut expected =
        vec![format!("blue {address}"), "hunter2made".to_owned(), "bye".to_owned(), String::new()];
    expected.sort();
    ensure!(lines == expected, "unexpected log: {log}");
    let ended = field(&ann, "job", ".status.containerStatuses[0].state.terminated").await;
    let ended: Value = serde_json::from_str(&ended)?;
    ensure!(ended["exitCode"] == 4 && ended["reason"] == "Error", "{ended}");
    ensure!(ended["message"] == "because\n", "{ended}");
    ensure!(ann.kubectl(["logs", "job", "--tail=1"]).await.succeeds().lines().count() == 1);
    Ok(ann)
}

/// Everything is deleted, and the engine keeps nothing of it.
async fn leaves_nothing(user: &Actor, engine: &Tool, own: &[&str]) -> Result<()> {
    user.kubectl(["delete", "pods", "--all", "--wait=true", "--timeout=60s"]).await.succeeds();
    let mut left = String::new();
    let gone = eventually_within(PATIENCE, "nothing is left", async || {
        let containers = engine.run(["ps", "-aq", "--filter", "label=io.pierhead.pod-uid"]).await;
        let volumes = engine.run(["volume", "ls", "-q"]).await;
        left = format!("{containers}\n{volumes}");
        let is_own = |line: &str| own.contains(&line);
        let nothing = containers.stdout.trim().is_empty() && volumes.stdout.lines().all(is_own);
        nothing.then_some(())
    });
    gone.await.with_context(|| left.clone())
}

fn docker_client(engine: &DockerEngine) -> Tool {
    Tool::new("docker", Path::new("/"))
        .variable("DOCKER_HOST", format!("unix://{}", engine.socket().display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_live_on_docker() -> Result<()> {
    let lan = Lan::new()?;
    let machine = lan.machine()?;
    let docker = DockerEngine::start_on(&machine).await?;
    docker.make_web_image(WEB, "hello").await?;
    let site = site_with("docker", &docker.socket(), &machine).await?;
    let ann = tells_the_basic_story(&site, &machine).await?;

    create(&ann, &pod("crashes", "echo run; exit 3", json!({}))).await;
    becomes(&ann, "crashes", RESTARTS, |count| count.parse().is_ok_and(|count: u32| count >= 1)).await?;
    becomes(&ann, "crashes", WAITING, |reason| reason == "CrashLoopBackOff").await?;
    ensure!(ann.kubectl(["logs", "crashes", "--previous"]).await.succeeds() == "run\n");

    let refused = pod("privileged", "true", json!({"container.securityContext": {"privileged": true}}));
    create(&ann, &refused).await;
    becomes(&ann, "privileged", WAITING, |reason| reason == "CreateContainerConfigError").await?;
    let mut absent = pod("absent", "true", json!({}));
    absent["spec"]["containers"][0]["image"] = json!("localhost/nothing:1");
    create(&ann, &absent).await;
    becomes(&ann, "absent", WAITING, |reason| reason == "ErrImageNeverPull").await?;

    let probe =
        json!({"exec": {"command": ["/bin/cat", "/alive"]}, "periodSeconds": 1, "failureThreshold": 2});
    let probed = pod(
        "probed",
        "touch /alive; sleep 3; rm /alive; sleep 1000",
        json!({"container.livenessProbe": probe, "container.readinessProbe": probe}),
    );
    create(&ann, &probed).await;
    becomes(&ann, "probed", READY, |ready| ready == "true").await?;
    becomes(&ann, "probed", READY, |ready| ready == "false").await?;
    becomes(&ann, "probed", RESTARTS, |count| count == "1").await?;

    let late = pod("late", "sleep 1000", json!({"activeDeadlineSeconds": 3}));
    create(&ann, &late).await;
    becomes(&ann, "late", ".status.reason", |reason| reason == "DeadlineExceeded").await?;

    leaves_nothing(&ann, &docker_client(&docker), &[]).await?;
    site.stop()
}

/// The engine is killed while pods come and go; what was lost is made up for.
#[tokio::test(flavor = "multi_thread")]
async fn pods_outlive_the_engine() -> Result<()> {
    let lan = Lan::new()?;
    let machine = lan.machine()?;
    let mut docker = DockerEngine::start_on(&machine).await?;
    docker.make_web_image(WEB, "hello").await?;
    let site = site_with("docker", &docker.socket(), &machine).await?;
    let admin = site.admin()?;
    let ann = site.user("ann").await?;
    ann.oc(["new-project", "shop"]).await.succeeds();
    create(&ann, &pod("stays", "sleep 1000", json!({}))).await;
    create(&ann, &pod("goes", "sleep 1000", json!({}))).await;
    becomes(&ann, "stays", READY, |ready| ready == "true").await?;
    becomes(&ann, "goes", READY, |ready| ready == "true").await?;

    // In the middle of making containers.
    for name in ["new-a", "new-b", "new-c"] {
        create(&ann, &pod(name, "sleep 1000", json!({}))).await;
    }
    docker.kill()?;
    node_becomes(&admin, "False").await?;
    ann.kubectl(["delete", "pod", "goes", "--wait=false"]).await.succeeds();
    ensure!(field(&ann, "stays", PHASE).await == "Running");

    docker.start_again().await?;
    node_becomes(&admin, "True").await?;
    for name in ["stays", "new-a", "new-b", "new-c"] {
        becomes(&ann, name, READY, |ready| ready == "true").await?;
    }
    becomes(&ann, "stays", RESTARTS, |count| count == "1").await?;
    let gone = async || {
        let names = ann.kubectl(["get", "pods", "-o", "name"]).await.stdout;
        (!names.contains("goes")).then_some(())
    };
    eventually_within(PATIENCE, "the deleted pod is gone", gone).await?;
    let engine = docker_client(&docker);
    let count = async || {
        let ids = engine.run(["ps", "-q", "--filter", "label=io.pierhead.pod-uid"]).await.succeeds();
        (ids.lines().count() == 8).then_some(())
    };
    eventually_within(PATIENCE, "four pods of two containers each run", count).await?;

    // A container that somebody removed comes back, and one that is nobody's goes.
    let uid = field(&ann, "stays", ".metadata.uid").await;
    let filter = format!("label=io.pierhead.pod-uid={uid}");
    let ids = engine.run(["ps", "-q", "--filter", &filter]).await.succeeds();
    engine.run(["rm", "-f"].into_iter().chain(ids.lines())).await.succeeds();
    becomes(&ann, "stays", RESTARTS, |count| count == "2").await?;
    becomes(&ann, "stays", READY, |ready| ready == "true").await?;
    leaves_nothing(&ann, &engine, &[]).await?;
    site.stop()
}

/// Podman's service, with storage of its own.
struct PodmanEngine {
    folder: TempDir,
    service: Process,
}

impl PodmanEngine {
    async fn start(machine: &Machine) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ph-pod-").tempdir_in("/tmp")?;
        let path = |name: &str| folder.path().join(name);
        let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
        let networks = format!("[network]\nnetwork_config_dir = {:?}\n", path("networks"));
        std::fs::write(path("containers.conf"), format!("{limits}{networks}"))?;
        let mut command = machine.command("podman");
        command.args(Self::storage(folder.path())).env("CONTAINERS_CONF", path("containers.conf"));
        command.args(["system", "service", "--time=0", &format!("unix://{}", path("sock").display())]);
        let service = Process::start(&mut command, &path("log"))?;
        let engine = Self { folder, service };
        let listens = async || engine.socket().exists().then_some(());
        eventually_within(PATIENCE, "podman listens", listens)
            .await
            .with_context(|| engine.service.log_tail())?;
        Ok(engine)
    }

    fn storage(folder: &Path) -> Vec<String> {
        let path = |name: &str| folder.join(name).display().to_string();
        vec!["--root".into(), path("root"), "--runroot".into(), path("run")]
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    fn client(&self) -> Tool {
        Tool::new("podman", self.folder.path()).before(Self::storage(self.folder.path()))
    }

    async fn make_web_image(&self) -> Result<()> {
        let archive = self.folder.path().join("root.tar");
        std::fs::write(&archive, layout::busybox_layer("hello")?)?;
        let serve = r#"CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/"]"#;
        let archive = archive.to_str().context("temporary folders have UTF-8 names")?;
        self.client().run(["import", "--change", serve, archive, WEB]).await.succeeds();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_live_on_podman() -> Result<()> {
    let lan = Lan::new()?;
    let machine = lan.machine()?;
    let podman = PodmanEngine::start(&machine).await?;
    podman.make_web_image().await?;
    let site = site_with("podman", &podman.socket(), &machine).await?;
    let ann = tells_the_basic_story(&site, &machine).await?;
    leaves_nothing(&ann, &podman.client(), &[]).await?;
    site.stop()
}
