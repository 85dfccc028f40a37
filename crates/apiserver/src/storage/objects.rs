//! Objects kept in the table of API objects.
//!
//! Owns how a document becomes a record (its resourceVersion is the revision of the write, set inside the transaction),
//! and the check that its namespace takes new objects. Does not validate anything.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::Object as _;
use pierhead_api::meta::Status;
use pierhead_api::oauth::{OAuthAccessToken, OAuthAuthorizeToken};
use pierhead_auth::{Api, Permit};
use pierhead_quota::Mode;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{
    Change, ChangesError, KeyPrefix as _, KeyRange, ReadTx, Revision, Store, StoreError, WriteTx,
};
use serde_json::Value;

use crate::continue_token;
use crate::error::ApiError;
use crate::gc::{Endings, Removal};
use crate::kind::View;
use crate::kinds::services;
use crate::query::DryRun;
use crate::server::NamespaceState;
use crate::storage::{Document, Event, Head, Key, Listed, Outcome, Scan, Seen, Storage, quotas, references};

/// Objects that are counted for the first chunk of a list: rows are as large as what is in them, and a count reads all.
const MOST_COUNTED: usize = 5_000;
/// Bytes of JSON an object may have.
pub(crate) const MAX_OBJECT: usize = 3 << 19;
/// The resource namespaces are stored under.
pub(crate) const NAMESPACES: &str = "namespaces";

/// The objects of one resource.
pub(crate) struct ObjectStorage {
    store: Store,
    resource: String,
    prefix: Vec<u8>,
    view: Option<Arc<dyn View>>,
    endings: Arc<Endings>,
}

impl ObjectStorage {
    /// The objects stored under `resource` (`plural.group`), shown through `view`; `endings` says how dependents end.
    pub(crate) fn new(
        store: Store,
        resource: String,
        view: Option<Arc<dyn View>>,
        endings: Arc<Endings>,
    ) -> Self {
        let mut prefix = Vec::new();
        (resource.as_str(),).encode_prefix(&mut prefix);
        Self { store, resource, prefix, view, endings }
    }

    fn object_key(&self, key: &Key) -> ObjectKey {
        ObjectKey::new(self.resource.as_str(), key.namespace.as_str(), key.name.as_str())
    }

    fn show(&self, bytes: Bytes) -> Result<Document, serde_json::Error> {
        match &self.view {
            None => Ok(Document::Stored(bytes)),
            Some(view) => Ok(Document::Tree(view.shown(serde_json::from_slice(&bytes)?))),
        }
    }

    fn to_stored(&self, shown: Value) -> Value {
        match &self.view {
            None => shown,
            Some(view) => view.stored(shown),
        }
    }

    fn to_shown(&self, stored: Value) -> Value {
        match &self.view {
            None => stored,
            Some(view) => view.shown(stored),
        }
    }

    fn range(&self, scan: &Scan<'_>) -> KeyRange {
        let range = match scan.namespace {
            Some(namespace) => KeyRange::prefix(&(self.resource.as_str(), namespace)),
            None => KeyRange::prefix(&(self.resource.as_str(),)),
        };
        match scan.after {
            Some(key) => range.after(&self.object_key(key)),
            None => range,
        }
    }
}

impl Storage for ObjectStorage {
    fn get(&self, key: &Key) -> Result<Option<Document>, ApiError> {
        let record = self.store.read(|tx| tx.get(&OBJECTS, &self.object_key(key)))?;
        Ok(record.map(|record| self.show(record.0)).transpose()?)
    }

    fn count(&self, namespace: Option<&str>) -> Result<Option<u64>, ApiError> {
        let all = Scan { namespace, after: None, limit: usize::MAX, at: None };
        let counted = self.store.read(|tx| tx.count(&OBJECTS, &self.range(&all), MOST_COUNTED + 1))?;
        Ok((counted <= MOST_COUNTED).then_some(counted as u64))
    }

    fn list(&self, scan: Scan<'_>) -> Result<Listed, ApiError> {
        let range = self.range(&scan);
        let read = |tx: &ReadTx<'_>| -> Result<_, StoreError> {
            Ok((tx.scan(&OBJECTS, &range, scan.limit.saturating_add(1))?, tx.revision()))
        };
        let (mut rows, revision) = match scan.at {
            None => self.store.read(read)?,
            Some(at) => match self.store.read_at(at, &[OBJECTS.name()], read) {
                Err(ChangesError::Compacted { .. }) => return Err(continue_token::too_old()),
                Err(ChangesError::Store(error)) => return Err(error.into()),
                Ok(read) => read?,
            },
        };
        let more = rows.len() > scan.limit;
        rows.truncate(scan.limit);
        let show = |(key, record): (ObjectKey, ObjectRecord)| {
            self.show(record.0).map(|document| (Key::new(key.namespace, key.name), document))
        };
        let items = rows.into_iter().map(show).collect::<Result<_, _>>()?;
        Ok(Listed { items, revision, more })
    }

    fn create<'a>(
        &'a self,
        _: &'a Permit<Api>,
        key: Key,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        let object_key = self.object_key(&key);
        let stored = self.to_stored(object);
        let endings = Arc::clone(&self.endings);
        async move {
            let outcome = self
                .store
                .write(move |tx| -> Result<Outcome, ApiError> {
                    match NamespaceState::of(&object_key.namespace, |key| tx.get(&OBJECTS, key))? {
                        NamespaceState::Missing => return Ok(Outcome::NoNamespace),
                        NamespaceState::Terminating => return Ok(Outcome::Terminating),
                        NamespaceState::Open => {}
                    }
                    if tx.has(&OBJECTS, &object_key)? {
                        return Ok(Outcome::Raced);
                    }
                    keep(tx, &endings, (&object_key, None), stored.clone(), dry_run)
                })
                .await?;
            Ok(self.outcome(outcome))
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        _: &'a Permit<Api>,
        key: Key,
        seen: Seen,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        let object_key = self.object_key(&key);
        let stored = self.to_stored(object);
        let endings = Arc::clone(&self.endings);
        async move {
            let outcome = self
                .store
                .write(move |tx| -> Result<Outcome, ApiError> {
                    match as_seen(tx, &object_key, &seen)? {
                        Some(current) => {
                            let place = (&object_key, Some(&current.0));
                            keep(tx, &endings, place, stored.clone(), dry_run)
                        }
                        None => Ok(Outcome::Raced),
                    }
                })
                .await?;
            Ok(self.outcome(outcome))
        }
        .boxed()
    }

    fn remove<'a>(
        &'a self,
        _: &'a Permit<Api>,
        key: Key,
        seen: Seen,
        removal: Removal,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        let object_key = self.object_key(&key);
        let (endings, now) = (Arc::clone(&self.endings), removal.now);
        async move {
            let outcome = self
                .store
                .write(move |tx| -> Result<Outcome, ApiError> {
                    let Some(ObjectRecord(current)) = as_seen(tx, &object_key, &seen)? else {
                        return Ok(Outcome::Raced);
                    };
                    let mut last: Value = serde_json::from_slice(&current)?;
                    if dry_run == DryRun::All {
                        return Ok(Outcome::Done(last));
                    }
                    let revision = tx.next_revision();
                    erase(tx, &object_key)?;
                    endings.release(tx, &last, removal)?;
                    set_resource_version(&mut last, revision);
                    Ok(Outcome::Done(last))
                })
                .await?;
            if dry_run == DryRun::No {
                self.endings.finish(&self.store, now).await;
            }
            Ok(self.outcome(outcome))
        }
        .boxed()
    }

    fn event(&self, change: &Change) -> Result<Option<Event>, ApiError> {
        if !change.key.starts_with(&self.prefix) {
            return Ok(None);
        }
        let Some(typed) = OBJECTS.change(change) else { return Ok(None) };
        let typed = typed?;
        let show = |record: Option<ObjectRecord>| record.map(|record| self.show(record.0)).transpose();
        Ok(Some(Event {
            key: Key::new(typed.key.namespace, typed.key.name),
            before: show(typed.previous)?,
            after: show(typed.value)?,
            revision: change.revision,
        }))
    }
}

impl ObjectStorage {
    fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done(stored) => Outcome::Done(self.to_shown(stored)),
            Outcome::Raced | Outcome::NoNamespace | Outcome::Terminating => outcome,
        }
    }
}

/// The object, if it is the one the caller saw.
fn as_seen(tx: &WriteTx<'_>, key: &ObjectKey, seen: &Seen) -> Result<Option<ObjectRecord>, ApiError> {
    let Some(current) = tx.get(&OBJECTS, key)? else { return Ok(None) };
    let is_seen = Head::read(&current.0)?.resource_version() == seen.resource_version;
    Ok(Some(current).filter(|_| is_seen))
}

/// Writes a document that a client sent, in place of `before`, unless that is only to be tried. It must not be too
/// large, but one that is may be made smaller, and its address must not be another service's.
fn keep(
    tx: &mut WriteTx<'_>,
    endings: &Endings,
    (key, before): (&ObjectKey, Option<&Bytes>),
    mut object: Value,
    dry_run: DryRun,
) -> Result<Outcome, ApiError> {
    if dry_run == DryRun::No {
        set_resource_version(&mut object, tx.next_revision());
    }
    let bytes = Bytes::from(serde_json::to_vec(&object)?);
    if bytes.len() > MAX_OBJECT && before.is_none_or(|before| before.len() < bytes.len()) {
        return Err(Status::too_large(MAX_OBJECT).into());
    }
    if let Some(address) = references::taken_from_another(tx, key, before, &bytes)? {
        return Err(services::in_use(&object, &address));
    }
    let mode = if dry_run == DryRun::All { Mode::Try } else { Mode::Enforce };
    let charged = quotas::follow(tx, key, (before, Some(&bytes)), mode)?;
    let counted = quotas::count(tx, key, &mut object)?;
    if dry_run == DryRun::All {
        return Ok(Outcome::Done(object));
    }
    let bytes = if charged || counted {
        // Quotas that were charged were written first, and took revisions.
        set_resource_version(&mut object, tx.next_revision());
        Bytes::from(serde_json::to_vec(&object)?)
    } else {
        bytes
    };
    let owned = references::follow(tx, key, before, Some(&bytes))?;
    tx.put(&OBJECTS, key, &ObjectRecord(bytes.clone()))?;
    quotas::regroup(tx, key, (before, Some(&bytes)))?;
    endings.note_waiting(tx, key, &object)?;
    if owned {
        endings.wake_changed(tx, before, &object)?;
    }
    Ok(Outcome::Done(object))
}

/// Writes a document of the server's own with the resourceVersion the write will have, and gives it back.
pub(crate) fn put(tx: &mut WriteTx<'_>, key: &ObjectKey, mut object: Value) -> Result<Value, ApiError> {
    set_resource_version(&mut object, tx.next_revision());
    let bytes = Bytes::from(serde_json::to_vec(&object)?);
    let before = tx.get(&OBJECTS, key)?.map(|record| record.0);
    let bytes = if quotas::follow(tx, key, (before.as_ref(), Some(&bytes)), Mode::Record)? {
        set_resource_version(&mut object, tx.next_revision());
        Bytes::from(serde_json::to_vec(&object)?)
    } else {
        bytes
    };
    let _owned = references::follow(tx, key, before.as_ref(), Some(&bytes))?;
    tx.put(&OBJECTS, key, &ObjectRecord(bytes.clone()))?;
    quotas::regroup(tx, key, (before.as_ref(), Some(&bytes)))?;
    Ok(object)
}

/// Removes a document, if it is there.
pub(crate) fn erase(tx: &mut WriteTx<'_>, key: &ObjectKey) -> Result<(), ApiError> {
    let Some(ObjectRecord(before)) = tx.get(&OBJECTS, key)? else { return Ok(()) };
    let _owned = references::follow(tx, key, Some(&before), None)?;
    tx.delete(&OBJECTS, key)?;
    quotas::follow(tx, key, (Some(&before), None), Mode::Record)?;
    quotas::regroup(tx, key, (Some(&before), None))?;
    if key.resource == "namespaces" {
        // Repositories without a stream are nobody's API object, and must not be the next namespace's of that name.
        pierhead_images::bury_namespace(tx, &key.name)?;
    }
    if key.resource == OAuthAuthorizeToken::qualified_resource()
        && let Some(token) = pierhead_auth::oauth::token_of_code(&before)
    {
        // Who takes back a code takes back what was made of it (platform 2.6).
        erase(tx, &ObjectKey::new(OAuthAccessToken::qualified_resource(), "", token))?;
    }
    Ok(())
}

/// Sets `metadata.resourceVersion`.
pub(crate) fn set_resource_version(object: &mut Value, revision: Revision) {
    object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
}
