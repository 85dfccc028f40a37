//! Every service account has its secrets, in the classic form (platform 4.2).
//!
//! An account ends with two token secrets and one pull secret: a token that the account lists, and a pull secret
//! (listed twice) whose password is a second token that nobody lists. Token secrets that users make are filled,
//! and what belongs to accounts that are gone is deleted. What to do is decided by `plan`, from what is there
//! and nothing else; this file does it.

mod names;
mod plan;
mod secrets;

pub(crate) use crate::service_account_tokens::secrets::TokenData;

use std::collections::BTreeSet;
use std::sync::Arc;

use pierhead_api::Object;
use pierhead_api::core::{
    LocalObjectReference, Namespace, ObjectReference, Secret as ApiSecret, ServiceAccount,
};
use pierhead_api::meta::{DeleteOptions, Preconditions};
use pierhead_client::{Client, ClientError, Reflected};
use pierhead_runtime::Secret;
use tokio::sync::watch;

use crate::namespaces;
use crate::registry_hosts::RegistryHosts;
use crate::runner::{Outcome, Reconciler, Retry};
use crate::service_account_tokens::plan::{Account, References, Step, owns, plan};
use crate::service_account_tokens::secrets::ACCOUNT_NAME;
use crate::{LegacyTokenRequest, SignError, SignToken};

/// Why an account does not have its secrets yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokensError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("signing a token for {namespace}/{account}")]
    Sign { namespace: String, account: String, source: SignError },
    #[error("the task that signs tokens ended early")]
    SigningStopped(#[from] tokio::task::JoinError),
    /// The account changes faster than it can be read and written.
    #[error("the service account {namespace}/{account} changed during every attempt to update it")]
    Busy { namespace: String, account: String },
    /// The token secret behind a pull secret went away between two reads.
    #[error("the token secret {namespace}/{token} is gone")]
    TokenGone { namespace: String, token: String },
}

impl Retry for TokensError {
    fn is_expected(&self) -> bool {
        match self {
            Self::Client(error) => error.is_expected(),
            Self::Busy { .. } | Self::TokenGone { .. } => true,
            Self::Sign { .. } | Self::SigningStopped(_) => false,
        }
    }
}

/// How often a reference is added to an account that others change at the same time.
const REFERENCE_ATTEMPTS: usize = 8;

pub(crate) struct ServiceAccountTokens {
    pub(crate) client: Client,
    pub(crate) namespaces: Reflected<Namespace>,
    pub(crate) accounts: Reflected<ServiceAccount>,
    pub(crate) secrets: Reflected<ApiSecret>,
    pub(crate) hosts: RegistryHosts,
    pub(crate) sign: SignToken,
    pub(crate) token_data: TokenData,
}

impl Reconciler for ServiceAccountTokens {
    type Key = String;
    type Error = TokensError;

    const NAME: &'static str = "service-account-tokens";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        let caches = [self.namespaces.changed(), self.accounts.changed(), self.secrets.changed()];
        let keys = self.token_data.keys.changed.clone();
        caches.into_iter().chain([keys]).chain(self.hosts.triggers()).collect()
    }

    async fn synced(&self) {
        self.namespaces.synced().await;
        self.accounts.synced().await;
        self.secrets.synced().await;
        self.hosts.synced().await;
    }

    fn due(&self) -> Vec<String> {
        let hosts = self.hosts.current();
        namespaces::active(&self.namespaces)
            .filter(|namespace| {
                let (accounts, secrets) = (self.accounts.list_in(namespace), self.secrets.list_in(namespace));
                !plan(&accounts, &secrets, &hosts, &self.token_data).is_empty()
            })
            .collect()
    }

    async fn reconcile(&self, namespace: &String) -> Result<Outcome, TokensError> {
        if !namespaces::is_active(&self.client, namespace).await? {
            return Ok(Outcome::Nothing);
        }
        // Accounts first: what an account lists and is not there afterwards is gone. A secret whose account
        // is not there may belong to one made since; that is asked again before it is deleted.
        let accounts = shared(self.client.list::<ServiceAccount>(Some(namespace)).await?);
        let secrets = shared(self.client.list::<ApiSecret>(Some(namespace)).await?);
        let hosts = self.hosts.current();
        let steps = plan(&accounts, &secrets, &hosts, &self.token_data);
        let outcome = if steps.is_empty() { Outcome::Nothing } else { Outcome::Changed };
        let doing = Doing { of: self, namespace, secrets: &secrets, hosts: &hosts };
        for step in steps {
            doing.step(step).await?;
        }
        Ok(outcome)
    }
}

fn shared<K>(objects: Vec<K>) -> Vec<Arc<K>> {
    objects.into_iter().map(Arc::new).collect()
}

/// One run over one namespace.
struct Doing<'a> {
    of: &'a ServiceAccountTokens,
    namespace: &'a str,
    secrets: &'a [Arc<ApiSecret>],
    hosts: &'a BTreeSet<String>,
}

impl Doing<'_> {
    async fn step(&self, step: Step) -> Result<(), TokensError> {
        match step {
            Step::Delete { name, uid } => self.delete(&name, uid).await,
            Step::DeleteOrphan { secret } => self.delete_orphan(&secret).await,
            Step::FillToken { account, secret } => {
                let token = match secret.text("token") {
                    Some(token) if !token.is_empty() && !self.of.token_data.is_lost(token) => {
                        Secret::new(token.to_owned())
                    }
                    _ => self.sign(&account, &secret.metadata.name).await?,
                };
                let filled = self.of.token_data.filled(&secret, &account, &token);
                self.replace(&filled).await
            }
            Step::CreateToken { account, name, purpose } => {
                let token = self.sign(&account, &name).await?;
                let secret = self.of.token_data.token_secret(self.namespace, &name, &account, purpose);
                self.create(&self.of.token_data.filled(&secret, &account, &token)).await
            }
            Step::CreatePullSecret { account, name, token_secret } => {
                let token = self.token_of(&token_secret).await?;
                let secret = secrets::pull_secret(
                    (self.namespace, &name),
                    &account,
                    (&token_secret, &token),
                    self.hosts,
                );
                self.create(&secret).await
            }
            Step::RewritePullSecret { secret, token_secret } => {
                let token = self.token_of(&token_secret).await?;
                self.replace(&secrets::rewritten(&secret, &token, self.hosts)).await
            }
            Step::Refer { account, references } => self.refer(&account, &references).await,
        }
    }

    async fn sign(&self, account: &Account, secret_name: &str) -> Result<Secret<String>, TokensError> {
        let request = LegacyTokenRequest {
            namespace: self.namespace.to_owned(),
            service_account_name: account.name.clone(),
            service_account_uid: account.uid.clone(),
            secret_name: secret_name.to_owned(),
        };
        // An RSA signature takes most of a millisecond: too long for a thread that others wait for.
        let sign = Arc::clone(&self.of.sign);
        let signed = tokio::task::spawn_blocking(move || sign(&request)).await?;
        signed.map_err(|source| TokensError::Sign {
            namespace: self.namespace.to_owned(),
            account: account.name.clone(),
            source,
        })
    }

    /// The token in a secret that was there at the start of this run, or was made during it.
    async fn token_of(&self, name: &str) -> Result<Secret<String>, TokensError> {
        let text = |secret: &ApiSecret| secret.text("token").map(|token| Secret::new(token.to_owned()));
        let known = self.secrets.iter().find(|secret| secret.metadata.name == name);
        let token = match known.and_then(|secret| text(secret)) {
            Some(token) => Some(token),
            None => {
                self.of.client.find::<ApiSecret>(Some(self.namespace), name).await?.as_ref().and_then(text)
            }
        };
        token.ok_or_else(|| TokensError::TokenGone { namespace: self.namespace.into(), token: name.into() })
    }

    /// A secret with this name that is there already was made by a run that was cut off.
    async fn create<K: Object>(&self, object: &K) -> Result<(), TokensError> {
        match self.of.client.create(Some(self.namespace), object).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn replace(&self, secret: &ApiSecret) -> Result<(), TokensError> {
        Ok(self.of.client.replace(Some(self.namespace), secret).await.map(drop)?)
    }

    async fn delete(&self, name: &str, uid: String) -> Result<(), TokensError> {
        let preconditions = Some(Preconditions { uid: Some(uid), ..Preconditions::default() });
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        match self.of.client.delete::<ApiSecret>(Some(self.namespace), name, &options).await {
            Ok(_) => Ok(()),
            // Gone, or another one of the same name by now.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_orphan(&self, secret: &ApiSecret) -> Result<(), TokensError> {
        let account = secret.metadata.annotation(ACCOUNT_NAME).unwrap_or_default();
        let found = self.of.client.find::<ServiceAccount>(Some(self.namespace), account).await?;
        if found.is_some_and(|found| owns(&found, secret)) {
            return Ok(());
        }
        self.delete(&secret.metadata.name, secret.metadata.uid.clone()).await
    }

    async fn refer(&self, account: &Account, references: &References) -> Result<(), TokensError> {
        for _ in 0..REFERENCE_ATTEMPTS {
            let found = self.of.client.find::<ServiceAccount>(Some(self.namespace), &account.name).await?;
            let Some(mut current) = found.filter(|found| found.metadata.uid == account.uid) else {
                return Ok(());
            };
            if !apply(&mut current, references) {
                return Ok(());
            }
            match self.of.client.replace(Some(self.namespace), &current).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TokensError::Busy { namespace: self.namespace.into(), account: account.name.clone() })
    }
}

/// Adds and removes references, and says whether that changed the account.
fn apply(account: &mut ServiceAccount, references: &References) -> bool {
    let before = (account.secrets.len(), account.image_pull_secrets.len());
    account.secrets.retain(|reference| !references.remove.contains(&reference.name));
    account.image_pull_secrets.retain(|reference| !references.remove.contains(&reference.name));
    let mut changed = before != (account.secrets.len(), account.image_pull_secrets.len());
    for name in &references.mount {
        if !account.secrets.iter().any(|reference| reference.name == *name) {
            account.secrets.push(ObjectReference { name: name.clone(), ..ObjectReference::default() });
            changed = true;
        }
    }
    for name in &references.pull {
        if !account.image_pull_secrets.iter().any(|reference| reference.name == *name) {
            account.image_pull_secrets.push(LocalObjectReference::named(name.as_str()));
            changed = true;
        }
    }
    changed
}
