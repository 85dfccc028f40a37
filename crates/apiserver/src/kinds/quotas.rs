//! Limits on single objects and quotas of projects: `limitranges`, `resourcequotas`, and those of `quota.openshift.io`.
//!
//! Owns names, verbs and hooks. What is used is counted by `quota` in the transactions that write it, so no controller
//! follows; what limits mean to pods is in `pod_limits`, what they mean to images in `images`.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::core::{LimitRange, Namespace, ResourceQuota};
use pierhead_api::field::FieldErrors;
use pierhead_api::quota::{AppliedClusterResourceQuota, ClusterResourceQuota};
use pierhead_api::{Object as _, from_slice, to_value};
use pierhead_store::objects::{OBJECTS, ObjectKey};
use pierhead_store::{KeyRange, Revision};
use serde_json::Value;

use crate::call::{Answer, Call, ListAnswer};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::storage::Document;
use crate::strategy::{Change, Strategy};

/// Kube's kinds.
pub(crate) fn of_kube() -> Vec<Kind> {
    vec![Kind::stored(Limits).unconditional_update(), Kind::stored(Quotas).unconditional_update().status()]
}

/// OpenShift's kinds.
pub(crate) fn of_openshift() -> Vec<Kind> {
    vec![
        Kind::calls::<AppliedClusterResourceQuota>(&[Verb::Get, Verb::List], Applied).legacy(),
        Kind::stored(ClusterQuotas).status().legacy(),
    ]
}

struct Limits;

impl Strategy for Limits {
    type Object = LimitRange;

    fn prepare_create(&self, limits: &mut LimitRange, _: &Change<'_>) {
        limits.set_defaults();
    }

    fn prepare_update(&self, limits: &mut LimitRange, _: &LimitRange, _: &Change<'_>) {
        limits.set_defaults();
    }

    fn validate(&self, limits: &LimitRange, _: &Change<'_>) -> FieldErrors {
        limits.validate()
    }

    fn validate_update(&self, limits: &LimitRange, old: &LimitRange, _: &Change<'_>) -> FieldErrors {
        limits.validate_update(old)
    }
}

struct Quotas;

impl Strategy for Quotas {
    type Object = ResourceQuota;

    fn validate(&self, quota: &ResourceQuota, _: &Change<'_>) -> FieldErrors {
        quota.validate()
    }

    fn validate_update(&self, quota: &ResourceQuota, old: &ResourceQuota, _: &Change<'_>) -> FieldErrors {
        quota.validate_update(old)
    }
}

struct ClusterQuotas;

impl Strategy for ClusterQuotas {
    type Object = ClusterResourceQuota;

    fn validate(&self, quota: &ClusterResourceQuota, _: &Change<'_>) -> FieldErrors {
        quota.validate()
    }

    fn validate_update(
        &self,
        quota: &ClusterResourceQuota,
        old: &ClusterResourceQuota,
        _: &Change<'_>,
    ) -> FieldErrors {
        quota.validate_update(old)
    }
}

/// The quotas over several projects that count in one, as its members see them.
struct Applied;

impl Connect for Applied {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        std::future::ready(answer(call)).boxed()
    }
}

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let (quotas, revision) = applied(call)?;
    match call.verb {
        Verb::Get => {
            let named = quotas.into_iter().find(|quota| quota["metadata"]["name"] == call.name());
            Ok(Answer::ok(named.ok_or_else(|| call.not_found(call.name()))?))
        }
        Verb::List => {
            let selector = call.selector()?;
            let shown = quotas.into_iter().filter(|quota| selector.matches(quota));
            let items = shown.map(Document::Tree).collect();
            Ok(Answer::List(ListAnswer { items, revision, continue_token: None }))
        }
        Verb::Create | Verb::Delete | Verb::DeleteCollection | Verb::Patch | Verb::Update | Verb::Watch => {
            Err(call.wrong_verb().into())
        }
    }
}

/// In a list over all projects, each quota stands once for every project it counts in.
fn applied(call: &Call) -> Result<(Vec<Value>, Revision), ApiError> {
    let quotas = KeyRange::prefix(&(ClusterResourceQuota::qualified_resource().as_str(), ""));
    let (quotas, namespaces, revision) = call.server.store.read(|tx| {
        let quotas = tx.scan(&OBJECTS, &quotas, usize::MAX)?;
        let namespaces = match call.namespace() {
            "" => tx.scan(&OBJECTS, &KeyRange::prefix(&(Namespace::PLURAL, "")), usize::MAX)?,
            name => {
                let key = ObjectKey::new(Namespace::PLURAL, "", name);
                tx.get(&OBJECTS, &key)?.map(|record| (key, record)).into_iter().collect()
            }
        };
        Ok::<_, pierhead_store::StoreError>((quotas, namespaces, tx.revision()))
    })?;
    let internal = |error: pierhead_api::DecodeError| ApiError::internal(&error);
    let mut applied = Vec::new();
    for (_, record) in &namespaces {
        let namespace: Namespace = from_slice(&record.0).map_err(internal)?;
        for (_, record) in &quotas {
            let quota: ClusterResourceQuota = from_slice(&record.0).map_err(internal)?;
            if quota.spec.selector.selects(&namespace.metadata) {
                let mut shown = AppliedClusterResourceQuota::from(quota);
                shown.metadata.namespace.clone_from(&namespace.metadata.name);
                applied.push(to_value(&shown));
            }
        }
    }
    Ok((applied, revision))
}
