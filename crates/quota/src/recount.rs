//! What is used, counted anew: when a quota is made or changed, and when projects come under one or leave it.

use std::collections::BTreeSet;

use pierhead_api::core::{Namespace, ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus};
use pierhead_api::quota::{ClusterResourceQuota, ClusterResourceQuotaStatus, ResourceQuotaStatusByNamespace};
use pierhead_api::{Object as _, from_slice, from_value};
use pierhead_store::{KeyRange, OBJECTS, ObjectKey, StoreError, WriteTx};
use serde_json::{Value, json};

use crate::STREAMS;
use crate::amounts::{Amounts, COUNTED, Counted};
use crate::ledger::{ChargeError, put, shared_quotas};

/// Says how many image streams a namespace has; they are not in the table of objects.
pub type CountStreams = fn(&WriteTx<'_>, &str) -> Result<usize, StoreError>;

/// Rows read at once.
const STRIDE: usize = 1_000;

/// Puts the true status into a quota that is about to be written under `key`; leaves other documents alone. Whatever a
/// client says about the status of a quota counts for nothing.
pub fn refresh(
    tx: &WriteTx<'_>,
    key: &ObjectKey,
    document: &mut Value,
    streams: CountStreams,
) -> Result<(), ChargeError> {
    if key.resource == ResourceQuota::PLURAL {
        let quota: ResourceQuota = from_value(document)?;
        let status = status_of(tx, &key.namespace, &quota.spec, (key, streams))?;
        document["status"] = serde_json::to_value(&status)?;
    } else if key.resource == ClusterResourceQuota::qualified_resource() {
        let quota: ClusterResourceQuota = from_value(document)?;
        document["status"] = serde_json::to_value(total(tx, &quota, (key, streams))?)?;
    }
    Ok(())
}

/// Counts all quotas over several projects anew, because a project came or went, or looks otherwise now.
pub fn regroup(tx: &mut WriteTx<'_>, streams: CountStreams) -> Result<(), ChargeError> {
    for (key, record, quota) in shared_quotas(tx)? {
        let status = total(tx, &quota, (&key, streams))?;
        if status != quota.status {
            let mut document: Value = serde_json::from_slice(&record.0)?;
            document["status"] = serde_json::to_value(status)?;
            put(tx, &key, document)?;
        }
    }
    Ok(())
}

fn total(
    tx: &WriteTx<'_>,
    quota: &ClusterResourceQuota,
    (key, streams): (&ObjectKey, CountStreams),
) -> Result<ClusterResourceQuotaStatus, ChargeError> {
    let mut status = ClusterResourceQuotaStatus::default();
    status.total.hard.clone_from(&quota.spec.quota.hard);
    status.total.used = nothing(&quota.spec.quota);
    for (_, record) in tx.scan(&OBJECTS, &KeyRange::prefix(&(Namespace::PLURAL, "")), usize::MAX)? {
        let namespace: Namespace = from_slice(&record.0)?;
        if !quota.spec.selector.selects(&namespace.metadata) {
            continue;
        }
        let namespace = namespace.metadata.name;
        let own = status_of(tx, &namespace, &quota.spec.quota, (key, streams))?;
        add(&mut status.total.used, &own.used);
        status.namespaces.push(ResourceQuotaStatusByNamespace { namespace, status: own });
    }
    Ok(status)
}

/// What a namespace uses of what `spec` counts. The quota itself, under `own`, counts as being there.
fn status_of(
    tx: &WriteTx<'_>,
    namespace: &str,
    spec: &ResourceQuotaSpec,
    (own, streams): (&ObjectKey, CountStreams),
) -> Result<ResourceQuotaStatus, ChargeError> {
    let mut used = nothing(spec);
    for resource in resources(spec) {
        if resource == STREAMS {
            let stream = Counted::stream().amounts(spec);
            for _ in 0..streams(tx, namespace)? {
                add(&mut used, &stream);
            }
            continue;
        }
        let mut range = KeyRange::prefix(&(resource.as_str(), namespace));
        loop {
            let rows = tx.scan(&OBJECTS, &range, STRIDE)?;
            let Some((last, _)) = rows.last() else { break };
            let next = KeyRange::prefix(&(resource.as_str(), namespace)).after(last);
            for (key, record) in &rows {
                if key != own {
                    add(&mut used, &Counted::read(&resource, &record.0)?.amounts(spec));
                }
            }
            range = next;
        }
        if resource == own.resource && namespace == own.namespace {
            add(&mut used, &Counted::read(&resource, json!({}).to_string().as_bytes())?.amounts(spec));
        }
    }
    Ok(ResourceQuotaStatus { hard: spec.hard.clone(), used })
}

/// Everything that is counted, none of which is used.
fn nothing(spec: &ResourceQuotaSpec) -> Amounts {
    spec.hard.keys().map(|name| (name.clone(), pierhead_api::core::Quantity::default())).collect()
}

fn add(used: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = used.entry(name.clone()).or_default();
        *sum = *sum + *amount;
    }
}

/// What must be looked at to count what `spec` names.
fn resources(spec: &ResourceQuotaSpec) -> BTreeSet<String> {
    let counted = |name: &String| {
        if let Some(resource) = name.strip_prefix("count/") {
            return resource.to_owned();
        }
        match name.as_str() {
            "openshift.io/imagestreams" => STREAMS,
            "services.nodeports" | "services.loadbalancers" => "services",
            name if COUNTED.contains(&name) => name,
            _ => "pods",
        }
        .to_owned()
    };
    spec.hard.keys().map(counted).collect()
}
