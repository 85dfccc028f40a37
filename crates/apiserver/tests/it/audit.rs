//! The audit log: who wrote what, who was refused what, and no secret in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Request;
use pierhead_apiserver::Config;
use pierhead_runtime::audit::{AuditFile, AuditLog};
use pierhead_runtime::{Clock, ManualClock, SharedClock};
use pierhead_store::Store;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

struct Log {
    folder: tempfile::TempDir,
    world: World,
}

impl Log {
    async fn new() -> Self {
        Self::over(ManualClock::default().shared()).await
    }

    /// One whose server has this clock.
    async fn over(clock: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = AuditFile { path: folder.path().join("audit.log"), max_bytes: 1 << 30, keep: 1 };
        let log = AuditLog::open(settings).unwrap();
        let store = Store::memory(ManualClock::default().shared());
        let world = World::configured(store, clock, |config: &mut Config| config.audit = log).await;
        Self { folder, world }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap_or_default()
    }

    fn last(&self) -> Value {
        serde_json::from_str(self.text().lines().last().unwrap_or("null")).unwrap()
    }
}

#[tokio::test]
async fn writes_and_refusals_are_recorded_and_reads_are_not() {
    let log = Log::new().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let before = log.text().lines().count();
    log.world.get(&admin(), maps).await;
    assert_eq!(log.text().lines().count(), before);

    let object = json!({"metadata": {"name": "a"}, "data": {"k": "not for the log"}}).to_string();
    let path = format!("{maps}?fieldManager=me&password=hunter2");
    let headers =
        [("user-agent", "kubectl/v1"), ("impersonate-user", "bob"), ("impersonate-group", "system:masters")];
    let made = log.world.send(&admin(), "POST", &path, &headers, object).await;
    let record = log.last();
    assert_eq!(record["auditID"], made.headers["audit-id"].to_str().unwrap());
    assert_eq!(
        (&record["kind"], &record["apiVersion"], &record["stage"], &record["verb"]),
        (&json!("Event"), &json!("audit.k8s.io/v1"), &json!("ResponseComplete"), &json!("create"))
    );
    assert_eq!(
        (&record["user"]["username"], &record["impersonatedUser"]["username"]),
        (&json!("system:admin"), &json!("bob"))
    );
    let uid = &made.body["metadata"]["uid"];
    assert_eq!(
        record["objectRef"],
        json!({"resource": "configmaps", "namespace": "default", "name": "a", "uid": uid, "apiVersion": "v1"})
    );
    assert_eq!(record["responseStatus"]["code"], 201);
    assert_eq!(record["requestURI"], format!("{maps}?fieldManager=me&password=HIDDEN"));
    assert!(record["requestReceivedTimestamp"].as_str().unwrap().ends_with("000000Z"), "{record}");

    let refused = log.world.get(&user("eve"), "/api/v1/namespaces/default/secrets/a").await;
    assert_eq!(refused.status.as_u16(), 403);
    let record = log.last();
    assert_eq!((&record["verb"], &record["responseStatus"]["code"]), (&json!("get"), &json!(403)));
    assert_eq!(record["user"]["username"], "eve");

    let headers = [("impersonate-user", "bob")];
    log.world.send(&user("eve"), "GET", maps, &headers, "").await;
    assert_eq!(
        (&log.last()["user"]["username"], &log.last()["responseStatus"]["code"]),
        (&json!("eve"), &json!(403))
    );
    let text = log.text();
    assert!(!text.contains("not for the log") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn bad_tokens_and_names_of_tokens_are_not_repeated() {
    let log = Log::new().await;
    let request = Request::get("/api/v1/namespaces/default/pods")
        .header("authorization", "Bearer sha256~very-secret")
        .body(http_body_util::Full::new(bytes::Bytes::new()))
        .unwrap();
    assert_eq!(log.world.server.handle(request).await.status().as_u16(), 401);
    let strangers = std::fs::read_to_string(log.folder.path().join("audit-refused.log")).unwrap();
    let refused: Value = serde_json::from_str(strangers.lines().last().unwrap()).unwrap();
    assert_eq!((&refused["responseStatus"]["code"], &refused["verb"]), (&json!(401), &json!("list")));
    assert!(!strangers.contains("very-secret"), "{strangers}");
    let path = "/apis/oauth.openshift.io/v1/oauthaccesstokens/sha256~very-secret?fieldSelector=very-secret";
    log.world.delete(&admin(), path).await;
    let record = log.last();
    assert_eq!((&record["verb"], &record["objectRef"]["name"]), (&json!("delete"), &json!("HIDDEN")));
    let below = "/oapi/v1/oauthaccesstokens/sha256~very-secret/status";
    log.world.delete(&admin(), below).await;
    assert_eq!(log.last()["requestURI"], "/oapi/v1/oauthaccesstokens/HIDDEN");
    assert!(!log.text().contains("very-secret"), "{}", log.text());
}

#[tokio::test]
async fn what_is_written_for_whoever_went_away_is_recorded() {
    let log = Log::new().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let admin = admin();
    // The store has threads of its own: on a busy machine a write is now and then over before its sender can go.
    let left = (0..100).map(|attempt| format!("left-{attempt}")).find(|name| {
        let object = json!({"metadata": {"name": name}}).to_string();
        log.world.open(&admin, "POST", path, &[], object).now_or_never().is_none()
    });
    let left = left.expect("a write takes a moment, and the sender is gone by then");
    let named = format!(r#""name":"{left}""#);
    let is_there = || log.text().contains(&named);
    for _ in 0..1_000 {
        if is_there() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let record = log.last();
    assert_eq!(
        (&record["responseStatus"]["code"], &record["verb"], &record["objectRef"]["name"]),
        (&json!(201), &json!("create"), &json!(left)),
        "{record}"
    );
    assert_eq!(log.world.get(&admin, &format!("{path}/{left}")).await.status.as_u16(), 200);
}

/// A clock that gives up once, when it is asked for the time once more than so often.
struct Bomb {
    clock: SharedClock,
    left: Arc<AtomicU32>,
}

impl Clock for Bomb {
    fn now(&self) -> jiff::Timestamp {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left != Ok(1), "on purpose");
        self.clock.now()
    }
}

#[tokio::test]
async fn a_write_that_panics_is_recorded() {
    let left = Arc::new(AtomicU32::new(0));
    let clock = Bomb { clock: ManualClock::default().shared(), left: Arc::clone(&left) };
    let log = Log::over(Arc::new(clock)).await;
    // The first to ask is the record, the next the code that looks for a session.
    left.store(2, Ordering::SeqCst);
    let request = Request::post("/logout").body(http_body_util::Full::new(bytes::Bytes::new())).unwrap();
    assert_eq!(log.world.server.handle(request).await.status().as_u16(), 500);
    let record = log.last();
    assert_eq!((&record["requestURI"], &record["responseStatus"]["code"]), (&json!("/logout"), &json!(500)));
}
