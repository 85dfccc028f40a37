//! A case for every verb.

/// What shows that a verb works.
#[derive(Clone, Copy)]
pub(super) enum Shows {
    /// A command line, and what is piped in.
    Line(&'static str, &'static str),
    /// The name of a test with what the verb needs.
    Elsewhere(&'static str),
}

/// A verb, a success and a failure with its code.
pub(super) struct Case {
    pub(super) verb: &'static str,
    pub(super) shows: Shows,
    pub(super) fails: (&'static str, u8),
}

pub(super) const CASES: &[Case] = &[];
