//! Questions about permissions of `authorization.k8s.io/v1` (platform 5.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::meta::ObjectMeta;

/// May this user do this?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAccessReview {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The question.
    pub spec: SubjectAccessReviewSpec,
    /// The answer.
    pub status: SubjectAccessReviewStatus,
}

object!(SubjectAccessReview: "authorization.k8s.io" "v1", "subjectaccessreviews" "subjectaccessreview", Cluster);

/// May I do this?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectAccessReview {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The question; who asks is known.
    pub spec: SubjectAccessReviewSpec,
    /// The answer.
    pub status: SubjectAccessReviewStatus,
}

object!(SelfSubjectAccessReview: "authorization.k8s.io" "v1", "selfsubjectaccessreviews" "selfsubjectaccessreview", Cluster);

/// May this user do this in this namespace?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LocalSubjectAccessReview {
    /// Metadata; the namespace is the one asked about.
    pub metadata: ObjectMeta,
    /// The question.
    pub spec: SubjectAccessReviewSpec,
    /// The answer.
    pub status: SubjectAccessReviewStatus,
}

object!(LocalSubjectAccessReview: "authorization.k8s.io" "v1", "localsubjectaccessreviews" "localsubjectaccessreview", Namespaced);

/// What may I do in this namespace?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectRulesReview {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The question.
    pub spec: SelfSubjectRulesReviewSpec,
    /// The answer.
    pub status: SubjectRulesReviewStatus,
}

object!(SelfSubjectRulesReview: "authorization.k8s.io" "v1", "selfsubjectrulesreviews" "selfsubjectrulesreview", Cluster);

/// Which action, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAccessReviewSpec {
    /// An action on a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_attributes: Option<ResourceAttributes>,
    /// An action on a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_resource_attributes: Option<NonResourceAttributes>,
    /// The user asked about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Groups of that user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Extra of that user.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
    /// UID of that user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// An action on a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceAttributes {
    /// Namespace; empty means all, or none for cluster-scoped resources.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Verb; `*` means all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verb: String,
    /// Group; `*` means all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Version; not used for the decision.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Resource; `*` means all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Name; empty means all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// An action on a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NonResourceAttributes {
    /// Path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// HTTP method in lower case.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verb: String,
}

/// Answer of an access review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAccessReviewStatus {
    /// Whether the action is allowed. Always written.
    pub allowed: bool,
    /// Whether it is forbidden whatever others say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What went wrong while deciding.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
}

/// Which namespace a rules review is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectRulesReviewSpec {
    /// The namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Answer of a rules review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectRulesReviewStatus {
    /// Allowed actions on resources.
    pub resource_rules: Vec<ResourceRule>,
    /// Allowed actions on paths.
    pub non_resource_rules: Vec<NonResourceRule>,
    /// Whether there may be more.
    pub incomplete: bool,
    /// What went wrong while collecting.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
}

/// Allowed actions on resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
}

/// Allowed actions on paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NonResourceRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// Paths.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

impl SubjectAccessReviewSpec {
    /// Exactly one kind of action must be asked about.
    pub fn validate_action(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        match (&self.resource_attributes, &self.non_resource_attributes) {
            (Some(_), Some(_)) => {
                let detail = "cannot be specified in combination with resourceAttributes";
                errors.invalid("spec.nonResourceAttributes", serde_json::Value::Null, detail);
            }
            (None, None) => {
                let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                errors.invalid("spec.resourceAttributes", serde_json::Value::Null, detail);
            }
            _ => {}
        }
        errors
    }

    /// The action, and somebody to ask about.
    pub fn validate_subject(&self) -> FieldErrors {
        let mut errors = self.validate_action();
        if self.user.is_empty() && self.groups.is_empty() {
            errors.invalid("spec.user", "", "at least one of user or group must be specified");
        }
        errors
    }
}
