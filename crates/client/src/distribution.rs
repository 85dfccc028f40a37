//! Registries as a client sees them: manifests, blobs and tags of one repository elsewhere.
//!
//! Owns the distribution protocol from the asking side: finding out how a host is reached, challenges and tokens, which
//! credentials are tried, pages, and that content is what its digest says. How requests travel is `egress`'s business.

mod asking;
mod challenge;
mod error;
mod known_hosts;
mod ping;
mod push;
mod tags;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pierhead_oci::{Algorithm, Digest, MAX_MANIFEST_BYTES, Manifest, Reference};
use tokio::sync::Mutex;

pub use error::RemoteError;
pub use push::SourceError;

pub(crate) use known_hosts::KnownHosts;

use crate::egress::{Egress, EgressBody, Incomer, Lane};
use crate::keyring::{Keyring, RegistryCredential, is_docker_hub};
use asking::Ask;
use challenge::Challenge;
use token::Authorization;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json",
);

/// A repository of some registry, as an image reference names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteName {
    /// `host` or `host:port`.
    pub host: String,
    /// Path of the repository, such as `library/busybox`.
    pub repository: String,
    /// Whether certificates are not verified, and plain HTTP is tried.
    pub insecure: bool,
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

/// A repository elsewhere, and the credentials there are for it. Clones share tokens.
#[derive(Clone)]
pub struct RemoteRepository {
    shared: Arc<Shared>,
    retries: bool,
}

struct Shared {
    egress: Egress,
    name: RemoteName,
    /// The path that the registry knows.
    path: String,
    keyring: Keyring,
    /// Who is asked as, in this order; `None` is nobody.
    candidates: Vec<Option<RegistryCredential>>,
    /// What tokens are asked for.
    scopes: Vec<String>,
    access: Mutex<Access>,
}

/// What was learned of the candidates.
#[derive(Default)]
struct Access {
    /// Which one got an answer last.
    preferred: Option<usize>,
    /// What the registry wanted of them.
    challenge: Option<Challenge>,
    authorizations: HashMap<usize, Authorization>,
}

/// A manifest as a registry sent it, verified.
#[derive(Clone, Debug)]
pub struct RemoteManifest {
    /// Its format.
    pub media_type: String,
    /// What its bytes hash to; what was asked for, if that was a digest.
    pub digest: Digest,
    /// As they came.
    pub bytes: Bytes,
    /// The same, read.
    pub manifest: Manifest,
}

/// A blob on its way. Not verified: whoever stores it does that.
pub struct RemoteBlob {
    /// How long it is, if the registry said so.
    pub size: Option<u64>,
    body: EgressBody,
    /// What was received, and is still to be given.
    held: Bytes,
}

impl fmt::Debug for RemoteBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBlob").field("size", &self.size).finish_non_exhaustive()
    }
}

impl RemoteBlob {
    /// The next bytes, or `None` at the end. Ends with an error when the sender stands still.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        if !self.held.is_empty() {
            return Ok(Some(std::mem::take(&mut self.held)));
        }
        Ok(self.body.next().await?)
    }

    /// Passes over so many bytes.
    async fn skip(&mut self, mut count: u64) -> Result<(), RemoteError> {
        while count > 0 {
            let Some(mut piece) = self.next().await? else { break };
            let over = usize::try_from(count).unwrap_or(usize::MAX).min(piece.len());
            self.held = piece.split_off(over);
            count -= over as u64;
        }
        Ok(())
    }
}

impl fmt::Debug for RemoteRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteRepository").field(&self.shared.name).finish()
    }
}

impl RemoteRepository {
    /// Asks nothing yet. A name that is none is an error of every question.
    #[must_use]
    pub fn new(egress: &Egress, name: RemoteName, keyring: Keyring) -> Self {
        Self::with_actions(egress, name, keyring, "pull", &[])
    }

    /// The same, to push to. Blobs may be mounted from the repositories at the same registry that `sources` names.
    #[must_use]
    pub fn to_push(egress: &Egress, name: RemoteName, keyring: Keyring, sources: &[String]) -> Self {
        Self::with_actions(egress, name, keyring, "pull,push", sources)
    }

    fn with_actions(
        egress: &Egress,
        name: RemoteName,
        keyring: Keyring,
        actions: &str,
        sources: &[String],
    ) -> Self {
        let hub = is_docker_hub(&name.host.to_ascii_lowercase());
        let path = match name.repository.as_str() {
            official if hub && !official.contains('/') => format!("library/{official}"),
            path => path.to_owned(),
        };
        let found = keyring.candidates(&name.host, &path);
        let candidates = found.into_iter().map(Some).chain([None]).collect();
        let egress = egress.clone();
        let readable = sources.iter().filter(|source| **source != path);
        let readable = readable.map(|source| format!("repository:{source}:pull"));
        let scopes = [format!("repository:{path}:{actions}")].into_iter().chain(readable).collect();
        let shared = Shared { egress, name, path, keyring, candidates, scopes, access: Mutex::default() };
        Self { shared: Arc::new(shared), retries: true }
    }

    /// The same, but failures are answers at once: for callers whose own clients try again.
    #[must_use]
    pub fn without_retries(mut self) -> Self {
        self.retries = false;
        self
    }

    /// Which repository it is.
    #[must_use]
    pub fn name(&self) -> &RemoteName {
        &self.shared.name
    }

    /// A manifest by tag or digest.
    ///
    /// # Errors
    /// [`RemoteError`]; also when its bytes do not hash to the digest that was asked for or announced.
    pub async fn manifest(&self, reference: &Reference) -> Result<RemoteManifest, RemoteError> {
        let path = self.path(&format!("manifests/{reference}"));
        let ask = Ask::small(Method::GET, &path, Some(MANIFESTS));
        let (headers, body) = self.ask(&ask, MAX_MANIFEST_BYTES).await?;
        let announced = announced_digest(&headers);
        let wanted = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => None,
        };
        let algorithm = wanted.as_ref().or(announced.as_ref()).map_or(Algorithm::Sha256, Digest::algorithm);
        let actual = Digest::of(algorithm, &body);
        for expected in [wanted, announced].into_iter().flatten() {
            let actual = if expected.algorithm() == algorithm {
                actual.clone()
            } else {
                Digest::of(expected.algorithm(), &body)
            };
            if actual != expected {
                return Err(RemoteError::Mismatch { expected: Box::new(expected), actual: Box::new(actual) });
            }
        }
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let manifest = Manifest::parse(content_type, &body[..])?;
        let media_type = manifest.media_type().as_str().to_owned();
        Ok(RemoteManifest { media_type, digest: actual, bytes: body, manifest })
    }

    /// A blob, as it comes.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn blob(&self, digest: &Digest) -> Result<RemoteBlob, RemoteError> {
        let path = self.path(&format!("blobs/{digest}"));
        let ask = Ask { lane: Lane::Blob, ..Ask::small(Method::GET, &path, None) };
        let Incomer { body, .. } = self.patiently(&ask).await?;
        Ok(RemoteBlob { size: body.length(), body, held: Bytes::new() })
    }

    /// A blob without its first `start` bytes, which came before the connection broke. A registry that sends all of it
    /// is listened to until then.
    ///
    /// # Errors
    /// [`RemoteError`]; also when the registry sends another part.
    pub async fn blob_from(&self, digest: &Digest, start: u64) -> Result<RemoteBlob, RemoteError> {
        let path = self.path(&format!("blobs/{digest}"));
        let range = HeaderValue::try_from(format!("bytes={start}-"));
        let range = Some(range.map_err(|_invalid| RemoteError::Malformed { what: "range" })?);
        let ask = Ask { lane: Lane::Blob, range, ..Ask::small(Method::GET, &path, None) };
        let Incomer { status, headers, body, .. } = self.patiently(&ask).await?;
        let mut blob = RemoteBlob { size: body.length(), body, held: Bytes::new() };
        if status != StatusCode::PARTIAL_CONTENT {
            blob.skip(start).await?;
            return Ok(blob);
        }
        let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
        match range.strip_prefix("bytes ").and_then(|range| range.split_once('-')) {
            Some((first, _)) if first.parse() == Ok(start) => Ok(blob),
            _ => Err(RemoteError::Malformed { what: "part of a blob that was asked for" }),
        }
    }

    /// Whether the registry has a blob, and how long it says that is.
    ///
    /// # Errors
    /// [`RemoteError::NotFound`] if it has none.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RemoteError> {
        let path = self.path(&format!("blobs/{digest}"));
        let (headers, _) = self.ask(&Ask::small(Method::HEAD, &path, None), 0).await?;
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        Ok(length.and_then(|length| length.parse().ok()))
    }

    /// A blob of at most `limit` bytes, verified: the configuration of an image.
    ///
    /// # Errors
    /// [`RemoteError`]; also when its bytes do not hash to `digest`.
    pub async fn small_blob(&self, digest: &Digest, limit: usize) -> Result<Bytes, RemoteError> {
        let path = self.path(&format!("blobs/{digest}"));
        let (_, body) = self.ask(&Ask::small(Method::GET, &path, None), limit).await?;
        let actual = Digest::of(digest.algorithm(), &body);
        if actual != *digest {
            return Err(RemoteError::Mismatch {
                expected: Box::new(digest.clone()),
                actual: Box::new(actual),
            });
        }
        Ok(body)
    }

    fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.shared.path)
    }
}

fn announced_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DOCKER_CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

fn too_many(headers: &HeaderMap) -> RemoteError {
    // A date instead of seconds is rare, and as good as nothing said.
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    RemoteError::TooManyRequests { retry_after: seconds.map(Duration::from_secs) }
}

fn response_error(status: StatusCode) -> RemoteError {
    match status.as_u16() {
        404 => RemoteError::NotFound,
        status @ 500.. => RemoteError::Unavailable { status },
        status => RemoteError::Unexpected { status },
    }
}
