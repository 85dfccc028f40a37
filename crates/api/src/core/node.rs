//! `Node`: a machine that runs pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Quantity;
use super::node_details::{
    AttachedVolume, ContainerImage, NodeConfigSource, NodeConfigStatus, NodeDaemonEndpoints, NodeFeatures,
    NodeRuntimeHandler, NodeSwapStatus,
};
use crate::field::FieldErrors;
use crate::meta::{ObjectMeta, Time};
use crate::name;

/// A machine that runs pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: NodeSpec,
    /// What is.
    pub status: NodeStatus,
}

object!(Node: "" "v1", "nodes" "node", Cluster, short ["no"]);

/// What is wanted of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// Network of its pods.
    #[serde(rename = "podCIDR", skip_serializing_if = "String::is_empty")]
    pub pod_cidr: String,
    /// Networks of its pods.
    #[serde(rename = "podCIDRs", skip_serializing_if = "Vec::is_empty")]
    pub pod_cidrs: Vec<String>,
    /// Its name with a cloud.
    #[serde(rename = "providerID", skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Whether it takes no new pods.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unschedulable: bool,
    /// What keeps pods off it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Where its kubelet has its settings from; nothing reads it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_source: Option<NodeConfigSource>,
    /// An old name of the provider's id.
    #[serde(rename = "externalID", skip_serializing_if = "String::is_empty")]
    pub external_id: String,
}

/// What keeps pods off a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
    /// When it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_added: Option<Time>,
}

/// State of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// What it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity: BTreeMap<String, Quantity>,
    /// What pods may use of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: BTreeMap<String, Quantity>,
    /// Old form of the conditions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// `Ready` and others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<NodeCondition>,
    /// Its addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
    /// Ports of its agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon_endpoints: Option<NodeDaemonEndpoints>,
    /// Its versions.
    pub node_info: NodeSystemInfo,
    /// Images it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ContainerImage>,
    /// Attached disks that pods use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_in_use: Vec<String>,
    /// Disks that are attached to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_attached: Vec<AttachedVolume>,
    /// Which settings its kubelet uses; nothing reads it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<NodeConfigStatus>>,
    /// Ways it can run containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_handlers: Vec<NodeRuntimeHandler>,
    /// What it can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<NodeFeatures>,
}

/// Something that is true of a node or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When the node last said so.
    pub last_heartbeat_time: Option<Time>,
    /// Last change of `status`.
    pub last_transition_time: Option<Time>,
    /// Why, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP` or `Hostname`.
    #[serde(rename = "type")]
    pub address_type: String,
    /// The address.
    pub address: String,
}

/// Versions of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSystemInfo {
    /// Identity of the installation.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// Identity of the hardware.
    #[serde(rename = "systemUUID")]
    pub system_uuid: String,
    /// Identity of the last start.
    #[serde(rename = "bootID")]
    pub boot_id: String,
    /// Kernel.
    pub kernel_version: String,
    /// Operating system.
    pub os_image: String,
    /// Container engine, such as `docker://27.1.0`.
    pub container_runtime_version: String,
    /// Agent.
    pub kubelet_version: String,
    /// Proxy.
    pub kube_proxy_version: String,
    /// `linux`.
    pub operating_system: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// Swap space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<NodeSwapStatus>,
}

impl Node {
    /// Only the metadata has rules.
    pub fn validate(&self) -> FieldErrors {
        name::validate_metadata(&self.metadata, name::Scope::Cluster, name::dns1123_subdomain)
    }

    /// Only the metadata has rules.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }

    /// Whether its condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        let ready =
            |condition: &NodeCondition| condition.condition_type == "Ready" && condition.status == "True";
        self.status.conditions.iter().any(ready)
    }
}
