//! The schema, and every statement that reads or changes rows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use uuid::Uuid;

use crate::engine::sqlite::failed;
use crate::engine::{Batch, LogPart, Marks, Order, Row, View};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::revision::Revision;
use crate::seal::{self, Sealing};
use crate::table::{Change, TableName};

/// Tables every store has. `marks` has one row.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS marks (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        revision INTEGER NOT NULL,
        compacted INTEGER NOT NULL,
        history TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS seals (
        key_id TEXT PRIMARY KEY,
        proof BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS change_log (
        revision INTEGER PRIMARY KEY,
        logged_at INTEGER NOT NULL,
        table_name TEXT NOT NULL,
        key BLOB NOT NULL,
        value BLOB,
        previous BLOB
    );
";

/// The newest revision is that of the newest change; `marks` has it for a log that was dropped to its end.
const MARKS: &str =
    "SELECT max(revision, coalesce((SELECT max(revision) FROM change_log), 0)), compacted, history
    FROM marks WHERE id = 1";
const SET_COMPACTED: &str = "UPDATE marks SET compacted = ?1, revision = ?2 WHERE id = 1";
const ADD_CHANGE: &str = "INSERT INTO change_log (revision, logged_at, table_name, key, value, previous)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const DROP_CHANGES: &str = "DELETE FROM change_log WHERE revision <= ?1";
const LOG: &str = "SELECT revision, table_name, key, value, previous FROM change_log
    WHERE revision > ?1 ORDER BY revision LIMIT ?2";
/// Lengths are at the front of a row; what is long lies elsewhere and is not read.
const LOG_SIZES: &str = "SELECT length(key) + coalesce(length(value), 0) + coalesce(length(previous), 0)
    FROM change_log WHERE revision > ?1 ORDER BY revision";
const LOGGED_AT: &str = "SELECT logged_at FROM change_log WHERE revision = ?1";
const FIXED_STATEMENTS: usize = 12;

/// The statement that makes a table.
pub(super) fn create_table(table: TableName) -> String {
    let name = table.name;
    format!(
        "CREATE TABLE IF NOT EXISTS t_{name} (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
    )
}

/// The statements of one table.
struct TableStatements {
    /// Shared by all changes of the table that are read back from the log.
    name: Arc<str>,
    get: String,
    has: String,
    put: String,
    delete: String,
    ascending: String,
    ascending_to_end: String,
    descending: String,
    descending_from_end: String,
    count: String,
    count_to_end: String,
}

impl TableStatements {
    fn new(table: TableName) -> Self {
        let name = table.name;
        let rows =
            |columns: &str, rest: &str| format!("SELECT {columns} FROM t_{name} WHERE key >= ?1 {rest}");
        Self {
            name: Arc::from(name),
            get: format!("SELECT value FROM t_{name} WHERE key = ?1"),
            has: format!("SELECT 1 FROM t_{name} WHERE key = ?1"),
            put: format!(
                "INSERT INTO t_{name} (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            delete: format!("DELETE FROM t_{name} WHERE key = ?1"),
            ascending: rows("key, value", "AND key < ?3 ORDER BY key LIMIT ?2"),
            ascending_to_end: rows("key, value", "ORDER BY key LIMIT ?2"),
            descending: rows("key, value", "AND key < ?3 ORDER BY key DESC LIMIT ?2"),
            descending_from_end: rows("key, value", "ORDER BY key DESC LIMIT ?2"),
            count: format!("SELECT count(*) FROM ({})", rows("1", "AND key < ?3 LIMIT ?2")),
            count_to_end: format!("SELECT count(*) FROM ({})", rows("1", "LIMIT ?2")),
        }
    }
}

/// The statements of a store's tables.
pub(super) struct Statements {
    tables: HashMap<&'static str, TableStatements>,
    sealing: Option<Arc<Sealing>>,
}

/// What failed, and how.
type Failure = (&'static str, rusqlite::Error);

impl Statements {
    pub(super) fn new(tables: &[TableName], sealing: Option<Arc<Sealing>>) -> Self {
        let tables = tables.iter().map(|table| (table.name, TableStatements::new(*table))).collect();
        Self { tables, sealing }
    }

    /// A record as it goes to the disk.
    fn written<'r>(
        &self,
        table: &str,
        key: &[u8],
        record: &'r [u8],
    ) -> Result<Cow<'r, [u8]>, rusqlite::Error> {
        match self.sealing.as_deref().filter(|sealing| sealing.covers(table, key)) {
            None => Ok(Cow::Borrowed(record)),
            Some(sealing) => sealing
                .seal(table, key, record)
                .map(Cow::Owned)
                .map_err(|source| rusqlite::Error::ToSqlConversionFailure(Box::new(source))),
        }
    }

    /// A record as it was before it went to the disk.
    fn read(&self, table: &str, key: &[u8], record: Bytes) -> Result<Bytes, StoreError> {
        seal::opened(self.sealing.as_deref(), table, key, record)
    }

    /// Makes room on a connection for all of them, so that none is parsed twice.
    pub(super) fn prepare_for(&self, connection: &Connection) {
        connection.set_prepared_statement_cache_capacity(FIXED_STATEMENTS + 10 * self.tables.len());
    }

    fn of(&self, table: TableName) -> Result<&TableStatements, StoreError> {
        self.tables.get(table.name).ok_or_else(|| StoreError::UnknownTable { name: table.name.to_owned() })
    }

    /// Writes a batch inside the transaction that is open.
    pub(super) fn apply(&self, connection: &Connection, batch: &Batch, marks: Marks) -> Result<(), Failure> {
        for (table, rows) in batch.writes.tables() {
            let Some(statements) = self.tables.get(table.name) else {
                return Err(("write to a table that is not open", rusqlite::Error::InvalidQuery));
            };
            let during = |source| ("write rows", source);
            let mut put = connection.prepare_cached(&statements.put).map_err(during)?;
            let mut delete = connection.prepare_cached(&statements.delete).map_err(during)?;
            for (key, value) in rows {
                match value {
                    Some(value) => self
                        .written(table.name, key, value)
                        .and_then(|value| put.execute(params![&key[..], &value[..]])),
                    None => delete.execute([&key[..]]),
                }
                .map_err(during)?;
            }
        }
        self.log_changes(connection, batch, marks).map_err(|source| ("write the change log", source))
    }

    fn log_changes(
        &self,
        connection: &Connection,
        batch: &Batch,
        marks: Marks,
    ) -> Result<(), rusqlite::Error> {
        if !batch.changes.is_empty() {
            let mut add = connection.prepare_cached(ADD_CHANGE)?;
            let at = batch.at.as_millisecond();
            for change in &batch.changes {
                let [value, previous] = [&change.value, &change.previous].map(|record| {
                    let record = record.as_ref();
                    record.map(|record| self.written(&change.table, &change.key, record)).transpose()
                });
                let (value, previous) = (value?, previous?);
                add.execute(params![
                    number(change.revision),
                    at,
                    &*change.table,
                    &change.key[..],
                    value.as_deref(),
                    previous.as_deref()
                ])?;
            }
        }
        if let Some(compact_to) = batch.compact_to.filter(|compact_to| *compact_to > marks.compacted) {
            connection.prepare_cached(DROP_CHANGES)?.execute([number(compact_to)])?;
            let newest = batch.changes.last().map_or(marks.revision, |change| change.revision);
            connection.prepare_cached(SET_COMPACTED)?.execute([number(compact_to), number(newest)])?;
        }
        Ok(())
    }
}

/// Runs a statement without parameters and rows, which is parsed once.
pub(super) fn run(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// How far the history goes in the state the connection looks at.
pub(super) fn marks(connection: &Connection) -> Result<Marks, StoreError> {
    let read = || {
        connection.prepare_cached(MARKS)?.query_row([], |row| {
            let history: String = row.get(2)?;
            let history = Uuid::parse_str(&history).map_err(|source| {
                rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(source))
            })?;
            Ok(Marks { revision: revision(row, 0)?, compacted: revision(row, 1)?, history })
        })
    };
    read().map_err(|source| failed("read the newest revision", source))
}

/// SQLite counts to 2^63; at a million changes a second that lasts for 292 000 years.
fn number(revision: Revision) -> i64 {
    i64::try_from(revision.number()).unwrap_or(i64::MAX)
}

fn revision(row: &SqlRow<'_>, column: usize) -> Result<Revision, rusqlite::Error> {
    unsigned(row, column).map(Revision::new)
}

fn unsigned(row: &SqlRow<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).ok().ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn bytes(row: &SqlRow<'_>, column: usize) -> Result<Bytes, rusqlite::Error> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn optional_bytes(row: &SqlRow<'_>, column: usize) -> Result<Option<Bytes>, rusqlite::Error> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(Bytes::copy_from_slice(value.as_blob()?))),
    }
}

/// The state one connection looks at while its transaction is open.
pub(super) struct SqliteView<'a> {
    connection: &'a Connection,
    statements: &'a Statements,
    marks: Marks,
}

impl<'a> SqliteView<'a> {
    pub(super) fn new(connection: &'a Connection, statements: &'a Statements, marks: Marks) -> Self {
        Self { connection, statements, marks }
    }

    fn rows(&self, sql: &str, range: &KeyRange, limit: i64) -> Result<Vec<Row>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = match range.end() {
            Some(end) => statement.query(params![range.start(), limit, end]),
            None => statement.query(params![range.start(), limit]),
        }?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push((bytes(row, 0)?, bytes(row, 1)?));
        }
        Ok(rows)
    }

    fn changes(&self, after: Revision, limit: i64) -> Result<Vec<Change>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(LOG)?;
        let mut found = statement.query(params![number(after), limit])?;
        let mut changes = Vec::new();
        while let Some(row) = found.next()? {
            let name = row.get_ref(1)?.as_str()?;
            let known = self.statements.tables.get(name);
            changes.push(Change {
                revision: revision(row, 0)?,
                table: known.map_or_else(|| Arc::from(name), |known| Arc::clone(&known.name)),
                key: bytes(row, 2)?,
                value: optional_bytes(row, 3)?,
                previous: optional_bytes(row, 4)?,
            });
        }
        Ok(changes)
    }

    fn clear(&self, mut change: Change) -> Result<Change, StoreError> {
        for record in [&mut change.value, &mut change.previous] {
            if let Some(sealed) = record.take() {
                *record = Some(self.statements.read(&change.table, &change.key, sealed)?);
            }
        }
        Ok(change)
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl View for SqliteView<'_> {
    fn marks(&self) -> Marks {
        self.marks
    }

    fn knows(&self, table: TableName) -> Result<(), StoreError> {
        self.statements.of(table).map(drop)
    }

    fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let sql = &self.statements.of(table)?.get;
        let read = || self.connection.prepare_cached(sql)?.query_row([key], |row| bytes(row, 0)).optional();
        let found = read().map_err(|source| failed("read a row", source))?;
        found.map(|record| self.statements.read(table.name, key, record)).transpose()
    }

    fn has(&self, table: TableName, key: &[u8]) -> Result<bool, StoreError> {
        let sql = &self.statements.of(table)?.has;
        let read = || self.connection.prepare_cached(sql)?.exists([key]);
        read().map_err(|source| failed("look for a row", source))
    }

    fn scan(
        &self,
        table: TableName,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let statements = self.statements.of(table)?;
        let sql = match (order, range.end()) {
            (Order::Ascending, Some(_)) => &statements.ascending,
            (Order::Ascending, None) => &statements.ascending_to_end,
            (Order::Descending, Some(_)) => &statements.descending,
            (Order::Descending, None) => &statements.descending_from_end,
        };
        let rows = self.rows(sql, range, sql_limit(limit));
        let rows = rows.map_err(|source| failed("read a range of rows", source))?;
        let clear = |(key, record): Row| {
            let record = self.statements.read(table.name, &key, record)?;
            Ok((key, record))
        };
        rows.into_iter().map(clear).collect()
    }

    fn count(&self, table: TableName, range: &KeyRange, most: usize) -> Result<usize, StoreError> {
        let statements = self.statements.of(table)?;
        let (start, most) = (range.start(), sql_limit(most));
        let read = || -> Result<i64, rusqlite::Error> {
            match range.end() {
                Some(end) => self
                    .connection
                    .prepare_cached(&statements.count)?
                    .query_row(params![start, most, end], |row| row.get(0)),
                None => self
                    .connection
                    .prepare_cached(&statements.count_to_end)?
                    .query_row(params![start, most], |row| row.get(0)),
            }
        };
        let count = read().map_err(|source| failed("count rows", source))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn log(&self, after: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        let changes = self.changes(after, sql_limit(limit));
        let changes = changes.map_err(|source| failed("read the change log", source))?;
        let mut clear = Vec::with_capacity(changes.len());
        for change in changes {
            let revision = change.revision;
            match self.clear(change) {
                Ok(change) => clear.push(change),
                // What is before it can be had, and the next call begins with it.
                Err(_) if !clear.is_empty() => break,
                Err(_) => return Err(StoreError::SealedChange { revision }),
            }
        }
        Ok(clear)
    }

    fn log_part(&self, after: Revision, wanted: LogPart) -> Result<LogPart, StoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(LOG_SIZES)?;
            LogPart::of(statement.query_map([number(after)], |row| unsigned(row, 0))?, wanted)
        };
        read().map_err(|source| failed("measure the change log", source))
    }

    fn logged_at(&self, revision: Revision) -> Result<Option<Timestamp>, StoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(LOGGED_AT)?;
            statement.query_row([number(revision)], |row| row.get::<_, i64>(0)).optional()
        };
        let found = read().map_err(|source| failed("read the change log", source))?;
        Ok(found.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }
}
