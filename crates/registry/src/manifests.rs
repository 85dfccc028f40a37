//! `/v2/<name>/manifests/<reference>`: manifests, and the tags that point at them.

use http::header::{CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use pierhead_auth::{Permit, Pull};
use pierhead_images::{Images, PushError, StoredManifest};
use pierhead_oci::{MAX_MANIFEST_BYTES, Manifest, ManifestKind, Reference, ReferenceError, Tag};

use crate::accept::{Accept, Verdict};
use crate::body::{RequestBody, ResponseBody};
use crate::call::Call;
use crate::contents::Contents;
use crate::error::RegistryError;
use crate::response::{self, DOCKER_CONTENT_DIGEST, Response};
use crate::route::Repository;

/// Most tags that one push by digest may set.
const MAX_TAGS: usize = 64;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// `GET` and `HEAD /v2/<name>/manifests/<reference>`.
pub(crate) async fn get(
    contents: Contents<'_>,
    call: &Call<'_>,
    repository: &Repository,
    reference: &Reference,
) -> Result<Response, RegistryError> {
    let permit = call.permit_pull(repository)?;
    let stored = contents.manifest(&permit, reference).await?;
    let manifest = match Accept::of(call.headers()).verdict(&stored.media_type) {
        Verdict::Hide(message) => return Err(RegistryError::unacceptable(message)),
        Verdict::SendChild if matches!(reference, Reference::Tag(_)) => {
            common_child(contents, &permit, &stored).await?
        }
        Verdict::Send | Verdict::SendChild => stored,
    };
    let digest = &manifest.digest;
    let mut answer = if response::is_known(call.headers().get(IF_NONE_MATCH), digest) {
        response::empty(StatusCode::NOT_MODIFIED)
    } else {
        response::with_body(StatusCode::OK, ResponseBody::bytes(manifest.bytes.clone()))
    };
    let headers = answer.headers_mut();
    let media_type = HeaderValue::from_str(&manifest.media_type).expect("stored media types were parsed");
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(DOCKER_CONTENT_DIGEST, response::digest_header(digest));
    headers.insert(ETAG, response::etag(digest));
    Ok(answer)
}

/// The image that clients without lists expect: for linux on amd64.
async fn common_child(
    contents: Contents<'_>,
    permit: &Permit<Pull>,
    list: &StoredManifest,
) -> Result<StoredManifest, RegistryError> {
    let parsed = Manifest::parse(&list.media_type, &*list.bytes)?;
    let children = match parsed.kind() {
        ManifestKind::Index { manifests } => manifests.as_slice(),
        ManifestKind::Image { .. } => &[],
    };
    let is_common = |child: &&pierhead_oci::Descriptor| {
        child
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
    };
    let child = children.iter().find(is_common).ok_or_else(|| {
        RegistryError::unacceptable("manifest list found, but it has no image for linux on amd64")
    })?;
    contents.manifest(permit, &Reference::Digest(child.digest.clone())).await
}

/// `PUT /v2/<name>/manifests/<reference>?tag=…` stores a manifest and moves every tag that is named. The stream is
/// created with the first push, by the caller's own right.
pub(crate) async fn put(
    contents: Contents<'_>,
    call: &Call<'_>,
    body: RequestBody,
    repository: &Repository,
    reference: &Reference,
) -> Result<Response, RegistryError> {
    let permit = call.permit_push(repository)?;
    let extra_tags = extra_tags(call)?;
    let content_type = call.headers().get(CONTENT_TYPE).map(HeaderValue::to_str).and_then(Result::ok);
    let bytes = body.gather(MAX_MANIFEST_BYTES).await?;
    let read = || Manifest::parse(content_type.unwrap_or_default(), &bytes[..]);
    let manifest = read()?;
    let create = call.permit_create_stream(&permit);
    let images = contents.images;
    let push = |manifest| images.push_manifest(&permit, create.as_ref(), reference, &extra_tags, manifest);
    let pushed = match push(manifest).await {
        // We may have told the client that these are here, since they can be fetched.
        Err(PushError::MissingBlobs { digests }) if contents.can_fetch() => {
            contents.fetch_blobs(&call.permit_pull(repository)?, &digests).await?;
            push(read()?).await?
        }
        pushed => pushed?,
    };

    let location = format!("/v2/{repository}/manifests/{}", pushed.digest);
    let mut answer = response::created(&location, &pushed.digest);
    if let Some(subject) = &pushed.subject {
        answer.headers_mut().insert(OCI_SUBJECT, response::digest_header(subject));
    }
    for tag in &extra_tags {
        let tag = HeaderValue::from_str(tag.as_str()).expect("tags are letters, digits and `_.-`");
        answer.headers_mut().append(OCI_TAG, tag);
    }
    Ok(answer)
}

fn extra_tags(call: &Call<'_>) -> Result<Vec<Tag>, RegistryError> {
    let tags: Result<Vec<Tag>, _> =
        call.query().all("tag").take(MAX_TAGS + 1).map(|tag| tag.parse()).collect();
    let tags = tags.map_err(ReferenceError::Tag)?;
    if tags.len() > MAX_TAGS {
        return Err(RegistryError::too_many_tags(MAX_TAGS));
    }
    Ok(tags)
}

/// `DELETE /v2/<name>/manifests/<reference>`: by tag the tag goes and its manifest stays; by digest the manifest.
pub(crate) async fn delete(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    reference: &Reference,
) -> Result<Response, RegistryError> {
    let permit = call.permit_delete(repository)?;
    match reference {
        Reference::Tag(tag) => images.delete_tag(&permit, tag).await?,
        Reference::Digest(digest) => images.delete_manifest(&permit, digest).await?,
    }
    Ok(response::empty(StatusCode::ACCEPTED))
}
