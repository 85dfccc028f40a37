//! One registry without a network: a store, blobs, permits, and images to push.

use std::sync::Arc;
use std::time::Duration;

use pierhead_api::image::ImageStream;
use pierhead_auth::service_account::TokenSigner;
use pierhead_auth::{Attributes, Auth, Permit, Subject};
use pierhead_blobs::Blobs;
use pierhead_images::{Config, DryRun, Images, MayPull, PushError, Pushed};
use pierhead_oci::{Digest, Manifest, Reference};
use pierhead_runtime::ManualClock;
use pierhead_store::{OBJECTS, ObjectKey, ObjectRecord, Store, TableName};

pub(crate) const REGISTRY: &str = "172.30.0.1:5000";

pub(crate) struct World {
    pub(crate) images: Images,
    pub(crate) auth: Auth,
    pub(crate) blobs: Blobs,
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    pub(crate) user: Arc<Subject>,
}

/// The tables of what a world consists of.
pub(crate) fn all_tables() -> Vec<TableName> {
    [pierhead_auth::tables(), pierhead_images::tables()].concat()
}

/// An image with one layer, ready to push: a config that is kept as a row, and a layer that is a file.
pub(crate) struct Sample {
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Sample {
    pub(crate) fn new(text: &str) -> Self {
        let config = format!(
            r#"{{"created":"2016-05-01T12:00:00Z","architecture":"amd64","os":"linux","config":{{"Env":["A={text}"]}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        Self::with(config.into_bytes(), format!("layer of {text:6000}").into_bytes(), "")
    }

    pub(crate) fn with(config: Vec<u8>, layer: Vec<u8>, more: &str) -> Self {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":{}}}]{more}}}"#,
            Digest::sha256(&config),
            config.len(),
            Digest::sha256(&layer),
            layer.len(),
        );
        Self { config, layer, manifest: manifest.into_bytes() }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    pub(crate) fn parsed(&self) -> Manifest {
        Manifest::parse(OCI_MANIFEST, self.manifest.clone()).unwrap()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new("2026-11-23T10:00:00Z".parse().unwrap());
        let store = Store::memory(clock.shared());
        let blobs = Blobs::memory(clock.shared());
        Self::over(store, blobs, clock).await
    }

    pub(crate) async fn over(store: Store, blobs: Blobs, clock: ManualClock) -> Self {
        for namespace in ["shop", "other"] {
            let json = format!(
                r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{namespace}","uid":"u-{namespace}"}},"status":{{"phase":"Active"}}}}"#
            );
            let key = ObjectKey::new("namespaces", "", namespace);
            let record = ObjectRecord(json.into());
            store.write(move |tx| tx.put(&OBJECTS, &key, &record).map(|_| ())).await.unwrap();
        }
        let signer = TokenSigner::generate().unwrap();
        let auth = Auth::open(store.clone(), pierhead_auth::Config::new(signer), clock.shared()).unwrap();
        let images =
            Images::open(store.clone(), blobs.clone(), Config::new(REGISTRY), clock.shared()).unwrap();
        let user = Subject::system("ann", &["system:masters", "system:authenticated"]);
        Self { images, auth, blobs, store, clock, user }
    }

    pub(crate) fn pull(&self, namespace: &str, stream: &str) -> Permit<pierhead_auth::Pull> {
        self.auth.permit_pull(&self.user, namespace, stream).unwrap()
    }

    pub(crate) fn push(&self, namespace: &str, stream: &str) -> Permit<pierhead_auth::Push> {
        self.auth.permit_push(&self.user, namespace, stream).unwrap()
    }

    pub(crate) fn delete(&self, namespace: &str, stream: &str) -> Permit<pierhead_auth::Delete> {
        self.auth.permit_delete(&self.user, namespace, stream).unwrap()
    }

    pub(crate) fn api(&self, namespace: &str, resource: &str) -> Permit<pierhead_auth::Api> {
        let attributes = Attributes::new("update", "image.openshift.io", resource).namespace(namespace);
        self.auth.authorize(&self.user, &attributes).unwrap()
    }

    pub(crate) async fn put_blob(&self, namespace: &str, stream: &str, content: &[u8]) -> Digest {
        let permit = self.push(namespace, stream);
        let id = self.images.start_upload(&permit).await.unwrap();
        let mut upload = self.images.upload(&permit, id).await.unwrap();
        upload.append(content.to_vec().into()).await.unwrap();
        upload.commit(&Digest::sha256(content)).await.unwrap().digest
    }

    pub(crate) async fn put_manifest(
        &self,
        at: (&str, &str),
        reference: &str,
        manifest: Manifest,
    ) -> Result<Pushed, PushError> {
        let create = self.auth.permit_create_stream(&self.user, at.0).unwrap();
        let reference: Reference = reference.parse().unwrap();
        self.images.push_manifest(&self.push(at.0, at.1), Some(&create), &reference, &[], manifest).await
    }

    /// Pushes blobs and manifest, as a client does.
    pub(crate) async fn put_image(&self, at: (&str, &str), reference: &str, sample: &Sample) -> Digest {
        self.put_blob(at.0, at.1, &sample.config).await;
        self.put_blob(at.0, at.1, &sample.layer).await;
        self.put_manifest(at, reference, sample.parsed()).await.unwrap().digest
    }

    pub(crate) fn stream(&self, namespace: &str, stream: &str) -> ImageStream {
        self.images.stream(namespace, stream).unwrap().unwrap()
    }

    /// The history of a tag: images, newest first, by the beginning of their hash.
    pub(crate) fn history(&self, at: (&str, &str), tag: &str) -> Vec<String> {
        let stream = self.stream(at.0, at.1);
        let list = stream.status_tag(tag).map(|list| list.items.clone()).unwrap_or_default();
        list.into_iter().map(|item| item.image).collect()
    }

    pub(crate) async fn pulled(&self, at: (&str, &str), reference: &str) -> Option<Digest> {
        let manifest = self.images.manifest(&self.pull(at.0, at.1), &reference.parse().unwrap()).await;
        manifest.ok().map(|manifest| manifest.digest)
    }

    pub(crate) async fn create_stream(&self, namespace: &str, json: serde_json::Value) -> ImageStream {
        let stream: ImageStream = serde_json::from_value(json).unwrap();
        let permit = self.api(namespace, "imagestreams");
        self.images.create_stream(&permit, stream, &allow_all(), DryRun::No).await.unwrap()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

pub(crate) fn allow_all() -> MayPull {
    MayPull::new(|_, _| Ok(()))
}
