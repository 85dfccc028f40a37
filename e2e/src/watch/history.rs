//! What happened to a few objects, in the order of revisions.
//!
//! Every write has a number that no other has. Writers say what was acknowledged; a write that was not may have happened
//! all the same when the server died, and shows in what watchers saw: what one of them saw, all must have.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::rules::{Kind, Seen, Stream};

/// The state of an object after a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The number of the write.
    pub number: u64,
    /// The value of the label that watchers select by.
    pub side: String,
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which object.
    pub key: String,
    /// As it was.
    pub before: Option<Put>,
    /// As it is.
    pub after: Option<Put>,
}

/// All changes, by revision.
#[derive(Debug, Default)]
pub struct History {
    changes: BTreeMap<u64, Change>,
    /// The revisions of each key, in order.
    of_key: BTreeMap<String, Vec<u64>>,
}

impl History {
    /// Puts together what was acknowledged (`puts`: key, revision and state; `deletes`: key and the number of the last
    /// state) and what `streams` saw. Also says where the two do not fit.
    ///
    /// `attempted` has every number that was ever sent.
    pub fn new(
        puts: &[(String, u64, Put)],
        deletes: &[(String, u64)],
        attempted: &HashSet<u64>,
        streams: &[Stream],
    ) -> (Self, Vec<String>) {
        let mut found = Vec::new();
        let mut facts: BTreeMap<u64, (String, Option<Put>)> = BTreeMap::new();
        for (key, revision, put) in puts {
            note(&mut facts, &mut found, *revision, key, Some(put.clone()));
        }
        for stream in streams {
            for seen in &stream.seen {
                let Seen::Event { kind, key, revision, put } = seen else { continue };
                if !attempted.contains(&put.number) {
                    found.push(format!(
                        "{}: {key} has number {}, which nobody wrote",
                        stream.name, put.number
                    ));
                }
                // Who leaves a selector is told DELETED, and may be there all the same.
                match (kind, stream.filter.is_everything()) {
                    (Kind::Deleted, true) => note(&mut facts, &mut found, *revision, key, None),
                    (Kind::Deleted, false) => {}
                    (Kind::Added | Kind::Modified, _) => {
                        note(&mut facts, &mut found, *revision, key, Some(put.clone()));
                    }
                }
            }
        }
        let mut state: HashMap<String, Put> = HashMap::new();
        let mut deleted: HashSet<(String, u64)> = HashSet::new();
        let mut history = Self::default();
        for (revision, (key, after)) in facts {
            let before = match &after {
                Some(put) => state.insert(key.clone(), put.clone()),
                None => state.remove(&key),
            };
            if after.is_none() {
                match &before {
                    Some(last) => {
                        deleted.insert((key.clone(), last.number));
                    }
                    None => found.push(format!("{key} was deleted at {revision} and was not there")),
                }
            }
            history.of_key.entry(key.clone()).or_default().push(revision);
            history.changes.insert(revision, Change { key, before, after });
        }
        for (key, last) in deletes {
            if !deleted.contains(&(key.clone(), *last)) {
                found.push(format!(
                    "reliable: the deletion of {key} after number {last} was acknowledged and nobody saw it"
                ));
            }
        }
        (history, found)
    }

    /// The changes after `from` up to `to`.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Change)> {
        let range = (std::ops::Bound::Excluded(from), std::ops::Bound::Included(to.max(from)));
        self.changes.range(range).map(|(revision, change)| (*revision, change))
    }

    /// The objects that are there at `revision`.
    #[must_use]
    pub fn state_at(&self, revision: u64) -> BTreeMap<String, (u64, Put)> {
        let last = |(key, revisions): (&String, &Vec<u64>)| {
            let until = revisions.partition_point(|at| *at <= revision);
            let at = *revisions.get(until.checked_sub(1)?)?;
            let put = self.changes.get(&at)?.after.clone()?;
            Some((key.clone(), (at, put)))
        };
        self.of_key.iter().filter_map(last).collect()
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

fn note(
    facts: &mut BTreeMap<u64, (String, Option<Put>)>,
    found: &mut Vec<String>,
    revision: u64,
    key: &str,
    after: Option<Put>,
) {
    let fact = (key.to_owned(), after);
    match facts.get(&revision) {
        None => {
            facts.insert(revision, fact);
        }
        Some(known) if *known == fact => {}
        Some(known) => found.push(format!("revision {revision} is both {known:?} and {fact:?}")),
    }
}
