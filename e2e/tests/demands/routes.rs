//! Routes and what `expose` makes.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, feeds, says};

const SERVICES: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web, labels: {app: web}}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: many}, spec: {selector: {app: many}, ports: [{name: web, port: 80}, {name: admin, port: 9090}]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_routes() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project routes").await;
    feeds(&ed, "create -f -", SERVICES).await;
    routes_end_tls_in_three_ways(&ed).await?;
    backends_are_weighed(&ed).await?;
    services_are_exposed_by_their_ports(&ed).await?;
    site.stop()
}

async fn routes_end_tls_in_three_ways(ed: &Actor) -> Result<()> {
    fails(ed, "create route edge", 1, "you need to provide a service name via --service").await;
    for (kind, name) in [("edge", "e"), ("passthrough", "p"), ("reencrypt", "r")] {
        does(ed, &format!("create route {kind} {name} --service=web --hostname={name}.example.com")).await;
        says(ed, &format!("get route {name} -o jsonpath={{.spec.tls.termination}}"), kind).await;
    }
    does(ed, "create route edge to-nobody --service=nobody --port=80").await;
    fails(ed, "create route edge --service=nobody", 1, "\"nobody\" not found").await;
    fails(ed, "create route passthrough --service=web --cert=x", 1, "does not support certificates").await;
    says(ed, "create route edge dry --service=web --dry-run", "created (dry run)").await;
    fails(ed, "get route dry", 1, "not found").await;
    Ok(())
}

async fn backends_are_weighed(ed: &Actor) -> Result<()> {
    does(ed, "expose svc/web --name=weights").await;
    says(ed, "set route-backends weights", "100 (100%)").await;
    does(ed, "set route-backends weights web=1 many=3").await;
    says(ed, "set route-backends weights", "3 (75%)").await;
    says(ed, "get routes", "web(25%),many(75%)").await;
    does(ed, "set route-backends weights --adjust many=50%").await;
    says(ed, "set route-backends weights", "2 (50%)").await;
    does(ed, "set route-backends weights --zero").await;
    says(ed, "set route-backends weights", "0 (0%)").await;
    does(ed, "set route-backends weights --equal").await;
    says(ed, "describe route weights", "many").await;
    Ok(())
}

async fn services_are_exposed_by_their_ports(ed: &Actor) -> Result<()> {
    does(ed, "expose service web").await;
    says(ed, "get route web -o jsonpath={.spec.port.targetPort}", "8080").await;
    does(ed, "expose service many").await;
    says(ed, "get route many -o jsonpath={.spec.port.targetPort}", "web").await;
    does(
        ed,
        "expose service many --name=admin --port=admin --hostname=admin.example.com --path=/a -l team=x",
    )
    .await;
    says(
        ed,
        "get route admin -o jsonpath={.spec.host}{.spec.path}{.metadata.labels.team}",
        "admin.example.com/ax",
    )
    .await;
    fails(ed, "expose service none", 1, "not found").await;
    fails(ed, "expose configmap web", 1, "").await;
    Ok(())
}
