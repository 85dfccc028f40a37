//! Registries as a client sees them: manifests, blobs and tags of one repository elsewhere.
//!
//! Owns the distribution protocol from the asking side: finding out how a host is reached, challenges and tokens, which
//! credentials are tried, pages, and that content is what its digest says. How requests travel is `egress`'s business.

mod challenge;
mod error;
mod known_hosts;
mod token;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, LINK, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pierhead_oci::{Algorithm, Digest, MAX_MANIFEST_BYTES, Manifest, Reference, RepositoryName, Tag};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use error::RemoteError;
pub(crate) use known_hosts::KnownHosts;

use crate::egress::{
    Egress, EgressBody, EgressError, Home, Incomer, Lane, Mode, Origin, Outgoing, Scheme, Target,
};
use crate::keyring::{Keyring, RegistryCredential, is_docker_hub};
use challenge::Challenge;
use known_hosts::Base;
use token::{Authorization, TokenOutcome, TokenRequest};

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json",
);
/// Where Docker Hub's registry is in fact.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// Longest page of tags, in bytes.
const MAX_PAGE: usize = 4 << 20;
/// Pages read of one list.
const MAX_PAGES: usize = 200;
/// Longest error page that is read before its connection is used again.
const MAX_ERROR: usize = 64 << 10;
const PING_LIMIT: Duration = Duration::from_secs(15);

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
    access: Mutex<Access>,
}

/// What was learned of the candidates.
#[derive(Default)]
struct Access {
    /// Which one got an answer last.
    preferred: Option<usize>,
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
}

impl fmt::Debug for RemoteBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBlob").field("size", &self.size).finish_non_exhaustive()
    }
}

impl RemoteBlob {
    /// The next bytes, or `None` at the end. Ends with an error when the sender stands still.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        Ok(self.body.next().await?)
    }
}

/// One request of the protocol.
struct Ask<'a> {
    method: Method,
    /// Path and query.
    path: &'a str,
    accept: Option<HeaderValue>,
    lane: Lane,
}

impl<'a> Ask<'a> {
    const fn small(method: Method, path: &'a str, accept: Option<HeaderValue>) -> Self {
        Self { method, path, accept, lane: Lane::Small }
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
        let hub = is_docker_hub(&name.host.to_ascii_lowercase());
        let path = match name.repository.as_str() {
            official if hub && !official.contains('/') => format!("library/{official}"),
            path => path.to_owned(),
        };
        let found = keyring.candidates(&name.host, &path);
        let candidates = found.into_iter().map(Some).chain([None]).collect();
        let egress = egress.clone();
        let shared = Shared { egress, name, path, keyring, candidates, access: Mutex::default() };
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

    /// What a tag points at, without fetching it; `None` when the registry does not say.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn manifest_digest(&self, tag: &Tag) -> Result<Option<Digest>, RemoteError> {
        let path = self.path(&format!("manifests/{tag}"));
        let (headers, _) = self.ask(&Ask::small(Method::HEAD, &path, Some(MANIFESTS)), 0).await?;
        Ok(announced_digest(&headers))
    }

    /// A blob, as it comes.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn blob(&self, digest: &Digest) -> Result<RemoteBlob, RemoteError> {
        let path = self.path(&format!("blobs/{digest}"));
        let ask = Ask { method: Method::GET, path: &path, accept: None, lane: Lane::Blob };
        let Incomer { body, .. } = self.patiently(&ask).await?;
        Ok(RemoteBlob { size: body.length(), body })
    }

    /// Whether the registry has a blob, and how long it says that is.
    ///
    /// # Errors
    /// [`RemoteError::NotFound`] if it has none.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RemoteError> {
        let path = self.path(&format!("blobs/{digest}"));
        let (headers, _) = self.ask(&Ask::small(Method::HEAD, &path, None), 0).await?;
        let length = headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
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

    /// The tags, at most `limit` of them, in the registry's order. A list that leads back to itself ends there.
    ///
    /// # Errors
    /// [`RemoteError`]; also when the list goes on at another host.
    pub async fn tags(&self, limit: usize) -> Result<Vec<String>, RemoteError> {
        let mut path = self.path(&format!("tags/list?n={}", limit.clamp(1, 1_000)));
        let (mut names, mut known, mut pages) = (Vec::new(), HashSet::new(), HashSet::new());
        while pages.len() < MAX_PAGES && pages.insert(path.clone()) {
            let (headers, body) = self.ask(&Ask::small(Method::GET, &path, None), MAX_PAGE).await?;
            let Ok(page) = serde_json::from_slice::<TagPage>(&body) else {
                return Err(RemoteError::Malformed { what: "list of tags" });
            };
            let before = names.len();
            // Some registries list an empty name; imports take it for the usual one.
            let usable = |name: &String| name.is_empty() || name.parse::<Tag>().is_ok();
            for name in page.tags.unwrap_or_default().into_iter().filter(usable) {
                if names.len() == limit {
                    return Ok(names);
                }
                if known.insert(name.clone()) {
                    names.push(name);
                }
            }
            match next_page(&headers) {
                Some(next) if names.len() > before => path = self.same_origin(&path, next).await?,
                _ => return Ok(names),
            }
        }
        Ok(names)
    }

    /// The path of a link, if it stays at the registry: a list has no reason to go on elsewhere.
    async fn same_origin(&self, path: &str, next: &str) -> Result<String, RemoteError> {
        let base = self.base().await?;
        let from = Target::at(&base.home.origin, path);
        match from.join(next) {
            Some(target) if target.origin == from.origin => Ok(target.path),
            _ => Err(RemoteError::refused("the list of tags goes on at another host")),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.shared.path)
    }

    /// A whole small answer.
    async fn ask(&self, ask: &Ask<'_>, limit: usize) -> Result<(HeaderMap, Bytes), RemoteError> {
        let budget = self.shared.egress.config().small_timeout;
        let asking = async {
            let Incomer { headers, body, .. } = self.patiently(ask).await?;
            let body = if ask.method == Method::HEAD { Bytes::new() } else { body.gather(limit).await? };
            Ok((headers, body))
        };
        match tokio::time::timeout(budget, asking).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(RemoteError::Timeout { limit: budget }),
        }
    }

    /// Asks, and again when the registry fails or wants a pause that is short.
    async fn patiently(&self, ask: &Ask<'_>) -> Result<Incomer, RemoteError> {
        let policy = self.shared.egress.config().retry;
        let mut left = if self.retries { policy.retries } else { 0 };
        loop {
            let outcome = self.try_candidates(ask).await;
            let wait = match &outcome {
                Err(RemoteError::Unavailable { .. }) => policy.after_failure,
                Err(RemoteError::TooManyRequests { retry_after }) => {
                    retry_after.unwrap_or(policy.after_refusal)
                }
                _ => return outcome,
            };
            if left == 0 || wait > policy.longest_wait {
                return outcome;
            }
            left -= 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks as everybody that we can be, the one who was answered last first.
    async fn try_candidates(&self, ask: &Ask<'_>) -> Result<Incomer, RemoteError> {
        if self.shared.path.parse::<RepositoryName>().is_err() {
            return Err(RemoteError::refused("this is not the name of a repository"));
        }
        let base = self.base().await?;
        let count = self.shared.candidates.len();
        let preferred = self.shared.access.lock().await.preferred;
        let order = preferred.into_iter().chain((0..count).filter(|index| Some(*index) != preferred));
        let mut verdict = Verdict::default();
        let mut challenge = base.challenge.clone();
        for index in order {
            match self.try_candidate(ask, &base, &mut challenge, index).await {
                Ok(Attempt::Answered(incomer)) => {
                    self.shared.access.lock().await.preferred = Some(index);
                    return Ok(incomer);
                }
                Ok(Attempt::Withheld { realm }) => verdict.realm = Some(realm),
                Err(error) if error.may_be_about_credentials() => verdict.add(error),
                Err(error) => return Err(error),
            }
        }
        Err(verdict.into_error(count > 1))
    }

    async fn try_candidate(
        &self,
        ask: &Ask<'_>,
        base: &Base,
        challenge: &mut Option<Challenge>,
        index: usize,
    ) -> Result<Attempt, RemoteError> {
        let user = self.shared.candidates[index].as_ref().map_or("", |found| found.username.as_str());
        let Shared { egress, name, .. } = &*self.shared;
        if let Some(rest) = egress.known().rest(&name.host, user) {
            return Err(RemoteError::TooManyRequests { retry_after: Some(rest) });
        }
        let mut refused = None;
        // A second time with a new token, or with the challenge that the first answer brought.
        for fresh in [false, true] {
            let authorization = match self.authorization(base, challenge.as_ref(), index, fresh).await? {
                Some(Permission::Withheld { realm }) => return Ok(Attempt::Withheld { realm }),
                Some(Permission::Header(header)) => Some(header),
                None => None,
            };
            let incomer = egress
                .send(Outgoing {
                    method: ask.method.clone(),
                    target: Target::at(&base.home.origin, ask.path),
                    home: &base.home,
                    authorization: authorization.as_ref(),
                    accept: ask.accept.clone(),
                    lane: ask.lane,
                })
                .await?;
            if incomer.status.is_success() {
                return Ok(Attempt::Answered(incomer));
            }
            let error = self.failure(&incomer, user);
            let at_home = incomer.origin == base.home.origin;
            let asked = challenge::preferred(&incomer.headers).filter(|_| at_home);
            let status = incomer.status;
            // Reading the rest of a short error keeps the connection.
            if let Err(error) = incomer.body.gather(MAX_ERROR).await {
                tracing::trace!(%error, "An error page was not read to its end");
            }
            if status != StatusCode::UNAUTHORIZED {
                return Err(error);
            }
            let is_new = asked.is_some() && asked != *challenge;
            if is_new {
                challenge.clone_from(&asked);
            }
            let stale = matches!(challenge, Some(Challenge::Bearer { .. })) && authorization.is_some();
            if !(is_new || stale) {
                return Err(error);
            }
            refused = Some(error);
        }
        Err(refused.unwrap_or(RemoteError::Unauthorized { had_credentials: false, wrong_password: false }))
    }

    /// What to send with a request of a candidate. Tokens are fetched once, whoever else waits for them.
    async fn authorization(
        &self,
        base: &Base,
        challenge: Option<&Challenge>,
        index: usize,
        fresh: bool,
    ) -> Result<Option<Permission>, RemoteError> {
        let Shared { egress, keyring, path, candidates, access, .. } = &*self.shared;
        let credential = candidates[index].as_ref();
        let (realm, service) = match challenge {
            None => return Ok(None),
            Some(Challenge::Basic) => {
                return Ok(credential.map(token::basic).transpose()?.map(Permission::Header));
            }
            Some(Challenge::Bearer { realm, service }) => (realm, service.as_deref()),
        };
        let mut access = access.lock().await;
        let valid = |found: &&Authorization| found.until.is_none_or(|until| until > Instant::now());
        if let Some(known) = access.authorizations.get(&index).filter(valid).filter(|_| !fresh) {
            return Ok(Some(Permission::Header(known.header.clone())));
        }
        let request =
            TokenRequest { egress, home: &base.home, keyring, realm, service, repository: path, credential };
        Ok(Some(match request.send().await? {
            TokenOutcome::Withheld { realm } => Permission::Withheld { realm },
            TokenOutcome::Token(authorization) => {
                let header = authorization.header.clone();
                access.authorizations.insert(index, authorization);
                Permission::Header(header)
            }
        }))
    }

    fn failure(&self, incomer: &Incomer, user: &str) -> RemoteError {
        match incomer.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let error = too_many(&incomer.headers);
                if let RemoteError::TooManyRequests { retry_after: Some(rest) } = error {
                    self.shared.egress.known().let_rest(&self.shared.name.host, user, rest);
                }
                error
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RemoteError::Unauthorized { had_credentials: !user.is_empty(), wrong_password: false }
            }
            status => response_error(status),
        }
    }

    /// How the registry is reached: found out by a ping without credentials, and remembered for a minute.
    async fn base(&self) -> Result<Arc<Base>, RemoteError> {
        let Shared { egress, name, .. } = &*self.shared;
        if let Some(base) = egress.known().base(&name.host, name.insecure) {
            return Ok(base);
        }
        let base = match tokio::time::timeout(PING_LIMIT, self.ping()).await {
            Ok(base) => Arc::new(base?),
            Err(_elapsed) => return Err(RemoteError::Timeout { limit: PING_LIMIT }),
        };
        egress.known().learn(&name.host, name.insecure, &base);
        Ok(base)
    }

    async fn ping(&self) -> Result<Base, RemoteError> {
        let Shared { egress, name, .. } = &*self.shared;
        let lower = name.host.to_ascii_lowercase();
        let host = if is_docker_hub(&lower) { DOCKER_HUB } else { &lower };
        let origin = |scheme| {
            Origin::parse(scheme, host)
                .ok_or_else(|| RemoteError::refused("this is not the address of a registry"))
        };
        let plain = origin(Scheme::Http)?;
        if egress.is_own(&plain) {
            return self.ping_at(Home { origin: plain, mode: Mode::Own }).await;
        }
        let mode = if name.insecure { Mode::Insecure } else { Mode::Verified };
        let secure = self.ping_at(Home { origin: origin(Scheme::Https)?, mode }).await;
        match secure {
            Err(RemoteError::HttpOnly | RemoteError::Transport { .. }) if name.insecure => {
                self.ping_at(Home { origin: plain, mode }).await
            }
            pinged => pinged,
        }
    }

    async fn ping_at(&self, home: Home) -> Result<Base, RemoteError> {
        let outgoing = Outgoing {
            method: Method::GET,
            target: Target::at(&home.origin, "/v2/"),
            home: &home,
            authorization: None,
            accept: None,
            lane: Lane::Small,
        };
        let (status, headers, _, origin) = match self.shared.egress.fetch(outgoing, MAX_ERROR).await {
            Err(EgressError::TooLarge { .. }) => return Err(RemoteError::NotV2),
            fetched => fetched?,
        };
        let is_v2 = headers.get(API_VERSION).is_some_and(|value| value.as_bytes().starts_with(b"registry/2"));
        match status {
            StatusCode::TOO_MANY_REQUESTS => return Err(too_many(&headers)),
            status if status.is_server_error() => return Err(response_error(status)),
            StatusCode::OK | StatusCode::UNAUTHORIZED => {}
            _ if is_v2 => {}
            _ => return Err(RemoteError::NotV2),
        }
        let asked = status == StatusCode::UNAUTHORIZED && origin == home.origin;
        let challenge = challenge::preferred(&headers).filter(|_| asked);
        Ok(Base { home, challenge })
    }
}

enum Attempt {
    Answered(Incomer),
    /// The credentials may not go where the registry wants them.
    Withheld {
        realm: String,
    },
}

enum Permission {
    Header(HeaderValue),
    Withheld { realm: String },
}

/// What all candidates together came to.
#[derive(Default)]
struct Verdict {
    realm: Option<String>,
    found_nothing: bool,
    refused: usize,
    wrong_passwords: usize,
}

impl Verdict {
    fn add(&mut self, error: RemoteError) {
        match error {
            RemoteError::NotFound => self.found_nothing = true,
            RemoteError::Unauthorized { had_credentials, wrong_password } => {
                self.refused += usize::from(had_credentials);
                self.wrong_passwords += usize::from(wrong_password);
            }
            _ => {}
        }
    }

    fn into_error(self, had_credentials: bool) -> RemoteError {
        match self.realm {
            _ if self.found_nothing => RemoteError::NotFound,
            Some(realm) => RemoteError::UntrustedRealm { realm },
            None => {
                let wrong_password = self.refused > 0 && self.wrong_passwords == self.refused;
                RemoteError::Unauthorized { had_credentials, wrong_password }
            }
        }
    }
}

#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}

/// The target of `Link: <…>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<&str> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = |link: &&str| link.contains("rel=\"next\"") || link.contains("rel=next");
    let link = links.flat_map(|value| value.split(',')).find(next)?;
    link.trim().strip_prefix('<')?.split_once('>').map(|(target, _)| target)
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
