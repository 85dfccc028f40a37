//! Many clients pull an image that has to be fetched first.
//!
//! The source counts what it is asked: a blob that is fetched twice is an error, not a slower row.

use super::process::resident;
use super::servers::Server;
use crate::sample::{Blob, SampleImage, sha256};
use anyhow::{Context, Result, ensure};
use http::StatusCode;
use pierhead_testkit::{Script, ScriptedRegistry};
use serde_json::json;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Small enough that all clients together can hold one each.
const LAYER: usize = 2 << 20;
const LAYERS: usize = 4;

/// What the pulls took.
#[derive(Clone, Copy, Debug)]
pub struct Pulled {
    /// From the first request to the last byte of the last client.
    pub took: Duration,
    /// The most resident memory of the server meanwhile.
    pub memory: u64,
}

/// Lets this many clients pull an image of a few layers that nobody has pulled before.
pub async fn pull_uncached(server: &Server, clients: usize) -> Result<Pulled> {
    let source = ScriptedRegistry::start(Ipv4Addr::LOCALHOST.into()).await?;
    let blobs = offer(&source);
    server.import_image(&format!("{}/lib/app:latest", source.host()), "through")?;
    let mut pullers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..clients {
        let (mut wire, blobs) = (server.connect().await?, blobs.clone());
        pullers.spawn(async move {
            wire.get("/v2/bench/through/manifests/latest").await?.expect(StatusCode::OK)?;
            for digest in blobs {
                let path = format!("/v2/bench/through/blobs/{digest}");
                let blob = wire.get(&path).await?.expect(StatusCode::OK)?;
                ensure!(sha256(&blob.body) == digest, "other bytes came for {digest}");
            }
            Ok(())
        });
    }
    let mut memory = 0;
    while !pullers.is_empty() {
        memory = memory.max(resident(server.pid())?);
        let pause = Duration::from_millis(50);
        if let Ok(Some(pulled)) = tokio::time::timeout(pause, pullers.join_next()).await {
            pulled??;
        }
    }
    let took = began.elapsed();
    for digest in blobs {
        let fetches = source.count(&format!("GET /v2/lib/app/blobs/{digest}"));
        ensure!(fetches == 1, "{digest} was fetched {fetches} times");
    }
    Ok(Pulled { took, memory })
}

/// Offers an image as `lib/app:latest`; answers its blobs.
fn offer(source: &ScriptedRegistry) -> Vec<String> {
    let random = &mut rand::rng();
    let config = SampleImage::random(random, 10).config;
    let layers: Vec<Blob> = (0..LAYERS).map(|_| Blob::random(random, LAYER)).collect();
    let oci = |kind: &str| format!("application/vnd.oci.image.{kind}");
    let described = |blob: &Blob, kind: &str| json!({"mediaType": oci(kind), "digest": blob.digest, "size": blob.bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": oci("manifest.v1+json"),
        "config": described(&config, "config.v1+json"),
        "layers": layers.iter().map(|layer| described(layer, "layer.v1.tar")).collect::<Vec<_>>(),
    });
    let manifest = Script::sends(manifest.to_string()).header("content-type", &oci("manifest.v1+json"));
    source.on("/v2/lib/app/manifests/latest", manifest);
    let mut digests = Vec::new();
    for blob in layers.iter().chain([&config]) {
        let path = format!("/v2/lib/app/blobs/{}", blob.digest);
        source.on(path, Script::sends(blob.bytes.to_vec()));
        digests.push(blob.digest.clone());
    }
    // The import has the config already; it is not fetched again.
    digests.truncate(LAYERS);
    digests
}

impl Server {
    /// Imports one image into a stream of the project `bench`.
    pub fn import_image(&self, from: &str, stream: &str) -> Result<()> {
        let from = format!("--from={from}");
        self.as_owner(&["import-image", stream, &from, "--confirm", "--insecure"])
            .context("importing the image")?;
        Ok(())
    }
}
