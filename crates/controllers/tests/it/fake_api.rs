//! A small API server in memory: the verbs, conflicts, watches and discovery that reconcilers rely on.
//!
//! It knows no kinds, validates nothing and authorizes everybody. What it must get right is what the real one
//! promises: one revision for all changes, conflicts on old versions, watches without gaps, a status that is
//! written apart, pods on nodes that are asked to go before they go, dependents that go with their owner.
//! It can fail at a chosen write, before or after having done it, and stay silent from then on: as a process that
//! was killed sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use parking_lot::Mutex;
use pierhead_client::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Plural, namespace (empty for the cluster), name.
type Key = (String, String, String);

struct Event {
    resource: String,
    namespace: String,
    line: Value,
}

struct Watcher {
    resource: String,
    /// Empty for all.
    namespace: String,
    sender: mpsc::UnboundedSender<Bytes>,
}

impl Watcher {
    fn tell(&self, event: &Event) -> bool {
        let concerns = event.resource == self.resource
            && (self.namespace.is_empty() || event.namespace == self.namespace);
        !concerns || self.sender.send(Bytes::from(format!("{}\n", event.line))).is_ok()
    }
}

/// At which write a client's process dies, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The write is not done.
    Before(u64),
    /// The write is done, and nobody hears of it.
    After(u64),
}

#[derive(Default)]
struct State {
    revision: u64,
    death: Option<Death>,
    /// Writes of mortal clients.
    writes: u64,
    /// How many processes died; clients of a dead one are not answered.
    deaths: u64,
    /// `resource/name` of everything that was ever made.
    made: Vec<String>,
    objects: BTreeMap<Key, Value>,
    events: Vec<Event>,
    watchers: Vec<Watcher>,
    /// Namespaces in which nobody may do anything.
    closed: BTreeSet<String>,
}

impl State {
    fn record(&mut self, kind: &str, key: &Key, object: &Value) {
        let line = json!({"type": kind, "object": object});
        let event = Event { resource: key.0.clone(), namespace: key.1.clone(), line };
        self.watchers.retain(|watcher| watcher.tell(&event));
        self.events.push(event);
    }

    fn store(&mut self, key: &Key, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let kind =
            if self.objects.insert(key.clone(), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.record(kind, key, &object);
        object
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.objects.remove(key)?;
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        self.record("DELETED", key, &object);
        let uid = object["metadata"]["uid"].clone();
        let is_owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
        };
        let owned: Vec<Key> =
            self.objects.iter().filter(|(_, object)| is_owned(object)).map(|(key, _)| key.clone()).collect();
        for key in owned {
            self.delete(&key, &Value::Null);
        }
        Some(object)
    }

    /// A pod on a node is asked to go; everything else is gone.
    fn delete(&mut self, key: &Key, options: &Value) -> Option<Value> {
        let mut object = self.objects.get(key)?.clone();
        let on_node = key.0 == "pods" && object["spec"]["nodeName"].is_string();
        if !on_node || options["gracePeriodSeconds"] == 0 {
            return self.remove(key);
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            object = self.store(key, object);
        }
        Some(object)
    }

    /// What a PUT makes of an object: the status is written apart, and versions of the rest are counted.
    fn replaced(&self, current: &Value, sent: Value, part: Option<&str>) -> Value {
        if part == Some("status") {
            let mut object = current.clone();
            object["status"] = sent["status"].clone();
            return object;
        }
        let mut object = sent;
        if current["status"].is_object() {
            object["status"] = current["status"].clone();
        }
        object["metadata"]["generation"] = current["metadata"]["generation"].clone();
        if object["spec"] != current["spec"] {
            let generation = current["metadata"]["generation"].as_i64().unwrap_or_default();
            object["metadata"]["generation"] = (generation + 1).into();
        }
        object
    }

    fn bind(&mut self, key: &Key, binding: &Value) -> Response<Body> {
        let Some(mut pod) = self.objects.get(key).cloned() else { return failure(404, "NotFound") };
        if pod["spec"]["nodeName"].is_string() {
            return failure(409, "Conflict");
        }
        pod["spec"]["nodeName"] = binding["target"]["name"].clone();
        self.store(key, pod);
        answer(201, &json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}))
    }

    fn list(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let concerns = |key: &Key| key.0 == resource && (namespace.is_empty() || key.1 == namespace);
        self.objects.iter().filter(|(key, _)| concerns(key)).map(|(_, object)| object.clone()).collect()
    }

    fn is_terminating(&self, namespace: &str) -> bool {
        let key = ("namespaces".into(), String::new(), namespace.into());
        self.objects.get(&key).is_none_or(|found| found["metadata"]["deletionTimestamp"].is_string())
    }
}

/// The server; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
}

impl FakeApi {
    /// A client that is always answered.
    pub(crate) fn client(&self) -> Client {
        self.client_of(None)
    }

    /// A client of a process that can die.
    pub(crate) fn mortal_client(&self) -> Client {
        let deaths = self.state.lock().deaths;
        self.client_of(Some(deaths))
    }

    fn client_of(&self, life: Option<u64>) -> Client {
        let api = self.clone();
        Client::in_process(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok::<_, Infallible>(match life {
                    Some(life) => api.answer_mortal(life, &parts.method, &parts.uri, &body),
                    None => api.answer(&parts.method, &parts.uri, &body),
                })
            }
        }))
    }

    /// Lets the process of mortal clients die at a write; writes are counted from now on.
    pub(crate) fn let_die(&self, death: Option<Death>) {
        let mut state = self.state.lock();
        state.death = death;
        state.writes = 0;
    }

    /// How many processes died so far.
    pub(crate) fn deaths(&self) -> u64 {
        self.state.lock().deaths
    }

    /// Writes of mortal clients since `let_die`.
    pub(crate) fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// An object as it is now.
    pub(crate) fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state.lock().objects.get(&key(resource, namespace, name)).cloned()
    }

    /// Puts an object there that says nothing but its name.
    pub(crate) fn put(&self, resource: &str, namespace: &str, name: &str) {
        self.put_with(resource, namespace, name, json!({}));
    }

    /// The same, of an object that says something.
    pub(crate) fn put_with(&self, resource: &str, namespace: &str, name: &str, mut object: Value) {
        object["metadata"]["namespace"] = namespace.into();
        object["metadata"]["name"] = name.into();
        self.state.lock().store(&key(resource, namespace, name), object);
    }

    /// Whether everybody may do everything in a namespace, or nobody anything. Only reviews of access know of it.
    pub(crate) fn let_in(&self, namespace: &str, everybody: bool) {
        let mut state = self.state.lock();
        if everybody {
            state.closed.remove(namespace)
        } else {
            state.closed.insert(namespace.to_owned())
        };
    }

    /// `resource/name` of everything that was ever made, in order.
    pub(crate) fn made(&self) -> Vec<String> {
        self.state.lock().made.clone()
    }

    fn answer_mortal(&self, life: u64, method: &Method, uri: &http::Uri, body: &[u8]) -> Response<Body> {
        let (dies_before, dies_after) = {
            let mut state = self.state.lock();
            if state.deaths != life {
                return failure(500, "Dead");
            }
            if *method != Method::GET {
                state.writes += 1;
            }
            let (death, writes) = (state.death.filter(|_| *method != Method::GET), state.writes);
            let (before, after) = (death == Some(Death::Before(writes)), death == Some(Death::After(writes)));
            if before || after {
                state.deaths += 1;
                state.death = None;
            }
            (before, after)
        };
        if dies_before {
            return failure(500, "Dead");
        }
        let answer = self.answer(method, uri, body);
        if dies_after { failure(500, "Dead") } else { answer }
    }

    /// Everything in a namespace, as `resource/name`.
    pub(crate) fn names_in(&self, namespace: &str) -> Vec<String> {
        let state = self.state.lock();
        let inside = state.objects.keys().filter(|key| key.1 == namespace);
        inside.map(|(resource, _, name)| format!("{resource}/{name}")).collect()
    }

    /// Types of the events of one object so far, with whether its `data` had a token.
    pub(crate) fn history(&self, resource: &str, name: &str) -> Vec<(String, bool)> {
        let state = self.state.lock();
        let events = state
            .events
            .iter()
            .filter(|event| event.resource == resource && event.line["object"]["metadata"]["name"] == name);
        let described = events.map(|event| {
            let kind = event.line["type"].as_str().unwrap().to_owned();
            (kind, event.line["object"]["data"]["token"].is_string())
        });
        described.collect()
    }

    fn answer(&self, method: &Method, uri: &http::Uri, body: &[u8]) -> Response<Body> {
        let query = uri.query().unwrap_or_default();
        let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8().unwrap();
        let path: Vec<&str> = path.trim_matches('/').split('/').collect();
        let rest = match path.as_slice() {
            ["apis"] => return answer(200, &groups()),
            ["api", "v1"] => return answer(200, &resources(&["secrets", "serviceaccounts", "services"])),
            ["apis", "rbac.authorization.k8s.io", "v1"] => return answer(200, &resources(&["rolebindings"])),
            ["apis", "authorization.k8s.io", "v1", "subjectaccessreviews"] => {
                let review: Value = serde_json::from_slice(body).unwrap();
                let namespace = review["spec"]["resourceAttributes"]["namespace"].as_str().unwrap();
                let allowed = !self.state.lock().closed.contains(namespace);
                return answer(201, &json!({"metadata": {}, "status": {"allowed": allowed}}));
            }
            ["api", "v1", rest @ ..] | ["apis", _, "v1", rest @ ..] => rest,
            _ => return failure(404, "NotFound"),
        };
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
        match (method, rest) {
            (&Method::GET, ["namespaces", namespace, resource]) => self.many(resource, namespace, query),
            (&Method::GET, [resource]) => self.many(resource, "", query),
            (&Method::POST, ["namespaces", namespace, resource]) => self.create((resource, namespace), body),
            (&Method::POST, [resource]) => self.create((resource, ""), body),
            (&Method::PUT, ["namespaces", name, "finalize"]) => self.finalize(name, &body),
            (&Method::POST, ["namespaces", namespace, "pods", name, "binding"]) => {
                self.state.lock().bind(&key("pods", namespace, name), &body)
            }
            (&Method::GET, ["namespaces", _, "pods", name, "log"]) => text(&format!("{name} says hello\n")),
            (_, ["namespaces", namespace, resource, name]) => {
                self.one(method, &key(resource, namespace, name), body, None)
            }
            (&Method::PUT, ["namespaces", namespace, resource, name, part]) => {
                self.one(method, &key(resource, namespace, name), body, Some(part))
            }
            (_, [resource, name]) => self.one(method, &key(resource, "", name), body, None),
            _ => failure(405, "MethodNotAllowed"),
        }
    }

    fn many(&self, resource: &str, namespace: &str, query: &str) -> Response<Body> {
        let mut state = self.state.lock();
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)).and_then(|rest| rest.strip_prefix('='))
        };
        if parameter("watch") != Some("true") {
            let mut items = state.list(resource, namespace);
            if let Some(selector) = parameter("labelSelector") {
                let selector = percent_encoding::percent_decode_str(selector).decode_utf8().unwrap();
                let (label, value) = selector.split_once('=').unwrap();
                items.retain(|item| item["metadata"]["labels"][label] == value);
            }
            let metadata = json!({"resourceVersion": state.revision.to_string()});
            return answer(
                200,
                &json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}),
            );
        }
        let after: u64 =
            parameter("resourceVersion").and_then(|after| after.parse().ok()).unwrap_or_default();
        let (sender, receiver) = mpsc::unbounded_channel();
        let watcher = Watcher { resource: resource.to_owned(), namespace: namespace.to_owned(), sender };
        for event in &state.events {
            let version = event.line["object"]["metadata"]["resourceVersion"].as_str().unwrap();
            if version.parse::<u64>().unwrap() > after {
                watcher.tell(event);
            }
        }
        state.watchers.push(watcher);
        let lines = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|line| (Ok(Frame::data(line)), receiver))
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }

    fn create(&self, (resource, namespace): (&str, &str), mut object: Value) -> Response<Body> {
        let mut state = self.state.lock();
        if !namespace.is_empty() && state.is_terminating(namespace) {
            return failure(403, "Forbidden");
        }
        if let Some(prefix) = object["metadata"]["generateName"].as_str() {
            object["metadata"]["name"] = format!("{prefix}{:05}", state.revision).into();
        }
        let key = key(resource, namespace, object["metadata"]["name"].as_str().unwrap());
        if state.objects.contains_key(&key) {
            return failure(409, "AlreadyExists");
        }
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        object["metadata"]["uid"] = format!("uid-{}", state.revision + 1).into();
        object["metadata"]["generation"] = 1.into();
        object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        state.made.push(format!("{resource}/{}", key.2));
        answer(201, &state.store(&key, object))
    }

    fn one(&self, method: &Method, key: &Key, object: Value, part: Option<&str>) -> Response<Body> {
        let mut state = self.state.lock();
        let Some(current) = state.objects.get(key).cloned() else { return failure(404, "NotFound") };
        match *method {
            Method::GET => answer(200, &current),
            Method::PUT => {
                let version = &object["metadata"]["resourceVersion"];
                if version.is_string() && *version != current["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict");
                }
                let object = state.replaced(&current, object, part);
                answer(200, &state.store(key, object))
            }
            Method::PATCH => {
                let mut patched = current;
                merge(&mut patched, &object);
                answer(200, &state.store(key, patched))
            }
            Method::DELETE if key.0 == "namespaces" => {
                let mut dying = current;
                dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                dying["status"] = json!({"phase": "Terminating"});
                answer(200, &state.store(key, dying))
            }
            Method::DELETE => {
                let differs =
                    |field: &str, wanted: &Value| wanted.is_string() && *wanted != current["metadata"][field];
                let wanted = &object["preconditions"];
                if differs("uid", &wanted["uid"]) || differs("resourceVersion", &wanted["resourceVersion"]) {
                    return failure(409, "Conflict");
                }
                answer(200, &state.delete(key, &object).unwrap())
            }
            _ => failure(405, "MethodNotAllowed"),
        }
    }

    fn finalize(&self, name: &str, namespace: &Value) -> Response<Body> {
        let finalizers = namespace["spec"]["finalizers"].as_array().map_or(0, Vec::len);
        let mut state = self.state.lock();
        let left = state.objects.keys().filter(|key| key.1 == name).count();
        assert_eq!((finalizers, left), (0, 0), "a namespace is finalized when nothing is left in it");
        match state.remove(&("namespaces".into(), String::new(), name.into())) {
            Some(gone) => answer(200, &gone),
            None => failure(404, "NotFound"),
        }
    }
}

fn key(resource: &str, namespace: &str, name: &str) -> Key {
    (resource.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Merge patches, without deletion.
fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            for (field, value) in fields {
                merge(&mut target[field], value);
            }
        }
        other => *target = other.clone(),
    }
}

fn groups() -> Value {
    let version = json!({"groupVersion": "rbac.authorization.k8s.io/v1", "version": "v1"});
    let group =
        json!({"name": "rbac.authorization.k8s.io", "versions": [version], "preferredVersion": version});
    json!({"kind": "APIGroupList", "groups": [group]})
}

/// Every one of them says it can be deleted as a collection, which none can: promises are not trusted.
fn resources(plurals: &[&str]) -> Value {
    let verbs = ["create", "delete", "deletecollection", "get", "list", "update", "watch"];
    let described = plurals.iter().map(|plural| json!({"name": plural, "namespaced": true, "verbs": verbs}));
    json!({"kind": "APIResourceList", "resources": described.collect::<Vec<_>>()})
}

fn text(body: &str) -> Response<Body> {
    Response::new(Full::from(body.to_owned()).boxed_unsync())
}

fn answer(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(body.to_string()).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn failure(code: u16, reason: &str) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    answer(code, &status)
}
