//! A raw HTTP/1.1 client of the distribution API: one kept-alive connection, no retries, nothing hidden.
//!
//! Real clients are driven elsewhere; this one exists where a test must know exactly which request was answered.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long any single answer may take, with its body and that of the request: enough for the largest of either.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);

/// A request's body: given whole, or streamed.
pub type Body = BoxBody<Bytes, Infallible>;

/// One connection to a registry.
pub struct Wire {
    sender: SendRequest<Body>,
    host: String,
    authorization: Option<String>,
    /// Drives the connection; ends with it.
    _connection: JoinSet<()>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status line's code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, read to its end.
    pub body: Bytes,
}

/// The server answered, and with another status than it should.
#[derive(Debug)]
pub struct WrongStatus {
    /// The status that was right.
    pub wanted: StatusCode,
    /// The status that came.
    pub status: StatusCode,
    /// The beginning of the body.
    pub body: String,
}

impl std::fmt::Display for WrongStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wanted {}, got {}: {}", self.wanted, self.status, self.body)
    }
}

impl std::error::Error for WrongStatus {}

impl Wire {
    /// Connects; `authorization` is sent with every request, `host` as its `Host`.
    pub async fn connect(address: SocketAddr, host: &str, authorization: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // How the connection ended shows in the request that it carried.
            connection.await.ok();
        });
        let authorization = authorization.map(str::to_owned);
        Ok(Self { sender, host: host.to_owned(), authorization, _connection: tasks })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body)?;
        let asked = format!("{} {path}", request.method());
        let answering = async {
            self.sender.ready().await?;
            let (parts, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await.context("reading the answer")?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        let answered = tokio::time::timeout(ANSWER_LIMIT, answering).await;
        answered.with_context(|| format!("{asked} was not answered within {ANSWER_LIMIT:?}"))?
    }

    /// A `GET` of `path`.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[("accept", EVERY_MANIFEST)], whole(Bytes::new())).await
    }

    /// A `HEAD` of `path`.
    pub async fn head(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::HEAD, path, &[("accept", EVERY_MANIFEST)], whole(Bytes::new())).await
    }

    /// A `DELETE` of `path`.
    pub async fn delete(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, &[], whole(Bytes::new())).await
    }

    /// Opens an upload in a repository and returns where it continues.
    pub async fn start_upload(&mut self, repository: &str) -> Result<String> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.send(Method::POST, &path, &[], whole(Bytes::new())).await?;
        location(answer.expect(StatusCode::ACCEPTED)?)
    }

    /// Pushes a blob in one request after the upload was opened.
    pub async fn push_blob(&mut self, repository: &str, digest: &str, bytes: Bytes) -> Result<()> {
        let place = self.start_upload(repository).await?;
        let path = finish(&place, digest);
        let headers = [("content-type", "application/octet-stream")];
        self.send(Method::PUT, &path, &headers, whole(bytes)).await?.expect(StatusCode::CREATED)?;
        Ok(())
    }

    /// Stores a manifest under a tag or digest.
    pub async fn push_manifest(&mut self, repository: &str, reference: &str, bytes: Bytes) -> Result<()> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
        self.send(Method::PUT, &path, &headers, whole(bytes)).await?.expect(StatusCode::CREATED)?;
        Ok(())
    }
}

impl Answer {
    /// The answer, if it has this status; else an error that shows it.
    pub fn expect(self, status: StatusCode) -> Result<Self> {
        if self.status != status {
            let body = String::from_utf8_lossy(&self.body).chars().take(500).collect();
            return Err(WrongStatus { wanted: status, status: self.status, body }.into());
        }
        Ok(self)
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a client accepts that understands every kind of manifest.
pub const EVERY_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A body that is already there.
#[must_use]
pub fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}

/// The path and query of an answer's `Location`, absolute or relative.
pub fn location(answer: Answer) -> Result<String> {
    let place = answer.header("location").context("the answer has no Location")?;
    let uri: http::Uri = place.parse()?;
    Ok(uri.path_and_query().context("the Location has no path")?.to_string())
}

/// Where an upload is ended with a digest.
#[must_use]
pub fn finish(place: &str, digest: &str) -> String {
    let separator = if place.contains('?') { '&' } else { '?' };
    format!("{place}{separator}digest={digest}")
}
