//! The provider `LDAP`: a directory is searched for the name, and the one entry found is bound to with the password
//! (platform 2.9).
//!
//! Owns the order of it and what counts as an answer: exactly one entry, or nobody. Referrals lead nowhere. A directory
//! takes an empty password, or an empty name, for a wish to be anonymous, and grants it: neither is ever sent. The
//! protocol is `ldap3`'s, which panics at malformed messages; so a conversation has a task of its own. Addresses are
//! read in `url`.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ldap3::result::{LdapError, LdapResult, SearchResult};
use ldap3::{LdapConnAsync, LdapConnSettings, SearchEntry, SearchOptions, ldap_escape};
use pierhead_runtime::Secret;
use pierhead_runtime::tls::{self, Alpn, TlsError};
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;

use crate::password::{MAX_ID, ProviderUser, Said};
use crate::web::{LONGEST, ProviderError};

pub use self::url::{LdapUrl, LdapUrlError, Scheme};

mod url;

/// Results of LDAP (RFC 4511, appendix A).
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
/// Answers to a bind that say that this password does not let this entry in: it has none, it is wrong, or a policy
/// locks the entry.
const REFUSALS: [u32; 5] = [19, 48, 49, 50, 53];

/// A directory, and how its people are known.
#[derive(Clone, Debug)]
pub struct Ldap {
    /// Where it is, and where its people are.
    pub url: LdapUrl,
    /// Who may search, and their password, which is not empty; without them anybody may.
    pub searcher: Option<(String, Secret<String>)>,
    /// How its certificate is verified. Without it, everything goes in the clear.
    pub tls: Option<Arc<ClientConfig>>,
    /// What of an entry is what.
    pub attributes: AttributeNames,
}

/// The attributes of an entry that say who somebody is: of each list, the first that the entry has. `dn` stands for the
/// entry's own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeNames {
    /// What is never given to another person.
    pub id: Vec<String>,
    /// The preferred name of the User.
    pub preferred_username: Vec<String>,
    /// The name that people read.
    pub name: Vec<String>,
    /// The address for mail.
    pub email: Vec<String>,
}

impl AttributeNames {
    /// As OpenShift's documentation has them; the name is what people log in with.
    pub fn usual(url: &LdapUrl) -> Self {
        let one = |name: &str| vec![name.to_owned()];
        Self { id: one("dn"), preferred_username: one(&url.attribute), name: one("cn"), email: one("mail") }
    }

    /// Whether all are names of attributes, and one is there to know people by.
    ///
    /// # Errors
    /// The first that is none.
    pub fn check(&self) -> Result<(), LdapUrlError> {
        self.all().try_for_each(|name| url::checked_attribute(name).map(drop))?;
        if self.id.is_empty() { Err(LdapUrlError::Attribute(String::new())) } else { Ok(()) }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.id.iter().chain(&self.preferred_username).chain(&self.name).chain(&self.email)
    }
}

/// Verifies certificates of directories with these authorities.
///
/// # Errors
/// None of the protocol versions we speak is offered by the provider.
pub fn verifying(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let config = tls::client_config(roots, Alpn::Http1)?;
    let mut config = ClientConfig::clone(&config);
    // What is spoken is no HTTP, and servers may insist.
    config.alpn_protocols.clear();
    Ok(Arc::new(config))
}

impl Ldap {
    /// Who this is; `None` where the directory knows nobody of that name, or more than one, or not that password.
    pub(crate) async fn user(
        self: &Arc<Self>,
        provider: &str,
        (name, password): (&str, &str),
    ) -> Result<Option<ProviderUser>, ProviderError> {
        if name.is_empty() || password.is_empty() || password.contains('\0') {
            return Ok(None);
        }
        let mut conversation = JoinSet::new();
        conversation.spawn(converse(Arc::clone(self), name.to_owned(), Secret::new(password.to_owned())));
        let url = || self.url.to_string();
        match tokio::time::timeout(LONGEST, conversation.join_next()).await {
            Ok(Some(Ok(found))) => Ok(found?.and_then(|entry| self.known(provider, &entry))),
            Ok(Some(Err(_)) | None) => Err(ProviderError::Garbled { url: url() }),
            Err(_elapsed) => Err(ProviderError::Slow { url: url() }),
        }
    }

    async fn entry(
        &self,
        directory: &mut ldap3::Ldap,
        (name, password): (&str, &Secret<String>),
    ) -> Result<Option<SearchEntry>, ProviderError> {
        let lost = |source| self.lost(source);
        if let Some((dn, password)) = &self.searcher {
            let bound = directory.simple_bind(dn, password.expose()).await.map_err(lost)?;
            if bound.rc != SUCCESS {
                return Err(self.unwilling("does not let us search", &bound));
            }
        }
        let LdapUrl { base, attribute, scope, filter, .. } = &self.url;
        let filter = format!("(&{filter}({attribute}={}))", ldap_escape(name));
        let seconds = i32::try_from(LONGEST.as_secs()).unwrap_or(i32::MAX);
        // Two are enough to see that it is not one.
        let options = SearchOptions::new().sizelimit(2).timelimit(seconds);
        let found = directory.with_search_options(options).search(base, *scope, &filter, self.wanted()).await;
        let SearchResult(entries, result) = found.map_err(lost)?;
        let several = || {
            tracing::warn!(directory = %self.url, name, "More than one entry of a directory has the name {name}; it lets in nobody");
            Ok(None)
        };
        match result.rc {
            SUCCESS => {}
            SIZE_LIMIT_EXCEEDED => return several(),
            NO_SUCH_OBJECT => return Ok(None),
            _ => return Err(self.unwilling("does not search", &result)),
        }
        let mut entries = entries.into_iter();
        let Some(entry) = entries.next().map(SearchEntry::construct) else { return Ok(None) };
        if entries.next().is_some() {
            return several();
        }
        if entry.dn.is_empty() || is_otherwise_spelt(&entry, attribute, name) {
            return Ok(None);
        }
        let bound = directory.simple_bind(&entry.dn, password.expose()).await.map_err(lost)?;
        match bound.rc {
            SUCCESS => Ok(Some(entry)),
            refusal if REFUSALS.contains(&refusal) => Ok(None),
            _ => Err(self.unwilling("does not check passwords", &bound)),
        }
    }

    /// The attributes to ask for. One at least, since none would mean all.
    fn wanted(&self) -> Vec<&str> {
        let names = self.attributes.all().map(String::as_str).filter(|name| !is_dn(name));
        let mut wanted: Vec<&str> = names.chain([self.url.attribute.as_str()]).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// The person that an entry is. Identifiers may be any bytes, and are written as OpenShift does, in base64url.
    fn known(&self, provider: &str, entry: &SearchEntry) -> Option<ProviderUser> {
        let AttributeNames { id, preferred_username, name, email } = &self.attributes;
        let id = value(entry, id).map(|id| BASE64_URL_SAFE_NO_PAD.encode(id)).filter(|id| id.len() <= MAX_ID);
        let Some(id) = id else {
            tracing::warn!(directory = %self.url, dn = entry.dn, "{} has nothing to know it by", entry.dn);
            return None;
        };
        let text = |names: &[String]| {
            let text = value(entry, names).and_then(|value| std::str::from_utf8(value).ok());
            text.filter(|text| text.len() <= MAX_ID).map(str::to_owned)
        };
        let said =
            Said { name: text(name), email: text(email), preferred_username: text(preferred_username) };
        Some(ProviderUser::known(provider, &id, said))
    }

    fn lost(&self, source: LdapError) -> ProviderError {
        ProviderError::Unreachable { url: self.url.to_string(), source: Box::new(source) }
    }

    fn unwilling(&self, what: &'static str, result: &LdapResult) -> ProviderError {
        ProviderError::Unwilling {
            url: self.url.to_string(),
            what,
            code: result.rc,
            text: result.text.clone(),
        }
    }
}

/// Connects, and finds the entry that this name and password are of.
async fn converse(
    ldap: Arc<Ldap>,
    name: String,
    password: Secret<String>,
) -> Result<Option<SearchEntry>, ProviderError> {
    let mut settings = LdapConnSettings::new();
    if let Some(tls) = &ldap.tls {
        settings = settings.set_config(Arc::clone(tls)).set_starttls(ldap.url.scheme == Scheme::Ldap);
    }
    let opened = LdapConnAsync::with_settings(settings, &ldap.url.to_string()).await;
    let (connection, mut directory) = opened.map_err(|source| ldap.lost(source))?;
    let talk = async {
        let found = ldap.entry(&mut directory, (&name, &password)).await;
        // Nothing depends on whether the directory hears that we are done.
        drop(directory.unbind().await);
        drop(directory);
        found
    };
    // The connection ends with what was said on it, and what is said on it ends with the connection.
    let (found, _) = tokio::join!(talk, connection.drive());
    found
}

fn is_dn(name: &str) -> bool {
    name.eq_ignore_ascii_case("dn")
}

/// Whether the entry is called something else than the name, case aside. Directories overlook more than that: blanks,
/// accents, letters that are not seen. Guesses are counted by name, and each such spelling would have a count of its own.
fn is_otherwise_spelt(entry: &SearchEntry, attribute: &str, name: &str) -> bool {
    let mut values = entry.attrs.iter().filter(|(of, _)| of.eq_ignore_ascii_case(attribute)).peekable();
    let is_told = values.peek().is_some();
    let name = name.to_lowercase();
    is_told && !values.flat_map(|(_, values)| values).any(|value| value.trim().to_lowercase() == name)
}

/// The first value that is there. Directories write the names of attributes as they like.
fn value<'a>(entry: &'a SearchEntry, names: &[String]) -> Option<&'a [u8]> {
    names.iter().find_map(|wanted| {
        if is_dn(wanted) {
            return Some(entry.dn.as_bytes());
        }
        let is_it = |name: &String| name.eq_ignore_ascii_case(wanted);
        let texts = entry.attrs.iter().filter(|(name, _)| is_it(name)).flat_map(|(_, values)| values);
        let bytes = entry.bin_attrs.iter().filter(|(name, _)| is_it(name)).flat_map(|(_, values)| values);
        let mut values = texts.map(String::as_bytes).chain(bytes.map(Vec::as_slice));
        values.find(|value| !value.is_empty())
    })
}
