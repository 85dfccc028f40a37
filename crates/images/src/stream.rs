//! Image streams as the API shows them: composed from rows when asked for, and taken apart when written (images 3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pierhead_api::field::FieldErrors;
use pierhead_api::image::{ImageStream, NamedTagEventList, TagReference, is_insecure};
use pierhead_api::meta::{ObjectMeta, Preconditions};
use pierhead_auth::{Api, Permit};
use pierhead_oci::Digest;
use pierhead_store::{Change, KeyRange, ReadTx, Revision, StoreError, WriteTx};

use crate::Images;
use crate::error::{NotMade, StreamError};
use crate::images::Config;
use crate::links::taking_refusal;
use crate::rows::{ALL, Rows, stream_key};
use crate::source_permission::{MayPull, Permissions};
use crate::spec_tags::{SpecEdit, TagWish};
use crate::stream_edit::StreamEdit;
use crate::tables::{
    HEADS, HeadRecord, Item, SPEC_TAGS, STREAMS, StreamRecord, TAG_EVENTS, TAGS, listed_tables,
};

/// The plural of streams, as errors name it.
pub(crate) const STREAMS_RESOURCE: &str = "imagestreams";

/// Whether a write is only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// It happens.
    No,
    /// Everything is checked and answered as if it had happened.
    Yes,
}

/// Which half of a stream an update writes; the other stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPart {
    /// Metadata and spec.
    Spec,
    /// Status: `imagestreams/NAME/status`.
    Status,
}

/// Some objects of a list that can be continued.
#[derive(Clone, Debug)]
pub struct ObjectPage<T> {
    /// In the order of namespace and name.
    pub items: Vec<T>,
    /// Whether the list goes on.
    pub more: bool,
    /// The state that was read.
    pub revision: Revision,
}

/// What the change log says about a stream. A change tells *that* something happened: the stream itself is read with
/// [`Images::stream`]. If its resourceVersion is beyond `revision`, a later change will tell of it again, so a watcher
/// skips this one.
#[derive(Clone, Debug)]
pub struct StreamChange {
    /// Namespace of the stream.
    pub namespace: String,
    /// Name of the stream.
    pub name: String,
    /// What happened.
    pub event: StreamEvent,
    /// The stream's resourceVersion after it.
    pub revision: Revision,
    /// The tags it was about; empty when it was about the stream as such.
    pub tags: Vec<String>,
    /// Metadata after the change, or before a deletion; without annotations.
    pub metadata: ObjectMeta,
    /// Labels before the change, for selectors; `None` before a creation.
    pub previous_labels: Option<BTreeMap<String, String>>,
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// It was made.
    Added,
    /// It or its tags changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// How a write ends that is rolled back though it succeeded.
enum Ending<T> {
    Tried(T),
    Failed(StreamError),
}

impl<T> From<StoreError> for Ending<T> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Images {
    /// A stream, or `None`.
    pub fn stream(&self, namespace: &str, name: &str) -> Result<Option<ImageStream>, StreamError> {
        Ok(self.store().read(|tx| compose(tx, self.config(), namespace, name))?)
    }

    /// The resourceVersion of a stream, or `None`: costs one row, however many tags there are.
    pub fn stream_version(&self, namespace: &str, name: &str) -> Result<Option<Revision>, StreamError> {
        let key = stream_key(namespace, name);
        Ok(self.store().read(|tx| tx.row(&HEADS, &key))?.map(|head| head.resource_version()))
    }

    /// Shows `look` what is now, or what lists show of an earlier revision.
    pub(crate) fn read_listed<T>(
        &self,
        at: Option<Revision>,
        look: impl FnOnce(&ReadTx<'_>) -> Result<T, StreamError>,
    ) -> Result<T, StreamError> {
        match at {
            None => self.store().read(look),
            Some(at) => self.store().read_at(at, &listed_tables(), look)?,
        }
    }

    /// The streams of a namespace, or of all, after one that was listed before; as they were at a revision, or are.
    pub fn list_streams(
        &self,
        namespace: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<ObjectPage<ImageStream>, StreamError> {
        self.read_listed(at, |tx| {
            let heads = tx.rows(&HEADS, &stream_range(namespace, after), limit.saturating_add(1).min(ALL))?;
            let more = heads.len() > limit;
            let mut items = Vec::with_capacity(heads.len());
            for ((namespace, name), _) in heads.into_iter().take(limit) {
                items.extend(compose(tx, self.config(), &namespace, &name)?);
            }
            Ok(ObjectPage { items, more, revision: tx.revision() })
        })
    }

    /// Makes a stream in the permit's namespace. What the caller says about its status counts for nothing.
    pub async fn create_stream(
        &self,
        permit: &Permit<Api>,
        mut stream: ImageStream,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<ImageStream, StreamError> {
        stream.metadata.namespace = permit.namespace().to_owned();
        normalize(&mut stream);
        stream.status = pierhead_api::image::ImageStreamStatus::default();
        let mut errors = stream.validate();
        self.refuse_repository(&stream, "", &mut errors);
        StreamError::invalid_if("ImageStream", &stream.metadata.name, errors)?;
        let permissions = Permissions::ask(permit.namespace(), &stream.spec.tags, &BTreeMap::new(), may_pull);
        let (by, shared) = (self.authorship(permit), Arc::clone(&self.0));
        let imports = |tag: &TagReference| tag.from.as_ref().is_some_and(|from| from.kind == "DockerImage");
        if stream.spec.docker_image_repository.is_empty() && !stream.spec.tags.iter().any(imports) {
            shared.config.mark_checked(&mut stream.metadata, by.now);
        }
        let at = stream_key(&stream.metadata.namespace, &stream.metadata.name);
        self.edit_stream((&at.0, &at.1), dry_run, move |tx| {
            let (namespace, name) = (&stream.metadata.namespace, &stream.metadata.name);
            if tx.head(namespace, name)?.is_some() {
                return Err(StreamError::AlreadyExists { resource: STREAMS_RESOURCE, name: name.clone() });
            }
            let mut edit = StreamEdit::create(tx, namespace, name, record_of(&stream), &by)?;
            let wishes =
                stream.spec.tags.iter().cloned().map(|tag| TagWish { old: None, new: tag }).collect();
            SpecEdit { edit: &mut edit, config: &shared.config, permissions: &permissions }.put(wishes)?;
            edit.finish().map_err(NotMade::of_spec)?;
            Ok(())
        })
        .await
    }

    /// Replaces a part of a stream. The object's resourceVersion must be given; pushes since then do not make a change
    /// of the spec fail, only other changes of the spec do.
    pub async fn update_stream(
        &self,
        permit: &Permit<Api>,
        mut stream: ImageStream,
        part: StreamPart,
        may_pull: &MayPull,
        dry_run: DryRun,
    ) -> Result<ImageStream, StreamError> {
        stream.metadata.namespace = permit.namespace().to_owned();
        normalize(&mut stream);
        let name = stream.metadata.name.clone();
        let current = self.stream(permit.namespace(), &name)?.ok_or_else(|| missing(&name))?;
        match part {
            StreamPart::Spec => stream.status.clone_from(&current.status),
            StreamPart::Status => stream.spec.clone_from(&current.spec),
        }
        let mut errors = stream.validate_update(&current);
        self.refuse_repository(&stream, &current.spec.docker_image_repository, &mut errors);
        if stream.metadata.resource_version.is_empty() {
            errors.invalid("metadata.resourceVersion", "", "must be specified for an update");
        }
        StreamError::invalid_if("ImageStream", &name, errors)?;
        let stored = by_name(&current.spec.tags);
        let permissions = Permissions::ask(permit.namespace(), &stream.spec.tags, &stored, may_pull);
        let (by, shared) = (self.authorship(permit), Arc::clone(&self.0));
        self.edit_stream((permit.namespace(), &name), dry_run, move |tx| {
            let (namespace, name) = (&stream.metadata.namespace, &stream.metadata.name);
            let mut edit = StreamEdit::open(tx, namespace, name, &by)?.ok_or_else(|| missing(name))?;
            check_version(&edit.head, &stream.metadata, part)?;
            match part {
                StreamPart::Spec => write_spec(&mut edit, &stream, &permissions, &shared.config)?,
                StreamPart::Status => write_status(&mut edit, &stream, &shared.config)?,
            }
            edit.finish().map_err(NotMade::of_spec)?;
            Ok(())
        })
        .await
    }

    /// Deletes a stream with its tags and everything its repository held; answers what it was.
    pub async fn delete_stream(
        &self,
        permit: &Permit<Api>,
        name: &str,
        preconditions: Preconditions,
        dry_run: DryRun,
    ) -> Result<ImageStream, StreamError> {
        let (namespace, name) = stream_key(permit.namespace(), name);
        let shared = Arc::clone(&self.0);
        let (deleted, dead) = self
            .edit(dry_run, move |tx| {
                let stream = compose(tx, &shared.config, &namespace, &name)?.ok_or_else(|| missing(&name))?;
                check_preconditions(STREAMS_RESOURCE, &stream.metadata, &preconditions)?;
                Ok((stream, crate::repository_end::bury(tx, &namespace, &name)?))
            })
            .await?;
        if dry_run == DryRun::No {
            self.purge_soon(dead).await;
        }
        Ok(deleted)
    }

    /// What a row of the change log says about a stream; `None` when it is about something else.
    pub fn stream_change(&self, change: &Change) -> Option<Result<StreamChange, StoreError>> {
        let typed = HEADS.change(change)?;
        Some(typed.map(|typed| {
            let (namespace, name) = typed.key;
            let event = match (&typed.previous, &typed.value) {
                (_, None) => StreamEvent::Deleted,
                (None, Some(_)) => StreamEvent::Added,
                (Some(_), Some(_)) => StreamEvent::Modified,
            };
            let previous_labels = typed.previous.as_ref().map(|head| head.labels.clone());
            let last = typed.value.or(typed.previous);
            let mut metadata = ObjectMeta::in_namespace(namespace.clone(), name.clone());
            let mut tags = Vec::new();
            if let Some(head) = last {
                metadata.uid = head.uid;
                metadata.creation_timestamp = Some(head.created.into());
                metadata.generation = Some(head.generation);
                metadata.labels = head.labels;
                tags = head.changed;
            }
            metadata.resource_version = change.revision.to_string();
            StreamChange {
                namespace,
                name,
                event,
                revision: change.revision,
                tags,
                metadata,
                previous_labels,
            }
        }))
    }

    /// A repository to import from must be where images may come from, unless it is the one that was there (images 3.9).
    fn refuse_repository(&self, stream: &ImageStream, stored: &str, errors: &mut FieldErrors) {
        let repository = stream.spec.docker_image_repository.as_str();
        if repository == stored {
            return;
        }
        let refusal = |reference| self.import_refusal(&reference, is_insecure(&stream.metadata));
        if let Some(refusal) = repository.parse().ok().and_then(refusal) {
            errors.forbidden("spec.dockerImageRepository", refusal);
        }
    }

    /// Runs a write of the API to one stream and answers the stream. Reading all its tags must not hold up other writers,
    /// so it is read afterwards; but what was only tried is nowhere else.
    pub(crate) async fn edit_stream(
        &self,
        (namespace, name): (&str, &str),
        dry_run: DryRun,
        mut closure: impl FnMut(&mut WriteTx<'_>) -> Result<(), StreamError> + Send + 'static,
    ) -> Result<ImageStream, StreamError> {
        let ((in_namespace, named), shared) = (stream_key(namespace, name), Arc::clone(&self.0));
        let tried = self
            .edit(dry_run, move |tx| {
                closure(tx)?;
                match dry_run {
                    DryRun::No => Ok(None),
                    DryRun::Yes => Ok(compose(tx, &shared.config, &in_namespace, &named)?),
                }
            })
            .await?;
        match tried {
            Some(stream) => Ok(stream),
            None => self.stream(namespace, name)?.ok_or_else(|| missing(name)),
        }
    }

    /// Runs a write of the API; a dry run is rolled back and answers as if it had happened.
    pub(crate) async fn edit<T: Send + 'static>(
        &self,
        dry_run: DryRun,
        mut closure: impl FnMut(&mut WriteTx<'_>) -> Result<T, StreamError> + Send + 'static,
    ) -> Result<T, StreamError> {
        let outcome = self
            .write(move |tx| match (closure(tx), dry_run) {
                (Ok(value), DryRun::No) => Ok(value),
                (Ok(value), DryRun::Yes) => Err(Ending::Tried(value)),
                (Err(error), _) => Err(Ending::Failed(error)),
            })
            .await;
        match outcome {
            Ok(value) | Err(Ending::Tried(value)) => Ok(value),
            Err(Ending::Failed(error)) => Err(error),
        }
    }
}

/// The range of streams of a namespace, or of all, after one of them.
pub(crate) fn stream_range(namespace: Option<&str>, after: Option<(&str, &str)>) -> KeyRange {
    let range = namespace.map_or_else(KeyRange::all, |namespace| KeyRange::prefix(&namespace));
    match after {
        Some((namespace, name)) => range.after(&stream_key(namespace, name)),
        None => range,
    }
}

/// Reads a stream from its rows.
pub(crate) fn compose(
    rows: &impl Rows,
    config: &Config,
    namespace: &str,
    name: &str,
) -> Result<Option<ImageStream>, StoreError> {
    let Some(head) = rows.head(namespace, name)? else { return Ok(None) };
    let Some(record) = rows.row(&STREAMS, &stream_key(namespace, name))? else { return Ok(None) };
    let mut stream = ImageStream { metadata: metadata_of(&head, record.metadata), ..ImageStream::default() };
    stream.spec.lookup_policy = record.lookup_policy;
    stream.spec.docker_image_repository = record.docker_image_repository;
    let range = KeyRange::prefix(&head.repository);
    stream.spec.tags =
        rows.rows(&SPEC_TAGS, &range, ALL)?.into_iter().map(|(_, record)| record.tag).collect();
    stream.status.docker_image_repository = repository_of(config, namespace, name);
    stream.status.public_docker_image_repository =
        (config.public_registry)().map(|host| format!("{host}/{namespace}/{name}")).unwrap_or_default();
    let mut tags: BTreeMap<String, NamedTagEventList> = BTreeMap::new();
    for ((_, tag), record) in rows.rows(&TAGS, &range, ALL)? {
        let list = NamedTagEventList { tag: tag.clone(), items: Vec::new(), conditions: record.conditions };
        tags.insert(tag, list);
    }
    for ((_, tag, _), event) in rows.rows(&TAG_EVENTS, &range, ALL)? {
        if let Some(list) = tags.get_mut(&tag) {
            list.items.push(event.item.to_api());
        }
    }
    stream.status.tags = tags.into_values().collect();
    stream.status.tags.iter_mut().for_each(|list| list.items.reverse());
    Ok(Some(stream))
}

/// `status.dockerImageRepository`, which is computed on every read (images 3.2).
pub(crate) fn repository_of(config: &Config, namespace: &str, name: &str) -> String {
    format!("{}/{namespace}/{name}", config.internal_registry)
}

/// The stored metadata with what the head knows better.
pub(crate) fn metadata_of(head: &HeadRecord, stored: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        resource_version: head.resource_version().to_string(),
        generation: Some(head.generation),
        ..stored
    }
}

fn record_of(stream: &ImageStream) -> StreamRecord {
    StreamRecord {
        metadata: stream.metadata.clone(),
        lookup_policy: stream.spec.lookup_policy,
        docker_image_repository: stream.spec.docker_image_repository.clone(),
    }
}

/// Defaults, and one tag per name: the last one wins.
fn normalize(stream: &mut ImageStream) {
    stream.set_defaults();
    let tags = by_name(&stream.spec.tags);
    stream.spec.tags = tags.into_values().collect();
    stream.sort_tags();
}

pub(crate) fn by_name(tags: &[TagReference]) -> BTreeMap<String, TagReference> {
    tags.iter().map(|tag| (tag.name.clone(), tag.clone())).collect()
}

/// A change of the spec conflicts with changes of the spec, a change of the status with any.
fn check_version(head: &HeadRecord, metadata: &ObjectMeta, part: StreamPart) -> Result<(), StreamError> {
    let conflict = || StreamError::Conflict {
        resource: STREAMS_RESOURCE,
        name: metadata.name.clone(),
        newest: head.revision.to_string(),
    };
    if !metadata.uid.is_empty() && metadata.uid != head.uid {
        return Err(conflict());
    }
    let seen: Revision = metadata.resource_version.parse().map_err(|_not_ours| conflict())?;
    let oldest = match part {
        StreamPart::Spec => head.spec_revision,
        StreamPart::Status => head.revision,
    };
    let known = Revision::new(oldest)..=head.resource_version();
    if known.contains(&seen) { Ok(()) } else { Err(conflict()) }
}

fn write_spec(
    edit: &mut StreamEdit<'_, '_>,
    stream: &ImageStream,
    permissions: &Permissions,
    config: &Config,
) -> Result<(), StreamError> {
    let key = stream_key(&edit.namespace, &edit.name);
    let stored = edit.tx.row(&STREAMS, &key)?.ok_or_else(|| missing(&edit.name))?;
    let wanted = StreamRecord {
        metadata: ObjectMeta {
            name: stored.metadata.name.clone(),
            namespace: stored.metadata.namespace.clone(),
            uid: stored.metadata.uid.clone(),
            creation_timestamp: stored.metadata.creation_timestamp,
            resource_version: String::new(),
            generation: None,
            ..stream.metadata.clone()
        },
        ..record_of(stream)
    };
    let policy_changed = wanted.lookup_policy != stored.lookup_policy
        || wanted.docker_image_repository != stored.docker_image_repository;
    if policy_changed {
        edit.head.generation += 1;
    }
    if policy_changed || wanted.metadata != stored.metadata {
        edit.put_record(&wanted)?;
    }
    let range = KeyRange::prefix(&edit.repository());
    let old: BTreeMap<String, TagReference> = edit
        .tx
        .rows(&SPEC_TAGS, &range, ALL)?
        .into_iter()
        .map(|((_, name), record)| (name, record.tag))
        .collect();
    let wanted = by_name(&stream.spec.tags);
    let mut removed = false;
    for name in old.keys().filter(|name| !wanted.contains_key(*name)) {
        removed |= edit.delete_spec_tag(name)?;
    }
    if removed && !policy_changed {
        edit.head.generation += 1;
    }
    let bumped = removed || policy_changed;
    let wishes =
        wanted.into_iter().map(|(name, new)| TagWish { old: old.get(&name).cloned(), new }).collect();
    SpecEdit { edit, config, permissions }.put_after(wishes, bumped)
}

fn write_status(
    edit: &mut StreamEdit<'_, '_>,
    stream: &ImageStream,
    config: &Config,
) -> Result<(), StreamError> {
    let range = KeyRange::prefix(&edit.repository());
    let mut stored: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for ((_, tag), _) in edit.tx.rows(&TAGS, &range, ALL)? {
        stored.insert(tag, Vec::new());
    }
    for ((_, tag, _), event) in edit.tx.rows(&TAG_EVENTS, &range, ALL)? {
        stored.entry(tag).or_default().push(event.item);
    }
    stored.values_mut().for_each(|items| items.reverse());
    let known: BTreeSet<String> = stored.values().flatten().map(|item| item.reference.clone()).collect();
    let mut errors = FieldErrors::new();
    for list in &stream.status.tags {
        let old = stored.remove(&list.tag).unwrap_or_default();
        let new = list.items.iter().enumerate();
        for (index, event) in new.filter(|(_, event)| !known.contains(&event.docker_image_reference)) {
            let reference = event.docker_image_reference.parse().ok();
            if let Some(refusal) = reference.and_then(|reference| config.refuses(&reference, true)) {
                let field = format!("status.tags[{}].items[{index}].dockerImageReference", list.tag);
                errors.forbidden(field, refusal);
            }
        }
        let items: Vec<Item> = list
            .items
            .iter()
            .map(|event| Item {
                created: event.created.map_or(edit.now(), |time| time.0),
                reference: event.docker_image_reference.clone(),
                image: event.image.clone(),
                generation: if event.generation == 0 { edit.head.generation } else { event.generation },
            })
            .collect();
        let same = items.len() == old.len() && items.iter().zip(&old).all(|(new, old)| same_item(new, old));
        if !same {
            let had: BTreeSet<&str> = old.iter().map(|item| item.image.as_str()).collect();
            let new = items.iter().enumerate();
            for (index, item) in new.filter(|(_, item)| !had.contains(item.image.as_str())) {
                let Ok(digest) = item.image.parse::<Digest>() else { continue };
                if let Some(detail) = taking_refusal(edit.tx, edit.repository(), &digest)? {
                    let field = format!("status.tags[{}].items[{index}].image", list.tag);
                    errors.invalid(field, item.image.as_str(), detail);
                }
            }
            edit.replace_items(&list.tag, &items)?;
        }
        edit.set_conditions(&list.tag, &list.conditions)?;
    }
    for tag in stored.keys() {
        edit.remove_tag(tag)?;
    }
    StreamError::invalid_if("ImageStream", &edit.name, errors)
}

/// Times on the wire are whole seconds.
fn same_item(new: &Item, old: &Item) -> bool {
    new.created.as_second() == old.created.as_second()
        && (&new.reference, &new.image, new.generation) == (&old.reference, &old.image, old.generation)
}

pub(crate) fn missing(name: &str) -> StreamError {
    StreamError::not_found(STREAMS_RESOURCE, name)
}

/// What the caller insists on must be so.
pub(crate) fn check_preconditions(
    resource: &'static str,
    metadata: &ObjectMeta,
    wanted: &Preconditions,
) -> Result<(), StreamError> {
    let failed = |what: &str, wanted: &str, found: &str| StreamError::Precondition {
        resource,
        name: metadata.name.clone(),
        message: format!("{what} in precondition: {wanted}, {what} in object meta: {found}"),
    };
    if let Some(uid) = wanted.uid.as_ref().filter(|uid| **uid != metadata.uid) {
        return Err(failed("UID", uid, &metadata.uid));
    }
    if let Some(version) =
        wanted.resource_version.as_ref().filter(|version| **version != metadata.resource_version)
    {
        return Err(failed("ResourceVersion", version, &metadata.resource_version));
    }
    Ok(())
}
