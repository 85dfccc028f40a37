//! A kind of our own and a service that speaks just enough of the API to serve it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use pierhead_api::{
    Object,
    meta::{ObjectMeta, Status, StatusReason},
};
use pierhead_client::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Widget {
    pub(crate) metadata: ObjectMeta,
    pub(crate) size: u32,
}

impl Object for Widget {
    const GROUP: &'static str = "example.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Widget";
    const PLURAL: &'static str = "widgets";
    const SINGULAR: &'static str = "widget";
    const NAMESPACED: bool = true;
    const SHORT_NAMES: &'static [&'static str] = &[];
    const CATEGORIES: &'static [&'static str] = &[];

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

pub(crate) fn widget(name: &str, size: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "p", "resourceVersion": "7", "uid": name},
        "size": size,
    })
}

/// One request that the service saw: method, path with query, content type, body.
pub(crate) type Seen = (String, String, String, Value);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers lists with `items`, watches with what `events` receives, everything else with `answer`.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) events: mpsc::UnboundedSender<Value>,
}

impl Server {
    pub(crate) fn start(
        items: Vec<Value>,
        answer: impl Fn(&Seen) -> Result<Value, Box<Status>> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (events, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(Mutex::new(Some(receiver)));
        let answer = Arc::new(answer);
        let log = Arc::clone(&seen);
        let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let (items, receiver) = (items.clone(), Arc::clone(&receiver));
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            let response = async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let kind = parts.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
                let request = (
                    parts.method.to_string(),
                    parts.uri.to_string(),
                    kind.unwrap_or_default(),
                    serde_json::from_slice(&body).unwrap_or(Value::Null),
                );
                log.lock().unwrap().push(request.clone());
                let query = parts.uri.query().unwrap_or_default();
                if query.contains("watch=true") {
                    let open = receiver.lock().unwrap().take();
                    return Ok::<_, Infallible>(Response::new(watch_body(open)));
                }
                if parts.method == "GET" && parts.uri.path().ends_with("/widgets") {
                    let list = json!({
                        "kind": "WidgetList", "apiVersion": "example.io/v1",
                        "metadata": {"resourceVersion": "7"}, "items": items,
                    });
                    return Ok(json_response(200, &list));
                }
                Ok(match answer(&request) {
                    Ok(value) => json_response(200, &value),
                    Err(status) => json_response(status.code, &status.to_value()),
                })
            };
            Box::pin(response) as Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>
        });
        Self { client: Client::in_process(service), seen, events }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) fn refuse(_: &Seen) -> Result<Value, Box<Status>> {
    Err(Box::new(Status::failure(404, StatusReason::NotFound, "widgets.example.io \"x\" not found")))
}

fn json_response(code: u16, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

fn watch_body(events: Option<mpsc::UnboundedReceiver<Value>>) -> Body {
    let stream = futures_util::stream::unfold(events, |events| async move {
        let mut events = events?;
        let event = events.recv().await?;
        Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), Some(events)))
    });
    StreamBody::new(stream).boxed_unsync()
}
