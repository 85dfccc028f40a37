//! The registry's part of the audit log: what is pushed and deleted by manifest, and whose credentials were refused.
//!
//! Owns the form of these records, which is that of the API's. Bytes of layers on their way are not recorded, nor is the
//! question for credentials that every client begins with.

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use pierhead_runtime::SharedClock;
use pierhead_runtime::audit::{Actor, AuditLog};
use pierhead_runtime::listen::ConnectionInfo;
use serde_json::{Value, json};

/// Bytes of a path or a user agent that a record repeats.
const MAX_TEXT: usize = 1024;

/// One request to the registry.
pub(crate) struct Note {
    received: Timestamp,
    method: Method,
    path: String,
    agent: String,
    source: Option<String>,
    has_credentials: bool,
}

impl Note {
    /// Begins the record of a request; `None` where nothing is recorded.
    pub(crate) fn begin<B>(log: &AuditLog, request: &Request<B>, clock: &SharedClock) -> Option<Self> {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        log.is_on().then(|| Self {
            received: clock.now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            agent: request.headers().get(USER_AGENT).map(text).unwrap_or_default(),
            source: ConnectionInfo::of(request).map(|connection| connection.peer.ip().to_string()),
            has_credentials: request.headers().contains_key(AUTHORIZATION),
        })
    }

    /// Writes the record, if the request is one of those that are recorded.
    pub(crate) fn finish<B>(&self, log: &AuditLog, response: &Response<B>, clock: &SharedClock) {
        let code = response.status();
        let is_refused = match code {
            StatusCode::UNAUTHORIZED => self.has_credentials,
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => true,
            _ => false,
        };
        let writes = match self.method {
            Method::PUT => self.path.contains("/manifests/"),
            Method::DELETE => !self.path.contains("/blobs/uploads/"),
            _ => false,
        };
        if is_refused || writes {
            log.record(&self.record(code, response.extensions().get::<Actor>(), clock.now()).to_string());
        }
    }

    fn record(&self, code: StatusCode, actor: Option<&Actor>, now: Timestamp) -> Value {
        let user = actor.map_or_else(|| json!({}), |Actor(name)| json!({"username": name}));
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("registry-{}", self.received.as_nanosecond()), "stage": "ResponseComplete",
            "requestURI": cut(&self.path), "verb": self.method.as_str().to_lowercase(), "user": user,
            "sourceIPs": self.source.iter().collect::<Vec<_>>(), "userAgent": cut(&self.agent),
            "responseStatus": {"metadata": {}, "code": code.as_u16()},
            "requestReceivedTimestamp": micros(self.received), "stageTimestamp": micros(now),
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// A time as audit records have it.
fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::Note;
    use http::{Request, Response};
    use pierhead_runtime::ManualClock;
    use pierhead_runtime::audit::{Actor, AuditFile, AuditLog};

    #[test]
    fn pushes_and_refusals_are_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(AuditFile { path: path.clone(), max_bytes: 1 << 20, keep: 0 }).unwrap();
        let clock = ManualClock::default().shared();
        let check = |method: &str, uri: &str, credentials: bool, code: u16, recorded: bool| {
            let before = std::fs::read_to_string(&path).unwrap().lines().count();
            let mut request = Request::builder().method(method).uri(uri);
            if credentials {
                request = request.header("authorization", "Bearer secret");
            }
            let note = Note::begin(&log, &request.body(()).unwrap(), &clock).unwrap();
            let mut response = Response::builder().status(code).body(()).unwrap();
            response.extensions_mut().insert(Actor("ann".to_owned()));
            note.finish(&log, &response, &clock);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count() > before, recorded, "{method} {uri} {code}");
            assert!(!text.contains("secret"), "{text}");
        };
        check("PUT", "/v2/shop/web/manifests/latest", true, 201, true);
        check("PUT", "/v2/shop/web/blobs/uploads/1", true, 201, false);
        check("GET", "/v2/shop/web/manifests/latest", true, 200, false);
        check("GET", "/v2/", false, 401, false);
        check("GET", "/v2/", true, 401, true);
        check("GET", "/v2/shop/web/manifests/latest", true, 403, true);
        check("DELETE", "/v2/shop/web/manifests/sha256:00", true, 202, true);
        let last = std::fs::read_to_string(&path).unwrap();
        let last: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
        assert_eq!((&last["user"]["username"], &last["verb"]), (&"ann".into(), &"delete".into()));
    }
}
