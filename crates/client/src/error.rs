//! What can go wrong between a caller and an API server.
//!
//! A server's refusal keeps its whole `Status`; a failure below HTTP says which server and why, in the words
//! that users of kubectl know.

use std::time::Duration;

use pierhead_api::meta::{Status, StatusReason};

use crate::transport::TransportError;

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error; its own message is the text.
    #[error("{}", .0.message)]
    Api(Box<Status>),
    /// The server knows no such resource: its 404 is about the path, and not about an object.
    #[error("the server doesn't have a resource type {resource:?}")]
    NoSuchResource {
        /// Plural name, with a subresource behind a slash.
        resource: String,
    },
    /// The server could not be reached, or the connection broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The in-process service failed below HTTP.
    #[error("the API service failed: {0}")]
    Service(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer was not the JSON that the call expects.
    #[error("the server answered {path} with something that is not the expected JSON: {source}")]
    Decode {
        /// Path of the request.
        path: String,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// The answer is JSON, but not an object of the kind that the call expects.
    #[error("the server answered {path} with an object that cannot be read: {source}")]
    Object {
        /// Path of the request.
        path: String,
        /// Which field is wrong.
        source: pierhead_api::DecodeError,
    },
    /// The object to send cannot be written as JSON.
    #[error("the object cannot be encoded: {0}")]
    Encode(#[source] serde_json::Error),
    /// The answer is larger than a client is willing to hold.
    #[error("the answer to {path} is larger than {limit} bytes")]
    TooLarge {
        /// Path of the request.
        path: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// Path, header or URL of the request cannot be put on the wire.
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    /// The server's address is not a URL with a host.
    #[error("{url:?} is not an http or https URL")]
    Url {
        /// What was given.
        url: String,
    },
    /// Certificates or keys cannot be used.
    #[error("{what}: {source}")]
    Tls {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer within the time that the caller gave.
    #[error("the server did not answer within {limit:?}")]
    Timeout {
        /// The time given.
        limit: Duration,
    },
}

impl ClientError {
    /// The server's `Status`, if the server answered.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(status) => Some(status),
            Self::NoSuchResource { .. }
            | Self::Transport(_)
            | Self::Service(_)
            | Self::Decode { .. }
            | Self::Object { .. }
            | Self::Encode(_)
            | Self::TooLarge { .. }
            | Self::Request(_)
            | Self::Url { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. } => None,
        }
    }

    /// HTTP status code of the server's refusal.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::NoSuchResource { .. } => Some(404),
            other => other.status().map(|status| status.code),
        }
    }

    /// The server says 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The server says 403.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The server says 401.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.code() == Some(401)
    }

    /// The object exists already (409 with that reason).
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason_is(StatusReason::AlreadyExists)
    }

    /// The object was changed by someone else meanwhile (409 with that reason).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason_is(StatusReason::Conflict)
    }

    /// The object is refused by validation (422).
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// The server's certificate is signed by nobody that the client trusts.
    #[must_use]
    pub fn is_unknown_authority(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_unknown_authority())
    }

    fn reason_is(&self, reason: StatusReason) -> bool {
        self.status().is_some_and(|status| status.reason == Some(reason))
    }
}
