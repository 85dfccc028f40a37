//! Answers, put together from the same few pieces.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderValue, StatusCode};
use pierhead_oci::Digest;
use serde::Serialize;

use crate::body::ResponseBody;

/// What every handler gives back.
pub(crate) type Response = http::Response<ResponseBody>;

/// The digest of the content that an answer is about.
pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The name of an upload, for people who read logs.
pub(crate) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    with_body(status, ResponseBody::default())
}

/// An answer with a body whose type the caller adds.
pub(crate) fn with_body(status: StatusCode, body: ResponseBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    json_as(status, HeaderValue::from_static("application/json"), value)
}

/// An answer in JSON with a media type of its own.
pub(crate) fn json_as(status: StatusCode, media_type: HeaderValue, value: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(value).expect("answers are structs with string keys");
    let mut response = with_body(status, ResponseBody::bytes(Bytes::from(bytes)));
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Something was stored under `location`, and its digest is known.
pub(crate) fn created(location: &str, digest: &Digest) -> Response {
    let mut response = empty(StatusCode::CREATED);
    response.headers_mut().insert(LOCATION, path_header(location));
    response.headers_mut().insert(DOCKER_CONTENT_DIGEST, digest_header(digest));
    response
}

/// A path of ours as a header. It is relative, so that it is right behind any proxy.
pub(crate) fn path_header(path: &str) -> HeaderValue {
    HeaderValue::from_str(path).expect("paths are made of repository names, digests and upload ids")
}

/// A digest as a header.
pub(crate) fn digest_header(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&digest.to_string()).expect("digests are letters, digits and a colon")
}

/// A digest as an entity tag.
pub(crate) fn etag(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("digests are letters, digits and a colon")
}

/// Whether a client has what `digest` names already (`If-None-Match`, RFC 9110, 13.1.2).
pub(crate) fn is_known(condition: Option<&HeaderValue>, digest: &Digest) -> bool {
    let Some(condition) = condition.and_then(|condition| condition.to_str().ok()) else { return false };
    let digest = digest.to_string();
    condition
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == digest)
}

#[cfg(test)]
mod tests {
    use pierhead_oci::Digest;

    use super::is_known;

    #[test]
    fn conditions_list_entity_tags() {
        let digest = Digest::sha256(b"x");
        let check = |condition: &str, expected: bool| {
            assert_eq!(is_known(Some(&condition.parse().unwrap()), &digest), expected, "{condition}");
        };
        check(&format!("\"{digest}\""), true);
        check(&format!("W/\"{digest}\""), true);
        check(&format!("\"a\", \"{digest}\""), true);
        check("*", true);
        check("\"a\"", false);
        check("", false);
        assert!(!is_known(None, &digest));
    }
}
