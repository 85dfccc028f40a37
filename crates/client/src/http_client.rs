//! A plain HTTP(S) client with the TLS settings of a cluster.
//!
//! For the requests around the API that are not API requests (OAuth, registry checks). It never follows
//! redirects, so a credential goes nowhere but to the host that it was given for.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use kube::client::ConfigExt as _;
use tower::{Service as _, ServiceExt as _, util::BoxCloneSyncService};

use crate::{ClientError, TransportError, Trust};

/// Bodies of such answers are pages and small documents.
const BODY_LIMIT: usize = 4 << 20;

type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, hyper_util::client::legacy::Error>;

/// A pooled HTTP(S) client. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    stack: Stack,
}

/// A whole answer.
#[derive(Debug)]
pub struct HttpAnswer {
    /// Status of the answer; redirects are answers like any other.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most 4 MiB.
    pub body: Bytes,
}

impl HttpClient {
    /// Makes a client that trusts, and identifies itself by, what `trust` says. Connects to nothing yet.
    pub fn new(trust: &Trust) -> Result<Self, ClientError> {
        let config = trust.to_kube(Uri::from_static("https://localhost/"))?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(config.connect_timeout);
        connector.set_nodelay(true);
        let connector = config.rustls_https_connector_with_connector(connector).map_err(|error| {
            ClientError::Tls { what: "the TLS settings cannot be used", source: Box::new(error) }
        })?;
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { stack: BoxCloneSyncService::new(client) })
    }

    /// Sends one request; the URI must be absolute.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, TransportError> {
        let uri = request.uri().clone();
        let mut stack = self.stack.clone();
        let ready = match stack.ready().await {
            Ok(ready) => ready,
            Err(error) => return Err(TransportError::classify(&uri, error)),
        };
        ready.call(request).await.map_err(|error| TransportError::classify(&uri, error))
    }

    /// Sends one request and reads the whole answer.
    pub async fn fetch(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpAnswer, ClientError> {
        let uri: Uri = url.parse().map_err(http::Error::from)?;
        if uri.host().is_none() {
            return Err(ClientError::Url { url: url.to_owned() });
        }
        let mut request = Request::builder().method(method).uri(uri.clone()).body(Full::new(body))?;
        *request.headers_mut() = headers;
        let (parts, body) = self.send(request).await?.into_parts();
        let body = Limited::new(body, BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| TransportError::classify(&uri, error))?
            .to_bytes();
        Ok(HttpAnswer { status: parts.status, headers: parts.headers, body })
    }
}
