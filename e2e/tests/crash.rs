//! Crashes of every kind while clients push: nothing acknowledged is lost, no wrong byte is served, and damage heals.
//!
//! The test names carry the row of `reliability-and-security.md` 6-D that they hold. `cargo xtask torture` runs the
//! rounds for long, with `PIERHEAD_TORTURE_ROUNDS` and `PIERHEAD_TORTURE_SEED`.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use pierhead_e2e::crash::disk::{Cut, Disk};
use pierhead_e2e::crash::fault::Fault;
use pierhead_e2e::crash::load::{Load, Uploads, resume_all};
use pierhead_e2e::crash::oracle::{histories, violations};
use pierhead_e2e::crash::server::{CrashServer, Ended, PROJECT};
use pierhead_e2e::crash::trace::{Event, Rules, STRACE, events};
use pierhead_e2e::ledger::Ledger;
use pierhead_e2e::sample::{Blob, SampleImage};
use pierhead_e2e::wire::{Wire, WrongStatus, finish, location, whole};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Rounds of each kind in the tests.
const ROUNDS: u64 = 40;
/// A server that has not ended by now, once it cannot write its metadata, goes on; an ordinary one takes milliseconds.
const SLOWEST_END: Duration = Duration::from_secs(20);
/// How many writes a round acknowledges before its crash.
const WRITES: std::ops::Range<usize> = 10..230;
/// So long no server takes for these, however busy the machine is.
const WRITES_END: Duration = Duration::from_secs(120);
/// How the process ends when it cannot write its metadata.
const STORE_FAILED: i32 = 70;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var_os(variable).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(default)
}

fn seed() -> u64 {
    let seed = number("PIERHEAD_TORTURE_SEED", rand::rng().random());
    // Shown when the test fails, and by `--nocapture`.
    println!("PIERHEAD_TORTURE_SEED={seed}");
    seed
}

/// The check of a round: what the last two rounds wrote, and everything every tenth.
#[derive(Default)]
struct Checks {
    rounds: u64,
    before: [u64; 2],
}

impl Checks {
    async fn hold(&mut self, server: &CrashServer, ledger: &Ledger) -> Result<()> {
        let now = ledger.tick();
        self.rounds += 1;
        let since = if self.rounds.is_multiple_of(10) { 0 } else { self.before[0] };
        holds_since(server, ledger, since).await.with_context(|| format!("round {}", self.rounds))?;
        self.before = [self.before[1], now];
        Ok(())
    }
}

async fn holds(server: &CrashServer, ledger: &Ledger) -> Result<()> {
    holds_since(server, ledger, 0).await
}

async fn holds_since(server: &CrashServer, ledger: &Ledger, since: u64) -> Result<()> {
    let found = violations(server, ledger, since).await?;
    ensure!(found.is_empty(), "{}\n{}", found.join("\n"), server.log_tail());
    Ok(())
}

/// I6, over everything that was pushed to a server.
async fn histories_hold(server: &CrashServer, ledger: &Ledger) -> Result<usize> {
    let (events, found) = histories(server, ledger, PROJECT).await?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    ensure!(events > 10, "only {events} events are in all histories");
    Ok(events)
}

/// Lets the writers go on for a random number of writes and a moment more, so that a round of a busy machine sees as many
/// as one of an idle machine.
async fn some_writes(ledger: &Ledger, random: &mut StdRng) -> Result<()> {
    let goal = ledger.acknowledged() + random.random_range(WRITES);
    let acknowledged = async {
        while ledger.acknowledged() < goal {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(WRITES_END, acknowledged).await.context("the writes are not acknowledged")?;
    tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
    Ok(())
}

fn nothing_refused(refusals: &[String]) -> Result<()> {
    ensure!(refusals.is_empty(), "refused while the server was whole:\n{}", refusals.join("\n"));
    Ok(())
}

/// D1, U3: killed at a random moment.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d1_nothing_acknowledged_is_lost_when_killed() -> Result<()> {
    let (folder, mut random) = (TempDir::new()?, StdRng::seed_from_u64(seed()));
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    let (ledger, uploads) = (Arc::new(Ledger::default()), Uploads::default());
    let (mut checks, mut slowest) = (Checks::default(), Duration::ZERO);
    let rounds = number("PIERHEAD_TORTURE_ROUNDS", ROUNDS);
    for round in 0..rounds {
        server.use_account(round).await?;
        let load = Load::start(&server, &ledger, &uploads, random.random());
        some_writes(&ledger, &mut random).await?;
        server.kill()?;
        nothing_refused(&load.stop().await)?;
        server.restart(&[]).await?;
        slowest = slowest.max(server.started_in);
        checks.hold(&server, &ledger).await?;
        resume_all(&server, &uploads, false).await?;
    }
    holds(&server, &ledger).await?;
    let events = histories_hold(&server, &ledger).await?;
    let acknowledged = ledger.acknowledged();
    println!(
        "{rounds} kills, {acknowledged} acknowledged writes, {events} events; slowest start {slowest:?}"
    );
    ensure!(server.stop()?.success(), "SIGTERM must end the server cleanly:\n{}", server.log_tail());
    Ok(())
}

/// D2: the disk loses power at a random moment, with and without its journal.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d2_nothing_acknowledged_is_lost_when_the_power_goes() -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed());
    let (rounds, mut acknowledged, mut events) = (number("PIERHEAD_TORTURE_ROUNDS", ROUNDS), 0, 0);
    let mut left = rounds;
    while left > 0 {
        // A fresh disk now and then, so that the rounds go on for as long as one likes.
        let these = left.min(20);
        left -= these;
        let (ledger, told) = cut_power(these, &mut random).await?;
        acknowledged += ledger.acknowledged();
        events += told;
    }
    println!("{rounds} cuts, {acknowledged} acknowledged writes, {events} events");
    Ok(())
}

/// Some rounds on one disk; gives what was acknowledged, and how many events the histories had.
async fn cut_power(rounds: u64, random: &mut StdRng) -> Result<(Arc<Ledger>, usize)> {
    let (folder, mut disk) = (TempDir::new()?, Disk::new(1000)?);
    let mut server = CrashServer::start(&disk.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    let (ledger, uploads) = (Arc::new(Ledger::default()), Uploads::default());
    let mut checks = Checks::default();
    for round in 0..rounds {
        server.use_account(round).await?;
        let load = Load::start(&server, &ledger, &uploads, random.random());
        some_writes(&ledger, random).await?;
        ledger.freeze();
        let frozen: Vec<_> = uploads.lock().expect("no writer panicked").clone();
        disk.cut(if random.random() { Cut::LoseJournal } else { Cut::KeepJournal })?;
        server.kill()?;
        nothing_refused(&load.stop().await)?;
        *uploads.lock().expect("no writer panicked") = frozen;
        disk.power_on()?;
        ledger.thaw();
        server.restart(&[]).await?;
        checks.hold(&server, &ledger).await?;
        resume_all(&server, &uploads, true).await?;
    }
    holds(&server, &ledger).await?;
    let events = histories_hold(&server, &ledger).await?;
    server.kill()?;
    Ok((ledger, events))
}

/// D3: data is synced before it is named, its folder before the metadata, the metadata before the answer; and a server
/// that left out any of these syncs would be found out.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d3_everything_is_synced_before_the_answer() -> Result<()> {
    let folder = TempDir::new()?;
    let (data, output) = (folder.path().join("data"), folder.path().join("trace"));
    let name = output.to_str().context("the temporary folder's name is UTF-8")?;
    let mut server =
        CrashServer::start_behind(&[&STRACE[..], &["-o", name]].concat(), &data, folder.path()).await?;
    server.make_project().await?;
    let mut wire = server.connect().await?;
    let random = &mut StdRng::seed_from_u64(3);
    for size in [100, 300_000, 2_000_000] {
        let image = SampleImage::random(random, size);
        for blob in [&image.layer, &image.config] {
            wire.push_blob("crash/synced", &blob.digest, blob.bytes.clone()).await?;
        }
        wire.push_manifest("crash/synced", "latest", image.manifest.bytes.clone()).await?;
    }
    server.stop()?;
    let all = events(&std::fs::read_to_string(&output)?, &data);
    let from = all.iter().position(|(_, event)| *event == Event::Put).context("a PUT in the trace")?;
    let mut before = all[from].0;
    let mut rules = Rules::new(&data);
    let held = |held: Result<(), String>| held.map_err(|found| anyhow::anyhow!(found));
    held(rules.hold(&all[..from])).context("from the first start on")?;
    let (mut requests, mut caught) = (0, 0);
    for request in all[from..].split_inclusive(|(_, event)| *event == Event::Created) {
        let after = {
            let mut rules = rules.clone();
            held(rules.hold(request))?;
            rules
        };
        let Some((last, Event::Created)) = request.last() else { break };
        ensure!(*last > before, "the answers are in order");
        (before, requests) = (*last, requests + 1);
        let begun =
            request.iter().rposition(|(_, event)| *event == Event::Put).context("a PUT before its 201")?;
        let synced: BTreeSet<&PathBuf> =
            request[begun..].iter().filter_map(|(_, event)| synced_path(event)).collect();
        // The log may be moved into the database beside a request, which syncs that too, and the first time the folder.
        let beside = |path: &&PathBuf| path.ends_with("metadata") || path.ends_with("metadata/metadata.db");
        for path in synced.into_iter().filter(|path| !beside(path)) {
            let without: Vec<_> =
                request.iter().filter(|(_, event)| synced_path(event) != Some(path)).cloned().collect();
            ensure!(
                rules.clone().hold(&without).is_err(),
                "nobody would miss the sync of {}",
                path.display()
            );
            caught += 1;
        }
        rules = after;
    }
    // Three manifests, three configurations and one layer are rows: one sync each. Two layers are files: three each.
    ensure!((requests, caught) == (9, 13), "{requests} requests, {caught} syncs");
    Ok(())
}

fn synced_path(event: &Event) -> Option<&PathBuf> {
    match event {
        Event::Synced(path, _) => Some(path),
        _ => None,
    }
}

/// D5: a sync that fails is never acknowledged, whichever it is; the server ends, or refuses, and comes back clean.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d5_a_failed_sync_is_never_acknowledged() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    server.stop()?;
    let ledger = Arc::new(Ledger::default());
    let (mut failed, mut ended) = (0, 0);
    for round in 0..number("PIERHEAD_TORTURE_ROUNDS", 24) {
        // Each thread counts by itself: the writer of the metadata, those that name blobs, and the one that starts.
        let sticky = if round % 2 == 0 { "" } else { "+" };
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={}{sticky}", 1 + round / 2);
        let faulty =
            ["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"];
        match server.restart(&[&faulty[..], &[&inject]].concat()).await {
            Ok(()) => {
                failed += u32::from(push_some(&server, &ledger, round).await.is_err());
                // Only a row is written now. If that fails the metadata did, and the server must end.
                if push_small(&server).await.is_ok() {
                    server.kill()?;
                } else {
                    ended += 1;
                    let status = tokio::time::timeout(SLOWEST_END, server.ended()).await??;
                    ensure!(status.code() == Some(STORE_FAILED), "{inject}: ended with {status}");
                }
            }
            Err(error) => {
                let status = error.downcast_ref::<Ended>().context("it neither started nor ended")?.0;
                ensure!(status.code().is_some_and(|code| code != 0), "{inject}: ended with {status}");
                failed += 1;
            }
        }
        server.restart(&[]).await?;
        holds(&server, &ledger).await.context(inject)?;
        ensure!(server.stop()?.success(), "{}", server.log_tail());
    }
    println!("{failed} rounds saw a failure, {ended} ended the server, {} writes", ledger.acknowledged());
    ensure!(failed > 10 && ended > 3, "{failed} rounds saw a failure, {ended} ended the server");
    Ok(())
}

async fn push_some(server: &CrashServer, ledger: &Ledger, round: u64) -> Result<()> {
    let mut wire = server.connect().await?;
    for number in 0..6 {
        let image = SampleImage::random(&mut StdRng::seed_from_u64(round * 100 + number), 50_000);
        push_image(&mut wire, ledger, "crash/eio", "latest", &image).await?;
    }
    Ok(())
}

async fn push_small(server: &CrashServer) -> Result<()> {
    let blob = Blob::new("small");
    server.connect().await?.push_blob("crash/eio", &blob.digest, blob.bytes).await
}

async fn push_image(
    wire: &mut Wire,
    ledger: &Ledger,
    repository: &str,
    tag: &str,
    image: &SampleImage,
) -> Result<()> {
    for blob in [&image.layer, &image.config] {
        wire.push_blob(repository, &blob.digest, blob.bytes.clone()).await?;
        ledger.blob(repository, &blob.digest, &blob.bytes);
    }
    let attempt = ledger.tag_attempt(repository, tag, Some(&image.manifest.digest));
    wire.push_manifest(repository, tag, image.manifest.bytes.clone()).await?;
    ledger.tag_acknowledged(&attempt, Some(&image.manifest.bytes));
    Ok(())
}

/// D5: which sync fails decides what follows. Metadata: the process ends at once with 70. A blob's bytes or name: the
/// push is refused, everything else goes on, and the same push works when the disk does.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d5_what_fails_decides_who_ends() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    let (ledger, mut random) = (Ledger::default(), StdRng::seed_from_u64(11));
    let blobs = server.data().join("blobs");
    let mut wire = server.connect().await?;
    push_image(&mut wire, &ledger, "crash/sound", "latest", &SampleImage::random(&mut random, 50_000))
        .await?;
    for what in ["the bytes", "the name"] {
        let blob = Blob::random(&mut random, 200_000);
        let headers = [("content-type", "application/octet-stream")];
        let place = wire.start_upload("crash/fails").await?;
        let (first, rest) = (blob.bytes.slice(..100_000), blob.bytes.slice(100_000..));
        let begun = wire.send(Method::PATCH, &place, &headers, whole(first)).await?;
        let place = location(begun.expect(StatusCode::ACCEPTED)?)?;
        let path = if what == "the bytes" {
            only_file_in(&blobs.join("uploads"))?
        } else {
            let hex = blob.digest.strip_prefix("sha256:").context("a sha256 digest")?;
            blobs.join("blobs/sha256").join(hex.get(..2).context("a digest is longer")?)
        };
        let fault = Fault::syncs_of(&path, server.pid()).await?;
        let end = finish(&place, &blob.digest);
        let answer = wire.send(Method::PUT, &end, &headers, whole(rest)).await?;
        ensure!(answer.status.is_server_error(), "{what}: answered {}", answer.status);
        drop(fault);
        let stored = wire.get(&format!("/v2/crash/fails/blobs/{}", blob.digest)).await?;
        ensure!(stored.status == StatusCode::NOT_FOUND, "{what}: a GET answers {}", stored.status);
        wire.push_blob("crash/fails", &blob.digest, blob.bytes.clone()).await.context(what)?;
        ledger.blob("crash/fails", &blob.digest, &blob.bytes);
    }
    holds(&server, &ledger).await?;
    let fault = Fault::syncs_of(&server.data().join("metadata/metadata.db-wal"), server.pid()).await?;
    let image = SampleImage::random(&mut random, 100);
    let pushed = push_image(&mut wire, &ledger, "crash/fails", "latest", &image).await;
    ensure!(pushed.is_err(), "acknowledged although the metadata could not be synced");
    let status = tokio::time::timeout(SLOWEST_END, server.ended()).await??;
    ensure!(status.code() == Some(STORE_FAILED), "ended with {status}");
    drop(fault);
    server.restart(&[]).await?;
    holds(&server, &ledger).await?;
    ensure!(server.stop()?.success(), "{}", server.log_tail());
    Ok(())
}

fn only_file_in(folder: &Path) -> Result<PathBuf> {
    let files: Vec<_> = std::fs::read_dir(folder)?.collect::<std::io::Result<_>>()?;
    ensure!(files.len() == 1, "there are {} files in {}", files.len(), folder.display());
    Ok(files[0].path())
}

/// D7: a full disk refuses pushes by saying so, keeps serving and deleting, and takes pushes again once there is room,
/// without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d7_a_full_disk_loses_nothing() -> Result<()> {
    let (folder, disk) = (TempDir::new()?, Disk::new(64)?);
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20])?;
    let mut server = CrashServer::start(&disk.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    let (ledger, mut random) = (Ledger::default(), StdRng::seed_from_u64(5));
    let mut pushed = 0;
    fill(&server, &ledger, &mut random, &mut pushed).await?;
    holds(&server, &ledger).await?;
    let mut wire = server.connect().await?;
    for number in 0..pushed {
        let (tag, path) = (format!("v{number}"), format!("/v2/crash/full/manifests/v{number}"));
        let attempt = ledger.tag_attempt("crash/full", &tag, None);
        wire.delete(&path).await?.expect(StatusCode::ACCEPTED).context("deleting on a full disk")?;
        ledger.tag_acknowledged(&attempt, None);
    }
    holds(&server, &ledger).await?;

    // Somebody else takes what is left, to the last byte.
    let filler = disk.path().join("filler");
    let mut file = std::fs::File::create(&filler)?;
    for size in [1 << 20, 4096, 1] {
        while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
    }
    let mut wire = server.connect().await?;
    for number in 0..60 {
        let image = SampleImage::random(&mut random, 1_000);
        if let Err(error) = push_image(&mut wire, &ledger, "crash/full", &format!("w{number}"), &image).await
        {
            full(&error)?;
            wire = server.connect().await?;
        }
    }
    let image = SampleImage::random(&mut random, 100_000);
    let refused = push_image(&mut wire, &ledger, "crash/full", "last", &image).await;
    full(&refused.err().context("there is no room left")?)?;
    ensure!(server.runs()?, "a full disk must not end the server:\n{}", server.log_tail());
    holds(&server, &ledger).await?;

    drop(file);
    std::fs::remove_file(&filler)?;
    std::fs::remove_file(&ballast)?;
    let mut wire = server.connect().await?;
    for (tag, size) in [("small", 1_000), ("large", 1_000_000)] {
        let image = SampleImage::random(&mut random, size);
        let pushed = push_image(&mut wire, &ledger, "crash/full", tag, &image).await;
        pushed.with_context(|| format!("{tag}, after there is room again"))?;
    }
    holds(&server, &ledger).await?;
    server.kill()?;
    server.restart(&[]).await?;
    holds(&server, &ledger).await?;
    Ok(())
}

/// Pushes until five pushes were refused because the disk is full.
async fn fill(server: &CrashServer, ledger: &Ledger, random: &mut StdRng, pushed: &mut u32) -> Result<()> {
    let mut wire = server.connect().await?;
    let mut refused = 0;
    for _ in 0..400 {
        let image = SampleImage::random(random, 700_000);
        match push_image(&mut wire, ledger, "crash/full", &format!("v{pushed}"), &image).await {
            Ok(()) => *pushed += 1,
            Err(error) => {
                full(&error)?;
                refused += 1;
                wire = server.connect().await?;
            }
        }
        if refused == 5 {
            return Ok(());
        }
    }
    anyhow::bail!("the disk never filled")
}

/// The refusal says in the protocol's own form that there is no room.
fn full(error: &anyhow::Error) -> Result<()> {
    let answer = error.downcast_ref::<WrongStatus>().with_context(|| format!("no answer: {error:#}"))?;
    let body: serde_json::Value = serde_json::from_str(&answer.body)?;
    ensure!(answer.status == StatusCode::INSUFFICIENT_STORAGE, "a full disk is {answer}");
    ensure!(body["errors"][0]["code"] == "DENIED", "a full disk is {answer}");
    Ok(())
}

type Damage = fn(&Path, &[u8]) -> std::io::Result<()>;

const DAMAGES: [(&str, Damage); 4] = [
    ("truncated to nothing", |file, _| std::fs::write(file, "")),
    ("truncated", |file, bytes| std::fs::write(file, &bytes[..bytes.len() / 2])),
    ("one bit flipped", |file, bytes| flip(file, bytes.len() as u64 / 3)),
    ("gone", |file, _| std::fs::remove_file(file)),
];

/// Flips a bit of a byte in place, as a disk would, but for the times of the file.
fn flip(file: &Path, at: u64) -> std::io::Result<()> {
    let file = std::fs::File::options().read(true).write(true).open(file)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1], at)
}

/// D9: a damaged blob is never served as if it were whole, and one push of it repairs it.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d9_a_damaged_blob_is_not_served_and_a_push_repairs_it() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    let mut random = StdRng::seed_from_u64(9);
    let variants = DAMAGES.into_iter().flat_map(|damage| [(damage, false), (damage, true)]);
    for ((what, damage), found_first) in variants {
        let blob = Blob::random(&mut random, 100_000);
        let path = format!("/v2/crash/damaged/blobs/{}", blob.digest);
        let mut wire = server.connect().await?;
        wire.push_blob("crash/damaged", &blob.digest, blob.bytes.clone()).await?;
        ensure!(wire.get(&path).await?.body == blob.bytes, "{what}: the blob before");
        damage(&file_of(&server.data().join("blobs"), &blob.digest)?, &blob.bytes)?;
        if found_first && let Ok(answer) = wire.get(&path).await {
            ensure!(answer.status != StatusCode::OK, "{what}: served 200 with {} bytes", answer.body.len());
        }
        let mut wire = server.connect().await?;
        wire.push_blob("crash/damaged", &blob.digest, blob.bytes.clone()).await?;
        let answer = wire.get(&path).await?.expect(StatusCode::OK);
        ensure!(answer.context(what)?.body == blob.bytes, "{what}: not repaired by a push");
    }
    ensure!(server.panics().is_empty(), "{:?}", server.panics());
    ensure!(server.stop()?.success(), "{}", server.log_tail());
    Ok(())
}

/// D10: a flipped bit never leaves as part of a clean answer, whole or ranged, whether the blob was checked before it
/// was damaged or never since the start.
#[tokio::test(flavor = "multi_thread")]
async fn crash_d10_no_clean_answer_has_wrong_bytes() -> Result<()> {
    let folder = TempDir::new()?;
    let mut server = CrashServer::start(&folder.path().join("data"), folder.path()).await?;
    server.make_project().await?;
    let mut random = StdRng::seed_from_u64(seed());
    const SIZE: u64 = 1_500_000;
    let mut cases = Vec::new();
    let mut wire = server.connect().await?;
    // All of them lie on the disk at once.
    let rounds = number("PIERHEAD_TORTURE_ROUNDS", 8).min(100);
    for number in 0..8 * rounds {
        let blob = Blob::random(&mut random, usize::try_from(SIZE)?);
        wire.push_blob("crash/flipped", &blob.digest, blob.bytes.clone()).await?;
        cases.push((number, blob));
    }
    server.stop()?;
    server.restart(&[]).await?;
    let mut clean = 0;
    for (number, blob) in cases {
        let path = format!("/v2/crash/flipped/blobs/{}", blob.digest);
        let mut wire = server.connect().await?;
        if number % 2 == 0 {
            wire.get(&path).await?.expect(StatusCode::OK)?;
        }
        let at = random.random_range(0..SIZE);
        flip(&file_of(&server.data().join("blobs"), &blob.digest)?, at)?;
        let (start, end) = match number / 2 % 4 {
            0 => (0, SIZE),
            1 => (at, at + 1),
            2 => (at.saturating_sub(1000), (at + 300_000).min(SIZE)),
            // Beside the damage.
            _ => {
                if at > SIZE / 2 {
                    (0, SIZE / 4)
                } else {
                    (SIZE * 3 / 4, SIZE)
                }
            }
        };
        let range = format!("bytes={start}-{}", end - 1);
        let headers = if number / 2 % 4 == 0 { vec![] } else { vec![("range", range.as_str())] };
        if let Ok(answer) = wire.send(Method::GET, &path, &headers, whole(Bytes::new())).await
            && answer.status.is_success()
        {
            let right = blob.bytes.slice(usize::try_from(start)?..usize::try_from(end)?);
            ensure!(
                answer.body == right,
                "{}: bytes {start}-{end} are wrong, damaged at {at}",
                answer.status
            );
            clean += 1;
        }
        // It is known by now, so that nobody else gets it either.
        let again = server.connect().await?.get(&path).await;
        ensure!(!again.is_ok_and(|answer| answer.status.is_success()), "served after it was found damaged");
    }
    println!("{} damaged blobs asked for, {clean} sound ranges of them served", 8 * rounds);
    ensure!(server.panics().is_empty(), "{:?}", server.panics());
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
