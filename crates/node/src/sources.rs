//! The secrets, config maps and tokens that a pod refers to, read through the API when they are needed.
//!
//! Owns which names are needed by what, and their state at one moment. Nothing is cached: what a container gets is what
//! the API says when the container is made.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use pierhead_api::core::{ConfigMap, Container, Pod, Secret, TokenProjection};
use pierhead_client::{Client, ClientError, escape};
use serde_json::{Value, json};

/// Names of objects, all in the pod's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) config_maps: BTreeSet<String>,
    /// Tokens by audience and lifetime in seconds.
    pub(crate) tokens: BTreeSet<TokenKey>,
}

/// Whom a token is for, and how long it lives in seconds.
pub(crate) type TokenKey = (String, i64);

const TOKEN_SECONDS: i64 = 3600;

impl Wanted {
    /// What the variables of a container refer to.
    pub(crate) fn by_environment(container: &Container) -> Self {
        let mut wanted = Self::default();
        for source in &container.env_from {
            wanted.config_maps.extend(source.config_map_ref.iter().map(|source| source.name.clone()));
            wanted.secrets.extend(source.secret_ref.iter().map(|source| source.name.clone()));
        }
        for source in container.env.iter().filter_map(|variable| variable.value_from.as_ref()) {
            wanted.config_maps.extend(source.config_map_key_ref.iter().map(|key| key.name.clone()));
            wanted.secrets.extend(source.secret_key_ref.iter().map(|key| key.name.clone()));
        }
        wanted
    }

    /// What the volumes of a pod refer to.
    pub(crate) fn by_volumes(pod: &Pod) -> Self {
        let mut wanted = Self::default();
        for volume in &pod.spec.volumes {
            wanted.secrets.extend(volume.secret.iter().map(|source| source.secret_name.clone()));
            wanted.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
            for source in volume.projected.iter().flat_map(|projected| &projected.sources) {
                wanted.secrets.extend(source.secret.iter().map(|object| object.name.clone()));
                wanted.config_maps.extend(source.config_map.iter().map(|object| object.name.clone()));
                wanted.tokens.extend(source.service_account_token.as_ref().map(token_key));
            }
        }
        wanted
    }

    /// The secrets that hold registry credentials.
    pub(crate) fn by_pull_secrets(pod: &Pod) -> Self {
        let secrets = pod.spec.image_pull_secrets.iter().map(|secret| secret.name.clone());
        Self { secrets: secrets.filter(|name| !name.is_empty()).collect(), ..Self::default() }
    }
}

/// Which token a projection asks for.
pub(crate) fn token_key(projection: &TokenProjection) -> TokenKey {
    (projection.audience.clone(), projection.expiration_seconds.unwrap_or(TOKEN_SECONDS))
}

/// Objects as they were when they were read; those that do not exist are not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) config_maps: BTreeMap<String, ConfigMap>,
    pub(crate) tokens: BTreeMap<TokenKey, String>,
}

impl Sources {
    /// Reads everything wanted.
    pub(crate) async fn read(client: &Client, pod: &Pod, wanted: &Wanted) -> Result<Self, ClientError> {
        let namespace = pod.metadata.namespace.as_str();
        let mut sources = Self::default();
        for name in &wanted.secrets {
            if let Some(secret) = client.find::<Secret>(Some(namespace), name).await? {
                sources.secrets.insert(name.clone(), secret);
            }
        }
        for name in &wanted.config_maps {
            if let Some(config_map) = client.find::<ConfigMap>(Some(namespace), name).await? {
                sources.config_maps.insert(name.clone(), config_map);
            }
        }
        for key in &wanted.tokens {
            sources.tokens.insert(key.clone(), token(client, pod, key).await?);
        }
        Ok(sources)
    }
}

async fn token(client: &Client, pod: &Pod, (audience, seconds): &TokenKey) -> Result<String, ClientError> {
    let account = match pod.spec.service_account_name.as_str() {
        "" => "default",
        name => name,
    };
    let namespace = escape(&pod.metadata.namespace);
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{}/token", escape(account));
    let audiences: Vec<&String> = [audience].into_iter().filter(|audience| !audience.is_empty()).collect();
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": audiences, "expirationSeconds": seconds},
    });
    let answer = client.request(Method::POST, &path, None, Some(&request)).await?;
    Ok(answer.pointer("/status/token").and_then(Value::as_str).unwrap_or_default().to_owned())
}
