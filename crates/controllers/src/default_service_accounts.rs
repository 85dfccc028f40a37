//! Every active namespace has the service accounts `default`, `builder` and `deployer` (platform 4.2).
//!
//! One that is deleted is made again. Their secrets are the business of `service_account_tokens`.

use pierhead_api::core::{Namespace, ServiceAccount};
use pierhead_api::meta::ObjectMeta;
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;

use crate::namespaces;
use crate::runner::{Outcome, Reconciler};

const DEFAULT_ACCOUNTS: [&str; 3] = ["default", "builder", "deployer"];

pub(crate) struct DefaultServiceAccounts {
    pub(crate) client: Client,
    pub(crate) namespaces: Reflected<Namespace>,
    pub(crate) accounts: Reflected<ServiceAccount>,
}

impl Reconciler for DefaultServiceAccounts {
    type Key = String;
    type Error = ClientError;

    const NAME: &'static str = "default-service-accounts";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.namespaces.changed(), self.accounts.changed()]
    }

    async fn synced(&self) {
        self.namespaces.synced().await;
        self.accounts.synced().await;
    }

    fn due(&self) -> Vec<String> {
        let exists = |namespace: &str, name: &str| self.accounts.get(Some(namespace), name).is_some();
        namespaces::active(&self.namespaces)
            .filter(|namespace| DEFAULT_ACCOUNTS.iter().any(|name| !exists(namespace, name)))
            .collect()
    }

    async fn reconcile(&self, namespace: &String) -> Result<Outcome, ClientError> {
        if !namespaces::is_active(&self.client, namespace).await? {
            return Ok(Outcome::Nothing);
        }
        let mut outcome = Outcome::Nothing;
        for name in DEFAULT_ACCOUNTS {
            if self.client.find::<ServiceAccount>(Some(namespace), name).await?.is_some() {
                continue;
            }
            let account = ServiceAccount {
                metadata: ObjectMeta::in_namespace(namespace.as_str(), name),
                ..ServiceAccount::default()
            };
            match self.client.create(Some(namespace), &account).await {
                Ok(_) => outcome = Outcome::Changed,
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }
}
