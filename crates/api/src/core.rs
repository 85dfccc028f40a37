//! Kinds of the core group: namespaces, secrets, service accounts, services, endpoints, events, config maps.

mod config_map;
mod endpoints;
mod event;
mod namespace;
mod references;
mod secret;
mod service;
mod service_account;

pub use config_map::ConfigMap;
pub use endpoints::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
pub use event::{Event, EventSeries, EventSource};
pub use namespace::{Namespace, NamespaceCondition, NamespaceSpec, NamespaceStatus};
pub use references::{LocalObjectReference, ObjectReference};
pub use secret::{MAX_DATA_BYTES, Secret, secret_type};
pub use service::{
    LoadBalancerIngress, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
};
pub use service_account::ServiceAccount;
