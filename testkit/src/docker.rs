//! A Docker Engine of a test's own, and its client.
//!
//! Owns the daemon (its own data root, exec root, pid file and socket), the client's configuration, and the trust in
//! certificate authorities of registries. Leaves every other engine of the machine alone.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::{Machine, Outcome, Process, Tool, eventually_within};

const CERTIFICATES: &str = "/etc/docker/certs.d";
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What a test may want of its engine.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Registries (`host:port`) that speak plain HTTP.
    pub insecure_registries: Vec<String>,
    /// The machine it runs on, in place of this one. Only there it has a network for its containers.
    pub machine: Option<Machine>,
}

/// A running engine.
#[derive(Debug)]
pub struct DockerEngine {
    process: Process,
    options: EngineOptions,
    trusted: Vec<PathBuf>,
    folder: TempDir,
}

impl DockerEngine {
    /// Starts an engine that speaks plain HTTP to these registries (`host:port`).
    ///
    /// # Errors
    /// It ended, or was not ready within a minute; the error holds the end of its log.
    pub async fn start(insecure_registries: &[&str]) -> Result<Self> {
        let insecure_registries = insecure_registries.iter().map(|&registry| registry.to_owned()).collect();
        Self::start_with(&EngineOptions { insecure_registries, machine: None }).await
    }

    /// Starts an engine on this machine.
    ///
    /// # Errors
    /// As [`DockerEngine::start`].
    pub async fn start_on(machine: &Machine) -> Result<Self> {
        Self::start_with(&EngineOptions { machine: Some(machine.clone()), ..EngineOptions::default() }).await
    }

    /// Starts an engine.
    ///
    /// # Errors
    /// As [`DockerEngine::start`].
    pub async fn start_with(options: &EngineOptions) -> Result<Self> {
        // Sockets of the engine lie below its folder, and socket paths are short.
        let folder = tempfile::Builder::new().prefix("ph-docker-").tempdir_in("/tmp")?;
        std::fs::write(folder.path().join("daemon.json"), "{}")?;
        let process = Self::serve(options, folder.path())?;
        let mut engine = Self { process, options: options.clone(), trusted: Vec::new(), folder };
        engine.ready().await?;
        Ok(engine)
    }

    /// Kills the engine where it stands; its containers are left to themselves.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts the engine again on what it had.
    ///
    /// # Errors
    /// As [`DockerEngine::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        // What the killed one left there names a process that is gone.
        std::fs::remove_file(self.folder.path().join("pid")).unwrap_or_default();
        // Its containerd ends with it, but not at once, and a new engine would take the old one for its own.
        let containerd = self.folder.path().join("exec/containerd/containerd.pid");
        if let Ok(id) = std::fs::read_to_string(containerd) {
            let process = Path::new("/proc").join(id.trim());
            let gone = async || (!process.exists()).then_some(());
            eventually_within(READY_LIMIT, "the killed engine's containerd ends", gone).await?;
        }
        self.process = Self::serve(&self.options, self.folder.path())?;
        self.ready().await
    }

    fn serve(options: &EngineOptions, folder: &Path) -> Result<Process> {
        let path = |name: &str| folder.join(name);
        let socket = format!("unix://{}", path("sock").display());
        let mut command = match &options.machine {
            Some(machine) => machine.command("dockerd"),
            None => Command::new("dockerd"),
        };
        command.args([
            "--storage-driver=overlay2",
            "--iptables=false",
            "--ip-masq=false",
            "--log-level=warn",
        ]);
        if options.machine.is_none() {
            command.arg("--bridge=none");
        }
        command.arg("--config-file").arg(path("daemon.json")).args(["--host", &socket]);
        command.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        command.arg("--pidfile").arg(path("pid"));
        for registry in &options.insecure_registries {
            command.args(["--insecure-registry", registry]);
        }
        for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(proxy);
        }
        Process::start(&mut command, &path("log"))
    }

    async fn ready(&mut self) -> Result<()> {
        let ready = eventually_within(READY_LIMIT, "the engine is ready", async || {
            if let Ok(Some(status)) = self.process.ended() {
                return Some(Err(status));
            }
            let answer = self.docker(["version", "--format", "{{.Server.Version}}"]).await;
            (answer.code == Some(0)).then_some(Ok(()))
        })
        .await;
        match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("dockerd ended with {status}:\n{}", self.process.log_tail()),
            Err(error) => bail!("{error}\n{}", self.process.log_tail()),
        }
    }

    /// Trusts this authority for a registry (`host:port`) until the engine ends.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn trust(&mut self, registry: &str, authority: &Path) -> Result<()> {
        let folder = Path::new(CERTIFICATES).join(registry);
        std::fs::create_dir_all(&folder).context("trusting an authority needs root")?;
        self.trusted.push(folder.clone());
        std::fs::copy(authority, folder.join("ca.crt"))?;
        Ok(())
    }

    /// Runs the client against this engine.
    pub async fn docker(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.client().run(arguments).await
    }

    /// Runs the client with something typed in.
    pub async fn docker_with_input(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &str,
    ) -> Outcome {
        self.client().run_with_input(arguments, input).await
    }

    /// The section of a site's configuration by which the site's node runs its pods here.
    pub fn node_section(&self) -> String {
        format!("[node]\nengine = \"docker\"\nsocket = {:?}\n", self.socket())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    fn client(&self) -> Tool {
        let socket = format!("unix://{}", self.socket().display());
        Tool::new("docker", self.folder.path())
            .variable("DOCKER_HOST", socket)
            .variable("DOCKER_CONFIG", self.folder.path().join("config"))
    }

    /// A small image from nothing: busybox and one file that tells images apart.
    ///
    /// # Errors
    /// There is no static busybox, or files cannot be written.
    pub async fn make_image(&self, name: &str, text: &str) -> Result<String> {
        self.import(name, text, r#"CMD ["/bin/cat", "/message"]"#).await
    }

    /// A small image with a web server that answers `GET /message` on port 8080 with `text`.
    ///
    /// # Errors
    /// As [`DockerEngine::make_image`].
    pub async fn make_web_image(&self, name: &str, text: &str) -> Result<String> {
        let serve = r#"CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/"]"#;
        self.import(name, text, serve).await
    }

    async fn import(&self, name: &str, text: &str, change: &str) -> Result<String> {
        let archive = self.folder.path().join("root.tar");
        std::fs::write(&archive, crate::layout::busybox_layer(text)?)?;
        let archive = archive.to_str().context("temporary folders have UTF-8 names")?;
        let made = self.docker(["import", "--change", change, archive, name]).await;
        Ok(made.succeeds().trim().to_owned())
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        for folder in &self.trusted {
            std::fs::remove_dir_all(folder).unwrap_or_default();
        }
        if std::thread::panicking() {
            println!("The end of dockerd's log:\n{}", self.process.log_tail());
        }
        // Its mounts must be gone before its folder is removed.
        self.process.stop().map(|_| ()).unwrap_or_default();
        // A killed engine's mount of its data lies below that of the one started after it, which takes only its own
        // away.
        while unmount(self.folder.path().join("data"), UnmountFlags::DETACH).is_ok() {}
    }
}
