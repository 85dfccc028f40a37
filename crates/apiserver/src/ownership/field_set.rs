//! Sets of fields, and what two documents differ in.
//!
//! Owns FieldsV1 of the Kubernetes API: `f:` members of objects, `k:` items of keyed lists, `v:` values of sets, and `.`
//! for a field that is in the set itself besides what is below it. How the lists of a kind merge is `api`'s schema.

use std::collections::{BTreeMap, HashMap};

use pierhead_api::patch::{ListMerge, PatchSchema, member_path};
use serde_json::{Map, Value, json};

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether the field itself is in the set.
    member: bool,
    below: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    fn leaf() -> Self {
        Self { member: true, below: BTreeMap::new() }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.below.values().all(Self::is_empty)
    }

    /// Reads FieldsV1; `None` where that is none.
    pub(crate) fn read(fields: &Value) -> Option<Self> {
        let members = fields.as_object()?;
        let mut set = Self::default();
        for (step, below) in members {
            if step == "." {
                set.member = true;
                continue;
            }
            if !step.starts_with("f:") && !step.starts_with("k:") && !step.starts_with("v:") {
                return None;
            }
            let mut below = Self::read(below)?;
            below.member |= below.below.is_empty();
            set.below.insert(step.clone(), below);
        }
        Some(set)
    }

    /// As FieldsV1.
    pub(crate) fn write(&self) -> Value {
        let mut members = Map::new();
        if self.member && !self.below.is_empty() {
            members.insert(".".to_owned(), json!({}));
        }
        for (step, below) in self.below.iter().filter(|(_, below)| !below.is_empty()) {
            members.insert(step.clone(), below.write());
        }
        Value::Object(members)
    }

    /// Adds what `other` has.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.member |= other.member;
        for (step, below) in &other.below {
            self.below.entry(step.clone()).or_default().unite(below);
        }
    }

    /// Takes out what `other` has.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (step, theirs) in &other.below {
            if let Some(mine) = self.below.get_mut(step) {
                mine.subtract(theirs);
                if mine.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }

    /// What both have.
    pub(crate) fn common(&self, other: &Self) -> Self {
        let both = |(step, mine): (&String, &Self)| {
            let common = mine.common(other.below.get(step)?);
            (!common.is_empty()).then(|| (step.clone(), common))
        };
        Self { member: self.member && other.member, below: self.below.iter().filter_map(both).collect() }
    }

    /// Whether the field itself is in the set.
    pub(crate) fn has_itself(&self) -> bool {
        self.member
    }

    /// The set below one step.
    pub(crate) fn below(&self, step: &str) -> Option<&Self> {
        self.below.get(step)
    }

    /// The steps below, with their sets.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.below.iter().map(|(step, below)| (step.as_str(), below))
    }

    /// How many fields there are, and the paths of the first `limit` of them, each shown in at most `bytes`.
    pub(crate) fn told(&self, limit: usize, bytes: usize) -> (usize, Vec<String>) {
        let mut told = Told { limit, bytes, count: 0, paths: Vec::new(), steps: Vec::new() };
        told.visit(self);
        (told.count, told.paths)
    }
}

struct Told<'a> {
    limit: usize,
    bytes: usize,
    count: usize,
    paths: Vec<String>,
    steps: Vec<&'a str>,
}

impl<'a> Told<'a> {
    fn visit(&mut self, set: &'a FieldSet) {
        if set.member {
            self.count += 1;
            if self.paths.len() < self.limit {
                let path: String = self.steps.iter().map(|step| show(step)).collect();
                self.paths.push(pierhead_api::excerpt(&path, self.bytes).into_owned());
            }
        }
        for (step, below) in &set.below {
            self.steps.push(step);
            self.visit(below);
            self.steps.pop();
        }
    }
}

/// One step of a path for people.
pub(super) fn show(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", key)) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let parts: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", parts.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        _ => String::new(),
    }
}

/// What two documents differ in.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// What is new or has another value.
    pub(crate) changed: FieldSet,
    /// What is gone.
    pub(crate) removed: FieldSet,
}

impl Difference {
    /// Whether they are the same.
    pub(crate) fn is_nothing(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// What of `new` differs from `old`, but for what only the server writes.
pub(crate) fn compare(old: &Value, new: &Value, schema: &PatchSchema) -> Difference {
    let mut difference = Difference::default();
    let walk = Walk { schema };
    walk.members(old, new, "", &mut difference.changed, &mut difference.removed);
    difference
}

/// The fields a document sets, as an apply claims them: no objects for the sake of what is in them.
pub(crate) fn set_of(document: &Value, schema: &PatchSchema) -> FieldSet {
    Walk { schema }.claimed(document, "")
}

/// Fields that are the server's, or the address of the object.
fn is_ours(path: &str, name: &str) -> bool {
    match path {
        "" => matches!(name, "apiVersion" | "kind"),
        "metadata" => matches!(
            name,
            "name"
                | "namespace"
                | "creationTimestamp"
                | "deletionTimestamp"
                | "deletionGracePeriodSeconds"
                | "selfLink"
                | "uid"
                | "clusterName"
                | "generation"
                | "managedFields"
                | "resourceVersion"
        ),
        _ => false,
    }
}

/// Objects that are there whatever is in them, and are nobody's.
fn is_frame(path: &str) -> bool {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    matches!(name, "metadata" | "spec" | "status" | "template")
}

/// The members that tell the items of a list apart, each with what it is when an item does not say.
pub(crate) fn keys_of(key: &'static str) -> Vec<(&'static str, Option<&'static str>)> {
    let mut keys = vec![(key, None)];
    if matches!(key, "port" | "containerPort") {
        keys.push(("protocol", Some("TCP")));
    }
    keys
}

/// The step to an item of a keyed list; `None` where it lacks a key.
pub(crate) fn item_step(item: &Value, keys: &[(&'static str, Option<&'static str>)]) -> Option<String> {
    let mut step = Map::new();
    for (key, default) in keys {
        let value = item.get(*key).filter(|value| !value.is_null()).cloned();
        step.insert((*key).to_owned(), value.or_else(|| default.map(Value::from))?);
    }
    Some(format!("k:{}", Value::Object(step)))
}

/// The items of a list that is merged, by step; `None` for one that is one value, or cannot be merged.
pub(crate) fn by_step(items: &[Value], merge: Option<ListMerge>) -> Option<Vec<(String, &Value)>> {
    match merge? {
        ListMerge::ByKey(key) => {
            let keys = keys_of(key);
            items.iter().map(|item| Some((item_step(item, &keys)?, item))).collect()
        }
        ListMerge::Set => Some(items.iter().map(|item| (format!("v:{item}"), item)).collect()),
    }
}

struct Walk<'a> {
    schema: &'a PatchSchema,
}

impl Walk<'_> {
    fn claimed(&self, value: &Value, path: &str) -> FieldSet {
        let mut set = FieldSet::default();
        match value {
            Value::Object(members) if !self.schema.is_atomic(path) => {
                for (name, member) in members {
                    if is_ours(path, name) || member.is_null() {
                        continue;
                    }
                    let path = member_path(path, name);
                    let below = self.claimed(member, &path);
                    if !below.is_empty() {
                        set.below.insert(format!("f:{name}"), below);
                    }
                }
                set.member = set.below.is_empty() && !path.is_empty() && !is_frame(path);
            }
            Value::Array(items) => match by_step(items, self.schema.list(path)) {
                Some(steps) if !steps.is_empty() => {
                    for (step, item) in steps {
                        let mut below =
                            if item.is_object() { self.claimed(item, path) } else { FieldSet::leaf() };
                        below.member = true;
                        set.below.insert(step, below);
                    }
                }
                _ => set.member = true,
            },
            _ => set.member = true,
        }
        set
    }

    /// All fields of a value that only one of the two documents has.
    fn whole(&self, value: &Value, path: &str) -> FieldSet {
        let mut set = self.claimed(value, path);
        self.own_frames(&mut set, value, path);
        set
    }

    /// Adds the objects and lists that came or went with what is in them.
    fn own_frames(&self, set: &mut FieldSet, value: &Value, path: &str) {
        match value {
            Value::Object(members) if !set.below.is_empty() => {
                set.member |= !path.is_empty() && !is_frame(path);
                for (name, member) in members {
                    if let Some(below) = set.below.get_mut(&format!("f:{name}")) {
                        self.own_frames(below, member, &member_path(path, name));
                    }
                }
            }
            Value::Array(items) if !set.below.is_empty() => {
                set.member = true;
                for (step, item) in by_step(items, self.schema.list(path)).unwrap_or_default() {
                    if let Some(below) = set.below.get_mut(&step) {
                        self.own_frames(below, item, path);
                    }
                }
            }
            _ => {}
        }
    }

    fn members(&self, old: &Value, new: &Value, path: &str, changed: &mut FieldSet, removed: &mut FieldSet) {
        let none = Map::new();
        let (old, new) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
        let there = |members: &'_ Map<String, Value>, name: &str| {
            members.get(name).is_some_and(|value| !value.is_null())
        };
        for (name, value) in new.iter().filter(|(name, value)| !is_ours(path, name) && !value.is_null()) {
            let before = old.get(name).filter(|value| !value.is_null());
            self.pair((format!("f:{name}"), before, Some(value)), &member_path(path, name), changed, removed);
        }
        for (name, value) in old.iter().filter(|(name, value)| !is_ours(path, name) && !value.is_null()) {
            if !there(new, name) {
                self.pair(
                    (format!("f:{name}"), Some(value), None),
                    &member_path(path, name),
                    changed,
                    removed,
                );
            }
        }
    }

    /// One field, before and after.
    fn pair(
        &self,
        (step, old, new): (String, Option<&Value>, Option<&Value>),
        path: &str,
        changed: &mut FieldSet,
        removed: &mut FieldSet,
    ) {
        let (mut come, mut gone) = (FieldSet::default(), FieldSet::default());
        match (old, new) {
            (None, Some(new)) => come = self.whole(new, path),
            (Some(old), None) => gone = self.whole(old, path),
            (Some(old), Some(new)) if old == new => return,
            (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) if !self.schema.is_atomic(path) => {
                self.members(old, new, path, &mut come, &mut gone);
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                let list = self.schema.list(path);
                match (by_step(old, list), by_step(new, list)) {
                    (Some(old), Some(new)) => self.items(&old, &new, path, &mut come, &mut gone),
                    _ => come.member = true,
                }
            }
            (Some(old), Some(new)) => {
                come = self.whole(new, path);
                gone = self.whole(old, path);
                gone.subtract(&come);
            }
            (None, None) => {}
        }
        for (set, found) in [(changed, come), (removed, gone)] {
            if !found.is_empty() {
                set.below.insert(step.clone(), found);
            }
        }
    }

    fn items(
        &self,
        old: &[(String, &Value)],
        new: &[(String, &Value)],
        path: &str,
        changed: &mut FieldSet,
        removed: &mut FieldSet,
    ) {
        let before: HashMap<&str, &Value> = old.iter().map(|(step, item)| (step.as_str(), *item)).collect();
        let after: HashMap<&str, &Value> = new.iter().map(|(step, item)| (step.as_str(), *item)).collect();
        for (step, item) in new {
            let was = before.get(step.as_str()).copied();
            self.pair((step.clone(), was, Some(item)), path, changed, removed);
        }
        for (step, item) in old.iter().filter(|(step, _)| !after.contains_key(step.as_str())) {
            self.pair((step.clone(), Some(item), None), path, changed, removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::patch::PatchSchema;
    use serde_json::{Map, Value, json};

    use super::{FieldSet, compare, set_of};

    fn stream() -> PatchSchema {
        PatchSchema::of("image.openshift.io", "ImageStream")
    }

    #[test]
    fn an_apply_claims_members_items_and_values() {
        let document = json!({
            "kind": "ImageStream", "metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["a/b"]},
            "spec": {"tags": [{"name": "1", "reference": true}], "dockerImageRepository": null},
        });
        let set = set_of(&document, &stream());
        let written = json!({
            "f:metadata": {"f:labels": {"f:x": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
            "f:spec": {"f:tags": {"k:{\"name\":\"1\"}": {"f:name": {}, "f:reference": {}, ".": {}}}},
        });
        assert_eq!(set.write(), written);
        assert_eq!(FieldSet::read(&written), Some(set));
        assert_eq!(FieldSet::read(&json!({"x": {}})), None);
    }

    #[track_caller]
    fn check(old: Value, new: Value, changed: Value, removed: Value) {
        let found = compare(&old, &new, &stream());
        assert_eq!((found.changed.write(), found.removed.write()), (changed, removed));
    }

    #[test]
    fn documents_differ_in_single_fields() {
        check(
            json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "1"}}}),
            json!({"metadata": {"name": "b", "labels": {"x": "2", "z": "1"}}}),
            json!({"f:metadata": {"f:labels": {"f:x": {}, "f:z": {}}}}),
            json!({"f:metadata": {"f:labels": {"f:y": {}}}}),
        );
        check(
            json!({"spec": {"tags": [{"name": "1", "reference": true}, {"name": "2"}]}}),
            json!({"spec": {"tags": [{"name": "2"}, {"name": "1", "reference": false}]}}),
            json!({"f:spec": {"f:tags": {"k:{\"name\":\"1\"}": {"f:reference": {}}}}}),
            json!({}),
        );
        check(
            json!({"spec": {"list": [1]}}),
            json!({"spec": {"list": [2]}, "status": {"tags": [{"tag": "a", "items": []}]}}),
            json!({
                "f:spec": {"f:list": {}},
                "f:status": {"f:tags": {".": {}, "k:{\"tag\":\"a\"}": {".": {}, "f:items": {}, "f:tag": {}}}},
            }),
            json!({}),
        );
    }

    #[test]
    fn ports_are_told_apart_by_protocol_too() {
        let port = |protocol: &str| json!({"port": 53, "protocol": protocol});
        let service = |ports: &[Value]| json!({"spec": {"ports": ports, "selector": {"a": "b"}}});
        let schema = PatchSchema::of("", "Service");
        let found = compare(&service(&[port("UDP")]), &service(&[port("UDP"), json!({"port": 53})]), &schema);
        assert_eq!(found.changed.told(9, 99).1[0], r#".spec.ports[port=53,protocol="TCP"]"#);
        let whole = set_of(&service(&[]), &schema).write();
        assert_eq!(whole, json!({"f:spec": {"f:ports": {}, "f:selector": {}}}), "a selector is one value");
    }

    #[test]
    fn paths_below_a_long_key_are_counted_and_told_in_short() {
        let members: Map<String, Value> = (0..10_000).map(|n| (n.to_string(), json!("1"))).collect();
        let set = set_of(&json!({"k".repeat(1_000_000): members}), &stream());
        let (count, told) = set.told(100, 1024);
        assert_eq!((count, told.len()), (10_000, 100));
        assert!(told.iter().all(|path| path.len() <= 1027));
    }
}
