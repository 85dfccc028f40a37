//! `Service`: a stable address in front of endpoints (platform 7.1). Addresses are allocated by the server.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::SessionAffinityConfig;
use crate::IntOrString;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What a load balancer gave.
    pub status: ServiceStatus,
}

object!(Service: "" "v1", "services" "service", Namespaced, short ["svc"], categories ["all"]);

/// What a service wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Labels of the pods behind it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// Address; `None` for a headless service.
    #[serde(rename = "clusterIP", skip_serializing_if = "String::is_empty")]
    pub cluster_ip: String,
    /// All addresses; the first is `clusterIP`.
    #[serde(rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<String>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub service_type: String,
    /// Further addresses that lead here.
    #[serde(rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    /// `None` or `ClientIP`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_affinity: String,
    /// Details of the affinity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<SessionAffinityConfig>,
    /// Wanted load balancer address.
    #[serde(rename = "loadBalancerIP", skip_serializing_if = "String::is_empty")]
    pub load_balancer_ip: String,
    /// Who may use the load balancer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// DNS name of an `ExternalName` service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    /// `Cluster` or `Local`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_traffic_policy: String,
    /// `Cluster` or `Local`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub internal_traffic_policy: String,
    /// `IPv4`, `IPv6`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<String>,
    /// `SingleStack` and others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip_family_policy: String,
    /// Whether pods that are not ready are found by DNS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub publish_not_ready_addresses: bool,
    /// Port of health checks of a load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<i32>,
    /// Whether a load balancer needs node ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
}

/// A port of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name; needed when there are several ports.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `TCP` or `UDP`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// What is spoken there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Port clients use.
    pub port: i32,
    /// Port of the pods; the same number when left out.
    pub target_port: IntOrString,
    /// Port on every node.
    #[serde(skip_serializing_if = "is_no_port")]
    pub node_port: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_no_port(port: &i32) -> bool {
    *port == 0
}

/// State of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// What a load balancer gave.
    pub load_balancer: LoadBalancerStatus,
}

/// What a load balancer gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerStatus {
    /// Its addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// An address of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    /// IP address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// DNS name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
}

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

impl Service {
    /// Type `ClusterIP`, protocol `TCP`, target port = port, no affinity.
    pub fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        let default = |field: &mut String, value: &str| {
            if field.is_empty() {
                value.clone_into(field);
            }
        };
        default(&mut spec.service_type, "ClusterIP");
        default(&mut spec.session_affinity, "None");
        for port in &mut spec.ports {
            default(&mut port.protocol, "TCP");
            if port.target_port.is_unset() {
                port.target_port = IntOrString::Int(port.port);
            }
        }
    }

    /// Whether the service has no address of its own.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// Name, ports, type, affinity.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1035_label);
        let spec = &self.spec;
        if !TYPES.contains(&spec.service_type.as_str()) {
            errors.not_supported("spec.type", spec.service_type.as_str(), &TYPES);
        }
        if !["None", "ClientIP"].contains(&spec.session_affinity.as_str()) {
            let supported = ["ClientIP", "None"];
            errors.not_supported("spec.sessionAffinity", spec.session_affinity.as_str(), &supported);
        }
        if spec.service_type == "ExternalName" {
            if spec.external_name.is_empty() {
                errors.required("spec.externalName", "");
            }
        } else if spec.ports.is_empty() && !self.is_headless() {
            errors.required("spec.ports", "");
        }
        if !matches!(spec.cluster_ip.as_str(), "" | "None")
            && spec.cluster_ip.parse::<std::net::IpAddr>().is_err()
        {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.invalid("spec.clusterIPs[0]", spec.cluster_ip.as_str(), detail);
        }
        self.validate_ports(&mut errors);
        errors
    }

    fn validate_ports(&self, errors: &mut FieldErrors) {
        let mut names = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for (index, port) in self.spec.ports.iter().enumerate() {
            let field = |name: &str| format!("spec.ports[{index}].{name}");
            if port.name.is_empty() {
                if self.spec.ports.len() > 1 {
                    errors.required(field("name"), "");
                }
            } else {
                for problem in name::dns1123_label(&port.name) {
                    errors.invalid(field("name"), port.name.as_str(), problem);
                }
                if !names.insert(&port.name) {
                    errors.duplicate(field("name"), port.name.as_str());
                }
            }
            if !(1..=65535).contains(&port.port) {
                errors.invalid(field("port"), port.port, PORT_RANGE);
            }
            if !PROTOCOLS.contains(&port.protocol.as_str()) {
                errors.not_supported(field("protocol"), port.protocol.as_str(), &PROTOCOLS);
            }
            match &port.target_port {
                IntOrString::Int(number) if !(1..=65535).contains(number) => {
                    errors.invalid(field("targetPort"), *number, PORT_RANGE);
                }
                IntOrString::String(text) => {
                    for problem in name::port_name(text) {
                        errors.invalid(field("targetPort"), text.as_str(), problem);
                    }
                }
                IntOrString::Int(_) => {}
            }
            if !numbers.insert((port.port, &port.protocol)) {
                let value = serde_json::json!({"port": port.port, "protocol": port.protocol});
                errors.duplicate(format!("spec.ports[{index}]"), value);
            }
        }
    }

    /// The address does not change once given.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        let keeps_address =
            old.spec.service_type != "ExternalName" && self.spec.service_type != "ExternalName";
        if keeps_address && !old.spec.cluster_ip.is_empty() && self.spec.cluster_ip != old.spec.cluster_ip {
            let value = serde_json::json!([self.spec.cluster_ip]);
            errors.invalid("spec.clusterIPs[0]", value, "may not change once set");
        }
        errors.append(self.validate());
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Service;
    use crate::{IntOrString, from_value};

    fn service(spec: Value) -> Service {
        let document = json!({"metadata": {"name": "docker-registry", "namespace": "default"}, "spec": spec});
        let mut service: Service = from_value(&document).unwrap();
        service.set_defaults();
        service
    }

    #[track_caller]
    fn check(spec: Value, expected: &str) {
        let errors = service(spec).validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn defaults_to_tcp_on_the_same_port() {
        let service = service(json!({"ports": [{"port": 5000}]}));
        assert_eq!(service.spec.ports[0].target_port, IntOrString::Int(5000));
        assert_eq!(service.spec.ports[0].protocol, "TCP");
        assert_eq!(service.spec.service_type, "ClusterIP");
    }

    #[test]
    fn checks_ports_and_type() {
        check(json!({"ports": [{"port": 5000}]}), "");
        check(json!({}), "spec.ports: Required value");
        check(json!({"clusterIP": "None"}), "");
        check(
            json!({"ports": [{"port": 70000}]}),
            "[spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive, \
             spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive]",
        );
        check(
            json!({"type": "Magic", "ports": [{"port": 1}]}),
            "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \
             \"LoadBalancer\", \"NodePort\"",
        );
        check(
            json!({"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}),
            "spec.ports[1].name: Duplicate value: \"a\"",
        );
    }
}
