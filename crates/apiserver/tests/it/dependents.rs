//! What becomes of the dependents of an object that is deleted.

use std::collections::BTreeMap;

use http::StatusCode;
use pierhead_runtime::ManualClock;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, Store, StoreError, WriteTx};
use serde_json::{Value, json};

use crate::world::{Reply, World, admin, user};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A config map, owned by others of these kinds.
fn map(name: &str, owners: &[&Value]) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    if !owners.is_empty() {
        let reference = |owner: &&Value| {
            let metadata = &owner["metadata"];
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]})
        };
        object["metadata"]["ownerReferences"] = owners.iter().map(reference).collect();
    }
    object
}

async fn make(world: &World, name: &str, owners: &[&Value]) -> Value {
    let made = world.post(&admin(), MAPS, map(name, owners)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body
}

async fn delete(world: &World, name: &str, options: Value) -> Reply {
    world.send(&admin(), "DELETE", &format!("{MAPS}/{name}"), &[], options.to_string()).await
}

/// The config maps with the number of their owners, as the store has them now.
fn stored(store: &Store) -> BTreeMap<String, usize> {
    let range = KeyRange::prefix(&("configmaps", "default"));
    let rows = store.read(|tx| tx.scan(&OBJECTS, &range, usize::MAX)).unwrap();
    let owners = |record: ObjectRecord| {
        let document: Value = serde_json::from_slice(&record.0).unwrap();
        document["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len)
    };
    rows.into_iter().map(|(key, record)| (key.name, owners(record))).collect()
}

fn left(store: &Store) -> Vec<String> {
    stored(store).into_iter().map(|(name, owners)| format!("{name} {owners}")).collect()
}

#[tokio::test]
async fn nobody_sees_an_owner_gone_and_its_dependents_not() {
    for (policy, expected) in [("Orphan", vec!["a1 0", "a2 0", "a3 1"]), ("Background", vec![])] {
        let world = World::new().await;
        let a = make(&world, "a", &[]).await;
        make(&world, "a1", &[&a]).await;
        let a2 = make(&world, "a2", &[&a]).await;
        make(&world, "a3", &[&a2]).await;
        let mut revisions = world.store.subscribe();
        let watching = async {
            loop {
                revisions.changed().await.unwrap();
                if !stored(&world.store).contains_key("a") {
                    return left(&world.store);
                }
            }
        };
        let deleting = delete(&world, "a", json!({"propagationPolicy": policy}));
        let (seen, deleted) = tokio::join!(watching, deleting);
        assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.body);
        assert_eq!(seen, expected, "{policy}");
    }
}

#[tokio::test]
async fn a_held_object_remembers_that_its_dependents_stay() {
    let check = async |first: Value, second: Value, between: &[&str], expected: &[&str]| {
        let world = World::new().await;
        let mut held = map("a", &[]);
        held["metadata"]["finalizers"] = json!(["example.com/wait"]);
        let a = world.post(&admin(), MAPS, held).await.body;
        make(&world, "a1", &[&a]).await;
        delete(&world, "a", first.clone()).await;
        delete(&world, "a", second.clone()).await;
        assert_eq!(left(&world.store), between, "{first} {second}");
        let now = world.get(&admin(), &format!("{MAPS}/a")).await.body;
        let mut finalizers = now["metadata"]["finalizers"].as_array().unwrap().clone();
        finalizers.retain(|name| name != "example.com/wait");
        let freed = json!({"metadata": {"finalizers": finalizers}});
        let freed = world.patch(&admin(), &format!("{MAPS}/a"), "merge-patch", freed).await;
        assert_eq!(freed.status, StatusCode::OK, "{}", freed.body);
        assert_eq!(left(&world.store), expected, "{first} {second}");
    };
    let (orphan, background) =
        (json!({"propagationPolicy": "Orphan"}), json!({"propagationPolicy": "Background"}));
    // Who is freed is free at once, whatever is asked for later.
    let freed = ["a 0", "a1 0"];
    check(orphan.clone(), json!({}), &freed, &["a1 0"]).await;
    check(json!({"orphanDependents": true}), json!({}), &freed, &["a1 0"]).await;
    check(orphan, background.clone(), &freed, &["a1 0"]).await;
    check(background, json!({}), &["a 0", "a1 1"], &[]).await;
}

#[tokio::test]
async fn a_policy_that_is_none_deletes_nothing() {
    let world = World::new().await;
    make(&world, "a", &[]).await;
    let check = async |options: Value, text: &str| {
        let refused = delete(&world, "a", options).await;
        let text = format!("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: {text}");
        assert_eq!(refused.says(), (422, text.as_str()));
    };
    check(
        json!({"propagationPolicy": "orphan"}),
        r#"Unsupported value: "orphan": supported values: "Background", "Foreground", "Orphan""#,
    )
    .await;
    check(
        json!({"propagationPolicy": "Background", "orphanDependents": true}),
        r#"Invalid value: "Background": orphanDependents and deletionPropagation cannot be both set"#,
    )
    .await;
    assert_eq!(left(&world.store), ["a 0"]);
}

#[tokio::test]
async fn references_are_followed_as_they_change() {
    let world = World::new().await;
    let (a, b) = (make(&world, "a", &[]).await, make(&world, "b", &[]).await);
    for (name, owners) in [("moved", vec![&a]), ("freed", vec![&a]), ("taken", vec![])] {
        make(&world, name, &owners).await;
    }
    for (name, owners) in [("moved", vec![&b]), ("freed", vec![]), ("taken", vec![&a])] {
        let owners = map(name, &owners)["metadata"]["ownerReferences"].clone();
        let patch = json!({"metadata": {"ownerReferences": owners}});
        let patched = world.patch(&admin(), &format!("{MAPS}/{name}"), "merge-patch", patch).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.body);
    }
    delete(&world, "a", json!({})).await;
    assert_eq!(left(&world.store), ["b 0", "freed 0", "moved 1"]);
    delete(&world, "b", json!({})).await;
    assert_eq!(left(&world.store), ["freed 0"]);
}

fn put_past_the_server(
    name: &str,
    document: &Value,
) -> impl FnMut(&mut WriteTx<'_>) -> Result<(), StoreError> + use<> {
    let (key, record) = (ObjectKey::new("configmaps", "default", name), document.to_string());
    move |tx| tx.put(&OBJECTS, &key, &ObjectRecord(record.clone().into())).map(|_| ())
}

#[tokio::test]
async fn who_names_no_owner_any_more_stays_however_that_came() {
    let world = World::new().await;
    let a = make(&world, "a", &[]).await;
    let mut dependent = make(&world, "a1", &[&a]).await;
    dependent["metadata"]["ownerReferences"] = Value::Null;
    world.store.write(put_past_the_server("a1", &dependent)).await.unwrap();
    delete(&world, "a", json!({})).await;
    assert_eq!(left(&world.store), ["a1 0"]);
}

/// Written by a version that kept no list of who owns whom.
#[tokio::test]
async fn dependents_of_older_stores_are_found() {
    let clock = ManualClock::default();
    let store = Store::memory(clock.shared());
    let owner =
        json!({"metadata": {"name": "a", "namespace": "default", "uid": "u-a", "resourceVersion": "1"}});
    let mut dependent = map("a1", &[&owner]);
    dependent["metadata"]["namespace"] = "default".into();
    for (name, document) in [("a", owner), ("a1", dependent)] {
        store.write(put_past_the_server(name, &document)).await.unwrap();
    }
    let world = World::over(store, clock.shared()).await;
    assert_eq!(left(&world.store), ["a 0", "a1 1"]);
    delete(&world, "a", json!({})).await;
    assert!(left(&world.store).is_empty());
}

/// Other writes need not wait for all of them.
#[tokio::test]
async fn very_many_dependents_go_in_steps_and_also_after_an_interruption() {
    const COUNT: usize = 2_600;
    let clock = ManualClock::default();
    let store = Store::memory(clock.shared());
    let owner =
        json!({"metadata": {"name": "a", "namespace": "default", "uid": "u-a", "resourceVersion": "1"}});
    let mut dependents = BTreeMap::from([("a".to_owned(), owner.clone())]);
    for number in 0..COUNT {
        let name = format!("d{number}");
        let mut dependent = map(&name, &[&owner]);
        dependent["metadata"]["namespace"] = "default".into();
        dependents.insert(name, dependent);
    }
    let put = move |tx: &mut WriteTx<'_>| {
        dependents.iter().try_for_each(|(name, document)| put_past_the_server(name, document)(tx))
    };
    store.write(put).await.unwrap();
    let world = World::over(store, clock.shared()).await;
    let mut revisions = world.store.subscribe();
    let watching = async {
        loop {
            revisions.changed().await.unwrap();
            let now = stored(&world.store);
            if !now.contains_key("a") {
                return now.len();
            }
        }
    };
    tokio::select! {
        seen = watching => assert!(seen > 0 && seen < COUNT, "{seen}"),
        _ = delete(&world, "a", json!({})) => panic!("all at once"),
    }
    let world = World::over(world.store.clone(), clock.shared()).await;
    assert!(left(&world.store).is_empty());
}

/// A tag has the uid of its stream, but is not the stream.
#[tokio::test]
async fn what_a_stream_owns_goes_with_the_stream_and_not_with_a_tag() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let group = "/apis/image.openshift.io/v1/namespaces/shop";
    let stream = json!({
        "metadata": {"name": "web"},
        "spec": {"tags": [{"name": "1", "from": {"kind": "DockerImage", "name": "quay.example.com/a/b:1"}}]},
    });
    let stream = world.post(&ann, &format!("{group}/imagestreams"), stream).await.body;
    let maps = "/api/v1/namespaces/shop/configmaps";
    let made = world.post(&ann, maps, map("owned", &[&stream])).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let tag = world.delete(&ann, &format!("{group}/imagestreamtags/web:1")).await;
    assert_eq!(tag.status, StatusCode::OK, "{}", tag.body);
    assert_eq!(world.get(&ann, &format!("{maps}/owned")).await.status, StatusCode::OK);
    world.delete(&ann, &format!("{group}/imagestreams/web")).await;
    assert_eq!(world.get(&ann, &format!("{maps}/owned")).await.status, StatusCode::NOT_FOUND);
}
