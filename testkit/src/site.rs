//! A running Pierhead: the real binary with a folder of its own.
//!
//! Owns its life: started on an address of its own with routes on ports 80 and 443, ready before the test goes on, SIGTERM at the end, which it
//! must answer with exit code 0. When a test fails, the folder stays and its path is printed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::process::ADDRESSES;
use crate::{Actor, Addresses, HostName, Machine, OwnAddress, Process, eventually_within};

/// Files of its folder.
const HTPASSWD: &str = "htpasswd";
const CONFIG: &str = "config.toml";

const READY_LIMIT: Duration = Duration::from_secs(60);

static STARTED: AtomicU32 = AtomicU32::new(0);

/// What a test may want otherwise.
#[derive(Clone, Debug, Default)]
pub struct SiteOptions {
    /// More arguments of `serve`.
    pub arguments: Vec<String>,
    /// The users who may log in, each with a password, in place of everybody with any.
    pub htpasswd: Option<String>,
    /// The machine it runs on, in place of this one.
    pub machine: Option<Machine>,
    /// Its configuration file.
    pub config: Option<String>,
}

/// A running site.
#[derive(Debug)]
pub struct Site {
    folder: Option<TempDir>,
    plan: Plan,
    process: Process,
    addresses: Addresses,
    stopped: bool,
}

/// What every start of a site has in common.
#[derive(Debug)]
struct Plan {
    binary: PathBuf,
    root: PathBuf,
    domain: String,
    options: SiteOptions,
    outside: Outside,
}

impl Plan {
    fn serve(&self, api: SocketAddr, metrics: SocketAddr) -> Command {
        let mut command = match &self.options.machine {
            Some(machine) => machine.command(&self.binary),
            None => Command::new(&self.binary),
        };
        command.arg("serve").arg("--data").arg(self.data()).args(["--router-domain", &self.domain]);
        command.args(["--api", &api.to_string(), "--metrics", &metrics.to_string()]);
        command.args(["--registry", "127.0.0.1:0"]);
        command.args(["--router-http", &format!("{}:80", self.outside.address())]);
        command.args(["--router-https", &format!("{}:443", self.outside.address())]);
        if self.options.htpasswd.is_some() {
            command.arg("--htpasswd").arg(self.root.join(HTPASSWD));
        } else {
            command.arg("--allow-any-password");
        }
        if self.options.config.is_some() {
            command.arg("--config").arg(self.root.join(CONFIG));
        }
        command.args(&self.options.arguments);
        command
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn log(&self) -> PathBuf {
        self.root.join("log")
    }
}

/// The address of its routes.
#[derive(Debug)]
enum Outside {
    /// One of this machine.
    Own(OwnAddress),
    /// That of the machine it runs on.
    Machine(Ipv4Addr),
}

impl Outside {
    const fn address(&self) -> Ipv4Addr {
        match self {
            Self::Own(own) => own.address(),
            Self::Machine(address) => *address,
        }
    }
}

impl Site {
    /// Starts a site where everybody may log in with any password.
    ///
    /// # Errors
    /// It ended, or was not ready within a minute; the error holds the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(SiteOptions::default()).await
    }

    /// Starts a site.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn start_with(options: SiteOptions) -> Result<Self> {
        let binary = binary()?;
        let folder = tempfile::Builder::new().prefix("ph-").tempdir_in("/tmp")?; // podman wants short paths
        let outside = match &options.machine {
            Some(machine) => Outside::Machine(machine.address()),
            None => Outside::Own(OwnAddress::take()?),
        };
        let root = folder.path().to_path_buf();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let domain = format!("apps-{}-{number}.pierhead.test", std::process::id());
        let bin = root.join("bin");
        std::fs::create_dir(&bin)?;
        for name in ["oc", "pierhead"] {
            std::os::unix::fs::symlink(&binary, bin.join(name))?;
        }
        if let Some(users) = &options.htpasswd {
            std::fs::write(root.join(HTPASSWD), users)?;
        }
        if let Some(config) = &options.config {
            std::fs::write(root.join(CONFIG), config)?;
        }
        // The test asks from its own machine.
        let reached = options.machine.as_ref().map_or(Ipv4Addr::LOCALHOST, Machine::address);
        let plan = Plan { binary, root, domain, options, outside };
        let anywhere = SocketAddr::from((reached, 0));
        let mut command = plan.serve(anywhere, anywhere);
        let mut process = Process::start(&mut command, &plan.log())?;
        let addresses = ready(&mut process, &plan.data()).await?;
        Ok(Self { folder: Some(folder), plan, process, addresses, stopped: false })
    }

    /// Ends the server as a power cut would, without a word, and starts it again on the same addresses.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn kill_and_start_again(&mut self) -> Result<()> {
        self.process.kill()?;
        // What the killed one wrote there says nothing about the next.
        std::fs::remove_file(self.plan.data().join(ADDRESSES))?;
        let mut command = self.plan.serve(self.addresses.api, self.addresses.metrics);
        self.process = Process::start(&mut command, &self.plan.log())?;
        self.addresses = ready(&mut self.process, &self.plan.data()).await?;
        Ok(())
    }

    /// Where it listens.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The binary it runs.
    pub fn binary(&self) -> &Path {
        &self.plan.binary
    }

    /// The folder with that binary under the names `oc` and `pierhead`.
    pub fn binaries(&self) -> PathBuf {
        self.plan.root.join("bin")
    }

    /// The URL of the API.
    pub fn api_url(&self) -> String {
        format!("https://{}", self.addresses.api)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The certificate authority that clients are to trust.
    pub fn authority(&self) -> PathBuf {
        self.plan.data().join("pki/ca.crt")
    }

    /// The host that a route `name` in `namespace` gets, made resolvable while the result lives.
    ///
    /// # Errors
    /// The hosts file cannot be written.
    pub fn route_host(&self, name: &str, namespace: &str) -> Result<HostName> {
        HostName::add(&format!("{name}-{namespace}.{}", self.plan.domain), self.plan.outside.address())
    }

    /// The administrator, with the kubeconfig that the server made.
    ///
    /// # Errors
    /// There is no kubeconfig.
    pub fn admin(&self) -> Result<Actor> {
        let actor = self.actor("admin")?;
        let made = self.plan.data().join("admin.kubeconfig");
        std::fs::copy(&made, actor.kubeconfig()).with_context(|| made.display().to_string())?;
        Ok(actor)
    }

    /// Somebody who logged in.
    ///
    /// # Errors
    /// The files cannot be made.
    pub async fn user(&self, name: &str) -> Result<Actor> {
        let actor = self.stranger(name)?;
        let authority = self.authority();
        let authority = authority.to_str().context("temporary folders have UTF-8 names")?;
        let api = self.api_url();
        let arguments = ["login", &api, "-u", name, "-p", "secret", "--certificate-authority", authority];
        actor.oc(arguments).await.succeeds();
        Ok(actor)
    }

    /// Somebody who has files of their own, and is not logged in anywhere.
    ///
    /// # Errors
    /// The files cannot be made.
    pub fn stranger(&self, name: &str) -> Result<Actor> {
        self.actor(name)
    }

    fn actor(&self, name: &str) -> Result<Actor> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        Actor::new(&self.plan.root.join(format!("h{number}-{name}")), &self.plan.root.join("bin"))
    }

    /// Ends the site, which must take SIGTERM for an answer and exit with 0.
    ///
    /// # Errors
    /// It did not end, or not with 0.
    pub fn stop(mut self) -> Result<()> {
        self.stopped = true;
        let status = self.process.stop()?;
        ensure!(status.code() == Some(0), "the site ended with {status}:\n{}", self.process.log_tail());
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.stopped && !std::thread::panicking() {
            return;
        }
        if let Some(folder) = self.folder.take() {
            let kept = folder.keep();
            let tail = self.process.log_tail();
            println!("The site's folder is kept: {}\nThe end of its log:\n{tail}", kept.display());
        }
    }
}

async fn ready(process: &mut Process, data: &Path) -> Result<Addresses> {
    let mut found = None;
    let ready = eventually_within(READY_LIMIT, "the site is ready", async || {
        if let Ok(Some(status)) = process.ended() {
            return Some(Err(status));
        }
        let addresses = Addresses::of(data)?;
        found = Some(addresses);
        is_ready(addresses.metrics).await.then_some(Ok(addresses))
    })
    .await;
    match ready {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(status)) => bail!("the site ended with {status}:\n{}", process.log_tail()),
        Err(error) => bail!("{error}; addresses: {found:?}\n{}", process.log_tail()),
    }
}

/// Whether `/readyz` says 200.
async fn is_ready(metrics: SocketAddr) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(metrics).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}

/// The binary that `cargo xtask test` built and names, else the one next to this test.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PIERHEAD_BIN") {
        return Ok(PathBuf::from(path).canonicalize()?);
    }
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(Path::parent).map(|profile| profile.join("pierhead"));
    let built = built.filter(|path| path.is_file());
    built.context(
        "no binary: build pierhead-server first, or name it in PIERHEAD_BIN; `cargo xtask test` does",
    )
}
