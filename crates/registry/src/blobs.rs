//! `/v2/<name>/blobs/<digest>`: layers and configurations, read whole or in part; and the blobs that pruners remove.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use pierhead_images::{Images, PrunedBlob};
use pierhead_oci::Digest;

use crate::call::Call;
use crate::contents::{Contents, Looking};
use crate::error::RegistryError;
use crate::ranges::{Wanted, wanted};
use crate::response::{self, DOCKER_CONTENT_DIGEST, Response};
use crate::route::Repository;

/// `GET` and `HEAD /v2/<name>/blobs/<digest>`.
pub(crate) async fn get(
    contents: Contents<'_>,
    call: &Call<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_pull(repository)?;
    let is_known = response::is_known(call.headers().get(IF_NONE_MATCH), digest);
    let wanted = if call.is_head() || is_known { Looking::AtHead } else { Looking::AtBytes };
    let blob = contents.blob(&permit, digest, wanted).await?;
    if is_known {
        return Ok(with_headers(response::empty(StatusCode::NOT_MODIFIED), digest));
    }
    let size = blob.size();
    let mut answer = match range(call, digest, size) {
        Wanted::Unsatisfiable => {
            let content_range = header(&format!("bytes */{size}"));
            return Err(RegistryError::unsatisfiable(size).with_header(CONTENT_RANGE, content_range));
        }
        Wanted::All if call.is_head() => {
            let mut answer = response::empty(StatusCode::OK);
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
            answer
        }
        Wanted::All => response::with_body(StatusCode::OK, blob.open(None).await?),
        Wanted::Part(range) => {
            let content_range = header(&format!("bytes {}-{}/{size}", range.start, range.end - 1));
            let body = blob.open(Some(range)).await?;
            let mut answer = response::with_body(StatusCode::PARTIAL_CONTENT, body);
            answer.headers_mut().insert(CONTENT_RANGE, content_range);
            answer
        }
    };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(with_headers(answer, digest))
}

/// `DELETE /v2/<name>/blobs/<digest>` takes the blob out of the repository; others keep it.
pub(crate) async fn delete(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_delete(repository)?;
    images.delete_blob(&permit, digest).await?;
    Ok(response::empty(StatusCode::ACCEPTED))
}

/// `DELETE /admin/blobs/<digest>`, as pruners ask for when they have taken a blob out of every repository (images 6.1).
/// What a repository still serves, or got meanwhile, is left: it goes when nothing needs it, and the pruner has done its
/// part (202).
pub(crate) async fn prune(
    images: &Images,
    call: &Call<'_>,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_prune()?;
    Ok(response::empty(match images.prune_blob(&permit, digest).await? {
        PrunedBlob::Removed => StatusCode::NO_CONTENT,
        PrunedBlob::Needed => StatusCode::ACCEPTED,
    }))
}

/// A range counts for `GET` only, and only if what the client has a part of is this blob.
fn range(call: &Call<'_>, digest: &Digest, size: u64) -> Wanted {
    let headers: &HeaderMap = call.headers();
    let same = headers.get(IF_RANGE).is_none_or(|condition| response::is_known(Some(condition), digest));
    if call.is_head() || !same { Wanted::All } else { wanted(headers.get(RANGE), size) }
}

fn with_headers(mut answer: Response, digest: &Digest) -> Response {
    let headers = answer.headers_mut();
    headers.insert(DOCKER_CONTENT_DIGEST, response::digest_header(digest));
    headers.insert(ETAG, response::etag(digest));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"));
    answer
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ranges are digits")
}
