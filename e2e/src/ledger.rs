//! What a server acknowledged, and what it may therefore show after a crash.
//!
//! Writers note each attempt before they send it and each acknowledgement when it arrives. Once [`Ledger::freeze`] was
//! called nothing counts as acknowledged any more: an answer that arrives while the power goes may belong to a
//! transaction that did not survive (`reliability-and-security.md` 2, the harness trap).

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The acknowledgements of one server over any number of crashes.
#[derive(Debug, Default)]
pub struct Ledger {
    frozen: AtomicBool,
    clock: AtomicU64,
    acknowledged: AtomicUsize,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    blobs: BTreeMap<(String, String), Content>,
    manifests: BTreeMap<(String, String), Content>,
    tags: BTreeMap<(String, String), TagLife>,
}

/// Acknowledged bytes, and the tick at which they were.
#[derive(Clone, Debug)]
struct Content {
    bytes: Bytes,
    acknowledged: u64,
}

/// Everything that was ever tried with one tag.
#[derive(Debug, Default)]
struct TagLife {
    writes: Vec<TagWrite>,
    /// Writes before this one are settled.
    open: usize,
    /// What it was seen to show when they were.
    seen: Option<(Shown, u64)>,
}

/// The digest of a tag's manifest, or `None` for a tag that is gone.
pub type Shown = Option<String>;

/// One attempt to point a tag at a manifest, or to delete it; times are ticks of the ledger's own clock.
#[derive(Clone, Debug)]
struct TagWrite {
    shown: Shown,
    sent: u64,
    acknowledged: Option<u64>,
    /// From here on it cannot happen any more: it was acknowledged, or the server that had it is gone.
    over: Option<u64>,
}

/// An attempt that was sent and waits for its answer.
#[derive(Debug)]
pub struct Attempt {
    repository: String,
    tag: String,
    number: usize,
}

/// Something acknowledged whose bytes never change: repository, digest, content.
pub type Stored = (String, String, Bytes);

impl Ledger {
    /// From now on nothing that arrives counts as acknowledged.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// The server runs again: acknowledgements count.
    pub fn thaw(&self) {
        self.frozen.store(false, Ordering::SeqCst);
    }

    /// Whether nothing counts at the moment.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }

    /// A blob's upload was answered 201.
    pub fn blob(&self, repository: &str, digest: &str, bytes: &Bytes) {
        if !self.is_frozen() {
            let content = Content { bytes: bytes.clone(), acknowledged: self.tick() };
            self.written().blobs.insert((repository.to_owned(), digest.to_owned()), content);
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A manifest is about to be sent under a tag, or with `None` the tag's deletion.
    pub fn tag_attempt(&self, repository: &str, tag: &str, shown: Option<&str>) -> Attempt {
        let sent = self.tick();
        let mut written = self.written();
        let life = written.tags.entry((repository.to_owned(), tag.to_owned())).or_default();
        let shown = shown.map(str::to_owned);
        life.writes.push(TagWrite { shown, sent, acknowledged: None, over: None });
        Attempt { repository: repository.to_owned(), tag: tag.to_owned(), number: life.writes.len() - 1 }
    }

    /// The attempt was answered as it should; `manifest` is what was sent.
    pub fn tag_acknowledged(&self, attempt: &Attempt, manifest: Option<&Bytes>) {
        if self.is_frozen() {
            return;
        }
        let now = self.tick();
        let mut written = self.written();
        let key = (attempt.repository.clone(), attempt.tag.clone());
        let life = written.tags.get_mut(&key).expect("the attempt was noted");
        let write = &mut life.writes[attempt.number];
        (write.acknowledged, write.over) = (Some(now), Some(now));
        if let (Some(digest), Some(manifest)) = (write.shown.clone(), manifest) {
            let content = Content { bytes: manifest.clone(), acknowledged: now };
            written.manifests.insert((attempt.repository.clone(), digest), content);
        }
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    /// Every blob acknowledged since a tick.
    pub fn blobs(&self, since: u64) -> Vec<Stored> {
        stored(&self.written().blobs, since)
    }

    /// Every manifest acknowledged since a tick.
    pub fn manifests(&self, since: u64) -> Vec<Stored> {
        stored(&self.written().manifests, since)
    }

    /// Every tag with an acknowledged write, and what it may show: a write counts unless an acknowledged one was sent
    /// after it had been acknowledged; one that was never answered counts as long as nothing later is known.
    pub fn tags(&self) -> Vec<(String, String, Vec<Shown>)> {
        let written = self.written();
        let known = written.tags.iter().filter(|(_, life)| life.is_known());
        known.map(|((at, tag), life)| (at.clone(), tag.clone(), life.possible())).collect()
    }

    /// After a crash and a check, what a tag shows is what it was last acknowledged to be: attempts that were never
    /// answered are settled by it.
    pub fn settle(&self, repository: &str, tag: &str, shown: Shown) {
        let now = self.tick();
        let mut written = self.written();
        let life = written.tags.entry((repository.to_owned(), tag.to_owned())).or_default();
        for write in life.writes.iter_mut().skip(life.open) {
            write.over = write.over.or(Some(now));
        }
        (life.open, life.seen) = (life.writes.len(), Some((shown, now)));
    }

    /// Holds the history of a tag, oldest first, against its writes (I6): each acknowledged one is there exactly once,
    /// nothing is there that was not tried, and what was over before another was sent comes before it. Needs every
    /// write to have its own manifest, and a tag that was never deleted.
    pub fn check_history(&self, repository: &str, tag: &str, history: &[String]) -> Vec<String> {
        let written = self.written();
        let Some(life) = written.tags.get(&(repository.to_owned(), tag.to_owned())) else {
            return vec![format!("I6: {repository}:{tag} was never written and has a history")];
        };
        life.check_history(history)
            .into_iter()
            .map(|found| format!("I6: {repository}:{tag} {found}"))
            .collect()
    }

    /// The tags of a repository whose histories can be checked.
    pub fn tags_with_history(&self, repository: &str) -> Vec<String> {
        let written = self.written();
        let whole = |life: &TagLife| life.is_known() && life.writes.iter().all(|write| write.shown.is_some());
        let of_repository = written.tags.iter().filter(|((at, _), life)| at == repository && whole(life));
        of_repository.map(|((_, tag), _)| tag.clone()).collect()
    }

    /// How many writes were acknowledged: blobs, and manifests put under or taken from a tag.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// A moment between everything noted before and after.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().expect("no writer panics while it holds the ledger")
    }
}

fn stored(contents: &BTreeMap<(String, String), Content>, since: u64) -> Vec<Stored> {
    let recent = contents.iter().filter(|(_, content)| content.acknowledged >= since);
    recent.map(|((at, digest), content)| (at.clone(), digest.clone(), content.bytes.clone())).collect()
}

impl TagLife {
    fn is_known(&self) -> bool {
        self.seen.is_some() || self.writes.iter().any(|write| write.acknowledged.is_some())
    }

    fn possible(&self) -> Vec<Shown> {
        let open = self.writes.get(self.open..).unwrap_or_default();
        let seen = self.seen.iter().map(|(shown, at)| TagWrite {
            shown: shown.clone(),
            sent: *at,
            acknowledged: Some(*at),
            over: Some(*at),
        });
        let mut writes: Vec<TagWrite> = seen.chain(open.iter().cloned()).collect();
        if self.seen.is_none() && !writes.iter().any(|write| write.acknowledged.is_some()) {
            writes.clear();
        }
        let overwritten = |write: &TagWrite| {
            let known_by = write.acknowledged.unwrap_or(u64::MAX);
            writes.iter().any(|other| other.acknowledged.is_some() && other.sent > known_by)
        };
        writes.iter().filter(|write| !overwritten(write)).map(|write| write.shown.clone()).collect()
    }

    fn check_history(&self, history: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, digest) in history.iter().enumerate() {
            if places.insert(digest, place).is_some() {
                found.push(format!("has {digest} twice in its history"));
            }
        }
        let mut happened = Vec::new();
        for write in &self.writes {
            let Some(digest) = write.shown.as_deref() else { continue };
            match places.remove(digest) {
                Some(place) => happened.push((write, place)),
                None if write.acknowledged.is_some() => {
                    found.push(format!("was acknowledged to be {digest}, which is not in its history"));
                }
                None => {}
            }
        }
        found.extend(
            places.keys().map(|digest| format!("was never told to be {digest}, which is in its history")),
        );
        for (earlier, place) in &happened {
            let after = |(later, later_place): &&(&TagWrite, usize)| {
                earlier.over.is_some_and(|over| over < later.sent) && later_place < place
            };
            found.extend(happened.iter().filter(after).map(|(later, _)| {
                format!("was {:?} before {:?}, and its history says otherwise", earlier.shown, later.shown)
            }));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    fn ledger_of(writes: &[(&str, bool)]) -> Ledger {
        let ledger = Ledger::default();
        for (digest, answered) in writes {
            let attempt = ledger.tag_attempt("p/n", "v1", Some(digest));
            if *answered {
                ledger.tag_acknowledged(&attempt, Some(&bytes::Bytes::from_static(b"{}")));
            }
        }
        ledger
    }

    #[track_caller]
    fn may(ledger: &Ledger, expected: &[Option<&str>]) {
        let tags = ledger.tags();
        let possible: Vec<_> = tags[0].2.iter().map(Option::as_deref).collect();
        assert_eq!(possible, expected);
    }

    #[test]
    fn an_acknowledged_write_hides_what_was_acknowledged_before_it_was_sent() {
        let ledger = ledger_of(&[("a", true)]);
        let second = ledger.tag_attempt("p/n", "v1", Some("b"));
        may(&ledger, &[Some("a"), Some("b")]);
        ledger.tag_acknowledged(&second, None);
        may(&ledger, &[Some("b")]);
        ledger.freeze();
        let third = ledger.tag_attempt("p/n", "v1", None);
        ledger.tag_acknowledged(&third, None);
        may(&ledger, &[Some("b"), None]);
        ledger.settle("p/n", "v1", None);
        may(&ledger, &[None]);
    }

    #[track_caller]
    fn check_history(ledger: &Ledger, history: &[&str], expected: usize) {
        let history: Vec<String> = history.iter().map(|&digest| digest.to_owned()).collect();
        let found = ledger.check_history("p/n", "v1", &history);
        assert_eq!(found.len(), expected, "{found:?}");
    }

    #[test]
    fn a_history_has_what_was_acknowledged_once_and_in_order() {
        let ledger = ledger_of(&[("a", true), ("b", false), ("c", true)]);
        check_history(&ledger, &["a", "b", "c"], 0);
        check_history(&ledger, &["a", "c"], 0);
        check_history(&ledger, &["a", "c", "b"], 0);
        check_history(&ledger, &["b", "c"], 1);
        check_history(&ledger, &["c", "a"], 1);
        check_history(&ledger, &["b", "a", "c"], 1);
        check_history(&ledger, &["a", "c", "c"], 1);
        check_history(&ledger, &["a", "c", "d"], 1);
    }

    #[test]
    fn what_a_crash_left_open_does_not_happen_after_it() {
        let ledger = ledger_of(&[("a", true), ("b", false)]);
        ledger.settle("p/n", "v1", Some("a".to_owned()));
        let later = ledger.tag_attempt("p/n", "v1", Some("c"));
        ledger.tag_acknowledged(&later, None);
        check_history(&ledger, &["a", "b", "c"], 0);
        check_history(&ledger, &["a", "c", "b"], 1);
    }
}
