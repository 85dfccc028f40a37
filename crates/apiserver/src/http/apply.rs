//! Server-side apply: an object made or changed to have what one manager says, and to lose what it no longer says.
//!
//! Owns the conflicts between managers, how they are told, and the way from `kubectl apply` of old, whose record is an
//! annotation. Sets of fields and what is written down of them are `ownership`'s.

use std::collections::BTreeMap;

use http::StatusCode;
use pierhead_api::excerpt;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, StatusReason};
use pierhead_auth::Attributes;
use serde_json::{Map, Value};

use super::{body, update};
use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::document;
use crate::error::ApiError;
use crate::metadata;
use crate::ownership::{self, FieldSet, Operation, Owner};
use crate::query::WriteOptions;
use crate::storage::Document;
use crate::strategy::Part;

/// Conflicts that are told; the others are counted.
const MAX_CONFLICTS: usize = 100;
/// Bytes of a field and of a manager's name that a conflict repeats.
const MAX_FIELD: usize = 1024;
const MAX_MANAGER: usize = 256;

/// The manager whose applies take over from the annotation of `kubectl apply`.
const KUBECTL: &str = "kubectl";
/// What `kubectl apply` of old writes down.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The media type of an apply.
pub(super) const MEDIA_TYPE: &str = "application/apply-patch+yaml";

/// `PATCH …/<resource>/<name>?fieldManager=<manager>` with what the manager wants.
pub(super) async fn answer(call: &Call, body: &[u8], part: Part) -> Result<Answer, ApiError> {
    let mut options = WriteOptions::parse(&call.query, "PatchOptions")?;
    options.is_applied = true;
    if call.query.get("fieldManager").is_none() {
        let mut errors = FieldErrors::new();
        errors.required("fieldManager", "is required for apply patch");
        return Err(Status::invalid("PatchOptions", "meta.k8s.io", "", &errors).into());
    }
    let parsed = document::read_yaml(body)
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
    let said = wanted.clone();
    leave_part(&mut wanted, call, part);
    let fields = ownership::set_of(&wanted, &call.resource.kind.patch);
    let collection = Collection::of(call)?;
    let is_recorded = collection.is_recorded();
    let apply = Apply { force: call.query.flag("force"), fields, wanted, said, is_recorded, call };
    if part == Part::Main && !is_there(call)? {
        apply.may_create()?;
        match collection.create(call.namespace(), apply.new_object()?, &options).await {
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

/// Only the part that is written can be claimed: the status on its own path, the rest on the object's.
fn leave_part(wanted: &mut Value, call: &Call, part: Part) {
    let Some(members) = wanted.as_object_mut() else { return };
    if part == Part::Status {
        members.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
            metadata
                .retain(|name, _| matches!(name.as_str(), "name" | "namespace" | "uid" | "resourceVersion"));
        }
    } else if call.resource.kind.has_status() && call.resource.kind.takes_status.is_none() {
        members.shift_remove("status");
    }
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
    force: bool,
    /// What the manager wants of the part that is written.
    wanted: Value,
    /// All it sent.
    said: Value,
    fields: FieldSet,
    /// Whether others' writes are recorded, so that an object without records is somebody's all the same.
    is_recorded: bool,
    call: &'a Call,
}

/// Fields of another manager that have another value now.
struct Conflict<'a> {
    with: &'a Owner,
    fields: FieldSet,
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

    fn mine(&self) -> Owner {
        self.call.writer(&self.call.resource.kind.api_version()).owner(Operation::Apply, self.fields.clone())
    }

    fn new_object(&self) -> Result<Value, ApiError> {
        let mut object = self.merged(Value::Object(Map::new()), &self.wanted)?;
        ownership::set_owners(&mut object, vec![self.mine()]);
        Ok(object)
    }

    fn merged(&self, live: Value, wanted: &Value) -> Result<Value, ApiError> {
        let merged = ownership::merge(live, wanted, &self.call.resource.kind.patch);
        Ok(merged.map_err(|error| Status::bad_request(error.to_string()))?)
    }

    /// What `old` becomes.
    fn onto(&self, old: &Value) -> Result<Value, ApiError> {
        let schema = &self.call.resource.kind.patch;
        let version = self.call.resource.kind.api_version();
        let mut mine = self.mine();
        let owners = match self.is_recorded {
            true => ownership::before_apply(old, &self.call.writer(&version)),
            false => ownership::owners_of(old),
        };
        let (before, mut others): (Vec<Owner>, Vec<Owner>) =
            owners.into_iter().partition(|owner| owner.is(&mine));
        let mut patch = self.wanted.clone();
        metadata::of_mut(&mut patch).shift_remove("resourceVersion");
        let mut object = self.merged(old.clone(), &patch)?;
        let mut kept = self.fields.clone();
        others.iter().for_each(|other| kept.unite(&other.fields));
        if let Some(before) = before.first() {
            ownership::prune(&mut object, &before.fields, &kept, schema);
        }
        let difference = ownership::compare(old, &object, schema);
        let conflicts = others.iter().filter(|other| other.api_version == version).filter_map(|other| {
            let fields = other.fields.common(&difference.changed);
            (!fields.is_empty()).then_some(Conflict { with: other, fields })
        });
        if !self.force {
            self.settle(old, conflicts.collect())?;
        }
        for other in others.iter_mut().filter(|other| other.api_version == version) {
            other.fields.subtract(&difference.changed);
            other.fields.subtract(&difference.removed);
        }
        others.retain(|other| !other.fields.is_empty());
        if let Some(before) = before.first()
            && before.fields == mine.fields
            && difference.is_nothing()
        {
            mine.time.clone_from(&before.time);
        }
        others.push(mine);
        self.note_for_old_clients(&mut object);
        ownership::set_owners(&mut object, others);
        let metadata = metadata::of_mut(&mut object);
        match metadata::text(&self.wanted, "resourceVersion") {
            "" => metadata.shift_remove("resourceVersion"),
            version => metadata.insert("resourceVersion".to_owned(), version.into()),
        };
        Ok(object)
    }

    /// Refuses what others own with another value; but `kubectl` may take what its earlier self applied.
    fn settle(&self, old: &Value, mut conflicts: Vec<Conflict<'_>>) -> Result<(), ApiError> {
        if !conflicts.is_empty()
            && self.call.manager == KUBECTL
            && let Some(allowed) = self.applied_before(old)
        {
            conflicts.iter_mut().for_each(|conflict| conflict.fields.subtract(&allowed));
            conflicts.retain(|conflict| !conflict.fields.is_empty());
        }
        if conflicts.is_empty() { Ok(()) } else { Err(refused(&conflicts)) }
    }

    /// What the annotation of `kubectl apply` says and is so.
    fn applied_before(&self, old: &Value) -> Option<FieldSet> {
        let schema = &self.call.resource.kind.patch;
        let said = metadata::of(old).get("annotations")?.get(LAST_APPLIED)?.as_str()?;
        let said = document::read_json(said.as_bytes()).ok()?.value;
        let mut applied = ownership::set_of(&said, schema);
        let since = ownership::compare(&said, old, schema);
        applied.subtract(&since.changed);
        applied.subtract(&since.removed);
        Some(applied)
    }

    /// Where an object has the annotation of `kubectl apply`, an apply by `kubectl` renews it, so that its users can go
    /// back.
    fn note_for_old_clients(&self, object: &mut Value) {
        if self.call.manager != KUBECTL {
            return;
        }
        let annotations = metadata::of_mut(object).get_mut("annotations").and_then(Value::as_object_mut);
        if let Some(note) = annotations.and_then(|annotations| annotations.get_mut(LAST_APPLIED)) {
            let mut said = self.said.clone();
            if let Some(annotations) = metadata::of_mut(&mut said).get_mut("annotations")
                && let Some(annotations) = annotations.as_object_mut()
            {
                annotations.shift_remove(LAST_APPLIED);
            }
            *note = format!("{said}\n").into();
        }
    }
}

/// 409 with every field that is another's.
fn refused(conflicts: &[Conflict<'_>]) -> ApiError {
    let mut count = 0;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut room = MAX_CONFLICTS;
    for conflict in conflicts {
        let (found, paths) = conflict.fields.told(room, MAX_FIELD);
        count += found;
        room -= paths.len();
        let who = excerpt(&conflict.with.describe(), MAX_MANAGER).into_owned();
        told.entry(who).or_default().extend(paths);
    }
    let untold = count - told.values().map(Vec::len).sum::<usize>();
    let message = match told.iter().next() {
        Some((who, paths)) if count == 1 => {
            format!("Apply failed with 1 conflict: conflict with {who}: {}", paths.concat())
        }
        _ => {
            let mut lines = Vec::new();
            for (who, paths) in &told {
                lines.push(format!("conflicts with {who}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            if untold > 0 {
                lines.push(format!("and {untold} more"));
            }
            format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
        }
    };
    let mut status = Status::failure(409, StatusReason::Conflict, message);
    for (who, paths) in &told {
        for path in paths {
            status = status.with_cause("FieldManagerConflict", format!("conflict with {who}"), path);
        }
    }
    status.into()
}
