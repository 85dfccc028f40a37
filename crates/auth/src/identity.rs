//! From a token to the subject it stands for: everything a token depends on is looked up in the store.
//!
//! Owns the checks of platform 2.6 and 4.4. Signatures are `service_account`'s, caching is `Auth`'s.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use pierhead_store::{ReadTx, StoreError};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::Subject;
use crate::credentials::{InvalidCredentials, Unauthenticated};
use crate::index::View;
use crate::oauth::Terms;
use crate::service_account::{BoundClaims, BoundKind, BoundObject, LegacyClaims, sha256};
use crate::stored::{self, Bare, Meta, resource};
use crate::subject::{AUTHENTICATED, AUTHENTICATED_OAUTH, CREDENTIAL_ID_KEY, SCOPES_KEY};

/// What every OAuth token starts with.
pub const OAUTH_PREFIX: &str = "sha256~";
/// Longer bearer tokens are refused unread.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A subject and until when the credential it came from is valid at most.
#[derive(Clone)]
pub(crate) struct Identified {
    pub(crate) subject: Subject,
    pub(crate) expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct StoredSecret {
    metadata: Meta,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    data: Option<SecretData>,
}

#[derive(Deserialize)]
struct SecretData {
    #[serde(default)]
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredAccessToken {
    pub(crate) metadata: Meta,
    #[serde(default)]
    pub(crate) expires_in: Option<i64>,
    #[serde(default)]
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) user_name: String,
    #[serde(default, rename = "userUID")]
    pub(crate) user_uid: String,
    #[serde(default)]
    pub(crate) client_name: String,
    #[serde(default)]
    pub(crate) inactivity_timeout_seconds: i64,
}

impl StoredAccessToken {
    /// When the token ends; `None` for one that does not. A token without a creation time has ended.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let seconds = self.expires_in.filter(|seconds| *seconds != 0)?;
        let created = self.metadata.creation_timestamp.unwrap_or(Timestamp::MIN);
        Some(created.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN))
    }
}

/// The name under which an OAuth token is stored; `None` if it has not the form of one.
///
/// The name is the hash of what follows the prefix, so whoever can read objects cannot use them as tokens.
pub fn oauth_object_name(token: &str) -> Option<String> {
    let secret = token.strip_prefix(OAUTH_PREFIX).filter(|secret| !secret.is_empty())?;
    Some(format!("{OAUTH_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(sha256(secret.as_bytes()))))
}

/// The subject of an OAuth access token: token found and not over, and its user is still the same one. Whether it was
/// idle for too long is for the caller to find out, by the terms; `usual` is the timeout of clients that name none.
pub(crate) fn of_access_token(
    tx: &ReadTx<'_>,
    view: &View,
    token: &str,
    (now, usual): (Timestamp, Duration),
) -> Result<(Identified, Option<Terms>), Unauthenticated> {
    let name = oauth_object_name(token).ok_or(InvalidCredentials::UnknownForm)?;
    let stored: Option<StoredAccessToken> = stored::find(tx, resource::ACCESS_TOKENS, "", &name)?;
    let stored = stored.ok_or(InvalidCredentials::Gone("token"))?;
    if stored.metadata.is_being_deleted() {
        return Err(InvalidCredentials::Gone("token").into());
    }
    let expires_at = stored.expires_at();
    if expires_at.is_some_and(|end| end <= now) {
        return Err(InvalidCredentials::Time.into());
    }
    let user: Option<Bare> = stored::find(tx, resource::USERS, "", &stored.user_name)?;
    let is_same = |user: &Bare| !stored.user_uid.is_empty() && user.metadata.uid == stored.user_uid;
    let same = user.is_some_and(|user| is_same(&user) && !user.metadata.is_being_deleted());
    if !same {
        return Err(InvalidCredentials::Gone("user").into());
    }
    let terms = terms(tx, &stored, name, usual)?;
    let mut groups = view.groups_of(&stored.user_name);
    groups.extend([AUTHENTICATED_OAUTH.to_owned(), AUTHENTICATED.to_owned()]);
    let scopes = stored.scopes.filter(|scopes| !scopes.is_empty());
    let extra = scopes.map(|scopes| (SCOPES_KEY.to_owned(), scopes)).into_iter().collect();
    let subject = Subject { username: stored.user_name, uid: stored.user_uid, groups, extra };
    Ok((Identified { subject, expires_at }, terms))
}

/// How long a token may be idle; `None` for one that may for ever.
fn terms(
    tx: &ReadTx<'_>,
    token: &StoredAccessToken,
    name: String,
    usual: Duration,
) -> Result<Option<Terms>, StoreError> {
    let allowed = token.inactivity_timeout_seconds;
    if allowed == 0 {
        return Ok(None);
    }
    let client: Option<StoredTimeout> = stored::find(tx, resource::OAUTH_CLIENTS, "", &token.client_name)?;
    let own = client.and_then(|client| client.access_token_inactivity_timeout_seconds);
    let timeout = own.unwrap_or_else(|| i64::try_from(usual.as_secs()).unwrap_or(i64::MAX));
    let created = token.metadata.creation_timestamp.unwrap_or(Timestamp::MIN).as_second();
    Ok(Some(Terms { name, created, allowed, timeout }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredTimeout {
    #[serde(default)]
    access_token_inactivity_timeout_seconds: Option<i64>,
}

/// The subject of a token kept in a secret: the secret still holds exactly this token, the account is the same.
pub(crate) fn of_legacy_token(
    tx: &ReadTx<'_>,
    token: &str,
    claims: &LegacyClaims,
) -> Result<Identified, Unauthenticated> {
    let LegacyClaims { namespace, secret_name, service_account_name: account, service_account_uid: uid } =
        claims;
    let secret: Option<StoredSecret> = stored::find(tx, resource::SECRETS, namespace, secret_name)?;
    let secret = secret.ok_or(InvalidCredentials::Gone("secret"))?;
    let right_type = secret.kind.as_deref() == Some("kubernetes.io/service-account-token");
    let annotation = |key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key));
    let of_account = annotation("kubernetes.io/service-account.name") == Some(account)
        && annotation("kubernetes.io/service-account.uid").is_none_or(|of| of == uid);
    let kept = secret.data.and_then(|data| data.token).and_then(|token| BASE64_STANDARD.decode(token).ok());
    let equal = kept.is_some_and(|kept| kept.ct_eq(token.as_bytes()).into());
    if secret.metadata.is_being_deleted() || !right_type || !of_account || !equal {
        return Err(InvalidCredentials::Gone("secret").into());
    }
    account_exists(tx, namespace, account, uid)?;
    Ok(Identified { subject: Subject::service_account(namespace, account, uid), expires_at: None })
}

/// The subject of a token made on request: the account and the object it is bound to are still the same.
pub(crate) fn of_bound_token(tx: &ReadTx<'_>, claims: &BoundClaims) -> Result<Identified, Unauthenticated> {
    let BoundClaims { namespace, service_account_name: account, service_account_uid: uid, .. } = claims;
    account_exists(tx, namespace, account, uid)?;
    let mut subject = Subject::service_account(namespace, account, uid);
    if !claims.id.is_empty() {
        subject.extra.insert(CREDENTIAL_ID_KEY.to_owned(), vec![format!("JTI={}", claims.id)]);
    }
    if let Some(BoundObject { kind, name, uid }) = &claims.bound_to {
        let (resource, namespace) = match kind {
            BoundKind::Secret => (resource::SECRETS, namespace.as_str()),
            BoundKind::Pod => (resource::PODS, namespace.as_str()),
            BoundKind::Node => (resource::NODES, ""),
            BoundKind::FederatedIdentity => (resource::FEDERATED_IDENTITIES, namespace.as_str()),
        };
        let object: Option<Bare> = stored::find(tx, resource, namespace, name)?;
        let same =
            object.is_some_and(|object| object.metadata.uid == *uid && !object.metadata.is_being_deleted());
        if !same {
            return Err(InvalidCredentials::Gone("bound object").into());
        }
        let mut tell = |of: &str, name: &str, uid: &str| {
            subject.extra.insert(format!("{of}-name"), vec![name.to_owned()]);
            subject.extra.insert(format!("{of}-uid"), vec![uid.to_owned()]);
        };
        match kind {
            BoundKind::Pod => tell("authentication.kubernetes.io/pod", name, uid),
            BoundKind::Node => tell("authentication.kubernetes.io/node", name, uid),
            BoundKind::FederatedIdentity => tell("identity.pierhead.io/federated-identity", name, uid),
            BoundKind::Secret => {}
        }
        if let Some((node, uid)) = &claims.node {
            tell("authentication.kubernetes.io/node", node, uid);
        }
    }
    Ok(Identified { subject, expires_at: Some(claims.expires_at) })
}

fn account_exists(tx: &ReadTx<'_>, namespace: &str, name: &str, uid: &str) -> Result<(), Unauthenticated> {
    let account: Option<Bare> = stored::find(tx, resource::SERVICE_ACCOUNTS, namespace, name)?;
    let same =
        account.is_some_and(|account| account.metadata.uid == uid && !account.metadata.is_being_deleted());
    if same { Ok(()) } else { Err(InvalidCredentials::Gone("service account").into()) }
}
