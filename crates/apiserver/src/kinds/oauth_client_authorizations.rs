//! What users consented to, per client.

use pierhead_api::field::FieldErrors;
use pierhead_api::oauth::OAuthClientAuthorization;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Grants).openshift().fields(&[
        ("clientName", "/clientName"),
        ("userName", "/userName"),
        ("userUID", "/userUID"),
    ])
}

struct Grants;

impl Strategy for Grants {
    type Object = OAuthClientAuthorization;

    fn validate(&self, grant: &OAuthClientAuthorization, _: &Change<'_>) -> FieldErrors {
        grant.validate()
    }

    fn validate_update(
        &self,
        grant: &OAuthClientAuthorization,
        old: &OAuthClientAuthorization,
        _: &Change<'_>,
    ) -> FieldErrors {
        grant.validate_update(old)
    }
}
