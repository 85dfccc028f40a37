//! Who set which fields of an object: the records of server-side apply.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;

/// The fields one manager has set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedFieldsEntry {
    /// Name of the manager.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manager: String,
    /// `Apply` (server-side apply) or `Update` (every other write).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// Group and version of the form of the object that the fields are those of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// When the manager last changed one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// `FieldsV1`, the only form there is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fields_type: String,
    /// The fields as a tree: `f:name` is a member, `k:{…}` and `v:…` are items of a list, `.` is the node itself.
    #[serde(rename = "fieldsV1", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, Value>"))]
    pub fields_v1: Option<Value>,
    /// Subresource that was written; empty for the object itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}
