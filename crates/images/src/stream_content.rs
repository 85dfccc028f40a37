//! What a stream consists of: one image of its history, and all its blobs (images 3.8).

use std::collections::BTreeMap;

use pierhead_api::image::{
    Image, ImageBlobReferences, ImageLayerData, ImageStreamImage, ImageStreamLayers, stream_image,
};
use pierhead_api::meta::ObjectMeta;
use pierhead_store::{KeyRange, StoreError};

use crate::Images;
use crate::error::StreamError;
use crate::rows::{ALL, Rows, stream_key};
use crate::spec_tags::{Match, find_image};
use crate::stream::{metadata_of, missing};
use crate::tables::{HeadRecord, IMAGES, ImageRecord, STREAMS, TAG_IMAGES};

impl Images {
    /// The image `name@id` of a stream's history, or of a list in it; the id may be shortened.
    pub fn stream_image(&self, namespace: &str, name: &str) -> Result<ImageStreamImage, StreamError> {
        let Some((stream, id)) = stream_image(name) else {
            let message = "ImageStreamImages must be retrieved with <name>@<id>".to_owned();
            return Err(StreamError::BadRequest { message });
        };
        // The name tells which of the two is missing (images 1.2).
        let unknown = |name: &str| StreamError::not_found("imagestreamimages", name);
        self.store().read(|tx| {
            let head = tx.head(namespace, stream)?.ok_or_else(|| unknown(stream))?;
            let record = tx.row(&STREAMS, &stream_key(namespace, stream))?.ok_or_else(|| unknown(stream))?;
            let (digest, reference) = match find_image(tx, head.repository, id)? {
                Match::One(item) => (item.image, Some(item.reference)),
                Match::None => (find_listed(tx, &head, id)?.ok_or_else(|| unknown(name))?, None),
                Match::Many(names) => return Err(ambiguous(id, &names)),
            };
            let Some(ImageRecord { mut image }) = tx.row(&IMAGES, &digest)? else {
                return Err(StreamError::not_found("images", &digest));
            };
            if let Some(reference) = reference {
                image.docker_image_reference = reference;
            }
            let of_stream = metadata_of(&head, record.metadata);
            let metadata = ObjectMeta {
                name: name.to_owned(),
                creation_timestamp: image.metadata.creation_timestamp,
                ..ObjectMeta {
                    namespace: of_stream.namespace,
                    uid: of_stream.uid,
                    resource_version: of_stream.resource_version,
                    labels: of_stream.labels,
                    annotations: of_stream.annotations,
                    ..ObjectMeta::default()
                }
            };
            Ok(ImageStreamImage { metadata, image })
        })
    }

    /// All images of a stream's history and the blobs they consist of.
    pub fn layers(&self, namespace: &str, stream: &str) -> Result<ImageStreamLayers, StreamError> {
        self.store().read(|tx| {
            let head = tx.head(namespace, stream)?.ok_or_else(|| missing(stream))?;
            let record = tx.row(&STREAMS, &stream_key(namespace, stream))?.ok_or_else(|| missing(stream))?;
            let mut layers = layers_of(tx, &head)?;
            layers.metadata = metadata_of(&head, record.metadata);
            Ok(layers)
        })
    }
}

fn layers_of(rows: &impl Rows, head: &HeadRecord) -> Result<ImageStreamLayers, StoreError> {
    let mut layers = ImageStreamLayers::default();
    let keys = rows.rows(&TAG_IMAGES, &KeyRange::prefix(&head.repository), ALL)?;
    let keys = keys.into_iter().map(|((_, key, _), ())| key);
    let digests = keys.filter_map(|key| pierhead_oci::Digest::from_key(&key).ok());
    let mut pending: Vec<String> = digests.map(|digest| digest.to_string()).collect();
    pending.dedup();
    while let Some(name) = pending.pop() {
        if layers.images.contains_key(&name) {
            continue;
        }
        pending.extend(add_image(rows, &name, &mut layers)?);
    }
    Ok(layers)
}

/// The image of a list in the stream's history whose id begins so, with or without the name of the algorithm.
fn find_listed(rows: &impl Rows, head: &HeadRecord, id: &str) -> Result<Option<String>, StreamError> {
    let begins = |name: &String| {
        name.starts_with(id) || name.split_once(':').is_some_and(|(_, hex)| hex.starts_with(id))
    };
    let mut found: Vec<String> = layers_of(rows, head)?.images.into_keys().filter(begins).collect();
    if found.len() > 1 {
        return Err(ambiguous(id, &found));
    }
    Ok(found.pop())
}

fn ambiguous(id: &str, names: &[String]) -> StreamError {
    StreamError::BadRequest {
        message: format!("multiple images match the prefix {id:?}: {}", names.join(", ")),
    }
}

/// Adds one image; answers the manifests it lists.
fn add_image(
    rows: &impl Rows,
    name: &str,
    layers: &mut ImageStreamLayers,
) -> Result<Vec<String>, StoreError> {
    let Some(record) = rows.row(&IMAGES, &name.to_owned())? else {
        let missing = ImageBlobReferences { image_missing: true, ..ImageBlobReferences::default() };
        layers.images.insert(name.to_owned(), missing);
        return Ok(Vec::new());
    };
    let Image {
        docker_image_layers,
        docker_image_manifests,
        docker_image_manifest_media_type,
        docker_image_metadata,
        ..
    } = &record.image;
    add_blob(&mut layers.blobs, name, None, docker_image_manifest_media_type);
    for layer in docker_image_layers {
        add_blob(&mut layers.blobs, &layer.name, Some(layer.size), &layer.media_type);
    }
    let manifests: Vec<String> =
        docker_image_manifests.iter().map(|manifest| manifest.digest.clone()).collect();
    let is_list = !manifests.is_empty();
    // The id of the metadata is the config's digest, except for lists and for images without a config.
    let id = docker_image_metadata.as_ref().and_then(|_| record.image.docker_image()).map(|image| image.id);
    let config = id.filter(|id| !is_list && id.contains(':'));
    if let Some(config) = &config {
        add_blob(&mut layers.blobs, config, None, "");
    }
    let names = docker_image_layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>();
    let references = ImageBlobReferences {
        image_missing: false,
        layers: (!names.is_empty()).then_some(names),
        config,
        manifests: manifests.clone(),
    };
    layers.images.insert(name.to_owned(), references);
    Ok(manifests)
}

fn add_blob(blobs: &mut BTreeMap<String, ImageLayerData>, name: &str, size: Option<i64>, media_type: &str) {
    let data = || ImageLayerData { size, media_type: media_type.to_owned() };
    blobs.entry(name.to_owned()).or_insert_with(data);
}
