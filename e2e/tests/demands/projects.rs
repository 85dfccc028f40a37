//! `projects`, `project`, `new-project`.

use anyhow::Result;
use pierhead_testkit::{Actor, Site, eventually};

use super::{does, fails, run, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_projects() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    the_list_fits_the_number(&ed).await?;
    one_goes_from_project_to_project(&ed).await?;
    projects_of_others_are_as_if_they_were_not(&site, &ed).await?;
    a_deleted_project_is_gone_for_its_owner(&ed).await?;
    site.stop()
}

async fn the_list_fits_the_number(ed: &Actor) -> Result<()> {
    says(ed, "projects", "You are not a member of any projects").await;
    says(ed, "new-project first --skip-config-write", "To switch to this project").await;
    says(ed, "projects", "You have one project on this server: \"first\".").await;
    does(ed, "new-project second --display-name=Second").await;
    let list = says(ed, "projects", "You have access to the following projects").await;
    assert!(list.contains("  * second - Second\n") && list.contains("    first\n"), "{list}");
    assert_eq!(does(ed, "projects -q").await, "first\nsecond\n");
    Ok(())
}

async fn one_goes_from_project_to_project(ed: &Actor) -> Result<()> {
    says(ed, "project first", "Now using project \"first\" on server").await;
    says(ed, "project first", "Already on project \"first\" on server").await;
    assert_eq!(does(ed, "project -q").await, "first\n");
    says(ed, "project", "Using project \"first\" on server").await;
    let contexts = does(ed, "config get-contexts -o name").await;
    let other = contexts.lines().find(|context| context.starts_with("second/")).unwrap_or_default();
    says(ed, &format!("project {other}"), "from context named").await;
    assert_eq!(does(ed, "project -q").await, "second\n");
    fails(ed, "new-project first", 1, "already exists").await;
    Ok(())
}

async fn projects_of_others_are_as_if_they_were_not(site: &Site, ed: &Actor) -> Result<()> {
    does(&site.user("ann").await?, "new-project theirs").await;
    fails(ed, "project theirs", 1, "You are not a member of project \"theirs\".").await;
    fails(ed, "project nothing", 1, "You are not a member of project \"nothing\".").await;
    fails(ed, "project nothing", 1, "Your projects are:\n* first\n* second").await;
    fails(&site.admin()?, "project nothing", 1, "A project named \"nothing\" does not exist on").await;
    Ok(())
}

async fn a_deleted_project_is_gone_for_its_owner(ed: &Actor) -> Result<()> {
    does(ed, "delete project first second").await;
    eventually("the projects are gone", async || {
        let left = run(ed, "get projects -o jsonpath={.items}").await;
        (left.stdout.trim() == "[]").then_some(())
    })
    .await?;
    fails(ed, "get pods -n first", 1, "cannot list").await;
    Ok(())
}
