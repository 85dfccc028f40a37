//! Service accounts. Their secrets are made by controllers; tokens on request by `token_requests`.

use pierhead_api::core::ServiceAccount;
use pierhead_api::field::FieldErrors;

use super::token_requests;
use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(ServiceAccounts).unconditional_update().subresource(token_requests::subresource())
}

struct ServiceAccounts;

impl Strategy for ServiceAccounts {
    type Object = ServiceAccount;

    fn validate(&self, account: &ServiceAccount, _: &Change<'_>) -> FieldErrors {
        account.validate()
    }

    fn validate_update(&self, account: &ServiceAccount, old: &ServiceAccount, _: &Change<'_>) -> FieldErrors {
        account.validate_update(old)
    }
}
