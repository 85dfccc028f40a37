//! Roles and bindings of `rbac.authorization.k8s.io/v1`. OpenShift's older forms are views of these, see
//! [`crate::authorization`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::FieldErrors;
use crate::meta::{LabelSelector, ObjectMeta};
use crate::name;

mod project_bindings;

pub use project_bindings::{PROJECT_BINDINGS, ProjectBinding};

/// Name of the API group.
pub const GROUP: &str = "rbac.authorization.k8s.io";

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

object!(Role: "rbac.authorization.k8s.io" "v1", "roles" "role", Namespaced);

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
    #[cfg_attr(feature = "schema", schemars(with = "Option<AggregationRule>"))]
    pub aggregation_rule: Option<Value>,
}

object!(ClusterRole: "rbac.authorization.k8s.io" "v1", "clusterroles" "clusterrole", Cluster);

/// Cluster roles whose rules are added up. Describes a document that is kept as sent: a selector that is misspelt must
/// not become one that selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// Selectors of their labels; a role counts when one of them selects it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// Gives a role to subjects, within a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBinding {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Who gets the role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The role.
    pub role_ref: RoleRef,
}

object!(RoleBinding: "rbac.authorization.k8s.io" "v1", "rolebindings" "rolebinding", Namespaced);

/// Gives a cluster role to subjects, everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRoleBinding {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Who gets the role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The role.
    pub role_ref: RoleRef,
}

object!(ClusterRoleBinding: "rbac.authorization.k8s.io" "v1", "clusterrolebindings" "clusterrolebinding", Cluster);

/// A set of requests that are allowed: every verb on every resource of every group listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// Verbs; `*` for all.
    pub verbs: Vec<String>,
    /// Groups; empty text for the core group, `*` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources, `pods/log` for subresources, `*` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names the rule is limited to; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths outside the API, a trailing `*` matches the rest. Only in cluster roles.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// A subject of a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Group of the kind; empty for service accounts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Name.
    pub name: String,
    /// Namespace of a service account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

impl Subject {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: "User".into(), api_group: GROUP.into(), name: name.into(), namespace: String::new() }
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: "Group".into(), api_group: GROUP.into(), name: name.into(), namespace: String::new() }
    }

    /// A service account.
    pub fn service_account(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: "ServiceAccount".into(),
            api_group: String::new(),
            name: name.into(),
            namespace: namespace.into(),
        }
    }

    /// Whether this subject is the caller: by user name, or by one of the groups. Service accounts match by the
    /// user name they authenticate as; `namespace` is that of the binding, used when the subject has none.
    pub fn matches(&self, username: &str, groups: &[String], namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == username,
            "Group" => groups.contains(&self.name),
            "ServiceAccount" => {
                let home = if self.namespace.is_empty() { namespace } else { &self.namespace };
                let rest = username.strip_prefix("system:serviceaccount:");
                !home.is_empty()
                    && rest.and_then(|rest| rest.split_once(':')) == Some((home, self.name.as_str()))
            }
            _ => false,
        }
    }
}

/// The role of a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RoleRef {
    /// Always that of RBAC.
    pub api_group: String,
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl RoleRef {
    /// A cluster role.
    pub fn cluster_role(name: impl Into<String>) -> Self {
        Self { api_group: GROUP.into(), kind: "ClusterRole".into(), name: name.into() }
    }

    /// A role of the binding's namespace.
    pub fn role(name: impl Into<String>) -> Self {
        Self { api_group: GROUP.into(), kind: "Role".into(), name: name.into() }
    }
}

fn default_subjects(subjects: &mut [Subject], namespace: &str) {
    for subject in subjects {
        match subject.kind.as_str() {
            "User" | "Group" if subject.api_group.is_empty() => subject.api_group = GROUP.into(),
            "ServiceAccount" if subject.namespace.is_empty() => namespace.clone_into(&mut subject.namespace),
            _ => {}
        }
    }
}

fn default_role_ref(role_ref: &mut RoleRef) {
    if role_ref.api_group.is_empty() {
        role_ref.api_group = GROUP.into();
    }
}

fn validate_rules(rules: &[PolicyRule], scope: name::Scope, errors: &mut FieldErrors) {
    for (index, rule) in rules.iter().enumerate() {
        let field = |name: &str| format!("rules[{index}].{name}");
        if rule.verbs.is_empty() {
            errors.required(field("verbs"), "verbs must contain at least one value");
        }
        if !rule.non_resource_urls.is_empty() {
            if scope == name::Scope::Namespaced {
                let value = Value::from(rule.non_resource_urls.clone());
                errors.invalid(
                    field("nonResourceURLs"),
                    value,
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            if !rule.api_groups.is_empty() || !rule.resources.is_empty() || !rule.resource_names.is_empty() {
                let value = Value::from(rule.non_resource_urls.clone());
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(field("nonResourceURLs"), value, detail);
            }
            continue;
        }
        if rule.api_groups.is_empty() {
            errors.required(field("apiGroups"), "resource rules must supply at least one api group");
        }
        if rule.resources.is_empty() {
            errors.required(field("resources"), "resource rules must supply at least one resource");
        }
    }
}

fn validate_subjects(subjects: &[Subject], scope: name::Scope, errors: &mut FieldErrors) {
    for (index, subject) in subjects.iter().enumerate() {
        let field = |name: &str| format!("subjects[{index}].{name}");
        if subject.name.is_empty() {
            errors.required(field("name"), "");
        }
        match subject.kind.as_str() {
            "ServiceAccount" => {
                if !subject.name.is_empty() {
                    for problem in name::dns1123_subdomain(&subject.name) {
                        errors.invalid(field("name"), subject.name.as_str(), problem);
                    }
                }
                if !subject.api_group.is_empty() {
                    errors.not_supported(field("apiGroup"), subject.api_group.as_str(), &[""]);
                }
                if scope == name::Scope::Cluster && subject.namespace.is_empty() {
                    errors.required(field("namespace"), "");
                }
            }
            "User" | "Group" => {
                if subject.api_group != GROUP {
                    errors.not_supported(field("apiGroup"), subject.api_group.as_str(), &[GROUP]);
                }
            }
            other => errors.not_supported(field("kind"), other, &["ServiceAccount", "User", "Group"]),
        }
    }
}

fn validate_role_ref(role_ref: &RoleRef, kinds: &[&str], errors: &mut FieldErrors) {
    if role_ref.api_group != GROUP {
        errors.not_supported("roleRef.apiGroup", role_ref.api_group.as_str(), &[GROUP]);
    }
    if !kinds.contains(&role_ref.kind.as_str()) {
        errors.not_supported("roleRef.kind", role_ref.kind.as_str(), kinds);
    }
    if role_ref.name.is_empty() {
        errors.required("roleRef.name", "");
    } else {
        for problem in name::path_segment(&role_ref.name) {
            errors.invalid("roleRef.name", role_ref.name.as_str(), problem);
        }
    }
}

fn validate_same_role(new: &RoleRef, old: &RoleRef, errors: &mut FieldErrors) {
    if new != old {
        let value = serde_json::to_value(new).unwrap_or(Value::Null);
        errors.invalid("roleRef", value, "cannot change roleRef");
    }
}

impl Role {
    /// Every rule needs verbs, groups and resources.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::path_segment);
        validate_rules(&self.rules, name::Scope::Namespaced, &mut errors);
        errors
    }

    /// Metadata rules of an update and those of [`Role::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

impl ClusterRole {
    /// Every rule needs verbs and either groups with resources or paths.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, name::path_segment);
        validate_rules(&self.rules, name::Scope::Cluster, &mut errors);
        if let Some(aggregation) = &self.aggregation_rule
            && aggregation.get("clusterRoleSelectors").and_then(Value::as_array).is_none_or(Vec::is_empty)
        {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.required("aggregationRule.clusterRoleSelectors", detail);
        }
        errors
    }

    /// Metadata rules of an update and those of [`ClusterRole::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

impl RoleBinding {
    /// Groups of subjects and role; a service account without namespace is one of the binding's.
    pub fn set_defaults(&mut self) {
        default_subjects(&mut self.subjects, &self.metadata.namespace);
        default_role_ref(&mut self.role_ref);
    }

    /// Subjects and role.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::path_segment);
        validate_role_ref(&self.role_ref, &["Role", "ClusterRole"], &mut errors);
        validate_subjects(&self.subjects, name::Scope::Namespaced, &mut errors);
        errors
    }

    /// The role of a binding never changes.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        validate_same_role(&self.role_ref, &old.role_ref, &mut errors);
        errors
    }
}

impl ClusterRoleBinding {
    /// Groups of subjects and role.
    pub fn set_defaults(&mut self) {
        default_subjects(&mut self.subjects, "");
        default_role_ref(&mut self.role_ref);
    }

    /// Subjects and role.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, name::path_segment);
        validate_role_ref(&self.role_ref, &["ClusterRole"], &mut errors);
        validate_subjects(&self.subjects, name::Scope::Cluster, &mut errors);
        errors
    }

    /// The role of a binding never changes.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        validate_same_role(&self.role_ref, &old.role_ref, &mut errors);
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{RoleBinding, Subject};
    use crate::from_value;

    fn binding(document: Value) -> RoleBinding {
        let mut binding: RoleBinding = from_value(&document).unwrap();
        binding.metadata.name = "b".into();
        binding.metadata.namespace = "n".into();
        binding.set_defaults();
        binding
    }

    #[track_caller]
    fn check(document: Value, expected: &str) {
        let errors = binding(document).validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn checks_bindings() {
        let edit = json!({"kind": "ClusterRole", "name": "edit"});
        check(json!({"roleRef": edit, "subjects": [{"kind": "User", "name": "ann"}]}), "");
        check(json!({"roleRef": edit}), "");
        check(
            json!({"roleRef": {"kind": "Policy", "name": "x"}}),
            "roleRef.kind: Unsupported value: \"Policy\": supported values: \"Role\", \"ClusterRole\"",
        );
        check(
            json!({"roleRef": edit, "subjects": [{"kind": "Robot", "name": "x"}]}),
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        );
    }

    #[test]
    fn the_role_of_a_binding_stays() {
        let old = binding(json!({"roleRef": {"kind": "ClusterRole", "name": "edit"}}));
        let new = binding(json!({"roleRef": {"kind": "ClusterRole", "name": "view"}}));
        assert!(new.validate_update(&old).to_string().ends_with("cannot change roleRef"));
    }

    #[test]
    fn service_accounts_match_by_user_name() {
        let builder = Subject::service_account("ci", "builder");
        assert!(builder.matches("system:serviceaccount:ci:builder", &[], ""));
        assert!(!builder.matches("system:serviceaccount:ci:builder:x", &[], ""));
        let local = Subject { namespace: String::new(), ..builder };
        assert!(local.matches("system:serviceaccount:shop:builder", &[], "shop"));
        assert!(Subject::group("g").matches("ann", &["g".into()], ""));
    }
}
