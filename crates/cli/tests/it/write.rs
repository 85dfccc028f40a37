//! Verbs that change objects.

use serde_json::json;

use crate::api::{Api, status};

const STREAM: &str = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/app";

fn api() -> Api {
    let api = Api::default();
    let digest = "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";
    api.put(
        STREAM,
        json!({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": "app", "namespace": "pushed", "resourceVersion": "1", "uid": "u", "labels": {"a": "1"}},
            "spec": {"lookupPolicy": {"local": false}},
            "status": {"tags": [{"tag": "v1", "items": [{"image": digest, "dockerImageReference": "h/pushed/app@x"}]}]},
        }),
    );
    api
}

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let api = Api::default();
    let manifest = "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: new}, spec: {lookupPolicy: {local: true}}}";
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "imagestream \"new\" created\n");
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "imagestream \"new\" unchanged\n");
    let changed = manifest
        .replace("{local: true}", "{local: false}")
        .replace("name: new", "name: new, labels: {x: '1'}");
    assert_eq!(api.run_with("apply -f -", &changed).await.ok(), "imagestream \"new\" configured\n");
    let path = "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/new";
    assert_eq!(api.object(path)["spec"]["lookupPolicy"]["local"], false);
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "imagestream \"new\" configured\n");
    assert!(api.object(path)["metadata"]["labels"].is_null(), "{}", api.object(path));
}

#[tokio::test]
async fn a_preview_of_pruning_spares_what_is_applied() {
    let api = Api::default();
    let manifest = |name: &str, value: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{app: web}}}}, data: {{a: {value}}}}}"
        )
    };
    for name in ["kept", "gone"] {
        api.run_with("apply -f -", &manifest(name, "x")).await.ok();
    }
    for (name, uid) in [("kept", "u1"), ("gone", "u2")] {
        let path = format!("/api/v1/namespaces/pushed/configmaps/{name}");
        let mut object = api.object(&path);
        object["metadata"]["uid"] = json!(uid);
        api.put(&path, object);
    }
    let line = "apply -f - --prune -l app=web --prune-allowlist=core/v1/ConfigMap --dry-run=client";
    assert_eq!(
        api.run_with(line, &manifest("kept", "y")).await.ok(),
        "configmap \"kept\" configured (dry run)\nconfigmap \"gone\" pruned (dry run)\n"
    );
}

#[tokio::test]
async fn patch_label_and_annotate_say_what_changed() {
    let api = api();
    assert_eq!(api.run(r#"patch is/app -p '{"spec":{"x":1}}'"#).await.ok(), "imagestream \"app\" patched\n");
    assert_eq!(api.run("label is app b=2 a-").await.ok(), "imagestream \"app\" labeled\n");
    assert_eq!(api.object(STREAM)["metadata"]["labels"], json!({"b": "2"}));
    let error = api.run("label is/app b=3").await.failed();
    assert_eq!(error, "error: 'b' already has a value (2), and --overwrite is false\n");
    assert_eq!(api.run("label is/app b=3 --overwrite").await.ok(), "imagestream \"app\" labeled\n");
    let error = api.run("label is/app b=4 b- --overwrite").await.failed();
    assert_eq!(error, "error: can not both modify and remove one of the labels in the same command\n");
    assert_eq!(api.run("label is/app b-").await.ok(), "imagestream \"app\" unlabeled\n");
    assert_eq!(api.run("annotate is app 'x.io/y=a b'").await.ok(), "imagestream \"app\" annotated\n");
    assert_eq!(api.object(STREAM)["metadata"]["annotations"], json!({"x.io/y": "a b"}));
    assert_eq!(
        api.run("label is/app -l a=9 b=3").await.failed(),
        "error: name cannot be provided when a selector is specified\n"
    );
    assert_eq!(
        api.run("label is b=3").await.failed(),
        "error: resource(s) were provided, but no name, label selector, or --all flag specified\n"
    );
    assert_eq!(api.run("label is --all c=3").await.ok(), "imagestream \"app\" labeled\n");
}

#[tokio::test]
async fn delete_waits_and_names_what_is_gone() {
    let api = api();
    assert_eq!(api.run("delete is/app").await.ok(), "imagestream \"app\" deleted\n");
    assert_eq!(
        api.run("delete is app").await.failed(),
        "Error from server (NotFound): imagestreams \"app\" not found\n"
    );
    let api = self::api();
    assert_eq!(
        api.run("delete is/app --compat=4").await.ok(),
        "imagestream.image.openshift.io \"app\" deleted\n"
    );
    assert_eq!(api.run("delete is app --ignore-not-found").await.ok(), "");
    let nameless = "{apiVersion: v1, kind: Secret, metadata: {name: yes}}";
    for verb in ["delete", "replace --force", "apply"] {
        let error = api.run_with(&format!("{verb} -f -"), nameless).await.failed();
        assert_eq!(error, "error: resource name may not be empty\n", "{verb}");
    }
    assert_eq!(
        api.run("delete is").await.failed(),
        "error: resource(s) were provided, but no name was specified\n"
    );
}

#[tokio::test]
async fn dry_runs_change_nothing() {
    let stream =
        "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: app}, spec: {x: 1}}";
    let rows = [
        ("delete is/app --dry-run", "imagestream \"app\" deleted (dry run)\n"),
        ("delete is/app --dry-run=true", "imagestream \"app\" deleted (dry run)\n"),
        ("create -f - --dry-run=client", "imagestream \"app\" created (dry run)\n"),
        ("replace -f - --dry-run=client", "imagestream \"app\" replaced (dry run)\n"),
        ("replace -f - --force --dry-run=client", "imagestream \"app\" replaced (dry run)\n"),
        ("apply -f - --dry-run=client", "imagestream \"app\" configured (dry run)\n"),
        ("set image-lookup app --dry-run", "imagestream \"app\" updated (dry run)\n"),
    ];
    for (line, said) in rows {
        let api = api();
        let outcome = api.run_with(line, stream).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, said), "{line}: {}", outcome.stderr);
        let is_warned = outcome.stderr.starts_with("Warning: resource imagestreams/app is missing");
        assert_eq!(is_warned, line.starts_with("apply"), "{line}: {}", outcome.stderr);
        assert_eq!(api.changes(), [""; 0], "{line}");
    }
    let rows = [
        ("apply -f - --server-side --dry-run", "--dry-run=client doesn't work with --server-side"),
        ("replace -f - --force --dry-run=server", "--dry-run=server doesn't work with --force"),
        ("apply -f - --force --dry-run=server", "--dry-run=server cannot be used with --force"),
        ("delete --raw /api/v1/namespaces/pushed --dry-run", "--raw cannot be used with"),
        ("delete --raw /api/v1/namespaces/pushed -i", "--raw cannot be used with"),
        ("replace --raw /api/v1/namespaces/pushed -f - --dry-run=server", "--raw cannot be used with"),
        ("create --raw /api/v1/namespaces -f - --dry-run=client", "--raw cannot be used with"),
    ];
    for (line, said) in rows {
        let api = api();
        let error = api.run_with(line, stream).await.failed();
        assert!(error.contains(said), "{line}: {error}");
        assert_eq!(api.changes(), [""; 0], "{line}");
    }
    for verb in ["delete is/app", "create -f -", "replace -f -", "apply -f -", "set image-lookup app"] {
        for unknown in ["sever", "Client", ""] {
            let (api, line) = (api(), format!("{verb} --dry-run={unknown}"));
            let error = api.run_with(&line, stream).await.ended_with(2);
            assert!(error.contains("--dry-run"), "{line}: {error}");
            assert_eq!(api.changes(), [""; 0], "{line}");
        }
    }
}

#[tokio::test]
async fn the_server_is_told_of_its_dry_runs() {
    let stream =
        "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: app}, spec: {x: 1}}";
    for line in
        ["create -f -", "replace -f -", "apply -f -", "apply -f - --server-side", "set image-lookup app"]
    {
        let api = api();
        if line.starts_with("create") {
            api.run("delete is/app").await.ok();
        }
        let said = api.run_with(&format!("{line} --dry-run=server"), stream).await.stdout;
        assert!(said.contains(" (server dry run)\n"), "{line}: {said}");
        let changes = api.changes();
        assert!(changes.last().is_some_and(|change| change.contains("dryRun=All")), "{line}: {changes:?}");
    }
    let api = api();
    assert_eq!(
        api.run("delete is/app --dry-run=server").await.ok(),
        "imagestream \"app\" deleted (server dry run)\n"
    );
    assert_eq!(api.last_body()["dryRun"], json!(["All"]));
}

#[tokio::test]
async fn the_old_object_is_gone_before_the_new_one_is_made() {
    let api = api();
    api.lingers(STREAM, 3);
    let stream =
        "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: app}, spec: {x: 1}}";
    let said = api.run_with("replace --force -f -", stream).await.ok();
    assert_eq!(said, "imagestream \"app\" replaced\n");
    assert_eq!(api.object(STREAM)["spec"], json!({"x": 1}));
}

#[tokio::test]
async fn how_long_a_deletion_may_take() {
    for (flag, grace) in
        [("", json!(null)), ("--now", json!(1)), ("--force", json!(0)), ("--grace-period=7", json!(7))]
    {
        let api = api();
        api.run(&format!("delete is/app {flag}")).await.ok();
        assert_eq!(api.last_body()["gracePeriodSeconds"], grace, "{flag}");
    }
    let refused = "error: name cannot be provided when a selector is specified\n";
    for line in
        ["delete is app -l a=1", "delete is/app --all", "delete is app --field-selector=metadata.name=b"]
    {
        let api = api();
        assert_eq!(api.run(line).await.failed(), refused, "{line}");
        assert_eq!(api.changes(), [""; 0], "{line}");
    }
}

#[tokio::test]
async fn documents_can_be_selected_by_their_labels() {
    let stream =
        "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: app, labels: {a: '2'}}}";
    let deleted = format!("DELETE {STREAM}");
    for (flags, code, expected) in [
        ("-l a=2", 0, vec![deleted.as_str()]),
        ("--all", 0, vec![deleted.as_str()]),
        ("-l a=1", 0, vec![]),
        ("-l a=?", 1, vec![]),
        ("--field-selector=metadata.name=app", 1, vec![]),
    ] {
        let api = api();
        let outcome = api.run_with(&format!("delete -f - {flags}"), stream).await;
        assert_eq!(
            (outcome.code, api.changes()),
            (code, expected.iter().map(|it| (*it).to_owned()).collect()),
            "{flags}"
        );
    }
}

#[tokio::test]
async fn an_edit_is_saved_or_kept() {
    let home = tempfile::tempdir().unwrap();
    let edit = async |api: &Api, script: &str| {
        api.run_among(&[("OC_EDITOR", script)], home.path(), "edit is/app -n pushed", "").await
    };
    let api = api();
    let script = "sed -i 's/local: false/local: true/'";
    assert_eq!(edit(&api, script).await.ok(), "imagestream \"app\" edited\n");
    assert_eq!(api.object(STREAM)["spec"]["lookupPolicy"]["local"], true);
    assert_eq!(edit(&api, "true").await.stderr, "Edit cancelled, no changes made.\n");

    // A document says itself where its object is.
    let api = self::api();
    let document =
        "{apiVersion: image.openshift.io/v1, kind: ImageStream, metadata: {name: app, namespace: pushed}}";
    let line = "edit -f - -n production";
    let edited = api.run_among(&[("OC_EDITOR", script)], home.path(), line, document).await;
    assert_eq!(edited.ok(), "imagestream \"app\" edited\n");
    assert_eq!(api.object(STREAM)["spec"]["lookupPolicy"]["local"], true);

    for (code, reason) in [(409, "Conflict"), (403, "Forbidden"), (500, "InternalError")] {
        let api = self::api();
        let (code, refusal) = status(code, reason, "no");
        api.answer(&format!("PATCH {STREAM}"), code, refusal);
        let error = edit(&api, script).await.failed();
        let (_, rest) = error.split_once("A copy of your changes has been stored to \"").unwrap();
        let kept = std::path::Path::new(rest.split('"').next().unwrap());
        assert!(std::fs::read_to_string(kept).unwrap().contains("local: true"), "{error}");
        std::fs::remove_file(kept).unwrap();
        assert!(error.contains(&format!("({reason}): no\n")), "{error}");
    }
}

#[tokio::test]
async fn tags_are_set_by_digest() {
    let api = api();
    let digest = "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";
    let said = api.run("tag app:v1 production/app:prod").await.ok();
    assert_eq!(said, format!("Tag production/app:prod set to pushed/app@{digest}.\n"));
    let path = "/apis/image.openshift.io/v1/namespaces/production/imagestreamtags/app:prod";
    let from = &api.object(path)["tag"]["from"];
    assert_eq!(
        *from,
        json!({"kind": "ImageStreamImage", "name": format!("app@{digest}"), "namespace": "pushed"})
    );
    assert_eq!(
        api.run("tag app:v1 app:stable --alias").await.ok(),
        "Tag app:stable set up to track app:v1.\n"
    );
    assert_eq!(
        api.run("tag quay.io/org/app:1 app:1 --scheduled").await.ok(),
        "Tag app:1 set to import quay.io/org/app:1 periodically.\n"
    );
    assert_eq!(api.run("tag -d app:1").await.ok(), "Deleted tag pushed/app:1.\n");
    let error = api.run("tag app:none app:x").await.failed();
    assert_eq!(
        error,
        "error: \"app:none\" is not currently pointing to an image, cannot use it as the source of a tag\n"
    );
    for wrong in ["--reference-policy=locla", "--import-mode=all"] {
        let before = api.changes().len();
        api.run(&format!("tag quay.io/org/app:1 app:1 {wrong}")).await.failed();
        assert_eq!(api.changes().len(), before, "{wrong}");
    }
}

#[tokio::test]
async fn creation_by_flags() {
    let api = Api::default();
    let said = api.run("create secret generic s --from-literal=a=b --from-literal=c=d").await.ok();
    assert_eq!(said, "secret \"s\" created\n");
    assert_eq!(api.last_body()["data"], json!({"a": "Yg==", "c": "ZA=="}));
    assert_eq!(api.last_body()["type"], "Opaque");
    let said = api.run("create is app --dry-run=client -o yaml").await.ok();
    assert!(said.starts_with("apiVersion: image.openshift.io/v1\nkind: ImageStream\n"), "{said}");
    api.put(
        "/api/v1/namespaces/pushed/services/web",
        json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
    );
    assert_eq!(
        api.run("create route edge --service=web --hostname=x.example.com").await.ok(),
        "route \"web\" created\n"
    );
    assert_eq!(
        api.last_body()["spec"],
        json!({"to": {"kind": "Service", "name": "web"}, "port": {"targetPort": 8080}, "tls": {"termination": "edge"}, "host": "x.example.com"})
    );
    assert_eq!(
        api.run("create rolebinding b --clusterrole=view --user=ed --serviceaccount=pushed:pusher")
            .await
            .ok(),
        "rolebinding \"b\" created\n"
    );
    assert_eq!(api.last_body()["subjects"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        api.run("create secret generic s --from-literal=oops").await.failed(),
        "error: invalid literal source oops, expected key=value\n"
    );
    let other = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: other}}";
    assert!(
        api.run_with("create -f -", other).await.failed().contains("does not match the namespace \"pushed\"")
    );
}
