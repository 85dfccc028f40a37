//! What the secrets of service accounts look like (platform 4.2, images 5.6).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pierhead_api::ByteString;
use pierhead_api::core::{Secret as ApiSecret, secret_type};
use pierhead_api::meta::ObjectMeta;
use pierhead_runtime::Secret;
use serde_json::{Map, Value, json};

use crate::SigningKeys;
use crate::service_account_tokens::plan::{Account, Purpose};

pub(super) const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
pub(super) const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// Marks the token behind a pull secret.
pub(super) const CREATED_BY: &str = "kubernetes.io/created-by";
pub(super) const PULL_SECRET_MAKER: &str = "openshift.io/create-dockercfg-secrets";
/// Which token secret is behind a pull secret, and the token.
pub(super) const TOKEN_SECRET_NAME: &str = "openshift.io/token-secret.name";
const TOKEN_SECRET_VALUE: &str = "openshift.io/token-secret.value";
pub(super) const DOCKERCFG: &str = ".dockercfg";

const USER: &str = "serviceaccount";
const EMAIL: &str = "serviceaccount@example.org";

/// What every token secret of the cluster contains besides its token.
#[derive(Clone, Debug)]
pub(crate) struct TokenData {
    /// The authority of the API server's certificate, PEM.
    pub(crate) cluster_ca: String,
    /// The authority of the services' certificates, PEM.
    pub(crate) service_ca: Option<String>,
    /// Which tokens no key vouches for any more.
    pub(crate) keys: SigningKeys,
}

impl TokenData {
    /// An empty token secret.
    pub(super) fn token_secret(
        &self,
        namespace: &str,
        name: &str,
        account: &Account,
        purpose: Purpose,
    ) -> ApiSecret {
        let mut metadata = ObjectMeta::in_namespace(namespace, name);
        metadata.annotations.insert(ACCOUNT_NAME.into(), account.name.clone());
        if purpose == Purpose::PullSecret {
            metadata.annotations.insert(CREATED_BY.into(), PULL_SECRET_MAKER.into());
        }
        let secret_type = secret_type::SERVICE_ACCOUNT_TOKEN.to_owned();
        ApiSecret { metadata, secret_type, ..ApiSecret::default() }
    }

    /// The secret with everything a token secret has. What is there already stays.
    pub(super) fn filled(&self, secret: &ApiSecret, account: &Account, token: &Secret<String>) -> ApiSecret {
        let mut filled = secret.clone();
        filled.metadata.annotations.insert(ACCOUNT_UID.into(), account.uid.clone());
        for (key, value) in self.fields(&secret.metadata.namespace) {
            if is_missing(&filled, key) {
                filled.data.insert(key.into(), value.into());
            }
        }
        if is_missing(&filled, "token") || filled.text("token").is_some_and(|old| self.is_lost(old)) {
            filled.data.insert("token".into(), token.expose().as_str().into());
        }
        filled
    }

    /// Whether a token secret lacks something.
    pub(super) fn is_unfilled(&self, secret: &ApiSecret) -> bool {
        secret.metadata.annotation(ACCOUNT_UID).is_none_or(str::is_empty)
            || is_missing(secret, "token")
            || secret.text("token").is_some_and(|token| self.is_lost(token))
            || self.fields(&secret.metadata.namespace).any(|(key, _)| is_missing(secret, key))
    }

    /// Whether the key that signed a token was taken out of use. Whoever has the token is refused, so the secret gets
    /// another.
    pub(super) fn is_lost(&self, token: &str) -> bool {
        (self.keys.is_lost)(token)
    }

    fn fields<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
        let service_ca = self.service_ca.as_deref().map(|service_ca| ("service-ca.crt", service_ca));
        [("ca.crt", self.cluster_ca.as_str()), ("namespace", namespace)].into_iter().chain(service_ca)
    }
}

fn is_missing(secret: &ApiSecret, key: &str) -> bool {
    secret.data.get(key).is_none_or(|value| value.as_slice().is_empty())
}

/// A pull secret for every host of the registry, whose password is the token of `token_secret`.
pub(super) fn pull_secret(
    (namespace, name): (&str, &str),
    account: &Account,
    (token_secret, token): (&str, &Secret<String>),
    hosts: &BTreeSet<String>,
) -> ApiSecret {
    let mut metadata = ObjectMeta::in_namespace(namespace, name);
    for (key, value) in [
        (ACCOUNT_NAME, account.name.as_str()),
        (ACCOUNT_UID, account.uid.as_str()),
        (TOKEN_SECRET_NAME, token_secret),
        (TOKEN_SECRET_VALUE, token.expose().as_str()),
    ] {
        metadata.annotations.insert(key.into(), value.into());
    }
    let data = [(DOCKERCFG.to_owned(), dockercfg(token.expose(), hosts))].into();
    ApiSecret { metadata, data, secret_type: secret_type::DOCKERCFG.to_owned(), ..ApiSecret::default() }
}

/// The same pull secret for the hosts of today.
pub(super) fn rewritten(secret: &ApiSecret, token: &Secret<String>, hosts: &BTreeSet<String>) -> ApiSecret {
    let mut rewritten = secret.clone();
    rewritten.data.insert(DOCKERCFG.into(), dockercfg(token.expose(), hosts));
    rewritten.metadata.annotations.insert(TOKEN_SECRET_VALUE.into(), token.expose().clone());
    rewritten
}

/// The content of a pull secret: per host the user, the password, and both once more as one.
pub(super) fn dockercfg(token: &str, hosts: &BTreeSet<String>) -> ByteString {
    let auth = STANDARD.encode(format!("{USER}:{token}"));
    let entry = json!({"username": USER, "password": token, "email": EMAIL, "auth": auth});
    let entries: Map<String, Value> = hosts.iter().map(|host| (host.clone(), entry.clone())).collect();
    Value::Object(entries).to_string().into()
}
