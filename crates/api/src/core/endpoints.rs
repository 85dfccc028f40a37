//! `Endpoints`: the addresses behind a service.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ObjectReference;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// Addresses behind the service of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

    /// Addresses must be those of other machines, ports must be ports.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        for (index, subset) in self.subsets.iter().enumerate() {
            let path = format!("subsets[{index}]");
            if subset.addresses.is_empty() && subset.not_ready_addresses.is_empty() {
                errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
            }
            let lists =
                [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)];
            for (list, addresses) in lists {
                for (number, address) in addresses.iter().enumerate() {
                    if let Some(problem) = address_problem(&address.ip) {
                        errors.invalid(format!("{path}.{list}[{number}].ip"), address.ip.as_str(), problem);
                    }
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

/// What is wrong with the address of an endpoint. Addresses that mean another machine to everybody who uses them are
/// refused: a route to one would lead into the router's own machine.
fn address_problem(address: &str) -> Option<&'static str> {
    let Ok(address) = address.parse::<IpAddr>() else {
        return Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    };
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let local_multicast = match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => matches!(address.segments(), [0xff02, ..]),
    };
    if address.is_unspecified() {
        Some("may not be unspecified (0.0.0.0 or ::)")
    } else if address.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    } else if local_multicast {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::address_problem;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        let problem = address_problem(address).unwrap_or_default();
        assert!(
            problem.starts_with(expected) && problem.is_empty() == expected.is_empty(),
            "{address}: {problem}"
        );
    }

    #[test]
    fn addresses_of_the_reader_s_own_machine_are_refused() {
        check("10.1.2.3", "");
        check("2001:db8::1", "");
        check("192.168.0.1", "");
        check("web", "must be a valid IP address");
        check("127.0.0.1", "may not be in the loopback range");
        check("127.9.9.9", "may not be in the loopback range");
        check("::1", "may not be in the loopback range");
        check("::ffff:127.0.0.1", "may not be in the loopback range");
        check("169.254.169.254", "may not be in the link-local range");
        check("fe80::1", "may not be in the link-local range");
        check("0.0.0.0", "may not be unspecified");
        check("224.0.0.1", "may not be in the link-local multicast range");
        check("ff02::1", "may not be in the link-local multicast range");
    }
}
