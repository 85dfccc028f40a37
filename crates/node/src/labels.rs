//! The labels by which containers and volumes are found again, after a restart of ours or of the engine.
//!
//! Everything that must be known about a container to carry on is in its labels: nothing else is kept on disk.

use std::collections::HashMap;

const CLUSTER: &str = "io.pierhead.cluster";
const POD_UID: &str = "io.pierhead.pod-uid";
const POD_NAMESPACE: &str = "io.pierhead.pod-namespace";
const POD_NAME: &str = "io.pierhead.pod-name";
const ROLE: &str = "io.pierhead.role";
const CONTAINER: &str = "io.pierhead.container";
const ATTEMPT: &str = "io.pierhead.attempt";
const SANDBOX: &str = "io.pierhead.sandbox";
const IMAGE: &str = "io.pierhead.image";

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Holds the pod's network.
    Infra,
    /// Runs before the others.
    Init,
    /// Runs for the pod's sake.
    Main,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Infra => "infra",
            Self::Init => "init",
            Self::Main => "main",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Infra, Self::Init, Self::Main].into_iter().find(|role| role.name() == name)
    }
}

/// Which pod of which cluster something belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodIdentity {
    /// Identity of the cluster: several may share an engine.
    pub(crate) cluster: String,
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What a container says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerIdentity {
    pub(crate) role: Role,
    /// Name within the pod; empty for infra containers.
    pub(crate) container: String,
    /// How many came before it.
    pub(crate) attempt: u32,
    /// Id of the infra container whose network it uses; empty for infra containers.
    pub(crate) sandbox: String,
    /// The image as the pod names it.
    pub(crate) image: String,
}

impl PodIdentity {
    /// Labels of anything that belongs to the pod.
    pub(crate) fn labels(&self) -> HashMap<String, String> {
        let own = |key: &str, value: &String| (key.to_owned(), value.clone());
        HashMap::from([
            own(CLUSTER, &self.cluster),
            own(POD_UID, &self.uid),
            own(POD_NAMESPACE, &self.namespace),
            own(POD_NAME, &self.name),
        ])
    }

    /// Reads [`PodIdentity::labels`]; none if it is not a pod's.
    pub(crate) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let own = |key: &str| labels.get(key).cloned();
        Some(Self {
            cluster: own(CLUSTER)?,
            uid: own(POD_UID)?,
            namespace: own(POD_NAMESPACE)?,
            name: own(POD_NAME)?,
        })
    }

    /// Name of a container of this pod: unique on the engine, and readable.
    pub(crate) fn container_name(&self, container: &ContainerIdentity) -> String {
        let Self { uid, namespace, name, .. } = self;
        let part = match container.role {
            Role::Infra => "infra",
            Role::Init | Role::Main => &container.container,
        };
        format!("pierhead_{part}_{name}_{namespace}_{uid}_{}", container.attempt)
    }

    /// Name of the engine's volume for an `emptyDir` of this pod.
    pub(crate) fn volume_name(&self, volume: &str) -> String {
        format!("pierhead_{}_{volume}", self.uid)
    }
}

impl ContainerIdentity {
    /// Labels of a container of this pod.
    pub(crate) fn labels(&self, pod: &PodIdentity) -> HashMap<String, String> {
        let mut labels = pod.labels();
        labels.extend([
            (ROLE.to_owned(), self.role.name().to_owned()),
            (CONTAINER.to_owned(), self.container.clone()),
            (ATTEMPT.to_owned(), self.attempt.to_string()),
            (SANDBOX.to_owned(), self.sandbox.clone()),
            (IMAGE.to_owned(), self.image.clone()),
        ]);
        labels
    }

    /// Reads [`ContainerIdentity::labels`].
    pub(crate) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let own = |key: &str| labels.get(key).cloned();
        Some(Self {
            role: Role::named(labels.get(ROLE)?)?,
            container: own(CONTAINER)?,
            attempt: labels.get(ATTEMPT)?.parse().ok()?,
            sandbox: own(SANDBOX)?,
            image: own(IMAGE)?,
        })
    }
}

/// Selects what belongs to a cluster.
pub(crate) fn of_cluster(cluster: &str) -> String {
    format!("{CLUSTER}={cluster}")
}

/// Selects what belongs to a pod.
pub(crate) fn of_pod(uid: &str) -> String {
    format!("{POD_UID}={uid}")
}

#[cfg(test)]
mod tests {
    use super::{ContainerIdentity, PodIdentity, Role};

    #[test]
    fn labels_say_all_that_was_written() {
        let pod = PodIdentity {
            cluster: "c1".into(),
            uid: "u1".into(),
            namespace: "shop".into(),
            name: "web-1-abcde".into(),
        };
        let container = ContainerIdentity {
            role: Role::Main,
            container: "web".into(),
            attempt: 3,
            sandbox: "f00".into(),
            image: "registry:5000/shop/web:1".into(),
        };
        let labels = container.labels(&pod);
        assert_eq!(PodIdentity::read(&labels), Some(pod.clone()));
        assert_eq!(ContainerIdentity::read(&labels), Some(container.clone()));
        assert_eq!(pod.container_name(&container), "pierhead_web_web-1-abcde_shop_u1_3");
        assert_eq!(PodIdentity::read(&[("io.pierhead.cluster".into(), "c1".into())].into()), None);
    }
}
