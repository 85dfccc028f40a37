//! Images that tests push: small, valid, and each different from every other.

use crate::wire::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use rand::{Rng, RngExt};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::convert::Infallible;

/// An image of one layer, with everything a push of it sends.
#[derive(Clone, Debug)]
pub struct SampleImage {
    /// The configuration blob and its digest.
    pub config: Blob,
    /// The layer and its digest.
    pub layer: Blob,
    /// The manifest and its digest.
    pub manifest: Blob,
}

/// Bytes and their digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `sha256:…`
    pub digest: String,
    /// The content.
    pub bytes: Bytes,
}

impl Blob {
    /// Hashes `bytes`.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: sha256(&bytes), bytes }
    }

    /// Random bytes that no other blob has.
    pub fn random(random: &mut impl Rng, size: usize) -> Self {
        let mut bytes = vec![0; size];
        random.fill(&mut bytes[..]);
        Self::new(bytes)
    }
}

/// A blob too large to be held: one piece, over and over.
#[derive(Clone, Debug)]
pub struct RepeatedBlob {
    piece: Bytes,
    pieces: u64,
}

impl RepeatedBlob {
    const PIECE: usize = 1 << 20;

    /// A blob of this many bytes, rounded down to whole MiB.
    pub fn random(random: &mut impl Rng, size: u64) -> Self {
        Self { piece: Blob::random(random, Self::PIECE).bytes, pieces: size / Self::PIECE as u64 }
    }

    /// Hashes it all: takes its time.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for _ in 0..self.pieces {
            hasher.update(&self.piece);
        }
        named(&hasher.finalize())
    }

    /// The bytes, streamed.
    #[must_use]
    pub fn body(&self) -> Body {
        let piece = self.piece.clone();
        let frames = (0..self.pieces).map(move |_| Ok::<_, Infallible>(Frame::data(piece.clone())));
        StreamBody::new(stream::iter(frames)).boxed()
    }
}

impl SampleImage {
    /// An image with a random layer of this many bytes.
    pub fn random(random: &mut impl Rng, layer_size: usize) -> Self {
        Self::of_layer(Blob::random(random, layer_size))
    }

    /// The image whose only layer is this.
    #[must_use]
    pub fn of_layer(layer: Blob) -> Self {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2016-03-30T10:28:30Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = Blob::new(config.to_string());
        let manifest = manifest(&config, &layer, &json!({}));
        Self { manifest, config, layer }
    }

    /// An image of the same parts with another manifest.
    #[must_use]
    pub fn annotated(&self, words: &str) -> Self {
        let annotations = json!({"org.opencontainers.image.description": words});
        Self { manifest: manifest(&self.config, &self.layer, &annotations), ..self.clone() }
    }
}

fn manifest(config: &Blob, layer: &Blob, annotations: &serde_json::Value) -> Blob {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config.digest,
            "size": config.bytes.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer.digest,
            "size": layer.bytes.len(),
        }],
        "annotations": annotations,
    });
    Blob::new(manifest.to_string())
}

/// `sha256:…` of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    named(&Sha256::digest(bytes))
}

fn named(hash: &[u8]) -> String {
    let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256:{hex}")
}
