//! What a deployment configuration says of its newest rollout: why it began, and how it goes.

use serde::{Deserialize, Serialize};

use crate::core::ObjectReference;
use crate::meta::Time;

/// Why a rollout was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentDetails {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs. Always written.
    pub causes: Vec<DeploymentCause>,
}

/// One reason of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentCause {
    /// `ConfigChange`, `ImageChange` or `Manual`.
    #[serde(rename = "type")]
    pub cause_type: String,
    /// Which tag, for `ImageChange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_trigger: Option<DeploymentCauseImageTrigger>,
}

/// The tag that started a rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentCauseImageTrigger {
    /// The `ImageStreamTag`.
    pub from: ObjectReference,
}

/// Texts of [`DeploymentDetails::message`].
pub mod cause {
    /// The template changed.
    pub const CONFIG_CHANGE: &str = "config change";
    /// The image of a tag changed.
    pub const IMAGE_CHANGE: &str = "image change";
    /// Somebody asked for it.
    pub const MANUAL_CHANGE: &str = "manual change";
}

/// Types and reasons of conditions (platform 8.2, 10).
pub mod condition {
    /// Enough pods are available.
    pub const AVAILABLE: &str = "Available";
    /// The newest rollout goes on or went well.
    pub const PROGRESSING: &str = "Progressing";
    /// Pods cannot be made or deleted.
    pub const REPLICA_FAILURE: &str = "ReplicaFailure";

    /// The replication controller was made.
    pub const NEW_CONTROLLER_CREATED: &str = "NewReplicationControllerCreated";
    /// The rollout moves.
    pub const CONTROLLER_UPDATED: &str = "ReplicationControllerUpdated";
    /// The rollout is complete; ends `oc rollout status`.
    pub const NEW_CONTROLLER_AVAILABLE: &str = "NewReplicationControllerAvailable";
    /// The rollout failed.
    pub const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
    /// The rollout was cancelled.
    pub const CANCELLED: &str = "RolloutCancelled";
    /// The replication controller could not be made.
    pub const CREATE_ERROR: &str = "ReplicationControllerCreateError";
    /// The configuration is paused.
    pub const PAUSED: &str = "DeploymentConfigPaused";
    /// The configuration is not paused any more.
    pub const RESUMED: &str = "DeploymentConfigResumed";
}

/// Something that can be said of a deployment configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentCondition {
    /// See [`condition`].
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When it was last looked at. Always written.
    pub last_update_time: Option<Time>,
    /// When `status` changed last. Always written.
    pub last_transition_time: Option<Time>,
    /// For programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
