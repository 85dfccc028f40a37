//! `ServiceAccount`: an identity for programs, with its secrets (platform 4.1).

use serde::{Deserialize, Serialize};

use super::{LocalObjectReference, ObjectReference};
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Secrets its programs may use; only the names count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<ObjectReference>,
    /// Secrets used when its images are pulled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Whether its token is put into pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
}

object!(ServiceAccount: "" "v1", "serviceaccounts" "serviceaccount", Namespaced, short ["sa"]);

impl ServiceAccount {
    /// Only the metadata has rules.
    pub fn validate(&self) -> FieldErrors {
        name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain)
    }

    /// Only the metadata has rules.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}
