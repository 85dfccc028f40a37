//! The OpenAPI documents are those of the kinds that are served: made anew here from discovery and from the
//! definitions of `pierhead-api`, and compared with the committed ones, which is what the product sends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod gnostic;
mod operations;
mod pack;
mod swagger;
mod v2;
mod v3;
#[path = "../it/world.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, admin};
use operations::Endpoint;

/// Start of a reference in the definitions.
const DEFINITIONS: &str = "#/definitions/";
/// Which group, version and kind a definition is.
const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";
/// The schema of errors.
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// What the types say, by the names of `pierhead-api`.
struct Definitions(BTreeMap<String, Value>);

impl Definitions {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("../../../api/schema/definitions.json")).unwrap())
    }

    /// The definition that is a kind.
    fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&str> {
        let wanted = json!({"group": group, "version": version, "kind": kind});
        let is_kind = |schema: &Value| {
            schema[GROUP_VERSION_KIND].as_array().is_some_and(|kinds| kinds.contains(&wanted))
        };
        self.0.iter().find(|(_, schema)| is_kind(schema)).map(|(name, _)| name.as_str())
    }

    /// Says that a definition is a kind under another version, too.
    fn also_is(&mut self, name: &str, group: &str, version: &str, kind: &str) {
        let kinds = self.0.get_mut(name).unwrap()[GROUP_VERSION_KIND].as_array_mut().unwrap();
        let more = json!({"group": group, "version": version, "kind": kind});
        if !kinds.contains(&more) {
            kinds.push(more);
        }
    }

    /// The definitions named and all that they refer to.
    fn reachable(&self, from: impl IntoIterator<Item = String>) -> BTreeMap<String, Value> {
        let mut waiting: BTreeSet<String> = from.into_iter().collect();
        let mut found = BTreeMap::new();
        while let Some(name) = waiting.pop_first() {
            let schema = self.0.get(&name).unwrap_or_else(|| panic!("nothing describes {name}"));
            references(schema, &mut |name| {
                if !found.contains_key(name) {
                    waiting.insert(name.to_owned());
                }
            });
            found.insert(name, schema.clone());
        }
        found
    }
}

/// Whether a definition is of a group whose kinds were once of no group.
fn is_old(name: &str) -> bool {
    name.starts_with("com.github.openshift.api.") && !name.starts_with("com.github.openshift.api.config.")
}

/// Calls `each` with the name of every definition that is referred to.
fn references(schema: &Value, each: &mut dyn FnMut(&str)) {
    match schema {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                each(name.strip_prefix(DEFINITIONS).unwrap());
            }
            members.values().for_each(|value| references(value, each));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, each)),
        _ => {}
    }
}

/// Everything announced, as the aggregated documents tell it: place of the version, and its resources.
async fn announced(world: &World) -> Vec<(String, Vec<Value>)> {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut versions = Vec::new();
    for root in ["/api", "/apis"] {
        let list = world.send(&admin(), "GET", root, &[("accept", accept)], "").await.body;
        for group in list["items"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                let name = version["version"].as_str().unwrap();
                let place = match group["metadata"]["name"].as_str().unwrap_or_default() {
                    "" => format!("api/{name}"),
                    group => format!("apis/{group}/{name}"),
                };
                versions.push((place, version["resources"].as_array().unwrap().clone()));
            }
        }
    }
    versions
}

/// Kinds of subresources and of old paths that no list of resources announces.
fn announce_aliases(definitions: &mut Definitions, endpoints: &[Endpoint]) {
    for endpoint in endpoints {
        for operation in &endpoint.operations {
            let (group, version, kind) = &operation.kind;
            if definitions.of_kind(group, version, kind).is_some() {
                continue;
            }
            // An alias in the core group is a kind of one of OpenShift's groups.
            let homes = definitions.0.iter().filter(|(name, schema)| {
                let kinds = schema[GROUP_VERSION_KIND].as_array();
                is_old(name) && kinds.is_some_and(|kinds| kinds.iter().any(|known| known["kind"] == **kind))
            });
            let homes: Vec<String> = homes.map(|(name, _)| name.clone()).collect();
            if let [home] = homes.as_slice() {
                definitions.also_is(home, group, version, kind);
            }
        }
    }
}

/// All documents by name.
async fn documents() -> BTreeMap<String, Vec<u8>> {
    let world = World::new().await;
    let mut definitions = Definitions::read();
    let mut endpoints = Vec::new();
    for (place, resources) in announced(&world).await {
        endpoints.extend(operations::of_version(&place, &resources, &definitions));
    }
    announce_aliases(&mut definitions, &endpoints);
    let mut documents = v3::documents(&endpoints, &definitions);
    let v2 = v2::document(&endpoints, &definitions);
    documents.insert("openapi/v2.pb".to_owned(), gnostic::encode(&v2));
    documents.insert("openapi/v2".to_owned(), v2.to_string().into_bytes());
    let legacy = world.get(&admin(), "/oapi/v1").await.body;
    documents.extend(swagger::documents(&endpoints, &legacy, &definitions));
    documents
}

#[tokio::test]
async fn committed_documents_are_those_of_the_kinds() {
    let made = documents().await;
    if std::env::var_os("PIERHEAD_SCHEMA").is_some() {
        pack::write(&made);
        return;
    }
    let committed = pack::read();
    let names = |documents: &BTreeMap<String, Vec<u8>>| documents.keys().cloned().collect::<Vec<_>>();
    let advice = "Write the documents anew:\n  PIERHEAD_SCHEMA=write cargo test -p pierhead-api --features schema \
                  --test schema\n  PIERHEAD_SCHEMA=write cargo test -p pierhead-apiserver --test openapi";
    assert_eq!(names(&committed), names(&made), "{advice}");
    for (name, document) in &made {
        assert!(committed[name] == *document, "{name} is not what the kinds say. {advice}");
    }
}

#[tokio::test]
async fn every_field_of_every_kind_is_described() {
    let definitions = Definitions::read();
    let mut bare = Vec::new();
    for (name, schema) in &definitions.0 {
        // Docker's own names, which docker describes.
        if name.ends_with(".DockerConfig") {
            continue;
        }
        if schema["description"].as_str().is_none_or(str::is_empty) {
            bare.push(name.clone());
        }
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            if schema["description"].as_str().is_none_or(str::is_empty) {
                bare.push(format!("{name} {field}"));
            }
        }
    }
    assert!(bare.is_empty(), "without a description: {bare:?}");
}

#[tokio::test]
async fn clients_keep_documents_by_their_hash() {
    let world = World::new().await;
    let index = world.get(&admin(), "/openapi/v3").await.body;
    let url = index["paths"]["apis/route.openshift.io/v1"]["serverRelativeURL"].as_str().unwrap();
    let reply = world.get(&admin(), url).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.headers["cache-control"].to_str().unwrap().contains("immutable"));
    let etag = reply.headers["etag"].to_str().unwrap().to_owned();
    assert!(url.ends_with(&format!("hash={}", etag.trim_matches('"'))), "{url} {etag}");
    let again = world.send(&admin(), "GET", url, &[("if-none-match", &etag)], "").await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    let (bare, _) = url.split_once('?').unwrap();
    let moved = world.get(&admin(), &format!("{bare}?hash=OLD")).await;
    assert_eq!(
        (moved.status, moved.headers["location"].to_str().unwrap()),
        (StatusCode::MOVED_PERMANENTLY, url)
    );
    let short = world.open(&admin(), "GET", bare, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(short.headers()["content-encoding"], "gzip");
    let nowhere = world.get(&admin(), "/openapi/v3/apis/example.com/v1").await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn documents_of_older_clients_answer() {
    let world = World::new().await;
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    for path in ["/openapi/v2", "/swagger-2.0.0.pb-v1"] {
        let reply = world.send(&admin(), "GET", path, &[("accept", protobuf)], "").await;
        let media_type = reply.headers["content-type"].to_str().unwrap().to_owned();
        assert_eq!(media_type, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", "{path}");
    }
    let v2 = world.get(&admin(), "/openapi/v2").await.body;
    assert_eq!(v2["swagger"], "2.0");
    let other = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let refused = world.send(&admin(), "GET", "/openapi/v3/api/v1", &[("accept", other)], "").await;
    assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE);
    let listing = world.get(&admin(), "/swaggerapi/").await.body;
    assert!(listing["apis"].as_array().unwrap().contains(&json!({"path": "/oapi/v1"})), "{listing}");
    let legacy = world.get(&admin(), "/swaggerapi/oapi/v1").await.body;
    let spec = &legacy["models"]["v1.DeploymentConfigSpec"]["properties"];
    assert_eq!(spec["template"]["$ref"], "v1.PodTemplateSpec", "{spec}");
}
