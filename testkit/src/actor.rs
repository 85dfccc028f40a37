//! Somebody who uses a site from a command line.
//!
//! Owns a home of their own: kubeconfig, registry credentials and container storage are shared with nobody.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{Outcome, Tool};

/// A user with files of their own.
#[derive(Clone, Debug)]
pub struct Actor {
    home: PathBuf,
    bin: PathBuf,
}

impl Actor {
    pub(crate) fn new(home: &Path, bin: &Path) -> Result<Self> {
        std::fs::create_dir(home)?;
        Ok(Self { home: home.to_path_buf(), bin: bin.to_path_buf() })
    }

    /// Their folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Their kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    /// Where skopeo and podman keep their credentials.
    pub fn auth_file(&self) -> PathBuf {
        self.home.join("auth.json")
    }

    /// Our binary under the name `oc`.
    pub async fn oc(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.own("oc").run(arguments).await
    }

    /// Our binary under the name `oc`, with something typed or piped in.
    pub async fn oc_with_input(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &str,
    ) -> Outcome {
        self.own("oc").run_with_input(arguments, input).await
    }

    /// Our binary under its own name.
    pub async fn pierhead(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.own("pierhead").run(arguments).await
    }

    /// Kubernetes' own client.
    pub async fn kubectl(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.with_kubeconfig("kubectl").run(arguments).await
    }

    /// Kubernetes' own client, with something piped in.
    pub async fn kubectl_with_input(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &str,
    ) -> Outcome {
        self.with_kubeconfig("kubectl").run_with_input(arguments, input).await
    }

    /// skopeo, with credentials of their own.
    pub async fn skopeo(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        let policy = self.home.join("policy.json");
        if let Err(error) = std::fs::write(&policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#) {
            panic!("{}: {error}", policy.display());
        }
        let tool = self.with_auth_file("skopeo").before([OsStr::new("--policy"), policy.as_os_str()]);
        tool.run(arguments).await
    }

    /// podman, with storage and credentials of their own.
    pub async fn podman(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        let (storage, run) = (self.home.join("containers"), self.home.join("run"));
        let tool = self.with_auth_file("podman").before([
            OsStr::new("--root"),
            storage.as_os_str(),
            OsStr::new("--runroot"),
            run.as_os_str(),
            OsStr::new("--storage-driver"),
            OsStr::new("vfs"),
            OsStr::new("--cgroup-manager"),
            OsStr::new("cgroupfs"),
        ]);
        tool.run(arguments).await
    }

    fn own(&self, name: &str) -> Tool {
        self.with_kubeconfig(self.bin.join(name))
    }

    fn with_kubeconfig(&self, program: impl Into<PathBuf>) -> Tool {
        Tool::new(program, &self.home).variable("KUBECONFIG", self.kubeconfig())
    }

    fn with_auth_file(&self, program: &str) -> Tool {
        Tool::new(program, &self.home)
            .variable("REGISTRY_AUTH_FILE", self.auth_file())
            .variable("TMPDIR", &self.home)
            .variable("XDG_RUNTIME_DIR", &self.home)
    }
}
