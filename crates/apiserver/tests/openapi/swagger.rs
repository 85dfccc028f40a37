//! The declarations of Swagger 1.2 with which clients of 2016 check what they send (platform 1.4): only the models
//! matter to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operations::Endpoint;
use super::{DEFINITIONS, Definitions, GROUP_VERSION_KIND, is_old};

/// The listing, and a declaration for each version of a group and for the old prefix of OpenShift's kinds.
pub(super) fn documents(
    endpoints: &[Endpoint],
    legacy: &Value,
    definitions: &Definitions,
) -> BTreeMap<String, Vec<u8>> {
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for endpoint in endpoints {
        let described = endpoint.operations.iter().filter_map(|operation| {
            let (group, version, kind) = &operation.kind;
            definitions.of_kind(group, version, kind).map(str::to_owned)
        });
        kinds.entry(endpoint.place.clone()).or_default().extend(described);
    }
    let resources = legacy["resources"].as_array().unwrap().iter();
    let of_legacy = resources.filter_map(|resource| {
        let openshift = |(name, schema): (&String, &Value)| {
            let is_kind = |known: &Value| known["kind"] == resource["kind"];
            let own = schema[GROUP_VERSION_KIND].as_array().is_some_and(|kinds| kinds.iter().any(is_kind));
            (own && is_old(name)).then(|| name.clone())
        };
        definitions.0.iter().find_map(openshift)
    });
    kinds.insert("oapi/v1".to_owned(), of_legacy.collect());
    // `kind: List` of either prefix.
    let paths: Vec<Value> = kinds.keys().map(|place| json!({"path": format!("/{place}")})).collect();
    let listing = json!({"swaggerVersion": "1.2", "apis": paths, "apiVersion": "v1", "info": {"title": "", "description": ""}});
    let mut documents = BTreeMap::new();
    documents.insert("swaggerapi".to_owned(), listing.to_string().into_bytes());
    for (place, names) in kinds {
        let declaration = declaration(&place, definitions.reachable(names));
        documents.insert(format!("swaggerapi/{place}"), declaration.to_string().into_bytes());
    }
    documents
}

fn declaration(place: &str, definitions: BTreeMap<String, Value>) -> Value {
    let mut models = Map::new();
    let mut names = BTreeMap::new();
    for name in definitions.keys() {
        names.insert(name.clone(), model_name(name));
    }
    for (name, schema) in &definitions {
        // Scalars are written where they are used.
        if schema["type"] != "object" {
            continue;
        }
        let id = &names[name];
        let fields = schema["properties"].as_object().into_iter().flatten();
        let properties: Map<String, Value> =
            fields.map(|(name, field)| (name.clone(), property(field, &definitions, &names))).collect();
        let mut model = json!({"id": id, "description": schema["description"], "properties": properties});
        if let Some(required) = schema.get("required") {
            model["required"] = required.clone();
        }
        let known = models.insert(id.clone(), model);
        assert!(known.is_none(), "two models of {place} are called {id}");
    }
    json!({
        "swaggerVersion": "1.2", "apiVersion": "v1", "basePath": "/", "resourcePath": format!("/{place}"),
        "info": {"title": "", "description": ""}, "apis": [], "models": models,
    })
}

/// `v1.Pod`.
fn model_name(full: &str) -> String {
    let mut words = full.rsplit('.');
    let (kind, version) = (words.next().unwrap(), words.next().unwrap());
    format!("{version}.{kind}")
}

fn property(field: &Value, definitions: &BTreeMap<String, Value>, names: &BTreeMap<String, String>) -> Value {
    let mut out = typed(field, definitions, names);
    if let Some(description) = field.get("description") {
        out["description"] = description.clone();
    }
    out
}

fn typed(field: &Value, definitions: &BTreeMap<String, Value>, names: &BTreeMap<String, String>) -> Value {
    if let Some(path) = field["$ref"].as_str() {
        let name = path.strip_prefix(DEFINITIONS).unwrap();
        let referred = &definitions[name];
        if referred["type"] == "object" && referred.get("properties").is_some() {
            return json!({"$ref": names[name]});
        }
        return typed(referred, definitions, names);
    }
    match field["type"].as_str() {
        Some("array") => json!({"type": "array", "items": typed(&field["items"], definitions, names)}),
        // Clients of the time do not look into maps.
        Some("object") | None => json!({"type": "any"}),
        Some(plain) => json!({"type": plain}),
    }
}
