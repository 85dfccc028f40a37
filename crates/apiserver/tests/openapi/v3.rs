//! Documents of OpenAPI 3.0, one for each group and version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operations::{Answer, Body, Endpoint, Operation, Parameter, meaning};
use super::{DEFINITIONS, Definitions, GROUP_VERSION_KIND, STATUS, references};

/// The documents and their index, by name.
pub(super) fn documents(endpoints: &[Endpoint], definitions: &Definitions) -> BTreeMap<String, Vec<u8>> {
    let mut places: BTreeMap<&str, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        places.entry(&endpoint.place).or_default().push(endpoint);
    }
    let described = places.into_iter().map(|(place, endpoints)| {
        (format!("openapi/v3/{place}"), document(place, &endpoints, definitions).to_string().into_bytes())
    });
    described.collect()
}

fn document(place: &str, endpoints: &[&Endpoint], definitions: &Definitions) -> Value {
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    paths.insert(format!("/{place}/"), resources(place));
    for endpoint in endpoints {
        let mut item = Map::new();
        item.insert("parameters".into(), path_parameters(endpoint).into_iter().map(in_schema).collect());
        for operation in &endpoint.operations {
            item.insert(operation.method.into(), operation_of(place, operation));
        }
        let known = paths.insert(endpoint.path.clone(), Value::Object(item));
        assert!(known.is_none(), "{} is described twice", endpoint.path);
    }
    let mut names = Vec::new();
    paths.values().for_each(|path| references(path, &mut |name| names.push(name.to_owned())));
    let schemas: BTreeMap<String, Value> =
        definitions.reachable(names).iter().map(|(name, schema)| (name.clone(), schema_of(schema))).collect();
    let paths: BTreeMap<String, Value> =
        paths.iter().map(|(path, item)| (path.clone(), moved(item))).collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Pierhead", "version": "v1"},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"BearerToken": security()}},
        "security": [{"BearerToken": []}],
    })
}

/// How requests say whose they are.
pub(super) fn security() -> Value {
    json!({
        "type": "apiKey", "name": "authorization", "in": "header",
        "description": "A token of a user or of a service account, as `Bearer TOKEN`.",
    })
}

/// The list of resources of a version.
fn resources(place: &str) -> Value {
    let list = format!("{DEFINITIONS}io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList");
    let id: String = place.split(['/', '.', '-']).map(capitalised).collect();
    json!({"get": {
        "tags": [tag(place)],
        "description": "List the resources of this version.",
        "operationId": format!("get{id}Resources"),
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": list}}}},
            "401": {"description": "Unauthorized"},
            "default": failure(),
        },
    }})
}

/// The word that groups the operations of a version.
pub(super) fn tag(place: &str) -> String {
    let place = place.strip_prefix("apis/").unwrap_or(place);
    place.replace("api/", "core/").replace(['/', '.', '-'], "_")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Parameters that all operations of a path have.
pub(super) fn path_parameters(endpoint: &Endpoint) -> Vec<Value> {
    let of_path = |name: &str, description: &str| json!({"name": name, "in": "path", "required": true, "description": description, "type": "string"});
    let mut parameters = Vec::new();
    if endpoint.named {
        parameters.push(of_path("name", "Name of the object."));
    }
    if endpoint.namespaced {
        parameters.push(of_path("namespace", "Namespace of the objects."));
    }
    parameters.push(query_parameter(&(
        "pretty",
        "string",
        "Whether the answer is indented: `true` or `false`.",
    )));
    parameters
}

/// A parameter of the query, as version 2 writes it.
pub(super) fn query_parameter((name, of_type, description): &Parameter) -> Value {
    json!({"name": name, "in": "query", "description": description, "type": of_type, "uniqueItems": true})
}

/// The same as version 3 writes it.
fn in_schema(mut parameter: Value) -> Value {
    let members = parameter.as_object_mut().unwrap();
    let mut schema = Map::new();
    for name in ["type", "uniqueItems"] {
        if let Some(value) = members.shift_remove(name) {
            schema.insert(name.into(), value);
        }
    }
    members.insert("schema".into(), Value::Object(schema));
    parameter
}

fn failure() -> Value {
    let status = json!({"$ref": format!("{DEFINITIONS}{STATUS}")});
    json!({"description": "Error", "content": {"application/json": {"schema": status}}})
}

fn operation_of(place: &str, operation: &Operation) -> Value {
    let (group, version, kind) = &operation.kind;
    let reference = |name: &String| json!({"$ref": format!("{DEFINITIONS}{name}")});
    let answer = match &operation.answer {
        Answer::Document(name) => content(&reference(name), &["application/json", "application/yaml"]),
        Answer::ObjectOrStatus(name) => content(
            &json!({"anyOf": [reference(&STATUS.to_owned()), reference(name)]}),
            &["application/json", "application/yaml"],
        ),
        Answer::Text => content(&json!({"type": "string"}), &["text/plain"]),
    };
    let mut responses = Map::new();
    for code in operation.codes {
        let description = meaning(code);
        responses.insert((*code).into(), json!({"description": description, "content": answer}));
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    responses.insert("default".into(), failure());
    let mut out = json!({
        "tags": [tag(place)],
        "description": operation.description,
        "operationId": operation.id,
        "parameters": operation.query.iter().map(query_parameter).map(in_schema).collect::<Vec<_>>(),
        "responses": responses,
        "x-kubernetes-action": operation.action,
        (GROUP_VERSION_KIND): {"group": group, "version": version, "kind": kind},
    });
    let documents = ["application/json", "application/yaml"];
    let body = match &operation.body {
        Body::Nothing => return out,
        Body::Document(name) => json!({"content": content(&reference(name), &documents), "required": true}),
        Body::Options(name) => json!({"content": content(&reference(name), &documents)}),
        Body::Patch => {
            let patch = json!({"$ref": format!("{DEFINITIONS}io.k8s.apimachinery.pkg.apis.meta.v1.Patch")});
            let steps = json!({"type": "array", "items": patch});
            json!({"content": {
                "application/apply-patch+yaml": {"schema": patch},
                "application/json-patch+json": {"schema": steps},
                "application/merge-patch+json": {"schema": patch},
                "application/strategic-merge-patch+json": {"schema": patch},
            }, "required": true})
        }
    };
    out["requestBody"] = body;
    out
}

fn content(schema: &Value, media_types: &[&str]) -> Value {
    media_types
        .iter()
        .map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})))
        .collect::<Map<_, _>>()
        .into()
}

/// A definition as version 3 writes it: a reference stands alone, and a value may have one of two types.
fn schema_of(schema: &Value) -> Value {
    let Value::Object(members) = schema else { return moved(schema) };
    if members.contains_key("$ref") && members.len() > 1 {
        let mut out = Map::new();
        for (name, value) in members {
            if name == "$ref" {
                out.insert("allOf".into(), json!([moved(&json!({"$ref": value}))]));
            } else {
                out.insert(name.clone(), value.clone());
            }
        }
        return Value::Object(out);
    }
    let either = |types: [&str; 2]| json!([{"type": types[0]}, {"type": types[1]}]);
    let is_number_or_text = members.contains_key("x-kubernetes-int-or-string");
    let is_amount = members.get("format").and_then(Value::as_str) == Some("quantity");
    let mut out = Map::new();
    for (name, value) in members {
        match name.as_str() {
            "type" if is_number_or_text => {
                out.insert("oneOf".into(), either(["integer", "string"]));
            }
            "type" if is_amount => {
                out.insert("oneOf".into(), either(["string", "number"]));
            }
            "format" if is_amount => {}
            "x-kubernetes-int-or-string" => {}
            "properties" => {
                let fields = value.as_object().unwrap().iter();
                let fields: Map<_, _> =
                    fields.map(|(name, field)| (name.clone(), schema_of(field))).collect();
                out.insert(name.clone(), Value::Object(fields));
            }
            "items" | "additionalProperties" => {
                out.insert(name.clone(), schema_of(value));
            }
            "$ref" => return moved(schema),
            _ => {
                out.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(out)
}

/// The same with references to where version 3 keeps schemas.
fn moved(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let to = |name: &String, value: &Value| match value {
                Value::String(path) if name == "$ref" => {
                    path.replace(DEFINITIONS, "#/components/schemas/").into()
                }
                other => moved(other),
            };
            Value::Object(members.iter().map(|(name, value)| (name.clone(), to(name, value))).collect())
        }
        Value::Array(items) => items.iter().map(moved).collect(),
        plain => plain.clone(),
    }
}
