//! Error codes of the distribution specification, and the body that carries them.
//!
//! Owns the words. Which status an answer has belongs to the server that gives it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A code of the distribution specification, or one that Docker's registry added and clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "`default_message` says what each one means")]
pub enum ErrorCode {
    Unknown,
    Unsupported,
    Unauthorized,
    Denied,
    Unavailable,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    DigestInvalid,
    SizeInvalid,
    RangeInvalid,
    NameInvalid,
    TagInvalid,
    NameUnknown,
    ManifestUnknown,
    ManifestInvalid,
    ManifestUnverified,
    ManifestBlobUnknown,
    BlobUnknown,
    BlobUploadUnknown,
    BlobUploadInvalid,
    PaginationNumberInvalid,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 20] = [
        Self::Unknown,
        Self::Unsupported,
        Self::Unauthorized,
        Self::Denied,
        Self::Unavailable,
        Self::TooManyRequests,
        Self::DigestInvalid,
        Self::SizeInvalid,
        Self::RangeInvalid,
        Self::NameInvalid,
        Self::TagInvalid,
        Self::NameUnknown,
        Self::ManifestUnknown,
        Self::ManifestInvalid,
        Self::ManifestUnverified,
        Self::ManifestBlobUnknown,
        Self::BlobUnknown,
        Self::BlobUploadUnknown,
        Self::BlobUploadInvalid,
        Self::PaginationNumberInvalid,
    ];

    /// The code as it stands in an answer.
    pub const fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// The message that Docker's registry gives with the code; clients print it.
    pub const fn default_message(self) -> &'static str {
        self.texts().1
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("UNKNOWN", "unknown error"),
            Self::Unsupported => ("UNSUPPORTED", "The operation is unsupported."),
            Self::Unauthorized => ("UNAUTHORIZED", "authentication required"),
            Self::Denied => ("DENIED", "requested access to the resource is denied"),
            Self::Unavailable => ("UNAVAILABLE", "service unavailable"),
            Self::TooManyRequests => ("TOOMANYREQUESTS", "too many requests"),
            Self::DigestInvalid => ("DIGEST_INVALID", "provided digest did not match uploaded content"),
            Self::SizeInvalid => ("SIZE_INVALID", "provided length did not match content length"),
            Self::RangeInvalid => ("RANGE_INVALID", "invalid content range"),
            Self::NameInvalid => ("NAME_INVALID", "invalid repository name"),
            Self::TagInvalid => ("TAG_INVALID", "manifest tag did not match URI"),
            Self::NameUnknown => ("NAME_UNKNOWN", "repository name not known to registry"),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", "manifest unknown"),
            Self::ManifestInvalid => ("MANIFEST_INVALID", "manifest invalid"),
            Self::ManifestUnverified => ("MANIFEST_UNVERIFIED", "manifest failed signature verification"),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
            Self::BlobUnknown => ("BLOB_UNKNOWN", "blob unknown to registry"),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", "blob upload invalid"),
            Self::PaginationNumberInvalid => {
                ("PAGINATION_NUMBER_INVALID", "invalid number of results requested")
            }
        }
    }
}

/// The body of an answer that is an error: `{"errors":[…]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// At least one; a manifest with several missing blobs has one for each.
    pub errors: Vec<ErrorItem>,
}

/// One error of an [`ErrorBody`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorItem {
    /// What programs decide on. Kept as text, since other registries have codes of their own.
    pub code: String,
    /// What people read.
    #[serde(default)]
    pub message: String,
    /// Anything more, in a form that depends on the code.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl ErrorItem {
    /// An error with the message that everyone knows for `code`.
    pub fn new(code: ErrorCode, detail: Value) -> Self {
        Self { code: code.as_str().into(), message: code.default_message().into(), detail }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ErrorBody, ErrorCode, ErrorItem};

    #[test]
    fn serde_and_as_str_agree() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), json!(code.as_str()));
        }
    }

    #[test]
    fn a_body_has_no_empty_detail() {
        let body = ErrorBody { errors: vec![ErrorItem::new(ErrorCode::TooManyRequests, json!(null))] };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}"#);
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap(), body);
    }
}
