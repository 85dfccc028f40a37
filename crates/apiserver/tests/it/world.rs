//! A server without a network, and callers of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use pierhead_api::core::Pod;
use pierhead_apiserver::{
    Addresses, ApiServer, Config, LogBody, LogError, LogOptions, PodLogs, ResponseBody,
};
use pierhead_auth::service_account::TokenSigner;
use pierhead_auth::{Auth, Subject};
use pierhead_blobs::Blobs;
use pierhead_client::egress::{Authorities, Egress, EgressConfig};
use pierhead_images::Images;
use pierhead_runtime::{ManualClock, SharedClock};
use pierhead_store::Store;
use serde_json::Value;

/// One server with its built-in objects.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) store: Store,
    pub(crate) auth: Auth,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Containers that say what they were asked.
struct Chatty;

impl PodLogs for Chatty {
    fn log(&self, _: Pod, options: LogOptions) -> BoxFuture<'static, Result<LogBody, LogError>> {
        let line = format!("{} says: tail {}\n", options.container, options.tail_lines.unwrap_or_default());
        let lines = stream::repeat_with(move || Ok(Bytes::from(line.clone())));
        // Who follows is told the same for ever.
        async move { Ok(if options.follow { lines.boxed() } else { lines.take(1).boxed() }) }.boxed()
    }
}

/// A signer is slow to make, and every test may have the same.
fn signer() -> TokenSigner {
    static SIGNER: std::sync::LazyLock<TokenSigner> =
        std::sync::LazyLock::new(|| TokenSigner::generate().unwrap());
    SIGNER.clone()
}

pub(crate) fn admin() -> Arc<Subject> {
    Subject::system("system:admin", &["system:masters", "system:authenticated"])
}

pub(crate) fn user(name: &str) -> Arc<Subject> {
    Subject::system(name, &["system:authenticated", "system:authenticated:oauth"])
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One that is configured otherwise.
    pub(crate) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::default().shared();
        Self::configured(Store::memory(Arc::clone(&clock)), clock, configure).await
    }

    /// The same over a store that is there already.
    pub(crate) async fn over(store: Store, clock: SharedClock) -> Self {
        Self::configured(store, clock, |_| {}).await
    }

    pub(crate) async fn configured(
        store: Store,
        clock: SharedClock,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = Addresses {
            registry: address(5000),
            router_http: address(8080),
            router_https: address(8444),
            api: address(8443),
        };
        let url = "https://127.0.0.1:8443";
        let auth =
            Auth::open(store.clone(), pierhead_auth::Config::new(signer()), Arc::clone(&clock)).unwrap();
        let images = Images::open(
            store.clone(),
            Blobs::memory(Arc::clone(&clock)),
            pierhead_images::Config::new("172.30.0.1:5000"),
            Arc::clone(&clock),
        )
        .unwrap();
        let mut config = Config::new(url, "apps.example.com");
        config.project_wait = Duration::from_millis(1);
        config.egress = Some(Egress::new(EgressConfig::new(Authorities::none())));
        config.pod_logs = Some(Arc::new(Chatty));
        configure(&mut config);
        let server = ApiServer::new(store.clone(), auth.clone(), images, config, clock);
        server.bootstrap(addresses).await.unwrap();
        Self { server, store, auth }
    }

    /// Sends a request and leaves the body of the answer as the stream it is.
    pub(crate) async fn open(
        &self,
        who: &Arc<Subject>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<ResponseBody> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body.into())).unwrap();
        request.extensions_mut().insert(Arc::clone(who));
        self.server.handle(request).await
    }

    /// Sends a request with headers and reads the whole answer.
    pub(crate) async fn send(
        &self,
        who: &Arc<Subject>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let response = self.open(who, method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, who: &Arc<Subject>, path: &str) -> Reply {
        self.send(who, "GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, who: &Arc<Subject>, path: &str, body: Value) -> Reply {
        self.send(who, "POST", path, &[], body.to_string()).await
    }

    pub(crate) async fn put(&self, who: &Arc<Subject>, path: &str, body: Value) -> Reply {
        self.send(who, "PUT", path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, who: &Arc<Subject>, path: &str) -> Reply {
        self.send(who, "DELETE", path, &[], "").await
    }

    pub(crate) async fn patch(&self, who: &Arc<Subject>, path: &str, form: &str, body: Value) -> Reply {
        let media_type = format!("application/{form}+json");
        self.send(who, "PATCH", path, &[("content-type", &media_type)], body.to_string()).await
    }

    /// A project of `owner`, by the way users go.
    pub(crate) async fn project(&self, owner: &Arc<Subject>, name: &str) {
        let request = serde_json::json!({"kind": "ProjectRequest", "metadata": {"name": name}});
        let reply = self.post(owner, "/apis/project.openshift.io/v1/projectrequests", request).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    }
}

impl Reply {
    /// The status and the message of a Status, for rows of expectations.
    pub(crate) fn says(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["message"].as_str().unwrap_or_default())
    }
}
