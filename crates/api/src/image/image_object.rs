//! `Image`: a manifest with what was read out of it (images 2.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DockerImage;
use crate::ByteString;
use crate::meta::{ObjectMeta, Time};

/// An image, named by the digest of its manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Metadata; the name is the digest.
    pub metadata: ObjectMeta,
    /// Pull spec; for our own images that of the first push.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_reference: String,
    /// The raw `DockerImage` document; see [`Image::docker_image`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<DockerImage>"))]
    pub docker_image_metadata: Option<Value>,
    /// `1.0`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_metadata_version: String,
    /// The manifest, unless it is in the blob store.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_manifest: String,
    /// Layers, base first. Always written.
    pub docker_image_layers: Vec<ImageLayer>,
    /// Manifests of a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub docker_image_manifests: Vec<ImageManifest>,
    /// Signatures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<ImageSignature>,
    /// JWS signatures of a schema 1 manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub docker_image_signatures: Vec<ByteString>,
    /// Media type of the manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_manifest_media_type: String,
    /// The config blob, unless it is in the blob store.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_config: String,
}

object!(Image: "image.openshift.io" "v1", "images" "image", Cluster);

impl Image {
    /// What is known about the image; `None` when there is no metadata or it is not a `DockerImage`.
    pub fn docker_image(&self) -> Option<DockerImage> {
        DockerImage::from_value(self.docker_image_metadata.as_ref()?)
    }

    /// Sets the metadata, in the group form of its `apiVersion`.
    pub fn set_docker_image(&mut self, metadata: &DockerImage) {
        self.docker_image_metadata = Some(metadata.to_value());
        self.docker_image_metadata_version = "1.0".into();
    }

    /// Whether it was pushed into the integrated registry.
    pub fn is_managed(&self) -> bool {
        self.metadata.annotation(super::annotation::MANAGED) == Some("true")
    }
}

/// A layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageLayer {
    /// Digest.
    pub name: String,
    /// Bytes, compressed.
    pub size: i64,
    /// Media type.
    pub media_type: String,
}

/// A manifest of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageManifest {
    /// Digest.
    pub digest: String,
    /// Media type.
    pub media_type: String,
    /// Bytes of the manifest.
    pub manifest_size: i64,
    /// Architecture of the platform.
    pub architecture: String,
    /// Operating system of the platform.
    pub os: String,
    /// Variant of the architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A signature of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageSignature {
    /// Metadata; the name is `<image>@<signature>`.
    pub metadata: ObjectMeta,
    /// `atomic` or another form.
    #[serde(rename = "type")]
    pub signature_type: String,
    /// The signature.
    pub content: ByteString,
    /// Results of verification, types `Trusted` and `ForImage`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<SignatureCondition>,
    /// Pull spec that was signed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_identity: String,
    /// Claims of the signature.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub signed_claims: BTreeMap<String, String>,
    /// When it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// Who issued the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<SignatureIssuer>,
    /// Who signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_to: Option<SignatureSubject>,
}

object!(ImageSignature: "image.openshift.io" "v1", "imagesignatures" "imagesignature", Cluster);

/// A result of verifying a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SignatureCondition {
    /// `Trusted` or `ForImage`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Last check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Time>,
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

/// Who issued the key of a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SignatureIssuer {
    /// Organisation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Common name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub common_name: String,
}

/// Who made a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SignatureSubject {
    /// Organisation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Common name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub common_name: String,
    /// Id of the public key.
    #[serde(rename = "publicKeyID")]
    pub public_key_id: String,
}
