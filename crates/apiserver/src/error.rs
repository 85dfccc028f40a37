//! Turns every failure of this crate into the `metav1.Status` a client gets (platform 1.9).
//!
//! Owns the mapping, and the rule that a server's own trouble is told to the log with its causes, once, and to the
//! client as fixed text. Does not write responses.

use std::error::Error;
use std::fmt::Write as _;

use pierhead_api::meta::{Status, StatusReason};
use pierhead_images::StreamError;
use pierhead_store::{ChangesError, StoreError};
use tracing::error;

use crate::continue_token;

/// What a handler fails with: a Status ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Status>);

impl ApiError {
    /// A failure of ours: the causes go to the log, the client gets `Internal error occurred` and no detail.
    pub(crate) fn internal(cause: &(dyn Error + 'static)) -> Self {
        let mut chain = cause.to_string();
        let mut source = cause.source();
        while let Some(inner) = source {
            // Writing to a String cannot fail; a lost word of a log line would not matter either.
            write!(chain, ": {inner}").unwrap_or_default();
            source = inner.source();
        }
        error!(error = %chain, "An API request failed: {chain}");
        Status::internal("the server could not complete the request").into()
    }

    /// A full disk is not the caller's fault either, but they may know what to delete.
    fn store(source: &StoreError) -> Self {
        if source.is_full() {
            error!(error = %source, "Refused a write: {source}");
            let reason = StatusReason::Unknown;
            return Status::failure(507, reason, "the server has no space left; delete something").into();
        }
        Self::internal(source)
    }

    /// The Status.
    pub(crate) fn status(&self) -> &Status {
        &self.0
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

/// The group of everything `images` keeps.
const IMAGES: &str = "image.openshift.io";

impl From<StreamError> for ApiError {
    fn from(error: StreamError) -> Self {
        match &error {
            StreamError::NotFound { resource: resource @ "namespaces", name } => {
                Status::not_found(resource, "", name).into()
            }
            StreamError::NotFound { resource, name } => Status::not_found(resource, IMAGES, name).into(),
            StreamError::AlreadyExists { resource, name } => {
                Status::already_exists(resource, IMAGES, name).into()
            }
            StreamError::Conflict {
                resource: resource @ ("imagestreamtags" | "imagetags"),
                name,
                newest,
            } => {
                let why = format!("another caller has updated the resource version to {newest}");
                Status::conflict(resource, IMAGES, name, why).into()
            }
            StreamError::Conflict { resource, name, .. } => Status::modified(resource, IMAGES, name).into(),
            StreamError::Invalid { kind, name, errors } => Status::invalid(kind, IMAGES, name, errors).into(),
            StreamError::Forbidden { resource, name, why } => {
                Status::forbidden(resource, IMAGES, name, why).into()
            }
            StreamError::BadRequest { message } => Status::bad_request(message.as_str()).into(),
            StreamError::Precondition { resource, name, .. } => {
                Status::conflict(resource, IMAGES, name, &error).into()
            }
            StreamError::Store(source) => Self::store(source),
            StreamError::Past(ChangesError::Compacted { .. }) => continue_token::too_old(),
            StreamError::Past(ChangesError::Store(source)) => Self::store(source),
            StreamError::Bytes(_) | StreamError::Quota(_) => Self::internal(&error),
        }
    }
}

impl From<ChangesError> for ApiError {
    fn from(error: ChangesError) -> Self {
        match error {
            ChangesError::Compacted { oldest } => {
                Status::expired(format!("too old resource version: the oldest one still known is {oldest}"))
                    .into()
            }
            ChangesError::Store(error) => error.into(),
        }
    }
}
