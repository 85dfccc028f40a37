//! A digest that somebody knows is of no use in a repository it does not belong to.

use pierhead_api::image::ImageStreamMapping;
use pierhead_images::{DryRun, MayMap, Mount, MountSource, PullError, StreamError, StreamPart};
use pierhead_oci::{Digest, Manifest};
use serde_json::json;

use crate::world::{OCI_INDEX, OCI_MANIFEST, REGISTRY, Sample, World, allow_all};

async fn check_foreign(world: &World, at: (&str, &str), sample: &Sample) {
    let pull = world.pull(at.0, at.1);
    assert_eq!(world.pulled(at, &sample.digest().to_string()).await, None);
    for blob in [&sample.config, &sample.layer, &sample.manifest] {
        let answer = world.images.blob(&pull, &Digest::sha256(blob)).await;
        assert!(matches!(answer, Err(PullError::BlobUnknown { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn nothing_is_served_where_it_was_not_pushed() {
    let world = World::new().await;
    let sample = Sample::new("secret");
    world.put_image(("shop", "web"), "latest", &sample).await;
    world.put_image(("shop", "api"), "latest", &Sample::new("public")).await;
    check_foreign(&world, ("shop", "api"), &sample).await;
    check_foreign(&world, ("shop", "never-was"), &sample).await;
}

#[tokio::test]
async fn a_mount_needs_a_source_that_has_it_and_may_be_read() {
    let world = World::new().await;
    let sample = Sample::new("one");
    world.put_image(("shop", "web"), "latest", &sample).await;
    let layer = Digest::sha256(&sample.layer);
    let push = world.push("other", "web");
    let mount = async |source| world.images.mount(&push, &layer, source).await.unwrap();
    let empty = world.pull("shop", "api");
    assert_eq!(mount(MountSource::From(&empty)).await, Mount::NotMounted);
    assert_eq!(mount(MountSource::Anywhere(&|_, _| false)).await, Mount::NotMounted);
    let size = sample.layer.len() as u64;
    assert_eq!(
        mount(MountSource::Anywhere(&|ns, name| (ns, name) == ("shop", "web"))).await,
        Mount::Mounted { size }
    );
    assert_eq!(world.images.blob(&world.pull("other", "web"), &layer).await.unwrap().size(), size);
    world.images.delete_blob(&world.delete("other", "web"), &layer).await.unwrap();
    let gone = world.images.blob(&world.pull("other", "web"), &layer).await;
    assert!(matches!(gone, Err(PullError::BlobUnknown { .. })), "{gone:?}");
    assert_eq!(world.images.blob(&world.pull("shop", "web"), &layer).await.unwrap().size(), size);
}

/// `oc tag shop/web:latest other/copy:v1` is enough to pull there, though nothing was pushed there (images 11, 41).
#[tokio::test]
async fn tagging_across_repositories_makes_the_image_pullable_there() {
    let world = World::new().await;
    let sample = Sample::new("one");
    world.put_image(("shop", "web"), "latest", &sample).await;
    let from = json!({"kind": "ImageStreamTag", "namespace": "shop", "name": "web:latest"});
    let stream = world
        .create_stream(
            "other",
            json!({"metadata": {"name": "copy"}, "spec": {"tags": [{"name": "v1", "from": from}]}}),
        )
        .await;
    let item = stream.newest("v1").unwrap();
    assert_eq!(item.docker_image_reference, format!("{REGISTRY}/other/copy@{}", sample.digest()));
    assert_eq!(world.pulled(("other", "copy"), "v1").await, Some(sample.digest()));
    let layer = Digest::sha256(&sample.layer);
    assert!(
        world
            .images
            .blob(&world.pull("other", "copy"), &layer)
            .await
            .is_ok_and(|blob| *blob.digest() == layer)
    );
    world.images.delete_manifest(&world.delete("shop", "web"), &sample.digest()).await.unwrap();
    assert_eq!(world.pulled(("other", "copy"), "v1").await, Some(sample.digest()), "the copy is its own");
}

/// Tagging is one transaction, for which everybody else waits.
#[tokio::test]
async fn an_image_of_very_many_parts_is_not_tagged_elsewhere() {
    const LAYERS: usize = 2_048;
    let world = World::new().await;
    let layers: Vec<_> = (0..LAYERS).map(|number| number.to_be_bytes()).collect();
    for layer in &layers {
        world.put_blob("shop", "web", layer).await;
    }
    let config = world.put_blob("shop", "web", b"{}").await;
    let descriptor = |digest: Digest, size: usize| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size});
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(Digest::sha256(layer), layer.len())).collect();
    let (mut children, mut tagged) = (Vec::new(), Vec::new());
    for number in 0..25 {
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(config.clone(), 2), "layers": layers, "annotations": {"n": number.to_string()}});
        let manifest = Manifest::parse(OCI_MANIFEST, manifest.to_string().into_bytes()).unwrap();
        let size = manifest.bytes().len();
        let reference = manifest.digest(pierhead_oci::Algorithm::Sha256).to_string();
        let digest = world.put_manifest(("shop", "web"), &reference, manifest).await.unwrap().digest;
        children.push(json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size}));
        if [24, 25].contains(&children.len()) {
            let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
            let index = Manifest::parse(OCI_INDEX, index.to_string().into_bytes()).unwrap();
            let tag = format!("of-{}", children.len());
            world.put_manifest(("shop", "web"), &tag, index).await.unwrap();
            tagged.push(tag);
        }
    }
    for (tag, expected) in tagged.iter().zip([true, false]) {
        let from = json!({"kind": "ImageStreamTag", "namespace": "shop", "name": format!("web:{tag}")});
        let copy = json!({"metadata": {"name": tag}, "spec": {"tags": [{"name": "v1", "from": from}]}});
        let permit = world.api("other", "imagestreams");
        let stream = serde_json::from_value(copy).unwrap();
        let made = world.images.create_stream(&permit, stream, &allow_all(), DryRun::No).await;
        assert_eq!(made.is_ok(), expected, "{tag}: {made:?}");
        assert_eq!(world.pulled(("other", tag), "v1").await.is_some(), expected, "{tag}");
    }
    let large = world.pulled(("shop", "web"), "of-25").await.unwrap();
    let mapping: ImageStreamMapping = serde_json::from_value(json!({
        "metadata": {"name": "of-24"}, "tag": "v2",
        "image": {"metadata": {"name": large}, "dockerImageReference": "quay.io/a/b:1", "dockerImageLayers": []},
    }))
    .unwrap();
    let permit = world.api("other", "imagestreammappings");
    let mapped = world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await;
    assert!(matches!(mapped, Err(StreamError::Invalid { .. })), "{mapped:?}");
    let mut stream = world.stream("other", "of-24");
    stream.status.tags[0].items[0].image = large.to_string();
    let permit = world.api("other", "imagestreams");
    let updated =
        world.images.update_stream(&permit, stream, StreamPart::Status, &allow_all(), DryRun::No).await;
    assert!(matches!(updated, Err(StreamError::Invalid { .. })), "{updated:?}");
}

#[tokio::test]
async fn a_mapping_takes_no_image_that_could_not_be_pushed_there() {
    let world = World::new().await;
    let (foreign, own) = (Sample::new("foreign"), Sample::new("own"));
    world.put_image(("shop", "web"), "latest", &foreign).await;
    world.put_image(("other", "mine"), "latest", &own).await;
    let never = Sample::new("never");
    let permit = world.api("other", "imagestreammappings");
    let map = async |sample: &Sample, manifest: &str, may_map: MayMap| {
        let mapping: ImageStreamMapping = serde_json::from_value(json!({
            "metadata": {"name": "mine"}, "tag": "taken",
            "image": {
                "metadata": {"name": sample.digest(), "annotations": {"forged": "true"}},
                "dockerImageReference": "evil.io/a/b:1",
                "dockerImageManifest": manifest,
                "dockerImageMetadata": {"Config": {"Env": ["A=forged"]}},
                "dockerImageLayers": [],
            },
        }))
        .unwrap();
        world.images.create_mapping(&permit, mapping, may_map, DryRun::No).await
    };
    for sample in [&foreign, &never] {
        let manifest = String::from_utf8(sample.manifest.clone()).unwrap();
        for manifest in ["", &manifest] {
            let refused = map(sample, manifest, MayMap::Pushable).await.unwrap_err();
            let text = refused.to_string().replace(&sample.digest().to_string(), "IMAGE");
            assert!(matches!(refused, StreamError::Invalid { .. }), "{text}");
            check_foreign(&world, ("other", "mine"), sample).await;
        }
    }
    let blobs = [&never.config, &never.layer];
    for blob in blobs {
        world.put_blob("other", "mine", blob).await;
    }
    map(&never, std::str::from_utf8(&never.manifest).unwrap(), MayMap::Pushable).await.unwrap();
    let image = world.images.image(&never.digest().to_string()).unwrap().unwrap();
    let described = image.docker_image().unwrap();
    assert_eq!(described.config.unwrap().env, ["A=never"], "the object says nothing that the bytes do not");
    assert_eq!(image.docker_image_layers.len(), 1);
    assert_eq!(image.metadata.annotations.get("forged"), None);
    assert!(image.docker_image_reference.starts_with(&format!("{REGISTRY}/other/mine@")));
    map(&own, "", MayMap::Pushable).await.unwrap();
    assert_eq!(world.pulled(("other", "mine"), "taken").await, Some(own.digest()));
    map(&foreign, "", MayMap::Every).await.unwrap();
    assert_eq!(world.pulled(("other", "mine"), "taken").await, Some(foreign.digest()));
}

#[tokio::test]
async fn what_type_a_manifest_is_nobody_says_for_others() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    let world = World::new().await;
    let sample = Sample::new("a");
    let untyped: serde_json::Value = serde_json::from_slice(&sample.manifest).unwrap();
    let bytes = serde_json::json!({
        "schemaVersion": 2, "config": untyped["config"], "layers": untyped["layers"],
    });
    let bytes = bytes.to_string().into_bytes();
    let push = async |namespace: &str, reference: &str, media_type: &str| {
        world.put_blob(namespace, "web", &sample.config).await;
        world.put_blob(namespace, "web", &sample.layer).await;
        let manifest = Manifest::parse(media_type, bytes.clone()).unwrap();
        world.put_manifest((namespace, "web"), reference, manifest).await.unwrap().digest
    };
    let served = async |namespace: &str, stream: &str| {
        let found = world.images.manifest(&world.pull(namespace, stream), &"v1".parse().unwrap()).await;
        found.unwrap().media_type.to_string()
    };
    push("other", "v1", DOCKER).await;
    push("shop", "v1", OCI_MANIFEST).await;
    assert_eq!(served("other", "web").await, DOCKER);
    assert_eq!(served("shop", "web").await, OCI_MANIFEST);
    // Who tags it takes it as it is where it comes from.
    let from = json!({"kind": "ImageStreamTag", "namespace": "shop", "name": "web:v1"});
    let copy = json!({"metadata": {"name": "copy"}, "spec": {"tags": [{"name": "v1", "from": from}]}});
    world.create_stream("other", copy).await;
    assert_eq!(served("other", "copy").await, OCI_MANIFEST);
    // Pushing it again as something else counts at once, also where it is in memory.
    push("shop", "v1", DOCKER).await;
    assert_eq!(served("shop", "web").await, DOCKER);
    assert_eq!(served("other", "copy").await, OCI_MANIFEST);
}
