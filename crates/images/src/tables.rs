//! The rows behind streams, tags and images, and their stored forms.
//!
//! Owns the shape of every table of this crate. Repositories have numbers, because a namespace, a name and a digest in
//! every key would cost more than the rest of a row. Only what API watchers follow is logged: the head of a stream and
//! images; both are small, whatever the stream holds. The other rows of a stream are remembered, for lists in chunks.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_api::image::{Image, ImageLookupPolicy, TagEvent, TagEventCondition, TagReference};
use pierhead_api::meta::{ObjectMeta, Time};
use pierhead_oci::MediaType;
use pierhead_store::{Record, RecordError, Revision, Table, TableName, first_version};
use serde::{Deserialize, Serialize};

use crate::manifest_record::ManifestRecord;

/// The number of a repository. A stream that is deleted and made again gets a new one.
pub(crate) type RepositoryId = u64;
/// A digest as part of a key.
pub(crate) type DigestKey = Vec<u8>;

/// Namespace and name → number. A repository may exist before its stream: blobs come before manifests.
pub(crate) static REPOSITORIES: Table<(String, String), RepositoryRecord> = Table::silent("repositories");
/// Number → namespace and name.
pub(crate) static REPOSITORY_NAMES: Table<RepositoryId, RepositoryName> = Table::silent("repository_names");
/// The last number given, under the name of what is numbered.
pub(crate) static SEQUENCES: Table<String, Sequence> = Table::silent("image_sequences");
/// Which blobs a repository may serve, and until when they are protected at least.
pub(crate) static LINKS: Table<(RepositoryId, DigestKey), LinkRecord> = Table::silent("blob_links");
/// The same pairs by blob.
pub(crate) static LINKED: Table<(DigestKey, RepositoryId), ()> = Table::silent("blob_linked_by");
/// Blobs that are too small for a file of their own.
pub(crate) static SMALL_BLOBS: Table<DigestKey, SmallBlob> = Table::silent("small_blobs");
/// Manifests by digest, whoever holds them.
pub(crate) static MANIFESTS: Table<DigestKey, ManifestRecord> = Table::silent("manifests");
/// Which manifests a repository may serve.
pub(crate) static HELD: Table<(RepositoryId, DigestKey), HeldRecord> = Table::silent("repository_manifests");
/// Manifests by the manifest they say something about.
pub(crate) static REFERRERS: Table<(RepositoryId, DigestKey, DigestKey), ReferrerRecord> =
    Table::silent("manifest_referrers");
/// What a stream is, without its tags.
pub(crate) static STREAMS: Table<(String, String), StreamRecord> = Table::remembered("image_stream_specs");
/// What watchers of streams follow: one small change per push.
pub(crate) static HEADS: Table<(String, String), HeadRecord> = Table::logged("image_streams");
/// The wanted tags.
pub(crate) static SPEC_TAGS: Table<(RepositoryId, String), SpecTagRecord> =
    Table::remembered("image_spec_tags");
/// What each tag points at now.
pub(crate) static TAGS: Table<(RepositoryId, String), TagRecord> = Table::remembered("image_tags");
/// What each tag ever pointed at, oldest first.
pub(crate) static TAG_EVENTS: Table<(RepositoryId, String, u64), TagEventRecord> =
    Table::remembered("image_tag_events");
/// The tags in whose history a digest is.
pub(crate) static TAG_IMAGES: Table<(RepositoryId, DigestKey, String), ()> =
    Table::silent("image_tag_digests");
/// What manifests refer to that came without it: repository, part, manifest. Pull-through fetches these parts only.
pub(crate) static REMOTE_PARTS: Table<(RepositoryId, DigestKey, DigestKey), RemotePart> =
    Table::silent("remote_parts");
/// Which tags of a repository follow which: followed tag, following tag.
pub(crate) static FOLLOWERS: Table<(RepositoryId, String, String), ()> = Table::silent("image_tag_followers");
/// Manifests that were deleted from a repository and could be fetched again: they are not, until somebody brings or tags
/// them anew.
pub(crate) static DELETED_MANIFESTS: Table<(RepositoryId, DigestKey), ()> =
    Table::silent("deleted_manifests");
/// Repositories whose stream was deleted, and whose rows are still being removed.
pub(crate) static DEAD_REPOSITORIES: Table<RepositoryId, ()> = Table::silent("dead_repositories");
/// Images by name.
pub(crate) static IMAGES: Table<String, ImageRecord> = Table::logged("images");

/// The tables of this crate, for opening the store.
pub fn tables() -> Vec<TableName> {
    vec![
        REPOSITORIES.name(),
        REPOSITORY_NAMES.name(),
        SEQUENCES.name(),
        LINKS.name(),
        LINKED.name(),
        SMALL_BLOBS.name(),
        MANIFESTS.name(),
        HELD.name(),
        REFERRERS.name(),
        STREAMS.name(),
        HEADS.name(),
        SPEC_TAGS.name(),
        TAGS.name(),
        TAG_EVENTS.name(),
        TAG_IMAGES.name(),
        REMOTE_PARTS.name(),
        FOLLOWERS.name(),
        DELETED_MANIFESTS.name(),
        DEAD_REPOSITORIES.name(),
        IMAGES.name(),
    ]
}

/// Those of them that streams, their tags and images are made of when they are listed as they were.
pub(crate) const fn listed_tables() -> [TableName; 6] {
    [HEADS.name(), STREAMS.name(), SPEC_TAGS.name(), TAGS.name(), TAG_EVENTS.name(), IMAGES.name()]
}

/// Those of them that watches follow.
pub const fn logged_tables() -> [TableName; 2] {
    [HEADS.name(), IMAGES.name()]
}

/// The bytes of a small blob: a byte of version, and they.
#[derive(Clone, Debug)]
pub(crate) struct SmallBlob(pub(crate) Bytes);

impl Record for SmallBlob {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.push(1);
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn decode(stored: &Bytes) -> Result<Self, RecordError> {
        match stored.first() {
            Some(1) => Ok(Self(stored.slice(1..))),
            Some(&found) => Err(RecordError::UnknownVersion { found }),
            None => Err(RecordError::Empty),
        }
    }
}

first_version!(
    RepositoryRecord,
    RepositoryName,
    Sequence,
    LinkRecord,
    HeldRecord,
    ReferrerRecord,
    StreamRecord,
    HeadRecord,
    SpecTagRecord,
    TagRecord,
    TagEventRecord,
    RemotePart,
    ImageRecord
);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RepositoryRecord {
    pub(crate) id: RepositoryId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RepositoryName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sequence {
    pub(crate) last: u64,
}

/// A blob in a repository. `touched` is the lease: nothing collects it for a day from then on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    #[serde(rename = "s")]
    pub(crate) size: u64,
    /// Seconds since 1970.
    #[serde(rename = "t")]
    pub(crate) touched: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HeldRecord {
    /// Seconds since 1970.
    #[serde(rename = "t")]
    pub(crate) since: i64,
    /// What the manifest is here, where whoever brought it first somewhere else said otherwise.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<MediaType>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReferrerRecord {
    pub(crate) descriptor: pierhead_oci::Descriptor,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StreamRecord {
    /// All but resourceVersion and generation, which are the head's.
    pub(crate) metadata: ObjectMeta,
    pub(crate) lookup_policy: ImageLookupPolicy,
    pub(crate) docker_image_repository: String,
}

/// The part of a stream that changes with every push.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HeadRecord {
    pub(crate) repository: RepositoryId,
    /// The stream's resourceVersion.
    pub(crate) revision: u64,
    /// The revision of the last change to what users wrote: metadata, spec, spec tags. Writers of those conflict only
    /// with each other, not with pushes.
    pub(crate) spec_revision: u64,
    pub(crate) generation: i64,
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
    /// For watchers with a selector, also of a deletion.
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether some spec tag follows another tag of this stream.
    pub(crate) has_trackers: bool,
    /// Whether they are listed as followers; streams of earlier versions do not have the list.
    #[serde(default)]
    pub(crate) followers_listed: bool,
    /// The tags that this change was about; empty when it was about the stream.
    pub(crate) changed: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpecTagRecord {
    pub(crate) tag: TagReference,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TagRecord {
    /// The newest item; the same as the last event.
    pub(crate) item: Option<Item>,
    /// The number of the last event.
    pub(crate) seq: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<TagEventCondition>,
}

/// What a tag points or pointed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    #[serde(rename = "c")]
    pub(crate) created: Timestamp,
    #[serde(rename = "r")]
    pub(crate) reference: String,
    #[serde(rename = "i")]
    pub(crate) image: String,
    #[serde(rename = "g")]
    pub(crate) generation: i64,
}

impl Item {
    pub(crate) fn to_api(&self) -> TagEvent {
        TagEvent {
            created: Some(Time(self.created)),
            docker_image_reference: self.reference.clone(),
            image: self.image.clone(),
            generation: self.generation,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TagEventRecord {
    #[serde(flatten)]
    pub(crate) item: Item,
    /// Who did it.
    #[serde(rename = "by")]
    pub(crate) actor: String,
    /// When; differs from the item's `created` when it was copied from another tag.
    #[serde(rename = "at")]
    pub(crate) at: Timestamp,
}

/// A blob or manifest that was not here when the manifest came that names it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RemotePart {
    /// Of a blob; manifests say 0.
    #[serde(rename = "s")]
    pub(crate) size: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) image: Image,
}

impl HeadRecord {
    pub(crate) const fn resource_version(&self) -> Revision {
        Revision::new(self.revision)
    }
}
