//! What a kubeconfig says, as one view or as one file.
//!
//! On the wire the three sections are lists of `{name, <section>}`; here they are maps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Clusters, users, contexts, and which context is current.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Servers by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Credentials by name.
    pub users: BTreeMap<String, User>,
    /// Pairs of the two by name.
    pub contexts: BTreeMap<String, Context>,
    /// Name of the context in use.
    pub current_context: String,
    /// Top-level fields that we do not know.
    pub extra: Map<String, Value>,
}

/// How to reach a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    /// URL.
    pub server: String,
    /// Accept any certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
    /// File of the authorities to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// Base64 of the authorities to trust; wins over the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// Name to expect in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Proxy on the way there; wins over those of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Who to be. Has no `Debug` of its secrets because the whole file is a secret: do not log it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct User {
    /// Bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// File with a bearer token.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// File of the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// Base64 of the client certificate; wins over the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// File of the client key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// Base64 of the client key; wins over the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// User name of basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password of basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

/// A cluster, a user and a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Context {
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the user.
    pub user: String,
    /// Namespace (project) in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Config {
    /// Reads the document of one file; an empty file is an empty config.
    pub(super) fn from_value(mut document: Value) -> Result<Self, serde_json::Error> {
        let mut config = Self {
            clusters: take_section(&mut document, "clusters", "cluster")?,
            users: take_section(&mut document, "users", "user")?,
            contexts: take_section(&mut document, "contexts", "context")?,
            ..Self::default()
        };
        if let Value::Object(mut fields) = document {
            if let Some(Value::String(current)) = fields.remove("current-context") {
                config.current_context = current;
            }
            for known in ["apiVersion", "kind"] {
                fields.remove(known);
            }
            if fields.get("preferences").and_then(Value::as_object).is_some_and(Map::is_empty) {
                fields.remove("preferences");
            }
            config.extra = fields;
        }
        Ok(config)
    }

    /// The document to write.
    pub fn to_value(&self) -> Value {
        let mut document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": section(&self.clusters, "cluster"),
            "contexts": section(&self.contexts, "context"),
            "current-context": self.current_context,
            "preferences": {},
            "users": section(&self.users, "user"),
        });
        if let Value::Object(fields) = &mut document {
            fields.extend(self.extra.clone());
        }
        document
    }

    /// The context in use.
    #[must_use]
    pub fn current(&self) -> Option<&Context> {
        self.contexts.get(&self.current_context)
    }
}

fn take_section<T: serde::de::DeserializeOwned>(
    document: &mut Value,
    list: &str,
    item: &str,
) -> Result<BTreeMap<String, T>, serde_json::Error> {
    let mut entries = BTreeMap::new();
    let Some(Value::Array(items)) = document.as_object_mut().and_then(|fields| fields.remove(list)) else {
        return Ok(entries);
    };
    for mut entry in items {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let content = match entry.get_mut(item).map(Value::take) {
            None | Some(Value::Null) => json!({}),
            Some(content) => content,
        };
        // The first entry of a name counts, as in kubectl.
        if let std::collections::btree_map::Entry::Vacant(vacant) = entries.entry(name) {
            vacant.insert(serde_json::from_value(content)?);
        }
    }
    Ok(entries)
}

fn section<T: Serialize>(entries: &BTreeMap<String, T>, item: &str) -> Value {
    entries
        .iter()
        .map(|(name, content)| {
            let mut entry = Map::new();
            entry.insert(item.to_owned(), serde_json::to_value(content).unwrap_or(Value::Null));
            entry.insert("name".to_owned(), Value::String(name.clone()));
            Value::Object(entry)
        })
        .collect()
}
