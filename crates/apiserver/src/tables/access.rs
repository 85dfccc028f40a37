//! Columns of roles and bindings, in RBAC's and in OpenShift's form.

use jiff::Timestamp;
use pierhead_api::authorization::{self, RoleBindingRestriction};
use pierhead_api::core::ObjectReference;
use pierhead_api::rbac::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use serde_json::Value;

use super::{Column, ColumnSet, Sets, age_of, name, typed};

const RBAC_BINDING: &[Column] = &[
    Column::NAME,
    Column::text("Role"),
    Column::AGE,
    Column::text("Users").wide(),
    Column::text("Groups").wide(),
    Column::text("ServiceAccounts").wide(),
];

const OPENSHIFT_BINDING: &[Column] = &[
    Column::NAME,
    Column::text("Role"),
    Column::text("Users"),
    Column::text("Groups"),
    Column::text("Service Accounts"),
    Column::text("Users"),
];

const ONLY_NAME: ColumnSet = ColumnSet { columns: &[Column::NAME], cells: |object, _| vec![name(object)] };

pub(super) const SETS: Sets = &[
    (
        "rolebindings.rbac.authorization.k8s.io",
        ColumnSet {
            columns: RBAC_BINDING,
            cells: |object, now| {
                let binding: RoleBinding = typed(object);
                rbac_binding(object, &binding.role_ref, &binding.subjects, now)
            },
        },
    ),
    (
        "clusterrolebindings.rbac.authorization.k8s.io",
        ColumnSet {
            columns: RBAC_BINDING,
            cells: |object, now| {
                let binding: ClusterRoleBinding = typed(object);
                rbac_binding(object, &binding.role_ref, &binding.subjects, now)
            },
        },
    ),
    ("roles.authorization.openshift.io", ONLY_NAME),
    ("clusterroles.authorization.openshift.io", ONLY_NAME),
    (
        "rolebindings.authorization.openshift.io",
        ColumnSet {
            columns: OPENSHIFT_BINDING,
            cells: |object, _| {
                let binding: authorization::RoleBinding = typed(object);
                openshift_binding(object, &binding.role_ref, &binding.subjects)
            },
        },
    ),
    (
        "clusterrolebindings.authorization.openshift.io",
        ColumnSet {
            columns: OPENSHIFT_BINDING,
            cells: |object, _| {
                let binding: authorization::ClusterRoleBinding = typed(object);
                openshift_binding(object, &binding.role_ref, &binding.subjects)
            },
        },
    ),
    (
        "rolebindingrestrictions.authorization.openshift.io",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Subject Type"), Column::text("Subjects")],
            cells: restriction,
        },
    ),
];

fn rbac_binding(object: &Value, role: &RoleRef, subjects: &[Subject], now: Timestamp) -> Vec<Value> {
    let of_kind = |kind: &str| -> Value {
        let chosen = subjects.iter().filter(|subject| subject.kind == kind);
        let names: Vec<String> = chosen
            .map(|subject| match subject.namespace.as_str() {
                "" => subject.name.clone(),
                namespace => format!("{namespace}/{}", subject.name),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        name(object),
        format!("{}/{}", role.kind, role.name).into(),
        age_of(object, now),
        of_kind("User"),
        of_kind("Group"),
        of_kind("ServiceAccount"),
    ]
}

fn openshift_binding(object: &Value, role: &ObjectReference, subjects: &[ObjectReference]) -> Vec<Value> {
    let of_kinds = |matches: fn(&str) -> bool| -> Value {
        let chosen = subjects.iter().filter(|subject| matches(&subject.kind));
        let names: Vec<String> = chosen
            .map(|subject| match (subject.kind.as_str(), subject.namespace.as_str()) {
                ("ServiceAccount", namespace) if !namespace.is_empty() => {
                    format!("{namespace}/{}", subject.name)
                }
                _ => subject.name.clone(),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        name(object),
        format!("{}/{}", role.namespace, role.name).into(),
        of_kinds(|kind| matches!(kind, "User" | "SystemUser")),
        of_kinds(|kind| matches!(kind, "Group" | "SystemGroup")),
        of_kinds(|kind| kind == "ServiceAccount"),
        of_kinds(|kind| !matches!(kind, "User" | "SystemUser" | "Group" | "SystemGroup" | "ServiceAccount")),
    ]
}

fn restriction(object: &Value, _: Timestamp) -> Vec<Value> {
    let restriction: RoleBindingRestriction = typed(object);
    let spec = restriction.spec;
    let labels = |labels: &Option<Vec<Value>>| labels.as_ref().map_or(0, Vec::len);
    let (kind, subjects) = if let Some(users) = spec.userrestriction {
        let mut parts = users.users.clone();
        parts.extend(users.groups.iter().map(|group| format!("group({group})")));
        parts.extend((0..labels(&users.labels)).map(|_| "label selector".to_owned()));
        ("User", parts)
    } else if let Some(groups) = spec.grouprestriction {
        let mut parts = groups.groups.clone();
        parts.extend((0..labels(&groups.labels)).map(|_| "label selector".to_owned()));
        ("Group", parts)
    } else if let Some(accounts) = spec.serviceaccountrestriction {
        let home = &restriction.metadata.namespace;
        let account = |account: &authorization::ServiceAccountReference| {
            let namespace = if account.namespace.is_empty() { home } else { &account.namespace };
            format!("{namespace}/{}", account.name)
        };
        let mut parts: Vec<String> = accounts.serviceaccounts.iter().map(account).collect();
        parts.extend(accounts.namespaces.iter().map(|namespace| format!("{namespace}/*")));
        ("ServiceAccount", parts)
    } else {
        ("", Vec::new())
    };
    vec![name(object), kind.into(), subjects.join(", ").into()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn prints_bindings_in_both_forms() {
        check(
            "rolebindings.rbac.authorization.k8s.io",
            json!({
                "metadata": {"name": "edit", "creationTimestamp": "2016-05-01T11:00:00Z"},
                "roleRef": {"kind": "ClusterRole", "name": "edit"},
                "subjects": [
                    {"kind": "User", "name": "ann"}, {"kind": "User", "name": "bob"},
                    {"kind": "ServiceAccount", "namespace": "ci", "name": "builder"},
                ],
            }),
            &[
                ("Name", "edit"),
                ("Role", "ClusterRole/edit"),
                ("Age", "60m"),
                ("[Users]", "ann, bob"),
                ("[Groups]", ""),
                ("[ServiceAccounts]", "ci/builder"),
            ],
        );
        check(
            "rolebindings.authorization.openshift.io",
            json!({
                "metadata": {"name": "edit"}, "roleRef": {"name": "edit"},
                "subjects": [{"kind": "SystemUser", "name": "system:admin"}, {"kind": "Group", "name": "dev"}],
            }),
            &[
                ("Name", "edit"),
                ("Role", "/edit"),
                ("Users", "system:admin"),
                ("Groups", "dev"),
                ("Service Accounts", ""),
                ("Users", ""),
            ],
        );
    }

    #[test]
    fn prints_restrictions() {
        check(
            "rolebindingrestrictions.authorization.openshift.io",
            json!({
                "metadata": {"name": "r", "namespace": "shop"},
                "spec": {"serviceaccountrestriction": {"serviceaccounts": [{"name": "a"}], "namespaces": ["ci"]}},
            }),
            &[("Name", "r"), ("Subject Type", "ServiceAccount"), ("Subjects", "shop/a, ci/*")],
        );
    }
}
