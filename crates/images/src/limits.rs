//! What limit ranges of a namespace mean for its images and streams (images 7.2).
//!
//! Owns counting what a stream has, which is done only where it is limited. Only growth is refused: a limit that was
//! lowered leaves what is there.

use std::collections::HashSet;

use pierhead_quota::{ImageLimits, LimitExceeded};
use pierhead_store::{KeyRange, OBJECTS, StoreError};
use tracing::warn;

use crate::Images;
use crate::import::FetchedImage;
use crate::manifest_record::{ManifestHeader, ManifestRecord};
use crate::rows::{ALL, Rows};
use crate::tables::{RepositoryId, SPEC_TAGS, TAG_EVENTS};

/// How much of what is limited a stream has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    tags: usize,
    images: usize,
}

/// The limits of a namespace. One that cannot be read limits nothing: no push may depend on it.
pub(crate) fn image_limits(rows: &impl Rows, namespace: &str) -> Result<ImageLimits, StoreError> {
    let records = rows.rows(&OBJECTS, &ImageLimits::range(namespace), ALL)?;
    if records.is_empty() {
        return Ok(ImageLimits::default());
    }
    let limits = ImageLimits::read(records.iter().map(|(_, record)| &*record.0));
    Ok(limits.unwrap_or_else(|error| {
        warn!(namespace, %error, "A limit range cannot be read: {error}");
        ImageLimits::default()
    }))
}

impl Counts {
    /// Different references that are wanted, and different images of the history.
    pub(crate) fn of(rows: &impl Rows, repository: RepositoryId) -> Result<Self, StoreError> {
        let range = KeyRange::prefix(&repository);
        let mut wanted = HashSet::new();
        for (_, record) in rows.rows(&SPEC_TAGS, &range, ALL)? {
            wanted.extend(record.tag.from.map(|from| (from.kind, from.namespace, from.name)));
        }
        let mut images = HashSet::new();
        for (_, event) in rows.rows(&TAG_EVENTS, &range, ALL)? {
            let item = event.item;
            images.insert(if item.image.is_empty() { item.reference } else { item.image });
        }
        Ok(Self { tags: wanted.len(), images: images.len() })
    }

    /// Whether a stream may grow to this.
    pub(crate) fn check(&self, before: &Self, limits: &ImageLimits) -> Result<(), LimitExceeded> {
        if self.tags > before.tags {
            limits.check_tags(self.tags)?;
        }
        if self.images > before.images {
            limits.check_images(self.images)?;
        }
        Ok(())
    }
}

/// The bytes of an image: its config and its layers, each once.
pub(crate) fn image_bytes(header: &ManifestHeader) -> i64 {
    let bytes = header.blobs().iter().fold(0_u64, |sum, part| sum.saturating_add(part.size));
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Images {
    /// What the limits of a namespace say to an image that was fetched for it; `None` where it is not too large.
    pub fn size_refusal(
        &self,
        namespace: &str,
        fetched: &FetchedImage,
    ) -> Result<Option<LimitExceeded>, StoreError> {
        let limits = self.store().read(|tx| image_limits(tx, namespace))?;
        if limits.max_size().is_none() {
            return Ok(None);
        }
        let mut manifests = std::iter::once(&fetched.manifest).chain(&fetched.children);
        let size = |manifest: &crate::FetchedManifest| {
            image_bytes(&ManifestRecord::new(manifest.manifest(), None).header)
        };
        Ok(manifests.find_map(|manifest| limits.check_size(size(manifest)).err()))
    }
}
