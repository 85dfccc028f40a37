//! Quotas in a store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod charging;
