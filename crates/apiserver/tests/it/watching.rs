//! Watches: order, resume, selectors, bookmarks, ends.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt as _;
use pierhead_apiserver::ResponseBody;
use pierhead_auth::Subject;
use pierhead_runtime::ManualClock;
use pierhead_store::{Revision, Store};
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The events of one watch, in order.
struct Events {
    body: ResponseBody,
    rest: Vec<u8>,
}

impl Events {
    async fn open(world: &World, who: &Arc<Subject>, path: &str) -> Self {
        Self::open_with(world, who, path, &[]).await
    }

    async fn open_with(world: &World, who: &Arc<Subject>, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = world.open(who, "GET", path, headers, "").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        Self { body: response.into_body(), rest: Vec::new() }
    }

    /// The next event; `None` at the end of the watch.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=at).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.rest.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The next event in short: type and name.
    async fn short(&mut self) -> String {
        match self.next().await {
            None => "end".to_owned(),
            Some(event) => {
                let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-").to_owned();
                format!("{} {name}", event["type"].as_str().unwrap())
            }
        }
    }

    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.short().await, *expected);
        }
    }
}

async fn put(world: &World, name: &str, app: &str) -> String {
    let object = json!({"metadata": {"name": name, "labels": {"app": app}}});
    let path = format!("{MAPS}/{name}");
    let reply = if world.get(&admin(), &path).await.status == StatusCode::OK {
        world.put(&admin(), &path, object).await
    } else {
        world.post(&admin(), MAPS, object).await
    };
    reply.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_watch_starts_with_what_there_is_and_goes_on() {
    let world = World::new().await;
    put(&world, "a", "x").await;
    let mut events = Events::open(&world, &admin(), &format!("{MAPS}?watch=1")).await;
    events.expect(&["ADDED a"]).await;
    put(&world, "b", "x").await;
    put(&world, "b", "y").await;
    world.delete(&admin(), &format!("{MAPS}/a")).await;
    events.expect(&["ADDED b", "MODIFIED b"]).await;
    let deleted = events.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["metadata"]["resourceVersion"], world.store.revision().to_string());
    let mut old = Events::open(&world, &admin(), "/api/v1/watch/namespaces/default/configmaps/b").await;
    old.expect(&["ADDED b"]).await;
}

#[tokio::test]
async fn a_watch_resumes_where_it_was_and_is_told_when_it_cannot() {
    let world = World::new().await;
    let version = put(&world, "a", "x").await;
    put(&world, "b", "x").await;
    put(&world, "a", "y").await;
    let path = format!("{MAPS}?watch=true&resourceVersion={version}");
    Events::open(&world, &admin(), &path).await.expect(&["ADDED b", "MODIFIED a"]).await;
    world.store.compact(world.store.revision()).await.unwrap();
    let reply = world.get(&admin(), &format!("{MAPS}?watch=true&resourceVersion=1")).await;
    assert_eq!((reply.status, &reply.body["reason"]), (StatusCode::GONE, &json!("Expired")));
}

#[tokio::test]
async fn objects_enter_and_leave_a_selector() {
    let world = World::new().await;
    let from = world.store.revision();
    let path = format!("{MAPS}?watch=true&resourceVersion={from}&labelSelector=app%3Dx");
    let mut events = Events::open(&world, &admin(), &path).await;
    put(&world, "a", "y").await;
    put(&world, "a", "x").await;
    put(&world, "a", "z").await;
    put(&world, "b", "x").await;
    events.expect(&["ADDED a", "DELETED a", "ADDED b"]).await;
}

#[tokio::test]
async fn a_watch_list_ends_its_beginning_with_a_bookmark() {
    let world = World::new().await;
    put(&world, "a", "x").await;
    let options =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = Events::open(&world, &admin(), &format!("{MAPS}?{options}")).await;
    events.expect(&["ADDED a"]).await;
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], world.store.revision().to_string());
    put(&world, "b", "x").await;
    events.expect(&["ADDED b"]).await;
    let refused = world.get(&admin(), &format!("{MAPS}?watch=true&sendInitialEvents=true")).await;
    assert_eq!(refused.status.as_u16(), 422);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_while_nothing_happens_and_the_end_is_clean() {
    let world = World::new().await;
    let path = format!("{MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=70");
    let mut events = Events::open(&world, &admin(), &path).await;
    events.expect(&["BOOKMARK -", "BOOKMARK -", "BOOKMARK -", "end"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_right_does() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let path = "/api/v1/namespaces/shop/configmaps?watch=true";
    let mut events = Events::open(&world, &user("ann"), path).await;
    let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/admin";
    let key =
        pierhead_store::objects::ObjectKey::new("rolebindings.rbac.authorization.k8s.io", "shop", "admin");
    world
        .store
        .write(move |tx| tx.delete(&pierhead_store::objects::OBJECTS, &key))
        .await
        .unwrap_or_else(|error: pierhead_store::StoreError| panic!("{binding}: {error}"));
    // What happens from then on is not theirs to see, and no timer had to pass for that.
    let began = tokio::time::Instant::now();
    let later = json!({"metadata": {"name": "later"}});
    world.post(&admin(), "/api/v1/namespaces/shop/configmaps", later).await;
    assert_eq!(events.short().await, "end");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_table_watch_has_its_columns_once_and_ages_of_the_moment() {
    let clock = ManualClock::default();
    let world = World::over(Store::memory(clock.shared()), clock.shared()).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let mut events = Events::open_with(&world, &admin(), &format!("{MAPS}?watch=true"), &accept).await;
    put(&world, "a", "x").await;
    clock.advance(Duration::from_secs(90));
    put(&world, "b", "x").await;
    let (one, two) = (events.next().await.unwrap(), events.next().await.unwrap());
    assert_eq!(two["object"]["rows"][0]["cells"][2], "0s");
    assert!(!one["object"]["columnDefinitions"].as_array().unwrap().is_empty());
    assert_eq!(two["object"]["columnDefinitions"], json!([]));
    assert_eq!(two["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn a_watcher_that_never_reads_hinders_nobody() {
    let world = World::new().await;
    let mut slow = Events::open(&world, &admin(), &format!("{MAPS}?watch=true&resourceVersion=1")).await;
    for round in 0..50 {
        put(&world, "a", &format!("x{round}")).await;
    }
    let newest = world.store.revision();
    world.store.compact(newest).await.unwrap();
    let fresh = format!("{MAPS}?watch=true&resourceVersion={newest}");
    let mut fast = Events::open(&world, &admin(), &fresh).await;
    put(&world, "b", "x").await;
    fast.expect(&["ADDED b"]).await;
    let told = tokio::time::timeout(Duration::from_secs(5), slow.next()).await.unwrap().unwrap();
    assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(slow.next().await.is_none());
    assert!(world.store.compacted() > Revision::ZERO);
}
