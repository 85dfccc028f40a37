//! Endpoints: the addresses behind services, written by whoever runs the programs.

use pierhead_api::core::Endpoints;
use pierhead_api::field::FieldErrors;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(EndpointLists).unconditional_update()
}

struct EndpointLists;

impl Strategy for EndpointLists {
    type Object = Endpoints;

    fn prepare_create(&self, endpoints: &mut Endpoints, _: &Change<'_>) {
        endpoints.set_defaults();
    }

    fn prepare_update(&self, endpoints: &mut Endpoints, _: &Endpoints, _: &Change<'_>) {
        endpoints.set_defaults();
    }

    fn validate(&self, endpoints: &Endpoints, _: &Change<'_>) -> FieldErrors {
        endpoints.validate()
    }

    fn validate_update(&self, endpoints: &Endpoints, old: &Endpoints, _: &Change<'_>) -> FieldErrors {
        endpoints.validate_update(old)
    }
}
