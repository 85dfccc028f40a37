//! States that were: what is now, with what was replaced since laid over it.
//!
//! Owns looking back. For logged tables the change log says what was replaced; for those that are not told to anybody
//! and yet belong to what is listed, the process remembers it, bounded by count and by bytes. Nobody needs more: a list
//! goes on soon after it began, and one that an earlier process began does not go on.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::engine::{LogPart, Marks, Order, Row, View};
use crate::error::{ChangesError, StoreError};
use crate::key::KeyRange;
use crate::overlay::{self, Overlay};
use crate::published::Published;
use crate::revision::Revision;
use crate::table::{Change, TableName};

/// Logged changes that are looked back over at most.
const FARTHEST: u64 = 50_000;
/// Changes read from the log at once.
const STEP: usize = 1_000;
const MOST_ROWS: usize = 65_536;
const MOST_BYTES: usize = 16 << 20;

/// A row of a table that is not logged, as it was before a write.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) table: TableName,
    pub(crate) key: Bytes,
    pub(crate) previous: Option<Bytes>,
    /// The newest change when the write ended. States of earlier revisions are without it.
    pub(crate) by: Revision,
}

impl Replaced {
    fn size(&self) -> usize {
        self.key.len() + self.previous.as_ref().map_or(0, Bytes::len)
    }
}

/// The rows that were replaced last, oldest first.
pub(crate) struct Memory {
    rows: VecDeque<Replaced>,
    bytes: usize,
    /// Nothing that was replaced by later writes is missing.
    complete_after: Revision,
}

impl Memory {
    /// For a store whose writes up to `revision` nobody remembers.
    pub(crate) fn new(revision: Revision) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, complete_after: revision }
    }

    /// Adds rows. What a commit replaces is added before it is seen; where it then fails, the rows are as they were.
    pub(crate) fn extend(&mut self, newer: Vec<Replaced>) {
        for row in newer {
            self.bytes += row.size();
            self.rows.push_back(row);
        }
        while self.rows.len() > MOST_ROWS || self.bytes > MOST_BYTES {
            let Some(dropped) = self.rows.pop_front() else { break };
            self.bytes -= dropped.size();
            self.complete_after = self.complete_after.max(dropped.by);
        }
    }

    /// Lays over `before` the rows of `tables` that later writes than `at` replaced.
    fn recall(&self, at: Revision, tables: &[TableName], before: &mut Overlay) -> Result<(), ChangesError> {
        if at < self.complete_after {
            return Err(ChangesError::Compacted { oldest: self.complete_after });
        }
        let from = self.rows.partition_point(|row| row.by <= at);
        for row in self.rows.range(from..).filter(|row| tables.contains(&row.table)) {
            before.keep(row.table, &row.key, row.previous.as_ref());
        }
        Ok(())
    }
}

/// A state of the store as some tables were at an earlier revision.
pub(crate) struct Past<'a> {
    view: &'a dyn View,
    before: Overlay,
    at: Revision,
}

impl<'a> Past<'a> {
    /// Looks back from `view`.
    pub(crate) fn of(
        view: &'a dyn View,
        at: Revision,
        tables: &[TableName],
        published: &Published,
    ) -> Result<Self, ChangesError> {
        let Marks { revision: now, compacted, .. } = view.marks();
        let oldest = compacted.max(Revision::new(now.number().saturating_sub(FARTHEST)));
        if at < oldest {
            return Err(ChangesError::Compacted { oldest });
        }
        let (mut before, mut reached) = (Overlay::default(), at);
        while reached < now {
            // What this state has and nobody was told of yet is in the log with it.
            let told = published.recent(reached, STEP).filter(|changes| !changes.is_empty());
            let changes = match told {
                Some(changes) => changes,
                None => view.log(reached, STEP)?.into_iter().map(Arc::new).collect(),
            };
            let Some(last) = changes.last() else { break };
            reached = last.revision;
            for change in changes.iter().filter(|change| change.revision <= now) {
                if let Some(table) = tables.iter().find(|table| *table.name == *change.table) {
                    before.keep(*table, &change.key, change.previous.as_ref());
                }
            }
        }
        if at < now && tables.iter().any(|table| table.remembered) {
            published.memory().recall(at, tables, &mut before)?;
        }
        Ok(Self { view, before, at: at.min(now) })
    }
}

impl View for Past<'_> {
    fn marks(&self) -> Marks {
        Marks { revision: self.at, ..self.view.marks() }
    }

    fn knows(&self, table: TableName) -> Result<(), StoreError> {
        self.view.knows(table)
    }

    fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.before.get(table, key).map_or_else(|| self.view.get(table, key), Ok)
    }

    fn scan(
        &self,
        table: TableName,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        overlay::scan(self.view, &[&self.before], table, range, order, limit)
    }

    fn count(&self, table: TableName, range: &KeyRange, most: usize) -> Result<usize, StoreError> {
        Ok(self.scan(table, range, Order::Ascending, most)?.len())
    }

    fn log(&self, after: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.view.log(after, limit)
    }

    fn log_part(&self, after: Revision, wanted: LogPart) -> Result<LogPart, StoreError> {
        self.view.log_part(after, wanted)
    }

    fn logged_at(&self, revision: Revision) -> Result<Option<Timestamp>, StoreError> {
        self.view.logged_at(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_BYTES, MOST_ROWS, Memory, Overlay, Replaced};
    use crate::revision::Revision;
    use crate::table::{Table, TableName};
    use bytes::Bytes;

    const TAGS: TableName = Table::<String, ()>::remembered("tags").name();
    const OTHERS: TableName = Table::<String, ()>::remembered("others").name();

    fn row(table: TableName, by: u64, previous: &'static [u8]) -> Replaced {
        let previous = Some(Bytes::from_static(previous));
        Replaced { table, key: Bytes::from_static(b"key"), previous, by: Revision::new(by) }
    }

    #[test]
    fn the_oldest_row_after_a_revision_is_how_it_was() {
        let mut memory = Memory::new(Revision::new(3));
        memory.extend(vec![row(TAGS, 4, b"first"), row(TAGS, 6, b"second"), row(OTHERS, 6, b"other")]);
        let check = |at: u64, expected: Result<Option<&'static [u8]>, ()>| {
            let mut before = Overlay::default();
            let recalled = memory.recall(Revision::new(at), &[TAGS], &mut before);
            let found = before.get(TAGS, b"key").flatten();
            assert_eq!(recalled.map(|()| found).ok(), expected.ok().map(|text| text.map(Bytes::from_static)));
            assert!(before.get(OTHERS, b"key").is_none());
        };
        check(2, Err(()));
        check(3, Ok(Some(b"first")));
        check(4, Ok(Some(b"second")));
        check(5, Ok(Some(b"second")));
        check(6, Ok(None));
    }

    #[test]
    fn what_is_forgotten_is_not_told() {
        let mut memory = Memory::new(Revision::ZERO);
        let of = |by: u64, bytes: usize| Replaced {
            table: TAGS,
            key: Bytes::new(),
            previous: Some(Bytes::from(vec![0; bytes])),
            by: Revision::new(by),
        };
        memory.extend((1..=MOST_ROWS as u64 + 1).map(|by| of(by, 0)).collect());
        let recall = |memory: &Memory, at: u64| {
            memory.recall(Revision::new(at), &[TAGS], &mut Overlay::default()).is_ok()
        };
        assert_eq!((recall(&memory, 0), recall(&memory, 1)), (false, true));
        memory.extend(vec![of(70_000, MOST_BYTES), of(70_001, 1)]);
        assert_eq!((recall(&memory, 69_999), recall(&memory, 70_000)), (false, true));
        assert_eq!((memory.rows.len(), memory.bytes), (1, 1));
    }
}
