//! Restrictions on whom roles of a namespace may be given to (platform 5.2).
//!
//! Owns their storage and the check that bindings go through. Without any restriction everybody may be given roles.

use pierhead_api::authorization::RoleBindingRestriction;
use pierhead_api::field::FieldErrors;
use pierhead_api::name::{self, Scope};
use pierhead_api::rbac::Subject;
use pierhead_api::{Object as _, from_slice};
use pierhead_store::KeyRange;
use pierhead_store::objects::OBJECTS;

use crate::admission::Admission;
use crate::error::ApiError;
use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Restrictions).openshift()
}

/// Refuses a binding of a namespace with restrictions that gives its role to somebody none of them allows.
pub(super) fn check_subjects<'s>(
    admission: &Admission<'_>,
    binding: &str,
    added: impl Iterator<Item = &'s Subject>,
) -> Result<(), ApiError> {
    let namespace = admission.namespace;
    let resource = RoleBindingRestriction::qualified_resource();
    let range = KeyRange::prefix(&(resource.as_str(), namespace));
    let rows = admission.call.server.store.read(|tx| tx.scan(&OBJECTS, &range, usize::MAX))?;
    let restrictions: Result<Vec<RoleBindingRestriction>, _> =
        rows.iter().map(|(_, record)| from_slice(&record.0)).collect();
    let restrictions = restrictions.map_err(|error| ApiError::internal(&error))?;
    if restrictions.is_empty() {
        return Ok(());
    }
    for subject in added {
        if !restrictions.iter().any(|restriction| restriction.matches(subject)) {
            let (kind, name) = (&subject.kind, &subject.name);
            let why = format!("rolebindings to {kind} {name:?} are not allowed in project {namespace:?}");
            return Err(admission.call.forbidden(binding, &why).into());
        }
    }
    Ok(())
}

struct Restrictions;

impl Strategy for Restrictions {
    type Object = RoleBindingRestriction;

    fn validate(&self, restriction: &RoleBindingRestriction, _: &Change<'_>) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&restriction.metadata, Scope::Namespaced, name::dns1123_subdomain);
        let spec = &restriction.spec;
        let given = [
            spec.userrestriction.is_some(),
            spec.grouprestriction.is_some(),
            spec.serviceaccountrestriction.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let detail =
                "exactly one of userrestriction, grouprestriction and serviceaccountrestriction is needed";
            errors.required("spec", detail);
        }
        errors
    }
}
