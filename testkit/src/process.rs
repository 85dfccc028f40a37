//! A server that a test started, and that ends with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const GRACE: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(20);

/// A running server whose output goes to a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`.
    ///
    /// # Errors
    /// The program is missing, or the log cannot be written.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child =
            command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_path_buf() })
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(60)).copied().collect::<Vec<_>>().join("\n")
    }

    /// Asks it to end and waits for that; SIGKILL after 30 seconds, which is an error.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("process ids are positive")?;
        kill_process(id, Signal::TERM)?;
        let mut waited = Duration::ZERO;
        while waited < GRACE {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(BETWEEN);
            waited += BETWEEN;
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!("process {id:?} did not end within {GRACE:?} after SIGTERM")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended processes are fine, and a test that fails already says why.
        self.stop().map(|_| ()).unwrap_or_default();
    }
}
