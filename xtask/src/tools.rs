//! Installs the clients and servers that the tests drive: Debian packages as root, Go programs by `go install`.

use crate::run::{on_path, run, say, target};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Program that proves a package is there, and the package.
const TESTS: [(&str, &str); 9] = [
    ("dockerd", "docker.io"),
    ("skopeo", "skopeo"),
    ("podman", "podman"),
    ("strace", "strace"),
    ("mkfs.ext4", "e2fsprogs"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("busybox", "busybox-static"),
    ("htpasswd", "apache2-utils"),
];

/// What the benches need on top.
const BENCHES: [(&str, &str); 3] =
    [("docker-registry", "docker-registry"), ("nginx", "nginx-light"), ("haproxy", "haproxy")];

/// The conformance suite of the distribution specification, at the commit the tests are held to.
const CONFORMANCE: &str =
    "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111";

/// The peer that `cargo xtask bench` compares with besides Debian's.
const DISTRIBUTION: &str = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2";

/// Makes sure that everything `cargo xtask test` drives is installed; the path of the conformance suite's program.
pub(crate) fn for_tests() -> Result<PathBuf> {
    debian(&TESTS)?;
    if !on_path("kubectl") {
        debian(&[("kubectl", "kubernetes-client")])?;
    }
    go_program("conformance", CONFORMANCE)
}

/// Makes sure that the peers of `cargo xtask bench` are installed; the path of distribution's own binary.
pub(crate) fn for_benches() -> Result<PathBuf> {
    debian(&BENCHES)?;
    go_program("registry", DISTRIBUTION)
}

fn debian(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", missing.join(" ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    run(apt().arg("update")).context("the tests install Debian packages as root")?;
    run(apt().args(["install", "-y", "--no-install-recommends"]).args(&missing))?;
    let still: Vec<&str> =
        wanted.iter().filter(|(program, _)| !on_path(program)).map(|(program, _)| *program).collect();
    if still.is_empty() { Ok(()) } else { bail!("still not on the path: {}", still.join(" ")) }
}

fn go_program(program: &str, module: &str) -> Result<PathBuf> {
    let version = module.rsplit_once('@').map_or("latest", |(_, version)| version);
    let folder = target().join("tools").join(version);
    let path = folder.join(program);
    if path.is_file() {
        return Ok(path);
    }
    std::fs::create_dir_all(&folder)?;
    run(Command::new("go").args(["install", module]).env("CGO_ENABLED", "0").env("GOBIN", &folder))?;
    Ok(path)
}
