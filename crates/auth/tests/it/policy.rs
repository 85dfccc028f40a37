//! Who may do what, by bootstrapped roles and by changes to them.

use pierhead_api::rbac::PolicyRule;
use pierhead_auth::{Attributes, Era, GrantDenied, Impersonation, RoleName, Subject, everything};
use serde_json::json;

use crate::cluster::{Cluster, user};

const IMAGE: &str = "image.openshift.io";

#[tokio::test]
async fn registry_permits_follow_the_role_in_the_project() {
    let cluster = Cluster::start(Era::V3_2).await;
    for role in
        ["admin", "edit", "view", "system:image-puller", "system:image-pusher", "system:image-builder"]
    {
        cluster.bind("shop", role, role).await;
    }
    cluster.bind("", "system:image-pruner", "pruner").await;
    cluster.bind("", "cluster-admin", "root").await;
    // Pull, push, delete, create streams; each as a letter.
    let check = |name: &str, namespace: &str, expected: &str| {
        let subject = user(name);
        let auth = &cluster.auth;
        let permits = [
            ('l', auth.permit_pull(&subject, namespace, "web").is_ok()),
            ('p', auth.permit_push(&subject, namespace, "web").is_ok()),
            ('d', auth.permit_delete(&subject, namespace, "web").is_ok()),
            ('c', auth.permit_create_stream(&subject, namespace).is_ok()),
        ];
        let letters: String = permits.iter().filter(|(_, held)| *held).map(|(letter, _)| *letter).collect();
        assert_eq!(letters, expected, "{name} in {namespace}");
    };
    check("admin", "shop", "lpdc");
    check("admin", "yard", "");
    check("edit", "shop", "lpdc");
    check("view", "shop", "");
    check("system:image-puller", "shop", "l");
    check("system:image-pusher", "shop", "lp");
    check("system:image-builder", "shop", "lpc");
    check("pruner", "shop", "d");
    check("root", "yard", "lpdc");
    check("root", "no-such-project", "");
    check("stranger", "shop", "");
    cluster.auth.permit_catalog(&user("root")).unwrap();
    assert!(cluster.auth.permit_catalog(&user("admin")).is_err());

    let namespace =
        json!({"kind": "Namespace", "metadata": {"name": "shop"}, "status": {"phase": "Terminating"}});
    cluster.put(namespace).await;
    let denied = cluster.auth.permit_pull(&user("root"), "shop", "web").unwrap_err();
    assert_eq!(
        denied.to_string(),
        r#"imagestreams.image.openshift.io "web" is forbidden: User "root" cannot get resource "imagestreams/layers" in API group "image.openshift.io" in the namespace "shop""#
    );
}

#[tokio::test]
async fn push_needs_the_right_to_read_as_well() {
    let cluster = Cluster::start(Era::V4).await;
    cluster
        .put(json!({
            "kind": "Role", "metadata": {"name": "blind", "namespace": "shop"},
            "rules": [{"verbs": ["update"], "apiGroups": [""], "resources": ["imagestreams/layers"]}],
        }))
        .await;
    cluster
        .put(json!({
            "kind": "RoleBinding", "metadata": {"name": "blind", "namespace": "shop"},
            "subjects": [{"kind": "User", "name": "mole"}], "roleRef": {"kind": "Role", "name": "blind"},
        }))
        .await;
    let update = Attributes::new("update", IMAGE, "imagestreams/layers").namespace("shop").name("web");
    let decision = cluster.auth.allowed(&user("mole"), &update);
    assert_eq!(
        decision.reason,
        r#"RBAC: allowed by RoleBinding "blind/shop" of Role "blind" to User "mole""#
    );
    assert!(cluster.auth.permit_push(&user("mole"), "shop", "web").is_err());
}

#[tokio::test]
async fn a_removed_binding_counts_at_once() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "edit", "ann").await;
    let ann = user("ann");
    let question = Attributes::new("create", "", "secrets").namespace("shop");
    assert!(cluster.may(&ann, &question));
    assert!(cluster.may(&ann, &question), "from the cache");
    cluster.delete("rolebindings.rbac.authorization.k8s.io", "shop", "edit-ann").await;
    assert!(!cluster.may(&ann, &question));
    cluster.bind("shop", "edit", "ann").await;
    assert!(cluster.may(&ann, &question));
    cluster.delete("clusterroles.rbac.authorization.k8s.io", "", "edit").await;
    assert!(!cluster.may(&ann, &question), "a binding to a role that is gone gives nothing");
}

#[tokio::test]
async fn stored_objects_that_cannot_be_read_grant_nothing() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "edit", "ann").await;
    cluster.auth.permit_pull(&user("ann"), "shop", "web").unwrap();
    let broken = json!({
        "kind": "RoleBinding", "metadata": {"name": "edit-ann", "namespace": "shop"},
        "subjects": [{"kind": "User", "name": "ann"}], "roleRef": 7,
    });
    cluster.put(broken).await;
    assert!(cluster.auth.permit_pull(&user("ann"), "shop", "web").is_err());
}

#[tokio::test]
async fn labelled_cluster_roles_add_to_the_aggregating_one() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "view", "ann").await;
    let question = Attributes::new("get", "example.com", "widgets").namespace("shop");
    assert!(!cluster.may(&user("ann"), &question));
    cluster
        .put(json!({
            "kind": "ClusterRole",
            "metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
            "rules": [{"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]}],
        }))
        .await;
    assert!(cluster.may(&user("ann"), &question));
    assert!(!cluster.may(&user("ann"), &Attributes::new("get", "example.com", "widgets").namespace("yard")));
}

#[tokio::test]
async fn who_may_grant_which_role_depends_on_the_era() {
    let check = async |era, who: &'static str, role: &str, expected: bool| {
        let cluster = Cluster::start(era).await;
        cluster.bind("shop", "admin", "admin").await;
        cluster.bind("shop", "edit", "editor").await;
        cluster.bind("", "cluster-admin", "root").await;
        let role = RoleName::Cluster(role.to_owned());
        let granted = cluster.auth.check_grant(&user(who), Some("shop"), &role);
        assert_eq!(granted.is_ok(), expected, "{era:?}: {who} grants {role}: {granted:?}");
    };
    for era in [Era::V3_2, Era::V4] {
        let below = ["admin", "edit", "view", "registry-admin", "registry-editor", "registry-viewer"];
        for role in below.into_iter().chain(["system:image-puller", "system:image-pusher"]) {
            check(era, "admin", role, true).await;
        }
        check(era, "admin", "cluster-admin", false).await;
        check(era, "admin", "system:image-pruner", false).await;
        check(era, "root", "system:image-builder", true).await;
        check(era, "editor", "admin", false).await;
        check(era, "editor", "view", true).await;
    }
    check(Era::V3_2, "admin", "system:image-builder", false).await;
    check(Era::V4, "admin", "system:image-builder", true).await;
}

#[tokio::test]
async fn what_is_missing_is_said_in_the_words_of_the_era() {
    let v3 = Cluster::with(|config| (config.rules, config.texts) = (Era::V3_2, Era::V3_2)).await;
    let v4 = Cluster::with(|config| (config.rules, config.texts) = (Era::V3_2, Era::V4)).await;
    let builder = RoleName::Cluster("system:image-builder".to_owned());
    let text = async |cluster: &Cluster| {
        cluster.bind("shop", "admin", "ann").await;
        cluster.auth.check_grant(&user("ann"), Some("shop"), &builder).unwrap_err().to_string()
    };
    let v3 = text(&v3).await;
    assert!(
        v3.starts_with(
            r#"attempt to grant extra privileges: [PolicyRule{Verbs:["update"], APIGroups:["build.openshift.io"], Resources:["builds/details"]"#
        ),
        "{v3}"
    );
    assert_eq!(
        text(&v4).await,
        "user \"ann\" (groups=[\"system:authenticated:oauth\" \"system:authenticated\"]) is attempting to grant \
         RBAC permissions not currently held:\n\
         {APIGroups:[\"build.openshift.io\"], Resources:[\"builds/details\"], Verbs:[\"update\"]}"
    );
}

#[tokio::test]
async fn a_role_that_is_not_there_is_granted_by_those_who_may_bind_only() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "admin", "ann").await;
    let role = RoleName::Namespaced("ghost".to_owned());
    let denied = cluster.auth.check_grant(&user("ann"), Some("shop"), &role).unwrap_err();
    assert_eq!(denied, GrantDenied::RoleNotFound { resource: "roles", name: "ghost".to_owned() });
    let master = Subject::system("system:openshift-master", &["system:masters"]);
    assert_eq!(cluster.auth.check_grant(&master, Some("shop"), &role), Ok(()));
}

#[tokio::test]
async fn a_scoped_token_does_what_the_scope_and_the_user_may() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "admin", "ann").await;
    cluster.bind("yard", "admin", "ann").await;
    let scoped = |scopes: &[&str]| {
        let mut subject = (*user("ann")).clone();
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        subject.extra.insert("scopes.authorization.openshift.io".to_owned(), scopes);
        std::sync::Arc::new(subject)
    };
    let pull =
        |namespace| Attributes::new("get", IMAGE, "imagestreams/layers").namespace(namespace).name("web");
    let secrets = Attributes::new("get", "", "secrets").namespace("shop");
    let myself = Attributes::new("get", "user.openshift.io", "users").name("~");
    let info = scoped(&["user:info"]);
    assert!(cluster.may(&info, &myself));
    let denied = cluster.auth.authorize(&info, &pull("shop")).unwrap_err();
    assert_eq!(denied.reason, "scopes [user:info] prevent this action");
    let role = scoped(&["role:edit:shop"]);
    assert!(cluster.may(&role, &pull("shop")));
    assert!(!cluster.may(&role, &pull("yard")));
    assert!(!cluster.may(&role, &secrets), "secrets could be used to get more rights");
    assert!(cluster.may(&scoped(&["role:edit:shop:!"]), &secrets));
    let beyond = scoped(&["role:cluster-admin:*:!"]);
    assert!(!cluster.may(&beyond, &Attributes::new("delete", "", "nodes")), "a scope adds nothing");
    assert!(!cluster.may(&scoped(&["user:nonsense"]), &myself));
    assert!(cluster.may(&scoped(&["user:full"]), &secrets));
    // A token that may write bindings but not read secrets must not grant what it lacks.
    let rules = [PolicyRule {
        verbs: vec!["get".to_owned()],
        api_groups: vec![String::new()],
        resources: vec!["secrets".to_owned()],
        ..PolicyRule::default()
    }];
    cluster.auth.check_escalation(&user("ann"), Some("shop"), &rules).unwrap();
    assert!(cluster.auth.check_escalation(&role, Some("shop"), &rules).is_err());
    assert!(cluster.auth.check_escalation(&scoped(&["user:full"]), Some("shop"), &everything()).is_err());
}

#[tokio::test]
async fn impersonation_asks_for_every_part() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "admin", "ann").await;
    cluster.bind("", "sudoer", "sue").await;
    let as_user = |user: &str, groups: &[&str]| Impersonation {
        user: user.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Impersonation::default()
    };
    let check = |who: &str, wanted: Impersonation, expected: Result<&[&str], &str>| {
        let result = cluster.auth.impersonate(&user(who), &wanted);
        let result = result.map(|subject| subject.groups.clone()).map_err(|error| error.to_string());
        let expected =
            expected.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
        assert_eq!(result, expected.map_err(str::to_owned), "{who} as {wanted:?}");
    };
    let accounts = ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"];
    check("ann", as_user("system:serviceaccount:shop:default", &[]), Ok(&accounts));
    check("sue", as_user("system:admin", &[]), Ok(&["system:authenticated"]));
    check(
        "sue",
        as_user("system:admin", &["system:masters"]),
        Ok(&["system:masters", "system:authenticated"]),
    );
    check(
        "ann",
        as_user("bob", &[]),
        Err(
            r#"users "bob" is forbidden: User "ann" cannot impersonate resource "users" in API group "" at the cluster scope"#,
        ),
    );
    check(
        "sue",
        as_user("system:admin", &["other"]),
        Err(
            r#"groups "other" is forbidden: User "sue" cannot impersonate resource "groups" in API group "" at the cluster scope"#,
        ),
    );
    check(
        "sue",
        as_user("", &["system:masters"]),
        Err("requested groups, uid or extra values without impersonating a user"),
    );
}

#[tokio::test]
async fn reviews_list_rules_and_subjects() {
    let cluster = Cluster::start(Era::V4).await;
    cluster.bind("shop", "edit", "ann").await;
    let pull = Attributes::new("get", IMAGE, "imagestreams/layers").namespace("shop").name("web");
    let (users, groups) = cluster.auth.who_can(&pull);
    let registry = "system:serviceaccount:openshift-image-registry:registry";
    assert_eq!(users, ["ann", "system:admin", registry]);
    assert_eq!(groups, ["system:cluster-admins", "system:cluster-readers", "system:masters"]);
    let pushes =
        |rule: &PolicyRule| rule.resources == ["imagestreams/layers"] && rule.verbs == ["get", "update"];
    assert!(cluster.auth.rules_for(&user("ann"), "shop").iter().any(pushes));
    assert!(!cluster.auth.rules_for(&user("ann"), "yard").iter().any(pushes));
}
