//! Every active namespace lets its own service accounts pull, build and deploy (platform 3.1, images 6.3).
//!
//! Owns that the bindings of the table are there. One that is deleted is made again; one that exists is left
//! alone whatever it says, so whoever wants to take a right away empties its subjects.

use pierhead_api::core::Namespace;
use pierhead_api::rbac::{PROJECT_BINDINGS, RoleBinding};
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;

use crate::namespaces;
use crate::runner::{Outcome, Reconciler};

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
            .filter(|namespace| PROJECT_BINDINGS.iter().any(|binding| !exists(namespace, binding.name)))
            .collect()
    }

    async fn reconcile(&self, namespace: &String) -> Result<Outcome, ClientError> {
        if !namespaces::is_active(&self.client, namespace).await? {
            return Ok(Outcome::Nothing);
        }
        let mut outcome = Outcome::Nothing;
        for binding in &PROJECT_BINDINGS {
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
