//! The guarantees of a watch, one function each, over one connection of one watcher.

use std::collections::{BTreeMap, HashSet};

use super::history::{History, Put};

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The object came, or began to match.
    Added,
    /// It changed.
    Modified,
    /// It went, or matches no more.
    Deleted,
}

/// One thing a watcher saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An object.
    Event {
        /// What happened to it.
        kind: Kind,
        /// Which.
        key: String,
        /// Its resourceVersion in the event.
        revision: u64,
        /// The rest of it.
        put: Put,
    },
    /// A bookmark.
    Bookmark {
        /// Its resourceVersion.
        revision: u64,
        /// Whether it ends the initial events.
        ends_initial: bool,
    },
}

/// What a watcher asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All objects.
    Everything,
    /// Those with this value of the label.
    Side(String),
    /// One object.
    Key(String),
}

impl Filter {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::Everything
    }

    fn takes(&self, key: &str, put: &Put) -> bool {
        match self {
            Self::Everything => true,
            Self::Side(side) => put.side == *side,
            Self::Key(only) => only == key,
        }
    }
}

/// One connection of a watcher.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Whose.
    pub name: String,
    /// What it asked for.
    pub filter: Filter,
    /// The revision it asked to go on from; `None` where it asked for the initial events.
    pub from: Option<u64>,
    /// What it saw, in order.
    pub seen: Vec<Seen>,
}

impl Stream {
    /// The revision up to which it saw everything: that of the last event or bookmark.
    #[must_use]
    pub fn reached(&self) -> Option<u64> {
        let live = self.live().iter().map(revision_of).max();
        live.or(self.initial_end()).or(self.from)
    }

    /// The revision its initial events showed.
    fn initial_end(&self) -> Option<u64> {
        self.seen.iter().find_map(|seen| match seen {
            Seen::Bookmark { revision, ends_initial: true } => Some(*revision),
            _ => None,
        })
    }

    fn initial(&self) -> &[Seen] {
        let end = self.seen.iter().position(|seen| matches!(seen, Seen::Bookmark { ends_initial: true, .. }));
        match (self.from, end) {
            (Some(_), _) => &[],
            (None, Some(end)) => &self.seen[..end],
            (None, None) => &self.seen,
        }
    }

    /// What came after the initial events.
    fn live(&self) -> &[Seen] {
        match self.from {
            Some(_) => &self.seen,
            None => self.seen.get(self.initial().len() + 1..).unwrap_or_default(),
        }
    }

    /// Where the live events begin.
    fn begins(&self) -> Option<u64> {
        self.from.or_else(|| self.initial_end())
    }
}

fn revision_of(seen: &Seen) -> u64 {
    match seen {
        Seen::Event { revision, .. } | Seen::Bookmark { revision, .. } => *revision,
    }
}

/// A rule: what of a stream breaks it.
type Rule = fn(&History, &Stream) -> Option<String>;

const RULES: [(&str, Rule); 9] = [
    ("ordered", ordered),
    ("unique", unique),
    ("atomic", atomic),
    ("reliable", reliable),
    ("resumable", resumable),
    ("bookmarkable", bookmarkable),
    ("kind", kind_is_right),
    ("last state", last_state),
    ("filter", filtered),
];

/// What `streams` saw against their guarantees; empty when all hold.
pub fn violations(history: &History, streams: &[Stream]) -> Vec<String> {
    let mut found = Vec::new();
    for stream in streams {
        for (name, rule) in RULES {
            if let Some(problem) = rule(history, stream) {
                found.push(format!("{name}: {}: {problem}", stream.name));
            }
        }
    }
    found
}

/// Revisions never go back.
fn ordered(_: &History, stream: &Stream) -> Option<String> {
    let revisions: Vec<u64> = stream.live().iter().map(revision_of).collect();
    let back = revisions.windows(2).find(|pair| pair[1] < pair[0])?;
    Some(format!("{} came after {}", back[1], back[0]))
}

/// No event comes twice.
fn unique(_: &History, stream: &Stream) -> Option<String> {
    let mut known = HashSet::new();
    stream.live().iter().find_map(|seen| match seen {
        Seen::Event { key, revision, .. } if !known.insert((key, revision)) => {
            Some(format!("{key} at {revision} came twice"))
        }
        _ => None,
    })
}

/// What happened at one revision comes together, with nothing in between. Each of our writes is one object, so no
/// revision may be split by another.
fn atomic(_: &History, stream: &Stream) -> Option<String> {
    let mut done = HashSet::new();
    let mut last = None;
    for seen in stream.live() {
        let Seen::Event { revision, .. } = seen else { continue };
        if last != Some(*revision) {
            if !done.insert(*revision) {
                return Some(format!("{revision} goes on after another revision"));
            }
            last = Some(*revision);
        }
    }
    None
}

/// What the stream should have seen of the history.
fn expected(history: &History, stream: &Stream) -> Vec<Seen> {
    let (Some(from), Some(to)) = (stream.begins(), stream.reached()) else { return Vec::new() };
    let takes = |key: &str, put: &Option<Put>| put.clone().filter(|put| stream.filter.takes(key, put));
    let events = history.between(from, to).filter_map(|(revision, change)| {
        let (was, is) = (takes(&change.key, &change.before), takes(&change.key, &change.after));
        let (kind, put) = match (was, is) {
            (None, Some(put)) => (Kind::Added, put),
            (Some(_), Some(put)) => (Kind::Modified, put),
            (Some(last), None) => (Kind::Deleted, last),
            (None, None) => return None,
        };
        Some(Seen::Event { kind, key: change.key.clone(), revision, put })
    });
    events.collect()
}

fn events(stream: &Stream) -> impl Iterator<Item = &Seen> {
    stream.live().iter().filter(|seen| matches!(seen, Seen::Event { .. }))
}

/// Nothing that happened between the first and the last that was seen is missing.
fn reliable(history: &History, stream: &Stream) -> Option<String> {
    let seen: HashSet<u64> = events(stream).map(revision_of).collect();
    let missing = expected(history, stream).into_iter().find(|event| !seen.contains(&revision_of(event)))?;
    Some(format!("{missing:?} did not come; from {:?} to {:?}", stream.begins(), stream.reached()))
}

/// A stream begins after the revision it was asked to go on from, and one with initial events shows the state of the
/// revision that their end names.
fn resumable(history: &History, stream: &Stream) -> Option<String> {
    if let Some(from) = stream.from {
        let early = stream.seen.iter().map(revision_of).find(|revision| *revision < from)?;
        return Some(format!("{early} came, from {from} on was asked"));
    }
    let end = stream.initial_end()?;
    let mut shown: BTreeMap<&String, (u64, &Put)> = BTreeMap::new();
    for seen in stream.initial() {
        match seen {
            Seen::Event { kind: Kind::Added, key, revision, put } => shown.insert(key, (*revision, put)),
            other => return Some(format!("{other:?} is no initial event")),
        };
    }
    let state = history.state_at(end);
    let there: BTreeMap<&String, (u64, &Put)> = state
        .iter()
        .filter(|(key, (_, put))| stream.filter.takes(key, put))
        .map(|(key, (revision, put))| (key, (*revision, put)))
        .collect();
    (shown != there).then(|| {
        let differs = shown.iter().find(|(key, value)| there.get(*key) != Some(value));
        let lacks = there.iter().find(|(key, value)| shown.get(*key) != Some(value));
        format!("the initial events are not the state at {end}: shown {differs:?}, there {lacks:?}")
    })
}

/// A bookmark comes after everything up to it, and before everything beyond.
fn bookmarkable(history: &History, stream: &Stream) -> Option<String> {
    let mut due = expected(history, stream).into_iter().map(|event| revision_of(&event)).peekable();
    for seen in stream.live() {
        match seen {
            Seen::Event { revision, .. } => while due.next_if(|next| next <= revision).is_some() {},
            Seen::Bookmark { revision, .. } => {
                if let Some(late) = due.next_if(|next| next <= revision) {
                    return Some(format!("the bookmark {revision} came before the event {late}"));
                }
            }
        }
    }
    None
}

/// What came is called what it is: new, changed or gone, for who sees through this filter.
fn kind_is_right(history: &History, stream: &Stream) -> Option<String> {
    let right: BTreeMap<u64, Seen> =
        expected(history, stream).into_iter().map(|event| (revision_of(&event), event)).collect();
    events(stream).find_map(|seen| match (seen, right.get(&revision_of(seen))) {
        (Seen::Event { kind, key, revision, .. }, Some(Seen::Event { kind: wanted, .. }))
            if kind != wanted =>
        {
            Some(format!("{key} at {revision} is {kind:?}, and should be {wanted:?}"))
        }
        _ => None,
    })
}

/// The object of an event is as it was then; a deleted one as it was last.
fn last_state(history: &History, stream: &Stream) -> Option<String> {
    let right: BTreeMap<u64, Seen> =
        expected(history, stream).into_iter().map(|event| (revision_of(&event), event)).collect();
    events(stream).find_map(|seen| match (seen, right.get(&revision_of(seen))) {
        (Seen::Event { key, revision, put, .. }, Some(Seen::Event { put: wanted, .. })) if put != wanted => {
            Some(format!("{key} at {revision} is {put:?}, and should be {wanted:?}"))
        }
        _ => None,
    })
}

/// Nothing comes that was not asked for.
fn filtered(history: &History, stream: &Stream) -> Option<String> {
    let right: HashSet<u64> = expected(history, stream).iter().map(revision_of).collect();
    let foreign = events(stream).find(|seen| !right.contains(&revision_of(seen)))?;
    Some(format!("{foreign:?} does not belong here"))
}

#[cfg(test)]
mod tests {
    use super::{Filter, History, Kind, Put, Seen, Stream, violations};
    use std::collections::HashSet;

    fn put(number: u64, side: &str) -> Put {
        Put { number, side: side.to_owned() }
    }

    fn event(kind: Kind, key: &str, revision: u64, put: Put) -> Seen {
        Seen::Event { kind, key: key.to_owned(), revision, put }
    }

    fn stream(filter: Filter, from: u64, seen: Vec<Seen>) -> Stream {
        Stream { name: "w".to_owned(), filter, from: Some(from), seen }
    }

    /// a is made at 1 on the left, goes right at 3, and is deleted at 5; b is made at 4 on the left.
    fn whole() -> Vec<Seen> {
        vec![
            event(Kind::Added, "a", 1, put(1, "left")),
            event(Kind::Modified, "a", 3, put(2, "right")),
            event(Kind::Added, "b", 4, put(3, "left")),
            event(Kind::Deleted, "a", 5, put(2, "right")),
        ]
    }

    fn history() -> History {
        let attempted: HashSet<u64> = (1..=3).collect();
        let all = stream(Filter::Everything, 0, whole());
        let puts = [("a".to_owned(), 1, put(1, "left")), ("b".to_owned(), 4, put(3, "left"))];
        let (history, found) = History::new(&puts, &[("a".to_owned(), 2)], &attempted, &[all]);
        assert_eq!((found, history.len()), (Vec::<String>::new(), 4));
        history
    }

    #[track_caller]
    fn check(seen: Vec<Seen>, filter: Filter, from: u64, broken: &[&str]) {
        let found = violations(&history(), &[stream(filter, from, seen)]);
        let names: Vec<&str> = found.iter().map(|text| text.split(':').next().unwrap_or_default()).collect();
        assert_eq!(names, broken, "{found:?}");
    }

    #[test]
    fn what_is_right_passes() {
        check(whole(), Filter::Everything, 0, &[]);
        let left = vec![
            event(Kind::Added, "a", 1, put(1, "left")),
            event(Kind::Deleted, "a", 3, put(1, "left")),
            Seen::Bookmark { revision: 3, ends_initial: false },
            event(Kind::Added, "b", 4, put(3, "left")),
            Seen::Bookmark { revision: 9, ends_initial: false },
        ];
        check(left, Filter::Side("left".to_owned()), 0, &[]);
        check(whole()[2..].to_vec(), Filter::Everything, 3, &[]);
    }

    /// Every rule is broken by something that breaks it.
    #[test]
    fn what_is_wrong_is_found() {
        let all = Filter::Everything;
        let mut swapped = whole();
        swapped.swap(2, 3);
        check(swapped, all.clone(), 0, &["ordered"]);
        let mut twice = whole();
        twice.insert(1, twice[0].clone());
        check(twice, all.clone(), 0, &["unique"]);
        let mut missing = whole();
        missing.remove(1);
        check(missing, all.clone(), 0, &["reliable"]);
        let mut split = whole();
        split.insert(2, split[0].clone());
        check(split, all.clone(), 0, &["ordered", "unique", "atomic"]);
        check(whole(), all.clone(), 3, &["resumable", "filter"]);
        let mut early = whole();
        early.insert(1, Seen::Bookmark { revision: 3, ends_initial: false });
        check(early, all.clone(), 0, &["bookmarkable"]);
        let mut kind = whole();
        kind[1] = event(Kind::Added, "a", 3, put(2, "right"));
        check(kind, all.clone(), 0, &["kind"]);
        let mut last = whole();
        last[3] = event(Kind::Deleted, "a", 5, put(1, "left"));
        check(last, all, 0, &["last state"]);
        let right = Filter::Side("right".to_owned());
        check(whole()[2..].to_vec(), right, 3, &["filter"]);
    }

    #[test]
    fn initial_events_are_a_state() {
        let shown = |seen: Vec<Seen>| Stream { from: None, ..stream(Filter::Everything, 0, seen) };
        let end = Seen::Bookmark { revision: 4, ends_initial: true };
        let right = shown(vec![
            event(Kind::Added, "a", 3, put(2, "right")),
            event(Kind::Added, "b", 4, put(3, "left")),
            end.clone(),
            event(Kind::Deleted, "a", 5, put(2, "right")),
        ]);
        assert_eq!(violations(&history(), &[right]), Vec::<String>::new());
        let wrong = shown(vec![event(Kind::Added, "a", 1, put(1, "left")), end]);
        assert!(violations(&history(), &[wrong])[0].starts_with("resumable: "));
    }

    #[test]
    fn what_was_acknowledged_must_be_seen() {
        let attempted: HashSet<u64> = (1..=4).collect();
        let all = stream(Filter::Everything, 0, whole());
        let lost = [("c".to_owned(), 4, put(4, "left"))];
        assert_eq!(
            History::new(&lost, &[], &attempted, std::slice::from_ref(&all)).1.len(),
            1,
            "a revision has two changes"
        );
        let unseen = [("b".to_owned(), 3)];
        assert_eq!(History::new(&[], &unseen, &attempted, std::slice::from_ref(&all)).1.len(), 1);
        assert_eq!(History::new(&[], &[], &HashSet::new(), &[all]).1.len(), 4, "nobody wrote these");
    }
}
