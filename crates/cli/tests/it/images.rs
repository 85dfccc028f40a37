//! Imports and tags.

use serde_json::{Value, json};

use crate::api::{Api, status};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams";
const IMPORTS: &str = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreamimports";
const DIGEST: &str = "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";

fn imported() -> Value {
    json!({
        "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
        "metadata": {"name": "app", "namespace": "pushed", "creationTimestamp": "2016-03-30T11:59:00Z",
            "annotations": {"openshift.io/image.dockerRepositoryCheck": "2016-03-30T11:59:30Z"}},
        "spec": {"tags": [{"name": "latest", "from": {"kind": "DockerImage", "name": "hub.example.com:80/pushed/app"},
            "importPolicy": {"insecure": true}, "referencePolicy": {"type": "Local"}, "generation": 2}]},
        "status": {"dockerImageRepository": "172.30.1.1:5000/pushed/app", "tags": [{"tag": "latest", "items": [{
            "created": "2016-03-30T11:59:30Z", "dockerImageReference": format!("hub.example.com:80/pushed/app@{DIGEST}"),
            "image": DIGEST, "generation": 2}]}]},
    })
}

#[tokio::test]
async fn an_image_is_imported() {
    let api = Api::default();
    let image = json!({
        "metadata": {"name": DIGEST, "creationTimestamp": "2016-03-30T11:59:30Z"},
        "dockerImageReference": format!("hub.example.com:80/pushed/app@{DIGEST}"),
        "dockerImageLayers": [{"name": "sha256:aa", "size": 1234}],
        "dockerImageMetadata": {"Size": 1300, "Created": "2016-03-29T12:00:00Z", "Architecture": "amd64",
            "Config": {"Cmd": ["/serve"], "Env": ["PATH=/bin"], "ExposedPorts": {"8080/tcp": {}}}},
    });
    let done = json!({"status": {"import": imported(), "images": [{"tag": "latest", "status": {"status": "Success"}, "image": image}]}});
    api.answer(&format!("POST {IMPORTS}"), 201, done);
    assert_eq!(
        api.run("import-image app --from=hub.example.com:80/pushed/app").await.failed(),
        "error: no image stream named \"app\" exists, pass --confirm to create and import\n"
    );
    let line = "import-image app --from=hub.example.com:80/pushed/app --confirm --insecure --scheduled --reference-policy=local";
    let text = api.run(line).await.ok();
    assert!(text.starts_with("The import completed successfully.\n\nName:              app\n"), "{text}");
    assert_eq!(
        api.last_body()["spec"],
        json!({"import": true, "images": [{
            "from": {"kind": "DockerImage", "name": "hub.example.com:80/pushed/app"}, "to": {"name": "latest"},
            "importPolicy": {"importMode": "Legacy", "insecure": true, "scheduled": true}, "referencePolicy": {"type": "Local"},
        }]})
    );
    insta::assert_snapshot!("import-4", api.run(&format!("{line} --compat=4")).await.ok());
    let text = api.run(&format!("{line} --dry-run --compat=4")).await.ok();
    assert!(text.starts_with("imagestream.image.openshift.io/app imported (dry run)\n"), "{text}");
    assert_eq!(api.last_body()["spec"]["import"], false);
}

#[tokio::test]
async fn failures_are_told_by_tag() {
    let api = Api::default();
    let failed = |message: &str| json!({"tag": "a", "status": {"status": "Failure", "reason": "NotFound", "message": message}});
    let answer = json!({"status": {
        "import": imported(), "images": [failed("dockerimage not found")],
        "repository": {"status": {"status": "Success"}, "images": [failed("gone")], "additionalTags": ["x", "y"]},
    }});
    api.answer(&format!("POST {IMPORTS}"), 201, answer);
    let outcome = api.run("import-image app --from=hub/app --confirm --all --compat=4").await;
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.starts_with("imagestream.image.openshift.io/app imported with errors\n\n"));
    assert!(
        outcome.stdout.ends_with(
            "\ninfo: The remote repository contained 2 additional tags which were not imported: x, y\n"
        ),
        "{}",
        outcome.stdout
    );
    assert_eq!(
        outcome.stderr,
        "error: tag a failed: dockerimage not found\nerror: repository tag a failed: gone\nerror: imported completed with errors\n"
    );
    let outcome = api.run("import-image app --from=hub/app --confirm --all").await;
    assert!(outcome.stdout.starts_with("The import completed with errors.\n\n"));
    assert_eq!(
        api.run("import-image app:a --all").await.failed(),
        "error: cannot specify a tag \"app:a\" as well as --all\n"
    );
    assert_eq!(
        api.run("import-image app@sha256:00").await.failed(),
        "error: to import images by ID, use the 'tag' command\n"
    );
}

#[tokio::test(start_paused = true)]
async fn the_import_of_2015_waits_for_the_mark() {
    let api = Api::default();
    let mut done = imported();
    done["metadata"]["annotations"]["openshift.io/image.insecureRepository"] = json!("true");
    api.watched(STREAMS, vec![json!({"metadata": {"name": "app"}}), done.clone()]);
    let line = "import-image app --from=hub.example.com:80/pushed/app --confirm --insecure-repository=true";
    insta::assert_snapshot!("import-2015", api.run(line).await.ok());
    let sent = api.last_body();
    assert_eq!(sent["metadata"]["annotations"], json!({"openshift.io/image.insecureRepository": "true"}));
    assert_eq!(
        sent["spec"]["tags"],
        json!([{"name": "latest", "from": {"kind": "DockerImage", "name": "hub.example.com:80/pushed/app"}}])
    );

    api.put(&format!("{STREAMS}/app"), done.clone());
    let mut failed = done.clone();
    failed["metadata"]["annotations"]["openshift.io/image.dockerRepositoryCheck"] = json!("no route to host");
    api.watched(STREAMS, vec![failed]);
    let error = api.run("import-image app --insecure-repository=true").await;
    assert_eq!(error.stderr, "error: unable to import image: no route to host\n");
    let sent = api.last_body();
    assert!(
        sent["metadata"]["annotations"].get("openshift.io/image.dockerRepositoryCheck").is_none(),
        "{sent}"
    );

    api.put(&format!("{STREAMS}/app"), done);
    let error = api.run("import-image app --insecure-repository=true").await;
    assert!(error.stderr.contains("please run 'oc describe -n pushed imagestream/app'"), "{}", error.stderr);
    api.put(&format!("{STREAMS}/empty"), json!({"metadata": {"name": "empty"}, "spec": {}}));
    assert_eq!(
        api.run("import-image empty").await.failed(),
        "error: image stream has not defined anything to import\n"
    );
}

#[tokio::test]
async fn servers_without_imports_are_asked_in_the_old_way() {
    let api = Api::default();
    let (code, missing) = status(404, "NotFound", "the server could not find the requested resource");
    api.answer(&format!("POST {IMPORTS}"), code, missing);
    for times in 0..2 {
        api.watched(STREAMS, vec![imported()]);
        let text = api.run("import-image app --from=hub.example.com:80/pushed/app --confirm").await.ok();
        let asked = "Importing (ctrl+c to stop waiting) ...\nThe import completed successfully.\n\n";
        assert!(text.starts_with(asked), "{times}: {text}");
        api.put(&format!("{STREAMS}/app"), imported());
    }
}

#[tokio::test]
async fn tags_of_all_kinds() {
    let api = Api::default();
    api.put(&format!("{STREAMS}/app"), imported());
    let tags = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreamtags";
    assert_eq!(
        api.run(&format!("tag app@{DIGEST} app:back")).await.ok(),
        format!("Tag app:back set to pushed/app@{DIGEST}.\n")
    );
    assert_eq!(
        api.run("tag --source=docker app other:x --reference").await.ok(),
        "Tag other:x set to app.\n"
    );
    let tag = api.object(&format!("{tags}/other:x"))["tag"].clone();
    assert_eq!(
        (&tag["reference"], &tag["from"]),
        (&json!(true), &json!({"kind": "DockerImage", "name": "app"}))
    );
    assert_eq!(
        api.run("tag hub/app:1 q/m:1 --source=docker --scheduled --insecure --import-mode=PreserveOriginal")
            .await
            .ok(),
        "Tag q/m:1 set to hub/app:1 periodically.\n"
    );
    assert_eq!(
        api.last_body()["tag"]["importPolicy"],
        json!({"insecure": true, "scheduled": true, "importMode": "PreserveOriginal"})
    );
    assert_eq!(
        api.run("tag app:latest other:y --alias").await.failed(),
        "error: cannot set alias across different Image Streams\n"
    );
    assert_eq!(
        api.run("tag app:latest app:y --scheduled").await.failed(),
        "error: only Docker images can have importing flags set\n"
    );
    assert_eq!(
        api.run("tag app:latest app:y --scheduled --compat=4").await.failed(),
        "error: only container images can have importing flags set\n"
    );
    let (code, refusal) = status(403, "Forbidden", "imagestreamtags is forbidden");
    api.answer(&format!("PUT {tags}/app:z"), code, refusal.clone());
    api.answer(&format!("POST {tags}"), code, refusal);
    assert_eq!(api.run("tag hub.io/a/b:1 app:z").await.ok(), "Tag app:z set to hub.io/a/b:1.\n");
    let stored = api.object(&format!("{STREAMS}/app"));
    assert_eq!(stored["spec"]["tags"][1]["from"]["name"], "hub.io/a/b:1", "through the stream, as in 2015");
}

#[tokio::test]
async fn verbs_of_images_say_that_a_server_has_none() {
    // As Kubernetes answers of groups that it does not have.
    let api = Api::without("image.openshift.io");
    for (line, resource) in [
        ("tag a:1 b:2", "imagestreams.image.openshift.io"),
        ("tag -d b:2", "imagestreamtags"),
        ("tag --source=docker example.com/a:1 b:2", "imagestreamtags"),
        ("import-image b --from=example.com/b --confirm", "imagestreams"),
        ("import-image b", "imagestreams"),
        ("set image-lookup b", "imagestreams.image.openshift.io"),
        ("set image-lookup", "imagestreams.image.openshift.io"),
        ("adm top images", "images.image.openshift.io"),
        ("adm prune images", "images.image.openshift.io"),
        ("get is", "is"),
    ] {
        let expected = format!("error: the server doesn't have a resource type \"{resource}\"\n");
        assert_eq!(api.run(line).await.failed(), expected, "{line}");
    }
}
