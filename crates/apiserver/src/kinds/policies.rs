//! Policies and policy bindings, which clients up to 3.8 read: all roles, or all bindings, of a namespace in one object
//! (platform 5.2, 11.35). Read-only views of RBAC's objects.
//!
//! Owns how roles and bindings are gathered. `policybindings` is what `oc policy` of that time asks first.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::authorization::{
    ClusterPolicy, ClusterPolicyBinding, NamedClusterRole, NamedClusterRoleBinding, NamedRole,
    NamedRoleBinding, Policy, PolicyBinding,
};
use pierhead_api::core::ObjectReference;
use pierhead_api::meta::ObjectMeta;
use pierhead_api::{Object, from_slice, rbac, to_value};
use pierhead_store::objects::OBJECTS;
use pierhead_store::{KeyRange, Revision};
use serde_json::Value;

use crate::call::{Answer, Call, ListAnswer};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::metadata;
use crate::storage::Document;

/// Name of the one policy of a namespace, and of the cluster.
const DEFAULT: &str = "default";

/// The four kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    const READ: &[Verb] = &[Verb::Get, Verb::List];
    vec![
        Kind::calls::<ClusterPolicy>(READ, View::ClusterPolicy).legacy(),
        Kind::calls::<ClusterPolicyBinding>(READ, View::ClusterPolicyBinding).legacy(),
        Kind::calls::<Policy>(READ, View::Policy).legacy(),
        Kind::calls::<PolicyBinding>(READ, View::PolicyBinding).legacy(),
    ]
}

#[derive(Clone, Copy)]
enum View {
    ClusterPolicy,
    ClusterPolicyBinding,
    Policy,
    PolicyBinding,
}

impl Connect for View {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        std::future::ready(self.answer(call)).boxed()
    }
}

impl View {
    fn answer(self, call: &Call) -> Result<Answer, ApiError> {
        let (objects, revision) = match self {
            Self::ClusterPolicy => cluster_policies(call)?,
            Self::ClusterPolicyBinding => cluster_policy_bindings(call)?,
            Self::Policy => policies(call)?,
            Self::PolicyBinding => policy_bindings(call)?,
        };
        match call.verb {
            Verb::Get => {
                let mut objects = objects.into_iter();
                let found = objects.find(|object| metadata::text(object, "name") == call.name());
                Ok(Answer::ok(found.ok_or_else(|| call.not_found(call.name()))?))
            }
            Verb::List => {
                let items = objects.into_iter().map(Document::Tree).collect();
                Ok(Answer::List(ListAnswer { items, revision, continue_token: None }))
            }
            Verb::Create
            | Verb::Delete
            | Verb::DeleteCollection
            | Verb::Patch
            | Verb::Update
            | Verb::Watch => Err(call.wrong_verb().into()),
        }
    }
}

/// All stored objects of a kind in the namespace of the call, or in all of them, by name.
fn stored<T: Object>(call: &Call) -> Result<(Vec<T>, Revision), ApiError> {
    let resource = T::qualified_resource();
    let range = match call.namespace() {
        "" => KeyRange::prefix(&(resource.as_str(),)),
        namespace => KeyRange::prefix(&(resource.as_str(), namespace)),
    };
    let (rows, revision) = call
        .server
        .store
        .read(|tx| tx.scan(&OBJECTS, &range, usize::MAX).map(|rows| (rows, tx.revision())))?;
    let objects: Result<Vec<T>, _> = rows.iter().map(|(_, record)| from_slice(&record.0)).collect();
    Ok((objects.map_err(|error| ApiError::internal(&error))?, revision))
}

/// Metadata of a view: the newest version and the oldest time of what it gathers.
fn gathered<'a>(namespace: &str, name: &str, members: impl Iterator<Item = &'a ObjectMeta>) -> ObjectMeta {
    let mut metadata = ObjectMeta::in_namespace(namespace, name);
    let mut newest = 0_u64;
    for member in members {
        newest = newest.max(member.resource_version.parse().unwrap_or(0));
        metadata.creation_timestamp = match (metadata.creation_timestamp, member.creation_timestamp) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }
    metadata.resource_version = newest.to_string();
    metadata
}

fn cluster_policies(call: &Call) -> Result<(Vec<Value>, Revision), ApiError> {
    let (roles, revision) = stored::<rbac::ClusterRole>(call)?;
    let policy = ClusterPolicy {
        metadata: gathered("", DEFAULT, roles.iter().map(|role| &role.metadata)),
        last_modified: None,
        roles: roles
            .iter()
            .map(|role| NamedClusterRole { name: role.metadata.name.clone(), role: role.into() })
            .collect(),
    };
    Ok((vec![to_value(&policy)], revision))
}

fn cluster_policy_bindings(call: &Call) -> Result<(Vec<Value>, Revision), ApiError> {
    let (bindings, revision) = stored::<rbac::ClusterRoleBinding>(call)?;
    let name = format!(":{DEFAULT}");
    let all = ClusterPolicyBinding {
        metadata: gathered("", &name, bindings.iter().map(|binding| &binding.metadata)),
        last_modified: None,
        policy_ref: ObjectReference::named(DEFAULT),
        role_bindings: bindings
            .iter()
            .map(|binding| NamedClusterRoleBinding {
                name: binding.metadata.name.clone(),
                role_binding: binding.into(),
            })
            .collect(),
    };
    Ok((vec![to_value(&all)], revision))
}

fn policies(call: &Call) -> Result<(Vec<Value>, Revision), ApiError> {
    let (roles, revision) = stored::<rbac::Role>(call)?;
    let mut by_namespace: BTreeMap<&str, Vec<&rbac::Role>> = BTreeMap::new();
    for role in &roles {
        by_namespace.entry(&role.metadata.namespace).or_default().push(role);
    }
    let policy = |(namespace, roles): (&str, Vec<&rbac::Role>)| {
        to_value(&Policy {
            metadata: gathered(namespace, DEFAULT, roles.iter().map(|role| &role.metadata)),
            last_modified: None,
            roles: roles
                .iter()
                .map(|role| NamedRole { name: role.metadata.name.clone(), role: (*role).into() })
                .collect(),
        })
    };
    Ok((by_namespace.into_iter().map(policy).collect(), revision))
}

fn policy_bindings(call: &Call) -> Result<(Vec<Value>, Revision), ApiError> {
    let (bindings, revision) = stored::<rbac::RoleBinding>(call)?;
    Ok((gather_bindings(&bindings).iter().map(to_value).collect(), revision))
}

/// One object per namespace and per place the bound roles are from.
fn gather_bindings(bindings: &[rbac::RoleBinding]) -> Vec<PolicyBinding> {
    let mut groups: BTreeMap<(&str, &str), Vec<&rbac::RoleBinding>> = BTreeMap::new();
    for binding in bindings {
        let namespace = binding.metadata.namespace.as_str();
        let roles_from = if binding.role_ref.kind == "Role" { namespace } else { "" };
        groups.entry((namespace, roles_from)).or_default().push(binding);
    }
    let gather =
        |((namespace, roles_from), members): ((&str, &str), Vec<&rbac::RoleBinding>)| PolicyBinding {
            metadata: gathered(
                namespace,
                &format!("{roles_from}:{DEFAULT}"),
                members.iter().map(|binding| &binding.metadata),
            ),
            last_modified: None,
            policy_ref: ObjectReference {
                namespace: roles_from.to_owned(),
                ..ObjectReference::named(DEFAULT)
            },
            role_bindings: members
                .iter()
                .map(|binding| NamedRoleBinding {
                    name: binding.metadata.name.clone(),
                    role_binding: (*binding).into(),
                })
                .collect(),
        };
    groups.into_iter().map(gather).collect()
}

#[cfg(test)]
mod tests {
    use pierhead_api::meta::ObjectMeta;
    use pierhead_api::rbac::{RoleBinding, RoleRef, Subject};

    use super::gather_bindings;

    #[test]
    fn bindings_are_gathered_by_where_their_roles_are_from() {
        let binding = |name: &str, version: &str, role: RoleRef| RoleBinding {
            metadata: ObjectMeta {
                resource_version: version.to_owned(),
                ..ObjectMeta::in_namespace("shop", name)
            },
            subjects: vec![Subject::user("ann")],
            role_ref: role,
        };
        let gathered = gather_bindings(&[
            binding("admin", "5", RoleRef::cluster_role("admin")),
            binding("edit", "9", RoleRef::cluster_role("edit")),
            binding("own", "7", RoleRef::role("own")),
        ]);
        let shape: Vec<(&str, &str, usize)> = gathered
            .iter()
            .map(|one| {
                let metadata = &one.metadata;
                (metadata.name.as_str(), metadata.resource_version.as_str(), one.role_bindings.len())
            })
            .collect();
        assert_eq!(shape, [(":default", "9", 2), ("shop:default", "7", 1)]);
        assert_eq!(
            gathered[0].role_bindings[0].role_binding.user_names.as_deref(),
            Some(&["ann".to_owned()][..])
        );
    }
}
