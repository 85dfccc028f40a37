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

/// Tasks of the agents that come and go: one that panics is one pod's or one client's loss.
const PASSING: [&str; 7] =
    ["container stop", "hook", "image pull", "node retirement", "pod", "probe", "upgraded connection"];

/// What readiness is judged by.
#[derive(Clone)]
pub(crate) struct Vital {
    pub(crate) store: Store,
    pub(crate) listeners: Tasks,
    pub(crate) agents: Tasks,
}

impl Vital {
    /// Why the process cannot do all of its work.
    fn trouble(&self) -> Option<String> {
        if self.store.is_poisoned() {
            return Some("the metadata store failed to write and takes no more\n".to_owned());
        }
        let mut gone = [self.listeners.panicked(), self.agents.panicked()].concat();
        gone.retain(|name| !PASSING.contains(name));
        (!gone.is_empty()).then(|| format!("these tasks panicked and are gone: {}\n", gone.join(", ")))
    }
}

/// Serves the three paths until the listeners stop.
pub(crate) fn serve(listener: Listener, metrics: Metrics, vital: Vital) {
    let listeners = vital.listeners.clone();
    let handler = move |request: Request<hyper::body::Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &metrics, &vital);
        std::future::ready(answer)
    };
    listen::serve(listener, None, handler, &listeners, Limits::default());
}

fn answer(method: &Method, path: &str, metrics: &Metrics, vital: &Vital) -> Response<Full<Bytes>> {
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
        "/readyz" => match vital.trouble() {
            Some(trouble) => text(StatusCode::SERVICE_UNAVAILABLE, trouble),
            None => text(StatusCode::OK, "ok\n"),
        },
        _ => text(StatusCode::NOT_FOUND, "/metrics, /livez and /readyz are here\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let value = header::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, value);
    answer
}

#[cfg(test)]
mod tests {
    use super::{Vital, answer};
    use http::Method;
    use pierhead_runtime::telemetry::Metrics;
    use pierhead_runtime::{SystemClock, Tasks};
    use pierhead_store::Store;

    #[tokio::test]
    async fn a_task_that_is_gone_is_not_ready_and_one_that_passes_is() {
        let (listeners, agents) = (Tasks::new(), Tasks::new());
        let vital = Vital { store: Store::memory(SystemClock::shared()), listeners, agents };
        let ready = || answer(&Method::GET, "/readyz", &Metrics::new(), &vital).status().as_u16();
        for (group, name, expected) in [
            (vital.agents.clone(), "pod", 200),
            (vital.agents.child(), "deployer", 200),
            (vital.agents.clone(), "deployer", 503),
        ] {
            group.spawn(name, |_| async { panic!("on purpose") });
            while vital.agents.running().contains(&name) {
                tokio::task::yield_now().await;
            }
            assert_eq!(ready(), expected, "{name}");
        }
    }
}
