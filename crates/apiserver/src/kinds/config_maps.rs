//! ConfigMaps: data, with sizes and keys checked and an optional lock.

use pierhead_api::core::ConfigMap;
use pierhead_api::field::FieldErrors;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(ConfigMaps).unconditional_update()
}

struct ConfigMaps;

impl Strategy for ConfigMaps {
    type Object = ConfigMap;

    fn validate(&self, object: &ConfigMap, _: &Change<'_>) -> FieldErrors {
        object.validate()
    }

    fn validate_update(&self, object: &ConfigMap, old: &ConfigMap, _: &Change<'_>) -> FieldErrors {
        object.validate_update(old)
    }
}
