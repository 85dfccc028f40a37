//! `/v2/<name>/referrers/<digest>`: which manifests say something about another one.

use http::header::{HeaderName, LINK};
use http::{HeaderValue, StatusCode};
use pierhead_images::{Images, PullError};
use pierhead_oci::{Descriptor, Digest, MediaType};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::error::RegistryError;
use crate::page::next_link;
use crate::response::{self, Response};
use crate::route::Repository;

/// Longest answer in bytes: clients read no longer manifest, and this is one.
const MAX_BYTES: usize = 4 << 20;

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// An image index in the form that clients know, its descriptors written already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: MediaType,
    manifests: Vec<Box<RawValue>>,
}

/// `GET /v2/<name>/referrers/<digest>?artifactType=`. What nobody refers to has an empty list, whether it exists or
/// not: referrers may be pushed before their subject.
pub(crate) fn get(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_pull(repository)?;
    let artifact_type = call.query().first("artifactType").filter(|filter| !filter.is_empty());
    let mut referrers = match images.referrers(&permit, digest, artifact_type.as_deref()) {
        Err(PullError::RepositoryUnknown { .. }) => Vec::new(),
        referrers => referrers?,
    };
    referrers.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
    let after: Option<Digest> = call.query().first("last").map(|last| last.parse()).transpose()?;
    let (manifests, next) = page(&referrers, after.as_ref());

    let index = Index { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests };
    let media_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    let mut response = response::json_as(StatusCode::OK, media_type, &index);
    if artifact_type.is_some() {
        response.headers_mut().insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = next {
        let last = last.to_string();
        let filter = artifact_type.as_deref().map(|filter| ("artifactType", filter));
        let parameters: Vec<_> = filter.into_iter().chain([("last", last.as_str())]).collect();
        let link = next_link(&format!("/v2/{repository}/referrers/{digest}"), &parameters);
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// As many descriptors as one answer holds, and the last of them if there are more.
fn page<'a>(referrers: &'a [Descriptor], after: Option<&Digest>) -> (Vec<Box<RawValue>>, Option<&'a Digest>) {
    let mut left = MAX_BYTES - 1024;
    let mut manifests = Vec::new();
    let mut last = None;
    for referrer in referrers.iter().filter(|referrer| after.is_none_or(|after| referrer.digest > *after)) {
        let text = serde_json::value::to_raw_value(referrer).expect("descriptors have string keys");
        let length = text.get().len() + 1;
        if length > left && last.is_some() {
            return (manifests, last);
        }
        left = left.saturating_sub(length);
        manifests.push(text);
        last = Some(&referrer.digest);
    }
    (manifests, None)
}

#[cfg(test)]
mod tests {
    use pierhead_oci::{Descriptor, Digest, MediaType};

    use super::page;

    #[test]
    fn pages_hold_every_referrer_once() {
        let mut referrers: Vec<_> = (0..40_u32)
            .map(|number| {
                let digest = Digest::sha256(&number.to_be_bytes());
                let mut referrer = Descriptor::new(MediaType::OCI_MANIFEST, digest, 1);
                referrer.annotations.insert("note".into(), "x".repeat(300 << 10));
                referrer
            })
            .collect();
        referrers.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
        let (mut count, mut pages, mut after) = (0, 0, None);
        loop {
            let (manifests, next) = page(&referrers, after);
            let length: usize = manifests.iter().map(|manifest| manifest.get().len()).sum();
            assert!(length < 4 << 20, "{length}");
            count += manifests.len();
            pages += 1;
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((count, pages), (40, 4));
    }
}
