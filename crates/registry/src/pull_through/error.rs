//! Why something could not be fetched from where it is.

use std::sync::Arc;
use std::time::Duration;

use pierhead_client::distribution::RemoteError;
use pierhead_images::{PullError, UploadError};
use pierhead_runtime::listen::BoxError;

/// Why something could not be fetched, told to all who waited for it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct UpstreamError {
    pub(crate) cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The place that gave the most hope failed in this way.
    #[error("unable to pull from {reference}: {error}")]
    Remote {
        reference: String,
        #[source]
        error: RemoteError,
    },
    /// The source has something else under this digest.
    #[error("unable to pull from {reference}: it is not {expected} bytes long, as the manifest says")]
    OtherSize { reference: String, expected: u64 },
    /// There is no place to ask.
    #[error("there is no place to pull it from")]
    Nowhere,
    /// What came could not be stored, or was not what it should be.
    #[error("storing what was pulled: {0}")]
    Storing(#[source] UploadError),
    /// The credentials could not be read.
    #[error("looking for credentials: {0}")]
    Credentials(#[source] BoxError),
    /// Looking at what is here failed.
    #[error("looking for what is here")]
    Look(#[from] PullError),
    /// As many fetches as are allowed are under way.
    #[error("{limit} fetches are under way already")]
    Busy { limit: usize },
    /// The process stops, or the fetch broke down.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl From<Cause> for UpstreamError {
    fn from(cause: Cause) -> Self {
        Self { cause }
    }
}

impl From<PullError> for UpstreamError {
    fn from(error: PullError) -> Self {
        Cause::Look(error).into()
    }
}

impl UpstreamError {
    pub(super) fn remote(reference: String, error: RemoteError) -> Self {
        Cause::Remote { reference, error }.into()
    }

    pub(super) fn other_size(reference: String, expected: u64) -> Self {
        Cause::OtherSize { reference, expected }.into()
    }

    pub(super) fn nowhere() -> Self {
        Cause::Nowhere.into()
    }

    pub(super) fn credentials(error: BoxError) -> Self {
        Cause::Credentials(error).into()
    }

    pub(super) fn busy(limit: usize) -> Self {
        Cause::Busy { limit }.into()
    }

    pub(super) fn interrupted() -> Arc<Self> {
        Arc::new(Cause::Interrupted.into())
    }

    /// Of two failures the one that gives more hope is told: a place that may have it later, before one that has not.
    pub(super) fn add(known: &mut Option<Self>, failure: Self) {
        if known.as_ref().is_none_or(|known| known.hope() < failure.hope()) {
            *known = Some(failure);
        }
    }

    const fn hope(&self) -> u8 {
        match &self.cause {
            Cause::Remote { error: RemoteError::TooManyRequests { .. }, .. } => 3,
            Cause::Remote { .. } if self.is_passing() => 2,
            Cause::Remote { error: RemoteError::NotFound, .. } | Cause::Nowhere => 0,
            _ => 1,
        }
    }

    /// Whether trying again later may help.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(
            &self.cause,
            Cause::Interrupted
                | Cause::Remote {
                    error: RemoteError::Unavailable { .. }
                        | RemoteError::Transport { .. }
                        | RemoteError::Timeout { .. },
                    ..
                }
        )
    }

    /// Whether the source, or we, have had enough for now; and for how long, if that was said.
    pub(crate) const fn too_many(&self) -> Option<Option<Duration>> {
        match &self.cause {
            Cause::Remote { error: RemoteError::TooManyRequests { retry_after }, .. } => Some(*retry_after),
            Cause::Busy { .. } => Some(None),
            _ => None,
        }
    }
}
