//! What clients ask of a deployment configuration: a rollout, an older version, a log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::ObjectReference;
use crate::meta::{ObjectMeta, Time, is_zero};

/// Asks for a rollout (`instantiate`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentRequest {
    /// Not part of the wire form; always empty.
    #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
    pub metadata: ObjectMeta,
    /// Name of the configuration, the same as in the path.
    pub name: String,
    /// Whether images are resolved first.
    pub latest: bool,
    /// Whether it is rolled out although nothing changed.
    pub force: bool,
    /// Types of triggers that are left alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_triggers: Vec<String>,
}

object!(DeploymentRequest: "apps.openshift.io" "v1", "deploymentrequests" "deploymentrequest", Namespaced);

/// Asks what the configuration would be like with parts of an older version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentConfigRollback {
    /// Not part of the wire form; always empty.
    #[serde(skip_serializing_if = "ObjectMeta::is_empty")]
    pub metadata: ObjectMeta,
    /// Name of the configuration.
    pub name: String,
    /// Annotations to add.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub updated_annotations: BTreeMap<String, String>,
    /// Which version, and which parts of it.
    pub spec: DeploymentConfigRollbackSpec,
}

object!(
    DeploymentConfigRollback: "apps.openshift.io" "v1", "deploymentconfigrollbacks" "deploymentconfigrollback",
    Namespaced
);

/// Which version, and which parts of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentConfigRollbackSpec {
    /// The replication controller, in the words of 2016.
    pub from: ObjectReference,
    /// The version; 0 means the last complete one before the newest.
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: i64,
    /// Whether its triggers are taken.
    pub include_triggers: bool,
    /// Whether its pod template is taken.
    pub include_template: bool,
    /// Whether its number of replicas and its selector are taken.
    pub include_replication_meta: bool,
    /// Whether its strategy is taken.
    pub include_strategy: bool,
}

/// Which log, and how much of it. Sent as query parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentLogOptions {
    /// The container; needed when there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Whether the answer goes on while the log grows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// Whether the version before the newest is meant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub previous: bool,
    /// Only lines of the last so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<i64>,
    /// Only lines since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_time: Option<Time>,
    /// Whether every line begins with its time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub timestamps: bool,
    /// Only the last so many lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_lines: Option<i64>,
    /// At most so many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<i64>,
    /// Whether a log that is not there yet is answered with nothing instead of waited for.
    #[serde(rename = "nowait", skip_serializing_if = "std::ops::Not::not")]
    pub no_wait: bool,
    /// The version; the newest when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}
