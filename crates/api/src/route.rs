//! `Route`: a host name outside that leads to a service inside (platform 7.3).
//!
//! The right to choose a host (`routes/custom-host`) and the domain for generated hosts are the server's; what a
//! change touches is told by [`Route::host_changes`].

use serde::{Deserialize, Serialize};

use crate::IntOrString;
use crate::core::LocalObjectReference;
use crate::meta::{ObjectMeta, Time};

mod host;
mod validate;

pub(crate) use host::empty_ca;
pub use host::{EMPTY_CA_MARKER, HOST_GENERATED, HostChange};

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: RouteSpec,
    /// What routers say.
    pub status: RouteStatus,
}

object!(Route: "route.openshift.io" "v1", "routes" "route", Namespaced, categories ["all"]);

/// What a route wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RouteSpec {
    /// Host name. Always written.
    pub host: String,
    /// First part of the host name, the domain being the router's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subdomain: String,
    /// Path below which the route applies.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The service.
    pub to: RouteTargetReference,
    /// Up to three more services that share the traffic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternate_backends: Vec<RouteTargetReference>,
    /// Port of the service; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<RoutePort>,
    /// How TLS is handled; plain HTTP when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TLSConfig>,
    /// `None` or `Subdomain`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wildcard_policy: String,
}

/// A service behind a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RouteTargetReference {
    /// `Service`.
    pub kind: String,
    /// Name of the service.
    pub name: String,
    /// Share of the traffic relative to the other services, 0 to 256.
    pub weight: Option<i32>,
}

/// Port of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RoutePort {
    /// Name of a service port, or number of a target port.
    pub target_port: IntOrString,
}

/// How TLS is handled.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TLSConfig {
    /// `edge`, `passthrough` or `reencrypt`.
    pub termination: String,
    /// Certificate shown to clients, PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// Its key, PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Chain of the certificate, PEM.
    #[serde(rename = "caCertificate", skip_serializing_if = "String::is_empty")]
    pub ca_certificate: String,
    /// Authority the service's certificate is checked against, PEM.
    #[serde(rename = "destinationCACertificate", skip_serializing_if = "String::is_empty")]
    pub destination_ca_certificate: String,
    /// What happens to plain HTTP: `None`, `Allow` or `Redirect`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub insecure_edge_termination_policy: String,
    /// Secret with certificate and key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_certificate: Option<LocalObjectReference>,
}

impl std::fmt::Debug for TLSConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TLSConfig")
            .field("termination", &self.termination)
            .field("insecure_edge_termination_policy", &self.insecure_edge_termination_policy)
            .field("has_certificate", &!self.certificate.is_empty())
            .field("has_key", &!self.key.is_empty())
            .finish_non_exhaustive()
    }
}

/// What routers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RouteStatus {
    /// One entry per router.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<RouteIngress>,
}

/// What one router says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RouteIngress {
    /// Host name it serves.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The router.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub router_name: String,
    /// Whether the route is served, type `Admitted`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RouteIngressCondition>,
    /// Wildcard policy it applies.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wildcard_policy: String,
    /// Host name of the router itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub router_canonical_hostname: String,
}

/// Whether a route is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RouteIngressCondition {
    /// `Admitted`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True` or `False`.
    pub status: String,
    /// Why not, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why not, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Last change of `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

impl RouteIngress {
    /// The condition `Admitted`, once the router decided.
    pub fn admitted(&self) -> Option<&RouteIngressCondition> {
        self.conditions.iter().find(|condition| condition.condition_type == "Admitted")
    }

    /// Whether the router serves the route.
    pub fn is_admitted(&self) -> bool {
        self.admitted().is_some_and(|condition| condition.status == "True")
    }
}

impl Route {
    /// Whether it leads to the service of this name, whatever else it leads to.
    pub fn leads_to(&self, service: &str) -> bool {
        self.spec.to.kind == "Service" && self.spec.to.name == service
    }

    /// Kind and weight of services, wildcard policy, termination (platform 7.3). The host is generated by
    /// [`Route::generate_host`], for which the server knows the domain.
    pub fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        for target in std::iter::once(&mut spec.to).chain(&mut spec.alternate_backends) {
            if target.kind.is_empty() {
                target.kind = "Service".into();
            }
            target.weight.get_or_insert(100);
        }
        if spec.wildcard_policy.is_empty() {
            spec.wildcard_policy = "None".into();
        }
        if let Some(tls) = &mut spec.tls
            && tls.termination.is_empty()
        {
            tls.termination = "edge".into();
        }
    }
}
