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
    /// It did not end in time, and may run on.
    TimedOut { left: Option<ExecId> },
}

/// A command that was begun, as the engine calls it.
pub(crate) type ExecId = String;

impl Engine {
    /// Runs a command and waits for its end, for `limit` at most.
    pub(crate) async fn exec(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutcome, EngineError> {
        let mut left = None;
        match tokio::time::timeout(limit, self.exec_to_end(container, command, &mut left)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Ok(ExecOutcome::TimedOut { left }),
        }
    }

    /// Whether a command that was begun still runs.
    pub(crate) async fn runs_exec(&self, id: &ExecId) -> Result<bool, EngineError> {
        match self.docker().await?.inspect_exec(id).await {
            Ok(answer) => Ok(answer.running.unwrap_or_default()),
            Err(error) => match EngineError::from(error) {
                // It ended, and the engine has forgotten it.
                EngineError::NotFound { .. } => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn exec_to_end(
        &self,
        container: &str,
        command: &[String],
        begun: &mut Option<ExecId>,
    ) -> Result<ExecOutcome, EngineError> {
        let docker = self.docker().await?;
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let made = docker.create_exec(container, options).await?;
        *begun = Some(made.id.clone());
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
