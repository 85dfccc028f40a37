//! Logs and metrics of the process.
//!
//! Owns where log lines go and the registry that `/metrics` shows. What is logged or counted is each crate's affair;
//! label values must come from closed sets, never from names that clients choose.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

pub use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for people.
    #[default]
    Text,
    /// One JSON object a line for collectors.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not of the form `info,pierhead_router=debug`.
    #[error("log filter `{filter}` is not valid")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Something in this process set up logging before.
    #[error("logging is already set up")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends log lines that pass `filter` (the syntax of `RUST_LOG`) to standard error.
///
/// # Errors
/// A filter that does not parse, or a second call in one process.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt as _;

    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(io::stderr);
    let outcome = match format {
        LogFormat::Text => {
            let colors = io::IsTerminal::is_terminal(&io::stderr());
            builder.with_ansi(colors).finish().try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    outcome.map_err(TelemetryError::AlreadySet)
}

/// The metrics of the process. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// The media type of what [`Metrics::encode`] gives.
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows `metric` as `name` from here on; counters get `_total` appended. The caller keeps a clone to count with.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// All metrics in the OpenMetrics text form.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry.lock()).expect("writing to a String cannot fail");
        out
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, LogFormat, Metrics, init};

    #[test]
    fn a_registered_counter_is_shown() {
        let metrics = Metrics::new();
        let pushes: Counter = metrics.register("pierhead_pushes", "Manifests stored", Counter::default());
        pushes.inc();
        assert_eq!(
            metrics.clone().encode(),
            "# HELP pierhead_pushes Manifests stored.\n# TYPE pierhead_pushes counter\npierhead_pushes_total 1\n# EOF\n"
        );
    }

    #[test]
    fn a_filter_that_does_not_parse_is_named() {
        let error = init(LogFormat::Text, "info,router=loud").unwrap_err();
        assert_eq!(error.to_string(), "log filter `info,router=loud` is not valid");
    }
}
