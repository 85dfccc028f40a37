//! One run of a verb: flags, files, the client they lead to, and the streams to write to.
//!
//! The client, the kubeconfig and the discovery of the server are made when first asked for: `help` and
//! `config` must work without a server.

use std::{ffi::OsStr, io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use pierhead_client::{
    Client, ConnectOptions, Credentials, Identity, Impersonation, Secret,
    kubeconfig::{Kubeconfig, Overrides, Sources},
};

use crate::{
    discovery::Discovery,
    environment::{Environment, ExitStatus},
    error,
    exec_plugin::{self, ExecAnswer},
    globals::{Era, Globals},
    print::{colour, sanitize::sanitize},
    remarks::Remarks,
    terminal,
};

/// Said when nothing tells where the server is.
const NO_SERVER: &str = "Missing or incomplete configuration info.  Please log in to a server with 'login URL', or \
point to an existing, complete config file:\n\n  1. Via the command-line flag --kubeconfig\n  2. Via the KUBECONFIG \
environment variable\n  3. In your home directory as ~/.kube/config\n\nTo view or setup config directly use the \
'config' command.";

/// One run of a verb.
pub(crate) struct Session {
    /// What the user typed to start us: `pierhead` or `oc`.
    pub(crate) name: &'static str,
    pub(crate) globals: Globals,
    pub(crate) environment: Environment,
    /// Somebody waits for the next letter: nothing runs that could ask, or take its time.
    pub(crate) hurried: bool,
    kubeconfig: Option<Kubeconfig>,
    asked_program: Option<ExecAnswer>,
    client: Option<Client>,
    discovery: Option<Arc<Discovery>>,
    remarks: Remarks,
}

impl Session {
    pub(crate) fn new(name: &'static str, globals: Globals, environment: Environment) -> Self {
        Self {
            name,
            globals,
            environment,
            hurried: false,
            kubeconfig: None,
            asked_program: None,
            client: None,
            discovery: None,
            remarks: Remarks::default(),
        }
    }

    /// Prints what went wrong and says how the process should end.
    pub(crate) fn finish(mut self, outcome: anyhow::Result<ExitStatus>) -> ExitStatus {
        let outcome = outcome.and_then(|status| {
            self.environment.stdout.flush()?;
            Ok(status)
        });
        let told = self.tell_remarks();
        let outcome = outcome.and_then(|status| {
            told?;
            match self.remarks.warnings() {
                count if count > 0 && self.globals.warnings_as_errors => {
                    let plural = if count == 1 { "" } else { "s" };
                    bail!("{count} warning{plural} received")
                }
                _ => Ok(status),
            }
        });
        match outcome {
            Ok(status) => status,
            Err(error) if error::is_broken_pipe(&error) => ExitStatus::SUCCESS,
            Err(error) => match error.downcast_ref::<error::Silent>() {
                Some(error::Silent(status)) => *status,
                None => {
                    let text = error::render(&error);
                    match self.remark(&text) {
                        Ok(()) => error::exit_status(&error),
                        Err(_) => ExitStatus::USAGE,
                    }
                }
            },
        }
    }

    /// Writes text for people: control characters are shown, not sent.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        self.tell_remarks()?;
        self.environment.stdout.write_all(sanitize(text).as_bytes())
    }

    /// Writes a line for people.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        self.tell_remarks()?;
        writeln!(self.environment.stdout, "{}", sanitize(line))
    }

    /// Writes data as it is, unless a terminal would interpret it.
    pub(crate) fn print_data(&mut self, data: &str) -> io::Result<()> {
        if self.environment.stdout_is_terminal {
            return self.print(data);
        }
        self.tell_remarks()?;
        self.environment.stdout.write_all(data.as_bytes())
    }

    /// Writes a remark to stderr.
    pub(crate) fn remark(&mut self, line: &str) -> io::Result<()> {
        self.tell_remarks()?;
        self.write_remark(line)
    }

    /// What requests have left to say since the last time.
    fn tell_remarks(&mut self) -> io::Result<()> {
        for line in self.remarks.take() {
            self.write_remark(&line)?;
        }
        Ok(())
    }

    fn write_remark(&mut self, line: &str) -> io::Result<()> {
        let line = sanitize(line);
        let colourful =
            colour::wanted(self.globals.color, &self.environment, self.environment.stderr_is_terminal);
        let line = if colourful { colour::remark(&line) } else { line };
        writeln!(self.environment.stderr, "{line}")
    }

    /// Writes a table whose first line, unless it has none, is its heading.
    pub(crate) fn print_table(&mut self, text: &str, has_heading: bool) -> io::Result<()> {
        let is_terminal = self.environment.stdout_is_terminal;
        let colourful = colour::wanted(self.globals.color, &self.environment, is_terminal);
        match text.split_once('\n') {
            Some((heading, rows)) if colourful && has_heading => {
                self.tell_remarks()?;
                writeln!(self.environment.stdout, "{}", colour::heading(&sanitize(heading)))?;
                self.print(rows)
            }
            _ => self.print(text),
        }
    }

    /// Fails where the server is another version than this program (`--match-server-version`).
    pub(crate) async fn match_server_version(&mut self) -> anyhow::Result<()> {
        if !self.globals.match_server_version {
            return Ok(());
        }
        let own = env!("CARGO_PKG_VERSION");
        let server = self.client()?.request(http::Method::GET, "/version", None, None).await?;
        let server = crate::object::text(&server, "gitVersion");
        // Ours says which Kubernetes it is like, and behind a plus what it is.
        let is_own = server.split_once('+').is_some_and(|(_, build)| build == format!("pierhead-{own}"));
        if !is_own {
            bail!("server version ({server}) differs from client version (pierhead-{own})");
        }
        Ok(())
    }

    /// Asks a person on the terminal; `None` at the end of the input.
    pub(crate) fn ask(&mut self, question: &str, hidden: bool) -> io::Result<Option<String>> {
        write!(self.environment.stdout, "{question}")?;
        self.environment.stdout.flush()?;
        let is_terminal = self.environment.stdin_is_terminal;
        let input = self.environment.stdin.as_mut();
        let line =
            if hidden && is_terminal { terminal::read_hidden(input) } else { terminal::read_line(input) };
        if hidden {
            writeln!(self.environment.stdout)?;
        }
        line
    }

    /// The release whose texts are printed where releases differ: the guide's of 2016 unless another was asked for.
    pub(crate) fn era(&self) -> Era {
        let asked = self.globals.compat.or_else(|| match self.environment.var("PIERHEAD_COMPAT") {
            Some("4") => Some(Era::V4),
            _ => None,
        });
        asked.unwrap_or(Era::V3_2)
    }

    /// A file named on the command line.
    pub(crate) fn path(&self, path: impl Into<PathBuf>) -> PathBuf {
        self.environment.cwd.join(path.into())
    }

    /// Reads a file named on the command line, or standard input for `-`.
    pub(crate) fn read_file(&mut self, name: impl AsRef<OsStr>) -> anyhow::Result<Vec<u8>> {
        let name = name.as_ref();
        if name == "-" {
            let mut content = Vec::new();
            self.environment.stdin.read_to_end(&mut content)?;
            return Ok(content);
        }
        std::fs::read(self.path(name)).with_context(|| format!("the path {name:?} cannot be read"))
    }

    /// The kubeconfig.
    pub(crate) fn kubeconfig(&mut self) -> anyhow::Result<&mut Kubeconfig> {
        if self.kubeconfig.is_none() {
            let sources = Sources {
                explicit: self.globals.kubeconfig.as_ref().map(|path| self.environment.cwd.join(path)),
                variable: self.environment.vars.get("KUBECONFIG").cloned(),
                home: self.environment.home.clone(),
            };
            self.kubeconfig = Some(Kubeconfig::load(&sources)?);
        }
        self.kubeconfig.as_mut().context("the kubeconfig was loaded above")
    }

    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            context: self.globals.context.clone(),
            cluster: self.globals.cluster.clone(),
            user: self.globals.user.last().cloned(),
        }
    }

    /// Server and credentials from the kubeconfig and the flags; no server is an error.
    pub(crate) fn connect_options(&mut self) -> anyhow::Result<ConnectOptions> {
        let overrides = self.overrides();
        let chosen = self.kubeconfig()?.config.connect_options(&overrides);
        let chosen = match chosen {
            // A broken context does not matter to somebody who says everything on the command line.
            Err(_) if self.globals.server.is_some() => None,
            chosen => chosen?,
        };
        let mut options = chosen.unwrap_or_default();
        self.ask_program(&overrides, &mut options)?;
        let globals = &self.globals;
        if let Some(server) = &globals.server {
            let server = normalize_server(server);
            if server != options.server {
                // Credentials belong to the server they were obtained from.
                options = ConnectOptions { server, ..ConnectOptions::default() };
            }
        }
        if options.proxies.is_none() {
            options.proxies = self.environment.proxies();
        }
        if options.server.is_empty() {
            if let Some(path) = self.globals.kubeconfig.as_ref().map(|path| self.environment.cwd.join(path))
                && !path.exists()
            {
                bail!("the kubeconfig {} does not exist", path.display());
            }
            return Err(error::LoginNeeded(NO_SERVER.to_owned()).into());
        }
        if let Some(token) = &globals.token {
            options.credentials = Credentials::Token(Secret::new(token.clone()));
            options.trust.identity = None;
        }
        let read = |path: &PathBuf| {
            let path = self.environment.cwd.join(path);
            std::fs::read(&path).with_context(|| format!("unable to read {}", path.display()))
        };
        if let Some(path) = &globals.certificate_authority {
            options.trust.certificate_authority = Some(read(path)?);
        }
        if let Some(insecure) = globals.insecure_skip_tls_verify {
            options.trust.insecure_skip_tls_verify = insecure;
        }
        match (&globals.client_certificate, &globals.client_key) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                options.trust.identity =
                    Some(Identity { certificate: read(certificate)?, key: Secret::new(read(key)?) });
            }
            // Not as somebody else than the one who is meant.
            _ => bail!("--client-certificate and --client-key only work together"),
        }
        match &globals.impersonate {
            Some(user) => {
                let groups = globals.impersonate_groups.clone();
                let uid = globals.impersonate_uid.clone();
                options.impersonate = Some(Impersonation { user: user.clone(), groups, uid });
            }
            None if !globals.impersonate_groups.is_empty() => {
                bail!("requesting groups without impersonating a user: --as-group needs --as")
            }
            None if globals.impersonate_uid.is_some() => {
                bail!("requesting a uid without impersonating a user: --as-uid needs --as")
            }
            None => {}
        }
        options.request_timeout =
            globals.request_timeout.as_deref().map(parse_timeout).transpose()?.flatten();
        Ok(options)
    }

    /// Gets credentials from the program that the kubeconfig names, if there are no others for that server.
    fn ask_program(&mut self, overrides: &Overrides, options: &mut ConnectOptions) -> anyhow::Result<()> {
        let other_server = self.globals.server.as_deref().map(normalize_server);
        if self.globals.token.is_some()
            || !matches!(options.credentials, Credentials::None)
            || options.trust.identity.is_some()
            || other_server.is_some_and(|server| server != options.server)
        {
            return Ok(());
        }
        let config = self.kubeconfig()?.config.clone();
        let Ok(Some((name, user))) = config.chosen_user(overrides) else { return Ok(()) };
        let Some(exec) = user.exec() else { return Ok(()) };
        if self.hurried {
            bail!("the program of user {name:?} is not run now");
        }
        if self.asked_program.is_none() {
            let proxy_url =
                config.chosen_cluster(overrides)?.and_then(|(_, cluster)| cluster.proxy_url.as_deref());
            let cluster = (&*options, proxy_url);
            self.asked_program = Some(exec_plugin::ask(name, exec, cluster, &self.environment)?);
        }
        if let Some(answer) = &self.asked_program {
            options.credentials = answer.credentials.clone();
            options.trust.identity = answer.identity.clone();
        }
        Ok(())
    }

    /// The client.
    pub(crate) fn client(&mut self) -> anyhow::Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = match &self.environment.client {
            Some(client) => client.clone(),
            None => Client::connect(&self.connect_options()?)?,
        };
        let level = self.globals.verbosity.unwrap_or(0);
        let client = client.clone().observed_by(self.remarks.observer(level, client.server()));
        self.client = Some(client.clone());
        Ok(client)
    }

    /// What the server offers.
    pub(crate) async fn discovery(&mut self) -> anyhow::Result<Arc<Discovery>> {
        if let Some(discovery) = &self.discovery {
            return Ok(Arc::clone(discovery));
        }
        let discovery = Arc::new(Discovery::load(&self.client()?).await?);
        self.discovery = Some(Arc::clone(&discovery));
        Ok(discovery)
    }

    /// The project to work in: the flag, the context's, or `default`.
    pub(crate) fn namespace(&mut self) -> anyhow::Result<String> {
        if let Some(namespace) = &self.globals.namespace {
            return Ok(namespace.clone());
        }
        let overrides = self.overrides();
        let context = self.kubeconfig()?.config.chosen_context(&overrides)?;
        let namespace = context.and_then(|(_, context)| context.namespace.clone());
        Ok(namespace.filter(|namespace| !namespace.is_empty()).unwrap_or_else(|| "default".to_owned()))
    }

    /// Whether the project to work in was chosen, by a flag or before; a login without projects leaves `default`.
    pub(crate) fn has_chosen_project(&mut self) -> anyhow::Result<bool> {
        let overrides = self.overrides();
        let context = self.kubeconfig()?.config.chosen_context(&overrides)?;
        let of_context = context.and_then(|(_, context)| context.namespace.clone());
        Ok(self.globals.namespace.is_some()
            || of_context.is_some_and(|namespace| !matches!(namespace.as_str(), "" | "default")))
    }

    /// URL of the server, for messages.
    pub(crate) fn server(&mut self) -> anyhow::Result<String> {
        let client = self.client()?;
        Ok(client.server().to_owned())
    }
}

/// Completes a server address as people type it: `https` unless they say otherwise, and port 8443 if they gave
/// neither scheme nor port.
pub(crate) fn normalize_server(typed: &str) -> String {
    let typed = typed.trim().trim_end_matches('/');
    if typed.starts_with("http://") || typed.starts_with("https://") {
        return typed.to_owned();
    }
    let (host, path) =
        typed.split_once('/').map_or((typed, String::new()), |(host, path)| (host, format!("/{path}")));
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        port.chars().all(|digit| digit.is_ascii_digit()) && (!before.contains(':') || before.ends_with(']'))
    });
    let port = if has_port { "" } else { ":8443" };
    format!("https://{host}{port}{path}")
}

/// A duration as kubectl takes it: `30s`, `2m`, `1h30m`, or seconds. None means without limit.
pub(crate) fn parse_timeout(text: &str) -> anyhow::Result<Option<Duration>> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok((seconds > 0).then(|| Duration::from_secs(seconds)));
    }
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    match parsed.map(Duration::try_from) {
        Ok(Ok(duration)) => Ok((!duration.is_zero()).then_some(duration)),
        _ => bail!("invalid duration {text:?}: use for example 30s, 2m or 1h"),
    }
}

#[cfg(test)]
mod tests {
    use super::{normalize_server, parse_timeout};

    #[test]
    fn server_addresses_are_completed() {
        let rows = [
            ("master.example.com", "https://master.example.com:8443"),
            ("master:6443", "https://master:6443"),
            ("https://api.x/", "https://api.x"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("proxy/k8s", "https://proxy:8443/k8s"),
        ];
        for (typed, expected) in rows {
            assert_eq!(normalize_server(typed), expected);
        }
    }

    #[test]
    fn timeouts() {
        let seconds = |text| parse_timeout(text).unwrap().map(|duration| duration.as_secs());
        assert_eq!(
            (seconds("0"), seconds("5"), seconds("30s"), seconds("1h30m")),
            (None, Some(5), Some(30), Some(5400))
        );
        assert!(parse_timeout("soon").is_err());
    }
}
