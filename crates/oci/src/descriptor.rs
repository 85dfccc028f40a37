//! Descriptors: how manifests point at content.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::media_type::MediaType;

/// Points at content by digest and says what it is (image specification 1.1, "Content Descriptors").
///
/// Fields that the specification does not know are dropped; the bytes of a manifest keep them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// Where it is.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Other places to fetch it from; layers that have some may be absent from a registry.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Anything the author added.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which machines it runs on; in indexes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What the artifact is, where the descriptor points at one.
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The content itself in base64, where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// A descriptor with its three required fields.
    pub const fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            data: None,
        }
    }
}

/// The machines an image runs on (image specification 1.1, "Image Index").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// A processor architecture in Go's spelling: `amd64`, `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// An operating system in Go's spelling: `linux`.
    #[serde(default)]
    pub os: String,
    /// A version of the operating system; Windows needs it.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features the operating system must have.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// A variant of the architecture, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Go writes absent lists and maps as `null`.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go writes absent strings as `""`, where the author of a struct forgot `omitempty`.
pub(crate) fn empty_is_none<'de, D>(deserializer: D) -> Result<Option<MediaType>, D::Error>
where
    D: Deserializer<'de>,
{
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Descriptor, Digest, MediaType};

    #[test]
    fn nulls_of_go_are_absent_fields() {
        let digest = Digest::sha256(b"");
        let text = json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 0,
            "urls": null, "annotations": null, "platform": null, "artifactType": "", "data": null, "extra": 1,
        });
        let descriptor: Descriptor = serde_json::from_value(text).unwrap();
        assert_eq!(descriptor, Descriptor::new(MediaType::OCI_LAYER, digest, 0));
    }

    #[test]
    fn sizes_are_not_negative() {
        let text = json!({ "mediaType": "a/b", "digest": Digest::sha256(b""), "size": -1 });
        assert!(serde_json::from_value::<Descriptor>(text).is_err());
    }
}
