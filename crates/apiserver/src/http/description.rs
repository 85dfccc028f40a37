//! Sends the documents that describe the kinds (platform 1.4).
//!
//! Owns which form a client gets and how long it may keep it: a document asked by its hash never changes, one asked by
//! an old hash has moved.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    LOCATION, VARY,
};
use http::request::Parts as Head;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use pierhead_api::meta::Status;
use sha2::{Digest as _, Sha512};

use super::negotiate::Accept;
use super::respond::respond_bytes;
use crate::ResponseBody;
use crate::error::ApiError;
use crate::openapi::{self, Document};
use crate::path::Target;
use crate::query::Query;

const JSON: &str = "application/json";
/// For a document whose path says which version of it is meant.
const FOR_EVER: &str = "public, immutable, max-age=31536000";
/// For a document whose path stays when it changes.
const ASK_AGAIN: &str = "no-cache, private";

/// Answers a GET of one of the documents.
pub(super) fn answer(
    target: &Target,
    head: &Head,
    query: &Query,
) -> Result<Response<ResponseBody>, ApiError> {
    let document = match target {
        Target::OpenApiV2 if wants_v2_protobuf(head) => {
            return send(Document::find(openapi::V2_PROTOBUF), head, openapi::V2_MEDIA_TYPE, ASK_AGAIN);
        }
        Target::OpenApiV2 => Document::find(openapi::V2_JSON),
        Target::OpenApiV3Index => return index(head),
        Target::OpenApiV3(prefix) => {
            let document = Document::v3(prefix).ok_or_else(Status::not_found_path)?;
            return by_hash(document, head, query);
        }
        Target::Swagger(prefix) => Document::swagger(prefix),
        _ => Document::find(openapi::SWAGGER_LISTING),
    };
    Accept::read(&head.headers)?;
    send(document, head, JSON, ASK_AGAIN)
}

/// Whether the v2 document is wanted in the form of gnostic; its media type has two spellings.
fn wants_v2_protobuf(head: &Head) -> bool {
    let accept = head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.into_iter().any(|value| value.contains("com.github.proto-openapi.spec.v2"))
}

fn by_hash(document: Document, head: &Head, query: &Query) -> Result<Response<ResponseBody>, ApiError> {
    Accept::read(&head.headers)?;
    match query.get("hash") {
        None => send(Some(document), head, JSON, ASK_AGAIN),
        Some(hash) if hash == document.hash => send(Some(document), head, JSON, FOR_EVER),
        Some(_) => {
            let mut response = empty(StatusCode::MOVED_PERMANENTLY);
            set(&mut response, LOCATION, &document.url());
            set(&mut response, CACHE_CONTROL, ASK_AGAIN);
            Ok(response)
        }
    }
}

fn index(head: &Head) -> Result<Response<ResponseBody>, ApiError> {
    Accept::read(&head.headers)?;
    let mut bytes = serde_json::to_vec(&openapi::v3_index())?;
    bytes.push(b'\n');
    let hash: String = Sha512::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    let mut response = if is_known(head, &hash) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        respond_bytes(StatusCode::OK, bytes.into(), JSON)
    };
    set(&mut response, ETAG, &format!("\"{hash}\""));
    set(&mut response, CACHE_CONTROL, ASK_AGAIN);
    Ok(response)
}

fn send(
    document: Option<Document>,
    head: &Head,
    media_type: &'static str,
    keep: &str,
) -> Result<Response<ResponseBody>, ApiError> {
    let document = document.ok_or_else(Status::not_found_path)?;
    let mut response = if is_known(head, document.hash) {
        empty(StatusCode::NOT_MODIFIED)
    } else if takes_gzip(head) {
        let mut response = respond_bytes(StatusCode::OK, document.packed(), media_type);
        set(&mut response, CONTENT_ENCODING, "gzip");
        response
    } else {
        let bytes = document.unpacked().map_err(|error| ApiError::internal(&error))?;
        respond_bytes(StatusCode::OK, bytes, media_type)
    };
    set(&mut response, ETAG, &format!("\"{}\"", document.hash));
    set(&mut response, VARY, "Accept, Accept-Encoding");
    set(&mut response, CACHE_CONTROL, keep);
    Ok(response)
}

/// Whether the client has this version already.
fn is_known(head: &Head, hash: &str) -> bool {
    let known = head.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').any(|tag| tag.trim().trim_start_matches("W/").trim_matches('"') == hash)
}

/// Whether the client unpacks gzip, and did not say that it would rather not.
fn takes_gzip(head: &Head) -> bool {
    let codings = head.headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip")
            && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn empty(code: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = code;
    response
}

fn set(response: &mut Response<ResponseBody>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
