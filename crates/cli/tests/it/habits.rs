//! What fingers and scripts are used to: empty flags, odd names of files, forms of lists, programs beside ours.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
};

use serde_json::{Value, json};

use crate::api::{Api, Outcome, Shared, now, status};

const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}}";

fn map(name: &str) -> String {
    MAP.replace("NAME", name)
}

#[tokio::test]
async fn flags_that_are_given_as_nothing_are_not_given() {
    let api = Api::default();
    api.put(
        "/api/v1/namespaces/default/configmaps/a",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
    );
    for flags in ["--namespace=", "--context= --as=", "--kubeconfig= --user= --cluster= --token="] {
        assert_eq!(
            api.run_in(std::path::Path::new("/"), &format!("get cm a -o name {flags}"), "").await.ok(),
            "configmap/a\n"
        );
    }
}

#[tokio::test]
async fn file_names_need_not_be_text() {
    let (api, home) = (Api::default(), tempfile::tempdir().unwrap());
    let folder = home.path().join("all");
    fs::create_dir(&folder).unwrap();
    let name = folder.join(OsString::from_vec(b"odd\xff.yaml".to_vec()));
    fs::write(&name, map("odd")).unwrap();
    fs::write(folder.join("plain.yaml"), map("plain")).unwrap();
    let both = "configmap \"odd\" created\nconfigmap \"plain\" created\n";
    assert_eq!(api.run_in(home.path(), "create -f all -n pushed", "").await.ok(), both);
    let (stdout, stderr) = (Shared::default(), Shared::default());
    let environment = pierhead_cli::Environment {
        vars: std::collections::BTreeMap::new(),
        home: None,
        cwd: home.path().to_owned(),
        stdin: Box::new(std::io::empty()),
        stdin_is_terminal: false,
        stdout: Box::new(stdout.clone()),
        stdout_is_terminal: false,
        stderr: Box::new(stderr.clone()),
        stderr_is_terminal: false,
        now,
        client: Some(api.client()),
    };
    let words = ["oc", "delete", "-n", "pushed", "-f"].map(OsString::from);
    let status = pierhead_cli::run("oc", words.into_iter().chain([name.into_os_string()]), environment).await;
    let outcome = Outcome { code: status.0, stdout: stdout.text(), stderr: stderr.text() };
    assert_eq!(outcome.ok(), "configmap \"odd\" deleted\n");
}

#[tokio::test]
async fn kustomizations_are_made_by_their_own_program() {
    let (api, home) = (Api::default(), tempfile::tempdir().unwrap());
    fs::create_dir(home.path().join("base")).unwrap();
    let line = "apply -k base -n pushed";
    let error = api.run_in(home.path(), line, "").await.failed();
    assert!(error.starts_with("error: -k needs the program kustomize"), "{error}");
    assert!(error.contains("kubectl kustomize base | oc apply -f -"), "{error}");
    let program = home.path().join("kustomize");
    fs::write(
        &program,
        format!("#!/bin/sh\ntest \"$1\" = build && test -d \"$2\" || exit 7\necho '{}'\n", map("made")),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let search = home.path().to_str().unwrap();
    assert_eq!(
        api.run_among(&[("PATH", search)], home.path(), line, "").await.ok(),
        "configmap \"made\" created\n"
    );
    let line = "delete --kustomize=none -n pushed";
    let error = api.run_among(&[("PATH", search)], home.path(), line, "").await.failed();
    assert_eq!(error, "error: kustomize build none failed with exit status: 7\n");
    let both = api.run_among(&[("PATH", search)], home.path(), "create -k base -f x.yaml", "").await;
    assert_eq!(both.code, 2, "{}", both.stderr);
}

#[tokio::test]
async fn kinds_are_listed_as_documents() {
    let api = Api::default();
    let list: Value = serde_json::from_str(&api.run("api-resources -o json").await.ok()).unwrap();
    assert_eq!((list["kind"].as_str(), list["groupVersion"].as_str()), (Some("APIResourceList"), Some("")));
    let streams =
        list["resources"].as_array().unwrap().iter().find(|kind| kind["name"] == "imagestreams").unwrap();
    assert_eq!(
        (streams["group"].as_str(), streams["kind"].as_str()),
        (Some("image.openshift.io"), Some("ImageStream"))
    );
    let map = "api-resources -o yaml --api-group=";
    assert!(api.run(map).await.ok().contains("name: configmaps\n"));
    let wrong = api.run("api-resources -o table").await;
    assert!(
        wrong.code == 2 && wrong.stderr.contains("[possible values: wide, name, json, yaml]"),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn questions_that_are_odd_are_answered_with_a_warning() {
    let api = Api::default();
    let review = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    api.answer(review, 201, json!({"status": {"allowed": true}}));
    let check = async |line: &str, warning: &str| {
        let outcome = api.run(line).await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
            (0, "yes\n", warning),
            "{line}"
        );
    };
    check("auth can-i get is", "").await;
    check("auth can-i '*' '*'", "").await;
    check("auth can-i get nope", "Warning: the server doesn't have a resource type 'nope'\n").await;
    check("auth can-i get users", "Warning: resource 'users.user.openshift.io' is not namespace scoped\n")
        .await;
    check("auth can-i get users -A", "").await;
    let quiet = api.run("auth can-i get nope -q").await;
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[tokio::test]
async fn a_kubeconfig_that_is_named_must_be_there() {
    let home = tempfile::tempdir().unwrap();
    let stderr = Shared::default();
    let environment = pierhead_cli::Environment {
        vars: std::collections::BTreeMap::new(),
        home: Some(home.path().to_owned()),
        cwd: home.path().to_owned(),
        stdin: Box::new(std::io::empty()),
        stdin_is_terminal: false,
        stdout: Box::new(std::io::sink()),
        stdout_is_terminal: false,
        stderr: Box::new(stderr.clone()),
        stderr_is_terminal: false,
        now,
        client: None,
    };
    let words = ["oc", "get", "is", "--kubeconfig=typo"].map(OsString::from);
    assert_eq!(pierhead_cli::run("oc", words, environment).await.0, 1);
    let place = home.path().join("typo");
    assert_eq!(stderr.text(), format!("error: the kubeconfig {} does not exist\n", place.display()));
}

#[tokio::test]
async fn whoever_is_refused_as_nobody_has_to_log_in() {
    let api = Api::default();
    for (user, code) in [("system:anonymous", 4), ("ed", 1)] {
        let text = format!(
            "secrets is forbidden: User \"{user}\" cannot list resource \"secrets\" in API group \"\""
        );
        let (status, refusal) = status(403, "Forbidden", &text);
        api.answer("GET /api/v1/namespaces/pushed/secrets", status, refusal);
        let outcome = api.run("get secrets").await;
        assert_eq!(
            (outcome.code, outcome.stderr),
            (code, format!("Error from server (Forbidden): {text}\n"))
        );
    }
}

#[tokio::test]
async fn objects_are_exported_for_elsewhere() {
    let api = Api::default();
    let metadata =
        |name: &str| json!({"name": name, "namespace": "pushed", "uid": "u", "resourceVersion": "1"});
    for name in ["a", "b"] {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": {"x": "z"}});
        api.put(&format!("/api/v1/namespaces/pushed/configmaps/{name}"), object);
    }
    let one = "apiVersion: v1\ndata:\n  x: z\nkind: ConfigMap\nmetadata:\n  name: a\n";
    assert_eq!(api.run("export cm/a").await.ok(), one);
    let list: Value = serde_json::from_str(&api.run("export cm -o json").await.ok()).unwrap();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().map(Vec::len)), (Some("List"), Some(2)));
    let template = api.run("export cm --as-template=both").await.ok();
    assert!(template.contains("kind: Template\n") && template.contains("  name: both\n"), "{template}");
    assert_eq!(api.run("export secrets").await.failed(), "error: no resources found - nothing to export\n");
}
