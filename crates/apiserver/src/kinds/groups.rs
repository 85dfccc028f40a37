//! Groups of users.

use pierhead_api::field::FieldErrors;
use pierhead_api::user::Group;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Groups).openshift()
}

struct Groups;

impl Strategy for Groups {
    type Object = Group;

    fn validate(&self, group: &Group, _: &Change<'_>) -> FieldErrors {
        group.validate()
    }

    fn validate_update(&self, group: &Group, old: &Group, _: &Change<'_>) -> FieldErrors {
        group.validate_update(old)
    }
}
