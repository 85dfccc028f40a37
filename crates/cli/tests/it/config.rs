//! The kubeconfig: its verbs, several files of it, and programs that give credentials.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::api::Api;

struct Home {
    api: Api,
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { api: Api::default(), folder: tempfile::tempdir().unwrap() }
    }

    async fn ok(&self, line: &str) -> String {
        self.api.run_in(self.folder.path(), line, "").await.ok()
    }

    async fn failed(&self, line: &str) -> String {
        self.api.run_in(self.folder.path(), line, "").await.failed()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

#[tokio::test]
async fn entries_are_made_changed_and_forgotten() {
    let home = Home::new();
    fs::write(home.folder.path().join("ca.crt"), "PEM").unwrap();
    let cluster = "config set-cluster prod --server=https://api.example.com:8443 --certificate-authority=ca.crt --embed-certs";
    assert_eq!(home.ok(cluster).await, "Cluster \"prod\" set.\n");
    assert_eq!(home.ok("config set-credentials ed --token=sesame").await, "User \"ed\" set.\n");
    let context = "config set-context shop --cluster=prod --user=ed --namespace=shop";
    assert_eq!(home.ok(context).await, "Context \"shop\" created.\n");
    assert_eq!(home.ok("config use-context shop").await, "Switched to context \"shop\".\n");
    assert_eq!(home.ok("config set-context --current -n other").await, "Context \"shop\" modified.\n");
    assert_eq!(home.ok("config view -o jsonpath={.contexts[0].context.namespace}").await, "other");
    home.ok("config set-context --current --namespace=").await;
    assert!(!home.ok("config view").await.contains("namespace:"));
    home.ok("config set-context --current -n other").await;
    assert_eq!(home.ok("config rename-context shop a.b").await, "Context \"shop\" renamed to \"a.b\".\n");
    assert_eq!(home.ok("config current-context").await, "a.b\n");
    home.ok("config set contexts.a.b.namespace third").await;
    assert!(home.ok("config get-contexts a.b --no-headers").await.contains("third"));
    home.ok("config set clusters.prod.insecure-skip-tls-verify true").await;
    assert!(
        home.failed("config set clusters.prod.insecure-skip-tls-verify perhaps").await.contains("neither")
    );
    home.ok("config unset clusters.prod.insecure-skip-tls-verify").await;
    let raw = home.ok("config view --raw --minify").await;
    assert!(raw.contains("certificate-authority-data: UEVN") && raw.contains("token: sesame"), "{raw}");
    assert!(!raw.contains("insecure"), "{raw}");
    home.ok("config set-credentials ed --username=ed --password=p").await;
    assert!(!home.read(".kube/config").contains("sesame"));
    assert_eq!(home.ok("config get-users").await, "NAME\ned\n");
    home.ok("config delete-user ed").await;
    assert!(home.failed("config delete-user ed").await.contains("cannot delete user ed, not in "));
    home.ok("config delete-cluster prod").await;
    assert_eq!(home.ok("config get-clusters").await, "NAME\n");
    let deleted = home.api.run_in(home.folder.path(), "config delete-context a.b", "").await;
    assert!(deleted.stderr.contains("this removed your active context"), "{deleted:?}");
    home.ok("config unset current-context").await;
    assert_eq!(home.failed("config current-context").await, "error: current-context is not set\n");
    let mode = fs::metadata(home.folder.path().join(".kube/config")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn changes_go_to_the_file_that_has_the_entry() {
    let home = Home::new();
    fs::write(home.folder.path().join("one"), "contexts: [{name: a, context: {cluster: x, user: ed}}]\n")
        .unwrap();
    fs::write(
        home.folder.path().join("two"),
        "contexts: [{name: b, context: {cluster: x, user: ed}}]\nusers: [{name: ed, user: {token: t}}]\n",
    )
    .unwrap();
    let folder = home.folder.path().display();
    let list = format!("{folder}/one:{folder}/two:{folder}/none");
    let vars = [("KUBECONFIG", list.as_str())];
    for line in
        ["config set-context b --namespace=q", "config set-context c --cluster=x", "config use-context b"]
    {
        home.api.run_among(&vars, home.folder.path(), line, "").await.ok();
    }
    let (one, two) = (home.read("one"), home.read("two"));
    assert!(
        one.contains("name: c") && one.contains("current-context: b") && !one.contains("namespace: q"),
        "{one}"
    );
    assert!(two.contains("namespace: q") && !two.contains("name: c"), "{two}");
    assert!(!home.folder.path().join("none").exists() && !home.folder.path().join(".kube").exists());
}

#[tokio::test]
async fn programs_give_credentials() {
    let home = Home::new();
    let program = home.folder.path().join("give");
    let answer = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "given"}});
    fs::write(&program, format!("#!/bin/sh\ntest \"$1 $COLOUR\" = 'a blue' || exit 3\necho '{answer}'\n"))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    home.ok("config set-cluster h --server=https://h:8443").await;
    let command = format!(
        "config set-credentials bot --exec-command={} --exec-arg=a --exec-env=COLOUR=blue",
        program.display()
    );
    home.ok(&command).await;
    home.ok("config set-context x --cluster=h --user=bot").await;
    home.ok("config use-context x").await;
    assert_eq!(home.ok("whoami -t").await, "given\n");
    home.ok("config set-credentials bot --exec-command=give --exec-env=COLOUR=red").await;
    assert!(home.failed("whoami -t").await.contains("executable give not found"));
    let path = home.folder.path().display().to_string();
    let outcome = home.api.run_among(&[("PATH", &path)], home.folder.path(), "whoami -t", "").await;
    assert!(outcome.failed().contains("executable give failed with"));
}

#[tokio::test]
async fn keys_of_secrets_and_config_maps_are_set() {
    let home = Home::new();
    let secret = "/api/v1/namespaces/default/secrets/pull";
    let object = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "pull", "namespace": "default"}, "type": "Opaque", "data": {"old": "eA=="}});
    home.api.put(secret, object);
    home.ok("set data secret/pull password=secret old-").await;
    assert_eq!(home.api.object(secret)["data"], json!({"password": "c2VjcmV0"}));
    let map = "/api/v1/namespaces/default/configmaps/web";
    home.api.put(
        map,
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "default"}}),
    );
    fs::write(home.folder.path().join("binary"), [0xff, 0xfe]).unwrap();
    home.ok("set data cm/web --from-literal=level=debug --from-file=binary").await;
    assert_eq!(home.api.object(map)["data"], json!({"level": "debug"}));
    assert_eq!(home.api.object(map)["binaryData"], json!({"binary": "//4="}));
    assert!(home.failed("set data cm/web").await.contains("at least one of"));
}

#[tokio::test]
async fn secrets_are_tried_and_linked() {
    let home = Home::new();
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    home.api.put(
        account,
        json!({"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}),
    );
    home.api.put("/api/v1/namespaces/default/secrets/a", json!({"metadata": {"name": "a"}}));
    assert_eq!(
        home.ok("secrets link sa/default secret/a --dry-run").await,
        "serviceaccount/default linked (dry run)\n"
    );
    assert!(home.api.changes().is_empty());
    for form in
        ["secrets add serviceaccount/default secrets/a --for=pull,mount", "secret link default a --for=pull"]
    {
        assert_eq!(home.ok(form).await, "");
    }
    assert_eq!(home.api.object(account)["imagePullSecrets"], json!([{"name": "a"}]));
    assert_eq!(home.api.object(account)["secrets"], json!([{"name": "a"}]));
    assert_eq!(home.ok("secrets unlink serviceaccounts/default secrets/a").await, "");
    assert_eq!(home.api.object(account)["secrets"], json!([]));
    fs::write(home.folder.path().join("f"), "x").unwrap();
    assert!(home.failed("secrets new s f --type=blah").await.contains("unknown secret type \"blah\""));
    let shown = home.ok("secrets new s f --type=blah --confirm --dry-run -o yaml").await;
    assert!(shown.contains("type: blah"), "{shown}");
    assert_eq!(home.ok("secrets new s f").await, "secret/s\n");
}
