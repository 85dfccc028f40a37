//! Running a command line program and looking at what it did.
//!
//! Owns the surroundings of a run: which variables it sees, how long it may take. Proxy settings of the machine are
//! taken away: everything a test talks to is on this machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(180);
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// A program with its surroundings.
#[derive(Clone, Debug)]
pub struct Tool {
    program: PathBuf,
    before: Vec<OsString>,
    variables: BTreeMap<String, OsString>,
    folder: PathBuf,
    limit: Duration,
}

impl Tool {
    /// A program that runs in `folder`, which is also its `HOME`.
    pub fn new(program: impl Into<PathBuf>, folder: &Path) -> Self {
        let variables = BTreeMap::from([("HOME".to_owned(), folder.as_os_str().to_owned())]);
        let (before, folder) = (Vec::new(), folder.to_path_buf());
        Self { program: program.into(), before, variables, folder, limit: LIMIT }
    }

    /// Sets a variable for every run.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    /// Lets every run take this long, in place of three minutes.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Puts arguments before those of every run.
    #[must_use]
    pub fn before(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.before.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs to the end.
    pub async fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.run_with_input(arguments, "").await
    }

    /// Runs to the end with `input` as standard input.
    pub async fn run_with_input(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &str,
    ) -> Outcome {
        let arguments: Vec<OsString> =
            arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        let shown: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{name} {}", shown.join(" "));
        match self.execute(&arguments, input).await {
            Ok(output) => Outcome {
                line,
                code: output.status.code(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
            Err(error) => Outcome { line, code: None, stdout: String::new(), stderr: format!("{error:#}") },
        }
    }

    async fn execute(&self, arguments: &[OsString], input: &str) -> anyhow::Result<std::process::Output> {
        let mut command = Command::new(&self.program);
        for proxy in PROXIES {
            command.env_remove(proxy);
        }
        command.env_remove("KUBECONFIG").env("LC_ALL", "C.UTF-8").envs(&self.variables);
        command.current_dir(&self.folder).args(&self.before).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        if let Some(mut stdin) = process.stdin.take() {
            // A program that reads nothing may be gone already.
            stdin.write_all(input.as_bytes()).await.unwrap_or_default();
        }
        Ok(tokio::time::timeout(self.limit, process.wait_with_output()).await??)
    }
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Outcome {
    line: String,
    /// Absent when it could not be started, took too long or was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// What it printed on standard output; the test fails here if the program failed.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert!(self.code == Some(0), "this should succeed, and did not:\n{self}");
        self.stdout
    }

    /// What it printed on standard error; the test fails here if the program did not fail with this text.
    #[track_caller]
    pub fn fails_with(self, text: &str) -> String {
        let failed = self.code.is_some_and(|code| code != 0);
        assert!(failed && self.said(text), "this should fail with {text:?}, and did not:\n{self}");
        self.stderr
    }

    /// Whether the text is on standard output or standard error.
    pub fn said(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "no exit code")?,
        }
        write!(f, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr)
    }
}
