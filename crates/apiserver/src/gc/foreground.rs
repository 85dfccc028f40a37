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

/// Behind every key there is: nothing is left to be walked over.
const BEHIND_ALL: &str = "\u{10FFFF}";

/// Objects that are looked at for a circle of owners; a longer one is not found.
const LONGEST_CIRCLE: usize = 64;

/// Why an owner that waits is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// It has a new dependent, which may have to go: all of them are walked over.
    ToWalk,
    /// It has lost one, and may go if that was the last. That is told by the first that is left, so that many that go
    /// one by one are not all looked at each time.
    ToEnd,
}

impl Endings {
    /// Writes down that `object` waits for its dependents, or has to free them, if it does.
    pub(crate) fn note_waiting(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        object: &Value,
    ) -> Result<(), ApiError> {
        self.note(tx, key, object, Wake::ToWalk)
    }

    fn note(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        object: &Value,
        wake: Wake,
    ) -> Result<(), ApiError> {
        if !frees_or_waits(object) {
            return Ok(());
        }
        let uid = metadata::text(object, "uid").to_owned();
        if wake == Wake::ToEnd && tx.get(&UNSETTLED, &uid)?.is_some() {
            // A walk that is under way ends with the same look.
            return Ok(());
        }
        let keep = Dependents::of(object) == Dependents::Keep;
        let ends = wake == Wake::ToEnd && !keep;
        let ObjectKey { resource, namespace, name } = key.clone();
        let waiting = Unsettled {
            namespace: namespace.clone(),
            keep,
            after: ends.then(|| (BEHIND_ALL.to_owned(), String::new(), String::new())),
            waits: Some((resource, namespace, name)),
        };
        tx.put(&UNSETTLED, &uid, &waiting)?;
        Ok(())
    }

    /// Has the owners of `object` looked at again that wait for their dependents.
    pub(super) fn wake_owners(
        &self,
        tx: &mut WriteTx<'_>,
        object: &Value,
        wake: Wake,
    ) -> Result<(), ApiError> {
        for reference in owners(object) {
            if let Some((key, owner)) = self.owner(tx, object, reference)? {
                self.note(tx, &key, &owner, wake)?;
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
            self.wake_owners(tx, &before, Wake::ToEnd)?;
            self.wake_owners(tx, object, Wake::ToWalk)?;
        }
        Ok(())
    }

    /// The owner that `reference` of `object` names, if it is there.
    fn owner(
        &self,
        tx: &WriteTx<'_>,
        object: &Value,
        reference: &Value,
    ) -> Result<Option<(ObjectKey, Value)>, ApiError> {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        let Some((resource, namespaced)) = self.resource(group, text("kind")) else { return Ok(None) };
        let namespace = if namespaced { metadata::text(object, "namespace") } else { "" };
        let key = ObjectKey::new(resource, namespace, text("name"));
        let Some(record) = tx.get(&OBJECTS, &key)? else { return Ok(None) };
        let found: Value = serde_json::from_slice(&record.0)?;
        Ok((metadata::text(&found, "uid") == text("uid")).then_some((key, found)))
    }

    fn resource(&self, group: &str, kind: &str) -> Option<(&str, bool)> {
        let found = self.by_kind.iter().find(|((of, name), _)| *of == group && *name == kind);
        found.map(|(_, (resource, namespaced))| (resource.as_str(), *namespaced))
    }

    /// Marks a dependent that has dependents itself to go after them; false for one that has none.
    pub(super) fn goes_after_its_own(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        document: &mut Value,
        now: Timestamp,
        left: &mut usize,
    ) -> Result<bool, ApiError> {
        if owned_by(tx, metadata::text(document, "uid"), None, 1)?.is_empty() {
            return Ok(false);
        }
        let freed = self.frees_circle(tx, document, left)?;
        Dependents::First.note(document);
        let grace = self.by_resource.get(&key.resource).and_then(|ending| ending.grace);
        metadata::mark_deleted(document, now, grace.map_or(0, |grace| grace(document, None)));
        let stored = put(tx, key, document.clone())?;
        self.note_waiting(tx, key, &stored)?;
        if freed {
            self.wake_owners(tx, &stored, Wake::ToEnd)?;
        }
        Ok(true)
    }

    /// Where `document` keeps an owner from going that, through whatever waits in between, keeps `document` from going:
    /// somebody has to go first, and it lets its owners go. Says whether it did. What it looks at is taken from `left`.
    pub(super) fn frees_circle(
        &self,
        tx: &WriteTx<'_>,
        document: &mut Value,
        left: &mut usize,
    ) -> Result<bool, ApiError> {
        if !owners(document).iter().any(|owner| owner["blockOwnerDeletion"] == true) {
            return Ok(false);
        }
        // From owner to owner: those are few, dependents may be many.
        let uid = metadata::text(document, "uid");
        let mut seen = Vec::new();
        let mut above = vec![document.clone()];
        while let Some(object) = above.pop() {
            for reference in owners(&object) {
                if reference["uid"] == uid {
                    unblock(document);
                    return Ok(true);
                }
                if seen.len() >= LONGEST_CIRCLE || seen.contains(&reference["uid"]) {
                    continue;
                }
                seen.push(reference["uid"].clone());
                *left = left.saturating_sub(1);
                let owner = self.owner(tx, &object, reference)?;
                above.extend(owner.map(|(_, owner)| owner).filter(waits));
            }
        }
        Ok(false)
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
        self.wake_owners(tx, &document, Wake::ToEnd)?;
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

#[cfg(test)]
mod tests {
    use super::{BEHIND_ALL, Endings, UNSETTLED};
    use crate::error::ApiError;
    use crate::gc::{Dependents, Removal};
    use crate::storage::objects::put;
    use pierhead_runtime::{Clock as _, ManualClock};
    use pierhead_store::Store;
    use pierhead_store::objects::ObjectKey;
    use serde_json::{Value, json};

    fn map(name: &str, more: &Value) -> Value {
        let mut metadata = json!({"name": name, "namespace": "n", "uid": name});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    }

    #[tokio::test]
    async fn a_dependent_that_goes_begins_no_walk_and_ends_none() {
        let clock = ManualClock::default();
        let store = Store::memory(clock.shared());
        let endings = Endings {
            by_kind: [(("", "ConfigMap"), ("configmaps".to_owned(), true))].into(),
            ..Endings::default()
        };
        let owner = map(
            "o",
            &json!({"deletionTimestamp": clock.now().to_string(), "finalizers": ["foregroundDeletion"]}),
        );
        let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "o"}]);
        let dependent = map("d", &json!({"ownerReferences": reference}));
        let removal = Removal { dependents: Dependents::Delete, now: clock.now() };
        let afters = store
            .write(move |tx| -> Result<_, ApiError> {
                let key = ObjectKey::new("configmaps", "n", "o");
                put(tx, &key, owner.clone())?;
                let mut afters = Vec::new();
                let mut note = |tx: &pierhead_store::WriteTx<'_>| -> Result<(), ApiError> {
                    let row = tx.get(&UNSETTLED, &"o".to_owned())?.expect("it was written down");
                    afters.push(row.after.map(|(resource, ..)| resource));
                    Ok(())
                };
                endings.release(tx, &dependent, removal)?;
                note(tx)?;
                endings.note_waiting(tx, &key, &owner)?;
                endings.release(tx, &dependent, removal)?;
                note(tx)?;
                Ok(afters)
            })
            .await
            .unwrap();
        assert_eq!(afters, [Some(BEHIND_ALL.to_owned()), None]);
    }
}
