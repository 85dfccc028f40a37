//! The table of API objects: every kind in one table, as the exact JSON that readers get.
//!
//! What the JSON means is the API server's business. Here are only its key and the promise that bytes come
//! back as they were put.

use bytes::Bytes;

use crate::key::{CorruptKey, Key, KeyPrefix};
use crate::record::{Record, RecordError};
use crate::table::Table;

/// Every API object, ordered by resource, namespace and name. Logged: watches read its changes.
pub static OBJECTS: Table<ObjectKey, ObjectRecord> = Table::logged("objects");

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The plural and, where there is one, the group: `secrets`, `routes.route.openshift.io`.
    pub resource: String,
    /// The namespace; empty for objects of the cluster.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// Names an object; `namespace` is empty for objects of the cluster.
    pub fn new(resource: impl Into<String>, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }
}

impl Key for ObjectKey {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.resource.as_str(), self.namespace.as_str(), self.name.as_str()).encode_prefix(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CorruptKey> {
        let (resource, namespace, name) = Key::decode(bytes)?;
        Ok(Self { resource, namespace, name })
    }
}

/// The exact JSON of an object, with `apiVersion`, `kind` and `metadata.resourceVersion` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRecord(pub Bytes);

const OBJECT_VERSION: u8 = 1;

impl Record for ObjectRecord {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.reserve(self.0.len() + 1);
        out.push(OBJECT_VERSION);
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        match bytes.first() {
            Some(&OBJECT_VERSION) => Ok(Self(bytes.slice(1..))),
            Some(&0) => Err(RecordError::UnknownVersion { found: 0 }),
            Some(&found) => Err(RecordError::TooNew { found, known: OBJECT_VERSION }),
            None => Err(RecordError::Empty),
        }
    }
}
