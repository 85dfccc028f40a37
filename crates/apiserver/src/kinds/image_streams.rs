//! Image streams and what is looked up or put through them: mappings, images by id, layers, pull secrets (images 3).
//!
//! Owns names, verbs and subresources. What streams are and how they change is `images`', which also validates them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::image::{ImageStream, ImageStreamImage, ImageStreamMapping, annotation};
use pierhead_api::meta::Status;
use pierhead_api::to_value;
use pierhead_auth::{Attributes, Auth};
use pierhead_images::{Images, MayMap, StreamError};
use pierhead_store::objects::OBJECTS;
use pierhead_store::{KeyRange, Revision};
use serde_json::{Value, json};

use super::access_reviews::read;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, GroupVersionKind, Kind, SubBehaviour, Subresource, Verb};
use crate::path::Prefix;
use crate::query::WriteOptions;
use crate::storage::image_streams::{ImageStreams, tried};
use crate::strategy::Strategy;

/// Streams.
pub(crate) fn kind(images: &Images, auth: &Auth) -> Kind {
    let connect = |name, group, kind, lookup: Lookup| Subresource {
        name,
        kind: GroupVersionKind { group, version: "v1", kind },
        verbs: &[Verb::Get],
        behaviour: SubBehaviour::Connect(Arc::new(lookup)),
    };
    Kind::stored(Streams)
        .kept_in(ImageStreams::new(images.clone(), auth.clone()))
        .status()
        .subresource(connect("secrets", "", "SecretList", Lookup::Secrets))
        .subresource(connect("layers", "image.openshift.io", "ImageStreamLayers", Lookup::Layers))
        .fields(&[
            ("spec.dockerImageRepository", "/spec/dockerImageRepository"),
            ("status.dockerImageRepository", "/status/dockerImageRepository"),
        ])
        .openshift()
}

/// Mappings, which put an image into a stream, and images of a stream's history.
pub(crate) fn lookups() -> Vec<Kind> {
    vec![
        Kind::calls::<ImageStreamImage>(&[Verb::Get], Lookup::StreamImage).openshift(),
        Kind::calls::<ImageStreamMapping>(&[Verb::Create], Mapping).openshift(),
    ]
}

struct Streams;

impl Strategy for Streams {
    type Object = ImageStream;
}

struct Mapping;

impl Connect for Mapping {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            let mapping: ImageStreamMapping = read(&body.unwrap_or_default())?;
            let name = mapping.metadata.name.clone();
            let options = WriteOptions::parse(&call.query, "CreateOptions")?;
            let images = &call.server.images;
            let may_map = may_map(call);
            let created = images.create_mapping(&call.permit, mapping, may_map, tried(options.dry_run)).await;
            match created {
                Ok(()) => Ok(Answer::status(Status { code: 201, ..Status::success() })),
                // A registry decides by the resource of this answer whether to make the stream: the old one by
                // that of streams, the others by that which was asked for (images 1.2).
                Err(StreamError::NotFound { resource: "imagestreams", .. })
                    if call.path.prefix != Prefix::Legacy =>
                {
                    Err(call.not_found(&name).into())
                }
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    }
}

/// Who sees every image anyway may put any of them into a stream.
fn may_map(call: &Call) -> MayMap {
    let every = Attributes::new("get", "image.openshift.io", "images");
    let decision = call.server.auth.allowed(call.permit.subject(), &every);
    if decision.allowed { MayMap::Every } else { MayMap::Pushable }
}

#[derive(Clone, Copy)]
enum Lookup {
    StreamImage,
    Layers,
    Secrets,
}

impl Connect for Lookup {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let found = match self {
            Self::StreamImage => stream_image(call),
            Self::Layers => layers(call),
            Self::Secrets => secrets(call),
        };
        std::future::ready(found.map(Answer::ok)).boxed()
    }
}

fn stream_image(call: &Call) -> Result<Value, ApiError> {
    Ok(to_value(&call.server.images.stream_image(call.namespace(), call.name())?))
}

fn layers(call: &Call) -> Result<Value, ApiError> {
    Ok(to_value(&call.server.images.layers(call.namespace(), call.name())?))
}

/// All secrets of the namespace that a registry takes credentials from, whatever the stream (images 3.8).
fn secrets(call: &Call) -> Result<Value, ApiError> {
    let (items, revision) = docker_secrets(call)?;
    Ok(json!({
        "kind": "SecretList", "apiVersion": "v1",
        "metadata": {"resourceVersion": revision.to_string()}, "items": items,
    }))
}

/// The documents of those secrets, and the state they were read from.
pub(super) fn docker_secrets(call: &Call) -> Result<(Vec<Value>, Revision), ApiError> {
    let range = KeyRange::prefix(&("secrets", call.namespace()));
    let (rows, revision) = call
        .server
        .store
        .read(|tx| tx.scan(&OBJECTS, &range, usize::MAX).map(|rows| (rows, tx.revision())))?;
    let mut items: Vec<Value> = Vec::new();
    for (_, record) in rows {
        let secret: Value = serde_json::from_slice(&record.0)?;
        let docker = matches!(
            secret["type"].as_str(),
            Some("kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson")
        );
        if docker && secret["metadata"]["annotations"][annotation::EXCLUDE_SECRET] != "true" {
            items.push(secret);
        }
    }
    Ok((items, revision))
}
