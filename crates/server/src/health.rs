//! The metrics listener: `/metrics`, `/livez`, `/readyz`.
//!
//! Says whether the process lives and can do its work. The API has health end points of its own.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, Limits, Listener};
use pierhead_runtime::telemetry::Metrics;
use pierhead_store::Store;

/// Serves the three paths until `tasks` stops.
pub(crate) fn serve(listener: Listener, metrics: Metrics, store: Store, tasks: &Tasks) {
    let handler = move |request: Request<hyper::body::Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &metrics, &store);
        std::future::ready(answer)
    };
    listen::serve(listener, None, handler, tasks, Limits::default());
}

fn answer(method: &Method, path: &str, metrics: &Metrics, store: &Store) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match path {
        "/metrics" => {
            let mut answer = Response::new(Full::from(metrics.encode()));
            let value = header::HeaderValue::from_static(Metrics::CONTENT_TYPE);
            answer.headers_mut().insert(header::CONTENT_TYPE, value);
            answer
        }
        "/livez" | "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" if store.is_poisoned() => {
            text(StatusCode::SERVICE_UNAVAILABLE, "the metadata store failed to write and takes no more\n")
        }
        "/readyz" => text(StatusCode::OK, "ok\n"),
        _ => text(StatusCode::NOT_FOUND, "/metrics, /livez and /readyz are here\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    let value = header::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, value);
    answer
}
