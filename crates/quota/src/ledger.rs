//! Charging quotas for what a transaction writes, in that transaction.
//!
//! Owns the look-up of the quotas that count in a namespace, the comparison, and the texts of refusals. A write that
//! uses less of something is never refused, also where more is used than is allowed by now.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use bytes::Bytes;
use pierhead_api::core::{Namespace, Quantity, ResourceQuota, ResourceQuotaSpec};
use pierhead_api::quota::ClusterResourceQuota;
use pierhead_api::{DecodeError, Object as _, from_slice};
use pierhead_store::{KeyRange, OBJECTS, ObjectKey, ObjectRecord, StoreError, WriteTx};
use serde_json::Value;

use crate::amounts::{Amounts, Counted};

/// What becomes of a write that uses more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is refused where a quota does not allow it, and counted where all do.
    Enforce,
    /// It is refused just so; nothing is counted, for it is only tried.
    Try,
    /// It is counted: the server's own writes, and the end of objects.
    Record,
}

/// An object before and after a write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Charged<'d> {
    /// The document that was there.
    pub before: Option<&'d [u8]>,
    /// The document that will be there.
    pub after: Option<&'d [u8]>,
}

/// What a quota says to a write that it does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a write was not charged.
#[derive(Debug, thiserror::Error)]
pub enum ChargeError {
    /// A quota does not allow it.
    #[error("{0}")]
    Refused(Refusal),
    /// A stored object cannot be read.
    #[error("reading what quotas are about")]
    Unreadable(#[from] DecodeError),
    /// A stored quota cannot be written back.
    #[error("writing a quota")]
    Unwritable(#[from] serde_json::Error),
    /// Reading or writing rows failed.
    #[error("storing a quota")]
    Store(#[from] StoreError),
}

/// A quota that counts in some namespace.
pub(crate) struct Quota {
    key: ObjectKey,
    document: Value,
    pub(crate) spec: ResourceQuotaSpec,
    used: Amounts,
    /// Whether it counts several namespaces together.
    is_shared: bool,
}

/// Charges the quotas of an object's namespace for a write of it. Belongs before the write: a refusal leaves the
/// transaction to be dropped.
pub fn charge(
    tx: &mut WriteTx<'_>,
    key: &ObjectKey,
    object: Charged<'_>,
    mode: Mode,
) -> Result<(), ChargeError> {
    let both = object.before.is_some() && object.after.is_some();
    if key.namespace.is_empty() || both && !matches!(key.resource.as_str(), "pods" | "services") {
        return Ok(());
    }
    let quotas = quotas_of(tx, &key.namespace)?;
    if quotas.is_empty() {
        return Ok(());
    }
    let read =
        |document: Option<&[u8]>| document.map(|document| Counted::read(&key.resource, document)).transpose();
    settle(tx, quotas, &key.namespace, (read(object.before)?, read(object.after)?), mode)
}

/// Charges the quotas of a namespace for an image stream that is made (`mode` other than `Record`) or removed.
pub fn charge_stream(tx: &mut WriteTx<'_>, namespace: &str, mode: Mode) -> Result<(), ChargeError> {
    let quotas = quotas_of(tx, namespace)?;
    if quotas.is_empty() {
        return Ok(());
    }
    let change = match mode {
        Mode::Enforce | Mode::Try => (None, Some(Counted::stream())),
        Mode::Record => (Some(Counted::stream()), None),
    };
    settle(tx, quotas, namespace, change, mode)
}

fn settle(
    tx: &mut WriteTx<'_>,
    quotas: Vec<Quota>,
    namespace: &str,
    (before, after): (Option<Counted<'_>>, Option<Counted<'_>>),
    mode: Mode,
) -> Result<(), ChargeError> {
    let mut charged = Vec::new();
    for quota in quotas {
        let amounts = |object: &Option<Counted<'_>>| {
            object.as_ref().map(|object| object.amounts(&quota.spec)).unwrap_or_default()
        };
        let change = difference(&amounts(&before), &amounts(&after));
        if mode != Mode::Record {
            if let Some(object) = after.as_ref().filter(|_| before.is_none()) {
                quota.check_said(object)?;
            }
            quota.check(&change)?;
        }
        if !change.is_empty() {
            charged.push((quota, change));
        }
    }
    if mode == Mode::Try {
        return Ok(());
    }
    for (quota, change) in charged {
        quota.book(tx, namespace, &change)?;
    }
    Ok(())
}

/// How much more the second is, by name, where it is not the same.
fn difference(before: &Amounts, after: &Amounts) -> Amounts {
    let mut change = after.clone();
    for (name, amount) in before {
        let more = change.entry(name.clone()).or_default();
        *more = *more - *amount;
    }
    change.retain(|_, amount| *amount != Quantity::default());
    change
}

/// The quotas that count in a namespace.
fn quotas_of(tx: &WriteTx<'_>, namespace: &str) -> Result<Vec<Quota>, ChargeError> {
    let own = KeyRange::prefix(&(ResourceQuota::PLURAL, namespace));
    let mut quotas = Vec::new();
    for (key, record) in tx.scan(&OBJECTS, &own, usize::MAX)? {
        let quota: ResourceQuota = from_slice(&record.0)?;
        quotas.push(Quota {
            key,
            document: document_of(&record)?,
            spec: quota.spec,
            used: quota.status.used,
            is_shared: false,
        });
    }
    let shared = shared_quotas(tx)?;
    if shared.is_empty() {
        return Ok(quotas);
    }
    let Some(record) = tx.get(&OBJECTS, &ObjectKey::new(Namespace::PLURAL, "", namespace))? else {
        return Ok(quotas);
    };
    let namespace: Namespace = from_slice(&record.0)?;
    for (key, record, quota) in shared {
        if quota.spec.selector.selects(&namespace.metadata) {
            quotas.push(Quota {
                key,
                document: document_of(&record)?,
                spec: quota.spec.quota,
                used: quota.status.total.used,
                is_shared: true,
            });
        }
    }
    Ok(quotas)
}

pub(crate) type SharedQuota = (ObjectKey, ObjectRecord, ClusterResourceQuota);

/// All quotas over several projects.
pub(crate) fn shared_quotas(tx: &WriteTx<'_>) -> Result<Vec<SharedQuota>, ChargeError> {
    let range = KeyRange::prefix(&(ClusterResourceQuota::qualified_resource().as_str(), ""));
    let rows = tx.scan(&OBJECTS, &range, usize::MAX)?;
    rows.into_iter()
        .map(|(key, record)| {
            let quota = from_slice(&record.0)?;
            Ok((key, record, quota))
        })
        .collect()
}

fn document_of(record: &ObjectRecord) -> Result<Value, ChargeError> {
    Ok(serde_json::from_slice(&record.0)?)
}

impl Quota {
    fn check(&self, change: &Amounts) -> Result<(), ChargeError> {
        let zero = Quantity::default();
        let mut over = BTreeMap::new();
        for (name, more) in change.iter().filter(|(_, more)| **more > zero) {
            let used = self.used.get(name).copied().unwrap_or_default();
            if let Some(hard) = self.spec.hard.get(name).filter(|hard| used + *more > **hard) {
                over.insert(name, (*more, used, *hard));
            }
        }
        if over.is_empty() {
            return Ok(());
        }
        let list = |of: fn(&(Quantity, Quantity, Quantity)) -> Quantity| {
            let items: Vec<String> = over.iter().map(|(name, row)| format!("{name}={}", of(row))).collect();
            items.join(",")
        };
        let text = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            self.key.name,
            list(|row| row.0),
            list(|row| row.1),
            list(|row| row.2),
        );
        Err(ChargeError::Refused(Refusal { text }))
    }

    /// A pod must say how much it wants of what is counted.
    fn check_said(&self, object: &Counted<'_>) -> Result<(), ChargeError> {
        let unsaid = object.unsaid(&self.spec);
        if unsaid.is_empty() {
            return Ok(());
        }
        let mut text = format!("failed quota: {}: must specify ", self.key.name);
        for (index, (resource, containers)) in unsaid.iter().enumerate() {
            let names: Vec<&str> = containers.iter().map(String::as_str).collect();
            let separator = if index == 0 { "" } else { "; " };
            // Writing to a String cannot fail.
            write!(text, "{separator}{resource} for: {}", names.join(",")).unwrap_or_default();
        }
        Err(ChargeError::Refused(Refusal { text }))
    }

    fn book(mut self, tx: &mut WriteTx<'_>, namespace: &str, change: &Amounts) -> Result<(), ChargeError> {
        if self.is_shared {
            add_to(&mut self.document["status"]["total"]["used"], change);
            let namespaces = &mut self.document["status"]["namespaces"];
            if !namespaces.is_array() {
                *namespaces = Value::Array(Vec::new());
            }
            let rows = namespaces.as_array_mut().expect("it was made a list if it was none");
            match rows.iter_mut().find(|row| row["namespace"] == namespace) {
                Some(row) => add_to(&mut row["status"]["used"], change),
                None => {
                    let mut row =
                        serde_json::json!({"namespace": namespace, "status": {"hard": self.spec.hard}});
                    add_to(&mut row["status"]["used"], change);
                    rows.push(row);
                }
            }
        } else {
            add_to(&mut self.document["status"]["used"], change);
        }
        put(tx, &self.key, self.document)?;
        Ok(())
    }
}

fn add_to(used: &mut Value, change: &Amounts) {
    for (name, more) in change {
        let now: Quantity =
            used[name.as_str()].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        used[name.as_str()] = Value::String((now + *more).to_string());
    }
}

/// Writes a quota that the server changed.
pub(crate) fn put(tx: &mut WriteTx<'_>, key: &ObjectKey, mut document: Value) -> Result<(), ChargeError> {
    document["metadata"]["resourceVersion"] = Value::String(tx.next_revision().to_string());
    let bytes = Bytes::from(serde_json::to_vec(&document)?);
    tx.put(&OBJECTS, key, &ObjectRecord(bytes))?;
    Ok(())
}
