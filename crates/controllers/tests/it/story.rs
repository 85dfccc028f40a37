//! The life of a project as its users see it.

use std::sync::Arc;
use std::time::Duration;

use pierhead_api::core::{Namespace, Secret as ApiSecret, ServiceAccount};
use pierhead_api::meta::{DeleteOptions, ObjectMeta};
use pierhead_api::rbac::RoleBinding;
use pierhead_api::route::Route;
use pierhead_api::{Object, from_value};
use pierhead_client::Client;
use pierhead_controllers::{Config, DeployerLogs, LegacyTokenRequest};
use pierhead_runtime::{Secret, SystemClock, Tasks};
use serde_json::json;
use tokio::time::Instant;

use crate::fake_api::FakeApi;

struct Cluster {
    api: FakeApi,
    client: Client,
    tasks: Tasks,
    logs: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let api = FakeApi::default();
        let logs = tempfile::tempdir().unwrap();
        let cluster = Self { client: api.client(), api, tasks: Tasks::new(), logs };
        let sign = |request: &LegacyTokenRequest| {
            let LegacyTokenRequest { namespace, service_account_name, secret_name, .. } = request;
            Ok(Secret::new(format!("{namespace}/{service_account_name}/{secret_name}")))
        };
        let config = Config {
            sign: Arc::new(sign),
            signing_keys: pierhead_controllers::SigningKeys::steady(),
            cluster_ca: "CA".into(),
            service_ca: None,
            registry_hosts: vec!["127.0.0.1:5000".into()],
            route_ports: Vec::new(),
            clock: SystemClock::shared(),
            deployer_logs: DeployerLogs::open(cluster.logs.path(), SystemClock::shared()).unwrap(),
            imports: None,
        };
        pierhead_controllers::start(cluster.client.clone(), config, &cluster.tasks);
        cluster
    }

    async fn create_namespace(&self, name: &str) {
        let mut namespace = Namespace { metadata: ObjectMeta::named(name), ..Namespace::default() };
        namespace.spec.finalizers = vec!["kubernetes".into()];
        namespace.status.phase = "Active".into();
        self.client.create(None, &namespace).await.unwrap();
    }

    async fn delete<K: Object>(&self, namespace: Option<&str>, name: &str) {
        self.client.delete::<K>(namespace, name, &DeleteOptions::default()).await.unwrap();
    }

    /// What an account lists once that is a token and a pull secret, both of which exist.
    async fn secrets_of(&self, account: &str) -> Option<[ApiSecret; 2]> {
        let account = self.client.find::<ServiceAccount>(Some("shop"), account).await.unwrap()?;
        let [pull] = account.image_pull_secrets.as_slice() else { return None };
        let [first, second] = account.secrets.as_slice() else { return None };
        let token = if *first.name == *pull.name { second } else { first };
        let find = async |name: &str| self.client.find::<ApiSecret>(Some("shop"), name).await.unwrap();
        Some([find(&token.name).await?, find(&pull.name).await?])
    }
}

/// Waits until `look` finds something, but not for ever.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < limit, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn hosts(pull_secret: &ApiSecret) -> Vec<String> {
    let dockercfg: serde_json::Value = serde_json::from_str(pull_secret.text(".dockercfg").unwrap()).unwrap();
    dockercfg.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_project_gets_its_accounts_secrets_and_bindings() {
    let cluster = Cluster::start();
    cluster.create_namespace("shop").await;
    for account in ["default", "builder", "deployer"] {
        let what = format!("secrets of {account}");
        let [token, pull_secret] = eventually(&what, async || cluster.secrets_of(account).await).await;
        assert_eq!(token.text("token"), Some(format!("shop/{account}/{}", token.metadata.name).as_str()));
        assert_eq!(token.text("ca.crt"), Some("CA"));
        assert_eq!(hosts(&pull_secret), ["127.0.0.1:5000"]);
    }
    let bindings = ["system:deployers", "system:image-builders", "system:image-pullers"];
    eventually("role bindings", async || {
        let found = cluster.client.list::<RoleBinding>(Some("shop")).await.unwrap();
        found.iter().map(|binding| binding.metadata.name.as_str()).eq(bindings).then_some(())
    })
    .await;
    let of_kind =
        |kind: &str| cluster.api.names_in("shop").iter().filter(|name| name.starts_with(kind)).count();
    assert_eq!((of_kind("secrets/"), of_kind("serviceaccounts/")), (9, 3));

    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_go_an_hour_after_they_were_told() {
    let cluster = Cluster::start();
    let event = |told: String| json!({"lastTimestamp": told, "involvedObject": {"namespace": "shop"}});
    cluster.api.put_with("events", "shop", "old", event("2026-01-01T00:00:00Z".into()));
    let now = pierhead_runtime::Clock::now(&SystemClock).to_string();
    cluster.api.put_with("events", "shop", "new", event(now));
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(cluster.api.names_in("shop"), ["events/new", "events/old"]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(cluster.api.names_in("shop"), ["events/new"]);
    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn what_is_deleted_comes_back() {
    let cluster = Cluster::start();
    cluster.create_namespace("shop").await;
    let before = eventually("secrets", async || cluster.secrets_of("default").await).await;
    cluster.delete::<ServiceAccount>(Some("shop"), "default").await;
    eventually("the old secrets to go", async || {
        let names = cluster.api.names_in("shop");
        let is_there = |secret: &ApiSecret| names.contains(&format!("secrets/{}", secret.metadata.name));
        (!before.iter().any(is_there)).then_some(())
    })
    .await;
    let [token, _] = eventually("new secrets", async || cluster.secrets_of("default").await).await;
    cluster.delete::<ApiSecret>(Some("shop"), &token.metadata.name).await;
    eventually("another token", async || {
        let [another, _] = cluster.secrets_of("default").await?;
        (another.metadata.name != token.metadata.name).then_some(())
    })
    .await;

    cluster.delete::<RoleBinding>(Some("shop"), "system:deployers").await;
    eventually("the binding", async || {
        cluster.client.find::<RoleBinding>(Some("shop"), "system:deployers").await.unwrap()
    })
    .await;
    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_changed_binding_is_left_alone() {
    let cluster = Cluster::start();
    cluster.create_namespace("shop").await;
    let find =
        async || cluster.client.find::<RoleBinding>(Some("shop"), "system:image-pullers").await.unwrap();
    let mut binding = eventually("the binding", find).await;
    binding.subjects.clear();
    let emptied = cluster.client.replace(Some("shop"), &binding).await.unwrap();
    // Another binding made again shows that the reconciler has looked since.
    eventually("bindings", async || {
        cluster.client.find::<RoleBinding>(Some("shop"), "system:deployers").await.unwrap()
    })
    .await;
    cluster.delete::<RoleBinding>(Some("shop"), "system:deployers").await;
    eventually("the deleted binding", async || {
        cluster.client.find::<RoleBinding>(Some("shop"), "system:deployers").await.unwrap()
    })
    .await;
    assert_eq!(find().await.unwrap(), emptied);
    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_token_that_a_user_asks_for_is_filled_by_a_later_update() {
    let cluster = Cluster::start();
    cluster.create_namespace("shop").await;
    eventually("secrets", async || cluster.secrets_of("builder").await).await;
    let secret: ApiSecret = from_value(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "mine", "annotations": {"kubernetes.io/service-account.name": "builder"}},
    }))
    .unwrap();
    cluster.client.create(Some("shop"), &secret).await.unwrap();
    eventually("a token", async || {
        cluster.client.get::<ApiSecret>(Some("shop"), "mine").await.unwrap().text("token").map(|_| ())
    })
    .await;
    let expected = [("ADDED".to_owned(), false), ("MODIFIED".to_owned(), true)];
    assert_eq!(cluster.api.history("secrets", "mine"), expected);
    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn pull_secrets_follow_the_routes_of_the_registry() {
    let cluster = Cluster::start();
    cluster.create_namespace("default").await;
    cluster.create_namespace("shop").await;
    eventually("secrets", async || cluster.secrets_of("default").await).await;
    let route: Route = from_value(&json!({
        "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": "docker-registry"},
        "spec": {"host": "registry.example", "to": {"kind": "Service", "name": "docker-registry"}},
        "status": {"ingress": [{
            "host": "registry.example", "conditions": [{"type": "Admitted", "status": "True"}],
        }]},
    }))
    .unwrap();
    cluster.client.create(Some("default"), &route).await.unwrap();
    eventually("the new host", async || {
        let [_, pull_secret] = cluster.secrets_of("default").await?;
        (hosts(&pull_secret) == ["127.0.0.1:5000", "registry.example"]).then_some(())
    })
    .await;
    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_deleted_namespace_goes_with_everything_in_it() {
    let cluster = Cluster::start();
    cluster.create_namespace("shop").await;
    for account in ["default", "builder", "deployer"] {
        eventually("secrets", async || cluster.secrets_of(account).await).await;
    }
    cluster.delete::<Namespace>(None, "shop").await;
    eventually("the namespace to go", async || {
        let found = cluster.client.find::<Namespace>(None, "shop").await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    assert!(cluster.api.names_in("shop").is_empty());
    cluster.create_namespace("shop").await;
    eventually("secrets of the next namespace of that name", async || cluster.secrets_of("default").await)
        .await;
    cluster.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}
