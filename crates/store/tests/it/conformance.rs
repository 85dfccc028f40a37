//! The promises of a store, each held against both engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pierhead_runtime::ManualClock;
use pierhead_store::{ChangesError, KeyRange, ObjectRecord, ReadTx, Revision, Store, StoreError};

use crate::{CARGO, NOTES, SHIPS, clock, described, put_ship, record, ship};

/// A store and what must outlive it.
struct Opened {
    store: Store,
    _directory: Option<tempfile::TempDir>,
}

fn memory() -> Opened {
    Opened { store: Store::memory(clock()), _directory: None }
}

fn sqlite() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), clock(), &[SHIPS.name(), NOTES.name(), CARGO.name()]).unwrap();
    Opened { store, _directory: Some(directory) }
}

macro_rules! on_both_engines {
    ($($promise:ident),* $(,)?) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::memory().store.clone()).await;
            })*
        }

        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let opened = super::sqlite();
                super::$promise(opened.store.clone()).await;
            })*
        }
    };
}

on_both_engines!(
    a_new_store_is_empty,
    what_was_put_is_read_and_logged,
    a_failed_write_leaves_nothing,
    a_panic_costs_only_its_own_write,
    a_record_can_contain_its_own_revision,
    silent_tables_have_no_revisions,
    deleting_what_is_not_there_is_no_change,
    scans_keep_to_their_range_and_order,
    a_write_scans_what_it_wrote,
    a_read_does_not_move,
    what_was_is_shown_as_it_was,
    revisions_have_no_gaps_under_load,
    a_watcher_sees_every_change_once_and_in_order,
    a_compacted_log_says_so,
    a_closed_store_refuses,
);

async fn a_new_store_is_empty(store: Store) {
    assert_eq!((store.revision(), store.compacted()), (Revision::ZERO, Revision::ZERO));
    assert!(store.changes(Revision::ZERO, 10).unwrap().is_empty());
    assert_eq!(store.read(|tx| tx.get(&SHIPS, &ship("red", 1))).unwrap(), None);
    assert_eq!(store.read(|tx| tx.history()), store.history());
}

async fn what_was_put_is_read_and_logged(store: Store) {
    assert_eq!(put_ship(&store, "red", 1, "Argo").await, Revision::new(1));
    assert_eq!(put_ship(&store, "red", 1, "Beagle").await, Revision::new(2));
    assert_eq!(store.read(|tx| (tx.revision(), tx.get(&SHIPS, &ship("red", 1)).unwrap())), {
        (Revision::new(2), Some(record("Beagle")))
    });
    assert!(store.write(|tx| tx.delete(&SHIPS, &ship("red", 1))).await.unwrap());
    assert_eq!(store.read(|tx| tx.get(&SHIPS, &ship("red", 1))).unwrap(), None);
    let changes = store.changes(Revision::ZERO, 10).unwrap();
    assert_eq!(
        described(&changes),
        ["1 red/1: nothing -> Argo", "2 red/1: Argo -> Beagle", "3 red/1: Beagle -> nothing"]
    );
    assert_eq!(described(&store.changes(Revision::new(1), 1).unwrap()), ["2 red/1: Argo -> Beagle"]);
    assert!(store.changes(Revision::new(3), 1).unwrap().is_empty());
    assert!(store.changes(Revision::new(99), 1).unwrap().is_empty());
}

async fn a_failed_write_leaves_nothing(store: Store) {
    put_ship(&store, "red", 1, "Argo").await;
    let failed: Result<(), StoreError> = store
        .write(|tx| {
            tx.put(&SHIPS, &ship("red", 1), &record("Beagle"))?;
            tx.put(&SHIPS, &ship("red", 2), &record("Calypso"))?;
            assert_eq!(tx.next_revision(), Revision::new(4));
            Err(StoreError::Full)
        })
        .await;
    assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
    assert_eq!(put_ship(&store, "blue", 1, "Dunbrody").await, Revision::new(2));
    let ships = store.read(|tx| tx.scan(&SHIPS, &KeyRange::all(), 9)).unwrap();
    assert_eq!(ships, [(ship("blue", 1), record("Dunbrody")), (ship("red", 1), record("Argo"))]);
}

/// Ships and their cargo at one revision.
type Harbour = (Vec<((String, u64), String)>, Vec<(String, String)>);

async fn what_was_is_shown_as_it_was(store: Store) {
    let text = |record: ObjectRecord| String::from_utf8(record.0.to_vec()).unwrap();
    let harbour = |tx: &ReadTx<'_>| -> Harbour {
        let ships = tx.scan(&SHIPS, &KeyRange::all(), 4).unwrap().into_iter();
        let cargo = tx.scan_reverse(&CARGO, &KeyRange::all(), 4).unwrap().into_iter();
        assert!(ships.clone().all(|(key, record)| tx.get(&SHIPS, &key).unwrap() == Some(record)));
        assert_eq!(tx.count(&CARGO, &KeyRange::all(), 4).unwrap(), cargo.len());
        (
            ships.map(|(key, record)| (key, text(record))).collect(),
            cargo.map(|(key, record)| (key, text(record))).collect(),
        )
    };
    let first = store.revision();
    let mut seen = vec![(first, store.read(harbour))];
    for step in 0_u64..120 {
        let written: Result<(), StoreError> = store
            .write(move |tx| {
                let key = (step * 7 % 11).to_string();
                match step % 3 {
                    0 => {
                        let _deleted = tx.delete(&CARGO, &key)?;
                    }
                    _ => assert_eq!(tx.put(&CARGO, &key, &record(&format!("{step}")))?, None),
                }
                if step % 4 == 3 {
                    let _deleted = tx.delete(&SHIPS, &ship("red", step % 6))?;
                }
                // Told of with every change of the cargo, as heads of streams are.
                tx.put(&SHIPS, &ship("red", step * 5 % 6), &record(&format!("{step}")))?;
                Ok(())
            })
            .await;
        written.unwrap();
        seen.push((store.revision(), store.read(harbour)));
    }
    let tables = [SHIPS.name(), CARGO.name()];
    for (revision, expected) in &seen {
        let (found, shown) = store.read_at(*revision, &tables, |tx| (harbour(tx), tx.revision())).unwrap();
        assert_eq!((&found, shown), (expected, *revision));
    }
    let (_, now) = seen.last().unwrap();
    let cargo_only = store.read_at(first, &[CARGO.name()], harbour).unwrap();
    assert_eq!((cargo_only.0, cargo_only.1), (now.0.clone(), vec![]));
    store.compact(seen[5].0).await.unwrap();
    let forgotten = store.read_at(seen[4].0, &tables, |_| ());
    assert!(matches!(forgotten, Err(ChangesError::Compacted { .. })), "{forgotten:?}");
    store.read_at(seen[5].0, &tables, |_| ()).unwrap();
}

async fn a_panic_costs_only_its_own_write(store: Store) {
    let panicking = store.write(|tx| -> Result<(), StoreError> {
        tx.put(&SHIPS, &ship("red", 1), &record("Argo"))?;
        panic!("the keel broke");
    });
    let (panicked, put) = tokio::join!(panicking, put_ship(&store, "red", 2, "Beagle"));
    let message = panicked.unwrap_err().to_string();
    assert_eq!(message, "a write was abandoned because its code panicked: the keel broke");
    assert_eq!(put, Revision::new(1));
    assert_eq!(store.read(|tx| tx.count(&SHIPS, &KeyRange::all(), usize::MAX)).unwrap(), 1);
    assert!(!store.is_poisoned());
}

async fn a_record_can_contain_its_own_revision(store: Store) {
    let both = store.write(|tx| {
        for number in 1..=2 {
            let own = record(&tx.next_revision().to_string());
            tx.put(&SHIPS, &ship("red", number), &own)?;
        }
        Ok::<_, StoreError>(tx.revision())
    });
    assert_eq!(both.await.unwrap(), Revision::new(2));
    let changes = store.changes(Revision::ZERO, 9).unwrap();
    assert_eq!(described(&changes), ["1 red/1: nothing -> 1", "2 red/2: nothing -> 2"]);
}

async fn silent_tables_have_no_revisions(store: Store) {
    let put = store.write(|tx| tx.put(&NOTES, &"a".to_owned(), &record("tide at six"))).await;
    assert_eq!(put.unwrap(), None);
    assert_eq!(store.revision(), Revision::ZERO);
    assert_eq!(store.read(|tx| tx.get(&NOTES, &"a".to_owned())).unwrap(), Some(record("tide at six")));
    assert!(store.write(|tx| tx.delete(&NOTES, &"a".to_owned())).await.unwrap());
    assert_eq!(store.read(|tx| tx.get(&NOTES, &"a".to_owned())).unwrap(), None);
    assert!(store.changes(Revision::ZERO, 9).unwrap().is_empty());
}

async fn deleting_what_is_not_there_is_no_change(store: Store) {
    assert!(!store.write(|tx| tx.delete(&SHIPS, &ship("red", 1))).await.unwrap());
    let twice = store.write(|tx| {
        tx.put(&SHIPS, &ship("red", 1), &record("Argo"))?;
        Ok::<_, StoreError>((tx.delete(&SHIPS, &ship("red", 1))?, tx.delete(&SHIPS, &ship("red", 1))?))
    });
    assert_eq!(twice.await.unwrap(), (true, false));
    assert_eq!(store.revision(), Revision::new(2));
}

async fn scans_keep_to_their_range_and_order(store: Store) {
    for (fleet, number) in [("red", 2), ("red", 1), ("redder", 1), ("blue", 9), ("red", 256)] {
        put_ship(&store, fleet, number, "x").await;
    }
    let check = |range: KeyRange, limit: usize, expected: &[(&str, u64)]| {
        let rows = store.read(|tx| tx.scan(&SHIPS, &range, limit)).unwrap();
        let keys: Vec<_> = rows.iter().map(|((fleet, number), _)| (fleet.as_str(), *number)).collect();
        assert_eq!(keys, expected, "{range:?}");
        if limit > expected.len() {
            let reverse = store.read(|tx| tx.scan_reverse(&SHIPS, &range, limit)).unwrap();
            let reverse: Vec<_> = reverse.into_iter().rev().collect();
            assert_eq!(reverse, rows, "{range:?}");
            assert_eq!(store.read(|tx| tx.count(&SHIPS, &range, usize::MAX)).unwrap(), expected.len());
            assert_eq!(store.read(|tx| tx.count(&SHIPS, &range, 2)).unwrap(), expected.len().min(2));
        }
    };
    check(KeyRange::all(), 9, &[("blue", 9), ("red", 1), ("red", 2), ("red", 256), ("redder", 1)]);
    check(KeyRange::prefix(&("red",)), 9, &[("red", 1), ("red", 2), ("red", 256)]);
    check(KeyRange::prefix(&("red",)), 2, &[("red", 1), ("red", 2)]);
    check(KeyRange::prefix(&("red",)).after(&ship("red", 1)), 9, &[("red", 2), ("red", 256)]);
    check(KeyRange::prefix(&("red",)).from(&ship("red", 2)), 9, &[("red", 2), ("red", 256)]);
    check(KeyRange::prefix(&("red",)).before(&ship("red", 2)), 9, &[("red", 1)]);
    check(KeyRange::prefix(&("red",)).after(&ship("redder", 1)), 9, &[]);
    check(KeyRange::prefix(&("green",)), 9, &[]);
    let last = store.read(|tx| tx.scan_reverse(&SHIPS, &KeyRange::prefix(&("red",)), 1)).unwrap();
    assert_eq!(last, [(ship("red", 256), record("x"))]);
}

async fn a_write_scans_what_it_wrote(store: Store) {
    for number in 1..=4 {
        put_ship(&store, "red", number, "old").await;
    }
    let scanned = store.write(|tx| {
        tx.delete(&SHIPS, &ship("red", 1))?;
        tx.delete(&SHIPS, &ship("red", 4))?;
        tx.put(&SHIPS, &ship("red", 2), &record("new"))?;
        tx.put(&SHIPS, &ship("red", 9), &record("new"))?;
        let range = KeyRange::prefix(&("red",));
        let numbers =
            |rows: Vec<((String, u64), _)>| rows.into_iter().map(|((_, n), _)| n).collect::<Vec<_>>();
        Ok::<_, StoreError>((
            numbers(tx.scan(&SHIPS, &range, 2)?),
            numbers(tx.scan(&SHIPS, &range, 99)?),
            numbers(tx.scan_reverse(&SHIPS, &range, 2)?),
            tx.get(&SHIPS, &ship("red", 2))?,
        ))
    });
    let (page, all, last, second) = scanned.await.unwrap();
    assert_eq!((page, all, last), (vec![2, 3], vec![2, 3, 9], vec![9, 3]));
    assert_eq!(second, Some(record("new")));
}

async fn a_read_does_not_move(store: Store) {
    put_ship(&store, "red", 1, "Argo").await;
    let (reading, writing) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let reader = store.clone();
    let looked = tokio::task::spawn_blocking(move || {
        reader.read(|tx| {
            let before = (tx.revision(), tx.count(&SHIPS, &KeyRange::all(), usize::MAX).unwrap());
            reading.0.send(()).unwrap();
            // On the engine with one lock the write is not committed before the look ends.
            writing.1.recv_timeout(Duration::from_millis(100)).ok();
            assert_eq!(before, (tx.revision(), tx.count(&SHIPS, &KeyRange::all(), usize::MAX).unwrap()));
            before
        })
    });
    tokio::task::spawn_blocking(move || reading.1.recv()).await.unwrap().unwrap();
    assert_eq!(put_ship(&store, "red", 2, "Beagle").await, Revision::new(2));
    // The reader of the one-lock engine has gone by now.
    writing.0.send(()).ok();
    assert_eq!(looked.await.unwrap(), (Revision::new(1), 1));
    assert_eq!(store.read(|tx| (tx.revision(), tx.count(&SHIPS, &KeyRange::all(), usize::MAX).unwrap())), {
        (Revision::new(2), 2)
    });
}

async fn revisions_have_no_gaps_under_load(store: Store) {
    let counter = Arc::new(AtomicU64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..20 {
        let (store, counter) = (store.clone(), Arc::clone(&counter));
        writers.spawn(async move {
            for number in 0..25 {
                let refuse = number % 5 == 4;
                let written = store.write(move |tx| {
                    let total = tx.get(&SHIPS, &ship("total", 0))?.map_or(0, |total| parse(&total));
                    tx.put(&SHIPS, &ship("total", 0), &record(&(total + 1).to_string()))?;
                    let own = tx.put(&SHIPS, &ship("own", writer), &record("x"))?;
                    if refuse { Err(StoreError::Full) } else { Ok(own) }
                });
                if written.await.is_ok() {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let written = counter.load(Ordering::Relaxed);
    assert_eq!(written, 400);
    let total = store.read(|tx| tx.get(&SHIPS, &ship("total", 0))).unwrap().unwrap();
    assert_eq!(parse(&total), written);
    let revisions: Vec<u64> =
        store.changes(Revision::ZERO, 9_999).unwrap().iter().map(|change| change.revision.number()).collect();
    assert_eq!(revisions, (1..=2 * written).collect::<Vec<_>>());
}

fn parse(total: &pierhead_store::ObjectRecord) -> u64 {
    std::str::from_utf8(&total.0).unwrap().parse().unwrap()
}

async fn a_watcher_sees_every_change_once_and_in_order(store: Store) {
    let mut watcher = tokio::task::JoinSet::new();
    let watched = store.clone();
    watcher.spawn(async move {
        let mut told = watched.subscribe();
        let mut seen = Vec::new();
        while seen.len() < 200 {
            told.wait_for(|newest| newest.number() > seen.len() as u64).await.unwrap();
            let after = Revision::new(seen.len() as u64);
            seen.extend(watched.changes(after, 7).unwrap().iter().map(|change| change.revision.number()));
        }
        seen
    });
    for number in 0..200 {
        put_ship(&store, "red", number, "x").await;
    }
    let seen = watcher.join_next().await.unwrap().unwrap();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

/// The log keeps a hundred thousand changes and ten minutes, whichever is more.
async fn check_retention(store: Store, clock: ManualClock) {
    let put_many = |many: u64| {
        let filled = store.write(move |tx| {
            for number in 0..many {
                tx.put(&SHIPS, &ship("red", number % 7), &record("x"))?;
            }
            Ok::<_, StoreError>(())
        });
        async { filled.await.unwrap() }
    };
    put_many(101_000).await;
    put_many(1).await;
    assert_eq!(store.compacted(), Revision::ZERO, "the first thousand are too young to go");
    clock.advance(Duration::from_secs(601));
    put_many(1).await;
    assert_eq!(store.compacted(), Revision::new(1_000));
    put_many(1).await;
    assert_eq!(store.compacted(), Revision::new(1_000), "the next thousand are among those that stay");
    assert_eq!(store.changes(Revision::new(1_000), 1).unwrap()[0].revision, Revision::new(1_001));
}

#[tokio::test]
async fn a_long_log_is_compacted_in_memory() {
    let clock = ManualClock::default();
    check_retention(Store::memory(clock.shared()), clock).await;
}

#[tokio::test]
async fn a_long_log_is_compacted_on_disk() {
    let (clock, directory) = (ManualClock::default(), tempfile::tempdir().unwrap());
    let store = Store::open(directory.path(), clock.shared(), &[SHIPS.name()]).unwrap();
    check_retention(store, clock).await;
}

async fn a_compacted_log_says_so(store: Store) {
    for number in 0..5 {
        put_ship(&store, "red", number, "x").await;
    }
    store.compact(Revision::new(3)).await.unwrap();
    assert_eq!(store.compacted(), Revision::new(3));
    let error = store.changes(Revision::new(2), 9).unwrap_err();
    assert!(matches!(error, ChangesError::Compacted { oldest } if oldest == Revision::new(3)), "{error}");
    assert_eq!(store.changes(Revision::new(3), 9).unwrap().len(), 2);
    store.compact(Revision::new(2)).await.unwrap();
    assert_eq!(store.compacted(), Revision::new(3));
    store.compact(Revision::new(99)).await.unwrap();
    assert_eq!(store.compacted(), Revision::new(5));
    assert_eq!(put_ship(&store, "red", 9, "x").await, Revision::new(6));
}

async fn a_closed_store_refuses(store: Store) {
    put_ship(&store, "red", 1, "Argo").await;
    store.close();
    let put = store.write(|tx| tx.put(&SHIPS, &ship("red", 2), &record("Beagle"))).await;
    assert!(matches!(put, Err(StoreError::Closed)), "{put:?}");
    let get = store.read(|tx| tx.get(&SHIPS, &ship("red", 1)));
    assert!(matches!(get, Err(StoreError::Closed)), "{get:?}");
    store.close();
}
