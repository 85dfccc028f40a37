//! Many requests at once: users take turns, and those who are too many are told when to come again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use pierhead_api::core::Pod;
use pierhead_apiserver::{BoxError, Config, LogBody, LogError, LogOptions, PodLogs, ResponseBody};
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

/// Containers that never say anything, and never that they will not.
struct Silent;

impl PodLogs for Silent {
    fn log(&self, _: Pod, _: LogOptions) -> BoxFuture<'static, Result<LogBody, LogError>> {
        std::future::pending().boxed()
    }
}

/// A world where eve may edit ann's project `shop`.
async fn shop(configure: impl FnOnce(&mut Config)) -> (World, Arc<Subject>, Arc<Subject>) {
    let world = World::with(configure).await;
    let (eve, ann) = (user("eve"), user("ann"));
    world.project(&ann, "shop").await;
    let binding = json!({
        "metadata": {"name": "eve"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
    });
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
    assert_eq!(world.post(&admin(), path, binding).await.status.as_u16(), 201);
    (world, eve, ann)
}

/// Sends so many requests at once.
fn flood<B>(
    world: &World,
    count: usize,
    request: impl Fn() -> Request<B>,
) -> JoinSet<http::Response<ResponseBody>>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut flood = JoinSet::new();
    for _ in 0..count {
        flood.spawn(world.server.clone().handle(request()));
    }
    flood
}

async fn is_sent_away(answer: http::Response<ResponseBody>) {
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&status["reason"], &status["details"]["retryAfterSeconds"]),
        (&json!("TooManyRequests"), &json!(1))
    );
}

#[tokio::test]
async fn bodies_that_do_not_arrive_hold_up_nobody() {
    let (world, eve, ann) = shop(|_| {}).await;
    let mut flood = flood(&world, 1_000, || slow(&eve));
    tokio::task::yield_now().await;
    for who in [&eve, &ann] {
        let made = world.post(who, MAPS, json!({"metadata": {"name": who.username}})).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    assert!(flood.join_next().now_or_never().is_none(), "all of them are still waited for");
}

#[tokio::test]
async fn bodies_take_up_so_much_and_no_more() {
    let (world, eve, ann) = shop(|config| config.limits.body_bytes = 1 << 20).await;
    let mut flood = flood(&world, 100, || slow(&eve));
    // A body that is not there yet counts as 16 KiB, and one user gets half of the room.
    for _ in 0..68 {
        is_sent_away(flood.join_next().await.unwrap().unwrap()).await;
    }
    tokio::task::yield_now().await;
    assert!(flood.join_next().now_or_never().is_none(), "the others are waited for");
    let map =
        |bytes: usize| json!({"metadata": {"name": format!("m{bytes}")}, "data": {"k": "x".repeat(bytes)}});
    assert_eq!(world.post(&eve, MAPS, map(1)).await.status.as_u16(), 429);
    assert_eq!(world.post(&ann, MAPS, map(1)).await.status.as_u16(), 201);
    assert_eq!(world.post(&ann, MAPS, map(200_000)).await.status.as_u16(), 201);
    assert_eq!(world.post(&ann, MAPS, map(400_000)).await.status.as_u16(), 429);
    assert_eq!(world.post(&admin(), MAPS, map(400_000)).await.status.as_u16(), 201);
    flood.abort_all();
    while flood.join_next().await.is_some() {}
    assert_eq!(world.post(&ann, MAPS, map(400_001)).await.status.as_u16(), 201, "there is room again");
}

#[tokio::test]
async fn one_users_flood_is_that_users_trouble() {
    let (world, eve, ann) = shop(|config| config.pod_logs = Some(Arc::new(Silent))).await;
    let pod = json!({
        "metadata": {"name": "quiet"},
        "spec": {"nodeName": "n1", "automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]},
    });
    let pods = "/api/v1/namespaces/shop/pods";
    let made = world.post(&admin(), pods, pod).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let mut flood = flood(&world, 2_000, || {
        let path = format!("{pods}/quiet/log");
        let mut request = Request::get(path).body(http_body_util::Full::new(Bytes::new())).unwrap();
        request.extensions_mut().insert(Arc::clone(&eve));
        request
    });
    // Those beyond what may wait are sent away at once.
    for _ in 0..1_500 {
        is_sent_away(flood.join_next().await.unwrap().unwrap()).await;
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

#[tokio::test]
async fn followed_output_is_counted_like_watches() {
    let (world, _, ann) = shop(|config| config.limits.streams_per_user = 1).await;
    let pods = "/api/v1/namespaces/shop/pods";
    let pod = json!({
        "metadata": {"name": "loud"},
        "spec": {"nodeName": "n1", "automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]},
    });
    assert_eq!(world.post(&admin(), pods, pod).await.status.as_u16(), 201);
    let follow = format!("{pods}/loud/log?follow=true");
    let first = world.open(&ann, "GET", &follow, &[], "").await;
    assert_eq!(first.status().as_u16(), 200);
    assert_eq!(world.get(&ann, &follow).await.status.as_u16(), 429);
    assert_eq!(world.get(&ann, &format!("{pods}?watch=true")).await.status.as_u16(), 429);
    assert_eq!(
        world.get(&ann, &format!("{pods}/loud/log")).await.status.as_u16(),
        200,
        "that comes to an end"
    );
    drop(first);
    assert_eq!(world.open(&ann, "GET", &follow, &[], "").await.status().as_u16(), 200);
}
