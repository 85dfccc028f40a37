//! Names of versions within a repository.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest tag, in characters (distribution specification 1.1, "Pulling manifests").
const MAX_LEN: usize = 128;

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
///
/// ```
/// use pierhead_oci::Tag;
///
/// assert_eq!("v1.2_rc-3".parse::<Tag>()?.as_str(), "v1.2_rc-3");
/// assert!(".hidden".parse::<Tag>().is_err());
/// # Ok::<(), pierhead_oci::TagError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag that clients mean when they name none.
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// The tag as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(TagError::TooLong { length: text.len() });
        }
        let allowed = |(position, byte): (usize, u8)| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => true,
            b'.' | b'-' => position > 0,
            _ => false,
        };
        if !text.bytes().enumerate().all(allowed) {
            return Err(TagError::BadCharacter(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0.as_ref().into()
    }
}

/// Why a text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Nothing was given.
    #[error("a tag may not be empty")]
    Empty,
    /// More than 128 characters.
    #[error("a tag has at most {MAX_LEN} characters, got {length}")]
    TooLong {
        /// Length of what was given, in bytes.
        length: usize,
    },
    /// A character outside the grammar, or a first character that is `.` or `-`.
    #[error("tag `{0}` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*")]
    BadCharacter(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::Tag;

    fn check(text: &str, expected: Result<(), &str>) {
        let actual = text.parse::<Tag>().map(|tag| assert_eq!(tag.as_str(), text));
        assert_eq!(actual.map_err(|error| error.to_string()), expected.map_err(String::from), "{text}");
    }

    #[test]
    fn follows_the_grammar() {
        check("latest", Ok(()));
        check("_", Ok(()));
        check("3.11-RC_1", Ok(()));
        check(&"a".repeat(128), Ok(()));
        check(&"a".repeat(129), Err("a tag has at most 128 characters, got 129"));
        check("", Err("a tag may not be empty"));
        check(".a", Err("tag `.a` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*"));
        check("-a", Err("tag `-a` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*"));
        check("a/b", Err("tag `a/b` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*"));
        check("a%2fb", Err("tag `a%2fb` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*"));
        check("ä", Err("tag `ä` is not of the form [A-Za-z0-9_][A-Za-z0-9._-]*"));
    }

    proptest! {
        #[test]
        fn what_parses_is_what_was_written(text in any::<String>()) {
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert_eq!(tag.to_string(), text);
            }
        }
    }
}
