//! What may be written of a stream besides its spec, what is computed, and from where its images may be (images 3.2, 3.3,
//! 3.8, 3.9).

use std::sync::Arc;

use pierhead_api::image::{ImageStream, ImageStreamMapping};
use pierhead_images::{Config, DryRun, Images, MayMap, StreamError, StreamPart};
use pierhead_store::{OBJECTS, ObjectKey, ObjectRecord};
use serde_json::{Value, json};

use crate::world::{REGISTRY, Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

fn reopen(world: &mut World, change: impl FnOnce(&mut Config)) {
    let mut config = Config::new(REGISTRY);
    change(&mut config);
    world.images =
        Images::open(world.store.clone(), world.blobs.clone(), config, world.clock.shared()).unwrap();
}

async fn write_status(world: &World, tags: Value) -> Result<ImageStream, StreamError> {
    let mut document = serde_json::to_value(world.stream("shop", "web")).unwrap();
    document["status"]["tags"] = tags;
    let permit = world.api("shop", "imagestreams");
    let stream = serde_json::from_value(document).unwrap();
    world.images.update_stream(&permit, stream, StreamPart::Status, &allow_all(), DryRun::No).await
}

async fn map(world: &World, mapping: Value) -> Result<(), StreamError> {
    let mapping: ImageStreamMapping = serde_json::from_value(mapping).unwrap();
    let permit = world.api("shop", "imagestreammappings");
    world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await
}

#[track_caller]
fn check_invalid<T: std::fmt::Debug>(written: Result<T, StreamError>, field: &str, reason: &str) {
    match written {
        Err(StreamError::Invalid { errors, .. }) => {
            let text = errors.to_string();
            assert!(text.starts_with(&format!("{field}: ")) && text.contains(reason), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

fn name(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

#[tokio::test]
async fn a_stream_says_where_it_is_inside_and_outside() {
    let mut world = World::new().await;
    let all = json!({"metadata": {"name": "web"}, "spec": {"dockerImageRepository": "quay.io/a/b"}});
    let made = world.create_stream("shop", all).await;
    assert_eq!(made.status.docker_image_repository, format!("{REGISTRY}/shop/web"));
    assert_eq!(made.status.public_docker_image_repository, "");
    reopen(&mut world, |config| config.public_registry = Arc::new(|| Some("registry.example.com".into())));
    let shown = world.stream("shop", "web").status;
    assert_eq!(shown.docker_image_repository, format!("{REGISTRY}/shop/web"));
    assert_eq!(shown.public_docker_image_repository, "registry.example.com/shop/web");
}

#[tokio::test]
async fn items_that_are_written_get_what_they_lack() {
    let world = World::new().await;
    world.put_image(AT, "latest", &Sample::new("one")).await;
    let mut stream = world.stream("shop", "web");
    stream.spec.lookup_policy.local = true;
    let permit = world.api("shop", "imagestreams");
    let part = StreamPart::Spec;
    world.images.update_stream(&permit, stream, part, &allow_all(), DryRun::No).await.unwrap();
    let condition =
        json!({"type": "ImportSuccess", "status": "False", "generation": 1, "lastTransitionTime": null});
    let written = write_status(
        &world,
        json!([
            {"tag": "z", "items": [{"dockerImageReference": "quay.io/a/b:1", "image": "", "created": null}]},
            {"tag": "failed", "items": null, "conditions": [condition]},
            {"tag": "nothing", "items": null},
        ]),
    )
    .await
    .unwrap();
    let tags: Vec<&str> = written.status.tags.iter().map(|list| list.tag.as_str()).collect();
    assert_eq!(tags, ["failed", "z"], "tags are sorted, and one with nothing is no tag");
    let item = written.newest("z").unwrap();
    assert_eq!((item.generation, item.created.unwrap().to_string().as_str()), (2, "2026-11-23T10:00:00Z"));
    let shown = serde_json::to_value(&written).unwrap();
    assert_eq!(shown["status"]["tags"][0]["items"], Value::Null);
    assert_eq!(written.metadata.generation, Some(2), "the status counts for no generation");
    check_invalid(
        write_status(&world, json!([{"tag": "z", "items": [{"dockerImageReference": ""}]}])).await,
        "status.tags[z].items[0].dockerImageReference",
        "Required value",
    );
}

#[tokio::test]
async fn a_status_grows_only_within_the_limits() {
    let world = World::new().await;
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let item =
        |digit: &str| json!({"dockerImageReference": format!("quay.io/a/b:{digit}"), "image": name(digit)});
    write_status(&world, json!([{"tag": "t", "items": [item("a"), item("b"), item("c")]}])).await.unwrap();
    let limits = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "only", "namespace": "shop"},
        "spec": {"limits": [{"type": "openshift.io/ImageStream", "max": {"openshift.io/images": "1"}}]},
    });
    let record = ObjectRecord(limits.to_string().into());
    let key = ObjectKey::new("limitranges", "shop", "only");
    world.store.write(move |tx| tx.put(&OBJECTS, &key, &record).map(|_| ())).await.unwrap();
    write_status(&world, json!([{"tag": "t", "items": [item("a"), item("b")]}])).await.unwrap();
    write_status(&world, json!([{"tag": "u", "items": [item("c"), item("b")]}])).await.unwrap();
    check_invalid(
        write_status(&world, json!([{"tag": "u", "items": [item("c"), item("b"), item("d")]}])).await,
        "[]",
        "requested usage of openshift.io/images exceeds the maximum limit per openshift.io/ImageStream (3 > 1)",
    );
}

#[tokio::test]
async fn images_come_from_where_they_may_and_what_is_there_stays() {
    let mut world = World::new().await;
    let from = |name: &str| json!({"kind": "DockerImage", "name": name});
    let tags = json!([{"name": "old", "reference": true, "from": from("old.example.com/a/b:1")}]);
    world.create_stream("shop", json!({"metadata": {"name": "web"}, "spec": {"tags": tags}})).await;
    reopen(&mut world, |config| config.allowed_registries = Some(vec!["quay.io".parse().unwrap()]));
    let forbidden = |registry: &str| {
        format!(
            "importing images from registry \"{registry}\" is forbidden: registry \"{registry}\" not allowed by \
             whitelist: \"quay.io:443\""
        )
    };
    let update = async |tags: Value| {
        let mut stream = world.stream("shop", "web");
        stream.spec.tags = serde_json::from_value(tags).unwrap();
        let permit = world.api("shop", "imagestreams");
        world.images.update_stream(&permit, stream, StreamPart::Spec, &allow_all(), DryRun::No).await
    };
    let mut wanted = vec![
        json!({"name": "old", "reference": true, "from": from("old.example.com/a/b:1")}),
        json!({"name": "good", "from": from("quay.io/a/b:1")}),
        json!({"name": "own", "from": from(&format!("{REGISTRY}/other/app:1"))}),
    ];
    update(json!(wanted)).await.unwrap();
    wanted.push(json!({"name": "bad", "from": from("old.example.com/a/b:2")}));
    check_invalid(update(json!(wanted)).await, "spec.tags[bad].from.name", &forbidden("old.example.com"));

    let repository = async |repository: &str| {
        let mut stream = world.stream("shop", "web");
        stream.spec.docker_image_repository = repository.into();
        let permit = world.api("shop", "imagestreams");
        let part = StreamPart::Spec;
        let update =
            world.images.update_stream(&permit, stream.clone(), part, &allow_all(), DryRun::No).await;
        stream.metadata = pierhead_api::meta::ObjectMeta::named("new");
        stream.spec.tags.clear();
        let create = world.images.create_stream(&permit, stream, &allow_all(), DryRun::Yes).await;
        [update, create]
    };
    for written in repository("old.example.com/a/b").await {
        check_invalid(written, "spec.dockerImageRepository", &forbidden("old.example.com"));
    }
    for written in repository("quay.io/a/b").await {
        written.unwrap();
    }

    let item = |reference: &str| json!({"dockerImageReference": reference, "image": name("a")});
    write_status(&world, json!([{"tag": "old", "items": [item("old.example.com/a/b:1")]}])).await.unwrap();
    check_invalid(
        write_status(&world, json!([{"tag": "old", "items": [item("busybox:1")]}])).await,
        "status.tags[old].items[0].dockerImageReference",
        &forbidden("docker.io"),
    );
    let mapping = |reference: &str| {
        let image = json!({"metadata": {"name": name("b")}, "dockerImageReference": reference});
        json!({"metadata": {"name": "web"}, "tag": "mapped", "image": image})
    };
    map(&world, mapping("quay.io/a/b:1")).await.unwrap();
    check_invalid(
        map(&world, mapping("old.example.com/a/b:1")).await,
        "image.dockerImageReference",
        &forbidden("old.example.com"),
    );
}

#[tokio::test]
async fn a_registry_without_tls_is_allowed_to_who_asks_for_it() {
    const INSECURE: &str = "openshift.io/image.insecureRepository";
    let mut world = World::new().await;
    reopen(&mut world, |config| {
        config.allowed_registries = Some(vec!["plain.example.com:80".parse().unwrap()]);
    });
    let create = async |annotations: Value, policy: Value, repository: &str| {
        let from = json!({"kind": "DockerImage", "name": "plain.example.com/a/b:1"});
        let tags = json!([{"name": "t", "from": from, "importPolicy": policy}]);
        let document = json!({
            "metadata": {"name": "web", "annotations": annotations},
            "spec": {"tags": tags, "dockerImageRepository": repository},
        });
        let stream = serde_json::from_value(document).unwrap();
        let permit = world.api("shop", "imagestreams");
        world.images.create_stream(&permit, stream, &allow_all(), DryRun::Yes).await
    };
    let (nothing, insecure) = (json!({}), json!({"insecure": true}));
    let repository = "plain.example.com/a/b";
    check_invalid(
        create(nothing.clone(), nothing.clone(), "").await,
        "spec.tags[t].from.name",
        "not allowed",
    );
    let refused = create(nothing.clone(), insecure.clone(), repository).await;
    check_invalid(refused, "spec.dockerImageRepository", "not allowed");
    create(nothing.clone(), insecure, "").await.unwrap();
    create(json!({INSECURE: "true"}), nothing, repository).await.unwrap();
}

#[tokio::test]
async fn a_mapping_names_the_image_where_it_is() {
    let world = World::new().await;
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let mapping = |tag: &str, image: &str, managed: bool| {
        let annotations = if managed { json!({"openshift.io/image.managed": "true"}) } else { json!({}) };
        let metadata = json!({"name": image, "annotations": annotations});
        let image = json!({"metadata": metadata, "dockerImageReference": "reg.example.com/x/y@sha256:ff"});
        json!({"metadata": {"name": "web"}, "tag": tag, "image": image})
    };
    let reference =
        |tag: &str| world.stream("shop", "web").newest(tag).unwrap().docker_image_reference.clone();
    map(&world, mapping("first", &name("a"), true)).await.unwrap();
    assert_eq!(reference("first"), "reg.example.com/x/y@sha256:ff", "the image is new");
    map(&world, mapping("again", &name("a"), true)).await.unwrap();
    assert_eq!(reference("again"), format!("{REGISTRY}/shop/web@{}", name("a")), "it was pushed here before");
    map(&world, mapping("elsewhere", &name("a"), false)).await.unwrap();
    assert_eq!(reference("elsewhere"), "reg.example.com/x/y@sha256:ff");
    let before = world.stream("shop", "web").metadata.resource_version;
    map(&world, mapping("elsewhere", &name("a"), false)).await.unwrap();
    assert_eq!(world.stream("shop", "web").metadata.resource_version, before, "nothing changed");

    // Old registries name the repository; and who names no place means the stream's.
    let image = json!({"metadata": {"name": name("b")}});
    let by_repository =
        json!({"dockerImageRepository": format!("{REGISTRY}/shop/web"), "tag": "old", "image": image});
    map(&world, by_repository).await.unwrap();
    assert_eq!(reference("old"), format!("{REGISTRY}/shop/web@{}", name("b")));
    let nowhere = json!({"dockerImageRepository": "reg.example.com/shop/none", "tag": "old", "image": image});
    assert!(matches!(map(&world, nowhere).await, Err(StreamError::NotFound { .. })));
}
