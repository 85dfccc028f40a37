//! Tags and images of a stream as objects of their own (images 3.7, 3.8).

use pierhead_api::image::{ImageStreamMapping, ImageStreamTag, ImageTag};
use pierhead_api::meta::Preconditions;
use pierhead_images::{Created, DryRun, MayMap, StreamError};
use pierhead_oci::Manifest;
use serde_json::{Value, json};

use crate::world::{OCI_INDEX, OCI_MANIFEST, REGISTRY, Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

async fn put(world: &World, document: Value) -> Result<(ImageStreamTag, Created), StreamError> {
    let tag: ImageStreamTag = serde_json::from_value(document).unwrap();
    let permit = world.api("shop", "imagestreamtags");
    world.images.update_stream_tag(&permit, tag, &allow_all(), DryRun::No).await
}

async fn put_image_tag(world: &World, document: Value) -> Result<(ImageTag, Created), StreamError> {
    let tag: ImageTag = serde_json::from_value(document).unwrap();
    let permit = world.api("shop", "imagetags");
    world.images.update_image_tag(&permit, tag, &allow_all(), DryRun::No).await
}

#[track_caller]
fn check_missing<T: std::fmt::Debug>(found: Result<T, StreamError>, resource: &str, name: &str) {
    match found {
        Err(StreamError::NotFound { resource: what, name: which }) => {
            assert_eq!((what, which.as_str()), (resource, name));
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_invalid<T: std::fmt::Debug>(written: Result<T, StreamError>, expected: &str) {
    match written {
        Err(StreamError::Invalid { errors, .. }) => assert_eq!(errors.to_string(), expected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_missing_is_told_by_its_name() {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("one")).await.to_string();
    let images = &world.images;
    check_missing(images.stream_tag("shop", "none:v1"), "imagestreamtags", "none");
    check_missing(images.stream_tag("shop", "web:v1"), "imagestreamtags", "web:v1");
    check_missing(images.image_tag("shop", "none:v1"), "imagetags", "none");
    check_missing(images.image_tag("shop", "web:v1"), "imagetags", "web:v1");
    check_missing(images.stream_image("shop", "none@sha256:0"), "imagestreamimages", "none");
    check_missing(images.stream_image("shop", "web@sha256:0"), "imagestreamimages", "web@sha256:0");
    for (name, expected) in [
        ("web", "ImageStreamTags must be retrieved with <name>:<tag>"),
        ("web:a:b", "ImageStreamTags must be retrieved with <name>:<tag>"),
        ("web@sha256:0", "ImageStreamTags must be retrieved with <name>:<tag>"),
    ] {
        let Err(StreamError::BadRequest { message }) = images.stream_tag("shop", name) else {
            panic!("{name} is a name");
        };
        assert_eq!(message, expected);
    }
    let permit = world.api("", "images");
    images.delete_image(&permit, &digest, Preconditions::default(), DryRun::No).await.unwrap();
    check_missing(images.stream_tag("shop", "web:latest"), "images", &digest);
    check_missing(images.stream_image("shop", &format!("web@{digest}")), "images", &digest);
    assert_eq!(images.image_tag("shop", "web:latest").unwrap().image, None);
}

#[tokio::test]
async fn the_policy_of_a_tag_says_where_its_image_is_pulled_from() {
    let world = World::new().await;
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let name = format!("sha256:{}", "c".repeat(64));
    let mapping: ImageStreamMapping = serde_json::from_value(json!({
        "metadata": {"name": "web"}, "tag": "v1",
        "image": {"metadata": {"name": name}, "dockerImageReference": "quay.io/a/b:1"},
    }))
    .unwrap();
    let permit = world.api("shop", "imagestreammappings");
    world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await.unwrap();
    let local = format!("{REGISTRY}/shop/web@{name}");
    for (policy, expected) in [("Source", "quay.io/a/b:1"), ("Local", local.as_str())] {
        let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:1"});
        let tag = json!({"name": "v1", "from": from, "referencePolicy": {"type": policy}});
        let (put, _) = put(&world, json!({"metadata": {"name": "web:v1"}, "tag": tag})).await.unwrap();
        let read = world.images.stream_tag("shop", "web:v1").unwrap();
        let listed = world.images.list_stream_tags(Some("shop"), None, 10, None).unwrap().items.remove(0);
        for shown in [&put, &read, &listed] {
            assert_eq!(shown.image.docker_image_reference, expected, "{policy}");
        }
        assert_eq!((&listed.image.metadata.name, &listed.image.docker_image_metadata), (&name, &None));
        let image = world.images.image_tag("shop", "web:v1").unwrap().image.unwrap();
        assert_eq!(image.docker_image_reference, expected, "{policy}");
    }
}

#[tokio::test]
async fn who_reads_a_tag_changes_its_annotations_once_and_its_labels_never() {
    let world = World::new().await;
    world.create_stream("shop", json!({"metadata": {"name": "web", "labels": {"app": "web"}}})).await;
    let wanted = json!({
        "metadata": {"name": "web:v1", "annotations": {"description": "one"}},
        "tag": {"name": "v1", "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}, "reference": true},
    });
    put(&world, wanted.clone()).await.unwrap();
    let read = world.images.wanted_stream_tag("shop", "web:v1").unwrap();
    let mut document = serde_json::to_value(&read).unwrap();
    assert_eq!(document["tag"]["annotations"], json!({"description": "one"}));
    document["metadata"]["annotations"] = json!({"description": "two"});
    let (changed, created) = put(&world, document.clone()).await.unwrap();
    assert_eq!(created, Created::No);
    assert_eq!(changed.tag.unwrap().annotation("description"), Some("two"));
    document["metadata"]["resourceVersion"] = json!("");
    document["metadata"]["labels"] = json!({"app": "other"});
    check_invalid(
        put(&world, document).await,
        "metadata: Invalid value: \"\": may not update fields other than metadata.annotations",
    );
    // A tag that is made has its annotations once, or twice the same.
    let mut new = wanted;
    new["metadata"]["name"] = json!("fresh:v1");
    new["tag"]["annotations"] = json!({"description": "other"});
    check_invalid(
        put(&world, new).await,
        "tag.annotations: Invalid value: \"<map>\": tag annotations must not be provided or must be \
         equal to the object meta annotations",
    );
    assert!(world.images.stream("shop", "fresh").unwrap().is_none());
}

#[tokio::test]
async fn a_tag_that_was_only_pushed_cannot_be_described() {
    let world = World::new().await;
    world.put_image(AT, "latest", &Sample::new("one")).await;
    let described =
        json!({"metadata": {"name": "web:latest", "annotations": {"description": "x"}}, "tag": null});
    let Err(StreamError::BadRequest { message }) = put(&world, described).await else { panic!("was taken") };
    assert_eq!(message, "imagestreamtag latest is not a spec tag in imagestream shop/web, cannot be updated");
}

#[tokio::test]
async fn an_image_tag_is_what_is_wanted_and_what_is_there() {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("one")).await.to_string();
    let mut stream = world.stream("shop", "web");
    stream.metadata.annotations.insert("of".into(), "the stream".into());
    let permit = world.api("shop", "imagestreams");
    let part = pierhead_images::StreamPart::Spec;
    world.images.update_stream(&permit, stream, part, &allow_all(), DryRun::No).await.unwrap();
    let pushed = world.images.image_tag("shop", "web:latest").unwrap();
    assert_eq!((pushed.spec.is_none(), pushed.status.unwrap().items.len()), (true, 1));
    let stream = world.stream("shop", "web").metadata;
    assert_eq!(pushed.metadata.name, "web:latest");
    assert_eq!((&pushed.metadata.uid, &pushed.metadata.annotations), (&stream.uid, &stream.annotations));
    assert_eq!(pushed.metadata.creation_timestamp, stream.creation_timestamp);

    let wanted = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let from = json!({"kind": "ImageStreamTag", "name": "latest"});
    let (tag, created) =
        put_image_tag(&world, wanted("web:copy", json!({"name": "copy", "from": from}))).await.unwrap();
    assert_eq!(created, Created::Yes);
    assert_eq!(tag.image.unwrap().metadata.name, digest, "the answer has the image");
    check_invalid(
        put_image_tag(&world, wanted("web:copy", json!({"name": "other", "from": from}))).await,
        "spec.name: Invalid value: \"other\": must match image tag name",
    );
    for metadata in [
        json!({"name": "web:copy", "annotations": {"of": "the tag"}}),
        json!({"name": "web:copy", "labels": {"of": "tag"}}),
    ] {
        check_invalid(
            put_image_tag(&world, json!({"metadata": metadata, "spec": {"name": "copy", "from": from}}))
                .await,
            "metadata: Invalid value: \"\": may not update fields other than spec",
        );
    }
    let again = serde_json::to_value(world.images.image_tag("shop", "web:copy").unwrap()).unwrap();
    put_image_tag(&world, again).await.unwrap();
    let pending = json!({"name": "pending", "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}});
    put_image_tag(&world, wanted("web:pending", pending)).await.unwrap();
    let read = world.images.image_tag("shop", "web:pending").unwrap();
    assert_eq!((read.spec.is_some(), read.status), (true, None));
    check_missing(world.images.stream_tag("shop", "web:pending"), "imagestreamtags", "web:pending");

    let create = async |document: Value| {
        let tag: ImageTag = serde_json::from_value(document).unwrap();
        let permit = world.api("shop", "imagetags");
        world.images.create_image_tag(&permit, tag, &allow_all(), DryRun::No).await
    };
    let none = "spec: Required value: spec is a required field during creation";
    check_invalid(create(wanted("web:made", json!(null))).await, none);
    let misnamed = create(wanted("web:made", json!({"name": "other", "from": from}))).await;
    check_invalid(misnamed, "spec.name: Invalid value: \"other\": must match image tag name");
    let made = create(wanted("web:made", json!({"from": from}))).await.unwrap();
    assert_eq!((made.spec.unwrap().name.as_str(), made.image.unwrap().metadata.name), ("made", digest));

    let (unwanted, created) = put_image_tag(&world, wanted("web:copy", json!(null))).await.unwrap();
    assert_eq!((created, unwanted.spec.is_none(), unwanted.status.is_some()), (Created::No, true, true));
    assert!(world.stream("shop", "web").spec_tag("copy").is_none());
}

#[tokio::test]
async fn the_images_of_a_list_are_the_streams_as_well() {
    let world = World::new().await;
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    let children: Vec<Value> = [(&one, "amd64"), (&two, "arm64")]
        .map(|(sample, architecture)| {
            json!({
                "mediaType": OCI_MANIFEST, "digest": sample.digest(), "size": sample.manifest.len(),
                "platform": {"architecture": architecture, "os": "linux"},
            })
        })
        .to_vec();
    for sample in [&one, &two] {
        world.put_image(AT, &sample.digest().to_string(), sample).await;
    }
    let of_list = |id: &str| world.images.stream_image("shop", &format!("web@{id}"));
    let (child, other) = (one.digest().to_string(), two.digest().to_string());
    check_missing(of_list(&child), "imagestreamimages", &format!("web@{child}"));
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).to_string();
    let index = Manifest::parse(OCI_INDEX, index.into_bytes()).unwrap();
    world.put_manifest(AT, "multi", index).await.unwrap();
    for id in [child.as_str(), child.split_at(20).0, child.strip_prefix("sha256:").unwrap().split_at(10).0] {
        let found = of_list(id).unwrap();
        assert_eq!((found.metadata.name, found.image.metadata.name), (format!("web@{id}"), child.clone()));
    }
    assert_eq!(of_list(&other).unwrap().image.docker_image().unwrap().architecture, "amd64");
    assert!(matches!(of_list("sha256:"), Err(StreamError::BadRequest { .. })), "three begin so");
}
