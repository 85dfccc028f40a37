//! A server made of objects in a map, enough of the API for the verbs: discovery, get, list, create, replace,
//! merge patch, delete.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Write,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use pierhead_cli::Environment;
use pierhead_client::Client;
use serde_json::{Value, json};

/// What the server saw and holds. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Api {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    answers: Arc<Mutex<BTreeMap<String, (u16, Value)>>>,
    requests: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Value>>>,
    watches: Arc<Mutex<BTreeMap<String, Vec<Value>>>>,
    broken: Arc<Mutex<BTreeMap<String, u32>>>,
    lingering: Arc<Mutex<BTreeMap<String, u32>>>,
    logs: Arc<Mutex<BTreeMap<String, String>>>,
    warning: Arc<Mutex<Option<String>>>,
    missing: Arc<Mutex<Option<String>>>,
}

/// What a run of the command line left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub(crate) fn now() -> jiff::Timestamp {
    "2016-03-30T12:00:00Z".parse().unwrap()
}

const KINDS: &str = "
 v1 namespaces Namespace c ns -
 v1 secrets Secret n - -
 v1 serviceaccounts ServiceAccount n sa -
 v1 services Service n svc all
 v1 endpoints Endpoints n ep -
 v1 events Event n ev -
 v1 pods Pod n po all
 v1 replicationcontrollers ReplicationController n rc all
 v1 nodes Node c no -
 v1 configmaps ConfigMap n cm -
 apps/v1 deployments Deployment n deploy -
 apps/v1 replicasets ReplicaSet n rs -
 apps.openshift.io/v1 deploymentconfigs DeploymentConfig n dc all
 authorization.openshift.io/v1 rolebindings RoleBinding n - -
 rbac.authorization.k8s.io/v1 rolebindings RoleBinding n - -
 rbac.authorization.k8s.io/v1 clusterroles ClusterRole c - -
 rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding c - -
 rbac.authorization.k8s.io/v1 roles Role n - -
 v1 resourcequotas ResourceQuota n quota -
 user.openshift.io/v1 users User c - -
 user.openshift.io/v1 groups Group c - -
 user.openshift.io/v1 identities Identity c - -
 user.openshift.io/v1 useridentitymappings UserIdentityMapping c - -
 image.openshift.io/v1 imagestreams ImageStream n is all
 image.openshift.io/v1 imagestreamtags ImageStreamTag n istag -
 image.openshift.io/v1 imagestreamimports ImageStreamImport n - -
 image.openshift.io/v1 images Image c - -
 project.openshift.io/v1 projects Project c - -
 route.openshift.io/v1 routes Route n - all
";

impl Api {
    /// A server that has nothing of this group.
    pub(crate) fn without(group: &str) -> Self {
        let api = Self::default();
        *api.missing.lock().unwrap() = Some(format!("/apis/{group}/"));
        api
    }

    /// Puts an object where its path is.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    pub(crate) fn object(&self, path: &str) -> Value {
        self.objects.lock().unwrap().get(path).cloned().unwrap_or(Value::Null)
    }

    /// Answers `METHOD path` (without query) so, whatever there is.
    pub(crate) fn answer(&self, request: &str, code: u16, body: Value) {
        self.answers.lock().unwrap().insert(request.to_owned(), (code, body));
    }

    /// The next watch of this collection sees these states of objects, then ends.
    pub(crate) fn watched(&self, path: &str, states: Vec<Value>) {
        self.watches.lock().unwrap().insert(path.to_owned(), states);
    }

    /// The next requests below this path are never answered: the connection breaks.
    pub(crate) fn breaks(&self, path: &str, times: u32) {
        self.broken.lock().unwrap().insert(path.to_owned(), times);
    }

    /// Once deleted, the object is still there for so many looks.
    pub(crate) fn lingers(&self, path: &str, looks: u32) {
        self.lingering.lock().unwrap().insert(path.to_owned(), looks);
    }

    /// What `GET path` (with its query) answers as text.
    pub(crate) fn log(&self, request: &str, text: &str) {
        self.logs.lock().unwrap().insert(request.to_owned(), text.to_owned());
    }

    /// Every answer warns of this.
    pub(crate) fn warns(&self, text: &str) {
        *self.warning.lock().unwrap() = Some(text.to_owned());
    }

    /// Requests that change something, in order.
    pub(crate) fn changes(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| !request.starts_with("GET ")).cloned().collect()
    }

    pub(crate) fn last_body(&self) -> Value {
        self.bodies.lock().unwrap().last().cloned().unwrap_or(Value::Null)
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        Client::in_process(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
                let line = format!("{} {}{query}", parts.method, parts.uri.path());
                api.requests.lock().unwrap().push(line);
                let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
                if count_down(&api.broken, path) {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
                }
                let mut ready = Response::builder();
                if let Some(text) = &*api.warning.lock().unwrap() {
                    ready = ready.header("warning", format!("299 - {text:?}"));
                }
                if let Some(text) = api.logs.lock().unwrap().get(&format!("{path}?{query}")) {
                    let body = Full::new(Bytes::from(text.clone()));
                    return Ok(ready.header("content-type", "text/plain").body(body).unwrap());
                }
                if query.contains("watch=true") {
                    let states = api.watches.lock().unwrap().remove(path).unwrap_or_default();
                    let event = |state: &Value| format!("{}\n", json!({"type": "MODIFIED", "object": state}));
                    let body = Full::new(Bytes::from(states.iter().map(event).collect::<String>()));
                    return Ok(ready.header("content-type", "application/json").body(body).unwrap());
                }
                let (code, answer) = api.respond(parts.method.as_str(), path, &body);
                if !body.is_null() {
                    api.bodies.lock().unwrap().push(body);
                }
                let (content_type, body) = match answer {
                    Value::String(text) => ("text/plain", text),
                    answer => ("application/json", answer.to_string()),
                };
                let body = Full::new(Bytes::from(body));
                let response = ready.status(code).header("content-type", content_type).body(body);
                Ok(response.unwrap())
            }
        }))
    }

    fn respond(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        if let Some(answer) = self.answers.lock().unwrap().get(&format!("{method} {path}")) {
            return answer.clone();
        }
        let missing = self.missing.lock().unwrap();
        if let Some(missing) = &*missing
            && path.starts_with(missing)
        {
            return (404, json!("404 page not found\n"));
        }
        if let Some(answer) = discovery(path) {
            return (200, answer);
        }
        let mut objects = self.objects.lock().unwrap();
        match method {
            "POST" => {
                let mut body = body.clone();
                let name = body["metadata"]["name"].as_str().unwrap_or("made").to_owned();
                let key = format!("{path}/{name}");
                if objects.contains_key(&key) {
                    return status(409, "AlreadyExists", &format!("{name:?} already exists"));
                }
                body["metadata"]["uid"] = json!("u1");
                body["metadata"]["resourceVersion"] = json!("1");
                objects.insert(key, body.clone());
                (201, body)
            }
            "PUT" => {
                objects.insert(path.to_owned(), body.clone());
                (200, body.clone())
            }
            "PATCH" => {
                let Some(object) = objects.get_mut(path) else { return not_found(path) };
                merge(object, body);
                object["metadata"]["resourceVersion"] = json!("2");
                (200, object.clone())
            }
            "DELETE" if self.lingering.lock().unwrap().contains_key(path) => {
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            "DELETE" => match objects.remove(path) {
                Some(_) => (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
                None => not_found(path),
            },
            _ if self.lingering.lock().unwrap().contains_key(path) && !count_down(&self.lingering, path) => {
                objects.remove(path);
                self.lingering.lock().unwrap().remove(path);
                not_found(path)
            }
            _ => match objects.get(path) {
                Some(object) => (200, object.clone()),
                None if is_collection(path) => {
                    let inside = |key: &String| {
                        key.strip_prefix(path).is_some_and(|rest| rest.matches('/').count() == 1)
                    };
                    let items: Vec<&Value> =
                        objects.iter().filter(|(key, _)| inside(key)).map(|(_, object)| object).collect();
                    (
                        200,
                        json!({"kind": "XList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": items}),
                    )
                }
                None => not_found(path),
            },
        }
    }

    /// Runs a command line as a shell would split it, with this server and a home directory.
    pub(crate) async fn run_in(&self, home: &std::path::Path, line: &str, stdin: &str) -> Outcome {
        self.run_among(&[], home, line, stdin).await
    }

    /// The same with environment variables.
    pub(crate) async fn run_among(
        &self,
        vars: &[(&str, &str)],
        home: &std::path::Path,
        line: &str,
        stdin: &str,
    ) -> Outcome {
        let arguments = std::iter::once("oc".to_owned()).chain(split(line)).map(OsString::from);
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let environment = Environment {
            vars: vars.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect(),
            home: Some(home.to_owned()),
            cwd: home.to_owned(),
            stdin: Box::new(std::io::Cursor::new(stdin.to_owned().into_bytes())),
            stdin_is_terminal: false,
            stdout: Box::new(stdout.clone()),
            stdout_is_terminal: false,
            stderr: Box::new(stderr.clone()),
            stderr_is_terminal: false,
            now,
            client: Some(self.client()),
        };
        let status = pierhead_cli::run("oc", arguments, environment).await;
        Outcome { code: status.0, stdout: stdout.text(), stderr: stderr.text() }
    }

    /// Runs a command line in project `pushed`.
    pub(crate) async fn run(&self, line: &str) -> Outcome {
        self.run_with(line, "").await
    }

    pub(crate) async fn run_with(&self, line: &str, stdin: &str) -> Outcome {
        let home = tempfile::tempdir().unwrap();
        let line = if line.contains("-n ") { line.to_owned() } else { format!("{line} -n pushed") };
        self.run_in(home.path(), &line, stdin).await
    }
}

impl Outcome {
    /// Stdout of a run that must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// Stderr of a run that must have failed with 1.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        self.ended_with(1)
    }

    /// Stderr of a run that must have ended with this code.
    #[track_caller]
    pub(crate) fn ended_with(self, code: u8) -> String {
        assert_eq!(self.code, code, "{} {}", self.stdout, self.stderr);
        self.stderr
    }
}

fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            character => word.push(character),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether there was something left to count.
fn count_down(counts: &Mutex<BTreeMap<String, u32>>, path: &str) -> bool {
    match counts.lock().unwrap().get_mut(path) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

fn is_collection(path: &str) -> bool {
    KINDS
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .any(|plural| path.ends_with(&format!("/{plural}")))
}

fn discovery(path: &str) -> Option<Value> {
    let rows =
        || KINDS.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| row.len() == 6);
    if path == "/api" {
        return Some(json!({"kind": "APIVersions", "versions": ["v1"]}));
    }
    if path == "/apis" {
        let mut groups: Vec<Value> = Vec::new();
        for row in rows().filter(|row| row[0] != "v1") {
            let group = row[0].trim_end_matches("/v1");
            if !groups.iter().any(|known| known["name"] == group) {
                let version = json!({"groupVersion": row[0], "version": "v1"});
                groups.push(json!({"name": group, "versions": [version], "preferredVersion": version}));
            }
        }
        return Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}));
    }
    let version = path.strip_prefix("/api/").or_else(|| path.strip_prefix("/apis/"))?;
    let resources: Vec<Value> = rows()
        .filter(|row| row[0] == version)
        .map(|row| {
            let words = |text: &str| if text == "-" { Vec::new() } else { vec![text.to_owned()] };
            json!({
                "name": row[1], "singularName": "", "kind": row[2], "namespaced": row[3] == "n",
                "verbs": ["get", "list", "create", "delete"], "shortNames": words(row[4]), "categories": words(row[5]),
            })
        })
        .collect();
    (!resources.is_empty())
        .then(|| json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources}))
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

pub(crate) fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": message, "code": code,
    });
    (code, body)
}

fn not_found(path: &str) -> (u16, Value) {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let plural = parts.next().unwrap_or_default();
    status(404, "NotFound", &format!("{plural} {name:?} not found"))
}
