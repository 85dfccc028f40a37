//! What documents tell clients about merging is what the server does: the strategies in the definitions and the lists
//! of `PatchSchema` agree.

use std::collections::BTreeMap;

use pierhead_api::patch::{ListMerge, PatchSchema, member_path};
use serde_json::Value;

type Definitions = BTreeMap<String, Value>;

/// Calls `each` with every list of a schema: its path, and how it is said to be merged. What lies within a list that is
/// replaced is replaced with it.
fn lists(
    definitions: &Definitions,
    schema: &Value,
    path: &str,
    each: &mut dyn FnMut(&str, Option<ListMerge>),
) {
    // Some schemas hold themselves.
    if path.split('.').count() > 6 {
        return;
    }
    let schema = referred(definitions, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = member_path(path, name);
        if field["type"] != "array" {
            lists(definitions, field, &path, each);
            continue;
        }
        let merges =
            field["x-kubernetes-patch-strategy"].as_str().is_some_and(|text| text.starts_with("merge"));
        let key = field["x-kubernetes-patch-merge-key"].as_str().map(str::to_owned);
        let merge = merges.then(|| key.map_or(ListMerge::Set, |key| ListMerge::ByKey(key.leak())));
        each(&path, merge);
        if merge.is_some() {
            lists(definitions, &field["items"], &path, each);
        }
    }
}

fn referred<'d>(definitions: &'d Definitions, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/")) {
        Some(name) => &definitions[name],
        None => schema,
    }
}

#[test]
fn lists_merge_as_the_documents_say() {
    let definitions: Definitions =
        serde_json::from_str(include_str!("../../schema/definitions.json")).unwrap();
    let mut wrong = Vec::new();
    for schema in definitions.values().filter(|schema| schema["properties"]["metadata"].is_object()) {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap();
            // Lists and calls are never patched.
            if text("kind").ends_with("List") || text("kind") == "ImageStreamImport" {
                continue;
            }
            let patches = PatchSchema::of(text("group"), text("kind"));
            lists(&definitions, schema, "", &mut |path, said| {
                // Metadata of templates has nothing to merge, and images within views are not written through them.
                if path.contains(".metadata.") || path.starts_with("image.") {
                    return;
                }
                let done = patches.list(path);
                if done != said {
                    wrong.push(format!("{} {path}: said {said:?}, done {done:?}", text("kind")));
                }
            });
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
