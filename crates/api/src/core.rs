//! Kinds of the core group: namespaces, secrets, service accounts, services, endpoints, events, config maps, pods,
//! replication controllers, nodes, limits and quotas; and the documents sent to their subresources.

mod affinity;
mod binding;
mod config_map;
mod container;
mod container_details;
mod endpoints;
mod ephemeral_container;
mod event;
mod limit_range;
mod namespace;
mod node;
mod node_details;
mod pod;
mod pod_status;
mod probe;
mod quantity;
mod references;
mod replication_controller;
mod resource_names;
mod resource_quota;
mod scale;
mod scheduling;
mod secret;
mod security;
mod service;
mod service_account;
mod service_affinity;
mod volume;
mod volume_sources;

pub use affinity::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinity,
    PodAffinityTerm, PodAntiAffinity, PreferredSchedulingTerm, Toleration, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};
pub use binding::{Binding, Eviction};
pub use config_map::ConfigMap;
pub use container::{
    Capabilities, Container, ContainerPort, EnvFromSource, EnvSource, EnvVar, EnvVarSource, KeySelector,
    ObjectFieldSelector, PodSecurityContext, ResourceFieldSelector, ResourceRequirements, SecurityContext,
    VolumeMount,
};
pub use container_details::{
    ContainerUser, HostIP, ImageVolumeStatus, LinuxContainerUser, PodResourceClaimStatus, ResourceHealth,
    ResourceStatus, VolumeMountStatus, VolumeStatus,
};
pub use endpoints::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
pub use ephemeral_container::EphemeralContainer;
pub use event::{Event, EventSeries, EventSource};
pub use limit_range::{LimitRange, LimitRangeItem, LimitRangeSpec};
pub use namespace::{Namespace, NamespaceCondition, NamespaceSpec, NamespaceStatus};
pub use node::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint};
pub use node_details::{
    AttachedVolume, ConfigMapNodeConfigSource, ContainerImage, DaemonEndpoint, NodeConfigSource,
    NodeConfigStatus, NodeDaemonEndpoints, NodeFeatures, NodeRuntimeHandler, NodeRuntimeHandlerFeatures,
    NodeSwapStatus,
};
pub use pod::{
    DEFAULT_GRACE_SECONDS, DEFAULT_SCHEDULER, HostAlias, Pod, PodReadinessGate, PodSpec, PodTemplateSpec,
    default_pull_policy,
};
pub use pod_status::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    PodCondition, PodIp, PodStatus,
};
pub use probe::{
    ExecAction, GrpcAction, HttpGetAction, HttpHeader, Lifecycle, LifecycleHandler, Probe, SleepAction,
    TcpSocketAction,
};
pub use quantity::{Quantity, QuantityError};
pub use references::{LocalObjectReference, ObjectReference};
pub use replication_controller::{
    ReplicationController, ReplicationControllerCondition, ReplicationControllerSpec,
    ReplicationControllerStatus,
};
pub use resource_quota::{
    ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus, ScopeSelector, ScopedResourceSelectorRequirement,
};
pub use scale::{ExtensionsScale, ExtensionsScaleStatus, Scale, ScaleSpec, ScaleStatus};
pub use scheduling::{
    ContainerResizePolicy, ContainerRestartRule, ContainerRestartRuleOnExitCodes, FileKeySelector,
    PodDNSConfig, PodDNSConfigOption, PodOS, PodResourceClaim, PodSchedulingGate, ResourceClaim,
    VolumeDevice,
};
pub use secret::{MAX_DATA_BYTES, Secret, secret_type};
pub use security::{AppArmorProfile, SELinuxOptions, SeccompProfile, Sysctl, WindowsSecurityContextOptions};
pub use service::{
    LoadBalancerIngress, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
};
pub use service_account::ServiceAccount;
pub use service_affinity::{ClientIPConfig, SessionAffinityConfig};
pub use volume::{
    ConfigMapVolume, DownwardApiFile, DownwardApiProjection, DownwardApiVolume, EmptyDirVolume,
    HostPathVolume, KeyToPath, PersistentVolumeClaimVolume, ProjectedObject, ProjectedVolume, SecretVolume,
    TokenProjection, Volume, VolumeProjection,
};
pub use volume_sources::{
    AWSElasticBlockStoreVolumeSource, AzureDiskVolumeSource, AzureFileVolumeSource, CSIVolumeSource,
    CephFSVolumeSource, CinderVolumeSource, ClusterTrustBundleProjection, EphemeralVolumeSource,
    FCVolumeSource, FlexVolumeSource, FlockerVolumeSource, GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource, GlusterfsVolumeSource, ISCSIVolumeSource, ImageVolumeSource, NFSVolumeSource,
    PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PhotonPersistentDiskVolumeSource,
    PodCertificateProjection, PortworxVolumeSource, QuobyteVolumeSource, RBDVolumeSource,
    ScaleIOVolumeSource, StorageOSVolumeSource, TypedLocalObjectReference, TypedObjectReference,
    VolumeResourceRequirements, VsphereVirtualDiskVolumeSource,
};
