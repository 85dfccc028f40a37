//! `/v2/<name>/blobs/uploads/`: how blobs arrive, whole, in chunks, or from another repository.
//!
//! An upload takes bytes only in order, and only from one request at a time; whoever lost its connection asks where
//! to go on. Bytes go to storage as they come, and become a blob when their digest was checked.

use http::StatusCode;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use pierhead_auth::{Permit, Push};
use pierhead_blobs::UploadId;
use pierhead_images::{Images, Mount, MountSource, OpenUpload};
use pierhead_oci::Digest;

use crate::body::RequestBody;
use crate::call::Call;
use crate::error::RegistryError;
use crate::ranges::{Chunk, received};
use crate::response::{self, DOCKER_UPLOAD_UUID, Response};
use crate::route::Repository;

/// `POST /v2/<name>/blobs/uploads/` starts an upload (202). With `mount` it first looks whether the blob can be had
/// from a repository that the caller may read, and with `digest` the body is the whole blob; both may end with 201.
pub(crate) async fn post(
    images: &Images,
    call: &Call<'_>,
    body: RequestBody,
    repository: &Repository,
) -> Result<Response, RegistryError> {
    let permit = call.permit_push(repository)?;
    let query = call.query();
    if let Some(digest) = query.first("mount") {
        let digest: Digest = digest.parse()?;
        if mount(images, call, &permit, &digest).await? {
            return Ok(stored(repository, &digest));
        }
    }
    let digest: Option<Digest> = query.first("digest").map(|digest| digest.parse()).transpose()?;
    let id = images.start_upload(&permit).await?;
    let Some(digest) = digest else {
        return Ok(progress(StatusCode::ACCEPTED, repository, id, 0));
    };
    let mut upload = images.upload(&permit, id).await?;
    if let Err(error) = receive(&mut upload, body, None).await {
        // Nobody has learnt the name of this upload, so nobody could go on with it.
        upload.cancel().await?;
        return Err(error);
    }
    upload.commit(&digest).await?;
    Ok(stored(repository, &digest))
}

/// Takes the blob over from another repository, if the caller may read it there. Which of the two is missing is not
/// told: the caller uploads instead.
async fn mount(
    images: &Images,
    call: &Call<'_>,
    permit: &Permit<Push>,
    digest: &Digest,
) -> Result<bool, RegistryError> {
    let subject = permit.subject();
    let outcome = match call.query().first("from") {
        Some(from) => {
            let source = Repository::parse(&from).ok().and_then(|from| call.permit_source(subject, &from));
            match source {
                Some(source) => images.mount(permit, digest, MountSource::From(&source)).await?,
                None => Mount::NotMounted,
            }
        }
        None => {
            let may_pull = |project: &str, stream: &str| call.may_pull(subject, project, stream);
            images.mount(permit, digest, MountSource::Anywhere(&may_pull)).await?
        }
    };
    Ok(matches!(outcome, Mount::Mounted { .. }))
}

/// `GET` and `HEAD /v2/<name>/blobs/uploads/<id>` tell how much has arrived (204).
pub(crate) fn get(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    id: UploadId,
) -> Result<Response, RegistryError> {
    let permit = call.permit_push(repository)?;
    let offset = images.upload_offset(&permit, id)?;
    Ok(progress(StatusCode::NO_CONTENT, repository, id, offset))
}

/// `PATCH /v2/<name>/blobs/uploads/<id>` appends the body (202). With `Content-Range` the body must begin where the
/// upload ends, else 416 tells where that is.
pub(crate) async fn patch(
    images: &Images,
    call: &Call<'_>,
    body: RequestBody,
    repository: &Repository,
    id: UploadId,
) -> Result<Response, RegistryError> {
    let permit = call.permit_push(repository)?;
    let mut upload = images.upload(&permit, id).await?;
    let chunk = expected_chunk(call, &body, repository, id, upload.offset())?;
    let outcome = receive(&mut upload, body, chunk).await;
    // What came before a connection broke is kept: the client goes on from there.
    let offset = upload.suspend().await?;
    outcome?;
    Ok(progress(StatusCode::ACCEPTED, repository, id, offset))
}

/// `PUT /v2/<name>/blobs/uploads/<id>?digest=` appends the body, if there is one, and ends the upload (201).
pub(crate) async fn put(
    images: &Images,
    call: &Call<'_>,
    body: RequestBody,
    repository: &Repository,
    id: UploadId,
) -> Result<Response, RegistryError> {
    let permit = call.permit_push(repository)?;
    let digest = call.query().first("digest").ok_or_else(RegistryError::no_digest)?;
    let digest: Digest = digest.parse()?;
    let mut upload = images.upload(&permit, id).await?;
    let chunk = expected_chunk(call, &body, repository, id, upload.offset())?;
    if let Err(error) = receive(&mut upload, body, chunk).await {
        upload.suspend().await?;
        return Err(error);
    }
    upload.commit(&digest).await?;
    Ok(stored(repository, &digest))
}

/// `DELETE /v2/<name>/blobs/uploads/<id>` gives the upload up (204).
pub(crate) async fn delete(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    id: UploadId,
) -> Result<Response, RegistryError> {
    let permit = call.permit_push(repository)?;
    images.upload(&permit, id).await?.cancel().await?;
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// What `Content-Range` promises, if it is there and follows what has arrived.
fn expected_chunk(
    call: &Call<'_>,
    body: &RequestBody,
    repository: &Repository,
    id: UploadId,
    offset: u64,
) -> Result<Option<Chunk>, RegistryError> {
    let Some(header) = call.headers().get(CONTENT_RANGE) else { return Ok(None) };
    let chunk = Chunk::parse(header).ok_or_else(RegistryError::unreadable_range)?;
    if chunk.start != offset {
        return Err(RegistryError::out_of_order(chunk.start, offset)
            .with_header(LOCATION, response::path_header(&location(repository, id)))
            .with_header(RANGE, received(offset))
            .with_header(DOCKER_UPLOAD_UUID, response::path_header(&id.to_string())));
    }
    match body.length() {
        Some(length) if length != chunk.length => Err(RegistryError::wrong_length(chunk.length)),
        _ => Ok(Some(chunk)),
    }
}

/// Appends the body. A piece is read when the one before was taken, so a slow disk slows the sender.
async fn receive(
    upload: &mut OpenUpload,
    mut body: RequestBody,
    chunk: Option<Chunk>,
) -> Result<(), RegistryError> {
    let mut left = chunk.map(|chunk| chunk.length);
    while let Some(bytes) = body.next().await? {
        if let (Some(chunk), Some(left)) = (chunk, &mut left) {
            let rest = left.checked_sub(bytes.len() as u64);
            *left = rest.ok_or_else(|| RegistryError::wrong_length(chunk.length))?;
        }
        upload.append(bytes).await?;
    }
    match (chunk, left) {
        (Some(chunk), Some(left)) if left > 0 => Err(RegistryError::wrong_length(chunk.length)),
        _ => Ok(()),
    }
}

fn stored(repository: &Repository, digest: &Digest) -> Response {
    response::created(&format!("/v2/{repository}/blobs/{digest}"), digest)
}

fn location(repository: &Repository, id: UploadId) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

fn progress(status: StatusCode, repository: &Repository, id: UploadId, offset: u64) -> Response {
    let mut answer = response::empty(status);
    let headers = answer.headers_mut();
    headers.insert(LOCATION, response::path_header(&location(repository, id)));
    headers.insert(RANGE, received(offset));
    headers.insert(DOCKER_UPLOAD_UUID, response::path_header(&id.to_string()));
    answer
}
