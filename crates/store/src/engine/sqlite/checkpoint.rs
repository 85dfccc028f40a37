//! Moving committed pages from the write-ahead log into the database, away from the writer.
//!
//! A commit that does this itself waits for it; so SQLite's own trigger is off and a thread of ours does it,
//! without stopping anybody. The log starts over, instead of growing, when a write begins while all of it is
//! moved and no reader looks into it; under constant load that moment does not come by itself, so from some
//! size on the writer makes it.
//!
//! The log's file is longer than the log: a commit that overwrites bytes syncs nothing but them, one that makes the
//! file longer syncs the file's description as well. What lies behind the log's end are zeros or frames of an earlier
//! round, which no reader takes for frames of this one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, Row};
use tracing::{debug, warn};

use crate::engine::sqlite::pool::Pool;
use crate::engine::sqlite::{failed, open};
use crate::error::StoreError;
use crate::published::Published;

const EVERY: Duration = Duration::from_millis(500);
/// Less than this is moved only now and then.
const WORTH_BYTES: u64 = 4 << 20;
const NOW_AND_THEN: u32 = 60;
/// From here on the writer sees to it that the log starts over.
const MOST_BYTES: u64 = 64 << 20;
/// How much may be written before the writer looks at the log again.
pub(super) const LOOK_AFTER_BYTES: u64 = 1 << 20;
/// With less than this behind the log's end the file is made longer, by twice as much.
const AHEAD_BYTES: u64 = 2 << 20;
/// The log's file is cut to this when the log starts over.
pub(super) const KEPT_BYTES: u64 = MOST_BYTES + 4 * AHEAD_BYTES;
const FRAME_BYTES: u64 = 24 + open::PAGE_BYTES;
const ZEROS: &[u8] = &[0; 256 * 1024];
/// A read takes far less; one whose thread gets no turn may not let the log grow for ever.
const WAIT_FOR_READERS: Duration = Duration::from_millis(200);
/// From twice the size on, where a short wait did not help.
const LONG_WAIT_FOR_READERS: Duration = Duration::from_secs(2);

/// Called now and then before a write begins: looks to it that the log neither grows without end nor reaches the end of
/// its file. Zeros are written behind that end without a lock of the engine's, so the sealing thread must be kept out.
pub(super) fn look_after_log(connection: &Connection, pool: &Pool) -> Result<(), StoreError> {
    let _alone = pool.append_alone();
    let frames = run_checkpoint(connection, "NOOP")?.map_or(0, |progress| progress.logged);
    let bytes = frames * FRAME_BYTES;
    if bytes >= MOST_BYTES {
        return start_over(connection, pool, bytes);
    }
    let mut log = pool.database().as_os_str().to_owned();
    log.push("-wal");
    if let Err(error) = lengthen(Path::new(&log), bytes) {
        debug!(%error, "The write-ahead log could not be made longer in advance: {error}");
    }
    Ok(())
}

/// Everything can be moved; it waits for readers that still look into the log, which takes as long as a read does, and
/// new ones do not look there.
fn start_over(connection: &Connection, pool: &Pool, bytes: u64) -> Result<(), StoreError> {
    debug!(bytes, "The write-ahead log has grown to {bytes} bytes; starting over");
    pool.release_states();
    let wait = |time| connection.busy_timeout(time).map_err(|source| failed("set how long to wait", source));
    wait(if bytes < 2 * MOST_BYTES { WAIT_FOR_READERS } else { LONG_WAIT_FOR_READERS })?;
    let moved = checkpoint(connection, pool, "RESTART");
    wait(open::BUSY_TIMEOUT)?;
    moved.map(drop)
}

/// Writes zeros behind the end of the file if the log, of which there are `used` bytes, comes near it. What was not
/// possible is taken back.
fn lengthen(log: &Path, used: u64) -> io::Result<()> {
    let file = File::options().write(true).open(log)?;
    let length = file.metadata()?.len();
    if length >= used + AHEAD_BYTES {
        return Ok(());
    }
    let mut at = length;
    while at < used + 2 * AHEAD_BYTES {
        match file.write_at(ZEROS, at) {
            Ok(0) => return file.set_len(length),
            Ok(written) => at += written as u64,
            Err(error) => {
                file.set_len(length)?;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// How much of the log is in the database, in pages.
#[derive(Clone, Copy, Debug)]
struct Progress {
    logged: u64,
    moved: u64,
}

/// Moves pages, unless another connection does.
fn checkpoint(connection: &Connection, pool: &Pool, mode: &str) -> Result<Option<Progress>, StoreError> {
    let unmoved = pool.unmoved();
    let progress = run_checkpoint(connection, mode)?;
    if progress.is_some_and(|progress| progress.moved >= progress.logged) {
        pool.mark_moved(unmoved);
    }
    Ok(progress)
}

/// `None` when another connection is at it: then the engine says -1 of everything.
fn run_checkpoint(connection: &Connection, mode: &str) -> Result<Option<Progress>, StoreError> {
    let progress = |row: &Row<'_>| {
        let (logged, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        let pages = u64::try_from(logged).ok().zip(u64::try_from(moved).ok());
        Ok(pages.map(|(logged, moved)| Progress { logged, moved }))
    };
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], progress)
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
    let mut rounds: u32 = 0;
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
        rounds = rounds.wrapping_add(1);
        let unmoved = pool.unmoved();
        let is_worth_it = unmoved >= WORTH_BYTES || (unmoved > 0 && rounds.is_multiple_of(NOW_AND_THEN));
        if !is_worth_it || published.is_poisoned() {
            continue;
        }
        // Before, so that nobody keeps an old state; after, so that the next write finds nobody in the log.
        pool.release_states();
        match checkpoint(connection, pool, "PASSIVE") {
            Ok(Some(Progress { logged, moved })) => {
                debug!(logged, moved, "Moved {moved} of {logged} pages of the log");
            }
            Ok(None) => debug!("The writer is moving the log"),
            Err(StoreError::Full) => warn!("The disk is full; the write-ahead log stays where it is for now"),
            Err(error) => published.poison(&error),
        }
        pool.release_states();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use rusqlite::Connection;

    use super::{checkpoint, run_checkpoint};
    use crate::engine::sqlite::open;
    use crate::engine::sqlite::pool::Pool;
    use crate::engine::sqlite::statements::Statements;

    fn pool(directory: &Path) -> (Pool, Connection) {
        let opened = open::open(directory, &[], None).unwrap();
        let pool = Pool::new(opened.database, Arc::new(Statements::new(&[], None)), opened.marks);
        (pool, opened.connection)
    }

    #[test]
    fn a_checkpoint_that_another_one_keeps_out_moved_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (pool, writer) = pool(directory.path());
        let [reader, background] = [(); 2].map(|()| open::connect(pool.database()).unwrap());
        reader.execute_batch("BEGIN; SELECT * FROM marks").unwrap();
        writer.execute_batch("UPDATE marks SET revision = 7").unwrap();
        pool.mark_stale(1_000);
        thread::scope(|scope| {
            // Once it is not kept out itself, it keeps others out until the reader is done.
            scope.spawn(move || {
                writer.busy_timeout(Duration::from_secs(60)).unwrap();
                while run_checkpoint(&writer, "RESTART").unwrap().is_none() {}
            });
            while run_checkpoint(&background, "PASSIVE").unwrap().is_some() {
                thread::yield_now();
            }
            assert!(checkpoint(&background, &pool, "PASSIVE").unwrap().is_none());
            assert_eq!(pool.unmoved(), 1_000);
            reader.execute_batch("COMMIT").unwrap();
        });
        let progress = checkpoint(&background, &pool, "PASSIVE").unwrap().unwrap();
        assert_eq!((progress.moved, pool.unmoved()), (progress.logged, 0));
    }
}
