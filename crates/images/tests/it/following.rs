//! What a spec tag does at once when it is written: where its image comes from, under which name and time (images 3.4,
//! 3.5).

use pierhead_api::image::{ImageStream, ImageStreamMapping};
use pierhead_images::{DryRun, MayMap, MayPull, StreamError, StreamPart};
use serde_json::{Value, json};

use crate::world::{REGISTRY, Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

/// Five hours after the image was pushed to `shop/web:latest`.
async fn pushed() -> (World, String) {
    let world = World::new().await;
    let digest = world.put_image(AT, "latest", &Sample::new("one")).await.to_string();
    world.advance(std::time::Duration::from_hours(5));
    (world, digest)
}

async fn wanting(world: &World, stream: &str, tag: Value) -> Result<ImageStream, StreamError> {
    let document = json!({"metadata": {"name": stream}, "spec": {"tags": [tag]}});
    let stream = serde_json::from_value(document).unwrap();
    let permit = world.api("shop", "imagestreams");
    world.images.create_stream(&permit, stream, &allow_all(), DryRun::No).await
}

async fn add(world: &World, tag: Value) -> ImageStream {
    let mut stream = world.stream("shop", "web");
    stream.spec.tags.push(serde_json::from_value(tag).unwrap());
    let permit = world.api("shop", "imagestreams");
    world.images.update_stream(&permit, stream, StreamPart::Spec, &allow_all(), DryRun::No).await.unwrap()
}

#[tokio::test]
async fn a_source_is_named_in_each_of_its_forms() {
    let (world, digest) = pushed().await;
    let hex = digest.strip_prefix("sha256:").unwrap();
    let (source_time, now) = ("2026-11-23T10:00:00Z", "2026-11-23T15:00:00Z");
    let own = |kind: &str, name: &str| json!({"kind": kind, "name": name});
    for (tag, from, created) in [
        ("a", own("ImageStreamTag", "latest"), source_time),
        ("b", own("ImageStreamTag", "web:latest"), source_time),
        ("c", own("ImageStreamImage", &digest), now),
        ("d", own("ImageStreamImage", &format!("web@{digest}")), now),
        ("e", own("ImageStreamImage", hex.split_at(9).0), now),
        ("f", json!({"kind": "ImageStreamTag", "namespace": "shop", "name": "latest"}), source_time),
    ] {
        let stream = add(&world, json!({"name": tag, "from": from})).await;
        let item = stream.newest(tag).unwrap_or_else(|| panic!("{tag} points at nothing"));
        assert_eq!(item.image, digest, "{tag}");
        assert_eq!(item.docker_image_reference, format!("{REGISTRY}/shop/web@{digest}"), "{tag}");
        assert_eq!(item.created.unwrap().to_string(), created, "{tag}");
        assert_eq!(Some(item.generation), stream.spec_tag(tag).unwrap().generation, "{tag}");
    }
}

#[tokio::test]
async fn what_is_copied_is_pulled_here_and_a_reference_where_it_was() {
    let (world, digest) = pushed().await;
    for (stream, reference, at) in [("copy", false, "shop/copy"), ("alias", true, "shop/web")] {
        let from = json!({"kind": "ImageStreamTag", "name": "web:latest"});
        let made = wanting(&world, stream, json!({"name": "t", "from": from, "reference": reference})).await;
        let item = made.unwrap().newest("t").unwrap().clone();
        assert_eq!(item.docker_image_reference, format!("{REGISTRY}/{at}@{digest}"), "{stream}");
        assert_eq!(item.image, digest, "{stream}");
    }
    // What is elsewhere stays there, whoever follows it.
    let mapping: ImageStreamMapping = serde_json::from_value(json!({
        "metadata": {"name": "web"}, "tag": "far",
        "image": {"metadata": {"name": format!("sha256:{}", "c".repeat(64))}, "dockerImageReference": "quay.io/a/b@sha256:cc"},
    }))
    .unwrap();
    let permit = world.api("shop", "imagestreammappings");
    world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await.unwrap();
    let from = json!({"kind": "ImageStreamTag", "name": "web:far"});
    let made = wanting(&world, "third", json!({"name": "t", "from": from})).await.unwrap();
    assert_eq!(made.newest("t").unwrap().docker_image_reference, "quay.io/a/b@sha256:cc");
}

#[tokio::test]
async fn a_source_that_is_not_there_is_told_unless_only_its_tag_is() {
    let (world, _) = pushed().await;
    for digit in ["d", "d1"] {
        let name = format!("sha256:{digit:e<64}");
        let mapping: ImageStreamMapping = serde_json::from_value(json!({
            "metadata": {"name": "web"}, "tag": digit,
            "image": {"metadata": {"name": name}, "dockerImageReference": "quay.io/a/b:1"},
        }))
        .unwrap();
        let permit = world.api("shop", "imagestreammappings");
        world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await.unwrap();
    }
    let check = async |kind: &str, name: &str, expected: &str| {
        let from = json!({"kind": kind, "name": name});
        match wanting(&world, "new", json!({"name": "t", "from": from})).await {
            Err(StreamError::Invalid { errors, .. }) => assert_eq!(errors.to_string(), expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert!(world.images.stream("shop", "new").unwrap().is_none(), "{name}");
    };
    let forms = "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>";
    check("ImageStreamTag", "none:x", "spec.tags[t].from.name: Not found: \"shop/none\"").await;
    check("ImageStreamImage", "web@sha256:ffff", "spec.tags[t].from.name: Not found: \"web@sha256:ffff\"")
        .await;
    check("ImageStreamTag", "a:b:c", &format!("spec.tags[t].from.name: Invalid value: \"a:b:c\": {forms}"))
        .await;
    check("ImageStreamTag", "web@x", &format!("spec.tags[t].from.name: Invalid value: \"web@x\": {forms}"))
        .await;
    check("ImageStreamImage", "a@b@c", &format!("spec.tags[t].from.name: Invalid value: \"a@b@c\": {forms}"))
        .await;
    let both = [format!("sha256:{:e<64}", "d1"), format!("sha256:{:e<64}", "d")].join(", ");
    let ambiguous =
        format!("spec.tags[t].from.name: Invalid value: \"web@d\": multiple images match the prefix: {both}");
    check("ImageStreamImage", "web@d", &ambiguous).await;

    let from = json!({"kind": "ImageStreamTag", "name": "web:none"});
    let made = wanting(&world, "new", json!({"name": "t", "from": from})).await.unwrap();
    assert!(made.status_tag("t").is_none());
}

#[tokio::test]
async fn a_reference_that_changes_is_no_other_image() {
    let world = World::new().await;
    let tag =
        |name: &str| json!({"name": "t", "reference": true, "from": {"kind": "DockerImage", "name": name}});
    wanting(&world, "web", tag("quay.io/a/b:1")).await.unwrap();
    world.advance(std::time::Duration::from_hours(5));
    let mut stream = world.stream("shop", "web");
    stream.spec.tags = serde_json::from_value(json!([tag("quay.io/a/b:2")])).unwrap();
    let permit = world.api("shop", "imagestreams");
    let changed =
        world.images.update_stream(&permit, stream, StreamPart::Spec, &allow_all(), DryRun::No).await;
    let items = changed.unwrap().status_tag("t").unwrap().items.clone();
    let shown: Vec<_> =
        items.iter().map(|item| (item.docker_image_reference.as_str(), item.generation)).collect();
    assert_eq!(shown, [("quay.io/a/b:2", 2)]);
    assert_eq!(items[0].created.unwrap().to_string(), "2026-11-23T10:00:00Z", "its time stays");
}

#[tokio::test]
async fn who_changes_something_else_needs_no_right_to_the_sources_of_others() {
    let (world, _) = pushed().await;
    let from = json!({"kind": "ImageStreamTag", "namespace": "shop", "name": "web:latest"});
    let document = json!({"metadata": {"name": "copy"}, "spec": {"tags": [{"name": "t", "from": from}]}});
    let mut stream = world.create_stream("other", document).await;
    let permit = world.api("other", "imagestreams");
    let refuse = MayPull::new(|_, _| Err("not for you".into()));
    stream.spec.lookup_policy.local = true;
    let update = async |stream: ImageStream| {
        world.images.update_stream(&permit, stream, StreamPart::Spec, &refuse, DryRun::No).await
    };
    let mut stream = update(stream).await.unwrap();
    stream.spec.tags[0].generation = Some(0);
    let refused = update(stream.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("shop/web: not for you"), "{refused}");
    stream.spec.tags[0].generation = Some(1);
    stream.spec.tags[0].from.as_mut().unwrap().name = "web:other".into();
    let refused = update(stream).await.unwrap_err();
    assert!(refused.to_string().contains("shop/web: not for you"), "{refused}");
}
