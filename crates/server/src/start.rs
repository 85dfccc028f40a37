//! Where the parts meet: build, bind, spawn; and stop, in the order that is written down here.

use crate::config::{Compat, Config, Listen};
use crate::data::{self, Addresses};
use crate::health::{self, Vital};
use crate::pki::{self, Pki};
use crate::pod_output::PodOutput;
use crate::public_registry::{PublicRegistry, RouterPorts};
use crate::pull_credentials::pull_credentials;
use crate::{front_proxies, issuers, maintenance, passwords, registry_audit, seal_keys, signing_keys, web};
use anyhow::{Context, Result};
use http::Request;
use pierhead_apiserver::ApiServer;
use pierhead_auth::service_account::LegacyClaims;
use pierhead_auth::{Auth, Era, Subject};
use pierhead_blobs::Blobs;
use pierhead_client::Client;
use pierhead_client::egress::{Egress, EgressConfig};
use pierhead_controllers::DeployerLogs;
use pierhead_images::Images;
use pierhead_registry::{Credentials, PullThrough, Registry};
use pierhead_router::{ProxyConfig, Router, RouterName};
use pierhead_runtime::audit::AuditLog;
use pierhead_runtime::listen::{self, Limits};
use pierhead_runtime::telemetry::Metrics;
use pierhead_runtime::tls::{self, Alpn, CertResolver};
use pierhead_runtime::{SharedClock, SystemClock, Tasks};
use pierhead_store::Store;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{error, warn};

/// How long both sides of a proxied exchange may be silent.
const PROXY_IDLE: Duration = Duration::from_secs(300);

/// What the agents get to stop when requests in flight took all the time there was.
const LEAST_GRACE: Duration = Duration::from_secs(5);

/// A server that runs.
pub(crate) struct Running {
    /// What was bound.
    pub(crate) addresses: Addresses,
    /// Where clients reach the API.
    pub(crate) public_url: String,
    /// Whether the folder was new.
    pub(crate) first_start: bool,
    listeners: Tasks,
    agents: Tasks,
    store: Store,
    failed: Arc<Notify>,
    /// The file that says where the listeners are.
    addresses_file: PathBuf,
}

impl Running {
    /// Ends listeners, then agents, then the store. What does not end in time is left behind: a crash is safe.
    pub(crate) async fn stop(&self, grace: Duration) {
        let limit = Instant::now() + grace;
        for (what, tasks) in [("listeners", &self.listeners), ("agents", &self.agents)] {
            let left = limit.saturating_duration_since(Instant::now()).max(LEAST_GRACE);
            if let Err(late) = tasks.shutdown(left).await {
                warn!("stopping the {what}: {late}");
            }
        }
        // As long as the store is ours: who opens it next writes addresses of its own.
        self.forget_addresses();
        self.store.close();
    }

    /// Takes away the file that says where the listeners are. Only for those who did not close the store.
    pub(crate) fn forget_addresses(&self) {
        data::forget_addresses(&self.addresses_file);
    }

    /// Waits until the store could not write and takes no more.
    pub(crate) async fn store_failed(&self) {
        self.failed.notified().await;
    }
}

/// The parts that requests are answered from.
struct Parts {
    store: Store,
    auth: Auth,
    images: Images,
    public_registry: PublicRegistry,
    egress: Egress,
    metrics: Metrics,
    deployer_logs: DeployerLogs,
    pod_output: PodOutput,
    audit: AuditLog,
    clock: SharedClock,
}

/// What the parts are told of the server they are in.
struct Inside<'a> {
    /// Where the registry listens.
    registry: SocketAddr,
    /// Where clients reach the API.
    public_url: &'a str,
    /// Told when the store can no longer be written.
    failed: &'a Arc<Notify>,
}

/// Starts everything. When it returns, requests are answered.
pub(crate) async fn start(config: &Config) -> Result<Running> {
    tls::install_provider();
    pki::private_folder(&config.data)?;
    let clock = SystemClock::shared();
    let first_start = !config.data.join("pki/ca.key").exists();
    let pki = Pki::open(&config.data.join("pki"), clock.as_ref())?;
    let (listeners, agents) = (Tasks::new(), Tasks::new());
    signing_keys::follow(config.data.join("pki"), pki.service_accounts.clone(), &agents);

    let api = listen::bind(config.api)?;
    let registry = listen::bind(config.registry)?;
    let metrics = listen::bind(config.metrics)?;
    let public_url = format!("https://{}", public_host(api.local_addr(), config));

    let failed = Arc::new(Notify::new());
    let inside = Inside { registry: registry.local_addr(), public_url: &public_url, failed: &failed };
    let parts = open(config, &pki, &inside, &agents, clock)?;
    // The store is ours now, so nobody else serves from this folder.
    let addresses_file = config.data.join("addresses.json");
    data::forget_addresses(&addresses_file);
    let server = api_server(&parts, config, &inside, listeners.child());

    let client = |part: &str| in_process(&server, part);
    let router = start_router(client("router"), config, &pki, &agents, &parts.clock)?;
    let addresses = Addresses {
        api: api.local_addr(),
        registry: registry.local_addr(),
        router_http: router.http_addr(),
        router_https: router.https_addr(),
        metrics: metrics.local_addr(),
    };
    server.bootstrap(built_in(&addresses)).await.context("writing the built-in objects")?;
    pierhead_controllers::start(
        client("controllers"),
        controllers(&pki, &addresses, &parts, config),
        &agents,
    );
    start_node(client("node"), config, &parts, &agents)?;
    let ports = RouterPorts { http: addresses.router_http.port(), https: addresses.router_https.port() };
    parts.public_registry.follow(&client("public-registry"), ports, &agents);
    maintenance::start(&parts.images, &parts.auth, &agents);

    let credentials = pull_credentials(client("registry"));
    serve_registry(registry, &parts, credentials, &listeners);
    serve_api(api, server, &pki, config, &parts.clock, &listeners)?;
    let vital = Vital { store: parts.store.clone(), listeners: listeners.clone(), agents: agents.clone() };
    health::serve(metrics, parts.metrics.clone(), vital);
    let admin = pki.administrator(parts.clock.as_ref())?;
    data::write_admin_kubeconfig(
        &config.data.join("admin.kubeconfig"),
        &public_url,
        pki.authority(),
        &admin,
    )?;
    addresses.write(&addresses_file)?;
    let store = parts.store;
    Ok(Running { addresses, public_url, first_start, listeners, agents, store, failed, addresses_file })
}

fn open(
    config: &Config,
    pki: &Pki,
    inside: &Inside<'_>,
    agents: &Tasks,
    clock: SharedClock,
) -> Result<Parts> {
    let metadata = config.data.join("metadata");
    let tables = [pierhead_auth::tables(), pierhead_images::tables(), pierhead_apiserver::tables()].concat();
    let sealing = pierhead_apiserver::sealed(seal_keys::open(config)?);
    let store = Store::open_sealed(&metadata, Arc::clone(&clock), &tables, sealing)
        .with_context(|| format!("opening {}", metadata.display()))?;
    let failed = Arc::clone(inside.failed);
    store.on_fatal(move |error| {
        error!(%error, "The metadata could not be written; ending, so that a restart recovers");
        failed.notify_one();
    });
    let mut auth = pierhead_auth::Config::new(pki.service_accounts.clone());
    (auth.rules, auth.texts) = (era(config.compat), Era::V4);
    auth.token_issuer = inside.public_url.to_owned();
    auth.token_audiences.insert(0, inside.public_url.to_owned());
    auth.identity_providers = passwords::providers(config, agents)?;
    let public_registry = PublicRegistry::new(inside.registry);
    let egress = egress(config, &public_registry)?;
    auth.fetch = Some(issuers::documents(&egress));
    auth.web = Some(web::web(&egress));
    (auth.access_token_life, auth.access_token_idle) = (config.token_lives.life, config.token_lives.idle);
    let auth = Auth::open(store.clone(), auth, Arc::clone(&clock))?;
    let blobs =
        Blobs::filesystem(&config.data.join("blobs"), Arc::clone(&clock)).context("opening the blobs")?;
    let mut images = pierhead_images::Config::new(inside.registry.to_string());
    images.public_registry = public_registry.reader();
    images.marks_checked_streams = config.compat == Compat::V3_2;
    images.allowed_registries.clone_from(&config.imports.allowed);
    let own = public_registry.own_hosts();
    images.is_own_registry = Arc::new(move |host| own(host).is_some());
    let images = Images::open(store.clone(), blobs, images, Arc::clone(&clock))?;
    let logs = config.data.join("deployer-logs");
    let deployer_logs = DeployerLogs::open(&logs, Arc::clone(&clock))
        .with_context(|| format!("opening {}", logs.display()))?;
    let pod_output = PodOutput::new(deployer_logs.clone(), Arc::clone(&clock));
    let metrics = Metrics::new();
    let audit = match &config.audit {
        Some(file) => AuditLog::open(file.clone())
            .with_context(|| format!("opening the audit log {}", file.path.display()))?,
        None => AuditLog::off(),
    };
    Ok(Parts {
        store,
        auth,
        images,
        public_registry,
        egress,
        metrics,
        deployer_logs,
        pod_output,
        audit,
        clock,
    })
}

/// The one way to other hosts.
fn egress(config: &Config, registry: &PublicRegistry) -> Result<Egress> {
    Ok(Egress::new(EgressConfig {
        addresses: config.outside.addresses.clone(),
        own: registry.own_hosts(),
        ..EgressConfig::new(config.outside.authorities()?)
    }))
}

fn api_server(parts: &Parts, config: &Config, inside: &Inside<'_>, tasks: Tasks) -> ApiServer {
    let mut settings = pierhead_apiserver::Config::new(inside.public_url, &config.router_domain);
    settings.era = era(config.compat);
    settings.egress = config.imports.enabled.then(|| parts.egress.clone());
    settings.project_requests = config.project_requests.clone();
    settings.longest_token = config.longest_token;
    settings.tags_per_repository = config.imports.tags_per_repository;
    settings.pod_logs = Some(Arc::new(parts.pod_output.clone()));
    settings.audit = parts.audit.clone();
    settings.tasks = tasks;
    let Parts { store, auth, images, clock, .. } = parts;
    ApiServer::new(store.clone(), auth.clone(), images.clone(), settings, Arc::clone(clock))
}

/// What the built-in services are told of our listeners.
fn built_in(addresses: &Addresses) -> pierhead_apiserver::Addresses {
    let Addresses { api, registry, router_http, router_https, metrics: _ } = *addresses;
    pierhead_apiserver::Addresses { registry, router_http, router_https, api }
}

fn controllers(
    pki: &Pki,
    addresses: &Addresses,
    parts: &Parts,
    config: &Config,
) -> pierhead_controllers::Config {
    let signer = pki.service_accounts.clone();
    let verifier = signer.clone();
    let well_known = [80, 443];
    let route_ports = [addresses.router_http.port(), addresses.router_https.port()];
    pierhead_controllers::Config {
        sign: Arc::new(move |request| {
            Ok(signer.sign_legacy(&LegacyClaims {
                namespace: request.namespace.clone(),
                secret_name: request.secret_name.clone(),
                service_account_name: request.service_account_name.clone(),
                service_account_uid: request.service_account_uid.clone(),
            }))
        }),
        signing_keys: pierhead_controllers::SigningKeys {
            changed: verifier.replaced(),
            is_lost: Arc::new(move |token| verifier.names_lost_key(token)),
        },
        cluster_ca: pki.authority().to_owned(),
        service_ca: Some(pki.authority().to_owned()),
        registry_hosts: Vec::new(),
        route_ports: route_ports.into_iter().filter(|port| !well_known.contains(port)).collect(),
        clock: Arc::clone(&parts.clock),
        deployer_logs: parts.deployer_logs.clone(),
        imports: config.imports.enabled.then_some(pierhead_controllers::ImportConfig {
            interval: config.imports.interval,
            marks_checked_streams: config.compat == Compat::V3_2,
        }),
    }
}

/// A client in this process whose requests are the named part's.
fn in_process(server: &ApiServer, part: &str) -> Client {
    let subject = Subject::system(&format!("system:pierhead:{part}"), &["system:masters"]);
    let server = server.clone();
    Client::in_process(tower::service_fn(move |mut request: Request<_>| {
        request.extensions_mut().insert(Arc::clone(&subject));
        let server = server.clone();
        async move { Ok::<_, std::convert::Infallible>(server.handle(request).await) }
    }))
}

/// Runs pods where an engine is configured.
fn start_node(client: Client, config: &Config, parts: &Parts, tasks: &Tasks) -> Result<()> {
    let Some(settings) = &config.node else {
        pierhead_node::retire_others(client, None, tasks);
        return Ok(());
    };
    // The engine has another idea of what a relative path is relative to.
    let folder = std::path::absolute(config.data.join("node")).context("naming the node's folder")?;
    let (name, socket) = (settings.name.clone(), settings.socket.clone());
    let mut node = pierhead_node::Config::new(name, settings.engine, socket, folder);
    node.policy = settings.policy;
    if let Some(network) = &settings.network {
        node.network.clone_from(network);
    }
    pierhead_node::retire_others(client.clone(), Some(node.name.clone()), tasks);
    let started = pierhead_node::start(client, node, Arc::clone(&parts.clock), tasks);
    parts.pod_output.set_node(started.context("reading what the node keeps")?);
    Ok(())
}

fn start_router(
    client: Client,
    config: &Config,
    pki: &Pki,
    tasks: &Tasks,
    clock: &SharedClock,
) -> Result<pierhead_router::Proxy> {
    let domain = &config.router_domain;
    let default_certificate = pki.listener(vec![domain.clone(), format!("*.{domain}")], clock.as_ref())?;
    let proxy = ProxyConfig {
        http: permitted(config.router_http)?,
        https: permitted(config.router_https)?,
        public_https_port: None,
        default_certificate,
        idle: PROXY_IDLE,
        limits: Limits::default(),
    };
    let name =
        RouterName { name: "router".to_owned(), canonical_hostname: format!("router-default.{domain}") };
    let service_authority = Some(pki.authority().to_owned());
    let router = pierhead_router::Config { proxy, name, wildcards: false, service_authority };
    Ok(Router::new(client, router, Arc::clone(clock)).start(tasks)?)
}

/// The address to bind: where the default needs rights that we lack, the port beside it.
fn permitted(listen: Listen) -> Result<SocketAddr> {
    let Some(port) = listen.fallback_port else { return Ok(listen.address) };
    match TcpListener::bind(listen.address) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Ok(SocketAddr::new(listen.address.ip(), port))
        }
        Ok(_) | Err(_) => Ok(listen.address),
    }
}

fn serve_registry(listener: listen::Listener, parts: &Parts, credentials: Credentials, tasks: &Tasks) {
    let Parts { auth, images, metrics, egress, audit, clock, .. } = parts;
    let (audit, clock) = (audit.clone(), Arc::clone(clock));
    let config = pierhead_registry::Config::default();
    let registry = Registry::new(auth.clone(), images.clone(), config, metrics)
        .with_pull_through(PullThrough::new(egress.clone(), credentials, tasks));
    let writes = tasks.child();
    let handler = move |request: Request<hyper::body::Incoming>| {
        let note = registry_audit::Note::begin(&audit, &request, &clock);
        let registry = registry.clone();
        let answered = async move { registry.handle(request).await };
        registry_audit::recorded(note, answered, writes.clone())
    };
    listen::serve(listener, None, handler, tasks, Limits::default());
}

fn serve_api(
    listener: listen::Listener,
    server: ApiServer,
    pki: &Pki,
    config: &Config,
    clock: &SharedClock,
    tasks: &Tasks,
) -> Result<()> {
    let certificate = pki.listener(api_names(listener.local_addr(), config), clock.as_ref())?;
    let (authorities, proxies) = front_proxies::open(pki.authority(), &config.identity_providers, clock)?;
    let resolver = Arc::new(CertResolver::new(Some(certificate)));
    let tls = tls::server_config(resolver, &authorities, Alpn::Http2AndHttp1)?;
    let handler = move |mut request| {
        proxies.look_at(&mut request);
        let server = server.clone();
        async move { server.handle(request).await }
    };
    listen::serve(listener, Some(tls), handler, tasks, Limits::default());
    Ok(())
}

/// Every name that clients may use for the API.
fn api_names(address: SocketAddr, config: &Config) -> Vec<String> {
    let mut names = config.api_names.clone();
    names.extend(
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned),
    );
    names.extend(["127.0.0.1", "::1"].map(str::to_owned));
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    let mut known = BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
}

/// Host and port of the API in URLs that we give out.
fn public_host(address: SocketAddr, config: &Config) -> String {
    match config.api_names.first() {
        Some(name) => match name.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, address.port()).to_string(),
            Err(_) => format!("{name}:{}", address.port()),
        },
        None if address.ip().is_unspecified() => {
            SocketAddr::new(IpAddr::from([127, 0, 0, 1]), address.port()).to_string()
        }
        None => address.to_string(),
    }
}

fn era(compat: Compat) -> Era {
    match compat {
        Compat::V3_2 => Era::V3_2,
        Compat::V4 => Era::V4,
    }
}
