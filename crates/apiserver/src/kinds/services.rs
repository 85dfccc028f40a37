//! Services, and the addresses they are given (platform 7.1).
//!
//! Owns the range of addresses. Nothing routes to them inside this one binary; clients build pull specs out of them, so
//! they are given once, kept, and never given twice: the storage compares them in the transaction that writes.

use std::net::Ipv4Addr;

use pierhead_api::core::Service;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Status;
use pierhead_store::{ReadTx, StoreError};
use serde_json::Value;

use crate::admission::{Admission, Operation};
use crate::error::ApiError;
use crate::kind::Kind;
use crate::metadata;
use crate::storage::references::is_taken;
use crate::strategy::{Change, Strategy};

/// First address of the range, as OpenShift has it by default.
const FIRST: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 0);
/// How many addresses the range has; the first and the last are not given.
const SIZE: u32 = 1 << 16;

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Services).unconditional_update().status().admit(allocate)
}

/// Gives a service its address, or refuses one that is taken or not ours to give.
fn allocate(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    let (object, old) = match &mut admission.operation {
        Operation::Create { object } => (object, None),
        Operation::Update { object, old, .. } => (object, Some(*old)),
        Operation::Delete { .. } => return Ok(()),
    };
    if object.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName") {
        return Ok(());
    }
    let wanted = address(object);
    if wanted == "None" || old.is_some_and(|old| !wanted.is_empty() && address(old) == wanted) {
        return Ok(());
    }
    let store = &admission.call.server.store;
    if !wanted.is_empty() {
        if !is_ours(wanted) {
            return Err(outside(object, wanted));
        }
        if store.read(|tx| is_taken(tx, wanted))? {
            return Err(in_use(object, wanted));
        }
        return Ok(());
    }
    let Some(free) = store.read(free)? else {
        return Err(Status::internal("failed to allocate a serviceIP: range is full").into());
    };
    object["spec"]["clusterIPs"] = Value::from(vec![free.clone()]);
    object["spec"]["clusterIP"] = free.into();
    Ok(())
}

fn address(service: &Value) -> &str {
    service.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default()
}

/// An address that nobody has.
fn free(tx: &ReadTx<'_>) -> Result<Option<String>, StoreError> {
    for candidate in candidates(rand::random_range(1..SIZE - 1)) {
        if !is_taken(tx, &candidate)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// Whether an address is one of those that are given.
fn is_ours(address: &str) -> bool {
    let number = address.parse::<Ipv4Addr>().map(|address| u32::from(address).wrapping_sub(u32::from(FIRST)));
    number.is_ok_and(|number| (1..SIZE - 1).contains(&number))
}

/// Every address of the range once, beginning at the number `start`.
fn candidates(start: u32) -> impl Iterator<Item = String> {
    let usable = SIZE - 2;
    (0..usable)
        .map(move |step| Ipv4Addr::from(u32::from(FIRST) + 1 + (start - 1 + step) % usable).to_string())
}

/// 422: another service has the address.
pub(crate) fn in_use(service: &Value, address: &str) -> ApiError {
    refused(service, address, format!("failed to allocate IP {address}: provided IP is already allocated"))
}

fn outside(service: &Value, address: &str) -> ApiError {
    let range = "The range of valid IPs is 172.30.0.0/16";
    let why = "the provided IP is not in the valid range";
    refused(service, address, format!("failed to allocate IP {address}: {why}. {range}"))
}

fn refused(service: &Value, address: &str, detail: String) -> ApiError {
    let mut errors = FieldErrors::new();
    errors.invalid("spec.clusterIPs", Value::from(vec![address.to_owned()]), detail);
    Status::invalid("Service", "", metadata::text(service, "name"), &errors).into()
}

struct Services;

impl Strategy for Services {
    type Object = Service;

    fn prepare_create(&self, service: &mut Service, _: &Change<'_>) {
        service.set_defaults();
        copy_address(service);
    }

    fn prepare_update(&self, service: &mut Service, old: &Service, _: &Change<'_>) {
        service.set_defaults();
        let external = |service: &Service| service.spec.service_type == "ExternalName";
        if service.spec.cluster_ip.is_empty() && !external(service) && !external(old) {
            service.spec.cluster_ip.clone_from(&old.spec.cluster_ip);
        }
        copy_address(service);
    }

    fn validate(&self, service: &Service, _: &Change<'_>) -> FieldErrors {
        service.validate()
    }

    fn validate_update(&self, service: &Service, old: &Service, _: &Change<'_>) -> FieldErrors {
        service.validate_update(old)
    }
}

/// The list of addresses begins with the one address old clients know.
fn copy_address(service: &mut Service) {
    let spec = &mut service.spec;
    if spec.cluster_ip.is_empty()
        && let Some(first) = spec.cluster_ips.first()
    {
        spec.cluster_ip.clone_from(first);
    }
    spec.cluster_ips = if spec.cluster_ip.is_empty() { Vec::new() } else { vec![spec.cluster_ip.clone()] };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{SIZE, candidates, is_ours};

    #[test]
    fn every_address_is_tried_once_and_none_is_the_network() {
        let all: Vec<String> = candidates(SIZE - 2).collect();
        assert_eq!(all[0], "172.30.255.254");
        assert_eq!(all[1], "172.30.0.1");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 65_534);
        assert!(all.iter().all(|address| is_ours(address)));
        for other in ["172.30.0.0", "172.30.255.255", "172.29.255.255", "172.31.0.1", "8.8.8.8", "fd00::1"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
