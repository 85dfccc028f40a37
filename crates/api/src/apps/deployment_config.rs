//! `DeploymentConfig`: the object, its triggers and its numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DeploymentCondition, DeploymentDetails, DeploymentStrategy};
use crate::core::{ExtensionsScale, ExtensionsScaleStatus, ObjectReference, PodTemplateSpec, ScaleSpec};
use crate::meta::{ObjectMeta, is_zero};

/// A template of pods, how a new version of it is rolled out and what starts one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentConfig {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: DeploymentConfigSpec,
    /// What there is.
    pub status: DeploymentConfigStatus,
}

object!(
    DeploymentConfig: "apps.openshift.io" "v1", "deploymentconfigs" "deploymentconfig", Namespaced, short ["dc"],
    categories ["all"]
);

/// What a deployment configuration wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentConfigSpec {
    /// How a new version replaces the old one. Always written.
    pub strategy: DeploymentStrategy,
    /// How long a pod must be ready before it counts as available.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_ready_seconds: i32,
    /// What starts a rollout. Null means the default, an empty list means "only by hand"; always written.
    pub triggers: Option<Vec<DeploymentTriggerPolicy>>,
    /// How many pods. Absent means none; always written.
    pub replicas: i32,
    /// How many finished replication controllers are kept; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Whether the pods go away as soon as the rollout is complete. Always written.
    pub test: bool,
    /// Whether no rollout starts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Labels that the pods carry.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// The pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplateSpec>,
}

/// Types of triggers.
pub mod trigger {
    /// The template changed.
    pub const CONFIG_CHANGE: &str = "ConfigChange";
    /// The image of a tag changed.
    pub const IMAGE_CHANGE: &str = "ImageChange";
    /// Somebody asked for it; only as a cause.
    pub const MANUAL: &str = "Manual";
}

/// Something that starts a rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentTriggerPolicy {
    /// `ConfigChange` or `ImageChange`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub trigger_type: String,
    /// Which tag, for `ImageChange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_change_params: Option<DeploymentTriggerImageChangeParams>,
}

/// Which containers follow which tag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentTriggerImageChangeParams {
    /// Whether a new image starts a rollout by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// The containers and init containers that get the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_names: Vec<String>,
    /// The `ImageStreamTag`.
    pub from: ObjectReference,
    /// Pull spec of the image that was put into the template last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_triggered_image: String,
}

/// What there is of a deployment configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentConfigStatus {
    /// Version of the newest rollout; 0 before the first one.
    pub latest_version: i64,
    /// Generation the controller has seen.
    pub observed_generation: i64,
    /// How many pods.
    pub replicas: i32,
    /// How many of them are of the newest version.
    pub updated_replicas: i32,
    /// How many of them are available.
    pub available_replicas: i32,
    /// How many are missing.
    pub unavailable_replicas: i32,
    /// Why the newest rollout was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<DeploymentDetails>,
    /// What can be said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<DeploymentCondition>,
    /// How many pods are ready.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i32,
}

impl DeploymentConfigSpec {
    /// The triggers; none while they are null.
    pub fn triggers(&self) -> &[DeploymentTriggerPolicy] {
        self.triggers.as_deref().unwrap_or_default()
    }

    /// Whether a changed template starts a rollout.
    pub fn has_config_change_trigger(&self) -> bool {
        self.triggers().iter().any(|trigger| trigger.trigger_type == trigger::CONFIG_CHANGE)
    }

    /// The image triggers.
    pub fn image_triggers(&self) -> impl Iterator<Item = &DeploymentTriggerImageChangeParams> {
        let image_changes =
            self.triggers().iter().filter(|trigger| trigger.trigger_type == trigger::IMAGE_CHANGE);
        image_changes.filter_map(|trigger| trigger.image_change_params.as_ref())
    }

    /// The image triggers, to change them.
    pub fn image_triggers_mut(&mut self) -> impl Iterator<Item = &mut DeploymentTriggerImageChangeParams> {
        let triggers = self.triggers.iter_mut().flatten();
        let image_changes = triggers.filter(|trigger| trigger.trigger_type == trigger::IMAGE_CHANGE);
        image_changes.filter_map(|trigger| trigger.image_change_params.as_mut())
    }
}

impl DeploymentConfig {
    /// How many pods are wanted and how many there are, as the subresource `scale` shows it.
    pub fn scale(&self) -> ExtensionsScale {
        let meta = &self.metadata;
        let selector = &self.spec.selector;
        let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        ExtensionsScale {
            metadata: ObjectMeta {
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                creation_timestamp: meta.creation_timestamp,
                ..ObjectMeta::default()
            },
            spec: ScaleSpec { replicas: self.spec.replicas },
            status: ExtensionsScaleStatus {
                replicas: self.status.replicas,
                selector: selector.clone(),
                target_selector: pairs.join(","),
            },
        }
    }
}

impl DeploymentConfigStatus {
    /// The condition of a type.
    pub fn condition(&self, condition_type: &str) -> Option<&DeploymentCondition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }
}
