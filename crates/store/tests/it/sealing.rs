//! Records on the disk that nobody reads without the keys, and keys that are exchanged.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use pierhead_runtime::SystemClock;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{Revision, SealKey, Sealing, Store, StoreError};

fn sealing(first: &SealKey, others: &[&SealKey]) -> Sealing {
    Sealing::new(first.clone(), others.iter().map(|key| (*key).clone()).collect())
        .rows(OBJECTS.name(), &"secrets")
}

fn open(directory: &Path, sealing: Option<Sealing>) -> Result<Store, StoreError> {
    let clock = SystemClock::shared();
    match sealing {
        Some(sealing) => Store::open_sealed(directory, clock, &[], sealing),
        None => Store::open(directory, clock, &[]),
    }
}

/// A value that is easy to find.
fn password(number: usize) -> String {
    format!("hunter-{number:06}-{}", "x".repeat(20))
}

async fn put(store: &Store, resource: &str, name: &str, text: &str) {
    let key = ObjectKey::new(resource, "shop", name);
    let record = ObjectRecord(Bytes::from(text.to_owned()));
    let written: Result<_, StoreError> = store.write(move |tx| tx.put(&OBJECTS, &key, &record)).await;
    written.unwrap();
}

fn get(store: &Store, resource: &str, name: &str) -> Option<String> {
    let found = store.read(|tx| tx.get(&OBJECTS, &ObjectKey::new(resource, "shop", name))).unwrap();
    found.map(|ObjectRecord(bytes)| String::from_utf8(bytes.to_vec()).unwrap())
}

/// How often a text is in the files of a store.
fn on_disk(directory: &Path, text: &str) -> usize {
    let files = fs::read_dir(directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.map(|bytes| bytes.windows(text.len()).filter(|part| *part == text.as_bytes()).count()).sum()
}

#[tokio::test]
async fn what_is_sealed_is_nowhere_on_the_disk() {
    let (directory, key) = (tempfile::tempdir().unwrap(), SealKey::generate().unwrap());
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    for number in 0..3 {
        put(&store, "secrets", "s", &password(number)).await;
    }
    put(&store, "secrets", "gone", &password(3)).await;
    let gone = ObjectKey::new("secrets", "shop", "gone");
    let deleted: Result<bool, StoreError> = store.write(move |tx| tx.delete(&OBJECTS, &gone)).await;
    assert!(deleted.unwrap());
    put(&store, "configmaps", "c", "plain-to-see").await;
    let history = |store: &Store| -> Vec<(Option<String>, Option<String>)> {
        let text =
            |record: Option<ObjectRecord>| record.map(|record| String::from_utf8(record.0.to_vec()).unwrap());
        let changes = store.changes(Revision::new(0), 100).unwrap();
        let typed = changes.iter().map(|change| OBJECTS.change(change).unwrap().unwrap());
        typed.map(|change| (text(change.previous), text(change.value))).collect()
    };
    let before = history(&store);
    assert_eq!(get(&store, "secrets", "s"), Some(password(2)));
    store.close();
    for number in 0..4 {
        assert_eq!(on_disk(directory.path(), &password(number)), 0, "{number}");
    }
    assert!(on_disk(directory.path(), "plain-to-see") > 0, "what is not sealed is found this way");
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    assert_eq!(get(&store, "secrets", "s"), Some(password(2)));
    assert_eq!(history(&store), before, "the log is as clear as ever to those who may read it");
}

#[tokio::test]
async fn without_its_key_a_store_is_not_opened() {
    let (directory, key) = (tempfile::tempdir().unwrap(), SealKey::generate().unwrap());
    open(directory.path(), Some(sealing(&key, &[]))).unwrap().close();
    let refused = format!("is sealed with the key {}, which is not among the given ones", key.name());
    let other = SealKey::generate().unwrap();
    for given in [None, Some(sealing(&other, &[]))] {
        let error = open(directory.path(), given).err().unwrap().to_string();
        assert!(error.contains(&refused), "{error}");
    }
    open(directory.path(), Some(sealing(&key, &[]))).unwrap();
}

#[tokio::test]
async fn what_was_clear_is_sealed_and_wiped() {
    let (directory, key) = (tempfile::tempdir().unwrap(), SealKey::generate().unwrap());
    let store = open(directory.path(), None).unwrap();
    for number in 0..250 {
        put(&store, "secrets", &format!("s{number}"), &password(number)).await;
    }
    put(&store, "secrets", "s0", &password(250)).await;
    put(&store, "configmaps", "c", "plain-to-see").await;
    let revision = store.revision();
    store.close();
    assert!(on_disk(directory.path(), "hunter-") > 500, "in the table and in the log");
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    assert!(store.is_resealed());
    assert_eq!(on_disk(directory.path(), "hunter-"), 0, "before anybody is served");
    assert_eq!(get(&store, "secrets", "s0"), Some(password(250)));
    assert_eq!(get(&store, "secrets", "s249"), Some(password(249)));
    assert_eq!(get(&store, "configmaps", "c").as_deref(), Some("plain-to-see"));
    assert_eq!(store.revision(), revision, "nothing happened that a watch should tell");
}

#[tokio::test]
async fn a_new_key_takes_over_also_where_it_was_interrupted() {
    const SECRETS: usize = 400;
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
    let store = open(directory.path(), Some(sealing(&old, &[]))).unwrap();
    for number in 0..SECRETS {
        put(&store, "secrets", &format!("s{number}"), &password(number)).await;
    }
    store.close();
    // Closed at once, again and again: each time a part was done, or nothing.
    let mut interruptions = 0;
    loop {
        let store = open(directory.path(), Some(sealing(&new, &[&old]))).unwrap();
        put(&store, "secrets", "written-meanwhile", &password(SECRETS)).await;
        let done = store.is_resealed();
        for number in [0, SECRETS - 1] {
            assert_eq!(get(&store, "secrets", &format!("s{number}")), Some(password(number)));
        }
        store.close();
        if done {
            break;
        }
        interruptions += 1;
        let without_old = open(directory.path(), Some(sealing(&new, &[])));
        match without_old {
            // It was done between the question and the end.
            Ok(store) => store.close(),
            Err(error) => assert!(error.to_string().contains(&old.name()), "{error}"),
        }
        // Each time it gets a little further: progress is what it finds on the disk, not what it remembers.
        tokio::time::sleep(Duration::from_millis(2 * interruptions)).await;
        assert!(interruptions < 1_000);
    }
    let store = open(directory.path(), Some(sealing(&new, &[]))).unwrap();
    for number in 0..SECRETS {
        assert_eq!(get(&store, "secrets", &format!("s{number}")), Some(password(number)));
    }
    assert_eq!(store.changes(Revision::new(0), 10_000).unwrap().len() as u64, store.revision().number());
    store.close();
    let refused = open(directory.path(), Some(sealing(&old, &[]))).err().unwrap();
    assert!(refused.to_string().contains(&new.name()), "{refused}");
}

#[tokio::test]
async fn a_record_that_was_moved_is_not_believed() {
    let (directory, key) = (tempfile::tempdir().unwrap(), SealKey::generate().unwrap());
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    put(&store, "secrets", "a", &password(1)).await;
    put(&store, "secrets", "b", &password(2)).await;
    store.close();
    let swap = "UPDATE t_objects SET value = (SELECT value FROM t_objects ORDER BY key LIMIT 1)";
    rusqlite::Connection::open(directory.path().join("metadata.db")).unwrap().execute_batch(swap).unwrap();
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    assert_eq!(get(&store, "secrets", "a"), Some(password(1)));
    let moved = store.read(|tx| tx.get(&OBJECTS, &ObjectKey::new("secrets", "shop", "b")));
    assert_eq!(moved.unwrap_err().to_string(), "a record of the table `objects` cannot be unsealed");
}

#[tokio::test]
async fn a_change_that_is_damaged_ends_no_watch_for_ever() {
    let (directory, key) = (tempfile::tempdir().unwrap(), SealKey::generate().unwrap());
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    for name in ["a", "b", "c"] {
        put(&store, "secrets", name, &password(1)).await;
    }
    store.close();
    let damage =
        "UPDATE change_log SET value = (SELECT value FROM change_log WHERE revision = 1) WHERE revision = 2";
    rusqlite::Connection::open(directory.path().join("metadata.db")).unwrap().execute_batch(damage).unwrap();
    let store = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    let changes = |after| store.changes(Revision::new(after), 10).map(|changes| changes.len());
    assert_eq!(changes(0).unwrap(), 1, "as far as they can be read");
    let refused = changes(1).unwrap_err();
    assert_eq!(refused.to_string(), "changes up to revision 2 are no longer kept");
    assert_eq!(changes(2).unwrap(), 1);
}

#[tokio::test]
async fn what_is_sealed_by_a_later_release_is_sealed_before_it_serves() {
    let (directory, key) = (tempfile::tempdir().unwrap(), SealKey::generate().unwrap());
    let first = open(directory.path(), Some(sealing(&key, &[]))).unwrap();
    put(&first, "secrets", "s", &password(1)).await;
    put(&first, "routes", "r", &password(2)).await;
    first.close();
    assert!(on_disk(directory.path(), &password(2)) > 0, "it is not sealed yet");
    let more = || sealing(&key, &[]).rows(OBJECTS.name(), &"routes");
    for _ in 0..2 {
        let later = open(directory.path(), Some(more())).unwrap();
        assert_eq!(get(&later, "routes", "r"), Some(password(2)));
        later.close();
        assert_eq!(on_disk(directory.path(), &password(2)), 0);
    }
}
