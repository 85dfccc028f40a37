//! Checking names and passwords against the configured identity providers (platform 2.9).
//!
//! Owns the providers and a short memory of successes. Verification can take a tenth of a second of CPU, so
//! callers run it on a blocking pool. Users and identities are made by `login`, not here.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use jiff::{SignedDuration, Timestamp};

use crate::cache::Cache;
use crate::credentials::InvalidCredentials;

pub use self::htpasswd::Htpasswd;

mod htpasswd;

/// Longer names and passwords are refused unread.
const MAX_BYTES: usize = 1024;
/// How long a verified password need not be verified again.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_secs(60);
const REMEMBERED: usize = 1024;

/// Where users and passwords come from.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// Names the provider in Identity objects: `<name>:<user>`.
    pub name: String,
    /// How it checks.
    pub kind: ProviderKind,
}

/// How a provider checks a password.
#[derive(Clone, Debug)]
pub enum ProviderKind {
    /// Accepts every name with every password, blank ones excepted. For trying things out.
    AllowAny,
    /// Accepts nobody.
    DenyAll,
    /// Names and hashes in the form of Apache's `htpasswd`.
    Htpasswd(Htpasswd),
}

/// A user as a provider knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderUser {
    /// The provider's name.
    pub provider: String,
    /// The user's name there, and the preferred user name here.
    pub name: String,
}

/// The providers in their order, and recent successes.
pub(crate) struct Passwords {
    providers: Vec<IdentityProvider>,
    /// Verified until when, by a keyed hash of all that was verified; no password or its plain hash is kept.
    remembered: Cache<[u8; 32], Timestamp>,
    key: hmac::Key,
}

impl Passwords {
    pub(crate) fn new(providers: &[IdentityProvider]) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system's random generator, without which no key or token could be made");
        Self { providers: providers.to_vec(), remembered: Cache::new(REMEMBERED), key }
    }

    /// Whether some provider checks passwords at all.
    pub(crate) fn any(&self) -> bool {
        !self.providers.is_empty()
    }

    /// The first provider that accepts this name and password. Slow: run it on a blocking pool.
    pub(crate) fn verify(
        &self,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<ProviderUser, InvalidCredentials> {
        let user = user.trim();
        if user.is_empty() || password.is_empty() {
            return Err(InvalidCredentials::Blank);
        }
        let longest = user.len().max(password.len());
        if longest > MAX_BYTES {
            return Err(InvalidCredentials::TooLong(longest));
        }
        if !is_user_name(user) {
            return Err(InvalidCredentials::Password);
        }
        let accepting = self.providers.iter().find(|provider| self.accepts(provider, user, password, now));
        let provider = accepting.ok_or(InvalidCredentials::Password)?;
        Ok(ProviderUser { provider: provider.name.clone(), name: user.to_owned() })
    }

    fn accepts(&self, provider: &IdentityProvider, user: &str, password: &str, now: Timestamp) -> bool {
        match &provider.kind {
            ProviderKind::AllowAny => !password.trim().is_empty(),
            ProviderKind::DenyAll => false,
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

/// Whether a User object may have this name: no `:`, `/`, `%`, nothing that means a path or oneself.
pub(crate) fn is_user_name(name: &str) -> bool {
    let odd = |c: char| matches!(c, ':' | '/' | '%') || c.is_control();
    !name.is_empty() && !name.contains(odd) && !matches!(name, "." | ".." | "~")
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("providers", &self.providers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Htpasswd, IdentityProvider, InvalidCredentials, Passwords, ProviderKind};

    fn passwords(kind: ProviderKind) -> Passwords {
        Passwords::new(&[IdentityProvider { name: "p".to_owned(), kind }])
    }

    #[test]
    fn any_password_is_any_but_a_blank_one() {
        let passwords = passwords(ProviderKind::AllowAny);
        let check = |user: &str, password: &str, expected: Result<&str, InvalidCredentials>| {
            let verified = passwords.verify(user, password, Timestamp::UNIX_EPOCH).map(|user| user.name);
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
        let passwords = passwords(ProviderKind::Htpasswd(htpasswd.clone()));
        let start = Timestamp::UNIX_EPOCH;
        let accepts = |password: &str, now| passwords.verify("dev", password, now).is_ok();
        assert!(accepts("one", start));
        assert!(accepts("one", start + SignedDuration::from_secs(61)));
        htpasswd.replace(&hash("two"));
        assert!(!accepts("one", start), "a remembered password of the old file");
        assert!(accepts("two", start));
    }
}
