//! Image streams, their tags and images as the API has them.

use pierhead_api::image::{ImageStream, ImageStreamMapping, ImageStreamTag};
use pierhead_api::meta::Preconditions;
use pierhead_images::{
    Config, Created, DryRun, Images, ImportWrite, MayMap, MayPull, PushError, StreamError, StreamEvent,
    StreamPart,
};
use pierhead_store::{OBJECTS, ObjectKey, ObjectRecord, StoreError, WriteTx};
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
    assert_eq!(world.history(AT, "loop2"), std::slice::from_ref(&one));

    let mut changed = world.stream("shop", "web");
    changed.spec.tags.retain(|tag| tag.name != "stable");
    changed.spec.tags.iter_mut().for_each(|tag| tag.from.as_mut().unwrap().name = "other".into());
    update(&world, changed, StreamPart::Spec).await.unwrap();
    let three = Sample::new("three");
    world.put_image(AT, "latest", &three).await;
    assert_eq!(world.history(AT, "stable"), [two.clone(), one.clone()], "it is not wanted any more");
    world.put_image(AT, "other", &three).await;
    let three = three.digest().to_string();
    assert_eq!(world.history(AT, "prod"), [three.clone(), two, one.clone()]);
    assert_eq!(world.history(AT, "loop2"), [three, one]);
}

#[tokio::test]
async fn lists_of_tags_skip_what_they_do_not_show_and_miss_nothing() {
    let world = World::new().await;
    let tags = (0..1_200).map(|number| {
        let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:1"});
        json!({"name": format!("r{number:04}"), "from": from, "reference": number % 2 == 0})
    });
    let tags: Vec<_> = tags.collect();
    world.create_stream("shop", json!({"metadata": {"name": "web"}, "spec": {"tags": tags}})).await;
    for tag in ["a", "r0600x", "z"] {
        world.put_image(AT, tag, &Sample::new("one")).await;
    }
    let (mut shown, mut after) = (Vec::new(), None::<String>);
    loop {
        let from = after.as_deref().map(|tag| ("shop", "web", tag));
        let page = world.images.list_stream_tags(Some("shop"), from, 1, None).unwrap();
        shown.extend(page.items.iter().map(|tag| tag.metadata.name.clone()));
        after = shown.last().and_then(|name| name.strip_prefix("web:")).map(str::to_owned);
        if !page.more {
            break;
        }
    }
    assert_eq!(shown, ["web:a", "web:r0600x", "web:z"]);
    let all = world.images.list_image_tags(Some("shop"), None, usize::MAX, None).unwrap();
    assert_eq!((all.items.len(), all.more), (1_203, false));
}

#[tokio::test]
async fn an_item_that_is_replaced_takes_its_image_along() {
    let world = World::new().await;
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let permit = world.api("shop", "imagestreammappings");
    for digit in ["c", "d"] {
        let mapping: ImageStreamMapping = serde_json::from_value(json!({
            "metadata": {"name": "web"}, "tag": "v1",
            "image": {"metadata": {"name": format!("sha256:{}", digit.repeat(64))}, "dockerImageReference": "quay.io/a/b:1"},
        }))
        .unwrap();
        world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await.unwrap();
    }
    let layers = world.images.layers("shop", "web").unwrap();
    assert_eq!(layers.images.keys().collect::<Vec<_>>(), [&format!("sha256:{}", "d".repeat(64))]);
}

#[tokio::test]
async fn images_are_found_by_either_algorithm() {
    let world = World::new().await;
    let (sample, other) = (Sample::new("long"), Sample::new("short"));
    let long = pierhead_oci::Digest::of(pierhead_oci::Algorithm::Sha512, &sample.manifest);
    world.put_image(AT, "short", &other).await;
    world.put_image(AT, &long.to_string(), &sample).await;
    let permit = world.api("shop", "imagestreammappings");
    let mapping: ImageStreamMapping = serde_json::from_value(
        json!({"metadata": {"name": "web"}, "tag": "long", "image": {"metadata": {"name": long}}}),
    )
    .unwrap();
    world.images.create_mapping(&permit, mapping, MayMap::Pushable, DryRun::No).await.unwrap();
    let (hex, short) = (long.hex(), other.digest());
    let begin = hex.split_at(20).0;
    for (id, expected) in [
        (long.to_string(), &long),
        (begin.to_owned(), &long),
        (format!("sha512:{begin}"), &long),
        (short.to_string(), &short),
    ] {
        let found = world.images.stream_image("shop", &format!("web@{id}")).unwrap();
        assert_eq!(found.image.metadata.name, expected.to_string(), "{id}");
    }
    assert!(world.images.stream_image("shop", &format!("web@sha256:{begin}")).is_err());
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

    let listed = world.images.list_stream_tags(Some("shop"), None, 1, None).unwrap();
    assert_eq!((listed.items[0].metadata.name.as_str(), listed.more), ("fresh:v1", true));
    let rest = world.images.list_stream_tags(Some("shop"), Some(("shop", "fresh", "v1")), 5, None).unwrap();
    assert_eq!((rest.items[0].metadata.name.as_str(), rest.more, rest.items.len()), ("web:latest", false, 1));

    world.images.delete_stream_tag(&permit, "fresh:v1", Preconditions::default(), DryRun::No).await.unwrap();
    let gone = world.images.stream_tag("shop", "fresh:v1");
    assert!(matches!(gone, Err(StreamError::NotFound { resource: "imagestreamtags", .. })), "{gone:?}");
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

/// What began while the project was there may end after it, and must not leave a stream to the next project of that name.
#[tokio::test]
async fn no_stream_is_made_in_a_namespace_that_ended_meanwhile() {
    for ended in [None, Some(r#"{"metadata":{"name":"shop"},"status":{"phase":"Terminating"}}"#)] {
        let world = World::new().await;
        let sample = Sample::new("late");
        world.put_blob("shop", "web", &sample.config).await;
        world.put_blob("shop", "web", &sample.layer).await;
        let (push, api) = (world.push("shop", "web"), world.api("shop", "imagestreams"));
        let create = world.auth.permit_create_stream(&world.user, "shop").unwrap();
        let end = move |tx: &mut WriteTx<'_>| -> Result<(), StoreError> {
            let key = ObjectKey::new("namespaces", "", "shop");
            match ended {
                None => tx.delete(&OBJECTS, &key).map(|_| ()),
                Some(json) => tx.put(&OBJECTS, &key, &ObjectRecord(json.into())).map(|_| ()),
            }
        };
        world.store.write(end).await.unwrap();
        let reference = "latest".parse().unwrap();
        let pushed = world.images.push_manifest(&push, Some(&create), &reference, &[], sample.parsed()).await;
        assert!(matches!(pushed, Err(PushError::StreamMissing { .. })), "{pushed:?}");
        let refused = |error: StreamError| match error {
            StreamError::NotFound { resource, name } => (resource, name),
            other => panic!("{other:?}"),
        };
        let nowhere = ("namespaces", "shop".to_owned());
        let stream: ImageStream = serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap();
        let made = world.images.create_stream(&api, stream, &allow_all(), DryRun::No).await;
        assert_eq!(refused(made.unwrap_err()), nowhere);
        let tag: ImageStreamTag = serde_json::from_value(json!({
            "metadata": {"name": "web:1"},
            "tag": {"name": "1", "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}},
        }))
        .unwrap();
        let put = world.images.update_stream_tag(&api, tag, &allow_all(), DryRun::No).await;
        assert_eq!(refused(put.unwrap_err()), nowhere);
        let write =
            ImportWrite { stream: "web".into(), seen: None, tags: Vec::new(), repository_failure: None };
        let imported = world.images.apply_import(&api, write, DryRun::No).await;
        assert_eq!(refused(imported.unwrap_err()), nowhere);
        assert!(world.images.stream("shop", "web").unwrap().is_none());
    }
}
