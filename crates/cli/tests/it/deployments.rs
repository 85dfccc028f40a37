//! Deployments: rolled out, followed, taken back, described.

use serde_json::{Value, json};

use crate::api::{Api, status};

const CONFIGS: &str = "/apis/apps.openshift.io/v1/namespaces/pushed/deploymentconfigs";
const CONTROLLERS: &str = "/api/v1/namespaces/pushed/replicationcontrollers";
const PODS: &str = "/api/v1/namespaces/pushed/pods";

fn template(tag: u64) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "web", "image": format!("hub.example.com/pushed/web:{tag}"), "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "env": [{"name": "LEVEL", "value": "info"}],
        }]},
    })
}

fn rollout(version: u64, phase: &str, replicas: u64) -> Value {
    json!({
        "kind": "ReplicationController", "apiVersion": "v1",
        "metadata": {
            "name": format!("web-{version}"), "namespace": "pushed", "uid": format!("r{version}"), "resourceVersion": "1",
            "creationTimestamp": "2016-03-30T11:57:00Z",
            "labels": {"openshift.io/deployment-config.name": "web"},
            "annotations": {
                "openshift.io/deployment-config.name": "web",
                "openshift.io/deployment-config.latest-version": version.to_string(),
                "openshift.io/deployment.phase": phase,
                "openshift.io/deployment.status-reason": "config change",
            },
        },
        "spec": {"replicas": replicas, "selector": {"app": "web", "deployment": format!("web-{version}")}, "template": template(version)},
        "status": {"replicas": replicas},
    })
}

fn config(latest: u64) -> Value {
    json!({
        "kind": "DeploymentConfig", "apiVersion": "apps.openshift.io/v1",
        "metadata": {
            "name": "web", "namespace": "pushed", "uid": "d1", "resourceVersion": "9", "generation": 2,
            "creationTimestamp": "2016-03-30T11:00:00Z", "labels": {"app": "web"},
        },
        "spec": {
            "replicas": 2, "selector": {"app": "web"}, "strategy": {"type": "Rolling"}, "template": template(2),
            "triggers": [
                {"type": "ConfigChange"},
                {"type": "ImageChange", "imageChangeParams": {"automatic": true, "containerNames": ["web"],
                    "from": {"kind": "ImageStreamTag", "name": "web:latest", "namespace": "pushed"}}},
            ],
        },
        "status": {"latestVersion": latest, "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    })
}

/// A config with two deployments, the second of which is in `phase`.
fn api(phase: &str) -> Api {
    let api = Api::default();
    api.put(&format!("{CONFIGS}/web"), config(2));
    api.put(&format!("{CONTROLLERS}/web-1"), rollout(1, "Complete", 0));
    api.put(&format!("{CONTROLLERS}/web-2"), rollout(2, phase, 2));
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "web-2-x7k2p", "namespace": "pushed", "uid": "p1", "creationTimestamp": "2016-03-30T11:58:00Z",
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicationController", "name": "web-2", "uid": "r2", "controller": true}],
        },
        "spec": {
            "nodeName": "n1", "serviceAccountName": "default", "containers": [{
                "name": "web", "image": "hub.example.com/pushed/web:2",
                "volumeMounts": [{"name": "conf", "mountPath": "/etc/web", "readOnly": true}],
                "readinessProbe": {"httpGet": {"port": 8080, "path": "/healthz"}},
            }],
            "volumes": [{"name": "conf", "configMap": {"name": "web"}}],
        },
        "status": {
            "phase": "Pending", "hostIP": "10.0.0.9", "podIP": "10.1.0.4", "startTime": "2016-03-30T11:58:01Z",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{
                "name": "web", "image": "hub.example.com/pushed/web:2", "imageID": "", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}, "lastState": {},
            }],
        },
    });
    api.put(&format!("{PODS}/web-2-x7k2p"), pod);
    api
}

#[tokio::test]
async fn a_deployment_is_started() {
    let api = api("Complete");
    let instantiate = format!("POST {CONFIGS}/web/instantiate");
    api.answer(&instantiate, 201, config(3));
    assert_eq!(api.run("rollout latest dc/web").await.ok(), "deploymentconfig \"web\" rolled out\n");
    assert_eq!(
        api.last_body(),
        json!({"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentRequest", "name": "web", "latest": true, "force": true})
    );
    assert_eq!(
        api.run("rollout latest web --again --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web rolled out\n"
    );
    assert_eq!(api.last_body()["latest"], false);
    let missing =
        json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "no", "code": 404});
    api.answer(&instantiate, 404, missing);
    assert_eq!(api.run("rollout latest web").await.ok(), "deploymentconfig \"web\" rolled out\n");
    assert_eq!(api.object(&format!("{CONFIGS}/web"))["status"]["latestVersion"], 3, "by hand, as in 2016");

    let running = self::api("Running");
    assert_eq!(
        running.run("rollout latest dc/web").await.failed(),
        "error: #2 is already in progress (Running).\n"
    );
    assert_eq!(
        running.run("deploy web --latest").await.failed(),
        "error: #2 is already in progress (Running).\nOptionally, you can cancel this deployment using the --cancel option.\n"
    );
    let mut paused = config(2);
    paused["spec"]["paused"] = json!(true);
    running.put(&format!("{CONFIGS}/web"), paused);
    assert_eq!(
        running.run("rollout latest dc/web").await.failed(),
        "error: cannot deploy a paused deployment config\n"
    );
    assert_eq!(running.run("rollout resume dc/web").await.ok(), "deploymentconfig \"web\" resumed\n");
    assert_eq!(
        running.run("rollout pause dc/web --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web paused\n"
    );
}

#[tokio::test]
async fn its_end_is_waited_for() {
    let api = api("Running");
    let state = |reason: &str, updated: u64, message: &str| {
        let mut config = config(2);
        config["status"]["updatedReplicas"] = json!(updated);
        config["status"]["conditions"] =
            json!([{"type": "Progressing", "reason": reason, "message": message}]);
        config
    };
    api.put(&format!("{CONFIGS}/web"), state("ReplicationControllerUpdated", 0, ""));
    let done = "replication controller \"web-2\" successfully rolled out";
    api.watched(
        CONFIGS,
        vec![
            state("ReplicationControllerUpdated", 1, ""),
            state("ReplicationControllerUpdated", 1, ""),
            state("NewReplicationControllerAvailable", 2, done),
        ],
    );
    assert_eq!(
        api.run("rollout status dc/web").await.ok(),
        format!(
            "Waiting for rollout to finish: 0 out of 2 new replicas have been updated...\n\
             Waiting for rollout to finish: 1 out of 2 new replicas have been updated...\n{done}\n"
        )
    );
    let cancelled = "rollout of replication controller \"web-2\" was cancelled";
    api.put(&format!("{CONFIGS}/web"), state("RolloutCancelled", 0, cancelled));
    assert_eq!(api.run("rollout status dc/web").await.failed(), format!("error: {cancelled}\n"));
    assert_eq!(
        api.run("rollout status dc/web --revision=7").await.failed(),
        "error: desired revision (7) is different from the running revision (2)\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_again_does_not_end_the_wait() {
    let api = api("Running");
    let ready = |status: &str| {
        let mut pod = json!({"metadata": {"name": "app", "namespace": "pushed"}});
        pod["status"] = json!({"conditions": [{"type": "Ready", "status": status}]});
        pod
    };
    let first = Api::default();
    first.breaks(PODS, 1);
    assert_eq!(first.run("wait --for=condition=Ready pod/app").await.code, 1, "nobody is there");

    let api_again = api.clone();
    api.put(&format!("{PODS}/web-2-x7k2p"), ready("False"));
    let waiting = api.run("wait --for=condition=Ready pod/web-2-x7k2p --timeout=60s");
    let restart = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        api_again.breaks(PODS, 5);
        api_again.put(&format!("{PODS}/web-2-x7k2p"), ready("True"));
    };
    let (outcome, ()) = tokio::join!(waiting, restart);
    assert_eq!(outcome.ok(), "pod \"web-2-x7k2p\" condition met\n");
    let (code, gone) = crate::api::status(410, "Expired", "too old");
    let api = self::api("Running");
    api.answer(&format!("GET {PODS}"), code, gone);
    assert_eq!(api.run("wait --for=condition=Ready pod/web-2-x7k2p").await.code, 1);
}

#[tokio::test]
async fn the_history_and_the_way_back() {
    let api = api("Complete");
    assert_eq!(
        api.run("rollout history dc/web").await.ok(),
        "deploymentconfigs \"web\"\nREVISION   STATUS     CAUSE\n1          Complete   config change\n2          Complete   config change\n\n"
    );
    insta::assert_snapshot!(api.run("rollout history dc/web --revision=1 --compat=4").await.ok(), @r"
    deploymentconfig.apps.openshift.io/web with revision #1
    Pod Template:
      Labels:  app=web
      Containers:
        web:
          Image:      hub.example.com/pushed/web:1
          Port:       8080/TCP
          Host Port:  0/TCP
          Environment:
            LEVEL:  info
          Mounts:   <none>
      Volumes:      <none>
    ");
    let mut back = config(2);
    back["spec"]["template"] = template(1);
    back["spec"]["triggers"][1]["imageChangeParams"]["automatic"] = json!(false);
    api.answer(&format!("POST {CONFIGS}/web/rollback"), 201, back);
    assert_eq!(
        api.run("rollout undo dc/web").await.ok(),
        "deploymentconfig \"web\" rolled back\nWarning: the following images triggers were disabled: web:latest\n  \
         You can re-enable them with: oc deploy web --enable-triggers -n pushed\n"
    );
    let stored = api.object(&format!("{CONFIGS}/web"));
    assert_eq!(stored["spec"]["template"], template(1));

    let api = self::api("Complete");
    let mut back = config(3);
    back["spec"]["template"] = template(1);
    api.answer(&format!("POST {CONFIGS}/web/rollback"), 201, back);
    assert_eq!(api.run("rollback web-1").await.ok(), "#3 rolled back to web-1\n");
    assert_eq!(
        api.run("rollback web --to-version=1 --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web deployment #3 rolled back to web-1\n"
    );
    assert!(api.run("rollback web -d").await.ok().contains("hub.example.com/pushed/web:1"));
    assert_eq!(
        api.run("rollback web --to-version=9").await.failed(),
        "error: couldn't find deployment for rollback\n"
    );
    assert_eq!(
        api.run("rollout undo dc/web --dry-run=sever").await.code,
        2,
        "what is no dry run is not done either"
    );
    assert_eq!(
        api.run("rollback nope").await.failed(),
        "error: nope is not a valid deployment or deployment config\n"
    );
}

#[tokio::test]
async fn a_deployment_of_today_goes_back_whole() {
    let api = Api::default();
    let deployment = "/apis/apps/v1/namespaces/pushed/deployments/web";
    let set = |revision: u64| {
        let mut template = template(revision);
        template["metadata"]["labels"]["pod-template-hash"] = json!("h");
        json!({
            "metadata": {
                "name": format!("web-{revision}"), "namespace": "pushed",
                "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
                "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "d1", "controller": true}],
            },
            "spec": {"template": template},
        })
    };
    let mut newest = template(2);
    newest["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    let metadata = json!({"name": "web", "namespace": "pushed", "uid": "d1"});
    let object = json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata,
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": newest},
    });
    api.put(deployment, object.clone());
    for revision in [1, 2] {
        api.put(&format!("/apis/apps/v1/namespaces/pushed/replicasets/web-{revision}"), set(revision));
    }
    api.answer(&format!("PATCH {deployment}"), 200, object);
    api.run("rollout undo deploy/web --dry-run").await.ok();
    assert_eq!(api.changes(), [""; 0]);
    assert_eq!(api.run("rollout undo deploy/web").await.ok(), "deployment \"web\" rolled back\n");
    assert_eq!(
        api.last_body(),
        json!([{"op": "replace", "path": "/spec/template", "value": template(1)}]),
        "a merge would leave what the earlier template lacks"
    );
}

#[tokio::test]
async fn a_deployment_is_cancelled_and_retried() {
    let api = api("Running");
    assert_eq!(api.run("rollout cancel dc/web").await.ok(), "deploymentconfig \"web\" cancelling\n");
    let annotations = api.object(&format!("{CONTROLLERS}/web-2"))["metadata"]["annotations"].clone();
    assert_eq!(annotations["openshift.io/deployment.cancelled"], "true");
    assert_eq!(annotations["openshift.io/deployment.status-reason"], "cancelled by the user");
    assert_eq!(api.run("rollout cancel dc/web").await.ok(), "deploymentconfig \"web\" already cancelled\n");
    assert_eq!(
        api.run("rollout retry dc/web").await.failed(),
        "error: rollout #2 is running; only failed rollouts can be retried.\n\
         Optionally, you can cancel this deployment with 'oc rollout cancel dc/web'.\n"
    );
    assert_eq!(self::api("Running").run("deploy web --cancel").await.ok(), "Cancelled deployment #2\n");

    let api = self::api("Complete");
    assert_eq!(
        api.run("rollout cancel dc/web").await.ok(),
        "No rollout is in progress (latest rollout #2 complete 3 minutes ago)\n"
    );
    assert_eq!(
        api.run("deploy web --cancel").await.ok(),
        "No deployments are in progress (latest deployment #2 complete 3 minutes ago)\n"
    );

    let api = self::api("Failed");
    let deployer = json!({"metadata": {"name": "web-2-deploy", "namespace": "pushed"}});
    api.put(&format!("{PODS}/web-2-deploy"), deployer);
    assert_eq!(
        api.run("rollout retry dc/web --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web retried rollout\n"
    );
    assert!(api.object(&format!("{PODS}/web-2-deploy")).is_null());
    let annotations = api.object(&format!("{CONTROLLERS}/web-2"))["metadata"]["annotations"].clone();
    assert_eq!(annotations["openshift.io/deployment.phase"], "New");
    assert!(annotations.get("openshift.io/deployment.status-reason").is_none());
    assert_eq!(self::api("Failed").run("deploy web --retry").await.ok(), "Retried #2\n");
}

#[tokio::test]
async fn the_verb_of_2016() {
    let api = api("Complete");
    assert_eq!(api.run("deploy web").await.ok(), "web deployment #2 deployed 3 minutes ago - 2 pods\n");
    assert_eq!(api.run("deploy dc/web --latest").await.ok(), "Started deployment #3\n");
    assert_eq!(api.object(&format!("{CONFIGS}/web"))["status"]["latestVersion"], 3);
    assert_eq!(api.run("deploy web --enable-triggers").await.ok(), "Enabled image triggers: web:latest\n");
}

#[tokio::test]
async fn pods_are_scaled() {
    let api = api("Complete");
    let scale = format!("PATCH {CONFIGS}/web/scale");
    api.answer(&scale, 200, json!({"kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 3}}));
    assert_eq!(api.run("scale dc/web --replicas=3").await.ok(), "deploymentconfig \"web\" scaled\n");
    assert_eq!(api.last_body(), json!({"spec": {"replicas": 3}}));
    assert_eq!(
        api.run("scale dc web --replicas=0 --compat=4").await.ok(),
        "deploymentconfig.apps.openshift.io/web scaled\n"
    );
    let now = json!({"kind": "Scale", "metadata": {"resourceVersion": "9"}, "spec": {"replicas": 2}});
    api.answer(&format!("GET {CONFIGS}/web/scale"), 200, now);
    assert_eq!(
        api.run("scale dc/web --replicas=3 --current-replicas=5").await.failed(),
        "error: Expected replicas to be 5, was 2\n"
    );
    api.run("scale dc/web --replicas=3 --current-replicas=2").await.ok();
    assert_eq!(api.last_body()["metadata"]["resourceVersion"], "9");
}

#[tokio::test]
async fn logs_are_shown() {
    let api = api("Running");
    api.log(&format!("{PODS}/web-2-x7k2p/log?"), "from the pod\n");
    api.log(
        &format!(
            "{PODS}/web-2-x7k2p/log?container=web&follow=true&timestamps=true&tailLines=5&sinceSeconds=120"
        ),
        "much\n",
    );
    api.log(&format!("{CONFIGS}/web/log?version=1&nowait=true"), "--> Success\n");
    assert_eq!(api.run("logs web-2-x7k2p").await.ok(), "from the pod\n");
    assert_eq!(api.run("logs pod/web-2-x7k2p").await.ok(), "from the pod\n");
    assert_eq!(api.run("logs -f web-2-x7k2p -c web --tail=5 --since=2m --timestamps").await.ok(), "much\n");
    assert_eq!(api.run("logs dc/web --version=1").await.ok(), "--> Success\n");
    assert_eq!(api.run("logs rc/web-2").await.ok(), "from the pod\n");
    let mut other = api.object(&format!("{PODS}/web-2-x7k2p"));
    other["metadata"]["name"] = json!("web-2-zzzzz");
    api.put(&format!("{PODS}/web-2-zzzzz"), other);
    api.log(&format!("{PODS}/web-2-x7k2p/log?follow=true"), "one\n");
    api.log(&format!("{PODS}/web-2-zzzzz/log?follow=true"), "two, without an end");
    let both = api.run("logs -f -l app=web").await.ok();
    let mut lines: Vec<&str> = both.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two, without an end"]);
    let third = format!("{PODS}/web-2-yyyyy");
    let mut other = api.object(&format!("{PODS}/web-2-zzzzz"));
    other["metadata"]["name"] = json!("web-2-yyyyy");
    api.put(&third, other);
    let waits = "container \"web\" in pod \"web-2-yyyyy\" is waiting to start: ContainerCreating";
    let (code, waits) = status(400, "BadRequest", waits);
    api.answer(&format!("GET {third}/log"), code, waits);
    let later = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let (code, gone) = status(404, "NotFound", "pods \"web-2-yyyyy\" not found");
        api.answer(&format!("GET {third}/log"), code, gone);
    };
    let (all, ()) = tokio::join!(api.run("logs -f -l app=web"), later);
    assert_eq!(all.stdout.lines().count(), 2, "{}", all.stdout);
    assert_eq!(
        all.failed(),
        "Error from server (BadRequest): container \"web\" in pod \"web-2-yyyyy\" is waiting to start: ContainerCreating\n\
         Error from server (NotFound): pods \"web-2-yyyyy\" not found\n"
    );
    assert_eq!(
        api.run("logs nope").await.failed(),
        "Error from server (NotFound): pods \"nope\" not found\n"
    );
    assert_eq!(
        api.run("logs pod/web-2-x7k2p --version=2").await.failed(),
        "error: cannot specify --version with pods\n"
    );
}

#[tokio::test]
async fn what_belongs_to_a_deployment_is_described() {
    let api = api("Running");
    let event = json!({
        "metadata": {"name": "e", "namespace": "pushed"}, "type": "Warning", "reason": "BackOff", "count": 4,
        "message": "Back-off pulling image \"hub.example.com/pushed/web:2\"", "source": {"component": "kubelet", "host": "n1"},
        "involvedObject": {"kind": "Pod", "name": "web-2-x7k2p", "fieldPath": "spec.containers{web}"},
        "firstTimestamp": "2016-03-30T11:58:00Z", "lastTimestamp": "2016-03-30T11:59:30Z",
    });
    api.put("/api/v1/namespaces/pushed/events/e", event);
    insta::assert_snapshot!("config-2016", api.run("describe dc web").await.ok());
    insta::assert_snapshot!("config-4", api.run("describe dc/web --compat=4").await.ok());
    insta::assert_snapshot!("pod-2016", api.run("describe pod web-2-x7k2p").await.ok());
    insta::assert_snapshot!("pod-4", api.run("describe pod web-2-x7k2p --compat=4").await.ok());
    insta::assert_snapshot!("controller-4", api.run("describe rc web-2 --compat=4").await.ok());
}

#[tokio::test]
async fn tables_of_servers_that_render_none() {
    let api = api("Running");
    insta::assert_snapshot!("tables", api.run("get dc,rc,pods -o wide").await.ok());
    assert_eq!(
        api.run("get pods").await.ok(),
        "NAME          READY   STATUS             RESTARTS   AGE\nweb-2-x7k2p   0/1     ImagePullBackOff   3          2m\n"
    );
}

#[tokio::test]
async fn the_project_at_a_glance() {
    let api = api("Running");
    api.put("/apis/project.openshift.io/v1/projects/pushed", json!({"metadata": {"name": "pushed"}}));
    api.put(
        "/api/v1/namespaces/pushed/services/web",
        json!({"metadata": {"name": "web", "namespace": "pushed"},
            "spec": {"clusterIP": "172.30.1.4", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}),
    );
    assert_eq!(
        api.run("status").await.ok(),
        "In project pushed on server \n\nsvc/web - 172.30.1.4:80 -> 8080\n  dc/web deploys istag/web:latest\n    \
         deployment #2 running for 3 minutes - 2 pods\n    deployment #1 deployed 3 minutes ago\n\n\
         2 warnings identified, use 'oc status --suggest' to see details.\n"
    );
    api.put(
        "/apis/route.openshift.io/v1/namespaces/pushed/routes/web",
        json!({"metadata": {"name": "web"}, "spec": {"host": "web.example.com", "to": {"kind": "Service", "name": "web"},
            "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}}}),
    );
    let text = api.run("status --suggest").await.ok();
    assert!(text.contains("https://web.example.com (redirects) (svc/web)\n  dc/web deploys"), "{text}");
    assert!(
        text.contains(
            "  * The image trigger for dc/web will have no effect until istag/web:latest is imported"
        ),
        "{text}"
    );
    let empty = Api::default();
    empty.put("/apis/project.openshift.io/v1/projects/pushed", json!({"metadata": {"name": "pushed"}}));
    assert_eq!(
        empty.run("status").await.ok(),
        "In project pushed on server \n\nYou have no services, deployment configs, or build configs.\n\
         Run 'oc new-app' to create an application.\n"
    );
}

#[tokio::test]
async fn pods_are_exposed_run_and_waited_for() {
    let api = api("Complete");
    assert_eq!(api.run("expose dc web").await.ok(), "service \"web\" exposed\n");
    assert_eq!(
        api.last_body()["spec"],
        json!({"ports": [{"port": 8080, "protocol": "TCP", "targetPort": 8080}], "selector": {"app": "web"}})
    );
    assert_eq!(
        api.run("expose rc web-1 --name=one --port=80 --target-port=http --compat=4").await.ok(),
        "service/one exposed\n"
    );
    assert_eq!(
        api.run("expose pod web-2-x7k2p --name=two").await.failed(),
        "error: couldn't find port via --port flag or introspection\n"
    );

    assert_eq!(
        api.run("run app --image=h/a:1 --port=80 -e A=b").await.ok(),
        "deploymentconfig \"app\" created\n"
    );
    let container = &api.last_body()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        *container,
        json!({"name": "app", "image": "h/a:1", "env": [{"name": "A", "value": "b"}], "ports": [{"containerPort": 80}]})
    );
    assert_eq!(
        api.run("run app --image=h/a:1 --compat=4 -n pushed -- serve --fast").await.ok(),
        "pod/app created\n"
    );
    assert_eq!(api.last_body()["spec"]["containers"][0]["args"], json!(["serve", "--fast"]));

    let ready =
        json!({"metadata": {"name": "app"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    api.watched(PODS, vec![ready]);
    assert_eq!(
        api.run("wait --for=condition=Ready pod/app --compat=4").await.ok(),
        "pod/app condition met\n"
    );
}
