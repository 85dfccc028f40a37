//! Image streams, images and their views (images 2). Keys marked "always" there are written even when empty.

mod docker;
mod image_object;
mod imports;
mod resolve;
mod stream;
mod stream_views;
mod tag_priority;
mod validate;

pub use docker::{DOCKER_IMAGE_GROUP_VERSION, DOCKER_IMAGE_LEGACY_VERSION, DockerConfig, DockerImage};
pub use image_object::{
    Image, ImageLayer, ImageManifest, ImageSignature, SignatureCondition, SignatureIssuer, SignatureSubject,
};
pub use imports::{
    ImageImportSpec, ImageImportStatus, ImageStreamImport, ImageStreamImportSpec, ImageStreamImportStatus,
    RepositoryImportSpec, RepositoryImportStatus,
};
pub use resolve::pull_spec;
pub use stream::{
    ImageLookupPolicy, ImageStream, ImageStreamSpec, ImageStreamStatus, NamedTagEventList, TagEvent,
    TagEventCondition, TagImportPolicy, TagReference, TagReferencePolicy,
};
pub use stream_views::{
    ImageBlobReferences, ImageLayerData, ImageStreamImage, ImageStreamLayers, ImageStreamMapping,
    ImageStreamTag, ImageTag, SecretList,
};
pub use tag_priority::prioritize_tags;
pub use validate::{image_name, image_stream_name, stream_and_tag, stream_image, tag_name};

use crate::meta::ObjectMeta;

/// Name of the API group.
pub const GROUP: &str = "image.openshift.io";

/// Whether the stream of this metadata allows http and unverified TLS for all that it imports.
pub fn is_insecure(stream: &ObjectMeta) -> bool {
    stream.annotation(annotation::INSECURE_REPOSITORY) == Some("true")
}

/// Annotations of images and streams (images 2.5).
pub mod annotation {
    /// `true` on images pushed into the integrated registry.
    pub const MANAGED: &str = "openshift.io/image.managed";
    /// `true` when manifest and config are in the blob store and not in the object.
    pub const MANIFEST_BLOB_STORED: &str = "image.openshift.io/manifestBlobStored";
    /// `ascending` (base layer first) or `descending`.
    pub const LAYERS_ORDER: &str = "image.openshift.io/dockerLayersOrder";
    /// Time of the last import, or what went wrong, for clients of the legacy protocol.
    pub const REPOSITORY_CHECK: &str = "openshift.io/image.dockerRepositoryCheck";
    /// `true` allows http and unverified TLS for imports of a stream.
    pub const INSECURE_REPOSITORY: &str = "openshift.io/image.insecureRepository";
    /// `true` on secrets that imports do not use.
    pub const EXCLUDE_SECRET: &str = "openshift.io/image.excludeSecret";
    /// On wanted tags: the architecture to take from a list of images.
    pub const PREFER_ARCHITECTURE: &str = "importer.image.openshift.io/prefer-arch";
    /// On wanted tags: the operating system to take from a list of images.
    pub const PREFER_OS: &str = "importer.image.openshift.io/prefer-os";
}
