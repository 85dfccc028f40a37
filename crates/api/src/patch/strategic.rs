//! Strategic merge patch: a merge patch that knows which lists to merge, with directives (platform 1.7).
//!
//! Directives: `$patch: replace|delete|merge` in an object or a list item, `$deleteFromPrimitiveList/LIST`,
//! `$setElementOrder/LIST`, `$retainKeys`.

use std::collections::{HashMap, HashSet};
use std::mem;

use serde_json::{Map, Value};

use super::merge::remove_nulls;
use super::schema::member_path;
use super::{ListMerge, PatchError, PatchSchema};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";

/// The document after the patch. Lists that `schema` names are merged by key or as sets, others replaced.
pub fn strategic_merge_patch(
    document: &Value,
    patch: &Value,
    schema: &PatchSchema,
) -> Result<Value, PatchError> {
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(malformed("a strategic merge patch must be an object"));
    };
    Merge { schema }.object(document.clone(), patch, "").map(Value::Object)
}

fn malformed(problem: impl Into<String>) -> PatchError {
    PatchError::Malformed { problem: problem.into() }
}

/// What `$patch` asks for.
#[derive(PartialEq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Directive, PatchError> {
    match patch.get(PATCH) {
        None => Ok(Directive::Merge),
        Some(Value::String(text)) => match text.as_str() {
            "merge" => Ok(Directive::Merge),
            "replace" => Ok(Directive::Replace),
            "delete" => Ok(Directive::Delete),
            other => Err(malformed(format!("unknown patch type: {other}"))),
        },
        Some(other) => Err(malformed(format!("unknown patch type: {other}"))),
    }
}

/// A value as it is stored: without directives, and without members that are null.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, value)| !name.starts_with('$') && !value.is_null())
            .map(|(name, value)| (name.clone(), without_directives(value)))
            .collect(),
        Value::Array(items) => {
            let deleted = |item: &&Value| item.get(PATCH).and_then(Value::as_str) != Some("delete");
            let markers = |item: &&Value| {
                item.as_object().is_none_or(|members| !(members.len() == 1 && members.contains_key(PATCH)))
            };
            items.iter().filter(deleted).filter(markers).map(without_directives).collect()
        }
        plain => plain.clone(),
    }
}

struct Merge<'a> {
    schema: &'a PatchSchema,
}

impl Merge<'_> {
    fn object(
        &self,
        mut target: Map<String, Value>,
        patch: &Map<String, Value>,
        path: &str,
    ) -> Result<Map<String, Value>, PatchError> {
        match directive(patch)? {
            Directive::Merge => {}
            Directive::Delete => return Ok(Map::new()),
            Directive::Replace => {
                let Value::Object(replaced) = without_directives(&Value::Object(patch.clone())) else {
                    return Ok(Map::new());
                };
                return Ok(replaced);
            }
        }
        if let Some(keys) = patch.get(RETAIN_KEYS) {
            retain_keys(&mut target, patch, keys)?;
        }
        for (name, change) in patch {
            if let Some(list) = name.strip_prefix(DELETE_FROM_LIST) {
                delete_from_list(&mut target, list, change)?;
            }
        }
        remove_nulls(&mut target, patch);
        for (name, change) in
            patch.iter().filter(|(name, change)| !name.starts_with('$') && !change.is_null())
        {
            self.member(&mut target, name, change, path)?;
        }
        for (name, order) in patch {
            if let Some(list) = name.strip_prefix(SET_ELEMENT_ORDER) {
                self.reorder(&mut target, list, order, path)?;
            }
        }
        Ok(target)
    }

    fn member(
        &self,
        target: &mut Map<String, Value>,
        name: &str,
        change: &Value,
        path: &str,
    ) -> Result<(), PatchError> {
        let path = member_path(path, name);
        let merged = match (target.get_mut(name), change) {
            (Some(Value::Object(old)), Value::Object(change)) => {
                Value::Object(self.object(mem::take(old), change, &path)?)
            }
            (Some(Value::Array(old)), Value::Array(change)) => match self.schema.list(&path) {
                Some(ListMerge::ByKey(key)) => {
                    Value::Array(self.list_by_key(mem::take(old), change, key, &path)?)
                }
                Some(ListMerge::Set) => Value::Array(union(mem::take(old), change)),
                None => without_directives(&Value::Array(change.clone())),
            },
            _ => without_directives(change),
        };
        target.insert(name.to_owned(), merged);
        Ok(())
    }

    fn list_by_key(
        &self,
        items: Vec<Value>,
        changes: &[Value],
        key: &str,
        path: &str,
    ) -> Result<Vec<Value>, PatchError> {
        let mut objects = Vec::with_capacity(changes.len());
        for change in changes {
            let Value::Object(change) = change else {
                return Err(malformed(format!("items of {path} must be objects")));
            };
            if directive(change)? == Directive::Replace {
                let Value::Array(replaced) = without_directives(&Value::Array(changes.to_vec())) else {
                    return Ok(Vec::new());
                };
                return Ok(replaced);
            }
            let Some(id) = change.get(key) else {
                return Err(malformed(format!("an item of {path} does not contain the merge key {key}")));
            };
            objects.push((id, change));
        }
        let mut places: HashMap<Value, Vec<usize>> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            if let Some(id) = item.get(key) {
                places.entry(id.clone()).or_default().push(place);
            }
        }
        let mut items: Vec<Option<Value>> = items.into_iter().map(Some).collect();
        for (id, change) in objects {
            if directive(change)? == Directive::Delete {
                for place in places.remove(id).unwrap_or_default() {
                    items[place] = None;
                }
                continue;
            }
            let found = places.get(id).and_then(|places| places.first());
            match found.and_then(|place| items[*place].as_mut()) {
                Some(Value::Object(item)) => *item = self.object(mem::take(item), change, path)?,
                _ => {
                    places.entry(id.clone()).or_default().push(items.len());
                    items.push(Some(without_directives(&Value::Object(change.clone()))));
                }
            }
        }
        Ok(items.into_iter().flatten().collect())
    }

    /// Puts the items that `order` lists into that order; others stay where they were relative to the rest.
    fn reorder(
        &self,
        target: &mut Map<String, Value>,
        list: &str,
        order: &Value,
        path: &str,
    ) -> Result<(), PatchError> {
        let Value::Array(order) = order else {
            return Err(malformed(format!("{SET_ELEMENT_ORDER}{list} must be a list")));
        };
        let key = match self.schema.list(&member_path(path, list)) {
            Some(ListMerge::ByKey(key)) => Some(key),
            Some(ListMerge::Set) => None,
            None => return Ok(()),
        };
        let Some(Value::Array(items)) = target.get_mut(list) else { return Ok(()) };
        let mut ranks: HashMap<Option<&Value>, usize> = HashMap::new();
        for (rank, item) in order.iter().enumerate() {
            ranks.entry(id_of(item, key)).or_insert(rank);
        }
        let mut slots: Vec<usize> = Vec::new();
        let mut ranked: Vec<(usize, Value)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(rank) = ranks.get(&id_of(item, key)) {
                slots.push(index);
                ranked.push((*rank, item.clone()));
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        for (slot, (_, item)) in slots.into_iter().zip(ranked) {
            items[slot] = item;
        }
        Ok(())
    }
}

/// What tells the items of a list apart: the member `key`, or the whole item in a set.
fn id_of<'a>(item: &'a Value, key: Option<&str>) -> Option<&'a Value> {
    match key {
        Some(key) => item.get(key),
        None => Some(item),
    }
}

fn retain_keys(
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    keys: &Value,
) -> Result<(), PatchError> {
    let names: Option<HashSet<&str>> =
        keys.as_array().and_then(|keys| keys.iter().map(Value::as_str).collect());
    let Some(names) = names else { return Err(malformed("$retainKeys must be a list of names")) };
    let mut set = patch.iter().filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    if let Some((name, _)) = set.find(|(name, _)| !names.contains(name.as_str())) {
        return Err(malformed(format!("$retainKeys must list {name}, which the patch sets")));
    }
    target.retain(|name, _| names.contains(name.as_str()));
    Ok(())
}

fn delete_from_list(target: &mut Map<String, Value>, list: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else {
        return Err(malformed(format!("{DELETE_FROM_LIST}{list} must be a list")));
    };
    if let Some(Value::Array(items)) = target.get_mut(list) {
        let values: HashSet<&Value> = values.iter().collect();
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn union(mut items: Vec<Value>, more: &[Value]) -> Vec<Value> {
    let mut seen: HashSet<&Value> = items.iter().collect();
    let added: Vec<Value> = more.iter().filter(|item| seen.insert(item)).cloned().collect();
    items.extend(added);
    items
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::strategic_merge_patch;
    use crate::patch::PatchSchema;

    #[track_caller]
    fn check(kind: (&str, &str), document: Value, patch: Value, expected: Value) {
        let schema = PatchSchema::of(kind.0, kind.1);
        assert_eq!(strategic_merge_patch(&document, &patch, &schema).unwrap(), expected);
    }

    const ACCOUNT: (&str, &str) = ("", "ServiceAccount");
    const STREAM: (&str, &str) = ("image.openshift.io", "ImageStream");

    #[test]
    fn merges_lists_by_key_and_replaces_the_others() {
        check(
            ACCOUNT,
            json!({"secrets": [{"name": "a"}, {"name": "b"}]}),
            json!({"secrets": [{"name": "c"}, {"name": "a"}]}),
            json!({"secrets": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}),
        );
        check(
            STREAM,
            json!({"spec": {"tags": [{"name": "a", "reference": true, "from": {"kind": "x"}}]}}),
            json!({"spec": {"tags": [{"name": "a", "reference": null, "from": {"name": "y"}}]}}),
            json!({"spec": {"tags": [{"name": "a", "from": {"kind": "x", "name": "y"}}]}}),
        );
        check(
            ("rbac.authorization.k8s.io", "RoleBinding"),
            json!({"subjects": [{"name": "a"}]}),
            json!({"subjects": [{"name": "b"}]}),
            json!({"subjects": [{"name": "b"}]}),
        );
    }

    #[test]
    fn follows_directives_in_lists() {
        let document = json!({"secrets": [{"name": "a"}, {"name": "b"}, {"name": "c"}]});
        check(
            ACCOUNT,
            document.clone(),
            json!({"secrets": [{"$patch": "delete", "name": "b"}]}),
            json!({"secrets": [{"name": "a"}, {"name": "c"}]}),
        );
        check(
            ACCOUNT,
            document.clone(),
            json!({"secrets": [{"$patch": "replace"}, {"name": "z"}]}),
            json!({"secrets": [{"name": "z"}]}),
        );
        check(
            ACCOUNT,
            document,
            json!({"$setElementOrder/secrets": [{"name": "d"}, {"name": "c"}, {"name": "a"}], "secrets": [{"name": "d"}]}),
            json!({"secrets": [{"name": "d"}, {"name": "b"}, {"name": "c"}, {"name": "a"}]}),
        );
    }

    #[test]
    fn follows_directives_in_objects() {
        check(
            STREAM,
            json!({"spec": {"a": 1, "b": 2}}),
            json!({"spec": {"$patch": "replace", "c": 3}}),
            json!({"spec": {"c": 3}}),
        );
        check(STREAM, json!({"spec": {"a": 1}}), json!({"spec": {"$patch": "delete"}}), json!({"spec": {}}));
        check(
            STREAM,
            json!({"spec": {"a": 1, "b": 2}}),
            json!({"spec": {"$retainKeys": ["b", "c"], "c": 3}}),
            json!({"spec": {"b": 2, "c": 3}}),
        );
    }

    #[test]
    fn finalizers_are_a_set() {
        let document = json!({"metadata": {"finalizers": ["a", "b"]}});
        check(
            ACCOUNT,
            document.clone(),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
        );
        check(
            ACCOUNT,
            document,
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b"]}}),
        );
    }

    #[test]
    fn one_item_may_be_named_more_than_once() {
        check(
            ACCOUNT,
            json!({"secrets": [{"name": "a", "x": 1}, {"name": "b"}, {"name": "a"}]}),
            json!({"secrets": [{"name": "a", "x": 2}, {"name": "a", "x": null}, {"name": "c"}, {"name": "c", "y": 1}]}),
            json!({"secrets": [{"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "c", "y": 1}]}),
        );
        check(
            ACCOUNT,
            json!({"secrets": [{"name": "a", "x": 1}, {"name": "a"}]}),
            json!({"secrets": [{"$patch": "delete", "name": "a"}, {"name": "a", "x": 2}]}),
            json!({"secrets": [{"name": "a", "x": 2}]}),
        );
    }

    /// Found one by one, every item of the patch would be compared with every item of the list: minutes.
    #[test]
    fn long_lists_are_merged_in_linear_time() {
        let items = |from: usize| -> Vec<Value> {
            (from..from + 30_000).map(|n| json!({"name": format!("secret-{n}")})).collect()
        };
        let names = |from: usize| -> Vec<Value> {
            (from..from + 30_000).map(|n| format!("example.com/{n}").into()).collect()
        };
        let document = json!({"secrets": items(0), "metadata": {"finalizers": names(0)}});
        let patch = json!({
            "secrets": items(15_000), "$setElementOrder/secrets": items(0),
            "metadata": {"finalizers": names(15_000), "$deleteFromPrimitiveList/finalizers": names(40_000)},
        });
        let schema = PatchSchema::of(ACCOUNT.0, ACCOUNT.1);
        let merged = strategic_merge_patch(&document, &patch, &schema).unwrap();
        assert_eq!(merged["secrets"].as_array().unwrap().len(), 45_000);
        assert_eq!(merged["metadata"]["finalizers"].as_array().unwrap().len(), 45_000);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let schema = PatchSchema::of("", "ServiceAccount");
        for patch in [
            json!([]),
            json!({"secrets": [{"kind": "x"}]}),
            json!({"secrets": ["a"]}),
            json!({"metadata": {"$patch": "explode"}}),
            json!({"$retainKeys": ["a"], "b": 1}),
        ] {
            let document = json!({"secrets": [], "metadata": {}});
            assert!(strategic_merge_patch(&document, &patch, &schema).is_err(), "{patch}");
        }
    }
}
