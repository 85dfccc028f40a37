//! The registry's part of the audit log: what is pushed and deleted by manifest, and whose credentials were refused.
//!
//! Owns the form of these records, which is that of the API's. Bytes of layers on their way are not recorded, nor is the
//! question for credentials that every client begins with.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use jiff::Timestamp;
use pierhead_api::excerpt;
use pierhead_api::meta::MicroTime;
use pierhead_runtime::audit::{Actor, AuditLog, Part};
use pierhead_runtime::listen::ConnectionInfo;
use pierhead_runtime::{SharedClock, Tasks};
use serde_json::{Value, json};

/// Bytes of a path or a user agent that a record repeats.
const MAX_TEXT: usize = 1024;

/// One request to the registry.
pub(crate) struct Note {
    log: AuditLog,
    clock: SharedClock,
    received: Timestamp,
    method: Method,
    uri: Uri,
    agent: Option<HeaderValue>,
    source: Option<IpAddr>,
    has_credentials: bool,
}

impl Note {
    /// Begins the record of a request; `None` where nothing is recorded.
    pub(crate) fn begin<B>(log: &AuditLog, request: &Request<B>, clock: &SharedClock) -> Option<Self> {
        log.is_on().then(|| Self {
            log: log.clone(),
            clock: Arc::clone(clock),
            received: clock.now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            agent: request.headers().get(USER_AGENT).cloned(),
            source: ConnectionInfo::of(request).map(|connection| connection.peer.ip()),
            has_credentials: request.headers().contains_key(AUTHORIZATION),
        })
    }

    /// Whether the request changes what the registry holds, and is recorded for that.
    fn writes(&self) -> bool {
        match self.method {
            Method::PUT => self.uri.path().contains("/manifests/"),
            Method::DELETE => !self.uri.path().contains("/blobs/uploads/"),
            _ => false,
        }
    }

    /// Writes the record, if the request is one of those that are recorded.
    async fn finish(&self, code: StatusCode, actor: Option<Actor>) {
        let is_refused = match code {
            StatusCode::UNAUTHORIZED => self.has_credentials,
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => true,
            _ => false,
        };
        if is_refused || self.writes() {
            let part = if is_refused && actor.is_none() { Part::Strangers } else { Part::Known };
            let record = self.record(code, actor.as_ref(), self.clock.now());
            self.log.record(record.to_string(), part).await;
        }
    }

    fn record(&self, code: StatusCode, actor: Option<&Actor>, now: Timestamp) -> Value {
        let agent = self.agent.as_ref().and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let user = actor.map_or_else(|| json!({}), |Actor(name)| json!({"username": name}));
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("registry-{}", self.received.as_nanosecond()), "stage": "ResponseComplete",
            "requestURI": excerpt(self.uri.path(), MAX_TEXT), "verb": self.method.as_str().to_lowercase(), "user": user,
            "sourceIPs": self.source.iter().collect::<Vec<_>>(), "userAgent": excerpt(agent, MAX_TEXT),
            "responseStatus": {"metadata": {}, "code": code.as_u16()},
            "requestReceivedTimestamp": MicroTime(self.received).to_string(), "stageTimestamp": MicroTime(now).to_string(),
        })
    }
}

/// Answers a request and records it. What is recorded because it writes is seen through by `tasks`, so that whoever goes
/// away takes neither along; and also when it panics.
pub(crate) async fn recorded<B: Send + 'static>(
    note: Option<Note>,
    answered: impl Future<Output = Response<B>> + Send + 'static,
    tasks: Tasks,
) -> Response<B> {
    let Some(note) = note else { return answered.await };
    if !note.writes() {
        let response = answered.await;
        note.finish(response.status(), response.extensions().get().cloned()).await;
        return response;
    }
    let work = async move {
        let answered = AssertUnwindSafe(answered).catch_unwind().await;
        let (code, actor) = match &answered {
            Ok(response) => (response.status(), response.extensions().get().cloned()),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        note.finish(code, actor).await;
        answered
    };
    match tasks.see_through("registry write", work).await {
        Ok(response) => response,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::{Note, recorded};
    use futures_util::FutureExt as _;
    use http::{Request, Response, StatusCode};
    use pierhead_runtime::audit::{Actor, AuditFile, AuditLog};
    use pierhead_runtime::{ManualClock, Tasks};
    use std::collections::BTreeSet;
    use std::panic::AssertUnwindSafe;
    use std::time::Duration;

    #[tokio::test]
    async fn pushes_and_refusals_are_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(AuditFile { path: path.clone(), max_bytes: 1 << 20, keep: 0 }).unwrap();
        let clock = ManualClock::default().shared();
        let check = async |method: &str, uri: &str, credentials: bool, code: u16, recorded: bool| {
            let before = std::fs::read_to_string(&path).unwrap().lines().count();
            let mut request = Request::builder().method(method).uri(uri);
            if credentials {
                request = request.header("authorization", "Bearer secret");
            }
            let note = Note::begin(&log, &request.body(()).unwrap(), &clock).unwrap();
            note.finish(StatusCode::from_u16(code).unwrap(), Some(Actor("ann".to_owned()))).await;
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count() > before, recorded, "{method} {uri} {code}");
            assert!(!text.contains("secret"), "{text}");
        };
        check("PUT", "/v2/shop/web/manifests/latest", true, 201, true).await;
        check("PUT", "/v2/shop/web/blobs/uploads/1", true, 201, false).await;
        check("GET", "/v2/shop/web/manifests/latest", true, 200, false).await;
        check("GET", "/v2/", false, 401, false).await;
        check("GET", "/v2/", true, 401, true).await;
        check("GET", "/v2/shop/web/manifests/latest", true, 403, true).await;
        check("DELETE", "/v2/shop/web/manifests/sha256:00", true, 202, true).await;
        let last = std::fs::read_to_string(&path).unwrap();
        let last: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
        assert_eq!((&last["user"]["username"], &last["verb"]), (&"ann".into(), &"delete".into()));
    }

    #[tokio::test]
    async fn pushes_are_recorded_whether_their_sender_stays_or_they_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(AuditFile { path: path.clone(), max_bytes: 1 << 20, keep: 0 }).unwrap();
        let clock = ManualClock::default().shared();
        let request = Request::put("/v2/shop/web/manifests/latest").body(()).unwrap();
        let note = || Note::begin(&log, &request, &clock);
        let tasks = Tasks::new();
        let slow = async {
            tokio::task::yield_now().await;
            Response::builder().status(201).body(()).unwrap()
        };
        assert!(recorded(note(), slow, tasks.clone()).now_or_never().is_none(), "and it is dropped");
        let panics = recorded(note(), async { panic!("on purpose") }, tasks.clone());
        assert!(AssertUnwindSafe::<_>(panics.map(|_: Response<()>| ())).catch_unwind().await.is_err());
        tasks.shutdown(Duration::from_secs(10)).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let codes = text.lines().map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["responseStatus"]["code"].as_u64().unwrap()
        });
        assert_eq!(codes.collect::<BTreeSet<_>>(), BTreeSet::from([201, 500]));
        assert!(tasks.panicked().is_empty(), "one client's loss is nobody else's");
    }
}
