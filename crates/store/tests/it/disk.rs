//! What only the engine on disk can show: restarts, refusals, and files that are not as they were left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pierhead_store::{KeyRange, OBJECTS, Revision, Store, StoreError, Table};

use crate::{NOTES, SHIPS, clock, described, object, put_object, put_ship, record, ship};

fn open(directory: &Path) -> Result<Store, StoreError> {
    Store::open(directory, clock(), &[SHIPS.name(), NOTES.name()])
}

fn refusal(opened: Result<Store, StoreError>, directory: &Path) -> String {
    let error = opened.map(|_| ()).unwrap_err().to_string();
    error.replace(directory.to_str().unwrap(), "DIR")
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    put_ship(&store, "red", 1, "Argo").await;
    put_ship(&store, "red", 1, "Beagle").await;
    put_object(&store, "key").await.unwrap();
    let history = store.history();
    drop(store);

    let store = open(directory.path()).unwrap();
    assert_eq!((store.revision(), store.history()), (Revision::new(3), history));
    assert_eq!(store.read(|tx| tx.get(&SHIPS, &ship("red", 1))).unwrap(), Some(record("Beagle")));
    assert_eq!(store.read(|tx| tx.get(&OBJECTS, &object("key"))).unwrap(), Some(record("key")));
    // A watcher goes on where it was: the ring is empty, the log is not.
    assert_eq!(described(&store.changes(Revision::new(1), 1).unwrap()), ["2 red/1: Argo -> Beagle"]);
    assert_eq!(put_ship(&store, "red", 2, "Calypso").await, Revision::new(4));
    assert_eq!(store.changes(Revision::ZERO, 99).unwrap().len(), 4);
}

#[tokio::test]
async fn a_copy_taken_without_closing_recovers() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(directory.path()).unwrap();
    for number in 0..50 {
        put_ship(&store, "red", number, "x").await;
    }
    // What a killed process leaves: database and log as they are, the lock gone with its holder.
    for file in ["metadata.db", "metadata.db-wal", "metadata.lock"] {
        fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let recovered = open(copy.path()).unwrap();
    assert_eq!(recovered.revision(), Revision::new(50));
    assert_eq!(recovered.read(|tx| tx.count(&SHIPS, &KeyRange::all(), usize::MAX)).unwrap(), 50);
}

#[tokio::test]
async fn a_torn_end_of_the_log_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for number in 0..20 {
        put_ship(&store, "red", number, "x").await;
    }
    // The file is longer than the log, which ends with the last cell of a page.
    let log = fs::read(directory.path().join("metadata.db-wal")).unwrap();
    let end = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert!(end + (1 << 20) < log.len(), "the file is not longer than the log");
    for torn in [&log[..end - 100], &[&log[..end - 100], &[0; 4_000]].concat()] {
        let copy = tempfile::tempdir().unwrap();
        for file in ["metadata.db", "metadata.lock"] {
            fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
        }
        fs::write(copy.path().join("metadata.db-wal"), torn).unwrap();
        let recovered = open(copy.path()).unwrap();
        assert_eq!(recovered.revision(), Revision::new(19));
        assert_eq!(recovered.read(|tx| tx.count(&SHIPS, &KeyRange::all(), usize::MAX)).unwrap(), 19);
        assert_eq!(recovered.changes(Revision::new(18), 9).unwrap().len(), 1);
    }
}

#[tokio::test]
async fn only_one_may_open_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let refused = refusal(open(directory.path()), directory.path());
    assert_eq!(refused, "DIR/metadata.lock is in use by another process; only one may open it at a time");
    store.close();
    open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_lost_database_is_not_replaced_by_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    for emptied in [true, false] {
        let database = directory.path().join("metadata.db");
        if emptied {
            fs::write(&database, "").unwrap()
        } else {
            fs::remove_file(&database).unwrap()
        }
        let refused = refusal(open(directory.path()), directory.path());
        assert!(refused.starts_with("DIR/metadata.db is missing or empty although a store was made here"));
    }
}

#[tokio::test]
async fn a_log_without_its_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("metadata.db-wal"), "something").unwrap();
    let refused = refusal(open(directory.path()), directory.path());
    assert!(refused.starts_with("DIR/metadata.db is missing or empty although"), "{refused}");
}

#[tokio::test]
async fn foreign_files_are_refused() {
    let check = |make: &dyn Fn(&Path), expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        make(&directory.path().join("metadata.db"));
        let refused = refusal(open(directory.path()), directory.path());
        assert_eq!(refused, format!("DIR/metadata.db is not a store this release can open: {expected}"));
    };
    check(&|path| fs::write(path, [b'x'; 9_000]).unwrap(), "file is not a database");
    let sql = |sql: &'static str| {
        move |path: &Path| rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap()
    };
    check(&sql("CREATE TABLE cargo (id INTEGER)"), "it belongs to application 0x0");
    check(&sql("PRAGMA application_id = 7; CREATE TABLE a (b)"), "it belongs to application 0x7");
    check(
        &sql("PRAGMA application_id = 1349084530; PRAGMA user_version = 4; CREATE TABLE a (b)"),
        "its layout is 4, known is 3",
    );
}

#[tokio::test]
async fn table_names_are_checked() {
    static ODD: Table<String, ()> = Table::silent("Odd name");
    let directory = tempfile::tempdir().unwrap();
    let opened = Store::open(directory.path(), clock(), &[ODD.name()]);
    let refused = refusal(opened, directory.path());
    assert_eq!(refused, "`Odd name` is not a table name: only a-z, 0-9 and _ are allowed");

    let store = Store::open(directory.path(), clock(), &[]).unwrap();
    let read = store.read(|tx| tx.get(&SHIPS, &ship("red", 1))).unwrap_err();
    assert_eq!(read.to_string(), "the table `ships` was not named when the store was opened");
    let put = store.write(|tx| tx.put(&NOTES, &"a".to_owned(), &record("x"))).await.unwrap_err();
    assert_eq!(put.to_string(), "the table `notes` was not named when the store was opened");
    put_object(&store, "key").await.unwrap();
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("metadata");
    let store = open(&directory).unwrap();
    put_ship(&store, "red", 1, "Argo").await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in ["metadata.db", "metadata.db-wal", "metadata.lock"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_failing_disk_poisons_the_store_and_tells_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    put_ship(&store, "red", 1, "Argo").await;
    let (tell, told) = std::sync::mpsc::channel();
    store.on_fatal(move |error| tell.send(error.to_string()).unwrap());
    // The log table is broken behind the store's back, so the next commit fails in a way nobody planned for.
    let saboteur = rusqlite::Connection::open(directory.path().join("metadata.db")).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON change_log BEGIN SELECT RAISE(ABORT, 'broken'); END";
    saboteur.execute_batch(broken).unwrap();
    let first = store.write(|tx| tx.put(&SHIPS, &ship("red", 2), &record("x"))).await.unwrap_err();
    assert_eq!(first.to_string(), "cannot write the change log");
    let second = store.write(|tx| tx.put(&SHIPS, &ship("red", 2), &record("x"))).await.unwrap_err();
    assert!(matches!(second, StoreError::Poisoned), "{second}");
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["cannot write the change log"]);
    assert!(store.is_poisoned());
    assert_eq!(store.read(|tx| tx.get(&SHIPS, &ship("red", 2))).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_log_is_moved_into_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blob = "x".repeat(1 << 20);
    for number in 0..12 {
        let value = record(&blob);
        store.write(move |tx| tx.put(&NOTES, &number.to_string(), &value)).await.unwrap();
        // A reader in between leaves a state behind that the checkpoint must not trip over.
        assert!(store.read(|tx| tx.get(&NOTES, &number.to_string())).unwrap().is_some());
    }
    let database = directory.path().join("metadata.db");
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while database.metadata().unwrap().len() < 12 << 20 {
        assert!(tokio::time::Instant::now() < limit, "the log was not moved");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_does_not_grow_for_ever_while_others_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    put_ship(&store, "red", 1, "Argo").await;
    // Two readers at once, of whom one is not needed again and waits with the state it saw.
    store.read(|_| store.read(|tx| tx.get(&SHIPS, &ship("red", 1)))).unwrap();
    let reader = store.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reading = tokio::task::spawn_blocking(move || {
        let mut reads = 0_u64;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            reader.read(|tx| tx.get(&NOTES, &"0".to_owned())).unwrap();
            reads += 1;
        }
        reads
    });
    let mut largest = 0;
    for number in 10..70 {
        // The engine does not write again what does not differ.
        let value = record(&number.to_string().repeat(2 << 20));
        store.write(move |tx| tx.put(&NOTES, &(number % 3).to_string(), &value)).await.unwrap();
        largest = largest.max(directory.path().join("metadata.db-wal").metadata().unwrap().len());
    }
    drop(stop);
    assert!(reading.await.unwrap() > 60);
    // 240 MiB were written.
    // Twice the size at which it starts over, and what is written ahead: readers get few turns on a busy machine.
    assert!(largest < 160 << 20, "the log grew to {largest} bytes");
}
