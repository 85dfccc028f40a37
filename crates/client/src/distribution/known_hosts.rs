//! What was learned of registries: how to reach them, and for how long to leave them alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::challenge::Challenge;
use crate::egress::Home;

/// How long a ping is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// Longest rest that a registry may ask for at once.
const LONGEST_REST: Duration = Duration::from_secs(3_600);
const MAX_ENTRIES: usize = 4_096;

/// How a registry is reached.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) home: Home,
    /// What it wants of everybody.
    pub(crate) challenge: Option<Challenge>,
}

/// What a ping found, and when.
type Pinged = (Instant, Arc<Base>);

/// Shared by all who use one way out.
#[derive(Default)]
pub(crate) struct KnownHosts {
    /// By host, and whether it was called insecure.
    bases: Mutex<HashMap<(String, bool), Pinged>>,
    /// By host and user.
    resting: Mutex<HashMap<(String, String), Instant>>,
}

impl KnownHosts {
    pub(super) fn base(&self, host: &str, insecure: bool) -> Option<Arc<Base>> {
        let bases = self.bases.lock();
        let (since, base) = bases.get(&(host.to_owned(), insecure))?;
        (since.elapsed() < BELIEVED).then(|| Arc::clone(base))
    }

    pub(super) fn learn(&self, host: &str, insecure: bool, base: &Arc<Base>) {
        let mut bases = self.bases.lock();
        if bases.len() >= MAX_ENTRIES {
            bases.retain(|_, (since, _)| since.elapsed() < BELIEVED);
        }
        if bases.len() < MAX_ENTRIES {
            bases.insert((host.to_owned(), insecure), (Instant::now(), Arc::clone(base)));
        }
    }

    /// How much longer the registry wants to be left alone by `user`.
    pub(super) fn rest(&self, host: &str, user: &str) -> Option<Duration> {
        let resting = self.resting.lock();
        let until = resting.get(&(host.to_owned(), user.to_owned()))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn let_rest(&self, host: &str, user: &str, rest: Duration) {
        let mut resting = self.resting.lock();
        let now = Instant::now();
        if resting.len() >= MAX_ENTRIES {
            resting.retain(|_, until| *until > now);
        }
        if resting.len() < MAX_ENTRIES {
            resting.insert((host.to_owned(), user.to_owned()), now + rest.min(LONGEST_REST));
        }
    }
}
