//! Hooks of a rollout: a pod that runs, or tags that are set, before, in the middle of and after it.

use serde::{Deserialize, Serialize};

use crate::core::{EnvVar, ObjectReference};

/// Something done at a point of a rollout: exactly one of a pod and tags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LifecycleHook {
    /// See [`failure_policy`].
    pub failure_policy: String,
    /// A pod made from a container of the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_new_pod: Option<ExecNewPodHook>,
    /// Tags to set to the images of containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_images: Vec<TagImageHook>,
}

/// What a failed hook means.
pub mod failure_policy {
    /// It is tried again.
    pub const RETRY: &str = "Retry";
    /// The rollout fails.
    pub const ABORT: &str = "Abort";
    /// Nothing.
    pub const IGNORE: &str = "Ignore";
}

/// A pod made from a container of the template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExecNewPodHook {
    /// What it runs. Always written.
    pub command: Vec<String>,
    /// Variables besides those of the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// The container. Always written.
    pub container_name: String,
    /// Volumes of the template that the pod gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
}

/// A tag that is set to the image of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TagImageHook {
    /// The container.
    pub container_name: String,
    /// The `ImageStreamTag`.
    pub to: ObjectReference,
}
