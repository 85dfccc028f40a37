//! What happens to the dependents of a removed object (platform 1.10).
//!
//! Owns the cascade over `metadata.ownerReferences` within the table of API objects: dependents whose last owner is
//! gone are deleted, others lose the reference. It runs before the deletion is answered, so there is no state to lose.
//! Dependents in other namespaces do not count: such references are not honoured (reliability 7-F F5).

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::meta::DeleteOptions;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use pierhead_store::{KeyRange, WriteTx};
use serde_json::Value;

use crate::call::Call;
use crate::error::ApiError;
use crate::kind::{Backing, Grace};
use crate::metadata;
use crate::storage::objects::put;

/// What to do with dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// They go too.
    Delete,
    /// They stay, without an owner.
    Keep,
}

impl Dependents {
    /// What the options of a deletion ask for.
    pub(crate) fn of(options: &DeleteOptions) -> Self {
        let orphan = options.propagation_policy.as_deref() == Some("Orphan")
            || (options.propagation_policy.is_none() && options.orphan_dependents == Some(true));
        if orphan { Self::Keep } else { Self::Delete }
    }
}

/// Deletes or frees the dependents of `removed`, and theirs.
pub(crate) fn release<'a>(
    call: &'a Call,
    removed: &'a Value,
    dependents: Dependents,
) -> BoxFuture<'a, Result<(), ApiError>> {
    async move {
        let uid = metadata::text(removed, "uid");
        if uid.is_empty() {
            return Ok(());
        }
        for (key, grace) in find(call, uid, metadata::text(removed, "namespace"))? {
            let uid = uid.to_owned();
            let now = call.now;
            let gone = call
                .server
                .store
                .write(move |tx| -> Result<Option<Value>, ApiError> {
                    settle(tx, (&key, grace), &uid, dependents, now)
                })
                .await?;
            if let Some(gone) = gone {
                release(call, &gone, Dependents::Delete).await?;
            }
        }
        Ok(())
    }
    .boxed()
}

/// Objects in `namespace` that say the object `uid` owns them. Bytes are searched before anything is parsed.
fn find(call: &Call, uid: &str, namespace: &str) -> Result<Vec<(ObjectKey, Option<Grace>)>, ApiError> {
    let mut found = Vec::new();
    for resource in call.server.catalog.resources() {
        let Backing::Stored { storage: None, stored_as, view: None, .. } = &resource.kind.backing else {
            continue;
        };
        if !namespace.is_empty() && !resource.kind.namespaced {
            continue;
        }
        let range = if namespace.is_empty() {
            KeyRange::prefix(&(stored_as.as_str(),))
        } else {
            KeyRange::prefix(&(stored_as.as_str(), namespace))
        };
        let rows = call.server.store.read(|tx| tx.scan(&OBJECTS, &range, usize::MAX))?;
        for (key, record) in rows {
            if contains(&record.0, uid.as_bytes()) && owned_by(&serde_json::from_slice(&record.0)?, uid) {
                found.push((key, resource.kind.grace));
            }
        }
    }
    Ok(found)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

fn owners(document: &Value) -> &[Value] {
    metadata::of(document).get("ownerReferences").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn owned_by(document: &Value, uid: &str) -> bool {
    owners(document).iter().any(|owner| owner["uid"] == uid)
}

/// Takes the reference from one dependent, or deletes it; gives back what was removed for good.
fn settle(
    tx: &mut WriteTx<'_>,
    (key, grace): (&ObjectKey, Option<Grace>),
    uid: &str,
    dependents: Dependents,
    now: jiff::Timestamp,
) -> Result<Option<Value>, ApiError> {
    let Some(record) = tx.get(&OBJECTS, key)? else { return Ok(None) };
    let mut document: Value = serde_json::from_slice(&record.0)?;
    let rest: Vec<Value> = owners(&document).iter().filter(|owner| owner["uid"] != uid).cloned().collect();
    if rest.len() == owners(&document).len() {
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
    if !metadata::finalizers(&document).is_empty() {
        if !metadata::is_terminating(&document) {
            metadata::mark_deleted(&mut document, now, 0);
            put(tx, key, document)?;
        }
        return Ok(None);
    }
    let left = grace.map_or(0, |grace| grace(&document, None));
    if left > 0 {
        if !metadata::is_terminating(&document) {
            metadata::mark_deleted(&mut document, now, left);
            put(tx, key, document)?;
        }
        return Ok(None);
    }
    tx.delete(&OBJECTS, key)?;
    Ok(Some(document))
}
