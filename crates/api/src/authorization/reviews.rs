//! Questions about permissions in OpenShift's form. Questions and answers are different kinds here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PolicyRule;
use crate::meta::ObjectMeta;

macro_rules! question {
    (
        $(#[$doc:meta])* $name:ident, $plural:literal $singular:literal, $scope:ident
        $(, { $($(#[$field_meta:meta])* $field:ident: $field_type:ty),* $(,)? })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            /// Not part of the wire form; always empty.
            #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
            pub metadata: ObjectMeta,
            /// Namespace asked about; empty means all.
            pub namespace: String,
            /// Verb.
            pub verb: String,
            /// Group of the resource.
            #[serde(rename = "resourceAPIGroup")]
            pub resource_api_group: String,
            /// Version of the resource; not used for the decision.
            #[serde(rename = "resourceAPIVersion")]
            pub resource_api_version: String,
            /// Resource, `/sub` appended for a subresource.
            pub resource: String,
            /// Name of the object; empty means any.
            pub resource_name: String,
            /// Path, for questions that are not about resources.
            pub path: String,
            /// Whether it is about a path.
            #[serde(rename = "isNonResourceURL")]
            pub is_non_resource_url: bool,
            /// Body of the request; never looked at.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub content: Option<Value>,
            $($($(#[$field_meta])* pub $field: $field_type,)*)?
        }

        object!($name: "authorization.openshift.io" "v1", $plural $singular, $scope);

        impl $name {
            /// The action asked about.
            pub fn action(&self) -> Action {
                Action {
                    namespace: self.namespace.clone(),
                    verb: self.verb.clone(),
                    group: self.resource_api_group.clone(),
                    resource: self.resource.clone(),
                    name: self.resource_name.clone(),
                    path: self.is_non_resource_url.then(|| self.path.clone()),
                }
            }
        }
    };
}

/// An action asked about, the same for all four questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Namespace; empty means all.
    pub namespace: String,
    /// Verb.
    pub verb: String,
    /// Group of the resource.
    pub group: String,
    /// Resource, `/sub` appended for a subresource.
    pub resource: String,
    /// Name of the object; empty means any.
    pub name: String,
    /// Set for actions on paths.
    pub path: Option<String>,
}

question! {
    /// May this user do this? Without user and groups: may I?
    SubjectAccessReview, "subjectaccessreviews" "subjectaccessreview", Cluster, {
        /// The user asked about; empty together with `groups` means the caller.
        user: String,
        /// Groups of that user.
        groups: Vec<String>,
        /// Scopes to apply; null means those of the caller when it asks about itself.
        scopes: Option<Vec<String>>,
    }
}

question! {
    /// May this user do this in this namespace?
    LocalSubjectAccessReview, "localsubjectaccessreviews" "localsubjectaccessreview", Namespaced, {
        /// The user asked about; empty together with `groups` means the caller.
        user: String,
        /// Groups of that user.
        groups: Vec<String>,
        /// Scopes to apply; null means those of the caller when it asks about itself.
        scopes: Option<Vec<String>>,
    }
}

question! {
    /// Who may do this?
    ResourceAccessReview, "resourceaccessreviews" "resourceaccessreview", Cluster
}

question! {
    /// Who may do this in this namespace?
    LocalResourceAccessReview, "localresourceaccessreviews" "localresourceaccessreview", Namespaced
}

/// Answer of a subject access review.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAccessReviewResponse {
    /// Not part of the wire form; always empty.
    #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
    pub metadata: ObjectMeta,
    /// Namespace asked about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Whether it is allowed. Always written.
    pub allowed: bool,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What went wrong while deciding.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
}

object!(SubjectAccessReviewResponse: "authorization.openshift.io" "v1", "subjectaccessreviews" "subjectaccessreview", Cluster);

/// Answer of a resource access review.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceAccessReviewResponse {
    /// Not part of the wire form; always empty.
    #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
    pub metadata: ObjectMeta,
    /// Namespace asked about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Users who may.
    pub users: Vec<String>,
    /// Groups who may.
    pub groups: Vec<String>,
    /// What went wrong while collecting; misspelt on the wire since 2015.
    #[serde(rename = "evalutionError")]
    pub evaluation_error: String,
}

object!(ResourceAccessReviewResponse: "authorization.openshift.io" "v1", "resourceaccessreviews" "resourceaccessreview", Cluster);

/// What may I do in this namespace?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectRulesReview {
    /// Not part of the wire form but for the namespace.
    #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
    pub metadata: ObjectMeta,
    /// The question.
    pub spec: SelfSubjectRulesReviewSpec,
    /// The answer.
    pub status: SubjectRulesReviewStatus,
}

object!(SelfSubjectRulesReview: "authorization.openshift.io" "v1", "selfsubjectrulesreviews" "selfsubjectrulesreview", Namespaced);

/// Limits of a rules review about oneself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectRulesReviewSpec {
    /// Scopes to apply; null means those of the caller. Always written.
    pub scopes: Option<Vec<String>>,
}

/// What may this user do in this namespace?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectRulesReview {
    /// Not part of the wire form but for the namespace.
    #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
    pub metadata: ObjectMeta,
    /// The question.
    pub spec: SubjectRulesReviewSpec,
    /// The answer.
    pub status: SubjectRulesReviewStatus,
}

object!(SubjectRulesReview: "authorization.openshift.io" "v1", "subjectrulesreviews" "subjectrulesreview", Namespaced);

/// Whom a rules review is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectRulesReviewSpec {
    /// The user.
    pub user: String,
    /// Groups of the user.
    pub groups: Vec<String>,
    /// Scopes to apply.
    pub scopes: Option<Vec<String>>,
}

/// Answer of a rules review.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectRulesReviewStatus {
    /// What is allowed.
    pub rules: Vec<PolicyRule>,
    /// What went wrong while collecting.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
}
