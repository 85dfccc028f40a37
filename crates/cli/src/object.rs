//! Reading documents whose kind is not known at compile time.

use serde_json::{Map, Value};

/// A string at a path such as `metadata.name`; empty where there is none.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of field names separated by dots.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, field| value.get(field)).filter(|value| !value.is_null())
}

/// The list at a path; empty where there is none.
pub(crate) fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The string map at a path, in the order of its keys.
pub(crate) fn string_map<'v>(value: &'v Value, path: &str) -> Vec<(&'v str, &'v str)> {
    let fields = at(value, path).and_then(Value::as_object);
    let mut entries: Vec<(&str, &str)> = fields
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect();
    entries.sort_unstable();
    entries
}

/// `metadata.name`.
pub(crate) fn name(value: &Value) -> &str {
    text(value, "metadata.name")
}

/// `metadata.namespace`.
pub(crate) fn namespace(value: &Value) -> Option<&str> {
    Some(text(value, "metadata.namespace")).filter(|namespace| !namespace.is_empty())
}

/// Whether the document is a list of objects.
pub(crate) fn is_list(value: &Value) -> bool {
    text(value, "kind").ends_with("List") && value.get("items").is_some_and(Value::is_array)
}

/// The object at a path, made where it is missing.
pub(crate) fn object_mut<'v>(value: &'v mut Value, path: &str) -> &'v mut Map<String, Value> {
    let mut current = value;
    for field in path.split('.') {
        if !current.is_object() {
            *current = Value::Object(Map::new());
        }
        current = match current {
            Value::Object(fields) => {
                fields.entry(field.to_owned()).or_insert_with(|| Value::Object(Map::new()))
            }
            other => other,
        };
    }
    if !current.is_object() {
        *current = Value::Object(Map::new());
    }
    match current {
        Value::Object(fields) => fields,
        other => unreachable!("made an object above, found {other}"),
    }
}

/// Sets a string at a path, making what is missing.
pub(crate) fn set_text(value: &mut Value, path: &str, text: &str) {
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let fields = if parent.is_empty() {
        match value {
            Value::Object(fields) => fields,
            _ => return,
        }
    } else {
        object_mut(value, parent)
    };
    fields.insert(field.to_owned(), Value::String(text.to_owned()));
}

/// Removes what people do not want to see and files should not hold.
pub(crate) fn strip_managed_fields(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// The merge patch that makes `before` be as `after`; empty where they are the same.
pub(crate) fn difference(before: &Value, after: &Value) -> Value {
    let nothing = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&nothing), after.as_object().unwrap_or(&nothing));
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(known) if known == value => {}
            Some(known @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), difference(known, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Whether two merge patches say something about the same field.
pub(crate) fn overlap(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().any(|(key, value)| other.get(key).is_some_and(|known| overlap(value, known)))
        }
        _ => true,
    }
}

/// A value as text, a string without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The list at a path, made where it is missing.
pub(crate) fn list_mut<'v>(value: &'v mut Value, path: &str) -> &'v mut Vec<Value> {
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = if parent.is_empty() {
        value
    } else {
        object_mut(value, parent);
        path_mut(value, parent)
    };
    if !parent.get(field).is_some_and(Value::is_array) {
        parent[field] = Value::Array(Vec::new());
    }
    match &mut parent[field] {
        Value::Array(items) => items,
        other => unreachable!("made a list above, found {other}"),
    }
}

/// The value at a path that exists.
fn path_mut<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(value, |value, field| &mut value[field])
}
