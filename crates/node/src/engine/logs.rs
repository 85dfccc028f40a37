//! What containers printed, which the engine keeps.

use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;

use super::{Engine, EngineError};

/// Which part of a log, and whether to wait for more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogRange {
    pub(crate) follow: bool,
    pub(crate) since: Option<Timestamp>,
    pub(crate) timestamps: bool,
    pub(crate) tail_lines: Option<u64>,
}

impl Engine {
    /// Both outputs of a container in the order they were written.
    pub(crate) async fn container_log(
        &self,
        id: &str,
        range: &LogRange,
    ) -> Result<impl Stream<Item = Result<Bytes, EngineError>> + Send + use<>, EngineError> {
        let mut options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(range.follow)
            .timestamps(range.timestamps);
        if let Some(since) = range.since {
            options = options.since(i32::try_from(since.as_second()).unwrap_or(i32::MAX));
        }
        if let Some(lines) = range.tail_lines {
            options = options.tail(&lines.to_string());
        }
        let docker = self.docker().await?;
        let parts = docker.logs(id, Some(options.build()));
        Ok(parts.map(|part| part.map(bollard::container::LogOutput::into_bytes).map_err(EngineError::from)))
    }

    /// The end of a container's log as text.
    pub(crate) async fn log_end(&self, id: &str, lines: u64, limit: usize) -> Result<String, EngineError> {
        let range = LogRange { tail_lines: Some(lines), ..LogRange::default() };
        let mut parts = std::pin::pin!(self.container_log(id, &range).await?);
        let mut log = Vec::new();
        while let Some(part) = parts.next().await {
            log.extend(part?);
        }
        let end: Vec<u8> = log.split_off(log.len().saturating_sub(limit));
        Ok(String::from_utf8_lossy(&end).into_owned())
    }
}
