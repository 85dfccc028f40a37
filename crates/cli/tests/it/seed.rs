//! The commands of the guide of 2016, as typed there.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::api::{Api, now, status};

fn secret(name: &str, kind: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {"name": name, "namespace": "pushed", "annotations": {
            "kubernetes.io/service-account.name": "pusher",
            "kubernetes.io/service-account.uid": "0bd3b6e0-f655-11e5-aca3-525400723ce5",
        }},
        "data": data,
    })
}

#[tokio::test]
async fn expose_service() {
    let api = Api::default();
    api.put(
        "/api/v1/namespaces/default/services/docker-registry",
        json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": {"name": "docker-registry", "namespace": "default", "labels": {"docker-registry": "default"}},
            "spec": {"ports": [{"name": "5000-tcp", "port": 5000, "protocol": "TCP", "targetPort": 5000}]},
        }),
    );
    let said = api.run("expose service docker-registry -n default").await.ok();
    assert_eq!(said, "route \"docker-registry\" exposed\n");
    let sent = api.last_body();
    assert_eq!(
        sent["spec"],
        json!({"to": {"kind": "Service", "name": "docker-registry"}, "port": {"targetPort": "5000-tcp"}})
    );
    assert_eq!(sent["metadata"]["labels"], json!({"docker-registry": "default"}));
    let said = api.run("expose svc/docker-registry --name=other --compat=4 -n default").await.ok();
    assert_eq!(said, "route.route.openshift.io/other exposed\n");
}

#[tokio::test]
async fn documents_of_2016_find_their_group() {
    let api = Api::default();
    let said = api.run("create serviceaccount pusher").await.ok();
    assert_eq!(said, "serviceaccount \"pusher\" created\n");
    let stream = "apiVersion: v1\nkind: ImageStream\nmetadata:\n  annotations:\n    description: Keeps track\n  name: myimage\n";
    let said = api.run_with("create -f -", stream).await.ok();
    assert_eq!(said, "imagestream \"myimage\" created\n");
    let stored = api.object("/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/myimage");
    assert_eq!(stored["apiVersion"], "image.openshift.io/v1");
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: other\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n";
    let said = api.run_with("create -f -", account).await.ok();
    assert_eq!(said, "serviceaccount \"other\" created\nsecret \"s\" created\n");
    let said = api.run("create sa modern --compat=4").await.ok();
    assert_eq!(said, "serviceaccount/modern created\n");
    let error = api.run("create sa pusher").await.failed();
    assert_eq!(error, "Error from server (AlreadyExists): \"pusher\" already exists\n");
}

#[tokio::test]
async fn roles_are_granted_once() {
    let api = Api::default();
    api.put("/apis/rbac.authorization.k8s.io/v1/clusterroles/edit", json!({"metadata": {"name": "edit"}}));
    api.put("/api/v1/namespaces/pushed/serviceaccounts/pusher", json!({"metadata": {"name": "pusher"}}));
    let line = "policy add-role-to-user edit system:serviceaccount:pushed:pusher";
    assert_eq!(api.run(line).await.ok(), "", "the commands of 2016 are silent");
    let binding = api.object("/apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings/edit");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "namespace": "pushed", "name": "pusher"}])
    );
    assert_eq!(binding["roleRef"]["name"], "edit");
    let before = api.changes().len();
    let said = api.run("policy add-role-to-user edit -z pusher --compat=4").await.ok();
    assert_eq!(
        said,
        "clusterrole.rbac.authorization.k8s.io/edit added: \"system:serviceaccount:pushed:pusher\"\n"
    );
    assert_eq!(api.changes().len(), before, "the binding is there already");

    let outcome = api.run("policy add-role-to-user edit ed --compat=4").await;
    assert_eq!(outcome.stdout, "clusterrole.rbac.authorization.k8s.io/edit added: \"ed\"\n");
    assert!(
        api.object("/apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings/edit-0").is_object()
    );

    assert_eq!(api.run("policy remove-role-from-user edit -z pusher").await.ok(), "");
    assert!(api.object("/apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings/edit").is_null());
    let error = api.run("policy remove-role-from-user view -z pusher").await.failed();
    assert_eq!(error, "error: unable to locate any RoleBinding for ClusterRole \"view\"\n");

    let (code, refusal) = status(403, "Forbidden", "rolebindings.rbac.authorization.k8s.io is forbidden: no");
    api.answer("POST /apis/rbac.authorization.k8s.io/v1/namespaces/pushed/rolebindings", code, refusal);
    let outcome = api.run("policy add-role-to-user system:image-builder -z pusher").await;
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.stderr,
        "Warning: role 'system:image-builder' not found\n\
         Error from server (Forbidden): rolebindings.rbac.authorization.k8s.io is forbidden: no\n\
         hint: a cluster administrator may give this role; role edit lets push and pull as well\n"
    );
}

#[tokio::test]
async fn the_account_and_its_token_look_as_in_the_guide() {
    let api = Api::default();
    let uid = "0bd3b6e0-f655-11e5-aca3-525400723ce5";
    api.put(
        "/api/v1/namespaces/pushed/serviceaccounts/pusher",
        json!({
            "kind": "ServiceAccount", "metadata": {"name": "pusher", "namespace": "pushed", "uid": uid},
            "secrets": [{"name": "pusher-token-fxg2k"}, {"name": "pusher-dockercfg-vwddo"}],
            "imagePullSecrets": [{"name": "pusher-dockercfg-vwddo"}],
        }),
    );
    let data = json!({"ca.crt": STANDARD.encode([b'x'; 1066]), "token": STANDARD.encode("eyJhbGci.x.y")});
    let secrets = "/api/v1/namespaces/pushed/secrets";
    for name in ["pusher-token-98rix", "pusher-token-fxg2k"] {
        api.put(&format!("{secrets}/{name}"), secret(name, "kubernetes.io/service-account-token", &data));
    }
    let dockercfg = secret("pusher-dockercfg-vwddo", "kubernetes.io/dockercfg", &json!({}));
    api.put(&format!("{secrets}/pusher-dockercfg-vwddo"), dockercfg);

    insta::assert_snapshot!(api.run("describe sa pusher").await.ok(), @r"
    Name:       pusher
    Namespace:  pushed
    Labels:     <none>

    Mountable secrets:  pusher-token-fxg2k
                        pusher-dockercfg-vwddo

    Tokens:  pusher-token-98rix
             pusher-token-fxg2k

    Image pull secrets:  pusher-dockercfg-vwddo
    ");
    insta::assert_snapshot!(api.run("describe secret pusher-token-98rix").await.ok(), @r"
    Name:         pusher-token-98rix
    Namespace:    pushed
    Labels:       <none>
    Annotations:  kubernetes.io/service-account.name=pusher,kubernetes.io/service-account.uid=0bd3b6e0-f655-11e5-aca3-525400723ce5

    Type:  kubernetes.io/service-account-token

    Data
    ====
    ca.crt:  1066 bytes
    token:   eyJhbGci.x.y
    ");
    assert_eq!(api.run("sa get-token pusher").await.ok(), "eyJhbGci.x.y");
    api.run("delete secret pusher-token-fxg2k").await.ok();
    assert_eq!(api.run("sa get-token pusher").await.ok(), "eyJhbGci.x.y", "another one that is its");
    api.run("delete secret pusher-token-98rix").await.ok();
    assert_eq!(
        api.run("sa get-token pusher").await.failed(),
        "error: could not find a service account token for service account \"pusher\"\n"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_token_of_a_new_account_is_waited_for() {
    let api = Api::default();
    let uid = "0bd3b6e0-f655-11e5-aca3-525400723ce5";
    let metadata = json!({"name": "pusher", "namespace": "pushed", "uid": uid, "creationTimestamp": now()});
    let account = json!({"kind": "ServiceAccount", "metadata": metadata});
    api.put("/api/v1/namespaces/pushed/serviceaccounts/pusher", account);
    assert_eq!(
        api.run("sa get-token pusher").await.failed(),
        "error: could not find a service account token for service account \"pusher\"\n",
        "and not for ever"
    );
    let made = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let data = json!({"token": STANDARD.encode("eyJhbGci.x.y")});
        let token = secret("pusher-token-98rix", "kubernetes.io/service-account-token", &data);
        api.put("/api/v1/namespaces/pushed/secrets/pusher-token-98rix", token);
    };
    let (outcome, ()) = tokio::join!(api.run("sa get-token pusher"), made);
    assert_eq!(outcome.ok(), "eyJhbGci.x.y");
}

#[tokio::test(start_paused = true)]
async fn an_account_logs_in_to_the_registry_with_what_it_has() {
    let api = Api::default();
    let uid = "0bd3b6e0-f655-11e5-aca3-525400723ce5";
    api.put(
        "/api/v1/namespaces/pushed/serviceaccounts/pusher",
        json!({
            "kind": "ServiceAccount",
            "metadata": {"name": "pusher", "namespace": "pushed", "uid": uid, "creationTimestamp": now()},
            "imagePullSecrets": [{"name": "other"}, {"name": "pusher-dockercfg-vwddo"}],
        }),
    );
    let entries = json!({"r.example.com:5000": {"username": "serviceaccount", "password": "of-dockercfg"}});
    let data = json!({".dockercfg": STANDARD.encode(entries.to_string())});
    api.put(
        "/api/v1/namespaces/pushed/secrets/pusher-dockercfg-vwddo",
        secret("pusher-dockercfg-vwddo", "kubernetes.io/dockercfg", &data),
    );
    let login = "registry login -z pusher --skip-check --registry=r.example.com --to=-";
    let auth = |password: &str| STANDARD.encode(format!("system-serviceaccount-pushed-pusher:{password}"));
    let begun = tokio::time::Instant::now();
    let shown = api.run(login).await.ok();
    assert!(shown.contains(&auth("of-dockercfg")), "{shown}");
    assert!(begun.elapsed().as_secs() < 1, "a token is not waited for");

    let data = json!({"token": STANDARD.encode("eyJhbGci.x.y")});
    let token = secret("pusher-token-98rix", "kubernetes.io/service-account-token", &data);
    api.put("/api/v1/namespaces/pushed/secrets/pusher-token-98rix", token);
    let shown = api.run(login).await.ok();
    assert!(shown.contains(&auth("eyJhbGci.x.y")), "{shown}");
}

#[tokio::test]
async fn the_stream_after_the_push_looks_as_in_the_guide() {
    let api = Api::default();
    let reference = "172.30.55.172:5000/pushed/myimage@sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";
    api.put(
        "/apis/image.openshift.io/v1/namespaces/pushed/imagestreams/myimage",
        json!({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": "myimage", "namespace": "pushed", "creationTimestamp": "2016-03-30T10:58:30Z", "annotations": {
                "description": "Keeps track of changes in the application image",
                "openshift.io/image.dockerRepositoryCheck": "2016-03-30T10:28:30Z",
            }},
            "spec": {},
            "status": {"dockerImageRepository": "172.30.55.172:5000/pushed/myimage", "tags": [{"tag": "latest", "items": [{
                "created": "2016-03-30T11:59:43Z", "dockerImageReference": reference,
                "image": "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba",
            }]}]},
        }),
    );
    insta::assert_snapshot!(api.run("describe is myimage").await.ok(), @r"
    Name:              myimage
    Created:           About an hour ago
    Labels:            <none>
    Description:       Keeps track of changes in the application image
    Annotations:       openshift.io/image.dockerRepositoryCheck=2016-03-30T10:28:30Z
    Docker Pull Spec:  172.30.55.172:5000/pushed/myimage

    Tag     Spec      Created         PullSpec                                                                                                   Image
    latest  <pushed>  17 seconds ago  172.30.55.172:5000/pushed/myimage@sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba  <same>
    ");
    insta::assert_snapshot!(api.run("describe is myimage --compat=4").await.ok(), @r"
    Name:              myimage
    Namespace:         pushed
    Created:           About an hour ago
    Labels:            <none>
    Description:       Keeps track of changes in the application image
    Annotations:       description=Keeps track of changes in the application image
                       openshift.io/image.dockerRepositoryCheck=2016-03-30T10:28:30Z
    Image Repository:  172.30.55.172:5000/pushed/myimage
    Image Lookup:      local=false
    Unique Images:     1
    Tags:              1

    latest
      no spec tag

      * 172.30.55.172:5000/pushed/myimage@sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba
          17 seconds ago
    ");
}

#[tokio::test]
async fn pull_secrets_are_made_and_given() {
    let api = Api::default();
    api.put(
        "/api/v1/namespaces/pushed/serviceaccounts/default",
        json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "resourceVersion": "3"}}),
    );
    let said = api
        .run("secrets new-dockercfg hub --docker-server=hub.example.com:80 --docker-username=ed --docker-password=t --docker-email=a@b.c")
        .await
        .ok();
    assert_eq!(said, "secret/hub\n");
    let sent = api.last_body();
    assert_eq!(sent["type"], "kubernetes.io/dockercfg");
    let config = STANDARD.decode(sent["data"][".dockercfg"].as_str().unwrap()).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let entry = json!({"username": "ed", "password": "t", "email": "a@b.c", "auth": STANDARD.encode("ed:t")});
    assert_eq!(config, json!({"hub.example.com:80": entry}));

    assert_eq!(api.run("secrets add serviceaccount/default secrets/hub --for=pull").await.ok(), "");
    let account = api.object("/api/v1/namespaces/pushed/serviceaccounts/default");
    assert_eq!(account["imagePullSecrets"], json!([{"name": "hub"}]));
    assert!(account.get("secrets").is_none());
    let before = api.changes().len();
    api.run("secrets link default hub --for=pull").await.ok();
    assert_eq!(api.changes().len(), before, "linked already");

    let error = api.run("secrets link default nope --for=pull").await.failed();
    assert_eq!(error, "secrets \"nope\" not found\nerror: No valid secrets found\n");
    let error = api.run("secrets link default hub --for=bad").await.failed();
    assert_eq!(error, "error: unknown for: bad\n");
    api.run("secrets unlink default hub").await.ok();
    let account = api.object("/api/v1/namespaces/pushed/serviceaccounts/default");
    assert_eq!(account["imagePullSecrets"], json!([]));
}

#[tokio::test]
async fn a_project_is_requested_and_entered() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::write(
        home.path().join(".kube/config"),
        "current-context: default/h:8443/ed\nclusters: [{name: 'h:8443', cluster: {server: 'https://h:8443'}}]\nusers: [{name: 'ed/h:8443', user: {token: t}}]\ncontexts: [{name: 'default/h:8443/ed', context: {cluster: 'h:8443', user: 'ed/h:8443', namespace: default}}]\n",
    )
    .unwrap();
    let api = Api::default();
    api.answer(
        "GET /apis/project.openshift.io/v1/projectrequests",
        200,
        json!({"kind": "Status", "status": "Success"}),
    );
    let said = api.run_in(home.path(), "new-project pushed", "").await.ok();
    assert_eq!(said, "Now using project \"pushed\" on server \"\".\n");
    let config = std::fs::read_to_string(home.path().join(".kube/config")).unwrap();
    assert!(config.contains("current-context: pushed/h:8443/ed"), "{config}");
    assert_eq!(api.run_in(home.path(), "project -q", "").await.ok(), "pushed\n");
    assert_eq!(api.run_in(home.path(), "whoami -t", "").await.ok(), "t\n");
    assert_eq!(api.run_in(home.path(), "whoami -c", "").await.ok(), "pushed/h:8443/ed\n");
}
