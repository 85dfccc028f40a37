//! Replication controllers, and their scale. Keeping the pods is the controllers' business.

use std::sync::Arc;

use pierhead_api::core::{ReplicationController, ReplicationControllerStatus, Scale, ScaleSpec, ScaleStatus};
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::ObjectMeta;
use pierhead_api::{from_value, to_value};
use serde_json::Value;

use super::pod_images;
use crate::kind::{Facet, GroupVersionKind, Kind, SubBehaviour, Subresource, Verb};
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(ReplicationControllers)
        .unconditional_update()
        .generation()
        .status()
        .subresource(Subresource {
            name: "scale",
            kind: GroupVersionKind { group: "autoscaling", version: "v1", kind: "Scale" },
            verbs: &[Verb::Get, Verb::Patch, Verb::Update],
            behaviour: SubBehaviour::Facet(Arc::new(Replicas)),
        })
        .fields(&[("status.replicas", "/status/replicas")])
        .admit(pod_images::resolve_template)
}

struct ReplicationControllers;

impl Strategy for ReplicationControllers {
    type Object = ReplicationController;

    fn prepare_create(&self, controller: &mut ReplicationController, _: &Change<'_>) {
        controller.status = ReplicationControllerStatus::default();
        controller.set_defaults();
    }

    fn prepare_update(
        &self,
        controller: &mut ReplicationController,
        _: &ReplicationController,
        _: &Change<'_>,
    ) {
        controller.set_defaults();
    }

    fn validate(&self, controller: &ReplicationController, _: &Change<'_>) -> FieldErrors {
        controller.validate()
    }

    fn validate_update(
        &self,
        controller: &ReplicationController,
        old: &ReplicationController,
        _: &Change<'_>,
    ) -> FieldErrors {
        controller.validate_update(old)
    }

    fn validate_status(
        &self,
        controller: &ReplicationController,
        _: &ReplicationController,
        _: &Change<'_>,
    ) -> FieldErrors {
        controller.validate_status()
    }
}

/// The number of replicas as a `Scale`.
struct Replicas;

impl Facet for Replicas {
    fn show(&self, object: &Value) -> Value {
        let controller: ReplicationController = from_value(object).unwrap_or_default();
        let metadata = controller.metadata;
        let selector: Vec<String> =
            controller.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        to_value(&Scale {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                creation_timestamp: metadata.creation_timestamp,
                ..ObjectMeta::default()
            },
            spec: ScaleSpec { replicas: controller.spec.replicas.unwrap_or(1) },
            status: ScaleStatus { replicas: controller.status.replicas, selector: selector.join(",") },
        })
    }

    fn write(&self, object: &mut Value, changed: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let replicas = match from_value::<Scale>(changed) {
            Ok(scale) => scale.spec.replicas,
            Err(error) => {
                errors.invalid(error.path.as_str(), Value::Null, error.message.as_str());
                return errors;
            }
        };
        if replicas < 0 {
            errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        }
        object["spec"]["replicas"] = replicas.into();
        errors
    }
}
