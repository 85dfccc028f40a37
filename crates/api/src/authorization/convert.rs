//! Between OpenShift's forms and RBAC (platform 5.2). Reading always fills user names, group names and subjects
//! consistently; writing prefers the two lists of names.

use super::{ClusterRole, ClusterRoleBinding, ConvertError, PolicyRule, Role, RoleBinding, is_rbac_kind};
use crate::core::ObjectReference;
use crate::rbac;

const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

impl From<&rbac::PolicyRule> for PolicyRule {
    fn from(rule: &rbac::PolicyRule) -> Self {
        Self {
            verbs: rule.verbs.clone(),
            attribute_restrictions: None,
            api_groups: Some(rule.api_groups.clone()).filter(|groups| !groups.is_empty()),
            resources: rule.resources.clone(),
            resource_names: rule.resource_names.clone(),
            non_resource_urls: rule.non_resource_urls.clone(),
        }
    }
}

/// Old documents say neither group nor case exactly: no group means the core group, and resources are lower case.
fn to_rbac_rules(rules: &[PolicyRule]) -> Result<Vec<rbac::PolicyRule>, ConvertError> {
    let convert = |rule: &PolicyRule| {
        if rule.attribute_restrictions.is_some() {
            return Err(ConvertError::AttributeRestrictions);
        }
        let mut api_groups = rule.api_groups.clone().unwrap_or_default();
        if api_groups.is_empty() && !rule.resources.is_empty() {
            api_groups.push(String::new());
        }
        Ok(rbac::PolicyRule {
            verbs: rule.verbs.clone(),
            api_groups,
            resources: rule.resources.iter().map(|resource| resource.to_lowercase()).collect(),
            resource_names: rule.resource_names.clone(),
            non_resource_urls: rule.non_resource_urls.clone(),
        })
    };
    rules.iter().map(convert).collect()
}

fn to_reference(subject: &rbac::Subject) -> ObjectReference {
    let kind = match subject.kind.as_str() {
        "User" if subject.name.starts_with("system:") => "SystemUser",
        "Group" if subject.name.starts_with("system:") => "SystemGroup",
        other => other,
    };
    ObjectReference { namespace: subject.namespace.clone(), ..ObjectReference::of_kind(kind, &subject.name) }
}

fn user_names(subjects: &[rbac::Subject], namespace: &str) -> Option<Vec<String>> {
    let names: Vec<String> = subjects
        .iter()
        .filter_map(|subject| match subject.kind.as_str() {
            "User" => Some(subject.name.clone()),
            "ServiceAccount" => {
                let home = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
                Some(format!("{SERVICE_ACCOUNT_PREFIX}{home}:{}", subject.name))
            }
            _ => None,
        })
        .collect();
    (!names.is_empty()).then_some(names)
}

fn group_names(subjects: &[rbac::Subject]) -> Option<Vec<String>> {
    let groups = subjects.iter().filter(|subject| subject.kind == "Group");
    let names: Vec<String> = groups.map(|subject| subject.name.clone()).collect();
    (!names.is_empty()).then_some(names)
}

fn user_subject(name: &str) -> rbac::Subject {
    match name.strip_prefix(SERVICE_ACCOUNT_PREFIX).and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) => rbac::Subject::service_account(namespace, account),
        None => rbac::Subject::user(name),
    }
}

/// Subjects from the lists of names when one is given, else from the references.
fn to_subjects(
    users: Option<&[String]>,
    groups: Option<&[String]>,
    references: &[ObjectReference],
    namespace: &str,
) -> Result<Vec<rbac::Subject>, ConvertError> {
    if users.is_some() || groups.is_some() {
        let users = users.unwrap_or_default().iter().map(|name| user_subject(name));
        let groups = groups.unwrap_or_default().iter().map(rbac::Subject::group);
        return Ok(users.chain(groups).collect());
    }
    let convert = |reference: &ObjectReference| match reference.kind.as_str() {
        "User" | "SystemUser" => Ok(user_subject(&reference.name)),
        "Group" | "SystemGroup" => Ok(rbac::Subject::group(&reference.name)),
        "ServiceAccount" => {
            let home = if reference.namespace.is_empty() { namespace } else { &reference.namespace };
            Ok(rbac::Subject::service_account(home, &reference.name))
        }
        kind => Err(ConvertError::SubjectKind { kind: kind.into() }),
    };
    references.iter().map(convert).collect()
}

impl From<&rbac::Role> for Role {
    fn from(role: &rbac::Role) -> Self {
        Self { metadata: role.metadata.clone(), rules: role.rules.iter().map(PolicyRule::from).collect() }
    }
}

impl TryFrom<&Role> for rbac::Role {
    type Error = ConvertError;

    fn try_from(role: &Role) -> Result<Self, ConvertError> {
        Ok(Self { metadata: role.metadata.clone(), rules: to_rbac_rules(&role.rules)? })
    }
}

impl From<&rbac::ClusterRole> for ClusterRole {
    fn from(role: &rbac::ClusterRole) -> Self {
        Self {
            metadata: role.metadata.clone(),
            rules: role.rules.iter().map(PolicyRule::from).collect(),
            aggregation_rule: role.aggregation_rule.clone(),
        }
    }
}

impl TryFrom<&ClusterRole> for rbac::ClusterRole {
    type Error = ConvertError;

    fn try_from(role: &ClusterRole) -> Result<Self, ConvertError> {
        Ok(Self {
            metadata: role.metadata.clone(),
            rules: to_rbac_rules(&role.rules)?,
            aggregation_rule: role.aggregation_rule.clone(),
        })
    }
}

impl From<&rbac::RoleBinding> for RoleBinding {
    fn from(binding: &rbac::RoleBinding) -> Self {
        let namespace = &binding.metadata.namespace;
        let home = if is_rbac_kind(&binding.role_ref) { namespace.clone() } else { String::new() };
        Self {
            metadata: binding.metadata.clone(),
            user_names: user_names(&binding.subjects, namespace),
            group_names: group_names(&binding.subjects),
            subjects: binding.subjects.iter().map(to_reference).collect(),
            role_ref: ObjectReference { namespace: home, ..ObjectReference::named(&binding.role_ref.name) },
        }
    }
}

impl TryFrom<&RoleBinding> for rbac::RoleBinding {
    type Error = ConvertError;

    fn try_from(binding: &RoleBinding) -> Result<Self, ConvertError> {
        let RoleBinding { metadata, user_names, group_names, subjects, role_ref } = binding;
        let subjects =
            to_subjects(user_names.as_deref(), group_names.as_deref(), subjects, &metadata.namespace)?;
        let role_ref = if role_ref.namespace.is_empty() {
            rbac::RoleRef::cluster_role(&role_ref.name)
        } else if role_ref.namespace == metadata.namespace {
            rbac::RoleRef::role(&role_ref.name)
        } else {
            return Err(ConvertError::ForeignRole {
                binding: format!("{}/{}", metadata.namespace, metadata.name),
                role: role_ref.name.clone(),
                namespace: role_ref.namespace.clone(),
            });
        };
        Ok(Self { metadata: metadata.clone(), subjects, role_ref })
    }
}

impl From<&rbac::ClusterRoleBinding> for ClusterRoleBinding {
    fn from(binding: &rbac::ClusterRoleBinding) -> Self {
        Self {
            metadata: binding.metadata.clone(),
            user_names: user_names(&binding.subjects, ""),
            group_names: group_names(&binding.subjects),
            subjects: binding.subjects.iter().map(to_reference).collect(),
            role_ref: ObjectReference::named(&binding.role_ref.name),
        }
    }
}

impl TryFrom<&ClusterRoleBinding> for rbac::ClusterRoleBinding {
    type Error = ConvertError;

    fn try_from(binding: &ClusterRoleBinding) -> Result<Self, ConvertError> {
        let ClusterRoleBinding { metadata, user_names, group_names, subjects, role_ref } = binding;
        let subjects = to_subjects(user_names.as_deref(), group_names.as_deref(), subjects, "")?;
        if !role_ref.namespace.is_empty() {
            return Err(ConvertError::ForeignRole {
                binding: metadata.name.clone(),
                role: role_ref.name.clone(),
                namespace: role_ref.namespace.clone(),
            });
        }
        let role_ref = rbac::RoleRef::cluster_role(&role_ref.name);
        Ok(Self { metadata: metadata.clone(), subjects, role_ref })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::authorization::RoleBinding;
    use crate::{from_value, rbac, to_value};

    /// What a client sends, what RBAC stores, and what the client reads back.
    #[track_caller]
    fn check(fields: Value, subjects: Value, read_back: Value) {
        let mut document =
            json!({"metadata": {"name": "edit", "namespace": "shop"}, "roleRef": {"name": "edit"}});
        document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let sent: RoleBinding = from_value(&document).unwrap();
        let stored = rbac::RoleBinding::try_from(&sent).unwrap();
        assert_eq!(serde_json::to_value(&stored.subjects).unwrap(), subjects);
        assert_eq!(stored.role_ref, rbac::RoleRef::cluster_role("edit"));
        let shown = to_value(&RoleBinding::from(&stored));
        for key in ["userNames", "groupNames", "subjects"] {
            assert_eq!(shown[key], read_back[key], "{key}");
        }
        assert_eq!(rbac::RoleBinding::try_from(&from_value::<RoleBinding>(&shown).unwrap()).unwrap(), stored);
    }

    #[test]
    fn names_win_over_subjects_and_all_three_are_shown() {
        check(
            json!({
                "userNames": ["ann", "system:serviceaccount:ci:builder", "system:admin"],
                "groupNames": ["dev", "system:authenticated"],
                "subjects": [{"kind": "User", "name": "ignored"}],
            }),
            json!([
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"},
                {"kind": "ServiceAccount", "name": "builder", "namespace": "ci"},
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:admin"},
                {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "dev"},
                {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"},
            ]),
            json!({
                "userNames": ["ann", "system:serviceaccount:ci:builder", "system:admin"],
                "groupNames": ["dev", "system:authenticated"],
                "subjects": [
                    {"kind": "User", "name": "ann"},
                    {"kind": "ServiceAccount", "namespace": "ci", "name": "builder"},
                    {"kind": "SystemUser", "name": "system:admin"},
                    {"kind": "Group", "name": "dev"},
                    {"kind": "SystemGroup", "name": "system:authenticated"},
                ],
            }),
        );
    }

    #[test]
    fn subjects_count_when_no_names_are_given() {
        check(
            json!({"userNames": null, "subjects": [{"kind": "ServiceAccount", "name": "default"}]}),
            json!([{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}]),
            json!({
                "userNames": ["system:serviceaccount:shop:default"],
                "groupNames": null,
                "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "default"}],
            }),
        );
    }

    #[test]
    fn refuses_roles_of_other_namespaces() {
        let document = json!({
            "metadata": {"name": "b", "namespace": "shop"}, "roleRef": {"namespace": "other", "name": "x"},
        });
        let error = rbac::RoleBinding::try_from(&from_value::<RoleBinding>(&document).unwrap()).unwrap_err();
        assert!(error.to_string().contains("another namespace"), "{error}");
    }
}
