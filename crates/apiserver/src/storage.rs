//! Where objects are kept, as the collection sees it.
//!
//! Owns the [`Storage`] trait and its vocabulary. Implementers: `objects` (the table of API objects, for nearly every
//! kind) and the views of the image kinds over the `images` crate. A storage knows nothing of selectors, hooks or HTTP;
//! it keeps documents in group form and says truthfully when somebody else was faster.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pierhead_auth::{Api, Permit};
use pierhead_store::{Change, OBJECTS, Revision, TableName};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::gc::Removal;
use crate::query::DryRun;
use crate::strategy::Part;

pub(crate) mod image_objects;
pub(crate) mod image_streams;
pub(crate) mod image_tags;
pub(crate) mod objects;
mod quotas;
pub(crate) mod references;
pub(crate) mod sealed;

pub(crate) use objects::ObjectStorage;

/// Which object of a kind. Sorts as lists do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The namespace; empty for objects of the cluster.
    pub(crate) namespace: String,
    /// The name.
    pub(crate) name: String,
}

impl Key {
    /// Names an object.
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// An object as it comes out of a storage: most are sent on without ever being parsed.
#[derive(Clone)]
pub(crate) enum Document {
    /// The exact JSON.
    Stored(Bytes),
    /// Composed or converted on the way.
    Tree(Value),
}

impl Document {
    /// The document as a tree.
    pub(crate) fn into_tree(self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Stored(bytes) => serde_json::from_slice(&bytes),
            Self::Tree(value) => Ok(value),
        }
    }
}

/// Documents may hold secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document(..)")
    }
}

/// A stretch of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    /// Only this namespace.
    pub(crate) namespace: Option<&'a str>,
    /// Only what comes after this.
    pub(crate) after: Option<&'a Key>,
    /// At most so many.
    pub(crate) limit: usize,
    /// As things were then; `None`: now. 410 where nobody knows any more how they were.
    pub(crate) at: Option<Revision>,
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The objects, sorted.
    pub(crate) items: Vec<(Key, Document)>,
    /// The revision they were read at.
    pub(crate) revision: Revision,
    /// Whether more follow.
    pub(crate) more: bool,
}

/// What came of a write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The object as stored; for a removal as it was, with the revision of the removal.
    Done(Value),
    /// On create: the name is taken. Otherwise: the object is not what the caller saw.
    Raced,
    /// On create: there is no such namespace.
    NoNamespace,
    /// On create: the namespace is being deleted.
    Terminating,
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    /// Which object.
    pub(crate) key: Key,
    /// As it was.
    pub(crate) before: Option<Document>,
    /// As it is.
    pub(crate) after: Option<Document>,
    /// When.
    pub(crate) revision: Revision,
}

/// What came of [`Storage::put`].
#[derive(Debug)]
pub(crate) struct Put {
    /// The object as stored.
    pub(crate) object: Value,
    /// Whether there was none before.
    pub(crate) created: bool,
}

/// A place where objects of one kind are kept.
pub(crate) trait Storage: Send + Sync + 'static {
    /// The tables whose changes a watch must see: the storage's own, and that of API objects, which say who may watch.
    fn tables(&self) -> Vec<TableName> {
        vec![OBJECTS.name()]
    }

    /// Whether the objects have uids of their own, by which others can name them as owners.
    fn has_own_uids(&self) -> bool {
        true
    }

    /// One object.
    fn get(&self, key: &Key) -> Result<Option<Document>, ApiError>;

    /// The object a change or deletion is about, also where GET would not show it yet.
    fn find(&self, key: &Key) -> Result<Option<Document>, ApiError> {
        self.get(key)
    }

    /// How many objects there are now, where that can be told at little cost.
    fn count(&self, _namespace: Option<&str>) -> Result<Option<u64>, ApiError> {
        Ok(None)
    }

    /// A stretch of all objects in order of namespace and name.
    fn list(&self, scan: Scan<'_>) -> Result<Listed, ApiError>;

    /// Stores a new object.
    fn create<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        key: Key,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>>;

    /// Replaces the object that has the resourceVersion `seen`.
    fn replace<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        key: Key,
        seen: Seen,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>>;

    /// Removes the object that has the resourceVersion `seen`. Storages other than the table of objects leave its
    /// dependents to the caller.
    fn remove<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        key: Key,
        seen: Seen,
        removal: Removal,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>>;

    /// Puts an object where PUT makes what is missing and asks for no version, as with tags of image streams (images
    /// 3.7). `None` for the ordinary kinds, whose PUT goes through the collection.
    fn put<'a>(
        &'a self,
        _permit: &'a Permit<Api>,
        _object: &'a Value,
        _dry_run: DryRun,
    ) -> Option<BoxFuture<'a, Result<Put, ApiError>>> {
        None
    }

    /// What `change` did to the objects kept here, if anything.
    fn event(&self, change: &Change) -> Result<Option<Event>, ApiError>;
}

/// What the caller of a write had read before.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Which object the name stood for.
    pub(crate) uid: String,
    /// The resourceVersion of the object, or the one the caller insists on.
    pub(crate) resource_version: String,
    /// Which part is replaced.
    pub(crate) part: Part,
}

/// Only the fields of a stored document that decide whether a write may go on.
#[derive(Deserialize)]
pub(crate) struct Head {
    metadata: HeadMeta,
    #[serde(default)]
    status: Option<HeadStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct HeadStatus {
    #[serde(default)]
    phase: Option<Value>,
}

impl Head {
    /// Reads the head of a document.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// `metadata.resourceVersion`.
    pub(crate) fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// Whether deletion was asked for, or the phase is `Terminating`.
    pub(crate) fn is_terminating(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_ref());
        self.metadata.deletion_timestamp.is_some() || phase.is_some_and(|phase| phase == "Terminating")
    }
}
