//! Logging in: from a name and password to a User object, which the first login creates (platform 2.9).
//!
//! Owns the mapping `claim`: a user name belongs to the first identity that logs in under it.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use pierhead_store::{StoreError, WriteTx};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::attempts::{AT_A_TIME, Attempt, TooMany};
use crate::auth::{Auth, Inner};
use crate::credentials::InvalidCredentials;
use crate::password::ProviderUser;
use crate::stored::{Meta, resource};

use super::{StoredUser, create, find};

/// Passwords verified at a time: hashing is slow on purpose and must not take all processors.
static VERIFYING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Arc::new(Semaphore::new(at_a_time(processors)))
});

fn at_a_time(processors: usize) -> usize {
    processors.div_ceil(2).min(AT_A_TIME)
}

/// Somebody who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name of the User object.
    pub name: String,
    /// Its uid, which tokens are bound to.
    pub uid: String,
}

/// Why somebody with good or bad credentials cannot log in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No provider accepts the name and password.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    /// Too many passwords for this account or from this address were wrong; this one was not looked at.
    #[error("too many wrong passwords; the next is looked at in {retry_after_s} s")]
    TooMany {
        /// When it is worth trying again, in seconds.
        retry_after_s: u64,
    },
    /// The user name belongs to another identity.
    #[error(
        "user {user:?} cannot be claimed by identity {identity:?} because it is already mapped to another"
    )]
    Claim {
        /// The user.
        user: String,
        /// The identity that logged in.
        identity: String,
    },
    /// The identity is known and its user is not, or not any more.
    #[error("identity {identity:?} is mapped to a user that does not exist")]
    Lookup {
        /// The identity that logged in.
        identity: String,
    },
    /// The verification was interrupted.
    #[error("verifying the password was interrupted")]
    Interrupted,
    /// The store cannot be read or written.
    #[error("logging in")]
    Store(#[from] StoreError),
}

#[derive(Deserialize)]
struct StoredIdentity {
    #[serde(default)]
    user: Option<StoredIdentityUser>,
}

#[derive(Deserialize)]
struct StoredIdentityUser {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
}

impl From<TooMany> for LoginError {
    fn from(TooMany { retry_after_s }: TooMany) -> Self {
        Self::TooMany { retry_after_s }
    }
}

impl Auth {
    /// Whether any provider checks passwords, so that asking for one makes sense.
    pub fn accepts_passwords(&self) -> bool {
        self.inner.passwords.any()
    }

    /// Checks a password that came from `address`, on the blocking pool, a few at a time, and answers the user, made
    /// at the first login.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<User, LoginError> {
        let attempt = Attempt::new(name, address);
        // Before waiting for others, so that those who guess do not hold up those who know.
        self.inner.attempts.check(&attempt, self.now())?;
        let permit = Arc::clone(&VERIFYING).acquire_owned().await.ok().ok_or(LoginError::Interrupted)?;
        self.inner.attempts.begin(&attempt, self.now())?;
        let (auth, name, password) = (self.clone(), name.to_owned(), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let Inner { passwords, attempts, .. } = &*auth.inner;
            let verified = passwords.verify(&name, &password, auth.now());
            if verified.is_ok() {
                attempts.succeed(&attempt, auth.now());
            }
            verified
        });
        match verified.await.ok().ok_or(LoginError::Interrupted)? {
            Ok(known) => self.user_of(known).await,
            Err(wrong) => {
                let auth = self.clone();
                let stored = move |tx: &mut WriteTx<'_>| auth.inner.attempts.store(tx, &attempt);
                self.inner.store.write(stored).await?;
                Err(wrong.into())
            }
        }
    }

    /// The User of somebody a provider knows, made with its Identity at the first login.
    async fn user_of(&self, known: ProviderUser) -> Result<User, LoginError> {
        let now = self.now();
        self.inner.store.write(move |tx| map(tx, &known, now)).await
    }

    /// The User with this name, if its uid is still this one: for sessions.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn current_user(&self, user: &User) -> Result<Option<User>, StoreError> {
        let stored: Option<StoredUser> =
            self.inner.store.read(|tx| crate::stored::find(tx, resource::USERS, "", &user.name))?;
        Ok(stored.filter(|stored| stored.metadata.uid == user.uid).map(|_| user.clone()))
    }
}

fn map(tx: &mut WriteTx<'_>, known: &ProviderUser, now: jiff::Timestamp) -> Result<User, LoginError> {
    let ProviderUser { provider, name } = known;
    let identity_name = format!("{provider}:{name}");
    let identity: Option<StoredIdentity> = find(tx, resource::IDENTITIES, &identity_name)?;
    if let Some(identity) = identity {
        return mapped(tx, identity, identity_name);
    }
    if find::<StoredUser>(tx, resource::USERS, name)?.is_some() {
        return Err(LoginError::Claim { user: name.clone(), identity: identity_name });
    }
    let user = json!({
        "kind": "User",
        "apiVersion": "user.openshift.io/v1",
        "metadata": {"name": name},
        "identities": [identity_name],
        "groups": Value::Null,
    });
    create(tx, resource::USERS, name, user, now)?;
    let made: Option<StoredUser> = find(tx, resource::USERS, name)?;
    let uid = made.map(|StoredUser { metadata: Meta { uid, .. }, .. }| uid).unwrap_or_default();
    let identity = json!({
        "kind": "Identity",
        "apiVersion": "user.openshift.io/v1",
        "metadata": {"name": identity_name},
        "providerName": provider,
        "providerUserName": name,
        "user": {"name": name, "uid": uid},
    });
    create(tx, resource::IDENTITIES, &identity_name, identity, now)?;
    Ok(User { name: name.clone(), uid })
}

/// The user an identity is mapped to, if both sides say so.
fn mapped(tx: &WriteTx<'_>, identity: StoredIdentity, identity_name: String) -> Result<User, LoginError> {
    let Some(of) = identity.user.filter(|of| !of.name.is_empty()) else {
        return Err(LoginError::Lookup { identity: identity_name });
    };
    let user: Option<StoredUser> = find(tx, resource::USERS, &of.name)?;
    let Some(user) = user.filter(|user| user.metadata.uid == of.uid) else {
        return Err(LoginError::Lookup { identity: identity_name });
    };
    if !user.identities.unwrap_or_default().contains(&identity_name) {
        return Err(LoginError::Claim { user: of.name, identity: identity_name });
    }
    Ok(User { name: of.name, uid: of.uid })
}

#[cfg(test)]
mod tests {
    use super::at_a_time;

    #[test]
    fn verifying_takes_half_the_processors_and_stays_below_what_locks_out() {
        for (processors, expected) in [(1, 1), (2, 1), (3, 2), (8, 4), (16, 8), (21, 8), (256, 8)] {
            assert_eq!(at_a_time(processors), expected, "{processors} processors");
        }
    }
}
