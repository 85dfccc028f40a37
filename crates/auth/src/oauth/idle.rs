//! Tokens that end when nobody uses them (platform 2.6).
//!
//! Owns when each was used last, in memory, and how that gets into the store: in steps of a third of the timeout, so
//! that a token in use costs a write now and then and not one per request. A token's `inactivityTimeoutSeconds` counts
//! from its creation, and grows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use pierhead_store::{StoreError, WriteTx};
use serde_json::{Value, json};

use crate::auth::Auth;
use crate::stored::resource;

use super::{find, update};

/// What the store says about the idleness of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The token's name.
    pub(crate) name: String,
    /// When it was made, in seconds.
    pub(crate) created: i64,
    /// Until how many seconds after that it is valid unless it is used.
    pub(crate) allowed: i64,
    /// For how long each use keeps it; zero for ever.
    pub(crate) timeout: i64,
}

/// A token in use.
pub(crate) struct Use {
    terms: Terms,
    /// When it was used last, in seconds; zero for never.
    last: Arc<AtomicI64>,
}

impl Use {
    /// Notes that it is used now, if it is not over.
    pub(crate) fn admits(&self, now: Timestamp) -> bool {
        let Terms { created, allowed, timeout, .. } = self.terms;
        let (now, last) = (now.as_second(), self.last.load(Ordering::Relaxed));
        let kept_by_use = last != 0 && now < last.saturating_add(timeout);
        if timeout != 0 && !kept_by_use && now >= created.saturating_add(allowed) {
            return false;
        }
        self.last.fetch_max(now, Ordering::Relaxed);
        true
    }

    /// The new value of the field, if it is time to write it.
    fn due(&self) -> Option<i64> {
        let Terms { created, allowed, timeout, .. } = self.terms;
        let last = self.last.load(Ordering::Relaxed);
        if timeout == 0 {
            return (allowed != 0).then_some(0);
        }
        let wanted = (last - created).saturating_add(timeout);
        (last != 0 && wanted - allowed >= timeout / 3).then_some(wanted)
    }
}

/// When tokens with a timeout were used.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<String, Arc<Use>>>);

impl Uses {
    /// The use of a token, as the store now tells about it.
    pub(crate) fn of(&self, terms: Terms) -> Arc<Use> {
        let mut uses = self.0.lock();
        let last = match uses.get(&terms.name) {
            Some(of) if of.terms == terms => return Arc::clone(of),
            Some(of) => Arc::clone(&of.last),
            None => Arc::default(),
        };
        let of = Arc::new(Use { terms, last });
        uses.insert(of.terms.name.clone(), Arc::clone(&of));
        of
    }

    fn due(&self) -> Vec<(String, i64)> {
        let uses = self.0.lock();
        uses.values().filter_map(|of| Some((of.terms.name.clone(), of.due()?))).collect()
    }

    /// Forgets tokens whose time is over, by use and by the store.
    fn forget(&self, now: Timestamp) {
        let now = now.as_second();
        self.0.lock().retain(|_, of| {
            let Terms { created, allowed, timeout, .. } = of.terms;
            let last = of.last.load(Ordering::Relaxed);
            timeout != 0 && now < created.saturating_add(allowed).max(last.saturating_add(timeout))
        });
    }
}

impl Auth {
    /// Writes down which tokens with a timeout are in use; answers how many were. For a task that runs every few
    /// seconds.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn keep_used_tokens(&self) -> Result<usize, StoreError> {
        let due = self.inner.uses.due();
        self.inner.uses.forget(self.now());
        if due.is_empty() {
            return Ok(0);
        }
        let count = due.len();
        let written = move |tx: &mut WriteTx<'_>| -> Result<(), StoreError> {
            for (name, seconds) in &due {
                let Some(mut token) = find::<Value>(tx, resource::ACCESS_TOKENS, name)? else { continue };
                token["inactivityTimeoutSeconds"] = json!(seconds);
                update(tx, resource::ACCESS_TOKENS, name, token)?;
            }
            Ok(())
        };
        self.inner.store.write(written).await?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Terms, Uses};

    #[test]
    fn use_keeps_a_token_and_is_written_in_steps() {
        let uses = Uses::default();
        let terms = |allowed| Terms { name: "t".into(), created: 1_000, allowed, timeout: 300 };
        let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
        let token = uses.of(terms(300));
        assert!(token.admits(at(50)));
        assert_eq!(token.due(), None, "less than a third of the time was used");
        assert!(token.admits(at(200)));
        assert_eq!(uses.due(), [("t".to_owned(), 500)]);
        assert!(token.admits(at(499)), "it was used 299 seconds ago, whatever is written");
        let token = uses.of(terms(500));
        assert!(token.admits(at(700)), "what is remembered outlasts a write");
        uses.forget(at(1_000));
        let token = uses.of(terms(500));
        assert!(!token.admits(at(1_000)));
        assert!(
            uses.of(Terms { timeout: 0, ..terms(500) }).admits(at(1_000)),
            "the client has no timeout any more"
        );
    }
}
