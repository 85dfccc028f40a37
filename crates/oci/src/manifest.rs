//! Manifests: what an image or artifact is made of, or which manifests an index lists.
//!
//! Owns the limits and the checks that make a manifest mean the same to every reader. The bytes are kept as
//! they came, since their hash is the manifest's name. Whether the content it points at exists is not known here.

mod strict_json;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::descriptor::{Descriptor, empty_is_none, null_is_default};
use crate::digest::{Algorithm, Digest};
use crate::media_type::{MediaType, MediaTypeError};

/// Longest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// Most layers of an image.
pub const MAX_LAYERS: usize = 2_048;
/// Most manifests of an index.
pub const MAX_INDEX_CHILDREN: usize = 4_096;
/// Keys and values of the annotations of a manifest that refers to another, in bytes: lists of referrers repeat them.
/// Annotations of other manifests are bounded by the manifest's own length.
pub const MAX_ANNOTATION_BYTES: usize = 512 << 10;
/// How deep objects and lists may nest in a manifest.
pub const MAX_JSON_DEPTH: usize = 64;

/// A manifest that was read and checked.
///
/// ```
/// use pierhead_oci::{Algorithm, Digest, Manifest, ManifestKind, MediaType};
///
/// let json = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
/// let manifest = Manifest::parse("application/vnd.oci.image.index.v1+json", &json[..])?;
/// assert_eq!(manifest.media_type(), &MediaType::OCI_INDEX);
/// assert_eq!(manifest.digest(Algorithm::Sha256), Digest::sha256(json));
/// assert!(matches!(manifest.kind(), ManifestKind::Index { manifests } if manifests.is_empty()));
/// # Ok::<(), pierhead_oci::ManifestError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Manifest {
    bytes: Arc<[u8]>,
    media_type: MediaType,
    kind: ManifestKind,
    subject: Option<Descriptor>,
    artifact_type: Option<MediaType>,
    annotations: BTreeMap<String, String>,
}

/// The two things a manifest can be, whichever format it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one is held at a time, and most are images")]
pub enum ManifestKind {
    /// An image for one platform, or an artifact.
    Image {
        /// How to run it; for artifacts whatever their authors put there.
        config: Descriptor,
        /// Its file systems, base first; for artifacts their files.
        layers: Vec<Descriptor>,
    },
    /// A list of manifests, usually one per platform.
    Index {
        /// What is listed, in order of preference.
        manifests: Vec<Descriptor>,
    },
}

impl Manifest {
    /// Reads a manifest that came with `content_type`.
    ///
    /// Where that says nothing (it is empty, or one of the generic types that static file servers send), the
    /// manifest's own `mediaType` decides, or else its shape.
    pub fn parse(content_type: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Self, ManifestError> {
        Self::parse_bytes(content_type, bytes.into())
    }

    fn parse_bytes(content_type: &str, bytes: Arc<[u8]>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { length: bytes.len() });
        }
        strict_json::check(&bytes)?;
        let document: Document = serde_json::from_slice(&bytes)?;
        let media_type = document.agreed_media_type(declared(content_type)?)?;
        let kind = document.kind(&media_type)?;
        document.check_annotations()?;
        let Document { subject, artifact_type, annotations, .. } = document;
        Ok(Self { bytes, media_type, kind, subject, artifact_type, annotations })
    }

    /// The manifest, byte for byte as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same bytes without copying them.
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// The hash of the bytes, which is the manifest's name. Computed anew with every call.
    pub fn digest(&self, algorithm: Algorithm) -> Digest {
        Digest::of(algorithm, &self.bytes)
    }

    /// The format: always one of the two image or two index types.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// What it lists.
    pub const fn kind(&self) -> &ManifestKind {
        &self.kind
    }

    /// The manifest this one says something about, and whose referrer it therefore is.
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The `artifactType` that lists of referrers show: the manifest's own, or for images without one the type of
    /// their configuration (distribution specification 1.1, "Listing Referrers").
    pub const fn artifact_type(&self) -> Option<&MediaType> {
        match (&self.artifact_type, &self.kind) {
            (Some(artifact_type), _) => Some(artifact_type),
            (None, ManifestKind::Image { config, .. }) => Some(&config.media_type),
            (None, ManifestKind::Index { .. }) => None,
        }
    }

    /// The manifest's own annotations; each descriptor has its own.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// A descriptor of this manifest, named by its SHA-256.
    pub fn descriptor(&self) -> Descriptor {
        let size = u64::try_from(self.bytes.len()).expect("no manifest is longer than 4 MiB");
        Descriptor::new(self.media_type.clone(), self.digest(Algorithm::Sha256), size)
    }
}

/// The fields of all formats. Presence of a field matters, so none has a default that looks like a value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    #[serde(default, deserialize_with = "empty_is_none")]
    media_type: Option<MediaType>,
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "present")]
    layers: Option<Option<Vec<Descriptor>>>,
    #[serde(default, deserialize_with = "present")]
    manifests: Option<Option<Vec<Descriptor>>>,
    fs_layers: Option<IgnoredAny>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "empty_is_none")]
    artifact_type: Option<MediaType>,
    #[serde(default, deserialize_with = "null_is_default")]
    annotations: BTreeMap<String, String>,
}

impl Document {
    /// The one type that header, field and shape agree on.
    fn agreed_media_type(&self, declared: Option<MediaType>) -> Result<MediaType, ManifestError> {
        let media_type = match (declared, &self.media_type) {
            (Some(header), Some(field)) if header != *field => {
                return Err(ManifestError::MediaTypeMismatch { header, field: field.clone() });
            }
            (Some(media_type), _) => media_type,
            (None, Some(field)) => field.clone(),
            (None, None) if self.manifests.is_some() => MediaType::OCI_INDEX,
            (None, None) if self.config.is_some() => MediaType::OCI_MANIFEST,
            (None, None) if self.fs_layers.is_some() => MediaType::DOCKER_SCHEMA1,
            (None, None) => return Err(ManifestError::NoMediaType),
        };
        if media_type.is_docker_schema1() || self.schema_version == Some(1) {
            return Err(ManifestError::DockerSchema1);
        }
        match self.schema_version {
            Some(2) => Ok(media_type),
            version => Err(ManifestError::SchemaVersion(version)),
        }
    }

    fn check_annotations(&self) -> Result<(), ManifestError> {
        let length = self.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        if self.subject.is_some() && length > MAX_ANNOTATION_BYTES {
            return Err(ManifestError::AnnotationsTooLong { length });
        }
        Ok(())
    }

    fn kind(&self, media_type: &MediaType) -> Result<ManifestKind, ManifestError> {
        let foreign = |present: bool, field| match present {
            true => Err(ManifestError::ForeignField { media_type: media_type.clone(), field }),
            false => Ok(()),
        };
        foreign(self.fs_layers.is_some(), "fsLayers")?;
        if media_type.is_image() {
            foreign(self.manifests.is_some(), "manifests")?;
            let config = self.config.clone().ok_or(ManifestError::NoConfig)?;
            let layers = self.layers.clone().flatten().unwrap_or_default();
            if layers.len() > MAX_LAYERS {
                return Err(ManifestError::TooManyLayers { count: layers.len() });
            }
            Ok(ManifestKind::Image { config, layers })
        } else if media_type.is_index() {
            foreign(self.config.is_some(), "config")?;
            foreign(self.layers.is_some(), "layers")?;
            let manifests = self.manifests.clone().flatten().unwrap_or_default();
            if manifests.len() > MAX_INDEX_CHILDREN {
                return Err(ManifestError::TooManyChildren { count: manifests.len() });
            }
            Ok(ManifestKind::Index { manifests })
        } else {
            Err(ManifestError::UnknownMediaType(media_type.clone()))
        }
    }
}

/// What a `Content-Type` header says about a manifest; the generic types say nothing.
fn declared(content_type: &str) -> Result<Option<MediaType>, MediaTypeError> {
    if content_type.trim().is_empty() {
        return Ok(None);
    }
    let media_type = MediaType::from_content_type(content_type)?;
    let generic = ["application/json", "application/octet-stream", "text/plain"];
    Ok(Some(media_type).filter(|media_type| !generic.contains(&media_type.as_str())))
}

/// Tells a field that is `null` from one that is not there.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Why bytes are not a manifest that we store.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST_BYTES`].
    #[error("the manifest has {length} bytes, at most {MAX_MANIFEST_BYTES} are allowed")]
    TooLarge {
        /// Length in bytes.
        length: usize,
    },
    /// Not JSON, or JSON that readers would understand differently, or a field of the wrong form.
    #[error("the manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The header is not a media type at all.
    #[error("the content type cannot be read: {0}")]
    ContentType(#[from] MediaTypeError),
    /// Header and manifest disagree, so readers would too.
    #[error("the manifest says it is `{field}`, but was sent as `{header}`")]
    MediaTypeMismatch {
        /// What the `Content-Type` header said.
        header: MediaType,
        /// What the field `mediaType` said.
        field: MediaType,
    },
    /// Neither header nor manifest says which format this is, and its shape does not tell.
    #[error("neither a content type nor the manifest says which format it has")]
    NoMediaType,
    /// A format that is none of ours. Artifacts are stored as OCI image manifests.
    #[error("manifests of type `{0}` are not supported")]
    UnknownMediaType(MediaType),
    /// The format that Docker itself no longer reads.
    #[error("manifests of Docker's schema 1 are no longer supported; build or push with a newer client")]
    DockerSchema1,
    /// `schemaVersion` is not 2.
    #[error("schemaVersion must be 2, got {}", .0.map_or("none".into(), |version| version.to_string()))]
    SchemaVersion(Option<u64>),
    /// An image manifest without a configuration.
    #[error("the manifest has no config")]
    NoConfig,
    /// A field of another format, so that readers could take the manifest for that.
    #[error("a manifest of type `{media_type}` may not have the field `{field}`")]
    ForeignField {
        /// What the manifest is.
        media_type: MediaType,
        /// What it should not have.
        field: &'static str,
    },
    /// Over [`MAX_LAYERS`].
    #[error("the manifest has {count} layers, at most {MAX_LAYERS} are allowed")]
    TooManyLayers {
        /// How many there are.
        count: usize,
    },
    /// Over [`MAX_INDEX_CHILDREN`].
    #[error("the index lists {count} manifests, at most {MAX_INDEX_CHILDREN} are allowed")]
    TooManyChildren {
        /// How many there are.
        count: usize,
    },
    /// Over [`MAX_ANNOTATION_BYTES`].
    #[error("annotations of a referrer take {length} bytes, at most {MAX_ANNOTATION_BYTES} are allowed")]
    AnnotationsTooLong {
        /// Keys and values together.
        length: usize,
    },
}
