//! Background work that shutdown waits for.
//!
//! Owns the stop signal and the list of what runs. Does not restart anything: a task that should go on after a
//! failure loops itself. A panic ends the task that panicked, is logged with its name, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{Instrument as _, error, warn};

/// A group of background tasks with one stop signal. Clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    stop: CancellationToken,
    tracker: TaskTracker,
    running: Mutex<BTreeMap<u64, &'static str>>,
    next_id: AtomicU64,
    panicked: Mutex<BTreeSet<&'static str>>,
    parent: Option<Tasks>,
}

/// Some tasks did not end within the time that [`Tasks::shutdown`] was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("still running {grace:?} after the stop signal: {}", late.join(", "))]
pub struct Elapsed {
    /// How long was waited.
    pub grace: Duration,
    /// Names of the tasks that still run, in the order they were started.
    pub late: Vec<&'static str>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty group that stops only when told to.
    pub fn new() -> Self {
        Self::with_stop(CancellationToken::new(), None)
    }

    /// A group within this one: it stops with it, and this one waits for it, but it can also stop alone and earlier.
    pub fn child(&self) -> Self {
        Self::with_stop(self.group.stop.child_token(), Some(self.clone()))
    }

    fn with_stop(stop: CancellationToken, parent: Option<Tasks>) -> Self {
        Self {
            group: Arc::new(Group {
                stop,
                tracker: TaskTracker::new(),
                running: Mutex::default(),
                next_id: AtomicU64::new(0),
                panicked: Mutex::default(),
                parent,
            }),
        }
    }

    /// Runs `work` in the background. It gets the stop signal and is expected to end soon after it fires,
    /// at a point where nothing is half done.
    pub fn spawn<F>(&self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let memberships = self.enter(name);
        let work = AssertUnwindSafe(work(self.stop_token())).catch_unwind();
        let group = Arc::clone(&self.group);
        let task = async move {
            if work.await.is_err() {
                group.panicked.lock().insert(name);
                error!(task = name, "Background task `{name}` panicked and is gone");
            }
            drop(memberships);
        };
        self.group.tracker.spawn(task.instrument(tracing::info_span!("task", name)));
    }

    /// Does `work` where it is waited for; when whoever waits goes away, it goes on in a task of its own. It counts as
    /// one of the group from its beginning to its end.
    pub async fn see_through<F>(&self, name: &'static str, work: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let _membership = self.enter(name);
        Outliving { work: Some(Box::pin(work)), name, tasks: self }.await
    }

    /// The signal that fires when this group is to stop.
    pub fn stop_token(&self) -> CancellationToken {
        self.group.stop.clone()
    }

    /// Names of the tasks that run now, those of child groups included, oldest first.
    pub fn running(&self) -> Vec<&'static str> {
        self.group.running.lock().values().copied().collect()
    }

    /// Names of the tasks of this group that panicked so far; not of its children, which may well hold work that comes
    /// and goes.
    pub fn panicked(&self) -> Vec<&'static str> {
        self.group.panicked.lock().iter().copied().collect()
    }

    /// Fires the stop signal and waits until every task of this group and its children has ended.
    ///
    /// # Errors
    /// [`Elapsed`] names the tasks that still run after `grace`; they are left running.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), Elapsed> {
        self.group.stop.cancel();
        self.group.tracker.close();
        if tokio::time::timeout(grace, self.group.tracker.wait()).await.is_ok() {
            return Ok(());
        }
        let late = self.running();
        warn!(late = late.join(","), "Tasks still run {grace:?} after the stop signal: {}", late.join(", "));
        Err(Elapsed { grace, late })
    }

    /// Registers a task with this group and all groups around it, until the result is dropped.
    fn enter(&self, name: &'static str) -> Vec<Membership> {
        let mut memberships = Vec::with_capacity(2);
        let mut group = Some(self);
        while let Some(tasks) = group {
            let id = tasks.group.next_id.fetch_add(1, Ordering::Relaxed);
            tasks.group.running.lock().insert(id, name);
            memberships.push(Membership {
                group: Arc::clone(&tasks.group),
                id,
                _token: tasks.group.tracker.token(),
            });
            group = tasks.group.parent.as_ref();
        }
        memberships
    }
}

/// Keeps one task in the list of one group.
struct Membership {
    group: Arc<Group>,
    id: u64,
    _token: TaskTrackerToken,
}

/// Work that is not lost with whoever waits for it.
struct Outliving<'a, F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    name: &'static str,
    tasks: &'a Tasks,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Outliving<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken while it runs: what panics is not run again.
        let mut work = self.work.take().expect("nobody polls what is done");
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        self.work = Some(work);
        Poll::Pending
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Outliving<'_, F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tasks.spawn(self.name, move |_| async move { drop(work.await) });
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.group.running.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::Tasks;

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_children_and_lets_work_end() {
        let tasks = Tasks::new();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        tasks.child().spawn("sweeper", |stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            end.store(true, Ordering::SeqCst);
        });
        assert_eq!(tasks.running(), ["sweeper"]);
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert!(ended.load(Ordering::SeqCst));
        assert_eq!(tasks.running(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_names_who_is_late() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", |_| std::future::pending());
        tasks.spawn("polite", |stop| async move { stop.cancelled().await });
        let error = tasks.shutdown(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "still running 5s after the stop signal: stubborn");
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_seen_through_whether_somebody_waits_or_not() {
        let tasks = Tasks::new();
        assert_eq!(tasks.see_through("quick", async { 7 }).await, 7);
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let slow = async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            end.store(true, Ordering::SeqCst);
        };
        let waited = tokio::time::timeout(Duration::from_millis(1), tasks.see_through("slow", slow));
        assert!(waited.await.is_err());
        assert_eq!(tasks.running(), ["slow"]);
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_what_is_seen_through() {
        let tasks = Tasks::new();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let inner = tasks.clone();
        // Who waits is unknown to the group, as a stream of an HTTP/2 connection is.
        let elsewhere = Tasks::new();
        elsewhere.spawn("waiting", |_| async move {
            let slow = async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                end.store(true, Ordering::SeqCst);
            };
            let waited = tokio::time::timeout(Duration::from_secs(1), inner.see_through("slow", slow)).await;
            assert!(waited.is_err(), "it takes longer");
        });
        tokio::task::yield_now().await;
        assert_eq!(tasks.running(), ["slow"]);
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert!(ended.load(Ordering::SeqCst), "although whoever waited went away meanwhile");
        assert_eq!((elsewhere.running(), elsewhere.panicked()), (vec![], vec![]));
        assert_eq!(tasks.running(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_while_it_is_seen_through_panics_where_it_is_waited_for() {
        let tasks = Tasks::new();
        let work = AssertUnwindSafe(tasks.see_through("panics", async { panic!("on purpose") }));
        assert!(work.catch_unwind().await.is_err());
        assert_eq!((tasks.panicked(), tasks.running()), (vec![], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_stops_alone_and_a_panic_ends_only_its_task() {
        let tasks = Tasks::new();
        let child = tasks.child();
        child.spawn("panics", |_| async { panic!("on purpose") });
        child.spawn("child", |stop| async move { stop.cancelled().await });
        tasks.spawn("parent", |stop| async move { stop.cancelled().await });
        child.shutdown(Duration::from_secs(1)).await.unwrap();
        assert_eq!((child.panicked(), tasks.panicked()), (vec!["panics"], vec![]));
        assert!(!tasks.stop_token().is_cancelled());
        assert_eq!(tasks.running(), ["parent"]);
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
    }
}
