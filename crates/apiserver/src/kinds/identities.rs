//! Identities: logins at identity providers. `auth` makes them at a first login.

use pierhead_api::field::FieldErrors;
use pierhead_api::user::Identity;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Identities).openshift().fields(&[
        ("providerName", "/providerName"),
        ("providerUserName", "/providerUserName"),
        ("user.name", "/user/name"),
        ("user.uid", "/user/uid"),
    ])
}

struct Identities;

impl Strategy for Identities {
    type Object = Identity;

    fn prepare_create(&self, identity: &mut Identity, _: &Change<'_>) {
        if identity.metadata.name.is_empty() {
            identity.metadata.name = Identity::name_of(&identity.provider_name, &identity.provider_user_name);
        }
    }

    fn validate(&self, identity: &Identity, _: &Change<'_>) -> FieldErrors {
        identity.validate()
    }

    fn validate_update(&self, identity: &Identity, old: &Identity, _: &Change<'_>) -> FieldErrors {
        identity.validate_update(old)
    }
}
