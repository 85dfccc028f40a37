//! Without a server, with several projects, with contexts.

use serde_json::json;

use crate::api::{Api, status};

const CONFIG: &str = "\
current-context: a/h:8443/ed
clusters: [{name: 'h:8443', cluster: {server: 'https://h:8443'}}]
users: [{name: 'ed/h:8443', user: {token: sesame}}]
contexts:
- {name: a/h:8443/ed, context: {cluster: 'h:8443', user: 'ed/h:8443', namespace: a}}
- {name: b/h:8443/ed, context: {cluster: 'h:8443', user: 'ed/h:8443', namespace: b}}
";

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), CONFIG).unwrap();
    home
}

fn project(name: &str, display: &str) -> serde_json::Value {
    json!({"kind": "Project", "metadata": {"name": name, "annotations": {"openshift.io/display-name": display}}})
}

#[tokio::test]
async fn projects_are_listed_and_switched() {
    let (api, home) = (Api::default(), home());
    api.put("/apis/project.openshift.io/v1/projects/a", project("a", ""));
    api.put("/apis/project.openshift.io/v1/projects/c", project("c", "The C"));
    assert_eq!(
        api.run_in(home.path(), "projects", "").await.ok(),
        "You have access to the following projects and can switch between them with 'oc project <projectname>':\n\n  \
         * a\n    c - The C\n\nUsing project \"a\" on server \"\".\n"
    );
    assert_eq!(api.run_in(home.path(), "project", "").await.ok(), "Using project \"a\" on server \"\".\n");
    assert_eq!(
        api.run_in(home.path(), "project c", "").await.ok(),
        "Now using project \"c\" on server \"\".\n"
    );
    assert_eq!(
        api.run_in(home.path(), "project c", "").await.ok(),
        "Already on project \"c\" on server \"\".\n"
    );
    let (code, refusal) = status(403, "Forbidden", "no");
    api.answer("GET /apis/project.openshift.io/v1/projects/x", code, refusal);
    assert_eq!(
        api.run_in(home.path(), "project x", "").await.failed(),
        "error: You are not a member of project \"x\".\nYour projects are:\n* a\n* c\n"
    );
}

#[tokio::test]
async fn contexts_are_shown_and_used() {
    let (api, home) = (Api::default(), home());
    assert_eq!(
        api.run_in(home.path(), "config get-contexts", "").await.ok(),
        "CURRENT   NAME          CLUSTER   AUTHINFO    NAMESPACE\n*         a/h:8443/ed   h:8443    ed/h:8443   a\n          b/h:8443/ed   h:8443    ed/h:8443   b\n"
    );
    api.run_in(home.path(), "config use-context b/h:8443/ed", "").await.ok();
    assert_eq!(api.run_in(home.path(), "config current-context", "").await.ok(), "b/h:8443/ed\n");
    let shown = api.run_in(home.path(), "config view", "").await.ok();
    assert!(shown.contains("token: REDACTED") && !shown.contains("sesame"), "{shown}");
    let error = api.run_in(home.path(), "config use-context nope", "").await.failed();
    assert_eq!(error, "error: no context exists with the name: \"nope\"\n");
}

#[tokio::test]
async fn questions_about_rights() {
    let (api, home) = (Api::default(), home());
    let review = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    api.answer(review, 201, json!({"status": {"allowed": true}}));
    assert_eq!(api.run_in(home.path(), "auth can-i update imagestreams/layers", "").await.ok(), "yes\n");
    assert_eq!(api.last_body()["spec"]["resourceAttributes"]["name"], "layers");
    api.run_in(home.path(), "policy can-i update imagestreams/layers", "").await.ok();
    assert_eq!(api.last_body()["spec"]["resourceAttributes"]["subresource"], "layers");
    assert_eq!(api.last_body()["spec"]["resourceAttributes"]["name"], "");
    api.answer(review, 201, json!({"status": {"allowed": false}}));
    let outcome = api.run_in(home.path(), "auth can-i delete is", "").await;
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (1, "no\n", ""));
    let review = "POST /apis/authorization.openshift.io/v1/namespaces/a/localresourceaccessreviews";
    api.answer(review, 201, json!({"users": ["ed", "anna"], "groups": []}));
    let text = api.run_in(home.path(), "policy who-can get is/layers", "").await.ok();
    assert!(text.contains("Resource:   imagestreams.image.openshift.io/layers\n"), "{text}");
    assert!(text.contains("Users:   anna\n         ed\nGroups:  none\n"), "{text}");
}

#[tokio::test]
async fn the_registry_is_found_and_logged_in_to() {
    let (api, home) = (Api::default(), home());
    let error = api.run_in(home.path(), "registry info", "").await.failed();
    assert!(error.starts_with("error: no image streams could be located"), "{error}");
    api.put(
        "/apis/image.openshift.io/v1/namespaces/openshift/imagestreams/ruby",
        json!({"metadata": {"name": "ruby"}, "status": {"dockerImageRepository": "172.30.1.1:5000/openshift/ruby"}}),
    );
    assert_eq!(api.run_in(home.path(), "registry info -q", "").await.ok(), "172.30.1.1:5000\n");
    let told = api.run_in(home.path(), "registry info", "").await;
    assert_eq!((told.code, told.stdout.as_str()), (0, "172.30.1.1:5000\n"));
    assert!(told.stderr.starts_with("info: The registry has no public name"), "{told:?}");
    let shown =
        api.run_in(home.path(), "registry login --skip-check --registry=r.example.com --to=-", "").await;
    assert!(shown.ok().contains("\"r.example.com\""));
    let error = api.run_in(home.path(), "registry info --public", "").await.failed();
    assert_eq!(error, "error: registry does not have public hostname\n");
    let outcome = api.run_in(home.path(), "registry login --skip-check --to=auth.json", "").await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stderr, "info: Using internal registry hostname 172.30.1.1:5000\n");
    let saved = std::fs::read_to_string(home.path().join("auth.json")).unwrap();
    assert!(saved.contains("dXNlcjpzZXNhbWU="), "{saved}");
    for (preference, file) in [("docker", ".docker/config.json"), ("podman", "run/containers/auth.json")] {
        let run = home.path().join("run");
        let vars = [("XDG_RUNTIME_DIR", run.to_str().unwrap()), ("REGISTRY_AUTH_PREFERENCE", preference)];
        let outcome = api.run_among(&vars, home.path(), "registry login --skip-check", "").await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let saved = std::fs::read_to_string(home.path().join(file)).unwrap();
        assert!(saved.contains("dXNlcjpzZXNhbWU="), "{saved}");
    }
}

#[tokio::test]
async fn a_login_to_a_registry_is_saved_where_it_is_looked_for() {
    let (api, home) = (Api::default(), home());
    let helper = |name: &str| {
        let path = home.path().join(format!("docker-credential-{name}"));
        let kept = home.path().join(format!("{name}.kept"));
        std::fs::write(&path, format!("#!/bin/sh\ncat > {}\n", kept.display())).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    helper("own");
    helper("all");
    let search = format!("{}:/usr/bin:/bin", home.path().display());
    let file = home.path().join("auth.json");
    let login = async |content: serde_json::Value, host: &str| {
        std::fs::write(&file, content.to_string()).unwrap();
        let line = format!("registry login --skip-check --registry={host} --to=auth.json");
        let outcome = api.run_among(&[("PATH", search.as_str())], home.path(), &line, "").await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let kept = ["own", "all"].map(|name| {
            let kept = home.path().join(format!("{name}.kept"));
            let content = std::fs::read_to_string(&kept).unwrap_or_default();
            std::fs::remove_file(kept).ok();
            content
        });
        let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        (kept, saved)
    };
    let keychain =
        |host: &str| json!({"ServerURL": host, "Username": "user", "Secret": "sesame"}).to_string();
    let entry = json!({"auth": "dXNlcjpzZXNhbWU="});
    let both = json!({"credsStore": "all", "credHelpers": {"r.example.com": "own"}});
    let (kept, saved) = login(both.clone(), "r.example.com").await;
    assert_eq!(kept, [keychain("r.example.com"), String::new()]);
    assert_eq!(saved["credHelpers"], both["credHelpers"], "the user's setting stays");
    assert_eq!(saved["auths"], json!({"r.example.com": {}}));
    let (kept, _) = login(both, "other.example.com").await;
    assert_eq!(kept, [String::new(), keychain("other.example.com")]);
    let (kept, saved) = login(json!({"credsStore": "all"}), "docker.io").await;
    assert_eq!(kept, [String::new(), keychain("https://index.docker.io/v1/")]);
    assert_eq!(saved["auths"], json!({"https://index.docker.io/v1/": {}}));
    // A file of the old form holds nothing but entries, and they are still seen afterwards.
    let (_, saved) = login(json!({"a.example.com": {"auth": "YTph"}}), "r.example.com").await;
    assert_eq!(saved, json!({"a.example.com": {"auth": "YTph"}, "r.example.com": entry.clone()}));
    let (_, saved) = login(json!({}), "r.example.com").await;
    assert_eq!(saved, json!({"auths": {"r.example.com": entry}}));
}

#[tokio::test]
async fn logout_deletes_the_token_under_its_hash() {
    let (api, home) = (Api::default(), home());
    let text = CONFIG.replace("sesame", "sha256~abc");
    std::fs::write(home.path().join(".kube/config"), text).unwrap();
    let review = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    api.answer(review, 201, json!({"status": {"userInfo": {"username": "ed"}}}));
    assert_eq!(api.run_in(home.path(), "whoami", "").await.ok(), "ed\n");
    assert_eq!(api.run_in(home.path(), "logout", "").await.ok(), "Logged \"ed\" out on \"\"\n");
    let hash = "sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
    let deleted = format!("DELETE /apis/oauth.openshift.io/v1/oauthaccesstokens/{hash}");
    assert!(api.changes().contains(&deleted), "{:?}", api.changes());
    assert!(!std::fs::read_to_string(home.path().join(".kube/config")).unwrap().contains("sha256~"));
    let error = api.run_in(home.path(), "whoami -t", "").await.failed();
    assert_eq!(error, "error: no token is currently in use for this session\n");
}

#[tokio::test]
async fn logout_says_what_became_of_the_token() {
    let (api, home) = (Api::default(), home());
    let review = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    api.answer(review, 201, json!({"status": {"userInfo": {"username": "ed"}}}));
    let deletion = "DELETE /apis/oauth.openshift.io/v1/oauthaccesstokens/sesame";
    let (code, failure) = status(500, "InternalError", "disk is full");
    api.answer(deletion, code, failure);
    let error = api.run_in(home.path(), "logout", "").await.failed();
    assert_eq!(error, "Error from server (InternalError): disk is full\n");
    assert_eq!(api.run_in(home.path(), "whoami -t", "").await.ok(), "sesame\n", "it is still good");

    let (code, refusal) = status(401, "Unauthorized", "Unauthorized");
    api.answer(review, code, refusal.clone());
    api.answer(deletion, code, refusal);
    assert_eq!(api.run_in(home.path(), "logout", "").await.ok(), "Logged \"ed\" out on \"\"\n");
    assert!(!std::fs::read_to_string(home.path().join(".kube/config")).unwrap().contains("sesame"));
}
