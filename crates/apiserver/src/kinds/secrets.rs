//! Secrets: credentials, with the keys each type must have (platform 6).
//!
//! Owns nothing but the hooks. Tokens of service accounts are filled in by controllers.

use pierhead_api::core::Secret;
use pierhead_api::field::FieldErrors;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Secrets).unconditional_update().fields(&[("type", "/type")])
}

struct Secrets;

impl Strategy for Secrets {
    type Object = Secret;

    fn prepare_create(&self, secret: &mut Secret, _: &Change<'_>) {
        secret.set_defaults();
    }

    fn prepare_update(&self, secret: &mut Secret, old: &Secret, _: &Change<'_>) {
        // Old clients leave the type out when they change data.
        if secret.secret_type.is_empty() {
            secret.secret_type.clone_from(&old.secret_type);
        }
        secret.set_defaults();
    }

    fn validate(&self, secret: &Secret, _: &Change<'_>) -> FieldErrors {
        secret.validate()
    }

    fn validate_update(&self, secret: &Secret, old: &Secret, _: &Change<'_>) -> FieldErrors {
        secret.validate_update(old)
    }
}
