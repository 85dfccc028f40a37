//! Time as a parameter: whatever writes or compares timestamps takes a [`Clock`].
//!
//! Owns wall-clock time only. Waiting is tokio's business (`tokio::time`), which tests can pause.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Says what time it is. Passed in wherever a timestamp is stored, shown or compared.
pub trait Clock: Send + Sync + 'static {
    /// The current time. May go backwards when the machine's clock is corrected.
    fn now(&self) -> Timestamp;
}

/// The clock of one process, shared by its parts.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock in the form that the parts of a process take.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told otherwise, for tests. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(start)) }
    }

    /// Shows `now` from here on; going backwards is allowed, as with real clocks.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock() = now;
    }

    /// Moves on by `by`, which may be negative. Stops at the ends of representable time.
    pub fn advance(&self, by: impl Into<ClockStep>) {
        let ClockStep(step) = by.into();
        let mut now = self.now.lock();
        *now = now.saturating_add(step).expect("a SignedDuration can always be added saturating");
    }

    /// This clock in the form that the parts of a process take; the original still moves it.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Default for ManualClock {
    /// Shows 2026-01-01T00:00:00Z, so that snapshots of tests agree.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_225_600, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }
}

/// How far [`ManualClock::advance`] moves: a `std` or a signed duration.
#[derive(Clone, Copy, Debug)]
pub struct ClockStep(SignedDuration);

impl From<std::time::Duration> for ClockStep {
    fn from(duration: std::time::Duration) -> Self {
        Self(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
    }
}

impl From<SignedDuration> for ClockStep {
    fn from(duration: SignedDuration) -> Self {
        Self(duration)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, ManualClock, SignedDuration};

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let shared = clock.shared();
        assert_eq!(shared.now().to_string(), "2026-01-01T00:00:00Z");
        clock.advance(Duration::from_secs(90));
        assert_eq!(shared.now().to_string(), "2026-01-01T00:01:30Z");
        clock.advance(SignedDuration::from_secs(-91));
        assert_eq!(shared.now().to_string(), "2025-12-31T23:59:59Z");
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), jiff::Timestamp::MAX);
    }
}
