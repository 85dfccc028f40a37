//! Strategic merge patches lead where they are to lead: for any two documents, every patch that a client may write down
//! for the way from one to the other, directives included, gives exactly the other.

use pierhead_api::patch::{ListMerge, PatchSchema, member_path, strategic_merge_patch};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, proptest};
use serde_json::{Map, Value, json};

/// How a client writes a difference down, of several ways each time there is a choice.
struct Ways<'w> {
    schema: PatchSchema,
    choices: std::iter::Cycle<std::slice::Iter<'w, u8>>,
}

impl Ways<'_> {
    fn is_one_in(&mut self, count: u8) -> bool {
        self.choices.next().is_some_and(|choice| choice % count == 0)
    }

    /// The patch that makes `new` of `old`.
    fn of_objects(
        &mut self,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
        path: &str,
    ) -> Map<String, Value> {
        let mut patch = Map::new();
        let gone: Vec<&String> = old.keys().filter(|name| !new.contains_key(*name)).collect();
        if !gone.is_empty() && self.is_one_in(2) {
            patch.insert("$retainKeys".to_owned(), new.keys().cloned().collect());
        } else {
            patch.extend(gone.into_iter().map(|name| (name.clone(), Value::Null)));
        }
        for (name, value) in new {
            let below = member_path(path, name);
            match (old.get(name), value) {
                (Some(old), value) if old == value => {}
                (Some(Value::Object(_)), Value::Object(value)) if self.is_one_in(4) => {
                    let mut whole = value.clone();
                    whole.insert("$patch".to_owned(), "replace".into());
                    patch.insert(name.clone(), whole.into());
                }
                (Some(Value::Object(old)), Value::Object(value)) => {
                    patch.insert(name.clone(), self.of_objects(old, value, &below).into());
                }
                (Some(Value::Array(old)), Value::Array(value)) => match self.schema.list(&below) {
                    None => drop(patch.insert(name.clone(), value.clone().into())),
                    Some(ListMerge::Set) => of_sets(old, value, name, &mut patch),
                    Some(ListMerge::ByKey(key)) => {
                        self.of_lists((old, value), key, (name, &below), &mut patch)
                    }
                },
                _ => drop(patch.insert(name.clone(), value.clone())),
            }
        }
        patch
    }

    fn of_lists(
        &mut self,
        (old, new): (&[Value], &[Value]),
        key: &str,
        (name, path): (&str, &str),
        patch: &mut Map<String, Value>,
    ) {
        if self.is_one_in(4) {
            let mut whole = vec![json!({"$patch": "replace"})];
            whole.extend_from_slice(new);
            patch.insert(name.to_owned(), whole.into());
            return;
        }
        let same = |items: &[Value], id: &Value| items.iter().find(|item| item[key] == *id).cloned();
        let mut changes = Vec::new();
        for item in old.iter().filter(|item| same(new, &item[key]).is_none()) {
            changes.push(json!({key: item[key], "$patch": "delete"}));
        }
        for item in new {
            let Some(before) = same(old, &item[key]) else {
                changes.push(item.clone());
                continue;
            };
            let (before, after) = (before.as_object().unwrap().clone(), item.as_object().unwrap());
            let mut change = self.of_objects(&before, after, path);
            if !change.is_empty() {
                change.insert(key.to_owned(), item[key].clone());
                changes.push(change.into());
            }
        }
        let order = new.iter().map(|item| json!({key: item[key]})).collect();
        patch.insert(format!("$setElementOrder/{name}"), Value::Array(order));
        if !changes.is_empty() {
            patch.insert(name.to_owned(), changes.into());
        }
    }
}

fn of_sets(old: &[Value], new: &[Value], name: &str, patch: &mut Map<String, Value>) {
    let beside = |of: &[Value], others: &[Value]| -> Vec<Value> {
        of.iter().filter(|item| !others.contains(item)).cloned().collect()
    };
    patch.insert(format!("$deleteFromPrimitiveList/{name}"), beside(old, new).into());
    patch.insert(format!("$setElementOrder/{name}"), new.to_vec().into());
    patch.insert(name.to_owned(), beside(new, old).into());
}

fn some(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::option::of(strategy).prop_map(|value| value.unwrap_or(Value::Null))
}

/// An object of these members, without those that are null.
fn members(members: Vec<(&'static str, Value)>) -> Value {
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    members.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d", "e"]).prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Value> {
    prop::collection::vec(word(), 0..4).prop_map(Value::from)
}

fn map() -> impl Strategy<Value = Value> {
    prop::collection::hash_map(word(), word(), 0..4).prop_map(|pairs| json!(pairs))
}

/// A list in any order whose items have different names.
fn named(item: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let names = Just(vec!["a", "b", "c", "d", "e"]).prop_shuffle();
    (names, prop::collection::vec(item, 0..5)).prop_map(|(names, items)| {
        let named = names.into_iter().zip(items).map(|(name, mut item)| {
            item["name"] = name.into();
            item
        });
        named.collect()
    })
}

fn set() -> impl Strategy<Value = Value> {
    (Just(vec!["a", "b", "c", "d", "e"]).prop_shuffle(), 0..5_usize)
        .prop_map(|(items, length)| json!(items.into_iter().take(length).collect::<Vec<_>>()))
}

/// A pod: lists with keys within lists with keys, sets, lists that are one value, maps.
fn pod() -> impl Strategy<Value = Value> {
    let variable = some(word().prop_map(Value::from)).prop_map(|value| members(vec![("value", value)]));
    let container = (some(named(variable)), some(words()), some(map())).prop_map(|(env, args, limits)| {
        members(vec![("env", env), ("args", args), ("resources", members(vec![("limits", limits)]))])
    });
    let volume = (some(map()), some(map()))
        .prop_map(|(empty, config)| members(vec![("emptyDir", empty), ("configMap", config)]));
    let spec = (some(named(container)), some(named(volume)), some(map()), some(words()));
    let metadata = (some(set()), some(map()));
    (metadata, spec).prop_map(|((finalizers, labels), (containers, volumes, selector, gates))| {
        let spec = members(vec![
            ("containers", containers),
            ("volumes", volumes),
            ("nodeSelector", selector),
            ("tolerations", gates),
        ]);
        json!({"metadata": members(vec![("finalizers", finalizers), ("labels", labels)]), "spec": spec})
    })
}

proptest! {
    #[test]
    fn every_way_from_one_document_to_another_leads_there(
        old in pod(),
        new in pod(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let schema = PatchSchema::of("", "Pod");
        let mut ways = Ways { schema, choices: choices.iter().cycle() };
        let patch = Value::Object(ways.of_objects(old.as_object().unwrap(), new.as_object().unwrap(), ""));
        let patched = strategic_merge_patch(&old, &patch, &schema).unwrap();
        prop_assert_eq!(&patched, &new, "by {}", patch);
        // Whoever sends it again, not knowing that it was applied, changes nothing.
        prop_assert_eq!(&strategic_merge_patch(&patched, &patch, &schema).unwrap(), &new, "again by {}", patch);
    }
}
