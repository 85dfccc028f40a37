//! The work that every registry of the comparison is given.

use super::process::{processor_time, resident};
use super::servers::Server;
use crate::sample::{RepeatedBlob, SampleImage};
use crate::wire::{Answer, Wire, finish};
use anyhow::{Context, Result};
use http::{Method, StatusCode};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long each repeated piece of work runs.
const RUN: Duration = Duration::from_secs(4);

/// Clients that fill a repository with tags: the more there are, the more pushes one wait for the disk covers.
const FILLERS: usize = 64;

/// Size of the large blob.
pub const LARGE: u64 = 1 << 30;

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// How often it was done.
    pub operations: u64,
    /// The server's processor time.
    pub processor: Duration,
    /// Time on the wall.
    pub wall: Duration,
}

impl Measure {
    /// Operations for each second of the server's processor.
    #[must_use]
    pub fn per_processor_second(&self) -> f64 {
        self.operations as f64 / self.processor.as_secs_f64().max(0.005)
    }

    /// Operations for each second on the wall.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.operations as f64 / self.wall.as_secs_f64()
    }
}

/// The same request over and over on some connections.
pub async fn repeat(server: &Server, method: Method, path: &str, connections: u32) -> Result<Measure> {
    let request = async |wire: &mut Wire| -> Result<Answer> {
        let answer = if method == Method::HEAD { wire.head(path).await } else { wire.get(path).await };
        answer?.expect(StatusCode::OK)
    };
    let mut wires = Vec::new();
    for _ in 0..connections {
        let mut wire = server.connect().await?;
        request(&mut wire).await?;
        wires.push(wire);
    }
    let (before, began) = (processor_time(server.pid())?, Instant::now());
    let loops = wires.iter_mut().map(async |wire| -> Result<u64> {
        let mut done = 0;
        while began.elapsed() < RUN {
            request(wire).await?;
            done += 1;
        }
        Ok(done)
    });
    let operations = futures_util::future::try_join_all(loops).await?.into_iter().sum();
    Ok(Measure { operations, processor: processor_time(server.pid())? - before, wall: began.elapsed() })
}

/// Pushes one image and returns its manifest's digest.
pub async fn push_one(server: &Server, repository: &str, tag: &str) -> Result<String> {
    let image = SampleImage::random(&mut StdRng::seed_from_u64(7), 4096);
    push(&mut server.connect().await?, repository, tag, &image).await?;
    Ok(image.manifest.digest)
}

/// Pushes small images, each with a layer and configuration of its own.
pub async fn push_small(server: &Server, clients: u64) -> Result<Measure> {
    let mut tasks = JoinSet::new();
    let (before, began) = (processor_time(server.pid())?, Instant::now());
    for client in 0..clients {
        let mut wire = server.connect().await?;
        tasks.spawn(async move {
            let mut random = StdRng::seed_from_u64(clients * 1000 + client);
            let repository = format!("bench/small-{client}");
            let mut done = 0;
            while began.elapsed() < RUN {
                let image = SampleImage::random(&mut random, 4096);
                push(&mut wire, &repository, &format!("v{done}"), &image).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut operations = 0;
    while let Some(done) = tasks.join_next().await {
        operations += done??;
    }
    Ok(Measure { operations, processor: processor_time(server.pid())? - before, wall: began.elapsed() })
}

/// Moves tags between two manifests of one repository, each client a tag of its own.
pub async fn move_tags(server: &Server, clients: u64) -> Result<Measure> {
    let repository = format!("bench/moved-by-{clients}");
    let mut wire = server.connect().await?;
    let mut random = StdRng::seed_from_u64(11);
    let images = [SampleImage::random(&mut random, 4096), SampleImage::random(&mut random, 4096)];
    for image in &images {
        push(&mut wire, &repository, "latest", image).await?;
    }
    let mut tasks = JoinSet::new();
    let (before, began) = (processor_time(server.pid())?, Instant::now());
    for client in 0..clients {
        let mut wire = server.connect().await?;
        let (repository, images) = (repository.clone(), images.clone());
        tasks.spawn(async move {
            let (tag, mut done) = (format!("moving-{client}"), 0);
            while began.elapsed() < RUN {
                let image = &images[usize::from(done % 2 == 1)];
                wire.push_manifest(&repository, &tag, image.manifest.bytes.clone()).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut operations = 0;
    while let Some(done) = tasks.join_next().await {
        operations += done??;
    }
    Ok(Measure { operations, processor: processor_time(server.pid())? - before, wall: began.elapsed() })
}

/// Gives a repository this many tags, all of one image.
pub async fn fill_tags(server: &Server, repository: &str, tags: u64) -> Result<()> {
    let image = SampleImage::random(&mut StdRng::seed_from_u64(13), 4096);
    push(&mut server.connect().await?, repository, "first", &image).await?;
    let name = |number: u64| format!("t{number:07}");
    if server.copy_tag(repository, "first", (0..tags).map(name))? {
        return Ok(());
    }
    let mut tasks = JoinSet::new();
    for client in (0..).take(FILLERS) {
        let mut wire = server.connect().await?;
        let (repository, manifest) = (repository.to_owned(), image.manifest.bytes.clone());
        tasks.spawn(async move {
            for number in (client..tags).step_by(FILLERS) {
                wire.push_manifest(&repository, &name(number), manifest.clone()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Pushes one large blob as one streamed request; the server's processor time.
pub async fn push_large(server: &Server) -> Result<(Measure, String)> {
    let large = large();
    let digest = large.digest();
    let mut wire = server.connect().await?;
    let (before, began) = (processor_time(server.pid())?, Instant::now());
    let place = wire.start_upload("bench/large").await?;
    let headers = [("content-type", "application/octet-stream")];
    let length = LARGE.to_string();
    let sized = [headers[0], ("content-length", length.as_str())];
    wire.send(Method::PUT, &finish(&place, &digest), &sized, large.body())
        .await?
        .expect(StatusCode::CREATED)?;
    let measure =
        Measure { operations: 1, processor: processor_time(server.pid())? - before, wall: began.elapsed() };
    Ok((measure, digest))
}

/// Pulls the large blob a few times and throws it away.
pub async fn pull_large(server: &Server, digest: &str) -> Result<Measure> {
    let path = format!("/v2/bench/large/blobs/{digest}");
    let mut wire = server.connect().await?;
    wire.get(&path).await?.expect(StatusCode::OK)?;
    let (before, began) = (processor_time(server.pid())?, Instant::now());
    for _ in 0..3 {
        wire.get(&path).await?.expect(StatusCode::OK)?;
    }
    Ok(Measure { operations: 3, processor: processor_time(server.pid())? - before, wall: began.elapsed() })
}

/// The most resident memory while this many clients stream large blobs at once.
pub async fn memory_under_uploads(server: &Server, clients: usize) -> Result<u64> {
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let mut wire = server.connect().await?;
        tasks.spawn(async move {
            let place = wire.start_upload(&format!("bench/upload-{client}")).await?;
            wire.send(Method::PATCH, &place, &[("content-type", "application/octet-stream")], large().body())
                .await?
                .expect(StatusCode::ACCEPTED)?;
            anyhow::Ok(())
        });
    }
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < RUN * 5 {
        // Uploads that are refused need no memory, and would look well here.
        while let Some(ended) = tasks.try_join_next() {
            ended??;
        }
        most = most.max(resident(server.pid())?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tasks.shutdown().await;
    Ok(most)
}

/// Processor time of hashing as much once, in this process, with the same library the server uses.
pub fn hash_once() -> Result<Duration> {
    let before = processor_time(std::process::id())?;
    std::hint::black_box(large().digest());
    processor_time(std::process::id())?.checked_sub(before).context("time went back")
}

async fn push(wire: &mut Wire, repository: &str, tag: &str, image: &SampleImage) -> Result<()> {
    for blob in [&image.layer, &image.config] {
        wire.push_blob(repository, &blob.digest, blob.bytes.clone()).await?;
    }
    wire.push_manifest(repository, tag, image.manifest.bytes.clone()).await
}

fn large() -> RepeatedBlob {
    RepeatedBlob::random(&mut StdRng::seed_from_u64(17), LARGE)
}
