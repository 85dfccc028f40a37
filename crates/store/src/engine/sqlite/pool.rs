//! Read-only connections, each looking at one committed state for as long as that is the newest.
//!
//! Opening and closing a read transaction costs more than the look-up itself, so a connection keeps the state
//! it looks at until a commit makes it stale. A connection that waits in the pool must not keep the log from
//! being moved into the database; the checkpoint lets go of all of them first.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OpenFlags};

use crate::engine::Marks;
use crate::engine::sqlite::failed;
use crate::engine::sqlite::statements::{self, SqliteView, Statements};
use crate::error::StoreError;

/// At least and at most so many connections are kept when nobody reads; within that, as many as can read at once on this
/// machine. More are opened when more read, and closed after that.
const KEPT_IDLE: RangeInclusive<usize> = 4..=64;
const CACHE_KIB: i64 = 8_192;

struct Connected {
    connection: Connection,
    /// The state looked at: which commit it was, and how far the history went.
    state: Option<(u64, Marks)>,
}

impl Connected {
    fn let_go(&mut self) -> Result<(), StoreError> {
        if self.state.take().is_some() {
            statements::run(&self.connection, "COMMIT").map_err(|source| failed("end a read", source))?;
        }
        Ok(())
    }
}

enum Idle {
    Open(Vec<Connected>),
    Closed,
}

/// The connections that nobody uses right now.
pub(super) struct Pool {
    database: PathBuf,
    statements: Arc<Statements>,
    /// Counts commits, those that logged nothing included, and whatever else makes states stale.
    commits: AtomicU64,
    unmoved: AtomicU64,
    marks_at_start: Marks,
    idle: Mutex<Idle>,
    kept_idle: usize,
    /// Held by whoever makes the log longer beside the writer's own transactions: the sealing thread for a step, the
    /// writer while it looks after the log's file. Taken before the engine's locks, never while those are held.
    appending: Mutex<()>,
}

impl Pool {
    pub(super) fn new(database: PathBuf, statements: Arc<Statements>, marks_at_start: Marks) -> Self {
        let idle = Mutex::new(Idle::Open(Vec::new()));
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            database,
            statements,
            commits: AtomicU64::new(0),
            // What the last run left in the log is unknown; it is moved once there is something to move.
            unmoved: AtomicU64::new(0),
            marks_at_start,
            idle,
            kept_idle: processors.clamp(*KEPT_IDLE.start(), *KEPT_IDLE.end()),
            appending: Mutex::new(()),
        }
    }

    pub(super) fn database(&self) -> &PathBuf {
        &self.database
    }

    /// Nobody else makes the log or its file longer until this is dropped.
    pub(super) fn append_alone(&self) -> MutexGuard<'_, ()> {
        self.appending.lock()
    }

    pub(super) fn marks_at_start(&self) -> Marks {
        self.marks_at_start
    }

    /// Something was committed: states looked at until now are no longer the newest. `bytes` is about how
    /// much longer it made the write-ahead log.
    pub(super) fn mark_stale(&self, bytes: u64) {
        self.unmoved.fetch_add(bytes, Ordering::AcqRel);
        self.commits.fetch_add(1, Ordering::AcqRel);
    }

    /// About how much of the log is not in the database yet.
    pub(super) fn unmoved(&self) -> u64 {
        self.unmoved.load(Ordering::Acquire)
    }

    pub(super) fn mark_moved(&self, bytes: u64) {
        // The writer and the background may both have moved the same bytes.
        let subtract = |unmoved: u64| Some(unmoved.saturating_sub(bytes));
        self.unmoved.fetch_update(Ordering::AcqRel, Ordering::Acquire, subtract).ok();
    }

    /// A connection that looks at the newest state, until it is dropped.
    pub(super) fn take(&self) -> Result<Reader<'_>, StoreError> {
        let waiting = match &mut *self.idle.lock() {
            Idle::Open(connections) => connections.pop(),
            Idle::Closed => return Err(StoreError::Closed),
        };
        // Read before looking: a state may be newer than the count says, never older.
        let newest = self.commits.load(Ordering::Acquire);
        if let Some(mut connected) = waiting {
            if let Some((commit, marks)) = connected.state
                && commit == newest
            {
                return Ok(Reader { pool: self, connected: Some(connected), marks });
            }
            connected.let_go()?;
            return self.look(connected.connection, newest);
        }
        self.look(self.connect()?, newest)
    }

    fn look(&self, connection: Connection, commit: u64) -> Result<Reader<'_>, StoreError> {
        statements::run(&connection, "BEGIN").map_err(|source| failed("begin a read", source))?;
        let marks = statements::marks(&connection)?;
        let connected = Connected { connection, state: Some((commit, marks)) };
        Ok(Reader { pool: self, connected: Some(connected), marks })
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.database, flags)?;
            connection.execute_batch(&format!(
                "PRAGMA mmap_size = 0; PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1;
                 PRAGMA query_only = 1; PRAGMA busy_timeout = 10000; PRAGMA cache_size = -{CACHE_KIB}"
            ))?;
            Ok(connection)
        };
        let connection = open().map_err(|source| failed("open the database for reading", source))?;
        self.statements.prepare_for(&connection);
        Ok(connection)
    }

    fn give_back(&self, mut connected: Connected) {
        let is_stale =
            connected.state.is_some_and(|(commit, _)| commit != self.commits.load(Ordering::Acquire));
        if is_stale && connected.let_go().is_err() {
            return;
        }
        if let Idle::Open(connections) = &mut *self.idle.lock()
            && connections.len() < self.kept_idle
        {
            connections.push(connected);
        }
    }

    /// Makes connections let go of the states they look at: those that wait now, those in use when they are
    /// given back.
    pub(super) fn release_states(&self) {
        self.commits.fetch_add(1, Ordering::AcqRel);
        if let Idle::Open(connections) = &mut *self.idle.lock() {
            connections.retain_mut(|connected| connected.let_go().is_ok());
        }
    }

    /// Closes waiting connections now and others when they come back.
    pub(super) fn close(&self) {
        drop(std::mem::replace(&mut *self.idle.lock(), Idle::Closed));
    }
}

/// A connection in use; dropping it gives it back.
pub(super) struct Reader<'a> {
    pool: &'a Pool,
    connected: Option<Connected>,
    marks: Marks,
}

impl Reader<'_> {
    pub(super) fn view(&self) -> SqliteView<'_> {
        let connected = self.connected.as_ref().expect("only dropping takes the connection");
        SqliteView::new(&connected.connection, &self.pool.statements, self.marks)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connected) = self.connected.take() {
            self.pool.give_back(connected);
        }
    }
}
