//! The least OpenAPI that makes clients trust the server with validation (platform 1.4).
//!
//! Owns the v3 documents (one per group and version: a PATCH operation for every kind with the parameters clients look
//! for, and coarse schemas) and the empty v2 document as protobuf. Clients then leave validation to us, which is where
//! it happens. Full schemas are not described here.

use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, alias_plural, prefix_of};
use crate::kind::{Kind, Verb};
use crate::path::Prefix;

/// An empty and valid OpenAPI v2 document in the protobuf form of gnostic: field 1 `swagger`, 2 `info` (1 `title`,
/// 2 `version`), 8 `paths`.
pub(crate) const V2_PROTOBUF: &[u8] = b"\x0a\x032.0\x12\x12\x0a\x08Pierhead\x12\x06v1.0.0\x42\x00";

/// The media type clients ask the v2 document with.
pub(crate) const V2_MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The v2 document as JSON, for people.
pub(crate) fn v2() -> Value {
    json!({"swagger": "2.0", "info": {"title": "Pierhead", "version": "v1.0.0"}, "paths": {}, "definitions": {}})
}

/// Where the v3 document of a prefix is, below `/openapi/v3/`.
fn place(prefix: &Prefix) -> String {
    match prefix {
        Prefix::Core => "api/v1".to_owned(),
        Prefix::Legacy => "oapi/v1".to_owned(),
        Prefix::Group { group, version } => format!("apis/{group}/{version}"),
    }
}

/// `GET /openapi/v3`.
pub(crate) fn v3_index<'a>(prefixes: impl Iterator<Item = &'a Prefix>) -> Value {
    let mut paths = Map::new();
    for prefix in prefixes.filter(|prefix| **prefix != Prefix::Legacy) {
        let place = place(prefix);
        paths.insert(place.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{place}")}));
    }
    json!({"paths": paths})
}

/// `GET /openapi/v3/<prefix>`; nothing where no kind is served.
pub(crate) fn v3(catalog: &Catalog, prefix: &Prefix) -> Option<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in catalog.resources() {
        let kind = &resource.kind;
        if !kind.announced {
            continue;
        }
        let plural = if prefix_of(kind) == *prefix {
            kind.plural.to_owned()
        } else if *prefix == Prefix::Core && kind.core_alias {
            alias_plural(kind.plural)
        } else {
            continue;
        };
        let scope = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
        paths.insert(format!("/{}/{scope}{plural}/{{name}}", place(prefix)), operations(kind, prefix));
        schemas.insert(schema_name(kind, prefix), schema(kind, prefix));
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Pierhead", "version": "v1.0.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Group and version a kind says it has under a prefix.
fn group_version<'a>(kind: &'a Kind, prefix: &Prefix) -> (&'a str, &'a str) {
    let group = if *prefix == Prefix::Core { "" } else { kind.gvk.group };
    (group, kind.gvk.version)
}

fn schema_name(kind: &Kind, prefix: &Prefix) -> String {
    let (group, version) = group_version(kind, prefix);
    let group = if group.is_empty() { "core" } else { group };
    format!("io.pierhead.{group}.{version}.{}", kind.gvk.kind)
}

fn operations(kind: &Kind, prefix: &Prefix) -> Value {
    let (group, version) = group_version(kind, prefix);
    let reference = json!({"$ref": format!("#/components/schemas/{}", schema_name(kind, prefix))});
    let parameter = |name: &str, description: &str| {
        json!({
            "name": name, "in": "query", "description": description,
            "schema": {"type": "string", "uniqueItems": true},
        })
    };
    let gvk = json!({"group": group, "version": version, "kind": kind.gvk.kind});
    let body = json!({"content": {"application/json": {"schema": reference}}, "required": true});
    let answer =
        json!({"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}});
    let mut operations = Map::new();
    let mut add = |method: &str, action: &str, body: Option<Value>| {
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "parameters": [
                parameter("dryRun", "All: check everything, store nothing."),
                parameter("fieldManager", "Who changes the object."),
                parameter("fieldValidation", "What to do about unknown fields: Ignore, Warn or Strict."),
                parameter("force", "Take fields from other managers when applying."),
            ],
            "responses": answer,
        });
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operations.insert(method.to_owned(), operation);
    };
    for verb in &kind.verbs {
        match verb {
            Verb::Get => add("get", "get", None),
            Verb::Update => add("put", "put", Some(body.clone())),
            Verb::Delete => add("delete", "delete", None),
            Verb::Create | Verb::DeleteCollection | Verb::List | Verb::Patch | Verb::Watch => {}
        }
    }
    // Every kind that can be written has the operation clients probe, whether or not it can be patched.
    let patch = json!({"content": {
        "application/json-patch+json": {"schema": {"type": "array", "items": {"type": "object"}}},
        "application/merge-patch+json": {"schema": reference},
        "application/apply-patch+yaml": {"schema": reference},
    }, "required": true});
    add("patch", "patch", Some(patch));
    Value::Object(operations)
}

fn schema(kind: &Kind, prefix: &Prefix) -> Value {
    let (group, version) = group_version(kind, prefix);
    json!({
        "type": "object",
        "description": format!("{} of {}", kind.gvk.kind, kind.api_version()),
        "properties": {
            "apiVersion": {"type": "string", "description": "The group and version of this form of the object."},
            "kind": {"type": "string", "description": "The kind of the object."},
            "metadata": {"type": "object", "description": "Name, labels, annotations and the like."},
        },
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-group-version-kind": [{"group": group, "version": version, "kind": kind.gvk.kind}],
    })
}

#[cfg(test)]
mod tests {
    use super::V2_PROTOBUF;

    #[test]
    fn the_constant_is_as_long_as_it_says() {
        assert_eq!(V2_PROTOBUF[..5], *b"\x0a\x032.0");
        assert_eq!(usize::from(V2_PROTOBUF[6]), 2 + "Pierhead".len() + 2 + "v1.0.0".len());
        assert_eq!(V2_PROTOBUF.len(), 5 + 2 + usize::from(V2_PROTOBUF[6]) + 2);
    }
}
