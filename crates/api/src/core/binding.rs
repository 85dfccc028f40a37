//! `Binding` of a pod to a node, and `Eviction` of a pod: documents that are sent and never stored.

use serde::{Deserialize, Serialize};

use super::ObjectReference;
use crate::meta::{DeleteOptions, ObjectMeta};

/// Binds a pod to a node; posted to `pods/NAME/binding`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Binding {
    /// Name of the pod; annotations are added to the pod's.
    pub metadata: ObjectMeta,
    /// The node.
    pub target: ObjectReference,
}

object!(Binding: "" "v1", "bindings" "binding", Namespaced);

/// Asks for a pod to go; posted to `pods/NAME/eviction`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Eviction {
    /// Name of the pod.
    pub metadata: ObjectMeta,
    /// How it is to be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_options: Option<DeleteOptions>,
}

object!(Eviction: "policy" "v1", "evictions" "eviction", Namespaced);
