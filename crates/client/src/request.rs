//! Raw requests: a method, a path, bytes; a JSON answer or the server's `Status`.
//!
//! Everything else in this crate is built on `Client::send`. Calls are never repeated here: a caller that wants
//! a retry knows whether that is safe.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use pierhead_api::meta::{Status, StatusReason};
use serde_json::Value;
use tokio::time::Instant;
use tower::{Service, ServiceExt as _};

use crate::{ClientError, ConnectOptions, Exchange, HttpClient, Observer, TransportError, path};

/// A list of everything in a large cluster is tens of megabytes; beyond this something is wrong.
const BODY_LIMIT: usize = 256 << 20;

/// What servers say of a path that means nothing to them.
const NOT_THERE: &str = "the server could not find the requested resource";

/// The same, where they have nothing at all of an API: no `Status`, but Go's own page.
const NO_PAGE: &str = "404 page not found";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client of one API server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
    server: Arc<str>,
    timeout: Option<Duration>,
    observer: Option<Observer>,
}

/// One request to the API server.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// Method.
    pub method: Method,
    /// Path with query, beginning with `/`, escaped.
    pub path: String,
    /// `Accept`; `application/json` unless set.
    pub accept: Option<String>,
    /// `Content-Type` of the body; `application/json` unless set.
    pub content_type: Option<String>,
    /// Body; empty sends none.
    pub body: Bytes,
}

/// An answer below 400.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Whole body.
    pub body: Bytes,
}

impl ApiRequest {
    /// A GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    /// A request with a JSON body (or none, when empty).
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>, body: Bytes) -> Self {
        Self { method, path: path.into(), accept: None, content_type: None, body }
    }

    /// Sets `Accept`.
    #[must_use]
    pub fn accept(mut self, accept: &str) -> Self {
        self.accept = Some(accept.to_owned());
        self
    }

    /// Sets `Content-Type`.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.to_owned());
        self
    }

    fn into_http(self) -> Result<Request<kube::client::Body>, ClientError> {
        let accept = self.accept.as_deref().unwrap_or("application/json");
        let mut request =
            Request::builder().method(self.method).uri(self.path).header(header::ACCEPT, accept);
        if !self.body.is_empty() {
            let content_type = self.content_type.as_deref().unwrap_or("application/json");
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        Ok(request.body(kube::client::Body::from(self.body))?)
    }
}

impl Client {
    /// A client of a service in this process: the service a remote caller reaches, without the network.
    ///
    /// Who asks is the service's business (wrap it so that it sets the request's subject).
    /// Must be called within a tokio runtime: requests go through a buffer task.
    pub fn in_process<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let service = service.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let request = Request::from_parts(parts, Full::new(body));
                service.oneshot(request).await.map_err(Into::<BoxError>::into)
            }
        });
        Self {
            kube: kube::Client::new(service, "default"),
            server: Arc::from(""),
            timeout: None,
            observer: None,
        }
    }

    /// A client of a server over HTTP(S). Connects at the first request.
    ///
    /// Must be called within a tokio runtime: requests go through a buffer task.
    pub fn connect(options: &ConnectOptions) -> Result<Self, ClientError> {
        let base = options.base()?;
        let headers = options.headers()?;
        let http = HttpClient::through(&options.trust, &options.proxies)?;
        let base_uri = base.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (http, base, headers) = (http.clone(), base.clone(), headers.clone());
            async move {
                let (mut parts, body) = request.into_parts();
                parts.uri = resolve(&base, &parts.uri)?;
                for (name, value) in &headers {
                    parts.headers.append(name, value.clone());
                }
                let body = body.collect_bytes().await.map_err(|error| Box::new(error) as BoxError)?;
                let sent = http.send(Request::from_parts(parts, Full::new(body))).await;
                sent.map_err(|error| Box::new(error) as BoxError)
            }
        });
        let server = base_uri.to_string();
        Ok(Self {
            kube: kube::Client::new(service, "default"),
            server: Arc::from(server.trim_end_matches('/')),
            timeout: options.request_timeout,
            observer: None,
        })
    }

    /// The same client, which tells of every request that it sends.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    fn tell(&self, exchange: &Exchange<'_>) {
        if let Some(observer) = &self.observer {
            observer(exchange);
        }
    }

    /// URL of the server without a trailing slash; empty in process.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn kube(&self) -> kube::Client {
        self.kube.clone()
    }

    /// Sends a request with a JSON body and reads JSON; an answer with another body gives it as a string.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let body = match body {
            Some(body) => Bytes::from(serde_json::to_vec(body).map_err(ClientError::Encode)?),
            None => Bytes::new(),
        };
        let mut request = ApiRequest::new(method, path, body);
        request.content_type = content_type.map(str::to_owned);
        self.send(request).await?.json(path)
    }

    /// Sends a request and reads the whole answer; answers of 400 and above are errors.
    pub async fn send(&self, request: ApiRequest) -> Result<Answer, ClientError> {
        let path = request.path.clone();
        let response = self.open(request).await?;
        let (parts, body) = response.into_parts();
        let body = self.read(&path, body).await?;
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Sends a request and gives the answer when its head is there; answers of 400 and above are errors.
    pub(crate) async fn open(
        &self,
        request: ApiRequest,
    ) -> Result<Response<kube::client::Body>, ClientError> {
        let (method, path) = (request.method.clone(), request.path.clone());
        self.tell(&Exchange::Sending { request: &request });
        let started = Instant::now();
        let response = match self.open_unobserved(request).await {
            Ok(response) => response,
            Err(error) => {
                self.tell(&Exchange::Failed { method: &method, path: &path, error: &error });
                return Err(error);
            }
        };
        let (status, headers, took) = (response.status(), response.headers(), started.elapsed());
        self.tell(&Exchange::Answered { method: &method, path: &path, status, headers, took });
        if status.as_u16() < 400 {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = self.read(&path, body).await?;
        Err(refusal(&path, parts.status, parts.headers.get(header::CONTENT_TYPE), &body))
    }

    async fn open_unobserved(
        &self,
        request: ApiRequest,
    ) -> Result<Response<kube::client::Body>, ClientError> {
        let sending = self.kube.send(request.into_http()?);
        let sent = match self.timeout {
            Some(timeout) => match tokio::time::timeout(timeout, sending).await {
                Ok(sent) => sent,
                Err(_elapsed) => return Err(ClientError::Timeout { limit: timeout }),
            },
            None => sending.await,
        };
        sent.map_err(from_kube)
    }

    async fn read(&self, path: &str, body: kube::client::Body) -> Result<Bytes, ClientError> {
        match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(collected) => {
                let body = collected.to_bytes();
                self.tell(&Exchange::Body { path, body: &body });
                Ok(body)
            }
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(ClientError::TooLarge { path: path.to_owned(), limit: BODY_LIMIT })
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    pub(crate) fn broken(&self, error: BoxError) -> ClientError {
        let uri = self.server.parse().unwrap_or_else(|_| Uri::from_static("/"));
        ClientError::Transport(TransportError::classify(&uri, error))
    }
}

impl Answer {
    /// The body as JSON, or as a string if it is text.
    pub fn json(&self, path: &str) -> Result<Value, ClientError> {
        let is_json = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("json"));
        let decode = |source| ClientError::Decode { path: path.to_owned(), source };
        if self.headers.get(header::CONTENT_TYPE).is_none_or(is_json) && !self.body.is_empty() {
            return serde_json::from_slice(&self.body).map_err(decode);
        }
        Ok(Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }
}

/// Joins the server's URL (perhaps with a path prefix) and a path with query.
fn resolve(base: &Uri, uri: &Uri) -> Result<Uri, http::Error> {
    let prefix = base.path().trim_end_matches('/');
    let rest = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(format!("{prefix}{rest}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

fn from_kube(error: kube::Error) -> ClientError {
    match error {
        kube::Error::Service(error) => match error.downcast::<TransportError>() {
            Ok(error) => ClientError::Transport(*error),
            Err(error) => ClientError::Service(error),
        },
        error => ClientError::Service(Box::new(error)),
    }
}

/// The server's `Status`, or one made of whatever it answered instead.
fn refusal(path: &str, status: StatusCode, content_type: Option<&HeaderValue>, body: &[u8]) -> ClientError {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && value.get("kind").and_then(Value::as_str) == Some("Status")
        && let Ok(mut sent) = serde_json::from_value::<Status>(value)
    {
        if sent.code == 0 {
            sent.code = status.as_u16();
        }
        if sent.message == NOT_THERE
            && let Some(resource) = path::resource_in(path)
        {
            return ClientError::NoSuchResource { resource };
        }
        return ClientError::Api(Box::new(sent));
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if status == StatusCode::NOT_FOUND
        && text == NO_PAGE
        && let Some(resource) = path::resource_in(path)
    {
        return ClientError::NoSuchResource { resource };
    }
    let is_text = content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/plain") || value.contains("json"));
    let message = match (is_text && !text.is_empty(), status.as_u16()) {
        (true, _) => text.to_owned(),
        (false, 401) => "Unauthorized".to_owned(),
        (false, 404) => NOT_THERE.to_owned(),
        (false, _) => format!("the server answered {status}"),
    };
    ClientError::Api(Box::new(Status::failure(status.as_u16(), reason_of(status), message)))
}

/// The reason that a code stands for where the server gave none.
fn reason_of(status: StatusCode) -> StatusReason {
    match status.as_u16() {
        400 => StatusReason::BadRequest,
        401 => StatusReason::Unauthorized,
        403 => StatusReason::Forbidden,
        404 => StatusReason::NotFound,
        405 => StatusReason::MethodNotAllowed,
        406 => StatusReason::NotAcceptable,
        409 => StatusReason::Conflict,
        410 => StatusReason::Gone,
        413 => StatusReason::RequestEntityTooLarge,
        415 => StatusReason::UnsupportedMediaType,
        422 => StatusReason::Invalid,
        429 => StatusReason::TooManyRequests,
        500 => StatusReason::InternalError,
        503 => StatusReason::ServiceUnavailable,
        504 => StatusReason::Timeout,
        _ => StatusReason::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode, Uri};

    use super::{refusal, resolve};

    #[test]
    fn only_the_servers_own_page_says_that_there_is_no_such_resource() {
        let things = "/apis/x.io/v1/namespaces/p/things/a";
        let service = "/api/v1/namespaces/p/services/web/proxy/x";
        let no_type = "the server doesn't have a resource type \"things\"";
        let status = r#"{"kind":"Status","message":"the server could not find the requested resource"}"#;
        let rows = [
            (things, "text/plain; charset=utf-8", "404 page not found\n", no_type),
            (things, "application/json", status, no_type),
            (things, "text/plain", "no such page\n", "no such page"),
            (things, "text/html", "<p>404", "the server could not find the requested resource"),
            (service, "text/plain", "no such page", "no such page"),
            (service, "text/plain", "404 page not found\n", "404 page not found"),
            (service, "application/json", status, "the server could not find the requested resource"),
        ];
        for (path, content_type, body, expected) in rows {
            let content_type = HeaderValue::from_static(content_type);
            let error = refusal(path, StatusCode::NOT_FOUND, Some(&content_type), body.as_bytes());
            assert_eq!(error.to_string(), expected, "{path} {body}");
        }
    }

    #[test]
    fn a_path_prefix_of_the_server_is_kept() {
        let rows = [
            ("https://h:8443", "/api/v1?watch=1", "https://h:8443/api/v1?watch=1"),
            ("https://h/k8s/", "/api", "https://h/k8s/api"),
        ];
        for (base, path, expected) in rows {
            let base: Uri = base.parse().unwrap();
            let path: Uri = path.parse().unwrap();
            assert_eq!(resolve(&base, &path).unwrap().to_string(), expected);
        }
    }
}
