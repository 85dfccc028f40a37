//! The file of kind `LDAPSyncConfig`: where the directory is, and what a group is there.
//!
//! Owns reading and checking it. The three schemas become one: groups may have entries, and members are listed by their
//! groups or list them.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use ldap3::{DerefAliases, Scope};
use pierhead_client::{Secret, egress::Authorities, yaml};
use serde::Deserialize;
use serde_json::Value;

use super::dn::Dn;
use crate::session::Session;

/// A checked configuration.
pub(super) struct SyncConfig {
    pub(super) server: Server,
    /// Who searches, and their password; anybody without.
    pub(super) searcher: Option<(String, Secret<String>)>,
    /// How the directory's certificate is verified. Without it, everything goes in the clear.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    /// Names of Groups by what identifies the group in the directory.
    pub(super) names: BTreeMap<String, String>,
    pub(super) schema: Schema,
}

/// Where the directory is.
pub(super) struct Server {
    /// TLS from the beginning.
    pub(super) secure: bool,
    /// Name or address, an IPv6 address in brackets.
    pub(super) host: String,
    port: u16,
}

/// What is a group, and who is in it.
pub(super) struct Schema {
    /// The entries of groups, where they have any.
    pub(super) groups: Option<GroupEntries>,
    pub(super) members: Members,
    /// Attributes that hold the name of a User.
    pub(super) user_names: Vec<String>,
}

/// Which entries are groups.
pub(super) struct GroupEntries {
    pub(super) query: Query,
    /// Attribute that identifies one.
    pub(super) uid: String,
    /// Attributes that hold the name of the Group.
    pub(super) names: Vec<String>,
}

/// Where it stands who is in which group.
pub(super) enum Members {
    /// In these attributes of groups, which hold attribute `uid` of a user.
    OfGroups { attributes: Vec<String>, users: Query, uid: String, tolerance: Tolerance },
    /// In these attributes of users, which hold what identifies a group.
    OfUsers { users: Query, attributes: Vec<String> },
}

/// Which members are passed over instead of spoiling their group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub(super) not_found: bool,
    pub(super) out_of_scope: bool,
}

/// Which entries are looked at.
pub(super) struct Query {
    pub(super) base: Dn,
    pub(super) scope: Scope,
    pub(super) aliases: DerefAliases,
    /// Longest time for a search, 0 for ever.
    pub(super) seconds: i32,
    /// In parentheses.
    pub(super) filter: String,
    /// Entries asked for at a time, 0 for all.
    pub(super) page_size: i32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct File {
    api_version: String,
    kind: String,
    url: String,
    #[serde(rename = "bindDN")]
    bind_dn: String,
    bind_password: StringSource,
    insecure: bool,
    ca: String,
    #[serde(rename = "groupUIDNameMapping")]
    names: BTreeMap<String, String>,
    rfc2307: Option<Rfc2307>,
    active_directory: Option<ActiveDirectory>,
    augmented_active_directory: Option<Augmented>,
}

/// A text, or where it stands.
#[derive(Deserialize)]
#[serde(untagged)]
enum StringSource {
    Text(String),
    Elsewhere(StringPlace),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct StringPlace {
    value: String,
    env: String,
    file: String,
    key_file: String,
}

impl Default for StringSource {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rfc2307 {
    groups_query: LdapQuery,
    #[serde(rename = "groupUIDAttribute")]
    group_uid: String,
    group_name_attributes: Vec<String>,
    group_membership_attributes: Vec<String>,
    users_query: LdapQuery,
    #[serde(rename = "userUIDAttribute")]
    user_uid: String,
    user_name_attributes: Vec<String>,
    tolerate_member_not_found_errors: bool,
    tolerate_member_out_of_scope_errors: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ActiveDirectory {
    users_query: LdapQuery,
    user_name_attributes: Vec<String>,
    group_membership_attributes: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Augmented {
    users_query: LdapQuery,
    user_name_attributes: Vec<String>,
    group_membership_attributes: Vec<String>,
    groups_query: LdapQuery,
    #[serde(rename = "groupUIDAttribute")]
    group_uid: String,
    group_name_attributes: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct LdapQuery {
    #[serde(rename = "baseDN")]
    base_dn: String,
    scope: String,
    deref_aliases: String,
    timeout: i32,
    filter: String,
    page_size: i32,
}

/// Whether an attribute means the entry's own name.
pub(super) fn is_dn(attribute: &str) -> bool {
    attribute.eq_ignore_ascii_case("dn")
}

impl SyncConfig {
    /// Reads and checks a file. A password's file is beside it; others are named as on the command line.
    pub(super) fn read(path: &Path, session: &mut Session) -> anyhow::Result<Self> {
        let content = session.read_file(path)?;
        let shown = path.display();
        let text = String::from_utf8(content).with_context(|| format!("{shown} is not text"))?;
        let mut documents =
            yaml::parse_documents(&text).with_context(|| format!("could not parse file {shown}"))?;
        let (Some(mut document), true) = (documents.pop(), documents.is_empty()) else {
            bail!("could not parse file {shown}: one LDAPSyncConfig is expected");
        };
        drop_nulls(&mut document);
        let file: File =
            serde_json::from_value(document).with_context(|| format!("could not parse file {shown}"))?;
        let path = session.path(path);
        let folder = path.parent().unwrap_or(&path);
        file.checked(folder, session).context("validation of LDAP sync config failed")
    }
}

impl File {
    fn checked(self, folder: &Path, session: &Session) -> anyhow::Result<SyncConfig> {
        if self.kind != "LDAPSyncConfig" || self.api_version != "v1" {
            bail!(
                "no kind {:?} is known in version {:?}: LDAPSyncConfig in v1 is",
                self.kind,
                self.api_version
            );
        }
        let server = Server::parse(&self.url).with_context(|| format!("url: {:?}", self.url))?;
        let tls = match (self.insecure, server.secure) {
            (true, true) => bail!("insecure: ldaps:// is never without TLS"),
            (true, false) if !self.ca.is_empty() => bail!("ca: nothing is verified where insecure is true"),
            (true, false) => None,
            (false, _) if self.ca.is_empty() => Some(Authorities::system().tls_config()),
            (false, _) => {
                let path = session.path(&self.ca);
                let pem = std::fs::read(&path).with_context(|| format!("ca: {}", path.display()))?;
                // Instead of those of the system.
                Some(Authorities::none().with_extra(&pem).context("ca")?.tls_config())
            }
        };
        let password = self.bind_password.read(folder, session).context("bindPassword")?;
        let searcher = match (self.bind_dn.is_empty(), password.is_empty()) {
            (true, true) => None,
            (false, false) => Some((self.bind_dn, Secret::new(password))),
            // A directory takes an empty password for a wish to be nobody, and grants it.
            (false, true) => bail!("bindPassword: is required where there is a bindDN"),
            (true, false) => bail!("bindDN: is required where there is a bindPassword"),
        };
        let schema = match (self.rfc2307, self.active_directory, self.augmented_active_directory) {
            (Some(schema), None, None) => schema.checked().context("rfc2307")?,
            (None, Some(schema), None) => schema.checked().context("activeDirectory")?,
            (None, None, Some(schema)) => schema.checked().context("augmentedActiveDirectory")?,
            _ => bail!("exactly one of rfc2307, activeDirectory, augmentedActiveDirectory is required"),
        };
        Ok(SyncConfig { server, searcher, tls, names: self.names, schema })
    }
}

/// A field with nothing behind it is as good as none.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl StringSource {
    fn read(self, folder: &Path, session: &Session) -> anyhow::Result<String> {
        let place = match self {
            Self::Text(text) => return Ok(text),
            Self::Elsewhere(place) => place,
        };
        if !place.key_file.is_empty() {
            bail!("keyFile: encrypted values are not supported; use a file that only its owner reads");
        }
        match (place.value.as_str(), place.env.as_str(), place.file.as_str()) {
            (value, "", "") => Ok(value.to_owned()),
            ("", name, "") => Ok(session.environment.var(name).unwrap_or_default().to_owned()),
            ("", "", file) => {
                let path = folder.join(file);
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("unable to read {}", path.display()))?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            _ => bail!("only one of value, env and file can be given"),
        }
    }
}

impl Server {
    fn parse(url: &str) -> anyhow::Result<Self> {
        let (secure, rest, usual) = if let Some(rest) = url.strip_prefix("ldap://") {
            (false, rest, 389)
        } else if let Some(rest) = url.strip_prefix("ldaps://") {
            (true, rest, 636)
        } else {
            bail!("is neither an ldap nor an ldaps URL");
        };
        // What is searched stands in the queries, whatever the URL says of it.
        let (place, _) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match place.rsplit_once(':') {
            // The last colon of an IPv6 address without a port is one within its brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().with_context(|| format!("{port:?} is no port"))?)
            }
            _ => (place, usual),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            bail!("has no host that can be read");
        }
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// Host and port.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "ldaps" } else { "ldap" }, self.place())
    }
}

impl Rfc2307 {
    fn checked(self) -> anyhow::Result<Schema> {
        let members = Members::OfGroups {
            attributes: some(self.group_membership_attributes, "groupMembershipAttributes")?,
            users: self.users_query.checked(is_dn(&self.user_uid)).context("usersQuery")?,
            uid: one(self.user_uid, "userUIDAttribute")?,
            tolerance: Tolerance {
                not_found: self.tolerate_member_not_found_errors,
                out_of_scope: self.tolerate_member_out_of_scope_errors,
            },
        };
        Ok(Schema {
            groups: Some(GroupEntries {
                query: self.groups_query.checked(false).context("groupsQuery")?,
                uid: one(self.group_uid, "groupUIDAttribute")?,
                names: some(self.group_name_attributes, "groupNameAttributes")?,
            }),
            members,
            user_names: some(self.user_name_attributes, "userNameAttributes")?,
        })
    }
}

impl ActiveDirectory {
    fn checked(self) -> anyhow::Result<Schema> {
        let members = Members::OfUsers {
            users: self.users_query.checked(false).context("usersQuery")?,
            attributes: some(self.group_membership_attributes, "groupMembershipAttributes")?,
        };
        let user_names = some(self.user_name_attributes, "userNameAttributes")?;
        Ok(Schema { groups: None, members, user_names })
    }
}

impl Augmented {
    fn checked(self) -> anyhow::Result<Schema> {
        let groups = GroupEntries {
            query: self.groups_query.checked(is_dn(&self.group_uid)).context("groupsQuery")?,
            uid: one(self.group_uid, "groupUIDAttribute")?,
            names: some(self.group_name_attributes, "groupNameAttributes")?,
        };
        let plain = ActiveDirectory {
            users_query: self.users_query,
            user_name_attributes: self.user_name_attributes,
            group_membership_attributes: self.group_membership_attributes,
        };
        Ok(Schema { groups: Some(groups), ..plain.checked()? })
    }
}

impl LdapQuery {
    /// Those of which only single entries are asked for, by name, have no use for a filter.
    fn checked(self, only_by_name: bool) -> anyhow::Result<Query> {
        if only_by_name && !self.filter.is_empty() {
            bail!("filter: cannot specify a filter when using \"dn\" as the UID attribute");
        }
        let scope = match self.scope.as_str() {
            "" | "sub" => Scope::Subtree,
            "one" => Scope::OneLevel,
            "base" => Scope::Base,
            other => bail!("scope: is sub, one or base, and not {other:?}"),
        };
        let aliases = match self.deref_aliases.as_str() {
            "" | "always" => DerefAliases::Always,
            "never" => DerefAliases::Never,
            "search" => DerefAliases::Searching,
            "base" => DerefAliases::Finding,
            other => bail!("derefAliases: is never, search, base or always, and not {other:?}"),
        };
        if self.timeout < 0 || self.page_size < 0 {
            bail!("timeout and pageSize are not less than 0");
        }
        let filter = match self.filter.trim() {
            "" => "(objectClass=*)".to_owned(),
            filter if filter.starts_with('(') => filter.to_owned(),
            filter => format!("({filter})"),
        };
        if ldap3::parse_filter(&filter).is_err() {
            bail!("filter: {:?} is no filter (RFC 4515)", self.filter);
        }
        let Self { base_dn, timeout, page_size, .. } = self;
        let base = Dn::parse(&base_dn).context("baseDN")?;
        Ok(Query { base, scope, aliases, seconds: timeout, filter, page_size })
    }
}

/// A name of an attribute: letters, digits, hyphens, dots, and options behind semicolons (RFC 4512, 2.5).
fn one(name: String, field: &'static str) -> anyhow::Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.;_".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) {
        bail!("{field}: {name:?} is no name of an attribute");
    }
    Ok(name)
}

fn some(names: Vec<String>, field: &'static str) -> anyhow::Result<Vec<String>> {
    if names.is_empty() {
        bail!("{field}: at least one attribute is required");
    }
    names.into_iter().map(|name| one(name, field)).collect()
}
