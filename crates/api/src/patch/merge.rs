//! JSON merge patch, RFC 7386.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The document after the patch: members that are null vanish, objects merge, everything else is replaced.
pub fn merge_patch(document: &Value, patch: &Value) -> Value {
    let mut merged = document.clone();
    merge(&mut merged, patch);
    merged
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    remove_nulls(members, changes);
    for (name, change) in changes.iter().filter(|(_, change)| !change.is_null()) {
        merge(members.entry(name.clone()).or_insert(Value::Null), change);
    }
}

/// Takes out the members that `changes` has as null. All at once: taking out one moves all that follow.
pub(super) fn remove_nulls(members: &mut Map<String, Value>, changes: &Map<String, Value>) {
    let gone: HashSet<&str> =
        changes.iter().filter(|(_, change)| change.is_null()).map(|(name, _)| name.as_str()).collect();
    if !gone.is_empty() {
        members.retain(|name, _| !gone.contains(name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::merge_patch;

    #[track_caller]
    fn check(document: Value, patch: Value, expected: Value) {
        assert_eq!(merge_patch(&document, &patch), expected);
    }

    /// Rows from appendix A of the RFC.
    #[test]
    fn follows_the_rfc() {
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": "foo"}), json!("bar"), json!("bar"));
        check(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}));
        check(json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }
}
