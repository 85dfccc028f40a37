//! Names of unfinished uploads, and the tag of their owner.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The name of an unfinished upload, as clients see it: a random UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Uuid);

/// The text is not the name of an upload.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an upload id")]
pub struct UploadIdError {
    text: String,
    #[source]
    source: uuid::Error,
}

impl UploadId {
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        Uuid::try_parse(text).map(Self).map_err(|source| UploadIdError { text: text.to_owned(), source })
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Whose upload it is, as an opaque tag that the caller compares. It is part of the file's name, so that it survives
/// a restart without a database row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadOwner(String);

/// The tag cannot be part of a file name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an upload owner: 1 to 96 characters a-z, 0-9 and `-`")]
pub struct UploadOwnerError(String);

impl UploadOwner {
    /// The tag as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadOwner {
    type Err = UploadOwnerError;

    fn from_str(text: &str) -> Result<Self, UploadOwnerError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 96 || !text.bytes().all(fits) {
            return Err(UploadOwnerError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}
