//! Two posts to a pod: the binding that places it on a node, and the eviction that deletes it.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use pierhead_api::core::{Binding, Eviction};
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, Time};
use serde_json::{Value, json};

use super::access_reviews::read;
use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::error::ApiError;
use crate::kind::{Connect, GroupVersionKind, Kind, SubBehaviour, Subresource, Verb};
use crate::metadata;
use crate::query::WriteOptions;
use crate::storage::Key;
use crate::strategy::Part;

/// `pods/<name>/binding`.
pub(crate) fn binding() -> Subresource {
    Subresource {
        name: "binding",
        kind: GroupVersionKind { group: "", version: "v1", kind: "Binding" },
        verbs: &[Verb::Create],
        behaviour: SubBehaviour::Connect(Arc::new(Bind)),
    }
}

/// `bindings`, the same under its old path, where the binding names the pod.
pub(crate) fn kind() -> Kind {
    Kind::calls::<Binding>(&[Verb::Create], Bind)
}

/// `pods/<name>/eviction`.
pub(crate) fn eviction() -> Subresource {
    Subresource {
        name: "eviction",
        kind: GroupVersionKind { group: "policy", version: "v1", kind: "Eviction" },
        verbs: &[Verb::Create],
        behaviour: SubBehaviour::Connect(Arc::new(Evict)),
    }
}

/// The answer to both.
fn done() -> Answer {
    Answer::status(Status { code: StatusCode::CREATED.as_u16(), ..Status::success() })
}

struct Bind;

impl Connect for Bind {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move { bind(call, &body.unwrap_or_default()).await }.boxed()
    }
}

async fn bind(call: &Call, document: &Value) -> Result<Answer, ApiError> {
    let binding: Binding = read(document)?;
    let name = if call.name().is_empty() { binding.metadata.name.as_str() } else { call.name() };
    let mut errors = FieldErrors::new();
    if !["", "Node"].contains(&binding.target.kind.as_str()) {
        errors.not_supported("target.kind", binding.target.kind.as_str(), &["Node", "<empty>"]);
    }
    if binding.target.name.is_empty() {
        errors.required("target.name", "");
    }
    if !errors.is_empty() {
        return Err(Status::invalid("Binding", "", name, &errors).into());
    }
    let pods = call.server.catalog.find(&crate::path::Prefix::Core, "pods");
    let Some(pods) = pods else { return Err(call.not_found(name).into()) };
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let at = Time(call.now).to_string();
    Collection::on(call, pods)?
        .update(&Key::new(call.namespace(), name), Part::Placed, &options, |pod| {
            place(pod, &binding, &at).map_err(|why| Status::conflict("pods/binding", "", name, why).into())
        })
        .await?;
    Ok(done())
}

/// The pod on its node.
fn place(pod: &Value, binding: &Binding, now: &str) -> Result<Value, String> {
    let name = metadata::text(pod, "name");
    let on = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if metadata::is_terminating(pod) {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if !on.is_empty() {
        return Err(format!("pod {name} is already assigned to node {on:?}"));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = binding.target.name.as_str().into();
    for (key, value) in &binding.metadata.annotations {
        metadata::of_mut(&mut pod).entry("annotations").or_insert_with(|| json!({}))[key] =
            value.as_str().into();
    }
    let scheduled = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(scheduled);
    pod["status"]["conditions"] = conditions.into();
    let uid = &binding.metadata.uid;
    if !uid.is_empty() {
        metadata::of_mut(&mut pod).insert("uid".to_owned(), uid.as_str().into());
    }
    Ok(pod)
}

struct Evict;

impl Connect for Evict {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move { evict(call, &body.unwrap_or_default()).await }.boxed()
    }
}

async fn evict(call: &Call, document: &Value) -> Result<Answer, ApiError> {
    let eviction: Eviction = read(document)?;
    let options = eviction.delete_options.unwrap_or_default();
    Collection::of(call)?.delete(&call.key(), &options).await?;
    Ok(done())
}
