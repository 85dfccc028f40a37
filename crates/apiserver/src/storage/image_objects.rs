//! Images, kept by `images` under their digests.
//!
//! Owns the translation between documents and typed images. What may change of an image is `images`' business.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::image::Image;
use pierhead_api::meta::Preconditions;
use pierhead_api::to_value;
use pierhead_auth::{Api, Permit};
use pierhead_images::Images;
use pierhead_store::{Change, OBJECTS, TableName};
use serde_json::Value;

use super::image_streams::{outcome, tried, typed};
use super::{Document, Event, Key, Listed, Outcome, Scan, Seen, Storage};
use crate::error::ApiError;
use crate::gc::Removal;
use crate::metadata;
use crate::query::DryRun;

/// Images as a storage.
pub(crate) struct ImageObjects(pub(crate) Images);

fn document(image: &Image) -> Document {
    Document::Tree(to_value(image))
}

impl Storage for ImageObjects {
    fn tables(&self) -> Vec<TableName> {
        [&[OBJECTS.name()], pierhead_images::logged_tables().as_slice()].concat()
    }

    fn get(&self, key: &Key) -> Result<Option<Document>, ApiError> {
        Ok(self.0.image(&key.name)?.as_ref().map(document))
    }

    fn list(&self, scan: Scan<'_>) -> Result<Listed, ApiError> {
        let page = self.0.list_images(scan.after.map(|key| key.name.as_str()), scan.limit, scan.at)?;
        let items =
            page.items.iter().map(|image| (Key::new("", image.metadata.name.as_str()), document(image)));
        Ok(Listed { items: items.collect(), revision: page.revision, more: page.more })
    }

    fn create<'a>(
        &'a self,
        permit: &'a Permit<Api>,
        _: Key,
        object: Value,
        dry_run: DryRun,
    ) -> BoxFuture<'a, Result<Outcome, ApiError>> {
        async move { outcome(self.0.create_image(permit, typed(&object)?, tried(dry_run)).await) }.boxed()
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
            outcome(self.0.update_image(permit, typed(&object)?, tried(dry_run)).await)
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
            let wanted = Preconditions { uid: Some(seen.uid), resource_version: Some(seen.resource_version) };
            match self.0.delete_image(permit, &key.name, wanted, tried(dry_run)).await {
                Err(pierhead_images::StreamError::Precondition { .. }) => Ok(Outcome::Raced),
                deleted => outcome(deleted),
            }
        }
        .boxed()
    }

    fn event(&self, change: &Change) -> Result<Option<Event>, ApiError> {
        let Some(changed) = self.0.image_change(change).transpose()? else { return Ok(None) };
        let Some(image) = changed.value.as_ref().or(changed.previous.as_ref()) else { return Ok(None) };
        Ok(Some(Event {
            key: Key::new("", image.metadata.name.as_str()),
            before: changed.previous.as_ref().map(document),
            after: changed.value.as_ref().map(document),
            revision: change.revision,
        }))
    }
}
