//! Reconcilers: what keeps namespaces, service accounts, pods and deployments as a cluster's users expect them.
//!
//! Each is a pure plan and an idempotent doing over `client`, in a file of its own; `runner` decides when. They
//! may be stopped and killed at any point. Nothing here sees the store, and nothing is authorized here: the
//! client's identity is the server's choice.

mod access;
mod cluster_role_aggregation;
mod default_service_accounts;
mod deployer;
mod deployer_logs;
mod deployment_config;
mod endpoints;
mod event_expiry;
mod events;
mod image_import;
mod image_schedule;
mod image_triggers;
mod import_queue;
mod names;
mod namespace_termination;
mod namespaces;
mod pod_end;
mod pods;
mod project_roles;
mod registry_hosts;
mod replication_controller;
mod rollout_limits;
mod runner;
mod scheduler;
mod service_account_tokens;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pierhead_api::apps::DeploymentConfig;
use pierhead_api::core::{
    Endpoints, Namespace, Node, Pod, ReplicationController, Secret as ApiSecret, Service, ServiceAccount,
};
use pierhead_api::image::ImageStream;
use pierhead_api::rbac::{ClusterRole, RoleBinding};
use pierhead_api::route::Route;
use pierhead_client::{Client, Reflected};
use pierhead_runtime::{Secret, SharedClock, Tasks};
use tokio::sync::watch;

use crate::cluster_role_aggregation::ClusterRoleAggregation;
use crate::default_service_accounts::DefaultServiceAccounts;
use crate::deployer::Deployer;
use crate::deployment_config::Deployments;
use crate::endpoints::ServiceEndpoints;
use crate::image_import::ImageImport;
use crate::image_schedule::{ImageSchedule, Schedule};
use crate::image_triggers::ImageTriggers;
use crate::import_queue::ImportQueue;
use crate::namespace_termination::NamespaceTermination;
use crate::pod_end::PodEnd;
use crate::project_roles::ProjectRoles;
use crate::registry_hosts::RegistryHosts;
use crate::replication_controller::Replication;
use crate::scheduler::Scheduler;
use crate::service_account_tokens::{ServiceAccountTokens, TokenData};

pub use crate::deployer_logs::{DeployerLogs, LogQuery};

/// What a token that is bound to a secret says about its bearer (platform 4.4, legacy form).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyTokenRequest {
    /// The account's namespace.
    pub namespace: String,
    /// The account's name.
    pub service_account_name: String,
    /// The account's uid; the token ends with it.
    pub service_account_uid: String,
    /// The secret the token is kept in; the token ends with it.
    pub secret_name: String,
}

/// Why a token was not signed; the cause is the signer's.
pub type SignError = Box<dyn std::error::Error + Send + Sync>;

/// Signs tokens of service accounts. Called on a thread that may block.
pub type SignToken = Arc<dyn Fn(&LegacyTokenRequest) -> Result<Secret<String>, SignError> + Send + Sync>;

/// Which of the tokens that were signed still count, as far as keys go.
#[derive(Clone)]
pub struct SigningKeys {
    /// Whether a token was signed with a key that counts no more.
    pub is_lost: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Told when keys came or went.
    pub changed: watch::Receiver<u64>,
}

impl SigningKeys {
    /// Keys that never change.
    pub fn steady() -> Self {
        let (changes, changed) = watch::channel(0);
        let is_lost = move |_: &str| {
            // The channel lives as long as the keys do, and nobody writes to it.
            *changes.borrow() != 0
        };
        Self { is_lost: Arc::new(is_lost), changed }
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").finish_non_exhaustive()
    }
}

/// What the reconcilers need besides a client.
#[derive(Clone)]
pub struct Config {
    /// Signs tokens of service accounts.
    pub sign: SignToken,
    /// What became of the keys that signed them.
    pub signing_keys: SigningKeys,
    /// The authority of the API server's certificate, PEM; `ca.crt` of token secrets.
    pub cluster_ca: String,
    /// The authority of the services' certificates, PEM; `service-ca.crt` of token secrets.
    pub service_ca: Option<String>,
    /// Names of the registry, with ports, that are not those of the service `default/docker-registry` or of its
    /// routes: these are found.
    pub registry_hosts: Vec<String>,
    /// Ports other than 80 and 443 under which clients reach routes.
    pub route_ports: Vec<u16>,
    /// Tells what time it is, for statuses and events.
    pub clock: SharedClock,
    /// Where deployers write what they do.
    pub deployer_logs: DeployerLogs,
    /// What is imported without being asked for; `None`: nothing.
    pub imports: Option<ImportConfig>,
}

/// How image streams follow other registries.
#[derive(Clone, Copy, Debug)]
pub struct ImportConfig {
    /// How often scheduled tags are looked at; `None`: neither they nor failed ones are.
    pub interval: Option<Duration>,
    /// Whether streams that import nothing are marked as looked at, as in 2016.
    pub marks_checked_streams: bool,
}

/// Starts all reconcilers in the background, until the tasks are shut down. Call it within a tokio runtime.
///
/// `client` must act as somebody who may do everything.
pub fn start(client: Client, config: Config, tasks: &Tasks) {
    let streams = client.reflect_sparingly::<ImageStream>(None, tasks);
    start_workloads(&client, &config, &streams, tasks);
    if let Some(imports) = config.imports {
        start_imports(&client, imports, streams, &config.clock, tasks);
    }
    let namespaces = client.reflect::<Namespace>(None, tasks);
    let accounts = client.reflect::<ServiceAccount>(None, tasks);
    let secrets = client.reflect::<ApiSecret>(None, tasks);
    let bindings = client.reflect::<RoleBinding>(None, tasks);
    let hosts = RegistryHosts {
        configured: config.registry_hosts,
        route_ports: config.route_ports,
        services: client.reflect::<Service>(Some(registry_hosts::NAMESPACE), tasks),
        routes: client.reflect::<Route>(Some(registry_hosts::NAMESPACE), tasks),
    };
    event_expiry::start(client.clone(), config.clock.clone(), tasks);
    runner::start(
        DefaultServiceAccounts {
            client: client.clone(),
            namespaces: namespaces.clone(),
            accounts: accounts.clone(),
        },
        tasks,
    );
    runner::start(
        ServiceAccountTokens {
            client: client.clone(),
            namespaces: namespaces.clone(),
            accounts,
            secrets,
            hosts,
            sign: config.sign,
            token_data: TokenData {
                cluster_ca: config.cluster_ca,
                service_ca: config.service_ca,
                keys: config.signing_keys,
            },
        },
        tasks,
    );
    runner::start(ProjectRoles { client: client.clone(), namespaces: namespaces.clone(), bindings }, tasks);
    let roles = client.reflect::<ClusterRole>(None, tasks);
    runner::start(ClusterRoleAggregation { client: client.clone(), roles }, tasks);
    runner::start(NamespaceTermination { client, namespaces, clock: config.clock }, tasks);
}

/// Starts what brings image streams up to date.
fn start_imports(
    client: &Client,
    imports: ImportConfig,
    streams: Reflected<ImageStream>,
    clock: &SharedClock,
    tasks: &Tasks,
) {
    let queue = ImportQueue::default();
    if let Some(interval) = imports.interval {
        let schedule = Mutex::new(Schedule::new(interval));
        let (client, streams, queue) = (client.clone(), streams.clone(), queue.clone());
        runner::start(ImageSchedule { client, streams, queue, schedule }, tasks);
    }
    let marks_checked_streams = imports.marks_checked_streams;
    let (client, clock) = (client.clone(), clock.clone());
    runner::start(ImageImport { client, clock, streams, queue, marks_checked_streams }, tasks);
}

/// Starts what keeps pods, and what is made of them, as they should be.
fn start_workloads(client: &Client, config: &Config, streams: &Reflected<ImageStream>, tasks: &Tasks) {
    let clock = &config.clock;
    let pods = client.reflect::<Pod>(None, tasks);
    let nodes = client.reflect::<Node>(None, tasks);
    let controllers = client.reflect::<ReplicationController>(None, tasks);
    let configs = client.reflect::<DeploymentConfig>(None, tasks);
    runner::start(
        Scheduler { client: client.clone(), clock: clock.clone(), pods: pods.clone(), nodes: nodes.clone() },
        tasks,
    );
    runner::start(
        ServiceEndpoints {
            client: client.clone(),
            services: client.reflect::<Service>(None, tasks),
            endpoints: client.reflect::<Endpoints>(None, tasks),
            pods: pods.clone(),
        },
        tasks,
    );
    runner::start(
        Replication {
            client: client.clone(),
            clock: clock.clone(),
            controllers: controllers.clone(),
            pods: pods.clone(),
        },
        tasks,
    );
    runner::start(
        Deployments {
            client: client.clone(),
            clock: clock.clone(),
            configs: configs.clone(),
            controllers: controllers.clone(),
            pods: pods.clone(),
        },
        tasks,
    );
    deployer::start(
        Deployer {
            client: client.clone(),
            clock: clock.clone(),
            logs: config.deployer_logs.clone(),
            pods: pods.clone(),
            controllers: controllers.clone(),
        },
        tasks,
    );
    runner::start(
        ImageTriggers {
            client: client.clone(),
            configs: configs.clone(),
            controllers: controllers.clone(),
            streams: streams.clone(),
        },
        tasks,
    );
    runner::start(PodEnd::new(client.clone(), pods, controllers, configs, nodes), tasks);
}
