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
    lines: Lines,
}

/// Bytes as they come, a line at a time.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// So many bytes from the start hold no end of a line: long ones come in many pieces.
    searched: usize,
}

impl Lines {
    /// The next line that is not blank, without its end.
    fn next(&mut self) -> Option<BytesMut> {
        loop {
            let (_, fresh) = self.buffer.split_at(self.searched);
            let Some(end) = fresh.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + end);
            self.buffer.advance(1);
            self.searched = 0;
            if !is_blank(&line) {
                return Some(line);
            }
        }
    }

    /// What came after the last end of a line, if that is anything.
    fn rest(&mut self) -> Option<BytesMut> {
        self.searched = 0;
        Some(self.buffer.split()).filter(|rest| !is_blank(rest))
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

impl Client {
    /// Opens a watch; the path must carry `watch=true`.
    pub async fn watch(&self, request: ApiRequest) -> Result<WatchStream, ClientError> {
        let path = request.path.clone();
        let body = self.open(request).await?.into_body();
        Ok(WatchStream { client: self.clone(), path, body, lines: Lines::default() })
    }
}

impl WatchStream {
    /// The next event; none when the server ended the watch.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        loop {
            if let Some(line) = self.lines.next() {
                return self.decode(&line).map(Some);
            }
            if self.lines.buffer.len() > LINE_LIMIT {
                return Err(ClientError::TooLarge { path: self.path.clone(), limit: LINE_LIMIT });
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(self.client.broken(Box::new(error))),
                None => return self.lines.rest().map(|line| self.decode(&line)).transpose(),
            }
        }
    }

    fn decode(&self, line: &[u8]) -> Result<WatchEvent, ClientError> {
        serde_json::from_slice(line).map_err(|source| ClientError::Decode { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_come_whole_and_no_byte_is_searched_twice() {
        let mut lines = Lines::default();
        let mut check = |bytes: &str, expected: &[&str], searched: usize| {
            lines.buffer.extend_from_slice(bytes.as_bytes());
            let found: Vec<_> = std::iter::from_fn(|| lines.next()).collect();
            assert_eq!(found, expected, "{bytes:?}");
            assert_eq!(lines.searched, searched, "{bytes:?}");
        };
        check("{\"a\"", &[], 4);
        check(":1}", &[], 7);
        check("\n", &["{\"a\":1}"], 0);
        check("one\n\n \ntwo\nthr", &["one", "two"], 3);
        check("ee\n", &["three"], 0);
        check("rest", &[], 4);
        assert_eq!(lines.rest().as_deref(), Some("rest".as_bytes()));
        assert_eq!(lines.rest(), None);
        assert_eq!(lines.next(), None);
    }
}
