//! Pushing: blobs that are sent or mounted, and the manifests that name them.
//!
//! Owns how an upload goes on from answer to answer (distribution specification, "Pushing"). Whoever pushes sends the
//! blobs of a manifest before it.

use bytes::Bytes;
use futures_util::Stream;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pierhead_oci::{Digest, Reference};

use super::asking::{Ask, MAX_ERROR};
use super::{RemoteError, RemoteRepository, announced_digest, response_error, too_many};
use crate::egress::{Lane, Target, Upload};

/// Why content that is to be sent cannot be read to its end.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

impl RemoteRepository {
    /// Asks the registry to take a blob of `source`, another of its repositories, into this one. False if it would
    /// rather have it sent.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn mount(&self, digest: &Digest, source: &str) -> Result<bool, RemoteError> {
        let source = utf8_percent_encode(source, NON_ALPHANUMERIC);
        let path = self.path(&format!("blobs/uploads/?mount={digest}&from={source}"));
        let incomer = self.patiently(&Ask::small(Method::POST, &path, None)).await?;
        if incomer.status == StatusCode::CREATED {
            return Ok(true);
        }
        // It has begun an upload instead, which nobody will go on with.
        if let Ok(target) = self.location(&path, &incomer.headers).await {
            let cancel = Ask { target: Some(target), ..Ask::small(Method::DELETE, &path, None) };
            if let Err(error) = self.ask(&cancel, MAX_ERROR).await {
                tracing::debug!(%error, "An upload that is not needed could not be ended");
            }
        }
        Ok(false)
    }

    /// Sends a small blob.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn push_bytes(&self, digest: &Digest, content: Bytes) -> Result<(), RemoteError> {
        let (path, target) = self.begin().await?;
        let body = Some((HeaderValue::from_static("application/octet-stream"), content));
        let put = Ask {
            body,
            target: Some(with_digest(target, digest)),
            lane: Lane::Blob,
            ..Ask::small(Method::PUT, &path, None)
        };
        self.ask(&put, MAX_ERROR).await?;
        Ok(())
    }

    /// Sends a blob as it comes, `size` bytes if that is known. The registry checks that it is what `digest` says.
    ///
    /// # Errors
    /// [`RemoteError`]; nothing is tried again, as the content is gone. Its own errors end the connection.
    pub async fn push_stream<S>(
        &self,
        digest: &Digest,
        size: Option<u64>,
        content: S,
    ) -> Result<(), RemoteError>
    where
        S: Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    {
        let (path, target) = self.begin().await?;
        let base = self.base().await?;
        let authorization = self.known_authorization().await?;
        let frames = futures_util::StreamExt::map(content, |piece| piece.map(Frame::data));
        let upload = Upload {
            method: Method::PATCH,
            target: target.clone(),
            home: &base.home,
            authorization: authorization.as_ref(),
            size,
            content: StreamBody::new(frames).boxed_unsync(),
        };
        let incomer = self.shared.egress.upload(upload).await?;
        let (status, headers) = (incomer.status, incomer.headers.clone());
        let page = incomer.body.gather(MAX_ERROR).await;
        if !status.is_success() {
            let error = match status {
                StatusCode::TOO_MANY_REQUESTS => too_many(&headers),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RemoteError::Unauthorized {
                    had_credentials: authorization.is_some(),
                    wrong_password: false,
                },
                status => response_error(status),
            };
            return Err(error.told(status, &page.unwrap_or_default()));
        }
        // Where it does not say where to go on, it goes on at the same place.
        let target =
            if headers.contains_key(LOCATION) { self.location(&path, &headers).await? } else { target };
        let put = Ask { target: Some(with_digest(target, digest)), ..Ask::small(Method::PUT, &path, None) };
        // The registry may have to move what it got; it is asked as patiently as for the content itself.
        let put = Ask { lane: Lane::Blob, ..put };
        let incomer = self.patiently(&put).await?;
        drop(incomer.body.gather(MAX_ERROR).await);
        Ok(())
    }

    /// Stores a manifest under a tag or its digest, and gives the digest that the registry says it has.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        content: Bytes,
    ) -> Result<Option<Digest>, RemoteError> {
        let path = self.path(&format!("manifests/{reference}"));
        let media_type = HeaderValue::try_from(media_type)
            .map_err(|_invalid| RemoteError::Malformed { what: "media type" })?;
        let put = Ask { body: Some((media_type, content)), ..Ask::small(Method::PUT, &path, None) };
        let (headers, _) = self.ask(&put, MAX_ERROR).await?;
        Ok(announced_digest(&headers))
    }

    /// Begins an upload: the path that was asked, and where to go on.
    async fn begin(&self) -> Result<(String, Target), RemoteError> {
        let path = self.path("blobs/uploads/");
        let (headers, _) = self.ask(&Ask::small(Method::POST, &path, None), MAX_ERROR).await?;
        let target = self.location(&path, &headers).await?;
        Ok((path, target))
    }

    /// Where an answer says that the upload goes on.
    async fn location(&self, path: &str, headers: &HeaderMap) -> Result<Target, RemoteError> {
        let base = self.base().await?;
        let from = Target::at(&base.home.origin, path);
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let Some(mut target) = location.and_then(|location| from.join(location)) else {
            return Err(RemoteError::Malformed { what: "place to upload to" });
        };
        // Registries behind a proxy that ends TLS name themselves in plain HTTP, some without their port.
        if target.origin.host == base.home.origin.host && target.origin.scheme != base.home.origin.scheme {
            target.origin = base.home.origin.clone();
        }
        Ok(target)
    }
}

fn with_digest(target: Target, digest: &Digest) -> Target {
    let separator = if target.path.contains('?') { '&' } else { '?' };
    let digest = digest.to_string().replace(':', "%3A");
    Target { path: format!("{}{separator}digest={digest}", target.path), ..target }
}
