//! Runs a reconciler: finds what is not as it should be, lets it be put right, and tries again later.
//!
//! What is due is computed from caches whenever one of them changes, and now and then without a reason, so a
//! lost event costs time and nothing else. A cache may lag behind; so a reconciler reads afresh what it is about
//! to change, and running it once too often does nothing. Each key waits by its own backoff. Work that was
//! started goes on while the runner rests, and gets a moment to end before it stops.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use pierhead_client::ClientError;
use pierhead_runtime::backoff::Backoff;
use pierhead_runtime::{CancellationToken, Tasks};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, warn};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const RESYNC: Duration = Duration::from_secs(300);
const MOST_AT_ONCE: usize = 16;
/// Looking for work takes at most one part in this many of the time.
const SHARE_OF_TIME: u32 = 5;
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How long runs may take to end when the runner stops; those that do not are cut off, which is safe by contract.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Whether a run found anything to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as it should be, whatever the cache says.
    Nothing,
    /// Something was changed; the caches will tell whether it was enough.
    Changed,
}

/// Brings one kind of thing to the state it should be in.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// What it works on one at a time.
    type Key: Clone + Ord + Debug + Display + Send + Sync + 'static;
    /// Why a run can fail.
    type Error: std::error::Error + Retry + Send + 'static;

    /// For the log and for shutdown.
    const NAME: &'static str;

    /// Runs at a time. More is for what mostly waits.
    const AT_ONCE: usize = MOST_AT_ONCE;

    /// Caches that may know of new work when they change.
    fn triggers(&self) -> Vec<watch::Receiver<u64>>;

    /// Waits until the caches know everything that was there at the start.
    fn synced(&self) -> impl Future<Output = ()> + Send;

    /// What does not look right in the caches. Pure looking; called often.
    fn due(&self) -> Vec<Self::Key>;

    /// Those of `ready` that may start now, in the order in which they should. What is left out stays due, keeps its
    /// backoff, and is asked for again at the next trigger.
    fn startable(&self, ready: Vec<Self::Key>) -> Vec<Self::Key> {
        ready
    }

    /// How soon something may become due because time went by and nothing else.
    fn wake(&self) -> Option<Duration> {
        None
    }

    /// Puts one thing right. Safe to run again at any point, and to be cut off at any point.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Outcome, Self::Error>> + Send;
}

/// Errors that are part of the game.
pub(crate) trait Retry {
    /// Somebody else was faster, or something is not ready: trying again is all there is to do.
    fn is_expected(&self) -> bool;

    /// The longest wait until the next try, where it is not what others wait.
    fn within(&self) -> Option<Duration> {
        None
    }
}

impl Retry for ClientError {
    fn is_expected(&self) -> bool {
        self.is_conflict() || self.is_already_exists() || self.is_not_found()
    }
}

/// Starts `reconciler` in the background, until the tasks are shut down.
pub(crate) fn start<R: Reconciler>(reconciler: R, tasks: &Tasks) {
    tasks.spawn(R::NAME, |stop| Runner::new(Arc::new(reconciler)).run(stop));
}

struct Waiting {
    until: Instant,
    backoff: Backoff,
    runs: bool,
}

type Run<K> = Pin<Box<dyn Future<Output = (K, Finished)> + Send>>;

enum Finished {
    Changed,
    Nothing,
    Failed { within: Option<Duration> },
}

struct Runner<R: Reconciler> {
    reconciler: Arc<R>,
    running: FuturesUnordered<Run<R::Key>>,
    waiting: BTreeMap<R::Key, Waiting>,
}

impl<R: Reconciler> Runner<R> {
    fn new(reconciler: Arc<R>) -> Self {
        Self { reconciler, running: FuturesUnordered::new(), waiting: BTreeMap::new() }
    }

    async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.reconciler.synced() => {}
        }
        let mut triggers = self.reconciler.triggers();
        loop {
            let started = Instant::now();
            self.start_due(started);
            let now = Instant::now();
            let rested = now + ((now - started) * (SHARE_OF_TIME - 1)).min(LONGEST_REST);
            let wake = self.next_wake(started, now);
            tokio::select! {
                () = stop.cancelled() => break,
                Some((key, finished)) = self.running.next() => self.finish(&key, &finished),
                () = any_changed(&mut triggers) => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.rest(rested) => {}
            }
        }
        let ending = async {
            while let Some((key, finished)) = self.running.next().await {
                self.finish(&key, &finished);
            }
        };
        if tokio::time::timeout(LAST_MOMENT, ending).await.is_err() {
            debug!(reconciler = R::NAME, "{} stops in the middle of {} runs", R::NAME, self.running.len());
        }
    }

    /// Looks for no work until then. What runs goes on, and all that has ended by then is taken note of.
    async fn rest(&mut self, until: Instant) {
        let rested = tokio::time::sleep_until(until);
        tokio::pin!(rested);
        loop {
            tokio::select! {
                biased;
                Some((key, finished)) = self.running.next() => self.finish(&key, &finished),
                () = &mut rested => return,
            }
        }
    }

    fn start_due(&mut self, now: Instant) {
        let Some(due) = self.look(R::due) else { return };
        let due: BTreeSet<R::Key> = due.into_iter().collect();
        self.waiting.retain(|key, waiting| waiting.runs || due.contains(key));
        let mut ready = Vec::new();
        for key in due {
            let waiting = self.waiting.entry(key.clone()).or_insert_with(|| Waiting {
                until: now,
                backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
                runs: false,
            });
            if !waiting.runs && waiting.until <= now {
                ready.push(key);
            }
        }
        let free = R::AT_ONCE.saturating_sub(self.running.len());
        let startable = self.look(|reconciler| reconciler.startable(ready)).unwrap_or_default();
        for key in startable.into_iter().take(free) {
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.runs = true;
                self.running.push(Box::pin(attempt(Arc::clone(&self.reconciler), key)));
            }
        }
    }

    fn finish(&mut self, key: &R::Key, finished: &Finished) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        waiting.runs = false;
        if matches!(finished, Finished::Changed) {
            waiting.backoff.reset();
        }
        let wait = waiting.backoff.next_wait();
        let longest = if let Finished::Failed { within } = finished { *within } else { None };
        waiting.until = Instant::now() + longest.map_or(wait, |longest| wait.min(longest));
    }

    /// What was ready at `looked` and does not run waits for a run to end, and not for time to go by.
    fn next_wake(&self, looked: Instant, now: Instant) -> Instant {
        let later = |waiting: &&Waiting| !waiting.runs && waiting.until > looked;
        let retries = self.waiting.values().filter(later).map(|waiting| waiting.until);
        let by_time = self.look(R::wake).flatten().map(|wait| now + wait);
        retries.chain(by_time).fold(now + RESYNC, Instant::min)
    }

    /// Looks at something; a panic costs this look and not the runner.
    fn look<T>(&self, look: impl FnOnce(&R) -> T) -> Option<T> {
        let looked = catch_unwind(AssertUnwindSafe(|| look(&self.reconciler)));
        if looked.is_err() {
            error!(reconciler = R::NAME, "{} panicked while it looked for work", R::NAME);
        }
        looked.ok()
    }
}

async fn attempt<R: Reconciler>(reconciler: Arc<R>, key: R::Key) -> (R::Key, Finished) {
    let run = AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().await;
    let finished = match run {
        Ok(Ok(Outcome::Changed)) => Finished::Changed,
        Ok(Ok(Outcome::Nothing)) => Finished::Nothing,
        Ok(Err(error)) if error.is_expected() => {
            debug!(reconciler = R::NAME, %key, %error, "Trying {key} again: {error}");
            Finished::Failed { within: error.within() }
        }
        Ok(Err(error)) => {
            warn!(reconciler = R::NAME, %key, %error, "{} failed for {key}, trying again: {error}", R::NAME);
            Finished::Failed { within: error.within() }
        }
        Err(_panic) => {
            error!(reconciler = R::NAME, %key, "{} panicked for {key}", R::NAME);
            Finished::Failed { within: None }
        }
    };
    (key, finished)
}

async fn any_changed(triggers: &mut [watch::Receiver<u64>]) {
    if triggers.is_empty() {
        return pending().await;
    }
    let changes = triggers.iter_mut().map(|trigger| {
        Box::pin(async move {
            // The cache is gone: the process is stopping, and the stop signal says so.
            if trigger.changed().await.is_err() {
                pending::<()>().await;
            }
        })
    });
    select_all(changes).await;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::ready;
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;
    use pierhead_runtime::Tasks;
    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::{Outcome, Reconciler, Retry, start};

    #[derive(Debug, thiserror::Error)]
    #[error("no luck")]
    struct NoLuck;

    impl Retry for NoLuck {
        fn is_expected(&self) -> bool {
            true
        }
    }

    /// Keys with how many more runs each needs; a run of `panics` panics, one of `long` waits ten times for 10 ms,
    /// one of `stuck` for ever.
    #[derive(Clone)]
    struct Chores {
        left: Arc<Mutex<BTreeMap<&'static str, u32>>>,
        runs: Arc<Mutex<BTreeMap<&'static str, u32>>>,
        changes: watch::Sender<u64>,
        /// How long a look for work takes; the next one panics when it is none.
        look: Arc<Mutex<Option<Duration>>>,
        /// Keys that may not start.
        held: Arc<Mutex<Vec<&'static str>>>,
        /// How often work was looked for.
        looks: Arc<Mutex<u32>>,
    }

    impl Chores {
        fn new(left: &[(&'static str, u32)]) -> Self {
            let left = Arc::new(Mutex::new(left.iter().copied().collect()));
            Self {
                left,
                runs: Arc::default(),
                changes: watch::Sender::new(0),
                look: Arc::new(Mutex::new(Some(Duration::ZERO))),
                held: Arc::default(),
                looks: Arc::default(),
            }
        }

        fn told(&self) {
            self.changes.send_modify(|count| *count += 1);
        }

        fn runs(&self, key: &str) -> u32 {
            self.runs.lock().get(key).copied().unwrap_or_default()
        }
    }

    impl Reconciler for Chores {
        type Key = &'static str;
        type Error = NoLuck;

        const NAME: &'static str = "chores";

        fn triggers(&self) -> Vec<watch::Receiver<u64>> {
            vec![self.changes.subscribe()]
        }

        fn synced(&self) -> impl Future<Output = ()> + Send {
            ready(())
        }

        fn due(&self) -> Vec<&'static str> {
            *self.looks.lock() += 1;
            let look = self.look.lock().replace(Duration::ZERO).expect("a look that panics");
            std::thread::sleep(look);
            *self.look.lock() = Some(look);
            self.left.lock().keys().copied().collect()
        }

        fn startable(&self, mut ready: Vec<&'static str>) -> Vec<&'static str> {
            ready.retain(|key| !self.held.lock().contains(key));
            ready
        }

        async fn reconcile(&self, key: &&'static str) -> Result<Outcome, NoLuck> {
            *self.runs.lock().entry(key).or_default() += 1;
            if *key == "stuck" {
                std::future::pending::<()>().await;
            }
            if *key == "long" {
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            let mut left = self.left.lock();
            let chore = left.get_mut(key).ok_or(NoLuck)?;
            *chore -= 1;
            if *chore == 0 {
                left.remove(key);
                return Ok(Outcome::Changed);
            }
            drop(left);
            assert_ne!(*key, "panics");
            Err(NoLuck)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_and_panics_are_tried_again_and_hold_up_nobody() {
        let chores = Chores::new(&[("works", 1), ("fails", 3), ("panics", 2)]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(chores.due(), ["fails", "panics"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(chores.due().is_empty());
        assert_eq!((chores.runs("works"), chores.runs("fails"), chores.runs("panics")), (1, 3, 2));
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_failing_is_tried_ever_less_often() {
        let chores = Chores::new(&[("hopeless", u32::MAX)]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let runs = chores.runs("hopeless");
        assert!((60..200).contains(&runs), "{runs} runs in an hour");
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_at_once_and_a_lost_one_before_long() {
        let chores = Chores::new(&[]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_secs(1)).await;
        chores.left.lock().insert("told", 1);
        chores.told();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(chores.runs("told"), 1);
        chores.left.lock().insert("not told", 1);
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert_eq!(chores.runs("not told"), 1);
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }

    /// Not in paused time: a look takes as long as it takes.
    #[tokio::test]
    async fn what_runs_goes_on_while_the_runner_rests() {
        let chores = Chores::new(&[("long", 1)]);
        *chores.look.lock() = Some(Duration::from_millis(300));
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        let started = Instant::now();
        while !chores.left.lock().is_empty() {
            chores.told();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // One look, and then a rest of a second in which ten waits of 10 ms fit.
        let (took, looks) = (started.elapsed(), *chores.looks.lock());
        assert_eq!(looks, 1, "the work took {took:?}");
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_start_keeps_its_backoff_and_wakes_nobody() {
        let chores = Chores::new(&[("hopeless", u32::MAX)]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let runs = chores.runs("hopeless");
        chores.held.lock().push("hopeless");
        tokio::time::sleep(Duration::from_secs(61)).await;
        let looks = *chores.looks.lock();
        tokio::time::sleep(Duration::from_secs(280)).await;
        assert!(*chores.looks.lock() - looks <= 1, "nothing happened that could be seen");
        chores.held.lock().clear();
        chores.told();
        tokio::time::sleep(Duration::from_secs(25)).await;
        let more = chores.runs("hopeless") - runs;
        assert!((1..=3).contains(&more), "{more} more runs: a backoff of a minute was forgotten");
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_panics_is_one_look() {
        let chores = Chores::new(&[]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_secs(1)).await;
        *chores.look.lock() = None;
        chores.told();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(*chores.looks.lock(), 2);
        chores.left.lock().insert("told", 1);
        chores.told();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(chores.runs("told"), 1);
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_cut_off() {
        let chores = Chores::new(&[("long", 1)]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_millis(1)).await;
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
        assert!(chores.left.lock().is_empty(), "it ended in the moment it had");
        let chores = Chores::new(&[("stuck", 1)]);
        let tasks = Tasks::new();
        start(chores.clone(), &tasks);
        tokio::time::sleep(Duration::from_millis(1)).await;
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert_eq!((chores.runs("stuck"), chores.left.lock().len()), (1, 1));
    }
}
