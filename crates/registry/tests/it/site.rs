//! A registry with everything in memory, its projects and its users.
//!
//! `admin` may do everything, `developer` edits project `shop`, `stranger` edits `other`, and the user
//! `puller` only pulls from `shop`. A user's token is `sha256~` and the user's name.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use pierhead_auth::service_account::TokenSigner;
use pierhead_auth::{Auth, Era, bootstrap, oauth_object_name};
use pierhead_blobs::Blobs;
use pierhead_images::{Config as ImagesConfig, Images};
use pierhead_oci::Digest;
use pierhead_registry::{Config, Registry, ResponseBody};
use pierhead_runtime::telemetry::Metrics;
use pierhead_runtime::{ManualClock, SharedClock, SystemClock};
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{Store, StoreError};
use serde_json::{Value, json};

/// The media type of the manifests that tests push.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Making a key takes longer than a story.
static SIGNER: LazyLock<TokenSigner> = LazyLock::new(|| TokenSigner::generate().unwrap());

/// A registry of its own for one test.
pub(crate) struct Site {
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) auth: Auth,
    pub(crate) images: Images,
    store: Store,
}

impl Site {
    /// Starts in memory, with projects `shop`, `other` and `conformance`, and no images.
    pub(crate) async fn start() -> Self {
        let clock: SharedClock = Arc::new(ManualClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
        let blobs = Blobs::memory(Arc::clone(&clock));
        Self::start_on(Store::memory(Arc::clone(&clock)), blobs, clock).await
    }

    /// Starts with the same projects on what `directory` holds.
    pub(crate) async fn start_below(directory: &Path) -> Self {
        let clock = SystemClock::shared();
        let tables = [pierhead_auth::tables(), pierhead_images::tables()].concat();
        let store = Store::open(&directory.join("store"), Arc::clone(&clock), &tables).unwrap();
        let blobs = Blobs::filesystem(&directory.join("blobs"), Arc::clone(&clock)).unwrap();
        Self::start_on(store, blobs, clock).await
    }

    /// Lets go of the directory; nothing can be asked any more.
    pub(crate) fn stop(self) {
        self.store.close();
    }

    async fn start_on(store: Store, blobs: Blobs, clock: SharedClock) -> Self {
        let site_objects = objects();
        let written: Result<(), StoreError> = store
            .write(move |tx| {
                for (key, object) in &site_objects {
                    tx.put(&OBJECTS, key, &ObjectRecord(Bytes::from(object.to_string())))?;
                }
                Ok(())
            })
            .await;
        written.unwrap();
        let auth = Auth::open(store.clone(), pierhead_auth::Config::new(SIGNER.clone()), Arc::clone(&clock))
            .unwrap();
        let config = ImagesConfig::new("172.30.1.1:5000");
        let images = Images::open(store.clone(), blobs, config, clock).unwrap();
        let metrics = Metrics::new();
        let registry = Registry::new(auth.clone(), images.clone(), Config::default(), &metrics);
        Self { registry, metrics, auth, images, store }
    }

    /// A request as `user`, or without credentials as nobody.
    pub(crate) fn request(&self, user: &str, method: Method, path: &str) -> Call<'_> {
        let mut request =
            Request::builder().method(method).uri(path).header("host", "registry.example.com:5000");
        if !user.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token(user)));
        }
        Call { site: self, request, body: Bytes::new() }
    }

    pub(crate) fn get(&self, user: &str, path: &str) -> Call<'_> {
        self.request(user, Method::GET, path)
    }

    pub(crate) fn post(&self, user: &str, path: &str) -> Call<'_> {
        self.request(user, Method::POST, path)
    }

    pub(crate) fn put(&self, user: &str, path: &str) -> Call<'_> {
        self.request(user, Method::PUT, path)
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, user: &str, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.post(user, &path).body(content.to_vec()).send().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        digest
    }

    /// Pushes an image of one layer, and answers its manifest.
    pub(crate) async fn push_image(&self, user: &str, repository: &str, tag: &str, layer: &[u8]) -> Vec<u8> {
        let config = self.push_blob(user, repository, b"{}").await;
        let layer_digest = self.push_blob(user, repository, layer).await;
        let manifest = image_manifest(&config, &layer_digest, layer.len());
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.put(user, &path).header(CONTENT_TYPE.as_str(), OCI_MANIFEST).body(manifest.clone());
        let answer = answer.send().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        manifest
    }

    /// Puts an object named `only` with this spec into a namespace, as it is stored.
    pub(crate) async fn put_object(&self, resource: &str, kind: &str, namespace: &str, spec: Value) {
        let metadata = json!({"name": "only", "namespace": namespace});
        let document = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec});
        let key = ObjectKey::new(resource, namespace, "only");
        let record = ObjectRecord(document.to_string().into());
        let put: Result<_, StoreError> = self.store.write(move |tx| tx.put(&OBJECTS, &key, &record)).await;
        put.unwrap();
    }

    /// Removes an object of the API, as `oc delete` would.
    pub(crate) async fn delete_object(&self, resource: &str, namespace: &str, name: &str) {
        let key = ObjectKey::new(resource, namespace, name);
        let deleted: Result<bool, StoreError> = self.store.write(move |tx| tx.delete(&OBJECTS, &key)).await;
        assert!(deleted.unwrap());
    }
}

/// The token of a user.
pub(crate) fn token(user: &str) -> String {
    if user == "anonymous" { user.to_owned() } else { format!("sha256~{user}") }
}

/// A request that is being put together.
pub(crate) struct Call<'a> {
    site: &'a Site,
    request: http::request::Builder,
    body: Bytes,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer, its body still to come.
    pub(crate) async fn begin(self) -> http::Response<ResponseBody> {
        let request = self.request.body(Full::new(self.body)).unwrap();
        self.site.registry.handle(request).await
    }

    pub(crate) async fn send(self) -> Answer {
        let (head, body) = self.begin().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}

/// What came back.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> String {
        self.header(LOCATION.as_str()).to_owned()
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> String {
        self.json().pointer("/errors/0/code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// The manifest of an image with one layer.
pub(crate) fn image_manifest(config: &Digest, layer: &Digest, layer_size: usize) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": layer_size,
        }],
    });
    manifest.to_string().into_bytes()
}

fn objects() -> Vec<(ObjectKey, Value)> {
    let mut objects: Vec<_> = bootstrap::objects(Era::V3_2).into_iter().map(keyed).collect();
    for namespace in ["shop", "other", "conformance"] {
        objects.push(keyed(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": namespace }, "status": { "phase": "Active" },
        })));
    }
    for user in ["admin", "developer", "stranger", "puller"] {
        objects.push(keyed(json!({
            "apiVersion": "user.openshift.io/v1", "kind": "User", "metadata": { "name": user, "uid": user },
        })));
        let name = oauth_object_name(&token(user)).unwrap();
        objects.push(keyed(json!({
            "apiVersion": "oauth.openshift.io/v1", "kind": "OAuthAccessToken", "metadata": { "name": name },
            "clientName": "openshift-challenging-client", "userName": user, "userUID": user,
            "scopes": ["user:full"], "creationTimestamp": "2026-11-22T10:00:00Z",
        })));
    }
    objects.push(keyed(binding("ClusterRoleBinding", "", "admin", "cluster-admin")));
    objects.push(keyed(binding("RoleBinding", "shop", "developer", "edit")));
    objects.push(keyed(binding("RoleBinding", "shop", "puller", "system:image-puller")));
    objects.push(keyed(binding("RoleBinding", "other", "stranger", "edit")));
    objects
}

fn binding(kind: &str, namespace: &str, user: &str, role: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind,
        "metadata": { "name": format!("{user}-{role}"), "namespace": namespace },
        "subjects": [{ "kind": "User", "apiGroup": group, "name": user }],
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": role },
    })
}

fn keyed(object: Value) -> (ObjectKey, Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let resource = match text("/kind").as_str() {
        "Namespace" => "namespaces".to_owned(),
        kind => {
            let api_version = text("/apiVersion");
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            format!("{}s.{group}", kind.to_lowercase())
        }
    };
    (ObjectKey::new(resource, text("/metadata/namespace"), text("/metadata/name")), object)
}
