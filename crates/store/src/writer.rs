//! The one thread that writes: it takes what is queued, runs it, and commits it together.
//!
//! While one commit waits for the disk the queue fills, so the next commit covers more; nobody waits for a
//! group to fill. A closure that fails or panics takes only its own writes with it. A commit whose outcome is
//! unknown poisons the store: every later write is refused, and the process is asked to end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;
use pierhead_runtime::SharedClock;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::engine::{Batch, CommitError, Writer};
use crate::error::StoreError;
use crate::overlay::Overlay;
use crate::past::Replaced;
use crate::published::Published;
use crate::retention::{Due, Retention};
use crate::revision::Revision;
use crate::table::Change;
use crate::transaction::{WriteTx, Written};

/// How many writes may wait before callers wait to queue.
pub(crate) const QUEUE: usize = 4_096;
const MOST_WRITES_IN_GROUP: usize = 256;
const MOST_BYTES_IN_GROUP: usize = 8 << 20;

/// A write of any result type.
pub(crate) trait Write: Send {
    /// Runs the closure and says whether what it wrote is to be kept.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;

    /// Answers the caller: what the closure returned, or why that is not so.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A closure, what it returned, and who waits for it.
pub(crate) struct Job<F, T, E> {
    closure: F,
    returned: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job<F, T, E> {
    pub(crate) fn new(closure: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (caller, answer) = oneshot::channel();
        (Self { closure, returned: None, caller }, answer)
    }
}

impl<F, T, E> Write for Job<F, T, E>
where
    F: FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        let returned = catch_unwind(AssertUnwindSafe(|| (self.closure)(tx))).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            error!(message, "A write panicked and was abandoned: {message}");
            Err(StoreError::Panicked { message: message.to_owned() }.into())
        });
        let keep = returned.is_ok();
        self.returned = Some(returned);
        keep
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (committed, self.returned) {
            (Ok(()), Some(returned)) => returned,
            // What the closure refused to do was not done, whatever became of the commit.
            (Err(_), Some(Err(refusal))) => Err(refusal),
            (Err(failure), Some(Ok(_)) | None) => Err(failure.into()),
            (Ok(()), None) => Err(StoreError::Closed.into()),
        };
        // A caller that went away has its write all the same.
        drop(self.caller.send(answer));
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// What the thread owns.
pub(crate) struct WriterThread<W> {
    pub(crate) writer: W,
    pub(crate) queue: mpsc::Receiver<Box<dyn Write>>,
    pub(crate) published: Arc<Published>,
    pub(crate) clock: SharedClock,
    pub(crate) retention: Retention,
}

/// The writes of one commit.
#[derive(Default)]
struct Group {
    writes: Vec<Box<dyn Write>>,
    overlay: Overlay,
    changes: Vec<Arc<Change>>,
    replaced: Vec<Replaced>,
    compact_to: Option<Revision>,
}

impl Group {
    fn is_full(&self) -> bool {
        self.writes.len() >= MOST_WRITES_IN_GROUP || self.overlay.bytes() >= MOST_BYTES_IN_GROUP
    }

    fn answer(self, committed: &Result<(), StoreError>) {
        for write in self.writes {
            write.answer(committed.clone());
        }
    }
}

impl<W: Writer> WriterThread<W> {
    /// Writes until the store is closed or dropped and everything queued is done.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            if self.published.is_poisoned() {
                first.answer(Err(StoreError::Poisoned));
            } else {
                self.commit_group(first);
            }
        }
    }

    /// Runs and commits `first` and what is queued behind it.
    pub(crate) fn commit_group(&mut self, first: Box<dyn Write>) {
        if let Err(error) = self.writer.begin() {
            first.answer(Err(self.failed(error, 1)));
            return;
        }
        let mut group = Group::default();
        let mut marks = None;
        let mut next = Some(first);
        while let Some(mut write) = next.take() {
            self.writer.read(&mut |view| {
                let found = *marks.get_or_insert_with(|| view.marks());
                let newest = group.changes.last().map_or(found.revision, |change| change.revision);
                let mut tx = WriteTx::new(view, &group.overlay, newest);
                if write.run(&mut tx) {
                    let Written { writes, changes, replaced, compact_to } = tx.finish();
                    group.overlay.absorb(writes);
                    group.changes.extend(changes);
                    group.replaced.extend(replaced);
                    group.compact_to = group.compact_to.max(compact_to);
                }
            });
            group.writes.push(write);
            if !group.is_full() {
                next = self.queue.try_recv().ok();
            }
        }
        self.commit(group);
    }

    fn commit(&mut self, mut group: Group) {
        let at = self.clock.now();
        let due = self.compaction_due(&group, at);
        let batch = Batch {
            writes: std::mem::take(&mut group.overlay),
            changes: std::mem::take(&mut group.changes),
            at,
            compact_to: group.compact_to.max(due.map(|due| due.to)),
        };
        if batch.is_empty() {
            self.writer.abandon();
            group.answer(&Ok(()));
            return;
        }
        self.published.remember(std::mem::take(&mut group.replaced));
        match self.writer.commit(&batch) {
            Ok(()) => {
                self.retention.committed(&batch.changes, due, batch.compact_to);
                self.published.publish(&batch.changes, batch.compact_to);
                group.answer(&Ok(()));
            }
            Err(error) => {
                let error = self.failed(error, group.writes.len());
                group.answer(&Err(error));
            }
        }
    }

    /// What to answer to `writes` writes of which none was done.
    fn failed(&self, error: CommitError, writes: usize) -> StoreError {
        match error {
            CommitError::Refused(error) => {
                error!(%error, "A commit of {writes} writes was refused: {error}");
                error
            }
            CommitError::Unknown(error) => {
                self.published.poison(&error);
                error
            }
        }
    }

    /// What of the log may be dropped with this commit.
    fn compaction_due(&mut self, group: &Group, now: Timestamp) -> Option<Due> {
        let newest = group.changes.last()?.revision;
        let mut due = Ok(None);
        self.writer.read(&mut |view| due = self.retention.due(view, newest, now));
        due.unwrap_or_else(|error| {
            warn!(%error, "The change log could not be measured, so it is not shortened: {error}");
            None
        })
    }
}
