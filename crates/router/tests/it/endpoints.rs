//! Endpoints that come and go while requests are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, Limits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::fixture::{Body, Fixture, GRACE, text, whole};

const HOST: &str = "shop.example.com";

/// A program in a pod: it says its name, and can be ended.
struct Pod {
    address: SocketAddr,
    tasks: Tasks,
    served: Arc<AtomicUsize>,
}

impl Pod {
    fn start(name: &str) -> Self {
        Self::start_on(name, ([127, 0, 0, 1], 0).into())
    }

    fn start_on(name: &str, address: SocketAddr) -> Self {
        let listener = listen::bind(address).unwrap();
        let (address, tasks) = (listener.local_addr(), Tasks::new());
        let (name, served) = (name.to_owned(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&served);
        let handler = move |request: Request<Incoming>| {
            let (name, counted) = (name.clone(), Arc::clone(&counted));
            async move {
                let slow = request.uri().path() == "/slow";
                drop(request.into_body().collect().await);
                counted.fetch_add(1, Ordering::Relaxed);
                if slow {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Response::new(whole(name))
            }
        };
        listen::serve(listener, None, handler, &tasks, Limits::default());
        Self { address, tasks, served }
    }

    /// Stops listening, ends what runs and closes idle connections, as a program does that is told to end.
    async fn end(self) {
        self.tasks.shutdown(GRACE).await.unwrap();
    }
}

fn route() -> Value {
    json!({"host": HOST, "to": {"name": "pods"}})
}

/// Something that goes on beside the test, and ends with the value it is held by.
struct Beside<T>(JoinSet<T>);

impl<T: Send + 'static> Beside<T> {
    fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        Self(tasks)
    }

    async fn end(mut self) -> T {
        self.0.join_next().await.unwrap().unwrap()
    }
}

/// One client connection, kept over requests.
struct Client(hyper::client::conn::http1::SendRequest<Body>);

impl Client {
    async fn connect(fixture: &Fixture) -> Self {
        let stream = TcpStream::connect(fixture.proxy.http_addr()).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        fixture.tasks.spawn("client", |_| async { drop(connection.await) });
        Self(sender)
    }

    async fn ask(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.0.ready().await.unwrap();
        self.0.send_request(request).await.unwrap()
    }

    async fn get(&mut self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header("host", HOST).body(whole("")).unwrap();
        let response = self.ask(request).await;
        (response.status(), text(response).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_under_load_fails_no_request() {
    let fixture = Arc::new(Fixture::start());
    let mut pods: Vec<Pod> = (0..3).map(|index| Pod::start(&format!("pod-0-{index}"))).collect();
    let publish = |pods: &[Pod]| {
        let addresses: Vec<SocketAddr> = pods.iter().map(|pod| pod.address).collect();
        fixture.publish_pods(&[route()], &addresses);
    };
    publish(&pods);
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|index| {
            let (fixture, done, answered) = (Arc::clone(&fixture), Arc::clone(&done), Arc::clone(&answered));
            Beside::start(async move {
                let mut client = Client::connect(&fixture).await;
                while !done.load(Ordering::Relaxed) {
                    let (status, body) = client.get(if index == 0 { "/slow" } else { "/" }).await;
                    assert_eq!(status, StatusCode::OK, "{body}");
                    assert!(body.starts_with("pod-"), "{body}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=4 {
        for place in 0..pods.len() {
            pods.push(Pod::start(&format!("pod-{round}-{place}")));
            publish(&pods);
            let before = answered.load(Ordering::Relaxed);
            while answered.load(Ordering::Relaxed) < before + 50 {
                tokio::task::yield_now().await;
            }
            // The pod is told to end and taken from the table at the same time, as it is in a cluster.
            let old = pods.remove(0);
            let ending = Beside::start(old.end());
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            publish(&pods);
            ending.end().await;
        }
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.end().await;
    }
    assert!(pods.iter().all(|pod| pod.served.load(Ordering::Relaxed) > 0), "the new pods serve");
    for pod in pods {
        pod.end().await;
    }
    Arc::into_inner(fixture).unwrap().stop().await;
}

#[tokio::test]
async fn a_pod_that_left_the_table_gets_nothing_more() {
    let fixture = Fixture::start();
    let (old, new) = (Pod::start("old"), Pod::start("new"));
    fixture.publish_pods(&[route()], &[old.address]);
    let mut client = Client::connect(&fixture).await;
    assert_eq!(client.get("/").await.1, "old");
    let mut running = Client::connect(&fixture).await;
    let slow = Beside::start(async move { running.get("/slow").await });
    while old.served.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    fixture.publish_pods(&[route()], &[new.address]);
    assert_eq!(client.get("/").await.1, "new", "a kept client connection goes to the new pod");
    assert_eq!(slow.end().await, (StatusCode::OK, "old".to_owned()), "what runs ends");
    // Another program at the old address: were a connection to the old one kept, it would be used here.
    let address = old.address;
    old.end().await;
    let other = Pod::start_on("other", address);
    fixture.publish_pods(&[route()], &[other.address]);
    assert_eq!(client.get("/").await.1, "other");
    other.end().await;
    new.end().await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_refused_connection_goes_to_the_next_even_with_a_body() {
    let fixture = Fixture::start();
    let (gone, here) = (Pod::start("gone"), Pod::start("here"));
    let addresses = [gone.address, here.address];
    gone.end().await;
    fixture.publish_pods(&[route()], &addresses);
    let mut client = Client::connect(&fixture).await;
    for _ in 0..6 {
        let request = Request::post("/").header("host", HOST).body(whole("order")).unwrap();
        let response = client.ask(request).await;
        assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::OK, "here"));
    }
    here.end().await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_request_whose_only_pod_is_gone_waits_for_news() {
    let fixture = Arc::new(Fixture::start());
    let (seen, new) = (Arc::new(AtomicUsize::new(0)), Pod::start("new"));
    let (killed, _serving) = killed_after_reading(Arc::clone(&seen)).await;
    fixture.publish_pods(&[route()], &[killed]);
    let asking = Arc::clone(&fixture);
    let request = Beside::start(async move { Client::connect(&asking).await.get("/").await });
    while seen.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    fixture.publish_pods(&[route()], &[new.address]);
    assert_eq!(request.end().await, (StatusCode::OK, "new".to_owned()));
    new.end().await;
    Arc::into_inner(fixture).unwrap().stop().await;
}

/// A backend that reads each request and closes the connection, as one does that is killed.
async fn killed_after_reading(seen: Arc<AtomicUsize>) -> (SocketAddr, Beside<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Beside::start(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            drop(stream.shutdown().await);
        }
    });
    (address, serving)
}

#[tokio::test]
async fn only_what_does_no_harm_is_sent_twice() {
    let fixture = Fixture::start();
    let seen = Arc::new(AtomicUsize::new(0));
    let (killed, _serving) = killed_after_reading(Arc::clone(&seen)).await;
    fixture.publish_pods(&[route()], &[killed]);
    // The page that says so closes the client's connection.
    let check = async |request: http::request::Builder, body: Bytes, times: usize| {
        let before = seen.load(Ordering::Relaxed);
        let mut client = Client::connect(&fixture).await;
        let response = client.ask(request.header("host", HOST).body(whole(body)).unwrap()).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        drop(text(response).await);
        assert_eq!(seen.load(Ordering::Relaxed) - before, times);
    };
    check(Request::post("/"), Bytes::new(), 1).await;
    check(Request::put("/"), Bytes::from_static(b"body"), 1).await;
    let live = Pod::start("live");
    fixture.publish_pods(&[route()], &[killed, live.address]);
    let mut client = Client::connect(&fixture).await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await, (StatusCode::OK, "live".to_owned()));
    }
    live.end().await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_cookie_keeps_a_client_where_it_is() {
    let fixture = Fixture::start();
    let pods = ["a", "b", "c"].map(Pod::start);
    let addresses = pods.each_ref().map(|pod| pod.address);
    fixture.publish_pods(&[route()], &addresses);
    let mut client = Client::connect(&fixture).await;
    let first = client.ask(Request::get("/").header("host", HOST).body(whole("")).unwrap()).await;
    let cookie = first.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(first.headers()["cache-control"], "private");
    let served = text(first).await;
    for _ in 0..6 {
        let request =
            Request::get("/").header("host", HOST).header("cookie", &cookie).body(whole("")).unwrap();
        let response = client.ask(request).await;
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(text(response).await, served);
    }
    let others: Vec<SocketAddr> = pods
        .iter()
        .zip(["a", "b", "c"])
        .filter(|(_, name)| *name != served)
        .map(|(pod, _)| pod.address)
        .collect();
    fixture.publish_pods(&[route()], &others);
    let request = Request::get("/").header("host", HOST).header("cookie", &cookie).body(whole("")).unwrap();
    let moved = client.ask(request).await;
    assert!(moved.headers().contains_key("set-cookie"), "the client gets a new place");
    assert_ne!(text(moved).await, served);
    for pod in pods {
        pod.end().await;
    }
    fixture.stop().await;
}
