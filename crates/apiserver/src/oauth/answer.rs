//! Answers of the OAuth endpoints: JSON, pages, redirects, and the errors of RFC 6749.

use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::ResponseBody;
use crate::audit::{Decision, Login};

/// An answer that is being put together.
pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// For the audit log.
    login: Option<Login>,
}

impl Answer {
    pub(super) const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), login: None }
    }

    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self::of(status, "text/plain; charset=utf-8", text.to_owned().into())
    }

    pub(super) fn html(status: StatusCode, page: String) -> Self {
        Self::of(status, "text/html; charset=utf-8", page.into())
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::of(status, "application/json", value.to_string().into())
    }

    fn of(status: StatusCode, media_type: &'static str, body: Bytes) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(media_type))];
        Self { headers, body, ..Self::empty(status) }
    }

    /// `{"error":…,"error_description":…}`.
    pub(super) fn error(status: StatusCode, error: &str, description: &str) -> Self {
        Self::json(status, &json!({"error": error, "error_description": description}))
    }

    /// 302 to a place that was checked before. A place that cannot be a header ends at our own root.
    pub(super) fn redirect(location: &str) -> Self {
        let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
        Self::empty(StatusCode::FOUND).with(LOCATION, location)
    }

    /// 401 that makes a client ask for name and password.
    pub(super) fn challenge() -> Self {
        Self::empty(StatusCode::UNAUTHORIZED)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"openshift\""))
    }

    /// Says that it merely asks who somebody is.
    #[must_use]
    pub(super) fn asking(self) -> Self {
        Self { login: Some(Login::Asked), ..self }
    }

    /// Says what became of somebody's login.
    #[must_use]
    pub(super) fn tried(self, username: &str, decision: Decision) -> Self {
        Self { login: Some(Login::Tried { username: username.to_owned(), decision }), ..self }
    }

    /// Says whose request it was, where they had logged in before.
    #[must_use]
    pub(super) fn known(self, username: &str) -> Self {
        Self { login: Some(Login::Known { username: username.to_owned() }), ..self }
    }

    /// Says when it is worth asking again, in seconds.
    #[must_use]
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets a cookie for this host only, that no script sees and no foreign page's form sends along. An empty
    /// value removes it.
    #[must_use]
    pub(super) fn cookie(self, name: &str, value: &str) -> Self {
        let end = if value.is_empty() { "; Max-Age=0" } else { "" };
        let cookie = format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=Lax{end}");
        match HeaderValue::try_from(cookie) {
            Ok(cookie) => self.with(SET_COOKIE, cookie),
            Err(_) => self,
        }
    }

    /// As [`Answer::cookie`], for so many seconds.
    #[must_use]
    pub(super) fn cookie_for(self, name: &str, value: &str, seconds: u32) -> Self {
        let cookie = format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age={seconds}");
        match HeaderValue::try_from(cookie) {
            Ok(cookie) => self.with(SET_COOKIE, cookie),
            Err(_) => self,
        }
    }

    /// Takes a cookie away.
    #[must_use]
    pub(super) fn without_cookie(self, name: &str) -> Self {
        if name.is_empty() { self } else { self.cookie(name, "") }
    }

    pub(super) fn into_response(self) -> Response<ResponseBody> {
        let body = Full::new(self.body).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        if let Some(login) = self.login {
            response.extensions_mut().insert(login);
        }
        response
    }
}

/// `uri` with parameters appended to its query.
pub(super) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", encode(parameters))
}

/// `uri` with parameters as its fragment, which browsers do not send on.
pub(super) fn with_fragment(uri: &str, parameters: &[(&str, &str)]) -> String {
    format!("{uri}#{}", encode(parameters))
}

/// Escapes no tildes, of which a token has one: some clients take the token as it is written.
fn encode(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish().replace("%7E", "~")
}
