//! What a push needs, what it does, and what it costs.

use pierhead_auth::Subject;
use pierhead_blobs::Blobs;
use pierhead_images::{Mount, MountSource, PushError, UploadError};
use pierhead_oci::{Digest, Manifest, Reference, Tag};
use pierhead_runtime::ManualClock;
use pierhead_store::{OBJECTS, ObjectKey, ObjectRecord, Store};

use crate::world::{OCI_INDEX, REGISTRY, Sample, World, all_tables};

const AT: (&str, &str) = ("shop", "web");

#[tokio::test]
async fn a_push_makes_stream_tag_and_image_at_once() {
    let world = World::new().await;
    let sample = Sample::new("one");
    let before = world.store.revision();
    let digest = world.put_image(AT, "latest", &sample).await;
    let stream = world.stream("shop", "web");
    let item = stream.newest("latest").unwrap().clone();
    assert_eq!(item.image, digest.to_string());
    assert_eq!(item.docker_image_reference, format!("{REGISTRY}/shop/web@{digest}"));
    assert_eq!(item.generation, 1);
    assert_eq!(stream.status.docker_image_repository, format!("{REGISTRY}/shop/web"));

    let image = world.images.image(&digest.to_string()).unwrap().unwrap();
    assert!(image.is_managed());
    let metadata = image.docker_image().unwrap();
    assert_eq!(metadata.id, Digest::sha256(&sample.config).to_string());
    assert_eq!(metadata.architecture, "amd64");
    assert_eq!(metadata.config.unwrap().env, ["A=one"]);
    assert_eq!(metadata.size, i64::try_from(sample.config.len() + sample.layer.len()).unwrap());
    assert_eq!(image.docker_image_layers.len(), 1);

    let changes = world.store.changes(before, 10).unwrap();
    let told: Vec<_> = changes.iter().map(|change| change.table.to_string()).collect();
    assert_eq!(told, ["images", "image_streams"], "one change per object, none for blobs");
    assert_eq!(stream.metadata.resource_version, changes.last().unwrap().revision.to_string());
    let manifest =
        world.images.manifest(&world.pull("shop", "web"), &"latest".parse().unwrap()).await.unwrap();
    assert_eq!((manifest.digest, manifest.bytes.to_vec()), (digest, sample.manifest));
}

#[tokio::test]
async fn pushing_the_same_again_changes_nothing() {
    let world = World::new().await;
    let sample = Sample::new("one");
    world.put_image(AT, "latest", &sample).await;
    let before = world.store.revision();
    world.put_image(AT, "latest", &sample).await;
    assert_eq!(world.store.revision(), before);
}

#[tokio::test]
async fn a_manifest_needs_its_blobs_in_this_repository_and_of_the_right_size() {
    let world = World::new().await;
    let sample = Sample::new("one");
    world.put_blob("other", "web", &sample.layer).await;
    let config = world.put_blob("shop", "web", &sample.config).await;
    match world.put_manifest(AT, "latest", sample.parsed()).await {
        Err(PushError::MissingBlobs { digests }) => assert_eq!(digests, [Digest::sha256(&sample.layer)]),
        other => panic!("{other:?}"),
    }
    assert!(world.images.stream("shop", "web").unwrap().is_none(), "nothing is half-made");
    world.put_blob("shop", "web", &sample.layer).await;
    let text = String::from_utf8(sample.manifest.clone()).unwrap();
    let (from, to) = (format!("\"size\":{}", sample.config.len()), "\"size\":7");
    let lying = Manifest::parse("", text.replacen(&from, to, 1).into_bytes()).unwrap();
    match world.put_manifest(AT, "latest", lying).await {
        Err(PushError::SizeMismatch { digest, .. }) => assert_eq!(*digest, config),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_is_made_only_by_those_who_may() {
    let world = World::new().await;
    let sample = Sample::new("one");
    world.put_blob("shop", "web", &sample.config).await;
    world.put_blob("shop", "web", &sample.layer).await;
    let push = world.push("shop", "web");
    let reference: Reference = "latest".parse().unwrap();
    let refused = world.images.push_manifest(&push, None, &reference, &[], sample.parsed()).await;
    assert!(matches!(refused, Err(PushError::StreamMissing { .. })), "{refused:?}");
    let elsewhere = world.auth.permit_create_stream(&world.user, "other").unwrap();
    let refused = world.images.push_manifest(&push, Some(&elsewhere), &reference, &[], sample.parsed()).await;
    assert!(matches!(refused, Err(PushError::StreamMissing { .. })), "{refused:?}");
}

/// The client is told that it may not push, and not what else it should push first.
#[tokio::test]
async fn nothing_new_comes_to_a_namespace_that_ends() {
    let world = World::new().await;
    let sample = Sample::new("one");
    world.put_image(("shop", "web"), "latest", &sample).await;
    // Nobody is given a permit for what ends; these were given just before.
    let push = world.push("other", "web");
    let create = world.auth.permit_create_stream(&world.user, "other").unwrap();
    let key = ObjectKey::new("namespaces", "", "other");
    let ending = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"other","deletionTimestamp":"2026-11-23T10:00:00Z"},"status":{"phase":"Terminating"}}"#;
    let ending = ObjectRecord(ending.into());
    world.store.write(move |tx| tx.put(&OBJECTS, &key, &ending).map(|_| ())).await.unwrap();
    let refused = world.images.start_upload(&push).await;
    assert!(matches!(refused, Err(UploadError::StreamMissing { .. })), "{refused:?}");
    let source = MountSource::Anywhere(&|_, _| true);
    let mounted = world.images.mount(&push, &Digest::sha256(&sample.layer), source).await.unwrap();
    assert_eq!(mounted, Mount::NotMounted);
    let latest: Reference = "latest".parse().unwrap();
    let refused = world.images.push_manifest(&push, Some(&create), &latest, &[], sample.parsed()).await;
    assert!(matches!(refused, Err(PushError::StreamMissing { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_index_needs_its_manifests_and_they_are_pulled_by_digest() {
    let world = World::new().await;
    let sample = Sample::new("child");
    let child = sample.digest();
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{child}","size":{},"platform":{{"architecture":"arm64","os":"linux"}}}}]}}"#,
        sample.manifest.len()
    );
    let index = || Manifest::parse(OCI_INDEX, index.clone().into_bytes()).unwrap();
    match world.put_manifest(AT, "multi", index()).await {
        Err(PushError::MissingManifests { digests }) => assert_eq!(digests, std::slice::from_ref(&child)),
        other => panic!("{other:?}"),
    }
    world.put_image(AT, &child.to_string(), &sample).await;
    assert_eq!(world.pulled(AT, &child.to_string()).await, Some(child.clone()));
    let pushed = world.put_manifest(AT, "multi", index()).await.unwrap();
    assert_eq!(world.history(AT, "multi"), [pushed.digest.to_string()]);
    let image = world.images.image(&pushed.digest.to_string()).unwrap().unwrap();
    assert_eq!(image.docker_image_manifests.first().unwrap().architecture, "arm64");
    let mut layers = world.images.layers("shop", "web").unwrap();
    assert_eq!(layers.images.remove(&pushed.digest.to_string()).unwrap().manifests, [child.to_string()]);
    assert!(layers.blobs.contains_key(&Digest::sha256(&sample.layer).to_string()));
}

#[tokio::test]
async fn a_large_manifest_is_kept_too() {
    let world = World::new().await;
    let note = "x".repeat(100_000);
    let sample =
        Sample::with(b"{}".to_vec(), b"l".to_vec(), &format!(r#","annotations":{{"note":"{note}"}}"#));
    let digest = world.put_image(AT, "big", &sample).await;
    let manifest = world.images.manifest(&world.pull("shop", "web"), &digest.into()).await.unwrap();
    assert_eq!(manifest.bytes.to_vec(), sample.manifest);
}

#[tokio::test]
async fn referrers_are_found_by_subject() {
    let world = World::new().await;
    let subject = world.put_image(AT, "latest", &Sample::new("one")).await;
    let more = format!(
        r#","subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":1}},"artifactType":"application/x-signature","annotations":{{"k":"v"}}"#
    );
    let signature = Sample::with(b"{}".to_vec(), b"signature".to_vec(), &more);
    let digest = world.put_image(AT, &signature.digest().to_string(), &signature).await;
    let pull = world.pull("shop", "web");
    let referrers = |last: Option<&Digest>| world.images.referrers(&pull, &subject, last, 10).unwrap().items;
    let found = referrers(None);
    assert_eq!(found.iter().map(|found| &found.digest).collect::<Vec<_>>(), [&digest]);
    assert_eq!(found.first().unwrap().annotations.get("k").unwrap(), "v");
    assert_eq!(referrers(Some(&digest)).len(), 0, "none comes after the last");
    world.images.delete_manifest(&world.delete("shop", "web"), &digest).await.unwrap();
    assert_eq!(referrers(None).len(), 0);
}

#[tokio::test]
async fn uploads_belong_to_one_principal_and_repository_and_are_counted() {
    let world = World::new().await;
    let permit = world.push("shop", "web");
    let id = world.images.start_upload(&permit).await.unwrap();
    let elsewhere = world.images.upload_offset(&world.push("shop", "api"), id);
    assert!(matches!(elsewhere, Err(UploadError::Unknown { .. })), "{elsewhere:?}");
    let bob = Subject::system("bob", &["system:masters"]);
    let foreign = world.auth.permit_push(&bob, "shop", "web").unwrap();
    let foreign = world.images.upload_offset(&foreign, id);
    assert!(matches!(foreign, Err(UploadError::Unknown { .. })), "{foreign:?}");
    for _ in 1..64 {
        world.images.start_upload(&permit).await.unwrap();
    }
    let refused = world.images.start_upload(&permit).await;
    assert!(matches!(refused, Err(UploadError::TooMany { limit: 64 })), "{refused:?}");
    world.images.cancel_upload(&permit, id).await.unwrap();
    world.images.start_upload(&permit).await.unwrap();
    world.advance(std::time::Duration::from_hours(25));
    assert_eq!(world.images.reap_uploads().await.unwrap(), 64);
}

/// Interrupted uploads lock nobody out: the one that rested longest gives way, but none that is being written, none that
/// moved within the minute, and none of somebody else.
#[tokio::test]
async fn the_upload_that_rested_longest_gives_way() {
    let world = World::new().await;
    let permit = world.push("shop", "web");
    let bob = Subject::system("bob", &["system:masters"]);
    let foreign = world.auth.permit_push(&bob, "shop", "web").unwrap();
    let bobs = world.images.start_upload(&foreign).await.unwrap();
    let written = world.images.start_upload(&permit).await.unwrap();
    let mut writer = world.images.upload(&permit, written).await.unwrap();
    writer.append("half".into()).await.unwrap();
    world.advance(std::time::Duration::from_secs(1));
    let idle = world.images.start_upload(&permit).await.unwrap();
    world.advance(std::time::Duration::from_secs(59));
    for _ in 2..64 {
        world.images.start_upload(&permit).await.unwrap();
    }
    let refused = world.images.start_upload(&permit).await;
    assert!(matches!(refused, Err(UploadError::TooMany { limit: 64 })), "{refused:?}");
    world.advance(std::time::Duration::from_secs(2));
    let new = world.images.start_upload(&permit).await.unwrap();
    let gone = world.images.upload_offset(&permit, idle);
    assert!(matches!(gone, Err(UploadError::Unknown { .. })), "{gone:?}");
    let refused = world.images.start_upload(&permit).await;
    assert!(matches!(refused, Err(UploadError::TooMany { limit: 64 })), "the others moved a second ago");
    assert_eq!(writer.suspend().await.unwrap(), 4);
    assert_eq!(world.images.upload_offset(&permit, new).unwrap(), 0);
    assert_eq!(world.images.upload_offset(&foreign, bobs).unwrap(), 0);
}

#[tokio::test]
async fn what_was_pushed_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new("2026-11-23T10:00:00Z".parse().unwrap());
    let sample = Sample::new("one");
    let (rows, bytes) = (directory.path().join("rows"), directory.path().join("bytes"));
    let open = || {
        let store = Store::open(&rows, clock.shared(), &all_tables()).unwrap();
        (store, Blobs::filesystem(&bytes, clock.shared()).unwrap())
    };
    let (store, blobs) = open();
    let world = World::over(store, blobs, clock.clone()).await;
    let digest = world.put_image(AT, "latest", &sample).await;
    let upload = world.images.start_upload(&world.push("shop", "web")).await.unwrap();
    let mut open_upload = world.images.upload(&world.push("shop", "web"), upload).await.unwrap();
    open_upload.append("half".into()).await.unwrap();
    open_upload.suspend().await.unwrap();
    world.store.close();
    drop(world);
    let (store, blobs) = open();
    let world = World::over(store, blobs, clock.clone()).await;
    assert_eq!(world.pulled(AT, "latest").await, Some(digest));
    assert_eq!(world.images.upload_offset(&world.push("shop", "web"), upload).unwrap(), 4);
    let layer = Digest::sha256(&sample.layer);
    let blob = world.images.blob(&world.pull("shop", "web"), &layer).await.unwrap();
    let body = http_body_util::BodyExt::collect(blob.open(None).await.unwrap()).await.unwrap();
    assert_eq!(body.to_bytes(), sample.layer);
    let tag: Tag = "latest".parse().unwrap();
    world.images.delete_tag(&world.delete("shop", "web"), &tag).await.unwrap();
    assert_eq!(world.pulled(AT, "latest").await, None, "the cache does not remember what was deleted");
}

#[tokio::test]
async fn the_depth_of_an_index_counts_what_came_after_it() {
    let world = World::new().await;
    let index = |child: &Digest| {
        let child = serde_json::json!({"mediaType": OCI_INDEX, "digest": child, "size": 10});
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]});
        Manifest::parse(OCI_INDEX, index.to_string().into_bytes()).unwrap()
    };
    let sample = Sample::new("a");
    let mut chain = vec![sample.parsed()];
    for level in 0..5 {
        chain.push(index(&chain[level].digest(pierhead_oci::Algorithm::Sha256)));
    }
    let digest = |manifest: &Manifest| manifest.digest(pierhead_oci::Algorithm::Sha256);
    // Who may map every image brings a list before what it names.
    let early = index(&digest(&chain[5]));
    world.put_image(AT, "image", &sample).await;
    let mapping = serde_json::json!({
        "metadata": {"name": AT.1}, "tag": "early",
        "image": {
            "metadata": {"name": digest(&early)}, "dockerImageManifestMediaType": OCI_INDEX,
            "dockerImageManifest": String::from_utf8(early.bytes().to_vec()).unwrap(),
        },
    });
    let permit = world.api(AT.0, "imagestreammappings");
    let mapping = serde_json::from_value(mapping).unwrap();
    world
        .images
        .create_mapping(&permit, mapping, pierhead_images::MayMap::Every, pierhead_images::DryRun::No)
        .await
        .unwrap();
    let above = index(&digest(&early));
    for manifest in chain.drain(1..) {
        world.put_manifest(AT, &digest(&manifest).to_string(), manifest).await.unwrap();
    }
    let refused = world.put_manifest(AT, "deep", above).await;
    assert!(matches!(refused, Err(PushError::TooDeep { .. })), "{refused:?}");
}
