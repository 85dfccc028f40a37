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
/// Most descriptors of an answer.
const MAX_PAGE: usize = 1_000;
/// Descriptors read in one step: each may be half a megabyte long.
const STEP: usize = 16;
/// Descriptors that one request looks at. With a filter that few of them pass, the answer is short and the list goes on.
const MAX_LOOKED_AT: usize = 4_096;

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
pub(crate) async fn get(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_pull(repository)?;
    let artifact_type = call.query().first("artifactType").filter(|filter| !filter.is_empty());
    let mut last: Option<Digest> = call.query().first("last").map(|last| last.parse()).transpose()?;
    let mut answer = Answer::new(artifact_type.as_deref());
    let mut looked_at = 0;
    let is_more = loop {
        let page = match images.referrers(&permit, digest, last.as_ref(), STEP) {
            Err(PullError::RepositoryUnknown { .. }) => break false,
            page => page?,
        };
        looked_at += page.items.len();
        let is_full = page.items.into_iter().any(|referrer| !answer.add(referrer, &mut last));
        if is_full || !page.more || looked_at >= MAX_LOOKED_AT {
            break is_full || page.more;
        }
        tokio::task::yield_now().await;
    };
    let manifests = answer.manifests;

    let index = Index { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests };
    let media_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    let mut response = response::json_as(StatusCode::OK, media_type, &index);
    if artifact_type.is_some() {
        response.headers_mut().insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = last.filter(|_| is_more) {
        let last = last.to_string();
        let filter = artifact_type.as_deref().map(|filter| ("artifactType", filter));
        let parameters: Vec<_> = filter.into_iter().chain([("last", last.as_str())]).collect();
        let link = next_link(&format!("/v2/{repository}/referrers/{digest}"), &parameters);
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// The descriptors of one answer.
struct Answer<'f> {
    artifact_type: Option<&'f str>,
    manifests: Vec<Box<RawValue>>,
    bytes_left: usize,
}

impl<'f> Answer<'f> {
    const fn new(artifact_type: Option<&'f str>) -> Self {
        Self { artifact_type, manifests: Vec::new(), bytes_left: MAX_BYTES - 1024 }
    }

    /// Adds a descriptor, or leaves it out where it is not asked for; `last` is then the last one that was looked at. False
    /// if there is no room.
    fn add(&mut self, referrer: Descriptor, last: &mut Option<Digest>) -> bool {
        let found = referrer.artifact_type.as_ref().map(|found| found.as_str());
        if self.artifact_type.is_none() || found == self.artifact_type {
            let text = serde_json::value::to_raw_value(&referrer).expect("descriptors have string keys");
            let length = text.get().len() + 1;
            let is_first = self.manifests.is_empty();
            if !is_first && (length > self.bytes_left || self.manifests.len() == MAX_PAGE) {
                return false;
            }
            self.bytes_left = self.bytes_left.saturating_sub(length);
            self.manifests.push(text);
        }
        *last = Some(referrer.digest);
        true
    }
}

#[cfg(test)]
mod tests {
    use pierhead_oci::{Descriptor, Digest, MediaType};

    use super::Answer;

    /// How many of `count` referrers each answer holds, when their notes have so many bytes.
    #[track_caller]
    fn check(count: u32, note_bytes: usize, filter: Option<&str>, expected: &[usize]) {
        let referrers = (0..count).map(|number| {
            let digest = Digest::sha256(&number.to_be_bytes());
            let mut referrer = Descriptor::new(MediaType::OCI_MANIFEST, digest, 1);
            referrer.annotations.insert("note".into(), "x".repeat(note_bytes));
            referrer
        });
        let mut referrers = referrers.collect::<Vec<_>>().into_iter().peekable();
        let (mut pages, mut last) = (Vec::new(), None);
        while referrers.peek().is_some() {
            let mut answer = Answer::new(filter);
            while referrers.next_if(|referrer| answer.add(referrer.clone(), &mut last)).is_some() {}
            let length: usize = answer.manifests.iter().map(|manifest| manifest.get().len()).sum();
            assert!(length < 4 << 20, "{length}");
            pages.push(answer.manifests.len());
        }
        assert_eq!(pages, expected);
        assert_eq!(last, Some(Digest::sha256(&(count - 1).to_be_bytes())));
    }

    #[test]
    fn pages_hold_every_referrer_once() {
        check(104, 300 << 10, None, &[13; 8]);
        check(1_000, 10, None, &[1_000]);
        check(1_001, 10, None, &[1_000, 1]);
        check(104, 300 << 10, Some("application/x-other"), &[0]);
    }
}
