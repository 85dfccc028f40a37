//! What an image is here: repositories, manifests, tags and their history, image streams and images.
//!
//! The one writer of all of them. A push and the change of the stream that it means are one transaction, whose cost
//! does not depend on how many tags there are. Nothing is reached without a permit of `auth` for that repository, and
//! no blob or manifest is served through a repository it does not belong to. Statuses and error codes of protocols are
//! the servers' business; whether an object is well-formed is `api`'s.

mod allowed_registries;
mod cache;
mod delete;
mod error;
mod garbage;
mod image_metadata;
mod image_object;
mod images;
mod import;
mod limits;
mod links;
mod manifest_record;
mod pull;
mod push;
mod remote;
mod repository_end;
mod rows;
mod small_blobs;
mod source_permission;
mod spec_tags;
mod stream;
mod stream_content;
mod stream_edit;
mod stream_tag;
mod tables;
mod upload;

pub use allowed_registries::{AllowedRegistry, AllowedRegistryError};
pub use error::{DeleteError, PullError, PushError, StreamError, UploadError};
pub use garbage::{CollectError, Collected, PrunedBlob};
pub use image_object::{ImageChange, MayMap};
pub use images::{Config, Images, OpenError};
pub use import::{
    FetchedImage, FetchedManifest, IMPORT_SUCCESS, ImportOutcome, ImportWrite, SeenStream, TagImport,
};
pub use pull::{Blob, Page, StoredManifest};
pub use push::Pushed;
pub use remote::{MissingBlob, MissingManifest, RemoteFetch, RemoteSource};
pub use repository_end::bury_namespace;
pub use rows::count_streams;
pub use source_permission::MayPull;
pub use stream::{DryRun, ObjectPage, StreamChange, StreamEvent, StreamPart};
pub use stream_tag::Created;
pub use tables::{logged_tables, tables};
pub use upload::{Mount, MountSource, OpenUpload};
