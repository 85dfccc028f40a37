//! What happens to the dependents of a removed object (platform 1.10).
//!
//! Owns the cascade over `metadata.ownerReferences` within the table of API objects: dependents whose last owner is
//! gone are deleted, others lose the reference. It begins in the transaction that removes the owner, so nobody sees one
//! without the other; where there are very many, the rest follows in more transactions, so that other writes need not
//! wait for all of them. Dependents in other namespaces do not count: such references are not honoured (reliability
//! 7-F F5).

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{DeleteOptions, Status};
use pierhead_store::objects::{OBJECTS, ObjectKey};
use pierhead_store::{KeyRange, Store, Table, WriteTx, first_version};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use crate::error::ApiError;
use crate::kind::{Backing, Grace};
use crate::metadata;
use crate::storage::objects::{erase, put};
use crate::storage::references::owned_by;

mod foreground;

use foreground::Wake;

/// The finalizer of an object whose dependents are to stay when it goes.
const ORPHAN: &str = "orphan";
/// The finalizer of an object that goes after its dependents.
const FOREGROUND: &str = "foregroundDeletion";
const POLICIES: [&str; 3] = ["Background", "Foreground", "Orphan"];

/// Dependents that one transaction looks at.
const STEP: usize = 500;

/// Owners that are gone and have dependents that were not looked at, by uid.
pub(crate) static UNSETTLED: Table<String, Unsettled> = Table::silent("unsettled_owners");

/// An owner that is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Unsettled {
    /// Where it was; empty for none.
    namespace: String,
    /// Whether its dependents stay.
    keep: bool,
    /// The last of the dependents that were looked at: resource, namespace and name.
    after: Option<(String, String, String)>,
    /// Where the owner is, if it is still there and waits for its dependents, or frees them before others let it go:
    /// resource, namespace and name.
    #[serde(default)]
    waits: Option<(String, String, String)>,
}

first_version!(Unsettled);

/// What to do with dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// They go too.
    Delete,
    /// They stay, without an owner.
    Keep,
    /// They go before it does.
    First,
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
        let by_policy = policy.map(|policy| match policy {
            "Orphan" => Self::Keep,
            "Foreground" => Self::First,
            _ => Self::Delete,
        });
        let by_flag = options.orphan_dependents.map(|keep| if keep { Self::Keep } else { Self::Delete });
        Ok(by_policy.or(by_flag))
    }

    /// What the object says that is to be removed.
    pub(crate) fn of(object: &Value) -> Self {
        let finalizers = metadata::finalizers(object);
        let has = |finalizer: &str| finalizers.iter().any(|name| name == finalizer);
        if has(ORPHAN) {
            Self::Keep
        } else if has(FOREGROUND) {
            Self::First
        } else {
            Self::Delete
        }
    }

    /// Writes it down in the object, where it is found when the object goes, now or later.
    pub(crate) fn note(self, object: &mut Value) {
        let mut finalizers = metadata::finalizers(object);
        if self == Self::of(object) {
            return;
        }
        finalizers.retain(|name| name != ORPHAN && name != FOREGROUND);
        match self {
            Self::Keep => finalizers.push(ORPHAN.to_owned()),
            Self::First => finalizers.push(FOREGROUND.to_owned()),
            Self::Delete => {}
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
    metadata::finalizers(object).iter().any(|name| name != ORPHAN && name != FOREGROUND)
}

/// Whether an object that is to be deleted waits for its dependents.
pub(crate) fn waits(object: &Value) -> bool {
    metadata::is_terminating(object) && Dependents::of(object) == Dependents::First
}

/// Whether an object that is to be deleted has something to do about its dependents before it goes.
pub(crate) fn frees_or_waits(object: &Value) -> bool {
    metadata::is_terminating(object) && Dependents::of(object) != Dependents::Delete
}

/// Whether a write of the object may decide about others: it waits for them, or has owners.
pub(crate) fn concerns_others(object: &Value) -> bool {
    frees_or_waits(object) || !owners(object).is_empty()
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
pub(crate) struct Endings {
    by_resource: HashMap<String, Ending>,
    /// The resource of owners, by group and kind, and whether it has namespaces.
    by_kind: HashMap<(&'static str, &'static str), (String, bool)>,
}

#[derive(Clone, Copy)]
struct Ending {
    grace: Option<Grace>,
    holds: Option<fn(&mut Value) -> bool>,
}

impl Endings {
    /// How objects of `kinds` end.
    pub(crate) fn of<'a>(kinds: impl IntoIterator<Item = &'a crate::kind::Kind>) -> Self {
        let mut endings = Self::default();
        for kind in kinds {
            let Backing::Stored { storage: None, view: None, stored_as, .. } = &kind.backing else {
                continue;
            };
            let ending = Ending { grace: kind.grace, holds: kind.holds_deletion };
            endings.by_resource.insert(stored_as.clone(), ending);
            let (name, resource) = ((kind.gvk.group, kind.gvk.kind), (stored_as.clone(), kind.namespaced));
            endings.by_kind.insert(name, resource);
        }
        endings
    }

    /// Deletes or frees dependents of `removed`, and theirs; writes down those that [`Endings::finish`] has to see to.
    pub(crate) fn release(
        &self,
        tx: &mut WriteTx<'_>,
        removed: &Value,
        Removal { dependents, now }: Removal,
    ) -> Result<(), ApiError> {
        self.wake_owners(tx, removed, Wake::ToEnd)?;
        self.settle_some(tx, vec![unsettled(removed, dependents)], now)
    }

    /// Sees to the dependents that removals have left, also those of a request that was given up and of an earlier
    /// process. The owners are gone already, so nobody is told if that fails.
    pub(crate) async fn finish(self: &Arc<Self>, store: &Store, now: Timestamp) {
        loop {
            match self.finish_some(store, now).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let message = &error.status().message;
                    warn!(error = %message, "Dependents of a deleted object stay until the next deletion: {message}");
                    return;
                }
            }
        }
    }

    /// Says whether there was something to see to.
    async fn finish_some(self: &Arc<Self>, store: &Store, now: Timestamp) -> Result<bool, ApiError> {
        if store.read(|tx| tx.scan(&UNSETTLED, &KeyRange::all(), 1))?.is_empty() {
            return Ok(false);
        }
        let endings = Arc::clone(self);
        let finish = move |tx: &mut WriteTx<'_>| {
            let owners = tx.scan(&UNSETTLED, &KeyRange::all(), STEP)?;
            for (uid, _) in &owners {
                tx.delete(&UNSETTLED, uid)?;
            }
            endings.settle_some(tx, owners, now)
        };
        store.write(finish).await?;
        Ok(true)
    }

    /// Looks at some dependents of `pending`, and writes down the owners that have more.
    fn settle_some(
        &self,
        tx: &mut WriteTx<'_>,
        mut pending: Vec<(String, Unsettled)>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let mut left = STEP;
        while left > 0
            && let Some((uid, mut owner)) = pending.pop()
        {
            let keys = owned_by(tx, &uid, owner.after.as_ref(), left)?;
            let dependents = match &owner.waits {
                _ if owner.keep => Dependents::Keep,
                Some(_) => Dependents::First,
                None => Dependents::Delete,
            };
            let mut has_more = keys.len() == left;
            for key in keys {
                if left == 0 {
                    has_more = true;
                    break;
                }
                left -= 1;
                if (owner.namespace.is_empty() || key.namespace == owner.namespace)
                    && let Some(gone) = self.settle(tx, &key, &uid, Removal { dependents, now }, &mut left)?
                {
                    let (uid, owner) = unsettled(&gone, Dependents::of(&gone));
                    if !owned_by(tx, &uid, None, 1)?.is_empty() {
                        pending.push((uid, owner));
                    }
                }
                let ObjectKey { resource, namespace, name } = key;
                owner.after = Some((resource, namespace, name));
            }
            if has_more {
                pending.push((uid, owner));
            } else {
                pending.extend(self.end_waiting(tx, &uid, &owner)?);
            }
        }
        for (uid, owner) in &pending {
            tx.put(&UNSETTLED, uid, owner)?;
        }
        Ok(())
    }

    /// Takes the reference from one dependent, or deletes it; gives back what was removed for good. What else it has to
    /// look at for that is taken from `left`.
    fn settle(
        &self,
        tx: &mut WriteTx<'_>,
        key: &ObjectKey,
        uid: &str,
        Removal { dependents, now }: Removal,
        left: &mut usize,
    ) -> Result<Option<Value>, ApiError> {
        let Some(record) = tx.get(&OBJECTS, key)? else { return Ok(None) };
        let mut document: Value = serde_json::from_slice(&record.0)?;
        let rest: Vec<Value> =
            owners(&document).iter().filter(|owner| owner["uid"] != uid).cloned().collect();
        if rest.len() == owners(&document).len() {
            // Objects of accounts are also written by `auth`, which keeps no list of owners.
            return Ok(None);
        }
        if dependents != Dependents::Keep && metadata::is_terminating(&document) {
            // It goes already, and an owner that waits for it waits until it is gone; unless that waits for the owner.
            let is_first = dependents == Dependents::First && waits(&document);
            if is_first && self.frees_circle(tx, &mut document, left)? {
                let stored = put(tx, key, document)?;
                self.wake_owners(tx, &stored, Wake::ToEnd)?;
            }
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
        if dependents == Dependents::First && self.goes_after_its_own(tx, key, &mut document, now, left)? {
            return Ok(None);
        }
        let ending = self.by_resource.get(&key.resource).copied();
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
        self.wake_owners(tx, &document, Wake::ToEnd)?;
        Ok(Some(document))
    }
}

/// What has to be known of an object that is gone, with its uid.
fn unsettled(gone: &Value, dependents: Dependents) -> (String, Unsettled) {
    let namespace = metadata::text(gone, "namespace").to_owned();
    let keep = dependents == Dependents::Keep;
    (metadata::text(gone, "uid").to_owned(), Unsettled { namespace, keep, after: None, waits: None })
}

fn owners(document: &Value) -> &[Value] {
    metadata::of(document).get("ownerReferences").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
