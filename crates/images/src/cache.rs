//! Manifests in memory, never older than the store.
//!
//! An entry knows the revision at which it was read. It counts only if its repository has not changed since; what
//! changed is read from the change log up to the store's newest revision, before every look. Writers need not tell.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};
use pierhead_store::{Revision, Store};

use crate::pull::StoredManifest;
use crate::tables::{HEADS, IMAGES};

/// Bytes of manifests kept.
const CAPACITY: u64 = 32 << 20;
/// Changes read at a time.
const PAGE: usize = 1_000;
/// Repositories remembered as changed; with more, everything read so far counts for nothing, and they are forgotten.
const MOST_CHANGED: usize = 65_536;

#[derive(Clone, Debug)]
struct Entry {
    read_at: Revision,
    manifest: StoredManifest,
}

#[derive(Debug)]
pub(crate) struct ManifestCache {
    entries: Cache<String, Entry>,
    /// Last change of each repository that changed since the floor, by `namespace/name`.
    changed: RwLock<HashMap<String, Revision>>,
    /// Entries read before this count for nothing: an image was deleted, or the log did not reach back.
    floor: AtomicU64,
    /// The log was read up to here.
    seen: AtomicU64,
    reading: Mutex<()>,
}

impl ManifestCache {
    pub(crate) fn new(store: &Store) -> Self {
        let weigh = |key: &String, entry: &Entry| {
            u32::try_from(key.len() + entry.manifest.bytes.len() + 256).unwrap_or(u32::MAX)
        };
        Self {
            entries: Cache::builder().max_capacity(CAPACITY).weigher(weigh).build(),
            changed: RwLock::default(),
            floor: AtomicU64::new(0),
            seen: AtomicU64::new(store.revision().number()),
            reading: Mutex::new(()),
        }
    }

    /// The manifest that `repository` has under `reference`, if it is known and still so.
    pub(crate) fn find(&self, store: &Store, repository: &str, reference: &str) -> Option<StoredManifest> {
        self.catch_up(store);
        let entry = self.entries.get(&key(repository, reference))?;
        let changed = self.changed.read().get(repository).copied().unwrap_or(Revision::ZERO);
        let floor = Revision::new(self.floor.load(Ordering::Acquire));
        (entry.read_at >= changed && entry.read_at >= floor).then_some(entry.manifest)
    }

    /// Keeps what a consistent read at `read_at` found.
    pub(crate) fn keep(
        &self,
        repository: &str,
        reference: &str,
        read_at: Revision,
        manifest: &StoredManifest,
    ) {
        self.entries.insert(key(repository, reference), Entry { read_at, manifest: manifest.clone() });
    }

    fn catch_up(&self, store: &Store) {
        let newest = store.revision().number();
        if self.seen.load(Ordering::Acquire) >= newest {
            return;
        }
        let _reading = self.reading.lock();
        let mut seen = self.seen.load(Ordering::Acquire);
        while seen < newest {
            let Ok(changes) = store.changes(Revision::new(seen), PAGE) else {
                // Compacted or unreadable: what happened is unknown, so nothing is believed.
                self.floor.store(newest, Ordering::Release);
                seen = newest;
                break;
            };
            let Some(last) = changes.last().map(|change| change.revision) else { break };
            let mut changed = self.changed.write();
            for change in &changes {
                if let Some(Ok(head)) = HEADS.change(change) {
                    changed.insert(format!("{}/{}", head.key.0, head.key.1), change.revision);
                } else if *change.table == *IMAGES.name().as_str() && change.value.is_none() {
                    self.floor.store(change.revision.number(), Ordering::Release);
                }
            }
            seen = last.number();
            if changed.len() > MOST_CHANGED {
                changed.clear();
                self.floor.store(seen, Ordering::Release);
            }
        }
        self.seen.store(seen, Ordering::Release);
    }
}

fn key(repository: &str, reference: &str) -> String {
    [repository, reference].join("@")
}
