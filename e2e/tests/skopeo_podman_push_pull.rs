//! skopeo and podman push and pull through the exposed registry: indexes of several architectures, artifacts, and
//! content addressed by SHA-512.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::StatusCode;
use pierhead_e2e::wire::Wire;
use pierhead_testkit::layout::{Layout, busybox_layer, small_layer};
use pierhead_testkit::{Actor, HostName, Site, eventually};
use sha2::{Digest as _, Sha512};

/// A site whose registry is exposed, and the owner of project `shop`, logged in at the registry.
struct Shop {
    site: Site,
    owner: Actor,
    host: HostName,
    token: String,
}

impl Shop {
    async fn open() -> Result<Self> {
        let site = Site::start().await?;
        let host = site.route_host("docker-registry", "default")?;
        site.admin()?.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
        let owner = site.user("owner").await?;
        owner.oc(["new-project", "shop"]).await.succeeds();
        let token = owner.oc(["whoami", "-t"]).await.succeeds().trim().to_owned();
        let shop = Self { site, owner, host, token };
        let registry = shop.registry();
        eventually("skopeo can log in", async || {
            let login = ["login", "--tls-verify=false", "-u", "owner", "-p", &shop.token, &registry];
            shop.owner.skopeo(login).await.said("Login Succeeded").then_some(())
        })
        .await?;
        Ok(shop)
    }

    fn registry(&self) -> String {
        format!("{}:{}", self.host.as_str(), self.site.addresses().router_http.port())
    }

    fn image(&self, name: &str) -> String {
        format!("docker://{}/shop/{name}", self.registry())
    }

    fn layout(&self, name: &str) -> Result<Layout> {
        Layout::create(&self.owner.home().join(name))
    }

    /// The manifest that is stored under a name, byte for byte.
    async fn raw(&self, name: &str) -> String {
        self.owner.skopeo(["inspect", "--tls-verify=false", "--raw", &self.image(name)]).await.succeeds()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_an_index_and_back() -> Result<()> {
    let shop = Shop::open().await?;
    let mut layout = shop.layout("source")?;
    let command = ["/bin/cat", "/message"];
    let images = [
        layout.image("amd64", &small_layer("one"), &command)?,
        layout.image("arm64", &small_layer("two"), &command)?,
    ];
    let index = layout.index(&images)?;
    layout.name("multi", &index)?;
    let (source, target) = (layout.reference("multi"), shop.image("multi:1"));
    let copy = ["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &source, &target];
    shop.owner.skopeo(copy).await.succeeds();

    let stored: serde_json::Value = serde_json::from_str(&shop.raw("multi:1").await)?;
    ensure!(stored["manifests"][1]["digest"] == images[1]["digest"], "{stored}");
    let back = format!("oci:{}:back", shop.owner.home().join("back").display());
    let copy = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &target, &back];
    shop.owner.skopeo(copy).await.succeeds();
    let hex =
        index["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).context("a digest")?;
    ensure!(shop.owner.home().join("back/blobs/sha256").join(hex).is_file(), "the index came back changed");

    let tags = shop.owner.skopeo(["list-tags", "--tls-verify=false", &shop.image("multi")]).await.succeeds();
    let tags: serde_json::Value = serde_json::from_str(&tags)?;
    ensure!(tags["Tags"] == serde_json::json!(["1"]), "{tags}");
    let shown =
        shop.owner.oc(["get", "istag", "multi:1", "-o", "jsonpath={.image.metadata.name}"]).await.succeeds();
    ensure!(Some(shown.trim()) == index["digest"].as_str(), "the stream shows {shown}");

    let stranger = shop.site.stranger("stranger")?;
    let inspect = ["inspect", "--tls-verify=false", "--raw", &target];
    let refused = stranger.skopeo(inspect).await;
    ensure!(refused.code != Some(0), "{refused}");
    shop.owner.skopeo(["delete", "--tls-verify=false", &target]).await.succeeds();
    shop.owner.skopeo(inspect).await.fails_with("manifest unknown");
    shop.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pushes_and_pulls_what_runs() -> Result<()> {
    let shop = Shop::open().await?;
    let archive = shop.owner.home().join("root.tar");
    std::fs::write(&archive, busybox_layer("from podman")?)?;
    let archive = archive.to_str().context("temporary folders have UTF-8 names")?;
    let command = r#"CMD ["/bin/cat", "/message"]"#;
    let id =
        shop.owner.podman(["import", "--quiet", "--change", command, archive, "local/app"]).await.succeeds();
    let name = format!("{}/shop/app:1", shop.registry());
    shop.owner.podman(["push", "--tls-verify=false", id.trim(), &name]).await.succeeds();
    shop.owner.podman(["rmi", "--all", "--force"]).await.succeeds();
    let pulled = shop.owner.podman(["pull", "--quiet", "--tls-verify=false", &name]).await.succeeds();
    ensure!(id.trim().ends_with(pulled.trim()), "podman pulled {pulled}, pushed {id}");
    // podman asks for more open files than root of a confined machine may have, unless told otherwise.
    let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
    let run = ["run", "--rm", "--network=none", limits[0], limits[1], &name];
    let printed = shop.owner.podman(run).await.succeeds();
    ensure!(printed == "from podman", "the image printed {printed:?}");
    shop.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_and_sha512_are_stored_as_they_are() -> Result<()> {
    let shop = Shop::open().await?;
    let registry = shop.site.addresses().router_http;
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("owner:{}", shop.token)));
    let mut wire = Wire::connect(registry, shop.host.as_str(), Some(&basic)).await?;
    let empty = Bytes::from_static(b"{}");
    let empty_digest = pierhead_e2e::sample::sha256(&empty);
    wire.push_blob("shop/things", &empty_digest, empty).await?;
    let content = Bytes::from(vec![7; 300_000]);
    let digest = format!("sha512:{}", hex(&Sha512::digest(&content)));
    wire.push_blob("shop/things", &digest, content.clone()).await?;
    let got = wire.get(&format!("/v2/shop/things/blobs/{digest}")).await?.expect(StatusCode::OK)?;
    ensure!(got.body == content, "the blob came back changed");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.thing",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty_digest, "size": 2},
        "layers": [{"mediaType": "application/octet-stream", "digest": digest, "size": content.len()}],
    });
    let manifest = Bytes::from(manifest.to_string());
    let digest = format!("sha512:{}", hex(&Sha512::digest(&manifest)));
    wire.push_manifest("shop/things", &digest, manifest.clone()).await?;
    wire.push_manifest("shop/things", "v1", manifest.clone()).await?;
    for reference in [digest.as_str(), "v1"] {
        let got =
            wire.get(&format!("/v2/shop/things/manifests/{reference}")).await?.expect(StatusCode::OK)?;
        ensure!(got.body == manifest, "the manifest under {reference} came back changed");
    }
    let raw = shop.raw("things:v1").await;
    ensure!(raw.as_bytes() == manifest, "skopeo got {raw}");
    shop.site.stop()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
