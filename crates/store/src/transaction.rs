//! What code sees of a store: a snapshot to read, or a snapshot with its own writes over it.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::engine::{Order, Row, View};
use crate::error::StoreError;
use crate::key::{Key, KeyRange};
use crate::overlay::{self, Overlay};
use crate::past::Replaced;
use crate::record::Record;
use crate::revision::Revision;
use crate::table::{Change, Table, TableName};

/// A consistent state of the store, to be read quickly and let go.
pub struct ReadTx<'a> {
    view: &'a dyn View,
}

impl<'a> ReadTx<'a> {
    pub(crate) fn new(view: &'a dyn View) -> Self {
        Self { view }
    }

    /// The newest change this state contains.
    pub fn revision(&self) -> Revision {
        self.view.marks().revision
    }

    /// Which history the revision counts in.
    pub fn history(&self) -> Uuid {
        self.view.marks().history
    }

    /// The record of a key.
    pub fn get<K: Key, R: Record>(&self, table: &Table<K, R>, key: &K) -> Result<Option<R>, StoreError> {
        let found = self.view.get(table.name(), &encode_key(key))?;
        found.map(|bytes| table.record(&bytes)).transpose()
    }

    /// Whether a key has a record, which is not read.
    pub fn has<K: Key, R>(&self, table: &Table<K, R>, key: &K) -> Result<bool, StoreError> {
        self.view.has(table.name(), &encode_key(key))
    }

    /// The first rows of a range, in the order of their keys.
    pub fn scan<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        decode_rows(table, self.rows(table.name(), range, Order::Ascending, limit)?)
    }

    /// The last rows of a range, last first.
    pub fn scan_reverse<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        decode_rows(table, self.rows(table.name(), range, Order::Descending, limit)?)
    }

    /// How many rows a range has, counted up to `most`. Costs time in proportion to them.
    pub fn count<K, R>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        most: usize,
    ) -> Result<usize, StoreError> {
        if range.is_empty() { Ok(0) } else { self.view.count(table.name(), range, most) }
    }

    fn rows(
        &self,
        table: TableName,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        self.view.scan(table, range, order, limit)
    }
}

/// The state a write starts from, with what it has written so far.
///
/// Everything written takes effect together when the closure returns `Ok`, and not at all when it does not.
pub struct WriteTx<'a> {
    view: &'a dyn View,
    /// What earlier writes of the same group did.
    group: &'a Overlay,
    own: Overlay,
    changes: Vec<Arc<Change>>,
    replaced: Vec<Replaced>,
    newest: Revision,
    compact_to: Option<Revision>,
}

/// What a write that succeeded leaves for its group.
pub(crate) struct Written {
    pub(crate) writes: Overlay,
    pub(crate) changes: Vec<Arc<Change>>,
    pub(crate) replaced: Vec<Replaced>,
    pub(crate) compact_to: Option<Revision>,
}

impl<'a> WriteTx<'a> {
    pub(crate) fn new(view: &'a dyn View, group: &'a Overlay, newest: Revision) -> Self {
        let (changes, replaced) = (Vec::new(), Vec::new());
        Self { view, group, own: Overlay::default(), changes, replaced, newest, compact_to: None }
    }

    pub(crate) fn finish(mut self) -> Written {
        for row in &mut self.replaced {
            row.by = self.newest;
        }
        Written {
            writes: self.own,
            changes: self.changes,
            replaced: self.replaced,
            compact_to: self.compact_to,
        }
    }

    pub(crate) fn request_compaction(&mut self, to: Revision) {
        let marks = self.view.marks();
        let to = to.min(marks.revision);
        if to > marks.compacted {
            self.compact_to = Some(to);
        }
    }

    /// The newest change so far, those of this write included.
    pub fn revision(&self) -> Revision {
        self.newest
    }

    /// The revision the next logged put or delete will get, so that a record can contain its own.
    pub fn next_revision(&self) -> Revision {
        self.newest.next()
    }

    /// Which history the revisions count in.
    pub fn history(&self) -> Uuid {
        self.view.marks().history
    }

    /// The record of a key.
    pub fn get<K: Key, R: Record>(&self, table: &Table<K, R>, key: &K) -> Result<Option<R>, StoreError> {
        let found = self.current(table.name(), &encode_key(key))?;
        found.map(|bytes| table.record(&bytes)).transpose()
    }

    /// Whether a key has a record, which is not read.
    pub fn has<K: Key, R>(&self, table: &Table<K, R>, key: &K) -> Result<bool, StoreError> {
        let key = encode_key(key);
        match self.own.get(table.name(), &key).or_else(|| self.group.get(table.name(), &key)) {
            Some(written) => Ok(written.is_some()),
            None => self.view.has(table.name(), &key),
        }
    }

    /// The first rows of a range, in the order of their keys.
    pub fn scan<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        decode_rows(table, self.rows(table.name(), range, Order::Ascending, limit)?)
    }

    /// The last rows of a range, last first.
    pub fn scan_reverse<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        decode_rows(table, self.rows(table.name(), range, Order::Descending, limit)?)
    }

    /// Creates or replaces a row. Gives the revision of the change if the table is logged.
    pub fn put<K: Key, R: Record>(
        &mut self,
        table: &Table<K, R>,
        key: &K,
        record: &R,
    ) -> Result<Option<Revision>, StoreError> {
        let mut value = Vec::new();
        record.encode(&mut value).map_err(|source| StoreError::CorruptRecord {
            table: table.name().name,
            source: Arc::new(source),
        })?;
        let key = Bytes::from(encode_key(key));
        if table.name().logged {
            let previous = self.current(table.name(), &key)?;
            Ok(Some(self.change(table.name(), key, Some(value.into()), previous)))
        } else {
            self.view.knows(table.name())?;
            if table.name().remembered {
                let previous = self.current(table.name(), &key)?;
                self.remember(table.name(), &key, previous);
            }
            self.own.set(table.name(), key, Some(value.into()));
            Ok(None)
        }
    }

    /// Removes a row, and says whether it was there. Removing nothing is not a change.
    pub fn delete<K: Key, R>(&mut self, table: &Table<K, R>, key: &K) -> Result<bool, StoreError> {
        let key = Bytes::from(encode_key(key));
        let Some(previous) = self.current(table.name(), &key)? else {
            return Ok(false);
        };
        if table.name().logged {
            self.change(table.name(), key, None, Some(previous));
        } else {
            self.remember(table.name(), &key, Some(previous));
            self.own.set(table.name(), key, None);
        }
        Ok(true)
    }

    fn remember(&mut self, table: TableName, key: &Bytes, previous: Option<Bytes>) {
        if table.remembered {
            self.replaced.push(Replaced { table, key: key.clone(), previous, by: self.newest });
        }
    }

    fn change(
        &mut self,
        table: TableName,
        key: Bytes,
        value: Option<Bytes>,
        previous: Option<Bytes>,
    ) -> Revision {
        self.own.set(table, key.clone(), value.clone());
        self.newest = self.newest.next();
        let change = Change { revision: self.newest, table: Arc::from(table.name), key, value, previous };
        self.changes.push(Arc::new(change));
        self.newest
    }

    fn current(&self, table: TableName, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.own.get(table, key).or_else(|| self.group.get(table, key)) {
            Some(written) => Ok(written),
            None => self.view.get(table, key),
        }
    }

    fn rows(
        &self,
        table: TableName,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        overlay::scan(self.view, &[self.group, &self.own], table, range, order, limit)
    }
}

fn encode_key(key: &impl Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    key.encode(&mut bytes);
    bytes
}

fn decode_rows<K: Key, R: Record>(table: &Table<K, R>, rows: Vec<Row>) -> Result<Vec<(K, R)>, StoreError> {
    rows.into_iter().map(|(key, value)| Ok((table.key(&key)?, table.record(&value)?))).collect()
}
