//! Failures as answers: the only file that knows which status a failure has.
//!
//! What the caller did wrong is said in full, in the body's `detail`. What we did wrong goes to the log with all its
//! causes, and the body has fixed words. Lacking rights is 401, never 403, and says nothing about what exists.

use std::error::Error;

use http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use pierhead_auth::{Denied, Unauthenticated};
use pierhead_blobs::{BlobError, UploadError as BytesError};
use pierhead_images::{DeleteError, PullError, PushError, StreamError, UploadError};
use pierhead_oci::{DigestError, ErrorBody, ErrorCode, ErrorItem, ManifestError, ReferenceError};
use serde_json::{Value, json};
use tracing::{error, info};

use crate::access::Access;
use crate::body::BodyError;
use crate::origin::Origin;
use crate::pull_through::{Cause, UpstreamError};
use crate::registry::Config;
use crate::response::{self, Response};
use crate::route::RouteError;

/// A request that was not granted, and how that is said.
#[derive(Debug)]
pub(crate) struct RegistryError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    items: Vec<ErrorItem>,
    headers: HeaderMap,
    challenge: Option<Challenge>,
}

/// What a 401 asks the client to do.
#[derive(Clone, Copy, Debug)]
enum Challenge {
    /// Fetch a token from the realm, which depends on where the client believes to be.
    Bearer,
    /// Send other credentials, since these have the named fault.
    Basic(&'static str),
}

impl RegistryError {
    fn new(status: StatusCode, items: Vec<ErrorItem>) -> Self {
        Self(Box::new(Refusal { status, items, headers: HeaderMap::new(), challenge: None }))
    }

    /// The caller's fault, with the status that goes with `code` and the words of `error` as detail.
    fn client(code: ErrorCode, error: &dyn Error) -> Self {
        Self::coded(code, Value::String(error.to_string()))
    }

    fn coded(code: ErrorCode, detail: Value) -> Self {
        Self::new(status(code), vec![ErrorItem::new(code, detail)])
    }

    /// Our fault. Its causes are logged here and nowhere else.
    fn internal(error: &(dyn Error + 'static)) -> Self {
        let causes = causes(error);
        error!(causes, "Answering a request failed: {causes}");
        Self::coded(ErrorCode::Unknown, Value::Null)
    }

    fn unavailable(error: &(dyn Error + 'static)) -> Self {
        let causes = causes(error);
        error!(causes, "Cannot serve for now: {causes}");
        Self::coded(ErrorCode::Unavailable, Value::Null)
    }

    /// The disk is full: not the caller's fault, and nothing that trying again at once helps against.
    fn no_space(error: &(dyn Error + 'static)) -> Self {
        let causes = causes(error);
        error!(causes, "Refused a write: {causes}");
        let mut item = ErrorItem::new(ErrorCode::Denied, Value::Null);
        item.message = "the registry has no space left".into();
        Self::new(StatusCode::INSUFFICIENT_STORAGE, vec![item])
    }

    /// A quota or a limit of the project. Clients print the message and not the detail, so it is the message that says
    /// which.
    fn refused(reason: &str) -> Self {
        let mut item = ErrorItem::new(ErrorCode::Denied, Value::Null);
        item.message = reason.into();
        Self::new(status(ErrorCode::Denied), vec![item])
    }

    fn challenged(mut self, challenge: Challenge) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// No credentials came with a request that needs them.
    pub(crate) fn anonymous(access: &[Access]) -> Self {
        Self::coded(ErrorCode::Unauthorized, json!(access)).challenged(Challenge::Bearer)
    }

    /// An `Authorization` header that cannot be read, or has no password.
    pub(crate) fn undecodable_credentials() -> Self {
        let challenge = Challenge::Basic("failed to decode credentials");
        Self::coded(ErrorCode::Unauthorized, Value::Null).challenged(challenge)
    }

    /// Credentials that nobody has, or has any more.
    pub(crate) fn unauthenticated(error: &Unauthenticated, access: &[Access]) -> Self {
        match error {
            Unauthenticated::Invalid(reason) => {
                info!(%reason, "Refused credentials: {reason}");
                let detail = json!({ "access": access, "reason": "the token is not valid" });
                Self::coded(ErrorCode::Unauthorized, detail).challenged(Challenge::Basic("access denied"))
            }
            Unauthenticated::Store(source) => Self::unavailable(source),
        }
    }

    /// A caller without the right to what was asked, whether or not that exists.
    pub(crate) fn denied(denied: &Denied, access: &[Access]) -> Self {
        info!(user = denied.username, reason = %denied.why(), "Denied {}", denied.why());
        let detail = json!({ "access": access, "reason": denied.why() });
        Self::coded(ErrorCode::Unauthorized, detail).challenged(Challenge::Basic("access denied"))
    }

    /// The resource does not know this method.
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        Self::coded(ErrorCode::Unsupported, Value::Null).with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// The `n` of a page is no number.
    pub(crate) fn page_number(text: &str) -> Self {
        Self::coded(ErrorCode::PaginationNumberInvalid, json!({ "n": text }))
    }

    /// The client cannot read the format that is stored.
    pub(crate) fn unacceptable(message: &str) -> Self {
        let mut item = ErrorItem::new(ErrorCode::ManifestUnknown, Value::Null);
        item.message = message.into();
        Self::new(StatusCode::NOT_FOUND, vec![item])
    }

    /// A query has no digest where it needs one.
    pub(crate) fn no_digest() -> Self {
        Self::coded(ErrorCode::DigestInvalid, json!("the parameter `digest` is missing"))
    }

    /// Bytes of an upload that do not follow those that are there. The caller adds where to go on.
    pub(crate) fn out_of_order(start: u64, offset: u64) -> Self {
        let detail = format!("the upload goes on at byte {offset}, not at {start}");
        Self::coded(ErrorCode::RangeInvalid, json!(detail))
    }

    /// A range of a blob that lies outside of it.
    pub(crate) fn unsatisfiable(size: u64) -> Self {
        Self::coded(ErrorCode::RangeInvalid, json!(format!("the blob has {size} bytes")))
    }

    /// A `Content-Range` header that says nothing.
    pub(crate) fn unreadable_range() -> Self {
        Self::coded(ErrorCode::RangeInvalid, json!("Content-Range is not of the form <start>-<end>"))
            .with_status(StatusCode::BAD_REQUEST)
    }

    /// The body is not as long as its range says.
    pub(crate) fn wrong_length(range: u64) -> Self {
        Self::coded(ErrorCode::SizeInvalid, json!(format!("Content-Range names {range} bytes")))
    }

    /// A path and query longer than any that means something.
    pub(crate) fn target_too_long(limit: usize) -> Self {
        Self::coded(ErrorCode::Unsupported, json!(format!("path and query have more than {limit} bytes")))
            .with_status(StatusCode::URI_TOO_LONG)
    }

    /// More tags in a query than one push may set.
    pub(crate) fn too_many_tags(limit: usize) -> Self {
        Self::coded(ErrorCode::TagInvalid, json!(format!("at most {limit} tags may be set at once")))
            .with_status(StatusCode::URI_TOO_LONG)
    }

    /// A signature that cannot be read, or is not of the image it was sent for.
    pub(crate) fn signature_invalid(error: &dyn Error) -> Self {
        let item = signature_item("SIGNATURE_INVALID", "signature is invalid", error);
        Self::new(StatusCode::BAD_REQUEST, vec![item])
    }

    /// A manifest that could not be fetched from where it is (images 6.7).
    pub(crate) fn upstream_manifest(error: &UpstreamError) -> Self {
        Self::upstream_trouble(error).unwrap_or_else(|| {
            let item = ErrorItem {
                code: "OPENSHIFT_PULLTHROUGH_MANIFEST".into(),
                message: "unable to pull manifest".into(),
                detail: Value::String(error.to_string()),
            };
            Self::new(StatusCode::NOT_FOUND, vec![item])
        })
    }

    /// A blob that could not be fetched from where it is. Clients try again where that may help.
    pub(crate) fn upstream_blob(error: &UpstreamError) -> Self {
        Self::upstream_trouble(error).unwrap_or_else(|| {
            let code = if error.is_passing() { ErrorCode::Unavailable } else { ErrorCode::BlobUnknown };
            Self::client(code, error)
        })
    }

    /// What is the same for manifests and blobs: the source has had enough, or we are in trouble ourselves.
    fn upstream_trouble(error: &UpstreamError) -> Option<Self> {
        if let Some(rest) = error.too_many() {
            let seconds = rest.map_or(1, |rest| rest.as_secs().max(1));
            let retry_after = HeaderValue::from(seconds);
            return Some(
                Self::client(ErrorCode::TooManyRequests, error).with_header(RETRY_AFTER, retry_after),
            );
        }
        match &error.cause {
            Cause::Storing(UploadError::OutOfSpace) => Some(Self::no_space(error)),
            Cause::Storing(UploadError::Store(source)) if source.is_full() => Some(Self::no_space(error)),
            Cause::Storing(UploadError::Blob(_) | UploadError::Store(_) | UploadError::Quota(_))
            | Cause::Credentials(_)
            | Cause::Look(_) => Some(Self::internal(error)),
            Cause::Storing(
                UploadError::Unknown { .. }
                | UploadError::StreamMissing { .. }
                | UploadError::Refused { .. }
                | UploadError::Busy { .. }
                | UploadError::TooMany { .. }
                | UploadError::TooLarge { .. }
                | UploadError::DigestMismatch { .. },
            )
            | Cause::Remote { .. }
            | Cause::OtherSize { .. }
            | Cause::Nowhere
            | Cause::Busy { .. }
            | Cause::Interrupted => None,
        }
    }

    /// The answer.
    pub(crate) fn into_response(self, head: &Parts, config: &Config) -> Response {
        let Refusal { status, items, headers, challenge } = *self.0;
        let mut response = response::json(status, &ErrorBody { errors: items });
        response.headers_mut().extend(headers);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge.header(head, config));
        }
        response
    }
}

impl Challenge {
    fn header(self, head: &Parts, config: &Config) -> HeaderValue {
        let text = match self {
            Self::Bearer => match &config.token_realm {
                Some(realm) => format!("Bearer realm=\"{realm}/openshift/token\""),
                None => format!("Bearer realm=\"{}/openshift/token\"", Origin::of(head)),
            },
            Self::Basic(error) => format!("Basic realm={},error=\"{error}\"", config.realm),
        };
        HeaderValue::from_str(&text).expect("hosts and realms are checked before they come here")
    }
}

const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Denied => StatusCode::FORBIDDEN,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::DigestInvalid
        | ErrorCode::SizeInvalid
        | ErrorCode::NameInvalid
        | ErrorCode::TagInvalid
        | ErrorCode::ManifestInvalid
        | ErrorCode::ManifestUnverified
        | ErrorCode::ManifestBlobUnknown
        | ErrorCode::PaginationNumberInvalid => StatusCode::BAD_REQUEST,
        ErrorCode::NameUnknown
        | ErrorCode::ManifestUnknown
        | ErrorCode::BlobUnknown
        | ErrorCode::BlobUploadUnknown
        | ErrorCode::BlobUploadInvalid => StatusCode::NOT_FOUND,
    }
}

/// An error and what it came from, in one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<RouteError> for RegistryError {
    fn from(error: RouteError) -> Self {
        match &error {
            RouteError::NotFound => Self::new(StatusCode::NOT_FOUND, vec![not_found()]),
            RouteError::Name(_) | RouteError::NotProjectAndStream(_) => {
                Self::client(ErrorCode::NameInvalid, &error)
            }
            RouteError::Digest(_) | RouteError::Reference(ReferenceError::Digest(_)) => {
                Self::client(ErrorCode::DigestInvalid, &error)
            }
            RouteError::Reference(ReferenceError::Tag(_)) => Self::client(ErrorCode::TagInvalid, &error),
            RouteError::Upload(_) => Self::client(ErrorCode::BlobUploadUnknown, &error),
        }
    }
}

/// The specification has no code for paths that are nobody's.
fn not_found() -> ErrorItem {
    ErrorItem { code: "NOT_FOUND".into(), message: RouteError::NotFound.to_string(), detail: Value::Null }
}

impl From<ReferenceError> for RegistryError {
    fn from(error: ReferenceError) -> Self {
        RouteError::Reference(error).into()
    }
}

impl From<BodyError> for RegistryError {
    fn from(error: BodyError) -> Self {
        match &error {
            BodyError::TooLarge { .. } => {
                Self::client(ErrorCode::SizeInvalid, &error).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            BodyError::Broken(_) => Self::client(ErrorCode::SizeInvalid, &error),
        }
    }
}

impl From<ManifestError> for RegistryError {
    fn from(error: ManifestError) -> Self {
        Self::client(ErrorCode::ManifestInvalid, &error)
    }
}

impl From<PullError> for RegistryError {
    fn from(error: PullError) -> Self {
        match &error {
            PullError::RepositoryUnknown { .. } => Self::client(ErrorCode::NameUnknown, &error),
            PullError::ManifestUnknown { .. } => Self::client(ErrorCode::ManifestUnknown, &error),
            PullError::BlobUnknown { .. } => Self::client(ErrorCode::BlobUnknown, &error),
            PullError::Store(source) if source.is_full() => Self::no_space(&error),
            PullError::Blob(_) | PullError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<PushError> for RegistryError {
    fn from(error: PushError) -> Self {
        match &error {
            PushError::StreamMissing { .. } => Self::client(ErrorCode::Denied, &error),
            PushError::Refused { reason } => Self::refused(reason),
            PushError::MissingBlobs { digests } | PushError::MissingManifests { digests } => {
                let item =
                    |digest| ErrorItem::new(ErrorCode::ManifestBlobUnknown, json!({ "digest": digest }));
                let code = ErrorCode::ManifestBlobUnknown;
                Self::new(status(code), digests.iter().map(item).collect())
            }
            PushError::SizeMismatch { .. } | PushError::TooDeep { .. } => {
                Self::client(ErrorCode::ManifestInvalid, &error)
            }
            PushError::DigestMismatch { .. } => Self::client(ErrorCode::DigestInvalid, &error),
            PushError::Blob(BlobError::OutOfSpace)
            | PushError::Bytes(BytesError::Blob(BlobError::OutOfSpace)) => Self::no_space(&error),
            PushError::Store(source) if source.is_full() => Self::no_space(&error),
            PushError::Blob(_) | PushError::Bytes(_) | PushError::Store(_) | PushError::Quota(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<DeleteError> for RegistryError {
    fn from(error: DeleteError) -> Self {
        match &error {
            DeleteError::RepositoryUnknown { .. } => Self::client(ErrorCode::NameUnknown, &error),
            DeleteError::TagUnknown { .. } | DeleteError::ManifestUnknown { .. } => {
                Self::client(ErrorCode::ManifestUnknown, &error)
            }
            DeleteError::BlobUnknown { .. } => Self::client(ErrorCode::BlobUnknown, &error),
            DeleteError::Store(source) if source.is_full() => Self::no_space(&error),
            DeleteError::Store(_) | DeleteError::Bytes(_) => Self::internal(&error),
        }
    }
}

impl From<UploadError> for RegistryError {
    fn from(error: UploadError) -> Self {
        match &error {
            UploadError::Unknown { .. } => Self::client(ErrorCode::BlobUploadUnknown, &error),
            UploadError::StreamMissing { .. } => Self::client(ErrorCode::Denied, &error),
            UploadError::Refused { reason } => Self::refused(reason),
            UploadError::Busy { .. } | UploadError::TooMany { .. } => {
                Self::client(ErrorCode::TooManyRequests, &error)
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            UploadError::TooLarge { .. } => {
                Self::client(ErrorCode::SizeInvalid, &error).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            UploadError::DigestMismatch { .. } => Self::client(ErrorCode::DigestInvalid, &error),
            UploadError::OutOfSpace => Self::no_space(&error),
            UploadError::Store(source) if source.is_full() => Self::no_space(&error),
            UploadError::Blob(_) | UploadError::Store(_) | UploadError::Quota(_) => Self::internal(&error),
        }
    }
}

impl From<DigestError> for RegistryError {
    fn from(error: DigestError) -> Self {
        RouteError::Digest(error).into()
    }
}

/// OpenShift's codes for signatures are not those of the specification.
fn signature_item(code: &str, message: &str, error: &dyn Error) -> ErrorItem {
    ErrorItem { code: code.into(), message: message.into(), detail: Value::String(error.to_string()) }
}

/// Errors of the image API, of which the registry calls what concerns signatures.
impl From<StreamError> for RegistryError {
    fn from(error: StreamError) -> Self {
        match &error {
            StreamError::NotFound { .. } => Self::client(ErrorCode::ManifestUnknown, &error),
            StreamError::AlreadyExists { .. }
            | StreamError::Conflict { .. }
            | StreamError::Precondition { .. } => {
                let item = signature_item("SIGNATURE_EXISTS", "signature exists", &error);
                Self::new(StatusCode::CONFLICT, vec![item])
            }
            StreamError::Invalid { .. } | StreamError::BadRequest { .. } => Self::signature_invalid(&error),
            StreamError::Bytes(BytesError::Blob(BlobError::OutOfSpace)) => Self::no_space(&error),
            StreamError::Store(source) if source.is_full() => Self::no_space(&error),
            StreamError::Forbidden { why, .. } => Self::refused(why),
            StreamError::Bytes(_) | StreamError::Store(_) | StreamError::Past(_) | StreamError::Quota(_) => {
                Self::internal(&error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_store::StoreError;

    use super::{
        BlobError, BytesError, PullError, PushError, RegistryError, StatusCode, StreamError, UploadError,
    };

    #[track_caller]
    fn check(error: impl Into<RegistryError>) {
        assert_eq!(error.into().0.status, StatusCode::INSUFFICIENT_STORAGE);
    }

    #[test]
    fn what_comes_to_a_project_that_ended_is_denied() {
        let (namespace, name) = ("shop".to_owned(), "web".to_owned());
        let manifest = PushError::StreamMissing { namespace: namespace.clone(), name: name.clone() };
        let blob = UploadError::StreamMissing { namespace, name };
        for refusal in [RegistryError::from(manifest), RegistryError::from(blob)] {
            assert_eq!(refusal.0.status, StatusCode::FORBIDDEN);
            assert_eq!(refusal.0.items.first().map(|item| item.code.as_str()), Some("DENIED"));
        }
    }

    #[test]
    fn a_full_disk_is_said_to_be_full_wherever_it_is_met() {
        check(PushError::Blob(BlobError::OutOfSpace));
        check(PushError::Bytes(BytesError::Blob(BlobError::OutOfSpace)));
        check(PushError::Store(StoreError::Full));
        check(StreamError::Bytes(BytesError::Blob(BlobError::OutOfSpace)));
        check(StreamError::Store(StoreError::Full));
        check(PullError::Store(StoreError::Full));
    }
}
