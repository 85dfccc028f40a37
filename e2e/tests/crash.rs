//! Crashes of every kind while clients push: nothing acknowledged is lost, no wrong byte is served, and damage heals.
//!
//! The test names carry the row of `reliability-and-security.md` 6-D that they hold. `cargo xtask torture` runs the
//! rounds for long, with `PIERHEAD_TORTURE_ROUNDS` and `PIERHEAD_TORTURE_SEED`.

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use pierhead_e2e::crash::disk::{Cut, Disk};
use pierhead_e2e::crash::load::{Load, Uploads, resume_all};
use pierhead_e2e::crash::oracle::violations;
use pierhead_e2e::crash::server::CrashServer;
use pierhead_e2e::ledger::Ledger;
use pierhead_e2e::sample::{Blob, SampleImage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Rounds of each kind in the tests.
const ROUNDS: u64 = 40;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var_os(variable).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(default)
}

fn seed() -> u64 {
    let seed = number("PIERHEAD_TORTURE_SEED", rand::rng().random());
    // Shown when the test fails, and by `--nocapture`.
    println!("PIERHEAD_TORTURE_SEED={seed}");
    seed
}

async fn holds(server: &CrashServer, ledger: &Ledger, round: u64) -> Result<()> {
    let found = violations(server, ledger).await?;
    ensure!(found.is_empty(), "round {round}:\n{}\n{}", found.join("\n"), server.log_tail());
    Ok(())
}

/// D1, U3: killed at a random moment.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d1_nothing_acknowledged_is_lost_when_killed() -> Result<()> {
    let (folder, mut random) = (TempDir::new()?, StdRng::seed_from_u64(seed()));
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.owner_of(&["crash"])?;
    let (ledger, uploads) = (Arc::new(Ledger::default()), Uploads::default());
    for round in 0..number("PIERHEAD_TORTURE_ROUNDS", ROUNDS) {
        let load = Load::start(&server, &ledger, &uploads, random.random());
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        server.kill()?;
        load.stop().await;
        server.restart(&[]).await?;
        holds(&server, &ledger, round).await?;
        resume_all(&server, &uploads, false).await?;
    }
    ensure!(ledger.acknowledged() > 10, "too little was pushed for the rounds to mean anything");
    ensure!(server.stop()?.success(), "SIGTERM must end the server cleanly:\n{}", server.log_tail());
    Ok(())
}

/// D2: the disk loses power at a random moment, with and without its journal.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d2_nothing_acknowledged_is_lost_when_the_power_goes() -> Result<()> {
    let (folder, mut random) = (TempDir::new()?, StdRng::seed_from_u64(seed()));
    let mut disk = Disk::new(400)?;
    let mut server = CrashServer::start(&disk.path().join("data"), folder.path()).await?;
    server.owner_of(&["crash"])?;
    let (mut ledger, mut uploads) = (Arc::new(Ledger::default()), Uploads::default());
    let mut acknowledged = 0;
    for round in 0..number("PIERHEAD_TORTURE_ROUNDS", ROUNDS) {
        if round % 20 == 19 {
            // A fresh disk now and then, so that the rounds go on for as long as one likes.
            acknowledged += ledger.acknowledged();
            server.kill()?;
            disk = Disk::new(400)?;
            server = CrashServer::start(&disk.path().join("data"), folder.path()).await?;
            server.owner_of(&["crash"])?;
            (ledger, uploads) = (Arc::new(Ledger::default()), Uploads::default());
        }
        let load = Load::start(&server, &ledger, &uploads, random.random());
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        ledger.freeze();
        let frozen: Vec<_> = uploads.lock().expect("no writer panicked").clone();
        disk.cut(if random.random() { Cut::LoseJournal } else { Cut::KeepJournal })?;
        server.kill()?;
        load.stop().await;
        *uploads.lock().expect("no writer panicked") = frozen;
        disk.power_on()?;
        ledger.thaw();
        server.restart(&[]).await?;
        holds(&server, &ledger, round).await?;
        resume_all(&server, &uploads, true).await?;
    }
    acknowledged += ledger.acknowledged();
    server.kill()?;
    ensure!(acknowledged > 10, "too little was pushed for the rounds to mean anything");
    Ok(())
}

/// D3: data is synced before it is named, its folder before the metadata, the metadata before the answer.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d3_everything_is_synced_before_the_answer() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.owner_of(&["crash"])?;
    server.stop()?;
    let trace = folder.path().join("trace");
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg";
    let output = trace.to_str().context("the temporary folder's name is UTF-8")?;
    server.restart(&["strace", "-D", "-f", "-y", "-s", "24", "-e", calls, "-o", output]).await?;
    let image = SampleImage::random(&mut StdRng::seed_from_u64(3), 300_000);
    let mut wire = server.connect().await?;
    std::fs::write(&trace, "")?;
    wire.push_blob("crash/synced", &image.layer.digest, image.layer.bytes.clone()).await?;
    server.stop()?;
    let seen = events(&std::fs::read_to_string(&trace)?, server.data());
    let wanted = ["data synced", "renamed", "folder synced", "metadata synced", "201 sent"];
    let mut next = 0;
    for event in &seen {
        if next < wanted.len() && *event == wanted[next] {
            next += 1;
        }
    }
    ensure!(next == wanted.len(), "after {:?} there is no `{}` in {seen:?}", &wanted[..next], wanted[next]);
    Ok(())
}

/// What a trace shows of one push, in order: a call counts when it has returned, an answer when it begins.
fn events(trace: &str, data: &Path) -> Vec<&'static str> {
    let (blobs, uploads) =
        (data.join("blobs").display().to_string(), data.join("uploads").display().to_string());
    let mut begun = std::collections::BTreeMap::new();
    let mut seen = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.contains("\"HTTP/1.1 201") {
            seen.push("201 sent");
        }
        if call.contains("<unfinished ...>") {
            begun.insert(thread, call);
            continue;
        }
        let whole = if call.starts_with("<...") { begun.remove(thread).unwrap_or(call) } else { call };
        let synced = whole.starts_with("fsync") || whole.starts_with("fdatasync");
        if whole.starts_with("rename") && whole.contains("sha256") {
            seen.push("renamed");
        } else if synced && whole.contains(".part") {
            seen.push("data synced");
        } else if synced && whole.contains("-wal") {
            seen.push("metadata synced");
        } else if synced && (whole.contains(&blobs) || whole.contains(&uploads)) {
            seen.push("folder synced");
        }
    }
    seen
}

/// D5: a sync that fails is never acknowledged, whichever it is; the server ends, or refuses, and comes back clean.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d5_a_failed_sync_is_never_acknowledged() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.owner_of(&["crash"])?;
    server.stop()?;
    let ledger = Arc::new(Ledger::default());
    let mut failed = 0;
    for round in 0..number("PIERHEAD_TORTURE_ROUNDS", 12) {
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={}", 3 + round * 3);
        let null = ["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject];
        if server.restart(&[&["strace", "-D", "-f"][..], &null].concat()).await.is_ok() {
            failed += u32::from(push_some(&server, &ledger, round).await.is_err());
            if server.runs()? {
                server.kill()?;
            }
        }
        server.restart(&[]).await?;
        holds(&server, &ledger, round).await?;
        server.stop()?;
    }
    ensure!(failed > 3, "only {failed} rounds saw a failure");
    Ok(())
}

async fn push_some(server: &CrashServer, ledger: &Ledger, round: u64) -> Result<()> {
    let mut wire = server.connect().await?;
    for number in 0..6 {
        let image = SampleImage::random(&mut StdRng::seed_from_u64(round * 100 + number), 5000);
        for blob in [&image.layer, &image.config] {
            wire.push_blob("crash/eio", &blob.digest, blob.bytes.clone()).await?;
            ledger.blob("crash/eio", &blob.digest, &blob.bytes);
        }
        let attempt = ledger.tag_attempt("crash/eio", "latest", &image.manifest.digest);
        wire.push_manifest("crash/eio", "latest", image.manifest.bytes.clone()).await?;
        ledger.tag_acknowledged(&attempt, &image.manifest.bytes);
    }
    Ok(())
}

/// D7: a full disk refuses pushes, keeps serving, and takes pushes again once there is room, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d7_a_full_disk_loses_nothing() -> Result<()> {
    let folder = TempDir::new()?;
    let disk = Disk::new(64)?;
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20])?;
    let mut server = CrashServer::start(&disk.path().join("data"), folder.path()).await?;
    server.owner_of(&["crash"])?;
    let ledger = Ledger::default();
    let mut random = StdRng::seed_from_u64(5);
    let mut wire = server.connect().await?;
    let mut refused = 0;
    for number in 0..400 {
        let image = SampleImage::random(&mut random, 700_000);
        let pushed = async {
            for blob in [&image.layer, &image.config] {
                wire.push_blob("crash/full", &blob.digest, blob.bytes.clone()).await?;
                ledger.blob("crash/full", &blob.digest, &blob.bytes);
            }
            let attempt = ledger.tag_attempt("crash/full", &format!("v{number}"), &image.manifest.digest);
            wire.push_manifest("crash/full", &format!("v{number}"), image.manifest.bytes.clone()).await?;
            ledger.tag_acknowledged(&attempt, &image.manifest.bytes);
            anyhow::Ok(())
        };
        if pushed.await.is_err() {
            refused += 1;
            wire = server.connect().await?;
        }
        if refused == 5 {
            break;
        }
    }
    ensure!(refused == 5, "the disk never filled");
    ensure!(server.runs()?, "a full disk must not end the server:\n{}", server.log_tail());
    holds(&server, &ledger, 0).await?;
    std::fs::remove_file(&ballast)?;
    let image = SampleImage::random(&mut random, 100_000);
    wire.push_blob("crash/full", &image.layer.digest, image.layer.bytes.clone()).await?;
    holds(&server, &ledger, 1).await?;
    server.kill()?;
    Ok(())
}

/// D9, D10: a damaged blob is never served as if it were whole, and a push of it repairs it.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d9_a_damaged_blob_is_not_served_and_a_push_repairs_it() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.owner_of(&["crash"])?;
    let mut random = StdRng::seed_from_u64(9);
    type Damage = fn(&Path, &[u8]) -> std::io::Result<()>;
    let damages: [(&str, Damage); 4] = [
        ("truncated to nothing", |file, _| std::fs::write(file, "")),
        ("truncated", |file, bytes| std::fs::write(file, &bytes[..bytes.len() / 2])),
        ("one bit flipped", |file, bytes| {
            let mut bytes = bytes.to_vec();
            bytes[1000] ^= 1;
            std::fs::write(file, bytes)
        }),
        ("gone", |file, _| std::fs::remove_file(file)),
    ];
    for (what, damage) in damages {
        let blob = Blob::random(&mut random, 100_000);
        let path = format!("/v2/crash/damaged/blobs/{}", blob.digest);
        let mut wire = server.connect().await?;
        wire.push_blob("crash/damaged", &blob.digest, blob.bytes.clone()).await?;
        ensure!(wire.get(&path).await?.body == blob.bytes, "{what}: the blob before");
        damage(&file_of(&server.data().join("blobs"), &blob.digest)?, &blob.bytes)?;
        if let Ok(answer) = wire.get(&path).await {
            ensure!(answer.status != StatusCode::OK, "{what}: served 200 with {} bytes", answer.body.len());
        }
        let mut wire = server.connect().await?;
        wire.push_blob("crash/damaged", &blob.digest, blob.bytes.clone()).await?;
        let answer =
            wire.send(Method::GET, &path, &[], pierhead_e2e::wire::whole(bytes::Bytes::new())).await?;
        ensure!(answer.expect(StatusCode::OK)?.body == blob.bytes, "{what}: not repaired by a push");
    }
    ensure!(server.stop()?.success(), "{}", server.log_tail());
    Ok(())
}

/// The file of a blob, wherever below `folder` it is.
fn file_of(folder: &Path, digest: &str) -> Result<std::path::PathBuf> {
    let hex = digest.strip_prefix("sha256:").context("a sha256 digest")?;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(hex)) {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("there is no file for {digest}")
}
