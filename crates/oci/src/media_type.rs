//! Media types of manifests, configurations and layers.
//!
//! Any type/subtype is a media type: artifacts bring their own. The known ones have names here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest media type: 127 characters on each side of the slash (RFC 6838, 4.2).
const MAX_LEN: usize = 255;

/// A media type without parameters, such as `application/vnd.oci.image.manifest.v1+json`.
///
/// ```
/// use pierhead_oci::MediaType;
///
/// let media_type = MediaType::from_content_type("application/vnd.oci.image.index.v1+json; charset=utf-8")?;
/// assert_eq!(media_type, MediaType::OCI_INDEX);
/// assert!(media_type.is_index());
/// # Ok::<(), pierhead_oci::MediaTypeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// An OCI image manifest, which is also how artifacts are stored.
    pub const OCI_MANIFEST: Self = Self::known("application/vnd.oci.image.manifest.v1+json");
    /// An OCI image index.
    pub const OCI_INDEX: Self = Self::known("application/vnd.oci.image.index.v1+json");
    /// The configuration of an OCI image.
    pub const OCI_CONFIG: Self = Self::known("application/vnd.oci.image.config.v1+json");
    /// A layer of an OCI image, uncompressed.
    pub const OCI_LAYER: Self = Self::known("application/vnd.oci.image.layer.v1.tar");
    /// A layer of an OCI image, compressed with gzip.
    pub const OCI_LAYER_GZIP: Self = Self::known("application/vnd.oci.image.layer.v1.tar+gzip");
    /// What artifacts without a configuration name as theirs: the two bytes `{}`.
    pub const OCI_EMPTY: Self = Self::known("application/vnd.oci.empty.v1+json");
    /// Docker's image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: Self = Self::known("application/vnd.docker.distribution.manifest.v2+json");
    /// Docker's manifest list.
    pub const DOCKER_LIST: Self = Self::known("application/vnd.docker.distribution.manifest.list.v2+json");
    /// The configuration of an image in Docker's format.
    pub const DOCKER_CONFIG: Self = Self::known("application/vnd.docker.container.image.v1+json");
    /// A layer of an image in Docker's format, compressed with gzip.
    pub const DOCKER_LAYER: Self = Self::known("application/vnd.docker.image.rootfs.diff.tar.gzip");
    /// A layer in Docker's format that is fetched from its URLs and never stored by registries.
    pub const DOCKER_FOREIGN_LAYER: Self =
        Self::known("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    /// Docker's manifest of schema 1: known, so that it can be refused by name.
    pub const DOCKER_SCHEMA1: Self = Self::known("application/vnd.docker.distribution.manifest.v1+json");
    /// Docker's manifest of schema 1 with its signatures.
    pub const DOCKER_SCHEMA1_SIGNED: Self =
        Self::known("application/vnd.docker.distribution.manifest.v1+prettyjws");

    const fn known(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Reads the value of a `Content-Type` header; parameters such as `charset` are dropped.
    pub fn from_content_type(header: &str) -> Result<Self, MediaTypeError> {
        let essence = header.split_once(';').map_or(header, |(essence, _)| essence);
        essence.trim_matches([' ', '\t']).parse()
    }

    /// The type as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lists manifests: an OCI index or a Docker manifest list.
    pub fn is_index(&self) -> bool {
        *self == Self::OCI_INDEX || *self == Self::DOCKER_LIST
    }

    /// Has a configuration and layers: an OCI or Docker (schema 2) image manifest.
    pub fn is_image(&self) -> bool {
        *self == Self::OCI_MANIFEST || *self == Self::DOCKER_MANIFEST
    }

    /// Is of the format that Docker retired, signed or not.
    pub fn is_docker_schema1(&self) -> bool {
        *self == Self::DOCKER_SCHEMA1 || *self == Self::DOCKER_SCHEMA1_SIGNED
    }

    /// Is a manifest in one of the OCI formats, which clients must ask for by name.
    pub fn is_oci(&self) -> bool {
        *self == Self::OCI_MANIFEST || *self == Self::OCI_INDEX
    }

    /// Names layers that registries are not expected to hold ("foreign", "nondistributable").
    pub fn is_foreign_layer(&self) -> bool {
        *self == Self::DOCKER_FOREIGN_LAYER
            || self.0.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
        match text.split_once('/') {
            Some((kind, subtype)) if text.len() <= MAX_LEN && is_token(kind) && is_token(subtype) => {
                Ok(Self(Cow::Owned(text.into())))
            }
            _ => Err(MediaTypeError(text.chars().take(MAX_LEN).collect())),
        }
    }
}

/// A token of RFC 9110, 5.6.2: wider than RFC 6838 and what headers can carry.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for MediaType {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MediaType {
    type Error = MediaTypeError;

    fn try_from(text: String) -> Result<Self, MediaTypeError> {
        text.parse()
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.0.into_owned()
    }
}

/// A text is not of the form `type/subtype`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a media type")]
pub struct MediaTypeError(String);

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::MediaType;

    fn check(header: &str, expected: Result<&str, &str>) {
        let actual = MediaType::from_content_type(header);
        let actual = actual.as_ref().map(MediaType::as_str).map_err(ToString::to_string);
        assert_eq!(actual, expected.map_err(String::from), "{header}");
    }

    #[test]
    fn reads_headers() {
        check("application/json", Ok("application/json"));
        check(" application/json ;charset=utf-8", Ok("application/json"));
        check("application/vnd.example.sbom.v1+json", Ok("application/vnd.example.sbom.v1+json"));
        check("", Err("`` is not a media type"));
        check("json", Err("`json` is not a media type"));
        check("a/b/c", Err("`a/b/c` is not a media type"));
        check("a/ b", Err("`a/ b` is not a media type"));
        check("a/b\r\nx: y", Err("`a/b\r\nx: y` is not a media type"));
    }

    #[test]
    fn knows_its_own() {
        for index in [MediaType::OCI_INDEX, MediaType::DOCKER_LIST] {
            assert!(index.is_index() && !index.is_image() && !index.is_docker_schema1(), "{index}");
        }
        for image in [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST] {
            assert!(image.is_image() && !image.is_index() && !image.is_docker_schema1(), "{image}");
        }
        assert!(MediaType::DOCKER_SCHEMA1_SIGNED.is_docker_schema1());
        let foreign: MediaType =
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".parse().unwrap();
        assert!(foreign.is_foreign_layer() && !MediaType::OCI_LAYER.is_foreign_layer());
    }

    proptest! {
        #[test]
        fn what_parses_is_what_was_written(text in any::<String>()) {
            if let Ok(media_type) = text.parse::<MediaType>() {
                prop_assert_eq!(media_type.to_string(), text);
            }
        }
    }
}
