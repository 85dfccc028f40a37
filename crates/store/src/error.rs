//! What can go wrong in a store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::key::CorruptKey;
use crate::record::RecordError;
use crate::revision::Revision;

/// The cause an engine gives, shared because one failed commit fails every write of its group.
pub type EngineError = Arc<dyn std::error::Error + Send + Sync>;

/// A store that cannot be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("{path} is in use by another process; only one may open it at a time")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A file or directory of the store cannot be made or opened.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// File locks and memory maps cannot be trusted there.
    #[error("{path} is on a network file system ({kind}); the metadata store needs a local one")]
    NetworkFileSystem {
        /// The directory of the store.
        path: PathBuf,
        /// Which one.
        kind: &'static str,
    },
    /// A store was here, and its database is gone. Starting empty would hide the loss.
    #[error(
        "{path} is missing or empty although a store was made here; restore it from a backup, \
         or remove the whole directory to start from nothing"
    )]
    Vanished {
        /// The database file.
        path: PathBuf,
    },
    /// The file is a database of something else, or of a later release.
    #[error("{path} is not a store this release can open: {found}")]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// The linked engine has a known defect that corrupts data.
    #[error("SQLite {found} is refused: versions before 3.51.3 can corrupt the write-ahead log")]
    EngineTooOld {
        /// The linked version.
        found: &'static str,
    },
    /// A table name with letters that are not allowed.
    #[error("`{name}` is not a table name: only a-z, 0-9 and _ are allowed")]
    BadTableName {
        /// The declared name.
        name: &'static str,
    },
    /// The table was not named when the store was opened.
    #[error("the table `{name}` was not named when the store was opened")]
    UnknownTable {
        /// Its name.
        name: String,
    },
    /// A key column holds bytes that are no key of the table.
    #[error("a key of the table `{table}` cannot be read")]
    CorruptKey {
        /// The table's name.
        table: &'static str,
        /// Why.
        #[source]
        source: CorruptKey,
    },
    /// A record cannot be read or written.
    #[error("a record of the table `{table}` cannot be read or written")]
    CorruptRecord {
        /// The table's name.
        table: &'static str,
        /// Why.
        #[source]
        source: Arc<RecordError>,
    },
    /// The database is sealed with a key that was not given, or not this one.
    #[error(
        "{path} is sealed with the key {key}, which is not among the given ones; \
         name the file that has it, or what is sealed is lost"
    )]
    SealKeyMissing {
        /// The database file.
        path: PathBuf,
        /// The key's name.
        key: String,
    },
    /// A record cannot be unsealed: it was changed on the disk, moved to another row, or its key is gone.
    #[error("a record of the table `{table}` cannot be unsealed")]
    Sealed {
        /// The table's name.
        table: String,
    },
    /// A change in the log holds a record that cannot be unsealed.
    #[error("the change {revision} cannot be unsealed")]
    SealedChange {
        /// Which one.
        revision: Revision,
    },
    /// There is no room on the disk. Nothing was written, reading goes on, and writing does once there is room.
    #[error("the disk is full")]
    Full,
    /// The engine failed.
    #[error("cannot {action}")]
    Engine {
        /// What was tried, as a verb.
        action: &'static str,
        /// What the engine said.
        #[source]
        source: EngineError,
    },
    /// The closure panicked. What it had written was dropped; others were not touched.
    #[error("a write was abandoned because its code panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// A commit failed before, so nobody can say what is on the disk. The process must end and recover.
    #[error("the store does not take writes since a commit failed; the process must restart")]
    Poisoned,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether there is no room on the disk, which whoever asked may be told.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Changes that cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChangesError {
    /// The log no longer reaches back that far, or not past one that cannot be read: read the current state and go on
    /// from there.
    #[error("changes up to revision {oldest} are no longer kept")]
    Compacted {
        /// The oldest revision one may still ask the changes after.
        oldest: Revision,
    },
    /// Reading the log failed.
    #[error("reading the change log")]
    Store(#[source] StoreError),
}

impl From<StoreError> for ChangesError {
    fn from(error: StoreError) -> Self {
        match error {
            // One record that was damaged must not end every watch of every kind for as long as the log is kept.
            StoreError::SealedChange { revision } => Self::Compacted { oldest: revision },
            error => Self::Store(error),
        }
    }
}
