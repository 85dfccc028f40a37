//! `RoleBindingRestriction`: who may be given roles in a namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::rbac::Subject;
use crate::selector::LabelSelector;

/// A set of subjects that may be given roles in this namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBindingRestriction {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The set; exactly one member is given.
    pub spec: RoleBindingRestrictionSpec,
}

object!(RoleBindingRestriction: "authorization.openshift.io" "v1", "rolebindingrestrictions" "rolebindingrestriction", Namespaced);

/// A set of subjects. All members are written, absent ones as null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", default)]
pub struct RoleBindingRestrictionSpec {
    /// Users.
    pub userrestriction: Option<UserRestriction>,
    /// Groups.
    pub grouprestriction: Option<GroupRestriction>,
    /// Service accounts.
    pub serviceaccountrestriction: Option<ServiceAccountRestriction>,
}

/// Users by name, by group or by label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", default)]
pub struct UserRestriction {
    /// Names.
    pub users: Vec<String>,
    /// Groups they are members of.
    pub groups: Vec<String>,
    /// Selectors of their labels.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<crate::meta::LabelSelector>>"))]
    pub labels: Option<Vec<Value>>,
}

/// Groups by name or by label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", default)]
pub struct GroupRestriction {
    /// Names.
    pub groups: Vec<String>,
    /// Selectors of their labels.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<crate::meta::LabelSelector>>"))]
    pub labels: Option<Vec<Value>>,
}

/// Service accounts by name or by namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", default)]
pub struct ServiceAccountRestriction {
    /// Single accounts.
    pub serviceaccounts: Vec<ServiceAccountReference>,
    /// Namespaces, all accounts of which are meant.
    pub namespaces: Vec<String>,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", default)]
pub struct ServiceAccountReference {
    /// Name.
    pub name: String,
    /// Namespace; empty means that of the restriction.
    pub namespace: String,
}

/// What is stored about a user or a group, which sets by label or by membership are about.
#[derive(Clone, Debug, Default)]
pub struct SubjectRecord {
    /// Its labels; `None` where there is no such object.
    pub labels: Option<BTreeMap<String, String>>,
    /// The groups that list the user.
    pub groups: Vec<String>,
}

impl SubjectRecord {
    fn is_labelled(&self, selectors: Option<&Vec<Value>>) -> bool {
        let Some(labels) = &self.labels else { return false };
        let mut selectors = selectors.into_iter().flatten().filter_map(LabelSelector::from_structured);
        selectors.any(|selector| selector.matches(labels))
    }
}

impl RoleBindingRestriction {
    /// Whether the subject, of which `record` is stored, is in the set.
    pub fn matches(&self, subject: &Subject, record: &SubjectRecord) -> bool {
        let home = &self.metadata.namespace;
        match subject.kind.as_str() {
            "User" => self.spec.userrestriction.as_ref().is_some_and(|set| {
                set.users.contains(&subject.name)
                    || set.groups.iter().any(|group| record.groups.contains(group))
                    || record.is_labelled(set.labels.as_ref())
            }),
            "Group" => self.spec.grouprestriction.as_ref().is_some_and(|set| {
                set.groups.contains(&subject.name) || record.is_labelled(set.labels.as_ref())
            }),
            "ServiceAccount" => self.spec.serviceaccountrestriction.as_ref().is_some_and(|set| {
                set.namespaces.contains(&subject.namespace)
                    || set.serviceaccounts.iter().any(|account| {
                        let namespace = if account.namespace.is_empty() { home } else { &account.namespace };
                        account.name == subject.name && *namespace == subject.namespace
                    })
            }),
            _ => false,
        }
    }

    /// What is wrong with the set: there must be exactly one, and its selectors must be readable.
    pub fn validate_spec(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let RoleBindingRestrictionSpec { userrestriction, grouprestriction, serviceaccountrestriction } =
            &self.spec;
        let given =
            [userrestriction.is_some(), grouprestriction.is_some(), serviceaccountrestriction.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let detail =
                "exactly one of userrestriction, grouprestriction and serviceaccountrestriction is needed";
            errors.required("spec", detail);
        }
        let sets = [
            ("userrestriction", userrestriction.as_ref().and_then(|set| set.labels.as_ref())),
            ("grouprestriction", grouprestriction.as_ref().and_then(|set| set.labels.as_ref())),
        ];
        for (set, selectors) in sets {
            for (index, selector) in selectors.into_iter().flatten().enumerate() {
                if LabelSelector::from_structured(selector).is_none() {
                    let field = format!("spec.{set}.labels[{index}]");
                    errors.invalid(field, selector.clone(), "must be a label selector");
                }
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{RoleBindingRestriction, SubjectRecord};
    use crate::from_value;
    use crate::rbac::Subject;

    fn restriction(spec: Value) -> RoleBindingRestriction {
        from_value(&json!({"metadata": {"namespace": "shop"}, "spec": spec})).unwrap()
    }

    #[track_caller]
    fn check(spec: Value, kind: &str, record: &SubjectRecord, expected: bool) {
        let subject = Subject { kind: kind.to_owned(), name: "ann".to_owned(), ..Subject::default() };
        let restriction = restriction(spec);
        assert_eq!(restriction.validate_spec().to_string(), "[]");
        assert_eq!(restriction.matches(&subject, record), expected);
    }

    #[test]
    fn sets_are_by_name_by_membership_and_by_label() {
        let labels = [("team".to_owned(), "dev".to_owned())].into();
        let known = SubjectRecord { labels: Some(labels), groups: vec!["devs".to_owned()] };
        let unknown = SubjectRecord::default();
        let users = |set: Value| json!({"userrestriction": set});
        let groups = |set: Value| json!({"grouprestriction": set});
        for (set, of_known, of_unknown) in [
            (json!({"users": ["ann"]}), true, true),
            (json!({"groups": ["devs"]}), true, false),
            (json!({"groups": ["ops"]}), false, false),
            (
                json!({"labels": [{"matchLabels": {"team": "ops"}}, {"matchLabels": {"team": "dev"}}]}),
                true,
                false,
            ),
            (
                json!({"labels": [{"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}]}),
                true,
                false,
            ),
        ] {
            check(users(set.clone()), "User", &known, of_known);
            check(users(set.clone()), "User", &unknown, of_unknown);
            check(users(set), "Group", &known, false);
        }
        check(groups(json!({"groups": ["ann"]})), "Group", &unknown, true);
        check(groups(json!({"labels": [{"matchLabels": {"team": "dev"}}]})), "Group", &known, true);
        check(groups(json!({"labels": [{"matchLabels": {"team": "ops"}}]})), "Group", &known, false);
    }

    #[test]
    fn one_set_with_readable_selectors_is_needed() {
        let check = |spec: Value, expected: &str| {
            let errors = restriction(spec).validate_spec().to_string();
            assert!(errors.starts_with(expected), "{errors}");
        };
        check(json!({}), "spec: Required value: exactly one of");
        check(json!({"userrestriction": {}, "grouprestriction": {}}), "spec: Required value: exactly one of");
        check(
            json!({"userrestriction": {"labels": [{}, 5]}}),
            "spec.userrestriction.labels[1]: Invalid value: 5",
        );
    }
}
