//! Events: what happened to objects, as controllers tell it, in two forms.

use pierhead_api::core::Event;
use pierhead_api::events::{self, RENAMED};
use pierhead_api::field::FieldErrors;
use serde_json::Value;

use crate::kind::{Kind, View};
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Events).unrecorded().unconditional_update().fields(&[
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

/// The form of `events.k8s.io`, of the same objects.
pub(crate) fn renamed() -> Kind {
    Kind::stored(RenamedEvents).unrecorded().unconditional_update().view_of::<Event>(Renamed).fields(&[
        ("reason", "/reason"),
        ("regarding.kind", "/regarding/kind"),
        ("regarding.name", "/regarding/name"),
        ("regarding.namespace", "/regarding/namespace"),
        ("regarding.uid", "/regarding/uid"),
        ("reportingController", "/reportingController"),
        ("type", "/type"),
    ])
}

struct Renamed;

impl View for Renamed {
    fn shown(&self, mut stored: Value) -> Value {
        rename(&mut stored, |(core, new)| (core, new));
        stored["apiVersion"] = "events.k8s.io/v1".into();
        stored
    }

    fn stored(&self, shown: Value) -> Value {
        core_form(shown)
    }
}

/// An event of `events.k8s.io` as the core group writes it.
pub(crate) fn core_form(mut event: Value) -> Value {
    rename(&mut event, |(core, new)| (new, core));
    event["apiVersion"] = "v1".into();
    event
}

fn rename(
    document: &mut Value,
    names: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(fields) = document.as_object_mut() else { return };
    for (from, to) in RENAMED.map(names) {
        if let Some(value) = fields.shift_remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

struct RenamedEvents;

impl Strategy for RenamedEvents {
    type Object = events::Event;

    fn validate(&self, event: &events::Event, _: &Change<'_>) -> FieldErrors {
        event.validate()
    }

    fn validate_update(&self, event: &events::Event, old: &events::Event, _: &Change<'_>) -> FieldErrors {
        event.validate_update(old)
    }
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
