//! PUT: an object replaced.

use http::StatusCode;
use http::request::Parts as Head;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Status;
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::collection::{Collection, Written};
use crate::error::ApiError;
use crate::http::body;
use crate::metadata;
use crate::query::WriteOptions;
use crate::storage::{Document, Put};
use crate::strategy::Part;

/// `PUT …/<resource>/<name>`.
pub(super) async fn answer(call: &Call, head: &Head, body: &[u8]) -> Result<Answer, ApiError> {
    replace(call, head, body, Part::Main).await
}

/// Replaces a part of the object by what the body says.
pub(super) async fn replace(call: &Call, head: &Head, body: &[u8], part: Part) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let parsed = body::parse(body::media_type(&head.headers), body)?;
    let (document, mut warnings) =
        body::object(call, &call.resource.kind.gvk, parsed, options.field_validation)?;
    check_address(call, &document)?;
    let whole = if part == Part::Main { call.resource.storage.as_ref() } else { None };
    if let Some(putting) = whole.and_then(|storage| storage.put(&call.permit, &document, options.dry_run)) {
        let Put { object, created } = putting.await?;
        return Ok(changed(Written { document: object, warnings: Vec::new(), created }, warnings));
    }
    check_version(call, &document)?;
    let written = Collection::of(call)?.update(&call.key(), part, &options, |_| Ok(document.clone())).await?;
    warnings.extend(written.warnings.iter().cloned());
    Ok(changed(written, warnings))
}

/// The answer to a change.
pub(super) fn changed(written: Written, warnings: Vec<String>) -> Answer {
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Answer::Object { code, document: Document::Tree(written.document), warnings }
}

/// Name and namespace of the body against the path (platform 1.7).
fn check_address(call: &Call, document: &Value) -> Result<(), ApiError> {
    let kind = &call.resource.kind;
    let name = metadata::text(document, "name");
    if name.is_empty() {
        return Err(Status::bad_request("name must be provided").into());
    }
    if name != call.name() {
        let url = call.name();
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({url})"
        ))
        .into());
    }
    let namespace = metadata::text(document, "namespace");
    if kind.namespaced && !namespace.is_empty() && namespace != call.namespace() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )
        .into());
    }
    Ok(())
}

/// OpenShift's kinds are not replaced blindly (platform 1.7).
fn check_version(call: &Call, document: &Value) -> Result<(), ApiError> {
    let kind = &call.resource.kind;
    if !kind.unconditional_update && metadata::text(document, "resourceVersion").is_empty() {
        let mut errors = FieldErrors::new();
        errors.invalid("metadata.resourceVersion", 0, "must be specified for an update");
        return Err(Status::invalid(kind.gvk.kind, kind.gvk.group, call.name(), &errors).into());
    }
    Ok(())
}
