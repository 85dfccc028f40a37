//! `Endpoints`: the addresses behind a service.

use serde::{Deserialize, Serialize};

use super::ObjectReference;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// Addresses behind the service of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Sets of addresses that share ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<EndpointSubset>,
}

object!(Endpoints: "" "v1", "endpoints" "endpoints", Namespaced, short ["ep"]);

/// Addresses that share ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    /// Addresses that take traffic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<EndpointAddress>,
    /// Addresses that do not yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<EndpointAddress>,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

/// One address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointAddress {
    /// IP address.
    pub ip: String,
    /// DNS name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Node it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// What has the address, usually a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<ObjectReference>,
}

/// A port of the addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name of the service port it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Number.
    pub port: i32,
    /// `TCP` or `UDP`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// What is spoken there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

impl Endpoints {
    /// Ports are TCP unless they say otherwise.
    pub fn set_defaults(&mut self) {
        for port in self.subsets.iter_mut().flat_map(|subset| &mut subset.ports) {
            if port.protocol.is_empty() {
                port.protocol = "TCP".into();
            }
        }
    }

    /// Addresses must be IP addresses, ports must be ports.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        for (index, subset) in self.subsets.iter().enumerate() {
            let path = format!("subsets[{index}]");
            if subset.addresses.is_empty() && subset.not_ready_addresses.is_empty() {
                errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
            }
            let ready = subset.addresses.iter().map(|address| ("addresses", address));
            let waiting = subset.not_ready_addresses.iter().map(|address| ("notReadyAddresses", address));
            for (list, address) in ready.chain(waiting) {
                if address.ip.parse::<std::net::IpAddr>().is_err() {
                    let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                    errors.invalid(format!("{path}.{list}.ip"), address.ip.as_str(), detail);
                }
            }
            for (number, port) in subset.ports.iter().enumerate() {
                if !(1..=65535).contains(&port.port) {
                    let detail = "must be between 1 and 65535, inclusive";
                    errors.invalid(format!("{path}.ports[{number}].port"), port.port, detail);
                }
            }
        }
        errors
    }

    /// Metadata rules of an update and those of [`Endpoints::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}
