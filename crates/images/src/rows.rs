//! Reading rows, inside a writing transaction or outside; and the numbers of repositories.

use pierhead_api::core::Namespace;
use pierhead_api::{Object as _, from_slice};
use pierhead_oci::Digest;
use pierhead_store::{Key, KeyRange, OBJECTS, ObjectKey, ReadTx, Record, StoreError, Table, WriteTx};

use crate::tables::{
    HEADS, HELD, HeadRecord, LINKS, LinkRecord, REPOSITORIES, REPOSITORY_NAMES, RepositoryId, RepositoryName,
    RepositoryRecord, SEQUENCES,
};

/// No limit, for ranges that are bounded by what they belong to.
pub(crate) const ALL: usize = i32::MAX as usize;

/// What reading and writing transactions both can do.
pub(crate) trait Rows {
    fn row<K: Key, R: Record>(&self, table: &Table<K, R>, key: &K) -> Result<Option<R>, StoreError>;

    fn has_row<K: Key, R>(&self, table: &Table<K, R>, key: &K) -> Result<bool, StoreError>;

    fn rows<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError>;

    /// The last rows of a range, last first.
    fn rows_reverse<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError>;

    fn head(&self, namespace: &str, name: &str) -> Result<Option<HeadRecord>, StoreError> {
        self.row(&HEADS, &stream_key(namespace, name))
    }

    fn repository(&self, namespace: &str, name: &str) -> Result<Option<RepositoryId>, StoreError> {
        Ok(self.row(&REPOSITORIES, &stream_key(namespace, name))?.map(|record| record.id))
    }

    fn link(&self, repository: RepositoryId, digest: &Digest) -> Result<Option<LinkRecord>, StoreError> {
        self.row(&LINKS, &(repository, digest.to_key()))
    }

    fn holds(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, StoreError> {
        self.has_row(&HELD, &(repository, digest.to_key()))
    }
}

impl Rows for ReadTx<'_> {
    fn row<K: Key, R: Record>(&self, table: &Table<K, R>, key: &K) -> Result<Option<R>, StoreError> {
        self.get(table, key)
    }

    fn has_row<K: Key, R>(&self, table: &Table<K, R>, key: &K) -> Result<bool, StoreError> {
        self.has(table, key)
    }

    fn rows<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        self.scan(table, range, limit)
    }

    fn rows_reverse<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        self.scan_reverse(table, range, limit)
    }
}

impl Rows for WriteTx<'_> {
    fn row<K: Key, R: Record>(&self, table: &Table<K, R>, key: &K) -> Result<Option<R>, StoreError> {
        self.get(table, key)
    }

    fn has_row<K: Key, R>(&self, table: &Table<K, R>, key: &K) -> Result<bool, StoreError> {
        self.has(table, key)
    }

    fn rows<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        self.scan(table, range, limit)
    }

    fn rows_reverse<K: Key, R: Record>(
        &self,
        table: &Table<K, R>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, R)>, StoreError> {
        self.scan_reverse(table, range, limit)
    }
}

/// How many streams a namespace has.
pub fn count_streams(tx: &WriteTx<'_>, namespace: &str) -> Result<usize, StoreError> {
    Ok(tx.rows(&HEADS, &KeyRange::prefix(&namespace), ALL)?.len())
}

/// Whether `namespace` is there and not being deleted.
pub(crate) fn takes_streams(rows: &impl Rows, namespace: &str) -> Result<bool, StoreError> {
    let key = ObjectKey::new(Namespace::PLURAL, "", namespace);
    let record = rows.row(&OBJECTS, &key)?;
    let read = record.and_then(|record| from_slice::<Namespace>(&record.0).ok());
    Ok(read.is_some_and(|namespace| !namespace.is_terminating()))
}

pub(crate) fn stream_key(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

/// The repository's number; a new one if it has none yet.
pub(crate) fn obtain_repository(
    tx: &mut WriteTx<'_>,
    namespace: &str,
    name: &str,
) -> Result<RepositoryId, StoreError> {
    if let Some(id) = tx.repository(namespace, name)? {
        return Ok(id);
    }
    let key = "repositories".to_owned();
    let mut sequence = tx.row(&SEQUENCES, &key)?.unwrap_or_default();
    sequence.last += 1;
    tx.put(&SEQUENCES, &key, &sequence)?;
    let id = sequence.last;
    tx.put(&REPOSITORIES, &stream_key(namespace, name), &RepositoryRecord { id })?;
    let names = RepositoryName { namespace: namespace.to_owned(), name: name.to_owned() };
    tx.put(&REPOSITORY_NAMES, &id, &names)?;
    Ok(id)
}
