//! Image stream tags and image tags: one tag of a stream as an object (images 3.7, 3.8).
//!
//! Their uid, labels and resourceVersion are those of the stream; their time is that of what they point at.

use std::collections::{BTreeMap, BTreeSet};

use pierhead_api::image::{
    Image, ImageLookupPolicy, ImageStream, ImageStreamTag, ImageTag, NamedTagEventList, TagReference,
    pull_spec, stream_and_tag,
};
use pierhead_api::meta::{ObjectMeta, Preconditions};
use pierhead_auth::{Api, Permit};
use pierhead_store::{KeyRange, StoreError, WriteTx};

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
    HEADS, HeadRecord, IMAGES, RepositoryId, SPEC_TAGS, STREAMS, StreamRecord, TAG_EVENTS, TAGS,
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
    metadata: ObjectMeta,
    lookup_policy: ImageLookupPolicy,
    spec: Option<TagReference>,
    status: Option<NamedTagEventList>,
}

/// Where the tags of a stream are in a list, and the stream's own part of each.
struct StreamView {
    namespace: String,
    name: String,
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
        let (namespace, name) = stream_key(namespace, name);
        Ok(Some(Self { namespace, name, head, metadata, lookup_policy }))
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
        let newest = status.as_ref().and_then(|list| list.items.first()).and_then(|item| item.created);
        let annotations = spec.as_ref().and_then(|spec| spec.annotations.clone()).unwrap_or_default();
        let metadata = ObjectMeta {
            name: format!("{}:{tag}", self.name),
            namespace: self.namespace.clone(),
            uid: self.metadata.uid.clone(),
            resource_version: self.metadata.resource_version.clone(),
            creation_timestamp: newest.or(self.metadata.creation_timestamp),
            labels: self.metadata.labels.clone(),
            annotations,
            ..ObjectMeta::default()
        };
        Ok(Some(TagView { metadata, lookup_policy: self.lookup_policy, spec, status }))
    }
}

impl TagView {
    /// The image the tag points at, as it is shown here: without manifest and config, with the tag's reference and
    /// annotations. `None` when it points at none.
    fn image(&self, rows: &impl Rows, config: &Config, stream: &str) -> Result<Option<Image>, StreamError> {
        let Some(newest) = self.status.as_ref().and_then(|list| list.items.first()) else { return Ok(None) };
        if newest.image.is_empty() {
            return Ok(None);
        }
        let record = rows.row(&IMAGES, &newest.image)?;
        let mut image = record
            .ok_or_else(|| StreamError::NotFound { resource: "images", name: newest.image.clone() })?
            .image;
        image.docker_image_manifest.clear();
        image.docker_image_config.clear();
        image.metadata.annotations.extend(self.metadata.annotations.clone());
        image.docker_image_reference =
            self.shown_reference(config, stream, &newest.docker_image_reference, &image);
        Ok(Some(image))
    }

    fn shown_reference(&self, config: &Config, stream: &str, newest: &str, image: &Image) -> String {
        let local = self.spec.as_ref().is_some_and(|spec| spec.reference_policy.policy_type == "Local");
        if local {
            format!("{}@{}", repository_of(config, &self.metadata.namespace, stream), image.metadata.name)
        } else {
            newest.to_owned()
        }
    }

    fn into_stream_tag(self, image: Image) -> ImageStreamTag {
        let (generation, conditions) = match self.status {
            Some(list) => (list.items.first().map_or(0, |item| item.generation), list.conditions),
            None => (self.spec.as_ref().and_then(|spec| spec.generation).unwrap_or_default(), Vec::new()),
        };
        ImageStreamTag {
            metadata: self.metadata,
            tag: self.spec,
            generation,
            lookup_policy: self.lookup_policy,
            conditions,
            image,
        }
    }
}

impl Images {
    /// A tag with its image; an error that names the stream, the tag or the image that is missing.
    pub fn stream_tag(&self, namespace: &str, name: &str) -> Result<ImageStreamTag, StreamError> {
        let (stream, tag) = split(name, "ImageStreamTags must be retrieved with <name>:<tag>")?;
        self.store().read(|tx| {
            let view = StreamView::find(tx, namespace, stream)?.ok_or_else(|| missing(stream))?;
            let tag = view.tag(tx, tag)?.ok_or_else(|| StreamError::not_found(STREAM_TAGS, name))?;
            let image = tag
                .image(tx, self.config(), stream)?
                .ok_or_else(|| StreamError::not_found(STREAM_TAGS, name))?;
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
            let newest = tag.status.as_ref().and_then(|list| list.items.first());
            let repository = repository_of(self.config(), namespace, stream);
            let spec = newest.map(|newest| pull_spec(&repository, tag.spec.as_ref(), newest));
            Ok(spec.filter(|spec| !spec.is_empty()).map(|spec| (tag.lookup_policy, spec)))
        })
    }

    /// A tag that is wanted, or there, or both.
    pub fn image_tag(&self, namespace: &str, name: &str) -> Result<ImageTag, StreamError> {
        let (stream, tag) = split(name, "ImageTags must be retrieved with <name>:<tag>")?;
        self.store().read(|tx| {
            let view = StreamView::find(tx, namespace, stream)?.ok_or_else(|| missing(stream))?;
            let tag = view.tag(tx, tag)?.ok_or_else(|| StreamError::not_found(IMAGE_TAGS, name))?;
            let image = match tag.image(tx, self.config(), stream) {
                Err(StreamError::NotFound { .. }) => None,
                image => image?,
            };
            Ok(ImageTag { metadata: tag.metadata, spec: tag.spec, status: tag.status, image })
        })
    }

    /// The tags that point at an image, of a namespace or of all, after `(namespace, stream, tag)`. Images are only
    /// named.
    pub fn list_stream_tags(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str, &str)>,
        limit: usize,
    ) -> Result<ObjectPage<ImageStreamTag>, StreamError> {
        self.list_tags(namespace, after, limit, |view| {
            let newest = view.status.as_ref()?.items.first().filter(|item| !item.image.is_empty())?;
            let image = Image {
                metadata: ObjectMeta::named(newest.image.clone()),
                docker_image_reference: newest.docker_image_reference.clone(),
                ..Image::default()
            };
            Some(view.into_stream_tag(image))
        })
    }

    /// The tags that are wanted or there, of a namespace or of all, after `(namespace, stream, tag)`.
    pub fn list_image_tags(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str, &str)>,
        limit: usize,
    ) -> Result<ObjectPage<ImageTag>, StreamError> {
        self.list_tags(namespace, after, limit, |view| {
            Some(ImageTag { metadata: view.metadata, spec: view.spec, status: view.status, image: None })
        })
    }

    fn list_tags<T>(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str, &str)>,
        limit: usize,
        show: impl Fn(TagView) -> Option<T>,
    ) -> Result<ObjectPage<T>, StreamError> {
        let enough = limit.saturating_add(1);
        self.store().read(|tx| {
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
        let errors = object.validate();
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
        let errors = object.validate();
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
            let view =
                StreamView::find(tx, &edit.namespace, &edit.stream)?.ok_or_else(|| missing(&edit.stream))?;
            let shown = match view.tag(tx, &edit.tag)? {
                Some(tag) => {
                    ImageTag { metadata: tag.metadata, spec: tag.spec, status: tag.status, image: None }
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
        object: ImageTag,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<ImageTag, StreamError> {
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
        let (stream, tag) = split(name, "ImageStreamTags must be deleted with <name>:<tag>")?;
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
        let (stream, tag) = split(&metadata.name, "ImageStreamTags must be named <name>:<tag>")?;
        // The object's annotations are the tag's, all of them (images 3.7).
        let wanted = wanted.map(|mut wanted| {
            tag.clone_into(&mut wanted.name);
            wanted.annotations = (!metadata.annotations.is_empty()).then(|| metadata.annotations.clone());
            wanted.set_defaults();
            wanted
        });
        let stored =
            images.stream(permit.namespace(), stream)?.and_then(|stream| stream.spec_tag(tag).cloned());
        let stored: BTreeMap<_, _> = stored.into_iter().map(|tag| (tag.name.clone(), tag)).collect();
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

    /// The tag as it is now; its image has only a name when there is no more to say yet.
    fn shown(&self, tx: &WriteTx<'_>) -> Result<ImageStreamTag, StreamError> {
        let view =
            StreamView::find(tx, &self.namespace, &self.stream)?.ok_or_else(|| missing(&self.stream))?;
        let tag = view
            .tag(tx, &self.tag)?
            .ok_or_else(|| StreamError::not_found(STREAM_TAGS, &self.metadata.name))?;
        let image = match tag.image(tx, self.images.config(), &self.stream) {
            Err(StreamError::NotFound { name, .. }) => {
                Image { metadata: ObjectMeta::named(name), ..Image::default() }
            }
            image => image?.unwrap_or_default(),
        };
        Ok(tag.into_stream_tag(image))
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

fn split<'n>(name: &'n str, hint: &str) -> Result<(&'n str, &'n str), StreamError> {
    stream_and_tag(name).ok_or_else(|| StreamError::BadRequest { message: hint.to_owned() })
}
