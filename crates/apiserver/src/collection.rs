//! The verbs' algorithm, once for every kind that has objects.
//!
//! Owns create, update (which patch and status and delete's marking share), delete and list over a [`Storage`] with
//! the hooks of a kind. The shape of every write is the same: read, compute with pure functions, look things up
//! (admission), store if nothing changed meanwhile, or begin again. Does not know HTTP beyond the Status of a failure.

use std::sync::Arc;

use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{DeleteOptions, Status};
use serde_json::Value;

use crate::admission::{Admission, Operation};
use crate::call::Call;
use crate::catalog::Resource;
use crate::error::ApiError;
use crate::gc;
use crate::kind::{Backing, Kind};
use crate::metadata;
use crate::ownership::Writer;
use crate::query::{DryRun, FieldValidation, WriteOptions};
use crate::server::NamespaceState;
use crate::storage::{Key, Outcome, Seen, Storage};
use crate::strategy::{Hooks, Part};

mod list;
mod selector;

pub(crate) use selector::Selector;

/// How often a write begins again because somebody else was faster. Writers are served one after the other, so each
/// round at least one of the contenders gets through.
const ATTEMPTS: usize = 32;
/// How long a create waits for what it needs.
const READY_WAIT: std::time::Duration = std::time::Duration::from_secs(3);
/// How often a generated name is drawn again.
const NAME_ATTEMPTS: usize = 8;

/// An object that was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// As stored.
    pub(crate) document: Value,
    /// Sentences for `Warning` headers.
    pub(crate) warnings: Vec<String>,
    /// Whether the object is new.
    pub(crate) created: bool,
}

/// What became of an object that was to be deleted.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// The object as it was last.
    pub(crate) document: Value,
    /// False while finalizers keep it.
    pub(crate) gone: bool,
}

/// The objects of one kind.
pub(crate) struct Collection<'a> {
    call: &'a Call,
    kind: &'a Kind,
    hooks: &'a dyn Hooks,
    storage: &'a Arc<dyn Storage>,
}

/// A document after its kind's type read it.
struct Canonical {
    document: Value,
    warnings: Vec<String>,
}

impl<'a> Collection<'a> {
    /// The collection `call` is about; 405 where the kind has no objects.
    pub(crate) fn of(call: &'a Call) -> Result<Self, ApiError> {
        Self::on(call, &call.resource)
    }

    /// The collection of another kind, for a call that changes objects of that.
    pub(crate) fn on(call: &'a Call, resource: &'a Resource) -> Result<Self, ApiError> {
        let kind = &resource.kind;
        match (&kind.backing, &resource.storage) {
            (Backing::Stored { hooks, .. }, Some(storage)) => {
                Ok(Self { call, kind, hooks: hooks.as_ref(), storage })
            }
            _ => Err(Status::method_not_allowed(kind.plural, kind.gvk.group, call.verb.as_str()).into()),
        }
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Result<crate::storage::Document, ApiError> {
        self.storage.get(key)?.ok_or_else(|| self.call.not_found(&key.name).into())
    }

    /// The object a change is about.
    fn find(&self, key: &Key) -> Result<Value, ApiError> {
        let found = self.storage.find(key)?.ok_or_else(|| self.call.not_found(&key.name))?;
        Ok(found.into_tree()?)
    }

    /// Stores a new object in `namespace`.
    pub(crate) async fn create(
        &self,
        namespace: &str,
        sent: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        if !metadata::text(&sent, "resourceVersion").is_empty() {
            return Err(
                Status::bad_request("resourceVersion should not be set on objects to be created").into()
            );
        }
        let prefix = match metadata::text(&sent, "name") {
            "" => metadata::text(&sent, "generateName").to_owned(),
            _ => String::new(),
        };
        self.wait_until_ready(namespace, &sent).await?;
        for _ in 0..NAME_ATTEMPTS {
            let mut sent = sent.clone();
            if !prefix.is_empty() {
                let name = metadata::generate_name(&prefix);
                metadata::of_mut(&mut sent).insert("name".to_owned(), name.into());
            }
            let (document, warnings) = self.prepare_new(namespace, sent, options)?;
            let name = metadata::text(&document, "name").to_owned();
            let key = Key::new(if self.kind.namespaced { namespace } else { "" }, name.as_str());
            match self.store_new(key, document, options).await? {
                Outcome::Done(document) => {
                    if gc::concerns_others(&document) {
                        self.see_to_others(options.dry_run).await;
                    }
                    return Ok(Written { document, warnings, created: true });
                }
                Outcome::Raced if prefix.is_empty() => {
                    return Err(Status::already_exists(self.kind.plural, self.kind.gvk.group, &name).into());
                }
                Outcome::Raced => {}
                Outcome::NoNamespace => return Err(Status::not_found("namespaces", "", namespace).into()),
                Outcome::Terminating => return Err(self.terminating(&name, namespace)),
            }
        }
        Err(Status::name_not_generated(self.kind.plural, self.kind.gvk.group, &prefix).into())
    }

    /// Waits for what the kind says a new object needs; goes on without it after a few seconds.
    async fn wait_until_ready(&self, namespace: &str, sent: &Value) -> Result<(), ApiError> {
        let Some(ready) = self.kind.ready else { return Ok(()) };
        let mut revisions = self.call.server.store.subscribe();
        let limit = tokio::time::sleep(READY_WAIT);
        tokio::pin!(limit);
        loop {
            revisions.borrow_and_update();
            if ready(self.call, namespace, sent)? {
                return Ok(());
            }
            tokio::select! {
                changed = revisions.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = &mut limit => return Ok(()),
            }
        }
    }

    fn prepare_new(
        &self,
        namespace: &str,
        sent: Value,
        options: &WriteOptions,
    ) -> Result<(Value, Vec<String>), ApiError> {
        let Canonical { mut document, mut warnings } = self.canonical(sent, options)?;
        if self.kind.has_status()
            && let Some(fields) = document.as_object_mut()
        {
            fields.shift_remove("status");
        }
        metadata::begin(&mut document, self.kind, namespace, self.call.now);
        let change = self.call.change(namespace);
        let hooked = self.hooks.create(&document, &change).map_err(|error| self.undecodable(&error))?;
        let mut document = hooked.document;
        self.check(&document, &hooked.errors)?;
        self.admit(namespace, Operation::Create { object: &mut document })?;
        if !options.is_applied && self.is_recorded() && !self.call.is_own_part() {
            self.writer(&self.kind.api_version()).created(&mut document);
        }
        warnings.extend(hooked.warnings);
        Ok((document, warnings))
    }

    async fn store_new(
        &self,
        key: Key,
        document: Value,
        options: &WriteOptions,
    ) -> Result<Outcome, ApiError> {
        if self.kept_elsewhere() {
            // Other storages know no namespaces; the table of objects checks within its transaction.
            match self.call.server.namespace_state(&key.namespace)? {
                NamespaceState::Open => {}
                NamespaceState::Missing => return Ok(Outcome::NoNamespace),
                NamespaceState::Terminating => return Ok(Outcome::Terminating),
            }
        }
        self.storage.create(&self.call.permit, key, document, options.dry_run).await
    }

    /// Whether ordinary writes of this kind are recorded: not of views, whose fields are another kind's, nor of rows that
    /// pushes, logins and reports write.
    pub(crate) fn is_recorded(&self) -> bool {
        self.kind.records_writes
            && self.storage.has_own_uids()
            && !matches!(&self.kind.backing, Backing::Stored { view: Some(_), .. })
    }

    /// What the records are told of this write. The kind is this collection's, which need not be the call's.
    fn writer<'w>(&'w self, api_version: &'w str) -> Writer<'w> {
        let writer = self.call.writer(api_version);
        Writer { schema: &self.kind.patch, ..writer }
    }

    fn kept_elsewhere(&self) -> bool {
        matches!(&self.kind.backing, Backing::Stored { storage: Some(_), .. })
    }

    fn terminating(&self, name: &str, namespace: &str) -> ApiError {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = format!("namespace {namespace} is being terminated");
        self.call.forbidden(name, &why).with_cause("NamespaceTerminating", cause, "metadata.namespace").into()
    }

    /// Replaces a part of the object `key` by what `change` makes of it. `change` gets the object as it is, and may be
    /// called again.
    pub(crate) async fn update(
        &self,
        key: &Key,
        part: Part,
        options: &WriteOptions,
        mut change: impl FnMut(&Value) -> Result<Value, ApiError> + Send,
    ) -> Result<Written, ApiError> {
        for _ in 0..ATTEMPTS {
            let old = self.find(key)?;
            let sent = change(&old)?;
            let pinned = self.check_version(&sent, &old)?;
            let (document, warnings) = self.prepare_changed(key, part, sent, &old, options)?;
            let written = |document| Written { document, warnings: warnings.clone(), created: false };
            // Where the storage compares versions, an old one is refused even if it says what is there now.
            let of_old =
                metadata::text(&document, "resourceVersion") != metadata::text(&old, "resourceVersion");
            if metadata::same(&document, &old) && !of_old {
                return Ok(written(old));
            }
            let dry_run = options.dry_run;
            let seen = Seen {
                uid: metadata::text(&old, "uid").to_owned(),
                resource_version: metadata::text(&document, "resourceVersion").to_owned(),
                part,
            };
            let finished = metadata::is_terminating(&document)
                && !gc::is_held(&document)
                && !gc::waits(&document)
                && metadata::grace_seconds(&document) == 0
                && !self.holds(&mut document.clone());
            let outcome = if finished {
                self.remove(key, &document, seen, dry_run).await?
            } else {
                self.storage.replace(&self.call.permit, key.clone(), seen, document, dry_run).await?
            };
            match outcome {
                Outcome::Done(stored) => {
                    if gc::concerns_others(&old) || gc::concerns_others(&stored) {
                        self.see_to_others(dry_run).await;
                    }
                    return Ok(written(stored));
                }
                _ if pinned => return Err(self.modified(&key.name)),
                _ => {}
            }
        }
        Err(self.modified(&key.name))
    }

    fn prepare_changed(
        &self,
        key: &Key,
        part: Part,
        sent: Value,
        old: &Value,
        options: &WriteOptions,
    ) -> Result<(Value, Vec<String>), ApiError> {
        let Canonical { document: sent, mut warnings } = self.canonical(sent, options)?;
        let insisted = metadata::text(&sent, "resourceVersion").to_owned();
        let applied = metadata::of(&sent).get("managedFields").cloned();
        let mut errors = FieldErrors::new();
        let document = match part {
            Part::Main => {
                let mut document = sent;
                errors.append(metadata::keep(&mut document, old));
                if self.kind.has_status() {
                    let status = document.get("status").cloned().unwrap_or_default();
                    copy_field(&mut document, old, "status");
                    if let Some(takes) = self.kind.takes_status {
                        takes(&mut document, &status);
                    }
                }
                document
            }
            Part::Computed | Part::Placed => {
                let mut document = sent;
                errors.append(metadata::keep(&mut document, old));
                document
            }
            Part::Status => {
                let mut document = old.clone();
                copy_field(&mut document, &sent, "status");
                document
            }
            Part::Finalize => {
                let mut document = old.clone();
                copy_field(&mut document, &sent, "spec");
                document
            }
        };
        let change = self.call.change(&key.namespace);
        let hooked =
            self.hooks.update(&document, old, part, &change).map_err(|error| self.undecodable(&error))?;
        let mut document = hooked.document;
        errors.append(hooked.errors);
        self.check(&document, &errors)?;
        self.admit(&key.namespace, Operation::Update { object: &mut document, old, part })?;
        if self.kind.has_generation && matches!(part, Part::Main | Part::Computed) {
            metadata::count_generation(&mut document, old, self.kind.also_counted);
        }
        if options.is_applied {
            copy_records(&mut document, &applied);
        } else if self.is_recorded() {
            self.writer(&self.kind.api_version()).updated(&mut document, old);
        } else {
            self.writer(&self.kind.api_version()).unrecorded(&mut document, old);
        }
        let version = match insisted.as_str() {
            "" => metadata::text(old, "resourceVersion").to_owned(),
            _ => insisted,
        };
        // The version the change was computed from, for the storage to compare and a dry run to show.
        metadata::of_mut(&mut document).insert("resourceVersion".to_owned(), version.into());
        warnings.extend(hooked.warnings);
        Ok((document, warnings))
    }

    /// Whether the document names the version it was made from; an error when that is not the current one.
    fn check_version(&self, sent: &Value, old: &Value) -> Result<bool, ApiError> {
        let name = metadata::text(old, "name");
        let (has, is) = (metadata::text(sent, "uid"), metadata::text(old, "uid"));
        if !has.is_empty() && has != is {
            let why = format!("Precondition failed: UID in precondition: {has}, UID in object meta: {is}");
            return Err(Status::conflict(self.kind.plural, self.kind.gvk.group, name, why).into());
        }
        match metadata::text(sent, "resourceVersion") {
            "" => Ok(false),
            version if self.kept_elsewhere() || version == metadata::text(old, "resourceVersion") => Ok(true),
            _ => Err(self.modified(name)),
        }
    }

    /// Deletes the object `key`, or marks it where something has to be cleaned up first.
    pub(crate) async fn delete(&self, key: &Key, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        let asked = gc::Dependents::asked(options)?;
        for _ in 0..ATTEMPTS {
            let old = self.find(key)?;
            self.check_preconditions(&old, options)?;
            self.admit(&key.namespace, Operation::Delete { old: &old })?;
            let mut doomed = old.clone();
            if let Some(dependents) = asked {
                dependents.note(&mut doomed);
            }
            let grace = self.kind.grace.map_or(0, |grace| grace(&old, options.grace_period_seconds));
            let first = !self.kept_elsewhere() && gc::Dependents::of(&doomed) == gc::Dependents::First;
            let held = self.holds(&mut doomed) || gc::is_held(&doomed) || grace > 0 || first;
            let dry_run = if options.dry_run.is_empty() { DryRun::No } else { DryRun::All };
            let seen = Seen {
                uid: metadata::text(&old, "uid").to_owned(),
                resource_version: metadata::text(&old, "resourceVersion").to_owned(),
                part: Part::Main,
            };
            if held {
                metadata::mark_deleted(&mut doomed, self.call.now, grace);
                if doomed == old {
                    return Ok(Deleted { document: old, gone: false });
                }
                let outcome =
                    self.storage.replace(&self.call.permit, key.clone(), seen, doomed, dry_run).await?;
                if let Outcome::Done(document) = outcome {
                    if gc::frees_or_waits(&document) {
                        self.see_to_others(dry_run).await;
                    }
                    return Ok(Deleted { document, gone: false });
                }
            } else if let Outcome::Done(document) = self.remove(key, &doomed, seen, dry_run).await? {
                return Ok(Deleted { document, gone: true });
            }
        }
        Err(self.modified(&key.name))
    }

    /// Removes the object `key`, of which `doomed` says what becomes of its dependents. The table of objects sees to
    /// them in its transaction. Where the object is elsewhere, they are freed or deleted once it is gone: a removal
    /// that fails changes nothing of them.
    async fn remove(
        &self,
        key: &Key,
        doomed: &Value,
        seen: Seen,
        dry_run: DryRun,
    ) -> Result<Outcome, ApiError> {
        let removal = gc::Removal { dependents: gc::Dependents::of(doomed), now: self.call.now };
        let left = self.kept_elsewhere() && self.storage.has_own_uids() && dry_run == DryRun::No;
        let removing = self.storage.remove(&self.call.permit, key.clone(), seen, removal, dry_run);
        let outcome = removing.await?;
        if left && matches!(outcome, Outcome::Done(_)) {
            self.release(doomed.clone(), removal).await?;
        }
        Ok(outcome)
    }

    /// Sees to owners that wait for what was written, and to who waits to be deleted with them.
    async fn see_to_others(&self, dry_run: DryRun) {
        if dry_run == DryRun::No {
            let server = &self.call.server;
            server.catalog.endings().finish(&server.store, self.call.now).await;
        }
    }

    /// Deletes or frees the dependents of an object that is kept elsewhere.
    async fn release(&self, removed: Value, removal: gc::Removal) -> Result<(), ApiError> {
        let (store, endings) = (&self.call.server.store, self.call.server.catalog.endings());
        let releasing = Arc::clone(endings);
        store.write(move |tx| releasing.release(tx, &removed, removal)).await?;
        endings.finish(store, removal.now).await;
        Ok(())
    }

    fn check_preconditions(&self, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
        let Some(preconditions) = &options.preconditions else { return Ok(()) };
        let checks = [
            ("UID", &preconditions.uid, metadata::text(old, "uid")),
            ("ResourceVersion", &preconditions.resource_version, metadata::text(old, "resourceVersion")),
        ];
        for (what, wanted, is) in checks {
            if let Some(wanted) = wanted
                && wanted != is
            {
                let why = format!(
                    "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {is}"
                );
                let name = metadata::text(old, "name");
                return Err(Status::conflict(self.kind.plural, self.kind.gvk.group, name, why).into());
            }
        }
        Ok(())
    }

    fn holds(&self, document: &mut Value) -> bool {
        self.kind.holds_deletion.is_some_and(|holds| holds(document))
    }

    fn canonical(&self, sent: Value, options: &WriteOptions) -> Result<Canonical, ApiError> {
        let (document, unknown) = self.hooks.canonical(&sent).map_err(|error| self.undecodable(&error))?;
        let findings: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        let warnings = judge(&self.kind.gvk, options.field_validation, findings)?;
        Ok(Canonical { document, warnings })
    }

    fn undecodable(&self, error: &pierhead_api::DecodeError) -> ApiError {
        let kind = self.kind.gvk.kind;
        let version = self.kind.gvk.version;
        Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: json: cannot unmarshal: {error}"
        ))
        .into()
    }

    fn check(&self, document: &Value, errors: &FieldErrors) -> Result<(), ApiError> {
        if errors.is_empty() {
            return Ok(());
        }
        let name = metadata::text(document, "name");
        Err(Status::invalid(self.kind.gvk.kind, self.kind.gvk.group, name, errors).into())
    }

    fn admit(&self, namespace: &str, operation: Operation<'_>) -> Result<(), ApiError> {
        let mut admission = Admission { call: self.call, namespace, operation };
        self.kind.admission.iter().try_for_each(|admit| admit(&mut admission))
    }

    fn modified(&self, name: &str) -> ApiError {
        Status::modified(self.kind.plural, self.kind.gvk.group, name).into()
    }
}

/// What becomes of findings in a body: nothing, warnings, or the end of the request.
pub(crate) fn judge(
    kind: &crate::kind::GroupVersionKind,
    validation: FieldValidation,
    findings: Vec<String>,
) -> Result<Vec<String>, ApiError> {
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(findings),
        FieldValidation::Strict if findings.is_empty() => Ok(findings),
        FieldValidation::Strict => Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {found}",
            kind = kind.kind,
            version = kind.version,
            found = findings.join(", "),
        ))
        .into()),
    }
}

fn copy_records(to: &mut Value, records: &Option<Value>) {
    let metadata = metadata::of_mut(to);
    match records {
        Some(records) => metadata.insert("managedFields".to_owned(), records.clone()),
        None => metadata.shift_remove("managedFields"),
    };
}

fn copy_field(to: &mut Value, from: &Value, field: &str) {
    if let Some(fields) = to.as_object_mut() {
        match from.get(field) {
            Some(value) => fields.insert(field.to_owned(), value.clone()),
            None => fields.shift_remove(field),
        };
    }
}
