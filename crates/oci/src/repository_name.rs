//! Names of repositories.
//!
//! Owns the grammar of the distribution specification. Which of these names a registry serves (ours: exactly
//! a project and a stream) is for that registry to say.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name in bytes, slashes included. Clients limit host and name together to 255.
const MAX_LEN: usize = 255;

/// A repository: components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, joined by `/`.
///
/// ```
/// use pierhead_oci::RepositoryName;
///
/// let name: RepositoryName = "shop/frontend".parse()?;
/// assert_eq!(name.project_and_stream(), Some(("shop", "frontend")));
/// assert!("Shop/../frontend".parse::<RepositoryName>().is_err());
/// # Ok::<(), pierhead_oci::RepositoryNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between slashes; there is at least one.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Project and image stream, if the name has exactly two components: the only names that the integrated
    /// registry stores under.
    pub fn project_and_stream(&self) -> Option<(&str, &str)> {
        self.0.split_once('/').filter(|(_, stream)| !stream.contains('/'))
    }
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, RepositoryNameError> {
        if text.is_empty() {
            return Err(RepositoryNameError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(RepositoryNameError::TooLong { length: text.len() });
        }
        if !text.split('/').all(is_component) {
            return Err(RepositoryNameError::BadComponent(text.into()));
        }
        Ok(Self(text.into()))
    }
}

/// Alphanumeric runs with separators between them: one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let mut rest = text.as_bytes();
    loop {
        let run = rest.iter().take_while(|byte| is_alphanumeric(byte)).count();
        if run == 0 {
            return false;
        }
        rest = rest.split_at(run).1;
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|byte| !is_alphanumeric(byte)).count();
        let (between, after) = rest.split_at(separator);
        if !matches!(between, b"." | b"_" | b"__") && !between.iter().all(|byte| *byte == b'-') {
            return false;
        }
        rest = after;
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for RepositoryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = RepositoryNameError;

    fn try_from(text: String) -> Result<Self, RepositoryNameError> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0.as_ref().into()
    }
}

/// Why a text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// Nothing was given.
    #[error("a repository name may not be empty")]
    Empty,
    /// More than 255 bytes.
    #[error("a repository name has at most {MAX_LEN} characters, got {length}")]
    TooLong {
        /// Length of what was given, in bytes.
        length: usize,
    },
    /// A component is empty, has a character outside the grammar, or a separator at an end.
    #[error("repository name `{0}` is not made of lower-case components joined by `/`")]
    BadComponent(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::RepositoryName;

    fn check(text: &str, expected: bool) {
        assert_eq!(text.parse::<RepositoryName>().is_ok(), expected, "{text}");
    }

    #[test]
    fn follows_the_grammar() {
        for good in ["a", "a/b", "a/b/c", "a.b", "a_b", "a__b", "a-b", "a---b", "0", "library/x86.64_linux"] {
            check(good, true);
        }
        let bad =
            ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a.-b", "-a", "a-", "a/_b", "..", "a/../b"];
        for bad in bad.into_iter().chain(["a%2fb", "a b", "a\0", "ä", "a:b", "a@b", "a\\b", "a;b", "a/."]) {
            check(bad, false);
        }
        check(&"a".repeat(255), true);
        check(&"a".repeat(256), false);
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<RepositoryName>().unwrap_err().to_string();
        assert_eq!(error(""), "a repository name may not be empty");
        assert_eq!(error(&"a".repeat(256)), "a repository name has at most 255 characters, got 256");
        assert_eq!(error("A/b"), "repository name `A/b` is not made of lower-case components joined by `/`");
    }

    #[test]
    fn only_two_components_are_project_and_stream() {
        let split = |text: &str| {
            let name: RepositoryName = text.parse().unwrap();
            name.project_and_stream().map(|(project, stream)| format!("{project} {stream}"))
        };
        assert_eq!(split("a"), None);
        assert_eq!(split("a/b"), Some("a b".into()));
        assert_eq!(split("a/b/c"), None);
    }

    proptest! {
        #[test]
        fn grammatical_names_come_back(name in "[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,9}){0,3}(/[a-z0-9]{1,9}){0,5}") {
            prop_assert_eq!(name.parse::<RepositoryName>().unwrap().to_string(), name);
        }

        #[test]
        fn what_parses_is_what_was_written(text in any::<String>()) {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
