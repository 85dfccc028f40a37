//! Opening the database of a directory, and every reason not to.
//!
//! The lock file says two things: locked, that a process has the store open; not empty, that a store was made
//! here. A database that is missing where a store was made is a loss to be told, not a reason to start anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::FlockOperation;
use uuid::Uuid;

use crate::engine::Marks;
use crate::engine::sqlite::statements::{self, SCHEMA};
use crate::engine::sqlite::{checkpoint, failed, reseal};
use crate::error::StoreError;
use crate::seal::Sealing;
use crate::table::TableName;

const DATABASE: &str = "metadata.db";
const LOCK: &str = "metadata.lock";
/// `PRAGMA application_id`: "Pier".
const APPLICATION: i64 = 0x5069_6572;
/// `PRAGMA user_version`: the layout this release writes. In the first, `marks` had the newest revision after every
/// commit; since the second the log has it. In the third, records may be sealed. Releases that know only earlier ones
/// must not open it.
const LAYOUT: i64 = 3;
const OLDEST_LAYOUT: i64 = 1;
const OLDEST_ENGINE: i32 = 3_051_003;
/// How long a statement waits for another connection's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const WRITER_CACHE_KIB: i64 = 8_192;
pub(super) const PAGE_BYTES: u64 = 8_192;

/// A database that is open for writing.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) database: PathBuf,
    pub(super) connection: Connection,
    pub(super) marks: Marks,
    /// Whether another key than the first wraps some records.
    pub(super) to_reseal: bool,
}

/// Versions before 3.51.3 can corrupt the database when the log starts over (dependencies.md 9, row 5).
pub(super) fn refuse_old_engine() -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_ENGINE {
        return Err(StoreError::EngineTooOld { found: rusqlite::version() });
    }
    Ok(())
}

pub(super) fn open(
    directory: &Path,
    tables: &[TableName],
    sealing: Option<&Sealing>,
) -> Result<Opened, StoreError> {
    for table in tables {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if table.name.is_empty() || !table.name.bytes().all(allowed) {
            return Err(StoreError::BadTableName { name: table.name });
        }
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(file("make", directory))?;
    refuse_network_file_system(directory)?;
    let mut lock = lock(&directory.join(LOCK))?;
    let database = directory.join(DATABASE);
    let was_made = lock.metadata().map_err(file("read", &directory.join(LOCK)))?.len() > 0;
    let is_there = database.metadata().is_ok_and(|metadata| metadata.len() > 0);
    // A log without its database would be thrown away silently.
    let was_made = was_made || directory.join(format!("{DATABASE}-wal")).exists();
    if was_made && !is_there {
        return Err(StoreError::Vanished { path: database });
    }
    if !is_there {
        make_private(&database)?;
    }
    let connection = connect(&database)?;
    refuse_foreign(&connection, &database)?;
    let marks = migrate(&connection, tables)?;
    let mut to_reseal = reseal::check(&connection, sealing, &database)?;
    if let Some(sealing) = sealing.filter(|_| to_reseal)
        && reseal::has_clear(&connection)?
    {
        reseal::seal_clear(&connection, sealing)?;
        to_reseal = false;
    }
    if !was_made {
        // The database is on the disk with its directory entry before the lock file vouches for it.
        sync_directory(directory)?;
        let path = directory.join(LOCK);
        writeln!(lock, "{}", marks.history).and_then(|()| lock.sync_all()).map_err(file("write", &path))?;
        sync_directory(directory)?;
    }
    Ok(Opened { lock, database, connection, marks, to_reseal })
}

fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::File { action, path: path.to_owned(), source: Arc::new(source) }
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(file("sync", directory))
}

/// Makes an empty file only its owner can read; SQLite gives its other files the same permissions.
fn make_private(database: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(database);
    made.map(drop).map_err(file("make", database))
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    let opened = opened.map_err(file("open", path))?;
    match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(opened),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(error) => Err(file("lock", path)(error.into())),
    }
}

fn refuse_network_file_system(directory: &Path) -> Result<(), StoreError> {
    let stat = rustix::fs::statfs(directory).map_err(|error| file("examine", directory)(error.into()))?;
    // The numbers of statfs(2); their width differs between architectures.
    let kind = match u32::try_from(stat.f_type).unwrap_or(0) {
        0x6969 => "NFS",
        0xFF53_4D42 | 0xFE53_4D42 | 0x517B => "SMB",
        0x0102_1997 => "9P",
        0x00C3_6400 => "Ceph",
        _ => return Ok(()),
    };
    Err(StoreError::NetworkFileSystem { path: directory.to_owned(), kind })
}

/// Opens an existing database, or an empty file, for writing.
pub(super) fn connect(database: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(database, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // The page size can be chosen only before anything is written.
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES};
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = {};
             PRAGMA mmap_size = 0;
             PRAGMA temp_store = MEMORY;
             PRAGMA foreign_keys = 1;
             PRAGMA cell_size_check = 1;
             PRAGMA trusted_schema = 0;
             PRAGMA cache_size = -{WRITER_CACHE_KIB}",
            checkpoint::KEPT_BYTES
        ))?;
        Ok(connection)
    };
    open().map_err(|source: rusqlite::Error| match source {
        source if source.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Foreign { path: database.to_owned(), found: source.to_string() }
        }
        source => failed("open the database", source),
    })
}

fn refuse_foreign(connection: &Connection, database: &Path) -> Result<(), StoreError> {
    let number = |pragma: &str| {
        connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
            .map_err(|source| failed("read what the database is", source))
    };
    let foreign = |found: String| StoreError::Foreign { path: database.to_owned(), found };
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION, OLDEST_LAYOUT..=LAYOUT) => Ok(()),
        (APPLICATION, layout) => Err(foreign(format!("its layout is {layout}, known is {LAYOUT}"))),
        (0, 0) if number("schema_version")? == 0 => Ok(()),
        (application, _) => Err(foreign(format!("it belongs to application {application:#x}"))),
    }
}

/// Makes what is missing, in one transaction, and says how far the history goes.
fn migrate(connection: &Connection, tables: &[TableName]) -> Result<Marks, StoreError> {
    let migrate = || -> Result<(), rusqlite::Error> {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(SCHEMA)?;
        for table in tables {
            transaction.execute_batch(&statements::create_table(*table))?;
        }
        let has_marks = transaction.query_row("SELECT 1 FROM marks", [], |_| Ok(())).optional()?.is_some();
        if !has_marks {
            transaction.execute(
                "INSERT INTO marks (id, revision, compacted, history) VALUES (1, 0, 0, ?1)",
                [Uuid::new_v4().to_string()],
            )?;
        }
        transaction.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LAYOUT}"
        ))?;
        transaction.commit()
    };
    migrate().map_err(|source| failed("prepare the tables", source))?;
    statements::marks(connection)
}
