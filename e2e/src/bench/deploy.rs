//! From the end of a push to the first answer of the new pod: image trigger, deployer, replication controller, scheduler,
//! node, endpoints and router, one after the other.
//!
//! Owns a cluster on a machine of its own with a Docker Engine, and an application that follows a tag. Nobody else does
//! all of that in one program, so there is no peer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use pierhead_testkit::{Actor, DockerEngine, HostName, Lan, Site, SiteOptions, eventually_within};
use tokio::time::Instant;

use crate::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(60);

/// A deployment that follows `app:latest`, and its service.
const APPLICATION: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "v1", "kind": "DeploymentConfig", "metadata": {"name": "app"}, "spec": {
        "replicas": 1, "selector": {"name": "app"},
        "template": {"metadata": {"labels": {"name": "app"}}, "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "app", "image": "app",
                "readinessProbe": {"periodSeconds": 1, "httpGet": {"path": "/message", "port": 8080}}}]}},
        "triggers": [{"type": "ImageChange", "imageChangeParams": {"automatic": true, "containerNames": ["app"],
            "from": {"kind": "ImageStreamTag", "name": "app:latest"}}}]}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app"},
        "spec": {"selector": {"name": "app"}, "ports": [{"port": 8080}]}}]}"#;

/// Times of `rounds` pushes, each from its end to the first answer of the new version; the shortest first.
///
/// # Errors
/// Something did not start, or a version never answered.
pub async fn push_to_answer(rounds: u32) -> Result<Vec<Duration>> {
    let lan = Lan::new()?;
    let machine = lan.machine()?;
    let docker = DockerEngine::start_on(&machine).await?;
    let config = Some(docker.node_section());
    let options = SiteOptions { machine: Some(machine), config, ..SiteOptions::default() };
    let site = Site::start_with(options).await?;
    let route = site.route_host("app", "shop")?;
    let ed = site.user("ed").await?;
    ed.oc(["new-project", "shop"]).await.succeeds();
    let image = log_in(&site, &docker, &ed).await?;
    push(&docker, &image, "0\n").await?;
    ed.oc_with_input(["create", "-f", "-"], APPLICATION).await.succeeds();
    ed.oc(["expose", "service", "app"]).await.succeeds();
    let router = site.addresses().router_http;
    answers(router, &route, "0\n").await?;
    let mut times = Vec::new();
    for round in 1..=rounds {
        let text = format!("{round}\n");
        push(&docker, &image, &text).await?;
        let pushed = Instant::now();
        answers(router, &route, &text).await?;
        times.push(pushed.elapsed());
        ed.oc(["rollout", "status", "dc/app"]).await.succeeds();
    }
    ed.oc(["delete", "dc,rc,pods", "--all"]).await.succeeds();
    eventually_within(PATIENCE, "the engine is empty", async || {
        docker.docker(["ps", "-aq"]).await.succeeds().trim().is_empty().then_some(())
    })
    .await?;
    site.stop()?;
    times.sort();
    Ok(times)
}

/// Logs the engine in at the registry's service, which is on its own machine, and names the image there.
async fn log_in(site: &Site, docker: &DockerEngine, ed: &Actor) -> Result<String> {
    let registry = site.addresses().registry.to_string();
    let token = ed.oc(["whoami", "-t"]).await.succeeds();
    let login = ["login", "--username=ed", "--password-stdin", &registry];
    docker.docker_with_input(login, token.trim()).await.succeeds();
    Ok(format!("{registry}/shop/app:latest"))
}

async fn push(docker: &DockerEngine, image: &str, text: &str) -> Result<()> {
    docker.make_web_image(image, text).await?;
    docker.docker(["push", image]).await.succeeds();
    Ok(())
}

async fn answers(router: SocketAddr, route: &HostName, text: &str) -> Result<()> {
    eventually_within(PATIENCE, "the new version answers", async || {
        let mut wire = Wire::connect(router, route.as_str(), None).await.ok()?;
        (wire.get("/message").await.ok()?.body == text).then_some(())
    })
    .await
}
