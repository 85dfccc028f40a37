//! The documents that describe every kind to clients (platform 1.4): OpenAPI 2.0 as JSON and protobuf, OpenAPI 3.0 for
//! each group and version, Swagger 1.2 for clients of 2016.
//!
//! Owns finding them and their hashes. They are made from the kinds by a test (`tests/openapi`), which fails when
//! they are not what the kinds say, and lie compressed in the program: nothing of them is in memory before somebody
//! asks.

use std::io::{self, Read as _};

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use crate::path::Prefix;

/// All documents, one after the other, each compressed by itself.
const BYTES: &[u8] = include_bytes!("../openapi/documents.bin");
/// For each a line: name, hash, where it starts, how long it is.
const LIST: &str = include_str!("../openapi/documents.txt");

/// The media type clients ask the v2 document with.
pub(crate) const V2_MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// Name of the v2 document in JSON.
pub(crate) const V2_JSON: &str = "openapi/v2";
/// Name of the v2 document as protobuf.
pub(crate) const V2_PROTOBUF: &str = "openapi/v2.pb";
/// Name of the list of Swagger documents.
pub(crate) const SWAGGER_LISTING: &str = "swaggerapi";

/// A document.
#[derive(Clone, Copy)]
pub(crate) struct Document {
    name: &'static str,
    /// What tells it from every other document: clients keep it by this.
    pub(crate) hash: &'static str,
    packed: &'static [u8],
}

impl Document {
    /// The document of a name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        documents().find(|document| document.name == name)
    }

    /// The v3 document of a prefix.
    pub(crate) fn v3(prefix: &Prefix) -> Option<Self> {
        Self::find(&format!("openapi/v3/{}", place(prefix)))
    }

    /// The Swagger document of a prefix.
    pub(crate) fn swagger(prefix: &Prefix) -> Option<Self> {
        Self::find(&format!("{SWAGGER_LISTING}/{}", place(prefix)))
    }

    /// As it lies in the program: gzip.
    pub(crate) fn packed(self) -> Bytes {
        Bytes::from_static(self.packed)
    }

    /// As clients without gzip want it.
    pub(crate) fn unpacked(self) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        GzDecoder::new(self.packed).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    /// Path and query of this version of it.
    pub(crate) fn url(self) -> String {
        format!("/{}?hash={}", self.name, self.hash)
    }
}

fn documents() -> impl Iterator<Item = Document> {
    LIST.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (name, hash) = (words.next()?, words.next()?);
        let mut number = || words.next()?.parse::<usize>().ok();
        let (start, length) = (number()?, number()?);
        Some(Document { name, hash, packed: BYTES.get(start..)?.get(..length)? })
    })
}

/// Where the documents of a prefix are.
fn place(prefix: &Prefix) -> String {
    match prefix {
        Prefix::Core => "api/v1".to_owned(),
        Prefix::Legacy => "oapi/v1".to_owned(),
        Prefix::Group { group, version } => format!("apis/{group}/{version}"),
    }
}

/// `GET /openapi/v3`: where the documents are, with their hashes.
pub(crate) fn v3_index() -> Value {
    let mut paths = Map::new();
    for document in documents() {
        if let Some(place) = document.name.strip_prefix("openapi/v3/") {
            paths.insert(place.to_owned(), json!({"serverRelativeURL": document.url()}));
        }
    }
    json!({"paths": paths})
}
