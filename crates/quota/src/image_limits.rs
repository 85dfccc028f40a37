//! Limits on images and image streams, as a namespace's limit ranges set them (images 7.2).

use pierhead_api::core::{LimitRange, Quantity};
use pierhead_api::{DecodeError, Object as _, from_slice};
use pierhead_store::KeyRange;

const IMAGE: &str = "openshift.io/Image";
const STREAM: &str = "openshift.io/ImageStream";
const SIZE: &str = "storage";
const TAGS: &str = "openshift.io/image-tags";
const IMAGES: &str = "openshift.io/images";

/// The smallest of all limits of a namespace, of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageLimits {
    size: Option<Quantity>,
    tags: Option<Quantity>,
    images: Option<Quantity>,
}

/// More than a limit allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("requested usage of {resource} exceeds the maximum limit per {limit_type} ({requested} > {limit})")]
pub struct LimitExceeded {
    limit_type: &'static str,
    resource: &'static str,
    requested: Quantity,
    limit: Quantity,
}

impl ImageLimits {
    /// Where the limit ranges of a namespace are in the table of objects.
    pub fn range(namespace: &str) -> KeyRange {
        KeyRange::prefix(&(LimitRange::PLURAL, namespace))
    }

    /// The limits that documents of limit ranges set.
    pub fn read<'d>(documents: impl IntoIterator<Item = &'d [u8]>) -> Result<Self, DecodeError> {
        let mut limits = Self::default();
        for document in documents {
            let range: LimitRange = from_slice(document)?;
            for item in &range.spec.limits {
                let max = |resource: &str| item.max.get(resource).copied();
                match item.limit_type.as_str() {
                    IMAGE => lower(&mut limits.size, max(SIZE)),
                    STREAM => {
                        lower(&mut limits.tags, max(TAGS));
                        lower(&mut limits.images, max(IMAGES));
                    }
                    _ => {}
                }
            }
        }
        Ok(limits)
    }

    /// Whether streams are limited.
    pub const fn limits_streams(&self) -> bool {
        self.tags.is_some() || self.images.is_some()
    }

    /// The most bytes an image, and so any blob of it, may have.
    pub fn max_size(&self) -> Option<i64> {
        self.size.map(|size| size.value())
    }

    /// Whether an image or a blob may be so large.
    pub fn check_size(&self, bytes: i64) -> Result<(), LimitExceeded> {
        check(self.size, Quantity::bytes(bytes), IMAGE, SIZE)
    }

    /// Whether a stream may want so many different images.
    pub fn check_tags(&self, count: usize) -> Result<(), LimitExceeded> {
        check(self.tags, whole(count), STREAM, TAGS)
    }

    /// Whether a stream's history may have so many different images.
    pub fn check_images(&self, count: usize) -> Result<(), LimitExceeded> {
        check(self.images, whole(count), STREAM, IMAGES)
    }
}

fn lower(limit: &mut Option<Quantity>, other: Option<Quantity>) {
    *limit = match (*limit, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

fn whole(count: usize) -> Quantity {
    Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX))
}

fn check(
    limit: Option<Quantity>,
    requested: Quantity,
    limit_type: &'static str,
    resource: &'static str,
) -> Result<(), LimitExceeded> {
    match limit.filter(|limit| requested > *limit) {
        Some(limit) => Err(LimitExceeded { limit_type, resource, requested, limit }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::ImageLimits;

    fn limits(texts: &[&str]) -> ImageLimits {
        let documents: Vec<String> = texts
            .iter()
            .map(|limits| {
                format!(
                    r#"{{"apiVersion":"v1","kind":"LimitRange","metadata":{{"name":"l"}},"spec":{{"limits":[{limits}]}}}}"#
                )
            })
            .collect();
        ImageLimits::read(documents.iter().map(String::as_bytes)).unwrap()
    }

    #[test]
    fn the_smallest_limit_counts() {
        let none = limits(&[r#"{"type":"Pod","max":{"storage":"1"}}"#]);
        assert_eq!((none, none.check_size(i64::MAX)), (ImageLimits::default(), Ok(())));
        let two = limits(&[
            r#"{"type":"openshift.io/Image","max":{"storage":"1Gi"}}"#,
            r#"{"type":"openshift.io/Image","max":{"storage":"1Ki"}},{"type":"openshift.io/ImageStream","max":{"openshift.io/images":2}}"#,
        ]);
        assert_eq!((two.check_size(1024), two.check_tags(99)), (Ok(()), Ok(())));
        assert_eq!(
            two.check_size(1536).unwrap_err().to_string(),
            "requested usage of storage exceeds the maximum limit per openshift.io/Image (1536 > 1Ki)"
        );
        assert_eq!(
            two.check_images(3).unwrap_err().to_string(),
            "requested usage of openshift.io/images exceeds the maximum limit per openshift.io/ImageStream (3 > 2)"
        );
    }
}
