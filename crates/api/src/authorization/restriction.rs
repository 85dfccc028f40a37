//! `RoleBindingRestriction`: who may be given roles in a namespace.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meta::ObjectMeta;
use crate::rbac::Subject;

/// A set of subjects that may be given roles in this namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
#[serde(rename_all = "lowercase", default)]
pub struct UserRestriction {
    /// Names.
    pub users: Vec<String>,
    /// Groups they are members of.
    pub groups: Vec<String>,
    /// Selectors of their labels.
    pub labels: Option<Vec<Value>>,
}

/// Groups by name or by label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct GroupRestriction {
    /// Names.
    pub groups: Vec<String>,
    /// Selectors of their labels.
    pub labels: Option<Vec<Value>>,
}

/// Service accounts by name or by namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct ServiceAccountRestriction {
    /// Single accounts.
    pub serviceaccounts: Vec<ServiceAccountReference>,
    /// Namespaces, all accounts of which are meant.
    pub namespaces: Vec<String>,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct ServiceAccountReference {
    /// Name.
    pub name: String,
    /// Namespace; empty means that of the restriction.
    pub namespace: String,
}

impl RoleBindingRestriction {
    /// Whether the subject is in the set by name. Sets by label or by membership need look-ups and do not match here.
    pub fn matches(&self, subject: &Subject) -> bool {
        let home = &self.metadata.namespace;
        match subject.kind.as_str() {
            "User" => self.spec.userrestriction.as_ref().is_some_and(|set| set.users.contains(&subject.name)),
            "Group" => {
                self.spec.grouprestriction.as_ref().is_some_and(|set| set.groups.contains(&subject.name))
            }
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
}
