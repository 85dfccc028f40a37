//! Role bindings and cluster role bindings of `rbac.authorization.k8s.io/v1`.

use pierhead_api::field::FieldErrors;
use pierhead_api::from_value;
use pierhead_api::rbac::{ClusterRoleBinding, RoleBinding};

use super::grants;
use super::rbac_roles::written;
use crate::admission::Admission;
use crate::error::ApiError;
use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// Bindings of a namespace.
pub(crate) fn role_bindings() -> Kind {
    Kind::stored(RoleBindings).unconditional_update().admit(check_role_binding)
}

/// Bindings of the cluster.
pub(crate) fn cluster_role_bindings() -> Kind {
    Kind::stored(ClusterRoleBindings).unconditional_update().admit(check_cluster_role_binding)
}

fn check_role_binding(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    let read = |document| from_value::<RoleBinding>(document).map_err(|error| ApiError::internal(&error));
    let (new, old) = (read(object)?, old.map(read).transpose()?);
    let before = old.as_ref().map(|old| (&old.role_ref, old.subjects.as_slice()));
    grants::check_binding(admission, &new.metadata.name, (&new.role_ref, &new.subjects), before)
}

fn check_cluster_role_binding(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    let read =
        |document| from_value::<ClusterRoleBinding>(document).map_err(|error| ApiError::internal(&error));
    let (new, old) = (read(object)?, old.map(read).transpose()?);
    let before = old.as_ref().map(|old| (&old.role_ref, old.subjects.as_slice()));
    grants::check_binding(admission, &new.metadata.name, (&new.role_ref, &new.subjects), before)
}

struct RoleBindings;

impl Strategy for RoleBindings {
    type Object = RoleBinding;

    fn prepare_create(&self, binding: &mut RoleBinding, _: &Change<'_>) {
        binding.set_defaults();
    }

    fn prepare_update(&self, binding: &mut RoleBinding, _: &RoleBinding, _: &Change<'_>) {
        binding.set_defaults();
    }

    fn validate(&self, binding: &RoleBinding, _: &Change<'_>) -> FieldErrors {
        binding.validate()
    }

    fn validate_update(&self, binding: &RoleBinding, old: &RoleBinding, _: &Change<'_>) -> FieldErrors {
        binding.validate_update(old)
    }
}

struct ClusterRoleBindings;

impl Strategy for ClusterRoleBindings {
    type Object = ClusterRoleBinding;

    fn prepare_create(&self, binding: &mut ClusterRoleBinding, _: &Change<'_>) {
        binding.set_defaults();
    }

    fn prepare_update(&self, binding: &mut ClusterRoleBinding, _: &ClusterRoleBinding, _: &Change<'_>) {
        binding.set_defaults();
    }

    fn validate(&self, binding: &ClusterRoleBinding, _: &Change<'_>) -> FieldErrors {
        binding.validate()
    }

    fn validate_update(
        &self,
        binding: &ClusterRoleBinding,
        old: &ClusterRoleBinding,
        _: &Change<'_>,
    ) -> FieldErrors {
        binding.validate_update(old)
    }
}
