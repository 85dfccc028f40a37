//! Reads the body of a write into a document in group form.
//!
//! Owns the size limit, the media types, the check of `apiVersion` and `kind` against the path, and the two spellings
//! of OpenShift's kinds: under `/oapi/v1` (and as an alias under `/api/v1`) they say `apiVersion: v1` (images 1.1).

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use pierhead_api::legacy;
use pierhead_api::meta::{Status, StatusReason};
use serde_json::Value;

use crate::RequestBody;
use crate::call::Call;
use crate::collection::judge;
use crate::document::{self, Parsed};
use crate::error::ApiError;
use crate::kind::GroupVersionKind;
use crate::priority::Held;
use crate::protobuf;
use crate::query::FieldValidation;

/// Bytes a request body may have (reliability 8).
pub(crate) const MAX_BODY: usize = 3 * 1024 * 1024;
/// How long a request body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(60);
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const WRITE_TYPES: [&str; 3] = ["application/json", "application/yaml", PROTOBUF];

/// Reads a whole body of at most `limit` bytes, as long as there is room for it; 413 beyond the limit, 408 when it does
/// not come.
pub(crate) async fn collect(
    body: RequestBody,
    limit: usize,
    held: Option<&mut Held>,
) -> Result<Bytes, ApiError> {
    tokio::time::timeout(BODY_WAIT, arrive(body, limit, held)).await.unwrap_or_else(|_| {
        let message = format!("the body did not arrive within {} seconds", BODY_WAIT.as_secs());
        Err(Status::failure(408, StatusReason::Timeout, message).into())
    })
}

async fn arrive(mut body: RequestBody, limit: usize, mut held: Option<&mut Held>) -> Result<Bytes, ApiError> {
    // Copied: a piece of a few bytes would keep the buffer that it was read into.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Status::bad_request(format!("the body could not be read: {error}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > limit {
            return Err(Status::too_large(limit).into());
        }
        if let Some(held) = held.as_deref_mut() {
            held.grow_to(bytes.len() + piece.len())?;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// The media type of a body, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim()
}

/// Reads a body of JSON, YAML or protobuf into a document of any kind.
pub(crate) fn parse(media_type: &str, bytes: &[u8]) -> Result<Parsed, ApiError> {
    let bad = |error: document::DocumentError| {
        Status::bad_request(format!(
            "the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ))
    };
    match media_type {
        "" | "application/json" | "text/plain" => Ok(document::read_json(bytes).map_err(bad)?),
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            Ok(document::read_yaml(bytes).map_err(bad)?)
        }
        PROTOBUF => match protobuf::decode(bytes) {
            Ok(value) => Ok(Parsed { value, duplicates: Vec::new() }),
            Err(protobuf::ProtobufError::UnknownKind { .. }) => {
                Err(Status::unsupported_media_type(&["application/json", "application/yaml"]).into())
            }
            Err(error) => {
                Err(Status::bad_request(format!("the object provided is unrecognized: {error}")).into())
            }
        },
        _ => Err(Status::unsupported_media_type(&WRITE_TYPES).into()),
    }
}

/// Reads the body of a create or update of `call`'s kind, or of `gvk` for a subresource of another kind.
pub(crate) fn object(
    call: &Call,
    gvk: &GroupVersionKind,
    parsed: Parsed,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), ApiError> {
    let findings = parsed.duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    let warnings = judge(gvk, validation, findings)?;
    let mut document = parsed.value;
    legacy::to_group(&mut document);
    let Some(fields) = document.as_object_mut() else {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): the body is not an object",
            gvk.kind
        ))
        .into());
    };
    let sent_version = fields.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let sent_kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let expected = call.path.prefix.api_version();
    let own = gvk.api_version();
    if !sent_version.is_empty() && sent_version != expected && sent_version != own && sent_version != "v1" {
        return Err(Status::bad_request(format!(
            "the API version in the data ({sent_version}) does not match the expected API version ({expected})"
        ))
        .into());
    }
    if !sent_kind.is_empty() && sent_kind != gvk.kind {
        return Err(Status::bad_request(format!(
            "{sent_kind} in version {:?} cannot be handled as a {}: no kind {sent_kind:?} is registered for this resource",
            gvk.version, gvk.kind
        ))
        .into());
    }
    fields.insert("apiVersion".to_owned(), own.into());
    fields.insert("kind".to_owned(), gvk.kind.into());
    Ok((document, warnings))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::collect;
    use crate::BodyError;

    #[tokio::test(start_paused = true)]
    async fn a_body_arrives_whole_in_time_or_not_at_all() {
        let check = async |bytes: usize, ends: bool, expected: Result<usize, u16>| {
            let sent = stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from(vec![b'x'; bytes])))]);
            let body = match ends {
                true => StreamBody::new(sent).boxed_unsync(),
                false => StreamBody::new(sent.chain(stream::pending())).boxed_unsync(),
            };
            let read = collect(body, 100, None).await;
            assert_eq!(read.map(|bytes| bytes.len()).map_err(|error| error.status().code), expected);
        };
        check(100, true, Ok(100)).await;
        check(101, true, Err(413)).await;
        check(1, false, Err(408)).await;
    }
}
