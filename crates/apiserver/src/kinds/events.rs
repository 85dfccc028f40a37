//! Events: what happened to objects, as controllers tell it.

use pierhead_api::core::Event;
use pierhead_api::field::FieldErrors;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Events).unconditional_update().fields(&[
        ("involvedObject.kind", "/involvedObject/kind"),
        ("involvedObject.namespace", "/involvedObject/namespace"),
        ("involvedObject.name", "/involvedObject/name"),
        ("involvedObject.uid", "/involvedObject/uid"),
        ("involvedObject.apiVersion", "/involvedObject/apiVersion"),
        ("involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
        ("involvedObject.fieldPath", "/involvedObject/fieldPath"),
        ("reason", "/reason"),
        ("reportingComponent", "/reportingComponent"),
        ("source", "/source/component"),
        ("type", "/type"),
    ])
}

struct Events;

impl Strategy for Events {
    type Object = Event;

    fn validate(&self, event: &Event, _: &Change<'_>) -> FieldErrors {
        event.validate()
    }

    fn validate_update(&self, event: &Event, old: &Event, _: &Change<'_>) -> FieldErrors {
        event.validate_update(old)
    }
}
