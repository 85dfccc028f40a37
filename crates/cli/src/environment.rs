//! What the command line needs of the process: passed in, so that tests and other programs can set it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io::{Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use pierhead_client::{Client, Proxies, ProxySettings};

/// The process as the command line sees it.
pub struct Environment {
    /// Environment variables.
    pub vars: BTreeMap<String, OsString>,
    /// Home directory.
    pub home: Option<PathBuf>,
    /// Directory that relative file names start from.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: Box<dyn Read + Send>,
    /// Whether a person types there.
    pub stdin_is_terminal: bool,
    /// Standard output: data.
    pub stdout: Box<dyn Write + Send>,
    /// Whether a person reads there.
    pub stdout_is_terminal: bool,
    /// Standard error: remarks and errors.
    pub stderr: Box<dyn Write + Send>,
    /// Whether a person reads there: only then is progress drawn.
    pub stderr_is_terminal: bool,
    /// The time, for ages.
    pub now: fn() -> jiff::Timestamp,
    /// A client to use instead of the one that the kubeconfig describes (in process, tests).
    pub client: Option<Client>,
}

impl Environment {
    /// Where programs are looked for.
    pub(crate) fn search(&self) -> Option<&OsStr> {
        self.vars.get("PATH").map(OsString::as_os_str)
    }

    /// The proxies that the variables name, as Go's programs read them, and `ALL_PROXY`.
    pub(crate) fn proxies(&self) -> Proxies {
        let either = |names: [&str; 2]| names.into_iter().find_map(|name| self.var(name)).unwrap_or_default();
        Proxies::of_environment(ProxySettings {
            http: either(["HTTP_PROXY", "http_proxy"]),
            https: either(["HTTPS_PROXY", "https_proxy"]),
            all: either(["ALL_PROXY", "all_proxy"]),
            no_proxy: either(["NO_PROXY", "no_proxy"]),
            cgi: self.vars.get("REQUEST_METHOD").is_some_and(|method| !method.is_empty()),
        })
    }

    /// A variable, if it is set, not empty and text.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }
}

/// The file of a program on a search path, which is `$PATH`'s value.
pub(crate) fn find_program(search: Option<&OsStr>, name: &str) -> Option<PathBuf> {
    std::env::split_paths(search?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(
    /// The process's exit code, one of the constants below unless a verb says otherwise.
    pub u8,
);

impl ExitStatus {
    /// All is well.
    pub const SUCCESS: Self = Self(0);
    /// It did not work, or the answer is no.
    pub const FAILURE: Self = Self(1);
    /// The command line cannot be understood.
    pub const USAGE: Self = Self(2);
    /// Some of several things worked.
    pub const PARTIAL: Self = Self(3);
    /// Nobody is logged in, or no longer.
    pub const LOGIN_NEEDED: Self = Self(4);
    /// It did not happen within the time given.
    pub const TIMED_OUT: Self = Self(124);
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.0)
    }
}
