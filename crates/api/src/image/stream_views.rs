//! Views of streams: tags, images by id, mappings, layers (images 2.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Image, ImageLookupPolicy, NamedTagEventList, TagEventCondition, TagReference};
use crate::core::Secret;
use crate::meta::{List, ObjectMeta};

/// Secrets a stream's imports may use: answer of `imagestreams/NAME/secrets`.
pub type SecretList = List<Secret>;

/// A tag of a stream with the image it points at; the name is `stream:tag`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamTag {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The wanted tag; null when the tag was only pushed.
    pub tag: Option<TagReference>,
    /// Generation of what the tag points at. Always written.
    pub generation: i64,
    /// Policy of the stream. Always written.
    pub lookup_policy: ImageLookupPolicy,
    /// How the last import went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
    /// The image.
    pub image: Image,
}

object!(ImageStreamTag: "image.openshift.io" "v1", "imagestreamtags" "imagestreamtag", Namespaced, short ["istag"]);

/// A tag of a stream, wanted or there or both; the name is `stream:tag`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageTag {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The wanted tag, or null.
    pub spec: Option<TagReference>,
    /// The history, or null.
    pub status: Option<NamedTagEventList>,
    /// The image, or null.
    pub image: Option<Image>,
}

object!(ImageTag: "image.openshift.io" "v1", "imagetags" "imagetag", Namespaced, short ["itag"]);

/// An image of a stream's history; the name is `stream@id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamImage {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The image.
    pub image: Image,
}

object!(ImageStreamImage: "image.openshift.io" "v1", "imagestreamimages" "imagestreamimage", Namespaced, short ["isimage"]);

/// Puts an image into a stream; what a registry posts after a push.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamMapping {
    /// Metadata; the name is that of the stream.
    pub metadata: ObjectMeta,
    /// Repository of the stream, instead of its name; old clients only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_repository: String,
    /// The image.
    pub image: Image,
    /// The tag.
    pub tag: String,
}

object!(ImageStreamMapping: "image.openshift.io" "v1", "imagestreammappings" "imagestreammapping", Namespaced);

/// All blobs of a stream: answer of `imagestreams/NAME/layers`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamLayers {
    /// Metadata of the stream.
    pub metadata: ObjectMeta,
    /// Blobs by digest.
    pub blobs: BTreeMap<String, ImageLayerData>,
    /// Images by digest.
    pub images: BTreeMap<String, ImageBlobReferences>,
}

object!(ImageStreamLayers: "image.openshift.io" "v1", "imagestreamlayers" "imagestreamlayers", Namespaced);

/// A blob of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageLayerData {
    /// Bytes; null when unknown, as for manifests.
    pub size: Option<i64>,
    /// Media type.
    pub media_type: String,
}

/// Which blobs an image consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ImageBlobReferences {
    /// Whether the stream names an image that does not exist.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub image_missing: bool,
    /// Digests of layers; null when there are none.
    pub layers: Option<Vec<String>>,
    /// Digest of the config; null when there is none.
    pub config: Option<String>,
    /// Digests of the manifests of a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
}
