//! Finalizers, owners and the ways to delete, held against a model of what Kubernetes does (reliability 6-W W6).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use proptest::prelude::{Strategy, any, prop, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::world::{Reply, World, admin};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Histories of the ordinary test run, and steps of each.
const CASES: u32 = 150;
const STEPS: usize = 25;
const NAMES: usize = 6;

async fn make(world: &World, name: &str, owners: &[(&Value, bool)], held: bool) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|(owner, blocks)| {
            let metadata = &owner["metadata"];
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"],
                "blockOwnerDeletion": blocks,
            })
        })
        .collect();
    let finalizers = if held { json!(["example.com/hold"]) } else { json!([]) };
    let object = json!({"metadata": {"name": name, "ownerReferences": owners, "finalizers": finalizers}});
    let made = world.post(&admin(), MAPS, object).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body
}

async fn delete(world: &World, name: &str, policy: &str) -> Reply {
    let options = json!({"propagationPolicy": policy}).to_string();
    world.send(&admin(), "DELETE", &format!("{MAPS}/{name}"), &[], options).await
}

/// The objects, and whether each is to be deleted.
async fn left(world: &World, prefix: &str) -> BTreeMap<String, bool> {
    let list = world.get(&admin(), MAPS).await.body;
    let objects = list["items"].as_array().unwrap().iter().filter_map(|object| {
        let name = object["metadata"]["name"].as_str()?.strip_prefix(prefix)?;
        Some((name.to_owned(), object["metadata"]["deletionTimestamp"].is_string()))
    });
    objects.collect()
}

fn state(objects: &[(&str, bool)]) -> BTreeMap<String, bool> {
    objects.iter().map(|(name, goes)| ((*name).to_owned(), *goes)).collect()
}

#[tokio::test]
async fn an_owner_deleted_in_the_foreground_goes_last() {
    let world = World::new().await;
    let a = make(&world, "a", &[], false).await;
    let b = make(&world, "b", &[(&a, true)], false).await;
    make(&world, "c", &[(&b, true)], true).await;
    make(&world, "d", &[(&a, false)], true).await;
    let held = delete(&world, "a", "Foreground").await;
    assert_eq!(held.status, StatusCode::OK);
    assert_eq!(held.body["metadata"]["finalizers"], json!(["foregroundDeletion"]), "{}", held.body);
    assert_eq!(left(&world, "").await, state(&[("a", true), ("b", true), ("c", true), ("d", true)]));
    // d does not block anybody. Whoever holds c lets go, and all go at once.
    let free = json!({"metadata": {"finalizers": null}});
    world.patch(&admin(), &format!("{MAPS}/c"), "merge-patch", free.clone()).await;
    assert_eq!(left(&world, "").await, state(&[("d", true)]));
    world.patch(&admin(), &format!("{MAPS}/d"), "merge-patch", free).await;
    assert_eq!(left(&world, "").await, state(&[]));
}

#[tokio::test]
async fn whoever_stops_blocking_lets_the_owner_go() {
    let world = World::new().await;
    let a = make(&world, "a", &[], false).await;
    make(&world, "b", &[(&a, true)], true).await;
    delete(&world, "a", "Foreground").await;
    let references = json!({"metadata": {"ownerReferences": null}});
    world.patch(&admin(), &format!("{MAPS}/b"), "merge-patch", references).await;
    assert_eq!(left(&world, "").await, state(&[("b", true)]));
    // A second deletion may ask for something else.
    let c = make(&world, "c", &[], false).await;
    make(&world, "d", &[(&c, true)], true).await;
    delete(&world, "c", "Foreground").await;
    delete(&world, "c", "Background").await;
    assert_eq!(left(&world, "").await, state(&[("b", true), ("d", true)]));
}

#[tokio::test]
async fn who_own_each_other_go_together() {
    let world = World::new().await;
    let a = make(&world, "a", &[], false).await;
    let b = make(&world, "b", &[(&a, true)], false).await;
    let owner = &b["metadata"];
    let references = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": owner["uid"], "blockOwnerDeletion": true,
    }]}});
    world.patch(&admin(), &format!("{MAPS}/a"), "merge-patch", references).await;
    delete(&world, "a", "Foreground").await;
    assert_eq!(left(&world, "").await, state(&[]));
}

async fn own(world: &World, name: &str, owner: &Value) {
    let references = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]}});
    let path = format!("{MAPS}/{name}");
    let patched = world.patch(&admin(), &path, "merge-patch", references).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.body);
}

#[tokio::test]
async fn a_circle_is_found_behind_very_many_others() {
    let world = World::new().await;
    let z = make(&world, "z", &[], false).await;
    let b = make(&world, "b", &[(&z, true)], false).await;
    let c = make(&world, "c", &[(&b, true)], false).await;
    own(&world, "z", &c).await;
    for number in 0..505 {
        make(&world, &format!("d{number}"), &[(&c, true)], number == 0).await;
    }
    delete(&world, "z", "Foreground").await;
    // Somebody holds d0, which c waits for; b waits for c, and z for nobody.
    assert_eq!(left(&world, "").await, state(&[("c", true), ("d0", true)]));
    let free = json!({"metadata": {"finalizers": null}});
    world.patch(&admin(), &format!("{MAPS}/d0"), "merge-patch", free).await;
    assert_eq!(left(&world, "").await, state(&[]));
}

#[tokio::test]
async fn who_wait_already_when_they_come_to_own_each_other_go_too() {
    let world = World::new().await;
    let (a, b) = (make(&world, "a", &[], false).await, make(&world, "b", &[], false).await);
    make(&world, "a1", &[(&a, true)], true).await;
    make(&world, "b1", &[(&b, true)], true).await;
    delete(&world, "a", "Foreground").await;
    delete(&world, "b", "Foreground").await;
    own(&world, "a", &b).await;
    own(&world, "b", &a).await;
    for name in ["a1", "b1"] {
        let free = json!({"metadata": {"finalizers": null}});
        world.patch(&admin(), &format!("{MAPS}/{name}"), "merge-patch", free).await;
    }
    assert_eq!(left(&world, "").await, state(&[]));
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Make { name: usize, owners: BTreeSet<usize>, held: bool },
    Delete { name: usize, policy: &'static str },
    Free { name: usize },
    Disown { name: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    let policy = prop_oneof![
        proptest::strategy::Just("Background"),
        proptest::strategy::Just("Foreground"),
        proptest::strategy::Just("Orphan"),
    ];
    let owners = prop::collection::btree_set(0..NAMES, 0..3);
    prop_oneof![
        4 => (name.clone(), owners, any::<bool>()).prop_map(|(name, owners, held)| Step::Make { name, owners, held }),
        3 => (name.clone(), policy).prop_map(|(name, policy)| Step::Delete { name, policy }),
        2 => name.clone().prop_map(|name| Step::Free { name }),
        1 => name.prop_map(|name| Step::Disown { name }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    Orphan,
    First,
}

/// An object of the model. All references block.
#[derive(Clone, Debug)]
struct Object {
    id: u64,
    owners: BTreeMap<u64, bool>,
    held: bool,
    goes: bool,
    mark: Mark,
}

/// What Kubernetes' API server and garbage collector come to, in the end, after each step.
#[derive(Debug, Default)]
struct Model {
    objects: BTreeMap<usize, Object>,
    next: u64,
}

impl Model {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Make { name, owners, held } => {
                if !self.objects.contains_key(name) {
                    let owners = owners.iter().filter_map(|owner| Some((self.objects.get(owner)?.id, true)));
                    let owners = owners.collect();
                    self.next += 1;
                    let object = Object { id: self.next, owners, held: *held, goes: false, mark: Mark::None };
                    self.objects.insert(*name, object);
                }
            }
            Step::Delete { name, policy } => {
                if let Some(object) = self.objects.get_mut(name) {
                    object.goes = true;
                    object.mark = match *policy {
                        "Orphan" => Mark::Orphan,
                        "Foreground" => Mark::First,
                        _ => Mark::None,
                    };
                }
            }
            Step::Free { name } => {
                if let Some(object) = self.objects.get_mut(name) {
                    object.held = false;
                }
            }
            Step::Disown { name } => {
                if let Some(object) = self.objects.get_mut(name) {
                    object.owners.clear();
                }
            }
        }
        while self.collect() {}
    }

    fn dependents(&self, id: u64) -> Vec<usize> {
        let owned = self.objects.iter().filter(|(_, object)| object.owners.contains_key(&id));
        owned.map(|(name, _)| *name).collect()
    }

    /// One thing that the collector does; false when there is nothing left to do.
    fn collect(&mut self) -> bool {
        let names: Vec<usize> = self.objects.keys().copied().collect();
        names.into_iter().any(|name| self.collect_one(name))
    }

    fn collect_one(&mut self, name: usize) -> bool {
        let object = self.objects[&name].clone();
        let dependents = self.dependents(object.id);
        if object.goes {
            match object.mark {
                Mark::Orphan => {
                    for dependent in dependents {
                        if let Some(dependent) = self.objects.get_mut(&dependent) {
                            dependent.owners.remove(&object.id);
                        }
                    }
                    self.mark(name, Mark::None);
                    return true;
                }
                Mark::First => {
                    let blocks = |dependent: &usize| self.objects[dependent].owners[&object.id];
                    if !dependents.iter().any(blocks) {
                        self.mark(name, Mark::None);
                        return true;
                    }
                }
                Mark::None if !object.held => {
                    self.objects.remove(&name);
                    return true;
                }
                Mark::None => {}
            }
            return false;
        }
        let find = |id: &u64| self.objects.values().find(|object| object.id == *id);
        let waits = |object: &Object| object.goes && object.mark == Mark::First;
        let (mut solid, mut waiting, mut other) = (0, 0, BTreeSet::new());
        for owner in object.owners.keys() {
            match find(owner) {
                Some(owner) if !waits(owner) => solid += 1,
                Some(_) => {
                    waiting += 1;
                    other.insert(*owner);
                }
                None => {
                    other.insert(*owner);
                }
            }
        }
        if other.is_empty() {
            return false;
        }
        let in_circle = dependents.iter().any(|dependent| waits(&self.objects[dependent]));
        let changed = self.objects.get_mut(&name).expect("it is one of the objects");
        if solid > 0 {
            changed.owners.retain(|owner, _| !other.contains(owner));
            return true;
        }
        if waiting > 0 && !dependents.is_empty() {
            if in_circle {
                changed.owners.values_mut().for_each(|blocks| *blocks = false);
            }
            changed.mark = Mark::First;
        }
        changed.goes = true;
        true
    }

    fn mark(&mut self, name: usize, mark: Mark) {
        if let Some(object) = self.objects.get_mut(&name) {
            object.mark = mark;
        }
    }

    fn state(&self) -> BTreeMap<String, bool> {
        self.objects.iter().map(|(name, object)| (name.to_string(), object.goes)).collect()
    }
}

async fn take(world: &World, prefix: &str, step: &Step) {
    let path = |name: &usize| format!("{MAPS}/{prefix}{name}");
    match step {
        Step::Make { name, owners, held } => {
            if world.get(&admin(), &path(name)).await.status == StatusCode::OK {
                return;
            }
            let mut found = Vec::new();
            for owner in owners {
                let reply = world.get(&admin(), &path(owner)).await;
                if reply.status == StatusCode::OK {
                    found.push(reply.body);
                }
            }
            let owners: Vec<(&Value, bool)> = found.iter().map(|owner| (owner, true)).collect();
            make(world, &format!("{prefix}{name}"), &owners, *held).await;
        }
        Step::Delete { name, policy } => {
            delete(world, &format!("{prefix}{name}"), policy).await;
        }
        Step::Free { name } => {
            let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}});
            world.patch(&admin(), &path(name), "strategic-merge-patch", patch).await;
        }
        Step::Disown { name } => {
            let patch = json!({"metadata": {"ownerReferences": null}});
            world.patch(&admin(), &path(name), "merge-patch", patch).await;
        }
    }
}

/// W6. `PIERHEAD_MODEL_CASES` asks for more histories.
#[test]
fn w6_deletions_end_as_in_the_model() {
    let asked = std::env::var_os("PIERHEAD_MODEL_CASES").and_then(|text| text.to_str()?.parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let case = Cell::new(0);
    let config = Config { cases: asked.unwrap_or(CASES), failure_persistence: None, ..Config::default() };
    let histories = prop::collection::vec(step(), 1..STEPS);
    let outcome = TestRunner::new(config).run(&histories, |steps| {
        case.set(case.get() + 1);
        let prefix = format!("m{}-", case.get());
        let mut model = Model::default();
        for (place, step) in steps.iter().enumerate() {
            model.take(step);
            let found = runtime.block_on(async {
                take(&world, &prefix, step).await;
                left(&world, &prefix).await
            });
            if found != model.state() {
                let wanted = model.state();
                return Err(TestCaseError::fail(format!("after step {place}: {found:?}, wanted {wanted:?}")));
            }
        }
        // What is left must not make the lists of the next history longer.
        runtime.block_on(async {
            for name in 0..NAMES {
                take(&world, &prefix, &Step::Delete { name, policy: "Orphan" }).await;
                take(&world, &prefix, &Step::Free { name }).await;
            }
        });
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
