//! From derived schemas to the form of OpenAPI 3.0: `null` becomes `nullable`, defaults of the wire types vanish,
//! descriptions lose what only programmers read.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::names;

/// Sentences about how we write a document, which tell users nothing.
const INTERNAL: &[&str] = &["Always written.", "; always written"];

/// The OpenAPI form of a derived schema; `full_names` says what referred types are called.
pub(super) fn schema(derived: &Value, full_names: &BTreeMap<String, String>) -> Value {
    let Value::Object(members) = derived else {
        // Anything at all: documents of other tools.
        return json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    };
    let mut out = Map::new();
    if let Some(description) = members.get("description").and_then(Value::as_str) {
        out.insert("description".into(), text(description).into());
    }
    if members.get("default") == Some(&Value::Null) {
        out.insert("nullable".into(), true.into());
    }
    if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        out.insert("$ref".into(), names::reference(&full_names[name]).into());
        return Value::Object(out);
    }
    // `Option` of a type that has a definition.
    for list in ["anyOf", "allOf"] {
        let some = members.get(list).and_then(Value::as_array);
        if let Some(some) = some.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            let inner = schema(some, full_names);
            for (name, value) in inner.as_object().into_iter().flatten() {
                out.entry(name).or_insert_with(|| value.clone());
            }
            return Value::Object(out);
        }
    }
    if let Some(variants) = variants(members) {
        out.insert("type".into(), "string".into());
        out.insert("enum".into(), variants);
        return Value::Object(out);
    }
    describe_type(members, full_names, &mut out);
    Value::Object(out)
}

/// The values of an enumeration, whose variants may be described one by one.
fn variants(members: &Map<String, Value>) -> Option<Value> {
    if let Some(values) = members.get("enum") {
        return Some(values.clone());
    }
    let mut values = Vec::new();
    for one in members.get("oneOf")?.as_array()? {
        match (one.get("const"), one.get("enum").and_then(Value::as_array)) {
            (Some(value), _) => values.push(value.clone()),
            (None, Some(several)) => values.extend(several.iter().cloned()),
            (None, None) => return None,
        }
    }
    Some(Value::Array(values))
}

fn describe_type(
    members: &Map<String, Value>,
    full_names: &BTreeMap<String, String>,
    out: &mut Map<String, Value>,
) {
    let name = match members.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("object")
        }
        _ => "object",
    };
    out.insert("type".into(), name.into());
    if let Some(format) = members.get("format").and_then(Value::as_str) {
        let format = match format {
            "uint8" | "uint16" | "uint32" => "int32",
            "uint64" | "uint" | "int" => "int64",
            other => other,
        };
        out.insert("format".into(), format.into());
    }
    if let Some(items) = members.get("items") {
        out.insert("items".into(), schema(items, full_names));
    }
    match members.get("additionalProperties") {
        Some(Value::Bool(_)) | None => {}
        Some(values) => {
            out.insert("additionalProperties".into(), schema(values, full_names));
        }
    }
    if let Some(properties) = members.get("properties").and_then(Value::as_object) {
        let sorted: BTreeMap<&String, Value> =
            properties.iter().map(|(name, field)| (name, schema(field, full_names))).collect();
        out.insert("properties".into(), json!(sorted));
    }
    for (name, value) in members.iter().filter(|(name, _)| name.starts_with("x-")) {
        out.insert(name.clone(), value.clone());
    }
    let is_free =
        name == "object" && ["properties", "additionalProperties"].iter().all(|key| !out.contains_key(*key));
    if is_free {
        out.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
    }
}

/// A doc comment as a user reads it: one line for each paragraph, links to code as plain words.
fn text(comment: &str) -> String {
    let mut paragraphs = Vec::new();
    for paragraph in comment.split("\n\n") {
        let mut line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        for sentence in INTERNAL {
            line = line.replace(sentence, "");
        }
        line = line.replace("[`", "`").replace("`]", "`");
        let line = line.trim().trim_end_matches(';').trim_end();
        if !line.is_empty() {
            paragraphs.push(line.to_owned());
        }
    }
    paragraphs.join("\n\n")
}
