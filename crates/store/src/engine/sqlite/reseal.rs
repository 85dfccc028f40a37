//! Which keys the database is sealed with, and giving its records the first one's wrapping.
//!
//! Owns the table `seals`: one row for every key that some record may be wrapped by, so that a key that is missing is
//! missed when the database is opened and not when a record is read. A record that another key wraps, or none, is
//! rewritten in small transactions beside the writer; what is done shows in the records themselves, so whoever is
//! interrupted goes on where they were. What was clear on the disk is sealed before anybody is served, and what deleted
//! rows left behind is wiped then.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::engine::sqlite::pool::Pool;
use crate::engine::sqlite::{failed, open};
use crate::error::StoreError;
use crate::key::KeyRange;
use crate::seal::{SealKeyError, Sealing, is_sealed};

/// Stands in `seals` for records that no key wraps.
const CLEAR: &str = "clear";
/// Stands in `seals` for the rows that are sealed.
const ROWS: &str = "rows";
/// Proves that a key is the one of its name.
const PROOF: &[u8] = b"pierhead";
/// Rows rewritten in one transaction: the writer waits for it.
const STEP: usize = 100;
/// Rows of the change log that are looked at in one go.
const LOG_STEP: i64 = 5_000;
/// Beside a writer, each step is followed by a rest of so many times what it took: the writer looks for the lock only now
/// and then, and would not find it free between two steps.
const REST: u32 = 4;
const REST_WITHIN: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(200);
const AFTER_FAILURE: Duration = Duration::from_secs(5);

fn sealed(error: SealKeyError) -> StoreError {
    StoreError::Engine { action: "seal a record", source: Arc::new(error) }
}

/// Refuses a database that is sealed with a key that is not among the given ones, and notes the first one, which will
/// be used from now on. Says whether there is something to rewrite.
pub(super) fn check(
    connection: &Connection,
    sealing: Option<&Sealing>,
    database: &Path,
) -> Result<bool, StoreError> {
    let read = || -> Result<Vec<(String, Vec<u8>)>, rusqlite::Error> {
        let mut statement = connection.prepare("SELECT key_id, proof FROM seals")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let seals = read().map_err(|source| failed("read which keys the database is sealed with", source))?;
    let used = || seals.iter().filter(|(name, _)| name != CLEAR && name != ROWS);
    let missing = |name: &str| StoreError::SealKeyMissing { path: database.to_owned(), key: name.to_owned() };
    let Some(sealing) = sealing else {
        return used().next().map_or(Ok(false), |(name, _)| Err(missing(name)));
    };
    for (name, proof) in used() {
        let proven = sealing.unseal("seals", name.as_bytes(), proof);
        if !sealing.knows(name) || proven.as_deref() != Some(PROOF) {
            return Err(missing(name));
        }
    }
    let first = sealing.first().name();
    let note = || -> Result<(), NoteError> {
        let transaction = connection.unchecked_transaction()?;
        let known = seals.iter().find(|(name, _)| name == ROWS).map(|(_, rows)| rows.as_slice());
        let (rows, has_new) = rows_beside(known, sealing);
        if (seals.is_empty() || has_new) && holds_something(&transaction, sealing)? {
            transaction.execute("INSERT OR IGNORE INTO seals (key_id, proof) VALUES (?1, x'')", [CLEAR])?;
        }
        transaction
            .execute("INSERT OR REPLACE INTO seals (key_id, proof) VALUES (?1, ?2)", params![ROWS, rows])?;
        let proof = sealing.seal("seals", first.as_bytes(), PROOF)?;
        transaction
            .execute("INSERT OR IGNORE INTO seals (key_id, proof) VALUES (?1, ?2)", params![first, proof])?;
        Ok(transaction.commit()?)
    };
    note().map_err(NoteError::into_store_error)?;
    Ok(names(connection)?.iter().any(|name| *name != first && name != ROWS))
}

/// The rows that are sealed from now on, in the form in which they are noted, and whether some of them were not before;
/// a database that does not say has all of them sealed. What was sealed once is not noted as clear.
fn rows_beside(known: Option<&[u8]>, sealing: &Sealing) -> (Vec<u8>, bool) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let own = sealing.sealed_rows().iter();
    let own: BTreeSet<String> =
        own.map(|(table, prefix)| format!("{} {}\n", table.as_str(), hex(prefix))).collect();
    let known = known.map(|known| String::from_utf8_lossy(known).into_owned());
    let has_new = known.as_ref().is_some_and(|known| own.iter().any(|row| !known.contains(row.as_str())));
    (own.into_iter().collect::<String>().into_bytes(), has_new)
}

/// Either of two libraries.
#[derive(Debug)]
enum NoteError {
    Database(rusqlite::Error),
    Seal(SealKeyError),
}

impl From<rusqlite::Error> for NoteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SealKeyError> for NoteError {
    fn from(error: SealKeyError) -> Self {
        Self::Seal(error)
    }
}

impl NoteError {
    fn into_store_error(self) -> StoreError {
        match self {
            Self::Database(source) => failed("seal records anew", source),
            Self::Seal(error) => sealed(error),
        }
    }
}

/// Whether there is a row that should be sealed, or was before it was deleted.
fn holds_something(connection: &Connection, sealing: &Sealing) -> Result<bool, rusqlite::Error> {
    let logged: Option<()> =
        connection.query_row("SELECT 1 FROM change_log LIMIT 1", [], |_| Ok(())).optional()?;
    if logged.is_some() {
        return Ok(true);
    }
    for (table, _) in sealing.sealed_rows() {
        let sql = format!("SELECT 1 FROM t_{} LIMIT 1", table.as_str());
        if connection.query_row(&sql, [], |_| Ok(())).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn names(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let read = || -> Result<Vec<String>, rusqlite::Error> {
        connection.prepare("SELECT key_id FROM seals")?.query_map([], |row| row.get(0))?.collect()
    };
    read().map_err(|source| failed("read which keys the database is sealed with", source))
}

/// Whether something is on the disk that no key wraps.
pub(super) fn has_clear(connection: &Connection) -> Result<bool, StoreError> {
    Ok(names(connection)?.iter().any(|name| name == CLEAR))
}

/// Rewrites what the first key does not wrap, one transaction at a time.
pub(super) struct Resealer<'a> {
    connection: &'a Connection,
    sealing: &'a Sealing,
    /// Whom it writes beside; nobody before the database is open.
    pool: Option<&'a Pool>,
    head: Vec<u8>,
    rewritten: u64,
    /// About how much longer the step makes the log.
    step_bytes: u64,
}

impl<'a> Resealer<'a> {
    fn new(connection: &'a Connection, sealing: &'a Sealing, pool: Option<&'a Pool>) -> Self {
        Self { connection, sealing, pool, head: sealing.head().to_vec(), rewritten: 0, step_bytes: 0 }
    }

    /// Rewrites everything and notes that no other key is needed any more; stops where `stop` says so. Gives how many
    /// rows were rewritten, or nothing where it was stopped.
    pub(super) fn run(mut self, stop: &AtomicBool) -> Result<Option<u64>, StoreError> {
        let rows: Vec<(String, KeyRange)> = self
            .sealing
            .sealed_rows()
            .iter()
            .map(|(table, prefix)| (table.as_str().to_owned(), KeyRange::of_prefix(prefix.clone())))
            .collect();
        for (table, range) in &rows {
            let mut after = range.start().to_vec();
            while let Some(last) = self.table_step(table, range, &after)? {
                after = last;
                if stop.load(Ordering::Acquire) {
                    return Ok(None);
                }
            }
        }
        let mut after = 0;
        while let Some(last) = self.log_step(after)? {
            after = last;
            if stop.load(Ordering::Acquire) {
                return Ok(None);
            }
        }
        let done = "DELETE FROM seals WHERE key_id NOT IN (?1, ?2, ?3)";
        self.in_transaction(|resealer| {
            let first = resealer.sealing.first().name();
            Ok(resealer.connection.execute(done, [first.as_str(), CLEAR, ROWS]).map(drop)?)
        })?;
        Ok(Some(self.rewritten))
    }

    /// The next rows of a table, from `after` on; where to go on, if there may be more.
    fn table_step(
        &mut self,
        table: &str,
        range: &KeyRange,
        after: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (connection, limit) = (self.connection, i64::try_from(STEP).unwrap_or(i64::MAX));
        let below = range.end().map_or("", |_| "AND key < ?4");
        let find = || -> Result<Vec<Vec<u8>>, rusqlite::Error> {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT key FROM t_{table} WHERE key >= ?1 AND substr(value, 1, length(?2)) <> ?2 {below}
                 ORDER BY key LIMIT ?3"
            ))?;
            let key = |row: &rusqlite::Row<'_>| row.get(0);
            match range.end() {
                Some(end) => statement.query_map(params![after, self.head, limit, end], key)?.collect(),
                None => statement.query_map(params![after, self.head, limit], key)?.collect(),
            }
        };
        let keys = find().map_err(|source| failed("look for records to seal", source))?;
        let Some(last) = keys.last().cloned() else { return Ok(None) };
        let get = format!("SELECT value FROM t_{table} WHERE key = ?1");
        let put = format!("UPDATE t_{table} SET value = ?2 WHERE key = ?1");
        self.in_transaction(|resealer| {
            for key in &keys {
                let found: Option<Vec<u8>> =
                    connection.prepare_cached(&get)?.query_row([key], |row| row.get(0)).optional()?;
                // It may be gone by now, or written anew.
                let Some(value) = found else { continue };
                if let Some(value) = resealer.again(table, key, &value)? {
                    connection.prepare_cached(&put)?.execute(params![key, value])?;
                }
            }
            Ok(())
        })?;
        Ok((keys.len() == STEP).then_some(last))
    }

    /// The next stretch of the change log after a revision; where to go on, if there may be more.
    fn log_step(&mut self, after: i64) -> Result<Option<i64>, StoreError> {
        let connection = self.connection;
        let stretch = || -> Result<(Option<i64>, Vec<i64>), rusqlite::Error> {
            let mut statement = connection.prepare_cached(
                "SELECT revision, table_name, key,
                    (value IS NOT NULL AND substr(value, 1, length(?2)) <> ?2)
                    OR (previous IS NOT NULL AND substr(previous, 1, length(?2)) <> ?2)
                 FROM change_log WHERE revision > ?1 ORDER BY revision LIMIT ?3",
            )?;
            let mut rows = statement.query(params![after, self.head, LOG_STEP])?;
            let (mut last, mut found, mut seen) = (None, Vec::new(), 0);
            while let Some(row) = rows.next()? {
                seen += 1;
                let revision: i64 = row.get(0)?;
                last = (seen == LOG_STEP).then_some(revision);
                let (table, key) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?);
                if row.get::<_, bool>(3)? && self.sealing.covers(table, key) {
                    found.push(revision);
                    if found.len() == STEP {
                        last = Some(revision);
                        break;
                    }
                }
            }
            Ok((last, found))
        };
        let (next, found) = stretch().map_err(|source| failed("look for changes to seal", source))?;
        let get = "SELECT table_name, key, value, previous FROM change_log WHERE revision = ?1";
        let put = "UPDATE change_log SET value = ?2, previous = ?3 WHERE revision = ?1";
        type Row = (String, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);
        if !found.is_empty() {
            self.in_transaction(|resealer| {
                for revision in &found {
                    let columns = |row: &rusqlite::Row<'_>| -> Result<Row, rusqlite::Error> {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                    };
                    let row = connection.prepare_cached(get)?.query_row([revision], columns).optional()?;
                    let Some((table, key, value, previous)) = row else { continue };
                    let mut again = |old: Option<Vec<u8>>| -> Result<Option<Vec<u8>>, NoteError> {
                        let Some(old) = old else { return Ok(None) };
                        Ok(Some(resealer.again(&table, &key, &old)?.unwrap_or(old)))
                    };
                    let (value, previous) = (again(value)?, again(previous)?);
                    connection.prepare_cached(put)?.execute(params![revision, value, previous])?;
                }
                Ok(())
            })?;
        }
        Ok(next)
    }

    fn in_transaction(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), NoteError>,
    ) -> Result<(), StoreError> {
        let alone = self.pool.map(Pool::append_alone);
        let began = Instant::now();
        self.step_bytes = 0;
        let connection = self.connection;
        let run = |sql: &str| connection.execute_batch(sql).map_err(NoteError::from);
        let done = run("BEGIN IMMEDIATE").and_then(|()| work(self)).and_then(|()| run("COMMIT"));
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            warn!(%error, "Taking back a step of sealing failed: {error}");
        }
        if let Some(pool) = self.pool
            && done.is_ok()
        {
            pool.mark_stale(self.step_bytes);
        }
        drop(alone);
        if self.pool.is_some() {
            let rest = began.elapsed() * REST;
            thread::sleep(rest.clamp(*REST_WITHIN.start(), *REST_WITHIN.end()));
        }
        done.map_err(NoteError::into_store_error)
    }

    /// The record in the first key's wrapping; nothing where it has that already, or cannot be read, which whoever
    /// needs it is told.
    fn again(&mut self, table: &str, key: &[u8], record: &[u8]) -> Result<Option<Vec<u8>>, NoteError> {
        if record.starts_with(&self.head) {
            return Ok(None);
        }
        let unsealed;
        let clear = if is_sealed(record) {
            let Some(opened) = self.sealing.unseal(table, key, record) else {
                warn!(table, "A sealed record cannot be unsealed, and stays as it is");
                return Ok(None);
            };
            unsealed = opened;
            unsealed.as_slice()
        } else {
            record
        };
        let again = self.sealing.seal(table, key, clear)?;
        self.rewritten += 1;
        // The record's page, and at worst one above it.
        self.step_bytes += u64::try_from(again.len()).unwrap_or(u64::MAX) + 2 * open::PAGE_BYTES;
        Ok(Some(again))
    }
}

/// Seals what is clear on the disk, and wipes what rows that are gone left behind. Takes as long as it takes: nobody is
/// served before.
pub(super) fn seal_clear(connection: &Connection, sealing: &Sealing) -> Result<(), StoreError> {
    info!("Sealing what an older release stored in the clear; this happens once");
    let rows = Resealer::new(connection, sealing, None).run(&AtomicBool::new(false))?.unwrap_or_default();
    let wipe = || -> Result<(), rusqlite::Error> {
        // The copy this makes is as large as the database: not in memory. All that goes into it is sealed by now.
        connection.execute_batch(
            "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY",
        )?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.execute("DELETE FROM seals WHERE key_id = ?1", [CLEAR]).map(drop)
    };
    wipe().map_err(|source| failed("wipe what was stored in the clear", source))?;
    info!(rows, "Sealed {rows} rows");
    Ok(())
}

/// The thread that rewrites in the background; dropping it stops it after the step it is at.
pub(super) struct Background {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: AtomicBool,
    waiting: (Mutex<()>, Condvar),
}

impl Background {
    pub(super) fn start(pool: Arc<Pool>, sealing: Arc<Sealing>) -> Result<Self, StoreError> {
        let connection = open::connect(pool.database())?;
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("store-seal".into())
            .spawn(move || rewrite(&connection, &pool, &sealing, &stopped))
            .map_err(|source| StoreError::Engine {
                action: "start the sealing thread",
                source: Arc::new(source),
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Whether all is done.
    pub(super) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.stopped.store(true, Ordering::Release);
        drop(self.stop.waiting.0.lock());
        self.stop.waiting.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook.
            drop(thread.join());
        }
    }
}

fn rewrite(connection: &Connection, pool: &Pool, sealing: &Sealing, stop: &Stop) {
    info!(key = sealing.first().name(), "Sealing all records with the first key");
    loop {
        match Resealer::new(connection, sealing, Some(pool)).run(&stop.stopped) {
            Ok(Some(rows)) => {
                info!(rows, "Sealed {rows} rows with the first key; no other key is needed any more");
                return;
            }
            Ok(None) => return,
            Err(error) => warn!(%error, "Sealing records with another key failed; trying again"),
        }
        let mut waiting = stop.waiting.0.lock();
        if !stop.stopped.load(Ordering::Acquire) {
            stop.waiting.1.wait_for(&mut waiting, AFTER_FAILURE);
        }
        if stop.stopped.load(Ordering::Acquire) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::Resealer;
    use crate::engine::sqlite::pool::Pool;
    use crate::engine::sqlite::statements::Statements;
    use crate::engine::sqlite::{checkpoint, open};
    use crate::seal::{SealKey, Sealing};

    /// It would write zeros over what the step has just put there.
    #[test]
    fn nobody_makes_the_file_of_the_log_longer_during_a_step() {
        let directory = tempfile::tempdir().unwrap();
        let opened = open::open(directory.path(), &[], None).unwrap();
        let pool = Pool::new(opened.database, Arc::new(Statements::new(&[], None)), opened.marks);
        let background = open::connect(pool.database()).unwrap();
        let sealing = Sealing::new(SealKey::generate().unwrap(), Vec::new());
        thread::scope(|scope| {
            let (done, is_done) = mpsc::channel();
            let (writer, pool) = (opened.connection, &pool);
            let mut early = None;
            let step = Resealer::new(&background, &sealing, Some(pool)).in_transaction(|step| {
                scope.spawn(move || done.send(checkpoint::look_after_log(&writer, pool)));
                early = is_done.recv_timeout(Duration::from_millis(100)).ok();
                step.connection.execute("UPDATE marks SET revision = 7", [])?;
                Ok(())
            });
            step.unwrap();
            assert!(early.is_none(), "looked after while the step was on");
            is_done.recv().unwrap().unwrap();
        });
    }
}
