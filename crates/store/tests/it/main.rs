//! What every engine of the store must do, and what only the one on disk does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod conformance;
mod disk;
mod sealing;

use std::sync::Arc;

use pierhead_runtime::{ManualClock, SharedClock};
use pierhead_store::{Change, OBJECTS, ObjectKey, ObjectRecord, Revision, Store, StoreError, Table};

static SHIPS: Table<(String, u64), ObjectRecord> = Table::logged("ships");
static NOTES: Table<String, ObjectRecord> = Table::silent("notes");
static CARGO: Table<String, ObjectRecord> = Table::remembered("cargo");

fn clock() -> SharedClock {
    ManualClock::default().shared()
}

fn record(text: &str) -> ObjectRecord {
    ObjectRecord(text.to_owned().into())
}

fn ship(fleet: &str, number: u64) -> (String, u64) {
    (fleet.to_owned(), number)
}

async fn put_ship(store: &Store, fleet: &str, number: u64, text: &str) -> Revision {
    let (key, value) = (ship(fleet, number), record(text));
    let put = store.write(move |tx| tx.put(&SHIPS, &key, &value)).await;
    put.expect("the store takes writes").expect("ships are logged")
}

/// Each change as `revision key: previous -> value`.
fn described(changes: &[Arc<Change>]) -> Vec<String> {
    let text = |record: Option<ObjectRecord>| {
        record.map_or("nothing".to_owned(), |record| String::from_utf8(record.0.to_vec()).unwrap())
    };
    let described = changes.iter().map(|change| {
        let typed = SHIPS.change(change).expect("only ships changed").unwrap();
        let ((fleet, number), revision) = (typed.key, change.revision);
        format!("{revision} {fleet}/{number}: {} -> {}", text(typed.previous), text(typed.value))
    });
    described.collect()
}

fn object(name: &str) -> ObjectKey {
    ObjectKey::new("secrets", "shop", name)
}

async fn put_object(store: &Store, name: &'static str) -> Result<Option<Revision>, StoreError> {
    store.write(move |tx| tx.put(&OBJECTS, &object(name), &record(name))).await
}
