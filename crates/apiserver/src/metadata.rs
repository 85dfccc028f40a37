//! What the server does to `metadata`, for every kind alike.
//!
//! Owns uid, times, generation, generated names, what is immutable and the marking of deletions (platform 1.7, 1.10).
//! Works on documents. What a name, a label or an owner may look like is checked by the `validate` of each kind.

use jiff::Timestamp;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Time;
use pierhead_api::name;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::kind::Kind;

/// The `metadata` of a document.
pub(crate) fn of(document: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    document.get("metadata").and_then(Value::as_object).unwrap_or(&NONE)
}

/// The `metadata` of a document, made where it is missing.
pub(crate) fn of_mut(document: &mut Value) -> &mut Map<String, Value> {
    if !document.is_object() {
        *document = json!({});
    }
    let metadata = &mut document["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata.as_object_mut().expect("made an object just above")
}

/// A text of the metadata; empty where there is none.
pub(crate) fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    of(document).get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The finalizers.
pub(crate) fn finalizers(document: &Value) -> Vec<String> {
    let list = of(document).get("finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether deletion was asked for.
pub(crate) fn is_terminating(document: &Value) -> bool {
    of(document).get("deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// A name that starts with `prefix`.
pub(crate) fn generate_name(prefix: &str) -> String {
    name::generate_name(prefix, |below| rand::random_range(0..below))
}

/// Makes the metadata of a new object: what clients may not choose is ours from here on.
pub(crate) fn begin(document: &mut Value, kind: &Kind, namespace: &str, now: Timestamp) {
    let metadata = of_mut(document);
    for field in
        ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"]
    {
        metadata.shift_remove(field);
    }
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), namespace.into());
    } else {
        metadata.shift_remove("namespace");
    }
    metadata.insert("uid".to_owned(), Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".to_owned(), Time(now).to_string().into());
    if kind.has_generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

/// Gives a changed object the metadata it may not change itself, and says what it tried to change.
pub(crate) fn keep(document: &mut Value, old: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let before = of(old).clone();
    let after = of_mut(document);
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let sent = after.get(field).filter(|value| !value.is_null() && *value != "").cloned();
        match (sent, before.get(field)) {
            (Some(sent), kept) if kept != Some(&sent) => {
                errors.invalid(format!("metadata.{field}"), sent, "field is immutable");
            }
            (_, Some(kept)) => {
                after.insert(field.to_owned(), kept.clone());
            }
            (_, None) => {
                after.shift_remove(field);
            }
        }
    }
    for field in ["name", "namespace", "generation", "selfLink", "generateName"] {
        match before.get(field) {
            Some(kept) => after.insert(field.to_owned(), kept.clone()),
            None => after.shift_remove(field),
        };
    }
    if is_terminating(old) {
        let had = finalizers(old);
        let added: Vec<String> =
            finalizers(document).into_iter().filter(|name| !had.contains(name)).collect();
        if !added.is_empty() {
            errors.forbidden(
                "metadata.finalizers",
                format!("no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"),
            );
        }
    }
    errors
}

/// Counts the generation up when anything but metadata and status changed, or one of the fields `also`, which are JSON
/// pointers.
pub(crate) fn count_generation(document: &mut Value, old: &Value, also: &[&str]) {
    let spec = |value: &Value| {
        let mut rest = value.as_object().cloned().unwrap_or_default();
        rest.shift_remove("metadata");
        rest.shift_remove("status");
        rest
    };
    let generation = of(old).get("generation").and_then(Value::as_i64).unwrap_or(1);
    let same =
        spec(document) == spec(old) && also.iter().all(|field| document.pointer(field) == old.pointer(field));
    let next = if same { generation } else { generation + 1 };
    of_mut(document).insert("generation".to_owned(), next.into());
}

/// The seconds a marked object gets to end.
pub(crate) fn grace_seconds(document: &Value) -> i64 {
    of(document).get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0)
}

/// Marks an object for deletion at the end of its grace. A second deletion can only shorten the grace.
pub(crate) fn mark_deleted(document: &mut Value, now: Timestamp, grace_seconds: i64) {
    if is_terminating(document) && self::grace_seconds(document) <= grace_seconds {
        return;
    }
    let end = now.checked_add(jiff::SignedDuration::from_secs(grace_seconds)).unwrap_or(now);
    let metadata = of_mut(document);
    metadata.insert("deletionTimestamp".to_owned(), Time(end).to_string().into());
    metadata.insert("deletionGracePeriodSeconds".to_owned(), grace_seconds.into());
}

/// Whether two documents are equal but for their resourceVersion.
pub(crate) fn same(one: &Value, two: &Value) -> bool {
    let bare = |document: &Value| {
        let mut document = document.clone();
        of_mut(&mut document).shift_remove("resourceVersion");
        document
    };
    bare(one) == bare(two)
}

#[cfg(test)]
mod tests {
    use super::{generate_name, keep};
    use serde_json::json;

    #[test]
    fn generated_names_fit_and_differ() {
        let long = "a".repeat(80);
        assert_eq!(generate_name(&long).len(), 63);
        let name = generate_name("pusher-token-");
        assert!(name.starts_with("pusher-token-") && name.len() == 18, "{name}");
        assert_ne!(name, generate_name("pusher-token-"));
    }

    #[test]
    fn what_is_immutable_is_kept_or_refused() {
        let old = json!({"metadata": {"name": "a", "uid": "1", "creationTimestamp": "t", "generation": 3}});
        let mut sent = json!({"metadata": {"name": "a", "generation": 9}});
        assert!(keep(&mut sent, &old).is_empty());
        assert_eq!(
            sent,
            json!({"metadata": {"name": "a", "uid": "1", "creationTimestamp": "t", "generation": 3}})
        );
        let mut sent = json!({"metadata": {"name": "a", "uid": "2"}});
        assert_eq!(
            keep(&mut sent, &old).to_string(),
            "metadata.uid: Invalid value: \"2\": field is immutable"
        );
    }

    #[test]
    fn a_dying_object_takes_no_new_finalizers() {
        let old = json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a/b"]}});
        let mut sent = json!({"metadata": {"finalizers": ["a/b", "c/d"]}});
        assert!(
            keep(&mut sent, &old)
                .to_string()
                .starts_with("metadata.finalizers: Forbidden: no new finalizers")
        );
    }
}
