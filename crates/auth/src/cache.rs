//! A bounded cache of answers, each valid for one generation of what it was computed from.
//!
//! Direct-mapped: a hash chooses one slot, a new answer replaces the old one there. So it never grows, needs no
//! eviction, and a full comparison of keys keeps equal hashes apart. Expiry by generation is the caller's number.

use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::Mutex;

type Slot<K, V> = Mutex<Option<Entry<K, V>>>;

struct Entry<K, V> {
    hash: u64,
    generation: u64,
    key: K,
    value: V,
}

/// A fixed number of slots with keys `K` and answers `V`.
pub(crate) struct Cache<K, V> {
    slots: Box<[Slot<K, V>]>,
    hasher: RandomState,
}

impl<K, V: Clone> Cache<K, V> {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: (0..slots.max(1)).map(|_| Mutex::new(None)).collect(), hasher: RandomState::new() }
    }

    pub(crate) fn hash(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The answer stored under `hash`, if it is of this generation and `is_this` accepts its key and itself.
    pub(crate) fn get(&self, hash: u64, generation: u64, is_this: impl FnOnce(&K, &V) -> bool) -> Option<V> {
        let slot = self.slot(hash).lock();
        let entry = slot.as_ref()?;
        let found = entry.hash == hash && entry.generation == generation && is_this(&entry.key, &entry.value);
        found.then(|| entry.value.clone())
    }

    pub(crate) fn put(&self, hash: u64, generation: u64, key: K, value: V) {
        *self.slot(hash).lock() = Some(Entry { hash, generation, key, value });
    }

    fn slot(&self, hash: u64) -> &Slot<K, V> {
        let count = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(hash % count).unwrap_or(0);
        &self.slots[at]
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn equal_hashes_of_different_keys_are_kept_apart() {
        let cache = Cache::new(1);
        cache.put(7, 1, "one", 1);
        assert_eq!(cache.get(7, 1, |key, _| *key == "one"), Some(1));
        assert_eq!(cache.get(7, 1, |key, _| *key == "two"), None);
        assert_eq!(cache.get(8, 1, |key, _| *key == "one"), None, "another hash in the same slot");
        assert_eq!(cache.get(7, 2, |key, _| *key == "one"), None, "another generation");
        cache.put(8, 1, "two", 2);
        assert_eq!(cache.get(7, 1, |key, _| *key == "one"), None, "replaced");
    }
}
