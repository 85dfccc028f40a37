//! What happens to the dependents of a removed object (platform 1.10).
//!
//! Owns the cascade over `metadata.ownerReferences` within the table of API objects: dependents whose last owner is
//! gone are deleted, others lose the reference. It runs in the transaction that removes the owner, so nobody sees one
//! without the other. Dependents in other namespaces do not count: such references are not honoured (reliability
//! 7-F F5).

use std::collections::HashMap;

use jiff::Timestamp;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{DeleteOptions, Status};
use pierhead_store::WriteTx;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::kind::{Backing, Grace};
use crate::metadata;
use crate::storage::objects::{erase, put};
use crate::storage::references::owned_by;

/// The finalizer of an object whose dependents are to stay when it goes.
const ORPHAN: &str = "orphan";
const POLICIES: [&str; 3] = ["Background", "Foreground", "Orphan"];

/// What to do with dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// They go too.
    Delete,
    /// They stay, without an owner.
    Keep,
}

impl Dependents {
    /// What the options of a deletion ask for; `None` when they say nothing, 422 when they make no sense.
    pub(crate) fn asked(options: &DeleteOptions) -> Result<Option<Self>, ApiError> {
        let mut errors = FieldErrors::new();
        let policy = options.propagation_policy.as_deref();
        if let Some(policy) = policy {
            if options.orphan_dependents.is_some() {
                let detail = "orphanDependents and deletionPropagation cannot be both set";
                errors.invalid("propagationPolicy", policy, detail);
            } else if !POLICIES.contains(&policy) {
                errors.not_supported("propagationPolicy", policy, &POLICIES);
            }
        }
        if !errors.is_empty() {
            return Err(Status::invalid("DeleteOptions", "meta.k8s.io", "", &errors).into());
        }
        let keep = policy.map(|policy| policy == "Orphan").or(options.orphan_dependents);
        Ok(keep.map(|keep| if keep { Self::Keep } else { Self::Delete }))
    }

    /// What the object says that is to be removed.
    pub(crate) fn of(object: &Value) -> Self {
        if metadata::finalizers(object).iter().any(|name| name == ORPHAN) { Self::Keep } else { Self::Delete }
    }

    /// Writes it down in the object, where it is found when the object goes, now or later.
    pub(crate) fn note(self, object: &mut Value) {
        let mut finalizers = metadata::finalizers(object);
        match (self, Self::of(object)) {
            (Self::Keep, Self::Delete) => finalizers.push(ORPHAN.to_owned()),
            (Self::Delete, Self::Keep) => finalizers.retain(|name| name != ORPHAN),
            _ => return,
        }
        let metadata = metadata::of_mut(object);
        if finalizers.is_empty() {
            metadata.shift_remove("finalizers");
        } else {
            metadata.insert("finalizers".to_owned(), json!(finalizers));
        }
    }
}

/// Whether somebody has to finish something before the object can go. What is said about dependents needs nobody.
pub(crate) fn is_held(object: &Value) -> bool {
    metadata::finalizers(object).iter().any(|name| name != ORPHAN)
}

/// A removal as the rest of its transaction must know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal {
    /// What to do with dependents.
    pub(crate) dependents: Dependents,
    /// When.
    pub(crate) now: Timestamp,
}

/// How objects of each stored resource end, where that takes more than removing them.
#[derive(Default)]
pub(crate) struct Endings(HashMap<String, Ending>);

#[derive(Clone, Copy)]
struct Ending {
    grace: Option<Grace>,
    holds: Option<fn(&mut Value) -> bool>,
}

impl Endings {
    /// How objects of `kinds` end.
    pub(crate) fn of<'a>(kinds: impl IntoIterator<Item = &'a crate::kind::Kind>) -> Self {
        let stored = kinds.into_iter().filter_map(|kind| match &kind.backing {
            Backing::Stored { storage: None, view: None, stored_as, .. } => {
                Some((stored_as.clone(), Ending { grace: kind.grace, holds: kind.holds_deletion }))
            }
            _ => None,
        });
        Self(stored.collect())
    }

    /// Deletes or frees the dependents of `removed`, and theirs.
    pub(crate) fn release(
        &self,
        tx: &mut WriteTx<'_>,
        removed: &Value,
        Removal { dependents, now }: Removal,
    ) -> Result<(), ApiError> {
        let owner = |object: &Value| {
            (metadata::text(object, "uid").to_owned(), metadata::text(object, "namespace").to_owned())
        };
        let mut pending = vec![(owner(removed), dependents)];
        while let Some(((uid, namespace), dependents)) = pending.pop() {
            if uid.is_empty() {
                continue;
            }
            for key in owned_by(tx, &uid)? {
                if !namespace.is_empty() && key.namespace != namespace {
                    continue;
                }
                if let Some(gone) = self.settle(tx, &key, &uid, Removal { dependents, now })? {
                    pending.push((owner(&gone), Dependents::of(&gone)));
                }
            }
        }
        Ok(())
    }

    /// Takes the reference from one dependent, or deletes it; gives back what was removed for good.
    fn settle(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        uid: &str,
        Removal { dependents, now }: Removal,
    ) -> Result<Option<Value>, ApiError> {
        let Some(record) = tx.get(&OBJECTS, key)? else { return Ok(None) };
        let mut document: Value = serde_json::from_slice(&record.0)?;
        let rest: Vec<Value> =
            owners(&document).iter().filter(|owner| owner["uid"] != uid).cloned().collect();
        if rest.len() == owners(&document).len() {
            // Objects of accounts are also written by `auth`, which keeps no list of owners.
            return Ok(None);
        }
        if dependents == Dependents::Keep || !rest.is_empty() {
            let metadata = metadata::of_mut(&mut document);
            if rest.is_empty() {
                metadata.shift_remove("ownerReferences");
            } else {
                metadata.insert("ownerReferences".to_owned(), rest.into());
            }
            put(tx, key, document)?;
            return Ok(None);
        }
        let ending = self.0.get(&key.resource).copied();
        let holds = ending.and_then(|ending| ending.holds).is_some_and(|holds| holds(&mut document));
        let grace = ending.and_then(|ending| ending.grace).map_or(0, |grace| grace(&document, None));
        if holds || is_held(&document) || grace > 0 {
            if !metadata::is_terminating(&document) {
                metadata::mark_deleted(&mut document, now, grace);
                put(tx, key, document)?;
            }
            return Ok(None);
        }
        erase(tx, key)?;
        Ok(Some(document))
    }
}

fn owners(document: &Value) -> &[Value] {
    metadata::of(document).get("ownerReferences").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
