//! Which imports may start: a few of each host at a time, those that waited longest first.
//!
//! Shared by all that imports, so that neither a dead host nor a stream that wants much keeps others waiting.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use pierhead_api::image::ImageStream;
use pierhead_api::meta::ObjectMeta;
use tokio::sync::watch;
use tokio::time::Instant;

/// Imports from one host at a time.
const PER_HOST: usize = 4;
/// Imports at a time. Each is a request in this process that mostly waits.
pub(crate) const IN_ALL: usize = 256;
/// Imports whose last time is remembered; beyond it, all are equal again.
const REMEMBERED: usize = 100_000;

/// What one stream wants of one host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ImportKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) host: String,
}

impl ImportKey {
    /// What `stream` wants of `host`.
    pub(crate) fn new(stream: &ImageStream, host: String) -> Self {
        let ObjectMeta { namespace, name, .. } = &stream.metadata;
        Self { namespace: namespace.clone(), name: name.clone(), host }
    }
}

impl fmt::Display for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} from {}", self.namespace, self.name, self.host)
    }
}

/// The queues of all hosts. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct ImportQueue {
    turns: Arc<Mutex<Turns>>,
    /// Told whenever a turn ends.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct Turns {
    running: BTreeMap<String, usize>,
    last: BTreeMap<ImportKey, Instant>,
}

/// An import that runs, until it is dropped.
pub(crate) struct Turn {
    queue: ImportQueue,
    key: ImportKey,
}

impl ImportQueue {
    /// Changes whenever a turn ends, and so another may start.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Those of `wanted` that may start now.
    pub(crate) fn offered(&self, wanted: Vec<ImportKey>) -> Vec<ImportKey> {
        let turns = self.turns.lock();
        let mut hosts: BTreeMap<String, Vec<ImportKey>> = BTreeMap::new();
        for key in wanted {
            hosts.entry(key.host.clone()).or_default().push(key);
        }
        let mut offered = Vec::new();
        for (host, mut keys) in hosts {
            let free = PER_HOST.saturating_sub(turns.running.get(&host).copied().unwrap_or_default());
            keys.sort_by_key(|key| turns.last.get(key).copied());
            offered.extend(keys.into_iter().take(free));
        }
        offered
    }

    /// Notes that an import runs.
    pub(crate) fn start(&self, key: &ImportKey) -> Turn {
        let mut turns = self.turns.lock();
        *turns.running.entry(key.host.clone()).or_default() += 1;
        if turns.last.len() >= REMEMBERED {
            turns.last.clear();
        }
        turns.last.insert(key.clone(), Instant::now());
        Turn { queue: self.clone(), key: key.clone() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.queue.turns.lock();
        if let Some(running) = turns.running.get_mut(&self.key.host) {
            *running -= 1;
            if *running == 0 {
                turns.running.remove(&self.key.host);
            }
        }
        drop(turns);
        self.queue.ended.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ImportKey, ImportQueue};

    fn key(name: &str, host: &str) -> ImportKey {
        ImportKey { namespace: "shop".into(), name: name.into(), host: host.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_gets_a_few_at_a_time_and_those_first_that_waited_longest() {
        let queue = ImportQueue::default();
        let all: Vec<ImportKey> = (0..6).map(|number| key(&format!("s{number}"), "dead")).collect();
        let offered = queue.offered(all.clone());
        assert_eq!(offered, all[..4]);
        let turns: Vec<_> = offered.iter().map(|key| queue.start(key)).collect();
        let mut more = all.clone();
        more.push(key("other", "alive"));
        assert_eq!(queue.offered(more), [key("other", "alive")], "another host has a queue of its own");
        tokio::time::advance(Duration::from_secs(1)).await;
        let changed = queue.changed();
        drop(turns);
        assert!(changed.has_changed().unwrap(), "who waits hears of it");
        let offered = queue.offered(all.clone());
        assert_eq!(offered[..2], all[4..], "who had a turn waits for those who had none");
        assert_eq!(offered.len(), 4);
    }
}
