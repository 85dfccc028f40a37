//! The whole story on two machines: what is pushed to the non-production cluster runs in the production cluster.
//!
//! Each machine is a network namespace with a Pierhead and a Docker Engine of its own. The commands are those of 2016
//! in their order; the first half, up to the pull, is `seed_story`'s. Then production: a DeploymentConfig that names the
//! image at the other cluster's route, with and without pull secret and trust; the import; a second push that rolls out
//! while requests go on; and production alone.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::StatusCode;
use pierhead_e2e::wire::Wire;
use pierhead_testkit::{
    Actor, DockerEngine, EngineOptions, HostName, Lan, Site, SiteOptions, eventually_within,
};
use tokio::task::JoinSet;

use crate::seed_story::{admitted, field, host_port, look_at_the_stream, prepare_project, word};

const PATIENCE: Duration = Duration::from_secs(90);
const BETWEEN_REQUESTS: Duration = Duration::from_millis(20);

/// The DeploymentConfig as it was printed, with what it left out filled in.
fn deployment_config(image: &str) -> String {
    format!(
        "apiVersion: v1
kind: DeploymentConfig
metadata:
  name: myapp
spec:
  replicas: 1
  selector:
    name: myapp
  triggers:
  - type: ConfigChange
  template:
    metadata:
      labels:
        name: myapp
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - image: {image}
        imagePullPolicy: IfNotPresent
        name: myimage
        ports:
        - containerPort: 8080
        readinessProbe:
          periodSeconds: 1
          httpGet:
            path: /message
            port: 8080
"
    )
}

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: myapp
spec:
  selector:
    name: myapp
  ports:
  - port: 8080
";

/// Follows the tag that the scheduled import moves.
const FOLLOW: &str = r#"{"spec": {"triggers": [{"type": "ConfigChange"}, {"type": "ImageChange",
    "imageChangeParams": {"automatic": true, "containerNames": ["myimage"],
    "from": {"kind": "ImageStreamTag", "name": "myimage:latest"}}}]}}"#;

/// Non-production: where images are made.
struct NonProduction {
    site: Site,
    docker: DockerEngine,
    ed: Actor,
    token: String,
    /// The exposed registry on plain HTTP, and on TLS.
    plain: HostName,
    secured: HostName,
}

impl NonProduction {
    async fn start(lan: &Lan) -> Result<Self> {
        let machine = lan.machine()?;
        let options = SiteOptions { machine: Some(machine.clone()), ..SiteOptions::default() };
        let site = Site::start_with(options).await?;
        let (plain, secured) =
            (site.route_host("docker-registry", "default")?, site.route_host("secured", "default")?);
        let registry = host_port(&plain, site.addresses().router_http);
        let docker = DockerEngine::start_with(&EngineOptions {
            insecure_registries: vec![registry],
            machine: Some(machine),
        })
        .await?;
        let admin = site.admin()?;
        admin.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
        ensure!(admitted(&admin, "docker-registry").await? == plain.as_str());
        let secure = ["create", "route", "edge", "secured", "--service=docker-registry", "-n", "default"];
        admin.oc(secure).await.succeeds();
        ensure!(admitted(&admin, "secured").await? == secured.as_str());
        let (ed, token) = prepare_project(&site).await?;
        Ok(Self { site, docker, ed, token, plain, secured })
    }

    /// The registry as `docker` in this cluster's neighbourhood names it.
    fn registry(&self) -> String {
        host_port(&self.plain, self.site.addresses().router_http)
    }

    /// The registry as production names it.
    fn secured_registry(&self) -> String {
        host_port(&self.secured, self.site.addresses().router_https)
    }

    async fn push(&self, text: &str, tags: &[&str]) -> Result<String> {
        let registry = self.registry();
        let login = ["login", "--username=ed", "--password-stdin", &registry];
        let said = self.docker.docker_with_input(login, &self.token).await.succeeds();
        ensure!(said.contains("Login Succeeded"), "{said}");
        let id = self.docker.make_web_image("local/app", text).await?;
        let mut digest = None;
        for tag in tags {
            let name = format!("{registry}/pushed/myimage:{tag}");
            self.docker.docker(["tag", &id, &name]).await.succeeds();
            let pushed = self.docker.docker(["push", &name]).await.succeeds();
            digest = word(&pushed, "sha256:").map(str::to_owned);
        }
        digest.context("docker named no digest")
    }
}

/// Production: where images run.
struct Production {
    site: Site,
    docker: DockerEngine,
    ann: Actor,
    route: HostName,
}

impl Production {
    /// A cluster that trusts `authority` when it imports; its engine does not yet.
    async fn start(lan: &Lan, authority: &Path) -> Result<Self> {
        let machine = lan.machine()?;
        let docker = DockerEngine::start_on(&machine).await?;
        let node = docker.node_section();
        let config =
            format!("[import]\nscheduled-interval = \"1s\"\n[egress]\nca-files = [{authority:?}]\n{node}");
        let options = SiteOptions { machine: Some(machine), config: Some(config), ..SiteOptions::default() };
        let site = Site::start_with(options).await?;
        let route = site.route_host("myapp", "production")?;
        let ann = site.user("ann").await?;
        ann.oc(["new-project", "production"]).await.succeeds();
        Ok(Self { site, docker, ann, route })
    }

    /// Why the newest application pod does not run, once it is what `expected` names.
    async fn waits_with(&self, expected: &[&str]) -> Result<()> {
        let path = "jsonpath={range .items[*]}{.status.containerStatuses[0].state.waiting.reason} \
                    {.status.containerStatuses[0].state.waiting.message}{\"\\n\"}{end}";
        let mut last = String::new();
        let found = eventually_within(PATIENCE, "the pod is refused its image", async || {
            let get = ["get", "pods", "-l", "name=myapp", "-o", path];
            last = self.ann.kubectl(get).await.succeeds();
            last.lines()
                .any(|line| {
                    let pulling = line.starts_with("ErrImagePull") || line.starts_with("ImagePullBackOff");
                    pulling && expected.iter().any(|text| line.contains(text))
                })
                .then_some(())
        })
        .await;
        found.with_context(|| format!("expected one of {expected:?}, pods wait with:\n{last}"))
    }

    async fn serves(&self, text: &str) -> Result<()> {
        let mut last = String::new();
        let served = eventually_within(PATIENCE, "the application answers", async || {
            match get(self.site.addresses().router_http, self.route.as_str()).await {
                Ok(answer) if answer == text => Some(()),
                Ok(answer) => {
                    last = answer;
                    None
                }
                Err(error) => {
                    last = format!("{error:#}");
                    None
                }
            }
        })
        .await;
        let Err(error) = served else { return Ok(()) };
        let seen = self.ann.oc(["get", "dc,rc,pods,endpoints,events"]).await;
        bail!("{error}: expected {text:?}, the last answer was {last:?}\n{seen}");
    }

    /// The pod of the newest deployment that is to be replaced, by its name.
    async fn pods(&self) -> String {
        self.ann.kubectl(["get", "pods", "-l", "name=myapp", "-o", "name"]).await.succeeds()
    }
}

/// The body of `GET /message` on a connection of its own; an error for any answer but 200.
async fn get(router: SocketAddr, host: &str) -> Result<String> {
    let ask =
        async { Wire::connect(router, host, None).await?.get("/message").await?.expect(StatusCode::OK) };
    let answer = tokio::time::timeout(Duration::from_secs(30), ask).await??;
    Ok(String::from_utf8(answer.body.to_vec())?)
}

/// Requests without a break, until told to stop; gives how many there were and what went wrong.
fn requests(router: SocketAddr, host: &str, stop: &Arc<AtomicBool>) -> JoinSet<(u32, Vec<String>)> {
    let (host, stop) = (host.to_owned(), Arc::clone(stop));
    let mut running = JoinSet::new();
    running.spawn(async move {
        let (mut count, mut failures) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            if let Err(error) = get(router, &host).await {
                failures.push(format!("request {count}: {error:#}"));
            }
            tokio::time::sleep(BETWEEN_REQUESTS).await;
        }
        (count, failures)
    });
    running
}

/// The secret with the other cluster's token, linked to the account that runs pods.
async fn give_pull_secret(ann: &Actor, name: &str, registry: &str, token: &str) {
    let server = format!("--docker-server={registry}");
    let password = format!("--docker-password={token}");
    let user = ["--docker-username=ed", "--docker-email=ed@example.com"];
    ann.oc([&["secrets", "new-dockercfg", name, &server, &password][..], &user].concat()).await.succeeds();
    let secret = format!("secrets/{name}");
    ann.oc(["secrets", "add", "serviceaccount/default", &secret, "--for=pull"]).await.succeeds();
}

/// Ends what is under way, and deploys again.
async fn deploy_again(ann: &Actor) -> Result<()> {
    ann.oc(["rollout", "cancel", "dc/myapp"]).await.succeeds();
    let phase = "jsonpath={range .items[*]}{.metadata.annotations.openshift\\.io/deployment\\.phase} {end}";
    eventually_within(PATIENCE, "the deployment is cancelled", async || {
        let phases = ann.kubectl(["get", "rc", "-o", phase]).await.succeeds();
        phases.split_whitespace().all(|phase| phase == "Failed").then_some(())
    })
    .await?;
    ann.oc(["rollout", "latest", "dc/myapp"]).await.succeeds();
    Ok(())
}

/// Runs the image by the reference of the other cluster's route: trust and secret are both needed.
async fn deploy_by_reference(nonprod: &NonProduction, production: &mut Production) -> Result<()> {
    let registry = nonprod.secured_registry();
    let image = format!("{registry}/pushed/myimage:v1.1");
    let ann = production.ann.clone();
    ann.oc_with_input(["create", "-f", "-"], &deployment_config(&image)).await.succeeds();
    ann.oc_with_input(["create", "-f", "-"], SERVICE).await.succeeds();
    ann.oc(["expose", "service", "myapp"]).await.succeeds();
    production.waits_with(&["x509", "certificate"]).await?;

    production.docker.trust(&registry, &nonprod.site.authority())?;
    deploy_again(&ann).await?;
    production.waits_with(&["unauthorized", "denied", "no basic auth"]).await?;

    give_pull_secret(&ann, "nonprod", &registry, &nonprod.token).await;
    deploy_again(&ann).await?;
    ann.oc(["rollout", "status", "dc/myapp"]).await.succeeds();
    production.serves("version 1\n").await?;
    let shown = ann.oc(["get", "dc", "myapp"]).await.succeeds();
    ensure!(shown.contains("myapp"), "{shown}");
    Ok(())
}

/// `oc import-image` as it was typed, and the stream it makes.
async fn import(nonprod: &NonProduction, ann: &Actor) -> Result<()> {
    let registry = nonprod.registry();
    give_pull_secret(ann, "nonprod-plain", &registry, &nonprod.token).await;
    let from = format!("--from={registry}/pushed/myimage");
    let import = ["import-image", "myimage", &from, "--confirm", "--insecure-repository=true"];
    let said = ann.oc(import).await.succeeds();
    ensure!(said.contains("The import completed successfully."), "{said}");
    let yaml = ann.oc(["get", "is", "myimage", "-o", "yaml"]).await.succeeds();
    let annotation = field(&yaml, "openshift.io/image.insecureRepository:");
    ensure!(annotation == Some("\"true\""), "{yaml}");
    Ok(())
}

/// A second push rolls out by itself, and no request fails while it does.
async fn follow(nonprod: &NonProduction, production: &Production) -> Result<()> {
    let ann = &production.ann;
    let source = format!("{}/pushed/myimage:latest", nonprod.secured_registry());
    let scheduled = ["tag", "--source=docker", &source, "myimage:latest", "--scheduled"];
    ann.oc(scheduled).await.succeeds();
    ann.kubectl(["patch", "dc", "myapp", "--type=merge", "-p", FOLLOW]).await.succeeds();
    ann.oc(["rollout", "status", "dc/myapp"]).await.succeeds();
    let stop = Arc::new(AtomicBool::new(false));
    let router = production.site.addresses().router_http;
    production.serves("version 1\n").await?;
    let mut running = requests(router, production.route.as_str(), &stop);
    nonprod.push("version 2\n", &["latest"]).await?;
    let served = production.serves("version 2\n").await;
    let finished = ann.oc(["rollout", "status", "dc/myapp"]).await;
    stop.store(true, Ordering::Relaxed);
    let (count, failures) = running.join_next().await.context("one task was started")??;
    served?;
    finished.succeeds();
    ensure!(failures.is_empty(), "{} of {count} requests failed: {failures:#?}", failures.len());
    ensure!(count > 10, "only {count} requests");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_tell_the_whole_story() -> Result<()> {
    let lan = Lan::new()?;
    let nonprod = NonProduction::start(&lan).await?;
    let digest = nonprod.push("version 1\n", &["v1.1", "latest"]).await?;
    // Both tags are one image; the stream of the seed shows the one that was pushed.
    nonprod.ed.oc(["tag", "-d", "myimage:v1.1"]).await.succeeds();
    look_at_the_stream(&nonprod.site, &nonprod.ed, &digest).await?;
    nonprod.push("version 1\n", &["v1.1"]).await?;
    let name = format!("{}/pushed/myimage", nonprod.registry());
    nonprod.docker.docker(["rmi", "-f", "local/app", &name]).await.succeeds();
    nonprod.docker.docker(["pull", &name]).await.succeeds();

    let mut production = Production::start(&lan, &nonprod.site.authority()).await?;
    deploy_by_reference(&nonprod, &mut production).await?;
    import(&nonprod, &production.ann).await?;
    follow(&nonprod, &production).await?;

    let NonProduction { site, docker, .. } = nonprod;
    drop(docker);
    site.stop()?;
    let before = production.pods().await;
    production.ann.oc(["delete", "pods", "-l", "name=myapp"]).await.succeeds();
    eventually_within(PATIENCE, "production has another pod", async || {
        let now = production.pods().await;
        (!now.trim().is_empty() && before.lines().all(|old| !now.contains(old))).then_some(())
    })
    .await?;
    production.serves("version 2\n").await?;

    for kind in ["dc", "rc", "pods"] {
        production.ann.oc(["delete", kind, "--all"]).await.succeeds();
    }
    eventually_within(PATIENCE, "nothing is left in the engine", async || {
        let left = production.docker.docker(["ps", "-aq"]).await.succeeds();
        left.trim().is_empty().then_some(())
    })
    .await?;
    let Production { site, docker, .. } = production;
    site.stop()?;
    drop(docker);
    Ok(())
}
