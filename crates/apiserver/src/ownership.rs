//! Who owns which fields of an object: `metadata.managedFields` (platform 1.7, server-side apply).
//!
//! Owns the records of every kind of write. A POST, PUT or PATCH makes its manager the owner of what it changed, and
//! takes that from all others; an apply makes its manager the owner of all it says, unless others own another value.
//! Objects that our own controllers make have no records, and later writes of anybody leave them without: the first
//! apply then finds one manager, `before-first-apply`, that owns all there is. Kinds that are views of others, or whose
//! rows are written by pushes and logins, are recorded only by applies. The sets are in `field_set`.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use pierhead_api::meta::Time;
use pierhead_api::patch::PatchSchema;
use serde_json::{Map, Value, json};

use crate::metadata;

mod field_set;
mod merge;

pub(crate) use field_set::{FieldSet, compare, set_of};
pub(crate) use merge::{merge, prune};

/// Managers of ordinary writes that are told apart; the oldest beyond are one.
const MAX_UPDATERS: usize = 10;
/// Who the oldest are together.
const ANCIENT: &str = "ancient-changes";
/// Who owns what was there when an object without records is applied to.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Who writes when nobody says so.
const UNKNOWN: &str = "unknown";
/// Bytes of a manager's name.
pub(crate) const MAX_MANAGER: usize = 128;

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    /// By saying all that it wants.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    /// Who.
    pub(crate) manager: String,
    /// How.
    pub(crate) operation: Operation,
    /// In which version of the kind the fields are named.
    pub(crate) api_version: String,
    /// Through which subresource; empty for the object itself.
    pub(crate) subresource: String,
    /// When it last changed something, as it was written.
    pub(crate) time: String,
    /// What.
    pub(crate) fields: FieldSet,
}

impl Owner {
    /// Whether `other` is the same manager. One that applies keeps its identity across versions.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// The owner as conflicts name it.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        match self.operation {
            Operation::Apply => text,
            Operation::Update => format!("{text} using {}", self.api_version),
        }
    }

    fn read(entry: &Value) -> Option<Self> {
        let text = |name: &str| match entry.get(name) {
            None | Some(Value::Null) => Some(String::new()),
            Some(value) => value.as_str().map(str::to_owned),
        };
        let operation = match entry.get("operation")?.as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if !matches!(text("fieldsType")?.as_str(), "" | "FieldsV1") {
            return None;
        }
        let none = Value::Object(Map::new());
        Some(Self {
            manager: text("manager")?,
            operation,
            api_version: text("apiVersion")?,
            subresource: text("subresource")?,
            time: text("time")?,
            fields: FieldSet::read(entry.get("fieldsV1").unwrap_or(&none))?,
        })
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager, "operation": self.operation.as_str(), "apiVersion": self.api_version,
            "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": self.fields.write(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }
}

/// The owners a document names; none where one of them cannot be read.
pub(crate) fn owners_of(document: &Value) -> Vec<Owner> {
    let entries = metadata::of(document).get("managedFields").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(Owner::read).collect::<Option<_>>().unwrap_or_default()
}

/// Writes the owners down in `document`, sorted as clients know them.
pub(crate) fn set_owners(document: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|owner| !owner.fields.is_empty() || owner.operation == Operation::Apply);
    owners.sort_by(|one, two| {
        let key = |owner: &Owner| (owner.operation, owner.time.clone(), owner.manager.clone());
        key(one).cmp(&key(two)).then_with(|| one.subresource.cmp(&two.subresource))
    });
    let metadata = metadata::of_mut(document);
    if owners.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), owners.iter().map(Owner::write).collect());
    }
}

/// The owners that stand after a write sent `document` in place of `old`, before it is counted itself. Who sends none
/// does not know of them, and changes nothing; one empty entry takes all away.
fn standing(document: &Value, old: &Value, writer: &Writer<'_>) -> Vec<Owner> {
    let sent = metadata::of(document).get("managedFields").and_then(Value::as_array);
    let is_reset = sent.is_some_and(|entries| {
        entries.len() == 1 && entries[0].as_object().is_some_and(|entry| entry.values().all(is_nothing))
    });
    if is_reset && writer.subresource.is_empty() {
        return Vec::new();
    }
    let sent = if writer.subresource.is_empty() { owners_of(document) } else { Vec::new() };
    if sent.is_empty() { owners_of(old) } else { sent }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// Writes `owners` down; where they are those of `old`, as they are stored there, so that a write which changes nothing
/// is seen to change nothing.
fn keep(document: &mut Value, old: &Value, owners: Vec<Owner>) {
    if owners != owners_of(old) {
        set_owners(document, owners);
        return;
    }
    let entries = metadata::of(old).get("managedFields").cloned();
    let metadata = metadata::of_mut(document);
    match entries {
        Some(entries) => metadata.insert("managedFields".to_owned(), entries),
        None => metadata.shift_remove("managedFields"),
    };
}

/// One write, as the records see it.
pub(crate) struct Writer<'a> {
    /// Who.
    pub(crate) manager: &'a str,
    /// Through which subresource; empty for the object itself.
    pub(crate) subresource: &'a str,
    /// The version of the kind.
    pub(crate) api_version: &'a str,
    /// How the lists of the kind merge.
    pub(crate) schema: &'a PatchSchema,
    /// When.
    pub(crate) now: Timestamp,
}

impl Writer<'_> {
    /// The entry of this write.
    pub(crate) fn owner(&self, operation: Operation, fields: FieldSet) -> Owner {
        Owner {
            manager: self.manager.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            time: Time(self.now).to_string(),
            fields,
        }
    }

    /// Writes down that a new object is this writer's.
    pub(crate) fn created(&self, document: &mut Value) {
        let nothing = json!({});
        self.change(document, &nothing, standing(document, &nothing, self));
    }

    /// Writes down what this writer changed of `old`. An object without records stays without.
    pub(crate) fn updated(&self, document: &mut Value, old: &Value) {
        let standing = standing(document, old, self);
        if standing.is_empty() {
            metadata::of_mut(document).shift_remove("managedFields");
        } else {
            self.change(document, old, standing);
        }
    }

    /// Leaves the records of `old` in place: for kinds whose writes are not recorded.
    pub(crate) fn unrecorded(&self, document: &mut Value, old: &Value) {
        let standing = standing(document, old, self);
        keep(document, old, standing);
    }

    fn change(&self, document: &mut Value, old: &Value, mut owners: Vec<Owner>) {
        let difference = compare(old, document, self.schema);
        if difference.is_nothing() {
            keep(document, old, owners);
            return;
        }
        let mut mine = self.owner(Operation::Update, difference.changed.clone());
        for owner in owners.iter_mut().filter(|owner| owner.api_version == self.api_version) {
            owner.fields.subtract(&difference.removed);
            if !owner.is(&mine) {
                owner.fields.subtract(&difference.changed);
            }
        }
        if mine.fields.is_empty() {
            // It only took away, and owns what it owned.
            owners.retain(|owner| !owner.fields.is_empty());
            set_owners(document, owners);
            return;
        }
        if let Some(place) = owners.iter().position(|owner| owner.is(&mine)) {
            mine.fields.unite(&owners.remove(place).fields);
        }
        owners.push(mine);
        owners.retain(|owner| !owner.fields.is_empty());
        set_owners(document, capped(owners));
    }
}

/// The same owners, the oldest of those that do not apply as one where there are too many.
fn capped(owners: Vec<Owner>) -> Vec<Owner> {
    let (mut updaters, mut others): (Vec<Owner>, Vec<Owner>) =
        owners.into_iter().partition(|owner| owner.operation == Operation::Update);
    let mut surplus = updaters.len().saturating_sub(MAX_UPDATERS);
    updaters.sort_by(|one, two| (&one.time, &one.manager).cmp(&(&two.time, &two.manager)));
    let mut kept: Vec<Owner> = Vec::new();
    let mut first: HashMap<String, usize> = HashMap::new();
    for updater in updaters {
        let bucket = first.get(&updater.api_version).copied().filter(|_| surplus > 0);
        match bucket {
            Some(place) => {
                let bucket = &mut kept[place];
                ANCIENT.clone_into(&mut bucket.manager);
                bucket.subresource.clear();
                bucket.fields.unite(&updater.fields);
                bucket.time = updater.time;
                surplus -= 1;
            }
            None => {
                first.entry(updater.api_version.clone()).or_insert(kept.len());
                kept.push(updater);
            }
        }
    }
    others.append(&mut kept);
    others
}

/// The owners of an object that is applied to; where there are none, all it has is one manager's.
pub(crate) fn before_apply(old: &Value, writer: &Writer<'_>) -> Vec<Owner> {
    let owners = owners_of(old);
    if !owners.is_empty() {
        return owners;
    }
    let all = compare(&json!({}), old, writer.schema).changed;
    let before = Writer { manager: BEFORE_FIRST_APPLY, subresource: "", ..*writer };
    if all.is_empty() { Vec::new() } else { vec![before.owner(Operation::Update, all)] }
}

/// The manager of a write: who it says it is, or the first word of its user agent.
pub(crate) fn manager_of<'a>(said: Option<&'a str>, agent: &'a str) -> Cow<'a, str> {
    if let Some(manager) = said {
        return manager.into();
    }
    let name: String =
        agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let mut end = name.len().min(MAX_MANAGER);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name.get(..end).unwrap_or_default();
    if name.is_empty() { UNKNOWN.into() } else { name.to_owned().into() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pierhead_api::patch::PatchSchema;
    use serde_json::{Value, json};

    use super::{MAX_UPDATERS, Writer, manager_of, owners_of};

    fn write(manager: &str, second: i64, old: &Value, new: &mut Value) {
        let schema = PatchSchema::of("", "ConfigMap");
        let now = Timestamp::from_second(second).unwrap();
        let writer = Writer { manager, subresource: "", api_version: "v1", schema: &schema, now };
        if old.is_null() { writer.created(new) } else { writer.updated(new, old) }
    }

    fn map(data: Value, old: &Value) -> Value {
        json!({"metadata": {"name": "a", "managedFields": old["metadata"]["managedFields"]}, "data": data})
    }

    #[test]
    fn a_write_owns_what_it_changes() {
        let mut made = json!({"metadata": {"name": "a"}, "data": {"x": "1", "y": "1"}});
        write("ann", 1, &Value::Null, &mut made);
        let mut changed = map(json!({"x": "2", "z": "1"}), &made);
        write("bob", 2, &made, &mut changed);
        assert_eq!(
            changed["metadata"]["managedFields"],
            json!([
                {"manager": "ann", "operation": "Update", "apiVersion": "v1", "time": "1970-01-01T00:00:01Z",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}},
                {"manager": "bob", "operation": "Update", "apiVersion": "v1", "time": "1970-01-01T00:00:02Z",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:x": {}, "f:z": {}}}},
            ])
        );
        let mut same = map(json!({"x": "2", "z": "1"}), &Value::Null);
        write("carl", 3, &changed, &mut same);
        assert_eq!(same, changed, "nothing changed, nothing is recorded");
    }

    #[test]
    fn records_can_be_taken_away_and_then_stay_away() {
        let mut made = json!({"metadata": {"name": "a"}, "data": {"x": "1"}});
        write("ann", 1, &Value::Null, &mut made);
        let mut kept = made.clone();
        kept["metadata"]["managedFields"] = json!([]);
        write("bob", 2, &made, &mut kept);
        assert_eq!(owners_of(&kept).len(), 1, "an empty list is no wish");
        let mut bare = made.clone();
        bare["metadata"]["managedFields"] = json!([{}]);
        write("bob", 2, &made, &mut bare);
        assert_eq!(bare["metadata"].get("managedFields"), None);
        let mut later = map(json!({"x": "2"}), &Value::Null);
        write("bob", 3, &bare, &mut later);
        assert_eq!(owners_of(&later), []);
    }

    #[test]
    fn the_oldest_of_many_are_one() {
        let mut object = json!({"metadata": {"name": "a"}, "data": {"k0": "0"}});
        write("m0", 0, &Value::Null, &mut object);
        for n in 1..15 {
            let mut next = object.clone();
            next["data"][format!("k{n}")] = json!("1");
            write(&format!("m{n}"), n, &object, &mut next);
            object = next;
        }
        let owners = owners_of(&object);
        assert_eq!(owners.len(), MAX_UPDATERS);
        assert_eq!(owners[0].manager, "ancient-changes");
        assert_eq!(owners[0].fields.write()["f:data"]["f:k0"], json!({}));
        assert_eq!((owners[1].manager.as_str(), owners[9].manager.as_str()), ("m6", "m14"));
    }

    #[test]
    fn managers_are_named_by_themselves_or_their_program() {
        let check = |said: Option<&str>, agent: &str, expected: &str| {
            assert_eq!(manager_of(said, agent), expected);
        };
        check(Some("ann"), "kubectl/v1.32", "ann");
        check(None, "kubectl/v1.32 (linux/amd64)", "kubectl");
        check(None, "", "unknown");
        check(None, &"ö".repeat(100), &"ö".repeat(64));
    }
}
