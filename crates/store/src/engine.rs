//! What an engine must give: consistent views of opaque bytes, and commits of whole batches.
//!
//! Everything typed, numbered or queued is above this line, so that an engine is a page of statements. There
//! is one writer per engine; batches come one after the other.

pub(crate) mod memory;
pub(crate) mod sqlite;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::StoreError;
use crate::key::KeyRange;
use crate::overlay::Overlay;
use crate::revision::Revision;
use crate::table::{Change, TableName};

/// Key and value.
pub(crate) type Row = (Bytes, Bytes);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// How far a history goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The newest change.
    pub(crate) revision: Revision,
    /// The newest change that is no longer in the log.
    pub(crate) compacted: Revision,
    /// Which history it is: made with the store.
    pub(crate) history: Uuid,
}

/// The state after one commit, which does not move while it is looked at.
pub(crate) trait View {
    fn marks(&self) -> Marks;

    /// Fails for a table that was not named when the store was opened.
    fn knows(&self, table: TableName) -> Result<(), StoreError>;

    fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Whether there is such a row, without looking at it.
    fn has(&self, table: TableName, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(table, key)?.is_some())
    }

    /// At most `limit` rows of a range that is not empty, from its start or from its end.
    fn scan(
        &self,
        table: TableName,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// How many rows a range that is not empty has, counted up to `most`.
    fn count(&self, table: TableName, range: &KeyRange, most: usize) -> Result<usize, StoreError>;

    /// The log after a revision, oldest first.
    fn log(&self, after: Revision, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// The oldest changes after a revision: as few as come to one of the numbers of `wanted`.
    fn log_part(&self, after: Revision, wanted: LogPart) -> Result<LogPart, StoreError>;

    /// When a change was committed, if it is still in the log.
    fn logged_at(&self, revision: Revision) -> Result<Option<Timestamp>, StoreError>;
}

/// A run of changes in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogPart {
    /// How many they are.
    pub(crate) changes: u64,
    /// How many bytes their keys and records have.
    pub(crate) bytes: u64,
}

impl LogPart {
    /// The first of these sizes that come to one of the numbers of `wanted`, or all.
    pub(crate) fn of<E>(sizes: impl IntoIterator<Item = Result<u64, E>>, wanted: Self) -> Result<Self, E> {
        let mut part = Self::default();
        let mut sizes = sizes.into_iter();
        while part.changes < wanted.changes && part.bytes < wanted.bytes {
            let Some(size) = sizes.next() else { break };
            part = Self { changes: part.changes + 1, bytes: part.bytes + size? };
        }
        Ok(part)
    }
}

/// What one commit changes, all of it or nothing.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) writes: Overlay,
    /// In the order of their revisions, which follow the engine's newest without a gap.
    pub(crate) changes: Vec<Arc<Change>>,
    pub(crate) at: Timestamp,
    /// Drop the log up to and including this revision.
    pub(crate) compact_to: Option<Revision>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.compact_to.is_none()
    }
}

/// Why a batch was not begun or not committed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Nothing of it is there; the next batch may well succeed.
    Refused(StoreError),
    /// Nobody knows what is on the disk. No further batch may be tried.
    Unknown(StoreError),
}

/// The readers' side of an engine.
pub(crate) trait Engine: Send + Sync {
    /// Calls `look` exactly once, with the newest state or with a view that only fails.
    fn read(&self, look: &mut dyn FnMut(&dyn View));

    /// Whether all sealed records have the first key's wrapping.
    fn is_resealed(&self) -> bool {
        true
    }

    /// No more reading and writing after this; what is open is closed, what is locked is released.
    fn close(&self);
}

/// The writer's side of an engine. Owned by the one writer thread.
pub(crate) trait Writer: Send {
    /// Starts looking at the newest state; held until `commit` or `abandon`.
    fn begin(&mut self) -> Result<(), CommitError>;

    /// Calls `look` exactly once, with the state `begin` found.
    fn read(&self, look: &mut dyn FnMut(&dyn View));

    /// Makes the batch durable, then visible.
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError>;

    /// Ends what `begin` started without a change.
    fn abandon(&mut self);
}

/// Stands in for a state that could not be opened: every look at it gives the error.
pub(crate) struct FailedView {
    pub(crate) error: StoreError,
    pub(crate) marks: Marks,
}

impl View for FailedView {
    fn marks(&self) -> Marks {
        self.marks
    }

    fn knows(&self, _: TableName) -> Result<(), StoreError> {
        Err(self.error.clone())
    }

    fn get(&self, _: TableName, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Err(self.error.clone())
    }

    fn scan(&self, _: TableName, _: &KeyRange, _: Order, _: usize) -> Result<Vec<Row>, StoreError> {
        Err(self.error.clone())
    }

    fn count(&self, _: TableName, _: &KeyRange, _: usize) -> Result<usize, StoreError> {
        Err(self.error.clone())
    }

    fn log(&self, _: Revision, _: usize) -> Result<Vec<Change>, StoreError> {
        Err(self.error.clone())
    }

    fn log_part(&self, _: Revision, _: LogPart) -> Result<LogPart, StoreError> {
        Err(self.error.clone())
    }

    fn logged_at(&self, _: Revision) -> Result<Option<Timestamp>, StoreError> {
        Err(self.error.clone())
    }
}
