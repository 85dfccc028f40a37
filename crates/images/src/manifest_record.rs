//! A stored manifest: what it refers to, and its bytes or where they are.
//!
//! Stored as one byte of version, four of header length, the header as JSON, and the bytes as they came.

use std::collections::BTreeSet;

use bytes::Bytes;
use pierhead_oci::{Descriptor, Digest, Manifest, ManifestKind, MediaType};
use pierhead_store::{Record, RecordError, StoreError};
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::tables::MANIFESTS;

/// Manifests up to this many bytes live in their row; larger ones are blobs.
pub(crate) const INLINE_LIMIT: usize = 64 * 1024;

/// Version of the stored form.
const VERSION: u8 = 1;

#[derive(Clone, Debug)]
pub(crate) struct ManifestRecord {
    pub(crate) header: ManifestHeader,
    /// `None` when they are in the blob of the manifest's digest.
    pub(crate) bytes: Option<Bytes>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManifestHeader {
    pub(crate) media_type: MediaType,
    pub(crate) size: u64,
    pub(crate) inline: bool,
    pub(crate) config: Option<Part>,
    pub(crate) layers: Vec<Part>,
    pub(crate) children: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
    /// How many levels of indexes are below; 0 for an image.
    pub(crate) depth: u8,
}

/// A blob that a manifest refers to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    #[serde(rename = "d")]
    pub(crate) digest: Digest,
    #[serde(rename = "s")]
    pub(crate) size: u64,
    #[serde(rename = "m")]
    pub(crate) media_type: MediaType,
    /// Fetched from elsewhere by whoever wants it; need not be here.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) external: bool,
}

impl ManifestRecord {
    /// The record of a manifest whose children have at most `child_depth` levels below them.
    pub(crate) fn new(manifest: &Manifest, child_depth: Option<u8>) -> Self {
        let (config, layers, children) = match manifest.kind() {
            ManifestKind::Image { config, layers } => {
                (Some(Part::of(config)), layers.iter().map(Part::of).collect(), Vec::new())
            }
            ManifestKind::Index { manifests } => {
                (None, Vec::new(), manifests.iter().map(|child| child.digest.clone()).collect())
            }
        };
        let inline = manifest.bytes().len() <= INLINE_LIMIT;
        let header = ManifestHeader {
            media_type: manifest.media_type().clone(),
            size: manifest.bytes().len() as u64,
            inline,
            config,
            layers,
            children,
            subject: manifest.subject().map(|subject| subject.digest.clone()),
            depth: child_depth.map_or(0, |depth| depth.saturating_add(1)),
        };
        Self { header, bytes: inline.then(|| Bytes::from_owner(manifest.shared_bytes())) }
    }
}

/// How many levels the deepest of the manifests that a list names has below it, as far as they are known here; `None` for
/// an image.
pub(crate) fn child_depth(rows: &impl Rows, manifest: &Manifest) -> Result<Option<u8>, StoreError> {
    let ManifestKind::Index { manifests } = manifest.kind() else { return Ok(None) };
    let mut deepest = 0;
    for child in manifests {
        deepest = deepest.max(depth(rows, &child.digest, u8::MAX)?);
    }
    Ok(Some(deepest))
}

/// Manifests looked at for the depth of one.
const MAX_LOOKED_AT: usize = 20_000;

/// How many levels of manifests are below one, as far as they are known now: what a list names may have come after it, so
/// the depth that was noted with it is only what was known then. More than `limit` where there are more, or too many to
/// look at.
pub(crate) fn depth(rows: &impl Rows, digest: &Digest, limit: u8) -> Result<u8, StoreError> {
    let (mut level, mut looked_at, mut depth) = (BTreeSet::from([digest.clone()]), 0, 0_u8);
    loop {
        let mut below = BTreeSet::new();
        looked_at += level.len();
        if looked_at > MAX_LOOKED_AT {
            return Ok(u8::MAX);
        }
        for digest in &level {
            if let Some(record) = rows.row(&MANIFESTS, &digest.to_key())? {
                below.extend(record.header.children);
            }
        }
        if below.is_empty() || depth > limit {
            return Ok(depth);
        }
        depth = depth.saturating_add(1);
        level = below;
    }
}

impl ManifestHeader {
    /// The blobs that must be here, each once in the order of the manifest: config, then layers.
    pub(crate) fn blobs(&self) -> Vec<&Part> {
        let mut seen = std::collections::HashSet::new();
        let parts = self.config.iter().chain(&self.layers).filter(|part| !part.external);
        parts.filter(|part| seen.insert(&part.digest)).collect()
    }
}

impl Part {
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            media_type: descriptor.media_type.clone(),
            external: descriptor.media_type.is_foreign_layer() || !descriptor.urls.is_empty(),
        }
    }
}

impl Record for ManifestRecord {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let header = serde_json::to_vec(&self.header)?;
        let Ok(length) = u32::try_from(header.len()) else {
            return Err(RecordError::NotOfType { expected: "manifest" });
        };
        out.push(VERSION);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.bytes.as_deref().unwrap_or_default());
        Ok(())
    }

    fn decode(stored: &Bytes) -> Result<Self, RecordError> {
        let corrupt = RecordError::NotOfType { expected: "manifest" };
        match stored.first() {
            Some(&VERSION) => {}
            Some(&found) if found > VERSION => return Err(RecordError::TooNew { found, known: VERSION }),
            Some(&found) => return Err(RecordError::UnknownVersion { found }),
            None => return Err(RecordError::Empty),
        }
        let Some((length, _)) = stored.get(1..).and_then(|rest| rest.split_first_chunk::<4>()) else {
            return Err(corrupt);
        };
        let end = 5 + u32::from_be_bytes(*length) as usize;
        let Some(header) = stored.get(5..end) else { return Err(corrupt) };
        let header: ManifestHeader = serde_json::from_slice(header)?;
        let bytes = header.inline.then(|| stored.slice(end..));
        Ok(Self { header, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Manifest, ManifestRecord, Record};

    #[test]
    fn comes_back_as_it_was_stored() {
        let hex = "a".repeat(64);
        let json = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
            "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{hex}","size":3}},
            "layers":[{{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"sha256:{hex}","size":4,"urls":["https://x"]}}]}}"#
        );
        let manifest = Manifest::parse("", json.clone().into_bytes()).unwrap();
        let mut stored = Vec::new();
        ManifestRecord::new(&manifest, None).encode(&mut stored).unwrap();
        let record = ManifestRecord::decode(&Bytes::from(stored.clone())).unwrap();
        assert_eq!(record.bytes.as_deref(), Some(json.as_bytes()));
        assert_eq!(record.header.blobs().len(), 1, "the foreign layer need not be here");
        let cut = stored.get(..20).unwrap().to_vec();
        assert!(ManifestRecord::decode(&Bytes::from(cut)).is_err());
    }
}
