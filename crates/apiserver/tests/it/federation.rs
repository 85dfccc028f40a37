//! Trust rules as objects, the exchange of tokens, and tokens on request with everything they may be bound to.

use std::sync::LazyLock;

use http::StatusCode;
use pierhead_auth::Credentials;
use pierhead_auth::service_account::{BoundClaims, TokenSigner};
use pierhead_runtime::{Clock as _, ManualClock};
use serde_json::{Value, json};

use crate::world::{Reply, World, admin, user};

const RULES: &str = "/apis/identity.pierhead.io/v1/namespaces/shop/federatedidentities";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Another cluster, whose pods have tokens of their own.
static ELSEWHERE: LazyLock<TokenSigner> = LazyLock::new(|| TokenSigner::generate().unwrap());

fn outside_token(namespace: &str) -> String {
    let now = ManualClock::default().now();
    let claims = BoundClaims {
        issuer: "https://elsewhere.example.com".to_owned(),
        audiences: vec!["https://127.0.0.1:8443".to_owned()],
        namespace: namespace.to_owned(),
        service_account_name: "runner".to_owned(),
        service_account_uid: "1".to_owned(),
        bound_to: None,
        node: None,
        warn_after: None,
        issued_at: now,
        expires_at: now + std::time::Duration::from_secs(600),
        id: "1".to_owned(),
    };
    ELSEWHERE.sign_bound(&claims).into_exposed()
}

fn rule(name: &str, account: &str) -> Value {
    json!({
        "apiVersion": "identity.pierhead.io/v1", "kind": "FederatedIdentity", "metadata": {"name": name},
        "spec": {
            "serviceAccountName": account,
            "issuer": "https://elsewhere.example.com",
            "audiences": ["https://127.0.0.1:8443"],
            "claims": [{"name": "/kubernetes.io/namespace", "values": ["ci"]}],
            "jwks": ELSEWHERE.jwks(),
        },
    })
}

async fn token(world: &World, form: &[(&str, &str)]) -> Reply {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    world.send(&user("nobody"), "POST", "/oauth/token", &form, body).await
}

#[tokio::test]
async fn only_who_may_create_tokens_says_for_which_others_they_are_given() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    for (who, role) in [("eve", "edit"), ("vic", "view")] {
        let binding = json!({
            "metadata": {"name": who}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": who}],
        });
        let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
        assert_eq!(world.post(&user("ann"), path, binding).await.status, StatusCode::CREATED);
    }
    // Somebody who may write rules, and create tokens of one account alone.
    let role = json!({
        "metadata": {"name": "rules"},
        "rules": [
            {"apiGroups": ["identity.pierhead.io"], "resources": ["federatedidentities"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["builder"], "verbs": ["create"]},
        ],
    });
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
    assert_eq!(world.post(&admin(), &format!("{roles}/roles"), role).await.status, StatusCode::CREATED);
    let binding = json!({
        "metadata": {"name": "rules"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "rules"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "rob"}],
    });
    assert_eq!(
        world.post(&admin(), &format!("{roles}/rolebindings"), binding).await.status,
        StatusCode::CREATED
    );
    let check = async |who: &str, name: &str, account: &str, expected: (u16, &str)| {
        let reply = world.post(&user(who), RULES, rule(name, account)).await;
        assert_eq!(reply.status.as_u16(), expected.0, "{who}: {}", reply.body);
        assert!(reply.says().1.contains(expected.1), "{who}: {}", reply.body);
    };
    check("ann", "a", "deployer", (201, "")).await;
    check("eve", "b", "deployer", (201, "")).await;
    check("vic", "c", "deployer", (403, "cannot create resource")).await;
    check("rob", "d", "builder", (201, "")).await;
    let refused = r#"only who may create tokens of the service account "deployer" may say"#;
    check("rob", "e", "deployer", (403, refused)).await;
    // Nor by changing one that is there, while its labels are anybody's who may write it.
    let path = format!("{RULES}/a");
    let labelled =
        world.patch(&user("rob"), &path, "merge-patch", json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled.status, StatusCode::OK, "{}", labelled.body);
    let widened = json!({"spec": {"audiences": ["https://127.0.0.1:8443", "x"]}});
    let reply = world.patch(&user("rob"), &path, "merge-patch", widened).await;
    assert!(reply.status == StatusCode::FORBIDDEN && reply.says().1.contains(refused), "{}", reply.body);
    let mut own = rule("own", "builder");
    own["spec"]["issuer"] = json!("https://kubernetes.default.svc");
    let reply = world.post(&user("ann"), RULES, own).await;
    assert!(reply.says().1.contains("must not be this server"), "{}", reply.body);
    let mut open = rule("open", "builder");
    open["spec"]["claims"] = json!([]);
    assert_eq!(world.post(&user("ann"), RULES, open).await.status.as_u16(), 422);
    let table = [("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")];
    let table = world.send(&user("vic"), "GET", RULES, &table, "").await.body;
    assert_eq!(table["rows"][0]["cells"][1], "deployer", "{table}");
}

#[tokio::test]
async fn an_outside_token_is_exchanged_as_rfc_8693_says() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    assert_eq!(world.post(&user("ann"), RULES, rule("ci", "builder")).await.status, StatusCode::CREATED);
    let good = outside_token("ci");
    let account = "system:serviceaccount:shop:builder";
    let full = [
        ("grant_type", EXCHANGE),
        ("subject_token", good.as_str()),
        ("subject_token_type", JWT),
        ("audience", account),
    ];
    let reply = token(&world, &full).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let given = reply.body["access_token"].as_str().unwrap();
    let subject = world.auth.authenticate(Credentials::Bearer(given)).unwrap();
    assert_eq!(subject.username, account);
    assert_eq!(reply.body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((&reply.body["token_type"], &reply.body["expires_in"]), (&json!("Bearer"), &json!(3_600)));
    assert_eq!(reply.headers["cache-control"], "no-cache, no-store, max-age=0, must-revalidate");
    let check = async |changes: &[(&str, &str)], error: &str| {
        let mut form: Vec<(&str, &str)> = full
            .iter()
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name))
            .copied()
            .collect();
        form.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let reply = token(&world, &form).await;
        let said = (reply.status.as_u16(), reply.body["error"].as_str().unwrap());
        assert_eq!(said, (400, error), "{changes:?}: {}", reply.body);
        reply.body["error_description"].as_str().unwrap().to_owned()
    };
    check(&[("subject_token", "")], "invalid_request").await;
    check(&[("subject_token_type", "")], "invalid_request").await;
    check(&[("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")], "invalid_request").await;
    check(&[("audience", "")], "invalid_request").await;
    check(&[("audience", "https://registry")], "invalid_target").await;
    check(&[("audience", account), ("audience", "shop/deployer")], "invalid_request").await;
    check(&[("resource", "https://registry")], "invalid_target").await;
    check(&[("scope", "user:full")], "invalid_scope").await;
    check(&[("actor_token", "x"), ("actor_token_type", JWT)], "invalid_request").await;
    check(&[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")], "invalid_request")
        .await;
    check(&[("subject_token", good.as_str()), ("subject_token", "x")], "invalid_request").await;
    // Whatever is wrong with the token or the account, the answer is the same.
    let refused = check(&[("subject_token", "x.y.z")], "invalid_request").await;
    let other = outside_token("production");
    for changes in [
        [("subject_token", other.as_str())],
        [("subject_token", given)],
        [("audience", "shop/deployer")],
        [("audience", "shop/none")],
        [("audience", "none/builder")],
    ] {
        assert_eq!(check(&changes, "invalid_request").await, refused, "{changes:?}");
    }
    let typed = token(&world, &[&full[..], &[("requested_token_type", JWT)]].concat()).await;
    assert_eq!(typed.body["issued_token_type"], JWT);
    let deleted = world.delete(&user("ann"), &format!("{RULES}/ci")).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert!(
        world.auth.authenticate(Credentials::Bearer(given)).is_err(),
        "what was given ends with the rule"
    );
}

#[tokio::test]
async fn requested_tokens_are_bound_and_for_whom_they_say() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}});
    assert_eq!(world.post(&admin(), "/api/v1/nodes", node).await.status, StatusCode::CREATED);
    let path = "/api/v1/namespaces/shop/serviceaccounts/builder/token";
    let ask = async |spec: Value| world.post(&admin(), path, json!({"spec": spec})).await;
    let check = async |spec: Value, expected: (u16, &str)| {
        let reply = ask(spec).await;
        assert_eq!(reply.status.as_u16(), expected.0, "{}", reply.body);
        assert!(reply.says().1.contains(expected.1), "{}", reply.body);
    };
    let object = |kind: &str, version: &str, name: &str, uid: &str| json!({"boundObjectRef": {"kind": kind, "apiVersion": version, "name": name, "uid": uid}});
    check(object("Node", "v1", "n1", ""), (201, "")).await;
    check(object("Node", "v1", "n2", ""), (404, r#"nodes "n2" not found"#)).await;
    check(object("Node", "v1", "n1", "other"), (409, "does not match the UID in record")).await;
    check(
        object("Deployment", "apps/v1", "d", ""),
        (400, "cannot bind token to object of type apps/v1, Kind=Deployment"),
    )
    .await;
    check(json!({"expirationSeconds": 599}), (422, "may not specify a duration less than 10 minutes")).await;
    let named = json!({"metadata": {"name": "deployer"}, "spec": {}});
    let named = world.post(&admin(), path, named).await;
    assert_eq!(named.says().0, 400, "{}", named.body);
    let token =
        ask(object("Node", "v1", "n1", "")).await.body["status"]["token"].as_str().unwrap().to_owned();
    let subject = world.auth.authenticate(Credentials::Bearer(&token)).unwrap();
    assert_eq!(subject.extra["authentication.kubernetes.io/node-name"], ["n1"]);
    assert_eq!(world.delete(&admin(), "/api/v1/nodes/n1").await.status, StatusCode::OK);
    assert!(world.auth.authenticate(Credentials::Bearer(&token)).is_err());
    // For somebody else: no good here, and good for them.
    let vault = ask(json!({"audiences": ["vault", "other"]})).await.body["status"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(world.auth.authenticate(Credentials::Bearer(&vault)).is_err());
    let review = async |token: &str, audiences: Value| {
        let review = json!({"spec": {"token": token, "audiences": audiences}});
        world.post(&admin(), "/apis/authentication.k8s.io/v1/tokenreviews", review).await.body["status"]
            .clone()
    };
    let status = review(&vault, json!(["vault", "third"])).await;
    assert_eq!(
        (&status["authenticated"], &status["audiences"]),
        (&json!(true), &json!(["vault"])),
        "{status}"
    );
    assert_eq!(status["user"]["username"], "system:serviceaccount:shop:builder");
    assert_eq!(review(&vault, json!(["third"])).await["authenticated"], Value::Null);
    assert_eq!(review(&vault, Value::Null).await["authenticated"], Value::Null);
    let own = ask(json!({})).await.body["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(review(&own, json!(["vault"])).await["authenticated"], Value::Null);
    assert_eq!(review(&own, json!(["https://kubernetes.default.svc"])).await["authenticated"], true);
    let none = world.post(&admin(), "/apis/authentication.k8s.io/v1/tokenreviews", json!({"spec": {}})).await;
    assert_eq!(none.says().0, 400);
}
