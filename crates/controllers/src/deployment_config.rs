//! Rolls out the versions of deployment configurations (platform 8.2): decides when the next one begins, makes its
//! replication controller and deployer pod, follows the deployer, and keeps scale, history and status.
//!
//! Does not roll out: that is the deployer's. Does not follow image tags: that is done elsewhere, by changing the
//! configuration. `plan` says what to do from what there is; this file looks, and does it.

mod deployment;
mod phases;
mod plan;
mod status;

use std::collections::BTreeSet;

use pierhead_api::apps::{DeploymentConfig, annotations, condition};
use pierhead_api::core::{Pod, ReplicationController};
use pierhead_api::meta::{DeleteOptions, ObjectMeta, Preconditions};
use pierhead_client::{Client, ClientError, Reflected};
use pierhead_runtime::SharedClock;
use tokio::sync::watch;

use crate::deployment_config::plan::{Step, View, plan};
use crate::deployment_config::status::Said;
use crate::events::{Events, Happening, reference};
use crate::names::NamespacedName;
use crate::runner::{Outcome, Reconciler};

pub(crate) use phases::is_cancelled;

pub(crate) struct Deployments {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) configs: Reflected<DeploymentConfig>,
    pub(crate) controllers: Reflected<ReplicationController>,
    pub(crate) pods: Reflected<Pod>,
}

impl Reconciler for Deployments {
    type Key = NamespacedName;
    type Error = ClientError;

    const NAME: &'static str = "deployment-config";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.configs.changed(), self.controllers.changed(), self.pods.changed()]
    }

    async fn synced(&self) {
        self.configs.synced().await;
        self.controllers.synced().await;
        self.pods.synced().await;
    }

    fn due(&self) -> Vec<NamespacedName> {
        let now = self.clock.now();
        let configs = self.configs.list();
        let mut keys: BTreeSet<NamespacedName> =
            configs.iter().map(|config| NamespacedName::of(&config.metadata)).collect();
        for deployment in self.controllers.list() {
            if let Some(config) = deployment.metadata.annotation(annotations::CONFIG) {
                keys.insert(NamespacedName::new(&deployment.metadata.namespace, config));
            }
        }
        let is_due = |key: &NamespacedName| {
            let config = self.configs.get(Some(&key.namespace), &key.name);
            let deployments = self.controllers.list_in(&key.namespace);
            let pods = self.pods.list_in(&key.namespace);
            let view = View {
                config: config.as_deref(),
                deployments: of_config(deployments.iter().map(AsRef::as_ref), &key.name),
                pods: deployer_pods(pods.iter().map(AsRef::as_ref)),
                now,
            };
            !plan(&view).is_empty()
        };
        keys.into_iter().filter(is_due).collect()
    }

    async fn reconcile(&self, key: &NamespacedName) -> Result<Outcome, ClientError> {
        let namespace = Some(key.namespace.as_str());
        let config = self.client.find::<DeploymentConfig>(namespace, &key.name).await?;
        let deployments = self.client.list::<ReplicationController>(namespace).await?;
        let pods = self.client.list::<Pod>(namespace).await?;
        let view = View {
            config: config.as_ref(),
            deployments: of_config(deployments.iter(), &key.name),
            pods: deployer_pods(pods.iter()),
            now: self.clock.now(),
        };
        let steps = plan(&view);
        if steps.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let about = match (&config, view.deployments.last()) {
            (Some(config), _) => reference(config),
            (None, Some(deployment)) => reference(*deployment),
            (None, None) => return Ok(Outcome::Nothing),
        };
        let doing = Doing { client: &self.client, events: self.events(), about, config: config.as_ref() };
        for step in steps {
            doing.step(key, step).await?;
        }
        Ok(Outcome::Changed)
    }
}

impl Deployments {
    fn events(&self) -> Events {
        let (client, clock) = (self.client.clone(), self.clock.clone());
        Events { client, clock, component: "deploymentconfig-controller" }
    }
}

fn of_config<'a>(
    deployments: impl Iterator<Item = &'a ReplicationController>,
    config: &str,
) -> Vec<&'a ReplicationController> {
    deployments.filter(|it| it.metadata.annotation(annotations::CONFIG) == Some(config)).collect()
}

/// Deployer and hook pods, and pods that have the name of one.
fn deployer_pods<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<&'a Pod> {
    let is_one = |metadata: &ObjectMeta| {
        metadata.labels.contains_key(annotations::DEPLOYER_POD_FOR) || metadata.name.ends_with("-deploy")
    };
    pods.filter(|pod| is_one(&pod.metadata)).collect()
}

/// One run, after everything was read.
struct Doing<'a> {
    client: &'a Client,
    events: Events,
    about: pierhead_api::core::ObjectReference,
    config: Option<&'a DeploymentConfig>,
}

impl Doing<'_> {
    async fn step(&self, key: &NamespacedName, step: Step) -> Result<(), ClientError> {
        let namespace = Some(key.namespace.as_str());
        match step {
            Step::CreateDeployment(deployment) => self.create_deployment(&deployment).await,
            Step::Change(deployment) => self.client.replace(namespace, &*deployment).await.map(drop),
            Step::Scale { mut deployment, to } => {
                deployment.spec.replicas = Some(to);
                self.client.replace(namespace, &*deployment).await.map(drop)
            }
            Step::CreatePod(pod) => self.create_pod(&pod).await,
            Step::DeletePod { name, uid } => self.delete_pod(namespace, &name, uid).await,
            Step::DeleteDeployment { name, uid } => {
                let options = DeleteOptions {
                    preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
                    propagation_policy: Some("Background".into()),
                    ..DeleteOptions::default()
                };
                match self.client.delete::<ReplicationController>(namespace, &name, &options).await {
                    Err(error) if !error.is_not_found() => Err(error),
                    _ => Ok(()),
                }
            }
            Step::Status(config) => self.client.replace_status(namespace, &*config).await.map(drop),
            Step::Once(happening) => self.events.once(&self.about, &happening).await,
            Step::Tell(happening) => {
                self.events.tell(&self.about, &happening).await;
                Ok(())
            }
        }
    }

    /// Deployers have nothing to clean up, and a cancelled one must not go on.
    async fn delete_pod(&self, namespace: Option<&str>, name: &str, uid: String) -> Result<(), ClientError> {
        let options = DeleteOptions {
            preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
            ..DeleteOptions::default()
        };
        match self.client.delete::<Pod>(namespace, name, &options).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn create_pod(&self, pod: &Pod) -> Result<(), ClientError> {
        match self.client.create(Some(&pod.metadata.namespace), pod).await {
            Ok(_) => Ok(()),
            // Ours of an earlier try, or somebody else's: the next look tells.
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => {
                let message = format!("Error creating deployer pod: {error}");
                self.events.tell(&self.about, &Happening::warning("FailedCreate", message)).await;
                Err(error)
            }
        }
    }

    async fn create_deployment(&self, deployment: &ReplicationController) -> Result<(), ClientError> {
        let ObjectMeta { namespace, name, .. } = &deployment.metadata;
        let Err(error) = self.client.create(Some(namespace), deployment).await else { return Ok(()) };
        let Some(config) = self.config else { return Err(error) };
        let version = config.status.latest_version;
        let mut why = error.to_string();
        if error.is_already_exists() {
            let there = self.client.find::<ReplicationController>(Some(namespace), name).await?;
            let owner = there.as_ref().and_then(|there| there.metadata.controller());
            if owner.is_some_and(|owner| owner.uid == config.metadata.uid) {
                return Ok(());
            }
            why = format!(
                "replication controller {name} already exists and deployment config is not allowed to claim it"
            );
        }
        let message = format!("Couldn't deploy version {version}: {why}");
        self.events.tell(&self.about, &Happening::warning("DeploymentCreationFailed", message)).await;
        let mut failed = config.clone();
        let said = Said::new(condition::PROGRESSING, "False", condition::CREATE_ERROR, why);
        status::set(&mut failed.status, &said, self.events.clock.now());
        if failed.status != config.status {
            self.client.replace_status(Some(namespace), &failed).await?;
        }
        Err(error)
    }
}
