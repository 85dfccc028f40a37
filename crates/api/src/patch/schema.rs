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
}

use ListMerge::{ByKey, Set};

/// Lists in the metadata of every kind.
const METADATA: &[(&str, ListMerge)] =
    &[("metadata.ownerReferences", ByKey("uid")), ("metadata.finalizers", Set)];

const SERVICE: &[(&str, ListMerge)] = &[("spec.ports", ByKey("port")), ("status.conditions", ByKey("type"))];
const SERVICE_ACCOUNT: &[(&str, ListMerge)] =
    &[("secrets", ByKey("name")), ("imagePullSecrets", ByKey("name"))];
const NAMESPACE: &[(&str, ListMerge)] = &[("status.conditions", ByKey("type"))];
const IMAGE_STREAM: &[(&str, ListMerge)] = &[("spec.tags", ByKey("name")), ("status.tags", ByKey("tag"))];
const IMAGE: &[(&str, ListMerge)] = &[("signatures", ByKey("name"))];

impl PatchSchema {
    /// The schema of a kind; kinds without lists of their own merge only those of the metadata.
    pub fn of(group: &str, kind: &str) -> Self {
        let lists = match (group, kind) {
            ("", "Service") => SERVICE,
            ("", "ServiceAccount") => SERVICE_ACCOUNT,
            ("", "Namespace") | ("project.openshift.io", "Project") => NAMESPACE,
            ("image.openshift.io", "ImageStream") => IMAGE_STREAM,
            ("image.openshift.io", "Image") => IMAGE,
            _ => &[],
        };
        Self { lists }
    }

    /// How the list at a path is merged; `None` when it is replaced.
    pub fn list(&self, path: &str) -> Option<ListMerge> {
        let mut all = METADATA.iter().chain(self.lists);
        all.find(|(known, _)| *known == path).map(|(_, merge)| *merge)
    }
}
