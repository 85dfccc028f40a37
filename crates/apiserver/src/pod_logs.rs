//! Where the output of containers comes from, as the API server asks for it.
//!
//! Owns the trait and its words. Who implements it is put together in `server`: a node for containers that run, the
//! deployer for pods that are played. What a client may ask and what it is told is in `kinds::pod_output`.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use pierhead_api::core::Pod;

use crate::BoxError;

/// The output of a container, in pieces; it ends with the container when it is followed.
pub type LogBody = BoxStream<'static, Result<Bytes, BoxError>>;

/// What of a container's output is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The container; one of the pod's.
    pub container: String,
    /// Whether to go on with what comes.
    pub follow: bool,
    /// Whether the output of the run before the last restart is wanted.
    pub previous: bool,
    /// Only what is not older than so many seconds.
    pub since_seconds: Option<i64>,
    /// Only what is not older than this.
    pub since_time: Option<Timestamp>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// At most so many bytes; the API server cuts there.
    pub limit_bytes: Option<u64>,
}

/// Why there is no output to show. The messages are for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The container is not there, or not any more.
    #[error("{message}")]
    NotFound {
        /// What is missing.
        message: String,
    },
    /// The container has no output yet, or never had any.
    #[error("{message}")]
    BadRequest {
        /// Why.
        message: String,
    },
    /// Whoever has the output does not answer.
    #[error("{message}")]
    Unavailable {
        /// Who, and why.
        message: String,
    },
}

/// Who has the output of containers.
pub trait PodLogs: Send + Sync + 'static {
    /// The output of one container of `pod`.
    fn log(&self, pod: Pod, options: LogOptions) -> BoxFuture<'static, Result<LogBody, LogError>>;
}

impl fmt::Debug for dyn PodLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PodLogs(..)")
    }
}
