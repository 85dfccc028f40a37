//! The number every logged change gets: one global, gapless count over the whole history of a store.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// How many logged changes had been committed. `resourceVersion` on the wire is this number in decimal.
///
/// Whoever sees revision N sees the effect of every revision below N. Zero is the empty store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a store in which nothing has happened yet.
    pub const ZERO: Self = Self(0);

    /// Wraps a number, for instance one that came back in a continue token.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The plain number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The revision the next change will get when this one is the newest.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Revision> for u64 {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Revision {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}
