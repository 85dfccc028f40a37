//! Looks again, from time to time, at what tags were imported from: at scheduled tags, and at those whose last import
//! failed (images 5.7).
//!
//! Owns when. Times are spread, so that a thousand streams are not one burst; failures are tried ever less often; a host
//! that asks for a pause gets it. An import that finds nothing new writes nothing, and what somebody imported by hand is
//! not looked at again at once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::take;
use std::time::Duration;

use parking_lot::Mutex;
use pierhead_api::image::{ImageImportStatus, ImageStream, ImageStreamImport, TagReference};
use pierhead_api::meta::StatusReason;
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::image_import::{IMPORT_SUCCESS, Wish, host_of, import_of, is_importable, needs_import, run};
use crate::import_queue::{IN_ALL, ImportKey, ImportQueue};
use crate::runner::{Outcome, Reconciler};

/// First wait after a failure of what is not scheduled.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// Longest wait after failures, unless the interval is longer.
const LONGEST_RETRY: Duration = Duration::from_hours(1);
/// Longest pause that a host gets by asking for it.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// When somebody else changed the stream in the middle.
const SOON: Duration = Duration::from_secs(1);

pub(crate) struct ImageSchedule {
    pub(crate) client: Client,
    pub(crate) streams: Reflected<ImageStream>,
    pub(crate) queue: ImportQueue,
    pub(crate) schedule: Mutex<Schedule>,
}

/// When what is looked at next.
pub(crate) struct Schedule {
    interval: Duration,
    entries: BTreeMap<ImportKey, Entry>,
    /// Hosts that asked for a pause.
    pauses: BTreeMap<String, Instant>,
}

struct Entry {
    at: Instant,
    failures: u32,
    /// Whether it is looked at because it is scheduled, and not only because it failed.
    scheduled: bool,
    /// The answers there were at the last look.
    answers: Answers,
    /// We looked ourselves: the answers are to be taken as they are now.
    take: bool,
}

/// What is to be looked at of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    /// By name of tag.
    answers: Answers,
    scheduled: bool,
}

/// What the last import of each tag said, and when.
type Answers = BTreeMap<String, String>;

/// How a look went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// All is well.
    Fine,
    /// Something failed.
    Failed,
    /// The host wants to be left alone.
    Refused { pause: Duration },
    /// Nobody looked: the stream was changed meanwhile.
    Missed,
}

impl Schedule {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, entries: BTreeMap::new(), pauses: BTreeMap::new() }
    }

    /// Takes note of what there is to look at.
    fn follow(&mut self, looks: BTreeMap<ImportKey, Look>, now: Instant) {
        self.entries.retain(|key, _| looks.contains_key(key));
        self.pauses.retain(|_, until| *until > now);
        for (key, Look { answers, scheduled }) in looks {
            let first = if scheduled { self.interval } else { self.interval.min(FIRST_RETRY) };
            let wait = spread(first, &key);
            let entry = self.entries.entry(key).or_insert_with(|| Entry {
                at: now + wait,
                failures: 0,
                scheduled,
                answers: answers.clone(),
                take: false,
            });
            entry.scheduled = scheduled;
            if take(&mut entry.take) {
                entry.answers = answers;
                continue;
            }
            // An import that answered all of it was a look, too. One of other tags was none: were it counted, a tag
            // that is imported often would keep its neighbours from ever being looked at.
            if answers.iter().all(|(tag, answer)| entry.answers.get(tag) != Some(answer)) {
                entry.answers = answers;
                entry.at = entry.at.max(now + wait);
            }
        }
    }

    fn due(&self, now: Instant) -> Vec<ImportKey> {
        let rests = |host: &String| self.pauses.get(host).is_some_and(|until| *until > now);
        let due = self.entries.iter().filter(|(key, entry)| entry.at <= now && !rests(&key.host));
        due.map(|(key, _)| key.clone()).collect()
    }

    /// How soon something will be due that is not yet.
    fn wake(&self, now: Instant) -> Option<Duration> {
        let times = self.entries.iter().map(|(key, entry)| match self.pauses.get(&key.host) {
            Some(until) => entry.at.max(*until),
            None => entry.at,
        });
        times.filter(|at| *at > now).min().map(|at| at - now)
    }

    fn looked(&mut self, key: &ImportKey, seen: Seen, now: Instant) {
        let interval = self.interval;
        let Some(entry) = self.entries.get_mut(key) else { return };
        let wait = match seen {
            Seen::Missed => SOON,
            Seen::Fine => {
                entry.failures = 0;
                spread(interval, key)
            }
            Seen::Failed | Seen::Refused { .. } => {
                let first = if entry.scheduled { interval } else { interval.min(FIRST_RETRY) };
                let factor = 1_u32 << entry.failures.min(16);
                entry.failures = entry.failures.saturating_add(1);
                spread(first.saturating_mul(factor).min(interval.max(LONGEST_RETRY)), key)
            }
        };
        entry.at = now + wait;
        entry.take |= seen != Seen::Missed;
        if let Seen::Refused { pause } = seen {
            let until = now + pause.min(LONGEST_PAUSE);
            let known = self.pauses.entry(key.host.clone()).or_insert(until);
            *known = (*known).max(until);
        }
    }
}

/// Between nine tenths and all of a wait, by chance that is the same every time.
fn spread(wait: Duration, key: &ImportKey) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let thousandth = u32::try_from(hasher.finish() % 100).unwrap_or_default();
    wait - wait.mul_f64(f64::from(thousandth) / 1000.0)
}

/// What of a stream is to be looked at, by host.
fn looks(stream: &ImageStream) -> BTreeMap<String, Look> {
    let mut looks: BTreeMap<String, Look> = BTreeMap::new();
    for tag in stream.spec.tags.iter().filter(|tag| is_importable(tag) && !needs_import(stream, tag)) {
        let scheduled = tag.import_policy.scheduled && !is_settled(stream, tag);
        if scheduled || has_failed(stream, tag) {
            let host = tag.from.as_ref().map(|from| host_of(&from.name)).unwrap_or_default();
            let look = looks.entry(host).or_default();
            look.answers.insert(tag.name.clone(), answer(stream, tag));
            look.scheduled |= scheduled;
        }
    }
    looks
}

fn answer(stream: &ImageStream, tag: &TagReference) -> String {
    let Some(status) = stream.status_tag(&tag.name) else { return String::new() };
    let newest = status.items.first().map(|item| (&item.created, &item.image, item.generation));
    let said =
        status.conditions.iter().map(|condition| (&condition.last_transition_time, condition.generation));
    format!("{newest:?} {:?}", said.collect::<Vec<_>>())
}

fn has_failed(stream: &ImageStream, tag: &TagReference) -> bool {
    let conditions = stream.status_tag(&tag.name).map(|status| status.conditions.as_slice());
    conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.condition_type == IMPORT_SUCCESS && condition.status == "False")
}

/// Whether the tag names an image by digest, and has it: that will never be another.
fn is_settled(stream: &ImageStream, tag: &TagReference) -> bool {
    let by_digest = tag.from.as_ref().is_some_and(|from| from.name.contains('@'));
    by_digest && stream.newest(&tag.name).is_some() && !has_failed(stream, tag)
}

fn seen(import: &ImageStreamImport) -> Seen {
    let failed = |image: &&ImageImportStatus| !image.status.is_success();
    let mut seen = Seen::Fine;
    for image in import.status.images.iter().filter(failed) {
        let seconds = image.status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let pause = Duration::from_secs(u64::from(seconds));
        seen = match seen {
            Seen::Refused { pause: known } => Seen::Refused { pause: known.max(pause) },
            _ if image.status.reason == Some(StatusReason::TooManyRequests) => Seen::Refused { pause },
            _ => Seen::Failed,
        };
    }
    seen
}

impl ImageSchedule {
    async fn look(&self, key: &ImportKey) -> Result<Seen, ClientError> {
        let Some(stream) = self.client.find::<ImageStream>(Some(&key.namespace), &key.name).await? else {
            return Ok(Seen::Missed);
        };
        let Some(look) = looks(&stream).remove(&key.host) else { return Ok(Seen::Missed) };
        let wish = Wish { tags: look.answers.into_keys().collect(), repository: false };
        match run(&self.client, &import_of(&stream, &wish)).await {
            Ok(import) => Ok(seen(&import)),
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(Seen::Missed),
            Err(error) => Err(error),
        }
    }
}

impl Reconciler for ImageSchedule {
    type Key = ImportKey;
    type Error = ClientError;

    const NAME: &'static str = "image-schedule";
    const AT_ONCE: usize = IN_ALL;

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.streams.changed(), self.queue.changed()]
    }

    async fn synced(&self) {
        self.streams.synced().await;
    }

    fn due(&self) -> Vec<ImportKey> {
        let mut wanted = BTreeMap::new();
        for stream in self.streams.list() {
            if stream.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let of_host = |(host, look)| (ImportKey::new(&stream, host), look);
            wanted.extend(looks(&stream).into_iter().map(of_host));
        }
        let now = Instant::now();
        let mut schedule = self.schedule.lock();
        schedule.follow(wanted, now);
        schedule.due(now)
    }

    fn startable(&self, ready: Vec<ImportKey>) -> Vec<ImportKey> {
        self.queue.offered(ready)
    }

    fn wake(&self) -> Option<Duration> {
        self.schedule.lock().wake(Instant::now())
    }

    async fn reconcile(&self, key: &ImportKey) -> Result<Outcome, ClientError> {
        let _turn = self.queue.start(key);
        let looked = self.look(key).await;
        let seen = *looked.as_ref().unwrap_or(&Seen::Failed);
        debug!(%key, "Looked again: {seen:?}");
        self.schedule.lock().looked(key, seen, Instant::now());
        looked.map(|_| Outcome::Changed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use pierhead_api::from_value;
    use pierhead_api::image::{ImageStream, ImageStreamImport};
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::{ImportKey, Look, Schedule, Seen, looks, seen};

    const INTERVAL: Duration = Duration::from_secs(900);

    fn key(host: &str) -> ImportKey {
        ImportKey { namespace: "shop".into(), name: "web".into(), host: host.into() }
    }

    fn look(scheduled: bool, answers: &[(&str, &str)]) -> Look {
        let answers = answers.iter().map(|(tag, answer)| ((*tag).to_owned(), (*answer).to_owned()));
        Look { answers: answers.collect(), scheduled }
    }

    fn one(scheduled: bool, answer: &str) -> BTreeMap<ImportKey, Look> {
        BTreeMap::from([(key("quay.io"), look(scheduled, &[("a", answer)]))])
    }

    /// How long until the next look, in seconds: at most what is expected, and not much less.
    #[track_caller]
    fn check(schedule: &Schedule, now: Instant, expected: u64) {
        let wait = schedule.wake(now).unwrap().as_secs();
        assert!((expected * 9 / 10..=expected).contains(&wait), "{wait} is not about {expected}");
    }

    #[tokio::test(start_paused = true)]
    async fn looks_at_intervals_and_ever_less_often_at_what_fails() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(INTERVAL);
        schedule.follow(one(true, "1"), now);
        check(&schedule, now, 900);
        assert!(schedule.due(now).is_empty());
        now += INTERVAL;
        assert_eq!(schedule.due(now), [key("quay.io")]);
        for (seen, expected) in [
            (Seen::Fine, 900),
            (Seen::Failed, 900),
            (Seen::Failed, 1800),
            (Seen::Failed, 3600),
            (Seen::Failed, 3600),
            (Seen::Missed, 1),
            (Seen::Fine, 900),
            (Seen::Failed, 900),
        ] {
            schedule.looked(&key("quay.io"), seen, now);
            check(&schedule, now, expected);
        }
        schedule.follow(one(true, "1"), now);
        // Somebody imported: the next look waits.
        now += Duration::from_secs(800);
        schedule.follow(one(true, "2"), now);
        check(&schedule, now, 900);
        schedule.follow(BTreeMap::new(), now);
        assert!(schedule.wake(now).is_none());
        // What failed and is not scheduled is tried sooner.
        schedule.follow(one(false, "2"), now);
        check(&schedule, now, 60);
        schedule.looked(&key("quay.io"), Seen::Failed, now);
        check(&schedule, now, 60);
        schedule.looked(&key("quay.io"), Seen::Failed, now);
        check(&schedule, now, 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_that_is_imported_often_keeps_no_other_waiting() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(INTERVAL);
        let both = |often: &str, rarely: &str| {
            BTreeMap::from([(key("quay.io"), look(true, &[("often", often), ("rarely", rarely)]))])
        };
        schedule.follow(both("0", "0"), now);
        for minute in 1..15 {
            now += Duration::from_secs(60);
            schedule.follow(both(&minute.to_string(), "0"), now);
        }
        now += Duration::from_secs(60);
        assert_eq!(schedule.due(now), [key("quay.io")]);
        // Somebody imported both, at once or one after the other.
        schedule.follow(both("15", "1"), now);
        check(&schedule, now, 900);
        // What our look brought was not imported by somebody else.
        schedule.looked(&key("quay.io"), Seen::Fine, now);
        schedule.follow(both("15", "2"), now);
        now += Duration::from_secs(600);
        schedule.follow(both("16", "2"), now);
        check(&schedule, now, 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_wants_a_pause_gets_it() {
        let now = Instant::now();
        let mut schedule = Schedule::new(INTERVAL);
        let mut wanted = one(true, "");
        wanted.insert(ImportKey { name: "other".into(), ..key("quay.io") }, look(true, &[("a", "")]));
        wanted.insert(key("gcr.io"), look(true, &[("b", "")]));
        schedule.follow(wanted, now);
        schedule.looked(&key("quay.io"), Seen::Refused { pause: Duration::from_secs(3000) }, now);
        let later = now + INTERVAL;
        assert_eq!(schedule.due(later), [key("gcr.io")]);
        assert_eq!(schedule.due(now + Duration::from_secs(3001)).len(), 3);
    }

    #[test]
    fn a_pause_is_the_longest_that_was_asked_for() {
        let image = |code: u64, reason: &str, seconds: u64| json!({"status": {"status": "Failure", "code": code, "reason": reason, "details": {"retryAfterSeconds": seconds}}});
        let check = |images: Value, expected: Seen| {
            let import: ImageStreamImport = from_value(&json!({"status": {"images": images}})).unwrap();
            assert_eq!(seen(&import), expected);
        };
        check(json!([{"status": {"status": "Success"}}]), Seen::Fine);
        check(json!([image(404, "NotFound", 0), {"status": {"status": "Success"}}]), Seen::Failed);
        let refused = json!([
            image(429, "TooManyRequests", 7),
            image(404, "NotFound", 0),
            image(429, "TooManyRequests", 70)
        ]);
        check(refused, Seen::Refused { pause: Duration::from_secs(70) });
    }

    #[test]
    fn looks_at_scheduled_tags_and_at_failed_ones() {
        let tag = |name: &str, from: &str, scheduled: bool| {
            json!({"name": name, "generation": 1, "from": {"kind": "DockerImage", "name": from},
                   "importPolicy": {"scheduled": scheduled}})
        };
        let has = |name: &str, failed: bool| {
            let conditions = json!([{"type": "ImportSuccess", "status": "False", "generation": 1}]);
            json!({"tag": name, "items": [{"generation": 1, "image": "sha256:1"}],
                   "conditions": if failed { conditions } else { json!([]) }})
        };
        let digest = format!("quay.io/a/b@sha256:{}", "a".repeat(64));
        let stream: ImageStream = from_value(&json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"tags": [
                tag("scheduled", "quay.io/a/b:1", true), tag("once", "quay.io/a/b:2", false),
                tag("failed", "gcr.io/a/b:1", false), tag("fixed", &digest, true),
                tag("new", "quay.io/a/b:3", true),
            ]},
            "status": {"tags": [
                has("scheduled", false), has("once", false), has("failed", true), has("fixed", false),
            ]},
        }))
        .unwrap();
        let found: Vec<String> = looks(&stream)
            .into_iter()
            .map(|(host, look)| {
                format!("{host}: {:?} {}", look.answers.keys().collect::<Vec<_>>(), look.scheduled)
            })
            .collect();
        assert_eq!(found, [r#"gcr.io: ["failed"] false"#, r#"quay.io: ["scheduled"] true"#]);
    }
}
