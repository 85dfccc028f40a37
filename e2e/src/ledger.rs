//! What a server acknowledged, and what it may therefore show after a crash.
//!
//! Writers note each attempt before they send it and each acknowledgement when it arrives. Once [`Ledger::freeze`] was
//! called nothing counts as acknowledged any more: an answer that arrives while the power goes may belong to a
//! transaction that did not survive (`reliability-and-security.md` 2, the harness trap).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The acknowledgements of one server over any number of crashes.
#[derive(Debug, Default)]
pub struct Ledger {
    frozen: AtomicBool,
    clock: AtomicU64,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// Digest of each acknowledged blob or manifest, with the repository it was pushed to and its content.
    blobs: BTreeMap<(String, String), bytes::Bytes>,
    manifests: BTreeMap<(String, String), bytes::Bytes>,
    tags: BTreeMap<(String, String), Vec<TagWrite>>,
}

/// One attempt to point a tag at a manifest; times are ticks of the ledger's own clock.
#[derive(Clone, Debug)]
struct TagWrite {
    digest: String,
    sent: u64,
    acknowledged: Option<u64>,
}

/// An attempt that was sent and waits for its answer.
#[derive(Debug)]
pub struct Attempt {
    repository: String,
    tag: String,
    number: usize,
}

impl Ledger {
    /// From now on nothing that arrives counts as acknowledged.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// The server runs again: acknowledgements count.
    pub fn thaw(&self) {
        self.frozen.store(false, Ordering::SeqCst);
    }

    /// A blob's upload was answered 201.
    pub fn blob(&self, repository: &str, digest: &str, bytes: &bytes::Bytes) {
        if !self.frozen.load(Ordering::SeqCst) {
            self.written().blobs.insert((repository.to_owned(), digest.to_owned()), bytes.clone());
        }
    }

    /// A manifest is about to be sent under a tag.
    pub fn tag_attempt(&self, repository: &str, tag: &str, digest: &str) -> Attempt {
        let sent = self.tick();
        let mut written = self.written();
        let writes = written.tags.entry((repository.to_owned(), tag.to_owned())).or_default();
        writes.push(TagWrite { digest: digest.to_owned(), sent, acknowledged: None });
        Attempt { repository: repository.to_owned(), tag: tag.to_owned(), number: writes.len() - 1 }
    }

    /// The attempt was answered 201.
    pub fn tag_acknowledged(&self, attempt: &Attempt, manifest: &bytes::Bytes) {
        if self.frozen.load(Ordering::SeqCst) {
            return;
        }
        let now = self.tick();
        let mut written = self.written();
        let key = (attempt.repository.clone(), attempt.tag.clone());
        let write = &mut written.tags.get_mut(&key).expect("the attempt was noted")[attempt.number];
        write.acknowledged = Some(now);
        let digest = write.digest.clone();
        written.manifests.insert((attempt.repository.clone(), digest), manifest.clone());
    }

    /// Every acknowledged blob: repository, digest, content.
    pub fn blobs(&self) -> Vec<(String, String, bytes::Bytes)> {
        let written = self.written();
        written
            .blobs
            .iter()
            .map(|((at, digest), bytes)| (at.clone(), digest.clone(), bytes.clone()))
            .collect()
    }

    /// Every acknowledged manifest: repository, digest, content.
    pub fn manifests(&self) -> Vec<(String, String, bytes::Bytes)> {
        let written = self.written();
        written
            .manifests
            .iter()
            .map(|((at, digest), bytes)| (at.clone(), digest.clone(), bytes.clone()))
            .collect()
    }

    /// Every tag that must exist, with the digests it may show: a write counts unless an acknowledged one was sent
    /// after it had been acknowledged; one that was never answered counts as long as nothing later is known.
    pub fn tags(&self) -> Vec<(String, String, Vec<String>)> {
        let written = self.written();
        let settled =
            written.tags.iter().filter(|(_, writes)| writes.iter().any(|w| w.acknowledged.is_some()));
        settled.map(|((at, tag), writes)| (at.clone(), tag.clone(), possible(writes))).collect()
    }

    /// After a check, what a tag shows is what it was last acknowledged to be: attempts that were never answered are
    /// settled by it.
    pub fn settle(&self, repository: &str, tag: &str, shown: &str) {
        let now = self.tick();
        let mut written = self.written();
        let writes = written.tags.entry((repository.to_owned(), tag.to_owned())).or_default();
        *writes = vec![TagWrite { digest: shown.to_owned(), sent: now, acknowledged: Some(now) }];
    }

    /// How many tag writes were acknowledged and are still remembered.
    pub fn acknowledged(&self) -> usize {
        self.written().tags.values().flatten().filter(|write| write.acknowledged.is_some()).count()
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().expect("no writer panics while it holds the ledger")
    }
}

fn possible(writes: &[TagWrite]) -> Vec<String> {
    let overwritten = |write: &TagWrite| {
        let known_by = write.acknowledged.unwrap_or(u64::MAX);
        writes.iter().any(|other| other.acknowledged.is_some() && other.sent > known_by)
    };
    writes.iter().filter(|write| !overwritten(write)).map(|write| write.digest.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    #[test]
    fn an_acknowledged_write_hides_what_was_acknowledged_before_it_was_sent() {
        let ledger = Ledger::default();
        let manifest = bytes::Bytes::from_static(b"{}");
        let first = ledger.tag_attempt("p/n", "v1", "sha256:a");
        ledger.tag_acknowledged(&first, &manifest);
        let second = ledger.tag_attempt("p/n", "v1", "sha256:b");
        let may = |expected: &[&str]| assert_eq!(ledger.tags()[0].2, expected);
        may(&["sha256:a", "sha256:b"]);
        ledger.tag_acknowledged(&second, &manifest);
        may(&["sha256:b"]);
        ledger.freeze();
        let third = ledger.tag_attempt("p/n", "v1", "sha256:c");
        ledger.tag_acknowledged(&third, &manifest);
        may(&["sha256:b", "sha256:c"]);
    }
}
