//! The registry's part of the audit log: what is pushed and deleted by manifest, and whose credentials were refused.
//!
//! Owns the form of these records, which is that of the API's. Bytes of layers on their way are not recorded, nor is the
//! question for credentials that every client begins with.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
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
            log: log.clone(),
            clock: Arc::clone(clock),
            received: clock.now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            agent: request.headers().get(USER_AGENT).map(text).unwrap_or_default(),
            source: ConnectionInfo::of(request).map(|connection| connection.peer.ip().to_string()),
            has_credentials: request.headers().contains_key(AUTHORIZATION),
        })
    }

    /// Whether the request changes what the registry holds, and is recorded for that.
    fn writes(&self) -> bool {
        match self.method {
            Method::PUT => self.path.contains("/manifests/"),
            Method::DELETE => !self.path.contains("/blobs/uploads/"),
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
        let user = actor.map_or_else(|| json!({}), |Actor(name)| json!({"username": name}));
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("registry-{}", self.received.as_nanosecond()), "stage": "ResponseComplete",
            "requestURI": excerpt(&self.path, MAX_TEXT), "verb": self.method.as_str().to_lowercase(), "user": user,
            "sourceIPs": self.source.iter().collect::<Vec<_>>(), "userAgent": excerpt(&self.agent, MAX_TEXT),
            "responseStatus": {"metadata": {}, "code": code.as_u16()},
            "requestReceivedTimestamp": MicroTime(self.received).to_string(), "stageTimestamp": MicroTime(now).to_string(),
        })
    }
}

/// Answers a request and records it. What is recorded because it writes is done in a task of `tasks`, so that whoever
/// goes away takes neither along; and also when it panics.
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
    let work = Box::pin(async move {
        let answered = AssertUnwindSafe(answered).catch_unwind().await;
        let (code, actor) = match &answered {
            Ok(response) => (response.status(), response.extensions().get().cloned()),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        note.finish(code, actor).await;
        answered
    });
    match (Outliving { work: Some(work), tasks }).await {
        Ok(response) => response,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Work that whoever waits for it does, and that becomes a task of its own only when they go away.
struct Outliving<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    tasks: Tasks,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Outliving<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let work = self.work.as_mut().expect("nobody polls what is done");
        let done = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(done)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Outliving<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tasks.spawn("registry write", move |_| async move { drop(work.await) });
        }
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
