//! Questions about identities: `TokenReview`, `SelfSubjectReview`, `TokenRequest` (platform 2.8, 4.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meta::{ObjectMeta, Time};

/// Who is the bearer of this token?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenReview {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The question.
    pub spec: TokenReviewSpec,
    /// The answer.
    pub status: TokenReviewStatus,
}

object!(TokenReview: "authentication.k8s.io" "v1", "tokenreviews" "tokenreview", Cluster);

/// A token in question.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenReviewSpec {
    /// The token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Audiences the asker stands for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
}

impl std::fmt::Debug for TokenReviewSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReviewSpec").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}

/// Answer of a token review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenReviewStatus {
    /// Whether the token is good.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub authenticated: bool,
    /// Whose it is.
    pub user: UserInfo,
    /// Audiences of asker and token in common.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Why it could not be checked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// An authenticated identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct UserInfo {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What else the authenticator knows, such as scopes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Who am I?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectReview {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The answer.
    pub status: SelfSubjectReviewStatus,
}

object!(SelfSubjectReview: "authentication.k8s.io" "v1", "selfsubjectreviews" "selfsubjectreview", Cluster);

/// Answer of a self subject review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectReviewStatus {
    /// The caller.
    pub user_info: UserInfo,
}

/// A wish for a token of a service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequest {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The wish.
    pub spec: TokenRequestSpec,
    /// The token.
    pub status: TokenRequestStatus,
}

object!(TokenRequest: "authentication.k8s.io" "v1", "tokenrequests" "tokenrequest", Namespaced);

/// What token is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequestSpec {
    /// For whom; none means for the API server. Always written.
    pub audiences: Option<Vec<String>>,
    /// Life in seconds. Always written.
    pub expiration_seconds: Option<i64>,
    /// Object whose end ends the token. Always written.
    pub bound_object_ref: Option<BoundObjectReference>,
}

/// Object whose end ends a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct BoundObjectReference {
    /// `Pod`, `Secret` or `Node`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `v1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// UID; filled in when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// A given token.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequestStatus {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expiration_timestamp: Option<Time>,
}

impl std::fmt::Debug for TokenRequestStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let expiry = &self.expiration_timestamp;
        f.debug_struct("TokenRequestStatus").field("expiration_timestamp", expiry).finish_non_exhaustive()
    }
}

impl TokenRequest {
    /// Shortest life of a requested token, in seconds.
    pub const MIN_SECONDS: i64 = 600;
    /// Longest life of a requested token, in seconds.
    pub const MAX_SECONDS: i64 = 1 << 32;

    /// One hour unless asked otherwise.
    pub fn set_defaults(&mut self) {
        self.spec.expiration_seconds.get_or_insert(3600);
    }

    /// Not shorter than ten minutes.
    pub fn validate(&self) -> crate::field::FieldErrors {
        let mut errors = crate::field::FieldErrors::new();
        let seconds = self.spec.expiration_seconds.unwrap_or(3600);
        if seconds < Self::MIN_SECONDS {
            errors.invalid(
                "spec.expirationSeconds",
                seconds,
                "may not specify a duration less than 10 minutes",
            );
        } else if seconds > Self::MAX_SECONDS {
            errors.invalid(
                "spec.expirationSeconds",
                seconds,
                "may not specify a duration larger than 2^32 seconds",
            );
        }
        errors
    }
}
