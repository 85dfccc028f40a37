//! What a watch must keep, as checks over what watchers saw (`reliability-and-security.md` 6-W W1, W2).
//!
//! Owns the history that writers and watchers agree on, and the nine guarantees of a watch, each as a rule of its own:
//! ordered, unique, reliable, atomic, resumable, bookmarkable, and that the kind of an event, the last state of a deleted
//! object and the filter are right. Who writes and who watches is the story's.

mod history;
mod rules;

pub use history::{Change, History, Put};
pub use rules::{Filter, Kind, Seen, Stream, violations};
