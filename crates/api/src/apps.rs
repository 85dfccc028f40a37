//! `DeploymentConfig`: a template of pods, how a new version of it is rolled out and what starts one (platform 8).
//!
//! Owns the wire types, defaulting, validation, and the public names by which configurations, replication
//! controllers and deployer pods find each other. Rolling out is the controllers', resolving images the server's.

pub mod annotations;
mod conditions;
mod defaults;
mod deployment_config;
mod deployment_strategy;
mod hooks;
mod requests;
mod rollout;
mod validate;

pub use conditions::{
    DeploymentCause, DeploymentCauseImageTrigger, DeploymentCondition, DeploymentDetails, cause, condition,
};
pub use deployment_config::{
    DeploymentConfig, DeploymentConfigSpec, DeploymentConfigStatus, DeploymentTriggerImageChangeParams,
    DeploymentTriggerPolicy, trigger,
};
pub use deployment_strategy::{
    CustomDeploymentStrategyParams, DEFAULT_ACTIVE_DEADLINE_SECONDS, DEFAULT_TIMEOUT_SECONDS,
    DeploymentStrategy, RecreateDeploymentStrategyParams, RollingDeploymentStrategyParams, strategy,
};
pub use hooks::{ExecNewPodHook, LifecycleHook, TagImageHook, failure_policy};
pub use requests::{
    DeploymentConfigRollback, DeploymentConfigRollbackSpec, DeploymentLogOptions, DeploymentRequest,
};
pub use rollout::{Followed, UnresolvedImages, encoded_config};
