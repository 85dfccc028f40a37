//! Several things to do, of which some may fail: what failed is said, the rest is done, the exit code tells.

use crate::{
    environment::ExitStatus,
    error::{self, exit_status, exit_status_of_many},
    session::Session,
};

/// How it went so far.
#[derive(Default)]
pub(crate) struct Tally {
    done: usize,
    failures: Vec<anyhow::Error>,
}

impl Tally {
    /// Counts one thing; gives what it gave.
    pub(crate) fn note<T, E: Into<anyhow::Error>>(&mut self, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.done += 1;
                Some(value)
            }
            Err(failure) => {
                self.failures.push(failure.into());
                None
            }
        }
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Says what failed. A failure that is everything there was is the command's own.
    pub(crate) fn finish(mut self, session: &mut Session) -> anyhow::Result<ExitStatus> {
        if let Some(position) = self.failures.iter().position(error::is_broken_pipe) {
            return Err(self.failures.swap_remove(position));
        }
        if self.done == 0 && self.failures.len() == 1 {
            return Err(self.failures.swap_remove(0));
        }
        let mut statuses = Vec::new();
        for failure in &self.failures {
            match failure.downcast_ref::<error::Silent>() {
                Some(error::Silent(status)) => statuses.push(*status),
                None => {
                    session.remark(&error::render(failure))?;
                    statuses.push(exit_status(failure));
                }
            }
        }
        Ok(match statuses.as_slice() {
            [first, rest @ ..] if self.done == 0 && rest.iter().all(|status| status == first) => *first,
            statuses => exit_status_of_many(self.done, statuses.len()),
        })
    }
}
