//! What was imported is pulled from us: once from its source, while clients wait for it, and afterwards without it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use pierhead_e2e::sample::{Blob, SampleImage, sha256};
use pierhead_e2e::wire::Wire;
use pierhead_testkit::{Actor, Script, ScriptedRegistry, Site, SiteOptions, eventually};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Tests are all on one machine, whose own addresses are otherwise nobody's to import from.
const CONFIG: &str = "[egress]\nallow = [\"127.0.0.0/8\"]\n";
const LAYER: usize = 6 << 20;

/// A cluster that imports, and somebody with a project there.
struct Target {
    site: Site,
    ann: Actor,
    token: String,
}

impl Target {
    async fn open() -> Result<Self> {
        let options = SiteOptions { config: Some(CONFIG.to_owned()), ..SiteOptions::default() };
        let site = Site::start_with(options).await?;
        let ann = site.user("ann").await?;
        ann.oc(["new-project", "prod"]).await.succeeds();
        let token = ann.oc(["whoami", "-t"]).await.succeeds().trim().to_owned();
        Ok(Self { site, ann, token })
    }

    async fn wire(&self) -> Result<Wire> {
        let authorization = format!("Bearer {}", self.token);
        Wire::connect(self.site.addresses().registry, "localhost", Some(&authorization)).await
    }

    async fn import(&self, stream: &str, from: &str) {
        let from = format!("--from={from}");
        self.ann.oc(["import-image", stream, &from, "--confirm", "--insecure"]).await.succeeds();
    }
}

async fn source() -> Result<ScriptedRegistry> {
    ScriptedRegistry::start([127, 0, 0, 1].into()).await
}

/// Offers an image as `lib/app:latest`; its layer as told.
fn offer(registry: &ScriptedRegistry, image: &SampleImage, layer: Script) {
    let oci = "application/vnd.oci.image.manifest.v1+json";
    for reference in ["latest", &image.manifest.digest] {
        let manifest = Script::sends(image.manifest.bytes.to_vec()).header("content-type", oci);
        registry.on(format!("/v2/lib/app/manifests/{reference}"), manifest);
    }
    let config = Script::sends(image.config.bytes.to_vec());
    registry.on(format!("/v2/lib/app/blobs/{}", image.config.digest), config);
    registry.on(format!("/v2/lib/app/blobs/{}", image.layer.digest), layer);
}

fn whole(blob: &Blob) -> Script {
    Script::sends(blob.bytes.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pull_what_is_fetched_once_and_stays_when_its_source_goes() -> Result<()> {
    let (target, mut source) = (Target::open().await?, source().await?);
    let image = SampleImage::random(&mut rand::rng(), LAYER);
    offer(&source, &image, whole(&image.layer).held_after(LAYER / 2));
    target.import("app", &format!("{}/lib/app:latest", source.host())).await;
    ensure!(source.count(&layer_of(&image)) == 0, "an import fetches no layer");

    let path = format!("/v2/prod/app/blobs/{}", image.layer.digest);
    let mut pullers = JoinSet::new();
    for _ in 0..40 {
        let (mut wire, path) = (target.wire().await?, path.clone());
        pullers.spawn(async move { wire.get(&path).await?.expect(StatusCode::OK) });
    }
    eventually("the source is asked", async || (source.count(&layer_of(&image)) > 0).then_some(())).await?;
    // Some leave before they have it; nobody else notices.
    let mut leaver = target.wire().await?;
    let left = timeout(Duration::from_millis(200), leaver.get(&path)).await;
    ensure!(left.is_err(), "nobody has the whole blob yet");
    drop(leaver);
    source.release();
    while let Some(pulled) = pullers.join_next().await {
        ensure!(sha256(&pulled??.body) == image.layer.digest, "other bytes were pulled");
    }
    ensure!(source.count(&layer_of(&image)) == 1, "{:?}", source.asked());

    offer(&source, &image, Script::refuses(401));
    let mut wire = target.wire().await?;
    ensure!(sha256(&wire.get(&path).await?.expect(StatusCode::OK)?.body) == image.layer.digest);
    source.end();
    let manifest = wire.get("/v2/prod/app/manifests/latest").await?.expect(StatusCode::OK)?;
    ensure!(sha256(&manifest.body) == image.manifest.digest, "another manifest");
    for digest in [&image.config.digest, &image.layer.digest] {
        let blob = wire.get(&format!("/v2/prod/app/blobs/{digest}")).await?.expect(StatusCode::OK)?;
        ensure!(sha256(&blob.body) == *digest, "{digest} is damaged");
    }
    target.site.stop()
}

fn layer_of(image: &SampleImage) -> String {
    format!("GET /v2/lib/app/blobs/{}", image.layer.digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_dead_source_holds_up_nobody() -> Result<()> {
    let target = Target::open().await?;
    let (slow, dead, good) = (source().await?, source().await?, source().await?);
    let images: Vec<SampleImage> = (0..3).map(|_| SampleImage::random(&mut rand::rng(), LAYER)).collect();
    offer(&slow, &images[0], whole(&images[0].layer).slow(1_000, 50));
    offer(&dead, &images[1], whole(&images[1].layer).silent());
    offer(&good, &images[2], whole(&images[2].layer));
    let mut stuck = JoinSet::new();
    for ((stream, registry), image) in [("slow", &slow), ("dead", &dead)].into_iter().zip(&images) {
        target.import(stream, &format!("{}/lib/app:latest", registry.host())).await;
        // More than a host is asked for at a time.
        for _ in 0..20 {
            let (mut wire, path) =
                (target.wire().await?, format!("/v2/prod/{stream}/blobs/{}", image.layer.digest));
            stuck.spawn(async move { wire.get(&path).await });
        }
        eventually("the source is asked", async || (registry.count(&layer_of(image)) > 0).then_some(()))
            .await?;
    }
    let pulled = timeout(Duration::from_secs(30), async {
        target.import("good", &format!("{}/lib/app:latest", good.host())).await;
        let mut wire = target.wire().await?;
        wire.get(&format!("/v2/prod/good/blobs/{}", images[2].layer.digest)).await?.expect(StatusCode::OK)
    });
    let pulled = pulled.await.context("the good source was held up")??;
    ensure!(sha256(&pulled.body) == images[2].layer.digest, "other bytes were pulled");
    ensure!(stuck.try_join_next().is_none(), "the others wait");
    stuck.abort_all();
    target.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_never_complete_an_answer_and_never_stay() -> Result<()> {
    let (target, source) = (Target::open().await?, source().await?);
    let image = SampleImage::random(&mut rand::rng(), LAYER);
    offer(&source, &image, whole(&image.layer));
    target.import("app", &format!("{}/lib/app:latest", source.host())).await;
    let path = format!("/v2/prod/app/blobs/{}", image.layer.digest);
    let other = Blob::random(&mut rand::rng(), LAYER);
    let longer = [&image.layer.bytes[..], b"x"].concat();
    let rows = [
        ("other bytes", whole(&other)),
        ("a cut", whole(&image.layer).broken_after(LAYER - 1)),
        ("more bytes", Script::sends(longer)),
        ("no end", whole(&image.layer).endless()),
        ("fewer bytes", Script::sends(image.layer.bytes.slice(1..).to_vec())),
    ];
    for (row, script) in rows {
        offer(&source, &image, script);
        let mut wire = target.wire().await?;
        if let Ok(answer) = wire.get(&path).await {
            ensure!(!answer.status.is_success(), "{row}: {} with {} bytes", answer.status, answer.body.len());
        }
    }
    offer(&source, &image, whole(&image.layer));
    let mut wire = target.wire().await?;
    let answer = wire.get(&path).await?.expect(StatusCode::OK)?;
    ensure!(sha256(&answer.body) == image.layer.digest, "what is right now is served");
    target.site.stop()
}
