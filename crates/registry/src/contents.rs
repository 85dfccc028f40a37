//! What a repository can give: what is stored, and what can be fetched.
//!
//! Owns the order: what is here is served without asking anybody, so it is served when its source is gone. Handlers ask
//! here and need not know where content comes from.

use std::ops::Range;

use pierhead_auth::{Permit, Pull};
use pierhead_images::{Blob, Images, PullError, StoredManifest};
use pierhead_oci::{Digest, Reference};

use crate::body::ResponseBody;
use crate::error::RegistryError;
use crate::pull_through::{Arrival, Arriving, PullThrough};

/// The contents of all repositories.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a> {
    pub(crate) images: &'a Images,
    pub(crate) pull_through: Option<&'a PullThrough>,
}

/// What of a blob is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looking {
    /// Whether it is there.
    AtHead,
    /// All or some of its bytes.
    AtBytes,
}

/// A blob that can be sent.
pub(crate) enum Found {
    /// It is stored.
    Stored(Blob),
    /// It arrives.
    Arriving(Arriving),
    /// Somebody else has it, and only its length was asked for.
    Elsewhere {
        /// In bytes.
        size: u64,
    },
}

impl<'a> Contents<'a> {
    /// Whether anything can be fetched at all.
    pub(crate) const fn can_fetch(self) -> bool {
        self.pull_through.is_some()
    }

    /// A manifest, fetched if it has to be.
    pub(crate) async fn manifest(
        self,
        permit: &Permit<Pull>,
        reference: &Reference,
    ) -> Result<StoredManifest, RegistryError> {
        let unknown = match self.images.manifest(permit, reference).await {
            Err(error @ PullError::ManifestUnknown { .. }) => error,
            found => return Ok(found?),
        };
        let Some(pull_through) = self.pull_through else { return Err(unknown.into()) };
        let Some(missing) = self.images.missing_manifest(permit, reference)? else {
            return Err(unknown.into());
        };
        let fetched = pull_through.manifest(missing).await;
        fetched.map_err(|error| RegistryError::upstream_manifest(&error))?;
        Ok(self.images.manifest(permit, reference).await?)
    }

    /// A blob, fetched if it has to be.
    pub(crate) async fn blob(
        self,
        permit: &Permit<Pull>,
        digest: &Digest,
        looking: Looking,
    ) -> Result<Found, RegistryError> {
        let stored = match looking {
            Looking::AtHead => self.images.blob(permit, digest).await,
            Looking::AtBytes => self.images.blob_to_send(permit, digest).await,
        };
        let unknown = match stored {
            Err(error @ PullError::BlobUnknown { .. }) => error,
            found => return Ok(Found::Stored(found?)),
        };
        let Some(pull_through) = self.pull_through else { return Err(unknown.into()) };
        let Some(missing) = self.images.missing_blob(permit, digest)? else { return Err(unknown.into()) };
        let refused = |error: std::sync::Arc<_>| RegistryError::upstream_blob(&error);
        if looking == Looking::AtHead {
            pull_through.has_blob(&missing).await.map_err(refused)?;
            return Ok(Found::Elsewhere { size: missing.size() });
        }
        match pull_through.blob(missing).await.map_err(refused)? {
            Arrival::Coming(arriving) => Ok(Found::Arriving(arriving)),
            Arrival::Stored => Ok(Found::Stored(self.images.blob_to_send(permit, digest).await?)),
        }
    }

    /// Fetches those of `digests` that can be; the others stay missing.
    pub(crate) async fn fetch_blobs(
        self,
        permit: &Permit<Pull>,
        digests: &[Digest],
    ) -> Result<(), RegistryError> {
        let Some(pull_through) = self.pull_through else { return Ok(()) };
        for digest in digests {
            if let Some(missing) = self.images.missing_blob(permit, digest)? {
                let fetched = pull_through.whole_blob(missing).await;
                fetched.map_err(|error| RegistryError::upstream_blob(&error))?;
            }
        }
        Ok(())
    }
}

impl Found {
    /// Its length in bytes.
    pub(crate) const fn size(&self) -> u64 {
        match self {
            Self::Stored(blob) => blob.size(),
            Self::Arriving(arriving) => arriving.size(),
            Self::Elsewhere { size } => *size,
        }
    }

    /// Its bytes, wholly or in part.
    pub(crate) async fn open(self, range: Option<Range<u64>>) -> Result<ResponseBody, RegistryError> {
        match self {
            Self::Stored(blob) => Ok(ResponseBody::blob(blob.open(range).await?)),
            Self::Arriving(arriving) => Ok(ResponseBody::arriving(arriving.open(range))),
            Self::Elsewhere { .. } => Ok(ResponseBody::default()),
        }
    }
}
