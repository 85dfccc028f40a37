//! A server that a test started, and that ends with it.
//!
//! Owns how the binary is started and ended, for sites, crash rounds and the comparison alike.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

const GRACE: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(20);

/// Writes the arguments of `serve` on the folder `data`, with every listener on a port that the system chooses.
pub fn serve_anywhere<'a>(command: &'a mut Command, data: &Path) -> &'a mut Command {
    // What an earlier start wrote there is true no longer.
    std::fs::remove_file(data.join(ADDRESSES)).unwrap_or_default();
    command.arg("serve").arg("--data").arg(data);
    for listener in ["--api", "--registry", "--router-http", "--router-https", "--metrics"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command
}

/// The file below the data folder in which a server says where it listens.
pub(crate) const ADDRESSES: &str = "addresses.json";

/// Where a server listens, as it wrote into `addresses.json`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Addresses {
    /// API and OAuth, TLS.
    pub api: SocketAddr,
    /// The registry service.
    pub registry: SocketAddr,
    /// Routes on plain HTTP.
    pub router_http: SocketAddr,
    /// Routes on TLS.
    pub router_https: SocketAddr,
    /// Metrics and health.
    pub metrics: SocketAddr,
}

impl Addresses {
    /// What the server on the folder `data` wrote; `None` while it has not.
    #[must_use]
    pub fn of(data: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(data.join(ADDRESSES)).ok()?).ok()
    }
}

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
        log_tail(&self.log)
    }

    /// SIGKILL, and the wait for it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
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
        self.kill()?;
        bail!("process {id:?} did not end within {GRACE:?} after SIGTERM")
    }
}

/// Whether the process with this id, which left something behind, has ended. One that got the id of a dead one keeps what
/// the dead one left, for now.
pub(crate) fn has_ended(id: &str) -> bool {
    id.parse::<u32>().is_ok_and(|id| !Path::new("/proc").join(id.to_string()).exists())
}

/// The last lines of a log.
pub fn log_tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(60)).copied().collect::<Vec<_>>().join("\n")
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended processes are fine, and a test that fails already says why.
        self.stop().map(|_| ()).unwrap_or_default();
    }
}
