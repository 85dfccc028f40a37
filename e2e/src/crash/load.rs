//! Clients that write until they are stopped or the server is gone, and note what was acknowledged.

use crate::crash::server::{CrashServer, connect};
use crate::ledger::Ledger;
use crate::sample::{Blob, SampleImage};
use crate::wire::{Wire, WrongStatus, finish, location, whole};
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// Where blobs are uploaded in pieces.
const PIECES: &str = "crash/pieces";

/// The writers of one round.
pub struct Load {
    writers: JoinSet<()>,
    refusals: Arc<Mutex<Vec<String>>>,
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

/// What every writer knows.
struct Desk {
    target: (SocketAddr, Option<String>),
    ledger: Arc<Ledger>,
    random: StdRng,
}

impl Desk {
    async fn connect(&self) -> Result<Wire> {
        connect(self.target.0, self.target.1.clone()).await
    }
}

impl Load {
    /// Starts eight pushers, two that move one shared tag, one that deletes, and one that uploads in pieces.
    #[must_use]
    pub fn start(server: &CrashServer, ledger: &Arc<Ledger>, uploads: &Uploads, seed: u64) -> Self {
        let mut load = Self { writers: JoinSet::new(), refusals: Arc::default() };
        let desk = |number| Desk {
            target: server.credentials(),
            ledger: Arc::clone(ledger),
            random: StdRng::seed_from_u64(seed.wrapping_mul(31) ^ number),
        };
        for number in 0..8 {
            load.spawn(ledger, push_images(desk(number), number));
        }
        load.spawn(ledger, move_shared_tag(desk(100)));
        load.spawn(ledger, move_shared_tag(desk(101)));
        load.spawn(ledger, push_and_delete(desk(200)));
        load.spawn(ledger, upload_in_pieces(desk(300), Arc::clone(uploads)));
        load
    }

    fn spawn(&mut self, ledger: &Arc<Ledger>, writer: impl Future<Output = Result<()>> + Send + 'static) {
        let (ledger, refusals) = (Arc::clone(ledger), Arc::clone(&self.refusals));
        self.writers.spawn(async move {
            // A writer ends with the server. What the server refuses while it is whole is a finding.
            if let Err(error) = writer.await
                && error.downcast_ref::<WrongStatus>().is_some()
                && !ledger.is_frozen()
            {
                refusals.lock().expect("no writer panics while it holds the list").push(format!("{error:#}"));
            }
        });
    }

    /// Stops the writers wherever they are, and tells what the server refused to do before it crashed.
    pub async fn stop(mut self) -> Vec<String> {
        self.writers.shutdown().await;
        std::mem::take(&mut *self.refusals.lock().expect("no writer panics while it holds the list"))
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
    let Interrupted { place, blob, acknowledged } = upload;
    let answer = wire.get(place).await?;
    if answer.status == StatusCode::NOT_FOUND {
        // What an unfinished upload holds is not promised to outlive a power cut. Otherwise it may only be gone when it
        // held nothing, or when its end was asked for and the answer did not come.
        let may_be_gone = lost_power || [0, blob.bytes.len()].contains(acknowledged);
        anyhow::ensure!(may_be_gone, "the upload is gone with {acknowledged} bytes");
        wire.push_blob(PIECES, &blob.digest, blob.bytes.clone()).await?;
    } else {
        let answer = answer.expect(StatusCode::NO_CONTENT)?;
        let range = answer.header("range").context("the upload's status has no Range")?;
        let held = match range.rsplit_once('-').map(|(_, end)| end.parse::<usize>()) {
            Some(Ok(0)) => 0,
            Some(Ok(end)) => end + 1,
            _ => anyhow::bail!("Range `{range}`"),
        };
        anyhow::ensure!(held <= blob.bytes.len(), "{held} bytes of {}", blob.bytes.len());
        anyhow::ensure!(lost_power || held >= *acknowledged, "{held} bytes left of {acknowledged}");
        let place = location(answer).unwrap_or_else(|_| place.clone());
        let headers = [("content-type", "application/octet-stream")];
        let path = finish(&place, &blob.digest);
        let answer = wire.send(Method::PUT, &path, &headers, whole(blob.bytes.slice(held..))).await?;
        if lost_power && answer.status == StatusCode::BAD_REQUEST {
            // The length outlived the cut and bytes did not: refused by the digest, and pushed again from the start.
            wire.push_blob(PIECES, &blob.digest, blob.bytes.clone()).await?;
        } else {
            answer.expect(StatusCode::CREATED)?;
        }
    }
    let stored = wire.get(&format!("/v2/{PIECES}/blobs/{}", blob.digest)).await?;
    anyhow::ensure!(stored.expect(StatusCode::OK)?.body == blob.bytes, "the blob has other bytes");
    Ok(())
}

async fn push_images(mut desk: Desk, number: u64) -> Result<()> {
    let mut wire = desk.connect().await?;
    let repository = format!("crash/pusher-{number}");
    for round in 0.. {
        // Some layers are rows of the store, some are files, some are more than one piece.
        let size = [100, 3_000, 20_000, 700_000][desk.random.random_range(0..4)];
        let image = SampleImage::random(&mut desk.random, size);
        push_parts(&mut wire, &desk.ledger, &repository, &image).await?;
        tag_as(&mut wire, &desk.ledger, &repository, &format!("v{}", round % 5), &image).await?;
    }
    Ok(())
}

async fn push_parts(wire: &mut Wire, ledger: &Ledger, repository: &str, image: &SampleImage) -> Result<()> {
    for blob in [&image.layer, &image.config] {
        wire.push_blob(repository, &blob.digest, blob.bytes.clone()).await?;
        ledger.blob(repository, &blob.digest, &blob.bytes);
    }
    Ok(())
}

async fn move_shared_tag(mut desk: Desk) -> Result<()> {
    let mut wire = desk.connect().await?;
    let image = SampleImage::random(&mut desk.random, 100);
    push_parts(&mut wire, &desk.ledger, "crash/shared", &image).await?;
    for round in 0.. {
        let next = image.annotated(&format!("{round}"));
        tag_as(&mut wire, &desk.ledger, "crash/shared", "latest", &next).await?;
    }
    Ok(())
}

/// Pushes to three tags in turn and deletes every second push's tag (I8).
async fn push_and_delete(mut desk: Desk) -> Result<()> {
    let mut wire = desk.connect().await?;
    let image = SampleImage::random(&mut desk.random, 10_000);
    push_parts(&mut wire, &desk.ledger, "crash/deleted", &image).await?;
    for round in 0.. {
        let (next, tag) = (image.annotated(&format!("{round}")), format!("d{}", round % 3));
        tag_as(&mut wire, &desk.ledger, "crash/deleted", &tag, &next).await?;
        if round % 2 == 0 {
            let attempt = desk.ledger.tag_attempt("crash/deleted", &tag, None);
            let answer = wire.delete(&format!("/v2/crash/deleted/manifests/{tag}")).await?;
            answer.expect(StatusCode::ACCEPTED)?;
            desk.ledger.tag_acknowledged(&attempt, None);
        }
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
    let attempt = ledger.tag_attempt(repository, tag, Some(&image.manifest.digest));
    wire.push_manifest(repository, tag, image.manifest.bytes.clone()).await?;
    ledger.tag_acknowledged(&attempt, Some(&image.manifest.bytes));
    Ok(())
}

async fn upload_in_pieces(mut desk: Desk, uploads: Uploads) -> Result<()> {
    let mut wire = desk.connect().await?;
    loop {
        let blob = Blob::random(&mut desk.random, 400_000);
        let mut place = wire.start_upload(PIECES).await?;
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
        let ended = wire.send(Method::PUT, &finish(&place, &blob.digest), &[], whole(Bytes::new())).await?;
        ended.expect(StatusCode::CREATED)?;
        desk.ledger.blob(PIECES, &blob.digest, &blob.bytes);
        if !desk.ledger.is_frozen() {
            uploads.lock().expect("as above").retain(|upload| upload.blob.digest != blob.digest);
        }
    }
}
