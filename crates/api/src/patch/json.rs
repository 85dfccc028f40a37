//! JSON patch, RFC 6902, with limits on operations and on what `copy` may blow up.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::PatchError;

/// Most operations of one patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Most bytes all `copy` operations of one patch may copy together.
const MAX_COPIED_BYTES: usize = 4 * 1024 * 1024;

/// The document after the operations, or the first error; a failed `test` is one.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        return Err(PatchError::Malformed { problem: "a JSON patch must be a list of operations".into() });
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations { operations: operations.len() });
    }
    let Patch(operations) = serde_json::from_value(patch.clone())
        .map_err(|error| PatchError::Malformed { problem: format!("error decoding patch: {error}") })?;
    let mut patched = document.clone();
    let mut copied = 0;
    for operation in &operations {
        if let PatchOperation::Copy(copy) = operation {
            copied += copy.from.resolve(&patched).map_or(0, size_of_document);
            if copied > MAX_COPIED_BYTES {
                return Err(PatchError::TooLarge { limit: MAX_COPIED_BYTES });
            }
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation))?;
    }
    Ok(patched)
}

/// Roughly the bytes of a document when written.
fn size_of_document(document: &Value) -> usize {
    match document {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size_of_document(item) + 1).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(name, value)| name.len() + 4 + size_of_document(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MAX_OPERATIONS, json_patch};
    use crate::patch::PatchError;

    #[track_caller]
    fn check(patch: Value, expected: Option<Value>) {
        let document = json!({"metadata": {"labels": {"a": "b"}}, "list": [1, 2]});
        assert_eq!(json_patch(&document, &patch).ok(), expected);
    }

    #[test]
    fn applies_operations_in_order() {
        check(
            json!([
                {"op": "test", "path": "/metadata/labels/a", "value": "b"},
                {"op": "replace", "path": "/metadata/labels/a", "value": "c"},
                {"op": "remove", "path": "/list/0"},
                {"op": "add", "path": "/list/-", "value": 3},
            ]),
            Some(json!({"metadata": {"labels": {"a": "c"}}, "list": [2, 3]})),
        );
        check(json!([{"op": "test", "path": "/metadata/labels/a", "value": "x"}]), None);
        check(json!([{"op": "remove", "path": "/missing"}]), None);
        check(json!({"op": "remove"}), None);
    }

    #[test]
    fn limits_what_one_patch_may_do() {
        let many = vec![json!({"op": "test", "path": "", "value": {}}); MAX_OPERATIONS + 1];
        let error = json_patch(&json!({}), &Value::Array(many)).unwrap_err();
        assert!(matches!(error, PatchError::TooManyOperations { operations: 10_001 }), "{error}");
        let doubling: Vec<Value> =
            (0..40).map(|n| json!({"op": "copy", "from": "", "path": format!("/{n}")})).collect();
        let error = json_patch(&json!({"a": "x".repeat(1000)}), &Value::Array(doubling)).unwrap_err();
        assert!(matches!(error, PatchError::TooLarge { .. }), "{error}");
    }
}
