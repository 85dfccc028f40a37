//! The parts of the API server, put together, and its front door.
//!
//! Owns [`ApiServer`], its configuration and how it is called: by a listener with a request from the network, or in
//! process as a tower service. What a request means is decided in `http`.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use pierhead_auth::{Auth, Era};
use pierhead_client::egress::Egress;
use pierhead_images::Images;
use pierhead_runtime::audit::AuditLog;
use pierhead_runtime::{SharedClock, Tasks};
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{Store, StoreError};

use crate::bootstrap::{self, Addresses, BootstrapError};
use crate::catalog::Catalog;
use crate::continue_token::TokenKey;
use crate::discovery::Discovery;
use crate::error::ApiError;
use crate::pod_logs::PodLogs;
use crate::priority::{Gate, RequestLimits};
use crate::project_requests::ProjectRequests;
use crate::storage::Head;
use crate::storage::objects::NAMESPACES;
use crate::strategy::Settings;
use crate::{BodyError, BoxError, RequestBody, ResponseBody, http as wire, kinds};

/// How the API server behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which OpenShift is imitated where eras differ.
    pub era: Era,
    /// The suffix of generated route hosts, such as `apps.example.com`.
    pub route_domain: String,
    /// Where clients reach this server, such as `https://127.0.0.1:8443`; OAuth's issuer.
    pub public_url: String,
    /// Our own version, such as `0.1.0`.
    pub version: String,
    /// The commit this was built from; empty when unknown.
    pub commit: String,
    /// How long the answer to a new project waits for its service accounts' secrets.
    pub project_wait: Duration,
    /// Who may ask for how many projects.
    pub project_requests: ProjectRequests,
    /// The longest a token of a service account lives that somebody asks for; `None`: as long as they ask for.
    pub longest_token: Option<Duration>,
    /// The way to other registries; without one nothing is imported.
    pub egress: Option<Egress>,
    /// Who has the output of containers; without it there is none to show.
    pub pod_logs: Option<Arc<dyn PodLogs>>,
    /// Most tags that are imported of a whole repository; `None`: all that it lists.
    pub tags_per_repository: Option<usize>,
    /// Where requests that write and refusals are recorded.
    pub audit: AuditLog,
    /// How many requests are worked on at once.
    pub limits: RequestLimits,
    /// Who waits for writes, also for those whose sender is gone. Watches and followed logs end when they are to stop.
    pub tasks: Tasks,
}

impl Config {
    /// The settings for a server reached at `public_url` that names routes under `route_domain`.
    pub fn new(public_url: impl Into<String>, route_domain: impl Into<String>) -> Self {
        Self {
            era: Era::V3_2,
            route_domain: route_domain.into(),
            public_url: public_url.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: String::new(),
            project_wait: Duration::from_secs(10),
            project_requests: ProjectRequests::default(),
            longest_token: None,
            egress: None,
            pod_logs: None,
            tags_per_repository: Some(50),
            audit: AuditLog::off(),
            limits: RequestLimits::default(),
            tasks: Tasks::new(),
        }
    }
}

/// What every handler can reach.
pub(crate) struct Parts {
    /// The metadata store.
    pub(crate) store: Store,
    /// Who and whether.
    pub(crate) auth: Auth,
    /// Image streams and images.
    pub(crate) images: Images,
    /// The configuration.
    pub(crate) config: Config,
    /// What hooks see of it.
    pub(crate) settings: Settings,
    /// The time.
    pub(crate) clock: SharedClock,
    /// Seals continue tokens.
    pub(crate) token_key: TokenKey,
    /// All kinds.
    pub(crate) catalog: Catalog,
    /// How they are announced.
    pub(crate) discovery: Discovery,
    /// Whose turn it is.
    pub(crate) gate: Gate,
}

/// Whether a namespace takes new objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceState {
    /// It does.
    Open,
    /// There is none.
    Missing,
    /// It is being deleted.
    Terminating,
}

impl NamespaceState {
    /// The state of `namespace`, whose record `get` finds; the empty one (the cluster) is always open.
    pub(crate) fn of(
        namespace: &str,
        get: impl FnOnce(&ObjectKey) -> Result<Option<ObjectRecord>, StoreError>,
    ) -> Result<Self, ApiError> {
        if namespace.is_empty() {
            return Ok(Self::Open);
        }
        let Some(record) = get(&ObjectKey::new(NAMESPACES, "", namespace))? else { return Ok(Self::Missing) };
        Ok(if Head::read(&record.0)?.is_terminating() { Self::Terminating } else { Self::Open })
    }
}

impl Parts {
    /// Whether `namespace` takes new objects now.
    pub(crate) fn namespace_state(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        NamespaceState::of(namespace, |key| self.store.read(|tx| tx.get(&OBJECTS, key)))
    }

    /// A stored object of any resource (`plural.group`) as a document.
    pub(crate) fn object(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<serde_json::Value>, ApiError> {
        let key = ObjectKey::new(resource, namespace, name);
        let record = self.store.read(|tx| tx.get(&OBJECTS, &key))?;
        Ok(record.map(|record| serde_json::from_slice(&record.0)).transpose()?)
    }
}

/// The API server: Kubernetes' and OpenShift's API over one store. Clones share everything.
#[derive(Clone)]
pub struct ApiServer {
    parts: Arc<Parts>,
}

impl ApiServer {
    /// Puts the server together. Call [`ApiServer::bootstrap`] before the first request.
    pub fn new(store: Store, auth: Auth, images: Images, config: Config, clock: SharedClock) -> Self {
        let catalog = Catalog::new(kinds::all(&images, &auth), &store);
        let discovery = Discovery::new(&catalog);
        let settings = Settings { route_domain: config.route_domain.clone(), era: config.era };
        let token_key = TokenKey::random();
        let gate = Gate::new(config.limits);
        let parts =
            Parts { store, auth, images, config, settings, clock, token_key, catalog, discovery, gate };
        Self { parts: Arc::new(parts) }
    }

    /// Writes the objects that are there before the first request. To be called at every start.
    ///
    /// # Errors
    /// When the store does not take the write.
    pub async fn bootstrap(&self, addresses: Addresses) -> Result<(), BootstrapError> {
        bootstrap::write(&self.parts, addresses).await
    }

    /// Answers one request. Never fails: what goes wrong becomes a Status.
    ///
    /// Callers in this process put their `Arc<Subject>` into the extensions of the request and are believed; a
    /// listener puts its `ConnectionInfo` there. The extensions cannot be set from outside.
    pub fn handle<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send + use<B>
    where
        B: ::http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request: Request<RequestBody> =
            request.map(|body| body.map_err(|error| BodyError(error.into())).boxed_unsync());
        let parts = Arc::clone(&self.parts);
        answer(parts, request)
    }
}

/// Of one type for all callers, so that this crate's code is compiled with this crate.
fn answer(parts: Arc<Parts>, request: Request<RequestBody>) -> BoxFuture<'static, Response<ResponseBody>> {
    async move { wire::handle(&parts, request).await }.boxed()
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: ::http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answered = self.handle(request);
        async move { Ok(answered.await) }.boxed()
    }
}
