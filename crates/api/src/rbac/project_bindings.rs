//! The role bindings that every project has besides its administrator's (platform 3.1).
//!
//! Owns the one table of them: requests for projects make them, a controller makes those again that are missing.

use super::{RoleBinding, RoleRef, Subject};
use crate::meta::ObjectMeta;

const DESCRIPTION: &str = "openshift.io/description";

/// A role binding with a reserved name that every project has.
#[derive(Debug)]
pub struct ProjectBinding {
    /// Its name.
    pub name: &'static str,
    role: &'static str,
    subject: fn(&str) -> Subject,
    description: &'static str,
}

/// Its service accounts pull, `builder` pushes, `deployer` deploys (images 6.3).
pub const PROJECT_BINDINGS: [ProjectBinding; 3] = [
    ProjectBinding {
        name: "system:image-pullers",
        role: "system:image-puller",
        subject: |namespace| Subject::group(format!("system:serviceaccounts:{namespace}")),
        description: "Lets every pod of this namespace pull the namespace's images. Managed automatically: \
                      made again when deleted, left alone when changed; remove the subjects to disable it.",
    },
    ProjectBinding {
        name: "system:image-builders",
        role: "system:image-builder",
        subject: |namespace| Subject::service_account(namespace, "builder"),
        description: "Lets the service account `builder` of this namespace push images to it. Managed \
                      automatically: made again when deleted, left alone when changed; remove the subjects to \
                      disable it.",
    },
    ProjectBinding {
        name: "system:deployers",
        role: "system:deployer",
        subject: |namespace| Subject::service_account(namespace, "deployer"),
        description: "Lets the service account `deployer` of this namespace roll out deployments in it. Managed \
                      automatically: made again when deleted, left alone when changed; remove the subjects to \
                      disable it.",
    },
];

impl ProjectBinding {
    /// The binding in a namespace.
    #[must_use]
    pub fn object(&self, namespace: &str) -> RoleBinding {
        let mut metadata = ObjectMeta::in_namespace(namespace, self.name);
        metadata.annotations.insert(DESCRIPTION.into(), self.description.into());
        RoleBinding {
            metadata,
            subjects: vec![(self.subject)(namespace)],
            role_ref: RoleRef::cluster_role(self.role),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PROJECT_BINDINGS;

    #[test]
    fn bindings_name_the_accounts_of_their_own_namespace() {
        let described = PROJECT_BINDINGS.each_ref().map(|binding| {
            let object = binding.object("shop");
            assert!(object.metadata.annotation("openshift.io/description").is_some());
            let subject = &object.subjects[0];
            format!(
                "{}/{}: {} {} {:?} -> {} {}",
                object.metadata.namespace,
                object.metadata.name,
                subject.kind,
                subject.name,
                subject.namespace,
                object.role_ref.kind,
                object.role_ref.name
            )
        });
        assert_eq!(
            described,
            [
                "shop/system:image-pullers: Group system:serviceaccounts:shop \"\" -> ClusterRole system:image-puller",
                "shop/system:image-builders: ServiceAccount builder \"shop\" -> ClusterRole system:image-builder",
                "shop/system:deployers: ServiceAccount deployer \"shop\" -> ClusterRole system:deployer",
            ]
        );
    }
}
