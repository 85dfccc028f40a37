//! Used amounts stay true, whoever writes at the same time.

use pierhead_api::meta::ObjectMeta;
use pierhead_quota::{ChargeError, Charged, CountStreams, Mode, charge, charge_stream, refresh, regroup};
use pierhead_store::{OBJECTS, ObjectKey, ObjectRecord, Store, WriteTx};
use serde_json::{Value, json};

const NO_STREAMS: CountStreams = |_, _| Ok(0);

fn store() -> Store {
    Store::memory(pierhead_runtime::ManualClock::new("2016-05-01T12:00:00Z".parse().unwrap()).shared())
}

/// Writes an object as the API server does.
fn write(tx: &mut WriteTx<'_>, key: &ObjectKey, mut document: Value, mode: Mode) -> Result<(), ChargeError> {
    let before = tx.get(&OBJECTS, key)?;
    let after = document.to_string();
    let object = Charged { before: before.as_ref().map(|record| &*record.0), after: Some(after.as_bytes()) };
    charge(tx, key, object, mode)?;
    refresh(tx, key, &mut document, NO_STREAMS)?;
    tx.put(&OBJECTS, key, &ObjectRecord(document.to_string().into()))?;
    Ok(())
}

async fn put(store: &Store, resource: &str, namespace: &str, name: &str, rest: Value) -> Result<(), String> {
    let key = ObjectKey::new(resource, namespace, name);
    let metadata = ObjectMeta::in_namespace(namespace, name);
    let mut document = json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata});
    let kind = match resource {
        "resourcequotas" => "ResourceQuota",
        "namespaces" => "Namespace",
        "clusterresourcequotas.quota.openshift.io" => "ClusterResourceQuota",
        "pods" => "Pod",
        _ => "Any",
    };
    document["kind"] = kind.into();
    if kind == "ClusterResourceQuota" {
        document["apiVersion"] = "quota.openshift.io/v1".into();
    }
    for (name, value) in rest.as_object().unwrap() {
        match name.as_str() {
            "labels" => document["metadata"]["labels"] = value.clone(),
            _ => document[name.as_str()] = value.clone(),
        }
    }
    store
        .write(move |tx| write(tx, &key, document.clone(), Mode::Enforce))
        .await
        .map_err(|error| error.to_string())
}

async fn remove(store: &Store, resource: &str, namespace: &str, name: &str) {
    let key = ObjectKey::new(resource, namespace, name);
    let removed: Result<(), ChargeError> = store
        .write(move |tx| {
            let before = tx.get(&OBJECTS, &key)?;
            let object = Charged { before: before.as_ref().map(|record| &*record.0), after: None };
            charge(tx, &key, object, Mode::Record)?;
            tx.delete(&OBJECTS, &key)?;
            Ok(())
        })
        .await;
    removed.unwrap();
}

fn status(store: &Store, resource: &str, namespace: &str, name: &str) -> Value {
    let record =
        store.read(|tx| tx.get(&OBJECTS, &ObjectKey::new(resource, namespace, name))).unwrap().unwrap();
    serde_json::from_slice::<Value>(&record.0).unwrap()["status"].clone()
}

fn used(store: &Store, namespace: &str) -> Value {
    status(store, "resourcequotas", namespace, "q")["used"].clone()
}

#[tokio::test]
async fn what_is_used_is_counted_from_the_start() {
    let store = store();
    put(&store, "secrets", "shop", "before", json!({})).await.unwrap();
    let hard = json!({"secrets": "2", "resourcequotas": "1", "openshift.io/imagestreams": "1"});
    put(&store, "resourcequotas", "shop", "q", json!({"spec": {"hard": hard}})).await.unwrap();
    let start = json!({"secrets": "1", "resourcequotas": "1", "openshift.io/imagestreams": "0"});
    assert_eq!(used(&store, "shop"), start);
    put(&store, "secrets", "shop", "second", json!({})).await.unwrap();
    put(&store, "secrets", "other", "elsewhere", json!({})).await.unwrap();
    assert_eq!(
        put(&store, "secrets", "shop", "third", json!({})).await.unwrap_err(),
        "exceeded quota: q, requested: secrets=1, used: secrets=2, limited: secrets=2"
    );
    put(&store, "secrets", "shop", "second", json!({"data": {}})).await.unwrap();
    remove(&store, "secrets", "shop", "before").await;
    assert_eq!(used(&store, "shop")["secrets"], "1");
    let second = put(&store, "resourcequotas", "shop", "r", json!({"spec": {"hard": {"pods": 1}}})).await;
    assert_eq!(
        second.unwrap_err(),
        "exceeded quota: q, requested: resourcequotas=1, used: resourcequotas=1, limited: resourcequotas=1"
    );
    let stream = |mode| store.write(move |tx| charge_stream(tx, "shop", mode));
    stream(Mode::Enforce).await.unwrap();
    stream(Mode::Try).await.unwrap_err();
    stream(Mode::Record).await.unwrap();
    stream(Mode::Try).await.unwrap();
    assert_eq!(used(&store, "shop")["openshift.io/imagestreams"], "0");
}

#[tokio::test]
async fn nobody_gets_past_a_limit_by_being_fast() {
    let store = store();
    put(&store, "resourcequotas", "shop", "q", json!({"spec": {"hard": {"secrets": "7"}}})).await.unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("s{number}")).collect();
    let writers = names.iter().map(|name| put(&store, "secrets", "shop", name, json!({})));
    let outcomes = futures_util::future::join_all(writers).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert_eq!(used(&store, "shop"), json!({"secrets": "7"}));
}

#[tokio::test]
async fn a_pod_that_ended_is_no_longer_charged() {
    let store = store();
    put(&store, "resourcequotas", "shop", "q", json!({"spec": {"hard": {"pods": "1", "requests.cpu": "1"}}}))
        .await
        .unwrap();
    let pod = |cpu: &str, phase: &str| {
        let container = json!({"name": "a", "resources": {"requests": {"cpu": cpu}}});
        json!({"spec": {"containers": [container]}, "status": {"phase": phase}})
    };
    put(&store, "pods", "shop", "p", pod("600m", "Running")).await.unwrap();
    assert_eq!(used(&store, "shop"), json!({"pods": "1", "requests.cpu": "600m"}));
    let silent = json!({"spec": {"containers": [{"name": "a"}]}});
    assert_eq!(
        put(&store, "pods", "shop", "r", silent).await.unwrap_err(),
        "failed quota: q: must specify requests.cpu for: a"
    );
    assert_eq!(
        put(&store, "pods", "shop", "r", pod("500m", "Pending")).await.unwrap_err(),
        "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=1,requests.cpu=600m, limited: \
         pods=1,requests.cpu=1"
    );
    put(&store, "pods", "shop", "p", pod("600m", "Succeeded")).await.unwrap();
    put(&store, "pods", "shop", "r", pod("500m", "Pending")).await.unwrap();
    assert_eq!(used(&store, "shop"), json!({"pods": "1", "requests.cpu": "500m"}));
}

#[tokio::test]
async fn projects_of_one_team_count_together() {
    let store = store();
    let shared = "clusterresourcequotas.quota.openshift.io";
    put(&store, "namespaces", "", "a", json!({"labels": {"team": "x"}})).await.unwrap();
    put(&store, "namespaces", "", "b", json!({})).await.unwrap();
    put(&store, "secrets", "a", "s", json!({})).await.unwrap();
    put(&store, "secrets", "b", "s", json!({})).await.unwrap();
    let spec =
        json!({"selector": {"labels": {"matchLabels": {"team": "x"}}}, "quota": {"hard": {"secrets": "3"}}});
    put(&store, shared, "", "team", json!({"spec": spec})).await.unwrap();
    assert_eq!(status(&store, shared, "", "team")["total"]["used"], json!({"secrets": "1"}));
    put(&store, "namespaces", "", "b", json!({"labels": {"team": "x"}})).await.unwrap();
    let regrouped: Result<(), ChargeError> = store.write(|tx| regroup(tx, NO_STREAMS)).await;
    regrouped.unwrap();
    put(&store, "secrets", "b", "t", json!({})).await.unwrap();
    assert_eq!(
        put(&store, "secrets", "a", "t", json!({})).await.unwrap_err(),
        "exceeded quota: team, requested: secrets=1, used: secrets=3, limited: secrets=3"
    );
    let row = |namespace: &str, used: &str| json!({"namespace": namespace, "status": {"hard": {"secrets": "3"}, "used": {"secrets": used}}});
    let expected = json!({
        "total": {"hard": {"secrets": "3"}, "used": {"secrets": "3"}},
        "namespaces": [row("a", "1"), row("b", "2")],
    });
    assert_eq!(status(&store, shared, "", "team"), expected);
}
