//! Who has the output of a pod's containers: the deployer of the pods it plays, the node of all others.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::Pod;
use pierhead_apiserver::{LogBody, LogError, LogOptions, PodLogs};
use pierhead_controllers::{DeployerLogs, LogQuery};
use pierhead_node::Node;
use pierhead_runtime::SharedClock;

/// Pods of this scheduler are played in process.
const DEPLOYER: &str = "pierhead-deployer";

/// Both sources. The node comes when it is started: it needs the API server, which needs this. Clones are the same.
#[derive(Clone)]
pub(crate) struct PodOutput {
    deployers: DeployerLogs,
    node: Arc<OnceLock<Node>>,
    clock: SharedClock,
}

impl PodOutput {
    pub(crate) fn new(deployers: DeployerLogs, clock: SharedClock) -> Self {
        Self { deployers, node: Arc::default(), clock }
    }

    /// From now on the node is asked.
    pub(crate) fn set_node(&self, node: Node) {
        // There is one node in a process, and it is started once.
        self.node.get_or_init(|| node);
    }

    fn since(&self, options: &LogOptions) -> Option<Timestamp> {
        let seconds = options.since_seconds.map(SignedDuration::from_secs);
        let ago = seconds.and_then(|ago| self.clock.now().checked_sub(ago).ok());
        options.since_time.or(ago)
    }

    fn of_deployer(&self, pod: &Pod, options: &LogOptions) -> Result<LogBody, LogError> {
        let query = LogQuery {
            follow: options.follow,
            since: self.since(options),
            tail_lines: options.tail_lines.and_then(|lines| usize::try_from(lines).ok()),
            timestamps: options.timestamps,
            limit_bytes: options.limit_bytes,
        };
        let unreadable = |error: std::io::Error| LogError::Unavailable {
            message: format!("the log of the deployer cannot be read: {error}"),
        };
        match self.deployers.read(&pod.metadata.uid, query).map_err(unreadable)? {
            Some(log) => Ok(log.map_err(Into::into).boxed()),
            None => {
                let (container, name) = (&options.container, &pod.metadata.name);
                let message = format!("container {container:?} in pod {name:?} is waiting to start");
                Err(LogError::BadRequest { message })
            }
        }
    }

    async fn of_node(&self, pod: &Pod, options: &LogOptions) -> Result<LogBody, LogError> {
        let Some(node) = self.node.get() else {
            let message = "no container engine is configured, so no pod runs".to_owned();
            return Err(LogError::Unavailable { message });
        };
        let wanted = pierhead_node::LogOptions {
            container: Some(options.container.clone()),
            follow: options.follow,
            previous: options.previous,
            since: self.since(options),
            timestamps: options.timestamps,
            tail_lines: options.tail_lines,
            limit_bytes: options.limit_bytes,
        };
        match node.log(pod, wanted).await {
            Ok(log) => Ok(log.map_err(Into::into).boxed()),
            Err(pierhead_node::LogError::BadRequest { message }) => Err(LogError::BadRequest { message }),
            Err(pierhead_node::LogError::Unavailable { message }) => Err(LogError::Unavailable { message }),
        }
    }
}

impl PodLogs for PodOutput {
    fn log(&self, pod: Pod, options: LogOptions) -> BoxFuture<'static, Result<LogBody, LogError>> {
        let output = self.clone();
        async move {
            if pod.spec.scheduler_name == DEPLOYER {
                output.of_deployer(&pod, &options)
            } else {
                output.of_node(&pod, &options).await
            }
        }
        .boxed()
    }
}
