//! Roles and cluster roles of `rbac.authorization.k8s.io/v1`.

use pierhead_api::field::FieldErrors;
use pierhead_api::from_value;
use pierhead_api::rbac::{ClusterRole, Role};
use serde_json::Value;

use super::grants;
use crate::admission::{Admission, Operation};
use crate::error::ApiError;
use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// Roles of a namespace.
pub(crate) fn roles() -> Kind {
    Kind::stored(Roles).unconditional_update().admit(check_role)
}

/// Roles of the cluster.
pub(crate) fn cluster_roles() -> Kind {
    Kind::stored(ClusterRoles).unconditional_update().admit(check_cluster_role)
}

/// The object to be written and the one it replaces; nothing for a deletion.
pub(super) fn written<'a>(admission: &'a Admission<'_>) -> Option<(&'a Value, Option<&'a Value>)> {
    match &admission.operation {
        Operation::Create { object } => Some((object, None)),
        Operation::Update { object, old, .. } => Some((object, Some(old))),
        Operation::Delete { .. } => None,
    }
}

fn check_role(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    if old.is_some_and(|old| old.get("rules") == object.get("rules")) {
        return Ok(());
    }
    let role: Role = from_value(object).map_err(|error| ApiError::internal(&error))?;
    grants::check_role(admission, &role.metadata.name, &role.rules)
}

fn check_cluster_role(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    let same = |field: &str| old.is_some_and(|old| old.get(field) == object.get(field));
    if same("rules") && same("aggregationRule") {
        return Ok(());
    }
    let role: ClusterRole = from_value(object).map_err(|error| ApiError::internal(&error))?;
    // What an aggregated role will contain one day nobody knows.
    let rules = if role.aggregation_rule.is_some() { pierhead_auth::everything() } else { role.rules };
    grants::check_role(admission, &role.metadata.name, &rules)
}

struct Roles;

impl Strategy for Roles {
    type Object = Role;

    fn validate(&self, role: &Role, _: &Change<'_>) -> FieldErrors {
        role.validate()
    }

    fn validate_update(&self, role: &Role, old: &Role, _: &Change<'_>) -> FieldErrors {
        role.validate_update(old)
    }
}

struct ClusterRoles;

impl Strategy for ClusterRoles {
    type Object = ClusterRole;

    fn validate(&self, role: &ClusterRole, _: &Change<'_>) -> FieldErrors {
        role.validate()
    }

    fn validate_update(&self, role: &ClusterRole, old: &ClusterRole, _: &Change<'_>) -> FieldErrors {
        role.validate_update(old)
    }
}
