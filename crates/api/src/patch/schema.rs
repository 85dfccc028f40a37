//! Which lists of which kinds a strategic merge patch merges (platform 1.7). Lists not named here are replaced.

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListMerge {
    /// Items are objects; those with the same value of this member are the same item.
    ByKey(&'static str),
    /// Items are plain values; the list is a set.
    Set,
}

/// The lists of a kind that are merged, by path. Items of lists on the way are not numbered: a member `c` of the
/// items of a list `a.b` has the path `a.b.c`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PatchSchema {
    lists: &'static [(&'static str, ListMerge)],
    /// Where the kind has the spec of a pod, as a path.
    pod: Option<&'static str>,
    /// An object that is one value.
    atomic: Option<&'static str>,
}

use ListMerge::{ByKey, Set};

/// More bytes than the path of any list that is merged has.
const MAX_PATH: usize = 96;
/// A path no list has, nor anything below it.
const NOWHERE: &str = "\0";

/// The path of a member, for [`PatchSchema::list`]. A path too long for any list ends here, so that what lies below a
/// long key is not paid for with that key's length each time.
pub fn member_path(path: &str, member: &str) -> String {
    if path.len() + member.len() > MAX_PATH {
        NOWHERE.to_owned()
    } else if path.is_empty() {
        member.to_owned()
    } else {
        format!("{path}.{member}")
    }
}

/// Lists in the metadata of every kind.
const METADATA: &[(&str, ListMerge)] =
    &[("metadata.ownerReferences", ByKey("uid")), ("metadata.finalizers", Set)];

const SERVICE: &[(&str, ListMerge)] = &[("spec.ports", ByKey("port")), ("status.conditions", ByKey("type"))];
const SERVICE_ACCOUNT: &[(&str, ListMerge)] = &[("secrets", ByKey("name"))];
const NAMESPACE: &[(&str, ListMerge)] = &[("status.conditions", ByKey("type"))];
const IMAGE_STREAM: &[(&str, ListMerge)] = &[("spec.tags", ByKey("name")), ("status.tags", ByKey("tag"))];
const IMAGE: &[(&str, ListMerge)] =
    &[("signatures", ByKey("name")), ("signatures.conditions", ByKey("type"))];
const IMAGE_SIGNATURE: &[(&str, ListMerge)] = &[("conditions", ByKey("type"))];
const OAUTH_CLIENT: &[(&str, ListMerge)] = &[("redirectURIs", Set)];
const CONDITIONS: &[(&str, ListMerge)] = &[("status.conditions", ByKey("type"))];
const NODE: &[(&str, ListMerge)] =
    &[("spec.podCIDRs", Set), ("status.conditions", ByKey("type")), ("status.addresses", ByKey("type"))];
const POD: &[(&str, ListMerge)] = &[
    ("status.conditions", ByKey("type")),
    ("status.podIPs", ByKey("ip")),
    ("status.hostIPs", ByKey("ip")),
    ("status.resourceClaimStatuses", ByKey("name")),
];

/// Lists in the spec of a pod, and in those of its containers.
const POD_SPEC: &[(&str, ListMerge)] = &[
    ("volumes", ByKey("name")),
    ("initContainers", ByKey("name")),
    ("containers", ByKey("name")),
    ("ephemeralContainers", ByKey("name")),
    ("imagePullSecrets", ByKey("name")),
    ("hostAliases", ByKey("ip")),
    ("topologySpreadConstraints", ByKey("topologyKey")),
    ("schedulingGates", ByKey("name")),
    ("resourceClaims", ByKey("name")),
];
const CONTAINER: &[(&str, ListMerge)] = &[
    ("ports", ByKey("containerPort")),
    ("env", ByKey("name")),
    ("volumeMounts", ByKey("mountPath")),
    ("volumeDevices", ByKey("devicePath")),
];

impl PatchSchema {
    /// The schema of a kind; kinds without lists of their own merge only those of the metadata.
    pub fn of(group: &str, kind: &str) -> Self {
        let lists = match (group, kind) {
            ("", "Pod") => POD,
            ("", "Node") => NODE,
            ("", "ReplicationController") | ("apps.openshift.io", "DeploymentConfig") => CONDITIONS,
            ("", "Service") => SERVICE,
            ("", "ServiceAccount") => SERVICE_ACCOUNT,
            ("", "Namespace") | ("project.openshift.io", "Project") => NAMESPACE,
            ("image.openshift.io", "ImageStream") => IMAGE_STREAM,
            ("image.openshift.io", "Image") => IMAGE,
            ("image.openshift.io", "ImageSignature") => IMAGE_SIGNATURE,
            ("oauth.openshift.io", "OAuthClient") => OAUTH_CLIENT,
            _ => &[],
        };
        let pod = match (group, kind) {
            ("", "Pod") => Some("spec"),
            ("", "ReplicationController") | ("apps.openshift.io", "DeploymentConfig") => {
                Some("spec.template.spec")
            }
            _ => None,
        };
        let is_kind = |entry: &&(&str, &str, &str)| entry.0 == group && entry.1 == kind;
        let atomic = ATOMIC.iter().find(is_kind).map(|(_, _, path)| *path);
        Self { lists, pod, atomic }
    }

    /// Whether an apply takes the object at a path for one value.
    pub fn is_atomic(&self, path: &str) -> bool {
        self.atomic == Some(path)
    }

    /// How the list at a path is merged; `None` when it is replaced.
    pub fn list(&self, path: &str) -> Option<ListMerge> {
        let mut all = METADATA.iter().chain(self.lists);
        let of_kind = all.find(|(known, _)| *known == path).map(|(_, merge)| *merge);
        of_kind.or_else(|| in_pod(path.strip_prefix(self.pod?)?.strip_prefix('.')?))
    }
}

/// Objects that are one value for an apply: whoever sets one member owns all of them.
const ATOMIC: &[(&str, &str, &str)] = &[
    ("", "Service", "spec.selector"),
    ("", "ReplicationController", "spec.selector"),
    ("rbac.authorization.k8s.io", "RoleBinding", "roleRef"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "roleRef"),
];

/// How a list of a pod's spec is merged, by its path there.
fn in_pod(path: &str) -> Option<ListMerge> {
    let (lists, path) = match path.split_once('.') {
        Some(("initContainers" | "containers" | "ephemeralContainers", below)) => (CONTAINER, below),
        _ => (POD_SPEC, path),
    };
    lists.iter().find(|(known, _)| *known == path).map(|(_, merge)| *merge)
}

#[cfg(test)]
mod tests {
    use super::{CONTAINER, ListMerge, MAX_PATH, PatchSchema, member_path};

    #[track_caller]
    fn check(group: &str, kind: &str, path: &str, expected: Option<ListMerge>) {
        assert_eq!(PatchSchema::of(group, kind).list(path), expected, "{kind} {path}");
    }

    #[test]
    fn lists_of_pods_merge_wherever_the_pod_is() {
        let by = |key| Some(ListMerge::ByKey(key));
        check("", "Pod", "spec.containers", by("name"));
        check("", "Pod", "spec.containers.env", by("name"));
        check("", "Pod", "spec.containers.command", None);
        check("", "Pod", "spec.env", None);
        for (group, kind) in [("", "ReplicationController"), ("apps.openshift.io", "DeploymentConfig")] {
            check(group, kind, "spec.template.spec.volumes", by("name"));
            check(group, kind, "spec.template.spec.initContainers.ports", by("containerPort"));
            check(group, kind, "spec.template.spec.containers.volumeMounts", by("mountPath"));
            check(group, kind, "spec.containers", None);
            check(group, kind, "status.conditions", by("type"));
        }
        check("apps.openshift.io", "DeploymentConfig", "spec.triggers", None);
        check("", "Service", "spec.containers", None);
    }

    #[test]
    fn paths_stay_short_and_reach_every_list() {
        assert_eq!(member_path("", "metadata"), "metadata");
        assert_eq!(member_path("metadata", "finalizers"), "metadata.finalizers");
        let longest = CONTAINER.iter().map(|(list, _)| list.len()).max().unwrap();
        assert!("spec.template.spec.ephemeralContainers.".len() + longest <= MAX_PATH);
        let below =
            (0..1000).fold(member_path("spec", &"k".repeat(MAX_PATH)), |path, _| member_path(&path, "a"));
        assert!(below.len() <= MAX_PATH + 1, "{below:?}");
    }
}
