//! What every part of a store may see of its newest commit without asking the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;
use tracing::error;

use crate::engine::Marks;
use crate::error::StoreError;
use crate::interest::{Interests, Subscription};
use crate::past::{Memory, Replaced};
use crate::revision::Revision;
use crate::ring::Ring;
use crate::table::{Change, TableName};

type FatalHook = Box<dyn Fn(&StoreError) + Send + Sync>;

#[derive(Default)]
struct Fatal {
    error: Option<StoreError>,
    hook: Option<FatalHook>,
}

/// The newest revision, the newest changes, and whether there will be any more.
pub(crate) struct Published {
    revision: AtomicU64,
    compacted: AtomicU64,
    ring: RwLock<Ring>,
    memory: RwLock<Memory>,
    announce: watch::Sender<Revision>,
    interests: Interests,
    poisoned: AtomicBool,
    fatal: Mutex<Fatal>,
}

impl Published {
    pub(crate) fn new(marks: Marks) -> Self {
        Self {
            revision: AtomicU64::new(marks.revision.number()),
            compacted: AtomicU64::new(marks.compacted.number()),
            ring: RwLock::default(),
            memory: RwLock::new(Memory::new(marks.revision)),
            announce: watch::Sender::new(marks.revision),
            interests: Interests::default(),
            poisoned: AtomicBool::new(false),
            fatal: Mutex::default(),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision::new(self.revision.load(Ordering::Acquire))
    }

    pub(crate) fn compacted(&self) -> Revision {
        Revision::new(self.compacted.load(Ordering::Acquire))
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.announce.subscribe()
    }

    pub(crate) fn subscribe_to(&self, tables: &[TableName]) -> Subscription {
        self.interests.subscribe(tables, || self.revision())
    }

    pub(crate) fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Change>>> {
        if after >= self.revision() { Some(Vec::new()) } else { self.ring.read().after(after, limit) }
    }

    /// What was replaced in tables that are not logged.
    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read()
    }

    /// Adds what the next commit replaces. Before it: whoever sees the commit finds what was there.
    pub(crate) fn remember(&self, replaced: Vec<Replaced>) {
        if !replaced.is_empty() {
            self.memory.write().extend(replaced);
        }
    }

    pub(crate) fn publish(&self, changes: &[Arc<Change>], compacted: Option<Revision>) {
        if let Some(compacted) = compacted {
            self.compacted.store(compacted.number(), Ordering::Release);
        }
        let Some(newest) = changes.last().map(|change| change.revision) else { return };
        // In the ring before it is the newest revision: whoever sees the number finds the change.
        self.ring.write().extend(changes.iter().cloned());
        self.revision.store(newest.number(), Ordering::Release);
        self.interests.tell(changes, newest);
        self.announce.send_replace(newest);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// From here on nothing is written. Tells the process once.
    pub(crate) fn poison(&self, error: &StoreError) {
        if self.poisoned.swap(true, Ordering::AcqRel) {
            return;
        }
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        error!(%error, cause, "The store failed and takes no more writes: {error}: {cause}");
        let mut fatal = self.fatal.lock();
        if let Some(hook) = &fatal.hook {
            hook(error);
        }
        fatal.error = Some(error.clone());
    }

    /// Also tells what happened before there was somebody to tell.
    pub(crate) fn on_fatal(&self, hook: FatalHook) {
        let mut fatal = self.fatal.lock();
        if let Some(error) = &fatal.error {
            hook(error);
        }
        fatal.hook = Some(hook);
    }
}
