//! Checks of a write that need look-ups: other objects, or what else the caller may do.
//!
//! Owns the form of a check ([`Admit`]) and those that several kinds share. A check sees the object exactly as it will
//! be stored, and runs again when the write is tried again (reliability 7-F F5). Rules of a single object without
//! look-ups are the strategy's.

use serde_json::Value;

use crate::call::Call;
use crate::error::ApiError;
use crate::strategy::Part;

/// What is about to happen.
pub(crate) enum Operation<'a> {
    /// An object is made.
    Create {
        /// As it will be stored. A check may fill in what only look-ups can tell.
        object: &'a mut Value,
    },
    /// An object is changed.
    Update {
        /// As it will be stored.
        object: &'a mut Value,
        /// As it is.
        old: &'a Value,
        /// What of it is written.
        part: Part,
    },
    /// An object is removed.
    Delete {
        /// As it is.
        old: &'a Value,
    },
}

/// One write, as a check sees it.
pub(crate) struct Admission<'a> {
    /// The call.
    pub(crate) call: &'a Call,
    /// The namespace of the object; empty for objects of the cluster.
    pub(crate) namespace: &'a str,
    /// What is about to happen.
    pub(crate) operation: Operation<'a>,
}

/// A check: an error refuses the write.
pub(crate) type Admit = fn(&mut Admission<'_>) -> Result<(), ApiError>;
