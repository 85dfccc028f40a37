//! What is counted and logged of every request, under the names that existing dashboards graph.
//!
//! A request counts as finished when its answer was taken to the last byte, or the client went away: until then it is
//! in flight. Labels come from closed sets; names of repositories appear in the log only.

use std::sync::Arc;

use http::{Method, StatusCode, Uri};
use pierhead_auth::Subject;
use pierhead_runtime::listen::BoxError;
use pierhead_runtime::telemetry::{
    Counter, EncodeLabelSet, Family, Gauge, Histogram, Metrics, exponential_buckets,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// How a request counts whose client went away before it was answered, as with other servers: nobody's fault. A
/// handler that panicked counts as 500, which is what the connection answers then.
const CLIENT_LEFT: u16 = 499;

/// The counters of this crate.
#[derive(Clone)]
pub(crate) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<HandlerLabels, Histogram>,
    in_flight: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: u16,
    handler: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandlerLabels {
    handler: &'static str,
    method: &'static str,
}

impl RequestMetrics {
    /// Shows the counters in `metrics`.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let histogram = || Histogram::new(exponential_buckets(0.000_25, 4.0, 10));
        Self {
            requests: metrics.register(
                "registry_http_requests",
                "Requests that were answered",
                Family::default(),
            ),
            duration: metrics.register(
                "registry_http_request_duration_seconds",
                "Time from a request's head to the last byte of its answer",
                Family::new_with_constructor(histogram as fn() -> Histogram),
            ),
            in_flight: metrics.register(
                "registry_http_in_flight_requests",
                "Requests whose answer is not complete",
                Gauge::default(),
            ),
        }
    }

    /// A request has arrived.
    pub(crate) fn begin(&self, method: &Method, uri: &Uri) -> Observation {
        self.in_flight.inc();
        Observation {
            metrics: self.clone(),
            handler: "unknown",
            method: method_label(method),
            uri: uri.clone(),
            started: Instant::now(),
            status: None,
            subject: None,
            bytes: 0,
        }
    }
}

/// One request from its head to the end of its answer. Dropping it counts and logs.
pub(crate) struct Observation {
    metrics: RequestMetrics,
    handler: &'static str,
    method: &'static str,
    uri: Uri,
    started: Instant,
    /// What was answered, if anything was.
    status: Option<StatusCode>,
    subject: Option<Arc<Subject>>,
    bytes: u64,
}

impl Observation {
    /// Which resource it is about.
    pub(crate) const fn handled_by(&mut self, handler: &'static str) {
        self.handler = handler;
    }

    /// What is answered, and to whom.
    pub(crate) fn answered(&mut self, status: StatusCode, subject: Option<Arc<Subject>>) {
        self.status = Some(status);
        self.subject = subject;
    }

    /// More bytes of the answer have left.
    pub(crate) const fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The answer could not be completed; the client sees a broken connection.
    pub(crate) fn failed(&self, error: &BoxError) {
        let (method, path) = (self.method, self.uri.path());
        warn!(method, path, error, "Sending the answer to {method} {path} broke off: {error}");
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let Self { metrics, handler, method, uri, started, status, subject, bytes } = self;
        let (handler, method) = (*handler, *method);
        let taken = started.elapsed();
        let code = if std::thread::panicking() {
            StatusCode::INTERNAL_SERVER_ERROR.as_u16()
        } else {
            status.map_or(CLIENT_LEFT, |status| status.as_u16())
        };
        metrics.in_flight.dec();
        metrics.requests.get_or_create(&RequestLabels { code, handler, method }).inc();
        metrics.duration.get_or_create(&HandlerLabels { handler, method }).observe(taken.as_secs_f64());

        let duration_ms = taken.as_secs_f64() * 1e3;
        let user = subject.as_ref().map_or("-", |subject| subject.username.as_str());
        let path = uri.path();
        if matches!(method, "get" | "head") && code < 500 {
            debug!(method, path, code, user, bytes, duration_ms, "{method} {path} {code}");
        } else {
            info!(method, path, code, user, bytes, duration_ms, "{method} {path} {code}");
        }
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::{Method, Metrics, RequestMetrics, StatusCode, Uri};

    #[test]
    fn a_request_counts_when_it_is_over() {
        let metrics = Metrics::new();
        let requests = RequestMetrics::register(&metrics);
        let mut observation = requests.begin(&Method::GET, &Uri::from_static("/v2/"));
        observation.handled_by("base");
        observation.answered(StatusCode::OK, None);
        assert!(metrics.encode().contains("registry_http_in_flight_requests 1\n"));
        drop(observation);
        let text = metrics.encode();
        assert!(text.contains("registry_http_in_flight_requests 0\n"), "{text}");
        let counter = "registry_http_requests_total{code=\"200\",handler=\"base\",method=\"get\"} 1\n";
        assert!(text.contains(counter), "{text}");
        let count = "registry_http_request_duration_seconds_count{handler=\"base\",method=\"get\"} 1\n";
        assert!(text.contains(count), "{text}");
    }

    #[test]
    fn a_handler_that_panics_is_an_error_of_the_server() {
        let metrics = Metrics::new();
        let observation = RequestMetrics::register(&metrics).begin(&Method::GET, &Uri::from_static("/v2/"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _observation = observation;
            panic!("as a handler would");
        }));
        assert!(panicked.is_err());
        let text = metrics.encode();
        let counter = "registry_http_requests_total{code=\"500\",handler=\"unknown\",method=\"get\"} 1\n";
        assert!(text.contains(counter), "{text}");
        assert!(text.contains("registry_http_in_flight_requests 0\n"), "{text}");
    }

    #[test]
    fn a_client_that_leaves_unanswered_is_no_error_of_the_server() {
        let metrics = Metrics::new();
        drop(RequestMetrics::register(&metrics).begin(&Method::GET, &Uri::from_static("/v2/")));
        let text = metrics.encode();
        let counter = "registry_http_requests_total{code=\"499\",handler=\"unknown\",method=\"get\"} 1\n";
        assert!(text.contains(counter), "{text}");
    }
}
