//! The secrets, config maps and tokens that a pod refers to, read through the API when they are needed.
//!
//! Owns which names are needed by what, and their state at one moment. Nothing is cached but tokens, which are made for a
//! pod and used until they are old: what a container gets is what the API says when the container is made.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::{ConfigMap, Container, Pod, Secret, TokenProjection};
use pierhead_client::{Client, ClientError, escape};
use pierhead_runtime::Secret as Hidden;
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
    pub(crate) tokens: Tokens,
}

/// Tokens of one pod.
pub(crate) type Tokens = BTreeMap<TokenKey, Token>;

/// A token that was made for a pod, and ends with it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) value: Hidden<String>,
    /// When four fifths of its life are over.
    pub(crate) renew_at: Timestamp,
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

async fn token(client: &Client, pod: &Pod, (audience, seconds): &TokenKey) -> Result<Token, ClientError> {
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
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef":
                {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid},
        },
    });
    let answer = client.request(Method::POST, &path, None, Some(&request)).await?;
    let text = |path: &str| answer.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let expires: Option<Timestamp> = text("/status/expirationTimestamp").parse().ok();
    let reserve = SignedDuration::from_secs(seconds / 5);
    let renew_at = expires.and_then(|expires| expires.checked_sub(reserve).ok()).unwrap_or(Timestamp::MIN);
    Ok(Token { value: text("/status/token").to_owned().into(), renew_at })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use jiff::Timestamp;
    use parking_lot::Mutex;
    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use pierhead_client::Client;
    use serde_json::{Value, json};

    use super::{Sources, Wanted};

    #[tokio::test]
    async fn tokens_end_with_their_pod_and_are_renewed_in_time() {
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let client = Client::in_process(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let asked = Arc::clone(&heard);
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await?.to_bytes();
                asked.lock().push((path, serde_json::from_slice(&body).unwrap()));
                let status = json!({"token": "t", "expirationTimestamp": "2026-01-01T01:00:00Z"});
                let answer = json!({"kind": "TokenRequest", "status": status}).to_string();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
            }
        }));
        let pod: Pod = from_value(&json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
            "spec": {"serviceAccountName": "runner", "volumes": [{"name": "a", "projected": {"sources": [
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}}]}}))
        .unwrap();
        let sources = Sources::read(&client, &pod, &Wanted::by_volumes(&pod)).await.unwrap();
        let token = &sources.tokens[&(String::new(), 3600)];
        assert_eq!(token.value.expose(), "t");
        assert_eq!(token.renew_at, "2026-01-01T00:48:00Z".parse::<Timestamp>().unwrap());
        let (path, body) = asked.lock()[0].clone();
        assert_eq!(path, "/api/v1/namespaces/shop/serviceaccounts/runner/token");
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u1"});
        assert_eq!(body["spec"]["boundObjectRef"], bound);
    }
}
