//! Quotas and limit ranges of a namespace: what they refuse, with which words, and that nothing is left of it.

use pierhead_api::image::{ImageStreamMapping, ImageStreamTag};
use pierhead_api::meta::Preconditions;
use pierhead_images::{
    DryRun, ImportOutcome, ImportWrite, MayMap, PushError, StreamError, StreamPart, UploadError,
};
use pierhead_store::{OBJECTS, ObjectKey, ObjectRecord};
use serde_json::{Value, json};

use crate::world::{Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

async fn put(world: &World, resource: &str, kind: &str, rest: Value) {
    let key = ObjectKey::new(resource, "shop", "only");
    let mut document =
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "only", "namespace": "shop"}});
    for (name, value) in rest.as_object().unwrap() {
        document[name.as_str()] = value.clone();
    }
    let record = ObjectRecord(document.to_string().into());
    world.store.write(move |tx| tx.put(&OBJECTS, &key, &record).map(|_| ())).await.unwrap();
}

async fn allow_streams(world: &World, count: u32) {
    let hard = json!({"openshift.io/imagestreams": count.to_string()});
    let used = json!({"openshift.io/imagestreams": "0"});
    put(
        world,
        "resourcequotas",
        "ResourceQuota",
        json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": used}}),
    )
    .await;
}

async fn limit(world: &World, limit_type: &str, max: Value) {
    put(world, "limitranges", "LimitRange", json!({"spec": {"limits": [{"type": limit_type, "max": max}]}}))
        .await;
}

fn used(world: &World) -> String {
    let key = ObjectKey::new("resourcequotas", "shop", "only");
    let record = world.store.read(|tx| tx.get(&OBJECTS, &key)).unwrap().unwrap();
    let document: Value = serde_json::from_slice(&record.0).unwrap();
    document["status"]["used"]["openshift.io/imagestreams"].as_str().unwrap().to_owned()
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, PushError>) -> String {
    match outcome {
        Err(PushError::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_quota_counts_streams_however_they_come_and_go() {
    let world = World::new().await;
    allow_streams(&world, 2).await;
    world.put_image(AT, "latest", &Sample::new("a")).await;
    world.create_stream("shop", json!({"metadata": {"name": "made"}})).await;
    assert_eq!(used(&world), "2");
    let over = "exceeded quota: only, requested: openshift.io/imagestreams=1, used: openshift.io/imagestreams=2, \
                limited: openshift.io/imagestreams=2";
    // Bytes for a stream that may not be made are not even taken.
    let early = world.images.start_upload(&world.push("shop", "third")).await;
    assert!(matches!(early, Err(UploadError::Refused { reason }) if reason == over));
    let late = world.put_manifest(("shop", "third"), "v1", Sample::new("a").parsed()).await;
    assert!(matches!(late, Err(PushError::MissingBlobs { .. } | PushError::Refused { .. })), "{late:?}");
    let tag: ImageStreamTag = serde_json::from_value(json!({
        "metadata": {"name": "third:t"}, "tag": {"from": {"kind": "ImageStreamTag", "name": "web:latest"}},
    }))
    .unwrap();
    let permit = world.api("shop", "imagestreamtags");
    let by_tag = world.images.update_stream_tag(&permit, tag, &allow_all(), DryRun::No).await;
    assert_eq!(by_tag.unwrap_err().to_string(), format!("imagestreams \"third\" is forbidden: {over}"));
    let import =
        ImportWrite { stream: "third".into(), seen: None, tags: Vec::new(), repository_failure: None };
    let imported = world.images.apply_import(&permit, import, DryRun::No).await;
    assert!(matches!(imported, Err(StreamError::Forbidden { why, .. }) if why == over));
    assert!(world.images.stream("shop", "third").unwrap().is_none());
    let permit = world.api("shop", "imagestreams");
    world.images.delete_stream(&permit, "made", Preconditions::default(), DryRun::No).await.unwrap();
    assert_eq!(used(&world), "1");
    world.put_image(("shop", "third"), "v1", &Sample::new("a")).await;
}

#[tokio::test]
async fn many_first_pushes_at_once_stay_within_a_quota() {
    let world = World::new().await;
    let sample = Sample::new("a");
    let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    for name in &names {
        world.put_blob("shop", name, &sample.config).await;
        world.put_blob("shop", name, &sample.layer).await;
    }
    allow_streams(&world, 5).await;
    let pushes = names.iter().map(|name| world.put_manifest(("shop", name), "v1", sample.parsed()));
    let outcomes = futures_util::future::join_all(pushes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    assert_eq!(used(&world), "5");
    assert_eq!(world.images.list_streams(Some("shop"), None, 100, None).unwrap().items.len(), 5);
}

#[tokio::test]
async fn an_image_that_is_too_large_leaves_nothing() {
    let world = World::new().await;
    let sample = Sample::new("a");
    world.put_blob("shop", "web", &sample.config).await;
    world.put_blob("shop", "web", &sample.layer).await;
    limit(&world, "openshift.io/Image", json!({"storage": "6100"})).await;
    let total = sample.config.len() + sample.layer.len();
    let text = format!(
        "requested usage of storage exceeds the maximum limit per openshift.io/Image ({total} > 6100)"
    );
    assert_eq!(refusal(world.put_manifest(AT, "latest", sample.parsed()).await), text);
    assert!(world.images.stream("shop", "web").unwrap().is_none());
    assert!(world.images.image(&sample.digest().to_string()).unwrap().is_none());
    assert!(world.pulled(AT, &sample.digest().to_string()).await.is_none());

    // A single blob beyond the limit is refused while it comes.
    let permit = world.push("shop", "web");
    let id = world.images.start_upload(&permit).await.unwrap();
    let mut upload = world.images.upload(&permit, id).await.unwrap();
    upload.append(vec![0; 6100].into()).await.unwrap();
    let over = upload.append(vec![0; 1].into()).await;
    let said = "requested usage of storage exceeds the maximum limit per openshift.io/Image (6101 > 6100)";
    assert!(matches!(over, Err(UploadError::Refused { reason }) if reason == said));

    // The same image may be pushed where nothing is limited, and must not be mapped to here.
    world.put_image(("other", "web"), "latest", &sample).await;
    world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let mapping: ImageStreamMapping = serde_json::from_value(json!({
        "metadata": {"name": "web"}, "tag": "latest", "image": {"metadata": {"name": sample.digest()}},
    }))
    .unwrap();
    let permit = world.api("shop", "imagestreammappings");
    let mapped = world.images.create_mapping(&permit, mapping, MayMap::Every, DryRun::No).await;
    assert!(matches!(mapped, Err(StreamError::Forbidden { why, .. }) if why == text));
}

#[tokio::test]
async fn a_stream_grows_to_its_limits_and_no_further() {
    let world = World::new().await;
    let max = json!({"openshift.io/images": "2", "openshift.io/image-tags": "1"});
    limit(&world, "openshift.io/ImageStream", max).await;
    for text in ["a", "b"] {
        world.put_image(AT, "latest", &Sample::new(text)).await;
    }
    let sample = Sample::new("c");
    world.put_blob("shop", "web", &sample.config).await;
    world.put_blob("shop", "web", &sample.layer).await;
    assert_eq!(
        refusal(world.put_manifest(AT, "latest", sample.parsed()).await),
        "requested usage of openshift.io/images exceeds the maximum limit per openshift.io/ImageStream (3 > 2)"
    );
    // What is there already may get another tag, and back to an older image is no growth.
    world.put_image(AT, "latest", &Sample::new("a")).await;
    world.put_image(AT, "other", &Sample::new("b")).await;

    let mut stream = world.stream("shop", "web");
    let tags = json!([
        {"name": "x", "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}},
        {"name": "y", "from": {"kind": "DockerImage", "name": "quay.io/a/b:2"}},
    ]);
    stream.spec.tags = serde_json::from_value(tags).unwrap();
    let permit = world.api("shop", "imagestreams");
    let update = async |stream| {
        world.images.update_stream(&permit, stream, StreamPart::Spec, &allow_all(), DryRun::No).await
    };
    let Err(StreamError::Invalid { errors, .. }) = update(stream.clone()).await else { panic!("was taken") };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "[]: Internal error: imagestreams \"web\" is forbidden: requested usage of openshift.io/image-tags \
          exceeds the maximum limit per openshift.io/ImageStream (2 > 1)"
        ]
    );
    stream.spec.tags.pop();
    update(stream).await.unwrap();
    // A limit that was lowered leaves what is there, and lets it shrink.
    limit(&world, "openshift.io/ImageStream", json!({"openshift.io/images": "1"})).await;
    world.put_image(AT, "third", &Sample::new("a")).await;
    let tag = "other".parse().unwrap();
    world.images.delete_tag(&world.delete("shop", "web"), &tag).await.unwrap();
}

#[tokio::test]
async fn an_import_that_would_grow_a_stream_too_much_writes_nothing() {
    let world = World::new().await;
    limit(&world, "openshift.io/ImageStream", json!({"openshift.io/image-tags": "1"})).await;
    let failed = |tag: &str| pierhead_images::TagImport {
        tag: tag.into(),
        from: format!("quay.io/a/b:{tag}"),
        import_policy: Default::default(),
        reference_policy: Default::default(),
        outcome: ImportOutcome::Failed { reason: "NotFound".into(), message: "gone".into() },
    };
    let import = ImportWrite {
        stream: "web".into(),
        seen: None,
        tags: vec![failed("a"), failed("b")],
        repository_failure: None,
    };
    let permit = world.api("shop", "imagestreamimports");
    let imported = world.images.apply_import(&permit, import.clone(), DryRun::No).await;
    assert!(matches!(imported, Err(StreamError::Forbidden { .. })), "{imported:?}");
    assert!(world.images.stream("shop", "web").unwrap().is_none());

    // A stream that is there says on the tags that wait for their first image why they have none.
    let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:a"});
    let spec = json!({"tags": [{"name": "a", "from": from}]});
    world.create_stream("shop", json!({"metadata": {"name": "web"}, "spec": spec})).await;
    world.images.apply_import(&permit, import, DryRun::No).await.unwrap_err();
    let stream = world.stream("shop", "web");
    let condition = &stream.status_tag("a").unwrap().conditions[0];
    assert_eq!(condition.reason, "Forbidden");
    assert!(
        condition.message.starts_with("requested usage of openshift.io/image-tags exceeds"),
        "{condition:?}"
    );
    assert!(stream.status_tag("b").is_none());
}
