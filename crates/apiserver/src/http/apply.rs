//! Server-side apply: an object made or changed to have what one manager says, and to lose what it no longer says.
//!
//! Owns the sets of fields in `metadata.managedFields` (FieldsV1 of the Kubernetes API) and conflicts between managers
//! that apply. Writes by PUT and PATCH are not recorded: they never conflict, and what they set stays until a manager
//! that applied it lets go of it. How lists merge is `api`'s schema of the kind.

use std::collections::HashSet;

use http::StatusCode;
use pierhead_api::excerpt;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, StatusReason, Time};
use pierhead_api::patch::{ListMerge, PatchSchema, member_path, strategic_merge_patch};
use pierhead_auth::Attributes;
use serde_json::{Map, Value, json};

use super::{body, update};
use crate::RequestBody;
use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::document;
use crate::error::ApiError;
use crate::metadata;
use crate::query::WriteOptions;
use crate::storage::Document;
use crate::strategy::Part;

/// Items of one list that is merged by key or as a set. Finding the item of a step takes a look at each, so the work
/// grows with the square of this.
const MAX_ITEMS: usize = 5_000;

/// Conflicts that are told; the others are counted.
const MAX_CONFLICTS: usize = 100;
/// Bytes of a field and of a manager's name that a conflict repeats.
const MAX_FIELD: usize = 1024;
const MAX_MANAGER: usize = 128;

/// The media type of an apply.
pub(super) const MEDIA_TYPE: &str = "application/apply-patch+yaml";

/// `PATCH …/<resource>/<name>?fieldManager=<manager>` with what the manager wants.
pub(super) async fn answer(call: &Call, body: RequestBody, part: Part) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    let Some(manager) = call.query.get("fieldManager") else {
        let mut errors = FieldErrors::new();
        errors.required("fieldManager", "is required for apply patch");
        return Err(Status::invalid("PatchOptions", "meta.k8s.io", "", &errors).into());
    };
    let bytes = body::collect(body).await?;
    let parsed = document::read_yaml(&bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let (mut wanted, _) = body::object(call, &call.resource.kind.gvk, parsed, options.field_validation)?;
    if !metadata::of(&wanted).get("managedFields").is_none_or(Value::is_null) {
        return Err(Status::bad_request("metadata.managedFields must be nil").into());
    }
    let named = metadata::text(&wanted, "name");
    if !named.is_empty() && named != call.name() {
        return Err(Status::bad_request(format!(
            "the name of the object ({named}) does not match the name on the URL ({})",
            call.name()
        ))
        .into());
    }
    metadata::of_mut(&mut wanted).insert("name".to_owned(), call.name().into());
    let apply = Apply {
        manager,
        force: call.query.flag("force"),
        fields: fields_of(&wanted, "", &call.resource.kind.patch),
        wanted,
        call,
    };
    check_lists(&apply.fields)?;
    let collection = Collection::of(call)?;
    if part == Part::Main && !is_there(call)? {
        apply.may_create()?;
        match collection.create(call.namespace(), apply.new_object(), &options).await {
            // Somebody made it meanwhile: what they made is changed below.
            Err(_) if is_there(call)? => {}
            made => {
                let made = made?;
                let document = Document::Tree(made.document);
                return Ok(Answer::Object { code: StatusCode::CREATED, document, warnings: made.warnings });
            }
        }
    }
    let written = collection.update(&call.key(), part, &options, |old| apply.onto(old)).await?;
    let warnings = written.warnings.clone();
    Ok(update::changed(written, warnings))
}

/// Whether the object exists. A 404 of a write would not tell: what the object refers to may be missing as well.
fn is_there(call: &Call) -> Result<bool, ApiError> {
    match &call.resource.storage {
        Some(storage) => match storage.find(&call.key()) {
            Ok(found) => Ok(found.is_some()),
            // Storages that tell what exactly is missing.
            Err(error) if error.status().code == 404 => Ok(false),
            Err(error) => Err(error),
        },
        None => Ok(false),
    }
}

struct Apply<'a> {
    manager: &'a str,
    force: bool,
    wanted: Value,
    fields: Value,
    call: &'a Call,
}

impl Apply<'_> {
    /// Making an object by applying needs the right to make it.
    fn may_create(&self) -> Result<(), ApiError> {
        let kind = &self.call.resource.kind;
        let attributes =
            Attributes::new("create", kind.gvk.group, kind.plural).namespace(self.call.namespace());
        let permit = self.call.server.auth.authorize(&self.call.subject, &attributes);
        permit.map(|_| ()).map_err(super::denied)
    }

    fn entry(&self, time: &Value) -> Value {
        json!({
            "manager": self.manager, "operation": "Apply", "apiVersion": self.call.resource.kind.api_version(),
            "time": time, "fieldsType": "FieldsV1", "fieldsV1": self.fields,
        })
    }

    fn now(&self) -> Value {
        Time(self.call.now).to_string().into()
    }

    fn new_object(&self) -> Value {
        let mut object = self.wanted.clone();
        metadata::of_mut(&mut object).insert("managedFields".to_owned(), json!([self.entry(&self.now())]));
        object
    }

    /// What `old` becomes.
    fn onto(&self, old: &Value) -> Result<Value, ApiError> {
        let entries = metadata::of(old).get("managedFields").and_then(Value::as_array);
        entries.into_iter().flatten().try_for_each(|entry| check_lists(&entry["fieldsV1"]))?;
        let (mine, mut others): (Vec<Value>, Vec<Value>) = entries
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .partition(|entry| entry["manager"] == self.manager && entry["operation"] == "Apply");
        self.settle_conflicts(old, &mut others)?;
        let mut object = old.clone();
        let before = mine.first().map_or(&Value::Null, |entry| &entry["fieldsV1"]);
        let kept: Vec<&Value> = others.iter().map(|entry| &entry["fieldsV1"]).collect();
        let_go(&mut object, before, &self.fields, &kept);
        let mut patch = self.wanted.clone();
        metadata::of_mut(&mut patch).shift_remove("resourceVersion");
        let schema = &self.call.resource.kind.patch;
        let mut object = strategic_merge_patch(&object, &patch, schema)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let unchanged = mine.first().filter(|entry| entry["fieldsV1"] == self.fields);
        let time = unchanged.map_or_else(|| self.now(), |entry| entry["time"].clone());
        others.push(self.entry(&time));
        let metadata = metadata::of_mut(&mut object);
        metadata.insert("managedFields".to_owned(), others.into());
        match metadata::text(&self.wanted, "resourceVersion") {
            "" => metadata.shift_remove("resourceVersion"),
            version => metadata.insert("resourceVersion".to_owned(), version.into()),
        };
        Ok(object)
    }

    /// Fields that another manager applied with another value: a conflict, or with force, ours from here on.
    fn settle_conflicts(&self, old: &Value, others: &mut Vec<Value>) -> Result<(), ApiError> {
        let mut contest = Contest { force: self.force, path: Vec::new(), count: 0, told: Vec::new() };
        for entry in others.iter_mut() {
            let manager = excerpt(entry["manager"].as_str().unwrap_or_default(), MAX_MANAGER);
            let version = excerpt(entry["apiVersion"].as_str().unwrap_or_default(), MAX_MANAGER);
            let who = format!("conflict with {manager:?} using {version}");
            contest.hold(&who, &self.fields, &mut entry["fieldsV1"], (&self.wanted, old));
        }
        others.retain(|entry| entry["fieldsV1"].as_object().is_none_or(|fields| !fields.is_empty()));
        if contest.force || contest.count == 0 {
            return Ok(());
        }
        let Contest { count, told, .. } = contest;
        let plural = if count == 1 { "conflict" } else { "conflicts" };
        let mut lines: Vec<String> = told.iter().map(|(who, field)| format!("{who}: {field}")).collect();
        if count > told.len() {
            lines.push(format!("and {} more", count - told.len()));
        }
        let message = format!("Apply failed with {count} {plural}: {}", lines.join("\n"));
        let status = Status::failure(409, StatusReason::Conflict, message);
        let with_cause = |status: Status, (who, field): (String, String)| {
            status.with_cause("FieldManagerConflict", who, &field)
        };
        Err(told.into_iter().fold(status, with_cause).into())
    }
}

/// The fields a document sets, as FieldsV1: `f:` members, `k:` items of keyed lists, `v:` values of sets.
fn fields_of(value: &Value, path: &str, schema: &PatchSchema) -> Value {
    let mut fields = Map::new();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let identity = path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind")
                    || path == "metadata"
                        && matches!(name.as_str(), "name" | "namespace" | "resourceVersion" | "uid");
                if identity || member.is_null() {
                    continue;
                }
                let path = member_path(path, name);
                let below = fields_of(member, &path, schema);
                let says_nothing = path == "metadata" && below.as_object().is_some_and(Map::is_empty);
                if !says_nothing {
                    fields.insert(format!("f:{name}"), below);
                }
            }
        }
        Value::Array(items) => match schema.list(path) {
            Some(ListMerge::ByKey(key)) => {
                for item in items {
                    let mut below = fields_of(item, path, schema);
                    below["."] = json!({});
                    fields.insert(format!("k:{}", json!({key: item[key]})), below);
                }
            }
            Some(ListMerge::Set) => {
                fields.extend(items.iter().map(|item| (format!("v:{item}"), json!({}))));
            }
            None => {}
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Value::Object(fields)
}

/// Refuses a set of fields with more items in one list than can be merged in reasonable time: 413.
fn check_lists(fields: &Value) -> Result<(), ApiError> {
    let Some(members) = fields.as_object() else { return Ok(()) };
    let is_item = |step: &&String| step.starts_with("k:") || step.starts_with("v:");
    if members.keys().filter(is_item).count() > MAX_ITEMS {
        let message = format!("an apply merges lists of at most {MAX_ITEMS} items");
        return Err(Status::failure(413, StatusReason::RequestEntityTooLarge, message).into());
    }
    members.values().try_for_each(check_lists)
}

/// One step of a path for people.
fn show(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some((_, key)) => format!("[{key}]"),
        None => String::new(),
    }
}

/// The part of a document one step leads to.
fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match step.split_once(':')? {
        ("f", name) => value.get(name),
        ("k", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).ok()?;
            value
                .as_array()?
                .iter()
                .find(|item| key.iter().all(|(name, value)| item.get(name) == Some(value)))
        }
        ("v", member) => {
            let member: Value = serde_json::from_str(member).ok()?;
            value.as_array()?.iter().find(|item| **item == member)
        }
        _ => None,
    }
}

/// Finds the leaves that our set and others have and whose values differ.
struct Contest<'a> {
    /// Whether the others lose them.
    force: bool,
    /// Steps to where the search is.
    path: Vec<&'a str>,
    /// How many there are.
    count: usize,
    /// The first of them: with whom, and where.
    told: Vec<(String, String)>,
}

impl<'a> Contest<'a> {
    fn hold(&mut self, who: &str, ours: &'a Value, theirs: &mut Value, (wanted, live): (&Value, &Value)) {
        let (Some(ours), Some(theirs)) = (ours.as_object(), theirs.as_object_mut()) else { return };
        let is_leaf = |set: &Value| set.as_object().is_none_or(Map::is_empty);
        let mut lost: HashSet<&str> = HashSet::new();
        for (step, below) in ours {
            let Some(set) = theirs.get_mut(step).filter(|_| step != ".") else { continue };
            let (wanted, live) = (child(wanted, step), child(live, step));
            self.path.push(step);
            if is_leaf(below) || is_leaf(set) {
                // An empty map claims none of its members.
                if wanted != live && !wanted.is_some_and(Value::is_object) {
                    self.note(who);
                    lost.insert(step);
                }
            } else if let (Some(wanted), Some(live)) = (wanted, live) {
                self.hold(who, below, set, (wanted, live));
                if is_leaf(set) {
                    lost.insert(step);
                }
            }
            self.path.pop();
        }
        if self.force && !lost.is_empty() {
            theirs.retain(|step, _| !lost.contains(step.as_str()));
        }
    }

    fn note(&mut self, who: &str) {
        self.count += 1;
        if !self.force && self.told.len() < MAX_CONFLICTS {
            let field: String = self.path.iter().map(|step| show(step)).collect();
            self.told.push((who.to_owned(), excerpt(&field, MAX_FIELD).into_owned()));
        }
    }
}

/// Removes from `object` what `before` has and neither `now` nor any of `kept` has.
fn let_go(object: &mut Value, before: &Value, now: &Value, kept: &[&Value]) {
    let Some(before) = before.as_object() else { return };
    for (step, below) in before.iter().filter(|(step, _)| *step != ".") {
        let still = now.get(step);
        let theirs: Vec<&Value> = kept.iter().filter_map(|set| set.get(step)).collect();
        let whole = below.get(".").is_some() || below.as_object().is_none_or(Map::is_empty);
        if still.is_none() && theirs.is_empty() && whole {
            remove(object, step);
        } else if let Some(part) = child_mut(object, step) {
            let_go(part, below, still.unwrap_or(&Value::Null), &theirs);
            let empty = part.as_object().is_some_and(Map::is_empty);
            if empty && still.is_none() && theirs.is_empty() {
                remove(object, step);
            }
        }
    }
}

fn child_mut<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if let Some(("f", name)) = step.split_once(':') {
        return value.get_mut(name);
    }
    let found = child(value, step)?.clone();
    value.as_array_mut()?.iter_mut().find(|item| **item == found)
}

fn remove(value: &mut Value, step: &str) {
    if let (Some(("f", name)), Some(members)) = (step.split_once(':'), value.as_object_mut()) {
        members.shift_remove(name);
        return;
    }
    let Some(found) = child(value, step).cloned() else { return };
    if let Some(items) = value.as_array_mut() {
        items.retain(|item| *item != found);
    }
}

#[cfg(test)]
mod tests {
    use super::{Contest, MAX_CONFLICTS, MAX_FIELD, MAX_ITEMS, check_lists, fields_of, let_go};
    use pierhead_api::patch::PatchSchema;
    use serde_json::{Map, Value, json};

    fn fields(document: &Value) -> Value {
        fields_of(document, "", &PatchSchema::of("image.openshift.io", "ImageStream"))
    }

    #[test]
    fn a_set_names_members_items_and_values() {
        let document = json!({
            "kind": "ImageStream", "metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["a/b"]},
            "spec": {"tags": [{"name": "1", "reference": true}], "dockerImageRepository": null},
        });
        assert_eq!(
            fields(&document),
            json!({
                "f:metadata": {"f:labels": {"f:x": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
                "f:spec": {"f:tags": {"k:{\"name\":\"1\"}": {"f:name": {}, "f:reference": {}, ".": {}}}},
            })
        );
    }

    #[test]
    fn merged_lists_have_a_limit() {
        let check = |items: usize, expected: Option<u16>| {
            let tags: Vec<Value> = (0..items).map(|n| json!({"name": n.to_string()})).collect();
            let checked = check_lists(&fields(&json!({"spec": {"tags": tags}})));
            assert_eq!(checked.err().map(|error| error.status().code), expected);
        };
        check(MAX_ITEMS, None);
        check(MAX_ITEMS + 1, Some(413));
    }

    #[test]
    fn what_is_no_longer_said_goes_unless_others_say_it() {
        let mut object = json!({
            "data": {"mine": "1", "ours": "1", "theirs": "1"}, "spec": {"tags": [{"name": "1"}, {"name": "2"}]},
        });
        let before = fields(&json!({"data": {"mine": "1", "ours": "1"}, "spec": {"tags": [{"name": "1"}]}}));
        let others = fields(&json!({"data": {"ours": "1"}}));
        let_go(&mut object, &before, &json!({}), &[&others]);
        assert_eq!(object, json!({"data": {"ours": "1", "theirs": "1"}, "spec": {"tags": [{"name": "2"}]}}));
    }

    #[test]
    fn only_other_values_are_contested() {
        let live = json!({"data": {"a": "1", "b": "1"}});
        let wanted = json!({"data": {"a": "1", "b": "2", "c": "3"}});
        let ours = fields(&wanted);
        let held = |force| {
            let mut theirs = fields(&live);
            let mut contest = Contest { force, path: Vec::new(), count: 0, told: Vec::new() };
            contest.hold("them", &ours, &mut theirs, (&wanted, &live));
            (contest.told, theirs)
        };
        assert_eq!(held(false), (vec![("them".to_owned(), ".data.b".to_owned())], fields(&live)));
        assert_eq!(held(true), (Vec::new(), fields(&json!({"data": {"a": "1"}}))));
    }

    #[test]
    fn conflicts_below_a_long_key_are_counted_and_told_in_short() {
        let document = |value: &str| {
            let members: Map<String, Value> = (0..10_000).map(|n| (n.to_string(), value.into())).collect();
            json!({"k".repeat(1_000_000): members})
        };
        let (live, wanted) = (document("1"), document("2"));
        let (ours, mut theirs) = (fields(&wanted), fields(&live));
        let mut contest = Contest { force: false, path: Vec::new(), count: 0, told: Vec::new() };
        contest.hold("them", &ours, &mut theirs, (&wanted, &live));
        assert_eq!((contest.count, contest.told.len()), (10_000, MAX_CONFLICTS));
        assert!(contest.told.iter().all(|(_, field)| field.len() <= MAX_FIELD + 3));
    }
}
