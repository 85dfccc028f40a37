//! Typed names of tables, and typed views of what happened to them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::StoreError;
use crate::key::Key;
use crate::record::Record;
use crate::revision::Revision;

/// A table's name and whether its changes are logged: what a store must know to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    pub(crate) name: &'static str,
    pub(crate) logged: bool,
    pub(crate) remembered: bool,
}

impl TableName {
    /// The name as it was declared.
    pub const fn as_str(&self) -> &'static str {
        self.name
    }
}

/// A table of the store: keys of type `K` in their order, each with one record of type `R`.
///
/// Declare it once, as a `static`, in the crate that owns it, and give [`Table::name`] to `Store::open`.
pub struct Table<K, R> {
    name: TableName,
    holds: PhantomData<fn() -> (K, R)>,
}

impl<K, R> Table<K, R> {
    /// A table whose every change gets a revision and a row in the change log.
    ///
    /// The name is made of lower-case letters, digits and `_`; opening a store refuses others.
    pub const fn logged(name: &'static str) -> Self {
        Self { name: TableName { name, logged: true, remembered: false }, holds: PhantomData }
    }

    /// A table whose changes are durable and atomic with the rest, but told to nobody.
    pub const fn silent(name: &'static str) -> Self {
        Self { name: TableName { name, logged: false, remembered: false }, holds: PhantomData }
    }

    /// A silent table of which `Store::read_at` can show how it was: as long as the process runs, the store knows what
    /// the newest changes replaced.
    pub const fn remembered(name: &'static str) -> Self {
        Self { name: TableName { name, logged: false, remembered: true }, holds: PhantomData }
    }

    /// What `Store::open` wants to know.
    pub const fn name(&self) -> TableName {
        self.name
    }
}

impl<K: Key, R: Record> Table<K, R> {
    /// The change with its types, or `None` when it happened to another table.
    pub fn change(&self, change: &Change) -> Option<Result<TypedChange<K, R>, StoreError>> {
        (*change.table == *self.name.name).then(|| self.typed(change))
    }

    fn typed(&self, change: &Change) -> Result<TypedChange<K, R>, StoreError> {
        let record = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| self.record(bytes)).transpose();
        Ok(TypedChange {
            key: self.key(&change.key)?,
            value: record(&change.value)?,
            previous: record(&change.previous)?,
        })
    }

    pub(crate) fn key(&self, bytes: &[u8]) -> Result<K, StoreError> {
        K::decode(bytes).map_err(|source| StoreError::CorruptKey { table: self.name.name, source })
    }

    pub(crate) fn record(&self, bytes: &Bytes) -> Result<R, StoreError> {
        R::decode(bytes)
            .map_err(|source| StoreError::CorruptRecord { table: self.name.name, source: Arc::new(source) })
    }
}

impl<K, R> fmt::Debug for Table<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.name.name).finish()
    }
}

/// One row of the change log: what one revision did.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The number of this change; its neighbours in the log have the neighbouring numbers.
    pub revision: Revision,
    /// The name of the table it happened to.
    pub table: Arc<str>,
    /// The encoded key.
    pub key: Bytes,
    /// The encoded record after the change; `None` after a deletion.
    pub value: Option<Bytes>,
    /// The encoded record before the change; `None` before a creation.
    pub previous: Option<Bytes>,
}

impl Change {
    /// How many bytes of keys and records the change holds.
    pub(crate) fn size(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        self.key.len() + length(&self.value) + length(&self.previous)
    }
}

/// Records may hold secrets, so only their sizes are shown.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("revision", &self.revision.number())
            .field("table", &self.table)
            .field("key", &self.key)
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .field("previous_bytes", &self.previous.as_ref().map(Bytes::len))
            .finish()
    }
}

/// A [`Change`] decoded by the table it happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedChange<K, R> {
    /// Which row changed.
    pub key: K,
    /// The record after the change; `None` after a deletion.
    pub value: Option<R>,
    /// The record before the change; `None` before a creation.
    pub previous: Option<R>,
}
