//! Transactional metadata: ordered tables of versioned records, one global revision, and a change log.
//!
//! Owns tables, keys, records, transactions, revisions and the log that watches read. The only crate that
//! names the database engine: above [`Store`] nobody can tell SQLite from memory, and one conformance suite
//! holds both to that. What records mean belongs to the crates that declare the tables; here is only the
//! table of API objects, [`objects::OBJECTS`], because several crates share it.
//!
//! ```
//! use pierhead_runtime::SystemClock;
//! use pierhead_store::{Store, StoreError, Table};
//!
//! static SHIPS: Table<(String, u64), ()> = Table::logged("ships");
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let store = Store::memory(SystemClock::shared());
//! let key = ("argo".to_owned(), 7);
//! store.write(move |tx| tx.put(&SHIPS, &key, &())).await?;
//! assert_eq!(store.revision().number(), 1);
//! # Ok::<(), StoreError>(())
//! # }).unwrap();
//! ```

mod engine;
mod error;
mod interest;
mod key;
pub mod objects;
mod overlay;
mod past;
mod published;
mod record;
mod retention;
mod revision;
mod ring;
mod seal;
mod store;
mod table;
mod transaction;
mod writer;

pub use error::{ChangesError, EngineError, StoreError};
pub use interest::Subscription;
pub use key::{CorruptKey, Key, KeyPart, KeyPrefix, KeyRange};
pub use objects::{OBJECTS, ObjectKey, ObjectRecord};
pub use record::{FirstVersion, JsonRecord, Record, RecordError};
pub use revision::Revision;
pub use seal::{SealKey, SealKeyError, Sealing};
pub use store::Store;
pub use table::{Change, Table, TableName, TypedChange};
pub use transaction::{ReadTx, WriteTx};
