//! The sections `[import]` and `[egress]` of the configuration file: what comes from other registries, and how they are
//! reached. Only the file has them; they hold lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pierhead_client::egress::{AddressPolicy, Authorities, Network};
use pierhead_images::AllowedRegistry;
use serde::Deserialize;

use super::{Compat, ConfigError};

/// Shortest time between two looks at a scheduled tag.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const USUAL_INTERVAL: Duration = Duration::from_mins(15);

/// `[import]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ImportSection {
    enabled: Option<bool>,
    scheduled: Option<bool>,
    scheduled_interval: Option<String>,
    tags_per_repository: Option<i64>,
    allowed_registries: Option<Vec<RegistryEntry>>,
}

/// A registry: its host, or the host and that it is insecure.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum RegistryEntry {
    Domain(String),
    Table(RegistryTable),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryTable {
    domain: String,
    #[serde(default)]
    insecure: bool,
}

/// `[egress]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct EgressSection {
    allow: Vec<String>,
    deny: Vec<String>,
    ca_files: Vec<PathBuf>,
    host_ca_files: BTreeMap<String, PathBuf>,
}

/// What is imported, checked.
#[derive(Clone, Debug)]
pub(crate) struct Imports {
    /// Whether anything is.
    pub(crate) enabled: bool,
    /// How often scheduled tags are looked at; `None`: never.
    pub(crate) interval: Option<Duration>,
    /// Most tags of a whole repository; `None`: all.
    pub(crate) tags_per_repository: Option<usize>,
    /// From where; `None`: from everywhere.
    pub(crate) allowed: Option<Vec<AllowedRegistry>>,
}

/// How other hosts are reached, checked.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    /// Addresses.
    pub(crate) addresses: AddressPolicy,
    ca_files: Vec<PathBuf>,
    host_ca_files: BTreeMap<String, PathBuf>,
}

impl ImportSection {
    pub(super) fn checked(self, compat: Compat) -> Result<Imports, ConfigError> {
        let Self { enabled, scheduled, scheduled_interval, tags_per_repository, allowed_registries } = self;
        let interval = scheduled_interval
            .map_or(Ok(USUAL_INTERVAL), |text| interval("import.scheduled-interval", &text))?;
        let tags_per_repository = match tags_per_repository {
            // As its versions had it; five was what people wondered about most.
            None if compat == Compat::V3_2 => Some(5),
            None => Some(50),
            Some(-1) => None,
            Some(count) => match usize::try_from(count) {
                Ok(count) if count > 0 => Some(count),
                _ => {
                    let why = format!("`{count}` is neither a number of tags nor -1 for all");
                    return Err(ConfigError::Value { key: "import.tags-per-repository", why });
                }
            },
        };
        let allowed = allowed_registries.map(|entries| entries.iter().map(RegistryEntry::checked).collect());
        Ok(Imports {
            enabled: enabled.unwrap_or(true),
            interval: scheduled.unwrap_or(true).then_some(interval),
            tags_per_repository,
            allowed: allowed.transpose()?,
        })
    }
}

impl RegistryEntry {
    fn checked(&self) -> Result<AllowedRegistry, ConfigError> {
        let (domain, insecure) = match self {
            Self::Domain(domain) => (domain, false),
            Self::Table(RegistryTable { domain, insecure }) => (domain, *insecure),
        };
        AllowedRegistry::parse(domain, insecure)
            .map_err(|error| ConfigError::Value { key: "import.allowed-registries", why: error.to_string() })
    }
}

impl EgressSection {
    pub(super) fn checked(self) -> Result<Outside, ConfigError> {
        let Self { allow, deny, ca_files, host_ca_files } = self;
        let addresses =
            AddressPolicy { allow: networks("egress.allow", &allow)?, deny: networks("egress.deny", &deny)? };
        let outside = Outside { addresses, ca_files, host_ca_files };
        outside.with_files(Authorities::none())?;
        Ok(outside)
    }
}

impl Outside {
    /// Whose certificates are believed: those that the system trusts and those of the files.
    pub(crate) fn authorities(&self) -> Result<Authorities, ConfigError> {
        self.with_files(Authorities::system())
    }

    fn with_files(&self, mut authorities: Authorities) -> Result<Authorities, ConfigError> {
        for path in &self.ca_files {
            authorities = authorities
                .with_extra(&pem(path)?)
                .map_err(|error| broken("egress.ca-files", path, &error))?;
        }
        for (host, path) in &self.host_ca_files {
            authorities = authorities
                .with_host(host, &pem(path)?)
                .map_err(|error| broken("egress.host-ca-files", path, &error))?;
        }
        Ok(authorities)
    }
}

fn pem(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })
}

fn broken(key: &'static str, path: &Path, error: &dyn std::error::Error) -> ConfigError {
    ConfigError::Value { key, why: format!("{}: {error}", path.display()) }
}

fn networks(key: &'static str, texts: &[String]) -> Result<Vec<Network>, ConfigError> {
    let network = |text: &String| {
        text.parse().map_err(|error: pierhead_client::egress::NetworkError| ConfigError::Value {
            key,
            why: error.to_string(),
        })
    };
    texts.iter().map(network).collect()
}

/// A number of seconds, minutes or hours: `90s`, `15m`, `2h`.
pub(super) fn interval(key: &'static str, text: &str) -> Result<Duration, ConfigError> {
    let units = [("h", 3600), ("m", 60), ("s", 1)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(count.checked_mul(*seconds)?))
    });
    match parsed {
        Some(interval) if interval >= SHORTEST_INTERVAL => Ok(interval),
        _ => {
            let why = format!("`{text}` is no time of a second or more, such as `90s`, `15m` or `2h`");
            Err(ConfigError::Value { key, why })
        }
    }
}
