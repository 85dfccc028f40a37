//! What happens by the clock: abandoned uploads are reaped, unreferenced blobs collected, expired logins removed.
//!
//! When is decided here; what may go is decided by the crates that own it.

use pierhead_auth::Auth;
use pierhead_images::Images;
use pierhead_runtime::Tasks;
use std::time::Duration;
use tracing::{info, warn};

/// How long after the start the first time comes: a server that is restarted often must get there, too.
const FIRST: Duration = Duration::from_secs(300);
/// How often from then on.
const EVERY: Duration = Duration::from_secs(3600);

/// How often it is written down which tokens are in use.
const KEEP: Duration = Duration::from_secs(20);

/// Works in the background until `tasks` stops.
pub(crate) fn start(images: &Images, auth: &Auth, tasks: &Tasks) {
    let used = auth.clone();
    tasks.spawn("used tokens", |stop| async move {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(KEEP) => {}
            }
            if let Err(error) = used.keep_used_tokens().await {
                warn!(%error, "Writing down which tokens are in use failed; it is tried again");
            }
        }
    });
    let (images, auth) = (images.clone(), auth.clone());
    tasks.spawn("maintenance", |stop| async move {
        let mut wait = FIRST;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = EVERY;
            tend(&images, &auth).await;
        }
    });
}

async fn tend(images: &Images, auth: &Auth) {
    match images.reap_uploads().await {
        Ok(reaped) => info!(uploads = reaped, "Reaped abandoned uploads"),
        Err(error) => warn!(%error, "Reaping abandoned uploads failed; the next hour tries again"),
    }
    match images.collect_garbage().await {
        Ok(collected) => info!(?collected, "Collected what nothing refers to"),
        Err(error) => warn!(%error, "Collecting garbage failed; the next hour tries again"),
    }
    if let Err(error) = auth.sweep_outside_tokens().await {
        warn!(%error, "Forgetting outside tokens that are over failed; the next hour tries again");
    }
    match auth.sweep_oauth().await {
        Ok(tokens) => info!(tokens, "Removed tokens and codes whose time is over"),
        Err(error) => warn!(%error, "Removing expired tokens failed; the next hour tries again"),
    }
}
