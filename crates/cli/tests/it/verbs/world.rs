//! The server, home and documents that the cases of all verbs share.

use serde_json::{Value, json};

use crate::api::{Api, Outcome};

const DIGEST: &str = "sha256:4ed6572d87aa07e9ac044421c30e6e6bd47349c6391ea6f2efdde9a2c2e9fcba";

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters:
- {name: 'api-example-com:8443', cluster: {server: 'https://api.example.com:8443'}}
users:
- {name: 'ed/api-example-com:8443', user: {token: sesame}}
contexts:
- {name: 'pushed/api-example-com:8443/ed', context: {cluster: 'api-example-com:8443', user: 'ed/api-example-com:8443', namespace: pushed}}
- {name: 'shop/api-example-com:8443/ed', context: {cluster: 'api-example-com:8443', user: 'ed/api-example-com:8443', namespace: shop}}
current-context: pushed/api-example-com:8443/ed
";

/// Files of the home, by name.
const FILES: &[(&str, &str)] = &[
    (".kube/config", KUBECONFIG),
    ("app.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {level: debug}}"),
    ("new.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: more}, data: {level: info}}"),
    (
        "role.yaml",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader}, rules: []}",
    ),
    ("web.crt", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
    ("web.key", "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"),
    ("id_ed25519", "key"),
];

fn object(api_version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": "pushed", "uid": format!("uid-of-{name}"), "resourceVersion": "7",
            "creationTimestamp": "2016-03-30T11:58:00Z", "labels": {"app": "web"}},
    });
    for (key, value) in rest.as_object().unwrap() {
        match (key.as_str(), value) {
            ("annotations", value) => object["metadata"]["annotations"] = value.clone(),
            (key, value) => object[key] = value.clone(),
        }
    }
    object
}

fn template(tag: u64) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
        {"name": "web", "image": format!("hub.example.com/pushed/web:{tag}"), "ports": [{"containerPort": 8080}]},
    ]}})
}

fn rollout(version: u64, replicas: u64) -> Value {
    let mut rollout = object(
        "v1",
        "ReplicationController",
        &format!("web-{version}"),
        json!({
            "annotations": {
                "openshift.io/deployment-config.name": "web",
                "openshift.io/deployment-config.latest-version": version.to_string(),
                "openshift.io/deployment.phase": "Complete",
            },
            "spec": {"replicas": replicas, "selector": {"deployment": format!("web-{version}")}, "template": template(version)},
            "status": {"replicas": replicas},
        }),
    );
    rollout["metadata"]["labels"] = json!({"openshift.io/deployment-config.name": "web"});
    rollout
}

/// A project with one of everything.
pub(super) fn world() -> Api {
    let api = Api::default();
    workloads(&api);
    accounts(&api);
    images(&api);
    reviews(&api);
    api
}

fn workloads(api: &Api) {
    let core = "/api/v1/namespaces/pushed";
    let config = object(
        "apps.openshift.io/v1",
        "DeploymentConfig",
        "web",
        json!({
            "spec": {"replicas": 2, "selector": {"app": "web"}, "strategy": {"type": "Rolling"}, "template": template(2),
                "triggers": [{"type": "ConfigChange"}]},
            "status": {"latestVersion": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        }),
    );
    api.put("/apis/apps.openshift.io/v1/namespaces/pushed/deploymentconfigs/web", config.clone());
    api.put(
        "/apis/apps.openshift.io/v1/namespaces/pushed/deploymentconfigs/web/scale",
        json!({
            "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 2},
        }),
    );
    let configs = "/apis/apps.openshift.io/v1/namespaces/pushed/deploymentconfigs";
    api.answer(&format!("POST {configs}/web/instantiate"), 201, config.clone());
    api.answer(&format!("POST {configs}/web/rollback"), 201, config);
    let deployment = object(
        "apps/v1",
        "Deployment",
        "shop",
        json!({
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template(2)},
        }),
    );
    api.put("/apis/apps/v1/namespaces/pushed/deployments/shop", deployment);
    api.put(&format!("{core}/replicationcontrollers/web-1"), rollout(1, 0));
    api.put(&format!("{core}/replicationcontrollers/web-2"), rollout(2, 2));
    let pod = object(
        "v1",
        "Pod",
        "web-2-x7k2p",
        json!({
            "spec": {"nodeName": "n1", "containers": [{"name": "web", "image": "hub.example.com/pushed/web:2"}]},
            "status": {"phase": "Running", "podIP": "10.1.0.7", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "web", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2016-03-30T11:58:05Z"}}}]},
        }),
    );
    api.put(&format!("{core}/pods/web-2-x7k2p"), pod);
    api.log("/api/v1/namespaces/pushed/pods/web-2-x7k2p/log?", "listening at 8080\n");
    api.log("/api/v1/namespaces/pushed/pods/web-2-x7k2p/log?container=web", "listening at 8080\n");
    let service = json!({"spec": {"clusterIP": "172.30.7.7", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]}});
    api.put(&format!("{core}/services/web"), object("v1", "Service", "web", service));
    let route = json!({"spec": {"host": "www.example.com", "to": {"kind": "Service", "name": "web", "weight": 100}}, "status": {}});
    api.put(
        "/apis/route.openshift.io/v1/namespaces/pushed/routes/www",
        object("route.openshift.io/v1", "Route", "www", route),
    );
    let note = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"settings\"}}\n";
    let settings = json!({"data": {"level": "info"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": note}});
    api.put(&format!("{core}/configmaps/settings"), object("v1", "ConfigMap", "settings", settings));
    let event = json!({
        "type": "Warning", "reason": "BackOff", "message": "Back-off pulling image", "count": 3,
        "firstTimestamp": "2016-03-30T11:50:00Z", "lastTimestamp": "2016-03-30T11:59:00Z",
        "involvedObject": {"kind": "Pod", "name": "web-2-x7k2p"},
    });
    api.put(&format!("{core}/events/e1"), object("v1", "Event", "e1", event));
}

fn accounts(api: &Api) {
    let core = "/api/v1/namespaces/pushed";
    let account =
        json!({"secrets": [{"name": "pusher-token-x7k2p"}, {"name": "keys"}], "imagePullSecrets": []});
    api.put(&format!("{core}/serviceaccounts/pusher"), object("v1", "ServiceAccount", "pusher", account));
    let token = json!({
        "type": "kubernetes.io/service-account-token", "data": {"token": "dG9rZW4="},
        "annotations": {"kubernetes.io/service-account.name": "pusher", "kubernetes.io/service-account.uid": "uid-of-pusher"},
    });
    api.put(
        &format!("{core}/secrets/pusher-token-x7k2p"),
        object("v1", "Secret", "pusher-token-x7k2p", token),
    );
    api.put(
        &format!("{core}/secrets/keys"),
        object("v1", "Secret", "keys", json!({"type": "Opaque", "data": {"api": "YWJj"}})),
    );
    let token_secret = object("v1", "Secret", "pusher-token-made", json!({"data": {"token": "bmV3"}}));
    api.answer(&format!("POST {core}/secrets"), 201, token_secret);
    let asked = json!({"kind": "TokenRequest", "status": {"token": "bound-token", "expirationTimestamp": "2016-03-30T13:00:00Z"}});
    api.answer(&format!("POST {core}/serviceaccounts/pusher/token"), 201, asked);
    api.put(
        "/apis/project.openshift.io/v1/projects/pushed",
        object(
            "project.openshift.io/v1",
            "Project",
            "pushed",
            json!({
                "annotations": {"openshift.io/display-name": "Pushed images"}, "status": {"phase": "Active"},
            }),
        ),
    );
    api.put(
        "/apis/project.openshift.io/v1/projects/shop",
        object("project.openshift.io/v1", "Project", "shop", json!({})),
    );
    api.put("/apis/project.openshift.io/v1/projectrequests", json!({"kind": "Status", "status": "Success"}));
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    for role in ["edit", "view", "cluster-reader", "system:openshift:scc:anyuid"] {
        api.put(
            &format!("{rbac}/clusterroles/{role}"),
            object("rbac.authorization.k8s.io/v1", "ClusterRole", role, json!({"rules": []})),
        );
    }
    let users = "/apis/user.openshift.io/v1";
    for user in ["ann", "ed"] {
        api.put(
            &format!("{users}/users/{user}"),
            object("user.openshift.io/v1", "User", user, json!({"identities": []})),
        );
    }
    api.put(
        &format!("{users}/groups/testers"),
        object("user.openshift.io/v1", "Group", "testers", json!({"users": ["ann"]})),
    );
    let binding = |kind: &str, role: &str| {
        let subjects = json!([
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"},
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "testers"},
        ]);
        let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
        object("rbac.authorization.k8s.io/v1", kind, role, json!({"subjects": subjects, "roleRef": role_ref}))
    };
    for role in ["view", "system:openshift:scc:anyuid"] {
        api.put(&format!("{rbac}/namespaces/pushed/rolebindings/{role}"), binding("RoleBinding", role));
    }
    api.put(
        &format!("{rbac}/clusterrolebindings/cluster-reader"),
        binding("ClusterRoleBinding", "cluster-reader"),
    );
}

fn images(api: &Api) {
    let images = "/apis/image.openshift.io/v1";
    let reference = format!("172.30.1.1:5000/pushed/app@{DIGEST}");
    let item = json!({"created": "2016-03-30T11:59:30Z", "dockerImageReference": reference, "image": DIGEST, "generation": 1});
    let stream = object(
        "image.openshift.io/v1",
        "ImageStream",
        "app",
        json!({
            "spec": {"lookupPolicy": {"local": false}},
            "status": {"dockerImageRepository": "172.30.1.1:5000/pushed/app", "tags": [{"tag": "v1", "items": [item]}]},
        }),
    );
    api.put(&format!("{images}/namespaces/pushed/imagestreams/app"), stream.clone());
    let image = json!({
        "metadata": {"name": DIGEST, "creationTimestamp": "2016-03-30T11:59:30Z"}, "dockerImageReference": reference,
        "dockerImageLayers": [{"name": "sha256:aa", "size": 1234}],
        "dockerImageMetadata": {"Size": 1300, "Created": "2016-03-29T12:00:00Z", "Architecture": "amd64", "Config": {}},
    });
    api.put(&format!("{images}/images/{DIGEST}"), image.clone());
    api.put(
        &format!("{images}/namespaces/pushed/imagestreamtags/app:v1"),
        object("image.openshift.io/v1", "ImageStreamTag", "app:v1", json!({"image": image})),
    );
    let import = json!({"status": {"import": stream, "images": [{"tag": "v1", "status": {"status": "Success"}, "image": image}]}});
    api.answer(&format!("POST {images}/namespaces/pushed/imagestreamimports"), 201, import);
}

fn reviews(api: &Api) {
    let authorization = "/apis/authorization.k8s.io/v1";
    api.answer(
        &format!("POST {authorization}/selfsubjectaccessreviews"),
        201,
        json!({"status": {"allowed": true}}),
    );
    let rules = json!({"status": {"resourceRules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]}});
    api.answer(&format!("POST {authorization}/selfsubjectrulesreviews"), 201, rules);
    let user = json!({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": "ed", "groups": ["system:authenticated"]}}});
    api.answer("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", 201, user);
    let who = json!({"users": ["ed"], "groups": ["system:cluster-admins"]});
    api.answer(
        "POST /apis/authorization.openshift.io/v1/namespaces/pushed/localresourceaccessreviews",
        201,
        who,
    );
    api.answer("GET /version", 200, json!({"major": "1", "minor": "32", "gitVersion": "v1.32.0"}));
    api.answer("GET /version/openshift", 200, json!({"gitVersion": "v0.1.0"}));
}

/// Runs a command line in project `pushed`, at home.
pub(super) async fn run(line: &str, input: &str) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    for (name, content) in FILES {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let line = if line.starts_with("config ") || line.starts_with("project") {
        line.to_owned()
    } else {
        format!("-n pushed {line}")
    };
    let plugins = home.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::write(plugins.join("oc-hello"), "").unwrap();
    let vars = [("OC_EDITOR", "sed -i s/false/true/"), ("PATH", plugins.to_str().unwrap())];
    let vars = if line.contains("plugin") { &vars[..] } else { &vars[..1] };
    let api = world();
    let running = api.run_among(vars, home.path(), &line, input);
    let Ok(mut outcome) = tokio::time::timeout(std::time::Duration::from_secs(10), running).await else {
        return Outcome { code: u8::MAX, stdout: String::new(), stderr: "it does not end".to_owned() };
    };
    let place = home.path().to_str().unwrap();
    outcome.stdout = outcome.stdout.replace(place, "$HOME");
    outcome.stderr = outcome.stderr.replace(place, "$HOME");
    outcome
}

/// A command line and what came of it, as it would stand in a terminal; what went to stderr begins with `!`.
pub(super) fn played(line: &str, outcome: &Outcome) -> String {
    let mut text = format!("$ oc {line}\n{}", outcome.stdout);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for said in outcome.stderr.lines() {
        text.push_str(&format!("! {said}\n"));
    }
    if outcome.code != 0 {
        text.push_str(&format!("[{}]\n", outcome.code));
    }
    text.push('\n');
    text
}
