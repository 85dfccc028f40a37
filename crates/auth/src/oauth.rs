//! The OAuth server's decisions: clients, codes, tokens, and what of them is stored (platform 2).
//!
//! Owns everything that needs no HTTP. Tokens and codes are stored under the hash of their secret part, so that
//! reading the API never yields one. The endpoints are the API server's.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use pierhead_runtime::Secret;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, StoreError, WriteTx};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::attempts;
use crate::auth::Auth;
use crate::credentials::{Credentials, Unauthenticated};
use crate::identity::OAUTH_PREFIX;
use crate::scope::{Scope, UnknownScope};
use crate::stored::{self, Meta, resource};

pub(crate) use self::idle::{Terms, Use, Uses};

pub use self::client::{BROWSER_CLIENT, CHALLENGING_CLIENT, CLI_CLIENT, Client, GrantMethod};
pub use self::code::{CodeRequest, Pkce, RedeemError, Redemption, token_of_code};
pub use self::login::{Door, LoginError, User};
pub use self::session::{Session, SessionKey};

mod account_client;
mod client;
mod code;
mod idle;
mod login;
mod mapping;
mod session;

/// What a token may do when its client asks for nothing in particular.
const DEFAULT_SCOPE: &str = "user:full";
/// Tokens stay listed this long after their end, so that their owner can see that they ended.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_hours(1);
/// Objects looked at in one transaction while sweeping.
const SWEEP_PAGE: usize = 500;

/// A token as its owner gets it, once.
#[derive(Debug)]
pub struct AccessToken {
    /// `sha256~` and 43 characters.
    pub token: Secret<String>,
    /// Whose it is.
    pub user: String,
    /// Its life in seconds; zero for one that does not end.
    pub expires_in: i64,
    /// What it may be used for.
    pub scopes: Vec<String>,
}

/// Scopes that cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not a scope at all.
    #[error(transparent)]
    Unknown(#[from] UnknownScope),
    /// One the client may not ask for.
    #[error("scope {0:?} is not allowed for this client")]
    NotAllowed(String),
}

/// The scopes of a `scope` parameter, checked for `client`; without one, everything the user may do.
///
/// # Errors
/// [`ScopeError`] for the first scope that is unknown or not the client's to ask for.
pub fn parse_scopes(parameter: &str, client: &Client) -> Result<Vec<String>, ScopeError> {
    let mut scopes: Vec<String> = Vec::new();
    for text in parameter.split_ascii_whitespace() {
        let scope: Scope = text.parse()?;
        if !client.allows_scope(text, &scope) {
            return Err(ScopeError::NotAllowed(text.to_owned()));
        }
        if !scopes.iter().any(|of| of == text) {
            scopes.push(text.to_owned());
        }
    }
    if scopes.is_empty() {
        if !client.allows_scope(DEFAULT_SCOPE, &Scope::Full) {
            return Err(ScopeError::NotAllowed(DEFAULT_SCOPE.to_owned()));
        }
        scopes.push(DEFAULT_SCOPE.to_owned());
    }
    Ok(scopes)
}

impl Auth {
    /// Makes an access token for `user`: the implicit flow's answer.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn grant_token(
        &self,
        client: &Client,
        user: &User,
        scopes: Vec<String>,
        redirect_uri: &str,
    ) -> Result<AccessToken, StoreError> {
        let grant = Grant {
            redirect_uri: redirect_uri.to_owned(),
            expires_in: client.token_life(self.config().access_token_life),
            idle: client.token_idle(self.config().access_token_idle),
            ..Grant::new(client, user, scopes)
        };
        let now = self.now();
        let (token, name) = new_token();
        let answer = grant.answer(token);
        self.inner.store.write(move |tx| grant.store(tx, &name, now)).await?;
        Ok(answer)
    }

    /// What `user` has granted `client` so far; nothing if the user was made anew since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn granted_scopes(&self, client: &Client, user: &User) -> Result<Vec<String>, StoreError> {
        let name = format!("{}:{}", user.name, client.name);
        let found =
            |tx: &pierhead_store::ReadTx<'_>| stored::find(tx, resource::CLIENT_AUTHORIZATIONS, "", &name);
        let known: Option<StoredGrant> = self.inner.store.read(found)?;
        Ok(known.filter(|known| known.user_uid == user.uid).map(|known| known.scopes).unwrap_or_default())
    }

    /// Notes that `user` lets `client` have tokens with `scopes`, so that it is not asked again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn approve(&self, client: &Client, user: &User, scopes: Vec<String>) -> Result<(), StoreError> {
        let grant = Grant::new(client, user, scopes);
        let now = self.now();
        self.inner.store.write(move |tx| remember_grant(tx, &grant, now)).await
    }

    /// What is known about a token to who holds it; `None` if it is not valid (any more).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn access_token(&self, token: &str) -> Result<Option<AccessToken>, StoreError> {
        let Some(name) = crate::oauth_object_name(token) else { return Ok(None) };
        match self.authenticate(Credentials::Bearer(token)) {
            Ok(_) => {}
            Err(Unauthenticated::Invalid(_)) => return Ok(None),
            Err(Unauthenticated::Store(error)) => return Err(error),
        }
        let found = |tx: &pierhead_store::ReadTx<'_>| stored::find(tx, resource::ACCESS_TOKENS, "", &name);
        let stored: Option<crate::identity::StoredAccessToken> = self.inner.store.read(found)?;
        let now = self.now();
        Ok(stored.map(|stored| AccessToken {
            token: Secret::new(token.to_owned()),
            expires_in: stored.expires_at().map_or(0, |end| end.duration_since(now).as_secs()),
            scopes: stored.scopes.unwrap_or_default(),
            user: stored.user_name,
        }))
    }

    /// Removes tokens and codes whose time was over an hour ago, and counts of wrong passwords that are over; answers
    /// how many tokens and codes. For a task that runs hourly.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn sweep_oauth(&self) -> Result<usize, StoreError> {
        let mut swept = 0;
        for kind in [resource::ACCESS_TOKENS, resource::AUTHORIZE_TOKENS] {
            swept += self.sweep(move |tx, after, now| sweep_page(tx, kind, after, now)).await?;
        }
        self.sweep(attempts::sweep_page).await?;
        Ok(swept)
    }

    /// Goes through a table by pages, each in a transaction of its own, which answers how many rows it removed and where
    /// to go on; the sum.
    pub(crate) async fn sweep<K: Send + 'static>(
        &self,
        page: impl Fn(&mut WriteTx<'_>, Option<&K>, Timestamp) -> Result<(usize, Option<K>), StoreError>
        + Copy
        + Send
        + 'static,
    ) -> Result<usize, StoreError> {
        let (mut swept, mut after) = (0, None);
        loop {
            let (now, from) = (self.now(), after);
            let (removed, next) = self.inner.store.write(move |tx| page(tx, from.as_ref(), now)).await?;
            swept += removed;
            if next.is_none() {
                return Ok(swept);
            }
            after = next;
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

/// Deletes what ended long ago in one page of keys; answers how many and where to go on.
fn sweep_page(
    tx: &mut WriteTx<'_>,
    kind: &'static str,
    after: Option<&ObjectKey>,
    now: Timestamp,
) -> Result<(usize, Option<ObjectKey>), StoreError> {
    let mut range = KeyRange::prefix(kind);
    if let Some(after) = after {
        range = range.after(after);
    }
    let page: Vec<(ObjectKey, ObjectRecord)> = tx.scan(&OBJECTS, &range, SWEEP_PAGE)?;
    let next = page.last().filter(|_| page.len() == SWEEP_PAGE).map(|(key, _)| key.clone());
    let mut deleted = 0;
    for (key, ObjectRecord(json)) in page {
        let token: Option<crate::identity::StoredAccessToken> = stored::parse(&json, kind, "", &key.name);
        let end = token.and_then(|token| token.expires_at());
        if end.is_some_and(|end| now.duration_since(end) > KEPT_AFTER_END) {
            tx.delete(&OBJECTS, &key)?;
            deleted += 1;
        }
    }
    Ok((deleted, next))
}

/// A decided token, before it has a name.
#[derive(Clone)]
struct Grant {
    client: String,
    user: User,
    scopes: Vec<String>,
    redirect_uri: String,
    expires_in: i64,
    /// After how many idle seconds it ends; zero for never.
    idle: i64,
    code_name: Option<String>,
}

impl Grant {
    fn new(client: &Client, user: &User, scopes: Vec<String>) -> Self {
        let (client, user) = (client.name.clone(), user.clone());
        Self { client, user, scopes, redirect_uri: String::new(), expires_in: 0, idle: 0, code_name: None }
    }

    fn answer(&self, token: Secret<String>) -> AccessToken {
        let (user, scopes) = (self.user.name.clone(), self.scopes.clone());
        AccessToken { token, user, expires_in: self.expires_in, scopes }
    }

    fn store(&self, tx: &mut WriteTx<'_>, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut object = json!({
            "kind": "OAuthAccessToken",
            "apiVersion": "oauth.openshift.io/v1",
            "metadata": {"name": name},
            "clientName": self.client,
            "expiresIn": self.expires_in,
            "scopes": self.scopes,
            "redirectURI": self.redirect_uri,
            "userName": self.user.name,
            "userUID": self.user.uid,
        });
        if self.idle > 0 {
            object["inactivityTimeoutSeconds"] = json!(self.idle);
        }
        if let Some(code) = &self.code_name {
            object["authorizeToken"] = json!(code);
        }
        remember_grant(tx, self, now)?;
        create(tx, resource::ACCESS_TOKENS, name, object, now)
    }
}

/// Notes in `<user>:<client>` what the user has granted the client so far.
fn remember_grant(tx: &mut WriteTx<'_>, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
    let name = format!("{}:{}", grant.user.name, grant.client);
    let known: Option<Value> = find(tx, resource::CLIENT_AUTHORIZATIONS, &name)?;
    let same_user = |known: &Value| known["userUID"].as_str() == Some(&grant.user.uid);
    let known = known.filter(same_user);
    let before = known.as_ref().and_then(|known| known["scopes"].as_array()).cloned().unwrap_or_default();
    let mut scopes = before.clone();
    scopes.extend(grant.scopes.iter().map(|scope| json!(scope)).filter(|scope| !before.contains(scope)));
    if known.is_some() && scopes == before {
        return Ok(());
    }
    let object = json!({
        "kind": "OAuthClientAuthorization",
        "apiVersion": "oauth.openshift.io/v1",
        "metadata": {"name": name},
        "clientName": grant.client,
        "userName": grant.user.name,
        "userUID": grant.user.uid,
        "scopes": scopes,
    });
    match known {
        Some(mut known) => {
            known["scopes"] = object["scopes"].clone();
            update(tx, resource::CLIENT_AUTHORIZATIONS, &name, known)
        }
        None => create(tx, resource::CLIENT_AUTHORIZATIONS, &name, object, now),
    }
}

/// A new token and the name it is stored under.
fn new_token() -> (Secret<String>, String) {
    loop {
        let token = format!("{OAUTH_PREFIX}{}", random_text());
        // A token that begins with a dash would be taken for an option on a command line.
        let dashed = token.strip_prefix(OAUTH_PREFIX).is_some_and(|secret| secret.starts_with('-'));
        if let (false, Some(name)) = (dashed, crate::oauth_object_name(&token)) {
            return (Secret::new(token), name);
        }
    }
}

/// 256 random bits in 43 characters.
pub(crate) fn random_text() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .expect("the system's random generator, without which nothing here is safe");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn find<T: DeserializeOwned>(tx: &WriteTx<'_>, kind: &str, name: &str) -> Result<Option<T>, StoreError> {
    let record: Option<ObjectRecord> = tx.get(&OBJECTS, &ObjectKey::new(kind, "", name))?;
    Ok(record.and_then(|ObjectRecord(json)| stored::parse(&json, kind, "", name)))
}

/// Puts a new object of the cluster, with the metadata every stored object has.
fn create(
    tx: &mut WriteTx<'_>,
    kind: &str,
    name: &str,
    mut object: Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    object["metadata"]["uid"] = json!(Uuid::new_v4());
    object["metadata"]["creationTimestamp"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    update(tx, kind, name, object)
}

/// Puts a changed object of the cluster under its new version.
fn update(tx: &mut WriteTx<'_>, kind: &str, name: &str, mut object: Value) -> Result<(), StoreError> {
    object["metadata"]["resourceVersion"] = json!(tx.next_revision().to_string());
    tx.put(&OBJECTS, &ObjectKey::new(kind, "", name), &ObjectRecord(object.to_string().into()))?;
    Ok(())
}

/// Name and uid of a stored user.
#[derive(serde::Deserialize)]
struct StoredUser {
    metadata: Meta,
    #[serde(default)]
    identities: Option<Vec<String>>,
}

impl StoredUser {
    /// Whether it is the user with this uid, and not one that is being deleted.
    fn is_still(&self, uid: &str) -> bool {
        self.metadata.uid == uid && !self.metadata.is_being_deleted()
    }
}

/// What a user granted a client.
#[derive(serde::Deserialize)]
struct StoredGrant {
    #[serde(default, rename = "userUID")]
    user_uid: String,
    #[serde(default)]
    scopes: Vec<String>,
}
