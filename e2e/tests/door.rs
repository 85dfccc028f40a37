//! Raw requests to one listener: nothing retried, nothing hidden, and any bytes at all.
//!
//! Owns a kept-alive connection, with TLS where the listener has it. Knows nothing of what is asked.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use pierhead_e2e::wire::{Answer, Body, whole};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::cast::Caller;

/// How long any single answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A question: what is asked, how, and with which credentials.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, value: &Value) -> Self {
        Self::new(Method::POST, path).json(value)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.body = bytes.into();
        self.header("content-type", media_type)
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub(crate) fn by(self, who: &Caller) -> Self {
        match &who.authorization {
            Some(authorization) => self.header("authorization", authorization.clone()),
            None => self,
        }
    }
}

/// One listener, and an idle connection to it.
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    idle: Mutex<Option<Connection>>,
}

struct Connection {
    sender: SendRequest<Body>,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

impl Door {
    pub(crate) fn new(address: SocketAddr, tls: Option<TlsConnector>) -> Self {
        Self { address, tls, idle: Mutex::new(None) }
    }

    /// The same listener, with connections of its own.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.address, self.tls.clone())
    }

    async fn open(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::from(self.address.ip());
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    async fn connect(&self) -> Result<Connection> {
        let (sender, connection) = handshake(TokioIo::new(self.open().await?)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How the connection ended shows in the request that it carried.
            connection.await.ok();
        });
        Ok(Connection { sender, _driver: driver })
    }

    async fn begin(&self, ask: Ask) -> Result<(Connection, http::Response<hyper::body::Incoming>)> {
        let shown = format!("{} {}", ask.method, ask.path);
        let idle = self.idle.lock().await.take().filter(|idle| !idle.sender.is_closed());
        let mut connection = match idle {
            Some(idle) => idle,
            None => self.connect().await?,
        };
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        request = request.header("host", self.address.to_string());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        connection.sender.ready().await?;
        let answer = connection.sender.send_request(request.body(whole(ask.body))?);
        let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await.with_context(|| shown.clone())?;
        Ok((connection, answer.context(shown)?))
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer> {
        let (connection, answer) = self.begin(ask).await?;
        let (parts, body) = answer.into_parts();
        let body = tokio::time::timeout(ANSWER_LIMIT, body.collect()).await??.to_bytes();
        *self.idle.lock().await = Some(connection);
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Asks for what goes on, such as a watch.
    pub(crate) async fn follow(&self, ask: Ask) -> Result<Following> {
        let (connection, answer) = self.begin(ask).await?;
        Ok(Following { answer, _connection: connection })
    }

    /// Sends bytes that no client library would, and reads what comes until the connection ends. `None` if it ended
    /// without an answer. The request should ask for the end of the connection.
    pub(crate) async fn raw(&self, request: &[u8]) -> Result<Option<Answer>> {
        let mut stream = self.open().await?;
        // A server that refuses early may close before all was written.
        stream.write_all(request).await.ok();
        stream.flush().await.ok();
        let mut bytes = Vec::new();
        let mut limited = (&mut stream).take(1 << 20);
        // A connection that is cut off after the answer is an end as well.
        tokio::time::timeout(ANSWER_LIMIT, limited.read_to_end(&mut bytes)).await?.ok();
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
        let status = head.split(' ').nth(1).context("no status line")?.parse()?;
        Ok(Some(Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }))
    }
}

/// An answer that is still coming.
pub(crate) struct Following {
    answer: http::Response<hyper::body::Incoming>,
    _connection: Connection,
}

impl Following {
    pub(crate) fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let frame = tokio::time::timeout(ANSWER_LIMIT, self.answer.body_mut().frame()).await;
        let Some(frame) = frame.context("the answer neither goes on nor ends")? else { return Ok(None) };
        Ok(Some(frame?.into_data().unwrap_or_default()))
    }
}
