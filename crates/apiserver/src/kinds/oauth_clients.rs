//! OAuth clients: programs that may ask users for tokens.

use pierhead_api::field::FieldErrors;
use pierhead_api::oauth::OAuthClient;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Clients).openshift()
}

struct Clients;

impl Strategy for Clients {
    type Object = OAuthClient;

    fn validate(&self, client: &OAuthClient, _: &Change<'_>) -> FieldErrors {
        client.validate()
    }

    fn validate_update(&self, client: &OAuthClient, old: &OAuthClient, _: &Change<'_>) -> FieldErrors {
        client.validate_update(old)
    }
}
