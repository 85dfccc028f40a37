//! The newest changes, kept in memory so that watchers do not go to the disk for them.
//!
//! Bounded by count and by bytes. What has fallen out is still in the log table until that is compacted.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::revision::Revision;
use crate::table::Change;

const MOST_CHANGES: usize = 16_384;
const MOST_BYTES: usize = 16 << 20;

/// A gapless run of changes that ends with the newest.
#[derive(Default)]
pub(crate) struct Ring {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
}

impl Ring {
    pub(crate) fn extend(&mut self, newer: impl IntoIterator<Item = Arc<Change>>) {
        for change in newer {
            self.bytes += change.size();
            self.changes.push_back(change);
        }
        while self.changes.len() > MOST_CHANGES || (self.bytes > MOST_BYTES && self.changes.len() > 1) {
            if let Some(dropped) = self.changes.pop_front() {
                self.bytes -= dropped.size();
            }
        }
    }

    /// The changes after a revision, oldest first; `None` when the ring does not reach back that far.
    pub(crate) fn after(&self, revision: Revision, limit: usize) -> Option<Vec<Arc<Change>>> {
        let first = self.changes.front()?.revision;
        let skipped = revision.next().number().checked_sub(first.number())?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Some(self.changes.iter().skip(skipped).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{MOST_BYTES, MOST_CHANGES, Ring};
    use crate::revision::Revision;
    use crate::table::Change;

    fn change(revision: usize, bytes: usize) -> Arc<Change> {
        let revision = Revision::new(revision as u64);
        let value = Some(Bytes::from(vec![0; bytes]));
        Arc::new(Change { revision, table: "t".into(), key: Bytes::new(), value, previous: None })
    }

    #[track_caller]
    fn check(ring: &Ring, after: usize, limit: usize, expected: Option<&[usize]>) {
        let found = ring.after(Revision::new(after as u64), limit);
        let found =
            found.map(|changes| changes.iter().map(|change| change.revision.number() as usize).collect());
        assert_eq!(found, expected.map(<[usize]>::to_vec));
    }

    #[test]
    fn answers_only_for_what_it_holds() {
        let mut ring = Ring::default();
        check(&ring, 0, 9, None);
        ring.extend((5..8).map(|revision| change(revision, 1)));
        check(&ring, 3, 9, None);
        check(&ring, 4, 9, Some(&[5, 6, 7]));
        check(&ring, 4, 2, Some(&[5, 6]));
        check(&ring, 6, 9, Some(&[7]));
        check(&ring, 7, 9, Some(&[]));
        check(&ring, 70, 9, Some(&[]));
    }

    #[test]
    fn lets_the_oldest_go() {
        let mut many = Ring::default();
        many.extend((1..=MOST_CHANGES + 1).map(|revision| change(revision, 0)));
        check(&many, 0, 1, None);
        check(&many, 1, 1, Some(&[2]));
        let mut large = Ring::default();
        large.extend((1..4).map(|revision| change(revision, MOST_BYTES / 2)));
        check(&large, 0, 9, None);
        check(&large, 1, 9, Some(&[2, 3]));
        large.extend([change(4, MOST_BYTES + 1)]);
        check(&large, 3, 9, Some(&[4]));
    }
}
