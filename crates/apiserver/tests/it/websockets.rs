//! Watches over WebSocket, with a client of its own over a real connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use pierhead_auth::Subject;
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, Limits};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::world::{World, admin, user};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// A server on a port, and the token of an account that may look at the project `shop`.
struct Site {
    world: World,
    at: SocketAddr,
    token: String,
    /// Those of the API, which belong to those of its listener.
    tasks: Tasks,
}

/// What a server made of a handshake.
type Opened = Result<(WebSocketStream<TcpStream>, Response<Option<Vec<u8>>>), Error>;

impl Site {
    async fn start() -> Self {
        Self::serving(Limits::default()).await
    }

    async fn serving(limits: Limits) -> Self {
        let tasks = Tasks::new();
        let world = World::with(|config| config.tasks = tasks.child()).await;
        let ann = user("ann");
        world.project(&ann, "shop").await;
        let binding = json!({
            "metadata": {"name": "viewer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": "shop"}],
        });
        let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
        assert_eq!(world.post(&ann, bindings, binding).await.status, StatusCode::CREATED);
        let tokens = "/api/v1/namespaces/shop/serviceaccounts/builder/token";
        let made = world.post(&ann, tokens, json!({"spec": {}})).await;
        let token = made.body["status"]["token"].as_str().unwrap().to_owned();
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let (at, server) = (listener.local_addr(), world.server.clone());
        let handler = move |mut request: Request<Incoming>| {
            // Stands for a certificate, which browsers show without being told to.
            if request.headers_mut().remove("x-certificate").is_some() {
                request.extensions_mut().insert::<Arc<Subject>>(user("ann"));
            }
            let server = server.clone();
            async move { server.handle(request).await }
        };
        listen::serve(listener, None, handler, &tasks, limits);
        Self { world, at, token, tasks }
    }

    /// Asks for a WebSocket with these headers.
    async fn open(&self, path: &str, headers: &[(&'static str, &str)]) -> Opened {
        let mut request = format!("ws://{}{path}", self.at).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        client_async(request, TcpStream::connect(self.at).await.unwrap()).await
    }

    /// One that is opened as Fabric8 does, whose list has nothing in it but the map that every project has.
    async fn watch(&self) -> WebSocketStream<TcpStream> {
        let bearer = format!("Bearer {}", self.token);
        let origin = format!("https://{}", self.at);
        let headers = [("authorization", bearer.as_str()), ("origin", origin.as_str())];
        let (socket, answer) = self.open(&format!("{MAPS}?watch=true"), &headers).await.unwrap();
        assert_eq!(answer.headers().get("sec-websocket-protocol"), None);
        socket
    }

    async fn put(&self, name: &str) {
        let made = self.world.post(&admin(), MAPS, json!({"metadata": {"name": name}})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
}

/// The next message that is no pong: the event it is, or the code of a farewell.
async fn next(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(frame))) => return json!(frame.map(|frame| u16::from(frame.code))),
            Some(Ok(Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Events until one of `name`, which is the answer.
async fn until(socket: &mut WebSocketStream<TcpStream>, name: &str) -> Value {
    loop {
        let event = next(socket).await;
        if event["object"]["metadata"]["name"] == name {
            return event;
        }
    }
}

#[tokio::test]
async fn every_event_is_a_message() {
    let site = Site::start().await;
    site.put("before").await;
    let mut socket = site.watch().await;
    let listed = until(&mut socket, "before").await;
    assert_eq!((&listed["type"], &listed["object"]["kind"]), (&json!("ADDED"), &json!("ConfigMap")));
    site.put("after").await;
    assert_eq!(until(&mut socket, "after").await["type"], "ADDED");
    site.world.delete(&admin(), &format!("{MAPS}/after")).await;
    assert_eq!(until(&mut socket, "after").await["type"], "DELETED");
    socket.send(Message::Ping("here?".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("here?".into()));
    // What a client says is not listened to, and its farewell is answered.
    socket.send(Message::Text("hello".into())).await.unwrap();
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
    while site.tasks.running().contains(&"WebSocket") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_page_brings_its_token_as_a_protocol() {
    let site = Site::start().await;
    let token = format!("{TOKEN}{}", URL_SAFE_NO_PAD.encode(&site.token));
    let path = format!("{MAPS}?watch=true");
    for answered in ["base64.binary.k8s.io", "binary.k8s.io"] {
        let protocols = format!("{token}, {answered}");
        let headers =
            [("sec-websocket-protocol", protocols.as_str()), ("origin", "https://elsewhere.example.com")];
        let (mut socket, answer) = site.open(&path, &headers).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], answered);
        site.put(&answered.replace(".k8s.io", "")).await;
        assert_eq!(until(&mut socket, &answered.replace(".k8s.io", "")).await["type"], "ADDED");
    }
}

#[tokio::test]
async fn whoever_is_refused_gets_an_answer_and_no_connection() {
    let site = Site::start().await;
    let bearer = format!("Bearer {}", site.token);
    let encoded = format!("{TOKEN}{}", URL_SAFE_NO_PAD.encode(&site.token));
    let wrong = format!("{TOKEN}{}, v1", URL_SAFE_NO_PAD.encode("wrong"));
    let token = ("authorization", bearer.as_str());
    let check = async |path: &str, headers: &[(&'static str, &str)], code: u16, text: &str| match site
        .open(path, headers)
        .await
    {
        Err(Error::Http(answer)) => {
            let status: Value = serde_json::from_slice(answer.body().as_deref().unwrap()).unwrap();
            let message = status["message"].as_str().unwrap().to_owned();
            assert_eq!((answer.status().as_u16(), &status["kind"]), (code, &json!("Status")), "{path}");
            assert!(message.contains(text), "{message}");
            let spoken = answer.headers().get("sec-websocket-version").map(|version| version.as_bytes());
            assert_eq!(spoken, (code == 426).then_some(&b"13"[..]));
        }
        other => panic!("{path}: {other:?}"),
    };
    let path = format!("{MAPS}?watch=true");
    check(&path, &[], 403, "system:anonymous").await;
    check(&format!("{path}&access_token={}", site.token), &[], 403, "system:anonymous").await;
    check(&path, &[("authorization", "Bearer wrong")], 401, "Unauthorized").await;
    for protocols in [encoded.as_str(), wrong.as_str()] {
        check(&path, &[("sec-websocket-protocol", protocols)], 401, "Unauthorized").await;
    }
    check("/api/v1/namespaces/shop/secrets?watch=true", &[token], 403, "cannot watch").await;
    check(&format!("{path}&fieldSelector=spec.none=1"), &[token], 400, "").await;
    check(&path, &[token, ("sec-websocket-version", "8")], 426, "version 13").await;
    check(&path, &[token, ("sec-websocket-key", "c2hvcnQ=")], 400, "16 bytes").await;
    // A certificate comes with what any page asks for.
    let shown = ("x-certificate", "ann");
    check(&path, &[shown, ("origin", "https://elsewhere.example.com")], 403, "another origin").await;
    check(&path, &[shown, ("origin", "null")], 403, "another origin").await;
    let own = format!("https://{}", site.at);
    for headers in [&[shown][..], &[shown, ("origin", own.as_str())]] {
        let (_, answer) = site.open(&path, headers).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    }
    assert!(site.open(MAPS, &[token]).await.is_err(), "a list is no watch");
}

#[tokio::test]
async fn a_watch_that_ends_says_farewell() {
    let site = Site::start().await;
    let mut timed = site
        .open(&format!("{MAPS}?watch=true&timeoutSeconds=1"), &[("x-certificate", "ann")])
        .await
        .unwrap()
        .0;
    let mut socket = site.watch().await;
    loop {
        let event = next(&mut timed).await;
        if event.is_number() {
            assert_eq!(event, u16::from(CloseCode::Normal));
            break;
        }
    }
    // Who lost the right learns of it at once.
    let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/viewer";
    site.world.delete(&admin(), binding).await;
    while !next(&mut socket).await.is_number() {}
}

#[tokio::test]
async fn a_client_is_told_what_it_did_wrong() {
    let site = Site::start().await;
    let mut socket = site.watch().await;
    socket.send(Message::Text("x".repeat(5_000).into())).await.unwrap();
    loop {
        let event = next(&mut socket).await;
        if event.is_number() {
            assert_eq!(event, u16::from(CloseCode::Size));
            break;
        }
    }
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection() {
    let site = Site::serving(Limits { connections: 1, ..Limits::default() }).await;
    let first = site.watch().await;
    let second = site.watch();
    tokio::pin!(second);
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(waited.is_err(), "there is room for one");
    drop(first);
    second.await;
}

#[tokio::test]
async fn a_server_that_stops_waits_for_its_websockets() {
    let site = Site::start().await;
    let (mut polite, _silent) = (site.watch().await, site.watch().await);
    site.put("last").await;
    until(&mut polite, "last").await;
    let farewell = async {
        let code = next(&mut polite).await;
        (code, polite.next().await.is_none())
    };
    let (stopped, farewell) = tokio::join!(site.tasks.shutdown(Duration::from_secs(30)), farewell);
    assert_eq!(farewell, (json!(u16::from(CloseCode::Away)), true));
    stopped.unwrap();
}
