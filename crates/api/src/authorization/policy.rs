//! Policies and policy bindings: all roles, or all bindings, of a namespace in one object, for clients up to 3.8.
//! These are read-only views.

use serde::{Deserialize, Serialize};

use super::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use crate::core::ObjectReference;
use crate::meta::{ObjectMeta, Time};

/// All roles of a namespace; the name is `default`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Last change of any role.
    pub last_modified: Option<Time>,
    /// The roles.
    pub roles: Vec<NamedRole>,
}

object!(Policy: "authorization.openshift.io" "v1", "policies" "policy", Namespaced);

/// All bindings of a namespace to roles of one namespace (or to cluster roles); the name is `NAMESPACE:default`,
/// `:default` for cluster roles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyBinding {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Last change of any binding.
    pub last_modified: Option<Time>,
    /// The policy whose roles are bound.
    pub policy_ref: ObjectReference,
    /// The bindings.
    pub role_bindings: Vec<NamedRoleBinding>,
}

object!(PolicyBinding: "authorization.openshift.io" "v1", "policybindings" "policybinding", Namespaced);

/// All cluster roles; the name is `default`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPolicy {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Last change of any role.
    pub last_modified: Option<Time>,
    /// The roles.
    pub roles: Vec<NamedClusterRole>,
}

object!(ClusterPolicy: "authorization.openshift.io" "v1", "clusterpolicies" "clusterpolicy", Cluster);

/// All cluster role bindings; the name is `:default`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPolicyBinding {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Last change of any binding.
    pub last_modified: Option<Time>,
    /// The policy whose roles are bound.
    pub policy_ref: ObjectReference,
    /// The bindings.
    pub role_bindings: Vec<NamedClusterRoleBinding>,
}

object!(ClusterPolicyBinding: "authorization.openshift.io" "v1", "clusterpolicybindings" "clusterpolicybinding", Cluster);

/// A role in a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamedRole {
    /// Name.
    pub name: String,
    /// The role.
    pub role: Role,
}

/// A binding in a policy binding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamedRoleBinding {
    /// Name.
    pub name: String,
    /// The binding.
    pub role_binding: RoleBinding,
}

/// A role in a cluster policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamedClusterRole {
    /// Name.
    pub name: String,
    /// The role.
    pub role: ClusterRole,
}

/// A binding in a cluster policy binding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamedClusterRoleBinding {
    /// Name.
    pub name: String,
    /// The binding.
    pub role_binding: ClusterRoleBinding,
}
