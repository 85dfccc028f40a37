//! `ReplicationController`: keeps a number of pods of one template running.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PodTemplateSpec;
use crate::field::FieldErrors;
use crate::meta::{ObjectMeta, Time, is_zero};
use crate::name;

/// A replication controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationController {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ReplicationControllerSpec,
    /// What is.
    pub status: ReplicationControllerStatus,
}

object!(
    ReplicationController: "" "v1", "replicationcontrollers" "replicationcontroller", Namespaced, short ["rc"],
    categories ["all"]
);

/// What a replication controller wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationControllerSpec {
    /// Number of pods; 1 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Seconds a pod must be ready before it counts as available.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_ready_seconds: i32,
    /// Labels of its pods; those of the template unless given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// What its pods look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplateSpec>,
}

/// State of a replication controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationControllerStatus {
    /// Pods there are.
    pub replicas: i32,
    /// Pods that have all labels of the template.
    #[serde(skip_serializing_if = "is_zero")]
    pub fully_labeled_replicas: i32,
    /// Pods that are ready.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i32,
    /// Pods that have been ready long enough.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i32,
    /// Generation the numbers belong to.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `ReplicaFailure`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ReplicationControllerCondition>,
}

/// Something that is true of a replication controller or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationControllerCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Last change of `status`.
    pub last_transition_time: Option<Time>,
    /// Why, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl ReplicationController {
    /// One replica, selector and labels from the template, defaults of the template.
    pub fn set_defaults(&mut self) {
        self.spec.replicas.get_or_insert(1);
        let Some(template) = &mut self.spec.template else { return };
        template.spec.set_defaults();
        let labels = &template.metadata.labels;
        if self.spec.selector.is_empty() {
            self.spec.selector.clone_from(labels);
        }
        if self.metadata.labels.is_empty() {
            self.metadata.labels.clone_from(labels);
        }
    }

    /// Number, selector and template.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        let spec = &self.spec;
        for (field, number) in
            [("spec.replicas", spec.replicas.unwrap_or(1)), ("spec.minReadySeconds", spec.min_ready_seconds)]
        {
            if number < 0 {
                errors.invalid(field, number, "must be greater than or equal to 0");
            }
        }
        if spec.selector.is_empty() {
            errors.required("spec.selector", "");
        }
        let Some(template) = &spec.template else {
            errors.required("spec.template", "");
            return errors;
        };
        let labels = &template.metadata.labels;
        if !spec.selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            let shown = serde_json::json!(labels);
            errors.invalid(
                "spec.template.metadata.labels",
                shown,
                "`selector` does not match template `labels`",
            );
        }
        errors.append(template.validate_for_controller("spec.template"));
        errors
    }

    /// Metadata rules of an update and those of [`ReplicationController::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }

    /// No number of the status is negative.
    pub fn validate_status(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let status = &self.status;
        for (field, number) in [
            ("replicas", status.replicas),
            ("fullyLabeledReplicas", status.fully_labeled_replicas),
            ("readyReplicas", status.ready_replicas),
            ("availableReplicas", status.available_replicas),
        ] {
            let path = format!("status.{field}");
            if number < 0 {
                errors.invalid(path, number, "must be greater than or equal to 0");
            } else if number > status.replicas {
                errors.invalid(path, number, "cannot be greater than status.replicas");
            }
        }
        errors
    }
}
