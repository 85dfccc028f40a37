//! JSON patch, RFC 6902, with limits on operations, on what `copy` may blow up and on how deep the result may be.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::PatchError;
use crate::decode::{MAX_DEPTH, fits};

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
        if !stays_shallow(operation, &patched) {
            return Err(PatchError::TooDeep { limit: MAX_DEPTH });
        }
        if !finds_nothing_expected(operation, &patched) {
            json_patch::patch(&mut patched, std::slice::from_ref(operation))?;
        }
    }
    Ok(patched)
}

/// Whether the operation tests for null what its parent has not: the same to Kubernetes, and how clients make sure that
/// they are the first to set a field.
fn finds_nothing_expected(operation: &PatchOperation, document: &Value) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let Some((parent, name)) = test.path.split_back() else { return false };
    let members = parent.resolve(document).ok().and_then(Value::as_object);
    test.value.is_null() && members.is_some_and(|members| !members.contains_key(&*name.decoded()))
}

/// Whether what the operation brings fits where it is put. Asked before each one: a document that grew deep in between
/// could neither be measured nor dropped.
fn stays_shallow(operation: &PatchOperation, document: &Value) -> bool {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Copy(copy) => (&copy.path, copy.from.resolve(document).ok()),
        PatchOperation::Move(moved) => (&moved.path, moved.from.resolve(document).ok()),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return true,
    };
    let levels = MAX_DEPTH.saturating_sub(path.tokens().count());
    value.is_none_or(|value| fits(value, levels))
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

    use super::{MAX_DEPTH, MAX_OPERATIONS, json_patch};
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
    fn null_is_what_is_not_there() {
        let test = |path: &str, value: Value| json!([{"op": "test", "path": path, "value": value}]);
        let unchanged = json!({"metadata": {"labels": {"a": "b"}}, "list": [1, 2]});
        check(test("/metadata/finalizers", Value::Null), Some(unchanged));
        check(test("/metadata/finalizers", json!([])), None);
        check(test("/metadata/labels", Value::Null), None);
        check(test("/spec/replicas", Value::Null), None);
        check(test("/list/2", Value::Null), None);
        check(test("", Value::Null), None);
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

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Null, |inner, _| json!({"a": inner}))
    }

    #[test]
    fn no_way_leads_deeper_than_documents_may_be() {
        let check = |document: Value, operation: Value, fits: bool| {
            let patched = json_patch(&document, &json!([operation]));
            let is_too_deep = matches!(patched, Err(PatchError::TooDeep { limit: MAX_DEPTH }));
            assert_eq!((patched.is_ok(), is_too_deep), (fits, !fits), "{operation}");
        };
        let sent = |op: &str, levels| json!({"op": op, "path": "/x/y", "value": nested(levels)});
        for op in ["add", "replace"] {
            check(json!({"x": {"y": 1}}), sent(op, MAX_DEPTH - 2), true);
            check(json!({"x": {"y": 1}}), sent(op, MAX_DEPTH - 1), false);
        }
        for op in ["copy", "move"] {
            let moved = json!({"op": op, "from": "/from", "path": "/x/y"});
            check(json!({"x": {}, "from": nested(MAX_DEPTH - 2)}), moved.clone(), true);
            check(json!({"x": {}, "from": nested(MAX_DEPTH - 1)}), moved, false);
        }
    }

    #[test]
    fn doubling_the_depth_ends_early() {
        let mut levels = 2;
        let mut into_itself = || {
            let operation = json!({"op": "copy", "from": "/a", "path": "/a".repeat(levels)});
            levels = 2 * levels - 1;
            operation
        };
        let operations: Vec<Value> = (0..16).map(|_| into_itself()).collect();
        let error = json_patch(&nested(2), &Value::Array(operations)).unwrap_err();
        assert!(matches!(error, PatchError::TooDeep { .. }), "{error}");
    }
}
