//! Moving committed pages from the write-ahead log into the database, away from the writer.
//!
//! A commit that does this itself waits for it; so SQLite's own trigger is off and a thread of ours does it,
//! without stopping anybody. Only when the log has grown far too large does the writer wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tracing::{debug, warn};

use crate::engine::sqlite::pool::Pool;
use crate::engine::sqlite::{failed, open};
use crate::error::StoreError;
use crate::published::Published;

const EVERY: Duration = Duration::from_millis(500);
/// Below this it is not worth the disk's time.
const WORTH_BYTES: u64 = 4 << 20;
/// From here on the writer waits for the log to be moved.
const MOST_BYTES: u64 = 256 << 20;

fn log_bytes(database: &Path) -> u64 {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    PathBuf::from(path).metadata().map_or(0, |metadata| metadata.len())
}

/// Moves everything before the next write if the log is larger than it may be.
pub(super) fn hold_back_if_large(connection: &Connection, pool: &Pool) -> Result<(), StoreError> {
    let bytes = log_bytes(pool.database());
    if bytes < MOST_BYTES {
        return Ok(());
    }
    warn!(bytes, "The write-ahead log has grown to {bytes} bytes; writing waits until it is moved");
    pool.release_idle();
    checkpoint(connection, "TRUNCATE").map(|_| ())
}

/// How many pages the log has, and how many of them are in the database.
fn checkpoint(connection: &Connection, mode: &str) -> Result<(i64, i64), StoreError> {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(1)?, row.get(2)?)))
        .map_err(|source| failed("move the write-ahead log into the database", source))
}

/// The thread; dropping it stops it after what it is doing.
pub(super) struct Checkpoints {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(pool: Arc<Pool>, published: Arc<Published>) -> Result<Self, StoreError> {
        let connection = open::connect(pool.database())?;
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || run(&connection, &pool, &published, &stopped))
            .map_err(|source| StoreError::Engine {
                action: "start the checkpoint thread",
                source: Arc::new(source),
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook.
            drop(thread.join());
        }
    }
}

fn run(connection: &Connection, pool: &Pool, published: &Published, stop: &(Mutex<bool>, Condvar)) {
    let mut moved_before = 0;
    loop {
        {
            let mut stopped = stop.0.lock();
            if !*stopped {
                stop.1.wait_for(&mut stopped, EVERY);
            }
            if *stopped {
                return;
            }
        }
        // The file does not shrink when its pages were moved, so its size alone does not say what is left.
        if published.is_poisoned() || log_bytes(pool.database()) < WORTH_BYTES {
            continue;
        }
        if !pool.committed_since(&mut moved_before) {
            continue;
        }
        pool.release_idle();
        match checkpoint(connection, "PASSIVE") {
            Ok((logged, moved)) => debug!(logged, moved, "Moved {moved} of {logged} pages of the log"),
            Err(StoreError::Full) => warn!("The disk is full; the write-ahead log stays where it is for now"),
            Err(error) => published.poison(&error),
        }
    }
}
