//! How much of the change log is kept: so many changes and so much time at least, so many bytes at most.
//!
//! Decides what is dropped with a commit that happens anyway. What an earlier process left in the log is measured
//! little by little with the first commits; until that is done nothing is dropped.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{LogPart, View};
use crate::error::StoreError;
use crate::revision::Revision;
use crate::table::Change;

/// What the log keeps, and how much of it goes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Kept at least, unless they are more than `most_bytes`.
    changes: u64,
    /// Kept for at least so long, unless they are more than `most_bytes`.
    time: Duration,
    /// Keys and records of all changes together.
    most_bytes: u64,
    /// What a commit may drop or measure without being noticed.
    step: LogPart,
}

const LIMITS: Limits = Limits {
    changes: 100_000,
    time: Duration::from_secs(600),
    most_bytes: 1 << 30,
    step: LogPart { changes: 1_000, bytes: 32 << 20 },
};

/// The part of the log that goes with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The newest change that goes.
    pub(crate) to: Revision,
    bytes: u64,
}

/// What the writer knows of the log's size.
#[derive(Debug)]
pub(crate) struct Retention {
    limits: Limits,
    newest: Revision,
    measured_from: Revision,
    /// The size of the changes after `measured_from`.
    bytes: u64,
}

impl Retention {
    /// For a log whose changes up to `newest` were not measured.
    pub(crate) fn new(newest: Revision) -> Self {
        Self { limits: LIMITS, newest, measured_from: newest, bytes: 0 }
    }

    /// What of the log in `view` may go with a commit whose last change is `newest`.
    pub(crate) fn due(
        &mut self,
        view: &dyn View,
        newest: Revision,
        now: Timestamp,
    ) -> Result<Option<Due>, StoreError> {
        let (Limits { changes, time, most_bytes, step }, kept) =
            (self.limits, view.marks().compacted.number());
        if self.measured_from.number() > kept {
            let from = self.measured_from.number().saturating_sub(step.changes).max(kept);
            let unmeasured = LogPart { changes: self.measured_from.number() - from, bytes: u64::MAX };
            self.bytes += view.log_part(Revision::new(from), unmeasured)?.bytes;
            self.measured_from = Revision::new(from);
            return Ok(None);
        }
        let excess = self.bytes.saturating_sub(most_bytes).min(step.bytes);
        let mut wanted = LogPart { changes: step.changes, bytes: excess };
        if newest.number() >= kept + step.changes + changes {
            let logged_at = view.logged_at(Revision::new(kept + step.changes))?;
            if logged_at.is_some_and(|at| now.duration_since(at).unsigned_abs() > time) {
                wanted = step;
            }
        }
        if wanted.bytes == 0 {
            return Ok(None);
        }
        let LogPart { changes, bytes } = view.log_part(view.marks().compacted, wanted)?;
        Ok((changes > 0).then_some(Due { to: Revision::new(kept + changes), bytes }))
    }

    /// These changes were committed, and the log was dropped up to `dropped_to`, because that was due or because somebody
    /// asked for it.
    pub(crate) fn committed(
        &mut self,
        changes: &[Arc<Change>],
        due: Option<Due>,
        dropped_to: Option<Revision>,
    ) {
        self.newest = changes.last().map_or(self.newest, |last| last.revision);
        if dropped_to != due.map(|due| due.to) {
            // Whoever asked did not look how much that is.
            (self.measured_from, self.bytes) = (self.newest, 0);
            return;
        }
        let added: u64 = changes.iter().map(|change| change.size() as u64).sum();
        self.bytes = (self.bytes + added).saturating_sub(due.map_or(0, |due| due.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use pierhead_runtime::ManualClock;
    use tokio::sync::mpsc;

    use super::{Limits, Retention};
    use crate::engine::memory::MemoryEngine;
    use crate::engine::sqlite::SqliteEngine;
    use crate::engine::{LogPart, Writer};
    use crate::published::Published;
    use crate::table::Table;
    use crate::writer::{Job, WriterThread};
    use crate::{ObjectRecord, Revision, StoreError};

    static NOTES: Table<String, ObjectRecord> = Table::logged("notes");
    const FEW: Limits = Limits {
        changes: 1_000,
        time: Duration::from_secs(600),
        most_bytes: 10_500,
        step: LogPart { changes: 3, bytes: 1_500 },
    };

    struct Log<W>(WriterThread<W>);

    impl<W: Writer> Log<W> {
        fn over(writer: W) -> Self {
            let mut found = None;
            writer.read(&mut |view| found = Some(view.marks()));
            let marks = found.unwrap();
            let mut log = Self(WriterThread {
                writer,
                queue: mpsc::channel(1).1,
                published: Arc::new(Published::new(marks)),
                clock: ManualClock::default().shared(),
                retention: Retention::new(marks.revision),
            });
            log.0.retention.limits = FEW;
            log
        }

        /// Commits as many notes of a thousand bytes together as each number says; answers up to where the log is gone
        /// after each commit.
        fn commit(&mut self, commits: &[u64]) -> Vec<u64> {
            let commit = |notes: &u64| {
                let notes = *notes;
                let (job, _) = Job::new(move |tx: &mut crate::WriteTx<'_>| {
                    for _ in 0..notes {
                        let key = tx.next_revision().to_string();
                        tx.put(&NOTES, &key, &ObjectRecord(vec![b'x'; 1_000].into()))?;
                    }
                    Ok::<_, StoreError>(())
                });
                self.0.commit_group(Box::new(job));
                self.0.published.compacted().number()
            };
            commits.iter().map(commit).collect()
        }

        fn compact(&mut self, to: u64) {
            let (job, _) = Job::new(move |tx: &mut crate::WriteTx<'_>| {
                tx.request_compaction(Revision::new(to));
                Ok::<_, StoreError>(())
            });
            self.0.commit_group(Box::new(job));
        }
    }

    fn check(writer: impl Writer) {
        let mut log = Log::over(writer);
        assert_eq!(log.commit(&[1; 13]), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        // The next commits drop what twenty at once are too many, two at a time: no more bytes at once.
        assert_eq!(log.commit(&[20, 1, 1]), [3, 5, 7]);
        // 28 are there when the process starts again. They are measured three by three.
        let mut log = Log::over(log.0.writer);
        assert_eq!(log.commit(&[1; 11]), [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 9]);
        log.compact(20);
        assert_eq!(log.commit(&[1; 10]), [20, 20, 20, 20, 20, 20, 20, 20, 20, 22]);
    }

    #[test]
    fn changes_beyond_so_many_bytes_go_from_memory() {
        check(MemoryEngine::new());
    }

    #[test]
    fn changes_beyond_so_many_bytes_go_from_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let (_engine, writer, _) = SqliteEngine::open(directory.path(), &[NOTES.name()], None).unwrap();
        check(writer);
    }
}
