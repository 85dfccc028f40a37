//! Roles and bindings in OpenShift's form, `authorization.openshift.io/v1` and `/oapi/v1`: views of RBAC's objects
//! (platform 5.2).
//!
//! Owns the views. Every rule is RBAC's: an object is converted, checked there, and refused where it has no RBAC form.

use pierhead_api::authorization::{ClusterRole, ClusterRoleBinding, ConvertError, Role, RoleBinding};
use pierhead_api::field::FieldErrors;
use pierhead_api::{Object, from_value, rbac, to_value};
use serde_json::Value;

use super::grants;
use super::rbac_roles::written;
use crate::admission::Admission;
use crate::error::ApiError;
use crate::kind::{Kind, View};
use crate::strategy::{Change, Strategy};

/// The four kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::stored(Viewed::<Role>::NEW)
            .view_of::<rbac::Role>(Viewed::<Role>::NEW)
            .admit(check_role::<Role>)
            .openshift(),
        Kind::stored(Viewed::<ClusterRole>::NEW)
            .view_of::<rbac::ClusterRole>(Viewed::<ClusterRole>::NEW)
            .admit(check_role::<ClusterRole>)
            .openshift(),
        Kind::stored(Viewed::<RoleBinding>::NEW)
            .view_of::<rbac::RoleBinding>(Viewed::<RoleBinding>::NEW)
            .admit(check_binding::<RoleBinding>)
            .openshift(),
        Kind::stored(Viewed::<ClusterRoleBinding>::NEW)
            .view_of::<rbac::ClusterRoleBinding>(Viewed::<ClusterRoleBinding>::NEW)
            .admit(check_binding::<ClusterRoleBinding>)
            .openshift(),
    ]
}

/// A kind in OpenShift's form, and its RBAC twin.
trait Twin: Object {
    /// The twin.
    type Rbac: Object;

    fn from_rbac(stored: &Self::Rbac) -> Self;
    fn to_rbac(&self) -> Result<Self::Rbac, ConvertError>;
    fn set_defaults(twin: &mut Self::Rbac);
    fn validate(twin: &Self::Rbac) -> FieldErrors;
    fn validate_update(twin: &Self::Rbac, old: &Self::Rbac) -> FieldErrors;
    /// Where an error of the conversion is reported.
    const CONVERTED_FIELD: &'static str;
}

macro_rules! twin {
    ($kind:ident, $field:literal, $defaults:expr) => {
        impl Twin for $kind {
            type Rbac = rbac::$kind;
            const CONVERTED_FIELD: &'static str = $field;

            fn from_rbac(stored: &rbac::$kind) -> Self {
                Self::from(stored)
            }

            fn to_rbac(&self) -> Result<rbac::$kind, ConvertError> {
                rbac::$kind::try_from(self)
            }

            fn set_defaults(twin: &mut rbac::$kind) {
                let defaults: fn(&mut rbac::$kind) = $defaults;
                defaults(twin);
            }

            fn validate(twin: &rbac::$kind) -> FieldErrors {
                twin.validate()
            }

            fn validate_update(twin: &rbac::$kind, old: &rbac::$kind) -> FieldErrors {
                twin.validate_update(old)
            }
        }
    };
}

twin!(Role, "rules", |_| {});
twin!(ClusterRole, "rules", |_| {});
twin!(RoleBinding, "roleRef", rbac::RoleBinding::set_defaults);
twin!(ClusterRoleBinding, "roleRef", rbac::ClusterRoleBinding::set_defaults);

/// Hooks and view of one kind.
struct Viewed<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Viewed<T> {
    const NEW: Self = Self(std::marker::PhantomData);
}

impl<T: Twin> Viewed<T> {
    /// What will be stored, in OpenShift's form again: names, groups and subjects then agree.
    fn normalize(object: &mut T) {
        if let Ok(mut twin) = object.to_rbac() {
            T::set_defaults(&mut twin);
            *object = T::from_rbac(&twin);
        }
    }

    fn converted(object: &T, errors: &mut FieldErrors) -> Option<T::Rbac> {
        match object.to_rbac() {
            Ok(twin) => Some(twin),
            Err(error) => {
                errors.invalid(T::CONVERTED_FIELD, object.metadata().name.as_str(), error.to_string());
                None
            }
        }
    }
}

impl<T: Twin> Strategy for Viewed<T> {
    type Object = T;

    fn prepare_create(&self, object: &mut T, _: &Change<'_>) {
        Self::normalize(object);
    }

    fn prepare_update(&self, object: &mut T, _: &T, _: &Change<'_>) {
        Self::normalize(object);
    }

    fn validate(&self, object: &T, _: &Change<'_>) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if let Some(twin) = Self::converted(object, &mut errors) {
            errors.append(T::validate(&twin));
        }
        errors
    }

    fn validate_update(&self, object: &T, old: &T, _: &Change<'_>) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if let (Some(twin), Ok(old)) = (Self::converted(object, &mut errors), old.to_rbac()) {
            errors.append(T::validate_update(&twin, &old));
        }
        errors
    }
}

impl<T: Twin> View for Viewed<T> {
    fn shown(&self, stored: Value) -> Value {
        match from_value::<T::Rbac>(&stored) {
            Ok(twin) => to_value(&T::from_rbac(&twin)),
            // Only what decodes is ever stored; a reader of a damaged row sees it as it is.
            Err(_) => stored,
        }
    }

    fn stored(&self, shown: Value) -> Value {
        let twin = from_value::<T>(&shown).ok().and_then(|object| object.to_rbac().ok());
        to_value(&twin.expect("`validate` refuses what has no RBAC form, and every write is validated"))
    }
}

fn read<T: Twin>(document: &Value) -> Result<T::Rbac, ApiError> {
    let object: T = from_value(document).map_err(|error| ApiError::internal(&error))?;
    object.to_rbac().map_err(|error| ApiError::internal(&error))
}

/// What a role allows, whichever of the two kinds it is.
trait Rules {
    fn rules(&self) -> Vec<rbac::PolicyRule>;
}

impl Rules for rbac::Role {
    fn rules(&self) -> Vec<rbac::PolicyRule> {
        self.rules.clone()
    }
}

impl Rules for rbac::ClusterRole {
    fn rules(&self) -> Vec<rbac::PolicyRule> {
        // What an aggregated role will contain one day nobody knows.
        if self.aggregation_rule.is_some() { pierhead_auth::everything() } else { self.rules.clone() }
    }
}

/// Whom a binding gives what, whichever of the two kinds it is.
trait Grant {
    fn grant(&self) -> grants::Grant<'_>;
}

impl Grant for rbac::RoleBinding {
    fn grant(&self) -> grants::Grant<'_> {
        (&self.role_ref, &self.subjects)
    }
}

impl Grant for rbac::ClusterRoleBinding {
    fn grant(&self) -> grants::Grant<'_> {
        (&self.role_ref, &self.subjects)
    }
}

fn check_role<T: Twin<Rbac: Rules>>(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    let (new, old) = (read::<T>(object)?, old.map(read::<T>).transpose()?);
    let rules = new.rules();
    if old.is_some_and(|old| old.rules() == rules) {
        return Ok(());
    }
    grants::check_role(admission, &new.metadata().name, &rules)
}

fn check_binding<T: Twin<Rbac: Grant>>(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    let (new, old) = (read::<T>(object)?, old.map(read::<T>).transpose()?);
    grants::check_binding(admission, &new.metadata().name, new.grant(), old.as_ref().map(Grant::grant))
}

#[cfg(test)]
mod tests {
    use pierhead_api::authorization::RoleBinding;
    use serde_json::json;

    use super::Viewed;
    use crate::kind::View as _;

    #[test]
    fn what_is_stored_is_rbac_and_what_is_shown_is_openshift() {
        let view = Viewed::<RoleBinding>::NEW;
        let shown = json!({
            "apiVersion": "authorization.openshift.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "edit", "namespace": "shop", "resourceVersion": "7"},
            "userNames": ["ann"], "groupNames": null, "subjects": [{"kind": "User", "name": "ann"}],
            "roleRef": {"name": "edit"},
        });
        let stored = view.stored(shown.clone());
        assert_eq!(stored["apiVersion"], "rbac.authorization.k8s.io/v1");
        assert_eq!(stored["roleRef"]["kind"], "ClusterRole");
        assert_eq!(stored["metadata"]["resourceVersion"], "7");
        assert_eq!(view.shown(stored), shown);
    }
}
