//! Logging in: whose name and password these are, or whom a provider elsewhere said somebody is (platform 2.9).
//!
//! Owns the order in which providers are asked and what is counted as a guess. Users and identities are `mapping`'s.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pierhead_store::{StoreError, WriteTx};
use tokio::sync::Semaphore;

use crate::attempts::{AT_A_TIME, Attempt, TooMany};
use crate::auth::{Auth, Inner};
use crate::credentials::InvalidCredentials;
use crate::password::{IdentityProvider, MappingMethod, ProviderKind, ProviderUser, presentable};
use crate::stored::resource;
use crate::web::ProviderError;

use super::{StoredUser, mapping};

/// Passwords verified at a time: hashing is slow on purpose and must not take all processors.
static VERIFYING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Arc::new(Semaphore::new(at_a_time(processors)))
});
/// Passwords asked for elsewhere at a time; they wait apart, so that a server that hangs holds up nobody else.
static ASKING: Semaphore = Semaphore::const_new(AT_A_TIME);
/// How long a server elsewhere may take to say whose password it is.
const ASK_LIMIT: Duration = Duration::from_secs(10);

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

/// Where a name and a password were entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door<'a> {
    /// In answer to a challenge.
    Challenge,
    /// In our form: of one provider, or of all that have one.
    Form(Option<&'a str>),
}

impl Door<'_> {
    fn leads_to(self, provider: &IdentityProvider) -> bool {
        match self {
            Self::Challenge => provider.challenge && provider.kind.checks_passwords(),
            Self::Form(only) => {
                provider.login && provider.kind.has_form() && only.is_none_or(|only| only == provider.name)
            }
        }
    }
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
    #[error("identity {identity:?} is mapped to a user that does not exist or is being deleted")]
    Lookup {
        /// The identity that logged in.
        identity: String,
    },
    /// No user can have the name that the provider prefers.
    #[error("the preferred user name of identity {identity:?} is no name that a user can have")]
    Name {
        /// The identity that logged in.
        identity: String,
    },
    /// A provider that had to be asked did not answer.
    #[error("the identity provider {provider:?} did not answer")]
    Provider {
        /// Its name.
        provider: String,
        /// What happened.
        #[source]
        source: ProviderError,
    },
    /// The verification was interrupted.
    #[error("verifying the password was interrupted")]
    Interrupted,
    /// The store cannot be read or written.
    #[error("logging in")]
    Store(#[from] StoreError),
}

impl From<TooMany> for LoginError {
    fn from(TooMany { retry_after_s }: TooMany) -> Self {
        Self::TooMany { retry_after_s }
    }
}

impl Auth {
    /// Whether any provider takes passwords in answer to a challenge, so that asking for one makes sense.
    pub fn accepts_passwords(&self) -> bool {
        self.config().identity_providers.iter().any(|provider| Door::Challenge.leads_to(provider))
    }

    /// Answers a challenge: see [`Auth::login_at`].
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<User, LoginError> {
        self.login_at(Door::Challenge, (name, password), address).await
    }

    /// Checks a name and password that came from `address` and answers the user, made at the first login. Providers
    /// that are here are asked first, in their order, then those elsewhere.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login_at(
        &self,
        door: Door<'_>,
        (name, password): (&str, &str),
        address: Option<IpAddr>,
    ) -> Result<User, LoginError> {
        let attempt = Attempt::new(name, address);
        // Before waiting for others, so that those who guess do not hold up those who know.
        self.inner.attempts.check(&attempt, self.now())?;
        let providers = self.config().identity_providers.iter().enumerate();
        let (here, elsewhere): (Vec<_>, Vec<_>) = providers
            .filter(|(_, provider)| door.leads_to(provider))
            .partition(|(_, provider)| is_here(provider));
        let here: Vec<usize> = here.into_iter().map(|(at, _)| at).collect();
        let mut outcome = self.verified_here(here, (name, password), attempt).await;
        if !elsewhere.is_empty()
            && matches!(outcome, Err(LoginError::Credentials(InvalidCredentials::Password)))
        {
            // What is not yet known to be wrong does not count.
            self.inner.attempts.withdraw(&attempt, self.now());
            let elsewhere = elsewhere.into_iter().map(|(_, provider)| provider);
            outcome = self.verified_elsewhere(elsewhere, (name, password), attempt).await;
        }
        match outcome {
            Ok(known) => self.user_of(known).await,
            Err(wrong @ LoginError::Credentials(_)) => {
                let auth = self.clone();
                let stored = move |tx: &mut WriteTx<'_>| auth.inner.attempts.store(tx, &attempt);
                self.inner.store.write(stored).await?;
                Err(wrong)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the providers at these places of the configuration, on the blocking pool.
    async fn verified_here(
        &self,
        places: Vec<usize>,
        (name, password): (&str, &str),
        attempt: Attempt,
    ) -> Result<ProviderUser, LoginError> {
        let permit = Arc::clone(&VERIFYING).acquire_owned().await.ok().ok_or(LoginError::Interrupted)?;
        self.inner.attempts.begin(&attempt, self.now())?;
        let (auth, name, password) = (self.clone(), name.to_owned(), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let Inner { passwords, attempts, config, .. } = &*auth.inner;
            let user = presentable(&name, &password)?;
            let providers = places.iter().filter_map(|at| config.identity_providers.get(*at));
            let accepting =
                providers.into_iter().find(|of| passwords.accepts(of, user, &password, auth.now()));
            let provider = accepting.ok_or(InvalidCredentials::Password)?;
            attempts.succeed(&attempt, auth.now());
            Ok(ProviderUser::named(&provider.name, user))
        });
        verified.await.ok().ok_or(LoginError::Interrupted)?
    }

    /// Asks providers elsewhere. One that does not answer is no reason not to ask the next.
    async fn verified_elsewhere(
        &self,
        providers: impl Iterator<Item = &IdentityProvider>,
        (name, password): (&str, &str),
        attempt: Attempt,
    ) -> Result<ProviderUser, LoginError> {
        let name = presentable(name, password)?;
        let _permit = ASKING.acquire().await.ok().ok_or(LoginError::Interrupted)?;
        self.inner.attempts.begin(&attempt, self.now())?;
        let mut outage = None;
        for provider in providers {
            let asked = tokio::time::timeout(ASK_LIMIT, self.ask_password(provider, (name, password))).await;
            match asked.unwrap_or_else(|_| Err(ProviderError::Slow { url: provider.name.clone() })) {
                Ok(Some(known)) => {
                    self.inner.attempts.succeed(&attempt, self.now());
                    return Ok(known);
                }
                Ok(None) => {}
                Err(source) => {
                    let provider = provider.name.clone();
                    tracing::warn!(error = %source, cause = ?std::error::Error::source(&source), provider,
                        "The identity provider {provider} did not say whose password this is");
                    outage.get_or_insert(LoginError::Provider { provider, source });
                }
            }
        }
        match outage {
            Some(outage) => {
                self.inner.attempts.withdraw(&attempt, self.now());
                Err(outage)
            }
            None => Err(InvalidCredentials::Password.into()),
        }
    }

    async fn ask_password(
        &self,
        provider: &IdentityProvider,
        credentials: (&str, &str),
    ) -> Result<Option<ProviderUser>, ProviderError> {
        match &provider.kind {
            ProviderKind::BasicAuth(remote) => {
                remote.user(self.config().web.as_ref(), &provider.name, credentials).await
            }
            ProviderKind::Ldap(ldap) => ldap.user(&provider.name, credentials).await,
            ProviderKind::OpenId(openid) => self.openid_password(&provider.name, openid, credentials).await,
            ProviderKind::AllowAny
            | ProviderKind::DenyAll
            | ProviderKind::Htpasswd(_)
            | ProviderKind::RequestHeader(_) => Ok(None),
        }
    }

    /// The User of somebody a provider knows, made with its Identity at the first login, as the provider's mapping
    /// method says.
    ///
    /// # Errors
    /// [`LoginError`] of the mapping, or when the store cannot be written.
    pub async fn user_of(&self, known: ProviderUser) -> Result<User, LoginError> {
        let now = self.now();
        let provider = self.config().identity_providers.iter().find(|of| of.name == known.provider);
        let method = provider.map_or(MappingMethod::default(), |provider| provider.mapping);
        self.inner.store.write(move |tx| mapping::map(tx, &known, method, now)).await
    }

    /// The User with this name, if its uid is still this one: for sessions.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn current_user(&self, user: &User) -> Result<Option<User>, StoreError> {
        let stored: Option<StoredUser> =
            self.inner.store.read(|tx| crate::stored::find(tx, resource::USERS, "", &user.name))?;
        Ok(stored.filter(|stored| stored.is_still(&user.uid)).map(|_| user.clone()))
    }
}

const fn is_here(provider: &IdentityProvider) -> bool {
    match provider.kind {
        ProviderKind::AllowAny | ProviderKind::DenyAll | ProviderKind::Htpasswd(_) => true,
        ProviderKind::BasicAuth(_)
        | ProviderKind::Ldap(_)
        | ProviderKind::OpenId(_)
        | ProviderKind::RequestHeader(_) => false,
    }
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
