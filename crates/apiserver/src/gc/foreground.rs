//! Owners that go after their dependents, or free them long before they go.
//!
//! Owns the wait: an object deleted in the foreground stays, marked, until no dependent that blocks it is left. Whatever
//! may end that wait writes down the owner in the transaction that does it, and [`Endings::finish`] looks at it again:
//! nothing is lost when the process ends in between.

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_store::WriteTx;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use serde_json::{Value, json};

use super::{
    Dependents, Endings, STEP, UNSETTLED, Unsettled, frees_or_waits, is_held, owners, unsettled, waits,
};
use crate::error::ApiError;
use crate::metadata;
use crate::storage::objects::{erase, put};
use crate::storage::references::owned_by;

impl Endings {
    /// Writes down that `object` waits for its dependents, or has to free them, if it does.
    pub(crate) fn note_waiting(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        object: &Value,
    ) -> Result<(), ApiError> {
        if frees_or_waits(object) {
            let ObjectKey { resource, namespace, name } = key.clone();
            let waiting = Unsettled {
                namespace: namespace.clone(),
                keep: Dependents::of(object) == Dependents::Keep,
                after: None,
                waits: Some((resource, namespace, name)),
            };
            tx.put(&UNSETTLED, &metadata::text(object, "uid").to_owned(), &waiting)?;
        }
        Ok(())
    }

    /// Has the owners of `object` looked at again that wait for their dependents: it came, changed or went.
    pub(crate) fn wake_owners(&self, tx: &mut WriteTx<'_>, object: &Value) -> Result<(), ApiError> {
        for owner in owners(object) {
            let text = |field: &str| owner[field].as_str().unwrap_or_default();
            let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
            let Some((resource, namespaced)) = self.resource(group, text("kind")) else { continue };
            let namespace = if namespaced { metadata::text(object, "namespace") } else { "" };
            let key = ObjectKey::new(resource, namespace, text("name"));
            let Some(record) = tx.get(&OBJECTS, &key)? else { continue };
            let found: Value = serde_json::from_slice(&record.0)?;
            if metadata::text(&found, "uid") == text("uid") {
                self.note_waiting(tx, &key, &found)?;
            }
        }
        Ok(())
    }

    /// The same for the owners that an object had or has, if they are others now.
    pub(crate) fn wake_changed(
        &self,
        tx: &mut WriteTx<'_>,
        before: Option<&Bytes>,
        object: &Value,
    ) -> Result<(), ApiError> {
        let before: Value =
            before.map(|bytes| serde_json::from_slice(bytes)).transpose()?.unwrap_or_default();
        if owners(&before) != owners(object) {
            self.wake_owners(tx, &before)?;
            self.wake_owners(tx, object)?;
        }
        Ok(())
    }

    fn resource(&self, group: &str, kind: &str) -> Option<(&str, bool)> {
        let found = self.by_kind.iter().find(|((of, name), _)| *of == group && *name == kind);
        found.map(|(_, (resource, namespaced))| (resource.as_str(), *namespaced))
    }

    /// Marks a dependent that has dependents itself to go after them; false for one that has none, or is marked already.
    pub(super) fn goes_after_its_own(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        document: &mut Value,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        if metadata::is_terminating(document) {
            return Ok(false);
        }
        let uid = metadata::text(document, "uid").to_owned();
        let own = owned_by(tx, &uid, None, STEP)?;
        if own.is_empty() {
            return Ok(false);
        }
        for key in &own {
            let waiting =
                tx.get(&OBJECTS, key)?.map(|record| serde_json::from_slice(&record.0)).transpose()?;
            if waiting.is_some_and(|waiting: Value| waits(&waiting)) {
                // They own each other: somebody has to go first.
                unblock(document);
                break;
            }
        }
        Dependents::First.note(document);
        let grace = self.by_resource.get(&key.resource).and_then(|ending| ending.grace);
        metadata::mark_deleted(document, now, grace.map_or(0, |grace| grace(document, None)));
        let stored = put(tx, key, document.clone())?;
        self.note_waiting(tx, key, &stored)?;
        Ok(true)
    }

    /// Lets an owner go that waited and has nobody to wait for any more; gives back who has to be seen to then.
    pub(super) fn end_waiting(
        &self,
        tx: &mut WriteTx<'_>,
        uid: &str,
        owner: &Unsettled,
    ) -> Result<Option<(String, Unsettled)>, ApiError> {
        let Some((resource, namespace, name)) = &owner.waits else { return Ok(None) };
        let key = ObjectKey::new(resource.as_str(), namespace.as_str(), name.as_str());
        let Some(record) = tx.get(&OBJECTS, &key)? else { return Ok(None) };
        let mut document: Value = serde_json::from_slice(&record.0)?;
        let wanted = if owner.keep { Dependents::Keep } else { Dependents::First };
        let is_other = metadata::text(&document, "uid") != uid || Dependents::of(&document) != wanted;
        if is_other || !frees_or_waits(&document) || !owner.keep && is_blocked(tx, uid, namespace)? {
            return Ok(None);
        }
        Dependents::Delete.note(&mut document);
        let holds = self.by_resource.get(resource).and_then(|ending| ending.holds);
        let holds = holds.is_some_and(|holds| holds(&mut document.clone()));
        if holds || is_held(&document) || metadata::grace_seconds(&document) > 0 {
            put(tx, &key, document)?;
            return Ok(None);
        }
        erase(tx, &key)?;
        self.wake_owners(tx, &document)?;
        Ok(Some(unsettled(&document, Dependents::Delete)))
    }
}

/// Whether some dependent keeps the owner `uid` from going.
fn is_blocked(tx: &WriteTx<'_>, uid: &str, namespace: &str) -> Result<bool, ApiError> {
    let mut after = None;
    loop {
        let keys = owned_by(tx, uid, after.as_ref(), STEP)?;
        let Some(last) = keys.last().cloned() else { return Ok(false) };
        for key in &keys {
            if !namespace.is_empty() && key.namespace != namespace {
                continue;
            }
            let Some(record) = tx.get(&OBJECTS, key)? else { continue };
            let document: Value = serde_json::from_slice(&record.0)?;
            let blocks = |owner: &Value| owner["uid"] == uid && owner["blockOwnerDeletion"] == true;
            if owners(&document).iter().any(blocks) {
                return Ok(true);
            }
        }
        after = Some((last.resource, last.namespace, last.name));
    }
}

/// Takes from an object that it keeps its owners from going.
fn unblock(document: &mut Value) {
    let references = metadata::of_mut(document).get_mut("ownerReferences").and_then(Value::as_array_mut);
    for owner in references.into_iter().flatten() {
        owner["blockOwnerDeletion"] = json!(false);
    }
}
