//! A watch as the server sends it: one JSON event per line.
//!
//! For callers that show events (the CLI). Callers that want to hold a collection use `Client::reflect`.

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{ApiRequest, Client, ClientError};

/// One line longer than this is not an event.
const LINE_LIMIT: usize = 64 << 20;

/// What happened to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WatchEventKind {
    /// It appeared, or began to match.
    Added,
    /// It changed.
    Modified,
    /// It went, or ceased to match.
    Deleted,
    /// Nothing; the object only carries a resource version.
    Bookmark,
    /// The watch failed; the object is a `Status`.
    Error,
}

/// One event of a watch.
#[derive(Clone, Debug, Deserialize)]
pub struct WatchEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: WatchEventKind,
    /// The object, or a `Table` of it if that was asked for.
    pub object: Value,
}

/// An open watch.
pub struct WatchStream {
    client: Client,
    path: String,
    body: kube::client::Body,
    buffer: BytesMut,
}

impl Client {
    /// Opens a watch; the path must carry `watch=true`.
    pub async fn watch(&self, request: ApiRequest) -> Result<WatchStream, ClientError> {
        let path = request.path.clone();
        let body = self.open(request).await?.into_body();
        Ok(WatchStream { client: self.clone(), path, body, buffer: BytesMut::new() })
    }
}

impl WatchStream {
    /// The next event; none when the server ended the watch.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return self.decode(&line).map(Some);
            }
            if self.buffer.len() > LINE_LIMIT {
                return Err(ClientError::TooLarge { path: self.path.clone(), limit: LINE_LIMIT });
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(self.client.broken(Box::new(error))),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => {
                    let line = self.buffer.split();
                    return self.decode(&line).map(Some);
                }
            }
        }
    }

    fn decode(&self, line: &[u8]) -> Result<WatchEvent, ClientError> {
        serde_json::from_slice(line).map_err(|source| ClientError::Decode { path: self.path.clone(), source })
    }
}
