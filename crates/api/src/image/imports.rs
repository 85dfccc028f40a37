//! `ImageStreamImport`: looks images up elsewhere and, unless told otherwise, writes them into a stream (images 2.3).

use serde::{Deserialize, Serialize};

use super::{Image, ImageStream, TagImportPolicy, TagReferencePolicy};
use crate::core::{LocalObjectReference, ObjectReference};
use crate::meta::{ObjectMeta, Status};

/// A wish to import, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamImport {
    /// Metadata; the name is that of the stream.
    pub metadata: ObjectMeta,
    /// What to import.
    pub spec: ImageStreamImportSpec,
    /// How it went.
    pub status: ImageStreamImportStatus,
}

object!(ImageStreamImport: "image.openshift.io" "v1", "imagestreamimports" "imagestreamimport", Namespaced);

/// What to import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamImportSpec {
    /// Whether to write anything; false only looks. Always written.
    pub import: bool,
    /// A whole repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryImportSpec>,
    /// Single images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageImportSpec>,
}

/// A repository to import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoryImportSpec {
    /// The repository, kind `DockerImage`, without tag and id.
    pub from: ObjectReference,
    /// How to import.
    pub import_policy: TagImportPolicy,
    /// How workloads will see the images.
    pub reference_policy: TagReferencePolicy,
    /// Whether the answer holds manifests.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub include_manifest: bool,
}

/// An image to import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageImportSpec {
    /// The image, kind `DockerImage`.
    pub from: ObjectReference,
    /// Tag to write it to; by default that of `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<LocalObjectReference>,
    /// How to import.
    pub import_policy: TagImportPolicy,
    /// How workloads will see the image.
    pub reference_policy: TagReferencePolicy,
    /// Whether the answer holds the manifest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub include_manifest: bool,
}

/// How an import went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamImportStatus {
    /// The stream afterwards; absent when nothing was to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<ImageStream>,
    /// The repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryImportStatus>,
    /// The images, in the order of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageImportStatus>,
}

/// How the import of a repository went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoryImportStatus {
    /// Outcome for the repository.
    pub status: Status,
    /// Outcome for its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageImportStatus>,
    /// Tags beyond the limit, which were not imported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_tags: Vec<String>,
}

/// How the import of an image went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageImportStatus {
    /// Outcome.
    pub status: Status,
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Tag it was written to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Images of a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Image>,
}

impl ImageStreamImport {
    /// Reference policy `Source`, import mode `Legacy`, target tag from the source (images 3.1).
    pub fn set_defaults(&mut self) {
        if let Some(repository) = &mut self.spec.repository {
            repository.reference_policy.set_defaults();
            repository.import_policy.set_defaults();
        }
        for image in &mut self.spec.images {
            image.reference_policy.set_defaults();
            image.import_policy.set_defaults();
            if image.to.is_none()
                && image.from.kind == "DockerImage"
                && let Ok(reference) = image.from.name.parse::<pierhead_oci::ImageReference>()
                && let Some(tag) = reference.tag.filter(|tag| !tag.is_empty())
            {
                image.to = Some(LocalObjectReference::named(tag));
            }
        }
    }
}
