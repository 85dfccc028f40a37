//! The registries of the comparison, each a process of its own with a folder of its own.
//!
//! The peers run without any authentication, which is cheaper for them than any they offer; ours authenticates and
//! authorizes every request.

use crate::wire::Wire;
use anyhow::{Context, Result, bail};
use pierhead_testkit::{Addresses, Process, serve_anywhere};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A registry that runs.
pub struct Server {
    /// What the table calls it.
    pub name: &'static str,
    /// Where it listens, plain HTTP.
    pub address: SocketAddr,
    /// What to send as `Authorization`.
    pub authorization: Option<String>,
    process: Process,
    launch: Launch,
    folder: TempDir,
}

/// How to start it again on the same folder.
enum Launch {
    Ours { binary: PathBuf },
    Peer { binary: PathBuf },
}

impl Server {
    /// Ours, with a user who owns the project `bench`.
    pub async fn ours(binary: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        let launch = Launch::Ours { binary: binary.to_path_buf() };
        let (process, address) = launch.start(folder.path()).await?;
        let mut server = Self { name: "pierhead", address, authorization: None, process, launch, folder };
        server.authorization = Some(format!("Bearer {}", server.project_owner(binary)?));
        Ok(server)
    }

    /// A distribution registry, whichever version the binary is.
    pub async fn peer(name: &'static str, binary: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        let launch = Launch::Peer { binary: binary.to_path_buf() };
        let (process, address) = launch.start(folder.path()).await?;
        Ok(Self { name, address, authorization: None, process, launch, folder })
    }

    /// A new connection to it.
    pub async fn connect(&self) -> Result<Wire> {
        Wire::connect(self.address, "localhost", self.authorization.as_deref()).await
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends the process and starts it again; how long until it answered `/v2/`.
    pub async fn restart(&mut self) -> Result<Duration> {
        self.process.stop()?;
        let began = tokio::time::Instant::now();
        (self.process, self.address) = self.launch.start(self.folder.path()).await?;
        Ok(began.elapsed())
    }

    /// Copies a tag of a peer within its storage, as it would lie there had each copy been pushed. Pushing as many takes
    /// the peers a quarter of an hour, and to a page of them it does not matter how they came. False for ours, whose tags
    /// all come through its API.
    pub fn copy_tag(
        &self,
        repository: &str,
        from: &str,
        copies: impl Iterator<Item = String>,
    ) -> Result<bool> {
        let Launch::Peer { .. } = self.launch else { return Ok(false) };
        let storage = self.folder.path().join("registry/docker/registry/v2/repositories");
        let tags = storage.join(repository).join("_manifests/tags");
        let link = std::fs::read_to_string(tags.join(from).join("current/link"))?;
        let hash = link.strip_prefix("sha256:").context("a link is a digest")?;
        for copy in copies {
            for folder in ["current".to_owned(), format!("index/sha256/{hash}")] {
                let folder = tags.join(&copy).join(folder);
                std::fs::create_dir_all(&folder)?;
                std::fs::write(folder.join("link"), &link)?;
            }
        }
        Ok(true)
    }

    /// Imports all tags of a repository of ours into another stream; how long that took, and how many there were.
    pub fn import(&self, repository: &str, stream: &str) -> Result<(Duration, usize)> {
        let Launch::Ours { binary } = &self.launch else { bail!("peers import nothing") };
        let name = format!("{}/{repository}", self.address);
        let from = serde_json::json!({"kind": "DockerImage", "name": name});
        let import = serde_json::json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport",
            "metadata": {"name": stream, "namespace": "bench"},
            "spec": {"import": true, "repository": {"from": from}},
        });
        let file = self.folder.path().join("import.json");
        std::fs::write(&file, import.to_string())?;
        let file = file.to_str().context("temporary folders have UTF-8 names")?;
        let began = tokio::time::Instant::now();
        let answer = self.run(binary, &["create", "-f", file, "-o", "json"])?;
        let took = began.elapsed();
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let repository = &answer["status"]["repository"];
        if repository["status"]["status"] != "Success" {
            bail!("the import failed: {repository}");
        }
        Ok((took, repository["images"].as_array().map_or(0, Vec::len)))
    }

    /// Creates objects in the project `bench` of ours.
    pub fn create(&self, binary: &Path, objects: &str) -> Result<()> {
        let file = self.folder.path().join("objects.json");
        std::fs::write(&file, objects)?;
        let file = file.to_str().context("temporary folders have UTF-8 names")?;
        self.run(binary, &["create", "-f", file]).map(drop)
    }

    /// Where our router listens for plain HTTP.
    pub fn router(&self) -> Option<SocketAddr> {
        Addresses::of(&self.folder.path().join("data")).map(|addresses| addresses.router_http)
    }

    /// Runs our command line as the owner of the project; for ours alone.
    pub fn as_owner(&self, args: &[&str]) -> Result<String> {
        let Launch::Ours { binary } = &self.launch else { bail!("peers have no command line") };
        self.run(binary, args)
    }

    /// Runs our command line as the owner of the project.
    fn run(&self, binary: &Path, args: &[&str]) -> Result<String> {
        let output = Command::new(binary)
            .args(args)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("bench.kubeconfig"))
            .output()?;
        if !output.status.success() {
            bail!("{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Logs a user in, lets it create a project, and returns its token.
    fn project_owner(&self, binary: &Path) -> Result<String> {
        let Addresses { api, .. } =
            Addresses::of(&self.folder.path().join("data")).context("it says where it listens")?;
        let run = |args: &[&str]| self.run(binary, args);
        let server = format!("https://{api}");
        run(&["login", "--insecure-skip-tls-verify=true", "-u", "bench", "-p", "bench", &server])?;
        run(&["new-project", "bench"])?;
        run(&["whoami", "-t"])
    }
}

impl Launch {
    async fn start(&self, folder: &Path) -> Result<(Process, SocketAddr)> {
        let (data, peer_address) = (folder.join("data"), free_address()?);
        let mut command;
        match self {
            Self::Ours { binary } => {
                command = Command::new(binary);
                let config = folder.join("config.toml");
                std::fs::write(
                    &config,
                    "[import]\ntags-per-repository = -1\n\n[egress]\nallow = [\"127.0.0.0/8\"]\n",
                )?;
                serve_anywhere(&mut command, &data).args(["--allow-any-password", "--log", "warn"]);
                command.arg("--config").arg(config);
            }
            Self::Peer { binary } => {
                let config = folder.join("config.yml");
                std::fs::write(&config, peer_config(folder, peer_address))?;
                command = Command::new(binary);
                command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
            }
        }
        let mut process = Process::start(&mut command, &folder.join("log"))?;
        for _ in 0..6000 {
            if let Some(status) = process.ended()? {
                bail!("the server ended with {status}: {}", process.log_tail());
            }
            let address = match self {
                Self::Peer { .. } => Some(peer_address),
                Self::Ours { .. } => Addresses::of(&data).map(|addresses| addresses.registry),
            };
            if let Some(address) = address
                && let Ok(mut wire) = Wire::connect(address, "localhost", None).await
                && wire.get("/v2/").await.is_ok()
            {
                return Ok((process, address));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process.kill()?;
        bail!("the server did not answer within a minute")
    }
}

fn peer_config(folder: &Path, address: SocketAddr) -> String {
    let root = folder.join("registry");
    format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
         rootdirectory: {}\n  delete:\n    enabled: true\n  cache:\n    blobdescriptor: inmemory\nhttp:\n  addr: {address}\n",
        root.display()
    )
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
