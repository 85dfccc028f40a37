//! Commands within a running container.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;

use super::{Engine, EngineError};

/// Output beyond this is read and thrown away.
const OUTPUT_LIMIT: usize = 10 * 1024;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExecOutcome {
    /// With this code and the beginning of what it printed.
    Ended { code: i64, output: String },
    /// It did not end in time; it runs on.
    TimedOut,
}

impl Engine {
    /// Runs a command and waits for its end, for `limit` at most.
    pub(crate) async fn exec(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutcome, EngineError> {
        match tokio::time::timeout(limit, self.exec_to_end(container, command)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Ok(ExecOutcome::TimedOut),
        }
    }

    async fn exec_to_end(&self, container: &str, command: &[String]) -> Result<ExecOutcome, EngineError> {
        let docker = self.docker().await?;
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let made = docker.create_exec(container, options).await?;
        let mut printed = Vec::new();
        if let StartExecResults::Attached { mut output, .. } =
            docker.start_exec(&made.id, None::<StartExecOptions>).await?
        {
            while let Some(part) = output.next().await {
                let room = OUTPUT_LIMIT.saturating_sub(printed.len());
                printed.extend(part?.into_bytes().iter().take(room));
            }
        }
        let code = docker.inspect_exec(&made.id).await?.exit_code.unwrap_or_default();
        Ok(ExecOutcome::Ended { code, output: String::from_utf8_lossy(&printed).into_owned() })
    }
}
