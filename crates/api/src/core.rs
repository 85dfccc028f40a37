//! Kinds of the core group: namespaces, secrets, service accounts, services, endpoints, events, config maps, pods,
//! replication controllers, nodes; and the documents sent to their subresources.

mod binding;
mod config_map;
mod container;
mod endpoints;
mod event;
mod namespace;
mod node;
mod pod;
mod pod_status;
mod probe;
mod quantity;
mod references;
mod replication_controller;
mod scale;
mod secret;
mod service;
mod service_account;
mod volume;

pub use binding::{Binding, Eviction};
pub use config_map::ConfigMap;
pub use container::{
    Capabilities, Container, ContainerPort, EnvFromSource, EnvSource, EnvVar, EnvVarSource, KeySelector,
    ObjectFieldSelector, PodSecurityContext, ResourceFieldSelector, ResourceRequirements, SecurityContext,
    VolumeMount,
};
pub use endpoints::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
pub use event::{Event, EventSeries, EventSource};
pub use namespace::{Namespace, NamespaceCondition, NamespaceSpec, NamespaceStatus};
pub use node::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint};
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
pub use scale::{ExtensionsScale, ExtensionsScaleStatus, Scale, ScaleSpec, ScaleStatus};
pub use secret::{MAX_DATA_BYTES, Secret, secret_type};
pub use service::{
    LoadBalancerIngress, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
};
pub use service_account::ServiceAccount;
pub use volume::{
    ConfigMapVolume, DownwardApiFile, DownwardApiProjection, DownwardApiVolume, EmptyDirVolume,
    HostPathVolume, KeyToPath, PersistentVolumeClaimVolume, ProjectedObject, ProjectedVolume, SecretVolume,
    TokenProjection, Volume, VolumeProjection,
};
