//! What is there before the first request: built-in namespaces, roles, services and OAuth clients (platform 7.1).
//!
//! Owns the list and how it is written at every start: what is missing is made, roles and bindings that ask for it are
//! restored, and what depends on addresses follows them. Objects people changed are left alone otherwise. Roles and
//! OAuth clients are `auth`'s own.

use std::collections::HashMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use pierhead_api::core::Namespace;
use pierhead_api::{Object as _, to_value};
use pierhead_auth::Era;
use pierhead_auth::bootstrap::{AUTOUPDATE, objects as shipped_roles};
use pierhead_store::objects::{OBJECTS, ObjectKey};
use pierhead_store::{StoreError, WriteTx};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::kinds::project_requests::{members, stamp};
use crate::metadata;
use crate::server::Parts;
use crate::storage::objects::put;
use crate::storage::references;

/// Namespaces that always exist.
pub(crate) const NAMESPACES: [&str; 5] =
    ["default", "kube-public", "kube-system", "openshift", "openshift-infra"];

/// Where the parts of this server listen, for the services that stand for them.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The registry: Service `default/docker-registry`.
    pub registry: SocketAddr,
    /// The router's plain HTTP: Service `default/router`.
    pub router_http: SocketAddr,
    /// The router's TLS.
    pub router_https: SocketAddr,
    /// The API: Service `default/kubernetes`.
    pub api: SocketAddr,
}

/// Why the built-in objects could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The store does not take writes.
    #[error("writing the built-in objects")]
    Store(#[from] StoreError),
    /// A stored object cannot be read.
    #[error("reading or writing a built-in object: {message}")]
    Object {
        /// What is wrong with it.
        message: String,
    },
}

impl From<ApiError> for BootstrapError {
    fn from(error: ApiError) -> Self {
        Self::Object { message: error.status().message.clone() }
    }
}

/// Writes the built-in objects.
pub(crate) async fn write(parts: &Parts, addresses: Addresses) -> Result<(), BootstrapError> {
    let now = parts.clock.now();
    let roles = shipped_roles(parts.config.era);
    let other_era = match parts.config.era {
        Era::V3_2 => Era::V4,
        Era::V4 => Era::V3_2,
    };
    let others: HashMap<ObjectKey, Value> =
        shipped_roles(other_era).into_iter().map(|object| (key_of(&object), object)).collect();
    let services = services(&addresses);
    references::fill(&parts.store).await?;
    parts.catalog.endings().finish(&parts.store, now).await;
    parts
        .store
        .write(move |tx| -> Result<(), BootstrapError> {
            for name in NAMESPACES {
                namespace(tx, name, now)?;
            }
            for object in &roles {
                restore(tx, object, Restore::IfAutoupdate, others.get(&key_of(object)), now)?;
            }
            for object in &services {
                restore(tx, object, Restore::Addresses, None, now)?;
            }
            Ok(())
        })
        .await?;
    parts.auth.ensure_oauth_clients(parts.config.public_url.trim_end_matches('/')).await?;
    Ok(())
}

fn namespace(tx: &mut WriteTx<'_>, name: &str, now: Timestamp) -> Result<(), BootstrapError> {
    let key = ObjectKey::new(Namespace::PLURAL, "", name);
    if tx.get(&OBJECTS, &key)?.is_some() {
        return Ok(());
    }
    let mut namespace = Namespace::default();
    name.clone_into(&mut namespace.metadata.name);
    namespace.set_defaults();
    let mut document = to_value(&namespace);
    stamp(&mut document, "", now);
    put(tx, &key, document)?;
    for (key, object) in members(name, now) {
        put(tx, &key, object)?;
    }
    Ok(())
}

/// What happens to a built-in object that exists already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Restore {
    /// It has what we ship again, if its annotation says so; what others added to it stays.
    IfAutoupdate,
    /// What depends on addresses becomes what it must be; labels and annotations stay.
    Addresses,
}

/// The key a document is stored under.
fn key_of(document: &Value) -> ObjectKey {
    let group =
        document["apiVersion"].as_str().and_then(|version| version.split_once('/')).map(|(group, _)| group);
    let plural = match document["kind"].as_str().unwrap_or_default() {
        "Endpoints" => "endpoints".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let resource = group.map_or_else(|| plural.clone(), |group| format!("{plural}.{group}"));
    ObjectKey::new(resource, metadata::text(document, "namespace"), metadata::text(document, "name"))
}

fn restore(
    tx: &mut WriteTx<'_>,
    shipped: &Value,
    how: Restore,
    other_era: Option<&Value>,
    now: Timestamp,
) -> Result<(), BootstrapError> {
    let key = key_of(shipped);
    let mut document = shipped.clone();
    let Some(record) = tx.get(&OBJECTS, &key)? else {
        stamp(&mut document, &key.namespace, now);
        put(tx, &key, document)?;
        return Ok(());
    };
    let existing: Value = serde_json::from_slice(&record.0).map_err(ApiError::from)?;
    if how == Restore::IfAutoupdate && existing["metadata"]["annotations"][AUTOUPDATE] != "true" {
        return Ok(());
    }
    let mut metadata = metadata::of(&existing).clone();
    if how == Restore::IfAutoupdate {
        let labels = labels_of(shipped, &existing, other_era);
        if labels.is_empty() {
            metadata.remove("labels");
        } else {
            metadata.insert("labels".to_owned(), Value::Object(labels));
        }
    }
    document["metadata"] = Value::Object(metadata);
    if how == Restore::IfAutoupdate {
        keep_additions(&mut document, &existing, other_era);
    }
    if document != existing {
        put(tx, &key, document)?;
    }
    Ok(())
}

/// Our labels and those that were added; not those of the other era alone, which put roles into others (platform 5.5).
fn labels_of(shipped: &Value, existing: &Value, other_era: Option<&Value>) -> Map<String, Value> {
    let labels =
        |of: &Value| metadata::of(of).get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
    let (ours, others) = (labels(shipped), other_era.map(labels).unwrap_or_default());
    let mut kept = labels(existing);
    kept.retain(|name, _| ours.contains_key(name) || !others.contains_key(name));
    kept.extend(ours);
    kept
}

/// Keeps rules and subjects that were added to a role or binding of ours: what neither era ships. The rules of a role
/// that is made of others are computed, and stay as they are.
fn keep_additions(document: &mut Value, existing: &Value, other_era: Option<&Value>) {
    if document.get("aggregationRule").is_some() && existing.get("aggregationRule").is_some() {
        document["rules"] = existing["rules"].clone();
        return;
    }
    let holds = |of: Option<&Value>, field: &str, item: &Value| {
        of.and_then(|of| of[field].as_array()).is_some_and(|items| items.contains(item))
    };
    for field in ["rules", "subjects"] {
        let Some(items) = existing[field].as_array() else { continue };
        let added =
            items.iter().filter(|item| !holds(Some(document), field, item) && !holds(other_era, field, item));
        let added: Vec<Value> = added.cloned().collect();
        if let Some(all) = document[field].as_array_mut() {
            all.extend(added);
        }
    }
}

/// A service without a selector of pods behind it, and the endpoints that are the listener itself.
fn service(name: &str, selector: Option<&str>, ports: &[(&str, SocketAddr)], affinity: &str) -> [Value; 2] {
    let address = ports.first().map(|(_, address)| address.ip()).filter(|ip| !ip.is_unspecified());
    let address = address.map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string());
    let named = |name: &str, mut port: Value| {
        if !name.is_empty() {
            port["name"] = json!(name);
        }
        port
    };
    let service_ports: Vec<Value> = ports
        .iter()
        .map(|(name, address)| {
            named(name, json!({"protocol": "TCP", "port": address.port(), "targetPort": address.port()}))
        })
        .collect();
    let endpoint_ports: Vec<Value> = ports
        .iter()
        .map(|(name, address)| named(name, json!({"port": address.port(), "protocol": "TCP"})))
        .collect();
    let labels = selector.map_or_else(|| json!({}), |selector| json!({selector: "default"}));
    let mut spec = json!({
        "ports": service_ports, "clusterIP": address, "type": "ClusterIP", "sessionAffinity": affinity,
    });
    if selector.is_some() {
        spec["selector"] = labels.clone();
    }
    let metadata = json!({"name": name, "namespace": "default", "labels": labels});
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec,
            "status": {"loadBalancer": {}},
        }),
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
            "subsets": [{"addresses": [{"ip": address}], "ports": endpoint_ports}],
        }),
    ]
}

fn services(addresses: &Addresses) -> Vec<Value> {
    // The registry's port has no name, as in 2016: a route made for it goes on working when the port changes.
    let router = [("80-tcp", addresses.router_http), ("443-tcp", addresses.router_https)];
    [
        service("docker-registry", Some("docker-registry"), &[("", addresses.registry)], "ClientIP"),
        service("router", Some("router"), &router, "None"),
        service("kubernetes", None, &[("https", addresses.api)], "ClientIP"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
