//! Asking identity providers elsewhere: what a question and an answer are, and what can go wrong.
//!
//! Opens no connection: whoever starts the server puts in a [`Web`], which verifies certificates, judges addresses,
//! bounds size and time, and follows no redirect (reliability 7-B B5). Keys of issuers are `federation`'s.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pierhead_runtime::Secret;
use serde::de::DeserializeOwned;

use crate::federation::IssuerError;
use crate::jose::JoseError;

/// How long a server elsewhere may take: less than a login may (`oauth::login`), which is a turn of the API's.
pub(crate) const LONGEST: Duration = Duration::from_secs(8);

/// A question to another server.
#[derive(Debug)]
pub struct WebRequest {
    /// An `https` URL.
    pub url: String,
    /// The form to post; a GET without one.
    pub form: Option<Secret<String>>,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret<String>>,
    /// Certificate authorities, PEM, to trust besides the usual ones.
    pub authority: Option<Arc<str>>,
}

/// Its answer, whole, whatever its status.
#[derive(Clone, Debug)]
pub struct WebAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Result<WebAnswer, Box<dyn Error + Send + Sync>>> + Send>>;

/// The way to identity providers.
pub type Web = Arc<dyn Fn(WebRequest) -> Answering + Send + Sync>;

/// Why an identity provider elsewhere did not say who somebody is. For the log.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Nothing leaves this server.
    #[error("this server asks no other servers")]
    NoWayOut,
    /// No answer.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{url} did not answer in time")]
    Slow {
        /// What was asked.
        url: String,
    },
    /// An answer with a status that was not expected.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// An answer that cannot be read.
    #[error("{url} answered something else than expected")]
    Malformed {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// An answer that is no answer of a directory.
    #[error("{url} answered what no directory answers")]
    Garbled {
        /// What was asked.
        url: String,
    },
    /// A directory that does not do what it is asked.
    #[error("{url} {what}: result {code} {text:?}")]
    Unwilling {
        /// What was asked.
        url: String,
        /// What it does not do.
        what: &'static str,
        /// The result (RFC 4511, appendix A).
        code: u32,
        /// What it says about it.
        text: String,
    },
    /// What it says about itself does not do.
    #[error("its metadata are not usable: {0}")]
    Metadata(&'static str),
    /// Its keys cannot be had.
    #[error("its keys cannot be had")]
    Keys(#[from] IssuerError),
    /// It sent the user back with an error.
    #[error("it answered the login with the error {0:?}")]
    Refused(String),
    /// Somebody came back who had not left from here.
    #[error("the answer belongs to no login that was begun in this browser: {0}")]
    Stray(&'static str),
    /// Its token is none.
    #[error("its ID token is not acceptable")]
    Token(#[from] JoseError),
    /// Its token is not for this login.
    #[error("its ID token is not acceptable: {0}")]
    Claims(&'static str),
}

impl ProviderError {
    /// Whether the provider is at fault, and not who logs in.
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::NoWayOut
            | Self::Unreachable { .. }
            | Self::Slow { .. }
            | Self::Status { .. }
            | Self::Malformed { .. }
            | Self::Garbled { .. }
            | Self::Unwilling { .. }
            | Self::Metadata(_)
            | Self::Keys(_) => true,
            Self::Refused(_) | Self::Stray(_) | Self::Token(_) | Self::Claims(_) => false,
        }
    }
}

pub(crate) async fn ask(web: Option<&Web>, request: WebRequest) -> Result<WebAnswer, ProviderError> {
    let web = web.ok_or(ProviderError::NoWayOut)?;
    let url = request.url.clone();
    if !url.starts_with("https://") {
        return Err(ProviderError::Metadata("an address is no https URL"));
    }
    match tokio::time::timeout(LONGEST, web(request)).await {
        Ok(answer) => answer.map_err(|source| ProviderError::Unreachable { url, source }),
        Err(_elapsed) => Err(ProviderError::Slow { url }),
    }
}

/// An answer of 200, read.
pub(crate) fn read<T: DeserializeOwned>(url: &str, answer: &WebAnswer) -> Result<T, ProviderError> {
    if answer.status != 200 {
        return Err(ProviderError::Status { url: url.to_owned(), status: answer.status });
    }
    serde_json::from_slice(&answer.body)
        .map_err(|source| ProviderError::Malformed { url: url.to_owned(), source })
}
