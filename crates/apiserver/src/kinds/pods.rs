//! Pods: what they look like when they are new, how they end, and what lies below them.
//!
//! Owns the hooks and the list of subresources; their code is in the files named `pod_…` beside this one. Running pods
//! is the node's business, placing them the scheduler's.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::core::{Pod, PodStatus};
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, StatusReason};
use serde_json::Value;

use super::{pod_accounts, pod_bindings, pod_images, pod_limits, pod_output};
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, GroupVersionKind, Kind, SubBehaviour, Subresource, Verb};
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    let mut kind = Kind::stored(Pods)
        .unconditional_update()
        .status()
        .graceful(grace)
        .fields(&[
            ("spec.nodeName", "/spec/nodeName"),
            ("spec.restartPolicy", "/spec/restartPolicy"),
            ("spec.schedulerName", "/spec/schedulerName"),
            ("spec.serviceAccountName", "/spec/serviceAccountName"),
            ("status.phase", "/status/phase"),
            ("status.podIP", "/status/podIP"),
            ("status.nominatedNodeName", "/status/nominatedNodeName"),
        ])
        .waits_until(pod_accounts::is_ready)
        .admit(pod_accounts::admit)
        .admit(pod_images::resolve_pod)
        .admit(pod_limits::admit)
        .subresource(pod_output::subresource())
        .subresource(pod_bindings::binding())
        .subresource(pod_bindings::eviction());
    for name in ["attach", "exec", "portforward"] {
        kind = kind.subresource(Subresource {
            name,
            kind: GroupVersionKind { group: "", version: "v1", kind: "Pod" },
            verbs: &[Verb::Create, Verb::Get],
            behaviour: SubBehaviour::Connect(Arc::new(NoSession { name })),
        });
    }
    kind
}

/// A pod on a node gets the time it asks for, or the time the deletion gives it. One that is not running goes at once.
fn grace(pod: &Value, asked: Option<i64>) -> i64 {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/spec/nodeName").is_empty() || matches!(text("/status/phase"), "Succeeded" | "Failed") {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    match asked.unwrap_or(own) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

struct Pods;

impl Strategy for Pods {
    type Object = Pod;

    fn prepare_create(&self, pod: &mut Pod, _: &Change<'_>) {
        pod.set_defaults();
        pod.status = PodStatus {
            phase: "Pending".to_owned(),
            qos_class: pod.qos_class().to_owned(),
            ..PodStatus::default()
        };
    }

    fn prepare_update(&self, pod: &mut Pod, _: &Pod, _: &Change<'_>) {
        pod.set_defaults();
    }

    fn prepare_status(&self, pod: &mut Pod, old: &Pod, _: &Change<'_>) {
        pod.status.qos_class.clone_from(&old.status.qos_class);
        if pod.status.phase.is_empty() {
            pod.status.phase.clone_from(&old.status.phase);
        }
    }

    fn validate(&self, pod: &Pod, _: &Change<'_>) -> FieldErrors {
        pod.validate()
    }

    fn validate_update(&self, pod: &Pod, old: &Pod, _: &Change<'_>) -> FieldErrors {
        pod.validate_update(old)
    }
}

/// Sessions inside containers, which there are none of: the answer says so.
struct NoSession {
    name: &'static str,
}

impl Connect for NoSession {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        std::future::ready(self.refuse(call)).boxed()
    }
}

impl NoSession {
    fn refuse(&self, call: &Call) -> Result<Answer, ApiError> {
        if call.server.object("pods", call.namespace(), call.name())?.is_none() {
            return Err(call.not_found(call.name()).into());
        }
        let message = format!("{} is not implemented by this server", self.name);
        Err(Status::failure(501, StatusReason::MethodNotAllowed, message).into())
    }
}
