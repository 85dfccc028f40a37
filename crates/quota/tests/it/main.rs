//! Quotas in a store.

mod charging;
