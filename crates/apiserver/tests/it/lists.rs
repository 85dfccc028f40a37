//! Lists: chunks that show one revision, selectors, tables, versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::StatusCode;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{Reply, World, admin};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn fill(world: &World, names: &[&str]) {
    for name in names {
        let object = json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"k": "v"}});
        let reply = world.post(&admin(), MAPS, object).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    }
}

fn names(reply: &Reply) -> Vec<String> {
    let items = reply.body["items"].as_array().unwrap_or_else(|| panic!("{}", reply.body));
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_empty_list_has_items_and_a_version() {
    let world = World::new().await;
    let list = world.get(&admin(), MAPS).await.body;
    assert_eq!((&list["kind"], &list["items"]), (&json!("ConfigMapList"), &json!([])));
    assert_eq!(list["metadata"]["resourceVersion"], world.store.revision().to_string());
}

#[tokio::test]
async fn chunks_show_the_revision_of_the_first() {
    let world = World::new().await;
    fill(&world, &["a", "b", "c", "d", "e"]).await;
    let first = world.get(&admin(), &format!("{MAPS}?limit=2")).await;
    assert_eq!(names(&first), ["a", "b"]);
    world.delete(&admin(), &format!("{MAPS}/d")).await;
    fill(&world, &["c1"]).await;
    world.patch(&admin(), &format!("{MAPS}/e"), "merge-patch", json!({"data": {"k": "new"}})).await;
    let token = first.body["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = world.get(&admin(), &format!("{MAPS}?limit=10&continue={token}")).await;
    assert_eq!(names(&rest), ["c", "d", "e"]);
    assert_eq!(rest.body["items"][2]["data"]["k"], "v");
    assert_eq!(rest.body["metadata"]["resourceVersion"], first.body["metadata"]["resourceVersion"]);
    assert_eq!(rest.body["metadata"]["continue"], Value::Null);
    let elsewhere = format!("/api/v1/namespaces/openshift/configmaps?continue={token}");
    let (code, message) = (410, "The provided continue parameter is too old");
    let refused = world.get(&admin(), &elsewhere).await;
    assert!(refused.says().0 == code && refused.says().1.starts_with(message), "{}", refused.body);
    let version = first.body["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(names(&world.get(&admin(), &exact).await), ["a", "b", "c", "d", "e"]);
    assert_eq!(names(&world.get(&admin(), MAPS).await), ["a", "b", "c", "c1", "e"]);
}

/// They are made of rows that no watch is told of.
#[tokio::test]
async fn chunks_of_streams_and_their_tags_show_the_revision_of_the_first() {
    let world = World::new().await;
    let base = "/apis/image.openshift.io/v1/namespaces/default";
    let streams = format!("{base}/imagestreams");
    let tag = |name: &str, from: &str| json!({"name": name, "from": {"kind": "DockerImage", "name": from}});
    for name in ["a", "b", "c", "d"] {
        let object =
            json!({"metadata": {"name": name}, "spec": {"tags": [tag("v1", "one"), tag("v2", "two")]}});
        let made = world.post(&admin(), &streams, object).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    let shown = |page: &Reply| -> Vec<Value> {
        let mut items = page.body["items"].as_array().unwrap_or_else(|| panic!("{}", page.body)).clone();
        // What is made of the address of the server is no part of what was stored.
        items.iter_mut().for_each(|item| drop(item["status"].take()));
        items
    };
    let kinds = ["imagestreams", "imagetags"];
    let mut lists = Vec::new();
    for kind in kinds {
        let whole = world.get(&admin(), &format!("{base}/{kind}")).await;
        let first = world.get(&admin(), &format!("{base}/{kind}?limit=1")).await;
        lists.push((kind, whole, first));
    }
    let changed =
        json!({"spec": {"lookupPolicy": {"local": true}, "tags": [tag("v1", "other"), tag("v0", "new")]}});
    for name in ["a", "b"] {
        let patched =
            world.patch(&admin(), &format!("{streams}/{name}"), "merge-patch", changed.clone()).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.body);
    }
    world.delete(&admin(), &format!("{streams}/c")).await;
    world.post(&admin(), &streams, json!({"metadata": {"name": "b1"}})).await;
    for (kind, whole, first) in lists {
        let version = first.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let mut items = shown(&first);
        let mut token = first.body["metadata"]["continue"].as_str().map(str::to_owned);
        while let Some(next) = token {
            let page = world.get(&admin(), &format!("{base}/{kind}?limit=1&continue={next}")).await;
            items.extend(shown(&page));
            assert_eq!(page.body["metadata"]["resourceVersion"], json!(version));
            token = page.body["metadata"]["continue"].as_str().map(str::to_owned);
        }
        assert_eq!(items, shown(&whole), "{kind}");
        let exact = format!("{base}/{kind}?resourceVersion={version}&resourceVersionMatch=Exact");
        assert_eq!(shown(&world.get(&admin(), &exact).await), shown(&whole), "{kind}");
    }
    let names = names(&world.get(&admin(), &streams).await);
    assert_eq!(names, ["a", "b", "b1", "d"]);
}

/// Commits that have nothing to do with a list, and some that do, come between its reads all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_hold_while_others_write() {
    let world = World::new().await;
    let all: Vec<String> = (10..30).map(|number| format!("m{number}")).collect();
    fill(&world, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (store, stop) = (world.store.clone(), Arc::new(AtomicBool::new(false)));
    let mut written = store.subscribe();
    written.borrow_and_update();
    let stopped = Arc::clone(&stop);
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        for number in 0..20_000 {
            if stopped.load(Ordering::Relaxed) {
                return number;
            }
            let resource = if number % 8 == 0 { "configmaps" } else { "others" };
            let name = format!("m{}x", number % 40);
            let document = json!({"metadata": {"name": name, "namespace": "default"}});
            let key = ObjectKey::new(resource, "default", name);
            let record = ObjectRecord(Bytes::from(document.to_string()));
            store.write(move |tx| tx.put(&OBJECTS, &key, &record)).await.unwrap();
        }
        20_000
    });
    written.changed().await.unwrap();
    let mut seen = Vec::new();
    let mut path = format!("{MAPS}?limit=2");
    loop {
        let page = world.get(&admin(), &path).await;
        seen.extend(names(&page).into_iter().filter(|name| !name.ends_with('x')));
        let Some(token) = page.body["metadata"]["continue"].as_str() else { break };
        path = format!("{MAPS}?limit=2&continue={token}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.join_next().await.unwrap().unwrap() > 0);
    assert_eq!(seen, all);
}

#[tokio::test]
async fn selectors_choose() {
    let world = World::new().await;
    fill(&world, &["a", "b", "c"]).await;
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(names(&world.get(&admin(), &format!("{MAPS}?{query}")).await), expected, "{query}");
    };
    check("labelSelector=app%3Db", &["b"]).await;
    check("labelSelector=app+in+(a,c)", &["a", "c"]).await;
    check("labelSelector=!app", &[]).await;
    check("fieldSelector=metadata.name%3Dc", &["c"]).await;
    check("fieldSelector=metadata.name!%3Dc", &["a", "b"]).await;
    check("labelSelector=app!%3Da&limit=1", &["b"]).await;
    let bad = world.get(&admin(), &format!("{MAPS}?fieldSelector=data.k%3Dv")).await;
    assert_eq!(bad.says(), (400, "field label not supported: data.k"));
    assert_eq!(world.get(&admin(), &format!("{MAPS}?labelSelector=a%3D%3D%3Db")).await.status.as_u16(), 400);
}

#[tokio::test]
async fn deletecollection_takes_what_matches() {
    let world = World::new().await;
    fill(&world, &["a", "b", "c"]).await;
    let deleted = world.delete(&admin(), &format!("{MAPS}?labelSelector=app+in+(a,b)")).await;
    assert_eq!(names(&deleted), ["a", "b"]);
    assert_eq!(names(&world.get(&admin(), MAPS).await), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn versions_of_lists_mean_what_they_say() {
    let world = World::new().await;
    let check = async |query: &str, code: u16, text: &str| {
        let reply = world.get(&admin(), &format!("{MAPS}?{query}")).await;
        assert_eq!(reply.status.as_u16(), code, "{query}: {}", reply.body);
        let message = reply.body["message"].as_str().unwrap_or_default();
        assert!(message.contains(text), "{query}: {message}");
    };
    check("resourceVersion=0", 200, "").await;
    check("resourceVersion=1", 200, "").await;
    check("resourceVersion=999999", 504, "Too large resource version: 999999").await;
    check("resourceVersion=x", 400, "resourceVersion").await;
    check("resourceVersionMatch=Exact", 422, "forbidden unless resourceVersion is provided").await;
    check("resourceVersion=0&resourceVersionMatch=Exact", 422, "forbidden for resourceVersion").await;
    check("resourceVersion=1&resourceVersionMatch=Other", 422, "Unsupported value").await;
    check("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list").await;
}

#[tokio::test]
async fn tables_and_metadata_are_forms_of_any_list() {
    let world = World::new().await;
    fill(&world, &["a"]).await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let reply = world.send(&admin(), "GET", MAPS, &[("accept", table)], "").await.body;
    assert_eq!((&reply["kind"], &reply["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(reply["columnDefinitions"][0]["name"], "Name");
    assert_eq!(reply["rows"][0]["cells"][0], "a");
    assert_eq!(reply["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(reply["rows"][0]["object"]["data"], Value::Null);
    assert!(reply["metadata"]["resourceVersion"].is_string());
    let whole = format!("{MAPS}?includeObject=Object");
    let reply = world.send(&admin(), "GET", &whole, &[("accept", table)], "").await.body;
    assert_eq!(reply["rows"][0]["object"]["data"]["k"], "v");
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let reply = world.send(&admin(), "GET", MAPS, &[("accept", partial)], "").await.body;
    assert_eq!(reply["kind"], "PartialObjectMetadataList");
    assert_eq!(reply["items"][0]["data"], Value::Null);
}
