//! The service: one request in, one answer out.
//!
//! Owns which method of which resource is answered by which handler, and the headers that all answers have.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::Body;
use pierhead_auth::Auth;
use pierhead_images::Images;
use pierhead_runtime::audit::Actor;
use pierhead_runtime::listen::BoxError;
use pierhead_runtime::telemetry::Metrics;

use crate::body::{RequestBody, ResponseBody};
use crate::call::Call;
use crate::contents::Contents;
use crate::error::RegistryError;
use crate::metrics::RequestMetrics;
use crate::pull_through::PullThrough;
use crate::response::Response;
use crate::route::Route;
use crate::{base, blobs, catalog, manifests, referrers, signatures, tags, token, uploads};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const SIGNATURES: HeaderName = HeaderName::from_static("x-registry-supports-signatures");

/// Longest path and query together, in bytes.
const MAX_TARGET: usize = 8 << 10;

/// What the registry says of itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm of Basic challenges: a word, which clients show to people.
    pub realm: String,
    /// Scheme and host of the token realm, such as `https://registry.example.com`; where there is none, the address
    /// that the client used.
    pub token_realm: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { realm: "openshift".into(), token_realm: None }
    }
}

/// The distribution API over one set of images. Clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    auth: Auth,
    images: Images,
    config: Config,
    metrics: RequestMetrics,
    pull_through: Option<PullThrough>,
}

impl Registry {
    /// Puts the parts together; its counters are shown in `metrics`.
    pub fn new(auth: Auth, images: Images, config: Config, metrics: &Metrics) -> Self {
        let metrics = RequestMetrics::register(metrics);
        Self { auth, images, config, metrics, pull_through: None }
    }

    /// Also serves what repositories name and do not have, by fetching it from where it is. Without this, such content
    /// is unknown.
    #[must_use]
    pub fn with_pull_through(mut self, pull_through: PullThrough) -> Self {
        self.pull_through = Some(pull_through);
        self
    }

    /// Answers a request. Its `ConnectionInfo` extension, where there is one, says whether the client's connection is
    /// encrypted. Bodies are read and written as the other side keeps up.
    pub async fn handle<B>(&self, request: Request<B>) -> http::Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        self.answer_any(&head, RequestBody::new(body)).await
    }

    /// As [`Registry::handle`]; of one type for all callers, so that this crate's code is compiled with this crate.
    fn answer_any<'a>(&'a self, head: &'a Parts, body: RequestBody) -> BoxFuture<'a, Response> {
        self.answer(head, body).boxed()
    }

    async fn answer(&self, head: &Parts, body: RequestBody) -> Response {
        let mut observation = self.metrics.begin(&head.method, &head.uri);
        let call = Call::new(&self.auth, head);
        let outcome = match Route::parse(head.uri.path()) {
            _ if target_length(head) > MAX_TARGET => Err(RegistryError::target_too_long(MAX_TARGET)),
            Ok(route) => {
                observation.handled_by(route.handler());
                self.dispatch(&call, &head.method, route, body).await
            }
            Err(error) => Err(error.into()),
        };
        let response = outcome.unwrap_or_else(|error| error.into_response(head, &self.config));
        let subject = call.known_subject();
        let actor = subject.as_ref().map(|subject| Actor(subject.username.clone()));
        observation.answered(response.status(), subject);
        let mut response = finish(&head.method, response);
        if let Some(actor) = actor {
            response.extensions_mut().insert(actor);
        }
        response.map(|body| body.observed(observation))
    }

    async fn dispatch(
        &self,
        call: &Call<'_>,
        method: &Method,
        route: Route,
        body: RequestBody,
    ) -> Result<Response, RegistryError> {
        let images = &self.images;
        let contents = Contents { images, pull_through: self.pull_through.as_ref() };
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        match (route, method) {
            (Route::Health, &Method::GET) => Ok(base::health()),
            (Route::Base, &Method::GET) => base::get(call),
            (Route::Token, &Method::GET) => Ok(token::get(&self.auth, call).await),
            (Route::Catalog, &Method::GET) => catalog::get(images, call),
            (Route::Tags(name), &Method::GET) => tags::get(images, call, &name),
            (Route::Referrers(name, digest), &Method::GET) => {
                referrers::get(images, call, &name, &digest).await
            }
            (Route::Manifest(name, reference), &Method::GET) => {
                manifests::get(contents, call, &name, &reference).await
            }
            (Route::Manifest(name, reference), &Method::PUT) => {
                manifests::put(contents, call, body, &name, &reference).await
            }
            (Route::Manifest(name, reference), &Method::DELETE) => {
                manifests::delete(images, call, &name, &reference).await
            }
            (Route::Blob(name, digest), &Method::GET) => blobs::get(contents, call, &name, &digest).await,
            (Route::Blob(name, digest), &Method::DELETE) => blobs::delete(images, call, &name, &digest).await,
            (Route::AdminBlob(digest), &Method::DELETE) => blobs::prune(images, call, &digest).await,
            (Route::Uploads(name), &Method::POST) => uploads::post(images, call, body, &name).await,
            (Route::Upload(name, id), &Method::GET) => uploads::get(images, call, &name, id),
            (Route::Upload(name, id), &Method::PATCH) => uploads::patch(images, call, body, &name, id).await,
            (Route::Upload(name, id), &Method::PUT) => uploads::put(images, call, body, &name, id).await,
            (Route::Upload(name, id), &Method::DELETE) => uploads::delete(images, call, &name, id).await,
            (Route::Signatures(name, digest), &Method::GET) => {
                signatures::get(images, call, &name, &digest).await
            }
            (Route::Signatures(name, digest), &Method::PUT) => {
                signatures::put(images, call, body, &name, &digest).await
            }
            (route, _) => Err(RegistryError::method_not_allowed(allowed(&route))),
        }
    }
}

fn target_length(head: &Parts) -> usize {
    head.uri.path_and_query().map_or(0, |target| target.as_str().len())
}

const fn allowed(route: &Route) -> &'static str {
    match route {
        Route::Health
        | Route::Base
        | Route::Token
        | Route::Catalog
        | Route::Tags(_)
        | Route::Referrers(..) => "GET, HEAD",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Signatures(..) => "GET, HEAD, PUT",
        Route::Uploads(_) => "POST",
        Route::AdminBlob(_) => "DELETE",
        Route::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
    }
}

/// Adds what every answer has, and takes the body from answers to `HEAD`.
fn finish(method: &Method, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    headers.insert(SIGNATURES, HeaderValue::from_static("1"));
    let has_length = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *method == Method::HEAD && has_length {
        let length = HeaderValue::from(response.body().length());
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length);
        *response.body_mut() = ResponseBody::default();
    }
    response
}
