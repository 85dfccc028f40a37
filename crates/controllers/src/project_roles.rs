//! Every active namespace lets its own service accounts pull, build and deploy (platform 3.1, images 6.3).
//!
//! Owns the three role bindings with reserved names. One that is deleted is made again; one that exists is left
//! alone whatever it says, so whoever wants to take a right away empties its subjects.

use pierhead_api::core::Namespace;
use pierhead_api::meta::ObjectMeta;
use pierhead_api::rbac::{RoleBinding, RoleRef, Subject};
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;

use crate::namespaces;
use crate::runner::{Outcome, Reconciler};

const DESCRIPTION: &str = "openshift.io/description";

struct DefaultBinding {
    name: &'static str,
    role: &'static str,
    subject: fn(&str) -> Subject,
    description: &'static str,
}

const DEFAULT_BINDINGS: [DefaultBinding; 3] = [
    DefaultBinding {
        name: "system:image-pullers",
        role: "system:image-puller",
        subject: |namespace| Subject::group(format!("system:serviceaccounts:{namespace}")),
        description: "Lets every pod of this namespace pull the namespace's images. Managed automatically: \
                      made again when deleted, left alone when changed; remove the subjects to disable it.",
    },
    DefaultBinding {
        name: "system:image-builders",
        role: "system:image-builder",
        subject: |namespace| Subject::service_account(namespace, "builder"),
        description: "Lets the service account `builder` of this namespace push images to it. Managed \
                      automatically: made again when deleted, left alone when changed; remove the subjects to \
                      disable it.",
    },
    DefaultBinding {
        name: "system:deployers",
        role: "system:deployer",
        subject: |namespace| Subject::service_account(namespace, "deployer"),
        description: "Lets the service account `deployer` of this namespace roll out deployments in it. Managed \
                      automatically: made again when deleted, left alone when changed; remove the subjects to \
                      disable it.",
    },
];

impl DefaultBinding {
    fn object(&self, namespace: &str) -> RoleBinding {
        let mut metadata = ObjectMeta::in_namespace(namespace, self.name);
        metadata.annotations.insert(DESCRIPTION.into(), self.description.into());
        RoleBinding {
            metadata,
            subjects: vec![(self.subject)(namespace)],
            role_ref: RoleRef::cluster_role(self.role),
        }
    }
}

pub(crate) struct ProjectRoles {
    pub(crate) client: Client,
    pub(crate) namespaces: Reflected<Namespace>,
    pub(crate) bindings: Reflected<RoleBinding>,
}

impl Reconciler for ProjectRoles {
    type Key = String;
    type Error = ClientError;

    const NAME: &'static str = "project-roles";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.namespaces.changed(), self.bindings.changed()]
    }

    async fn synced(&self) {
        self.namespaces.synced().await;
        self.bindings.synced().await;
    }

    fn due(&self) -> Vec<String> {
        let exists = |namespace: &str, name: &str| self.bindings.get(Some(namespace), name).is_some();
        namespaces::active(&self.namespaces)
            .filter(|namespace| DEFAULT_BINDINGS.iter().any(|binding| !exists(namespace, binding.name)))
            .collect()
    }

    async fn reconcile(&self, namespace: &String) -> Result<Outcome, ClientError> {
        if !namespaces::is_active(&self.client, namespace).await? {
            return Ok(Outcome::Nothing);
        }
        let mut outcome = Outcome::Nothing;
        for binding in &DEFAULT_BINDINGS {
            if self.client.find::<RoleBinding>(Some(namespace), binding.name).await?.is_some() {
                continue;
            }
            match self.client.create(Some(namespace), &binding.object(namespace)).await {
                Ok(_) => outcome = Outcome::Changed,
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::DEFAULT_BINDINGS;

    #[test]
    fn bindings_name_the_accounts_of_their_own_namespace() {
        let described = DEFAULT_BINDINGS.each_ref().map(|binding| {
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
