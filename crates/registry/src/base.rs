//! `/v2/`: whether the caller's credentials are good.

use http::{HeaderValue, StatusCode};

use crate::body::ResponseBody;
use crate::call::Call;
use crate::error::RegistryError;
use crate::response::{self, Response};

/// `GET /v2/` answers `{}` to everyone with a valid token, the token `anonymous` included. Clients learn from the
/// challenge of a 401 how to get one.
pub(crate) fn get(call: &Call<'_>) -> Result<Response, RegistryError> {
    call.subject(&Vec::new)?;
    let mut response = response::with_body(StatusCode::OK, ResponseBody::bytes("{}"));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// `GET /` and `GET /healthz`: the process answers. No credentials are looked at.
pub(crate) fn health() -> Response {
    let mut response = response::empty(StatusCode::OK);
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
