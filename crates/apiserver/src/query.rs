//! Reads the query of a request into options.
//!
//! Owns the names and the checks of list, watch and write options (platform 1.7): what is wrong becomes a Status of
//! the form clients know. Selectors are parsed here; what they are matched against is the collection's business.

use std::borrow::Cow;
use std::time::Duration;

use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Status;
use pierhead_store::Revision;

use crate::error::ApiError;
use crate::ownership::MAX_MANAGER;

/// How long a watch may last, whatever the client says.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The decoded pairs of a query string, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `raw`, the part of a URI after `?`.
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
        Self(
            pairs
                .map(|(key, value): (Cow<'_, str>, Cow<'_, str>)| (key.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value of `key` that is not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of `key`.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The query without some keys.
    pub(crate) fn without(&self, keys: &[&str]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !keys.contains(&name.as_str())).cloned().collect())
    }

    /// True for `key`, `key=1`, `key=true` and their kin.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.iter().any(|(name, value)| name == key && !matches!(value.as_str(), "false" | "0"))
    }
}

/// How exactly a resourceVersion binds a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// At that version or a later one.
    NotOlderThan,
    /// At exactly that version.
    Exact,
}

/// What to do about fields a kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so in `Warning` headers.
    Warn,
    /// Refuse the request.
    Strict,
}

/// Whether a write is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    /// It is.
    No,
    /// Everything happens but the storing.
    All,
}

/// The options of get, list, watch and deletecollection.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    /// The label selector as sent.
    pub(crate) label_selector: String,
    /// The field selector as sent.
    pub(crate) field_selector: String,
    /// `None`: the newest. Some(0): any.
    pub(crate) resource_version: Option<Revision>,
    /// How `resource_version` binds.
    pub(crate) version_match: VersionMatch,
    /// At most this many items.
    pub(crate) limit: Option<usize>,
    /// The token of a list to go on with.
    pub(crate) continue_token: Option<String>,
    /// How long a watch may last; a day at most.
    pub(crate) timeout: Option<Duration>,
    /// Whether a watch may send BOOKMARK events.
    pub(crate) allow_bookmarks: bool,
    /// Whether a watch starts with a list and a bookmark that ends it (platform 1.8, WatchList).
    pub(crate) send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the options. `watch` is true where the path itself asks for a watch.
    pub(crate) fn parse(query: &Query, watch: bool) -> Result<Self, ApiError> {
        let watch = watch || query.flag("watch");
        let mut errors = FieldErrors::default();
        let resource_version = query.get("resourceVersion").map(parse_version).transpose()?;
        let continue_token = query.get("continue").map(str::to_owned);
        let version_match =
            read_version_match(query, watch, resource_version, continue_token.as_deref(), &mut errors);
        let send_initial_events =
            query.get("sendInitialEvents").map(|value| value != "false" && value != "0");
        if watch && continue_token.is_some() {
            errors.forbidden("continue", "continue is forbidden for watch");
        }
        if send_initial_events.is_some() {
            if !watch {
                errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
            } else if query.get("resourceVersionMatch") != Some("NotOlderThan") {
                errors.forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
        }
        if !errors.is_empty() {
            return Err(Status::invalid("ListOptions", "meta.k8s.io", "", &errors).into());
        }
        Ok(Self {
            label_selector: query.get("labelSelector").unwrap_or_default().to_owned(),
            field_selector: query.get("fieldSelector").unwrap_or_default().to_owned(),
            resource_version,
            version_match,
            limit: number(query, "limit")?
                .filter(|limit| *limit > 0)
                .and_then(|limit| usize::try_from(limit).ok()),
            continue_token,
            timeout: number(query, "timeoutSeconds")?
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(seconds).min(MAX_TIMEOUT)),
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events,
        })
    }
}

fn read_version_match(
    query: &Query,
    watch: bool,
    version: Option<Revision>,
    continue_token: Option<&str>,
    errors: &mut FieldErrors,
) -> VersionMatch {
    let Some(sent) = query.get("resourceVersionMatch") else { return VersionMatch::NotOlderThan };
    let watch_list = query.get("sendInitialEvents").is_some();
    if version.is_none() && !watch_list {
        errors.forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        );
    }
    if watch && !watch_list {
        errors.forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        );
    }
    if continue_token.is_some() {
        errors
            .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
    }
    match sent {
        "NotOlderThan" => VersionMatch::NotOlderThan,
        "Exact" => {
            if query.get("resourceVersion") == Some("0") {
                errors.forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
            VersionMatch::Exact
        }
        other => {
            errors.not_supported("resourceVersionMatch", other, &["Exact", "NotOlderThan", ""]);
            VersionMatch::NotOlderThan
        }
    }
}

fn parse_version(text: &str) -> Result<Revision, ApiError> {
    text.parse::<Revision>().map_err(|error| {
        Status::bad_request(format!("resourceVersion: Invalid value: {text:?}: {error}")).into()
    })
}

fn number(query: &Query, key: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = query.get(key) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) => Ok(Some(u64::try_from(number).unwrap_or(0))),
        Err(error) => Err(Status::bad_request(format!("{key}: Invalid value: {text:?}: {error}")).into()),
    }
}

/// The options of create, update, patch and delete.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    /// Whether anything is stored.
    pub(crate) dry_run: DryRun,
    /// What happens to unknown fields.
    pub(crate) field_validation: FieldValidation,
    /// Whether the document says itself who owns what of it: an apply has worked that out.
    pub(crate) is_applied: bool,
}

impl WriteOptions {
    /// Reads and checks the options; `kind` names them in errors, such as `CreateOptions`.
    pub(crate) fn parse(query: &Query, kind: &str) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let mut dry_run = DryRun::No;
        for value in query.all("dryRun").filter(|value| !value.is_empty()) {
            if value == "All" {
                dry_run = DryRun::All;
            } else {
                errors.not_supported("dryRun", value, &["All"]);
            }
        }
        let field_validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                errors.not_supported("fieldValidation", other, &["Ignore", "Strict", "Warn"]);
                FieldValidation::Warn
            }
        };
        if let Some(manager) = query.get("fieldManager") {
            check_manager(manager, &mut errors);
        }
        if !errors.is_empty() {
            return Err(Status::invalid(kind, "meta.k8s.io", "", &errors).into());
        }
        Ok(Self { dry_run, field_validation, is_applied: false })
    }
}

/// The name of a field manager: short, and nothing that a terminal would not show.
fn check_manager(manager: &str, errors: &mut FieldErrors) {
    if manager.len() > MAX_MANAGER {
        errors.too_long("fieldManager", MAX_MANAGER);
    }
    let is_odd = |(_, c): &(usize, char)| c.is_control() || (c.is_whitespace() && *c != ' ');
    if let Some((place, c)) = manager.char_indices().find(is_odd) {
        let why = format!("invalid character U+{:04X} (at position {place})", u32::from(c));
        errors.invalid("fieldManager", manager, why);
    }
}
