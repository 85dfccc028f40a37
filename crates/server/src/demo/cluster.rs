//! A cluster of the story: `pierhead serve` as a child with a folder of its own, and the shells that talk to it.
//!
//! Owns the child's life. What is typed in the shells is the story's.

use super::engine::Engine;
use super::narrator::Ran;
use super::wait::until;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a cluster may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end in order.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// What the cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Images are made here.
    NonProduction,
    /// Images run here.
    Production,
}

/// The addresses that the story uses.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Addresses {
    api: SocketAddr,
    router_http: SocketAddr,
}

/// A running cluster. It is ended when this is dropped.
pub(super) struct Cluster {
    name: &'static str,
    folder: PathBuf,
    child: Child,
    addresses: Addresses,
}

impl Cluster {
    /// Starts it and waits until it serves. `engine` runs the pods of a production cluster.
    pub(super) fn start(
        name: &'static str,
        folder: &Path,
        place: Place,
        engine: Option<&Engine>,
    ) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--data").arg(folder.join("data")).arg("--allow-any-password");
        for listener in ["--api", "--registry", "--router-http", "--router-https", "--metrics"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.args(["--router-domain", &format!("apps.{name}.example.com")]);
        if place == Place::Production {
            let file = folder.join("config.toml");
            std::fs::write(&file, production_settings(engine))?;
            command.arg("--config").arg(file);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let folder = folder.to_path_buf();
        let mut cluster =
            Self { name, folder, child, addresses: Addresses { api: NOWHERE, router_http: NOWHERE } };
        cluster.addresses = cluster.wait_until_it_serves()?;
        Ok(cluster)
    }

    fn wait_until_it_serves(&mut self) -> Result<Addresses> {
        let addresses = self.folder.join("data/addresses.json");
        let found = until(START_LIMIT, || match std::fs::read(&addresses) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).context("reading the addresses")?)),
            Err(_) => match self.child.try_wait()? {
                Some(status) => bail!("it ended with {status}"),
                None => Ok(None),
            },
        });
        found.with_context(|| format!("cluster {} does not serve:\n{}", self.name, self.last_words()))
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(10)).copied().collect::<Vec<_>>().join("\n")
    }

    /// What the story calls it.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Where it serves the API.
    pub(super) fn api(&self) -> String {
        format!("https://{}", self.addresses.api)
    }

    /// Where its routes are served over plain HTTP.
    pub(super) fn router(&self) -> SocketAddr {
        self.addresses.router_http
    }

    /// The authority of its certificates.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("data/pki/ca.crt")
    }

    /// A shell of the cluster's administrator.
    pub(super) fn administrator(&self) -> Shell {
        Shell { kubeconfig: self.folder.join("data/admin.kubeconfig") }
    }

    /// A shell of somebody who has not logged in yet.
    pub(super) fn somebody(&self) -> Shell {
        Shell { kubeconfig: self.folder.join("kubeconfig") }
    }

    /// Ends it in order.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.terminate();
        until(STOP_LIMIT, || Ok(self.child.try_wait()?.map(drop)))
            .with_context(|| format!("cluster {} does not end", self.name))
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // A child that has ended already is what is wanted.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
    }
}

/// Both clusters are on this machine, which a server does not import from unless it is told to; and nobody who reads a
/// story waits a quarter of an hour for the next look at a scheduled tag.
fn production_settings(engine: Option<&Engine>) -> String {
    let outside = "[import]\nscheduled-interval = \"2s\"\n[egress]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\n";
    let node = engine.map(|engine| format!("[node]\nengine = \"docker\"\nsocket = {:?}\n", engine.socket()));
    format!("{outside}{}", node.unwrap_or_default())
}

/// Until the child has said where it listens.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            self.child.wait().ok();
        }
    }
}

/// Somebody at a terminal, with a kubeconfig.
pub(super) struct Shell {
    kubeconfig: PathBuf,
}

impl Shell {
    /// Runs `oc` with these arguments.
    pub(super) fn oc(&self, arguments: &[&str]) -> Result<Ran> {
        self.oc_with_input(arguments, "")
    }

    /// Runs `oc` with these arguments and `input` on its standard input.
    pub(super) fn oc_with_input(&self, arguments: &[&str], input: &str) -> Result<Ran> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg0("oc").arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        run(command, typed("oc", arguments), input)
    }
}

/// The line a person would have typed.
pub(super) fn typed(program: &str, arguments: &[&str]) -> String {
    let plain = |word: &str| {
        let harmless = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@{}".contains(c);
        !word.is_empty() && word.chars().all(harmless)
    };
    let quoted = |word: &&str| {
        if plain(word) { (*word).to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    std::iter::once(program.to_owned()).chain(arguments.iter().map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; both its streams come back as one text.
pub(super) fn run(mut command: Command, typed: String, input: &str) -> Result<Ran> {
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("running `{typed}`"))?;
    // The command holds the other ends of the pipe, which end the reading below only when they are closed.
    drop(command);
    if let Some(mut stdin) = child.stdin.take() {
        // A command that reads nothing may have ended before.
        stdin.write_all(input.as_bytes()).ok();
    }
    let mut output = Vec::new();
    reader.read_to_end(&mut output)?;
    let succeeded = child.wait()?.success();
    let text = if input.is_empty() { typed } else { format!("{typed} <<EOF\n{}\nEOF", input.trim_end()) };
    Ok(Ran { typed: text, output: String::from_utf8_lossy(&output).into_owned(), succeeded })
}

#[cfg(test)]
mod tests {
    use super::{run, typed};
    use std::process::Command;

    #[test]
    fn what_is_typed_is_quoted_where_a_shell_asks_for_it() {
        let check = |arguments: &[&str], expected: &str| assert_eq!(typed("oc", arguments), expected);
        check(&["get", "is/myimage", "-o=name"], "oc get is/myimage -o=name");
        check(&["patch", "-p", r#"{"a": 1}"#], r#"oc patch -p '{"a": 1}'"#);
        check(&["label", "it's"], r"oc label 'it'\''s'");
        check(&["get", ""], "oc get ''");
    }

    #[test]
    fn a_command_gives_both_streams_and_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo wrong >&2; exit 3"]);
        let ran = run(command, "it".to_owned(), "text\n").unwrap();
        assert_eq!((ran.output.as_str(), ran.succeeded), ("text\nwrong\n", false));
        assert_eq!(ran.typed, "it <<EOF\ntext\nEOF");
    }
}
