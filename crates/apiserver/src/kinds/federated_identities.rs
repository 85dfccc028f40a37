//! Trust rules: whose outside tokens are exchanged for tokens of a service account.
//!
//! Owns who may write them: who could create tokens of the account anyway, so that a rule gives nobody more than its
//! author holds. What a rule does is `auth`'s business.

use pierhead_api::federation::FederatedIdentity;
use pierhead_api::field::FieldErrors;
use pierhead_api::from_value;
use pierhead_api::meta::Status;
use pierhead_auth::Attributes;

use super::rbac_roles::written;
use crate::admission::Admission;
use crate::error::ApiError;
use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(FederatedIdentities).admit(check_author).generation()
}

/// Refuses a rule for an account of which its author may not create tokens. A change of nothing but metadata trusts
/// nobody else.
fn check_author(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Some((object, old)) = written(admission) else { return Ok(()) };
    if old.is_some_and(|old| old.get("spec") == object.get("spec")) {
        return Ok(());
    }
    let rule: FederatedIdentity = from_value(object).map_err(|error| ApiError::internal(&error))?;
    let (call, account) = (admission.call, &rule.spec.service_account_name);
    let config = call.server.auth.config();
    if rule.spec.issuer == config.token_issuer {
        let mut errors = FieldErrors::new();
        errors.invalid(
            "spec.issuer",
            rule.spec.issuer,
            "must not be this server: its tokens are not exchanged",
        );
        let kind = &call.resource.kind.gvk;
        return Err(Status::invalid(kind.kind, kind.group, &rule.metadata.name, &errors).into());
    }
    let tokens = Attributes::new("create", "", "serviceaccounts").subresource("token");
    let tokens = tokens.namespace(admission.namespace).name(account);
    if call.server.auth.allowed(&call.subject, &tokens).allowed {
        return Ok(());
    }
    let why = format!(
        "only who may create tokens of the service account {account:?} may say for which others are exchanged"
    );
    Err(call.forbidden(&rule.metadata.name, &why).into())
}

struct FederatedIdentities;

impl Strategy for FederatedIdentities {
    type Object = FederatedIdentity;

    fn prepare_create(&self, rule: &mut FederatedIdentity, _: &Change<'_>) {
        rule.set_defaults();
    }

    fn prepare_update(&self, rule: &mut FederatedIdentity, _: &FederatedIdentity, _: &Change<'_>) {
        rule.set_defaults();
    }

    fn validate(&self, rule: &FederatedIdentity, _: &Change<'_>) -> FieldErrors {
        rule.validate()
    }
}
