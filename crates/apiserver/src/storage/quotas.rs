//! Quotas over what is written into the table of objects.
//!
//! Owns when they are charged, counted anew and regrouped, and how a refusal is told. The ledger is `quota`'s.

use bytes::Bytes;
use pierhead_api::core::{Namespace, ResourceQuota};
use pierhead_api::meta::Status;
use pierhead_api::quota::ClusterResourceQuota;
use pierhead_api::{Object as _, from_slice};
use pierhead_images::count_streams;
use pierhead_quota::{ChargeError, Charged, Mode};
use pierhead_store::WriteTx;
use pierhead_store::objects::ObjectKey;
use serde_json::Value;

use crate::error::ApiError;

/// A document before and after a write.
type BeforeAndAfter<'d> = (Option<&'d Bytes>, Option<&'d Bytes>);

/// Charges the quotas of the object's namespace; says whether that wrote anything.
pub(super) fn follow(
    tx: &mut WriteTx<'_>,
    key: &ObjectKey,
    (before, after): BeforeAndAfter<'_>,
    mode: Mode,
) -> Result<bool, ApiError> {
    let object = Charged { before: before.map(|bytes| &**bytes), after: after.map(|bytes| &**bytes) };
    let unwritten = tx.next_revision();
    pierhead_quota::charge(tx, key, object, mode).map_err(|error| told(key, error))?;
    Ok(tx.next_revision() != unwritten)
}

/// Puts the true status into a quota that is about to be written; says whether it is one.
pub(super) fn count(tx: &WriteTx<'_>, key: &ObjectKey, object: &mut Value) -> Result<bool, ApiError> {
    let is_quota =
        key.resource == ResourceQuota::PLURAL || key.resource == ClusterResourceQuota::qualified_resource();
    if is_quota {
        pierhead_quota::refresh(tx, key, object, count_streams).map_err(|error| told(key, error))?;
    }
    Ok(is_quota)
}

/// A project that came, went, or looks otherwise now may count under other quotas.
pub(super) fn regroup(
    tx: &mut WriteTx<'_>,
    key: &ObjectKey,
    (before, after): BeforeAndAfter<'_>,
) -> Result<(), ApiError> {
    if key.resource != Namespace::PLURAL {
        return Ok(());
    }
    let looks = |bytes: &Bytes| {
        let namespace: Namespace = from_slice(bytes).map_err(|error| ApiError::internal(&error))?;
        Ok::<_, ApiError>((namespace.metadata.labels, namespace.metadata.annotations))
    };
    if before.map(looks).transpose()? != after.map(looks).transpose()? {
        pierhead_quota::regroup(tx, count_streams).map_err(|error| told(key, error))?;
    }
    Ok(())
}

fn told(key: &ObjectKey, error: ChargeError) -> ApiError {
    match error {
        ChargeError::Refused(refusal) => {
            let (plural, group) = key.resource.split_once('.').unwrap_or((&key.resource, ""));
            Status::forbidden(plural, group, &key.name, refusal).into()
        }
        ChargeError::Store(error) => error.into(),
        ChargeError::Unreadable(_) | ChargeError::Unwritable(_) => ApiError::internal(&error),
    }
}
