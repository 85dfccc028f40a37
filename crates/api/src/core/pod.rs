//! `Pod`, and the template pods are made from (platform 8.6). What its parts are: [`super::container`],
//! [`super::volume`], [`super::pod_status`]. Defaults and rules are in the two modules below.

mod containers;
mod defaults;
mod validate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Affinity, Container, EphemeralContainer, LocalObjectReference, PodDNSConfig, PodOS, PodResourceClaim,
    PodSchedulingGate, PodSecurityContext, PodStatus, Quantity, ResourceRequirements, Toleration,
    TopologySpreadConstraint, Volume,
};
use crate::meta::ObjectMeta;

pub use defaults::{DEFAULT_GRACE_SECONDS, DEFAULT_SCHEDULER, default_pull_policy};

/// A group of containers that run together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: PodSpec,
    /// What is.
    pub status: PodStatus,
}

object!(Pod: "" "v1", "pods" "pod", Namespaced, short ["po"], categories ["all"]);

/// What pods made by a controller look like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplateSpec {
    /// Labels and annotations of the pods.
    pub metadata: ObjectMeta,
    /// What the pods want.
    pub spec: PodSpec,
}

/// What a pod wants. Fields that nothing here acts on are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Folders its containers can mount.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Containers that run one after the other, each to its end, before the others start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    /// Containers that run side by side.
    pub containers: Vec<Container>,
    /// Containers added to a running pod for debugging.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ephemeral_containers: Vec<EphemeralContainer>,
    /// `Always`, `OnFailure` or `Never`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// Seconds between the friendly and the last signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// Seconds after its start when the pod is ended and counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// Where names are looked up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dns_policy: String,
    /// Labels the node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Account whose token and pull secrets the pod gets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// The same, under its old name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_account: String,
    /// `false`: the pod gets no token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// Node it runs on; empty until the scheduler bound it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Whether it uses the node's network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    /// Whether it sees the node's processes.
    #[serde(rename = "hostPID", skip_serializing_if = "std::ops::Not::not")]
    pub host_pid: bool,
    /// Whether it shares the node's IPC.
    #[serde(rename = "hostIPC", skip_serializing_if = "std::ops::Not::not")]
    pub host_ipc: bool,
    /// Whether its containers see each other's processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_process_namespace: Option<bool>,
    /// Users and groups its containers run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// Secrets that hold registry credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Host name; that of the pod when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Domain below the service's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subdomain: String,
    /// What it wishes of its node and of the pods there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Box<Affinity>>,
    /// Who binds it to a node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheduler_name: String,
    /// Taints it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Lines for `/etc/hosts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_aliases: Vec<HostAlias>,
    /// Name of its priority.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub priority_class_name: String,
    /// Its priority as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Resolver settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<PodDNSConfig>,
    /// Conditions that must be true too before it counts as ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readiness_gates: Vec<PodReadinessGate>,
    /// Runtime wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Whether services are told as environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_service_links: Option<bool>,
    /// Whether it may push others out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption_policy: Option<String>,
    /// Resources the runtime itself needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overhead: BTreeMap<String, Quantity>,
    /// How evenly its kind of pods is spread over groups of nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Whether the host name is the full one.
    #[serde(rename = "setHostnameAsFQDN", skip_serializing_if = "Option::is_none")]
    pub set_hostname_as_fqdn: Option<bool>,
    /// Operating system wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<PodOS>,
    /// Whether it uses the node's user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// What must happen before it is scheduled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scheduling_gates: Vec<PodSchedulingGate>,
    /// Claims of devices that its containers can refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_claims: Vec<PodResourceClaim>,
    /// Resources of the pod as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<ResourceRequirements>>,
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct HostAlias {
    /// Address.
    pub ip: String,
    /// Its names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
}

/// A condition that must be true before a pod counts as ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PodReadinessGate {
    /// Type of the condition.
    pub condition_type: String,
}

impl Pod {
    /// Whether its condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        self.status.condition("Ready").is_some_and(|condition| condition.status == "True")
    }

    /// Whether all its containers ended for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl PodSpec {
    /// The container of a name; init containers too.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.init_containers.iter().chain(&self.containers).find(|container| container.name == name)
    }
}
