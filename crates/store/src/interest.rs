//! Being told of commits to some tables only, and knowing what need not be read because it happened to others.
//!
//! Every watch of every kind waits for changes. If each commit woke all of them, the commits of one busy table would
//! cost more in wake-ups than in writing. So those who wait for the same tables share one interest, which stays asleep
//! while others are written to.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::revision::Revision;
use crate::table::{Change, TableName};

/// What happened to the tables of an interest.
#[derive(Clone, Copy, Debug)]
struct News {
    /// The newest commit, whatever it changed.
    newest: Revision,
    /// The first and the last change of the newest commit that changed one of the tables.
    first: Revision,
    last: Revision,
    /// The last change of one of the tables before that commit.
    before: Revision,
}

struct Interest {
    tables: Vec<&'static str>,
    news: watch::Sender<News>,
}

/// All interests of a store.
#[derive(Default)]
pub(crate) struct Interests(RwLock<Vec<Interest>>);

impl Interests {
    /// `newest` is asked while no commit is being told: what comes after it will be.
    pub(crate) fn subscribe(&self, tables: &[TableName], newest: impl FnOnce() -> Revision) -> Subscription {
        let mut tables: Vec<&'static str> = tables.iter().map(|table| table.name).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut interests = self.0.write();
        if let Some(interest) = interests.iter().find(|interest| interest.tables == tables) {
            return Subscription(interest.news.subscribe());
        }
        let newest = newest();
        let news = watch::Sender::new(News { newest, first: newest, last: newest, before: newest });
        let subscription = Subscription(news.subscribe());
        interests.push(Interest { tables, news });
        subscription
    }

    /// Tells of a commit whose changes can be read already.
    pub(crate) fn tell(&self, changes: &[Arc<Change>], newest: Revision) {
        for Interest { tables, news } in &*self.0.read() {
            let mut theirs = changes.iter().filter(|change| tables.contains(&&*change.table));
            let first = theirs.next().map(|change| change.revision);
            let last = theirs.next_back().map(|change| change.revision).or(first);
            news.send_if_modified(|news| {
                news.newest = newest;
                let Some((first, last)) = first.zip(last) else { return false };
                *news = News { newest, first, last, before: news.last };
                true
            });
        }
    }
}

/// Somebody who waits for changes of some tables. A wake-up may come without a change, and one change may wake once
/// for many; read [`crate::Store::changes`] from where you were.
#[derive(Debug)]
pub struct Subscription(watch::Receiver<News>);

impl Subscription {
    /// Forgets the wake-ups so far. Call it before reading: a change that comes in between then wakes.
    pub fn mark_seen(&mut self) {
        self.0.borrow_and_update();
    }

    /// Waits for a change since [`Subscription::mark_seen`]; false when the store is gone and none will come.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// The newest revision such that nothing happened to the tables between `cursor` and it, as far as that is known
    /// without reading: from there on is early enough to read.
    pub fn skip(&self, cursor: Revision) -> Revision {
        let News { newest, first, last, before } = *self.0.borrow();
        if cursor >= last {
            cursor.max(newest)
        } else if cursor >= before {
            cursor.max(Revision::new(first.number().saturating_sub(1)))
        } else {
            cursor
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{Interests, Subscription};
    use crate::revision::Revision;
    use crate::table::{Change, Table};

    static SHIPS: Table<u64, ()> = Table::logged("ships");
    static PORTS: Table<u64, ()> = Table::logged("ports");

    fn commit(interests: &Interests, changes: &[(u64, &str)]) {
        let change = |(revision, table): &(u64, &str)| {
            let revision = Revision::new(*revision);
            Arc::new(Change {
                revision,
                table: (*table).into(),
                key: Bytes::new(),
                value: None,
                previous: None,
            })
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        interests.tell(&changes, changes.last().unwrap().revision);
    }

    #[track_caller]
    fn check(subscription: &mut Subscription, wakes: bool, skips: &[(u64, u64)]) {
        assert_eq!(subscription.0.has_changed().unwrap(), wakes);
        subscription.mark_seen();
        for (from, to) in skips {
            assert_eq!(subscription.skip(Revision::new(*from)).number(), *to, "from {from}");
        }
    }

    #[test]
    fn only_changes_of_its_tables_wake_it() {
        let interests = Interests::default();
        let mut ships = interests.subscribe(&[SHIPS.name()], || Revision::new(10));
        let mut both = interests.subscribe(&[PORTS.name(), SHIPS.name()], || Revision::new(10));
        check(&mut ships, false, &[(10, 10), (9, 9)]);
        commit(&interests, &[(11, "ports"), (12, "ports")]);
        check(&mut ships, false, &[(10, 12), (9, 9)]);
        check(&mut both, true, &[(10, 10), (11, 11), (12, 12)]);
        commit(&interests, &[(13, "ports"), (14, "ships"), (15, "ports"), (16, "ships"), (17, "ports")]);
        check(&mut ships, true, &[(9, 9), (10, 13), (13, 13), (14, 14), (15, 15), (16, 17)]);
        commit(&interests, &[(18, "ports")]);
        check(&mut ships, false, &[(10, 13), (16, 18)]);
        commit(&interests, &[(19, "ships")]);
        check(&mut ships, true, &[(10, 10), (16, 18), (19, 19)]);
    }

    #[tokio::test]
    async fn who_wants_the_same_shares_it() {
        let interests = Interests::default();
        let mut one = interests.subscribe(&[SHIPS.name(), PORTS.name()], || Revision::ZERO);
        let mut two = interests.subscribe(&[PORTS.name(), SHIPS.name(), PORTS.name()], || Revision::ZERO);
        assert_eq!(interests.0.read().len(), 1);
        commit(&interests, &[(1, "ships")]);
        check(&mut one, true, &[(0, 0)]);
        check(&mut two, true, &[(0, 0)]);
        drop(interests);
        assert!(!one.changed().await, "nothing will come any more");
    }
}
