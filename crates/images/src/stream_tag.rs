//! Image stream tags and image tags: one tag of a stream as an object (images 3.7, 3.8).
//!
//! Their uid, labels and resourceVersion are those of the stream; their time is that of what they point at.

use std::collections::{BTreeMap, BTreeSet};

use pierhead_api::image::{
    Image, ImageLookupPolicy, ImageStream, ImageStreamTag, ImageTag, NamedTagEventList, TagEvent,
    TagReference, pull_spec, stream_and_tag,
};
use pierhead_api::meta::{ObjectMeta, Preconditions};
use pierhead_auth::{Api, Permit};
use pierhead_store::{KeyRange, Revision, StoreError, WriteTx};

use crate::Images;
use crate::error::{NotMade, StreamError};
use crate::images::Config;
use crate::push::empty_stream;
use crate::rows::{ALL, Rows, stream_key};
use crate::source_permission::{MayPull, Permissions};
use crate::spec_tags::{SpecEdit, TagWish};
use crate::stream::{
    DryRun, ObjectPage, check_preconditions, metadata_of, missing, repository_of, stream_range,
};
use crate::stream_edit::StreamEdit;
use crate::tables::{
    HEADS, HeadRecord, IMAGES, ImageRecord, RepositoryId, SPEC_TAGS, STREAMS, StreamRecord, TAG_EVENTS, TAGS,
};

const STREAM_TAGS: &str = "imagestreamtags";
const IMAGE_TAGS: &str = "imagetags";

/// Whether an update made what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The tag was wanted for the first time: 201.
    Yes,
    /// It replaced what was wanted: 200.
    No,
}

/// A tag with all that is shown of it.
struct TagView {
    name: String,
    /// The stream's.
    metadata: ObjectMeta,
    lookup_policy: ImageLookupPolicy,
    spec: Option<TagReference>,
    status: Option<NamedTagEventList>,
}

/// Where the tags of a stream are in a list, and the stream's own part of each.
struct StreamView {
    head: HeadRecord,
    metadata: ObjectMeta,
    lookup_policy: ImageLookupPolicy,
}

impl StreamView {
    fn find(rows: &impl Rows, namespace: &str, name: &str) -> Result<Option<Self>, StoreError> {
        let Some(head) = rows.head(namespace, name)? else { return Ok(None) };
        let Some(record) = rows.row(&STREAMS, &stream_key(namespace, name))? else { return Ok(None) };
        let StreamRecord { metadata, lookup_policy, .. } = record;
        let metadata = metadata_of(&head, metadata);
        Ok(Some(Self { head, metadata, lookup_policy }))
    }

    fn tag(&self, rows: &impl Rows, tag: &str) -> Result<Option<TagView>, StoreError> {
        let key = (self.head.repository, tag.to_owned());
        let spec = rows.row(&SPEC_TAGS, &key)?.map(|record| record.tag);
        let record = rows.row(&TAGS, &key)?;
        if spec.is_none() && record.is_none() {
            return Ok(None);
        }
        let status = match record {
            Some(record) => {
                let range = KeyRange::prefix(&(self.head.repository, tag));
                let events = rows.rows(&TAG_EVENTS, &range, ALL)?;
                let items = events.into_iter().rev().map(|(_, event)| event.item.to_api()).collect();
                Some(NamedTagEventList { tag: tag.to_owned(), items, conditions: record.conditions })
            }
            None => None,
        };
        let (name, metadata) = (tag.to_owned(), self.metadata.clone());
        Ok(Some(TagView { name, metadata, lookup_policy: self.lookup_policy, spec, status }))
    }
}

impl TagView {
    fn newest(&self) -> Option<&TagEvent> {
        self.status.as_ref()?.items.first()
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        self.spec.as_ref().and_then(|spec| spec.annotations.clone()).unwrap_or_default()
    }

    /// The image the tag points at, as it is shown here: without manifest and config, with the tag's reference and
    /// annotations. `None` when it points at none.
    fn image(&self, rows: &impl Rows, config: &Config) -> Result<Option<Image>, StreamError> {
        let Some(named) = self.named_image(config) else { return Ok(None) };
        let name = named.metadata.name;
        let Some(ImageRecord { mut image }) = rows.row(&IMAGES, &name)? else {
            return Err(StreamError::NotFound { resource: "images", name });
        };
        image.docker_image_manifest.clear();
        image.docker_image_config.clear();
        image.metadata.annotations.extend(self.annotations());
        image.docker_image_reference = named.docker_image_reference;
        Ok(Some(image))
    }

    /// The name of that image, and where it is pulled from.
    fn named_image(&self, config: &Config) -> Option<Image> {
        let newest = self.newest().filter(|newest| !newest.image.is_empty())?;
        let repository = repository_of(config, &self.metadata.namespace, &self.metadata.name);
        Some(Image {
            metadata: ObjectMeta::named(newest.image.clone()),
            docker_image_reference: pull_spec(&repository, self.spec.as_ref(), newest),
            ..Image::default()
        })
    }

    fn into_stream_tag(self, image: Image) -> ImageStreamTag {
        let metadata = ObjectMeta {
            name: format!("{}:{}", self.metadata.name, self.name),
            creation_timestamp: self
                .newest()
                .and_then(|newest| newest.created)
                .or(self.metadata.creation_timestamp),
            annotations: self.annotations(),
            ..own_metadata(&self.metadata)
        };
        let (generation, conditions) = match self.status {
            Some(list) => (list.items.first().map_or(0, |item| item.generation), list.conditions),
            None => (self.spec.as_ref().and_then(|spec| spec.generation).unwrap_or_default(), Vec::new()),
        };
        ImageStreamTag {
            metadata,
            tag: self.spec,
            generation,
            lookup_policy: self.lookup_policy,
            conditions,
            image,
        }
    }

    /// Unlike the older kind, this one has the stream's own time, generation and annotations.
    fn into_image_tag(self, image: Option<Image>) -> ImageTag {
        let metadata = ObjectMeta {
            name: format!("{}:{}", self.metadata.name, self.name),
            creation_timestamp: self.metadata.creation_timestamp,
            generation: self.metadata.generation,
            annotations: self.metadata.annotations.clone(),
            ..own_metadata(&self.metadata)
        };
        ImageTag { metadata, spec: self.spec, status: self.status, image }
    }
}

/// What a tag has of the metadata of its stream, whichever kind shows it.
fn own_metadata(stream: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        namespace: stream.namespace.clone(),
        uid: stream.uid.clone(),
        resource_version: stream.resource_version.clone(),
        labels: stream.labels.clone(),
        ..ObjectMeta::default()
    }
}

impl Images {
    /// A tag with its image; an error that names the stream, the tag or the image that is missing.
    pub fn stream_tag(&self, namespace: &str, name: &str) -> Result<ImageStreamTag, StreamError> {
        self.store().read(|tx| {
            let tag = find_tag(tx, STREAM_TAGS, namespace, name)?;
            let image = tag.image(tx, self.config())?;
            Ok(tag.into_stream_tag(image.ok_or_else(|| StreamError::not_found(STREAM_TAGS, name))?))
        })
    }

    /// The same where the tag may be wanted only, and point at nothing yet.
    pub fn wanted_stream_tag(&self, namespace: &str, name: &str) -> Result<ImageStreamTag, StreamError> {
        self.store().read(|tx| {
            let tag = find_tag(tx, STREAM_TAGS, namespace, name)?;
            let image = tag.named_image(self.config()).unwrap_or_default();
            Ok(tag.into_stream_tag(image))
        })
    }

    /// The pull spec a workload that follows a tag runs (images 5.8), with whether workloads may name the stream like
    /// an image. `None` while the tag has no image, and for a name that is none of a tag. Asks for no image object:
    /// references to other registries have none.
    pub fn tag_pull_spec(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(ImageLookupPolicy, String)>, StreamError> {
        let Some((stream, tag)) = stream_and_tag(name) else { return Ok(None) };
        self.store().read(|tx| {
            let Some(view) = StreamView::find(tx, namespace, stream)? else { return Ok(None) };
            let Some(tag) = view.tag(tx, tag)? else { return Ok(None) };
            let repository = repository_of(self.config(), namespace, stream);
            let spec = tag.newest().map(|newest| pull_spec(&repository, tag.spec.as_ref(), newest));
            Ok(spec.filter(|spec| !spec.is_empty()).map(|spec| (tag.lookup_policy, spec)))
        })
    }

    /// A tag that is wanted, or there, or both.
    pub fn image_tag(&self, namespace: &str, name: &str) -> Result<ImageTag, StreamError> {
        self.store().read(|tx| {
            let tag = find_tag(tx, IMAGE_TAGS, namespace, name)?;
            let image = known_image(&tag, tx, self.config())?;
            Ok(tag.into_image_tag(image))
        })
    }

    /// The tags that point at an image, of a namespace or of all, after `(namespace, stream, tag)`. Images are only
    /// named. As they were at a revision, or are.
    pub fn list_stream_tags(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str, &str)>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<ObjectPage<ImageStreamTag>, StreamError> {
        self.list_tags(namespace, after, (limit, at), |view| {
            let image = view.named_image(self.config())?;
            Some(view.into_stream_tag(image))
        })
    }

    /// The tags that are wanted or there, of a namespace or of all, after `(namespace, stream, tag)`.
    pub fn list_image_tags(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str, &str)>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<ObjectPage<ImageTag>, StreamError> {
        self.list_tags(namespace, after, (limit, at), |view| Some(view.into_image_tag(None)))
    }

    fn list_tags<T>(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str, &str)>,
        (limit, at): (usize, Option<Revision>),
        show: impl Fn(TagView) -> Option<T>,
    ) -> Result<ObjectPage<T>, StreamError> {
        let enough = limit.saturating_add(1);
        self.read_listed(at, |tx| {
            let mut items = Vec::new();
            let mut stream_after = None;
            if let Some((namespace, name, tag)) = after {
                if let Some(view) = StreamView::find(tx, namespace, name)? {
                    tags_of(tx, &view, Some(tag), enough, &show, &mut items)?;
                }
                stream_after = Some(stream_key(namespace, name));
            }
            while items.len() <= limit {
                let from = stream_after.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
                let Some(((namespace, name), _)) = tx.rows(&HEADS, &stream_range(namespace, from), 1)?.pop()
                else {
                    break;
                };
                if let Some(view) = StreamView::find(tx, &namespace, &name)? {
                    tags_of(tx, &view, None, enough, &show, &mut items)?;
                }
                stream_after = Some((namespace, name));
            }
            let more = items.len() > limit;
            items.truncate(limit);
            Ok(ObjectPage { items, more, revision: tx.revision() })
        })
    }

    /// Makes a wanted tag, and its stream if there is none.
    pub async fn create_stream_tag(
        &self,
        permit: &Permit<Api>,
        mut object: ImageStreamTag,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<ImageStreamTag, StreamError> {
        complete(permit, &mut object.metadata, object.tag.as_mut());
        let errors = object.validate();
        StreamError::invalid_if("ImageStreamTag", &object.metadata.name, errors)?;
        let wanted = object.tag.unwrap_or_default();
        let edit = TagEdit::new(self, permit, &object.metadata, Some(wanted), may_pull)?;
        self.edit(dry_run, move |tx| {
            let name = edit.object_name();
            let mut stream = edit.open_or_create(tx)?;
            if stream.spec_tag(&edit.tag)?.is_some() {
                return Err(StreamError::AlreadyExists { resource: STREAM_TAGS, name });
            }
            edit.put(&mut stream)?;
            stream.finish().map_err(NotMade::of_spec)?;
            edit.shown(tx)
        })
        .await
    }

    /// Replaces what is wanted of a tag; without a resourceVersion also where there was nothing, not even the stream.
    pub async fn update_stream_tag(
        &self,
        permit: &Permit<Api>,
        mut object: ImageStreamTag,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<(ImageStreamTag, Created), StreamError> {
        complete(permit, &mut object.metadata, object.tag.as_mut());
        let stored = match stream_and_tag(&object.metadata.name) {
            Some((stream, _)) => self.store().read(|tx| tx.head(permit.namespace(), stream))?,
            None => None,
        };
        let errors = match stored {
            Some(head) => {
                // Who reads a tag and changes its annotations need not do so twice.
                if let Some(tag) = &mut object.tag {
                    tag.annotations = None;
                }
                object.validate_update(&head.labels)
            }
            None => object.validate(),
        };
        StreamError::invalid_if("ImageStreamTag", &object.metadata.name, errors)?;
        let edit = TagEdit::new(self, permit, &object.metadata, object.tag, may_pull)?;
        self.edit(dry_run, move |tx| {
            let created = edit.replace(tx, STREAM_TAGS)?;
            Ok((edit.shown(tx)?, created))
        })
        .await
    }

    /// The same with the newer kind, where a missing `spec` means that the tag is no longer wanted.
    pub async fn update_image_tag(
        &self,
        permit: &Permit<Api>,
        mut object: ImageTag,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<(ImageTag, Created), StreamError> {
        complete(permit, &mut object.metadata, object.spec.as_mut());
        let view = match stream_and_tag(&object.metadata.name) {
            Some((stream, _)) => self.store().read(|tx| StreamView::find(tx, permit.namespace(), stream))?,
            None => None,
        };
        let errors = view.map_or_else(|| object.validate(), |view| object.validate_update(&view.metadata));
        StreamError::invalid_if("ImageTag", &object.metadata.name, errors)?;
        let mut metadata = object.metadata.clone();
        let spec = object.spec;
        metadata.annotations = spec.as_ref().and_then(|spec| spec.annotations.clone()).unwrap_or_default();
        let unwanted = spec.is_none();
        let edit = TagEdit::new(self, permit, &metadata, spec, may_pull)?;
        self.edit(dry_run, move |tx| {
            let created = if unwanted {
                edit.unwant(tx)?;
                Created::No
            } else {
                edit.replace(tx, IMAGE_TAGS)?
            };
            let shown = match edit.view(tx)? {
                Some(tag) => {
                    let image = known_image(&tag, tx, edit.images.config())?;
                    tag.into_image_tag(image)
                }
                None => ImageTag { metadata: edit.metadata.clone(), ..ImageTag::default() },
            };
            Ok((shown, created))
        })
        .await
    }

    /// Makes a wanted tag with the newer kind.
    pub async fn create_image_tag(
        &self,
        permit: &Permit<Api>,
        mut object: ImageTag,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<ImageTag, StreamError> {
        complete(permit, &mut object.metadata, object.spec.as_mut());
        if let Some((spec, (_, tag))) = object.spec.as_mut().zip(stream_and_tag(&object.metadata.name))
            && spec.name.is_empty()
        {
            tag.clone_into(&mut spec.name);
        }
        let mut errors = object.validate();
        if object.spec.is_none() {
            errors.required("spec", "spec is a required field during creation");
        }
        StreamError::invalid_if("ImageTag", &object.metadata.name, errors)?;
        let mut metadata = object.metadata.clone();
        metadata.resource_version.clear();
        metadata.annotations =
            object.spec.as_ref().and_then(|spec| spec.annotations.clone()).unwrap_or_default();
        let tag = ImageStreamTag { metadata, tag: object.spec, ..ImageStreamTag::default() };
        let made = self.create_stream_tag(permit, tag, may_pull, dry_run).await?;
        if dry_run == DryRun::Yes {
            return Ok(ImageTag { metadata: made.metadata, spec: made.tag, status: None, image: None });
        }
        self.image_tag(permit.namespace(), &object.metadata.name)
    }

    /// Deletes a tag: what is wanted of it and its history. `preconditions.uid` is the stream's.
    pub async fn delete_stream_tag(
        &self,
        permit: &Permit<Api>,
        name: &str,
        preconditions: Preconditions,
        dry_run: DryRun,
    ) -> Result<(), StreamError> {
        let (stream, tag) = split(name, hint_of(STREAM_TAGS))?;
        let (stream, tag, name) = (stream.to_owned(), tag.to_owned(), name.to_owned());
        let (namespace, by) = (permit.namespace().to_owned(), self.authorship(permit));
        self.edit(dry_run, move |tx| {
            let mut edit = StreamEdit::open(tx, &namespace, &stream, &by)?.ok_or_else(|| missing(&stream))?;
            let metadata = ObjectMeta {
                name: name.clone(),
                uid: edit.head.uid.clone(),
                resource_version: edit.head.resource_version().to_string(),
                ..ObjectMeta::default()
            };
            check_preconditions(STREAM_TAGS, &metadata, &preconditions)?;
            let wanted = edit.delete_spec_tag(&tag)?;
            if wanted {
                edit.head.generation += 1;
            }
            if !edit.remove_tag(&tag)? && !wanted {
                return Err(StreamError::not_found(STREAM_TAGS, &name));
            }
            edit.finish().map_err(NotMade::of_spec)?;
            Ok(())
        })
        .await
    }
}

/// A wanted tag on its way into a stream.
struct TagEdit {
    namespace: String,
    stream: String,
    tag: String,
    metadata: ObjectMeta,
    wanted: Option<TagReference>,
    permissions: Permissions,
    by: crate::stream_edit::Authorship,
    images: Images,
}

impl TagEdit {
    fn new(
        images: &Images,
        permit: &Permit<Api>,
        metadata: &ObjectMeta,
        wanted: Option<TagReference>,
        may_pull: &MayPull,
    ) -> Result<Self, StreamError> {
        let (stream, tag) = split(&metadata.name, hint_of(STREAM_TAGS))?;
        // The object's annotations are the tag's, all of them (images 3.7).
        let wanted = wanted.map(|mut wanted| {
            tag.clone_into(&mut wanted.name);
            wanted.annotations = (!metadata.annotations.is_empty()).then(|| metadata.annotations.clone());
            wanted.set_defaults();
            wanted
        });
        let stored: BTreeMap<_, _> = images
            .store()
            .read(|tx| {
                let Some(head) = tx.head(permit.namespace(), stream)? else { return Ok(None) };
                tx.row(&SPEC_TAGS, &(head.repository, tag.to_owned()))
            })?
            .map(|record| (record.tag.name.clone(), record.tag))
            .into_iter()
            .collect();
        let permissions = Permissions::ask(permit.namespace(), &wanted, &stored, may_pull);
        let (namespace, stream) = stream_key(permit.namespace(), stream);
        Ok(Self {
            namespace,
            stream,
            tag: tag.to_owned(),
            metadata: metadata.clone(),
            wanted,
            permissions,
            by: images.authorship(permit),
            images: images.clone(),
        })
    }

    fn object_name(&self) -> String {
        self.metadata.name.clone()
    }

    fn open_or_create<'t, 'a>(&self, tx: &'t mut WriteTx<'a>) -> Result<StreamEdit<'t, 'a>, StreamError> {
        if tx.head(&self.namespace, &self.stream)?.is_some() {
            return StreamEdit::open(tx, &self.namespace, &self.stream, &self.by)?
                .ok_or_else(|| missing(&self.stream));
        }
        let mut stream = ImageStream::default();
        (stream.metadata.namespace, stream.metadata.name) = stream_key(&self.namespace, &self.stream);
        let errors = stream.validate();
        StreamError::invalid_if("ImageStream", &self.stream, errors)?;
        let mut record = empty_stream();
        let from = self.wanted.as_ref().and_then(|tag| tag.from.as_ref());
        if from.is_none_or(|from| from.kind != "DockerImage") {
            self.images.config().mark_checked(&mut record.metadata, self.by.now);
        }
        Ok(StreamEdit::create(tx, &self.namespace, &self.stream, record, &self.by)?)
    }

    fn put(&self, edit: &mut StreamEdit<'_, '_>) -> Result<Created, StreamError> {
        let old = edit.spec_tag(&self.tag)?;
        let Some(new) = self.wanted.clone() else {
            let Some(old) = old else {
                let at = format!("{}/{}", self.namespace, self.stream);
                let message = format!(
                    "imagestreamtag {} is not a spec tag in imagestream {at}, cannot be updated",
                    self.tag
                );
                return Err(StreamError::BadRequest { message });
            };
            let annotations =
                (!self.metadata.annotations.is_empty()).then(|| self.metadata.annotations.clone());
            if old.annotations != annotations {
                edit.put_spec_tag(TagReference { annotations, ..old })?;
            }
            return Ok(Created::No);
        };
        let created = if old.is_none() { Created::Yes } else { Created::No };
        let fresh = edit.head.revision == 0;
        SpecEdit { edit, config: self.images.config(), permissions: &self.permissions }
            .put_after(vec![TagWish { old, new }], fresh)?;
        Ok(created)
    }

    fn replace(&self, tx: &mut WriteTx<'_>, resource: &'static str) -> Result<Created, StreamError> {
        let version = &self.metadata.resource_version;
        let head = tx.head(&self.namespace, &self.stream)?;
        match head {
            None if !version.is_empty() => return Err(StreamError::not_found(resource, &self.metadata.name)),
            Some(head) if !version.is_empty() && *version != head.revision.to_string() => {
                return Err(StreamError::Conflict {
                    resource,
                    name: self.metadata.name.clone(),
                    newest: head.revision.to_string(),
                });
            }
            Some(_) | None => {}
        }
        let mut edit = self.open_or_create(tx)?;
        let created = self.put(&mut edit)?;
        edit.finish().map_err(NotMade::of_spec)?;
        Ok(created)
    }

    /// No longer wants the tag; its history stays.
    fn unwant(&self, tx: &mut WriteTx<'_>) -> Result<(), StreamError> {
        let mut edit = StreamEdit::open(tx, &self.namespace, &self.stream, &self.by)?
            .ok_or_else(|| missing(&self.stream))?;
        if edit.delete_spec_tag(&self.tag)? {
            edit.head.generation += 1;
        }
        edit.finish().map_err(NotMade::of_spec)?;
        Ok(())
    }

    /// The tag as it is now.
    fn view(&self, tx: &WriteTx<'_>) -> Result<Option<TagView>, StreamError> {
        let view = StreamView::find(tx, &self.namespace, &self.stream)?;
        Ok(view.ok_or_else(|| missing(&self.stream))?.tag(tx, &self.tag)?)
    }

    /// The tag as it is now; its image has only a name when there is no more to say yet.
    fn shown(&self, tx: &WriteTx<'_>) -> Result<ImageStreamTag, StreamError> {
        let tag = self.view(tx)?.ok_or_else(|| StreamError::not_found(STREAM_TAGS, &self.metadata.name))?;
        let config = self.images.config();
        let image = known_image(&tag, tx, config)?.or_else(|| tag.named_image(config));
        Ok(tag.into_stream_tag(image.unwrap_or_default()))
    }
}

/// A tag by its name, or what of it is missing in the words of the kind that was asked for.
fn find_tag(
    rows: &impl Rows,
    resource: &'static str,
    namespace: &str,
    name: &str,
) -> Result<TagView, StreamError> {
    let (stream, tag) = split(name, hint_of(resource))?;
    let view = StreamView::find(rows, namespace, stream)?;
    // The name tells which of the two is missing (images 1.2).
    let view = view.ok_or_else(|| StreamError::not_found(resource, stream))?;
    view.tag(rows, tag)?.ok_or_else(|| StreamError::not_found(resource, name))
}

/// The image of a tag, unless it points at none or the object is gone.
fn known_image(tag: &TagView, rows: &impl Rows, config: &Config) -> Result<Option<Image>, StreamError> {
    match tag.image(rows, config) {
        Err(StreamError::NotFound { .. }) => Ok(None),
        image => image,
    }
}

/// Rows that are read in one step at least, and at most.
const STEP: (usize, usize) = (500, 5_000);

/// Adds what `show` makes of the tags of a stream after one of them, until there are `enough`.
fn tags_of<T>(
    rows: &impl Rows,
    view: &StreamView,
    after: Option<&str>,
    enough: usize,
    show: &impl Fn(TagView) -> Option<T>,
    items: &mut Vec<T>,
) -> Result<(), StoreError> {
    let repository = view.head.repository;
    let step = enough.saturating_mul(2).clamp(STEP.0, STEP.1);
    let mut after = after.map(str::to_owned);
    loop {
        let mut range = KeyRange::prefix(&repository);
        if let Some(after) = after.take() {
            range = range.after(&(repository, after));
        }
        let wanted: Vec<String> = names_of(rows.rows(&SPEC_TAGS, &range, step)?);
        let there: Vec<String> = names_of(rows.rows(&TAGS, &range, step)?);
        // Where one of the tables was not read to its end, only names up to there are known to be all.
        let full = [&wanted, &there].into_iter().filter(|names| names.len() == step);
        let end = full.filter_map(|names| names.last().cloned()).min();
        let names: BTreeSet<String> = wanted.into_iter().chain(there).collect();
        for name in names.into_iter().filter(|name| end.as_ref().is_none_or(|end| name <= end)) {
            if items.len() >= enough {
                return Ok(());
            }
            if let Some(tag) = view.tag(rows, &name)? {
                items.extend(show(tag));
            }
        }
        if end.is_none() {
            return Ok(());
        }
        after = end;
    }
}

fn names_of<R>(rows: Vec<((RepositoryId, String), R)>) -> Vec<String> {
    rows.into_iter().map(|((_, tag), _)| tag).collect()
}

/// The namespace of the request, and defaults (images 3.1).
fn complete(permit: &Permit<Api>, metadata: &mut ObjectMeta, tag: Option<&mut TagReference>) {
    permit.namespace().clone_into(&mut metadata.namespace);
    if let Some(tag) = tag {
        tag.set_defaults();
    }
}

fn hint_of(resource: &str) -> &'static str {
    if resource == IMAGE_TAGS {
        "ImageTags must be retrieved with <name>:<tag>"
    } else {
        "ImageStreamTags must be retrieved with <name>:<tag>"
    }
}

fn split<'n>(name: &'n str, hint: &str) -> Result<(&'n str, &'n str), StreamError> {
    stream_and_tag(name).ok_or_else(|| StreamError::BadRequest { message: hint.to_owned() })
}
