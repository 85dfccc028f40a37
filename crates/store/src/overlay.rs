//! Writes that are not in an engine yet, or rows as they were before, laid over what is.
//!
//! A closure writes into an overlay of its own, which is dropped when it fails; what succeeded is gathered in
//! the overlay of its group, which the engine then commits as one transaction. So an engine needs no savepoints.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::engine::{Order, Row, View};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::table::TableName;

/// The newest value of every row written; `None` where the row was deleted.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    tables: BTreeMap<TableName, BTreeMap<Bytes, Option<Bytes>>>,
    bytes: usize,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// How many bytes of keys and values were written, those overwritten since included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn set(&mut self, table: TableName, key: Bytes, value: Option<Bytes>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        self.tables.entry(table).or_default().insert(key, value);
    }

    /// Sets a row that is not known yet.
    pub(crate) fn keep(&mut self, table: TableName, key: &Bytes, value: Option<&Bytes>) {
        let rows = self.tables.entry(table).or_default();
        if !rows.contains_key(key) {
            rows.insert(key.clone(), value.cloned());
        }
    }

    /// The outer option says whether this overlay knows the row.
    pub(crate) fn get(&self, table: TableName, key: &[u8]) -> Option<Option<Bytes>> {
        self.tables.get(&table)?.get(key).cloned()
    }

    pub(crate) fn absorb(&mut self, later: Self) {
        self.bytes += later.bytes;
        for (table, rows) in later.tables {
            self.tables.entry(table).or_default().extend(rows);
        }
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = (TableName, &BTreeMap<Bytes, Option<Bytes>>)> {
        self.tables.iter().map(|(table, rows)| (*table, rows))
    }

    fn range<'a>(
        &'a self,
        table: TableName,
        range: &'a KeyRange,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> {
        let end = range.end().map_or(Bound::Unbounded, Bound::Excluded);
        self.tables
            .get(&table)
            .into_iter()
            .flat_map(move |rows| rows.range::<[u8], _>((Bound::Included(range.start()), end)))
    }
}

/// The rows of `range` as `view` has them after `layers`, oldest layer first, were applied.
pub(crate) fn scan(
    view: &dyn View,
    layers: &[&Overlay],
    table: TableName,
    range: &KeyRange,
    order: Order,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    if range.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let touched: usize = layers.iter().map(|layer| layer.range(table, range).count()).sum();
    // Layers can hide at most `touched` rows, so these are enough to fill the page whatever they hide.
    let rows = view.scan(table, range, order, limit.saturating_add(touched))?;
    if touched == 0 {
        return Ok(rows);
    }
    let mut merged: BTreeMap<Bytes, Bytes> = rows.into_iter().collect();
    for layer in layers {
        for (key, value) in layer.range(table, range) {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
    }
    Ok(match order {
        Order::Ascending => merged.into_iter().take(limit).collect(),
        Order::Descending => merged.into_iter().rev().take(limit).collect(),
    })
}
