//! `ConfigMap`: texts and bytes by key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MAX_DATA_BYTES;
use crate::ByteString;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// A config map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Texts by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Bytes by key; no key is in both.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<String, ByteString>,
    /// `true` blocks all later changes of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

object!(ConfigMap: "" "v1", "configmaps" "configmap", Namespaced, short ["cm"]);

impl ConfigMap {
    /// Names of keys and sizes.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        for key in self.data.keys() {
            for problem in name::config_map_key(key) {
                errors.invalid(format!("data[{key}]"), key.as_str(), problem);
            }
            if self.binary_data.contains_key(key) {
                errors.invalid(
                    format!("data[{key}]"),
                    key.as_str(),
                    "duplicate of key present in binaryData",
                );
            }
        }
        for key in self.binary_data.keys() {
            for problem in name::config_map_key(key) {
                errors.invalid(format!("binaryData[{key}]"), key.as_str(), problem);
            }
        }
        let texts: usize = self.data.values().map(String::len).sum();
        let bytes: usize = self.binary_data.values().map(|value| value.0.len()).sum();
        if texts + bytes > MAX_DATA_BYTES {
            errors.too_long("", MAX_DATA_BYTES);
        }
        errors
    }

    /// With `immutable: true` nothing of the data changes.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        if old.immutable == Some(true) {
            let frozen = "field is immutable when `immutable` is set";
            if self.immutable != Some(true) {
                errors.forbidden("immutable", frozen);
            }
            if self.data != old.data {
                errors.forbidden("data", frozen);
            }
            if self.binary_data != old.binary_data {
                errors.forbidden("binaryData", frozen);
            }
        }
        errors.append(self.validate());
        errors
    }
}
