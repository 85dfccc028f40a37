//! Keyless pipelines: an outside token, under a trust rule, becomes a short token of a service account.
//!
//! Owns which rule is asked and in what order a token is checked. Signatures are `jose`'s, keys of issuers `issuers`',
//! claims `claims`'; the token that is given is `service_account`'s and is bound to the rule, so that it ends with it.
//! A token names the account it is for, and only rules of that account's namespace are looked at: what is trusted in
//! one project is nothing in another. Callers learn that a token was refused and never why: reasons go to the log.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pierhead_api::federation::{FederatedIdentity, FederatedIdentitySpec};
use pierhead_api::from_slice;
use pierhead_runtime::Secret;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, ReadTx, StoreError, Table, WriteTx, first_version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Auth;
use crate::identity::MAX_TOKEN_BYTES;
use crate::jose::{JoseError, KeySet, SignedToken};
use crate::service_account::{BoundClaims, BoundKind, BoundObject, LEGACY_ISSUER, sha256};
use crate::stored::{self, Bare, Meta, NamespacePhase, resource};
use crate::subject::SERVICE_ACCOUNT_PREFIX;

mod claims;
mod issuers;

pub(crate) use claims::time;

pub use claims::ClaimsRefused;
pub use issuers::{DocumentRequest, FetchDocument, FetchedDocument, IssuerError, Issuers};

/// Rules of one namespace that are looked at.
const MAX_RULES: usize = 100;
/// Rules read at a time. They may be large, and anybody can make us read them.
const RULES_AT_ONCE: usize = 10;
/// Rules whose claims a token has, under which its signature is checked.
const MAX_TRIED_RULES: usize = 20;
/// Life of a token where the rule does not say.
const USUAL_LIFE: i64 = 3_600;
/// Rows looked at in one transaction while sweeping.
const SWEEP_PAGE: usize = 500;

/// Outside tokens that were taken and may not be again, by the hash of rule and token.
pub(crate) static TAKEN: Table<Vec<u8>, StoredTaking> = Table::silent("outside_tokens_taken");

/// Until when a token must be remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredTaking {
    until: Timestamp,
}

first_version!(StoredTaking);

/// The service account that an outside token is to be exchanged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl AccountName {
    /// Reads `namespace/name`, as registry clients can send it, or `system:serviceaccount:namespace:name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = match text.strip_prefix(SERVICE_ACCOUNT_PREFIX) {
            Some(rest) => rest.split_once(':')?,
            None => text.split_once('/')?,
        };
        let is_name = |name: &str| pierhead_api::name::is_dns1123_subdomain(name);
        let both = is_name(namespace) && is_name(name);
        both.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// `system:serviceaccount:namespace:name`.
    pub fn username(&self) -> String {
        format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", self.namespace, self.name)
    }
}

/// How an outside token was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// To the token endpoint, to be exchanged once.
    Exchange,
    /// As the password of a client that will present it again.
    Password,
}

/// What an outside token was exchanged for.
#[derive(Debug)]
pub struct Exchanged {
    /// A token of the service account.
    pub token: Secret<String>,
    /// Its life from now, in seconds.
    pub expires_in: i64,
}

/// Why an outside token was not exchanged. All but the first look alike from outside.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// What is needed to check it cannot be read now.
    #[error("reading what is needed to check the token")]
    Store(#[from] StoreError),
    /// It is no signed token of anybody, or its signature is wrong.
    #[error("the token cannot be trusted: {0}")]
    Token(#[from] JoseError),
    /// It is longer than tokens are.
    #[error("{0} bytes are more than a token may have")]
    TooLong(usize),
    /// It is one of our own, which nobody exchanges.
    #[error("the token is not an outside one")]
    Own,
    /// The account or its namespace is not there, or no rule of it is for this issuer.
    #[error("no rule of {namespace}/{name} is for its issuer")]
    NoRule {
        /// The account's namespace.
        namespace: String,
        /// The account.
        name: String,
    },
    /// The keys to check it with cannot be had.
    #[error("the rule {rule} has no keys")]
    Issuer {
        /// Namespace and name of the rule.
        rule: String,
        /// Why not.
        #[source]
        source: IssuerError,
    },
    /// The rule asks for something else.
    #[error("the rule {rule} refuses it: {refused}")]
    Refused {
        /// Namespace and name of the rule.
        rule: String,
        /// What.
        refused: ClaimsRefused,
    },
    /// It was taken before, and the rule takes each once.
    #[error("the rule {rule} took it before")]
    Replayed {
        /// Namespace and name of the rule.
        rule: String,
    },
    /// The rule takes each once, and as a password it would come again.
    #[error("the rule {rule} takes no token as a password")]
    OnlyOnce {
        /// Namespace and name of the rule.
        rule: String,
    },
}

impl Auth {
    /// Whether this has the form of a token that somebody else signed: worth trying [`Auth::exchange`] with.
    pub fn is_outside_token(&self, token: &str) -> bool {
        token.len() <= MAX_TOKEN_BYTES
            && SignedToken::parse(token).is_ok_and(|token| {
                token.unverified_issuer().is_some_and(|issuer| !self.is_own_issuer(issuer))
            })
    }

    fn is_own_issuer(&self, issuer: &str) -> bool {
        let config = &self.inner.config;
        issuer == config.token_issuer || issuer == LEGACY_ISSUER
    }

    /// Exchanges an outside token for one of `account`, as a rule of its namespace allows.
    ///
    /// # Errors
    /// [`ExchangeError`]. Only [`ExchangeError::Store`] is not the token's fault.
    pub async fn exchange(
        &self,
        account: &AccountName,
        token: &str,
        presented: Presentation,
    ) -> Result<Exchanged, ExchangeError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(ExchangeError::TooLong(token.len()));
        }
        let parsed = SignedToken::parse(token)?;
        let issuer = parsed.unverified_issuer().ok_or(JoseError::Claims)?;
        if self.is_own_issuer(issuer) {
            return Err(ExchangeError::Own);
        }
        let uid = self.uid_of(account)?;
        let mut looked = Looked::default();
        for _ in 0..MAX_TRIED_RULES {
            let Some(rule) = self.next_rule(&mut looked, account, (issuer, &parsed))? else { break };
            match self.under_rule(&rule, &parsed, presented).await {
                Ok(claims) => {
                    let given = self.give(account, uid, &rule);
                    tell(account, &rule, &claims, &given.1);
                    return Ok(given.0);
                }
                Err(ExchangeError::Store(error)) => return Err(error.into()),
                Err(error) => looked.refused = Some(error),
            }
        }
        let AccountName { namespace, name } = account.clone();
        Err(looked.refused.unwrap_or(ExchangeError::NoRule { namespace, name }))
    }

    /// The account's uid, if its project and itself are there to stay.
    fn uid_of(&self, account: &AccountName) -> Result<String, ExchangeError> {
        let AccountName { namespace, name } = account;
        let nothing = || ExchangeError::NoRule { namespace: namespace.clone(), name: name.clone() };
        let index = &self.inner.index;
        index.catch_up()?;
        if index.view().namespaces.get(namespace) != Some(&NamespacePhase::Active) {
            return Err(nothing());
        }
        let account = |tx: &ReadTx<'_>| stored::find(tx, resource::SERVICE_ACCOUNTS, namespace, name);
        let found: Option<Bare> = self.inner.store.read(account)?;
        let found = found.filter(|found| !found.metadata.is_being_deleted()).ok_or_else(nothing)?;
        Ok(found.metadata.uid)
    }

    /// The next rule for the account and the issuer that asks for nothing but what the token claims. Claims are looked
    /// at before the signature, which costs a thousand times more; and no rule is kept but the one to try, because trying
    /// may mean to wait for the issuer.
    fn next_rule(
        &self,
        looked: &mut Looked,
        account: &AccountName,
        (issuer, token): (&str, &SignedToken<'_>),
    ) -> Result<Option<FederatedIdentity>, StoreError> {
        let all = || KeyRange::prefix(&(resource::FEDERATED_IDENTITIES, account.namespace.as_str()));
        while looked.rules < MAX_RULES {
            let range = looked.after.as_ref().map_or_else(all, |after| all().after(after));
            let page: Vec<(ObjectKey, ObjectRecord)> =
                self.inner.store.read(|tx| tx.scan(&OBJECTS, &range, RULES_AT_ONCE))?;
            let is_last = page.len() < RULES_AT_ONCE;
            for (key, ObjectRecord(json)) in page {
                looked.rules += 1;
                let rule = fitting(&key, &json, (&account.name, issuer));
                looked.after = Some(key);
                let Some(rule) = rule else { continue };
                match claims::check(&rule.spec, token.unverified_claims(), self.now()) {
                    Ok(_) => return Ok(Some(rule)),
                    Err(refused) => {
                        let rule = format!("{}/{}", rule.metadata.namespace, rule.metadata.name);
                        looked.refused = Some(ExchangeError::Refused { rule, refused });
                    }
                }
            }
            if is_last {
                break;
            }
        }
        Ok(None)
    }

    /// The claims of a token that the rule accepts.
    async fn under_rule(
        &self,
        rule: &FederatedIdentity,
        token: &SignedToken<'_>,
        presented: Presentation,
    ) -> Result<Map<String, Value>, ExchangeError> {
        let name = || format!("{}/{}", rule.metadata.namespace, rule.metadata.name);
        let claims = self.proven(&rule.spec, token, &name).await?;
        let expires_at = claims::check(&rule.spec, &claims, self.now())
            .map_err(|refused| ExchangeError::Refused { rule: name(), refused })?;
        if rule.spec.single_use {
            if presented == Presentation::Password {
                return Err(ExchangeError::OnlyOnce { rule: name() });
            }
            if !self.take(rule, token, &claims, expires_at).await? {
                return Err(ExchangeError::Replayed { rule: name() });
            }
        }
        Ok(claims)
    }

    /// The claims, if the issuer signed them.
    async fn proven(
        &self,
        spec: &FederatedIdentitySpec,
        token: &SignedToken<'_>,
        rule: &(dyn Fn() -> String + Sync),
    ) -> Result<Map<String, Value>, ExchangeError> {
        if let Some(jwks) = &spec.jwks {
            let keys = KeySet::parse(jwks.to_string().as_bytes())?;
            return Ok(token.verify(&keys)?.clone());
        }
        let authority = Some(spec.certificate_authority.as_str()).filter(|pem| !pem.is_empty());
        let authority: Option<Arc<str>> = authority.map(Arc::from);
        let issuers = &self.inner.issuers;
        let unreachable = |source| ExchangeError::Issuer { rule: rule(), source };
        let keys = issuers.keys(&spec.issuer, authority.clone(), None).await.map_err(unreachable)?;
        match token.verify(&keys) {
            Ok(claims) => Ok(claims.clone()),
            Err(JoseError::UnknownKey) => {
                let newer = issuers.keys(&spec.issuer, authority, Some(&keys)).await.map_err(unreachable)?;
                Ok(token.verify(&newer)?.clone())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the token was taken; false if it was before.
    async fn take(
        &self,
        rule: &FederatedIdentity,
        token: &SignedToken<'_>,
        claims: &Map<String, Value>,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        // A signature may be written in more than one way; what it covers may not. Issuers number their tokens.
        let number = claims.get("jti").and_then(Value::as_str);
        let token = number.map_or_else(|| format!("t{}", token.signed_part()), |number| format!("j{number}"));
        let key = sha256(format!("{}\n{}\n{token}", rule.metadata.uid, rule.spec.issuer).as_bytes()).to_vec();
        let until = expires_at.saturating_add(claims::LEEWAY).unwrap_or(Timestamp::MAX);
        self.inner
            .store
            .write(move |tx: &mut WriteTx<'_>| -> Result<bool, StoreError> {
                if tx.has(&TAKEN, &key)? {
                    return Ok(false);
                }
                tx.put(&TAKEN, &key, &StoredTaking { until })?;
                Ok(true)
            })
            .await
    }

    fn give(&self, account: &AccountName, uid: String, rule: &FederatedIdentity) -> (Exchanged, String) {
        let config = &self.inner.config;
        let now = self.now();
        let asked = rule.spec.token_expiration_seconds.unwrap_or(USUAL_LIFE);
        let expires_in = asked.clamp(FederatedIdentity::MIN_SECONDS, FederatedIdentity::MAX_SECONDS);
        let id = uuid::Uuid::new_v4().to_string();
        let claims = BoundClaims {
            issuer: config.token_issuer.clone(),
            audiences: config.token_audiences.clone(),
            namespace: account.namespace.clone(),
            service_account_name: account.name.clone(),
            service_account_uid: uid,
            bound_to: Some(BoundObject {
                kind: BoundKind::FederatedIdentity,
                name: rule.metadata.name.clone(),
                uid: rule.metadata.uid.clone(),
            }),
            node: None,
            warn_after: None,
            issued_at: now,
            expires_at: now.saturating_add(SignedDuration::from_secs(expires_in)).unwrap_or(now),
            id: id.clone(),
        };
        (Exchanged { token: config.signer.sign_bound(&claims), expires_in }, id)
    }

    /// Forgets tokens whose time is over: nobody can present them again. Returns how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn sweep_outside_tokens(&self) -> Result<usize, StoreError> {
        self.sweep(sweep_page).await
    }
}

/// How far the rules of a namespace were looked at, and why the last of them did not do.
#[derive(Default)]
struct Looked {
    after: Option<ObjectKey>,
    rules: usize,
    refused: Option<ExchangeError>,
}

/// What of a rule says whether it is the one.
#[derive(Deserialize)]
struct Outline {
    metadata: Meta,
    spec: OutlineSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutlineSpec {
    service_account_name: String,
    issuer: String,
}

/// The rule, if it is for this account and issuer.
fn fitting(key: &ObjectKey, json: &[u8], (account, issuer): (&str, &str)) -> Option<FederatedIdentity> {
    let ObjectKey { resource, namespace, name } = key;
    let Outline { metadata, spec } = stored::parse(json, resource, namespace, name)?;
    let fits = spec.service_account_name == account && spec.issuer == issuer;
    if !fits || metadata.is_being_deleted() {
        return None;
    }
    from_slice(json)
        .inspect_err(|error| {
            tracing::error!(%error, name, namespace, "A trust rule cannot be read; it trusts nobody");
        })
        .ok()
}

fn sweep_page(
    tx: &mut WriteTx<'_>,
    after: Option<&Vec<u8>>,
    now: Timestamp,
) -> Result<(usize, Option<Vec<u8>>), StoreError> {
    let range = after.map_or_else(KeyRange::all, |after| KeyRange::all().after(after));
    let page: Vec<(Vec<u8>, StoredTaking)> = tx.scan(&TAKEN, &range, SWEEP_PAGE)?;
    let next = page.last().filter(|_| page.len() == SWEEP_PAGE).map(|(key, _)| key.clone());
    let mut deleted = 0;
    for (key, taking) in page {
        if taking.until < now {
            tx.delete(&TAKEN, &key)?;
            deleted += 1;
        }
    }
    Ok((deleted, next))
}

/// One line for each token that is given: who, by which rule, for which token, and which one it became.
fn tell(account: &AccountName, rule: &FederatedIdentity, claims: &Map<String, Value>, id: &str) {
    let text = |name: &str| {
        let text = claims.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|of| !of.is_control()).take(256).collect::<String>()
    };
    let AccountName { namespace, name } = account;
    tracing::info!(
        namespace,
        account = name,
        rule = rule.metadata.name,
        issuer = rule.spec.issuer,
        subject = text("sub"),
        outside_token = text("jti"),
        token = id,
        "Exchanged an outside token for one of {namespace}/{name}"
    );
}
