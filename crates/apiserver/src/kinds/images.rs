//! Images and their signatures (images 3.8).
//!
//! Owns names and verbs. What may change of an image is `images`' business, which also validates.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::image::{Image, ImageSignature};
use pierhead_api::meta::Status;
use pierhead_api::to_value;
use pierhead_images::Images;
use serde_json::Value;

use super::access_reviews::read;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::query::WriteOptions;
use crate::storage::image_objects::ImageObjects;
use crate::storage::image_streams::tried;
use crate::strategy::Strategy;

/// The two kinds.
pub(crate) fn kinds(images: &Images) -> Vec<Kind> {
    vec![
        Kind::stored(ImageKind).unrecorded().kept_in(ImageObjects(images.clone())).openshift(),
        Kind::calls::<ImageSignature>(&[Verb::Create, Verb::Delete], Signatures).openshift(),
    ]
}

struct ImageKind;

impl Strategy for ImageKind {
    type Object = Image;
}

struct Signatures;

impl Connect for Signatures {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            let dry_run = tried(WriteOptions::parse(&call.query, "CreateOptions")?.dry_run);
            let images = &call.server.images;
            let Some(document) = body else {
                images.delete_signature(&call.permit, call.name(), dry_run).await?;
                return Ok(Answer::status(Status { code: 200, ..Status::success() }));
            };
            let signature: ImageSignature = read(&document)?;
            Ok(Answer::created(to_value(&images.create_signature(&call.permit, signature, dry_run).await?)))
        }
        .boxed()
    }
}
