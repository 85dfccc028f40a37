//! How a new version replaces the old one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LifecycleHook;
use crate::IntOrString;
use crate::core::{EnvVar, ResourceRequirements};

/// How long a rollout waits for pods to become ready, in seconds, when nothing else is said.
pub const DEFAULT_TIMEOUT_SECONDS: i64 = 600;
/// How long a deployer pod may run, in seconds, when nothing else is said.
pub const DEFAULT_ACTIVE_DEADLINE_SECONDS: i64 = 21_600;

/// How a new version replaces the old one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStrategy {
    /// See [`strategy`].
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub strategy_type: String,
    /// For `Custom`: the image that rolls out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_params: Option<CustomDeploymentStrategyParams>,
    /// For `Recreate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recreate_params: Option<RecreateDeploymentStrategyParams>,
    /// For `Rolling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling_params: Option<RollingDeploymentStrategyParams>,
    /// What deployer and hook pods may use. Always written.
    pub resources: ResourceRequirements,
    /// Labels of deployer and hook pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of deployer and hook pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// How long a deployer pod may run, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
}

/// Types of strategies.
pub mod strategy {
    /// Pods of the new version come and pods of the old one go a few at a time.
    pub const ROLLING: &str = "Rolling";
    /// All old pods go, then the new ones come.
    pub const RECREATE: &str = "Recreate";
    /// An image of the user's rolls out.
    pub const CUSTOM: &str = "Custom";
}

/// Parameters of `Custom`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CustomDeploymentStrategyParams {
    /// Image of the deployer pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Its variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<EnvVar>,
    /// Its command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// Parameters of `Recreate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RecreateDeploymentStrategyParams {
    /// How long to wait for pods to become ready, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// Done before anything is scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre: Option<LifecycleHook>,
    /// Done while no pod is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<LifecycleHook>,
    /// Done after all pods are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<LifecycleHook>,
}

/// Parameters of `Rolling`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RollingDeploymentStrategyParams {
    /// Pause between two pods, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_period_seconds: Option<i64>,
    /// Pause between two looks at the pods, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
    /// How long to wait for pods to become ready, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// How many pods may be missing, or a share such as `25%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// How many pods there may be above the wanted number, or a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrString>,
    /// Done before anything is scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre: Option<LifecycleHook>,
    /// Done after all pods are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<LifecycleHook>,
}

impl DeploymentStrategy {
    /// The hooks with the names of their fields below `spec.strategy`.
    pub fn hooks(&self) -> Vec<(&'static str, &LifecycleHook)> {
        let mut hooks = Vec::new();
        if let Some(params) = &self.rolling_params {
            hooks.push(("rollingParams.pre", &params.pre));
            hooks.push(("rollingParams.post", &params.post));
        }
        if let Some(params) = &self.recreate_params {
            hooks.push(("recreateParams.pre", &params.pre));
            hooks.push(("recreateParams.mid", &params.mid));
            hooks.push(("recreateParams.post", &params.post));
        }
        hooks.into_iter().filter_map(|(field, hook)| Some((field, hook.as_ref()?))).collect()
    }

    /// The hooks, to change them.
    pub(crate) fn hooks_mut(&mut self) -> impl Iterator<Item = &mut LifecycleHook> {
        let rolling = self.rolling_params.iter_mut().flat_map(|params| [&mut params.pre, &mut params.post]);
        let recreate = self.recreate_params.iter_mut();
        let recreate = recreate.flat_map(|params| [&mut params.pre, &mut params.mid, &mut params.post]);
        rolling.chain(recreate).filter_map(Option::as_mut)
    }

    /// How long to wait for pods to become ready, in seconds.
    pub fn timeout_seconds(&self) -> i64 {
        let given = match self.strategy_type.as_str() {
            strategy::RECREATE => self.recreate_params.as_ref().and_then(|params| params.timeout_seconds),
            _ => self.rolling_params.as_ref().and_then(|params| params.timeout_seconds),
        };
        given.unwrap_or(DEFAULT_TIMEOUT_SECONDS)
    }
}
