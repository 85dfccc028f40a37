//! OpenShift's own forms of roles, bindings and access questions (platform 5.2): views of the RBAC objects.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::ObjectReference;
use crate::meta::ObjectMeta;
use crate::rbac;

mod convert;
mod policy;
mod restriction;
mod reviews;

pub use policy::{
    ClusterPolicy, ClusterPolicyBinding, NamedClusterRole, NamedClusterRoleBinding, NamedRole,
    NamedRoleBinding, Policy, PolicyBinding,
};
pub use restriction::{
    GroupRestriction, RoleBindingRestriction, RoleBindingRestrictionSpec, ServiceAccountReference,
    ServiceAccountRestriction, SubjectRecord, UserRestriction,
};
pub use reviews::{
    Action, LocalResourceAccessReview, LocalSubjectAccessReview, ResourceAccessReview,
    ResourceAccessReviewResponse, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec, SubjectAccessReview,
    SubjectAccessReviewResponse, SubjectRulesReview, SubjectRulesReviewSpec, SubjectRulesReviewStatus,
};

/// Name of the API group.
pub const GROUP: &str = "authorization.openshift.io";

/// Rights within a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is allowed.
    pub rules: Vec<PolicyRule>,
}

object!(Role: "authorization.openshift.io" "v1", "roles" "role", Namespaced);

/// Rights in the whole cluster, or to be bound in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRole {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is allowed.
    pub rules: Vec<PolicyRule>,
    /// Selectors of roles whose rules are added up into this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::rbac::AggregationRule>"))]
    pub aggregation_rule: Option<Value>,
}

object!(ClusterRole: "authorization.openshift.io" "v1", "clusterroles" "clusterrole", Cluster);

/// Gives a role to subjects, within a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBinding {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Users and service accounts by user name; null when there are none.
    pub user_names: Option<Vec<String>>,
    /// Groups by name; null when there are none.
    pub group_names: Option<Vec<String>>,
    /// The same as references; ignored on input when one of the lists above is given.
    pub subjects: Vec<ObjectReference>,
    /// The role; a cluster role when it has no namespace.
    pub role_ref: ObjectReference,
}

object!(RoleBinding: "authorization.openshift.io" "v1", "rolebindings" "rolebinding", Namespaced);

/// Gives a cluster role to subjects, everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRoleBinding {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Users and service accounts by user name; null when there are none.
    pub user_names: Option<Vec<String>>,
    /// Groups by name; null when there are none.
    pub group_names: Option<Vec<String>>,
    /// The same as references.
    pub subjects: Vec<ObjectReference>,
    /// The role.
    pub role_ref: ObjectReference,
}

object!(ClusterRoleBinding: "authorization.openshift.io" "v1", "clusterrolebindings" "clusterrolebinding", Cluster);

/// A set of requests that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// A further condition of very old servers; not supported, null on output.
    pub attribute_restrictions: Option<Value>,
    /// Groups; null in old documents, which means the core group.
    pub api_groups: Option<Vec<String>>,
    /// Resources.
    pub resources: Vec<String>,
    /// Names the rule is limited to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths outside the API.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// Why an object in OpenShift's form has no RBAC form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Only cluster roles and roles of the same namespace can be bound.
    #[error("role binding {binding:?} references role {role:?} of another namespace {namespace:?}")]
    ForeignRole {
        /// Namespace and name of the binding.
        binding: String,
        /// Name of the role.
        role: String,
        /// Namespace of the role.
        namespace: String,
    },
    /// A subject of an unknown kind.
    #[error("invalid kind for subject: {kind:?}")]
    SubjectKind {
        /// The kind.
        kind: String,
    },
    /// Attribute restrictions exist in no RBAC form.
    #[error("rules with attribute restrictions are not supported")]
    AttributeRestrictions,
}

fn is_rbac_kind(role_ref: &rbac::RoleRef) -> bool {
    role_ref.kind == "Role"
}
