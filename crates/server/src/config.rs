//! What `pierhead serve` was told: flags, over the environment, over a file, over the defaults.
//!
//! Owns the names of the keys and their checks. The only place of the process that reads configuration files and
//! environment variables; every part below is handed values that were checked here.

use clap::Args;
use pierhead_apiserver::ProjectRequests;
use pierhead_runtime::audit::AuditFile;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

mod accounts;
mod audit;
mod encryption;
mod identity;
mod node;
mod outside;

pub(crate) use accounts::{ProjectSection, ServiceAccountSection};
pub(crate) use audit::AuditSection;
pub(crate) use encryption::EncryptionSection;
pub(crate) use identity::{
    KindSettings, LdapSettings, OAuthSection, ProviderSection, ProviderSettings, TokenLives,
};
pub(crate) use node::{NodeSection, NodeSettings};
pub(crate) use outside::{EgressSection, ImportSection, Imports, Outside};

/// The keys of `pierhead serve`; the same words are flags, keys of the file and, as `PIERHEAD_…`, variables.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// Folder that holds everything the server keeps [default: /var/lib/pierhead for root, else
    /// ~/.local/share/pierhead]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address of the API and of OAuth, always TLS [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDR")]
    pub(crate) api: Option<SocketAddr>,
    /// Address of the registry service, loopback only [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR")]
    pub(crate) registry: Option<SocketAddr>,
    /// Address on which routes are served over HTTP [default: 0.0.0.0:80, or 8080 where that is not permitted]
    #[arg(long, value_name = "ADDR")]
    pub(crate) router_http: Option<SocketAddr>,
    /// Address on which routes are served over TLS [default: 0.0.0.0:443, or 8444 where that is not permitted]
    #[arg(long, value_name = "ADDR")]
    pub(crate) router_https: Option<SocketAddr>,
    /// Address of /metrics, /livez and /readyz [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Domain below which routes without a host of their own are named [default: apps.127.0.0.1.nip.io]
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) router_domain: Option<String>,
    /// File of users and password hashes (bcrypt, apr1 or SHA), as htpasswd writes it; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) htpasswd: Option<PathBuf>,
    /// Accept any user with any password that is not empty: for trying things out, never for use
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) allow_any_password: Option<bool>,
    /// Further names or addresses by which clients reach the API; its certificate is made for them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) api_names: Option<Vec<String>>,
    /// Whose rules hold where versions of OpenShift differ: 3.2 or 4 [default: 3.2]
    #[arg(long, value_name = "ERA")]
    pub(crate) compat: Option<String>,
    /// What is logged, as tracing's filters are written [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// What comes from other registries; in the file only.
    #[arg(skip)]
    pub(crate) import: Option<ImportSection>,
    /// How other hosts are reached; in the file only.
    #[arg(skip)]
    pub(crate) egress: Option<EgressSection>,
    /// What runs pods; in the file only.
    #[arg(skip)]
    pub(crate) node: Option<NodeSection>,
    /// Where requests are recorded; in the file only.
    #[arg(skip)]
    pub(crate) audit: Option<AuditSection>,
    /// What seals secrets; in the file only.
    #[arg(skip)]
    pub(crate) encryption: Option<EncryptionSection>,
    /// How long tokens live; in the file only.
    #[arg(skip)]
    pub(crate) oauth: Option<OAuthSection>,
    /// Who may ask for how many projects; in the file only.
    #[arg(skip)]
    pub(crate) projects: Option<ProjectSection>,
    /// How long tokens of service accounts live; in the file only.
    #[arg(skip)]
    pub(crate) service_accounts: Option<ServiceAccountSection>,
    /// Who knows the users, besides those that flags name; in the file only.
    #[arg(skip)]
    pub(crate) identity_providers: Option<Vec<ProviderSection>>,
}

/// A wrong setting; says which key and why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("in {path}")]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("PIERHEAD_{variable}: `{value}` is not a value for it")]
    Variable { variable: String, value: String },
    #[error("{key}: {why}")]
    Value { key: &'static str, why: String },
}

/// Where an address came from decides what happens when it may not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The address to bind.
    pub(crate) address: SocketAddr,
    /// The port to take where `address` is the default and needs rights that we lack.
    pub(crate) fallback_port: Option<u16>,
}

/// Checked settings with every default filled in.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) api: SocketAddr,
    pub(crate) registry: SocketAddr,
    pub(crate) router_http: Listen,
    pub(crate) router_https: Listen,
    pub(crate) metrics: SocketAddr,
    pub(crate) router_domain: String,
    pub(crate) htpasswd: Option<PathBuf>,
    pub(crate) allow_any_password: bool,
    pub(crate) api_names: Vec<String>,
    pub(crate) compat: Compat,
    pub(crate) log: String,
    pub(crate) imports: Imports,
    pub(crate) outside: Outside,
    pub(crate) node: Option<NodeSettings>,
    pub(crate) audit: Option<AuditFile>,
    /// Files of keys that seal secrets, the one in use first; none for the server's own.
    pub(crate) seal_keys: Vec<PathBuf>,
    pub(crate) token_lives: TokenLives,
    pub(crate) project_requests: ProjectRequests,
    /// The longest a requested token of a service account may live; `None`: as long as it is asked for.
    pub(crate) longest_token: Option<Duration>,
    /// In the order in which they are asked, after those of `htpasswd` and `allow_any_password`.
    pub(crate) identity_providers: Vec<ProviderSettings>,
}

/// Which OpenShift's rules hold where its versions differ (`design.md` 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compat {
    /// As in the spring of 2016.
    V3_2,
    /// As today.
    V4,
}

impl Settings {
    /// Reads a configuration file; unknown keys are errors that name the key.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.to_path_buf(), source })
    }

    /// What the environment says: `PIERHEAD_ROUTER_DOMAIN` is the key `router-domain`.
    pub(crate) fn from_environment(variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let own = |key: &str| variables.get(&format!("PIERHEAD_{key}")).cloned();
        Ok(Self {
            data: own("DATA").map(PathBuf::from),
            api: parse("API", own("API"))?,
            registry: parse("REGISTRY", own("REGISTRY"))?,
            router_http: parse("ROUTER_HTTP", own("ROUTER_HTTP"))?,
            router_https: parse("ROUTER_HTTPS", own("ROUTER_HTTPS"))?,
            metrics: parse("METRICS", own("METRICS"))?,
            router_domain: own("ROUTER_DOMAIN"),
            htpasswd: own("HTPASSWD").map(PathBuf::from),
            allow_any_password: parse("ALLOW_ANY_PASSWORD", own("ALLOW_ANY_PASSWORD"))?,
            api_names: own("API_NAMES").map(|names| names.split(',').map(str::to_owned).collect()),
            compat: own("COMPAT"),
            log: own("LOG"),
            import: None,
            egress: None,
            node: None,
            audit: None,
            encryption: None,
            oauth: None,
            projects: None,
            service_accounts: None,
            identity_providers: None,
        })
    }

    /// These settings, and where they say nothing, `other`'s.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            data: self.data.or(other.data),
            api: self.api.or(other.api),
            registry: self.registry.or(other.registry),
            router_http: self.router_http.or(other.router_http),
            router_https: self.router_https.or(other.router_https),
            metrics: self.metrics.or(other.metrics),
            router_domain: self.router_domain.or(other.router_domain),
            htpasswd: self.htpasswd.or(other.htpasswd),
            allow_any_password: self.allow_any_password.or(other.allow_any_password),
            api_names: self.api_names.or(other.api_names),
            compat: self.compat.or(other.compat),
            log: self.log.or(other.log),
            import: self.import.or(other.import),
            egress: self.egress.or(other.egress),
            node: self.node.or(other.node),
            audit: self.audit.or(other.audit),
            encryption: self.encryption.or(other.encryption),
            oauth: self.oauth.or(other.oauth),
            projects: self.projects.or(other.projects),
            service_accounts: self.service_accounts.or(other.service_accounts),
            identity_providers: self.identity_providers.or(other.identity_providers),
        }
    }

    /// Checks every value and fills in the defaults; `home` is the user's folder, `root` whether we are root.
    pub(crate) fn checked(self, home: Option<&Path>, root: bool) -> Result<Config, ConfigError> {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let registry = self.registry.unwrap_or_else(|| local(5000));
        if !registry.ip().is_loopback() {
            let why = format!("`{registry}` is not a loopback address; outside clients come in by a route");
            return Err(ConfigError::Value { key: "registry", why });
        }
        let router_domain = self.router_domain.unwrap_or_else(|| "apps.127.0.0.1.nip.io".to_owned());
        check_domain(&router_domain)?;
        let htpasswd = self.htpasswd;
        if let Some(path) = htpasswd.as_ref().filter(|path| !path.is_file()) {
            let why = format!("there is no file {}", path.display());
            return Err(ConfigError::Value { key: "htpasswd", why });
        }
        let compat = compat(self.compat.as_deref())?;
        let data = self.data.map_or_else(|| default_data(home, root), Ok)?;
        Ok(Config {
            audit: self.audit.unwrap_or_default().checked(&data)?,
            seal_keys: self.encryption.unwrap_or_default().checked()?,
            token_lives: self.oauth.unwrap_or_default().checked()?,
            project_requests: self.projects.unwrap_or_default().checked()?,
            longest_token: self.service_accounts.unwrap_or_default().checked()?,
            identity_providers: identity::checked(self.identity_providers.unwrap_or_default())?,
            imports: self.import.unwrap_or_default().checked(compat)?,
            outside: self.egress.unwrap_or_default().checked()?,
            node: self.node.unwrap_or_default().checked()?,
            data,
            api: self.api.unwrap_or_else(|| local(8443)),
            registry,
            router_http: Listen::or_default(self.router_http, 80, 8080),
            router_https: Listen::or_default(self.router_https, 443, 8444),
            metrics: self.metrics.unwrap_or_else(|| local(9090)),
            router_domain,
            htpasswd,
            allow_any_password: self.allow_any_password.unwrap_or(false),
            api_names: names(&self.api_names.unwrap_or_default())?,
            compat,
            log: self.log.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

impl Listen {
    fn or_default(given: Option<SocketAddr>, port: u16, fallback: u16) -> Self {
        match given {
            Some(address) => Self { address, fallback_port: None },
            None => Self {
                address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
                fallback_port: Some(fallback),
            },
        }
    }
}

fn parse<T: std::str::FromStr>(variable: &str, value: Option<String>) -> Result<Option<T>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    let Ok(parsed) = value.parse() else {
        return Err(ConfigError::Variable { variable: variable.to_owned(), value });
    };
    Ok(Some(parsed))
}

fn compat(era: Option<&str>) -> Result<Compat, ConfigError> {
    match era {
        None | Some("3.2") => Ok(Compat::V3_2),
        Some("4") => Ok(Compat::V4),
        Some(other) => {
            Err(ConfigError::Value { key: "compat", why: format!("`{other}` is neither 3.2 nor 4") })
        }
    }
}

fn default_data(home: Option<&Path>, root: bool) -> Result<PathBuf, ConfigError> {
    if root {
        return Ok(PathBuf::from("/var/lib/pierhead"));
    }
    match home {
        Some(home) => Ok(home.join(".local/share/pierhead")),
        None => Err(ConfigError::Value { key: "data", why: "HOME is not set; name a folder".to_owned() }),
    }
}

fn check_domain(domain: &str) -> Result<(), ConfigError> {
    if is_domain(domain) {
        Ok(())
    } else {
        let why = format!("`{domain}` is not a lower-case DNS name of at most 200 characters");
        Err(ConfigError::Value { key: "router-domain", why })
    }
}

/// Names of the API in lower case, without the blanks around them; what is empty is none. The first one is what clients
/// are told, so it must be a name and not a pattern.
fn names(given: &[String]) -> Result<Vec<String>, ConfigError> {
    let names = given.iter().map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
    let checked = names.enumerate().map(|(position, name)| {
        let pattern = name.strip_prefix("*.");
        let why = if pattern.is_some() && position == 0 {
            format!("`{name}` cannot be the first: that is the name which clients are told")
        } else if is_host(pattern.unwrap_or(&name)) || name.parse::<IpAddr>().is_ok() {
            return Ok(name);
        } else {
            format!("`{name}` is neither an address nor a DNS name")
        };
        Err(ConfigError::Value { key: "api-names", why })
    });
    checked.collect()
}

fn is_domain(domain: &str) -> bool {
    domain.len() <= 200 && !domain.contains('_') && is_host(domain)
}

/// Whether hosts are called so, also those that DNS alone would not let be called so.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::{Compat, Settings};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn check(file: &str, expected: Result<&str, &str>) {
        let outcome = toml::from_str::<Settings>(file)
            .map_err(|error| error.message().to_owned())
            .and_then(|settings| settings.checked(None, true).map_err(|error| error.to_string()))
            .map(|config| format!("{} {} {}", config.registry, config.router_domain, config.data.display()));
        assert_eq!(outcome.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn a_file_is_checked_key_by_key() {
        check("", Ok("127.0.0.1:5000 apps.127.0.0.1.nip.io /var/lib/pierhead"));
        check("registry = \"127.0.0.1:0\"", Ok("127.0.0.1:0 apps.127.0.0.1.nip.io /var/lib/pierhead"));
        check(
            "registry = \"0.0.0.0:5000\"",
            Err("registry: `0.0.0.0:5000` is not a loopback address; outside clients come in by a route"),
        );
        check(
            "router-domain = \"Apps.example.com\"",
            Err("router-domain: `Apps.example.com` is not a lower-case DNS name of at most 200 characters"),
        );
        check(
            "api-names = [\"api.example.com\", \"https://api\"]",
            Err("api-names: `https://api` is neither an address nor a DNS name"),
        );
        check(
            "api-names = [\"*.example.com\", \"api.example.com\"]",
            Err("api-names: `*.example.com` cannot be the first: that is the name which clients are told"),
        );
        check("api-names = [\"a\", \"*\"]", Err("api-names: `*` is neither an address nor a DNS name"));
        check(
            "router-domain = \"a_b.example.com\"",
            Err("router-domain: `a_b.example.com` is not a lower-case DNS name of at most 200 characters"),
        );
        check("compat = \"5\"", Err("compat: `5` is neither 3.2 nor 4"));
        check("htpasswd = \"/nowhere/users\"", Err("htpasswd: there is no file /nowhere/users"));
        check(
            "[import]\nscheduled-interval = \"0s\"",
            Err(
                "import.scheduled-interval: `0s` is no time of a second or more, such as `90s`, `15m` or `2h`",
            ),
        );
        check(
            "[import]\ntags-per-repository = 0",
            Err("import.tags-per-repository: `0` is neither a number of tags nor -1 for all"),
        );
        check(
            "[import]\nallowed-registries = [\"quay.io\", {domain = \"a b\", insecure = true}]",
            Err(
                "import.allowed-registries: `a b` is no registry: write a host such as `*.example.com`, with a \
                 port where it has one of its own",
            ),
        );
        check("[node]\nengine = \"lxc\"", Err("node.engine: `lxc` is none of docker, podman, none"));
        check(
            "[node]\nengine = \"docker\"\nsocket = \"sock\"",
            Err("node.socket: `sock` is not an absolute path"),
        );
        check("[audit]\nmax-size-mib = 0", Err("audit.max-size-mib: `0` is no size of a file in MiB"));
        check(
            "[encryption]\nkey-files = [\"/nowhere/seal.key\"]",
            Err("encryption.key-files: there is no file /nowhere/seal.key"),
        );
        check(
            "[service-accounts]\nmax-token-expiration = \"1h\"",
            Err(
                "service-accounts.max-token-expiration: it is 3607s at least, which is what kubelets ask for, and \
                 2^32 seconds at most",
            ),
        );
        check(
            "[projects]\nlimits = [{selector = {\"a b\" = \"c\"}, max = 1}]",
            Err("projects.limits: `a b=c` is no label"),
        );
        check("[audit]\nfile = \"/\"", Err("audit.file: `/` is no file"));
        check("[egress]\nca-files = [\"/nowhere/ca.crt\"]", Err("reading /nowhere/ca.crt"));
    }

    #[test]
    fn imports_are_as_the_era_had_them_unless_told_otherwise() {
        let imports = |file: &str| {
            let settings: Settings = toml::from_str(file).unwrap();
            let imports = settings.checked(None, true).unwrap().imports;
            let seconds = imports.interval.map(|interval| interval.as_secs());
            (imports.enabled, seconds, imports.tags_per_repository, imports.allowed.map(|list| list.len()))
        };
        assert_eq!(imports(""), (true, Some(900), Some(5), None));
        assert_eq!(imports("compat = \"4\""), (true, Some(900), Some(50), None));
        let file = "[import]\nscheduled-interval = \"2h\"\ntags-per-repository = -1\nallowed-registries = []";
        assert_eq!(imports(file), (true, Some(7200), None, Some(0)));
        assert_eq!(imports("[import]\nenabled = false\nscheduled = false"), (false, None, Some(5), None));
    }

    #[test]
    fn projects_and_tokens_are_limited_as_written() {
        let limits = |file: &str| {
            let settings: Settings = toml::from_str(file).unwrap();
            let config = settings.checked(None, true).unwrap();
            let requests = config.project_requests;
            let users = requests.limits.users.iter();
            let users: Vec<_> = users.map(|limit| (limit.selector.len(), limit.most)).collect();
            let others = (requests.limits.system_users, requests.limits.service_accounts);
            (requests.message, users, others, config.longest_token.map(|life| life.as_secs()))
        };
        assert_eq!(limits(""), (None, vec![], (None, None), None));
        let file = r#"
            [projects]
            request-message = "Ask ann"
            limits = [{selector = {level = "gold"}}, {max = 2}]
            max-for-system-users = 1
            max-for-service-accounts = 0
            [service-accounts]
            max-token-expiration = "24h"
        "#;
        let users = vec![(1, None), (0, Some(2))];
        assert_eq!(limits(file), (Some("Ask ann".to_owned()), users, (Some(1), Some(0)), Some(86_400)));
    }

    #[test]
    fn names_of_the_api_are_trimmed_and_in_lower_case() {
        let names = |text: &str| {
            let variables = BTreeMap::from([("PIERHEAD_API_NAMES".to_owned(), text.to_owned())]);
            let settings = Settings::from_environment(&variables).unwrap();
            settings.checked(None, true).unwrap().api_names
        };
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("a, b.example.com ,::1"), ["a", "b.example.com", "::1"]);
        assert_eq!(
            names("API.Example.com,build_host,*.example.com"),
            ["api.example.com", "build_host", "*.example.com"]
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = toml::from_str::<Settings>("registri = \"127.0.0.1:0\"").unwrap_err().to_string();
        assert!(error.contains("unknown field `registri`"), "{error}");
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let variables = BTreeMap::from([
            ("PIERHEAD_COMPAT".to_owned(), "4".to_owned()),
            ("PIERHEAD_ROUTER_DOMAIN".to_owned(), "env.example.com".to_owned()),
        ]);
        let flags = Settings { router_domain: Some("flag.example.com".to_owned()), ..Settings::default() };
        let file =
            Settings { log: Some("debug".to_owned()), compat: Some("3.2".to_owned()), ..Settings::default() };
        let environment = Settings::from_environment(&variables).unwrap();
        let config = flags.or(environment).or(file).checked(Some(Path::new("/home/ann")), false).unwrap();
        assert_eq!(config.router_domain, "flag.example.com");
        assert_eq!(config.compat, Compat::V4);
        assert_eq!(config.log, "debug");
        assert_eq!(config.data, Path::new("/home/ann/.local/share/pierhead"));
    }
}
