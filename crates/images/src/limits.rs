//! What limit ranges of a namespace mean for its images and streams (images 7.2).
//!
//! Owns counting what a stream has, which is done only where it is limited. Only growth is refused: a limit that was
//! lowered leaves what is there.

use std::collections::HashSet;

use pierhead_api::core::ObjectReference;
use pierhead_api::image::TagReference;
use pierhead_oci::ImageReference;
use pierhead_quota::{ImageLimits, LimitExceeded};
use pierhead_store::{KeyRange, OBJECTS, StoreError};
use tracing::warn;

use crate::Images;
use crate::import::FetchedImage;
use crate::manifest_record::{ManifestHeader, ManifestRecord};
use crate::rows::{ALL, Rows};
use crate::spec_tags::{Source, What};
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
    /// Different references that are wanted, and different images of the history, of the stream called so.
    pub(crate) fn of(
        rows: &impl Rows,
        (namespace, name): (&str, &str),
        repository: RepositoryId,
    ) -> Result<Self, StoreError> {
        let range = KeyRange::prefix(&repository);
        let mut wanted = HashSet::new();
        for (_, record) in rows.rows(&SPEC_TAGS, &range, ALL)? {
            wanted.extend(Wanted::by(&record.tag, namespace, name));
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

/// What a spec tag names, of however many spellings.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Wanted {
    /// A tag or an image of a stream.
    Stream(Source),
    /// An image of a registry.
    Registry(ImageReference),
    /// What is understood by nobody counts as it is written.
    Text { kind: String, namespace: String, name: String },
}

impl Wanted {
    /// What `tag` of a stream wants; `None` where it only holds what is pushed.
    fn by(tag: &TagReference, namespace: &str, stream: &str) -> Option<Self> {
        let from = tag.from.as_ref()?;
        if let Some(Ok(mut source)) = Source::of(tag, namespace, stream) {
            // An id may come without its algorithm. One that is shortened may be another, and counts as another.
            if let What::Image(id) = &mut source.what
                && let Some(hex) = id.strip_prefix("sha256:")
            {
                *id = hex.to_owned();
            }
            return Some(Self::Stream(source));
        }
        if from.kind == "DockerImage"
            && let Ok(reference) = from.name.parse::<ImageReference>()
        {
            return Some(Self::Registry(reference.normalized()));
        }
        let ObjectReference { kind, namespace, name, .. } = from.clone();
        Some(Self::Text { kind, namespace, name })
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

#[cfg(test)]
mod tests {
    use super::Wanted;
    use pierhead_api::image::TagReference;
    use serde_json::{Value, json};

    fn check(one: (&str, &str), other: (&str, &str), is_same: bool) {
        let wanted = |(kind, name): (&str, &str)| {
            let (namespace, name) = name.split_once("//").unwrap_or(("", name));
            let tag: Value = json!({"from": {"kind": kind, "namespace": namespace, "name": name}});
            Wanted::by(&serde_json::from_value::<TagReference>(tag).unwrap(), "shop", "web").unwrap()
        };
        assert_eq!(wanted(one) == wanted(other), is_same, "{one:?} {other:?}");
    }

    #[test]
    fn two_spellings_of_a_reference_are_one() {
        let docker = |name| ("DockerImage", name);
        check(docker("busybox"), docker("docker.io/library/busybox:latest"), true);
        check(docker("busybox"), docker("index.docker.io/busybox"), true);
        check(docker("busybox"), docker("busybox:1"), false);
        check(docker("busybox"), docker("quay.io/library/busybox"), false);
        check(docker("quay.io/a/b"), docker("quay.io/a/b:latest"), true);
        let digest = format!("quay.io/a/b@sha256:{:064}", 1);
        check(docker("quay.io/a/b"), docker(&digest), false);
        let tagged = digest.replace("b@", "b:v1@");
        check(docker(&digest), docker(&tagged), true);
        let tag = |name| ("ImageStreamTag", name);
        check(tag("web:v1"), tag("shop//web:v1"), true);
        check(tag("v1"), tag("web:v1"), true);
        check(tag("web:v1"), tag("bank//web:v1"), false);
        let image = |name| ("ImageStreamImage", name);
        check(image("web@sha256:1"), image("shop//sha256:1"), true);
        check(image("web@sha256:1"), image("web@1"), true);
        check(image("web@sha256:1"), image("web@sha256:12"), false);
        check(image("web@v1"), tag("web:v1"), false);
        // What is no reference at all is at least the same as itself.
        check(docker("A B"), docker("A B"), true);
        check(docker("A B"), docker("A C"), false);
    }
}
