//! `status`.

use anyhow::Result;
use pierhead_testkit::Site;

use super::{does, fails, feeds, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_status() -> Result<()> {
    let site = Site::start().await?;
    without_a_project_one_is_told_so(&site).await?;
    a_project_is_named_as_people_know_it(&site).await?;
    what_belongs_together_stands_together(&site).await?;
    site.stop()
}

async fn without_a_project_one_is_told_so(site: &Site) -> Result<()> {
    let ed = site.user("ed").await?;
    says(&ed, "status", "You don't have any projects. You can try to create a new project").await;
    says(&ed, "status --all-namespaces", "Showing all projects on server https://").await;
    Ok(())
}

async fn a_project_is_named_as_people_know_it(site: &Site) -> Result<()> {
    let ann = site.user("ann").await?;
    does(&ann, "new-project project-bar --display-name='my project'").await;
    let line = format!("In project my project (project-bar) on server {}", site.api_url());
    says(&ann, "status", &line).await;
    says(&ann, "status", "You have no services").await;
    fails(&ann, "status -n forbidden", 1, "cannot get").await;
    let line = "status --as=ann";
    says(&site.admin()?, &format!("{line} -n project-bar"), "In project my project (project-bar)").await;
    Ok(())
}

async fn what_belongs_together_stands_together(site: &Site) -> Result<()> {
    let joe = site.user("joe").await?;
    does(&joe, "new-project shop").await;
    let objects = "
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: web}, spec: {host: web.example.com, to: {kind: Service, name: web}}}
---
{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: lost}, spec: {host: lost.example.com, to: {kind: Service, name: none}}}
";
    feeds(&joe, "create -f -", objects).await;
    says(&joe, "status", "http://web.example.com (svc/web)").await;
    says(&joe, "status", "1 warning identified, use 'oc status --suggest' to see details.").await;
    says(&joe, "status --suggest", "route/lost is supposed to route traffic to svc/none").await;
    let all = says(&joe, "status -A", "Project shop:").await;
    assert!(!all.contains("project-bar"), "{all}");
    Ok(())
}
