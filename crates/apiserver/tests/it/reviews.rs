//! Questions about rights and identity, and tokens on request.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use pierhead_auth::Credentials;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

#[tokio::test]
async fn rights_are_asked_in_both_forms() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let check = async |who: &str, path: &str, body: Value, pointer: &str, expected: Value| {
        let reply = world.post(&user(who), path, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        assert_eq!(reply.body.pointer(pointer), Some(&expected), "{}", reply.body);
    };
    let kube = "/apis/authorization.k8s.io/v1";
    let asked = json!({"spec": {"resourceAttributes": {"namespace": "shop", "verb": "create", "resource": "secrets"}}});
    check("ann", &format!("{kube}/selfsubjectaccessreviews"), asked.clone(), "/status/allowed", json!(true))
        .await;
    check("bob", &format!("{kube}/selfsubjectaccessreviews"), asked, "/status/allowed", json!(false)).await;
    let openshift = "/oapi/v1/namespaces/shop";
    let asked = json!({"verb": "update", "resource": "imagestreams/layers"});
    check("ann", &format!("{openshift}/localsubjectaccessreviews"), asked.clone(), "/allowed", json!(true))
        .await;
    check("ann", &format!("{openshift}/localresourceaccessreviews"), asked, "/namespace", json!("shop"))
        .await;
    let rules = "/apis/authorization.openshift.io/v1/namespaces/shop/selfsubjectrulesreviews";
    let reply = world.post(&user("ann"), rules, json!({"spec": {}})).await;
    assert!(!reply.body["status"]["rules"].as_array().unwrap().is_empty());
    let neither =
        world.post(&user("ann"), &format!("{kube}/selfsubjectaccessreviews"), json!({"spec": {}})).await;
    assert_eq!(neither.status.as_u16(), 422);
}

#[tokio::test]
async fn everybody_learns_who_they_are() {
    let world = World::new().await;
    let review =
        world.post(&user("ann"), "/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    assert_eq!(review.body["status"]["userInfo"]["username"], "ann");
    let me = world.get(&user("ann"), "/oapi/v1/users/~").await.body;
    assert_eq!((&me["metadata"]["name"], &me["apiVersion"]), (&json!("ann"), &json!("v1")));
}

#[tokio::test]
async fn no_requested_token_outlives_the_cap() {
    let world = World::with(|config| config.longest_token = Some(Duration::from_secs(7_200))).await;
    world.project(&user("ann"), "shop").await;
    let path = "/api/v1/namespaces/shop/serviceaccounts/builder/token";
    for (asked, given) in [(7_200, 7_200), (7_201, 7_200), (600, 600)] {
        let made = world.post(&user("ann"), path, json!({"spec": {"expirationSeconds": asked}})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(made.body["spec"]["expirationSeconds"], given);
        let token = made.body["status"]["token"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), given);
        let warning = made.headers.get("warning").map(|text| text.to_str().unwrap());
        let expected = r#"299 - "requested expiration of 7201 seconds shortened to 7200 seconds""#;
        assert_eq!(warning, (asked > given).then_some(expected));
    }
}

#[tokio::test]
async fn a_requested_token_is_good_and_known() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let path = "/api/v1/namespaces/shop/serviceaccounts/builder/token";
    let made = world.post(&user("ann"), path, json!({"spec": {"expirationSeconds": 600}})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["kind"], "TokenRequest");
    let token = made.body["status"]["token"].as_str().unwrap();
    let subject = world.auth.authenticate(Credentials::Bearer(token)).unwrap();
    assert_eq!(subject.username, "system:serviceaccount:shop:builder");
    let review = json!({"spec": {"token": token}});
    let review = world.post(&admin(), "/apis/authentication.k8s.io/v1/tokenreviews", review).await.body;
    assert_eq!((&review["status"]["authenticated"], &review["spec"]["token"]), (&json!(true), &Value::Null));
    let short = world.post(&user("ann"), path, json!({"spec": {"expirationSeconds": 5}})).await;
    assert_eq!(short.status.as_u16(), 422);
    let none = world.post(&user("ann"), &path.replace("builder", "none"), json!({"spec": {}})).await;
    assert_eq!(none.says(), (404, r#"serviceaccounts "none" not found"#));
}
