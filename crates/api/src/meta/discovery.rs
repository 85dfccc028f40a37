//! Discovery documents, in the legacy and in the aggregated form (platform 1.2, 1.3).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ListMeta, ObjectMeta};
use crate::object::{envelope, fields_of};

fn document<T: Serialize>(api_version: &str, kind: &str, fields: &T) -> Value {
    let mut document = envelope(api_version.into(), kind.into());
    document.extend(fields_of(fields));
    Value::Object(document)
}

/// Answer of `GET /api` and `GET /oapi`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIVersions {
    /// Versions of the core group.
    pub versions: Vec<String>,
    /// Where clients of an address range should connect.
    #[serde(rename = "serverAddressByClientCIDRs")]
    pub server_address_by_client_cidrs: Vec<ServerAddressByClientCIDR>,
}

impl APIVersions {
    /// The document, `kind` first and without `apiVersion`, as servers write it.
    pub fn to_value(&self) -> Value {
        let mut document = serde_json::Map::new();
        document.insert("kind".into(), "APIVersions".into());
        document.extend(fields_of(self));
        Value::Object(document)
    }
}

/// Where clients of an address range should connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServerAddressByClientCIDR {
    /// Address range of the clients.
    #[serde(rename = "clientCIDR")]
    pub client_cidr: String,
    /// `host:port`.
    pub server_address: String,
}

/// Answer of `GET /apis`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIGroupList {
    /// All groups but the core one.
    pub groups: Vec<APIGroup>,
}

impl APIGroupList {
    /// The document.
    pub fn to_value(&self) -> Value {
        document("v1", "APIGroupList", self)
    }
}

/// One group; alone the answer of `GET /apis/GROUP`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIGroup {
    /// Name of the group.
    pub name: String,
    /// Served versions, best first.
    pub versions: Vec<GroupVersionForDiscovery>,
    /// The best version.
    pub preferred_version: GroupVersionForDiscovery,
}

impl APIGroup {
    /// The document of one group.
    pub fn to_value(&self) -> Value {
        document("v1", "APIGroup", self)
    }
}

/// A served version of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GroupVersionForDiscovery {
    /// `group/version`.
    pub group_version: String,
    /// Only the version.
    pub version: String,
}

/// Answer of `GET /apis/GROUP/VERSION`, `/api/v1` and `/oapi/v1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIResourceList {
    /// `group/version`.
    pub group_version: String,
    /// Resources and subresources.
    pub resources: Vec<APIResource>,
}

impl APIResourceList {
    /// The document.
    pub fn to_value(&self) -> Value {
        document("v1", "APIResourceList", self)
    }
}

/// A resource or a subresource (`imagestreams/status`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIResource {
    /// Plural name, with `/sub` for a subresource.
    pub name: String,
    /// Singular name; empty for subresources.
    pub singular_name: String,
    /// Whether it lives in a namespace.
    pub namespaced: bool,
    /// Group of the kind, when another than that of the list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Version of the kind, when another than that of the list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Kind of the body.
    pub kind: String,
    /// What can be done with it.
    pub verbs: Vec<String>,
    /// Short names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// Aggregated discovery: everything in one document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIGroupDiscoveryList {
    /// Always empty.
    pub metadata: ListMeta,
    /// The groups.
    pub items: Vec<APIGroupDiscovery>,
}

impl APIGroupDiscoveryList {
    /// The document under a version of `apidiscovery.k8s.io` (`v2` or `v2beta1`).
    pub fn to_value(&self, version: &str) -> Value {
        document(&format!("apidiscovery.k8s.io/{version}"), "APIGroupDiscoveryList", self)
    }
}

/// A group in aggregated discovery; `metadata.name` is its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIGroupDiscovery {
    /// Only the name is set; empty for the core group.
    pub metadata: ObjectMeta,
    /// Versions, best first.
    pub versions: Vec<APIVersionDiscovery>,
}

/// A version in aggregated discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIVersionDiscovery {
    /// Only the version.
    pub version: String,
    /// Its resources.
    pub resources: Vec<APIResourceDiscovery>,
    /// `Current` or `Stale`.
    pub freshness: String,
}

/// A resource in aggregated discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APIResourceDiscovery {
    /// Plural name.
    pub resource: String,
    /// Kind of the body.
    pub response_kind: GroupVersionKind,
    /// `Namespaced` or `Cluster`.
    pub scope: String,
    /// Singular name.
    pub singular_resource: String,
    /// What can be done with it.
    pub verbs: Vec<String>,
    /// Short names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Subresources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subresources: Vec<APISubresourceDiscovery>,
}

/// A subresource in aggregated discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct APISubresourceDiscovery {
    /// Name after the slash.
    pub subresource: String,
    /// Kind of the body.
    pub response_kind: GroupVersionKind,
    /// Kinds it takes, when others than the body's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_types: Vec<GroupVersionKind>,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

/// A kind with its group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GroupVersionKind {
    /// Group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}
