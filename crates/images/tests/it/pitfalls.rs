//! What re-implementations of the image API got wrong (images 11), where no other test shows it.

use pierhead_api::image::{ImageStream, ImageStreamTag};
use pierhead_api::meta::Preconditions;
use pierhead_images::{Config, DryRun, Images, StreamPart};
use serde_json::json;

use crate::world::{REGISTRY, Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

async fn write(world: &World, stream: ImageStream, part: StreamPart) -> ImageStream {
    let permit = world.api(&stream.metadata.namespace, "imagestreams");
    world.images.update_stream(&permit, stream, part, &allow_all(), DryRun::No).await.unwrap()
}

#[tokio::test]
async fn a_renamed_registry_shows_in_streams_and_not_in_their_history() {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("a")).await;
    let renamed =
        Images::open(world.store.clone(), world.blobs.clone(), Config::new("new:80"), world.clock.shared())
            .unwrap();
    let stream = renamed.stream("shop", "web").unwrap().unwrap();
    assert_eq!(stream.status.docker_image_repository, "new:80/shop/web");
    let item = stream.newest("latest").unwrap();
    assert_eq!(item.docker_image_reference, format!("{REGISTRY}/shop/web@{digest}"));
}

#[tokio::test]
async fn a_spec_tag_changes_by_the_name_it_is_from_and_not_by_its_kind() {
    let world = World::new().await;
    let tag = |kind: &str, name: &str| json!([{"name": "t", "from": {"kind": kind, "name": name}}]);
    let mut stream = world
        .create_stream(
            "shop",
            json!({"metadata": {"name": "web"}, "spec": {"tags": tag("DockerImage", "web:v1")}}),
        )
        .await;
    assert_eq!(stream.spec_tag("t").unwrap().generation, Some(1));
    stream.spec.tags = serde_json::from_value(tag("ImageStreamTag", "web:v1")).unwrap();
    stream.spec.tags[0].generation = Some(1);
    let mut same = write(&world, stream, StreamPart::Spec).await;
    assert_eq!(same.spec_tag("t").unwrap().generation, Some(1), "the name is the same");
    same.spec.tags = serde_json::from_value(tag("ImageStreamTag", "web:v2")).unwrap();
    same.spec.tags[0].generation = Some(1);
    let mut other = write(&world, same, StreamPart::Spec).await;
    let raised = other.spec_tag("t").unwrap().generation;
    assert!(raised > Some(1), "{raised:?}");
    // Nobody chooses a generation, but 0 asks for another import.
    other.spec.tags[0].generation = Some(77);
    let mut kept = write(&world, other, StreamPart::Spec).await;
    assert_eq!(kept.spec_tag("t").unwrap().generation, raised);
    kept.spec.tags[0].generation = Some(0);
    assert!(write(&world, kept, StreamPart::Spec).await.spec_tag("t").unwrap().generation > raised);
}

#[tokio::test]
async fn a_tag_that_is_no_longer_wanted_keeps_what_it_points_at() {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("a")).await;
    let mut stream = world.stream("shop", "web");
    let from = json!([{"name": "copy", "from": {"kind": "ImageStreamTag", "name": "latest"}}]);
    stream.spec.tags = serde_json::from_value(from).unwrap();
    let mut stream = write(&world, stream, StreamPart::Spec).await;
    stream.spec.tags.clear();
    let stream = write(&world, stream, StreamPart::Spec).await;
    assert_eq!(stream.newest("copy").unwrap().image, digest.to_string());
    let permit = world.api("shop", "imagestreamtags");
    world.images.delete_stream_tag(&permit, "web:copy", Preconditions::default(), DryRun::No).await.unwrap();
    assert!(world.stream("shop", "web").status_tag("copy").is_none());
}

#[tokio::test]
async fn a_tag_is_its_streams_but_for_its_time_and_takes_annotations_as_they_are_put() {
    let world = World::new().await;
    world.create_stream("shop", json!({"metadata": {"name": "web", "labels": {"app": "web"}}})).await;
    world.advance(std::time::Duration::from_hours(5));
    world.put_image(AT, "latest", &Sample::new("a")).await;
    let permit = world.api("shop", "imagestreamtags");
    let put = async |annotations: serde_json::Value| {
        let tag: ImageStreamTag = serde_json::from_value(json!({
            "metadata": {"name": "web:latest", "annotations": annotations},
            "tag": {"from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}},
        }))
        .unwrap();
        world.images.update_stream_tag(&permit, tag, &allow_all(), DryRun::No).await.unwrap().0
    };
    let described = put(json!({"description": "x"})).await;
    assert_eq!(described.image.metadata.annotation("description"), Some("x"));
    let stream = world.stream("shop", "web");
    let (of_tag, of_stream) = (&described.metadata, &stream.metadata);
    assert_eq!((&of_tag.uid, &of_tag.resource_version), (&of_stream.uid, &of_stream.resource_version));
    assert_eq!(of_tag.labels, of_stream.labels);
    assert_eq!(of_tag.creation_timestamp, stream.newest("latest").unwrap().created);
    assert_ne!(of_tag.creation_timestamp, of_stream.creation_timestamp);
    assert_eq!(put(json!({})).await.tag.unwrap().annotations, None);
}

#[tokio::test]
async fn a_deleted_tag_leaves_its_image_to_those_who_know_the_digest() {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("a")).await;
    world.images.delete_tag(&world.delete("shop", "web"), &"latest".parse().unwrap()).await.unwrap();
    assert_eq!(world.pulled(AT, "latest").await, None);
    assert_eq!(world.pulled(AT, &digest.to_string()).await, Some(digest.clone()));
    world.images.delete_manifest(&world.delete("shop", "web"), &digest).await.unwrap();
    assert_eq!(world.pulled(AT, &digest.to_string()).await, None);
}

#[tokio::test]
async fn a_tag_that_only_refers_is_neither_listed_nor_pulled() {
    let world = World::new().await;
    let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:1"});
    let tags = json!([{"name": "ref", "reference": true, "from": from}, {"name": "pending", "from": from}]);
    world.create_stream("shop", json!({"metadata": {"name": "web"}, "spec": {"tags": tags}})).await;
    world.put_image(AT, "real", &Sample::new("a")).await;
    let listed = world.images.tags(&world.pull("shop", "web"), None, 10).unwrap();
    let names: Vec<&str> = listed.items.iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["real"]);
    assert_eq!(world.pulled(AT, "ref").await, None);
    let shown = world.images.list_stream_tags(Some("shop"), None, 10, None).unwrap();
    assert_eq!(shown.items.len(), 1);
    assert_eq!(world.images.list_image_tags(Some("shop"), None, 10, None).unwrap().items.len(), 3);
}

#[tokio::test]
async fn an_image_names_its_first_repository_and_each_stream_its_own() {
    let world = World::new().await;
    let sample = Sample::new("a");
    let digest = world.put_image(AT, "latest", &sample).await.to_string();
    world.put_image(("other", "app"), "latest", &sample).await;
    let image = world.images.image(&digest).unwrap().unwrap();
    assert_eq!(image.docker_image_reference, format!("{REGISTRY}/shop/web@{digest}"));
    let own = world.stream("other", "app").newest("latest").unwrap().docker_image_reference.clone();
    assert_eq!(own, format!("{REGISTRY}/other/app@{digest}"));
    // What was known before it was pushed stays as it was known: nobody says it was pushed.
    let known = Sample::new("b");
    let name = known.digest().to_string();
    let object = json!({"metadata": {"name": name}, "dockerImageReference": "quay.io/a/b:1"});
    let permit = world.api("", "images");
    let object = serde_json::from_value(object).unwrap();
    world.images.create_image(&permit, object, DryRun::No).await.unwrap();
    world.put_image(AT, "known", &known).await;
    let image = world.images.image(&name).unwrap().unwrap();
    assert_eq!((image.docker_image_reference.as_str(), image.is_managed()), ("quay.io/a/b:1", false));
    let item = world.stream("shop", "web").newest("known").unwrap().docker_image_reference.clone();
    assert_eq!(item, format!("{REGISTRY}/shop/web@{name}"));
}

#[tokio::test]
async fn the_newest_item_is_the_first_whatever_its_time() {
    let world = World::new().await;
    let first = world.put_image(AT, "latest", &Sample::new("a")).await;
    world.advance(std::time::Duration::from_mins(1));
    let second = world.put_image(AT, "latest", &Sample::new("b")).await;
    let mut stream = world.stream("shop", "web");
    stream.status.tags[0].items.reverse();
    let stream = write(&world, stream, StreamPart::Status).await;
    assert_eq!(world.pulled(AT, "latest").await, Some(first));
    assert_eq!(stream.status.tags[0].items[1].image, second.to_string());
}
