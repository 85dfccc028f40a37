//! Restrictions on whom roles of a namespace may be given to (platform 5.2).
//!
//! Owns their storage and the check that bindings go through. Without any restriction everybody may be given roles.

use pierhead_api::authorization::{RoleBindingRestriction, SubjectRecord};
use pierhead_api::field::FieldErrors;
use pierhead_api::name::{self, Scope};
use pierhead_api::rbac::Subject;
use pierhead_api::user::{Group, User};
use pierhead_api::{Object, from_slice, from_value};
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
        let record = record_of(admission, subject)?;
        if !restrictions.iter().any(|restriction| restriction.matches(subject, &record)) {
            let (kind, name) = (&subject.kind, &subject.name);
            let why = format!("rolebindings to {kind} {name:?} are not allowed in project {namespace:?}");
            return Err(admission.call.forbidden(binding, &why).into());
        }
    }
    Ok(())
}

/// What restrictions may ask about a user or a group.
fn record_of(admission: &Admission<'_>, subject: &Subject) -> Result<SubjectRecord, ApiError> {
    let server = &admission.call.server;
    match subject.kind.as_str() {
        "User" => {
            let range = KeyRange::prefix(&(Group::qualified_resource().as_str(), ""));
            let rows = server.store.read(|tx| tx.scan(&OBJECTS, &range, usize::MAX))?;
            let groups: Result<Vec<Group>, _> =
                rows.iter().map(|(_, record)| from_slice(&record.0)).collect();
            let lists = |group: &Group| group.users.iter().flatten().any(|user| *user == subject.name);
            let groups = groups.map_err(|error| ApiError::internal(&error))?;
            let groups = groups.into_iter().filter(lists).map(|group| group.metadata.name).collect();
            let user = stored::<User>(admission, &subject.name)?;
            Ok(SubjectRecord { labels: user.map(|user| user.metadata.labels), groups })
        }
        "Group" => {
            let group = stored::<Group>(admission, &subject.name)?;
            Ok(SubjectRecord { labels: group.map(|group| group.metadata.labels), groups: Vec::new() })
        }
        _ => Ok(SubjectRecord::default()),
    }
}

fn stored<O: Object>(admission: &Admission<'_>, name: &str) -> Result<Option<O>, ApiError> {
    let found = admission.call.server.object(&O::qualified_resource(), "", name)?;
    found.map(|document| from_value(&document)).transpose().map_err(|error| ApiError::internal(&error))
}

struct Restrictions;

impl Strategy for Restrictions {
    type Object = RoleBindingRestriction;

    fn validate(&self, restriction: &RoleBindingRestriction, _: &Change<'_>) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&restriction.metadata, Scope::Namespaced, name::dns1123_subdomain);
        errors.append(restriction.validate_spec());
        errors
    }
}
