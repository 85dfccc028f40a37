//! Deployments by the command line alone, on a site without a container engine: what does not need running pods.

use anyhow::{Result, ensure};
use pierhead_testkit::{Actor, Site, eventually};

/// Runs a line in the project, which must work.
async fn oc(ed: &Actor, line: &str) -> String {
    ed.oc(line.split(' ')).await.succeeds()
}

/// Waits until the deployment with this number is the latest and done.
async fn rolled_out(ed: &Actor, number: u32) -> Result<()> {
    let path = "get rc web-{N} -o jsonpath={.metadata.annotations.openshift\\.io/deployment\\.phase}";
    let line = path.replace("{N}", &number.to_string());
    eventually("the deployment is there", async || {
        ed.oc(line.split(' ')).await.code.filter(|code| *code == 0)
    })
    .await?;
    let said = oc(ed, "rollout status dc/web").await;
    let last = format!("replication controller \"web-{number}\" successfully rolled out\n");
    ensure!(said.ends_with(&last), "{said}");
    Ok(())
}

/// The words of each line.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_is_deployed_again_and_taken_back() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    oc(&ed, "new-project shop").await;
    let said = oc(&ed, "create deploymentconfig web --image=hub.example.com/a/web:1 --replicas=0").await;
    ensure!(said == "deploymentconfig \"web\" created\n", "{said}");
    rolled_out(&ed, 1).await?;

    // A change of the config deploys by itself.
    let said = oc(&ed, "set env dc/web LEVEL=debug").await;
    ensure!(said == "deploymentconfig \"web\" updated\n", "{said}");
    rolled_out(&ed, 2).await?;
    let said = oc(&ed, "set image dc/web default-container=hub.example.com/a/web:2 --compat=4").await;
    ensure!(said == "deploymentconfig.apps.openshift.io/web image updated\n", "{said}");
    rolled_out(&ed, 3).await?;
    let history = oc(&ed, "rollout history dc/web").await;
    let history = rows(&history);
    ensure!(history[1] == ["REVISION", "STATUS", "CAUSE"], "{history:?}");
    ensure!(history[4][..2] == ["3", "Complete"], "{history:?}");

    let said = oc(&ed, "rollout undo dc/web --to-revision=1").await;
    ensure!(said.starts_with("deploymentconfig \"web\" rolled back\n"), "{said}");
    rolled_out(&ed, 4).await?;
    let shown = oc(&ed, "set env dc/web --list").await;
    ensure!(shown == "# deploymentconfigs/web, container default-container\n", "{shown}");
    let said = oc(&ed, "rollback web --to-version=3").await;
    ensure!(said.contains(" rolled back to web-3"), "{said}");
    rolled_out(&ed, 5).await?;
    let said = oc(&ed, "rollout latest dc/web").await;
    ensure!(said == "deploymentconfig \"web\" rolled out\n", "{said}");
    rolled_out(&ed, 6).await?;
    let said = oc(&ed, "deploy web --latest").await;
    ensure!(said == "Started deployment #7\n", "{said}");
    rolled_out(&ed, 7).await?;
    let described = oc(&ed, "describe dc web").await;
    for text in
        ["Latest Version:", "Triggers:", "Deployment #7 (latest):", "Image:", "hub.example.com/a/web:2"]
    {
        ensure!(described.contains(text), "{text} in {described}");
    }
    let said = oc(&ed, "deploy web").await;
    ensure!(said.starts_with("web deployment #7 deployed "), "{said}");
    site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_waits_is_seen_cancelled_and_retried() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    oc(&ed, "new-project shop").await;
    oc(&ed, "create deploymentconfig web --image=hub.example.com/a/web:1 --replicas=1").await;
    // Without an engine, pods stay where they are, and say why.
    let pod = eventually("the pod is there", async || {
        let shown = oc(&ed, "get pods -l deploymentconfig=web -o name").await;
        shown.lines().find_map(|line| line.strip_prefix("pod/")).map(str::to_owned)
    })
    .await?;
    let shown = oc(&ed, "get pods").await;
    ensure!(rows(&shown).iter().any(|row| row[..3] == [pod.as_str(), "0/1", "Pending"]), "{shown}");
    eventually("the event says why", async || {
        let described = oc(&ed, &format!("describe pod {pod}")).await;
        (described.contains("FailedScheduling") && described.contains("no nodes available")).then_some(())
    })
    .await?;
    eventually("the deployment runs", async || {
        oc(&ed, "status").await.contains("deployment #1 running for ").then_some(())
    })
    .await?;
    let log = oc(&ed, "logs dc/web").await;
    ensure!(log.contains("--> Scaling web-1 to 1"), "{log}");
    let status = oc(&ed, "status").await;
    ensure!(status.contains("dc/web deploys hub.example.com/a/web:1\n"), "{status}");
    ed.oc(["rollout", "latest", "dc/web"]).await.fails_with("#1 is already in progress (Running).");
    let said = oc(&ed, "rollout cancel dc/web").await;
    ensure!(said == "deploymentconfig \"web\" cancelling\n", "{said}");
    ed.oc(["rollout", "status", "dc/web"])
        .await
        .fails_with("rollout of replication controller \"web-1\" was cancelled");
    let said = oc(&ed, "rollout retry dc/web").await;
    ensure!(said == "deploymentconfig \"web\" retried rollout\n", "{said}");
    eventually("the deployment runs again", async || {
        oc(&ed, "status").await.contains("deployment #1 running for ").then_some(())
    })
    .await?;
    let said = oc(&ed, "scale dc/web --replicas=0").await;
    ensure!(said == "deploymentconfig \"web\" scaled\n", "{said}");
    oc(&ed, "rollout cancel dc/web").await;
    oc(&ed, "delete dc web").await;
    eventually("nothing is left", async || {
        let left = ed.oc(["get", "dc,rc,pods"]).await;
        left.said("No resources found").then_some(())
    })
    .await?;
    site.stop()
}
