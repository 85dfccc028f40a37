//! Watchers while others write and the server is killed: no event is lost, repeated or out of order.
//!
//! The rows W1, W2 and W5 of `reliability-and-security.md` 6-W. What a watch must keep is in `pierhead_e2e::watch`; here
//! is who writes, who watches, and when the server dies. `PIERHEAD_WATCH_EVENTS` says how many changes there are to be;
//! `cargo xtask torture` asks for many more.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use pierhead_e2e::watch::{Filter, History, Kind, Put, Seen, Stream, violations};
use pierhead_testkit::Site;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cast::{Caller, api_door, login};
use crate::door::{Ask, Door};

const MAPS: &str = "/api/v1/namespaces/watched/configmaps";
/// Changes of the ordinary test run; the watchers are told of more than 20 000 events.
const EVENTS: u64 = 5_000;
/// Changes between two deaths of the server.
const BETWEEN_DEATHS: u64 = 1_500;
const WRITERS: usize = 32;
const KEYS_PER_WRITER: usize = 8;
/// How long watchers may take to see the last write.
const CATCH_UP: Duration = Duration::from_secs(120);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var_os(variable).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(default)
}

/// What all tasks of the story share.
struct Stage {
    door: Door,
    who: Caller,
    /// The number of the next write.
    next: AtomicU64,
    attempted: Mutex<HashSet<u64>>,
    puts: Mutex<Vec<(String, u64, Put)>>,
    deletes: Mutex<Vec<(String, u64)>>,
    streams: Mutex<Vec<Stream>>,
    acknowledged: AtomicU64,
    writers_done: AtomicBool,
    /// The revision watchers must reach before they may stop.
    last: AtomicU64,
    expired: AtomicUsize,
    resumed: AtomicUsize,
}

/// W1, W2: etcd's guarantees of a watch, over many events, through deaths of the server.
#[tokio::test(flavor = "multi_thread")]
async fn watch_w1_nothing_is_lost_repeated_or_out_of_order() -> Result<()> {
    let events = number("PIERHEAD_WATCH_EVENTS", EVENTS);
    let seed = number("PIERHEAD_TORTURE_SEED", rand::rng().random());
    println!("PIERHEAD_TORTURE_SEED={seed}");
    let mut site = Site::start().await?;
    let stage = Arc::new(stage(&site).await?);
    let start = revision(&stage).await?;
    let began = Instant::now();
    let mut watchers = JoinSet::new();
    for watcher in cast_of_watchers() {
        watchers.spawn(watcher.run(Arc::clone(&stage), start, seed));
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&stage), writer, events, seed));
    }
    let mut deaths = 0;
    while let Some(ended) = next_death_or_end(&stage, &mut writers, (deaths + 1) * BETWEEN_DEATHS).await {
        if ended {
            continue;
        }
        site.kill_and_start_again().await?;
        deaths += 1;
    }
    let took = began.elapsed();
    stage.last.store(revision(&stage).await?, Ordering::SeqCst);
    stage.writers_done.store(true, Ordering::SeqCst);
    let caught_up = tokio::time::timeout(CATCH_UP, async {
        while let Some(watcher) = watchers.join_next().await {
            watcher.context("a watcher panicked")??;
        }
        anyhow::Ok(())
    });
    caught_up.await.context("the watchers did not see the end of it")??;
    let streams = stage.streams.lock();
    let (history, mut found) =
        History::new(&stage.puts.lock(), &stage.deletes.lock(), &stage.attempted.lock(), &streams);
    found.extend(violations(&history, &streams));
    let seen: usize = streams.iter().map(|stream| stream.seen.len()).sum();
    let (resumed, expired) = (stage.resumed.load(Ordering::Relaxed), stage.expired.load(Ordering::Relaxed));
    println!(
        "{} changes in {took:?} ({deaths} deaths), {seen} events to {} watchers over {} connections, {resumed} went on, {expired} were told 410",
        history.len(),
        cast_of_watchers().len(),
        streams.len(),
    );
    ensure!(found.is_empty(), "{} violations:\n{}", found.len(), found[..found.len().min(20)].join("\n"));
    ensure!(history.len() as u64 >= events, "{} changes are fewer than {events}", history.len());
    ensure!(deaths == 0 || resumed as u64 >= deaths, "{resumed} watches went on after {deaths} deaths");
    ensure!(expired == 0 || events > EVENTS, "W2: {expired} watches had to begin anew");
    drop(streams);
    site.stop()
}

async fn stage(site: &Site) -> Result<Stage> {
    let door = api_door(site)?;
    let who = login(&door, "ann").await?;
    let project = json!({"kind": "ProjectRequest", "metadata": {"name": "watched"}});
    let ask = Ask::post("/apis/project.openshift.io/v1/projectrequests", &project).by(&who);
    door.send(ask).await?.expect(StatusCode::CREATED)?;
    Ok(Stage {
        door: api_door(site)?,
        who,
        next: AtomicU64::new(1),
        attempted: Mutex::default(),
        puts: Mutex::default(),
        deletes: Mutex::default(),
        streams: Mutex::default(),
        acknowledged: AtomicU64::new(0),
        writers_done: AtomicBool::new(false),
        last: AtomicU64::new(0),
        expired: AtomicUsize::new(0),
        resumed: AtomicUsize::new(0),
    })
}

/// The revision of a list that shows what is written now.
async fn revision(stage: &Stage) -> Result<u64> {
    let ask = Ask::get(format!("{MAPS}?labelSelector=story=w1,!side&limit=1")).by(&stage.who);
    let answer = stage.door.fresh().send(ask).await?.expect(StatusCode::OK)?;
    let list: Value = serde_json::from_slice(&answer.body)?;
    revision_of(&list)
}

/// False: it is time for the server to die. True: a writer has done its part. `None`: all have.
async fn next_death_or_end(stage: &Stage, writers: &mut JoinSet<Result<()>>, at: u64) -> Option<bool> {
    loop {
        tokio::select! {
            ended = writers.join_next() => {
                return ended.map(|ended| {
                    ended.expect("no writer panics").expect("writers go on until they have written");
                    true
                });
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                if stage.acknowledged.load(Ordering::Relaxed) >= at {
                    return Some(false);
                }
            }
        }
    }
}

fn map(key: &str, put: &Put) -> Value {
    json!({
        "metadata": {"name": key, "labels": {"story": "w1", "side": put.side}},
        "data": {"number": put.number.to_string()},
    })
}

fn revision_of(object: &Value) -> Result<u64> {
    let text =
        object["metadata"]["resourceVersion"].as_str().with_context(|| format!("no version: {object}"))?;
    Ok(text.parse()?)
}

fn put_of(object: &Value) -> Option<Put> {
    let number = object["data"]["number"].as_str()?.parse().ok()?;
    Some(Put { number, side: object["metadata"]["labels"]["side"].as_str()?.to_owned() })
}

/// Writes objects of its own until there are enough events: makes, changes and deletes them, in every form.
async fn write(stage: Arc<Stage>, writer: usize, events: u64, seed: u64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(writer as u64));
    let mut door = stage.door.fresh();
    let mut state: Vec<Option<Put>> = vec![None; KEYS_PER_WRITER];
    // Who is not answered does not know whether it was written.
    let mut doubtful = None;
    while stage.acknowledged.load(Ordering::Relaxed) < events {
        let slot = doubtful.unwrap_or_else(|| random.random_range(0..KEYS_PER_WRITER));
        let key = format!("w{writer}-{slot}");
        if doubtful.is_some() {
            match look(&door, &stage, &key).await {
                Ok(found) => {
                    state[slot] = found;
                    doubtful = None;
                }
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    door = stage.door.fresh();
                }
            }
            continue;
        }
        if act(&stage, &door, &key, &mut state[slot], &mut random).await.is_err() {
            doubtful = Some(slot);
        } else {
            stage.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

async fn look(door: &Door, stage: &Stage, key: &str) -> Result<Option<Put>> {
    let answer = door.send(Ask::get(format!("{MAPS}/{key}")).by(&stage.who)).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let object: Value = serde_json::from_slice(&answer.expect(StatusCode::OK)?.body)?;
    Ok(put_of(&object))
}

/// One write; an error if it was not acknowledged.
async fn act(
    stage: &Stage,
    door: &Door,
    key: &str,
    state: &mut Option<Put>,
    random: &mut StdRng,
) -> Result<()> {
    let path = format!("{MAPS}/{key}");
    if let Some(last) = state.clone()
        && random.random_bool(0.15)
    {
        door.send(Ask::new(Method::DELETE, &path).by(&stage.who)).await?.expect(StatusCode::OK)?;
        stage.deletes.lock().push((key.to_owned(), last.number));
        *state = None;
        return Ok(());
    }
    let side = if random.random() { "left" } else { "right" };
    let put = Put { number: stage.next.fetch_add(1, Ordering::Relaxed), side: side.to_owned() };
    stage.attempted.lock().insert(put.number);
    let object = map(key, &put);
    let (ask, code) = match (&state, random.random_range(0..3)) {
        (None, _) => (Ask::post(MAPS, &object), StatusCode::CREATED),
        (Some(_), 0) => (Ask::new(Method::PUT, &path).json(&object), StatusCode::OK),
        (Some(_), 1) => {
            let patch = json!([
                {"op": "replace", "path": "/data/number", "value": put.number.to_string()},
                {"op": "replace", "path": "/metadata/labels/side", "value": side},
            ]);
            let body = patch.to_string();
            (Ask::new(Method::PATCH, &path).body("application/json-patch+json", body), StatusCode::OK)
        }
        (Some(_), _) => {
            let body = object.to_string();
            (Ask::new(Method::PATCH, &path).body("application/merge-patch+json", body), StatusCode::OK)
        }
    };
    let answer = door.send(ask.by(&stage.who)).await?.expect(code)?;
    let written: Value = serde_json::from_slice(&answer.body)?;
    stage.puts.lock().push((key.to_owned(), revision_of(&written)?, put.clone()));
    *state = Some(put);
    Ok(())
}

/// How a watcher goes about it.
#[derive(Clone, Debug)]
struct Watcher {
    name: &'static str,
    filter: Filter,
    /// Whether it asks for the initial events each time it begins.
    initial: bool,
    /// How long it looks away, now and then.
    slow: Duration,
    /// Events after which it hangs up by itself.
    hangs_up_after: Option<usize>,
    /// Seconds after which it asks the server to end the watch.
    life: u64,
}

fn cast_of_watchers() -> Vec<Watcher> {
    let plain = Watcher {
        name: "plain",
        filter: Filter::Everything,
        initial: false,
        slow: Duration::ZERO,
        hangs_up_after: None,
        life: 20,
    };
    let side = |name, side: &str| Watcher { name, filter: Filter::Side(side.to_owned()), ..plain.clone() };
    vec![
        plain.clone(),
        side("left", "left"),
        Watcher { life: 2, ..side("right, for short", "right") },
        Watcher { name: "one object", filter: Filter::Key("w3-3".to_owned()), life: 5, ..plain.clone() },
        Watcher { name: "slow", slow: Duration::from_millis(300), ..plain.clone() },
        Watcher { name: "restless", hangs_up_after: Some(333), ..plain.clone() },
        Watcher { name: "beginner", initial: true, hangs_up_after: Some(2_000), ..plain },
    ]
}

impl Watcher {
    /// Watches until the last write was seen, over as many connections as it takes.
    async fn run(self, stage: Arc<Stage>, start: u64, seed: u64) -> Result<()> {
        let mut random = StdRng::seed_from_u64(seed ^ self.name.len() as u64);
        let mut from = Some(start).filter(|_| !self.initial);
        let mut is_first = true;
        loop {
            let mut stream =
                Stream { name: self.name.to_owned(), filter: self.filter.clone(), from, seen: Vec::new() };
            let outcome = self.watch(&stage, &mut stream, &mut random).await;
            let reached = stream.reached();
            let went_on = from.is_some() && !stream.seen.is_empty() && !is_first;
            stage.streams.lock().push(stream);
            match outcome {
                Ok(Ended::Done) => return Ok(()),
                Ok(Ended::Expired) => {
                    stage.expired.fetch_add(1, Ordering::Relaxed);
                    from = None;
                }
                Ok(Ended::Cut) => {
                    // Without the end of the initial events nothing is known for sure.
                    from = if self.initial { None } else { reached };
                    if went_on {
                        stage.resumed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // The server is down.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    from = if self.initial { None } else { reached };
                }
            }
            is_first = false;
        }
    }

    fn path(&self, from: Option<u64>) -> String {
        let mut path = format!("{MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}", self.life);
        match &self.filter {
            Filter::Everything => path.push_str("&labelSelector=story%3Dw1"),
            Filter::Side(side) => path.push_str(&format!("&labelSelector=side%3D{side}")),
            Filter::Key(key) => path.push_str(&format!("&fieldSelector=metadata.name%3D{key}")),
        }
        match from {
            Some(from) => path.push_str(&format!("&resourceVersion={from}")),
            None => path.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        }
        path
    }

    async fn watch(&self, stage: &Stage, stream: &mut Stream, random: &mut StdRng) -> Result<Ended> {
        let mut following =
            stage.door.fresh().follow(Ask::get(self.path(stream.from)).by(&stage.who)).await?;
        if following.status() == StatusCode::GONE {
            return Ok(Ended::Expired);
        }
        ensure!(following.status() == StatusCode::OK, "a watch is answered {}", following.status());
        let mut rest = Vec::new();
        loop {
            // Nothing comes for long where nothing is written, and a dead server's connection ends.
            let piece = tokio::time::timeout(Duration::from_secs(1), following.next()).await;
            if let Ok(piece) = piece {
                let Some(bytes) = piece? else { return Ok(self.end(stage, stream)) };
                rest.extend_from_slice(&bytes);
            }
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                match read(&serde_json::from_slice(&line)?)? {
                    Some(seen) => stream.seen.push(seen),
                    None => return Ok(Ended::Expired),
                }
            }
            if matches!(self.end(stage, stream), Ended::Done) {
                return Ok(Ended::Done);
            }
            if self.hangs_up_after.is_some_and(|most| stream.seen.len() >= most) {
                return Ok(Ended::Cut);
            }
            // It is the writers it falls behind of; once they are done it catches up.
            let is_over = stage.writers_done.load(Ordering::SeqCst);
            if !self.slow.is_zero() && !is_over && random.random_bool(0.05) {
                tokio::time::sleep(self.slow).await;
            }
        }
    }

    /// Whether the watcher has seen the end. One with a filter may not see the last write, and stops once the server had
    /// nothing for it for a while: a last watch from there on shows that nothing was left.
    fn end(&self, stage: &Stage, stream: &Stream) -> Ended {
        let last = stage.last.load(Ordering::SeqCst);
        let is_over = stage.writers_done.load(Ordering::SeqCst);
        let reached = stream.reached().unwrap_or_default();
        if is_over && (reached >= last || stream.from.is_some_and(|from| from >= last)) {
            return Ended::Done;
        }
        Ended::Cut
    }
}

enum Ended {
    /// Everything was seen.
    Done,
    /// The connection ended.
    Cut,
    /// The history does not reach back so far.
    Expired,
}

/// One line of a watch; `None` when it says that the history does not reach back so far.
fn read(line: &Value) -> Result<Option<Seen>> {
    let object = &line["object"];
    let kind = match line["type"].as_str().unwrap_or_default() {
        "ADDED" => Kind::Added,
        "MODIFIED" => Kind::Modified,
        "DELETED" => Kind::Deleted,
        "BOOKMARK" => {
            let mark = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
            return Ok(Some(Seen::Bookmark {
                revision: revision_of(object)?,
                ends_initial: *mark == "true",
            }));
        }
        "ERROR" if object["code"] == 410 => return Ok(None),
        other => bail!("a watch says {other:?}: {object}"),
    };
    let key = object["metadata"]["name"].as_str().context("no name")?.to_owned();
    let put = put_of(object).with_context(|| format!("no state: {object}"))?;
    Ok(Some(Seen::Event { kind, key, revision: revision_of(object)?, put }))
}

/// W5: watchers that never read cost a connection each, and nobody else anything.
#[tokio::test(flavor = "multi_thread")]
async fn watch_w5_a_thousand_who_never_read_hinder_nobody() -> Result<()> {
    const WATCHERS: usize = 1_000;
    const WRITES: u64 = 200;
    let site = Site::start().await?;
    let stage = stage(&site).await?;
    let mut idle = Vec::with_capacity(WATCHERS);
    for _ in 0..WATCHERS {
        let ask = Ask::get(format!("{MAPS}?watch=true")).by(&stage.who);
        let following = stage.door.fresh().follow(ask).await?;
        ensure!(following.status() == StatusCode::OK, "a watch is answered {}", following.status());
        idle.push(following);
    }
    let door = stage.door.fresh();
    let padding = "x".repeat(20_000);
    let mut waits = Vec::new();
    for number in 0..WRITES {
        let put = Put { number, side: "left".to_owned() };
        let mut object = map("loud", &put);
        object["data"]["padding"] = padding.as_str().into();
        let (ask, code) = match number {
            0 => (Ask::post(MAPS, &object), StatusCode::CREATED),
            _ => (Ask::new(Method::PUT, format!("{MAPS}/loud")).json(&object), StatusCode::OK),
        };
        let began = Instant::now();
        door.send(ask.by(&stage.who)).await?.expect(code)?;
        waits.push(began.elapsed());
    }
    waits.sort();
    let p99 = waits[waits.len() * 99 / 100];
    println!(
        "{WATCHERS} watchers that never read: half of the writes within {:?}, 99% within {p99:?}",
        waits[waits.len() / 2]
    );
    // Generous: the machine of a test run does other things as well.
    ensure!(p99 < Duration::from_secs(2), "99% of the writes took up to {p99:?}");
    drop(idle);
    site.stop()
}
