//! How long to wait before trying again.
//!
//! Owns the growth and the jitter. Does not wait and does not decide whether a failure deserves another try.

use std::time::Duration;

/// Waits that double from a first one up to a longest one, each shortened by chance by up to half, so that many
/// clients that failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts with about `first` and never exceeds `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first.min(longest) }
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(self.longest);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Forgets past failures, after a success.
    pub fn reset(&mut self) {
        self.next = self.first.min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for full in [100, 200, 350, 350] {
            let wait = backoff.next_wait();
            assert!(wait <= Duration::from_millis(full), "{wait:?} is more than {full} ms");
            assert!(wait >= Duration::from_millis(full / 2), "{wait:?} is less than half of {full} ms");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
