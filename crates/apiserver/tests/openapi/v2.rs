//! The document of OpenAPI 2.0, which has all groups and versions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operations::{Answer, Body, Endpoint, Operation, meaning};
use super::{DEFINITIONS, Definitions, GROUP_VERSION_KIND, STATUS, references, v3};

/// The document. Members are in the order of the specification.
pub(super) fn document(endpoints: &[Endpoint], definitions: &Definitions) -> Value {
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut places: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.place.as_str()).collect();
    places.dedup();
    for place in places {
        paths.insert(format!("/{place}/"), described("resources", place, "APIResourceList"));
    }
    paths.insert("/api/".into(), described("versions", "api", "APIVersions"));
    paths.insert("/apis/".into(), described("groups", "apis", "APIGroupList"));
    for endpoint in endpoints {
        let mut item = Map::new();
        for operation in &endpoint.operations {
            item.insert(operation.method.into(), operation_of(&endpoint.place, operation));
        }
        item.insert("parameters".into(), v3::path_parameters(endpoint).into());
        paths.insert(endpoint.path.clone(), Value::Object(item));
    }
    let mut names = Vec::new();
    paths.values().for_each(|path| references(path, &mut |name| names.push(name.to_owned())));
    let schemas: BTreeMap<String, Value> =
        definitions.reachable(names).into_iter().map(|(name, schema)| (name, schema_of(&schema))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Pierhead", "version": "v1"},
        "paths": paths,
        "definitions": schemas,
        "securityDefinitions": {"BearerToken": v3::security()},
        "security": [{"BearerToken": []}],
    })
}

/// GET of a document that describes others.
fn described(what: &str, place: &str, kind: &str) -> Value {
    let schema = json!({"$ref": format!("{DEFINITIONS}io.k8s.apimachinery.pkg.apis.meta.v1.{kind}")});
    json!({"get": {
        "tags": [v3::tag(place)],
        "description": format!("List the {what}."),
        "operationId": format!("get_{}_{what}", v3::tag(place)),
        "produces": ["application/json"],
        "responses": {
            "200": {"description": "OK", "schema": schema},
            "401": {"description": "Unauthorized"},
        },
    }})
}

fn operation_of(place: &str, operation: &Operation) -> Value {
    let (group, version, kind) = &operation.kind;
    let schema = |name: &str| json!({"$ref": format!("{DEFINITIONS}{name}")});
    let answer = match &operation.answer {
        Answer::Document(name) => schema(name),
        Answer::ObjectOrStatus(_) => schema(STATUS),
        Answer::Text => json!({"type": "string"}),
    };
    let mut responses = Map::new();
    for code in operation.codes {
        let description = meaning(code);
        responses.insert((*code).into(), json!({"description": description, "schema": answer}));
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    responses.insert("default".into(), json!({"description": "Error", "schema": schema(STATUS)}));
    let mut parameters: Vec<Value> = operation.query.iter().map(v3::query_parameter).collect();
    let body = |name: &str, required: bool| json!({"name": "body", "in": "body", "required": required, "schema": schema(name)});
    let consumes = match &operation.body {
        Body::Nothing => json!(["*/*"]),
        Body::Document(name) => {
            parameters.insert(0, body(name, true));
            json!(["application/json", "application/yaml"])
        }
        Body::Options(name) => {
            parameters.insert(0, body(name, false));
            json!(["application/json", "application/yaml"])
        }
        Body::Patch => {
            parameters.insert(0, body("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", true));
            json!([
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ])
        }
    };
    let produces = match &operation.answer {
        Answer::Text => json!(["text/plain"]),
        Answer::Document(_) | Answer::ObjectOrStatus(_) => json!(["application/json", "application/yaml"]),
    };
    json!({
        "tags": [v3::tag(place)],
        "description": operation.description,
        "operationId": operation.id,
        "produces": produces,
        "consumes": consumes,
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        (GROUP_VERSION_KIND): {"group": group, "version": version, "kind": kind},
    })
}

/// A definition as version 2 writes it.
fn schema_of(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut out = Map::new();
            for (name, value) in members {
                match name.as_str() {
                    "nullable" => out.insert("x-nullable".into(), value.clone()),
                    "format" if value == "quantity" => None,
                    "properties" => {
                        let fields = value.as_object().unwrap().iter();
                        let fields: Map<_, _> =
                            fields.map(|(name, field)| (name.clone(), schema_of(field))).collect();
                        out.insert(name.clone(), Value::Object(fields))
                    }
                    "items" | "additionalProperties" => out.insert(name.clone(), schema_of(value)),
                    _ => out.insert(name.clone(), value.clone()),
                };
            }
            Value::Object(out)
        }
        plain => plain.clone(),
    }
}
