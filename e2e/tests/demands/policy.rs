//! `policy` and `auth`: roles of users, groups and service accounts.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, feeds, run, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_policy() -> Result<()> {
    let site = Site::start().await?;
    let (admin, ed) = (site.admin()?, site.user("ed").await?);
    does(&ed, "new-project policies").await;
    words_that_are_missing_are_asked_for(&ed).await?;
    roles_are_given_and_taken(&ed).await?;
    bindings_are_named_after_their_role(&ed).await?;
    everything_of_somebody_is_taken_at_once(&ed).await?;
    who_can_do_something_is_listed(&admin, &ed).await?;
    one_asks_what_one_may(&ed).await?;
    nobody_gives_what_they_do_not_have(&ed).await?;
    roles_are_put_in_order(&admin).await?;
    site.stop()
}

async fn words_that_are_missing_are_asked_for(ed: &Actor) -> Result<()> {
    fails(ed, "policy add-role-to-user", 2, "<ROLE>").await;
    fails(ed, "policy add-role-to-user view", 1, "you must specify at least one user").await;
    fails(ed, "policy add-role-to-group view", 1, "you must specify at least one group").await;
    fails(ed, "policy who-can", 2, "<VERB>").await;
    fails(ed, "policy add-role-to-user view -z a:b", 1, "invalid serviceaccount name").await;
    Ok(())
}

async fn roles_are_given_and_taken(ed: &Actor) -> Result<()> {
    let added = "clusterrole.rbac.authorization.k8s.io/view added: \"ann\"";
    says(ed, "policy add-role-to-user view ann --compat=4", added).await;
    does(ed, "policy add-role-to-group view testers staff").await;
    does(ed, "policy add-role-to-user edit -z one --serviceaccount=two").await;
    let bound = does(ed, "get rolebinding -o jsonpath={.items[*].subjects[*].name}").await;
    for name in ["ann", "testers", "staff", "one", "two"] {
        assert!(bound.contains(name), "{name}: {bound}");
    }
    does(ed, "policy remove-role-from-user view ann").await;
    fails(ed, "policy remove-role-from-user view ann", 1, "unable to").await;
    does(ed, "policy remove-role-from-group view testers staff").await;
    does(ed, "policy remove-role-from-user edit system:serviceaccount:policies:one -z two").await;
    let bound = does(ed, "get rolebinding -o jsonpath={.items[*].subjects[*].name}").await;
    assert!(!bound.contains("testers") && !bound.contains("two"), "{bound}");
    Ok(())
}

async fn bindings_are_named_after_their_role(ed: &Actor) -> Result<()> {
    does(ed, "policy add-role-to-user view one").await;
    does(ed, "policy add-role-to-user view two").await;
    does(ed, "policy add-role-to-user view three --rolebinding-name=readers").await;
    let names = does(ed, "get rolebinding.rbac.authorization.k8s.io -o name").await;
    for name in ["/view\n", "/view-0\n", "/readers\n"] {
        assert!(names.contains(name), "{name}: {names}");
    }
    says(ed, "policy add-role-to-user none ed --dry-run", "Warning: role 'none' not found").await;
    says(ed, "policy add-role-to-user view four --dry-run", "added (dry run): \"four\"").await;
    let bound = does(ed, "get rolebinding -o jsonpath={.items[*].subjects[*].name}").await;
    assert!(!bound.contains("four"), "{bound}");
    Ok(())
}

async fn everything_of_somebody_is_taken_at_once(ed: &Actor) -> Result<()> {
    does(ed, "policy add-role-to-user edit two").await;
    let said =
        says(ed, "policy remove-user two", "Removing view from users [two] in project policies.").await;
    assert!(said.contains("Removing edit from users [two] in project policies."), "{said}");
    says(ed, "policy remove-user two", "Users [two] were not bound to roles in project policies.").await;
    says(ed, "policy remove-group none", "Groups [none] were not bound to roles in project policies.").await;
    Ok(())
}

async fn who_can_do_something_is_listed(admin: &Actor, ed: &Actor) -> Result<()> {
    let who = says(ed, "policy who-can get pods", "Namespace:  policies\n").await;
    assert!(
        who.contains("Verb:       get\n") && who.contains("Resource:   pods\n") && who.contains("ed\n"),
        "{who}"
    );
    says(admin, "adm policy who-can get pods -A", "Namespace:  <all>\n").await;
    fails(ed, "policy who-can get pods -A", 1, "cannot create").await;
    Ok(())
}

async fn one_asks_what_one_may(ed: &Actor) -> Result<()> {
    assert_eq!(does(ed, "auth can-i create imagestreams").await, "yes\n");
    let outcome = run(ed, "auth can-i create nodes").await;
    assert!(outcome.code == Some(1) && outcome.stdout.starts_with("no"), "{outcome}");
    let outcome = run(ed, "auth can-i create nodes -q").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    does(ed, "auth can-i update imagestreams --subresource=layers").await;
    does(ed, "policy can-i update imagestreams/layers").await;
    says(ed, "auth can-i --list", "imagestreams").await;
    does(ed, "auth can-i get /healthz").await;
    Ok(())
}

async fn nobody_gives_what_they_do_not_have(ed: &Actor) -> Result<()> {
    fails(ed, "policy add-role-to-user cluster-admin ed", 1, "Forbidden").await;
    fails(ed, "create role too-much --verb=* --resource=*.*", 1, "Forbidden").await;
    fails(ed, "create clusterrole mine --verb=get --resource=pods", 1, "cannot create").await;
    does(ed, "create role some --verb=get --resource=imagestreams/layers").await;
    does(ed, "create rolebinding some --role=some --serviceaccount=policies:one").await;
    Ok(())
}

async fn roles_are_put_in_order(admin: &Actor) -> Result<()> {
    let role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: lookers, labels: {own: 'yes'}}, \
                rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}";
    feeds(admin, "auth reconcile -f -", role).await;
    does(
        admin,
        "patch clusterrole lookers --type=json -p '[{\"op\":\"replace\",\"path\":\"/rules\",\"value\":[]}]'",
    )
    .await;
    feeds(admin, "auth reconcile -f -", role).await;
    says(admin, "get clusterrole lookers -o jsonpath={.rules[0].verbs[0]},{.metadata.labels.own}", "get,yes")
        .await;
    Ok(())
}
