//! A manifest arrives: what it refers to is checked, and then the manifest, the image and the moves of tags that it
//! means are one transaction. Its cost depends on the manifest, never on what the stream holds already.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_api::image::{Image, ImageLookupPolicy};
use pierhead_api::meta::ObjectMeta;
use pierhead_auth::{CreateStream, Permit, Push};
use pierhead_oci::{Algorithm, Descriptor, Digest, ImageConfig, Manifest, ManifestKind, Reference, Tag};
use pierhead_store::{StoreError, WriteTx};
use tracing::{debug, info};

use crate::Images;
use crate::error::PushError;
use crate::image_metadata::pushed_image;
use crate::limits::image_bytes;
use crate::links::{RENEW_AFTER_S, declare, hold, link, refer, referrer};
use crate::manifest_record::{ManifestRecord, depth};
use crate::rows::{Rows, obtain_repository, stream_key, takes_streams};
use crate::stream_edit::{Authorship, StreamEdit};
use crate::tables::{DELETED_MANIFESTS, IMAGES, ImageRecord, Item, MANIFESTS, RepositoryId, StreamRecord};

/// Levels of indexes in indexes (reliability 8).
const MAX_DEPTH: u8 = 5;
/// Configs larger than this are kept and not looked into.
const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's name.
    pub digest: Digest,
    /// What the manifest says something about: the answer tells the client that this was understood.
    pub subject: Option<Digest>,
    /// The tags that point at it now.
    pub tags: Vec<Tag>,
}

/// Everything a push needs inside its transaction, made before it; but for the image object, which is there already
/// unless the manifest is new.
struct PushPlan {
    namespace: String,
    name: String,
    digest: Digest,
    manifest: Manifest,
    tags: Vec<Tag>,
    may_create: bool,
    by: Authorship,
}

/// What became of a plan in its transaction.
#[derive(PartialEq, Eq)]
enum Applied {
    All,
    /// Nothing was done: the image object was thought to be there, and is not.
    NeedsImage,
}

impl Images {
    /// Stores a manifest and points `reference`, if it is a tag, and `extra_tags` at it. Everything the manifest lists
    /// must be in the repository. Makes the stream if there is none and `create` allows it. Durable when it answers.
    pub async fn push_manifest(
        &self,
        permit: &Permit<Push>,
        create: Option<&Permit<CreateStream>>,
        reference: &Reference,
        extra_tags: &[Tag],
        manifest: Manifest,
    ) -> Result<Pushed, PushError> {
        let (digest, mut tags) = match reference {
            Reference::Tag(tag) => (manifest.digest(Algorithm::Sha256), vec![tag.clone()]),
            Reference::Digest(expected) => {
                let actual = manifest.digest(expected.algorithm());
                if actual != *expected {
                    let (expected, actual) = (Box::new(expected.clone()), Box::new(actual));
                    return Err(PushError::DigestMismatch { expected, actual });
                }
                (actual, Vec::new())
            }
        };
        tags.extend(extra_tags.iter().filter(|tag| Some(*tag) != tags.first()).cloned().collect::<Vec<_>>());
        let may_create = create.is_some_and(|create| create.namespace() == permit.namespace());
        let (namespace, name) = stream_key(permit.namespace(), permit.name());
        let subject = manifest.subject().map(|subject| subject.digest.clone());
        let by = self.authorship(permit);

        let _kept = self.stripe(&digest).read().await;
        if manifest.bytes().len() > crate::manifest_record::INLINE_LIMIT {
            self.blobs().put(&digest, Bytes::from_owner(manifest.shared_bytes())).await?;
        }
        let plan = PushPlan {
            namespace,
            name,
            digest: digest.clone(),
            manifest,
            tags: tags.clone(),
            may_create,
            by,
        };
        self.carry_out(&Arc::new(plan)).await?;
        info!(repository = %format_args!("{}/{}", permit.namespace(), permit.name()), %digest, "Pushed manifest {digest}");
        Ok(Pushed { digest, subject, tags })
    }

    /// Writes a push. An image object that was there a moment ago is not looked for before the transaction, which looks
    /// anyway.
    async fn carry_out(&self, plan: &Arc<PushPlan>) -> Result<(), PushError> {
        let digest = plan.digest.to_string();
        let is_there =
            self.0.pushed.contains_key(&plan.digest) || self.store().read(|tx| tx.has(&IMAGES, &digest))?;
        let image = if is_there { None } else { Some(self.image_of(plan).await?) };
        if self.apply(plan, image).await? == Applied::NeedsImage {
            let image = self.image_of(plan).await?;
            self.apply(plan, Some(image)).await?;
        }
        self.0.pushed.insert(plan.digest.clone(), ());
        Ok(())
    }

    async fn apply(&self, plan: &Arc<PushPlan>, image: Option<Image>) -> Result<Applied, PushError> {
        let (plan, shared) = (Arc::clone(plan), Arc::clone(&self.0));
        self.write(move |tx| plan.apply(tx, &Images(Arc::clone(&shared)), image.as_ref())).await
    }

    /// The image object of a push. Reads the config, which must not happen in the transaction; a config that is missing
    /// or strange is no reason to refuse a manifest here.
    async fn image_of(&self, plan: &PushPlan) -> Result<Image, PushError> {
        let PushPlan { namespace, name, digest, manifest, .. } = plan;
        let digest = digest.to_string();
        let config = match manifest.kind() {
            ManifestKind::Image { config, .. } => self.config_of(namespace, name, config).await?,
            ManifestKind::Index { .. } => None,
        };
        let reference = self.pull_spec(namespace, name, &digest);
        Ok(pushed_image(&digest, reference, self.0.clock.now(), manifest, config.as_ref()))
    }

    pub(crate) async fn config_of(
        &self,
        namespace: &str,
        name: &str,
        descriptor: &Descriptor,
    ) -> Result<Option<ImageConfig>, StoreError> {
        let linked = self.store().read(|tx| {
            let Some(repository) = tx.repository(namespace, name)? else { return Ok::<_, StoreError>(None) };
            tx.link(repository, &descriptor.digest)
        })?;
        let Some(linked) = linked.filter(|linked| linked.size <= MAX_CONFIG_BYTES) else { return Ok(None) };
        let content = match self.small_blob(&descriptor.digest)? {
            Some(content) => Ok(content),
            None => self.blobs().content(&descriptor.digest, linked.size).await,
        };
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                debug!(digest = %descriptor.digest, %error, "A config cannot be read");
                return Ok(None);
            }
        };
        match ImageConfig::parse(&content) {
            Ok(config) => Ok(Some(config)),
            Err(error) => {
                debug!(digest = %descriptor.digest, %error, "A config is not that of an image");
                Ok(None)
            }
        }
    }
}

impl PushPlan {
    fn apply(
        &self,
        tx: &mut WriteTx<'_>,
        images: &Images,
        image: Option<&Image>,
    ) -> Result<Applied, PushError> {
        let digest = self.digest.to_string();
        let image_is_there = tx.has(&IMAGES, &digest)?;
        if !image_is_there && image.is_none() {
            return Ok(Applied::NeedsImage);
        }
        let head = tx.head(&self.namespace, &self.name)?;
        if head.is_none() && !self.may_create {
            return Err(self.stream_missing());
        }
        let repository = match &head {
            Some(head) => head.repository,
            // Otherwise the client would be told of blobs that it cannot bring.
            None if !takes_streams(tx, &self.namespace)? => return Err(self.stream_missing()),
            None => obtain_repository(tx, &self.namespace, &self.name)?,
        };
        let child_depth = self.check_children(tx, repository)?;
        let record = ManifestRecord::new(&self.manifest, child_depth);
        self.check_blobs(tx, repository, &record)?;
        let declared = self.store_manifest(tx, repository, &record)?;
        // An image that exists stays as it is, also if it came by an import (images 11, 51).
        if let Some(image) = image.filter(|_| !image_is_there) {
            let mut image = image.clone();
            image.metadata.resource_version = tx.next_revision().to_string();
            tx.put(&IMAGES, &digest, &ImageRecord { image })?;
        }
        let mut edit = match head {
            Some(head) => StreamEdit::of(tx, &self.namespace, &self.name, head, &self.by)?,
            None => {
                let mut stream = empty_stream();
                images.config().mark_checked(&mut stream.metadata, self.by.now);
                StreamEdit::create(tx, &self.namespace, &self.name, stream, &self.by)?
            }
        };
        edit.limits.check_size(image_bytes(&record.header))?;
        let item = Item {
            created: created_now(self.by.now),
            reference: images.pull_spec(&self.namespace, &self.name, &digest),
            image: digest,
            generation: edit.head.generation,
        };
        for tag in &self.tags {
            edit.add_item(tag.as_str(), &item, None)?;
        }
        if declared {
            // Whoever keeps manifests in memory must look again.
            edit.mark();
        }
        edit.finish()?;
        Ok(Applied::All)
    }

    fn stream_missing(&self) -> PushError {
        let (namespace, name) = stream_key(&self.namespace, &self.name);
        PushError::StreamMissing { namespace, name }
    }

    /// The blobs of the manifest must be linked here and as long as it says. Their leases are renewed: what was
    /// checked stays until the manifest is there to keep it.
    fn check_blobs(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        record: &ManifestRecord,
    ) -> Result<(), PushError> {
        let now = self.by.now.as_second();
        let mut missing = Vec::new();
        for part in record.header.blobs() {
            let Some(found) = tx.link(repository, &part.digest)? else {
                missing.push(part.digest.clone());
                continue;
            };
            if found.size != part.size {
                let (digest, actual) = (Box::new(part.digest.clone()), found.size);
                return Err(PushError::SizeMismatch { digest, expected: part.size, actual });
            }
            if now - found.touched >= RENEW_AFTER_S {
                link(tx, repository, &part.digest, found.size, now)?;
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(PushError::MissingBlobs { digests: missing }) }
    }

    /// The manifests of an index must be here. Says how deep the deepest goes; `None` for an image.
    fn check_children(&self, tx: &WriteTx<'_>, repository: RepositoryId) -> Result<Option<u8>, PushError> {
        let ManifestKind::Index { manifests } = self.manifest.kind() else { return Ok(None) };
        let mut missing = Vec::new();
        let mut deepest = 0;
        for child in manifests {
            let held = tx.holds(repository, &child.digest)?;
            match tx.row(&MANIFESTS, &child.digest.to_key())?.filter(|_| held) {
                Some(record) if record.header.children.is_empty() => {}
                Some(_) => deepest = deepest.max(depth(tx, &child.digest, MAX_DEPTH)?),
                None => missing.push(child.digest.clone()),
            }
        }
        if !missing.is_empty() {
            return Err(PushError::MissingManifests { digests: missing });
        }
        if deepest >= MAX_DEPTH {
            return Err(PushError::TooDeep { limit: MAX_DEPTH });
        }
        Ok(Some(deepest))
    }

    /// Says whether a manifest that was here is another type of manifest now.
    fn store_manifest(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        record: &ManifestRecord,
    ) -> Result<bool, PushError> {
        let key = self.digest.to_key();
        let is_new = !tx.has(&MANIFESTS, &key)?;
        if is_new {
            tx.put(&MANIFESTS, &key, record)?;
        }
        if hold(tx, repository, &self.digest, self.by.now.as_second())? {
            // Whoever pushes a deleted manifest wants it again.
            tx.delete(&DELETED_MANIFESTS, &(repository, key))?;
        }
        let changed = !is_new && declare(tx, repository, &self.digest, &record.header.media_type)?;
        if let Some((subject, referrer)) = self.manifest.subject().zip(referrer(&self.manifest, &self.digest))
        {
            refer(tx, repository, &subject.digest, referrer)?;
        }
        Ok(changed)
    }
}

/// A stream as the first push or import makes it.
pub(crate) fn empty_stream() -> StreamRecord {
    StreamRecord {
        metadata: ObjectMeta::default(),
        lookup_policy: ImageLookupPolicy::default(),
        docker_image_repository: String::new(),
    }
}

/// Times in objects are whole seconds.
pub(crate) fn created_now(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
