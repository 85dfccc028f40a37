//! A site with a project to protect, and everybody who might come to it.
//!
//! Owns who they are, and what there is to be seen. Does not know what they should be answered; that is
//! `access_matrix`'s and `advisories`'.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use pierhead_e2e::sample::SampleImage;
use pierhead_e2e::wire::{Answer, finish, location};
use pierhead_testkit::Site;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use crate::door::{Ask, Door};

/// The repository that must not be seen.
pub(crate) const REPOSITORY: &str = "victim/secret";

/// Somebody, by their credentials.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) authorization: Option<String>,
}

impl Caller {
    pub(crate) fn bearer(name: &'static str, token: &str) -> Self {
        Self { name, authorization: Some(format!("Bearer {token}")) }
    }

    pub(crate) fn token(&self) -> &str {
        self.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default()
    }
}

/// The site and everybody.
pub(crate) struct Cast {
    pub(crate) site: Site,
    pub(crate) api: Door,
    pub(crate) registry: Door,
    pub(crate) router: Door,
    /// Has a project of their own, `elsewhere`, and no role in `victim`.
    pub(crate) stranger: Caller,
    /// Sends no credentials.
    pub(crate) nobody: Caller,
    /// Chose to be nobody, as Docker does without a login.
    pub(crate) anonymous: Caller,
    pub(crate) puller: Caller,
    pub(crate) pusher: Caller,
    /// Administers project `victim`.
    pub(crate) chief: Caller,
    /// Administers the cluster.
    pub(crate) root: Caller,
    /// What is in [`REPOSITORY`] under the tag `v1`.
    pub(crate) image: SampleImage,
}

impl Cast {
    pub(crate) async fn start() -> Result<Self> {
        let site = Site::start().await?;
        let admin = site.admin()?;
        let addresses = site.addresses();
        let api = api_door(&site)?;
        let grant = ["adm", "policy", "add-cluster-role-to-user", "cluster-admin", "root"];
        admin.oc(grant).await.succeeds();
        let cast = Self {
            stranger: login(&api, "stranger").await?,
            nobody: Caller { name: "nobody", authorization: None },
            anonymous: Caller::bearer("anonymous", "anonymous"),
            puller: login(&api, "puller").await?,
            pusher: login(&api, "pusher").await?,
            chief: login(&api, "chief").await?,
            root: login(&api, "root").await?,
            image: SampleImage::random(&mut rand::rng(), 4 << 10),
            registry: Door::new(addresses.registry, None),
            router: Door::new(addresses.router_http, None),
            site,
            api,
        };
        cast.furnish().await?;
        Ok(cast)
    }

    /// Everybody for whom things differ, from the least to the most.
    pub(crate) fn everybody(&self) -> [&Caller; 7] {
        [&self.nobody, &self.anonymous, &self.stranger, &self.puller, &self.pusher, &self.chief, &self.root]
    }

    async fn furnish(&self) -> Result<()> {
        self.request_project(&self.chief, "victim").await?;
        self.request_project(&self.stranger, "elsewhere").await?;
        for (role, who) in [("system:image-puller", "puller"), ("system:image-pusher", "pusher")] {
            self.bind("victim", role, who).await?;
        }
        let (core, images) = ("/api/v1", "/apis/image.openshift.io/v1");
        let service = json!({"kind": "Service", "name": "secret"});
        let pod = json!({"containers": [{"name": "c", "image": "secret:1"}]});
        let template = json!({"metadata": {"labels": {"app": "hidden"}}, "spec": pod});
        let addresses = json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]);
        let never = json!({"replicas": 0, "template": template, "triggers": []});
        for (prefix, resource, rest) in [
            (core, "configmaps", json!({"data": {"key": "hidden"}})),
            (core, "secrets", json!({"stringData": {"key": "hidden"}})),
            (core, "serviceaccounts", json!({})),
            (core, "services", json!({"spec": {"ports": [{"port": 80}]}})),
            (core, "endpoints", json!({"subsets": addresses})),
            (core, "pods", json!({"spec": pod})),
            (core, "replicationcontrollers", json!({"spec": {"replicas": 0, "template": template}})),
            ("/apis/apps.openshift.io/v1", "deploymentconfigs", json!({"spec": never})),
            (images, "imagestreams", json!({})),
            ("/apis/route.openshift.io/v1", "routes", json!({"spec": {"to": service}})),
        ] {
            let mut object = rest;
            let fields = object.as_object_mut().context("objects are objects")?;
            fields.insert("metadata".into(), json!({"name": "secret"}));
            self.create(&self.chief, &format!("{prefix}/namespaces/victim/{resource}"), &object).await?;
        }
        self.push_image(&self.chief, REPOSITORY, "v1", &self.image).await
    }

    pub(crate) async fn request_project(&self, who: &Caller, name: &str) -> Result<()> {
        let path = "/apis/project.openshift.io/v1/projectrequests";
        self.create(who, path, &json!({"metadata": {"name": name}})).await?;
        Ok(())
    }

    /// Gives a user a cluster role in a project, by a binding with the user's name.
    pub(crate) async fn bind(&self, namespace: &str, role: &str, user: &str) -> Result<()> {
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        self.create(&self.root, &binding_path(namespace, ""), &binding).await?;
        Ok(())
    }

    /// Makes an object, which must work.
    pub(crate) async fn create(&self, who: &Caller, path: &str, object: &Value) -> Result<Value> {
        let answer = self.api.send(Ask::post(path, object).by(who)).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status.is_success(), "{} posts to {path}: {} {text}", who.name, answer.status);
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Reads an object, which must work.
    pub(crate) async fn read(&self, who: &Caller, path: &str) -> Result<Value> {
        let answer = self.api.send(Ask::get(path).by(who)).await?.expect(StatusCode::OK);
        Ok(serde_json::from_slice(&answer.with_context(|| path.to_owned())?.body)?)
    }

    /// Deletes an object, which must work.
    pub(crate) async fn delete(&self, who: &Caller, path: &str) -> Result<()> {
        let answer = self.api.send(Ask::new(Method::DELETE, path).by(who)).await?;
        ensure!(answer.status.is_success(), "{} deletes {path}: {}", who.name, answer.status);
        Ok(())
    }

    /// A token of a service account for the API and the registry.
    pub(crate) async fn account_token(&self, namespace: &str, account: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let made = self.create(&self.root, &path, &json!({"spec": {"expirationSeconds": 3600}})).await?;
        Ok(made.pointer("/status/token").and_then(Value::as_str).context("no token")?.to_owned())
    }

    /// Opens an upload and says where it goes on.
    pub(crate) async fn start_upload(&self, who: &Caller, repository: &str) -> Result<String> {
        let ask = Ask::new(Method::POST, format!("/v2/{repository}/blobs/uploads/")).by(who);
        location(self.registry.send(ask).await?.expect(StatusCode::ACCEPTED)?)
    }

    pub(crate) async fn push_blob(
        &self,
        who: &Caller,
        repository: &str,
        digest: &str,
        bytes: Bytes,
    ) -> Result<()> {
        let place = self.start_upload(who, repository).await?;
        let ask = Ask::new(Method::PUT, finish(&place, digest)).body("application/octet-stream", bytes);
        self.registry.send(ask.by(who)).await?.expect(StatusCode::CREATED)?;
        Ok(())
    }

    pub(crate) async fn push_image(
        &self,
        who: &Caller,
        repository: &str,
        tag: &str,
        image: &SampleImage,
    ) -> Result<()> {
        for blob in [&image.config, &image.layer] {
            self.push_blob(who, repository, &blob.digest, blob.bytes.clone()).await?;
        }
        let ask = put_manifest(repository, tag, image.manifest.bytes.clone()).by(who);
        self.registry.send(ask).await?.expect(StatusCode::CREATED)?;
        Ok(())
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.site.stop()
    }
}

/// Where role bindings of a project are, or one of them.
pub(crate) fn binding_path(namespace: &str, name: &str) -> String {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    if name.is_empty() { path } else { format!("{path}/{name}") }
}

/// The media type of OCI image manifests.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn put_manifest(repository: &str, reference: &str, bytes: impl Into<Bytes>) -> Ask {
    Ask::new(Method::PUT, format!("/v2/{repository}/manifests/{reference}")).body(MANIFEST, bytes)
}

/// The API of a site, whose certificate is trusted.
pub(crate) fn api_door(site: &Site) -> Result<Door> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.authority())?)?;
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Door::new(site.addresses().api, Some(TlsConnector::from(Arc::new(tls)))))
}

/// A token for a password, as `oc login` gets it.
pub(crate) async fn login(api: &Door, name: &'static str) -> Result<Caller> {
    let path = "/oauth/authorize?client_id=openshift-challenging-client&response_type=token";
    let basic = format!("Basic {}", STANDARD.encode(format!("{name}:password-of-{name}")));
    let ask = Ask::get(path).header("authorization", basic).header("x-csrf-token", "1");
    let answer = api.send(ask).await?.expect(StatusCode::FOUND)?;
    let place = answer.header("location").context("no Location")?;
    let token = place.split_once("access_token=").context("no token")?.1;
    let token = token.split('&').next().unwrap_or_default().replace("%7E", "~");
    Ok(Caller::bearer(name, &token))
}

/// What an answer tells: status, headers and body, without what differs from answer to answer anyway, and with the
/// names that were asked for taken out.
pub(crate) fn told(answer: &Answer, names: &[&str]) -> (StatusCode, String, String) {
    let blind = |text: String| names.iter().fold(text, |text, name| text.replace(name, "NAME"));
    let kept = |name: &str| {
        !matches!(name, "date" | "audit-id" | "content-length" | "location" | "docker-upload-uuid")
    };
    let headers = answer.headers.iter().filter(|(name, _)| kept(name.as_str()));
    let headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    (answer.status, blind(headers.join("\n")), blind(String::from_utf8_lossy(&answer.body).into_owned()))
}
