//! Another registry, which does as it is told and counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use parking_lot::Mutex;
use pierhead_oci::Digest;
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, BoxError, Limits};
use tokio::sync::watch;

use crate::site::OCI_MANIFEST;

/// How a path is answered.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Whole and at once.
    Sends(Bytes),
    /// As far as the tap is open.
    Drips(Bytes),
    /// With a length that is announced and a connection that breaks before.
    Breaks(Bytes, usize),
    /// Not.
    Refuses(u16),
}

/// A registry without access control, until it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    behaviours: Mutex<HashMap<String, Behaviour>>,
    asked: Mutex<Vec<String>>,
    /// How many bytes of dripping answers may be sent.
    tap: watch::Sender<usize>,
}

type Body = UnsyncBoxBody<Bytes, BoxError>;

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let shared = Arc::new(Shared {
            behaviours: Mutex::default(),
            asked: Mutex::default(),
            tap: watch::Sender::new(0),
        });
        let (tasks, serving) = (Tasks::new(), Arc::clone(&shared));
        let answer = move |request: http::request::Parts| {
            let answer = serving.answer(&request.method, request.uri.path());
            async move { answer }
        };
        listen::serve(
            listener,
            None,
            move |request| answer(request.into_parts().0),
            &tasks,
            Limits::default(),
        );
        Self { address, shared, tasks }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// From now on the blob is answered so.
    pub(crate) fn blob(&self, digest: &Digest, behaviour: Behaviour) {
        self.shared.behaviours.lock().insert(format!("blobs/{digest}"), behaviour);
    }

    /// From now on the manifest is answered so.
    pub(crate) fn manifest(&self, digest: &Digest, behaviour: Behaviour) {
        self.shared.behaviours.lock().insert(format!("manifests/{digest}"), behaviour);
    }

    /// Lets so many bytes of dripping answers through.
    pub(crate) fn open_tap(&self, bytes: usize) {
        self.shared.tap.send_replace(bytes);
    }

    /// How often something was asked for: `GET blobs/…`.
    pub(crate) fn count(&self, asked: &str) -> usize {
        self.shared.asked.lock().iter().filter(|known| known.starts_with(asked)).count()
    }

    /// Everything that was asked, pings aside.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().clone()
    }
}

impl Shared {
    fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        let Some(path) = path.strip_prefix("/v2/lib/app/") else { return empty(StatusCode::OK) };
        self.asked.lock().push(format!("{method} {path}"));
        let behaviour = self.behaviours.lock().get(path).cloned();
        let whole = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        let (length, body) = match behaviour {
            None => return empty(StatusCode::NOT_FOUND),
            Some(Behaviour::Refuses(status)) => {
                let mut refusal = empty(StatusCode::from_u16(status).unwrap());
                refusal.headers_mut().insert("retry-after", "17".parse().unwrap());
                return refusal;
            }
            Some(Behaviour::Sends(bytes)) => (bytes.len(), whole(bytes)),
            Some(Behaviour::Breaks(bytes, after)) => {
                let sent = [Ok(Frame::data(bytes.slice(..after))), Err(BoxError::from("broken"))];
                (bytes.len(), StreamBody::new(futures_util::stream::iter(sent)).boxed_unsync())
            }
            Some(Behaviour::Drips(bytes)) => (bytes.len(), drip(bytes, self.tap.subscribe())),
        };
        let body = if *method == Method::HEAD { whole(Bytes::new()) } else { body };
        let media_type =
            if path.starts_with("manifests/") { OCI_MANIFEST } else { "application/octet-stream" };
        Response::builder()
            .header("content-type", media_type)
            .header("content-length", length)
            .body(body)
            .unwrap()
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

/// The bytes, as far as the tap is open.
fn drip(bytes: Bytes, tap: watch::Receiver<usize>) -> Body {
    let drops = futures_util::stream::unfold((bytes, tap, 0), |(bytes, mut tap, sent)| async move {
        if sent == bytes.len() {
            return None;
        }
        let open = (*tap.wait_for(|open| *open > sent).await.ok()?).min(bytes.len());
        Some((bytes.slice(sent..open), (bytes, tap, open)))
    });
    StreamBody::new(drops.map(|bytes| Ok::<_, BoxError>(Frame::data(bytes)))).boxed_unsync()
}
