//! Tags of image streams as objects of their own: image stream tags and the newer image tags (images 3.7, 3.8).
//!
//! Owns that a PUT makes what is missing, asks for no version and replaces a tag as a whole, unlike the ordinary kinds.
//! What a tag is, is `images`' business. They cannot be watched, as in the original.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::image::{ImageStreamTag, ImageTag};
use pierhead_api::meta::{ObjectMeta, Preconditions};
use pierhead_api::{Object, to_value};
use pierhead_auth::{Api, Auth, Permit};
use pierhead_images::{Created, Images, ObjectPage, StreamError};
use pierhead_store::Change;
use serde_json::Value;

use super::image_streams::{may_pull, outcome, tried, typed};
use super::{Document, Event, Key, Listed, Outcome, Put, Scan, Seen, Storage};
use crate::error::ApiError;
use crate::gc::Removal;
use crate::metadata;
use crate::query::DryRun;

/// Which of the two kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagKind {
    /// `imagestreamtags`
    StreamTag,
    /// `imagetags`
    ImageTag,
}

/// Tags as a storage.
pub(crate) struct ImageTags {
    images: Images,
    auth: Auth,
    kind: TagKind,
}

impl ImageTags {
    /// The tags in `images` as objects of one of the two kinds.
    pub(crate) fn new(images: Images, auth: Auth, kind: TagKind) -> Self {
        Self { images, auth, kind }
    }

    async fn write(
        &self,
        permit: &Permit<Api>,
        object: &Value,
        dry_run: DryRun,
    ) -> Result<(Value, Created), ApiError> {
        let (may_pull, dry_run) = (may_pull(&self.auth, permit), tried(dry_run));
        Ok(match self.kind {
            TagKind::StreamTag => {
                let tag: ImageStreamTag = typed(object)?;
                let (tag, created) = self.images.update_stream_tag(permit, tag, &may_pull, dry_run).await?;
                (to_value(&tag), created)
            }
            TagKind::ImageTag => {
                let tag: ImageTag = typed(object)?;
                let (tag, created) = self.images.update_image_tag(permit, tag, &may_pull, dry_run).await?;
                (to_value(&tag), created)
            }
        })
    }
}

fn listed<T: Object>(page: ObjectPage<T>) -> Listed {
    let items = page.items.iter().map(|tag| {
        let ObjectMeta { namespace, name, .. } = tag.metadata();
        (Key::new(namespace.as_str(), name.as_str()), Document::Tree(to_value(tag)))
    });
    Listed { items: items.collect(), revision: page.revision, more: page.more }
}

impl Storage for ImageTags {
    /// They have the uid of their stream.
    fn has_own_uids(&self) -> bool {
        false
    }

    fn get(&self, key: &Key) -> Result<Option<Document>, ApiError> {
        let document = match self.kind {
            TagKind::StreamTag => to_value(&self.images.stream_tag(&key.namespace, &key.name)?),
            TagKind::ImageTag => to_value(&self.images.image_tag(&key.namespace, &key.name)?),
        };
        Ok(Some(Document::Tree(document)))
    }

    fn find(&self, key: &Key) -> Result<Option<Document>, ApiError> {
        match self.get(key) {
            // A tag that is wanted and points at nothing yet is not shown, but can be changed and deleted.
            Err(error) if error.status().code == 404 && self.kind == TagKind::StreamTag => {
                let tag = self.images.wanted_stream_tag(&key.namespace, &key.name)?;
                Ok(Some(Document::Tree(to_value(&tag))))
            }
            found => found,
        }
    }

    fn list(&self, scan: Scan<'_>) -> Result<Listed, ApiError> {
        let after = scan.after.and_then(|key| {
            let (stream, tag) = key.name.split_once(':')?;
            Some((key.namespace.as_str(), stream, tag))
        });
        // One more is read than asked for, which must not overflow.
        let limit = scan.limit.min(usize::MAX / 2);
        Ok(match self.kind {
            TagKind::StreamTag => {
                listed(self.images.list_stream_tags(scan.namespace, after, limit, scan.at)?)
            }
            TagKind::ImageTag => {
                listed(self.images.list_image_tags(scan.namespace, after, limit, scan.at)?)
            }
        })
    }

    fn create<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        _: Key,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        async move {
            let (may_pull, dry_run) = (may_pull(&self.auth, permit), tried(dry_run));
            match self.kind {
                TagKind::StreamTag => {
                    outcome(self.images.create_stream_tag(permit, typed(&object)?, &may_pull, dry_run).await)
                }
                TagKind::ImageTag => {
                    outcome(self.images.create_image_tag(permit, typed(&object)?, &may_pull, dry_run).await)
                }
            }
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
            metadata::of_mut(&mut object).insert("resourceVersion".to_owned(), seen.resource_version.into());
            match self.write(permit, &object, dry_run).await {
                Ok((object, _)) => Ok(Outcome::Done(object)),
                Err(error) if error.status().code == 409 => Ok(Outcome::Raced),
                Err(error) => Err(error),
            }
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
            let last = self.find(&key)?.map(Document::into_tree).transpose()?.unwrap_or_default();
            // The uid is the stream's, and pushes to it go on.
            let same = Preconditions { uid: Some(seen.uid), resource_version: None };
            match self.images.delete_stream_tag(permit, &key.name, same, tried(dry_run)).await {
                Ok(()) => Ok(Outcome::Done(last)),
                Err(StreamError::Precondition { .. }) => Ok(Outcome::Raced),
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        object: &'a Value,
        dry_run: DryRun,
    ) -> Option<BoxFuture<'a, Result<Put, ApiError>>> {
        Some(
            async move {
                let (object, created) = self.write(permit, object, dry_run).await?;
                Ok(Put { object, created: created == Created::Yes })
            }
            .boxed(),
        )
    }

    fn event(&self, _: &Change) -> Result<Option<Event>, ApiError> {
        Ok(None)
    }
}
