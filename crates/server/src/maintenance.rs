//! What happens by the clock: abandoned uploads are reaped, unreferenced blobs collected, old changes forgotten.

use pierhead_images::Images;
use pierhead_runtime::Tasks;
use std::time::Duration;
use tracing::{info, warn};

/// How often.
const EVERY: Duration = Duration::from_secs(3600);

/// Works in the background until `tasks` stops.
pub(crate) fn start(images: &Images, tasks: &Tasks) {
    let images = images.clone();
    tasks.spawn("maintenance", |stop| async move {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            tend(&images).await;
        }
    });
}

async fn tend(images: &Images) {
    match images.reap_uploads().await {
        Ok(reaped) => info!(uploads = reaped, "Reaped abandoned uploads"),
        Err(error) => warn!(%error, "Reaping abandoned uploads failed; the next hour tries again"),
    }
    match images.collect_garbage().await {
        Ok(collected) => info!(?collected, "Collected what nothing refers to"),
        Err(error) => warn!(%error, "Collecting garbage failed; the next hour tries again"),
    }
}
