//! Namespaces: where everything else lives, and the two steps of their end (platform 3.4).
//!
//! Owns what a new namespace looks like, that built-in ones stay, and that one to be deleted waits for whoever empties
//! it: `finalize` takes the last finalizer away, and with it the namespace. Emptying is the controllers' business.

use pierhead_api::core::Namespace;
use pierhead_api::field::FieldErrors;
use serde_json::Value;

use crate::admission::{Admission, Operation};
use crate::bootstrap;
use crate::error::ApiError;
use crate::kind::{GroupVersionKind, Kind, SubBehaviour, Subresource, Verb};
use crate::metadata;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Namespaces)
        .verbs(&[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch])
        .unconditional_update()
        .status()
        .subresource(Subresource {
            name: "finalize",
            kind: GroupVersionKind { group: "", version: "v1", kind: "Namespace" },
            verbs: &[Verb::Update],
            behaviour: SubBehaviour::Finalize,
        })
        .fields(&[("status.phase", "/status/phase")])
        .holds_deletion(wait_for_finalizers)
        .admit(keep_built_in)
}

/// A namespace or project that is to be deleted becomes `Terminating` and stays while its spec has finalizers.
pub(crate) fn wait_for_finalizers(namespace: &mut Value) -> bool {
    namespace["status"]["phase"] = "Terminating".into();
    namespace["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// 403 for deleting a namespace the server itself needs.
pub(crate) fn keep_built_in(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let Operation::Delete { old } = &admission.operation else { return Ok(()) };
    let name = metadata::text(old, "name");
    if bootstrap::NAMESPACES.contains(&name) {
        return Err(admission.call.forbidden(name, "this namespace may not be deleted").into());
    }
    Ok(())
}

struct Namespaces;

impl Strategy for Namespaces {
    type Object = Namespace;

    fn prepare_create(&self, namespace: &mut Namespace, _: &Change<'_>) {
        namespace.set_defaults();
    }

    fn prepare_update(&self, namespace: &mut Namespace, old: &Namespace, _: &Change<'_>) {
        namespace.spec.clone_from(&old.spec);
    }

    fn validate(&self, namespace: &Namespace, _: &Change<'_>) -> FieldErrors {
        namespace.validate()
    }

    fn validate_update(&self, namespace: &Namespace, old: &Namespace, _: &Change<'_>) -> FieldErrors {
        namespace.validate_update(old)
    }
}
