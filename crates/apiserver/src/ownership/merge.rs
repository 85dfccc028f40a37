//! What an apply does to an object: what it says is merged in, what its manager no longer says is taken out.
//!
//! Owns neither who may do that nor what is written down of it.

use std::collections::HashMap;

use pierhead_api::patch::{ListMerge, PatchSchema, member_path};
use serde_json::{Map, Value};

use super::FieldSet;
use super::field_set::{item_step, keys_of, show};

/// Why a document cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// An item of a keyed list does not say which one it is.
    #[error(
        "failed to create typed patch object: .{path}: element {place}: associative list with keys has an element that omits key field {key:?}"
    )]
    NoKey {
        /// Of which list.
        path: String,
        /// Which item.
        place: usize,
        /// What it lacks.
        key: &'static str,
    },
    /// Two items of a list are the same one.
    #[error("failed to create typed patch object: .{path}: duplicate entries for key {key}")]
    Duplicate {
        /// Of which list.
        path: String,
        /// Which.
        key: String,
    },
}

/// `live` with what `wanted` says.
pub(crate) fn merge(live: Value, wanted: &Value, schema: &PatchSchema) -> Result<Value, MergeError> {
    Merge { schema }.value(Some(live), wanted, "")
}

struct Merge<'a> {
    schema: &'a PatchSchema,
}

impl Merge<'_> {
    fn value(&self, live: Option<Value>, wanted: &Value, path: &str) -> Result<Value, MergeError> {
        match wanted {
            Value::Object(wanted) if !self.schema.is_atomic(path) => {
                let mut members = match live {
                    Some(Value::Object(members)) => members,
                    _ => Map::new(),
                };
                for (name, value) in wanted {
                    if value.is_null() {
                        members.shift_remove(name);
                        continue;
                    }
                    let place = members.entry(name.clone()).or_insert(Value::Null);
                    *place = self.value(Some(place.take()), value, &member_path(path, name))?;
                }
                Ok(Value::Object(members))
            }
            Value::Array(wanted) => match self.schema.list(path) {
                Some(list) => {
                    let items = match live {
                        Some(Value::Array(items)) => items,
                        _ => Vec::new(),
                    };
                    self.items(items, wanted, list, path)
                }
                None => Ok(Value::Array(wanted.clone())),
            },
            plain => Ok(plain.clone()),
        }
    }

    fn items(
        &self,
        mut items: Vec<Value>,
        wanted: &[Value],
        list: ListMerge,
        path: &str,
    ) -> Result<Value, MergeError> {
        let mut places: HashMap<String, usize> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            if let Some(step) = step(item, list) {
                places.entry(step).or_insert(place);
            }
        }
        let mut said: HashMap<String, usize> = HashMap::new();
        for (place, item) in wanted.iter().enumerate() {
            let Some(step) = step(item, list) else {
                let key = match list {
                    ListMerge::ByKey(key) => key,
                    ListMerge::Set => "",
                };
                return Err(MergeError::NoKey { path: path.to_owned(), place, key });
            };
            if said.insert(step.clone(), place).is_some() {
                let key = pierhead_api::excerpt(&show(&step), 128).into_owned();
                return Err(MergeError::Duplicate { path: path.to_owned(), key });
            }
            match places.get(&step) {
                Some(found) => items[*found] = self.value(Some(items[*found].take()), item, path)?,
                None => items.push(self.value(None, item, path)?),
            }
        }
        Ok(Value::Array(items))
    }
}

fn step(item: &Value, list: ListMerge) -> Option<String> {
    match list {
        ListMerge::ByKey(key) => item_step(item, &keys_of(key)),
        ListMerge::Set => Some(format!("v:{item}")),
    }
}

/// Takes out of `object` what `before` has and `kept` does not.
pub(crate) fn prune(object: &mut Value, before: &FieldSet, kept: &FieldSet, schema: &PatchSchema) {
    prune_at(object, before, Some(kept), schema, "");
}

fn prune_at(
    object: &mut Value,
    before: &FieldSet,
    kept: Option<&FieldSet>,
    schema: &PatchSchema,
    path: &str,
) {
    match object {
        Value::Object(members) => {
            for (step, below) in before.steps() {
                let Some(name) = step.strip_prefix("f:") else { continue };
                let kept = kept.and_then(|kept| kept.below(step)).filter(|kept| !kept.is_empty());
                let Some(member) = members.get_mut(name) else { continue };
                let is_whole = below.has_itself();
                if kept.is_none() && is_whole {
                    members.shift_remove(name);
                    continue;
                }
                prune_at(member, below, kept, schema, &member_path(path, name));
                let is_bare = member.as_object().is_some_and(Map::is_empty)
                    || member.as_array().is_some_and(Vec::is_empty);
                if is_bare && kept.is_none() {
                    members.shift_remove(name);
                }
            }
        }
        Value::Array(items) => {
            let Some(list) = schema.list(path) else { return };
            items.retain_mut(|item| {
                let Some(step) = step(item, list) else { return true };
                let Some(below) = before.below(&step) else { return true };
                let kept = kept.and_then(|kept| kept.below(&step)).filter(|kept| !kept.is_empty());
                if kept.is_none() && below.has_itself() {
                    return false;
                }
                prune_at(item, below, kept, schema, path);
                true
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::patch::PatchSchema;
    use serde_json::{Value, json};

    use super::super::set_of;
    use super::{merge, prune};

    fn schema() -> PatchSchema {
        PatchSchema::of("image.openshift.io", "ImageStream")
    }

    #[test]
    fn what_is_said_is_merged() {
        let check = |live: Value, wanted: Value, expected: Result<Value, &str>| {
            let merged = merge(live, &wanted, &schema()).map_err(|error| error.to_string());
            assert_eq!(merged.as_ref().map_err(String::as_str), expected.as_ref().map_err(|text| *text));
        };
        let tags = |tags: Value| json!({"spec": {"tags": tags}});
        check(
            tags(json!([{"name": "a", "reference": true}, {"name": "b"}])),
            tags(json!([{"name": "c"}, {"name": "a", "from": {"name": "x"}}])),
            Ok(tags(
                json!([{"name": "a", "reference": true, "from": {"name": "x"}}, {"name": "b"}, {"name": "c"}]),
            )),
        );
        check(
            json!({"a": 1, "b": {"c": [1]}}),
            json!({"a": null, "b": {"c": [2]}}),
            Ok(json!({"b": {"c": [2]}})),
        );
        check(
            json!({}),
            tags(json!([{"from": {}}])),
            Err(
                "failed to create typed patch object: .spec.tags: element 0: associative list with keys has an element that omits key field \"name\"",
            ),
        );
        check(
            json!({}),
            tags(json!([{"name": "a"}, {"name": "a"}])),
            Err("failed to create typed patch object: .spec.tags: duplicate entries for key [name=\"a\"]"),
        );
    }

    #[test]
    fn what_is_no_longer_said_goes_unless_others_say_it() {
        let mut object = json!({
            "data": {"mine": "1", "ours": "1", "theirs": "1"}, "spec": {"tags": [{"name": "1"}, {"name": "2"}]},
        });
        let before = json!({"data": {"mine": "1", "ours": "1"}, "spec": {"tags": [{"name": "1"}]}});
        let others = set_of(&json!({"data": {"ours": "1"}}), &schema());
        prune(&mut object, &set_of(&before, &schema()), &others, &schema());
        assert_eq!(object, json!({"data": {"ours": "1", "theirs": "1"}, "spec": {"tags": [{"name": "2"}]}}));
    }
}
