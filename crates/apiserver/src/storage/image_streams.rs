//! Image streams, kept by `images` as rows and composed when read.
//!
//! Owns the translation between documents and typed streams, and what a change of a stream means to a watch. Defaults,
//! validation, history and versions of streams are `images`' and `api`'s: a push does not conflict with a change of the
//! spec.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::image::ImageStream;
use pierhead_api::meta::{Preconditions, Status};
use pierhead_api::{Object, from_value, to_value};
use pierhead_auth::{Api, Auth, Permit};
use pierhead_images::{DryRun as ImagesDryRun, Images, MayPull, StreamError, StreamEvent, StreamPart};
use pierhead_store::{Change, OBJECTS, TableName};
use serde_json::{Value, json};

use super::objects::set_resource_version;
use super::{Document, Event, Key, Listed, Outcome, Scan, Seen, Storage};
use crate::error::ApiError;
use crate::gc::Removal;
use crate::metadata;
use crate::query::DryRun;
use crate::strategy::Part;

/// Image streams as a storage.
pub(crate) struct ImageStreams {
    images: Images,
    auth: Auth,
}

impl ImageStreams {
    /// The streams in `images`; `auth` says who may follow whose tags.
    pub(crate) fn new(images: Images, auth: Auth) -> Self {
        Self { images, auth }
    }
}

/// Whether the caller may pull from a stream its tags follow.
pub(super) fn may_pull(auth: &Auth, permit: &Permit<Api>) -> MayPull {
    let (auth, subject) = (auth.clone(), permit.subject().clone());
    MayPull::new(move |namespace, stream| {
        auth.permit_pull(&subject, namespace, stream).map(|_| ()).map_err(|denied| denied.why())
    })
}

/// A dry run in the words of `images`.
pub(crate) fn tried(dry_run: DryRun) -> ImagesDryRun {
    match dry_run {
        DryRun::No => ImagesDryRun::No,
        DryRun::All => ImagesDryRun::Yes,
    }
}

/// A document as the typed object it was made canonical by; 400 where it is none.
pub(super) fn typed<T: Object>(document: &Value) -> Result<T, ApiError> {
    from_value(document).map_err(|error| Status::bad_request(error.to_string()).into())
}

/// What a write says; losing against another is an outcome, not a failure.
pub(super) fn outcome<T: Object>(written: Result<T, StreamError>) -> Result<Outcome, ApiError> {
    match written {
        Ok(object) => Ok(Outcome::Done(to_value(&object))),
        Err(StreamError::Conflict { .. } | StreamError::AlreadyExists { .. }) => Ok(Outcome::Raced),
        Err(error) => Err(error.into()),
    }
}

impl Storage for ImageStreams {
    fn tables(&self) -> Vec<TableName> {
        [&[OBJECTS.name()], pierhead_images::logged_tables().as_slice()].concat()
    }

    fn get(&self, key: &Key) -> Result<Option<Document>, ApiError> {
        let stream = self.images.stream(&key.namespace, &key.name)?;
        Ok(stream.map(|stream| Document::Tree(to_value(&stream))))
    }

    fn list(&self, scan: Scan<'_>) -> Result<Listed, ApiError> {
        let after = scan.after.map(|key| (key.namespace.as_str(), key.name.as_str()));
        let page = self.images.list_streams(scan.namespace, after, scan.limit, scan.at)?;
        let items = page.items.iter().map(|stream| {
            let key = Key::new(stream.metadata.namespace.as_str(), stream.metadata.name.as_str());
            (key, Document::Tree(to_value(stream)))
        });
        Ok(Listed { items: items.collect(), revision: page.revision, more: page.more })
    }

    fn create<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        _: Key,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        async move {
            let may_pull = may_pull(&self.auth, permit);
            outcome(self.images.create_stream(permit, typed(&object)?, &may_pull, tried(dry_run)).await)
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        _: Key,
        seen: Seen,
        mut object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        async move {
            let part = match seen.part {
                Part::Main | Part::Finalize | Part::Computed | Part::Placed => StreamPart::Spec,
                Part::Status => StreamPart::Status,
            };
            metadata::of_mut(&mut object).insert("resourceVersion".to_owned(), seen.resource_version.into());
            let may_pull = may_pull(&self.auth, permit);
            let stream: ImageStream = typed(&object)?;
            outcome(self.images.update_stream(permit, stream, part, &may_pull, tried(dry_run)).await)
        }
        .boxed()
    }

    fn remove<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        key: Key,
        seen: Seen,
        _: Removal,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        async move {
            // Pushes go on until the stream is gone, so the version is not insisted on.
            let same = Preconditions { uid: Some(seen.uid), resource_version: None };
            match self.images.delete_stream(permit, &key.name, same, tried(dry_run)).await {
                Err(StreamError::Precondition { .. }) => Ok(Outcome::Raced),
                deleted => outcome(deleted),
            }
        }
        .boxed()
    }

    fn event(&self, change: &Change) -> Result<Option<Event>, ApiError> {
        let Some(changed) = self.images.stream_change(change).transpose()? else { return Ok(None) };
        let key = Key::new(changed.namespace.as_str(), changed.name.as_str());
        let event = |before: Option<Value>, after: Option<Value>| Event {
            key: key.clone(),
            before: before.map(Document::Tree),
            after: after.map(Document::Tree),
            revision: change.revision,
        };
        let shell = || {
            let stream = ImageStream { metadata: changed.metadata.clone(), ..ImageStream::default() };
            to_value(&stream)
        };
        if changed.event == StreamEvent::Deleted {
            return Ok(Some(event(Some(shell()), None)));
        }
        let is_about_labels = changed.previous_labels.as_ref() != Some(&changed.metadata.labels);
        if changed.event == StreamEvent::Modified && !is_about_labels {
            let newest = self.images.stream_version(&key.namespace, &key.name)?;
            if newest.is_none_or(|newest| newest > change.revision) {
                // A later change tells of this one too: many pushes cost a watcher one reading of the stream.
                return Ok(None);
            }
        }
        let Some(current) = self.images.stream(&key.namespace, &key.name)? else { return Ok(None) };
        let after = to_value(&current);
        if changed.event == StreamEvent::Added {
            return Ok(Some(event(None, Some(after))));
        }
        let mut before = after.clone();
        metadata::of_mut(&mut before).insert("labels".to_owned(), json!(changed.previous_labels));
        set_resource_version(&mut before, change.revision);
        Ok(Some(event(Some(before), Some(after))))
    }
}
