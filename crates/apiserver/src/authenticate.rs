//! Who sends a request, and as whom they act.
//!
//! Owns the order of credentials (in-process subject, bearer token, client certificate, nobody) and reading the headers
//! of impersonation (platform 1.11). Whether a credential is good, and whom one may act as, is `auth`'s decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use http::request;
use percent_encoding::percent_decode_str;
use pierhead_api::meta::Status;
use pierhead_auth::{Auth, Credentials, Impersonation, ImpersonationDenied, Subject};
use pierhead_runtime::Secret;
use pierhead_runtime::listen::ConnectionInfo;

use crate::audit::Note;
use crate::error::ApiError;
use crate::http::denied;
use crate::websocket;

const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";

/// Who sends a request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// As whom they act.
    pub(crate) subject: Arc<Subject>,
    /// The token they sent, to ask again during a long watch.
    pub(crate) bearer: Option<Secret<String>>,
}

/// Finds out who sends the request; 401 for credentials that are not valid. The record gets to know as much as is
/// known when that fails.
pub(crate) fn caller(auth: &Auth, parts: &request::Parts, note: &mut Note) -> Result<Caller, ApiError> {
    if let Some(subject) = parts.extensions.get::<Arc<Subject>>() {
        note.caller = Some(Arc::clone(subject));
        let subject = impersonated(auth, parts, Arc::clone(subject), note)?;
        return Ok(Caller { subject, bearer: None });
    }
    let bearer = bearer(parts)?;
    let subject = match &bearer {
        Some(token) => authenticate(auth, Credentials::Bearer(token.expose()))?,
        None => match certificate(parts) {
            Some((name, organizations)) => authenticate(
                auth,
                Credentials::ClientCertificate { common_name: &name, organizations: &organizations },
            )?,
            None => authenticate(auth, Credentials::None)?,
        },
    };
    note.caller = Some(Arc::clone(&subject));
    Ok(Caller { subject: impersonated(auth, parts, subject, note)?, bearer })
}

fn authenticate(auth: &Auth, credentials: Credentials<'_>) -> Result<Arc<Subject>, ApiError> {
    auth.authenticate(credentials).map_err(|error| match error {
        pierhead_auth::Unauthenticated::Invalid(_) => Status::unauthorized().into(),
        pierhead_auth::Unauthenticated::Store(error) => error.into(),
    })
}

/// The bearer token, which pages that open a WebSocket have among its protocols; 401 for an `Authorization` header of
/// another form, which cannot be valid here.
fn bearer(parts: &request::Parts) -> Result<Option<Secret<String>>, ApiError> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return websocket::bearer(&parts.headers);
    };
    let text = header.to_str().map_err(|error| {
        tracing::debug!(%error, "An Authorization header is not text: {error}");
        Status::unauthorized()
    })?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Secret::new(token.trim().to_owned())))
        }
        _ => Err(Status::unauthorized().into()),
    }
}

/// Common name and organizations of a client certificate, which the listener has verified.
fn certificate(parts: &request::Parts) -> Option<(String, Vec<String>)> {
    let connection = parts.extensions.get::<ConnectionInfo>()?;
    let der = connection.tls.as_ref()?.client_certificate.as_ref()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let organizations =
        subject.iter_organization().filter_map(|item| item.as_str().ok()).map(str::to_owned).collect();
    Some((name, organizations))
}

/// The subject the caller wants to act as, if they may.
fn impersonated(
    auth: &Auth,
    parts: &request::Parts,
    caller: Arc<Subject>,
    note: &mut Note,
) -> Result<Arc<Subject>, ApiError> {
    let text = |name: &str| match parts.headers.get(name) {
        Some(value) => impersonation(name, value).map(str::to_owned),
        None => Ok(String::new()),
    };
    let groups = parts.headers.get_all(GROUP).iter().map(|value| impersonation(GROUP, value));
    let wanted = Impersonation {
        user: text("impersonate-user")?,
        groups: groups.map(|group| group.map(str::to_owned)).collect::<Result<_, _>>()?,
        uid: text("impersonate-uid")?,
        extra: extra(parts)?,
    };
    if wanted == Impersonation::default() {
        return Ok(caller);
    }
    let subject = auth.impersonate(&caller, &wanted).map_err(|error| match error {
        ImpersonationDenied::NoUser => Status::internal(error.to_string()).into(),
        ImpersonationDenied::Denied(refusal) => denied(refusal),
    })?;
    note.acted_as = Some(Arc::clone(&subject));
    Ok(subject)
}

fn extra(parts: &request::Parts) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        let Some(key) = name.as_str().strip_prefix(EXTRA) else { continue };
        let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
        extra.entry(key).or_default().push(impersonation(name.as_str(), value)?.to_owned());
    }
    Ok(extra)
}

/// The text of a header that says whom to act as. One that we cannot read ends the request: without it the caller's own
/// rights would do what was to be tried with another's. An empty user or uid is none, as proxies send it.
fn impersonation<'v>(name: &str, value: &'v HeaderValue) -> Result<&'v str, ApiError> {
    std::str::from_utf8(value.as_bytes())
        .map_err(|error| Status::bad_request(format!("the header {name} is not UTF-8: {error}")).into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::impersonation;

    #[test]
    fn only_what_is_not_text_is_refused() {
        let check = |value: &[u8], expected: Result<&str, u16>| {
            let value = HeaderValue::from_bytes(value).unwrap();
            let read = impersonation("impersonate-user", &value);
            assert_eq!(read.map_err(|error| error.status().code), expected);
        };
        check("jörg".as_bytes(), Ok("jörg"));
        check(b"", Ok(""));
        check(b"j\xf6rg", Err(400));
    }
}
