//! Roles and bindings in both forms, who may write them, and the views old clients read.

use std::sync::Arc;

use http::StatusCode;
use pierhead_auth::Era;
use pierhead_runtime::ManualClock;
use pierhead_store::Store;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
const OPENSHIFT: &str = "/apis/authorization.openshift.io/v1/namespaces/shop";
const LEGACY: &str = "/oapi/v1/namespaces/shop";

async fn shop() -> World {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    world
}

#[tokio::test]
async fn both_forms_are_one_object() {
    let world = shop().await;
    let binding = json!({
        "kind": "RoleBinding", "apiVersion": "v1", "metadata": {"name": "edit"},
        "userNames": ["bob", "system:serviceaccount:shop:builder"], "groupNames": null, "roleRef": {"name": "edit"},
    });
    let made = world.post(&user("ann"), &format!("{LEGACY}/rolebindings"), binding).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    assert_eq!(made.body["apiVersion"], "v1");
    assert_eq!(made.body["subjects"][1]["kind"], "ServiceAccount");
    let rbac = world.get(&user("ann"), &format!("{RBAC}/rolebindings/edit")).await.body;
    assert_eq!(rbac["roleRef"]["kind"], "ClusterRole");
    assert_eq!(
        rbac["subjects"][0],
        json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"})
    );

    // Appending a subject is how `oc policy add-role-to-user` of old goes on.
    let mut changed = world.get(&user("ann"), &format!("{LEGACY}/rolebindings/edit")).await.body;
    changed["userNames"] = json!(["bob", "carl"]);
    let put = world.put(&user("ann"), &format!("{LEGACY}/rolebindings/edit"), changed.clone()).await;
    assert_eq!(put.status.as_u16(), 200, "{}", put.body);
    let rbac = world.get(&user("ann"), &format!("{RBAC}/rolebindings/edit")).await.body;
    assert_eq!(rbac["subjects"][1]["name"], "carl");

    let mut other = put.body;
    other["roleRef"]["name"] = "view".into();
    let refused = world.put(&user("ann"), &format!("{LEGACY}/rolebindings/edit"), other).await;
    assert_eq!(refused.status.as_u16(), 422);
    assert!(refused.says().1.ends_with("cannot change roleRef"), "{}", refused.body);

    let secrets = world.get(&user("carl"), "/api/v1/namespaces/shop/secrets").await;
    assert_eq!(secrets.status.as_u16(), 200, "the grant is effective at once");
}

/// What is a part of what differs between the eras, and a store may see both.
#[tokio::test]
async fn roles_are_parts_of_others_as_the_era_has_it() {
    let clock = ManualClock::default().shared();
    let store = Store::memory(Arc::clone(&clock));
    let start = async |era: Era| {
        World::configured(store.clone(), Arc::clone(&clock), |config| config.era = era).await
    };
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-builder";
    let check = async |world: &World, expected: u16, labels: Value| {
        let subjects = json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}]);
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-builder"});
        let binding = json!({"metadata": {"generateName": "b-"}, "roleRef": reference, "subjects": subjects});
        let reply = world.post(&user("ann"), &format!("{RBAC}/rolebindings"), binding).await;
        assert_eq!(reply.status.as_u16(), expected, "{}", reply.body);
        let stored = world.get(&admin(), role).await.body;
        assert_eq!(stored["metadata"].get("labels").unwrap_or(&Value::Null), &labels);
    };
    let parts = json!({
        "rbac.authorization.k8s.io/aggregate-to-admin": "true",
        "rbac.authorization.k8s.io/aggregate-to-edit": "true",
    });
    let world = start(Era::V4).await;
    world.project(&user("ann"), "shop").await;
    check(&world, 201, parts.clone()).await;
    check(&start(Era::V3_2).await, 403, Value::Null).await;
    let world = start(Era::V4).await;
    check(&world, 201, parts).await;
    let mine = json!({"metadata": {"labels": {"team": "a"}}});
    world.patch(&admin(), role, "merge-patch", mine).await;
    check(&start(Era::V3_2).await, 403, json!({"team": "a"})).await;
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_hold() {
    let world = shop().await;
    let check = async |who: &str, role: &str, expected: u16| {
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
        let subjects = json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}]);
        let binding = json!({
            "metadata": {"generateName": "b-"}, "roleRef": reference, "subjects": subjects,
        });
        let subject = if who == "admin" { admin() } else { user(who) };
        let reply = world.post(&subject, &format!("{RBAC}/rolebindings"), binding).await;
        assert_eq!(reply.status.as_u16(), expected, "{who} {role}: {}", reply.body);
        reply
    };
    check("ann", "edit", 201).await;
    check("ann", "view", 201).await;
    check("ann", "no-such-role", 404).await;
    check("bob", "view", 403).await;
    check("admin", "cluster-admin", 201).await;
    let refused = check("ann", "system:image-builder", 403).await;
    assert!(
        refused.says().1.contains("is attempting to grant RBAC permissions not currently held:"),
        "{}",
        refused.body
    );

    let role = |resource: &str| json!({"metadata": {"name": resource}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}]});
    let own = world.post(&user("ann"), &format!("{RBAC}/roles"), role("secrets")).await;
    assert_eq!(own.status.as_u16(), 201, "{}", own.body);
    let greedy = world.post(&user("ann"), &format!("{RBAC}/roles"), role("nodes")).await;
    assert_eq!(greedy.status.as_u16(), 403, "{}", greedy.body);
    let greedy = world.post(&user("ann"), &format!("{OPENSHIFT}/roles"), role("nodes")).await;
    assert_eq!(greedy.status.as_u16(), 403, "the other form is no way around: {}", greedy.body);
}

#[tokio::test]
async fn old_clients_read_policy_bindings() {
    let world = shop().await;
    let all = world.get(&user("ann"), &format!("{LEGACY}/policybindings/:default")).await;
    assert_eq!(all.status.as_u16(), 200, "{}", all.body);
    let bindings = all.body["roleBindings"].as_array().unwrap();
    let admin_binding = bindings.iter().find(|binding| binding["name"] == "admin").unwrap();
    assert_eq!(admin_binding["roleBinding"]["userNames"], json!(["ann"]));
    let list = world.get(&user("ann"), &format!("{LEGACY}/policybindings")).await.body;
    assert_eq!(list["kind"], "PolicyBindingList");
    let missing = world.get(&user("ann"), &format!("{LEGACY}/policybindings/shop:default")).await;
    assert_eq!(missing.status.as_u16(), 404);
}

#[tokio::test]
async fn restrictions_limit_who_gets_roles() {
    let world = shop().await;
    let restriction = json!({
        "metadata": {"name": "only-bob"}, "spec": {"userrestriction": {"users": ["bob"], "groups": [], "labels": null}},
    });
    let made = world.post(&admin(), &format!("{OPENSHIFT}/rolebindingrestrictions"), restriction).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let give = async |name: &str| {
        let binding = json!({
            "metadata": {"generateName": "b-"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "name": name}],
        });
        world.post(&user("ann"), &format!("{RBAC}/rolebindings"), binding).await
    };
    assert_eq!(give("bob").await.status.as_u16(), 201);
    let refused = give("carl").await;
    assert_eq!(refused.status.as_u16(), 403);
    assert!(refused.says().1.contains(r#"rolebindings to User "carl" are not allowed in project "shop""#));
}

#[tokio::test]
async fn own_tokens_are_seen_and_ended_by_their_owner() {
    let world = World::new().await;
    let tokens = "/apis/oauth.openshift.io/v1/oauthaccesstokens";
    let own = "/apis/oauth.openshift.io/v1/useroauthaccesstokens";
    let name = |end: &str| format!("sha256~{}{end}", "a".repeat(42));
    let owner =
        std::sync::Arc::new(pierhead_auth::Subject { uid: "u-ann".to_owned(), ..(*user("ann")).clone() });
    for (end, who, uid) in [("1", "ann", "u-ann"), ("2", "bob", "u-bob")] {
        let token = json!({
            "metadata": {"name": name(end)}, "clientName": "c", "userName": who, "userUID": uid,
            "redirectURI": "https://x/", "scopes": ["user:full"], "expiresIn": 86_400,
        });
        let made = world.post(&admin(), tokens, token).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    let list = world.get(&owner, own).await.body;
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|token| &token["metadata"]["name"]).collect();
    assert_eq!(names, [&json!(name("1"))]);
    assert_eq!(world.get(&owner, &format!("{own}/{}", name("2"))).await.status.as_u16(), 404);
    assert_eq!(world.delete(&owner, &format!("{own}/{}", name("2"))).await.status.as_u16(), 404);
    assert_eq!(world.delete(&owner, &format!("{own}/{}", name("1"))).await.status.as_u16(), 200);
    assert_eq!(world.get(&admin(), &format!("{tokens}/{}", name("1"))).await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_mapping_is_written_to_both_ends() {
    let world = World::new().await;
    let group = "/apis/user.openshift.io/v1";
    let identity = json!({"metadata": {"name": "p:ann"}, "providerName": "p", "providerUserName": "ann"});
    assert_eq!(world.post(&admin(), &format!("{group}/identities"), identity).await.status.as_u16(), 201);
    for name in ["ann", "other"] {
        let made = world.post(&admin(), &format!("{group}/users"), json!({"metadata": {"name": name}})).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    let mappings = format!("{group}/useridentitymappings");
    let mapping = |user: &str| json!({"identity": {"name": "p:ann"}, "user": {"name": user}});
    let absent = world.post(&admin(), &mappings, mapping("nobody")).await;
    assert_eq!(absent.status.as_u16(), 422, "{}", absent.body);
    let made = world.post(&admin(), &mappings, mapping("ann")).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    assert_eq!(world.get(&admin(), &format!("{group}/users/ann")).await.body["identities"], json!(["p:ann"]));
    assert_eq!(world.post(&admin(), &mappings, mapping("other")).await.status.as_u16(), 409);

    let mut moved = world.get(&admin(), &format!("{mappings}/p:ann")).await.body;
    moved["user"] = json!({"name": "other"});
    let put = world.put(&admin(), &format!("{mappings}/p:ann"), moved).await;
    assert_eq!(put.status.as_u16(), 200, "{}", put.body);
    assert_eq!(world.get(&admin(), &format!("{group}/users/ann")).await.body["identities"], json!([]));
    assert_eq!(world.get(&admin(), &format!("{group}/identities/p:ann")).await.body["user"]["name"], "other");

    assert_eq!(world.delete(&admin(), &format!("{mappings}/p:ann")).await.status.as_u16(), 200);
    assert_eq!(world.get(&admin(), &format!("{mappings}/p:ann")).await.status.as_u16(), 404);
    assert_eq!(world.get(&admin(), &format!("{group}/users/other")).await.body["identities"], json!([]));
}

#[tokio::test]
async fn what_was_added_to_shipped_roles_and_bindings_outlives_a_restart() {
    let clock = ManualClock::default().shared();
    let store = Store::memory(Arc::clone(&clock));
    let world = World::over(store.clone(), Arc::clone(&clock)).await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let (binding, role) =
        (format!("{rbac}/clusterrolebindings/cluster-admins"), format!("{rbac}/clusterroles/sudoer"));
    let mut bound = world.get(&admin(), &binding).await.body;
    let shipped = bound["subjects"].clone();
    let root = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "root"});
    bound["subjects"] = json!([root]);
    bound["metadata"]["labels"] = json!({"team": "platform"});
    assert_eq!(world.put(&admin(), &binding, bound).await.status, StatusCode::OK);
    let mut sudoer = world.get(&admin(), &role).await.body;
    let rules = sudoer["rules"].as_array().unwrap().clone();
    let extra = json!({"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]});
    sudoer["rules"] = json!([extra]);
    assert_eq!(world.put(&admin(), &role, sudoer).await.status, StatusCode::OK);
    let again = World::over(store, clock).await;
    let bound = again.get(&admin(), &binding).await.body;
    let expected: Vec<Value> = shipped.as_array().unwrap().iter().chain([&root]).cloned().collect();
    assert_eq!(
        bound["subjects"],
        json!(expected),
        "what was taken away is back, what was added is still there"
    );
    assert_eq!(bound["metadata"]["labels"]["team"], "platform");
    let expected: Vec<Value> = rules.iter().chain([&extra]).cloned().collect();
    assert_eq!(again.get(&admin(), &role).await.body["rules"], json!(expected));
}
