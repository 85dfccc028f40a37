//! A large layer goes through the route while others push, and the server's memory stays where it is.

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use pierhead_e2e::bench::process::resident;
use pierhead_e2e::sample::{RepeatedBlob, SampleImage};
use pierhead_e2e::wire::{Wire, finish};
use pierhead_testkit::{Site, eventually};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::time::Duration;
use tokio::task::JoinSet;

const LAYER: u64 = 1 << 30;
/// What the server may hold in memory meanwhile, in bytes.
const CEILING: u64 = 256 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_of_1_gib_through_the_route_while_8_others_push_needs_little_memory() -> Result<()> {
    let site = Site::start().await?;
    site.admin()?.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
    let owner = site.user("owner").await?;
    owner.oc(["new-project", "large"]).await.succeeds();
    let authorization = format!("Bearer {}", owner.oc(["whoami", "-t"]).await.succeeds().trim());
    let router = site.addresses().router_http;
    let host = site.route_host("docker-registry", "default")?;
    let host = host.as_str().to_owned();
    eventually("the route serves", async || {
        let mut wire = Wire::connect(router, &host, None).await.ok()?;
        (wire.get("/v2/").await.ok()?.status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await?;

    let mut others = JoinSet::new();
    for number in 0..8 {
        let mut wire = Wire::connect(router, &host, Some(&authorization)).await?;
        others.spawn(async move {
            let mut random = StdRng::seed_from_u64(number);
            let repository = format!("large/other-{number}");
            for round in 0.. {
                let image = SampleImage::random(&mut random, 500_000);
                for blob in [&image.layer, &image.config] {
                    wire.push_blob(&repository, &blob.digest, blob.bytes.clone()).await?;
                }
                wire.push_manifest(&repository, &format!("v{round}"), image.manifest.bytes.clone()).await?;
            }
            anyhow::Ok(())
        });
    }
    let pid = site.pid();
    let mut watch = JoinSet::new();
    watch.spawn(async move {
        let mut most = 0;
        while let Ok(now) = resident(pid) {
            most = most.max(now);
            ensure!(most < CEILING, "{} MiB resident", most >> 20);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    });

    let mut wire = Wire::connect(router, &host, Some(&authorization)).await?;
    let layer = RepeatedBlob::random(&mut StdRng::seed_from_u64(1), LAYER);
    let place = wire.start_upload("large/image").await?;
    let headers = [("content-type", "application/octet-stream")];
    let pushed = wire.send(Method::PUT, &finish(&place, &layer.digest()), &headers, layer.body()).await?;
    pushed.expect(StatusCode::CREATED)?;
    if let Some(ended) = others.try_join_next() {
        ended??;
    }
    ensure!(watch.try_join_next().is_none(), "memory went over the ceiling");
    println!("resident after the push: {} MiB", resident(pid)? >> 20);
    others.shutdown().await;
    watch.shutdown().await;
    site.stop()
}
