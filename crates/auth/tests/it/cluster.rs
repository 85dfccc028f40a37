//! A cluster in memory: a store with bootstrapped roles, and objects put into it as the API server would.

use std::sync::Arc;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::SignedDuration;
use pierhead_auth::service_account::{BoundClaims, TokenSigner};
use pierhead_auth::{Attributes, Auth, Config, Credentials, Era, Subject, bootstrap};
use pierhead_runtime::{Clock as _, ManualClock};
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{Store, StoreError};
use serde_json::{Value, json};

/// Making a key takes long; one is enough.
pub(crate) static SIGNER: LazyLock<TokenSigner> = LazyLock::new(|| TokenSigner::generate().unwrap());

pub(crate) struct Cluster {
    pub(crate) store: Store,
    pub(crate) auth: Auth,
    pub(crate) clock: ManualClock,
}

impl Cluster {
    /// With bootstrapped roles of `era` and the projects `shop` and `yard`.
    pub(crate) async fn start(era: Era) -> Self {
        Self::with(|config| config.rules = era).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::default();
        let store = Store::memory(clock.shared());
        let mut config = Config::new(SIGNER.clone());
        change(&mut config);
        let era = config.rules;
        let auth = Auth::open(store.clone(), config, clock.shared()).unwrap();
        let cluster = Self { store, auth, clock };
        for object in bootstrap::objects(era) {
            cluster.put(object).await;
        }
        for namespace in ["shop", "yard"] {
            cluster
                .put(json!({"kind": "Namespace", "metadata": {"name": namespace, "uid": namespace}}))
                .await;
        }
        cluster
    }

    pub(crate) async fn put(&self, object: Value) {
        let key = key(&object);
        let json = Bytes::from(object.to_string());
        let written = self.store.write(move |tx| tx.put(&OBJECTS, &key, &ObjectRecord(json.clone())));
        written.await.unwrap();
    }

    pub(crate) async fn delete(&self, resource: &str, namespace: &str, name: &str) {
        let key = ObjectKey::new(resource, namespace, name);
        let deleted: Result<bool, StoreError> = self.store.write(move |tx| tx.delete(&OBJECTS, &key)).await;
        assert!(deleted.unwrap(), "{resource} {name} was there");
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = ObjectKey::new(resource, namespace, name);
        let record = self.store.read(|tx| tx.get(&OBJECTS, &key)).unwrap();
        record.map(|ObjectRecord(json)| serde_json::from_slice(&json).unwrap())
    }

    pub(crate) fn list(&self, resource: &str) -> Vec<Value> {
        let range = pierhead_store::KeyRange::prefix(resource);
        let rows = self.store.read(|tx| tx.scan(&OBJECTS, &range, 1_000)).unwrap();
        rows.into_iter().map(|(_, ObjectRecord(json))| serde_json::from_slice(&json).unwrap()).collect()
    }

    /// Binds a cluster role to a user in a namespace, or cluster-wide with an empty one.
    pub(crate) async fn bind(&self, namespace: &str, role: &str, user: &str) {
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        self.put(json!({
            "kind": kind,
            "metadata": {"name": format!("{role}-{user}"), "namespace": namespace},
            "subjects": [{"kind": "User", "name": user}],
            "roleRef": {"kind": "ClusterRole", "name": role},
        }))
        .await;
    }

    pub(crate) fn may(&self, subject: &Arc<Subject>, attributes: &Attributes) -> bool {
        self.auth.allowed(subject, attributes).allowed
    }

    pub(crate) fn bearer(&self, token: &str) -> Result<Arc<Subject>, String> {
        self.auth.authenticate(Credentials::Bearer(token)).map_err(|error| error.to_string())
    }
}

fn key(object: &Value) -> ObjectKey {
    let resource = match object["kind"].as_str().unwrap() {
        "Namespace" => "namespaces",
        "Secret" => "secrets",
        "ServiceAccount" => "serviceaccounts",
        "Pod" => "pods",
        "Role" => "roles.rbac.authorization.k8s.io",
        "RoleBinding" => "rolebindings.rbac.authorization.k8s.io",
        "ClusterRole" => "clusterroles.rbac.authorization.k8s.io",
        "ClusterRoleBinding" => "clusterrolebindings.rbac.authorization.k8s.io",
        "User" => "users.user.openshift.io",
        "Group" => "groups.user.openshift.io",
        "Node" => "nodes",
        "FederatedIdentity" => "federatedidentities.identity.pierhead.io",
        "OAuthClient" => "oauthclients.oauth.openshift.io",
        kind => panic!("no resource for {kind}"),
    };
    let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    ObjectKey::new(resource, of("namespace"), of("name"))
}

/// A token of `shop/pusher` that is good for ten minutes.
pub(crate) fn bound_claims(cluster: &Cluster) -> BoundClaims {
    let now = cluster.clock.now();
    let issuer = "https://kubernetes.default.svc".to_owned();
    BoundClaims {
        audiences: vec![issuer.clone()],
        issuer,
        namespace: "shop".to_owned(),
        service_account_name: "pusher".to_owned(),
        service_account_uid: "uid-1".to_owned(),
        bound_to: None,
        node: None,
        warn_after: None,
        issued_at: now,
        expires_at: now + SignedDuration::from_secs(600),
        id: "id-1".to_owned(),
    }
}

/// Somebody who logged in.
pub(crate) fn user(name: &str) -> Arc<Subject> {
    Subject::system(name, &["system:authenticated:oauth", "system:authenticated"])
}
