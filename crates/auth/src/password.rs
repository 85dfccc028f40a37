//! The configured identity providers (platform 2.9), and checking names and passwords against those that are here.
//!
//! Owns what a provider is and a short memory of successes. Verification can take a tenth of a second of CPU, so
//! callers run it on a blocking pool. Providers that are asked over the network are in `openid`, `remote_password`,
//! `ldap` and `request_header`; users and identities are made by `oauth::mapping`, not here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use jiff::{SignedDuration, Timestamp};

use crate::cache::Cache;
use crate::credentials::InvalidCredentials;
use crate::ldap::Ldap;
use crate::openid::OpenId;
use crate::remote_password::BasicAuth;
use crate::request_header::RequestHeader;

pub use self::htpasswd::Htpasswd;

mod htpasswd;

/// Longer names and passwords are refused unread.
const MAX_BYTES: usize = 1024;
/// Longer identifiers of people at a provider elsewhere name no identity, in bytes.
pub(crate) const MAX_ID: usize = 1024;
/// How long a verified password need not be verified again.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_secs(60);
const REMEMBERED: usize = 1024;

/// Where users come from.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// Names the provider in Identity objects: `<name>:<user>`.
    pub name: String,
    /// Whether clients that answer challenges with a password may use it.
    pub challenge: bool,
    /// Whether people may use it in a browser.
    pub login: bool,
    /// What happens at somebody's first login.
    pub mapping: MappingMethod,
    /// How it knows them.
    pub kind: ProviderKind,
}

impl IdentityProvider {
    /// A provider for challenges and logins that creates users at their first login.
    pub fn new(name: impl Into<String>, kind: ProviderKind) -> Self {
        Self { name: name.into(), challenge: true, login: true, mapping: MappingMethod::Claim, kind }
    }
}

/// How an identity that logs in for the first time gets its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MappingMethod {
    /// It makes the user of its name, and fails if that one is somebody else's.
    #[default]
    Claim,
    /// Somebody mapped it before.
    Lookup,
    /// It makes a user, of its name or of that with a number behind it.
    Generate,
    /// It becomes one more identity of the user of its name, made if there is none.
    Add,
}

/// How a provider knows a user.
#[derive(Clone, Debug)]
pub enum ProviderKind {
    /// Accepts every name with every password, blank ones excepted. For trying things out.
    AllowAny,
    /// Accepts nobody.
    DenyAll,
    /// Names and hashes in the form of Apache's `htpasswd`.
    Htpasswd(Htpasswd),
    /// Another server is asked by `Authorization: Basic`.
    BasicAuth(Arc<BasicAuth>),
    /// A directory is searched and bound to.
    Ldap(Arc<Ldap>),
    /// People log in at another server, which says who they are (OpenID Connect).
    OpenId(Arc<OpenId>),
    /// A proxy in front says who they are, by headers.
    RequestHeader(Arc<RequestHeader>),
}

impl ProviderKind {
    /// Whether it can say something about a name and a password.
    pub const fn checks_passwords(&self) -> bool {
        match self {
            Self::AllowAny
            | Self::DenyAll
            | Self::Htpasswd(_)
            | Self::BasicAuth(_)
            | Self::Ldap(_)
            | Self::OpenId(_) => true,
            Self::RequestHeader(_) => false,
        }
    }

    /// Whether people enter their password into our form.
    pub const fn has_form(&self) -> bool {
        match self {
            Self::AllowAny | Self::DenyAll | Self::Htpasswd(_) | Self::BasicAuth(_) | Self::Ldap(_) => true,
            Self::OpenId(_) | Self::RequestHeader(_) => false,
        }
    }
}

/// A user as a provider knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderUser {
    /// The provider's name.
    pub provider: String,
    /// What the provider never gives to another user; part of the Identity's name.
    pub id: String,
    /// The preferred name of the User here.
    pub name: String,
    /// The name that people read; empty where nobody said one.
    pub full_name: String,
    /// What else was said: `name`, `email`, `preferred_username`.
    pub extra: BTreeMap<String, String>,
    /// The groups it says the user is in; `None` where it says nothing about groups.
    pub groups: Option<Vec<String>>,
}

impl ProviderUser {
    /// One who is known by one name and nothing else.
    pub fn named(provider: &str, name: &str) -> Self {
        Self { provider: provider.to_owned(), id: name.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    /// One of whom more was said than who it is.
    pub(crate) fn known(provider: &str, id: &str, said: Said) -> Self {
        let mut user = Self::named(provider, id);
        let Said { name, email, preferred_username } = said;
        user.full_name = name.clone().unwrap_or_default();
        if let Some(name) = &preferred_username {
            user.name.clone_from(name);
        }
        let said = [("name", name), ("email", email), ("preferred_username", preferred_username)];
        user.extra = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        user
    }
}

/// What a provider says about somebody besides who it is.
#[derive(Default)]
pub(crate) struct Said {
    /// The name that people read.
    pub(crate) name: Option<String>,
    /// The address for mail.
    pub(crate) email: Option<String>,
    /// The name that the User is to have.
    pub(crate) preferred_username: Option<String>,
}

/// Recent successes of the providers that are here.
pub(crate) struct Passwords {
    /// Verified until when, by a keyed hash of all that was verified; no password or its plain hash is kept.
    remembered: Cache<[u8; 32], Timestamp>,
    key: hmac::Key,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system's random generator, without which no key or token could be made");
        Self { remembered: Cache::new(REMEMBERED), key }
    }

    /// Whether the provider accepts this name and password, which [`presentable`] took; providers elsewhere accept
    /// nothing here. Slow: run it on a blocking pool.
    pub(crate) fn accepts(
        &self,
        provider: &IdentityProvider,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> bool {
        match &provider.kind {
            ProviderKind::AllowAny => !password.trim().is_empty(),
            ProviderKind::DenyAll
            | ProviderKind::BasicAuth(_)
            | ProviderKind::Ldap(_)
            | ProviderKind::OpenId(_)
            | ProviderKind::RequestHeader(_) => false,
            ProviderKind::Htpasswd(htpasswd) => {
                let entries = htpasswd.entries();
                let Some(stored) = entries.hash_of(user) else {
                    entries.verify_nobody(password);
                    return false;
                };
                let key = self.memory_key(&[&provider.name, user, password, stored]);
                let hash = self.remembered.hash(key);
                if self.remembered.get(hash, 0, |of, _| *of == key).is_some_and(|until| now < until) {
                    return true;
                }
                let accepted = htpasswd::verify(password, stored);
                if accepted {
                    let until = now.saturating_add(REMEMBERED_FOR).unwrap_or(now);
                    self.remembered.put(hash, 0, key, until);
                }
                accepted
            }
        }
    }

    /// A keyed hash of the parts, each with its length in front, so that no two lists of parts are one.
    fn memory_key(&self, parts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().try_into().expect("an HMAC of SHA-256 has 32 bytes")
    }
}

/// The name as providers are asked for it, if they are to be asked at all.
pub(crate) fn presentable<'a>(user: &'a str, password: &str) -> Result<&'a str, InvalidCredentials> {
    let user = user.trim();
    if user.is_empty() || password.is_empty() {
        return Err(InvalidCredentials::Blank);
    }
    let longest = user.len().max(password.len());
    if longest > MAX_BYTES {
        return Err(InvalidCredentials::TooLong(longest));
    }
    if is_user_name(user) { Ok(user) } else { Err(InvalidCredentials::Password) }
}

/// Whether a User object may have this name: no `:`, `/`, `%`, nothing that means a path or oneself.
pub(crate) fn is_user_name(name: &str) -> bool {
    let odd = |c: char| matches!(c, ':' | '/' | '%') || c.is_control();
    !name.is_empty() && name.len() <= MAX_BYTES && !name.contains(odd) && !matches!(name, "." | ".." | "~")
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Htpasswd, IdentityProvider, InvalidCredentials, Passwords, ProviderKind, presentable};

    fn verify(
        passwords: &Passwords,
        kind: &ProviderKind,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<String, InvalidCredentials> {
        let provider = IdentityProvider::new("p", kind.clone());
        let user = presentable(user, password)?;
        let accepted = passwords.accepts(&provider, user, password, now);
        accepted.then(|| user.to_owned()).ok_or(InvalidCredentials::Password)
    }

    #[test]
    fn any_password_is_any_but_a_blank_one() {
        let passwords = Passwords::new();
        let check = |user: &str, password: &str, expected: Result<&str, InvalidCredentials>| {
            let verified = verify(&passwords, &ProviderKind::AllowAny, user, password, Timestamp::UNIX_EPOCH);
            assert_eq!(verified, expected.map(str::to_owned), "{user:?} {password:?}");
        };
        check(" dev ", "x", Ok("dev"));
        check("a b@example.org", "x", Ok("a b@example.org"));
        check("", "x", Err(InvalidCredentials::Blank));
        check("dev", "", Err(InvalidCredentials::Blank));
        check("dev", "  ", Err(InvalidCredentials::Password));
        check("system:admin", "x", Err(InvalidCredentials::Password));
        check("a/b", "x", Err(InvalidCredentials::Password));
        check("~", "x", Err(InvalidCredentials::Password));
        check(&"a".repeat(2_000), "x", Err(InvalidCredentials::TooLong(2_000)));
    }

    #[test]
    fn a_replaced_file_counts_at_once_and_memory_ends() {
        // Password "one", then "two", at bcrypt's lowest cost.
        let hash = |password: &str| format!("dev:{}\n", bcrypt::hash(password, 4).unwrap());
        let htpasswd = Htpasswd::parse(&hash("one"));
        let (passwords, kind) = (Passwords::new(), ProviderKind::Htpasswd(htpasswd.clone()));
        let start = Timestamp::UNIX_EPOCH;
        let accepts = |password: &str, now| verify(&passwords, &kind, "dev", password, now).is_ok();
        assert!(accepts("one", start));
        assert!(accepts("one", start + SignedDuration::from_secs(61)));
        htpasswd.replace(&hash("two"));
        assert!(!accepts("one", start), "a remembered password of the old file");
        assert!(accepts("two", start));
    }
}
