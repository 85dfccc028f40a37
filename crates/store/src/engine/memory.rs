//! The engine that forgets: ordered maps under one lock, for tests and throw-away runs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::RwLock;
use uuid::Uuid;

use crate::engine::{Batch, CommitError, Engine, FailedView, LogPart, Marks, Order, Row, View, Writer};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::revision::Revision;
use crate::table::{Change, TableName};

struct State {
    tables: HashMap<&'static str, BTreeMap<Bytes, Bytes>>,
    log: VecDeque<(Timestamp, Arc<Change>)>,
    marks: Marks,
    closed: bool,
}

impl State {
    fn range<'a>(
        &'a self,
        table: TableName,
        range: &'a KeyRange,
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Bytes)> {
        let end = range.end().map_or(Bound::Unbounded, Bound::Excluded);
        self.tables
            .get(table.name)
            .into_iter()
            .flat_map(move |rows| rows.range::<[u8], _>((Bound::Included(range.start()), end)))
    }

    /// Where the first change after `revision` is in the log.
    fn log_index(&self, revision: Revision) -> usize {
        let first = self.log.front().map_or(u64::MAX, |(_, change)| change.revision.number());
        usize::try_from((revision.number() + 1).saturating_sub(first)).unwrap_or(usize::MAX)
    }
}

impl View for State {
    fn marks(&self) -> Marks {
        self.marks
    }

    fn knows(&self, _: TableName) -> Result<(), StoreError> {
        Ok(())
    }

    fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.tables.get(table.name).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: TableName,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let owned = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        let rows = self.range(table, range);
        Ok(match order {
            Order::Ascending => rows.take(limit).map(owned).collect(),
            Order::Descending => rows.rev().take(limit).map(owned).collect(),
        })
    }

    fn count(&self, table: TableName, range: &KeyRange, most: usize) -> Result<usize, StoreError> {
        Ok(self.range(table, range).take(most).count())
    }

    fn log(&self, after: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        let from = self.log_index(after);
        Ok(self.log.iter().skip(from).take(limit).map(|(_, change)| Change::clone(change)).collect())
    }

    fn log_part(&self, after: Revision, wanted: LogPart) -> Result<LogPart, StoreError> {
        let sizes = self.log.iter().skip(self.log_index(after)).map(|(_, change)| Ok(change.size() as u64));
        LogPart::of(sizes, wanted)
    }

    fn logged_at(&self, revision: Revision) -> Result<Option<Timestamp>, StoreError> {
        let index = self.log.binary_search_by_key(&revision, |(_, change)| change.revision);
        Ok(index.ok().map(|index| self.log[index].0))
    }
}

/// Both sides of the engine; cloning gives the other side.
#[derive(Clone)]
pub(crate) struct MemoryEngine {
    state: Arc<RwLock<State>>,
}

impl MemoryEngine {
    pub(crate) fn new() -> Self {
        let marks = Marks { revision: Revision::ZERO, compacted: Revision::ZERO, history: Uuid::new_v4() };
        let state = State { tables: HashMap::new(), log: VecDeque::new(), marks, closed: false };
        Self { state: Arc::new(RwLock::new(state)) }
    }

    fn look(&self, look: &mut dyn FnMut(&dyn View)) {
        // Recursive: a look may start another one, and a waiting writer must not come between them.
        let state = self.state.read_recursive();
        if state.closed {
            look(&FailedView { error: StoreError::Closed, marks: state.marks });
        } else {
            look(&*state);
        }
    }
}

impl Engine for MemoryEngine {
    fn read(&self, look: &mut dyn FnMut(&dyn View)) {
        self.look(look);
    }

    fn close(&self) {
        self.state.write().closed = true;
    }
}

impl Writer for MemoryEngine {
    fn begin(&mut self) -> Result<(), CommitError> {
        Ok(())
    }

    fn read(&self, look: &mut dyn FnMut(&dyn View)) {
        // The one writer is this one, so the newest state is the one `begin` found.
        self.look(look);
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let mut state = self.state.write();
        for (table, writes) in batch.writes.tables() {
            let rows = state.tables.entry(table.name).or_default();
            for (key, value) in writes {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        state.log.extend(batch.changes.iter().map(|change| (batch.at, Arc::clone(change))));
        if let Some(newest) = batch.changes.last() {
            state.marks.revision = newest.revision;
        }
        if let Some(compact_to) = batch.compact_to {
            let dropped = state.log_index(compact_to).min(state.log.len());
            state.log.drain(..dropped);
            state.marks.compacted = compact_to;
        }
        Ok(())
    }

    fn abandon(&mut self) {}
}
