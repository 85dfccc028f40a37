//! Image streams, their tags and images as the API has them.

use pierhead_api::image::{ImageStream, ImageStreamMapping, ImageStreamTag};
use pierhead_api::meta::Preconditions;
use pierhead_images::{
    Config, Created, DryRun, Images, MayMap, MayPull, StreamError, StreamEvent, StreamPart,
};
use serde_json::json;

use crate::world::{REGISTRY, Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

async fn update(world: &World, stream: ImageStream, part: StreamPart) -> Result<ImageStream, StreamError> {
    let permit = world.api(&stream.metadata.namespace, "imagestreams");
    world.images.update_stream(&permit, stream, part, &allow_all(), DryRun::No).await
}

#[tokio::test]
async fn a_stream_is_written_and_read_back_with_defaults() {
    let world = World::new().await;
    let made = world
        .create_stream(
            "shop",
            json!({"metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {"tags": [
                    {"name": "z", "from": {"kind": "DockerImage", "name": "docker.io/library/busybox:1"}, "reference": true},
                    {"name": "a", "from": {"kind": "DockerImage", "name": "quay.io/a/b:2"}}]},
                "status": {"dockerImageRepository": "evil/x"}}),
        )
        .await;
    assert_eq!(made, world.stream("shop", "web"));
    let shown = serde_json::to_value(&made).unwrap();
    assert_eq!(shown["spec"]["lookupPolicy"], json!({"local": false}));
    assert_eq!(shown["spec"]["tags"][0]["name"], "a");
    assert_eq!(shown["spec"]["tags"][0]["generation"], 1);
    assert_eq!(shown["spec"]["tags"][0]["referencePolicy"], json!({"type": "Source"}));
    assert_eq!(shown["status"]["dockerImageRepository"], format!("{REGISTRY}/shop/web"));
    assert_eq!(shown["status"]["tags"].as_array().unwrap().len(), 1, "only the reference resolves at once");
    assert_eq!(made.newest("z").unwrap().image, "");
    assert_eq!(made.metadata.generation, Some(1));

    let permit = world.api("shop", "imagestreams");
    let again = world.images.create_stream(&permit, made.clone(), &allow_all(), DryRun::No).await;
    assert!(matches!(again, Err(StreamError::AlreadyExists { .. })), "{again:?}");
    let tried =
        ImageStream { metadata: pierhead_api::meta::ObjectMeta::named("tried"), ..ImageStream::default() };
    let tried = world.images.create_stream(&permit, tried, &allow_all(), DryRun::Yes).await.unwrap();
    assert!(!tried.metadata.uid.is_empty());
    assert!(world.images.stream("shop", "tried").unwrap().is_none());
}

#[tokio::test]
async fn streams_that_import_nothing_are_marked_as_looked_at_in_2016() {
    const MARK: &str = "openshift.io/image.dockerRepositoryCheck";
    let mut world = World::new().await;
    world.put_image(("shop", "unmarked"), "latest", &Sample::new("x")).await;
    assert!(world.stream("shop", "unmarked").metadata.annotations.is_empty());

    let mut config = Config::new(REGISTRY);
    config.marks_checked_streams = true;
    world.images =
        Images::open(world.store.clone(), world.blobs.clone(), config, world.clock.shared()).unwrap();
    let made = world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    assert_eq!(made.metadata.annotations[MARK], "2026-11-23T10:00:00Z");
    world.put_image(("shop", "pushed"), "latest", &Sample::new("x")).await;
    assert_eq!(world.stream("shop", "pushed").metadata.annotations[MARK], "2026-11-23T10:00:00Z");
    let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:1"});
    let tags = json!([{"name": "a", "from": from}]);
    let importing = json!({"metadata": {"name": "importing"}, "spec": {"tags": tags}});
    let made = world.create_stream("shop", importing).await;
    assert!(made.metadata.annotations.is_empty(), "clients of 2016 wait until it is imported");
}

#[tokio::test]
async fn generations_follow_what_is_wanted_and_pushes_do_not_disturb_writers() {
    let world = World::new().await;
    let first = world
        .create_stream(
            "shop",
            json!({"metadata": {"name": "web"}, "spec": {"tags": [
            {"name": "a", "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}},
            {"name": "b", "from": {"kind": "DockerImage", "name": "quay.io/a/b:2"}}]}}),
        )
        .await;
    world.put_image(AT, "pushed", &Sample::new("one")).await;
    let mut edited = first.clone();
    edited.spec.tags[0].from.as_mut().unwrap().name = "quay.io/a/b:3".into();
    edited.spec.tags[1].generation = Some(99);
    let second = update(&world, edited.clone(), StreamPart::Spec).await.unwrap();
    let generations: Vec<_> = second.spec.tags.iter().map(|tag| tag.generation).collect();
    assert_eq!((second.metadata.generation, generations), (Some(2), vec![Some(2), Some(1)]));
    assert!(second.newest("pushed").is_some(), "an update of the spec keeps the status");

    let stale = update(&world, edited, StreamPart::Spec).await;
    assert!(matches!(stale, Err(StreamError::Conflict { .. })), "{stale:?}");
    let same = update(&world, second.clone(), StreamPart::Spec).await.unwrap();
    assert_eq!(same.metadata.resource_version, second.metadata.resource_version, "no change, no event");
    let mut again = second.clone();
    again.spec.tags[1].generation = Some(0);
    let third = update(&world, again, StreamPart::Spec).await.unwrap();
    assert_eq!(third.spec.tags[1].generation, Some(3), "zero asks for a new import");
    let mut unversioned = third;
    unversioned.metadata.resource_version.clear();
    let refused = update(&world, unversioned, StreamPart::Spec).await.unwrap_err();
    assert!(refused.to_string().contains("must be specified for an update"), "{refused}");
}

#[tokio::test]
async fn tags_follow_tags_of_their_stream() {
    let world = World::new().await;
    let follow =
        |name: &str, from: &str| json!({"name": name, "from": {"kind": "ImageStreamTag", "name": from}});
    world
        .create_stream("shop", json!({"metadata": {"name": "web"}, "spec": {"tags": [
            follow("stable", "latest"), follow("prod", "web:stable"), follow("loop", "loop2"), follow("loop2", "loop")]}}))
        .await;
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    world.put_image(AT, "latest", &one).await;
    world.put_image(AT, "latest", &two).await;
    world.put_image(AT, "loop", &one).await;
    let (one, two) = (one.digest().to_string(), two.digest().to_string());
    for tag in ["latest", "stable", "prod"] {
        assert_eq!(world.history(AT, tag), [two.clone(), one.clone()], "{tag}");
    }
    assert_eq!(world.history(AT, "loop2"), [one]);
}

#[tokio::test]
async fn reading_from_another_namespace_is_asked_about() {
    let world = World::new().await;
    world.put_image(AT, "latest", &Sample::new("one")).await;
    let refuse = MayPull::new(|namespace, stream| {
        assert_eq!((namespace, stream), ("shop", "web"));
        Err("not for you".into())
    });
    let stream: ImageStream = serde_json::from_value(json!({"metadata": {"name": "copy"}, "spec": {"tags": [
        {"name": "v1", "from": {"kind": "ImageStreamTag", "namespace": "shop", "name": "web:latest"}}]}}))
    .unwrap();
    let permit = world.api("other", "imagestreams");
    let refused = world.images.create_stream(&permit, stream, &refuse, DryRun::No).await.unwrap_err();
    assert!(refused.to_string().contains("spec.tags[v1].from"), "{refused}");
    assert!(refused.to_string().contains("shop/web: not for you"), "{refused}");
    assert!(world.images.stream("other", "copy").unwrap().is_none());
}

#[tokio::test]
async fn an_image_stream_tag_is_made_changed_and_deleted() {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("one")).await.to_string();
    let pushed = world.images.stream_tag("shop", "web:latest").unwrap();
    assert_eq!((pushed.tag, pushed.image.metadata.name.as_str()), (None, digest.as_str()));

    let wanted: ImageStreamTag = serde_json::from_value(json!({"metadata": {"name": "fresh:v1"},
        "tag": {"name": "", "from": {"kind": "ImageStreamImage", "namespace": "shop", "name": format!("web@{}", digest.get(..15).unwrap())}}}))
    .unwrap();
    let permit = world.api("shop", "imagestreamtags");
    let may = allow_all();
    let (tag, created) =
        world.images.update_stream_tag(&permit, wanted.clone(), &may, DryRun::No).await.unwrap();
    assert_eq!((created, tag.image.metadata.name.as_str()), (Created::Yes, digest.as_str()));
    assert_eq!(tag.image.docker_image_reference, format!("{REGISTRY}/shop/fresh@{digest}"));
    let (_, created) =
        world.images.update_stream_tag(&permit, wanted.clone(), &may, DryRun::No).await.unwrap();
    assert_eq!(created, Created::No);
    let again = world.images.create_stream_tag(&permit, wanted, &may, DryRun::No).await;
    assert!(matches!(again, Err(StreamError::AlreadyExists { .. })), "{again:?}");

    let listed = world.images.list_stream_tags(Some("shop"), None, 1).unwrap();
    assert_eq!((listed.items[0].metadata.name.as_str(), listed.more), ("fresh:v1", true));
    let rest = world.images.list_stream_tags(Some("shop"), Some(("shop", "fresh", "v1")), 5).unwrap();
    assert_eq!((rest.items[0].metadata.name.as_str(), rest.more, rest.items.len()), ("web:latest", false, 1));

    world.images.delete_stream_tag(&permit, "fresh:v1", Preconditions::default(), DryRun::No).await.unwrap();
    let gone = world.images.stream_tag("shop", "fresh:v1");
    assert!(matches!(gone, Err(StreamError::NotFound { resource: "imagestreamtags", .. })), "{gone:?}");
    let missing = world.images.stream_tag("shop", "none:v1");
    assert!(matches!(missing, Err(StreamError::NotFound { resource: "imagestreams", .. })), "{missing:?}");
    assert!(matches!(world.images.stream_tag("shop", "none"), Err(StreamError::BadRequest { .. })));
    let found = world.images.stream_image("shop", &format!("web@{}", digest.get(..20).unwrap())).unwrap();
    assert_eq!(found.image.metadata.name, digest);
}

#[tokio::test]
async fn a_mapping_puts_an_image_into_a_stream() {
    let world = World::new().await;
    let mapping: ImageStreamMapping = serde_json::from_value(json!({"metadata": {"name": "web"}, "tag": "v1",
        "image": {"metadata": {"name": format!("sha256:{}", "c".repeat(64))}, "dockerImageReference": "quay.io/a/b:1"}}))
    .unwrap();
    let permit = world.api("shop", "imagestreammappings");
    let missing = world.images.create_mapping(&permit, mapping.clone(), MayMap::Every, DryRun::No).await;
    assert!(matches!(missing, Err(StreamError::NotFound { resource: "imagestreams", .. })), "{missing:?}");
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await.unwrap();
    let stream = world.stream("shop", "web");
    assert_eq!(stream.newest("v1").unwrap().docker_image_reference, "quay.io/a/b:1");
    assert_eq!(world.pulled(AT, "v1").await, None, "it is known and its manifest is not here");
}

#[tokio::test]
async fn status_is_written_and_conditions_go_with_the_next_success() {
    let world = World::new().await;
    let made = world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let condition = json!({"tag": "v1", "items": null, "conditions": [
        {"type": "ImportSuccess", "status": "False", "generation": 1, "reason": "NotFound", "message": "no"}]});
    let mut value = serde_json::to_value(&made).unwrap();
    value["status"]["tags"] = json!([condition]);
    value["spec"]["dockerImageRepository"] = json!("ignored.example.com/a/b");
    let failed = update(&world, serde_json::from_value(value).unwrap(), StreamPart::Status).await.unwrap();
    assert_eq!(failed.status_tag("v1").unwrap().conditions.len(), 1);
    assert_eq!(failed.spec.docker_image_repository, "");
    world.put_image(AT, "v1", &Sample::new("one")).await;
    assert_eq!(world.stream("shop", "web").status_tag("v1").unwrap().conditions.len(), 0);
    let stale = update(&world, failed, StreamPart::Status).await;
    assert!(matches!(stale, Err(StreamError::Conflict { .. })), "{stale:?}");
    let mut emptied = world.stream("shop", "web");
    emptied.status.tags.clear();
    let emptied = update(&world, emptied, StreamPart::Status).await.unwrap();
    assert_eq!(emptied.status.tags, []);
}

#[tokio::test]
async fn watchers_are_told_once_per_write() {
    let world = World::new().await;
    let start = world.store.revision();
    world.create_stream("shop", json!({"metadata": {"name": "web", "labels": {"app": "web"}}})).await;
    world.put_image(AT, "latest", &Sample::new("one")).await;
    let permit = world.api("shop", "imagestreams");
    world.images.delete_stream(&permit, "web", Preconditions::default(), DryRun::No).await.unwrap();
    let changes = world.store.changes(start, 100).unwrap();
    let told: Vec<_> =
        changes.iter().filter_map(|change| world.images.stream_change(change)).map(Result::unwrap).collect();
    let events: Vec<_> = told.iter().map(|change| (change.event, change.tags.clone())).collect();
    assert_eq!(
        events,
        [
            (StreamEvent::Added, vec![]),
            (StreamEvent::Modified, vec!["latest".to_owned()]),
            (StreamEvent::Deleted, vec!["latest".to_owned()]),
        ]
    );
    assert_eq!(told[2].metadata.label("app"), Some("web"), "a selector can tell of the end");
    let wrong = Preconditions { uid: Some("x".into()), resource_version: None };
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let refused = world.images.delete_stream(&permit, "web", wrong, DryRun::No).await;
    assert!(matches!(refused, Err(StreamError::Precondition { .. })), "{refused:?}");
    assert_eq!(world.pulled(AT, "latest").await, None, "a new stream of an old name has nothing of it");
}
