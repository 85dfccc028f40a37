//! A plain HTTP(S) client with the TLS settings of a cluster.
//!
//! Straight or through a proxy. For the requests around the API that are not API requests (OAuth, registry checks). It never follows
//! redirects, so a credential goes nowhere but to the host that it was given for.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header::PROXY_AUTHORIZATION};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use tower::{Service as _, ServiceExt as _, util::BoxCloneSyncService};

use crate::{ClientError, Proxies, TransportError, Trust, egress::Authorities, proxy::Dialer};

/// Bodies of such answers are pages and small documents.
const BODY_LIMIT: usize = 4 << 20;

/// How long connecting may take where nothing else is said.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, hyper_util::client::legacy::Error>;

/// A pooled HTTP(S) client. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    stack: Stack,
    proxies: Proxies,
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
        Self::through(trust, &Proxies::default())
    }

    /// The same, through proxies. Those that speak TLS may be vouched for by whom the system or `trust` trusts.
    pub fn through(trust: &Trust, proxies: &Proxies) -> Result<Self, ClientError> {
        let config = trust.to_kube(Uri::from_static("https://localhost/"))?;
        let limit = config.connect_timeout.unwrap_or(CONNECT_LIMIT);
        let connector = Dialer::new(proxies.clone(), limit, || proxy_roots(trust));
        let connector = config.rustls_https_connector_with_connector(connector).map_err(|error| {
            ClientError::Tls { what: "the TLS settings cannot be used", source: Box::new(error) }
        })?;
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { stack: BoxCloneSyncService::new(client), proxies: proxies.clone() })
    }

    /// Sends one request; the URI must be absolute.
    pub async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TransportError> {
        let uri = request.uri().clone();
        let relay = self.proxies.relay_for(&uri);
        let authorization = relay.and_then(|relay| relay.authorization());
        request.headers_mut().extend(authorization.map(|value| (PROXY_AUTHORIZATION, value.clone())));
        let mut stack = self.stack.clone();
        let ready = match stack.ready().await {
            Ok(ready) => ready,
            Err(error) => return Err(TransportError::classify(&uri, error)),
        };
        let answer = ready.call(request).await.map_err(|error| TransportError::classify(&uri, error))?;
        match relay.and_then(|relay| relay.refusal(answer.status())) {
            Some(refusal) => Err(TransportError::classify(&uri, refusal)),
            None => Ok(answer),
        }
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

/// Who may vouch for a proxy. Authorities that cannot be read have been complained of before.
fn proxy_roots(trust: &Trust) -> rustls::RootCertStore {
    let system = Authorities::system();
    let all = trust.certificate_authority.as_ref().map(|pem| system.clone().with_extra(pem));
    all.and_then(Result::ok).unwrap_or(system).usual().clone()
}
