//! The server under test: started on a folder, killed, started again.

use crate::wire::Wire;
use anyhow::{Context, Result, bail};
use pierhead_testkit::{Addresses, Process, Tool, serve_anywhere};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tokio::time::Instant;

/// A server on a folder of its own that outlives any process.
pub struct CrashServer {
    data: PathBuf,
    /// Log, kubeconfig and other things that must survive the data's disk.
    beside: PathBuf,
    process: Option<Process>,
    /// Where the registry listens since the last start.
    pub registry: SocketAddr,
    authorization: Option<String>,
    /// How long the last start took until a request was answered.
    pub started_in: Duration,
}

/// The server ended before it answered.
#[derive(Debug)]
pub struct Ended(pub ExitStatus);

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server ended with {}", self.0)
    }
}

impl std::error::Error for Ended {}

/// Where everything is pushed to.
pub const PROJECT: &str = "crash";
const ROUNDS_OF_ACCOUNT: u64 = 5;

/// How long a start may take, in units of [`POLL`].
const POLLS: u32 = 3000;
const POLL: Duration = Duration::from_millis(10);

impl CrashServer {
    /// Starts a server whose data is in `data` and whose log is in `beside`.
    pub async fn start(data: &Path, beside: &Path) -> Result<Self> {
        Self::start_behind(&[], data, beside).await
    }

    /// The same behind `prefix`, as in [`CrashServer::restart`].
    pub async fn start_behind(prefix: &[&str], data: &Path, beside: &Path) -> Result<Self> {
        let mut server = Self {
            data: data.to_path_buf(),
            beside: beside.to_path_buf(),
            process: None,
            registry: SocketAddr::from(([127, 0, 0, 1], 0)),
            authorization: None,
            started_in: Duration::ZERO,
        };
        server.restart(prefix).await?;
        Ok(server)
    }

    /// Starts the process again, behind `prefix` (a tracer with its flags, or nothing).
    pub async fn restart(&mut self, prefix: &[&str]) -> Result<()> {
        let mut words = prefix.iter().map(std::ffi::OsString::from).chain([binary()?]);
        let mut command = Command::new(words.next().context("a binary")?);
        serve_anywhere(command.args(words), &self.data);
        let began = Instant::now();
        let mut process = Process::start(&mut command, &self.beside.join("log"))?;
        for _ in 0..POLLS {
            if let Some(status) = process.ended()? {
                return Err(Ended(status)).context(process.log_tail());
            }
            if let Some(Addresses { registry, .. }) = Addresses::of(&self.data)
                && let Ok(mut wire) = Wire::connect(registry, "localhost", None).await
                && wire.get("/v2/").await.is_ok()
            {
                self.registry = registry;
                self.process = Some(process);
                self.started_in = began.elapsed();
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        process.kill()?;
        bail!("the server did not answer in time:\n{}", process.log_tail())
    }

    /// Makes the project with a service account that may push to it, as which the registry is then used.
    pub async fn make_project(&mut self) -> Result<()> {
        self.oc(&["new-project", PROJECT]).await?;
        self.use_new_account("pusher").await
    }

    /// Every few rounds another account: each crash leaves uploads open, and an account may have but so many.
    pub async fn use_account(&mut self, round: u64) -> Result<()> {
        if round > 0 && round.is_multiple_of(ROUNDS_OF_ACCOUNT) {
            self.use_new_account(&format!("pusher-{round}")).await
        } else {
            Ok(())
        }
    }

    async fn use_new_account(&mut self, account: &str) -> Result<()> {
        self.oc(&["create", "serviceaccount", account, "-n", PROJECT]).await?;
        self.oc(&["policy", "add-role-to-user", "edit", "-z", account, "-n", PROJECT]).await?;
        // The token is a controller's work, and comes when it comes.
        let mut token = self.oc(&["sa", "get-token", account, "-n", PROJECT]).await;
        for _ in 0..50 {
            if token.is_ok() {
                break;
            }
            tokio::time::sleep(POLL).await;
            token = self.oc(&["sa", "get-token", account, "-n", PROJECT]).await;
        }
        let token = token?;
        self.authorization = Some(format!("Bearer {token}"));
        Ok(())
    }

    /// Runs our own command line as the administrator and returns what it printed.
    pub async fn oc(&self, args: &[&str]) -> Result<String> {
        let tool = Tool::new(binary()?, &self.beside);
        let outcome = tool.variable("KUBECONFIG", self.data.join("admin.kubeconfig")).run(args).await;
        if outcome.code != Some(0) {
            bail!("{outcome}\n{}", self.log_tail());
        }
        Ok(outcome.stdout.trim().to_owned())
    }

    /// A new connection to the registry as the owner.
    pub async fn connect(&self) -> Result<Wire> {
        connect(self.registry, self.authorization.clone()).await
    }

    /// What a client needs to connect by itself.
    #[must_use]
    pub fn credentials(&self) -> (SocketAddr, Option<String>) {
        (self.registry, self.authorization.clone())
    }

    /// The process's id; with a tracer in front, the tracer's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// SIGKILL, and the wait for it.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the server runs")?.kill()
    }

    /// SIGTERM, and how the process ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.take().context("the server runs")?.stop()
    }

    /// Waits for a process that is expected to end by itself.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let process = self.process.as_mut().context("the server runs")?;
        for _ in 0..POLLS {
            if let Some(status) = process.ended()? {
                self.process = None;
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("the server still runs:\n{}", self.log_tail())
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(match self.process.as_mut() {
            Some(process) => process.ended()?.is_none(),
            None => false,
        })
    }

    /// Panics in the log of all starts so far (I18).
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        let log = std::fs::read(self.beside.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }

    /// The end of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        pierhead_testkit::log_tail(&self.beside.join("log"))
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }
}

impl Drop for CrashServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Not SIGTERM: its disk may be gone, and the test is over. One that is gone already is what is wanted.
            process.kill().ok();
        }
    }
}

fn binary() -> Result<std::ffi::OsString> {
    std::env::var_os("PIERHEAD_BIN").context("PIERHEAD_BIN is set by cargo xtask test")
}

/// A connection to a registry with these credentials.
pub async fn connect(registry: SocketAddr, authorization: Option<String>) -> Result<Wire> {
    Wire::connect(registry, "localhost", authorization.as_deref()).await
}
