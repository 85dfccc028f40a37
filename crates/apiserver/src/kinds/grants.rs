//! Nobody gives away rights they do not hold (platform 5.5): the checks that roles and bindings share, in RBAC's form
//! and in OpenShift's.
//!
//! Owns which writes are checked and how a refusal reads in either era. What somebody holds is `auth`'s knowledge.

use pierhead_api::meta::{Status, StatusReason};
use pierhead_api::rbac::{PolicyRule, RoleRef, Subject};
use pierhead_auth::{Era, EscalationDenied, GrantDenied, RoleName};

use super::role_binding_restrictions;
use crate::admission::Admission;
use crate::error::ApiError;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Refuses a role whose author does not hold what it allows.
pub(super) fn check_role(
    admission: &Admission<'_>,
    name: &str,
    rules: &[PolicyRule],
) -> Result<(), ApiError> {
    let call = admission.call;
    let checked = call.server.auth.check_role(&call.subject, place(admission), name, rules);
    checked.map_err(|denied| refused(admission, name, &denied))
}

/// A role and who has it.
pub(super) type Grant<'a> = (&'a RoleRef, &'a [Subject]);

/// Refuses a binding that gives its role to somebody it may not be given to, or by somebody who does not hold what
/// the role allows. A change that gives nobody anything is not looked at.
pub(super) fn check_binding(
    admission: &Admission<'_>,
    name: &str,
    (role, subjects): Grant<'_>,
    old: Option<Grant<'_>>,
) -> Result<(), ApiError> {
    let had = old.filter(|(old_role, _)| *old_role == role).map_or(&[][..], |(_, subjects)| subjects);
    let added = || subjects.iter().filter(|subject| !had.contains(subject));
    if old.is_some_and(|(old_role, _)| old_role == role) && added().next().is_none() {
        return Ok(());
    }
    if !admission.namespace.is_empty() {
        role_binding_restrictions::check_subjects(admission, name, added())?;
    }
    let call = admission.call;
    let role = match role.kind.as_str() {
        "Role" => RoleName::Namespaced(role.name.clone()),
        _ => RoleName::Cluster(role.name.clone()),
    };
    match call.server.auth.check_grant(&call.subject, place(admission), &role) {
        Ok(()) => Ok(()),
        Err(GrantDenied::RoleNotFound { resource, name }) => {
            Err(Status::not_found(resource, RBAC, &name).into())
        }
        Err(GrantDenied::Escalation(denied)) => Err(refused(admission, name, &denied)),
    }
}

fn place<'a>(admission: &Admission<'a>) -> Option<&'a str> {
    Some(admission.namespace).filter(|namespace| !namespace.is_empty())
}

/// Old clients were told 401, which they show as being logged out; newer ones 403.
fn refused(admission: &Admission<'_>, name: &str, denied: &EscalationDenied) -> ApiError {
    match denied.era {
        Era::V3_2 => Status::failure(401, StatusReason::Unauthorized, denied.to_string()).into(),
        Era::V4 => admission.call.forbidden(name, &denied.to_string()).into(),
    }
}
