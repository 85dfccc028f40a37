//! Clients that write until they are stopped or the server is gone, and note what was acknowledged.

use crate::crash::server::{CrashServer, connect};
use crate::ledger::Ledger;
use crate::sample::{Blob, SampleImage};
use crate::wire::{Wire, finish, location, whole};
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// The writers of one round.
pub struct Load {
    writers: JoinSet<()>,
}

/// An upload that a crash interrupted: where it continues, all its bytes, and how many were acknowledged.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// Path and query of the upload.
    pub place: String,
    /// What shall be in the blob.
    pub blob: Blob,
    /// How many bytes of it were acknowledged.
    pub acknowledged: usize,
}

/// Uploads that wait to be continued.
pub type Uploads = Arc<Mutex<Vec<Interrupted>>>;

impl Load {
    /// Starts eight pushers, two that move one shared tag, and one that uploads in pieces.
    #[must_use]
    pub fn start(server: &CrashServer, ledger: &Arc<Ledger>, uploads: &Uploads, seed: u64) -> Self {
        let mut writers = JoinSet::new();
        for number in 0..8_u64 {
            let (target, ledger) = (server.credentials(), Arc::clone(ledger));
            writers.spawn(async move {
                // A writer ends with the server; what it had acknowledged is in the ledger.
                push_images(target, &ledger, number, seed).await.ok();
            });
        }
        for number in 0..2_u64 {
            let (target, ledger) = (server.credentials(), Arc::clone(ledger));
            writers.spawn(async move {
                move_shared_tag(target, &ledger, seed ^ (number + 100)).await.ok();
            });
        }
        let (target, uploads) = (server.credentials(), Arc::clone(uploads));
        writers.spawn(async move {
            upload_in_pieces(target, &uploads, seed ^ 200).await.ok();
        });
        Self { writers }
    }

    /// Stops the writers wherever they are.
    pub async fn stop(mut self) {
        self.writers.shutdown().await;
    }
}

/// Continues what a crash interrupted: nothing acknowledged may be asked for again after a kill, and the blob must
/// come out right. After a power cut fewer bytes may be left, never wrong ones.
pub async fn resume_all(server: &CrashServer, uploads: &Uploads, lost_power: bool) -> Result<()> {
    let waiting = std::mem::take(&mut *uploads.lock().expect("no writer panics while it holds the list"));
    let mut wire = server.connect().await?;
    for upload in waiting {
        resume(&mut wire, &upload, lost_power).await.with_context(|| format!("resuming {}", upload.place))?;
    }
    Ok(())
}

async fn resume(wire: &mut Wire, upload: &Interrupted, lost_power: bool) -> Result<()> {
    let answer = wire.get(&upload.place).await?;
    if lost_power && answer.status == StatusCode::NOT_FOUND && upload.acknowledged == 0 {
        return Ok(()); // opened while the power went
    }
    let answer = answer.expect(StatusCode::NO_CONTENT)?;
    let range = answer.header("range").context("the upload's status has no Range")?;
    let held = match range.rsplit_once('-').map(|(_, end)| end.parse::<usize>()) {
        Some(Ok(0)) => 0,
        Some(Ok(end)) => end + 1,
        _ => anyhow::bail!("Range `{range}`"),
    };
    anyhow::ensure!(held <= upload.blob.bytes.len(), "{held} bytes of {}", upload.blob.bytes.len());
    anyhow::ensure!(
        lost_power || held >= upload.acknowledged,
        "{held} bytes left of {}",
        upload.acknowledged
    );
    let place = location(answer).unwrap_or_else(|_| upload.place.clone());
    let headers = [("content-type", "application/octet-stream")];
    let rest = upload.blob.bytes.slice(held..);
    let path = finish(&place, &upload.blob.digest);
    wire.send(Method::PUT, &path, &headers, whole(rest)).await?.expect(StatusCode::CREATED)?;
    let stored = wire.get(&format!("/v2/crash/pieces/blobs/{}", upload.blob.digest)).await?;
    anyhow::ensure!(stored.expect(StatusCode::OK)?.body == upload.blob.bytes, "the blob has other bytes");
    Ok(())
}

async fn push_images(
    target: (SocketAddr, Option<String>),
    ledger: &Ledger,
    number: u64,
    seed: u64,
) -> Result<()> {
    let mut wire = connect(target.0, target.1).await?;
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(31) ^ number);
    let repository = format!("crash/pusher-{number}");
    for round in 0.. {
        let size = random.random_range(1..20_000);
        let image = SampleImage::random(&mut random, size);
        for blob in [&image.layer, &image.config] {
            wire.push_blob(&repository, &blob.digest, blob.bytes.clone()).await?;
            ledger.blob(&repository, &blob.digest, &blob.bytes);
        }
        let tag = format!("v{}", round % 5);
        tag_as(&mut wire, ledger, &repository, &tag, &image).await?;
    }
    Ok(())
}

async fn move_shared_tag(target: (SocketAddr, Option<String>), ledger: &Ledger, seed: u64) -> Result<()> {
    let mut wire = connect(target.0, target.1).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let images = [SampleImage::random(&mut random, 100), SampleImage::random(&mut random, 100)];
    for image in &images {
        for blob in [&image.layer, &image.config] {
            wire.push_blob("crash/shared", &blob.digest, blob.bytes.clone()).await?;
        }
    }
    for round in 0.. {
        tag_as(&mut wire, ledger, "crash/shared", "latest", &images[round % 2]).await?;
    }
    Ok(())
}

async fn tag_as(
    wire: &mut Wire,
    ledger: &Ledger,
    repository: &str,
    tag: &str,
    image: &SampleImage,
) -> Result<()> {
    let attempt = ledger.tag_attempt(repository, tag, &image.manifest.digest);
    wire.push_manifest(repository, tag, image.manifest.bytes.clone()).await?;
    ledger.tag_acknowledged(&attempt, &image.manifest.bytes);
    Ok(())
}

async fn upload_in_pieces(target: (SocketAddr, Option<String>), uploads: &Uploads, seed: u64) -> Result<()> {
    let mut wire = connect(target.0, target.1).await?;
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let blob = Blob::random(&mut random, 400_000);
        let mut place = wire.start_upload("crash/pieces").await?;
        let note = |place: &str, acknowledged| {
            let mut uploads = uploads.lock().expect("no writer panics while it holds the list");
            uploads.retain(|upload| upload.blob.digest != blob.digest);
            uploads.push(Interrupted { place: place.to_owned(), blob: blob.clone(), acknowledged });
        };
        note(&place, 0);
        for start in (0..blob.bytes.len()).step_by(50_000) {
            let piece: Bytes = blob.bytes.slice(start..(start + 50_000).min(blob.bytes.len()));
            let range = format!("{start}-{}", start + piece.len() - 1);
            let end = start + piece.len();
            let headers = [("content-type", "application/octet-stream"), ("content-range", range.as_str())];
            let answer = wire.send(Method::PATCH, &place, &headers, whole(piece)).await?;
            place = location(answer.expect(StatusCode::ACCEPTED)?)?;
            note(&place, end);
        }
        wire.send(Method::PUT, &finish(&place, &blob.digest), &[], whole(Bytes::new()))
            .await?
            .expect(StatusCode::CREATED)?;
        uploads.lock().expect("as above").retain(|upload| upload.blob.digest != blob.digest);
    }
}
