//! The container engine of this machine, used as a person uses it: through the `docker` command.
//!
//! Owns finding it and the image of the story. Running what production deploys is the cluster's own business.

use super::cluster::{run, typed};
use super::narrator::Ran;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// Static programs that can be the whole content of an image.
const STATIC_BUSYBOXES: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];
const PUBLIC_BUSYBOX: &str = "docker.io/library/busybox:stable";

/// A Docker Engine that answers.
pub(super) struct Engine {
    socket: PathBuf,
    version: String,
    folder: PathBuf,
}

impl Engine {
    /// The engine at `socket`, or the one that `docker` would use, when it answers. Logins are kept in `folder`,
    /// not with the user's own.
    pub(super) fn find(
        socket: Option<&Path>,
        variables: &BTreeMap<String, String>,
        folder: &Path,
    ) -> Option<Self> {
        let named = variables.get("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://"));
        let socket = socket.or(named.map(Path::new)).unwrap_or(Path::new(DEFAULT_SOCKET)).to_path_buf();
        let mut engine = Self { socket, version: String::new(), folder: folder.to_path_buf() };
        let asked = engine.docker(&["version", "--format", "{{.Server.Version}}"], "").ok()?;
        engine.version = asked.output.trim().to_owned();
        asked.succeeded.then_some(engine)
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Runs `docker` with these arguments.
    pub(super) fn docker(&self, arguments: &[&str], input: &str) -> Result<Ran> {
        let mut command = Command::new("docker");
        command
            .arg("--config")
            .arg(&self.folder)
            .arg("--host")
            .arg(format!("unix://{}", self.socket.display()));
        command.env("DOCKER_BUILDKIT", "0").args(arguments);
        run(command, typed("docker", arguments), input)
    }

    /// Builds an image with a web server that answers with `message`, and names it `name`.
    pub(super) fn build(&self, name: &str, message: &str) -> Result<Ran> {
        let folder = self.folder.join("build");
        std::fs::create_dir_all(folder.join("www"))?;
        std::fs::write(folder.join("www/index.html"), message)?;
        let serve = r#"CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]"#;
        let base = match static_busybox() {
            Some(program) => {
                std::fs::copy(program, folder.join("busybox")).context("copying busybox")?;
                "FROM scratch\nADD busybox /bin/busybox".to_owned()
            }
            None => format!("FROM {PUBLIC_BUSYBOX}"),
        };
        let file = format!("{base}\nADD www /www\nEXPOSE 8080\n{serve}\n");
        std::fs::write(folder.join("Dockerfile"), file)?;
        let path = folder.to_str().context("the folder's name is no text")?;
        let mut ran = self.docker(&["build", "-q", "-t", name, path], "")?;
        ensure!(ran.succeeded, "the image of the story cannot be built: {}", ran.output);
        ran.typed = typed("docker", &["build", "-q", "-t", name, "."]);
        // Some versions say above it that they are old.
        ran.output = ran.output.trim_end().lines().last().unwrap_or_default().to_owned();
        Ok(ran)
    }
}

/// A busybox of this machine that needs no libraries.
fn static_busybox() -> Option<&'static str> {
    STATIC_BUSYBOXES.into_iter().find(|path| {
        // A program that is linked dynamically names its interpreter near the front.
        std::fs::read(path).is_ok_and(|bytes| {
            let front = bytes.get(..4096.min(bytes.len())).unwrap_or_default();
            !front.windows(8).any(|window| window == b"/ld-linu" || window == b"/ld-musl")
        })
    })
}
