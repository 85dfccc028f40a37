//! A conversation with a directory: binding, and searches for one entry or many (RFC 4511).
//!
//! The protocol is `ldap3`'s, which may panic at malformed messages: what reads the connection has a task of its own, and
//! so has each search, so that it fails and nothing else. Referrals lead nowhere.

use std::time::Duration;

use ldap3::{
    DerefAliases, Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchEntry,
    SearchOptions,
    adapters::{Adapter, EntriesOnly, PagedResults},
    ldap_escape,
};
use tokio::task::JoinSet;

use super::{
    config::{Query, Server, SyncConfig, is_dn},
    dn::{Dn, DnError},
    entry::{Entry, UnreadableError},
};

/// Results of LDAP (RFC 4511, appendix A).
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
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
    #[error("the directory {place} answers in a way that cannot be read")]
    Garbled { place: String },
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
    #[error(
        "which groups are gone cannot be told: nothing that matches {filter:?} is found below {base:?}, and all groups would be"
    )]
    Blind { base: String, filter: String },
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    #[error(transparent)]
    Name(#[from] DnError),
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

    /// There is no use in asking for anything else.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Lost { .. } => true,
            Self::Member { source, .. } => source.is_lost(),
            _ => false,
        }
    }
}

/// An open connection, which ends with this.
pub(super) struct Directory {
    ldap: Ldap,
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
        &self,
        query: &Query,
        having: Option<(&str, &str)>,
        attributes: &[String],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let filter = match having {
            Some((attribute, value)) => format!("(&{}({attribute}={}))", query.filter, ldap_escape(value)),
            None => query.filter.clone(),
        };
        self.search(query, (query.base.as_str(), query.scope, &filter), attributes).await
    }

    /// The one entry of a query with this value, or with this name where the attribute is `dn`.
    pub(super) async fn entry(
        &self,
        query: &Query,
        (attribute, uid): (&str, &str),
        attributes: &[String],
    ) -> Result<Entry, DirectoryError> {
        let (base, filter, mut found) = if is_dn(attribute) {
            if !Dn::parse(uid)?.is_within(&query.base) {
                let base = query.base.as_str().to_owned();
                return Err(DirectoryError::OutOfScope { dn: uid.to_owned(), base });
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

    /// Makes sure that a query finds something that has one of these attributes, besides its base itself. Where we may
    /// read nothing, or look at the wrong place, many a directory says what it says of entries that are gone.
    pub(super) async fn sees(&self, query: &Query, attributes: &[String]) -> Result<(), DirectoryError> {
        let present: String =
            attributes.iter().filter(|name| !is_dn(name)).map(|name| format!("({name}=*)")).collect();
        let filter = match present.as_str() {
            "" => query.filter.clone(),
            present => format!("(&{}(|{present}))", query.filter),
        };
        let base = query.base.as_str();
        let search = Search { limit: 2, ..self.asked(query, (base, query.scope, &filter), &[]) };
        for entry in self.run(search).await? {
            if query.scope == Scope::Base || !Dn::parse(&entry.dn)?.is_same(&query.base) {
                return Ok(());
            }
        }
        Err(DirectoryError::Blind { base: base.to_owned(), filter })
    }

    /// Entries with all their values, of which a directory may give only some at a time.
    async fn search(
        &self,
        query: &Query,
        (base, scope, filter): (&str, Scope, &str),
        attributes: &[String],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let found = self.run(self.asked(query, (base, scope, filter), attributes)).await?;
        let mut entries: Vec<Entry> = found.into_iter().map(Entry::new).collect();
        for entry in &mut entries {
            while let Some((attribute, wanted)) = entry.missing() {
                let only = (entry.dn.as_str(), Scope::Base, "(objectClass=*)");
                let more = self.run(self.asked(query, only, &[wanted])).await?.pop();
                entry.complete(&attribute, more);
            }
        }
        Ok(entries)
    }

    fn asked(
        &self,
        query: &Query,
        (base, scope, filter): (&str, Scope, &str),
        attributes: &[String],
    ) -> Search {
        let mut attributes: Vec<String> = attributes.iter().filter(|name| !is_dn(name)).cloned().collect();
        if attributes.is_empty() {
            // No attributes at all; an empty list would mean all of them (RFC 4511, 4.5.1.8).
            attributes.push("1.1".to_owned());
        }
        Search {
            ldap: self.ldap.clone(),
            base: base.to_owned(),
            scope,
            filter: filter.to_owned(),
            attributes,
            aliases: query.aliases,
            seconds: query.seconds,
            page_size: if scope == Scope::Base { 0 } else { query.page_size },
            limit: 0,
        }
    }

    /// Does a search where a panic harms nobody else.
    async fn run(&self, search: Search) -> Result<Vec<SearchEntry>, DirectoryError> {
        let (place, base, limit) = (self.place.clone(), search.base.clone(), search.limit);
        let mut searching = JoinSet::new();
        searching.spawn(search.run());
        let (found, result) = match searching.join_next().await {
            Some(Ok(Ok(done))) => done,
            Some(Ok(Err(source))) => return Err(DirectoryError::Lost { place, source: Box::new(source) }),
            Some(Err(_)) | None => return Err(DirectoryError::Garbled { place }),
        };
        match result.rc {
            SUCCESS => Ok(found),
            SIZE_LIMIT_EXCEEDED if limit > 0 => Ok(found),
            code => Err(DirectoryError::Search { base, code, text: described(code, result.text) }),
        }
    }
}

/// What is asked in one search.
struct Search {
    ldap: Ldap,
    base: String,
    scope: Scope,
    filter: String,
    attributes: Vec<String>,
    aliases: DerefAliases,
    /// 0 for ever.
    seconds: i32,
    /// 0 for all at once.
    page_size: i32,
    /// How many entries are enough, 0 for all.
    limit: i32,
}

impl Search {
    async fn run(mut self) -> Result<(Vec<SearchEntry>, LdapResult), LdapError> {
        let mut adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![Box::new(EntriesOnly::new())];
        if self.page_size > 0 {
            adapters.push(Box::new(PagedResults::new(self.page_size)));
        }
        let limit = u64::try_from(self.seconds).unwrap_or_default();
        let patience = if limit > 0 { Duration::from_secs(limit + 5) } else { PATIENCE };
        let options = SearchOptions::new().deref(self.aliases).timelimit(self.seconds).sizelimit(self.limit);
        let ldap = self.ldap.with_timeout(patience).with_search_options(options);
        let mut stream = ldap
            .streaming_search_with(adapters, &self.base, self.scope, &self.filter, self.attributes)
            .await?;
        let mut found = Vec::new();
        while let Some(entry) = stream.next().await? {
            found.push(SearchEntry::construct(entry));
        }
        Ok((found, stream.finish().await))
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
