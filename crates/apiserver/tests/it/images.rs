//! Image streams and tags as objects, under all three prefixes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, admin, user};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/shop/imagestreams";

#[tokio::test]
async fn a_manifest_of_2016_makes_a_stream_under_every_prefix() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let stream = |name: &str| json!({"kind": "ImageStream", "apiVersion": "v1", "metadata": {"name": name}});
    for (prefix, name) in [
        ("/oapi/v1/namespaces/shop/imagestreams", "old"),
        ("/api/v1/namespaces/shop/legacyimagestreams", "alias"),
        (STREAMS, "grouped"),
    ] {
        let made = world.post(&ann, prefix, stream(name)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{prefix}: {}", made.body);
        let version = if prefix == STREAMS { "image.openshift.io/v1" } else { "v1" };
        assert_eq!(made.body["apiVersion"], version);
        let repository = &made.body["status"]["dockerImageRepository"];
        assert_eq!(*repository, format!("172.30.0.1:5000/shop/{name}"));
    }
    let list = world.get(&ann, STREAMS).await.body;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert_eq!(world.post(&ann, STREAMS, stream("old")).await.says().0, 409);
    let nowhere = STREAMS.replace("shop", "none");
    assert_eq!(world.post(&admin(), &nowhere, stream("x")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tag_is_put_seen_and_deleted() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let tags = "/apis/image.openshift.io/v1/namespaces/shop/imagestreamtags";
    let tag = json!({
        "kind": "ImageStreamTag", "metadata": {"name": "web:1"},
        "tag": {"name": "1", "from": {"kind": "DockerImage", "name": "docker.io/library/nginx:1"}},
    });
    let made = world.put(&ann, &format!("{tags}/web:1"), tag.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let again = world.put(&ann, &format!("{tags}/web%3A1"), tag).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    let stream = world.get(&ann, &format!("{STREAMS}/web")).await.body;
    assert_eq!(stream["spec"]["tags"][0]["from"]["name"], "docker.io/library/nginx:1");
    let pending = world.get(&ann, &format!("{tags}/web:1")).await;
    assert_eq!(pending.says(), (404, r#"imagestreamtags.image.openshift.io "web:1" not found"#));
    let gone = world.delete(&ann, &format!("{tags}/web:1")).await;
    assert_eq!((gone.status, &gone.body["status"]), (StatusCode::OK, &json!("Success")), "{}", gone.body);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/web")).await.body["spec"]["tags"], Value::Null);
    let bad = world.get(&ann, &format!("{tags}/web")).await;
    assert_eq!(bad.says(), (400, "ImageStreamTags must be retrieved with <name>:<tag>"));
}

#[tokio::test]
async fn an_apply_makes_a_tag_and_its_stream() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = "/apis/image.openshift.io/v1/namespaces/shop/imagestreamtags/web:1?fieldManager=ann";
    let headers = [("content-type", "application/apply-patch+yaml")];
    for (from, code) in [("quay.example.com/a/b:1", 201), ("quay.example.com/a/b:2", 200)] {
        let wanted = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag", "metadata": {"name": "web:1"},
            "tag": {"name": "1", "reference": true, "from": {"kind": "DockerImage", "name": from}},
        });
        let applied = world.send(&ann, "PATCH", path, &headers, wanted.to_string()).await;
        assert_eq!(applied.status.as_u16(), code, "{}", applied.body);
        let stream = world.get(&ann, &format!("{STREAMS}/web")).await.body;
        assert_eq!(stream["spec"]["tags"][0]["from"]["name"], from, "{stream}");
    }
}

#[tokio::test]
async fn a_stream_changes_by_patch_and_not_blindly() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let made = world.post(&ann, STREAMS, json!({"metadata": {"name": "web"}})).await.body;
    let patch =
        json!({"spec": {"lookupPolicy": {"local": true}}, "status": {"dockerImageRepository": "evil"}});
    let patched = world.patch(&ann, &format!("{STREAMS}/web"), "merge-patch", patch).await.body;
    assert_eq!(patched["spec"]["lookupPolicy"]["local"], true, "{patched}");
    assert_eq!(patched["status"]["dockerImageRepository"], "172.30.0.1:5000/shop/web");
    let mut blind = made.clone();
    blind["metadata"]["resourceVersion"] = Value::Null;
    assert_eq!(world.put(&ann, &format!("{STREAMS}/web"), blind).await.status.as_u16(), 422);
    let mut stale = made;
    stale["spec"]["lookupPolicy"]["local"] = false.into();
    assert_eq!(world.put(&ann, &format!("{STREAMS}/web"), stale).await.status.as_u16(), 409);
    let dry = world.post(&ann, &format!("{STREAMS}?dryRun=All"), json!({"metadata": {"name": "dry"}})).await;
    assert_eq!(dry.status, StatusCode::CREATED, "{}", dry.body);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/dry")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.delete(&ann, &format!("{STREAMS}/web")).await.status, StatusCode::OK);
    assert_eq!(world.get(&ann, &format!("{STREAMS}/web")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_is_watched() {
    use http_body_util::BodyExt as _;
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = format!("{}?watch=true&resourceVersion={}", STREAMS, world.store.revision());
    let mut body = world.open(&ann, "GET", &path, &[], "").await.into_body();
    world.post(&ann, STREAMS, json!({"metadata": {"name": "web"}})).await;
    let added: Value =
        serde_json::from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
    assert_eq!((&added["type"], &added["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("web")));
    world.delete(&ann, &format!("{STREAMS}/web")).await;
    let deleted: Value =
        serde_json::from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
    assert_eq!(deleted["type"], "DELETED");
}

#[tokio::test]
async fn pull_secrets_are_listed_for_any_stream() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let list = world.get(&ann, &format!("{STREAMS}/none/secrets")).await;
    assert_eq!((list.status, &list.body["kind"]), (StatusCode::OK, &json!("SecretList")), "{}", list.body);
    assert_eq!(list.body["apiVersion"], "v1");
}

/// The digest of an image object that exists, mapped to `shop/web:v1`.
async fn mapped(world: &World) -> String {
    let digest = format!("sha256:{}", "a".repeat(64));
    let layers = json!([{"name": format!("sha256:{}", "b".repeat(64)), "size": 7, "mediaType": "x/layer"}]);
    let metadata =
        json!({"kind": "DockerImage", "apiVersion": "1.0", "Id": format!("sha256:{}", "c".repeat(64))});
    let image = json!({
        "metadata": {"name": digest}, "dockerImageReference": "quay.io/a/b:1", "dockerImageLayers": layers,
        "dockerImageMetadata": metadata, "dockerImageManifestMediaType": "x/manifest",
    });
    world.post(&user("ann"), STREAMS, json!({"metadata": {"name": "web", "labels": {"app": "web"}}})).await;
    let mapping = json!({"metadata": {"name": "web"}, "tag": "v1", "image": image});
    let path = STREAMS.replace("imagestreams", "imagestreammappings");
    let made = world.post(&admin(), &path, mapping).await;
    assert_eq!(
        (made.status, &made.body["status"]),
        (StatusCode::CREATED, &json!("Success")),
        "{}",
        made.body
    );
    digest
}

#[tokio::test]
async fn a_tag_is_described_again_and_never_labelled() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let path = STREAMS.replace("imagestreams", "imagestreamtags/web:1");
    let from = json!({"kind": "DockerImage", "name": "quay.io/a/b:1"});
    let tag = json!({"metadata": {"name": "web:1"}, "tag": {"name": "1", "reference": true, "from": from}});
    assert_eq!(world.put(&ann, &path, tag).await.status, StatusCode::CREATED);
    for text in ["one", "two"] {
        let described = json!({"metadata": {"annotations": {"description": text}}});
        let patched = world.patch(&ann, &path, "merge-patch", described).await;
        assert_eq!(patched.status, StatusCode::OK, "{text}: {}", patched.body);
        let stream = world.get(&ann, &format!("{STREAMS}/web")).await.body;
        assert_eq!(stream["spec"]["tags"][0]["annotations"], json!({"description": text}));
    }
    let labelled = world.patch(&ann, &path, "merge-patch", json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(
        labelled.says(),
        (
            422,
            "ImageStreamTag.image.openshift.io \"web:1\" is invalid: metadata: Invalid value: \"\": may not update \
             fields other than metadata.annotations"
        )
    );
}

#[tokio::test]
async fn what_is_missing_is_of_the_kind_that_was_asked_for() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    mapped(&world).await;
    for (resource, name, missing) in [
        ("imagestreams", "none", "none"),
        ("imagestreams", "none/layers", "none"),
        ("imagestreamtags", "none:v1", "none"),
        ("imagestreamtags", "web:v2", "web:v2"),
        ("imagetags", "none:v1", "none"),
        ("imagetags", "web:v2", "web:v2"),
        ("imagestreamimages", "none@sha256:0", "none"),
        ("imagestreamimages", "web@sha256:0", "web@sha256:0"),
    ] {
        let path = format!("{}/{name}", STREAMS.replace("imagestreams", resource));
        let reply = world.get(&ann, &path).await;
        assert_eq!(reply.says().0, 404, "{path}: {}", reply.body);
        let details = &reply.body["details"];
        let expected = (&json!("image.openshift.io"), &json!(resource), &json!(missing));
        assert_eq!((&details["group"], &details["kind"], &details["name"]), expected, "{path}");
    }
    for (path, message) in [
        ("imagestreamtags/web@sha256:0", "ImageStreamTags must be retrieved with <name>:<tag>"),
        ("imagetags/web", "ImageTags must be retrieved with <name>:<tag>"),
        ("imagestreamimages/web", "ImageStreamImages must be retrieved with <name>@<id>"),
    ] {
        let reply = world.get(&ann, &STREAMS.replace("imagestreams", path)).await;
        assert_eq!(reply.says(), (400, message), "{path}");
    }
    let unmade = json!({"metadata": {"name": "none", "resourceVersion": "5"}});
    let reply = world.put(&ann, &format!("{STREAMS}/none"), unmade).await;
    assert_eq!(reply.says(), (404, "imagestreams.image.openshift.io \"none\" not found"));
}

#[tokio::test]
async fn streams_are_selected_by_what_they_are_of() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    mapped(&world).await;
    let all = json!({"metadata": {"name": "all"}, "spec": {"dockerImageRepository": "quay.io/a/b"}});
    world.post(&ann, STREAMS, all).await;
    for (selector, expected) in [
        ("metadata.name=web", vec!["web"]),
        ("metadata.namespace=shop", vec!["all", "web"]),
        ("spec.dockerImageRepository=quay.io/a/b", vec!["all"]),
        ("status.dockerImageRepository=172.30.0.1:5000/shop/web", vec!["web"]),
        ("metadata.name!=web", vec!["all"]),
    ] {
        let selector = selector.replace('!', "%21").replace('=', "%3D");
        let list = world.get(&ann, &format!("{STREAMS}?fieldSelector={selector}")).await.body;
        let names: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str())
            .collect();
        assert_eq!(names, expected, "{selector}: {list}");
    }
    let other = world.get(&ann, &format!("{STREAMS}?fieldSelector=spec.tags%3Da")).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST, "{}", other.body);
    for (resource, selector, count) in [
        ("imagestreamtags", "labelSelector=app%3Dweb", 1),
        ("imagestreamtags", "labelSelector=app%3Dother", 0),
        ("imagestreamtags", "fieldSelector=metadata.name%3Dweb:v1", 1),
        ("imagetags", "labelSelector=app%3Dweb", 1),
    ] {
        let path = format!("{}?{selector}", STREAMS.replace("imagestreams", resource));
        let list = world.get(&ann, &path).await.body;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{path}: {list}");
    }
    let watched = STREAMS.replace("imagestreams", "imagestreamtags?watch=true");
    assert_eq!(world.get(&ann, &watched).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_stream_tells_what_it_consists_of() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let digest = mapped(&world).await;
    let layer = format!("sha256:{}", "b".repeat(64));
    let config = format!("sha256:{}", "c".repeat(64));
    let layers = world.get(&ann, &format!("{STREAMS}/web/layers")).await.body;
    assert_eq!((&layers["kind"], &layers["metadata"]["name"]), (&json!("ImageStreamLayers"), &json!("web")));
    assert_eq!(layers["images"], json!({digest.as_str(): {"layers": [layer], "config": config}}));
    let blobs = json!({
        digest.as_str(): {"size": null, "mediaType": "x/manifest"},
        layer.as_str(): {"size": 7, "mediaType": "x/layer"},
        config.as_str(): {"size": null, "mediaType": ""},
    });
    assert_eq!(layers["blobs"], blobs);
    assert_eq!(
        world.delete(&admin(), &format!("/apis/image.openshift.io/v1/images/{digest}")).await.status,
        200
    );
    let layers = world.get(&ann, &format!("{STREAMS}/web/layers")).await.body;
    let missing = json!({"imageMissing": true, "layers": null, "config": null});
    assert_eq!((&layers["images"], &layers["blobs"]), (&json!({digest.as_str(): missing}), &json!({})));
}

#[tokio::test]
async fn only_secrets_for_registries_are_handed_out_and_none_that_is_kept_back() {
    let world = World::new().await;
    let ann = user("ann");
    world.project(&ann, "shop").await;
    let auths = json!({"auths": {"quay.io": {"auth": "YTpi"}}}).to_string();
    let kept_back = json!({"openshift.io/image.excludeSecret": "true"});
    for (name, kind, key, annotations) in [
        ("new", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", json!({})),
        (
            "old",
            "kubernetes.io/dockercfg",
            ".dockercfg",
            json!({"openshift.io/image.excludeSecret": "false"}),
        ),
        ("hidden", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", kept_back),
        ("other", "Opaque", "x", json!({})),
    ] {
        let secret = json!({
            "metadata": {"name": name, "annotations": annotations}, "type": kind, "stringData": {key: auths},
        });
        let made = world.post(&ann, "/api/v1/namespaces/shop/secrets", secret).await;
        assert_eq!(made.status, StatusCode::CREATED, "{name}: {}", made.body);
    }
    for prefix in [STREAMS, "/oapi/v1/namespaces/shop/imagestreams"] {
        let list = world.get(&ann, &format!("{prefix}/any/secrets")).await.body;
        let names: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
        assert_eq!(names, ["new", "old"], "{prefix}: {list}");
    }
    world.project(&user("bob"), "other").await;
    let foreign = world.get(&user("bob"), &format!("{STREAMS}/any/secrets")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{}", foreign.body);
}

#[tokio::test]
async fn an_image_is_signed_once_by_each_signature() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let digest = mapped(&world).await;
    let path = "/apis/image.openshift.io/v1/imagesignatures";
    let sign = async |name: &str, content: &str| {
        let signature = json!({
            "metadata": {"name": name}, "type": "atomic", "content": content,
            "imageIdentity": "quay.io/a/b:1", "signedClaims": {"a": "b"},
            "conditions": [{"type": "Trusted", "status": "True"}],
        });
        world.post(&admin(), path, signature).await
    };
    let (first, second) = (format!("{digest}@one"), format!("{digest}@two"));
    let made = sign(&first, "YWJj").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    for computed in ["imageIdentity", "signedClaims", "conditions"] {
        assert_eq!(made.body[computed], Value::Null, "who signs cannot say that it is good: {computed}");
    }
    for (name, content, code) in [
        (&first, "eHl6", 409),
        (&second, "YWJj", 409),
        (&"sha256:none@one".to_owned(), "YWJj", 404),
        (&"none".to_owned(), "YWJj", 422),
        (&second, "", 422),
        (&second, "eHl6", 201),
    ] {
        let reply = sign(name, content).await;
        assert_eq!(reply.status.as_u16(), code, "{name}: {}", reply.body);
    }
    let image = format!("/apis/image.openshift.io/v1/images/{digest}");
    let signatures = world.get(&admin(), &image).await.body["signatures"].clone();
    let names: Vec<_> = signatures.as_array().unwrap().iter().map(|one| &one["metadata"]["name"]).collect();
    assert_eq!(names, [&json!(first), &json!(second)]);
    assert_eq!(world.delete(&admin(), &format!("{path}/{first}")).await.status, StatusCode::OK);
    assert_eq!(world.delete(&admin(), &format!("{path}/{first}")).await.status, StatusCode::NOT_FOUND);
    // A mapping brings none along.
    let other = format!("sha256:{}", "d".repeat(64));
    let signature =
        json!({"metadata": {"name": format!("{other}@one")}, "type": "atomic", "content": "YWJj"});
    let object = json!({
        "metadata": {"name": other}, "dockerImageReference": "quay.io/a/b:1", "signatures": [signature],
    });
    let mapping = json!({"metadata": {"name": "web"}, "tag": "v2", "image": object});
    world.post(&admin(), &STREAMS.replace("imagestreams", "imagestreammappings"), mapping).await;
    let image = world.get(&admin(), &format!("/apis/image.openshift.io/v1/images/{other}")).await.body;
    assert_eq!((&image["metadata"]["name"], &image["signatures"]), (&json!(other), &Value::Null), "{image}");
}

#[tokio::test]
async fn an_image_keeps_what_was_read_out_of_it() {
    let world = World::new().await;
    world.project(&user("ann"), "shop").await;
    let digest = mapped(&world).await;
    let path = format!("/apis/image.openshift.io/v1/images/{digest}");
    let before = world.get(&admin(), &path).await.body;
    let mut changed = before.clone();
    changed["dockerImageMetadata"]["Id"] = json!("another");
    changed["dockerImageLayers"] = json!([]);
    changed["dockerImageManifest"] = json!("{}");
    changed["metadata"]["annotations"] = json!({"note": "seen"});
    let after = world.put(&admin(), &path, changed).await;
    assert_eq!(after.status, StatusCode::OK, "{}", after.body);
    for field in ["dockerImageMetadata", "dockerImageLayers", "dockerImageManifest"] {
        assert_eq!(after.body[field], before[field], "{field}");
    }
    assert_eq!(after.body["metadata"]["annotations"]["note"], "seen");
}
