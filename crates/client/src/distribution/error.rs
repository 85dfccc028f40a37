//! Why a registry did not give what was asked for.

use std::time::Duration;

use http::StatusCode;
use pierhead_oci::{Digest, ManifestError};
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use crate::egress::EgressError;

/// Why a registry did not give what was asked for. No text holds anything that the registry wrote, but for
/// [`RemoteError::Rejected`], which only pushes end with.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The registry says that there is no such thing.
    #[error("the registry has no such repository, manifest or blob")]
    NotFound,
    /// Nobody that we could ask as may have it.
    #[error("{}", unauthorized(*had_credentials, *wrong_password))]
    Unauthorized {
        /// Whether there were credentials for the repository.
        had_credentials: bool,
        /// Whether all of them were refused as such.
        wrong_password: bool,
    },
    /// The registry wants its credentials sent to a host that no secret names, and gives nothing to strangers.
    #[error(
        "the registry wants credentials to be sent to {realm}; they are, if a secret holds them for that host too"
    )]
    UntrustedRealm {
        /// Scheme, host and port.
        realm: String,
    },
    /// The registry speaks plain HTTP, and was not called insecure.
    #[error("the registry speaks plain HTTP only")]
    HttpOnly,
    /// What answers there is no registry of the second generation.
    #[error("the host does not support the v2 Registry API")]
    NotV2,
    /// The registry has had enough of us for now.
    #[error("the registry refuses further requests for now (429)")]
    TooManyRequests {
        /// How long to leave it alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// The registry failed.
    #[error("the registry answered {status}")]
    Unavailable {
        /// 500 and above.
        status: u16,
    },
    /// The registry answered with a status that means nothing here.
    #[error("the registry answered {status}")]
    Unexpected {
        /// Below 500.
        status: u16,
    },
    /// The registry does not take what was pushed, and says why.
    #[error("{message}")]
    Rejected {
        /// 400 to 499.
        status: u16,
        /// What the registry says, shortened.
        message: String,
    },
    /// Our own rules forbid it: an address, a redirect, a name that is none.
    #[error("{reason}")]
    Refused {
        /// Which rule, and what broke it.
        reason: String,
        /// The error below, where there is one.
        #[source]
        source: Option<Box<EgressError>>,
    },
    /// The bytes are not those that were asked for, or that the registry announced.
    #[error("the registry sent content with digest {actual} for {expected}")]
    Mismatch {
        /// What was asked for, or announced.
        expected: Box<Digest>,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// There is more of it than is taken.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// How many are taken.
        limit: usize,
    },
    /// The manifest is none that could be stored.
    #[error("the manifest cannot be used: {0}")]
    Manifest(String),
    /// The registry's answer is not what the protocol says.
    #[error("the registry's answer is no {what}")]
    Malformed {
        /// What it should have been.
        what: &'static str,
    },
    /// No connection, or it broke.
    #[error("{message}")]
    Transport {
        /// The cause, in the words of the tools that people know.
        message: String,
        /// The error below.
        #[source]
        source: Box<EgressError>,
    },
    /// It took too long.
    #[error("no answer within {limit:?}")]
    Timeout {
        /// How long was waited.
        limit: Duration,
    },
}

#[derive(Deserialize)]
struct ErrorPage {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: Value,
}

fn unauthorized(had_credentials: bool, wrong_password: bool) -> &'static str {
    match (had_credentials, wrong_password) {
        (_, true) => "incorrect username or password",
        (true, false) => "the credentials do not give access to it",
        (false, false) => "there are no credentials for it, and the registry wants some",
    }
}

/// What is wrong with a manifest, without the values and types that are in it.
fn unusable(error: &ManifestError) -> String {
    match error {
        ManifestError::Json(error) => {
            let what = match error.classify() {
                Category::Data => "a field has not the form that it must have",
                Category::Syntax | Category::Eof | Category::Io => "it is not JSON",
            };
            format!("{what} (line {}, column {})", error.line(), error.column())
        }
        ManifestError::ContentType(_) => "its content type cannot be read".to_owned(),
        ManifestError::MediaTypeMismatch { .. } => "it was sent as another type than it says".to_owned(),
        ManifestError::UnknownMediaType(_) => "its type is not supported".to_owned(),
        ManifestError::SchemaVersion(_) => "its schemaVersion is not 2".to_owned(),
        ManifestError::ForeignField { field, .. } => format!("its type may not have the field `{field}`"),
        ManifestError::TooLarge { .. }
        | ManifestError::NoMediaType
        | ManifestError::DockerSchema1
        | ManifestError::NoConfig
        | ManifestError::TooManyLayers { .. }
        | ManifestError::TooManyChildren { .. }
        | ManifestError::AnnotationsTooLong { .. } => error.to_string(),
    }
}

impl RemoteError {
    /// Whether asking somebody else as, or somewhere else, may help.
    pub(super) const fn depends_on_who_asks(&self) -> bool {
        matches!(
            self,
            Self::NotFound
                | Self::Unauthorized { .. }
                | Self::TooManyRequests { .. }
                | Self::Rejected { status: 401 | 403, .. }
        )
    }

    /// The same error in the words of the registry's answer, if they are in the protocol's form.
    pub(super) fn told(self, status: StatusCode, page: &[u8]) -> Self {
        const MAX_MESSAGE: usize = 1_000;
        if !status.is_client_error() || matches!(self, Self::TooManyRequests { .. }) {
            return self;
        }
        let Ok(page) = serde_json::from_slice::<ErrorPage>(page) else { return self };
        let Some(first) = page.errors.into_iter().next() else { return self };
        let detail = match &first.detail {
            Value::String(detail) if !detail.is_empty() => format!(": {detail}"),
            _ => String::new(),
        };
        let code = first.code.to_lowercase().replace('_', " ");
        let message = format!("{code}: {}{detail}", first.message);
        Self::Rejected { status: status.as_u16(), message: message.chars().take(MAX_MESSAGE).collect() }
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into(), source: None }
    }
}

impl From<ManifestError> for RemoteError {
    /// The error itself is not kept: it quotes the manifest.
    fn from(error: ManifestError) -> Self {
        Self::Manifest(unusable(&error))
    }
}

impl From<EgressError> for RemoteError {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::Forbidden { .. } | EgressError::NotHttps { .. } | EgressError::Redirect { .. } => {
                Self::Refused { reason: error.to_string(), source: Some(Box::new(error)) }
            }
            EgressError::PlainHttp { .. } => Self::HttpOnly,
            EgressError::Transport { .. } => {
                Self::Transport { message: error.to_string(), source: Box::new(error) }
            }
            EgressError::Timeout { limit, .. } => Self::Timeout { limit },
            EgressError::TooLarge { limit, .. } => Self::TooLarge { limit },
        }
    }
}
