//! What imports write, and when they write nothing (images 5.4).

use std::sync::Arc;
use std::time::Duration;

use pierhead_api::image::{ImageStream, TagImportPolicy, TagReferencePolicy};
use pierhead_api::meta::Preconditions;
use pierhead_images::{
    DryRun, FetchedImage, FetchedManifest, ImportOutcome, ImportWrite, RemoteSource, SeenStream, StreamError,
    TagImport,
};
use pierhead_oci::{Algorithm, Digest, Manifest};
use serde_json::json;

use crate::world::{OCI_INDEX, Sample, World, allow_all};

const AT: (&str, &str) = ("shop", "web");

fn fetched(sample: &Sample, reference: &str) -> ImportOutcome {
    let config = Some(sample.config.clone().into());
    let manifest = FetchedManifest::new(Algorithm::Sha256, sample.parsed(), config);
    let reference = format!("{reference}@{}", manifest.digest());
    ImportOutcome::Fetched(Arc::new(FetchedImage { reference, manifest, children: Vec::new() }))
}

fn failed(reason: &str, message: &str) -> ImportOutcome {
    ImportOutcome::Failed { reason: reason.into(), message: message.into() }
}

fn import(tag: &str, outcome: ImportOutcome) -> TagImport {
    let mut import_policy = TagImportPolicy::default();
    import_policy.set_defaults();
    let reference_policy = TagReferencePolicy { policy_type: "Source".into() };
    TagImport {
        tag: tag.into(),
        from: format!("quay.io/a/b:{tag}"),
        import_policy,
        reference_policy,
        outcome,
    }
}

fn write(tags: Vec<TagImport>) -> ImportWrite {
    ImportWrite { stream: AT.1.into(), seen: None, tags, repository_failure: None }
}

impl World {
    async fn imports(&self, tags: Vec<TagImport>) -> ImageStream {
        self.advance(Duration::from_secs(60));
        let permit = self.api(AT.0, "imagestreamimports");
        self.images.apply_import(&permit, write(tags), DryRun::No).await.unwrap()
    }
}

/// A stream in one line a tag: generations, images by the beginning of their hash, and the condition.
fn shown(stream: &ImageStream) -> Vec<String> {
    let mut lines = vec![format!("generation {}", stream.metadata.generation.unwrap_or_default())];
    for tag in &stream.spec.tags {
        let from = tag.from.as_ref().map(|from| from.name.clone()).unwrap_or_default();
        let insecure = if tag.import_policy.insecure { " insecure" } else { "" };
        lines.push(format!("wants {}@{} {from}{insecure}", tag.name, tag.generation.unwrap_or_default()));
    }
    for tag in &stream.status.tags {
        let mut line = format!("has {}", tag.tag);
        for item in &tag.items {
            let time = item.created.map(|time| time.0.strftime("%M").to_string()).unwrap_or_default();
            let (_, hash) = item.image.split_at_checked(11).unwrap_or_default();
            let (short, _) = hash.split_at_checked(4).unwrap_or_default();
            line = format!("{line} {short}@{}/{time}", item.generation);
        }
        for condition in &tag.conditions {
            let time = condition.last_transition_time.map(|time| time.0.strftime("%M").to_string());
            let (reason, generation) = (&condition.reason, condition.generation);
            line = format!("{line} {reason}@{generation}/{}", time.unwrap_or_default());
        }
        lines.push(line);
    }
    lines
}

fn short(sample: &Sample) -> String {
    let text = sample.digest().to_string();
    let (_, hash) = text.split_at(11);
    hash.split_at(4).0.to_owned()
}

#[tokio::test]
async fn each_result_changes_what_it_must_and_nothing_else() {
    let world = World::new().await;
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    let (first, second) = (short(&one), short(&two));
    let here = "quay.io/a/b";
    let ok = |sample| import("1", fetched(sample, here));
    let bad = |message| import("1", failed("NotFound", message));
    let mut insecure = ok(&two);
    insecure.import_policy.insecure = true;

    let made = world.imports(vec![ok(&one)]).await;
    assert_eq!(shown(&made), ["generation 1", "wants 1@1 quay.io/a/b:1", &format!("has 1 {first}@1/01")]);
    assert_eq!(made.metadata.annotations["openshift.io/image.dockerRepositoryCheck"], "2026-11-23T10:01:00Z");
    let rows: Vec<(TagImport, Vec<String>)> = vec![
        // The same again: nothing.
        (ok(&one), shown(&made)),
        (
            ok(&two),
            vec![
                "generation 2".into(),
                "wants 1@2 quay.io/a/b:1".into(),
                format!("has 1 {second}@2/03 {first}@1/01"),
            ],
        ),
        // A failure is told; the image stays.
        (
            bad("gone"),
            vec![
                "generation 3".into(),
                "wants 1@3 quay.io/a/b:1".into(),
                format!("has 1 {second}@2/03 {first}@1/01 NotFound@3/04"),
            ],
        ),
        // The same failure again: nothing, not even a new time.
        (
            bad("gone"),
            vec![
                "generation 3".into(),
                "wants 1@3 quay.io/a/b:1".into(),
                format!("has 1 {second}@2/03 {first}@1/01 NotFound@3/04"),
            ],
        ),
        (
            bad("still gone"),
            vec![
                "generation 4".into(),
                "wants 1@4 quay.io/a/b:1".into(),
                format!("has 1 {second}@2/03 {first}@1/01 NotFound@4/06"),
            ],
        ),
        // Back again: the newest item answers the tag's generation now, and the failure is forgotten.
        (
            ok(&two),
            vec![
                "generation 5".into(),
                "wants 1@5 quay.io/a/b:1".into(),
                format!("has 1 {second}@5/03 {first}@1/01"),
            ],
        ),
        // Only the policy differs.
        (
            insecure,
            vec![
                "generation 6".into(),
                "wants 1@5 quay.io/a/b:1 insecure".into(),
                format!("has 1 {second}@5/03 {first}@1/01"),
            ],
        ),
    ];
    let mut version = made.metadata.resource_version;
    let mut before = shown(&world.stream(AT.0, AT.1));
    for (row, (import, expected)) in rows.into_iter().enumerate() {
        let after = world.imports(vec![import]).await;
        assert_eq!(shown(&after), expected, "row {row}");
        let wrote = after.metadata.resource_version != version;
        assert_eq!(wrote, shown(&after) != before, "row {row}: a write without a change, or the reverse");
        (version, before) = (after.metadata.resource_version.clone(), expected);
    }
}

#[tokio::test]
async fn what_was_imported_is_served_here_and_layers_are_not_taken_from_others() {
    let world = World::new().await;
    let private = Sample::new("private");
    world.put_image(("other", "secret"), "latest", &private).await;
    // Whoever writes manifests may name any digest in them.
    let thief = Sample::with(b"{\"os\":\"linux\"}".to_vec(), private.layer.clone(), "");
    let large = Sample::with(
        format!("{{\"os\":\"linux\",\"author\":\"{:5000}\"}}", "x").into_bytes(),
        vec![7; 9],
        "",
    );
    world
        .imports(vec![
            import("1", fetched(&thief, "evil.io/a/b")),
            import("2", fetched(&large, "evil.io/a/b")),
        ])
        .await;
    for (tag, sample) in [("1", &thief), ("2", &large)] {
        assert_eq!(world.pulled(AT, tag).await, Some(sample.digest()));
        let config = pierhead_oci::Digest::sha256(&sample.config);
        let blob = world.images.blob(&world.pull(AT.0, AT.1), &config).await.unwrap();
        assert_eq!(blob.size(), sample.config.len() as u64);
    }
    let layer = pierhead_oci::Digest::sha256(&private.layer);
    let stolen = world.images.blob(&world.pull(AT.0, AT.1), &layer).await;
    assert!(stolen.is_err(), "a manifest that names a layer gives no right to it");
    // Nor does tagging from one's own stream.
    let tag = json!({"metadata": {"name": "copy"}, "spec": {"tags": [
        {"name": "1", "from": {"kind": "ImageStreamTag", "name": "web:1"}},
    ]}});
    world.create_stream("shop", tag).await;
    assert_eq!(world.pulled(("shop", "copy"), "1").await, Some(thief.digest()));
    assert!(world.images.blob(&world.pull("shop", "copy"), &layer).await.is_err());
    let image = world.images.image(&thief.digest().to_string()).unwrap().unwrap();
    assert_eq!(image.docker_image_reference, format!("evil.io/a/b@{}", thief.digest()));
    assert!(!image.is_managed() && image.docker_image_manifest.is_empty());
    assert_eq!(image.docker_image_layers.len(), 1);
}

#[tokio::test]
async fn a_list_comes_with_its_images() {
    let world = World::new().await;
    let child = Sample::new("child");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{}","digest":"{}","size":{},"platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#,
        crate::world::OCI_MANIFEST,
        child.digest(),
        child.manifest.len()
    );
    let list = Manifest::parse(OCI_INDEX, index.into_bytes()).unwrap();
    let child_manifest =
        FetchedManifest::new(Algorithm::Sha256, child.parsed(), Some(child.config.clone().into()));
    let manifest = FetchedManifest::new(Algorithm::Sha256, list, None);
    let digest = manifest.digest().clone();
    let reference = format!("quay.io/a/b@{digest}");
    let image = FetchedImage { reference, manifest, children: vec![child_manifest] };
    world.imports(vec![import("all", ImportOutcome::Fetched(Arc::new(image)))]).await;
    assert_eq!(world.pulled(AT, "all").await, Some(digest.clone()));
    assert_eq!(world.pulled(AT, &child.digest().to_string()).await, Some(child.digest()));
    let image = world.images.image(&digest.to_string()).unwrap().unwrap();
    assert_eq!(image.docker_image_manifests[0].digest, child.digest().to_string());
    let image = world.images.image(&child.digest().to_string()).unwrap().unwrap();
    assert_eq!(image.docker_image_reference, format!("quay.io/a/b@{}", child.digest()));
    assert_eq!(image.docker_image().unwrap().architecture, "amd64");
    let layer = Digest::sha256(&child.layer);
    let missing = world.images.missing_blob(&world.pull(AT.0, AT.1), &layer).unwrap().unwrap();
    assert_eq!(places(missing.sources()), ["quay.io/a/b"], "layers of what the list names are where it is");
    let of_list = world.images.missing_blob(&world.pull(AT.0, AT.1), &child.digest()).unwrap();
    assert!(of_list.is_none(), "a manifest that the list names is no blob");
}

fn places(sources: &[RemoteSource]) -> Vec<String> {
    sources.iter().map(|source| format!("{}/{}", source.host, source.repository)).collect()
}

/// However often a tag moved, what it points at now is found first.
#[tokio::test]
async fn the_newest_image_of_a_long_history_has_a_source() {
    let world = World::new().await;
    let newest = Sample::new("newest");
    world.imports(vec![import("1", fetched(&newest, "quay.io/a/b"))]).await;
    let mut stream = world.stream(AT.0, AT.1);
    let older = (0..3_000).map(|number| {
        let image = Digest::sha256(format!("{number}").as_bytes()).to_string();
        let mut item = stream.newest("1").unwrap().clone();
        item.docker_image_reference = format!("old.io/a/b@{image}");
        item.image = image;
        item
    });
    let older: Vec<_> = older.collect();
    stream.status.tags[0].items.extend(older);
    let (permit, part) = (world.api(AT.0, "imagestreams"), pierhead_images::StreamPart::Status);
    world.images.update_stream(&permit, stream, part, &allow_all(), DryRun::No).await.unwrap();
    let layer = Digest::sha256(&newest.layer);
    let missing = world.images.missing_blob(&world.pull(AT.0, AT.1), &layer).unwrap().unwrap();
    assert_eq!(places(missing.sources()), ["quay.io/a/b"]);
}

#[tokio::test]
async fn what_was_deleted_is_not_fetched_again() {
    let world = World::new().await;
    let (leaked, clean) = (Sample::new("leaked"), Sample::new("clean"));
    for sample in [&leaked, &clean] {
        world.imports(vec![import("1", fetched(sample, "quay.io/a/b"))]).await;
    }
    let pull = world.pull(AT.0, AT.1);
    let reference = leaked.digest().into();
    world.images.delete_manifest(&world.delete(AT.0, AT.1), &leaked.digest()).await.unwrap();
    assert!(world.images.missing_manifest(&pull, &reference).unwrap().is_none());
    let layer = Digest::sha256(&leaked.layer);
    assert!(world.images.missing_blob(&pull, &layer).unwrap().is_none());
    world.imports(vec![import("2", fetched(&leaked, "quay.io/a/b"))]).await;
    assert_eq!(world.pulled(AT, "2").await, Some(leaked.digest()), "who imports it anew wants it");
    assert!(world.images.missing_blob(&pull, &layer).unwrap().is_some());
}

#[tokio::test]
async fn a_push_brings_back_what_was_deleted() {
    let world = World::new().await;
    let (leaked, clean) = (Sample::new("leaked"), Sample::new("clean"));
    for sample in [&leaked, &clean] {
        world.imports(vec![import("1", fetched(sample, "quay.io/a/b"))]).await;
    }
    world.images.delete_manifest(&world.delete(AT.0, AT.1), &leaked.digest()).await.unwrap();
    world.put_image(AT, "3", &leaked).await;
    let missing = world.images.missing_manifest(&world.pull(AT.0, AT.1), &leaked.digest().into()).unwrap();
    assert_eq!(places(missing.unwrap().sources()), ["quay.io/a/b"], "it may be fetched when it is lost");
}

#[tokio::test]
async fn a_layer_of_many_deleted_images_is_found_by_the_one_that_is_left() {
    let world = World::new().await;
    let samples = (0..120).map(|number| {
        Sample::with(format!("{{\"os\":\"linux\",\"author\":\"{number}\"}}").into(), vec![7; 9], "")
    });
    let mut samples: Vec<_> = samples.collect();
    samples.sort_by_key(Sample::digest);
    for (number, sample) in samples.iter().enumerate() {
        world.imports(vec![import(&format!("t{number}"), fetched(sample, "quay.io/a/b"))]).await;
    }
    let last = samples.pop().unwrap();
    for sample in &samples {
        world.images.delete_manifest(&world.delete(AT.0, AT.1), &sample.digest()).await.unwrap();
    }
    let missing = world.images.missing_blob(&world.pull(AT.0, AT.1), &Digest::sha256(&last.layer)).unwrap();
    assert_eq!(places(missing.unwrap().sources()), ["quay.io/a/b"]);
}

/// The same where the repository held the manifest all the time, and its row was lost with the image object.
#[tokio::test]
async fn parts_of_a_manifest_whose_row_comes_back_are_protected_from_collection() {
    let world = World::new().await;
    let sample = Sample::new("returns");
    world.put_image(AT, "1", &sample).await;
    let (permit, name) = (world.api("", "images"), sample.digest().to_string());
    world.images.delete_image(&permit, &name, Preconditions::default(), DryRun::No).await.unwrap();
    world.advance(Duration::from_hours(25));
    world.imports(vec![import("2", fetched(&sample, "quay.io/a/b"))]).await;
    world.images.delete_manifest(&world.delete(AT.0, AT.1), &sample.digest()).await.unwrap();
    assert_eq!(world.images.collect_garbage().await.unwrap().links, 0, "the import renewed the leases");
}

/// A collection may have looked at the repository just before: what comes back must not depend on what it saw.
#[tokio::test]
async fn what_comes_back_is_protected_from_collection() {
    let world = World::new().await;
    let sample = Sample::new("returns");
    world.put_image(AT, "1", &sample).await;
    world.images.delete_manifest(&world.delete(AT.0, AT.1), &sample.digest()).await.unwrap();
    world.advance(Duration::from_hours(25));
    world.imports(vec![import("2", fetched(&sample, "quay.io/a/b"))]).await;
    world.images.delete_manifest(&world.delete(AT.0, AT.1), &sample.digest()).await.unwrap();
    assert_eq!(world.images.collect_garbage().await.unwrap().links, 0, "the import renewed the leases");
}

#[tokio::test]
async fn referrers_come_with_imports_and_tags() {
    let world = World::new().await;
    let subject = Sample::new("subject");
    let more = format!(
        r#","subject":{{"mediaType":"{}","digest":"{}","size":1}},"artifactType":"application/x-signature""#,
        crate::world::OCI_MANIFEST,
        subject.digest()
    );
    let signature = Sample::with(b"{}".to_vec(), b"signature".to_vec(), &more);
    world.imports(vec![import("signature", fetched(&signature, "quay.io/a/b"))]).await;
    let copy = json!({"metadata": {"name": "copy"}, "spec": {"tags": [
        {"name": "1", "from": {"kind": "ImageStreamTag", "name": "web:signature"}}]}});
    world.create_stream("shop", copy).await;
    for stream in ["web", "copy"] {
        let pull = world.pull("shop", stream);
        let found = world.images.referrers(&pull, &subject.digest(), None, 10).unwrap().items;
        let found: Vec<_> = found.iter().map(|found| (&found.digest, found.artifact_type.as_ref())).collect();
        let artifact_type = "application/x-signature".parse().unwrap();
        assert_eq!(found, [(&signature.digest(), Some(&artifact_type))], "{stream}");
    }
}

#[tokio::test]
async fn imports_collide_with_changes_of_what_is_wanted_and_not_with_pushes() {
    let world = World::new().await;
    let stream = world.create_stream("shop", json!({"metadata": {"name": "web"}})).await;
    let seen = SeenStream {
        uid: stream.metadata.uid.clone(),
        resource_version: stream.metadata.resource_version.clone(),
    };
    world.put_image(AT, "pushed", &Sample::new("pushed")).await;
    let permit = world.api("shop", "imagestreamimports");
    let attempt = async |seen: SeenStream, tag: &str| {
        let import = ImportWrite {
            seen: Some(seen),
            ..write(vec![import(tag, fetched(&Sample::new(tag), "q.io/a/b"))])
        };
        world.images.apply_import(&permit, import, DryRun::No).await
    };
    assert!(attempt(seen.clone(), "1").await.is_ok(), "a push is no collision");
    assert!(matches!(attempt(seen.clone(), "2").await, Err(StreamError::Conflict { .. })));
    let other = SeenStream { uid: "another".into(), ..SeenStream::default() };
    assert!(matches!(attempt(other, "3").await, Err(StreamError::NotFound { .. })));
    let by_uid = SeenStream { resource_version: String::new(), ..seen };
    let after = attempt(by_uid, "4").await.unwrap();
    assert!(after.newest("1").is_some() && after.newest("2").is_none() && after.newest("4").is_some());
    // What follows an imported tag gets it, too.
    let mut wanted = after;
    let alias = json!({"name": "alias", "from": {"kind": "ImageStreamTag", "name": "4"}});
    wanted.spec.tags.push(serde_json::from_value(alias).unwrap());
    let part = pierhead_images::StreamPart::Spec;
    let permit = world.api("shop", "imagestreams");
    world.images.update_stream(&permit, wanted, part, &allow_all(), DryRun::No).await.unwrap();
    let newer = Sample::new("newer");
    let after = world.imports(vec![import("4", fetched(&newer, "q.io/a/b"))]).await;
    assert_eq!(after.newest("alias").unwrap().image, newer.digest().to_string());
}
