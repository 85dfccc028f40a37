//! The engine on one local disk: SQLite in WAL mode, one connection that writes, a pool of those that read.
//!
//! Owns the two sides of the engine and how they share the database. Opening and refusing is in `open`,
//! statements are in `statements`, moving the log into the database is in `checkpoint`.

mod checkpoint;
mod open;
mod pool;
mod reseal;
mod statements;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use crate::engine::sqlite::checkpoint::Checkpoints;
use crate::engine::sqlite::pool::Pool;
use crate::engine::sqlite::statements::{SqliteView, Statements};
use crate::engine::{Batch, CommitError, Engine, FailedView, Marks, View, Writer};
use crate::error::StoreError;
use crate::published::Published;
use crate::seal::Sealing;
use crate::table::TableName;

/// The readers' side.
pub(crate) struct SqliteEngine {
    pool: Arc<Pool>,
    checkpoints: Mutex<Option<Checkpoints>>,
    resealing: Mutex<Option<reseal::Background>>,
    /// Held open, and so locked, as long as the store is.
    lock: Mutex<Option<File>>,
}

impl SqliteEngine {
    /// Opens or makes the database in `directory` with these tables, and gives both sides of it.
    pub(crate) fn open(
        directory: &Path,
        tables: &[TableName],
        sealing: Option<Sealing>,
    ) -> Result<(Self, SqliteWriter, Marks), StoreError> {
        open::refuse_old_engine()?;
        let sealing = sealing.map(Arc::new);
        let opened = open::open(directory, tables, sealing.as_deref())?;
        let statements = Arc::new(Statements::new(tables, sealing.clone()));
        statements.prepare_for(&opened.connection);
        let pool = Arc::new(Pool::new(opened.database, Arc::clone(&statements), opened.marks));
        let resealing = match sealing {
            Some(sealing) if opened.to_reseal => Some(reseal::Background::start(Arc::clone(&pool), sealing)?),
            _ => None,
        };
        let engine = Self {
            pool: Arc::clone(&pool),
            checkpoints: Mutex::new(None),
            resealing: Mutex::new(resealing),
            lock: Mutex::new(Some(opened.lock)),
        };
        let marks = opened.marks;
        let connection = opened.connection;
        let writer = SqliteWriter { connection, statements, pool, marks, logged_since_look: u64::MAX };
        Ok((engine, writer, marks))
    }

    /// Starts moving committed pages from the write-ahead log into the database, in the background.
    pub(crate) fn start_checkpoints(&self, published: Arc<Published>) -> Result<(), StoreError> {
        let checkpoints = Checkpoints::start(Arc::clone(&self.pool), published)?;
        *self.checkpoints.lock() = Some(checkpoints);
        Ok(())
    }
}

impl Engine for SqliteEngine {
    fn read(&self, look: &mut dyn FnMut(&dyn View)) {
        match self.pool.take() {
            Ok(reader) => look(&reader.view()),
            Err(error) => look(&FailedView { error, marks: self.pool.marks_at_start() }),
        }
    }

    fn is_resealed(&self) -> bool {
        self.resealing.lock().as_ref().is_none_or(reseal::Background::is_done)
    }

    fn close(&self) {
        drop(self.resealing.lock().take());
        drop(self.checkpoints.lock().take());
        self.pool.close();
        drop(self.lock.lock().take());
    }
}

/// The writer's side.
pub(crate) struct SqliteWriter {
    connection: Connection,
    statements: Arc<Statements>,
    pool: Arc<Pool>,
    /// As of the newest commit: nobody else writes.
    marks: Marks,
    /// About how much was written to the log since it was looked at.
    logged_since_look: u64,
}

impl Writer for SqliteWriter {
    fn begin(&mut self) -> Result<(), CommitError> {
        if self.logged_since_look >= checkpoint::LOOK_AFTER_BYTES {
            checkpoint::look_after_log(&self.connection, &self.pool).map_err(|error| {
                if error.is_full() { CommitError::Refused(error) } else { CommitError::Unknown(error) }
            })?;
            self.logged_since_look = 0;
        }
        statements::run(&self.connection, "BEGIN IMMEDIATE")
            .map_err(|source| refused_or_unknown("begin a write", source))
    }

    fn read(&self, look: &mut dyn FnMut(&dyn View)) {
        look(&SqliteView::new(&self.connection, &self.statements, self.marks));
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let written = self.statements.apply(&self.connection, batch, self.marks);
        let committed = written.and_then(|()| {
            statements::run(&self.connection, "COMMIT").map_err(|source| ("commit a write", source))
        });
        match committed {
            Ok(()) => {
                let bytes = log_growth(batch);
                self.logged_since_look = self.logged_since_look.saturating_add(bytes);
                self.marks.revision = batch.changes.last().map_or(self.marks.revision, |last| last.revision);
                self.marks.compacted = self.marks.compacted.max(batch.compact_to.unwrap_or_default());
                self.pool.mark_stale(bytes);
                Ok(())
            }
            Err((action, source)) => {
                self.abandon();
                Err(refused_or_unknown(action, source))
            }
        }
    }

    fn abandon(&mut self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            // The next begin fails on the transaction that is still open, and that poisons the store.
            tracing::error!(%error, "Taking back a write failed: {error}");
        }
    }
}

/// About how many bytes a batch adds to the write-ahead log: its rows twice, as rows and as changes, and for each
/// row a page of the table and one of the change log.
fn log_growth(batch: &Batch) -> u64 {
    let rows: usize = batch.writes.tables().map(|(_, rows)| rows.len()).sum();
    let number = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
    2 * number(batch.writes.bytes()) + open::PAGE_BYTES * number(rows + batch.changes.len())
}

/// A full disk is found before anything is synced, and a statement that fails leaves nothing behind. After
/// anything else nobody knows what the disk has, and asking it again would hide that (fsync reports once).
fn refused_or_unknown(action: &'static str, source: rusqlite::Error) -> CommitError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => CommitError::Refused(StoreError::Full),
        Some(ErrorCode::TooBig | ErrorCode::OutOfMemory | ErrorCode::DatabaseBusy) | None => {
            CommitError::Refused(failed(action, source))
        }
        Some(_) => CommitError::Unknown(failed(action, source)),
    }
}

/// An engine error with what was being done.
fn failed(action: &'static str, source: rusqlite::Error) -> StoreError {
    if source.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        return StoreError::Full;
    }
    StoreError::Engine { action, source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::SqliteEngine;
    use crate::engine::{CommitError, Writer};

    /// What a write leaves that could be neither committed nor taken back.
    #[test]
    fn a_transaction_that_stays_open_is_not_built_on() {
        let directory = tempfile::tempdir().unwrap();
        let (_engine, mut writer, _) = SqliteEngine::open(directory.path(), &[], None).unwrap();
        writer.begin().unwrap();
        let again = writer.begin();
        assert!(matches!(again, Err(CommitError::Unknown(_))), "{again:?}");
    }
}
