//! Words of container images: digests, names, references, media types, manifests, error codes.
//!
//! Everything here is a value. Nothing reads a clock, a file or a socket, and nothing is asynchronous.
//! Holding a value means it was checked: the only way to one is its parser.
//!
//! ```
//! use pierhead_oci::{Digest, Reference, RepositoryName};
//!
//! let repository: RepositoryName = "shop/frontend".parse()?;
//! assert_eq!(repository.project_and_stream(), Some(("shop", "frontend")));
//!
//! let reference: Reference = Digest::sha256(b"hello").to_string().parse()?;
//! assert!(matches!(reference, Reference::Digest(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod descriptor;
mod digest;
mod error_code;
mod hasher;
mod image_config;
mod image_reference;
mod manifest;
mod media_type;
mod reference;
mod repository_name;
mod tag;

pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, CorruptDigestKey, Digest, DigestError};
pub use error_code::{ErrorBody, ErrorCode, ErrorItem};
pub use hasher::{CorruptHasherState, Hasher};
pub use image_config::{ContainerConfig, History, ImageConfig, ImageConfigError, RootFs};
pub use image_reference::{ImageReference, ImageReferenceError};
pub use manifest::{
    MAX_ANNOTATION_BYTES, MAX_INDEX_CHILDREN, MAX_JSON_DEPTH, MAX_LAYERS, MAX_MANIFEST_BYTES, Manifest,
    ManifestError, ManifestKind,
};
pub use media_type::{MediaType, MediaTypeError};
pub use reference::{Reference, ReferenceError};
pub use repository_name::{RepositoryName, RepositoryNameError};
pub use tag::{Tag, TagError};
