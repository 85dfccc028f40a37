//! Public names of a rollout: annotations and labels on configurations, replication controllers and pods, phases,
//! and the names of the pods (platform 8.2). Logs, history, cancel and retry of all clients read and write them.

/// On a replication controller: the whole configuration it was made from, as JSON.
pub const ENCODED_CONFIG: &str = "openshift.io/encoded-deployment-config";
/// On replication controllers and pods, annotation and label: name of the configuration.
pub const CONFIG: &str = "openshift.io/deployment-config.name";
/// On replication controllers and pods: version of the configuration, a decimal number.
pub const CONFIG_VERSION: &str = "openshift.io/deployment-config.latest-version";
/// On pods: name of the replication controller.
pub const DEPLOYMENT: &str = "openshift.io/deployment.name";
/// On a replication controller: where its rollout is, see [`phase`].
pub const PHASE: &str = "openshift.io/deployment.phase";
/// On a replication controller: why it was made, or why it ended.
pub const STATUS_REASON: &str = "openshift.io/deployment.status-reason";
/// On a replication controller: `true` when somebody wants its rollout to stop.
pub const CANCELLED: &str = "openshift.io/deployment.cancelled";
/// On a replication controller: how many pods the rollout aims at.
pub const DESIRED_REPLICAS: &str = "kubectl.kubernetes.io/desired-replicas";
/// On a replication controller: how many replicas it had when its rollout began, in the words of 2016.
pub const REPLICAS: &str = "openshift.io/deployment.replicas";
/// On a replication controller while it is scaled down for another one: how many replicas it had.
pub const ORIGINAL_REPLICAS: &str = "kubectl.kubernetes.io/original-replicas";
/// On a replication controller: name of its deployer pod.
pub const DEPLOYER_POD: &str = "openshift.io/deployer-pod.name";
/// On a replication controller: when its deployer pod was made.
pub const DEPLOYER_POD_CREATED_AT: &str = "openshift.io/deployer-pod.created-at";
/// On a replication controller: when its deployer pod began to run.
pub const DEPLOYER_POD_STARTED_AT: &str = "openshift.io/deployer-pod.started-at";
/// On a replication controller: when its deployer pod ended.
pub const DEPLOYER_POD_COMPLETED_AT: &str = "openshift.io/deployer-pod.completed-at";
/// Set on a deployer pod and its replication controller once the controller will not look at it again.
pub const IGNORE_POD: &str = "deploy.openshift.io/deployer-pod.ignore";
/// Label of deployer and hook pods: name of the replication controller.
pub const DEPLOYER_POD_FOR: &str = "openshift.io/deployer-pod-for.name";
/// Label of hook pods: `pre`, `mid` or `post`.
pub const HOOK_POD_TYPE: &str = "openshift.io/deployer-pod.type";
/// On any object with a pod template: which fields follow which image stream tags, as JSON (8.3).
pub const IMAGE_TRIGGERS: &str = "image.openshift.io/triggers";
/// On pods and pod templates: `*` lets short image names mean image streams (images 5.8).
pub const RESOLVE_NAMES: &str = "alpha.image.policy.openshift.io/resolve-names";

/// Selector member that keeps the pods of one configuration apart.
pub const CONFIG_LABEL: &str = "deploymentconfig";
/// Selector member that keeps the pods of one version apart.
pub const DEPLOYMENT_LABEL: &str = "deployment";

/// What [`CANCELLED`] is set to.
pub const CANCELLED_VALUE: &str = "true";
/// [`STATUS_REASON`] of a rollout somebody cancelled.
pub const CANCELLED_BY_USER: &str = "cancelled by the user";
/// [`STATUS_REASON`] of a rollout that gave way to a newer version.
pub const CANCELLED_BY_NEWER: &str = "newer deployment was found running";
/// [`STATUS_REASON`] of a rollout whose deployer pod vanished.
pub const DEPLOYER_POD_VANISHED: &str = "deployer pod no longer exists";
/// [`STATUS_REASON`] of a rollout whose deployer pod could not be named as it should.
pub const UNRELATED_POD_EXISTS: &str =
    "unrelated pod with the same name as the deployer pod is already running";

/// `spec.schedulerName` of deployer pods: they are played in process and never bound to a node.
pub const DEPLOYER_SCHEDULER: &str = "pierhead-deployer";
/// Name of the container of deployer pods.
pub const DEPLOYER_CONTAINER: &str = "deployment";
/// Service account of deployer pods.
pub const DEPLOYER_SERVICE_ACCOUNT: &str = "deployer";

/// Where the rollout of a replication controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing done yet.
    New,
    /// The deployer pod exists.
    Pending,
    /// The deployer works.
    Running,
    /// Rolled out.
    Complete,
    /// Given up.
    Failed,
}

impl Phase {
    /// The phase an annotation names; everything unknown, and nothing at all, is `New`.
    pub fn parse(text: &str) -> Self {
        match text {
            "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Complete" => Self::Complete,
            "Failed" => Self::Failed,
            _ => Self::New,
        }
    }

    /// The phase of a replication controller.
    pub fn of(metadata: &crate::meta::ObjectMeta) -> Self {
        metadata.annotation(PHASE).map_or(Self::New, Self::parse)
    }

    /// The value of the annotation [`PHASE`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
        }
    }

    /// Whether the rollout is over.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name of the replication controller of a version.
pub fn deployment_name(config: &str, version: i64) -> String {
    format!("{config}-{version}")
}

/// Name of the deployer pod of a replication controller. Names over 253 characters are cut and told apart by a
/// number made from the whole name.
pub fn deployer_pod_name(deployment: &str) -> String {
    pod_name(deployment, "deploy")
}

/// Name of a hook pod; `hook` is `pre`, `mid` or `post`.
pub fn hook_pod_name(deployment: &str, hook: &str) -> String {
    pod_name(deployment, &format!("hook-{hook}"))
}

/// Longest name of a pod.
const MAX_POD_NAME: usize = 253;

fn pod_name(base: &str, suffix: &str) -> String {
    let name = format!("{base}-{suffix}");
    if name.len() <= MAX_POD_NAME {
        return name;
    }
    let suffix = format!("{:08x}-{suffix}", fnv1a(base));
    let keep = MAX_POD_NAME.saturating_sub(suffix.len() + 1);
    let kept: String = base.chars().take(keep).collect();
    format!("{kept}-{suffix}")
}

/// FNV-1a, 32 bits: the names must be the same in every process.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::{Phase, deployer_pod_name, hook_pod_name};

    #[test]
    fn names_pods_after_the_replication_controller() {
        assert_eq!(deployer_pod_name("web-3"), "web-3-deploy");
        assert_eq!(hook_pod_name("web-3", "pre"), "web-3-hook-pre");
        let long = "x".repeat(250);
        let (deployer, hook) = (deployer_pod_name(&long), hook_pod_name(&long, "post"));
        assert_eq!((deployer.len(), hook.len()), (253, 253));
        assert_ne!(deployer_pod_name(&format!("{long}y")), deployer);
    }

    #[test]
    fn reads_phases_as_they_are_written() {
        for phase in [Phase::New, Phase::Pending, Phase::Running, Phase::Complete, Phase::Failed] {
            assert_eq!(Phase::parse(phase.as_str()), phase);
        }
        assert_eq!(Phase::parse("Complete "), Phase::New);
    }
}
