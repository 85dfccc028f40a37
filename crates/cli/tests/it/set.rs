//! `set` and what else changes parts of objects.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::api::{Api, status};

const CONFIGS: &str = "/apis/apps.openshift.io/v1/namespaces/pushed/deploymentconfigs";

fn api() -> Api {
    let api = Api::default();
    api.put(
        &format!("{CONFIGS}/web"),
        json!({
            "kind": "DeploymentConfig", "apiVersion": "apps.openshift.io/v1",
            "metadata": {"name": "web", "namespace": "pushed", "resourceVersion": "1"},
            "spec": {
                "triggers": [{"type": "ConfigChange"}],
                "template": {"spec": {"containers": [
                    {"name": "web", "image": "a:1", "env": [{"name": "OLD", "value": "1"}]},
                    {"name": "side", "image": "s:1"},
                ]}},
            },
        }),
    );
    api
}

fn containers(api: &Api) -> Value {
    api.object(&format!("{CONFIGS}/web"))["spec"]["template"]["spec"]["containers"].clone()
}

#[tokio::test]
async fn images_are_set() {
    let api = api();
    assert_eq!(api.run("set image dc/web web=a:2").await.ok(), "deploymentconfig \"web\" image updated\n");
    assert_eq!(containers(&api)[0]["image"], "a:2");
    assert_eq!(containers(&api)[1]["image"], "s:1");
    assert_eq!(
        api.last_body()["metadata"]["resourceVersion"],
        "1",
        "lists are only replaced as they were read"
    );
    api.put(
        "/apis/image.openshift.io/v1/namespaces/pushed/imagestreamtags/app:v1",
        json!({"metadata": {"name": "app:v1"}, "image": {"dockerImageReference": "hub/pushed/app@sha256:00"}}),
    );
    api.run("set image dc/web *=app:v1 --source=istag").await.ok();
    assert_eq!(containers(&api)[0]["image"], "hub/pushed/app@sha256:00");
    assert_eq!(containers(&api)[1]["image"], "hub/pushed/app@sha256:00");
    assert_eq!(
        api.run("set image dc/web nope=a:2").await.failed(),
        "error: unable to find container named \"nope\"\n"
    );
    assert_eq!(api.run("set image dc/web").await.failed(), "error: at least one image update is required\n");
}

#[tokio::test]
async fn a_lost_race_is_run_again() {
    let api = api();
    let (code, conflict) = status(409, "Conflict", "changed");
    api.answer(&format!("PATCH {CONFIGS}/web"), code, conflict);
    assert_eq!(api.run("set image dc/web web=a:2").await.failed(), "Error from server (Conflict): changed\n");
    assert_eq!(api.changes().len(), 5);
}

#[tokio::test]
async fn variables_are_set_and_listed() {
    let api = api();
    assert_eq!(
        api.run("set env dc/web LEVEL=debug OLD- -c web --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web updated\n"
    );
    assert_eq!(containers(&api)[0]["env"], json!([{"name": "LEVEL", "value": "debug"}]));
    api.put(
        "/api/v1/namespaces/pushed/secrets/db",
        json!({"metadata": {"name": "db"}, "data": {"user-name": "ZWQ="}}),
    );
    api.run("set env dc/web --from=secret/db --prefix=DB_ -c side").await.ok();
    assert_eq!(
        api.run("set env dc/web --list").await.ok(),
        "# deploymentconfigs/web, container web\nLEVEL=debug\n# deploymentconfigs/web, container side\n\
         # DB_USER_NAME from secret db, key user-name\n"
    );
    assert!(api.run("set env dc/web --list --resolve").await.ok().contains("DB_USER_NAME=ed\n"));
    assert_eq!(
        api.run("set env dc/web LEVEL=info --overwrite=false -c web").await.failed(),
        "error: 'LEVEL' already has a value, and --overwrite is false\n"
    );
}

#[tokio::test]
async fn triggers_are_set_and_listed() {
    let api = api();
    let triggers = |api: &Api| api.object(&format!("{CONFIGS}/web"))["spec"]["triggers"].clone();
    assert_eq!(
        api.run("set triggers dc/web --from-image=hub/app:v1 -c web --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web triggers updated\n"
    );
    assert_eq!(
        triggers(&api)[1],
        json!({"type": "ImageChange", "imageChangeParams": {"automatic": true, "containerNames": ["web"],
            "from": {"kind": "ImageStreamTag", "name": "app:v1", "namespace": "hub"}}})
    );
    assert_eq!(
        api.run("set triggers dc/web").await.ok(),
        "NAME                    TYPE     VALUE              AUTO\n\
         deploymentconfigs/web   config                      true\n\
         deploymentconfigs/web   image    hub/app:v1 (web)   true\n"
    );
    assert_eq!(api.run("set triggers dc/web --manual").await.ok(), "deploymentconfig \"web\" updated\n");
    assert_eq!(triggers(&api).as_array().map(Vec::len), Some(1));
    assert_eq!(triggers(&api)[0]["imageChangeParams"]["automatic"], false);
    api.run("set triggers dc/web --auto").await.ok();
    assert_eq!(triggers(&api)[0]["imageChangeParams"]["automatic"], true);
    api.run("set triggers dc/web --from-image=hub/app:v1 --remove").await.ok();
    assert_eq!(triggers(&api), json!([{"type": "ConfigChange"}]));
    assert_eq!(
        api.run("set triggers dc/web --from-image=app:v1").await.failed(),
        "error: you must specify --containers when setting --from-image\n"
    );
    api.run("set triggers dc/web --remove-all").await.ok();
    assert_eq!(triggers(&api), json!([]));

    let deployment = "/apis/apps/v1/namespaces/pushed/deployments/web";
    api.put(deployment, api.object(&format!("{CONFIGS}/web")));
    api.run("set triggers dc/web deploy/web --from-image=app:v1 -c web").await.ok();
    assert_eq!(triggers(&api)[0]["type"], "ImageChange", "each kind in its own way");
    assert!(api.object(&format!("{CONFIGS}/web"))["metadata"].get("annotations").is_none());
    let annotations = &api.object(deployment)["metadata"]["annotations"];
    assert!(annotations["image.openshift.io/triggers"].as_str().unwrap().contains("app:v1"), "{annotations}");
}

#[tokio::test]
async fn the_rest_of_a_container() {
    let api = api();
    api.run("set resources dc/web -c web --limits=cpu=200m,memory=1Gi").await.ok();
    assert_eq!(containers(&api)[0]["resources"], json!({"limits": {"cpu": "200m", "memory": "1Gi"}}));
    api.run("set probe dc/web -c web --readiness --get-url=http://:8080/healthz --period-seconds=5")
        .await
        .ok();
    assert_eq!(
        containers(&api)[0]["readinessProbe"],
        json!({"httpGet": {"scheme": "HTTP", "port": 8080, "path": "/healthz"}, "periodSeconds": 5})
    );
    api.run("set probe dc/web -c web --readiness --liveness --remove").await.ok();
    assert!(containers(&api)[0].get("readinessProbe").is_none());
    api.run("set volumes dc/web --add --name=conf --type=configmap --configmap-name=web --mount-path=/etc/web -c web").await.ok();
    assert_eq!(containers(&api)[0]["volumeMounts"], json!([{"name": "conf", "mountPath": "/etc/web"}]));
    assert_eq!(
        api.run("set volumes dc/web -c web").await.ok(),
        "deploymentconfigs/web\n  configMap/web as conf\n    mounted at /etc/web\n"
    );
    api.run("set volumes dc/web --remove --name=conf").await.ok();
    assert_eq!(api.object(&format!("{CONFIGS}/web"))["spec"]["template"]["spec"]["volumes"], json!([]));
    let mut config = api.object(&format!("{CONFIGS}/web"));
    let mounts = json!([{"name": "conf", "mountPath": "/etc/web"}]);
    let spec = &mut config["spec"]["template"]["spec"];
    spec["volumes"] = json!([{"name": "conf", "emptyDir": {}}]);
    spec["initContainers"] = json!([{"name": "init", "volumeMounts": mounts}]);
    api.put(&format!("{CONFIGS}/web"), config);
    api.run("set volumes dc/web --remove --name=conf -c web").await.ok();
    let spec = api.object(&format!("{CONFIGS}/web"))["spec"]["template"]["spec"].clone();
    assert_eq!(spec["volumes"], json!([{"name": "conf", "emptyDir": {}}]), "one still mounts it");
    api.run("set volumes dc/web --remove --name=conf").await.ok();
    let spec = api.object(&format!("{CONFIGS}/web"))["spec"]["template"]["spec"].clone();
    assert_eq!(
        (&spec["volumes"], &spec["initContainers"]),
        (&json!([]), &json!([{"name": "init", "volumeMounts": []}]))
    );
    api.run("set serviceaccount dc/web robot").await.ok();
    assert_eq!(
        api.object(&format!("{CONFIGS}/web"))["spec"]["template"]["spec"]["serviceAccountName"],
        "robot"
    );
}

#[tokio::test]
async fn a_route_gets_backends() {
    let api = Api::default();
    let path = "/apis/route.openshift.io/v1/namespaces/pushed/routes/web";
    api.put(path, json!({"metadata": {"name": "web", "namespace": "pushed"}, "spec": {"to": {"kind": "Service", "name": "blue", "weight": 100}}}));
    assert_eq!(
        api.run("set route-backends web blue=3 green=1 --compat=4").await.ok(),
        "route.route.openshift.io/web backends updated\n"
    );
    assert_eq!(
        api.run("set route-backends web").await.ok(),
        "NAME         KIND      TO      WEIGHT\nroutes/web   Service   blue    3 (75%)\nroutes/web   Service   green   1 (25%)\n"
    );
}

#[tokio::test]
async fn what_was_applied_is_merged_item_by_item() {
    let api = Api::default();
    let path = "/api/v1/namespaces/pushed/pods/p";
    let manifest =
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: 'a:1'}]}}";
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "pod \"p\" created\n");
    let mut stored = api.object(path);
    stored["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    stored["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar"}));
    api.put(path, stored);
    assert_eq!(api.run_with("apply -f -", manifest).await.ok(), "pod \"p\" unchanged\n");
    api.run_with("apply -f -", &manifest.replace("a:1", "a:2")).await.ok();
    let sent = api.last_body()["spec"].clone();
    assert_eq!(sent["containers"], json!([{"image": "a:2", "name": "a"}]));
    assert_eq!(sent["$setElementOrder/containers"], json!([{"name": "a"}]));
}

#[tokio::test]
async fn config_maps_are_made_and_taken_out() {
    let api = Api::default();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("web.conf"), "listen 80;\n").unwrap();
    let said = api
        .run_in(home.path(), "create configmap web --from-file=web.conf --from-literal=a=b -n pushed", "")
        .await;
    assert_eq!(said.ok(), "configmap \"web\" created\n");
    assert_eq!(api.last_body()["data"], json!({"web.conf": "listen 80;\n", "a": "b"}));
    std::fs::remove_file(home.path().join("web.conf")).unwrap();
    let said = api.run_in(home.path(), "extract cm/web --keys=web.conf -n pushed", "").await;
    assert_eq!(said.ok(), "web.conf\n");
    assert_eq!(std::fs::read_to_string(home.path().join("web.conf")).unwrap(), "listen 80;\n");
    let error = api.run_in(home.path(), "extract cm/web -n pushed", "").await.failed();
    assert!(error.contains("already exists, pass --confirm to replace it"), "{error}");
    api.run("create secret generic s --from-literal=key=secret").await.ok();
    api.run_in(home.path(), "extract secret/s -n pushed", "").await.ok();
    let mode = std::fs::metadata(home.path().join("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "secrets are nobody else's");
}
