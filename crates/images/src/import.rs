//! Results of an import become tags, images and conditions, in one transaction (images 5.4).
//!
//! Owns what is written and when nothing is. Fetching is the importer's: what arrives here was compared with its digest.
//! Manifests and configs are kept, so that what was imported is served when its source is gone; layers are fetched by
//! whoever pulls them. A layer that another repository happens to have is not given to this one: only who proves to have
//! the bytes gets them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use pierhead_api::core::ObjectReference;
use pierhead_api::image::{
    Image, ImageStream, TagEventCondition, TagImportPolicy, TagReference, TagReferencePolicy, annotation,
};
use pierhead_api::meta::Time;
use pierhead_auth::{Api, Permit};
use pierhead_oci::{Algorithm, Digest, ImageConfig, ImageReference, Manifest, ManifestKind};
use pierhead_store::{Revision, StoreError, WriteTx};
use tracing::debug;

use crate::Images;
use crate::error::StreamError;
use crate::image_metadata::describe;
use crate::images::Config;
use crate::links::{Giver, adopt, keep_record, link, referrer, take_in};
use crate::manifest_record::{INLINE_LIMIT, ManifestRecord, child_depth};
use crate::push::{created_now, empty_stream};
use crate::rows::{Rows, stream_key};
use crate::small_blobs::SMALL_BYTES;
use crate::stream::{DryRun, STREAMS_RESOURCE, missing};
use crate::stream_edit::{Authorship, StreamEdit};
use crate::tables::{IMAGES, ImageRecord, Item, MANIFESTS, SMALL_BLOBS, STREAMS, SmallBlob};

/// Type of the condition that tells how the last import of a tag went.
pub const IMPORT_SUCCESS: &str = "ImportSuccess";

/// Everything one import found out about one stream.
#[derive(Clone, Debug)]
pub struct ImportWrite {
    /// Name of the stream; it is made if there is none.
    pub stream: String,
    /// The stream the import was asked about; `None` when it was to be made, or any would do.
    pub seen: Option<SeenStream>,
    /// Results by tag, in the order in which they count.
    pub tags: Vec<TagImport>,
    /// Why a repository could not be listed.
    pub repository_failure: Option<String>,
}

impl ImportWrite {
    /// The images that are here, as often as they are named.
    fn fetched(&self) -> impl Iterator<Item = &Arc<FetchedImage>> {
        self.tags.iter().filter_map(|tag| match &tag.outcome {
            ImportOutcome::Fetched(image) => Some(image),
            ImportOutcome::Failed { .. } => None,
        })
    }
}

/// Which stream somebody saw. Empty texts match anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenStream {
    /// Its uid.
    pub uid: String,
    /// Its version. Pushes since then do not matter, changes of what is wanted do.
    pub resource_version: String,
}

/// The result for one tag.
#[derive(Clone, Debug)]
pub struct TagImport {
    /// The tag of the stream.
    pub tag: String,
    /// The image as the importer was asked for it.
    pub from: String,
    /// As asked for.
    pub import_policy: TagImportPolicy,
    /// As asked for; holds only for a tag that had none.
    pub reference_policy: TagReferencePolicy,
    /// What came of it.
    pub outcome: ImportOutcome,
}

/// What came of importing one image.
#[derive(Clone, Debug)]
pub enum ImportOutcome {
    /// It is here.
    Fetched(Arc<FetchedImage>),
    /// It is not; the texts become the tag's condition.
    Failed {
        /// For programs, such as `NotFound`.
        reason: String,
        /// For people.
        message: String,
    },
}

/// An image as it came from elsewhere.
#[derive(Clone, Debug)]
pub struct FetchedImage {
    /// The most exact pull spec that is known, in the caller's spelling of the host.
    pub reference: String,
    /// The manifest itself.
    pub manifest: FetchedManifest,
    /// The manifests below it, those that list others after what they list.
    pub children: Vec<FetchedManifest>,
}

/// A manifest with the config it names.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    digest: Digest,
    manifest: Manifest,
    config: Option<Bytes>,
}

impl FetchedManifest {
    /// A manifest; `config` counts only if it is the one that the manifest names.
    pub fn new(algorithm: Algorithm, manifest: Manifest, config: Option<Bytes>) -> Self {
        let digest = manifest.digest(algorithm);
        let config = match manifest.kind() {
            ManifestKind::Image { config: descriptor, .. } => config.filter(|bytes| {
                bytes.len() as u64 == descriptor.size
                    && Digest::of(descriptor.digest.algorithm(), bytes) == descriptor.digest
            }),
            ManifestKind::Index { .. } => None,
        };
        Self { digest, manifest, config }
    }

    /// Its name.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The manifest.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The config, where there is one.
    pub const fn config(&self) -> Option<&Bytes> {
        self.config.as_ref()
    }

    /// The image object, with manifest and config in it. `reference` is its pull spec.
    pub fn image(&self, reference: String, now: Timestamp) -> Image {
        let mut image = Image { docker_image_reference: reference, ..Image::default() };
        image.metadata.name = self.digest.to_string();
        image.metadata.creation_timestamp = Some(now.into());
        let config = self.config.as_deref().map(ImageConfig::parse);
        let config = match config {
            Some(Err(error)) => {
                debug!(digest = %self.digest, %error, "A config is not that of an image");
                None
            }
            Some(Ok(config)) => Some(config),
            None => None,
        };
        describe(&mut image, &self.manifest, config.as_ref());
        image.docker_image_manifest = String::from_utf8_lossy(self.manifest.bytes()).into_owned();
        image.docker_image_config = self
            .config
            .as_deref()
            .map(|config| String::from_utf8_lossy(config).into_owned())
            .unwrap_or_default();
        image
    }

    /// What does not fit into rows.
    fn files(&self) -> impl Iterator<Item = (Digest, Bytes)> {
        let manifest = (self.manifest.bytes().len() > INLINE_LIMIT)
            .then(|| (self.digest.clone(), Bytes::from_owner(self.manifest.shared_bytes())));
        let config = self.named_config().filter(|(_, content)| content.len() as u64 > SMALL_BYTES);
        manifest.into_iter().chain(config)
    }

    fn named_config(&self) -> Option<(Digest, Bytes)> {
        let ManifestKind::Image { config: descriptor, .. } = self.manifest.kind() else { return None };
        Some((descriptor.digest.clone(), self.config.clone()?))
    }
}

impl FetchedImage {
    /// All manifests, those that list others after what they list.
    pub fn manifests(&self) -> impl Iterator<Item = &FetchedManifest> {
        self.children.iter().chain([&self.manifest])
    }

    /// The image object as it is stored: manifest and config are kept as bytes.
    fn object_of(&self, manifest: &FetchedManifest, now: Timestamp) -> Image {
        let mut object = manifest.image(self.reference_to(&manifest.digest), now);
        object.metadata.uid = uuid::Uuid::new_v4().to_string();
        object.docker_image_manifest.clear();
        object.docker_image_config.clear();
        object
    }

    /// The pull spec of one of the manifests.
    pub fn reference_to(&self, digest: &Digest) -> String {
        let repository = self.reference.split_once('@').map_or(self.reference.as_str(), |(before, _)| before);
        format!("{repository}@{digest}")
    }
}

impl Images {
    /// Writes what an import found into a stream of the permit's namespace. When nothing is new, nothing is written and
    /// the stream is answered as it is.
    pub async fn apply_import(
        &self,
        permit: &Permit<Api>,
        write: ImportWrite,
        dry_run: DryRun,
    ) -> Result<ImageStream, StreamError> {
        let namespace = permit.namespace().to_owned();
        let new = self.unknown_manifests(&namespace, &write)?;
        let files: BTreeMap<Digest, Bytes> = new.iter().flat_map(|manifest| manifest.files()).collect();
        let images = self.new_images(&write)?;
        let _kept = self.stripes(files.keys().cloned().collect()).await;
        for (digest, content) in files {
            self.blobs().put(&digest, content).await?;
        }
        let by = self.authorship(permit);
        let (stream, count) = (write.stream.clone(), write.tags.len());
        let tags: Vec<String> = write.tags.iter().map(|tag| tag.tag.clone()).collect();
        let import = Import {
            namespace: namespace.clone(),
            write,
            images,
            by: by.clone(),
            shared: Arc::clone(&self.0),
        };
        let applied = self.edit_stream((&namespace, &stream), dry_run, move |tx| import.apply(tx)).await;
        if let Err(StreamError::Forbidden { why, .. }) = &applied
            && dry_run == DryRun::No
        {
            self.note_refusal((namespace.clone(), stream.clone()), tags, why.clone(), by).await?;
        }
        let applied = applied?;
        debug!(%namespace, %stream, tags = count, "Imported {count} tags into {namespace}/{stream}");
        Ok(applied)
    }

    /// Tells on wanted tags that have no image yet why an import wrote nothing: a limit (images 5.4).
    async fn note_refusal(
        &self,
        (namespace, stream): (String, String),
        tags: Vec<String>,
        message: String,
        by: Authorship,
    ) -> Result<(), StreamError> {
        self.write(move |tx| {
            let Some(mut edit) = StreamEdit::open(tx, &namespace, &stream, &by)? else { return Ok(()) };
            for tag in &tags {
                let Some(wanted) = edit.spec_tag(tag)? else { continue };
                let generation = wanted.generation.unwrap_or(edit.head.generation);
                let record = edit.tag(tag)?.unwrap_or_default();
                let told = record.conditions.iter().any(|known| known.message == message);
                if record.item.is_none() && !told {
                    let condition = failure(("Forbidden", &message), edit.now(), generation);
                    edit.set_conditions(tag, &[condition])?;
                }
            }
            edit.finish_smaller()?;
            Ok(())
        })
        .await
    }

    /// Whether the stream is still the one that somebody saw, before the long way to other registries is taken.
    pub fn check_seen(&self, namespace: &str, name: &str, seen: &SeenStream) -> Result<(), StreamError> {
        match self.store().read(|tx| tx.head(namespace, name))? {
            Some(head) => seen.check(name, &head),
            None if *seen == SeenStream::default() => Ok(()),
            None => Err(missing(name)),
        }
    }

    /// The objects of the images that are not known yet. Reading configs for them must not happen in the transaction.
    fn new_images(&self, write: &ImportWrite) -> Result<BTreeMap<Digest, Image>, StoreError> {
        let now = self.0.clock.now();
        let mut images = BTreeMap::new();
        for image in write.fetched() {
            for manifest in image.manifests() {
                let name = manifest.digest.to_string();
                if !images.contains_key(&manifest.digest)
                    && !self.store().read(|tx| tx.has(&IMAGES, &name))?
                {
                    images.insert(manifest.digest.clone(), image.object_of(manifest, now));
                }
            }
        }
        Ok(images)
    }

    /// What has to be stored: an import that finds what it found before reads a few rows and no more.
    fn unknown_manifests<'w>(
        &self,
        namespace: &str,
        write: &'w ImportWrite,
    ) -> Result<Vec<&'w FetchedManifest>, StoreError> {
        let manifests = write.fetched().flat_map(|image| image.manifests());
        self.store().read(|tx| {
            let repository = tx.repository(namespace, &write.stream)?;
            let mut unknown = Vec::new();
            for manifest in manifests {
                let held = match repository {
                    Some(repository) => tx.holds(repository, &manifest.digest)?,
                    None => false,
                };
                if !held || tx.row(&MANIFESTS, &manifest.digest.to_key())?.is_none() {
                    unknown.push(manifest);
                }
            }
            Ok(unknown)
        })
    }
}

/// One import on its way into the store.
struct Import {
    namespace: String,
    write: ImportWrite,
    /// Objects of images that were not known before the transaction.
    images: BTreeMap<Digest, Image>,
    by: Authorship,
    shared: Arc<crate::images::Shared>,
}

impl Import {
    fn apply(&self, tx: &mut WriteTx<'_>) -> Result<(), StreamError> {
        let config = &self.shared.config;
        let (mut edit, next) = self.open(tx)?;
        let before = edit.head.generation;
        let mut stored = BTreeSet::new();
        let mut changed = false;
        for tag in &self.write.tags {
            changed |= match &tag.outcome {
                ImportOutcome::Fetched(image) => self.succeed(&mut edit, tag, image, next, &mut stored)?,
                ImportOutcome::Failed { reason, message } => fail(&mut edit, tag, (reason, message), next)?,
            };
        }
        self.note(&mut edit, changed, config)?;
        debug_assert!(edit.head.generation == before || edit.head.generation == next);
        edit.finish()?;
        Ok(())
    }

    /// The stream, made if there is none, and the generation that changes of it get.
    fn open<'t, 'a>(&self, tx: &'t mut WriteTx<'a>) -> Result<(StreamEdit<'t, 'a>, i64), StreamError> {
        let name = &self.write.stream;
        let Some(head) = tx.head(&self.namespace, name)? else {
            if self.write.seen.as_ref().is_some_and(|seen| *seen != SeenStream::default()) {
                return Err(missing(name));
            }
            return Ok((StreamEdit::create(tx, &self.namespace, name, empty_stream(), &self.by)?, 1));
        };
        if let Some(seen) = &self.write.seen {
            seen.check(name, &head)?;
        }
        let next = head.generation + 1;
        let edit = StreamEdit::open(tx, &self.namespace, name, &self.by)?.ok_or_else(|| missing(name))?;
        Ok((edit, next))
    }

    /// Says whether the tag changed.
    fn succeed(
        &self,
        edit: &mut StreamEdit<'_, '_>,
        import: &TagImport,
        image: &FetchedImage,
        next: i64,
        stored: &mut BTreeSet<Digest>,
    ) -> Result<bool, StoreError> {
        for manifest in image.manifests() {
            if stored.insert(manifest.digest.clone()) {
                self.store(edit, image, manifest)?;
            }
        }
        let digest = image.manifest.digest.to_string();
        let record = edit.tag(&import.tag)?.unwrap_or_default();
        let wanted = edit.spec_tag(&import.tag)?;
        let same = record.item.as_ref().is_some_and(|newest| {
            let seen = wanted.as_ref().and_then(|tag| tag.generation);
            newest.reference == image.reference
                && newest.image == digest
                && seen.is_some_and(|generation| generation <= newest.generation)
                && wanted
                    .as_ref()
                    .is_some_and(|tag| tag.import_policy.import_mode == import.import_policy.import_mode)
        });
        if same {
            let cleared = !record.conditions.is_empty();
            edit.set_conditions(&import.tag, &[])?;
            // The policy is always the one of the last import.
            let policy = wanted.filter(|tag| tag.import_policy != import.import_policy);
            let Some(tag) = policy else { return Ok(cleared) };
            edit.put_spec_tag(TagReference { import_policy: import.import_policy.clone(), ..tag })?;
            edit.head.generation = next;
            return Ok(true);
        }
        put_wanted(edit, import, wanted, next)?;
        let item = Item {
            created: created_now(self.by.now),
            reference: image.reference.clone(),
            image: digest,
            generation: next,
        };
        edit.add_item(&import.tag, &item, None)?;
        edit.set_conditions(&import.tag, &[])?;
        Ok(true)
    }

    /// Keeps a manifest with its config and lets the repository serve both. An image that exists stays as it is.
    fn store(
        &self,
        edit: &mut StreamEdit<'_, '_>,
        image: &FetchedImage,
        fetched: &FetchedManifest,
    ) -> Result<(), StoreError> {
        let (repository, now_s) = (edit.repository(), self.by.now.as_second());
        let name = fetched.digest.to_string();
        if !edit.tx.has(&IMAGES, &name)? {
            let known = self.images.get(&fetched.digest).cloned();
            let mut object = known.unwrap_or_else(|| image.object_of(fetched, self.by.now));
            object.metadata.resource_version = edit.tx.next_revision().to_string();
            edit.tx.put(&IMAGES, &name, &ImageRecord { image: object })?;
        }
        let record = ManifestRecord::new(&fetched.manifest, child_depth(edit.tx, &fetched.manifest)?);
        keep_record(edit.tx, repository, &fetched.digest, &record, now_s)?;
        // Who may pull it from another repository of ours may have all of it.
        if let Some(giver) = self.own_repository(edit, image)? {
            adopt(edit.tx, repository, &fetched.digest, giver, now_s)?;
        }
        if let Some((digest, content)) = fetched.named_config() {
            let size = content.len() as u64;
            let row = digest.to_key();
            if size <= SMALL_BYTES && edit.tx.row(&SMALL_BLOBS, &row)?.is_none() {
                edit.tx.put(&SMALL_BLOBS, &row, &SmallBlob(content))?;
            }
            link(edit.tx, repository, &digest, size, now_s)?;
        }
        let referrer = referrer(&fetched.manifest, &fetched.digest);
        take_in(edit.tx, repository, &fetched.digest, &record.header, referrer, now_s)
    }

    /// The repository that an image was fetched from, if that is one of ours.
    fn own_repository(
        &self,
        edit: &StreamEdit<'_, '_>,
        image: &FetchedImage,
    ) -> Result<Option<Giver>, StoreError> {
        let Ok(reference) = image.reference.parse::<ImageReference>() else { return Ok(None) };
        let ours = reference.registry.as_deref().is_some_and(|host| self.shared.config.names_us(host));
        let Some(namespace) = reference.namespace.filter(|_| ours) else { return Ok(None) };
        Ok(edit.tx.repository(&namespace, &reference.name)?.map(Giver::Repository))
    }

    /// Writes down that an import was tried: the time, or for clients of 2016 who wait for their first one, what went
    /// wrong (images 3.10).
    fn note(&self, edit: &mut StreamEdit<'_, '_>, changed: bool, config: &Config) -> Result<(), StreamError> {
        let key = stream_key(&edit.namespace, &edit.name);
        let mut record = edit.tx.row(&STREAMS, &key)?.ok_or_else(|| missing(&edit.name))?;
        let noted = record.metadata.annotations.get(annotation::REPOSITORY_CHECK);
        if noted.is_some_and(|noted| !noted.is_empty()) && !changed {
            return Ok(());
        }
        let time = created_now(self.by.now).to_string();
        let failure = self.failure().filter(|_| noted.is_none() && config.marks_checked_streams);
        let text = failure.unwrap_or(&time).to_owned();
        record.metadata.annotations.insert(annotation::REPOSITORY_CHECK.to_owned(), text);
        Ok(edit.put_record(&record)?)
    }

    /// Why nothing at all could be imported.
    fn failure(&self) -> Option<&str> {
        let mut first = self.write.repository_failure.as_deref();
        for tag in &self.write.tags {
            match &tag.outcome {
                ImportOutcome::Fetched(_) => return None,
                ImportOutcome::Failed { message, .. } => first = first.or(Some(message)),
            }
        }
        first
    }
}

impl SeenStream {
    fn check(&self, name: &str, head: &crate::tables::HeadRecord) -> Result<(), StreamError> {
        if !self.uid.is_empty() && self.uid != head.uid {
            return Err(missing(name));
        }
        let known = Revision::new(head.spec_revision)..=head.resource_version();
        let current = self.resource_version.is_empty()
            || self.resource_version.parse().is_ok_and(|version| known.contains(&version));
        if current {
            return Ok(());
        }
        let newest = head.revision.to_string();
        Err(StreamError::Conflict { resource: STREAMS_RESOURCE, name: name.to_owned(), newest })
    }
}

/// Lets the spec say what was imported, and as of which generation.
fn put_wanted(
    edit: &mut StreamEdit<'_, '_>,
    import: &TagImport,
    wanted: Option<TagReference>,
    next: i64,
) -> Result<(), StoreError> {
    let mut tag =
        wanted.unwrap_or_else(|| TagReference { name: import.tag.clone(), ..TagReference::default() });
    tag.from = Some(source(&import.from));
    tag.import_policy = import.import_policy.clone();
    if tag.reference_policy.policy_type.is_empty() {
        tag.reference_policy = import.reference_policy.clone();
    }
    tag.generation = Some(next);
    edit.put_spec_tag(tag)?;
    edit.head.generation = next;
    Ok(())
}

/// Tells on the tag how its import failed; what it pointed at stays. Says whether that is news.
fn fail(
    edit: &mut StreamEdit<'_, '_>,
    import: &TagImport,
    (reason, message): (&str, &str),
    next: i64,
) -> Result<bool, StoreError> {
    let wanted = edit.spec_tag(&import.tag)?;
    let mut conditions = edit.tag(&import.tag)?.unwrap_or_default().conditions;
    let told = conditions.iter_mut().find(|condition| {
        condition.condition_type == IMPORT_SUCCESS
            && condition.status == "False"
            && (condition.reason.as_str(), condition.message.as_str()) == (reason, message)
    });
    if let (Some(condition), Some(tag)) = (told, &wanted) {
        // The same again, maybe of a tag that was written anew since: then this is its answer, too.
        let generation = tag.generation.unwrap_or(condition.generation);
        let raised = generation > condition.generation;
        if raised {
            condition.generation = generation;
            edit.set_conditions(&import.tag, &conditions)?;
        }
        return Ok(raised);
    }
    let tag = match wanted {
        Some(tag) => TagReference { generation: Some(next), ..tag },
        None => TagReference {
            name: import.tag.clone(),
            from: Some(source(&import.from)),
            generation: Some(next),
            import_policy: import.import_policy.clone(),
            reference_policy: import.reference_policy.clone(),
            ..TagReference::default()
        },
    };
    edit.put_spec_tag(tag)?;
    edit.head.generation = next;
    let condition = failure((reason, message), edit.now(), next);
    edit.set_conditions(&import.tag, &[condition])?;
    Ok(true)
}

/// The condition of a tag whose import failed.
fn failure((reason, message): (&str, &str), now: Timestamp, generation: i64) -> TagEventCondition {
    TagEventCondition {
        condition_type: IMPORT_SUCCESS.to_owned(),
        status: "False".to_owned(),
        last_transition_time: Some(Time(created_now(now))),
        reason: reason.to_owned(),
        message: message.to_owned(),
        generation,
    }
}

fn source(name: &str) -> ObjectReference {
    ObjectReference { kind: "DockerImage".to_owned(), name: name.to_owned(), ..ObjectReference::default() }
}
