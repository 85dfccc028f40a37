//! What containers of a pod printed (platform 8.6).

use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use pierhead_api::core::Pod;

use crate::engine::{EngineError, LogRange, Observed};
use crate::node::Node;

/// Which part of which log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Name of the container; may be left out where there is only one.
    pub container: Option<String>,
    /// Wait for more until the container ends.
    pub follow: bool,
    /// Of the run before the last.
    pub previous: bool,
    /// Only what is newer.
    pub since: Option<Timestamp>,
    /// With the time before each line.
    pub timestamps: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only so many bytes.
    pub limit_bytes: Option<u64>,
}

/// Why there is no log; the texts are those clients know.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The request cannot be answered as it is.
    #[error("{message}")]
    BadRequest {
        /// What is wrong with it.
        message: String,
    },
    /// The engine does not answer.
    #[error("{message}")]
    Unavailable {
        /// The engine's reason.
        message: String,
    },
}

/// A log broke off.
#[derive(Debug, thiserror::Error)]
#[error("reading the log: {message}")]
pub struct LogBroken {
    message: String,
}

impl From<EngineError> for LogError {
    fn from(error: EngineError) -> Self {
        Self::Unavailable { message: format!("the container engine does not give the log: {error}") }
    }
}

impl Node {
    /// The log of a container, as a stream that ends with it.
    ///
    /// # Errors
    /// The container is not one of the pod's, or has no log yet; or the engine does not answer.
    pub async fn log(
        &self,
        pod: &Pod,
        options: LogOptions,
    ) -> Result<impl Stream<Item = Result<bytes::Bytes, LogBroken>> + Send + use<>, LogError> {
        let name = choose(pod, options.container.as_deref())?;
        let observed = self.engine().pod_containers(&pod.metadata.uid, self.network()).await?;
        let id = find(pod, &name, &observed, options.previous)?;
        let range = LogRange {
            follow: options.follow && !options.previous,
            since: options.since,
            timestamps: options.timestamps,
            tail_lines: options.tail_lines,
        };
        let parts = self.engine().container_log(&id, &range).await?;
        let mut left = options.limit_bytes.unwrap_or(u64::MAX);
        let limited = parts.map(move |part| {
            let part = part.map_err(|error| LogBroken { message: error.to_string() })?;
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
            left -= room as u64;
            Ok(part.slice(..room))
        });
        // The empty part after the limit ends the stream.
        let has_limit = options.limit_bytes.is_some();
        Ok(limited.take_while(move |part| {
            let ends = has_limit && part.as_ref().is_ok_and(bytes::Bytes::is_empty);
            std::future::ready(!ends)
        }))
    }
}

/// The container that is meant.
fn choose(pod: &Pod, named: Option<&str>) -> Result<String, LogError> {
    let spec = &pod.spec;
    let names = |list: &[pierhead_api::core::Container]| {
        list.iter().map(|container| container.name.clone()).collect::<Vec<_>>()
    };
    let (main, init) = (names(&spec.containers), names(&spec.init_containers));
    let pod_name = &pod.metadata.name;
    match (named.filter(|name| !name.is_empty()), main.as_slice()) {
        (Some(name), _) if main.iter().chain(&init).any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), _) => {
            Err(LogError::BadRequest { message: format!("container {name} is not valid for pod {pod_name}") })
        }
        (None, [only]) => Ok(only.clone()),
        (None, several) => {
            let mut message = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                several.join(" ")
            );
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(LogError::BadRequest { message })
        }
    }
}

/// The attempt whose log is meant, by the engine's id.
fn find(pod: &Pod, name: &str, observed: &[Observed], previous: bool) -> Result<String, LogError> {
    let pod_name = &pod.metadata.name;
    let mut attempts: Vec<&Observed> =
        observed.iter().filter(|known| known.identity.container == name && known.started.is_some()).collect();
    attempts.sort_by_key(|known| std::cmp::Reverse(known.identity.attempt));
    // The run before the last, or the last one if nothing runs since.
    let runs = attempts.first().is_some_and(|latest| latest.state == crate::engine::RunState::Running);
    let wanted =
        if previous { attempts.get(usize::from(runs || attempts.len() > 1)) } else { attempts.first() };
    if let Some(found) = wanted {
        return Ok(found.id.clone());
    }
    if previous {
        let message = format!("previous terminated container {name:?} in pod {pod_name:?} not found");
        return Err(LogError::BadRequest { message });
    }
    let mut statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
    let status = statuses.find(|status| status.name == name);
    let message = match status.and_then(|status| status.state.waiting.as_ref()) {
        Some(waiting) if !waiting.message.is_empty() && waiting.reason.contains("Image") => format!(
            "container {name:?} in pod {pod_name:?} is waiting to start: {}",
            match waiting.reason.as_str() {
                "ImagePullBackOff" => "trying and failing to pull image",
                "ErrImagePull" => "image can't be pulled",
                reason => reason,
            }
        ),
        Some(waiting) => {
            format!("container {name:?} in pod {pod_name:?} is waiting to start: {}", waiting.reason)
        }
        None => format!("container {name:?} in pod {pod_name:?} is not available"),
    };
    Err(LogError::BadRequest { message })
}
