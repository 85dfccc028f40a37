//! `Namespace`. Projects are another view of the same object, see [`crate::project`].

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::meta::{ObjectMeta, Time};
use crate::name;

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Namespace {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Who must clean up before it goes.
    pub spec: NamespaceSpec,
    /// Whether it is alive.
    pub status: NamespaceStatus,
}

object!(Namespace: "" "v1", "namespaces" "namespace", Cluster, short ["ns"]);

/// What a namespace wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSpec {
    /// `kubernetes` and, on 3.x, `openshift.io/origin`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// State of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceStatus {
    /// `Active` or `Terminating`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Details of a termination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<NamespaceCondition>,
}

/// A detail of a termination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Last change of `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Finalizer every namespace starts with.
pub(crate) const KUBERNETES_FINALIZER: &str = "kubernetes";

impl Namespace {
    /// A new namespace is active, ends with the finalizer `kubernetes` and carries its name as a label.
    pub fn set_defaults(&mut self) {
        if self.spec.finalizers.is_empty() {
            self.spec.finalizers.push(KUBERNETES_FINALIZER.into());
        }
        if self.status.phase.is_empty() {
            self.status.phase = "Active".into();
        }
        if !self.metadata.name.is_empty() {
            self.metadata.labels.insert("kubernetes.io/metadata.name".into(), self.metadata.name.clone());
        }
    }

    /// The name must be a DNS label; finalizers must be qualified or the built-in ones.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, name::dns1123_label);
        for (index, finalizer) in self.spec.finalizers.iter().enumerate() {
            if finalizer != KUBERNETES_FINALIZER {
                for problem in name::qualified_name(finalizer) {
                    errors.invalid(format!("spec.finalizers[{index}]"), finalizer.as_str(), problem);
                }
            }
        }
        errors
    }

    /// Metadata rules of an update; status and finalizers change through subresources.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || self.status.phase == "Terminating"
    }
}
