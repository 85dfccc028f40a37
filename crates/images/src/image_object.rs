//! Images as objects: read, listed, made by imports, changed, deleted, signed (images 3.8).

use std::sync::Arc;

use bytes::Bytes;
use pierhead_api::field::FieldErrors;
use pierhead_api::image::{Image, ImageSignature, ImageStreamMapping, annotation, stream_image};
use pierhead_api::meta::{ObjectMeta, Preconditions};
use pierhead_auth::{Api, Permit};
use pierhead_blobs::UploadError;

use pierhead_oci::{Digest, ImageConfig, Manifest, ManifestKind};
use pierhead_store::{Change, KeyRange, Revision, StoreError, WriteTx};
use tokio::sync::RwLockReadGuard;
use tracing::debug;

use crate::Images;
use crate::error::StreamError;
use crate::image_metadata::{describe, pushed_image};
use crate::limits::image_limits;
use crate::links::{Giver, adopt, has_all_parts, keep_record, taking_refusal};
use crate::manifest_record::{INLINE_LIMIT, ManifestRecord, child_depth};
use crate::push::created_now;
use crate::rows::Rows;
use crate::stream::{DryRun, ObjectPage, check_preconditions, missing};
use crate::stream_edit::StreamEdit;
use crate::tables::{IMAGES, ImageRecord, Item, MANIFESTS, RepositoryId};

const IMAGES_RESOURCE: &str = "images";

/// What the change log says about an image.
#[derive(Clone, Debug)]
pub struct ImageChange {
    /// The image after the change; `None` after a deletion.
    pub value: Option<Image>,
    /// The image before the change; `None` before a creation.
    pub previous: Option<Image>,
}

/// Which images somebody may map into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayMap {
    /// Any: for those who may read every image of the cluster, as registries may.
    Every,
    /// Those that they could push there. Whether there are others, they are not told.
    Pushable,
}

impl Images {
    /// An image, or `None`.
    pub fn image(&self, name: &str) -> Result<Option<Image>, StreamError> {
        let record = self.store().read(|tx| tx.row(&IMAGES, &name.to_owned()))?;
        Ok(record.map(|record| record.image))
    }

    /// The images after one of them, in the order of their names; as they were at a revision, or are.
    pub fn list_images(
        &self,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<ObjectPage<Image>, StreamError> {
        let mut range = KeyRange::all();
        if let Some(after) = after {
            range = range.after(&after.to_owned());
        }
        self.read_listed(at, |tx| {
            let rows = tx.rows(&IMAGES, &range, limit.saturating_add(1).min(crate::rows::ALL))?;
            let more = rows.len() > limit;
            let items = rows.into_iter().take(limit).map(|(_, record)| record.image).collect();
            Ok(ObjectPage { items, more, revision: tx.revision() })
        })
    }

    /// What a row of the change log says about an image; `None` when it is about something else.
    pub fn image_change(&self, change: &Change) -> Option<Result<ImageChange, StoreError>> {
        let typed = IMAGES.change(change)?;
        Some(typed.map(|typed| ImageChange {
            value: typed.value.map(|record| record.image),
            previous: typed.previous.map(|record| record.image),
        }))
    }

    /// Makes an image of a manifest that is elsewhere, as imports do.
    pub async fn create_image(
        &self,
        _permit: &Permit<Api>,
        image: Image,
        dry_run: DryRun,
    ) -> Result<Image, StreamError> {
        StreamError::invalid_if("Image", &image.metadata.name, image.validate())?;
        let new = self.prepare(image);
        let _kept = self.keep_large_manifest(&new).await?;
        self.edit(dry_run, move |tx| {
            let name = new.image.metadata.name.clone();
            if tx.row(&IMAGES, &name)?.is_some() {
                return Err(StreamError::AlreadyExists { resource: IMAGES_RESOURCE, name });
            }
            Ok(new.store(tx)?)
        })
        .await
    }

    /// Changes an image. What was read out of the manifest stays; the manifest itself may be given later, if it is the
    /// one of the name.
    pub async fn update_image(
        &self,
        _permit: &Permit<Api>,
        image: Image,
        dry_run: DryRun,
    ) -> Result<Image, StreamError> {
        let manifest = readable_manifest(&image);
        self.edit(dry_run, move |tx| {
            let name = image.metadata.name.clone();
            let stored = tx.row(&IMAGES, &name)?.ok_or_else(|| unknown(&name))?.image;
            StreamError::invalid_if("Image", &name, image.validate_update(&stored))?;
            check_version(&image.metadata, &stored.metadata)?;
            let mut updated = image.clone();
            keep_what_is_fixed(&mut updated, &stored, manifest.is_some());
            name_group(&mut updated);
            if updated == stored {
                return Ok(stored);
            }
            updated.metadata.resource_version = tx.next_revision().to_string();
            tx.put(&IMAGES, &name, &ImageRecord { image: updated.clone() })?;
            Ok(updated)
        })
        .await
    }

    /// Deletes an image: streams that name it cannot be pulled from by it any more.
    pub async fn delete_image(
        &self,
        _permit: &Permit<Api>,
        name: &str,
        preconditions: Preconditions,
        dry_run: DryRun,
    ) -> Result<Image, StreamError> {
        let name = name.to_owned();
        self.edit(dry_run, move |tx| {
            let stored = tx.row(&IMAGES, &name)?.ok_or_else(|| unknown(&name))?.image;
            check_preconditions(IMAGES_RESOURCE, &stored.metadata, &preconditions)?;
            tx.delete(&IMAGES, &name)?;
            if let Ok(digest) = name.parse::<Digest>() {
                tx.delete(&MANIFESTS, &digest.to_key())?;
            }
            Ok(stored)
        })
        .await
    }

    /// Adds a signature to the image that its name begins with.
    pub async fn create_signature(
        &self,
        _permit: &Permit<Api>,
        signature: ImageSignature,
        dry_run: DryRun,
    ) -> Result<ImageSignature, StreamError> {
        StreamError::invalid_if("ImageSignature", &signature.metadata.name, signature.validate())?;
        let now = self.0.clock.now();
        self.edit(dry_run, move |tx| {
            let full = &signature.metadata.name;
            let Some((name, _)) = stream_image(full) else { return Err(unknown(full)) };
            let mut image = tx.row(&IMAGES, &name.to_owned())?.ok_or_else(|| unknown(name))?.image;
            let same = |known: &ImageSignature| {
                known.metadata.name == *full
                    || (known.signature_type == signature.signature_type
                        && known.content == signature.content)
            };
            if image.signatures.iter().any(same) {
                return Err(StreamError::AlreadyExists { resource: "imagesignatures", name: full.clone() });
            }
            // What a verifier found is not for the uploader to say.
            let metadata =
                ObjectMeta { creation_timestamp: Some(now.into()), ..ObjectMeta::named(full.clone()) };
            let added = ImageSignature {
                metadata,
                signature_type: signature.signature_type.clone(),
                content: signature.content.clone(),
                ..ImageSignature::default()
            };
            image.signatures.push(added.clone());
            image.metadata.resource_version = tx.next_revision().to_string();
            tx.put(&IMAGES, &name.to_owned(), &ImageRecord { image })?;
            Ok(added)
        })
        .await
    }

    /// Removes a signature by its full name, `<image>@<signature>`.
    pub async fn delete_signature(
        &self,
        _permit: &Permit<Api>,
        full_name: &str,
        dry_run: DryRun,
    ) -> Result<(), StreamError> {
        let full = full_name.to_owned();
        self.edit(dry_run, move |tx| {
            let gone = || StreamError::NotFound { resource: "imagesignatures", name: full.clone() };
            let Some((name, _)) = stream_image(&full) else { return Err(gone()) };
            let mut image = tx.row(&IMAGES, &name.to_owned())?.ok_or_else(gone)?.image;
            let before = image.signatures.len();
            image.signatures.retain(|signature| signature.metadata.name != full);
            if image.signatures.len() == before {
                return Err(gone());
            }
            image.metadata.resource_version = tx.next_revision().to_string();
            tx.put(&IMAGES, &name.to_owned(), &ImageRecord { image })?;
            Ok(())
        })
        .await
    }

    /// Puts an image into a stream under a tag, making the image if there is none: what a stand-alone registry or an
    /// import posts.
    pub async fn create_mapping(
        &self,
        permit: &Permit<Api>,
        mut mapping: ImageStreamMapping,
        may_map: MayMap,
        dry_run: DryRun,
    ) -> Result<(), StreamError> {
        mapping.metadata.namespace = permit.namespace().to_owned();
        let stream = self.mapped_stream(&mapping)?;
        if mapping.image.docker_image_reference.is_empty() {
            let name = mapping.image.metadata.name.clone();
            mapping.image.docker_image_reference = self.pull_spec(permit.namespace(), &stream, &name);
        }
        let mut errors = mapping.validate();
        let reference = mapping.image.docker_image_reference.parse().ok();
        if let Some(refusal) = reference.and_then(|reference| self.import_refusal(&reference, true)) {
            errors.forbidden("image.dockerImageReference", refusal);
        }
        StreamError::invalid_if("ImageStreamMapping", &stream, errors)?;
        mapping.image.signatures.clear();
        let managed = mapping.image.is_managed();
        let (sent, tag) = (mapping.image.docker_image_reference.clone(), mapping.tag);
        let new = match may_map {
            MayMap::Every => self.prepare(mapping.image),
            MayMap::Pushable => self.prepare_as_pushed(permit.namespace(), &stream, mapping.image).await?,
        };
        let _kept = self.keep_large_manifest(&new).await?;
        let (by, images) = (self.authorship(permit), self.clone());
        let namespace = permit.namespace().to_owned();
        self.edit(dry_run, move |tx| {
            let name = new.image.metadata.name.clone();
            let head = tx.head(&namespace, &stream)?.ok_or_else(|| missing(&stream))?;
            if may_map == MayMap::Pushable && !new.is_pushable(tx, head.repository)? {
                return Err(not_pushable(&stream, &name));
            }
            let stored = tx.row(&IMAGES, &name)?.map(|record| record.image);
            let existed = stored.is_some();
            let size = stored.as_ref().unwrap_or(&new.image).docker_image().map_or(0, |image| image.size);
            if let Err(exceeded) = image_limits(tx, &namespace)?.check_size(size) {
                let (resource, name) = ("imagestreammappings", stream.clone());
                return Err(StreamError::Forbidden { resource, name, why: exceeded.to_string() });
            }
            if !existed && may_map == MayMap::Pushable && new.manifest.is_none() {
                return Err(not_pushable(&stream, &name));
            }
            if !existed {
                new.store_object(tx)?;
            }
            let digest = name.parse::<Digest>().ok();
            if let Some((digest, manifest)) = digest.as_ref().zip(new.manifest.as_deref()) {
                // It may be one that was here before: then nothing has protected its parts since.
                let record = ManifestRecord::new(manifest, child_depth(tx, manifest)?);
                keep_record(tx, head.repository, digest, &record, by.now.as_second())?;
            }
            if let Some(digest) = &digest
                && let Some(detail) = taking_refusal(tx, head.repository, digest)?
            {
                let mut errors = FieldErrors::new();
                errors.invalid("image.metadata.name", name.as_str(), detail);
                return StreamError::invalid_if("ImageStreamMapping", &stream, errors);
            }
            let mut edit = StreamEdit::open(tx, &namespace, &stream, &by)?.ok_or_else(|| missing(&stream))?;
            let reference =
                if existed && managed { images.pull_spec(&namespace, &stream, &name) } else { sent.clone() };
            let (created, generation) = (created_now(by.now), edit.head.generation);
            edit.add_item(&tag, &Item { created, reference, image: name.clone(), generation }, None)?;
            // Of what may only be mapped where it could be pushed, everything is here.
            if let Some(digest) = digest {
                adopt(edit.tx, edit.head.repository, &digest, Giver::Anywhere, by.now.as_second())?;
            }
            edit.finish()?;
            Ok(())
        })
        .await
    }

    /// The stream a mapping is for: by name, or by the repository that old registries send.
    fn mapped_stream(&self, mapping: &ImageStreamMapping) -> Result<String, StreamError> {
        if !mapping.metadata.name.is_empty() {
            return Ok(mapping.metadata.name.clone());
        }
        let repository = &mapping.docker_image_repository;
        let page = self.list_streams(Some(&mapping.metadata.namespace), None, crate::rows::ALL, None)?;
        let named = |stream: &pierhead_api::image::ImageStream| {
            [&stream.spec.docker_image_repository, &stream.status.docker_image_repository]
                .contains(&repository)
        };
        let found = page.items.into_iter().find(named).map(|stream| stream.metadata.name);
        found.ok_or_else(|| missing(repository))
    }

    /// A manifest that does not fit its row is a blob, which must be there before the row. Nothing collects it while
    /// the answer is held.
    async fn keep_large_manifest(
        &self,
        new: &NewImage,
    ) -> Result<Option<RwLockReadGuard<'_, ()>>, StreamError> {
        let Some(manifest) = new.manifest.as_ref().filter(|manifest| manifest.bytes().len() > INLINE_LIMIT)
        else {
            return Ok(None);
        };
        let Ok(digest) = new.image.metadata.name.parse::<Digest>() else { return Ok(None) };
        let kept = self.stripe(&digest).read().await;
        self.blobs().put(&digest, Bytes::from_owner(manifest.shared_bytes())).await?;
        Ok(Some(kept))
    }

    fn prepare(&self, mut image: Image) -> NewImage {
        image.metadata.uid = uuid::Uuid::new_v4().to_string();
        image.metadata.creation_timestamp = Some(self.0.clock.now().into());
        image.metadata.namespace.clear();
        name_group(&mut image);
        let manifest = readable_manifest(&image);
        let described = image.docker_image_metadata.is_some() || !image.docker_image_layers.is_empty();
        if let Some(manifest) = manifest.as_ref().filter(|_| !described) {
            let config = ImageConfig::parse(image.docker_image_config.as_bytes());
            if let Err(error) = &config {
                debug!(image = %image.metadata.name, %error, "The config of an image cannot be read");
            }
            describe(&mut image, manifest, config.ok().as_ref());
        }
        strip_stored(&mut image);
        NewImage { image, manifest: manifest.map(Arc::new) }
    }
}

impl Images {
    /// An image as a push makes it of the manifest and the config in the repository. Everybody sees an image under its
    /// digest, so who may only push may say nothing else about it.
    async fn prepare_as_pushed(
        &self,
        namespace: &str,
        stream: &str,
        mut image: Image,
    ) -> Result<NewImage, StreamError> {
        let manifest = match readable_manifest(&image) {
            Some(manifest) => Some(manifest),
            None => self.held_manifest(namespace, stream, &image.metadata.name).await?,
        };
        if let Some(manifest) = &manifest {
            let config = match manifest.kind() {
                ManifestKind::Image { config, .. } => self.config_of(namespace, stream, config).await?,
                ManifestKind::Index { .. } => None,
            };
            let name = &image.metadata.name;
            let reference = self.pull_spec(namespace, stream, name);
            image = pushed_image(name, reference, self.0.clock.now(), manifest, config.as_ref());
        }
        Ok(NewImage { image, manifest: manifest.map(Arc::new) })
    }

    /// A manifest that the repository has, whether there is an image object of it or not.
    async fn held_manifest(
        &self,
        namespace: &str,
        stream: &str,
        name: &str,
    ) -> Result<Option<Manifest>, StreamError> {
        let Ok(digest) = name.parse::<Digest>() else { return Ok(None) };
        let record = self.store().read(|tx| {
            let Some(repository) = tx.repository(namespace, stream)? else {
                return Ok::<_, StoreError>(None);
            };
            if tx.holds(repository, &digest)? { tx.row(&MANIFESTS, &digest.to_key()) } else { Ok(None) }
        })?;
        let Some(ManifestRecord { header, bytes }) = record else { return Ok(None) };
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => self.blobs().content(&digest, header.size).await.map_err(UploadError::from)?,
        };
        Ok(Manifest::parse(header.media_type.as_str(), &*bytes).ok())
    }
}

/// An image that is about to be stored, with its manifest if that came along.
struct NewImage {
    image: Image,
    manifest: Option<Arc<Manifest>>,
}

impl NewImage {
    /// Whether a push could have put the image where it is to be.
    fn is_pushable(&self, rows: &impl Rows, repository: RepositoryId) -> Result<bool, StoreError> {
        let Ok(digest) = self.image.metadata.name.parse::<Digest>() else { return Ok(false) };
        if rows.holds(repository, &digest)? {
            return Ok(true);
        }
        let Some(manifest) = &self.manifest else { return Ok(false) };
        has_all_parts(rows, repository, &ManifestRecord::new(manifest, None).header)
    }

    fn store(&self, tx: &mut WriteTx<'_>) -> Result<Image, StoreError> {
        if let (Some(manifest), Ok(digest)) = (&self.manifest, self.image.metadata.name.parse::<Digest>()) {
            let depth = child_depth(tx, manifest)?;
            tx.put(&MANIFESTS, &digest.to_key(), &ManifestRecord::new(manifest, depth))?;
        }
        self.store_object(tx)
    }

    /// The object alone.
    fn store_object(&self, tx: &mut WriteTx<'_>) -> Result<Image, StoreError> {
        let mut image = self.image.clone();
        let name = image.metadata.name.clone();
        image.metadata.resource_version = tx.next_revision().to_string();
        tx.put(&IMAGES, &name, &ImageRecord { image: image.clone() })?;
        Ok(image)
    }
}

/// One answer for images that are elsewhere and for images that are nowhere.
fn not_pushable(stream: &str, image: &str) -> StreamError {
    let mut errors = FieldErrors::new();
    let detail = "neither is the image in this image stream, nor are its manifest and all that it refers to";
    errors.invalid("image.metadata.name", image, detail);
    StreamError::Invalid { kind: "ImageStreamMapping", name: stream.to_owned(), errors }
}

/// The manifest in the object, if it is one and the image is named after it.
fn readable_manifest(image: &Image) -> Option<Manifest> {
    let name: Digest = image.metadata.name.parse().ok()?;
    let bytes = image.docker_image_manifest.as_bytes();
    let named = !bytes.is_empty() && Digest::of(name.algorithm(), bytes) == name;
    if !named {
        return None;
    }
    Manifest::parse(&image.docker_image_manifest_media_type, bytes.to_vec()).ok()
}

/// Clients of all ages send the metadata in either form; it is kept in the group's (images 1.5).
fn name_group(image: &mut Image) {
    let version = image.docker_image_metadata.as_mut().and_then(|metadata| metadata.get_mut("apiVersion"));
    if let Some(version) = version.filter(|version| **version == "1.0") {
        *version = "image.openshift.io/1.0".into();
    }
}

/// Manifest and config are in the blob store where the annotation says so.
fn strip_stored(image: &mut Image) {
    if image.metadata.annotation(annotation::MANIFEST_BLOB_STORED) == Some("true") {
        image.docker_image_manifest.clear();
        image.docker_image_config.clear();
    }
}

fn keep_what_is_fixed(updated: &mut Image, stored: &Image, manifest_fits: bool) {
    updated.metadata = ObjectMeta {
        uid: stored.metadata.uid.clone(),
        creation_timestamp: stored.metadata.creation_timestamp,
        resource_version: stored.metadata.resource_version.clone(),
        generation: stored.metadata.generation,
        ..updated.metadata.clone()
    };
    if stored.docker_image_metadata.is_some() {
        updated.docker_image_metadata.clone_from(&stored.docker_image_metadata);
        updated.docker_image_metadata_version.clone_from(&stored.docker_image_metadata_version);
        updated.docker_image_layers.clone_from(&stored.docker_image_layers);
        updated.docker_image_manifests.clone_from(&stored.docker_image_manifests);
    }
    if !stored.docker_image_signatures.is_empty() {
        updated.docker_image_signatures.clone_from(&stored.docker_image_signatures);
    }
    if !manifest_fits {
        updated.docker_image_manifest.clone_from(&stored.docker_image_manifest);
        updated.docker_image_config.clone_from(&stored.docker_image_config);
        updated.docker_image_manifest_media_type.clone_from(&stored.docker_image_manifest_media_type);
    }
    strip_stored(updated);
}

fn check_version(sent: &ObjectMeta, stored: &ObjectMeta) -> Result<(), StreamError> {
    let same_uid = sent.uid.is_empty() || sent.uid == stored.uid;
    let same_version = sent.resource_version.is_empty() || sent.resource_version == stored.resource_version;
    if same_uid && same_version {
        return Ok(());
    }
    let (name, newest) = (stored.name.clone(), stored.resource_version.clone());
    Err(StreamError::Conflict { resource: IMAGES_RESOURCE, name, newest })
}

fn unknown(name: &str) -> StreamError {
    StreamError::not_found(IMAGES_RESOURCE, name)
}
