//! An engine for tests: answers what a test says, and remembers what it was asked.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pierhead_runtime::Tasks;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};

use super::{Engine, EngineKind};

type Answers = dyn Fn(&str, &[u8]) -> Option<(u16, Value)> + Send + Sync;

/// What answers in an engine's place. Call [`FakeEngine::start`] within a tokio runtime.
pub(crate) struct FakeEngine {
    pub(crate) engine: Engine,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
    _folder: TempDir,
}

impl FakeEngine {
    /// `answers` gives status and body to `METHOD /path?query` (without version) and the request's body; none is an
    /// answer that never comes.
    pub(crate) fn start(
        answers: impl Fn(&str, &[u8]) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let answers: Arc<Answers> = Arc::new(answers);
        let (asked, tasks) = (Arc::default(), Tasks::new());
        let (heard, inner) = (Arc::clone(&asked), tasks.clone());
        tasks.spawn("fake engine", |stop| async move {
            while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let connection = serve(stream, Arc::clone(&heard), Arc::clone(&answers));
                inner.spawn("fake engine's connection", |stop| async move {
                    stop.run_until_cancelled(connection).await.unwrap_or_default();
                });
            }
        });
        Self { engine: Engine::new(EngineKind::Docker, socket), asked, tasks, _folder: folder }
    }

    /// What was asked since the last call of this, but for versions.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

async fn serve(stream: UnixStream, asked: Arc<Mutex<Vec<String>>>, answers: Arc<Answers>) {
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
        async move {
            let target = request.uri().path_and_query().unwrap().as_str().to_owned();
            let versioned =
                target.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|end| rest.split_at(end).1));
            let line = format!("{} {}", request.method(), versioned.unwrap_or(&target));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (status, answer) = if line == "GET /version" {
                (200, json!({"ApiVersion": "1.41", "Version": "20.10", "Arch": "amd64"}))
            } else {
                asked.lock().push(line.clone());
                match answers(&line, &body) {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            };
            let body = if status == 204 { Bytes::new() } else { Bytes::from(answer.to_string()) };
            let answer = Response::builder().status(status).header("content-type", "application/json");
            Ok::<_, Infallible>(answer.body(Full::new(body)).unwrap())
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.await.unwrap_or_default();
}
