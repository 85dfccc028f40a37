//! Collection takes what nobody needs, and only that.

use std::time::Duration;

use pierhead_api::image::ImageStreamMapping;
use pierhead_api::meta::Preconditions;
use pierhead_images::{Collected, DeleteError, DryRun, MayMap, PrunedBlob, PullError, UploadError};
use pierhead_oci::Digest;
use pierhead_store::{OBJECTS, ObjectKey};
use serde_json::json;

use crate::world::{OCI_MANIFEST, Sample, World};

const DAY: Duration = Duration::from_hours(25);

#[tokio::test]
async fn only_what_nothing_refers_to_is_collected_and_not_before_its_time() {
    let world = World::new().await;
    let (kept, gone) = (Sample::new("kept"), Sample::new("gone"));
    world.put_image(("shop", "web"), "latest", &kept).await;
    world.put_image(("shop", "web"), "old", &gone).await;
    let unused = world.put_blob("shop", "web", &[7; 5_000]).await;
    assert_eq!(world.images.collect_garbage().await.unwrap().links, 0, "everything is fresh");
    world.images.delete_manifest(&world.delete("shop", "web"), &gone.digest()).await.unwrap();
    world.advance(DAY);
    // Somebody is told that the layer is there, and may rely on it for another day.
    let layer = Digest::sha256(&gone.layer);
    world.images.blob(&world.pull("shop", "web"), &layer).await.unwrap();
    let collected = world.images.collect_garbage().await.unwrap();
    assert_eq!(collected, Collected { links: 2, blobs: 2 }, "the config of `gone` and the blob never used");
    assert_eq!(world.blobs.stat(&layer).await.unwrap(), Some(gone.layer.len() as u64));
    assert_eq!(world.blobs.stat(&unused).await.unwrap(), None);
    for blob in [&kept.config, &kept.layer] {
        let digest = Digest::sha256(blob);
        assert!(
            world
                .images
                .blob(&world.pull("shop", "web"), &digest)
                .await
                .is_ok_and(|blob| *blob.digest() == digest)
        );
    }
    world.advance(DAY);
    assert_eq!(world.images.collect_garbage().await.unwrap(), Collected { links: 1, blobs: 1 });
}

/// What a project leaves behind is not its successor's, though it never had a stream.
#[tokio::test]
async fn a_repository_without_a_stream_ends_with_its_namespace() {
    let world = World::new().await;
    let key = ObjectKey::new("namespaces", "", "other");
    let namespace = world.store.read(|tx| tx.get(&OBJECTS, &key)).unwrap().unwrap();
    let late = world.push("other", "late");
    let id = world.images.start_upload(&late).await.unwrap();
    let mut upload = world.images.upload(&late, id).await.unwrap();
    upload.append(vec![8; 5_000].into()).await.unwrap();
    let secret = world.put_blob("other", "web", &[7; 5_000]).await;
    let removed = key.clone();
    world.store.write(move |tx| tx.delete(&OBJECTS, &removed)).await.unwrap();
    let after = Digest::sha256(&[8; 5_000]);
    let refused = upload.commit(&after).await;
    assert!(matches!(refused, Err(UploadError::StreamMissing { .. })), "{refused:?}");
    world.images.collect_garbage().await.unwrap();
    world.store.write(move |tx| tx.put(&OBJECTS, &key, &namespace).map(|_| ())).await.unwrap();
    for (stream, digest) in [("web", &secret), ("late", &after)] {
        let answer = world.images.blob(&world.pull("other", stream), digest).await;
        assert!(matches!(answer, Err(PullError::BlobUnknown { .. })), "{stream}: {answer:?}");
    }
}

#[tokio::test]
async fn a_shared_blob_stays_until_its_last_repository_ends() {
    let world = World::new().await;
    let sample = Sample::new("shared");
    world.put_image(("shop", "web"), "latest", &sample).await;
    world.put_image(("other", "web"), "latest", &sample).await;
    let permit = world.api("shop", "imagestreams");
    world.images.delete_stream(&permit, "web", Preconditions::default(), DryRun::No).await.unwrap();
    world.advance(DAY);
    world.images.collect_garbage().await.unwrap();
    assert_eq!(world.pulled(("shop", "web"), "latest").await, None);
    assert_eq!(world.pulled(("other", "web"), "latest").await, Some(sample.digest()));
    let layer = Digest::sha256(&sample.layer);
    assert!(world.blobs.stat(&layer).await.unwrap().is_some());
    let buried = world.store.write(|tx| pierhead_images::bury_namespace(tx, "other")).await.unwrap();
    assert_eq!(buried, 1);
    world.images.collect_garbage().await.unwrap();
    assert!(world.images.stream("other", "web").unwrap().is_none());
    assert!(world.blobs.stat(&layer).await.unwrap().is_none());
}

#[tokio::test]
async fn a_pruner_removes_at_once_what_no_repository_serves() {
    let world = World::new().await;
    let sample = Sample::new("a");
    world.put_image(("shop", "web"), "latest", &sample).await;
    let permit = world.api("shop", "images");
    for blob in [&sample.config, &sample.layer] {
        let digest = Digest::sha256(blob);
        assert_eq!(world.images.prune_blob(&permit, &digest).await.unwrap(), PrunedBlob::Needed);
        world.images.delete_blob(&world.delete("shop", "web"), &digest).await.unwrap();
        assert_eq!(world.images.prune_blob(&permit, &digest).await.unwrap(), PrunedBlob::Removed);
        let again = world.images.prune_blob(&permit, &digest).await;
        assert!(matches!(again, Err(DeleteError::BlobUnknown { .. })), "{again:?}");
    }
}

#[tokio::test]
async fn a_mapping_that_brings_a_manifest_back_protects_what_it_refers_to() {
    let world = World::new().await;
    let sample = Sample::new("a");
    world.put_image(("shop", "web"), "latest", &sample).await;
    let name = sample.digest().to_string();
    world
        .images
        .delete_image(&world.api("", "images"), &name, Preconditions::default(), DryRun::No)
        .await
        .unwrap();
    world.advance(DAY);
    let mapping: ImageStreamMapping = serde_json::from_value(json!({
        "metadata": {"name": "web"}, "tag": "again",
        "image": {
            "metadata": {"name": name}, "dockerImageManifestMediaType": OCI_MANIFEST,
            "dockerImageManifest": String::from_utf8(sample.manifest.clone()).unwrap(),
        },
    }))
    .unwrap();
    let permit = world.api("shop", "imagestreammappings");
    world.images.create_mapping(&permit, mapping, MayMap::Pushable, DryRun::No).await.unwrap();
    assert_eq!(world.pulled(("shop", "web"), "again").await, Some(sample.digest()));
    // A collector that looked before must find the leases renewed: without the manifest they are all that protects.
    world
        .images
        .delete_image(&world.api("", "images"), &name, Preconditions::default(), DryRun::No)
        .await
        .unwrap();
    assert_eq!(world.images.collect_garbage().await.unwrap(), Collected::default());
}
