//! A conversation with a directory: binding, and searches for one entry or many (RFC 4511).
//!
//! The protocol is `ldap3`'s. What reads the connection has a task of its own, which may panic at malformed messages: then
//! the searches fail, and nothing else. Referrals lead nowhere.

use std::{collections::HashMap, time::Duration};

use ldap3::{
    LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions,
    adapters::{Adapter, EntriesOnly, PagedResults},
    ldap_escape,
};
use tokio::task::JoinSet;

use super::{
    config::{Query, Server, SyncConfig, is_dn},
    dn,
};

/// Results of LDAP (RFC 4511, appendix A).
const SUCCESS: u32 = 0;
const NO_SUCH_OBJECT: u32 = 32;
/// How long connecting may take, and how long a directory may be silent where the query says nothing else.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why a directory did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirectoryError {
    #[error("the directory {place} cannot be asked")]
    Lost {
        place: String,
        #[source]
        source: Box<LdapError>,
    },
    #[error("the directory {place} does not let us search: {text} (result {code})")]
    Bind { place: String, code: u32, text: String },
    #[error("searching below {base:?}: {text} (result {code})")]
    Search { base: String, code: u32, text: String },
    #[error("search for entry with base dn={base:?} and filter {filter:?} did not return any results")]
    NotFound { base: String, filter: String },
    #[error("multiple entries found matching {filter:?} below {base:?}")]
    Several { base: String, filter: String },
    #[error("search for entry with dn={dn:?} would search outside of the base dn specified (dn={base:?})")]
    OutOfScope { dn: String, base: String },
    #[error("unable to find LDAP group UID for {dn}")]
    NoUid { dn: String },
    #[error("the {what} entry {dn:?} has none of the attributes that would name it: {attributes}")]
    Nameless { what: &'static str, dn: String, attributes: String },
    #[error("membership lookup failed for user {member:?}")]
    Member {
        member: String,
        #[source]
        source: Box<DirectoryError>,
    },
}

impl DirectoryError {
    /// The directory has no such entry.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The entry is not where the configuration looks.
    pub(super) fn is_out_of_scope(&self) -> bool {
        matches!(self, Self::OutOfScope { .. })
    }
}

/// An entry, with the values that are text.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) dn: String,
    /// By name in small letters.
    attributes: HashMap<String, Vec<String>>,
}

impl Entry {
    fn new(found: SearchEntry) -> Self {
        let mut attributes: HashMap<String, Vec<String>> = HashMap::new();
        for (name, values) in found.attrs {
            attributes.entry(name.to_lowercase()).or_default().extend(values);
        }
        Self { dn: found.dn, attributes }
    }

    /// The values of an attribute; `dn` is the entry's own name.
    pub(super) fn values(&self, attribute: &str) -> &[String] {
        if is_dn(attribute) {
            return std::slice::from_ref(&self.dn);
        }
        self.attributes.get(&attribute.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The first value of the first of these attributes that the entry has.
    pub(super) fn first<'e>(&'e self, attributes: impl IntoIterator<Item = &'e String>) -> Option<&'e str> {
        let mut values = attributes.into_iter().flat_map(|attribute| self.values(attribute));
        values.find(|value| !value.is_empty()).map(String::as_str)
    }
}

/// An open connection, which ends with this.
pub(super) struct Directory {
    ldap: ldap3::Ldap,
    place: String,
    _reader: JoinSet<()>,
}

impl Directory {
    /// Connects, with TLS unless the configuration is insecure, and binds.
    pub(super) async fn open(config: &SyncConfig) -> Result<Self, DirectoryError> {
        let Server { secure, .. } = &config.server;
        let place = config.server.place();
        let lost = |source| DirectoryError::Lost { place: place.clone(), source: Box::new(source) };
        let mut settings = LdapConnSettings::new().set_conn_timeout(PATIENCE);
        if let Some(tls) = &config.tls {
            settings = settings.set_config(tls.clone()).set_starttls(!secure);
        }
        let url = config.server.to_string();
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await.map_err(lost)?;
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "The connection to the directory ended");
            }
        });
        if let Some((dn, password)) = &config.searcher {
            ldap.with_timeout(PATIENCE);
            let bound = ldap.simple_bind(dn, password.expose()).await.map_err(lost)?;
            if bound.rc != SUCCESS {
                let text = described(bound.rc, bound.text);
                return Err(DirectoryError::Bind { place, code: bound.rc, text });
            }
        }
        Ok(Self { ldap, place, _reader: reader })
    }

    /// The entries of a query, or those of them that have this value.
    pub(super) async fn entries(
        &mut self,
        query: &Query,
        having: Option<(&str, &str)>,
        attributes: &[String],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let filter = match having {
            Some((attribute, value)) => format!("(&{}({attribute}={}))", query.filter, ldap_escape(value)),
            None => query.filter.clone(),
        };
        self.search(query, (&query.base, query.scope, &filter), attributes).await
    }

    /// The one entry of a query with this value, or with this name where the attribute is `dn`.
    pub(super) async fn entry(
        &mut self,
        query: &Query,
        (attribute, uid): (&str, &str),
        attributes: &[String],
    ) -> Result<Entry, DirectoryError> {
        let (base, filter, mut found) = if is_dn(attribute) {
            if !dn::is_within(uid, &query.base) {
                return Err(DirectoryError::OutOfScope { dn: uid.to_owned(), base: query.base.clone() });
            }
            let anything = "(objectClass=*)";
            let found = match self.search(query, (uid, Scope::Base, anything), attributes).await {
                // Here it is the entry that is missing; elsewhere it is what the configuration names.
                Err(DirectoryError::Search { code: NO_SUCH_OBJECT, .. }) => Vec::new(),
                found => found?,
            };
            (uid, anything.to_owned(), found)
        } else {
            let found = self.entries(query, Some((attribute, uid)), attributes).await?;
            (query.base.as_str(), format!("({attribute}={uid})"), found)
        };
        let base = base.to_owned();
        match (found.pop(), found.is_empty()) {
            (Some(entry), true) => Ok(entry),
            (Some(_), false) => Err(DirectoryError::Several { base, filter }),
            (None, _) => Err(DirectoryError::NotFound { base, filter }),
        }
    }

    async fn search(
        &mut self,
        query: &Query,
        (base, scope, filter): (&str, Scope, &str),
        attributes: &[String],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let mut wanted: Vec<String> = attributes.iter().filter(|name| !is_dn(name)).cloned().collect();
        if wanted.is_empty() {
            // No attributes at all; an empty list would mean all of them (RFC 4511, 4.5.1.8).
            wanted.push("1.1".to_owned());
        }
        let mut adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![Box::new(EntriesOnly::new())];
        if query.page_size > 0 && scope != Scope::Base {
            adapters.push(Box::new(PagedResults::new(query.page_size)));
        }
        let limit = u64::try_from(query.seconds).unwrap_or_default();
        let patience = if limit > 0 { Duration::from_secs(limit + 5) } else { PATIENCE };
        let options = SearchOptions::new().deref(query.aliases).timelimit(query.seconds);
        let place = self.place.clone();
        let lost = |source| DirectoryError::Lost { place: place.clone(), source: Box::new(source) };
        let ldap = self.ldap.with_timeout(patience).with_search_options(options);
        let mut stream =
            ldap.streaming_search_with(adapters, base, scope, filter, wanted).await.map_err(lost)?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.next().await.map_err(lost)? {
            entries.push(Entry::new(SearchEntry::construct(entry)));
        }
        let result = stream.finish().await;
        if result.rc != SUCCESS {
            let text = described(result.rc, result.text);
            return Err(DirectoryError::Search { base: base.to_owned(), code: result.rc, text });
        }
        Ok(entries)
    }
}

/// What a directory says of a result, or what the result is called.
fn described(code: u32, text: String) -> String {
    if !text.is_empty() {
        return text;
    }
    let name = match code {
        3 => "it takes too long",
        4 => "there are more entries than the directory gives at once; set pageSize",
        8 | 13 => "the directory wants TLS or another way to log in",
        32 => "there is no such entry",
        34 => "that is no name of an entry",
        49 => "the name or the password is wrong",
        50 => "we may not",
        _ => "the directory refuses",
    };
    name.to_owned()
}
