//! The patch that leads from what there is to what a document says, removing what only the last document said.
//!
//! Two forms: a merge patch, in which lists are replaced, and a strategic merge patch, in which the items of lists
//! that have a key are merged one by one (platform 1.7). Pure.

use pierhead_api::patch::{ListMerge, PatchSchema};
use serde_json::{Map, Value, json};

/// The three documents.
#[derive(Clone, Copy, Debug)]
struct Sides<'v> {
    before: Option<&'v Value>,
    wanted: &'v Value,
    current: &'v Value,
}

/// The patch; empty where nothing needs to change. Without a schema it is a merge patch.
pub(super) fn patch(
    before: Option<&Value>,
    wanted: &Value,
    current: &Value,
    schema: Option<&PatchSchema>,
) -> Value {
    Value::Object(of_objects(Sides { before, wanted, current }, schema, ""))
}

fn of_objects(sides: Sides<'_>, schema: Option<&PatchSchema>, path: &str) -> Map<String, Value> {
    let mut patch = Map::new();
    let fields = sides.wanted.as_object();
    for (key, value) in fields.into_iter().flatten() {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let known = sides.current.get(key).filter(|known| !known.is_null());
        let before = sides.before.and_then(|before| before.get(key));
        match (value, known) {
            (Value::Null, None) => {}
            (Value::Object(_), Some(current @ Value::Object(_))) => {
                let inner = of_objects(Sides { before, wanted: value, current }, schema, &below);
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (value, Some(current)) if value == current => {}
            (Value::Array(items), Some(Value::Array(current))) => {
                let old = before.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let lists = Lists { before: old, wanted: items, current, schema, path: &below };
                match schema.and_then(|schema| schema.list(&below)) {
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                    Some(ListMerge::Set) => lists.sets(key, &mut patch),
                    Some(ListMerge::ByKey(member)) => lists.items(key, member, &mut patch),
                }
            }
            (value, _) => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in sides.before.and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key) {
        let is_wanted = fields.is_some_and(|fields| fields.contains_key(key));
        if !is_wanted && sides.current.get(key).is_some_and(|known| !known.is_null()) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    patch
}

/// A list of the three documents.
struct Lists<'v> {
    before: &'v [Value],
    wanted: &'v [Value],
    current: &'v [Value],
    schema: Option<&'v PatchSchema>,
    path: &'v str,
}

impl Lists<'_> {
    /// Plain values: what is missing is added, what only the last document had goes.
    fn sets(&self, key: &str, patch: &mut Map<String, Value>) {
        let added: Vec<Value> =
            self.wanted.iter().filter(|item| !self.current.contains(item)).cloned().collect();
        let removed: Vec<Value> = self
            .before
            .iter()
            .filter(|item| !self.wanted.contains(item) && self.current.contains(item))
            .cloned()
            .collect();
        if !added.is_empty() {
            patch.insert(key.to_owned(), Value::Array(added));
        }
        if !removed.is_empty() {
            patch.insert(format!("$deleteFromPrimitiveList/{key}"), Value::Array(removed));
        }
    }

    /// Objects with a key: each is added, changed or deleted by itself.
    fn items(&self, key: &str, member: &str, patch: &mut Map<String, Value>) {
        let find = |list: &'_ [Value], item: &Value| -> Option<Value> {
            let wanted = item.get(member)?;
            list.iter().find(|other| other.get(member) == Some(wanted)).cloned()
        };
        let mut changes = Vec::new();
        for item in self.wanted {
            let Some(name) = item.get(member) else {
                // An item without its key cannot be told from the others.
                patch.insert(key.to_owned(), Value::Array(self.wanted.to_vec()));
                return;
            };
            let Some(known) = find(self.current, item) else {
                changes.push(item.clone());
                continue;
            };
            let before = find(self.before, item);
            let sides = Sides { before: before.as_ref(), wanted: item, current: &known };
            let mut inner = of_objects(sides, self.schema, self.path);
            if !inner.is_empty() {
                inner.insert(member.to_owned(), name.clone());
                changes.push(Value::Object(inner));
            }
        }
        for item in self.before {
            let is_there = find(self.current, item).is_some();
            if let Some(name) = item.get(member)
                && is_there
                && find(self.wanted, item).is_none()
            {
                changes.push(json!({"$patch": "delete", member: name}));
            }
        }
        let order = |list: &[Value]| -> Vec<Value> {
            let is_wanted = |item: &&Value| find(self.wanted, item).is_some();
            list.iter()
                .filter(is_wanted)
                .filter_map(|item| Some(json!({member: item.get(member)?})))
                .collect()
        };
        let wanted_order = order(self.wanted);
        if changes.is_empty() && order(self.current) == wanted_order {
            return;
        }
        patch.insert(format!("$setElementOrder/{key}"), Value::Array(wanted_order));
        if !changes.is_empty() {
            patch.insert(key.to_owned(), Value::Array(changes));
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::patch::{PatchSchema, strategic_merge_patch};
    use serde_json::{Value, json};

    use super::patch;

    #[track_caller]
    fn check(before: Value, wanted: Value, current: Value, expected: Value) {
        assert_eq!(patch(Some(&before), &wanted, &current, None), expected);
    }

    #[test]
    fn own_fields_go_others_stay() {
        check(
            json!({"spec": {"a": 1, "b": 1}, "labels": {"x": "1"}}),
            json!({"spec": {"a": 2}, "labels": {"y": "1"}}),
            json!({"spec": {"a": 1, "b": 1, "server": true}, "labels": {"x": "1", "theirs": "1"}}),
            json!({"spec": {"a": 2, "b": null}, "labels": {"y": "1", "x": null}}),
        );
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": 2}}), json!({}));
        check(json!({"a": 1}), json!({}), json!({}), json!({}));
        check(json!({}), json!({"list": [1, 2]}), json!({"list": [1]}), json!({"list": [1, 2]}));
    }

    /// The patch, applied as the server does, must give what is expected.
    #[track_caller]
    fn check_strategic(before: Value, wanted: Value, current: Value, expected: Value) {
        let schema = PatchSchema::of("", "Pod");
        let in_pod = |containers: Value| json!({"spec": {"containers": containers}});
        let (before, wanted, current) = (in_pod(before), in_pod(wanted), in_pod(current));
        let patch = patch(Some(&before), &wanted, &current, Some(&schema));
        let applied = strategic_merge_patch(&current, &patch, &schema).unwrap();
        assert_eq!(applied["spec"]["containers"], expected, "{patch}");
    }

    #[test]
    fn items_with_a_key_are_merged() {
        // What the server (a default) and somebody else (a sidecar) added stays.
        check_strategic(
            json!([{"name": "web", "image": "a:1", "env": [{"name": "A", "value": "1"}]}, {"name": "old"}]),
            json!([{"name": "web", "image": "a:2", "env": [{"name": "B", "value": "2"}]}, {"name": "new"}]),
            json!([
                {"name": "web", "image": "a:1", "imagePullPolicy": "Always", "env": [{"name": "A", "value": "1"}]},
                {"name": "old", "imagePullPolicy": "Always"},
                {"name": "sidecar"},
            ]),
            json!([
                {"name": "web", "image": "a:2", "imagePullPolicy": "Always", "env": [{"name": "B", "value": "2"}]},
                {"name": "sidecar"},
                {"name": "new"},
            ]),
        );
        let schema = PatchSchema::of("", "Pod");
        let same = json!({"spec": {"containers": [{"name": "web", "image": "a"}]}});
        let current = json!({"spec": {"containers": [{"name": "web", "image": "a", "tty": false}]}});
        assert_eq!(patch(Some(&same), &same, &current, Some(&schema)), json!({}));
    }

    #[test]
    fn sets_are_merged() {
        let schema = PatchSchema::of("", "Pod");
        let with = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
        let found = patch(
            Some(&with(json!(["a", "b"]))),
            &with(json!(["a", "c"])),
            &with(json!(["a", "b", "theirs"])),
            Some(&schema),
        );
        assert_eq!(
            found,
            json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["b"]}})
        );
    }
}
