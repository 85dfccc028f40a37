//! `Scale`: the number of replicas of anything that has one, in its two wire forms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meta::{ObjectMeta, is_zero};

/// The `autoscaling/v1` form, as replication controllers have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Scale {
    /// Metadata of the scaled object.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ScaleSpec,
    /// What is.
    pub status: ScaleStatus,
}

object!(Scale: "autoscaling" "v1", "scales" "scale", Namespaced);

/// Wanted number of replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleSpec {
    /// The number; absent on the wire when 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub replicas: i32,
}

/// Number of replicas there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleStatus {
    /// The number.
    pub replicas: i32,
    /// Label selector of the pods, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
}

/// The `extensions/v1beta1` form, as deployment configs have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionsScale {
    /// Metadata of the scaled object.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ScaleSpec,
    /// What is.
    pub status: ExtensionsScaleStatus,
}

impl crate::object::Object for ExtensionsScale {
    const GROUP: &'static str = "extensions";
    const VERSION: &'static str = "v1beta1";
    const KIND: &'static str = "Scale";
    const PLURAL: &'static str = "scales";
    const SINGULAR: &'static str = "scale";
    const NAMESPACED: bool = true;
    const SHORT_NAMES: &'static [&'static str] = &[];
    const CATEGORIES: &'static [&'static str] = &[];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Number of replicas there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionsScaleStatus {
    /// The number.
    pub replicas: i32,
    /// Labels of the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// The same as a selector text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_selector: String,
}
