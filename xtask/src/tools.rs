//! Installs the clients and servers that the tests drive: Debian packages as root, and below the target folder, where
//! the next run finds them, Go programs, Python packages, Java libraries and a Debian package of another release.

use crate::run::{on_path, run, say, target, workspace};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Program that proves a package is there, and the package.
const TESTS: [(&str, &str); 17] = [
    ("dockerd", "docker.io"),
    ("skopeo", "skopeo"),
    ("docker-registry", "docker-registry"),
    ("podman", "podman"),
    ("strace", "strace"),
    ("mkfs.ext4", "e2fsprogs"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("busybox", "busybox-static"),
    ("htpasswd", "apache2-utils"),
    ("slapd", "slapd"),
    ("javac", "default-jdk-headless"),
    ("mvn", "maven"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("curl", "curl"),
    ("openssl", "openssl"),
];

/// What the benches need on top.
const BENCHES: [(&str, &str); 3] =
    [("docker-registry", "docker-registry"), ("nginx", "nginx-light"), ("haproxy", "haproxy")];

/// The conformance suite of the distribution specification, at the commit the tests are held to.
const CONFORMANCE: &str =
    "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111";

/// The peer that `cargo xtask bench` compares with besides Debian's.
const DISTRIBUTION: &str = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2";

/// A variable of the environment that the tests get, and the tool it names.
pub(crate) type Named = (&'static str, PathBuf);

/// Makes sure that everything `cargo xtask test` drives is installed; where the tests find what is not on the path.
pub(crate) fn for_tests() -> Result<Vec<Named>> {
    for_crashes()?;
    let clients = workspace().join("e2e/clients");
    Ok(vec![
        ("PIERHEAD_CONFORMANCE", go_program("conformance", CONFORMANCE)?),
        ("PIERHEAD_KUBECTL_OLD", debian_unpacked("kubernetes-client")?.join("usr/bin/kubectl")),
        ("PIERHEAD_KUBECTL_NEWEST", go_module(&clients.join("kubectl"), "kubectl")?),
        ("PIERHEAD_PYTHON_KUBERNETES", python(&clients.join("python"))?),
        ("PIERHEAD_PYTHON_OPENSHIFT", python(&clients.join("openshift"))?),
        ("PIERHEAD_SCHEMATHESIS", python(&clients.join("schemathesis"))?),
        ("PIERHEAD_FABRIC8", maven(&clients.join("fabric8"))?),
        ("PIERHEAD_OIDC_PROVIDER", npm(&clients.join("oidc-provider"))?),
    ])
}

/// Makes sure that what makes requests at random is installed.
pub(crate) fn for_fuzzing() -> Result<PathBuf> {
    debian(&TESTS)?;
    python(&workspace().join("e2e/clients/schemathesis"))
}

/// Makes sure that Kubernetes' own servers are installed: the folder of `etcd`, and that of the API server and the
/// controllers, which takes ten minutes to build.
pub(crate) fn for_real_kubernetes() -> Result<(PathBuf, PathBuf)> {
    debian(&TESTS)?;
    let source = workspace().join("e2e/clients/kubernetes");
    let mut inputs = texts(&source, &["go.mod", "go.sum"])?;
    let flags = linked_as(&inputs, "k8s.io/kubernetes v1.")?;
    inputs.push(flags.clone());
    let folder = once("kubernetes", &inputs, |folder| {
        let mut go = Command::new("go");
        go.current_dir(&source).env("CGO_ENABLED", "0").args(["build", "-trimpath", &flags, "-o"]);
        go.arg(folder.join(""));
        run(go.args(
            ["kube-apiserver", "kube-controller-manager"].map(|name| format!("k8s.io/kubernetes/cmd/{name}")),
        ))
    })?;
    Ok((debian_unpacked("etcd-server")?.join("usr/bin"), folder))
}

/// Makes sure that what `cargo xtask torture` drives is installed: only Debian's.
pub(crate) fn for_crashes() -> Result<()> {
    debian(&TESTS)?;
    if on_path("kubectl") { Ok(()) } else { debian(&[("kubectl", "kubernetes-client")]) }
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

/// A Debian package that is looked into and not installed, since another version of it may be.
fn debian_unpacked(package: &str) -> Result<PathBuf> {
    once(&format!("debian-{package}"), &[package.to_owned()], |folder| {
        let download = || {
            let mut command = Command::new("apt-get");
            command.args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(folder);
            command
        };
        if run(&mut download()).is_err() {
            run(Command::new("apt-get").args(["-qq", "update"]))?;
            run(&mut download())?;
        }
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension() == Some(OsStr::new("deb")) {
                run(Command::new("dpkg").arg("-x").arg(&file).arg(folder))?;
                std::fs::remove_file(file)?;
            }
        }
        Ok(())
    })
}

/// What Kubernetes' programs are told about their version when they are linked; the libraries of 1.37 are v0.37.
fn linked_as(inputs: &[String], module: &str) -> Result<String> {
    let version = inputs.iter().find_map(|text| text.split(module).nth(1)?.split_whitespace().next());
    let version = version.with_context(|| format!("go.mod names {module}"))?;
    Ok(format!("-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.{version}"))
}

/// The program of a Go module of ours.
fn go_module(source: &Path, program: &str) -> Result<PathBuf> {
    let mut inputs = texts(source, &["go.mod", "go.sum", "main.go"])?;
    let flags = linked_as(&inputs, "k8s.io/kubectl v0.")?;
    inputs.push(flags.clone());
    let folder = once(program, &inputs, |folder| {
        let mut command = Command::new("go");
        command.current_dir(source).env("CGO_ENABLED", "0");
        run(command.args(["build", "-trimpath", &flags, "-o"]).arg(folder.join(program)).arg("."))
    })?;
    Ok(folder.join(program))
}

/// The interpreter of an environment that holds the packages of a folder's `requirements.txt`.
fn python(source: &Path) -> Result<PathBuf> {
    let inputs = texts(source, &["requirements.txt"])?;
    let name = format!("python-{}", source.file_name().unwrap_or_default().display());
    let folder = once(&name, &inputs, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(source.join("requirements.txt")))
    })?;
    Ok(folder.join("bin/python"))
}

/// A folder with the packages of a folder's `package-lock.json`.
fn npm(source: &Path) -> Result<PathBuf> {
    const FILES: [&str; 2] = ["package.json", "package-lock.json"];
    let inputs = texts(source, &FILES)?;
    let name = format!("npm-{}", source.file_name().unwrap_or_default().display());
    once(&name, &inputs, |folder| {
        for file in FILES {
            std::fs::copy(source.join(file), folder.join(file))?;
        }
        let mut npm = Command::new("npm");
        run(npm.current_dir(folder).args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]))
    })
}

/// The folder of the libraries that a folder's `pom.xml` asks for.
fn maven(source: &Path) -> Result<PathBuf> {
    let inputs = texts(source, &["pom.xml"])?;
    once("java", &inputs, |folder| {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(source.join("pom.xml"));
        run(maven.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", folder.display())))
    })
}

fn texts(folder: &Path, names: &[&str]) -> Result<Vec<String>> {
    let text = |name: &&str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    names.iter().map(text).collect()
}

/// A folder below that of the tools which `make` fills, unless it did so before from the same inputs.
fn once(name: &str, inputs: &[String], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = target().join("tools").join(name);
    let (stamp, inputs) = (folder.join("made-from"), inputs.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == inputs) {
        return Ok(folder);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    // Installers run in folders of their own.
    let folder = folder.canonicalize()?;
    make(&folder)?;
    std::fs::write(stamp, inputs)?;
    Ok(folder)
}
