//! The sections `[projects]` and `[service-accounts]` of the configuration file: who may ask for how many projects, and
//! how long tokens that somebody asks for live. Only the file has them; they hold lists.

use std::collections::BTreeMap;
use std::time::Duration;

use pierhead_api::name;
use pierhead_apiserver::{ProjectLimit, ProjectLimits, ProjectRequests};
use serde::Deserialize;

use super::ConfigError;
use super::outside::interval;

/// Shortest and longest cap on the life of a token: kubelets ask for a little more than an hour.
const TOKEN_LIVES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3_607)..=Duration::from_secs(1 << 32);

/// `[projects]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ProjectSection {
    request_message: Option<String>,
    limits: Vec<LimitEntry>,
    max_for_system_users: Option<u32>,
    max_for_service_accounts: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitEntry {
    #[serde(default)]
    selector: BTreeMap<String, String>,
    max: Option<u32>,
}

/// `[service-accounts]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ServiceAccountSection {
    max_token_expiration: Option<String>,
}

impl ProjectSection {
    pub(super) fn checked(self) -> Result<ProjectRequests, ConfigError> {
        let Self { request_message, limits, max_for_system_users, max_for_service_accounts } = self;
        let users = limits.into_iter().map(LimitEntry::checked).collect::<Result<_, _>>()?;
        Ok(ProjectRequests {
            message: request_message.filter(|message| !message.is_empty()),
            limits: ProjectLimits {
                users,
                system_users: max_for_system_users,
                service_accounts: max_for_service_accounts,
            },
        })
    }
}

impl LimitEntry {
    fn checked(self) -> Result<ProjectLimit, ConfigError> {
        for (label, value) in &self.selector {
            if !name::qualified_name(label).is_empty() || !name::label_value(value).is_empty() {
                let why = format!("`{label}={value}` is no label");
                return Err(ConfigError::Value { key: "projects.limits", why });
            }
        }
        Ok(ProjectLimit { selector: self.selector, most: self.max })
    }
}

impl ServiceAccountSection {
    /// The longest a token that is asked for may live; `None`: as long as it is asked for.
    pub(super) fn checked(self) -> Result<Option<Duration>, ConfigError> {
        let Self { max_token_expiration } = self;
        let key = "service-accounts.max-token-expiration";
        let Some(life) = max_token_expiration.map(|text| interval(key, &text)).transpose()? else {
            return Ok(None);
        };
        if !TOKEN_LIVES.contains(&life) {
            let why =
                "it is 3607s at least, which is what kubelets ask for, and 2^32 seconds at most".to_owned();
            return Err(ConfigError::Value { key, why });
        }
        Ok(Some(life))
    }
}
