//! What a manifest is asked for by: a tag, or the digest of its bytes.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};
use crate::tag::{Tag, TagError};

/// The last part of a manifest's path. A colon decides which it is: tags have none, digests always one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A name that may move.
    Tag(Tag),
    /// An address that cannot.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// Why a text is neither a tag nor a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has no colon and is not a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// It has a colon and is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

#[cfg(test)]
mod tests {
    use super::{Digest, Reference};

    #[test]
    fn a_colon_makes_it_a_digest() {
        let digest = Digest::sha256(b"x");
        assert_eq!(digest.to_string().parse(), Ok(Reference::Digest(digest)));
        assert!(matches!("sha256".parse(), Ok(Reference::Tag(_))));
        let error = "sha256:x".parse::<Reference>().unwrap_err().to_string();
        assert_eq!(error, "a sha256 digest needs 64 lower-case hex characters, got `x`");
        assert_eq!("".parse::<Reference>().unwrap_err().to_string(), "a tag may not be empty");
    }
}
