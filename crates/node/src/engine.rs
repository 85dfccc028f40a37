//! The container engine behind its socket: Docker, or Podman, whose service speaks the same API.
//!
//! Owns the connection, the version both sides speak, and the words in which the rest of this crate talks about an
//! engine. The only module that names bollard. Every field of an answer is taken for optional: engines differ, and
//! what is missing must not stop what does not need it.

mod containers;
mod events;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod images;
mod logs;
mod network;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use parking_lot::Mutex;

pub(crate) use containers::{Observed, RunState, USUAL_STOP};
pub(crate) use exec::{ExecId, ExecOutcome};
pub(crate) use images::{Image, PullCredentials};
pub(crate) use logs::LogRange;
pub(crate) use network::Network;

/// A call that only asks or that starts something; pulls have a limit of their own.
const CALL_LIMIT: Duration = Duration::from_secs(120);
const NEWEST_VERSION: &bollard::ClientVersion = bollard::API_DEFAULT_VERSION;

/// Which program is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker Engine.
    Docker,
    /// The service of Podman.
    Podman,
}

impl EngineKind {
    /// Goes before container ids in statuses, and before the version in nodes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// Why the engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Nobody answers at the socket, or not in time: nothing is known of what is asked about.
    #[error("the engine does not answer: {}", causes(.0))]
    Unreachable(#[source] bollard::errors::Error),
    /// It does not have what is named.
    #[error("{message}")]
    NotFound { message: String },
    /// The name is taken, or the state does not allow it.
    #[error("{message}")]
    Conflict { message: String },
    /// It refused or failed; the text is the engine's.
    #[error("{message}")]
    Refused { message: String },
    /// Its answer is not what the API promises.
    #[error("the engine's answer cannot be read: {0}")]
    Answer(#[source] bollard::errors::Error),
}

impl EngineError {
    /// The engine itself is away, so the failure says nothing about the container.
    pub(crate) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl From<bollard::errors::Error> for EngineError {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code: 404, message } => {
                Self::NotFound { message: reason(&message) }
            }
            Error::DockerResponseServerError { status_code: 304 | 409, message } => {
                Self::Conflict { message: reason(&message) }
            }
            Error::DockerResponseServerError { message, .. }
            | Error::DockerStreamError { error: message } => Self::Refused { message: reason(&message) },
            error @ (Error::JsonDataError { .. }
            | Error::JsonSerdeError { .. }
            | Error::StrParseError { .. }
            | Error::APIVersionParseError {}) => Self::Answer(error),
            error => Self::Unreachable(error),
        }
    }
}

/// An error with what caused it: what is outermost tells least.
fn causes(error: &bollard::errors::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let told = next.to_string();
        if !text.ends_with(&told) {
            text.push_str(&format!(": {told}"));
        }
        cause = next.source();
    }
    text
}

/// The text for people: Podman puts a chain of causes around it, both may send JSON within text.
fn reason(message: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(message).ok();
    let inner = parsed.as_ref().and_then(|value| value.get("message")?.as_str());
    inner.unwrap_or(message).trim().to_owned()
}

/// One engine. Cheap to clone; connects when it is first used, and again after it was away.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    kind: EngineKind,
    socket: PathBuf,
    connected: Mutex<Option<Docker>>,
}

/// What the engine says about itself and its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) kernel: String,
    pub(crate) operating_system: String,
    pub(crate) architecture: String,
    pub(crate) processors: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) id: String,
}

impl Engine {
    pub(crate) fn new(kind: EngineKind, socket: PathBuf) -> Self {
        Self { inner: Arc::new(Inner { kind, socket, connected: Mutex::new(None) }) }
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.inner.kind
    }

    /// A client that speaks a version the engine understands.
    async fn docker(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.inner.connected.lock().as_ref() {
            return Ok(docker.clone());
        }
        let socket = self.inner.socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&socket, CALL_LIMIT.as_secs(), NEWEST_VERSION)?;
        let docker = docker.negotiate_version().await?;
        *self.inner.connected.lock() = Some(docker.clone());
        Ok(docker)
    }

    /// Forgets the version that was agreed on: the engine may come back as another one.
    pub(crate) fn disconnect(&self) {
        *self.inner.connected.lock() = None;
    }

    /// Asks whether the engine answers, and what it is.
    pub(crate) async fn facts(&self) -> Result<Facts, EngineError> {
        let docker = self.docker().await?;
        let info = docker.info().await?;
        let version = docker.version().await?;
        Ok(Facts {
            version: version.version.or(info.server_version).unwrap_or_default(),
            kernel: info.kernel_version.or(version.kernel_version).unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            architecture: version.arch.or(info.architecture).unwrap_or_default(),
            processors: info.ncpu.unwrap_or_default(),
            memory_bytes: info.mem_total.unwrap_or_default(),
            id: info.id.unwrap_or_default(),
        })
    }

    /// Asks whether the engine answers at all.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        self.docker().await?.ping().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn reasons_are_taken_out_of_what_engines_wrap_around_them() {
        assert_eq!(reason("manifest unknown\n"), "manifest unknown");
        let podman = r#"{"cause":"image not known","message":"no such image: x","response":404}"#;
        assert_eq!(reason(podman), "no such image: x");
        assert_eq!(reason(r#"{"cause":1}"#), r#"{"cause":1}"#);
    }
}
