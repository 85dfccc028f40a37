//! What objects refer to, by what they refer to: their owners, and the cluster addresses of services.
//!
//! Owns two tables that are kept in the transactions that write objects, so that neither a deletion nor a new service
//! has to look through everything there is. `auth` writes its objects without them, which does no harm: whoever follows
//! a reference looks at the object first. What follows from a reference is `gc`'s and the kind's.

use std::collections::BTreeSet;

use bytes::Bytes;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, ReadTx, Store, StoreError, Table, TableName, WriteTx};
use serde::Deserialize;

use crate::error::ApiError;
use crate::gc::UNSETTLED;

/// Who names an object as an owner: the owner's uid, then resource, namespace and name.
static OWNED: Table<(String, String, String, String), ()> = Table::silent("owned_objects");
/// Which service has a cluster address: the address, then namespace and name.
static ADDRESSES: Table<(String, String, String), ()> = Table::silent("service_addresses");

/// The resource services are stored under.
const SERVICES: &str = "services";
/// A service's address that means none.
const HEADLESS: &str = "None";
/// Objects read at once where all of them are.
const STRIDE: usize = 1_000;

/// The tables of this crate, for opening the store.
pub fn tables() -> Vec<TableName> {
    vec![OWNED.name(), ADDRESSES.name(), UNSETTLED.name()]
}

/// What one object refers to.
#[derive(Default)]
struct References {
    owners: BTreeSet<String>,
    address: Option<String>,
}

#[derive(Deserialize)]
struct Owning {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    uid: String,
}

#[derive(Deserialize)]
struct Addressed {
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default, rename = "clusterIP")]
    cluster_ip: Option<String>,
}

impl References {
    fn read(key: &ObjectKey, document: Option<&Bytes>) -> Result<Self, serde_json::Error> {
        let Some(document) = document else { return Ok(Self::default()) };
        let Owning { metadata } = serde_json::from_slice(document)?;
        let owners = metadata.owner_references.into_iter().flatten().map(|owner| owner.uid);
        let address = match key.resource.as_str() {
            SERVICES => serde_json::from_slice::<Addressed>(document)?.spec.cluster_ip,
            _ => None,
        };
        Ok(Self {
            owners: owners.filter(|uid| !uid.is_empty()).collect(),
            address: address.filter(|address| !address.is_empty() && address != HEADLESS),
        })
    }

    fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.address.is_none()
    }
}

fn owned_key(uid: &str, key: &ObjectKey) -> (String, String, String, String) {
    let ObjectKey { resource, namespace, name } = key.clone();
    (uid.to_owned(), resource, namespace, name)
}

fn address_key(address: &str, key: &ObjectKey) -> (String, String, String) {
    (address.to_owned(), key.namespace.clone(), key.name.clone())
}

/// Keeps the tables when the object `key` changes from `before` to `after`. Says whether it has or had owners.
pub(super) fn follow(
    tx: &mut WriteTx<'_>,
    key: &ObjectKey,
    before: Option<&Bytes>,
    after: Option<&Bytes>,
) -> Result<bool, ApiError> {
    let (had, has) = (References::read(key, before)?, References::read(key, after)?);
    for uid in had.owners.difference(&has.owners) {
        tx.delete(&OWNED, &owned_key(uid, key))?;
    }
    for uid in has.owners.difference(&had.owners) {
        tx.put(&OWNED, &owned_key(uid, key), &())?;
    }
    if had.address != has.address {
        if let Some(address) = &had.address {
            tx.delete(&ADDRESSES, &address_key(address, key))?;
        }
        if let Some(address) = &has.address {
            tx.put(&ADDRESSES, &address_key(address, key), &())?;
        }
    }
    Ok(!had.owners.is_empty() || !has.owners.is_empty())
}

/// Objects that say the object `uid` owns them, from the one after resource, namespace and name on.
pub(crate) fn owned_by(
    tx: &WriteTx<'_>,
    uid: &str,
    after: Option<&(String, String, String)>,
    limit: usize,
) -> Result<Vec<ObjectKey>, StoreError> {
    let all = KeyRange::prefix(&(uid,));
    let range = match after.cloned() {
        Some((resource, namespace, name)) => all.after(&(uid.to_owned(), resource, namespace, name)),
        None => all,
    };
    let rows = tx.scan(&OWNED, &range, limit)?;
    Ok(rows
        .into_iter()
        .map(|((_, resource, namespace, name), ())| ObjectKey { resource, namespace, name })
        .collect())
}

/// Whether a service has `address`.
pub(crate) fn is_taken(tx: &ReadTx<'_>, address: &str) -> Result<bool, StoreError> {
    Ok(!tx.scan(&ADDRESSES, &KeyRange::prefix(&(address,)), 1)?.is_empty())
}

/// The address that the service `key` is about to get and that another one has.
pub(super) fn taken_from_another(
    tx: &WriteTx<'_>,
    key: &ObjectKey,
    before: Option<&Bytes>,
    after: &Bytes,
) -> Result<Option<String>, ApiError> {
    if key.resource != SERVICES {
        return Ok(None);
    }
    let (had, has) = (References::read(key, before)?.address, References::read(key, Some(after))?.address);
    let Some(address) = has.filter(|address| had.as_ref() != Some(address)) else { return Ok(None) };
    let holders = tx.scan(&ADDRESSES, &KeyRange::prefix(&(address.as_str(),)), usize::MAX)?;
    let own = address_key(&address, key);
    Ok(Some(address).filter(|_| holders.iter().any(|(holder, ())| *holder != own)))
}

/// Fills the tables of a store that was written before there were any. The built-in services have addresses, so a store
/// that was filled once has some.
pub(crate) async fn fill(store: &Store) -> Result<(), ApiError> {
    if !store.read(|tx| tx.scan(&ADDRESSES, &KeyRange::all(), 1))?.is_empty() {
        return Ok(());
    }
    let mut found = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let rows = store.read(|tx| tx.scan(&OBJECTS, &range, STRIDE))?;
        let Some((last, _)) = rows.last() else { break };
        range = KeyRange::all().after(last);
        for (key, ObjectRecord(document)) in rows {
            if !References::read(&key, Some(&document))?.is_empty() {
                found.push((key, document));
            }
        }
    }
    let note = move |tx: &mut WriteTx<'_>| {
        found.iter().try_for_each(|(key, document)| follow(tx, key, None, Some(document)).map(|_owned| ()))
    };
    store.write(note).await
}
