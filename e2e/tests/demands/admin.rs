//! `adm`: groups, projects for others, cluster roles.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_admin() -> Result<()> {
    let site = Site::start().await?;
    let admin = site.admin()?;
    groups_are_made_and_changed(&admin).await?;
    projects_are_made_for_others(&site, &admin).await?;
    roles_hold_for_the_cluster(&site, &admin).await?;
    users_and_identities_are_made(&admin).await?;
    site.stop()
}

async fn groups_are_made_and_changed(admin: &Actor) -> Result<()> {
    does(admin, "adm groups new group1 foo bar").await;
    says(admin, "get groups/group1 --no-headers", "foo, bar").await;
    fails(admin, "adm groups new group1", 1, "already exists").await;
    does(admin, "adm groups add-users group1 baz").await;
    says(admin, "get groups/group1 --no-headers", "foo, bar, baz").await;
    does(admin, "adm groups remove-users group1 bar").await;
    says(admin, "get groups/group1 --no-headers", "foo, baz").await;
    says(admin, "adm groups new tried a --dry-run=client -o yaml", "kind: Group").await;
    fails(admin, "get group tried", 1, "not found").await;
    says(admin, "describe group group1", "foo").await;
    fails(admin, "adm groups add-users nobodies a", 1, "not found").await;
    Ok(())
}

async fn projects_are_made_for_others(site: &Site, admin: &Actor) -> Result<()> {
    let ann = site.user("ann").await?;
    let line =
        "adm new-project theirs --admin=ann --display-name=Theirs --description=yes --node-selector=env=qa";
    says(admin, line, "Created project theirs").await;
    says(&ann, "auth can-i create rolebindings -n theirs", "yes").await;
    let annotations = does(admin, "get project theirs -o jsonpath={.metadata.annotations}").await;
    for text in ["\"openshift.io/display-name\":\"Theirs\"", "\"openshift.io/node-selector\":\"env=qa\""] {
        assert!(annotations.contains(text), "{annotations}");
    }
    fails(admin, "adm new-project theirs", 1, "already exists").await;
    fails(&ann, "adm new-project more", 1, "Forbidden").await;
    Ok(())
}

async fn roles_hold_for_the_cluster(site: &Site, admin: &Actor) -> Result<()> {
    let joe = site.user("joe").await?;
    fails(&joe, "get projects -A --as=joe", 1, "").await;
    let added = "clusterrole.rbac.authorization.k8s.io/cluster-reader added: \"joe\"";
    says(admin, "adm policy add-cluster-role-to-user cluster-reader joe --compat=4", added).await;
    does(&joe, "get pods -A").await;
    does(admin, "adm policy remove-cluster-role-from-user cluster-reader joe").await;
    fails(&joe, "get pods -A", 1, "cannot list").await;
    let added = "clusterrole.rbac.authorization.k8s.io/system:openshift:scc:anyuid added: ";
    says(
        admin,
        "adm policy add-scc-to-user anyuid -z runner -n theirs --dry-run=client",
        &added.replace("added", "added (dry run)"),
    )
    .await;
    says(admin, "describe clusterrole cluster-reader", "PolicyRule:").await;
    Ok(())
}

async fn users_and_identities_are_made(admin: &Actor) -> Result<()> {
    does(admin, "create user liz --full-name='Liz Example'").await;
    does(admin, "create identity anypassword:liz").await;
    does(admin, "create useridentitymapping anypassword:liz liz").await;
    says(admin, "describe user liz", "Liz Example").await;
    says(admin, "describe identity anypassword:liz", "liz").await;
    says(admin, "get users --show-labels", "liz").await;
    Ok(())
}
