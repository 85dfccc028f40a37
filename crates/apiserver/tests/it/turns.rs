//! Many requests at once: users take turns, and those who are too many are told when to come again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use pierhead_auth::Subject;
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{World, admin, user};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

/// A POST whose body never comes to its end.
fn endless(path: &str) -> Request<http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>> {
    let pieces = stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
    Request::post(path).body(StreamBody::new(pieces).boxed_unsync()).unwrap()
}

/// A write whose body never comes to its end.
fn slow(who: &Arc<Subject>) -> Request<http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>> {
    let mut request = endless(MAPS);
    request.extensions_mut().insert(Arc::clone(who));
    request
}

#[tokio::test]
async fn forms_that_do_not_arrive_keep_nobody_from_logging_in() {
    let world = World::new().await;
    let mut flood = JoinSet::new();
    for _ in 0..150 {
        let (server, request) = (world.server.clone(), endless("/oauth/token"));
        flood.spawn(async move { server.handle(request).await });
    }
    tokio::task::yield_now().await;
    let request = Request::get("/.well-known/oauth-authorization-server")
        .body(http_body_util::Full::new(Bytes::new()))
        .unwrap();
    assert_eq!(world.server.handle(request).await.status().as_u16(), 200);
    assert!(flood.join_next().now_or_never().is_none(), "all of them are still waited for");
    flood.abort_all();
    while flood.join_next().await.is_some() {}
}

#[tokio::test]
async fn one_users_flood_is_that_users_trouble() {
    let world = World::new().await;
    let (eve, ann) = (user("eve"), user("ann"));
    world.project(&ann, "shop").await;
    let binding = json!({
        "metadata": {"name": "eve"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
    });
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
    assert_eq!(world.post(&admin(), path, binding).await.status.as_u16(), 201);
    let mut flood = JoinSet::new();
    for _ in 0..2_000 {
        let server = world.server.clone();
        let request = slow(&eve);
        flood.spawn(async move { server.handle(request).await });
    }
    // Those beyond what may wait are sent away at once.
    let mut refused = 0;
    while refused < 1_500 {
        let answer = flood.join_next().await.unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&status["reason"], &status["details"]["retryAfterSeconds"]),
            (&json!("TooManyRequests"), &json!(1))
        );
        refused += 1;
    }
    assert!(flood.join_next().now_or_never().is_none(), "the others are worked on or wait");
    // Everybody else goes on without noticing.
    let began = tokio::time::Instant::now();
    for n in 0..50 {
        let made = world.post(&ann, MAPS, json!({"metadata": {"name": format!("m{n}")}})).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "who waits for another waits for 15 seconds");
    assert_eq!(world.get(&eve, MAPS).await.status.as_u16(), 429, "she has had hers");
    assert_eq!(world.get(&eve, "/healthz").await.status.as_u16(), 200);
    flood.abort_all();
    while flood.join_next().await.is_some() {}
    assert_eq!(world.get(&eve, MAPS).await.status.as_u16(), 200, "it is over");
}
