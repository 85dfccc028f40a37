//! POST: a new object.

use http::StatusCode;
use http::request::Parts as Head;
use pierhead_api::meta::Status;

use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::error::ApiError;
use crate::http::body;
use crate::metadata;
use crate::query::WriteOptions;
use crate::storage::Document;

/// `POST …/<resource>`.
pub(super) async fn answer(call: &Call, head: &Head, body: &[u8]) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let parsed = body::parse(body::media_type(&head.headers), body)?;
    let (document, mut warnings) =
        body::object(call, &call.resource.kind.gvk, parsed, options.field_validation)?;
    let namespace = call.namespace();
    let sent = metadata::text(&document, "namespace");
    if !sent.is_empty() && sent != namespace && call.resource.kind.namespaced {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )
        .into());
    }
    let written = Collection::of(call)?.create(namespace, document, &options).await?;
    warnings.extend(written.warnings);
    Ok(Answer::Object { code: StatusCode::CREATED, document: Document::Tree(written.document), warnings })
}
