//! Tables the server renders for `oc get` (platform 1.6). Which columns a kind has is not decided here.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{ListMeta, ObjectMeta};
use crate::object::{envelope, fields_of};

/// A rendered list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Table {
    /// Metadata of the list that was rendered.
    pub metadata: ListMeta,
    /// Columns, in order.
    pub column_definitions: Vec<TableColumnDefinition>,
    /// Rows, each with one cell per column. Other servers send null for none.
    #[serde(deserialize_with = "null_is_none")]
    pub rows: Vec<TableRow>,
}

fn null_is_none<'de, D: Deserializer<'de>>(rows: D) -> Result<Vec<TableRow>, D::Error> {
    Ok(Option::deserialize(rows)?.unwrap_or_default())
}

impl Table {
    /// The document of this table, `kind: Table` of `meta.k8s.io/v1`.
    pub fn to_value(&self) -> Value {
        self.to_value_as("v1")
    }

    /// The same under another version of `meta.k8s.io` (`v1beta1` for older clients).
    pub fn to_value_as(&self, version: &str) -> Value {
        let mut document = envelope(format!("meta.k8s.io/{version}"), "Table".into());
        document.extend(fields_of(self));
        Value::Object(document)
    }
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TableColumnDefinition {
    /// Header; clients write it in capitals.
    pub name: String,
    /// JSON type of the cells: `string`, `integer`, `date`…
    #[serde(rename = "type")]
    pub column_type: String,
    /// `name` marks the column clients print with the resource prefix.
    pub format: String,
    /// What the column shows.
    pub description: String,
    /// Zero: always shown; one: only with `-o wide`.
    pub priority: i32,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct TableRow {
    /// Strings or numbers, one per column.
    pub cells: Vec<Value>,
    /// Marks completed rows; unused by the kinds we serve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Value>,
    /// The object, its metadata, or nothing, as `includeObject` asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
}

/// An object of any kind, of which only the metadata is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PartialObjectMetadata {
    /// The metadata.
    pub metadata: ObjectMeta,
}

object!(PartialObjectMetadata: "meta.k8s.io" "v1", "partialobjectmetadata" "partialobjectmetadata", Namespaced);

impl PartialObjectMetadata {
    /// Cuts a document down to its metadata without reading it into a type.
    pub fn of_value(document: &Value) -> Value {
        let mut partial = envelope("meta.k8s.io/v1".into(), "PartialObjectMetadata".into());
        let metadata = document.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        partial.insert("metadata".into(), metadata);
        Value::Object(partial)
    }
}
