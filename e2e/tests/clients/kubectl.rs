//! A day with `kubectl`, of 2020, of 2024 and of today: looks around, applies files in both ways, changes things in
//! every way, gives others access, waits, and tidies up.
//!
//! Every command is to say what it says to a cluster of anybody else's, and nothing on standard error.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use pierhead_testkit::{Outcome, Process, Site, Tool, eventually};

use super::tool;

const FILES: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue, size: "3"}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: web, labels: {app: web}}
spec: {lookupPolicy: {local: true}}
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: web, labels: {app: web}}
spec: {to: {kind: Service, name: web}}
"#;

const NAMES: [&str; 4] = [
    "configmap/settings",
    "service/web",
    "imagestream.image.openshift.io/web",
    "route.route.openshift.io/web",
];

const DEPLOYMENT: &str = r#"apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:1"}]}
"#;

const ROLE: &str = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: watchers, namespace: day}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [watch]}]
"#;

/// A field that there is not.
const MISSPELT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndatas: {a: b}\n";

/// Somebody with a kubectl, a project and its files.
struct Day {
    kubectl: Tool,
    program: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
    /// 20 for v1.20.
    minor: u32,
}

impl Day {
    async fn begin(site: &Site, program: PathBuf, minor: u32) -> Result<Self> {
        let ed = site.user("ed").await?;
        ed.oc(["new-project", "day"]).await.succeeds();
        let (home, kubeconfig) = (ed.home().to_path_buf(), ed.kubeconfig());
        std::fs::write(home.join("files.yaml"), FILES)?;
        std::fs::write(home.join("deployment.yaml"), DEPLOYMENT)?;
        std::fs::write(home.join("bad.yaml"), MISSPELT)?;
        std::fs::write(home.join("role.yaml"), ROLE)?;
        let kubectl = Tool::new(&program, &home)
            .variable("KUBECONFIG", &kubeconfig)
            .variable("EDITOR", "sed -i s/green/purple/");
        Ok(Self { kubectl, program, home, kubeconfig, minor })
    }

    async fn run(&self, line: &str) -> Outcome {
        self.kubectl.run(line.split(' ')).await
    }

    /// Succeeds, says all of this, and nothing on standard error.
    async fn says(&self, line: &str, texts: &[&str]) -> Result<String> {
        let outcome = self.run(line).await;
        ensure!(outcome.code == Some(0) && outcome.stderr.is_empty(), "1.{}: {outcome}", self.minor);
        for text in texts {
            ensure!(outcome.stdout.contains(text), "1.{}: no {text:?}: {outcome}", self.minor);
        }
        Ok(outcome.stdout)
    }

    async fn all(&self, rows: &[(&str, &[&str])]) -> Result<()> {
        for (line, texts) in rows {
            self.says(line, texts).await?;
        }
        Ok(())
    }

    /// Fails and says this.
    async fn refuses(&self, line: &str, text: &str) -> Result<()> {
        let outcome = self.run(line).await;
        let failed = outcome.code.is_some_and(|code| code != 0);
        ensure!(failed && outcome.said(text), "1.{}: no failure with {text:?}: {outcome}", self.minor);
        Ok(())
    }

    /// What every file's object is said to be.
    async fn files(&self, line: &str, what: &str) -> Result<()> {
        let texts = NAMES.map(|name| format!("{name} {what}\n"));
        self.says(line, &texts.each_ref().map(String::as_str)).await.map(|_| ())
    }

    /// Runs beside the others; what it prints goes to a file of this name.
    fn starts(&self, line: &str, log: &str) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(line.split(' ')).env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home);
        Process::start(command.current_dir(&self.home), &self.home.join(log))
    }

    fn colour(&self, from: &str, to: &str) -> Result<()> {
        let path = self.home.join("files.yaml");
        let text = std::fs::read_to_string(&path)?;
        Ok(std::fs::write(path, text.replace(from, to))?)
    }
}

async fn looks_around(day: &Day) -> Result<()> {
    day.all(&[
        ("get --raw /healthz", &["ok"]),
        ("api-versions", &["image.openshift.io/v1\n", "rbac.authorization.k8s.io/v1\n", "\nv1\n"]),
        ("api-resources", &["imagestreams", "ImageStream", "configmaps", "cm ", "projects"]),
        ("api-resources --verbs=list --namespaced -o name", &["imagestreams.image.openshift.io\n", "pods\n"]),
        ("auth can-i create secrets", &["yes\n"]),
        (
            "auth can-i --list",
            &["imagestreams.image.openshift.io", "configmaps", "routes.route.openshift.io"],
        ),
        ("get projects", &["NAME", "DISPLAY NAME", "STATUS", "day", "Active"]),
        ("get project day -o jsonpath={.status.phase}", &["Active"]),
        ("get sa", &["builder", "default", "deployer"]),
        ("config current-context", &["day/"]),
    ])
    .await?;
    let everything = day.run("get all").await;
    ensure!(
        everything.code == Some(0) && everything.said("No resources found in day namespace."),
        "{everything}"
    );
    let nodes = day.run("auth can-i delete nodes").await;
    ensure!(nodes.code == Some(1) && nodes.stdout == "no\n", "{nodes}");
    day.refuses("get nothing", "error: the server doesn't have a resource type \"nothing\"").await?;
    day.refuses("get cm settings", "Error from server (NotFound): configmaps \"settings\" not found").await?;
    day.refuses(
        "get cm -n kube-system",
        "Error from server (Forbidden): configmaps is forbidden: User \"ed\"",
    )
    .await?;
    if day.minor >= 28 {
        day.says("auth whoami", &["Username", "ed", "system:authenticated:oauth"]).await?;
    }
    Ok(())
}

async fn explains(day: &Day) -> Result<()> {
    day.all(&[
        ("explain configmap.data", &["<map[string]string>"]),
        ("explain imagestream.spec.lookupPolicy", &["local", "<boolean>"]),
        ("explain route.spec.tls.termination", &["<string>"]),
        ("explain pods.spec.containers.image", &["<string>"]),
        ("explain deploymentconfig --recursive", &["triggers", "updatePeriodSeconds"]),
    ])
    .await?;
    day.refuses("explain configmap.nothing", "field \"nothing\" does not exist").await
}

async fn applies_as_ever(day: &Day) -> Result<()> {
    day.files("apply -f files.yaml --dry-run=client", "created (dry run)").await?;
    day.files("apply -f files.yaml --dry-run=server", "created (server dry run)").await?;
    day.files("apply -f files.yaml", "created").await?;
    day.files("apply -f files.yaml", "unchanged").await?;
    day.says("diff -f files.yaml", &[]).await?;
    day.colour("blue", "green")?;
    let outcome = day.run("diff -f files.yaml").await;
    let shown = outcome.code == Some(1) && outcome.said("-  colour: blue\n+  colour: green\n");
    ensure!(shown, "{outcome}");
    let applied =
        day.says("apply -f files.yaml", &["configmap/settings configured", "service/web unchanged"]).await?;
    ensure!(applied.matches("unchanged").count() == 3, "{applied}");
    day.says("apply view-last-applied cm/settings", &["colour: green"]).await?;
    day.refuses("create -f files.yaml", "already exists").await?;
    day.says("create cm left --from-literal=a=b --save-config", &["configmap/left created"]).await?;
    day.says("label cm left app=web", &["configmap/left labeled"]).await?;
    let kinds = if day.minor < 26 { "--prune-whitelist" } else { "--prune-allowlist" };
    let prune = format!("apply -f files.yaml --prune -l app=web {kinds}=core/v1/ConfigMap");
    day.says(&prune, &["configmap/settings unchanged", "configmap/left pruned"]).await?;
    let misspelt = if day.minor < 27 {
        "unknown field \"datas\""
    } else {
        "strict decoding error: unknown field \"datas\""
    };
    day.refuses("apply -f bad.yaml", misspelt).await?;
    // Older ones do not ask for anything then, and are warned.
    let warning = if day.minor < 27 { "Warning: unknown field \"datas\"\n" } else { "" };
    let applied = day.run("apply -f bad.yaml --validate=false").await;
    ensure!(applied.stdout == "configmap/bad created\n" && applied.stderr == warning, "{applied}");
    day.says("delete -f bad.yaml", &["configmap \"bad\" deleted"]).await.map(|_| ())
}

async fn applies_on_the_server(day: &Day) -> Result<()> {
    day.files("apply -f files.yaml --server-side --field-manager=day", "serverside-applied").await?;
    day.says(
        "patch cm settings --type=merge -p {\"data\":{\"size\":\"4\"}}",
        &["configmap/settings patched"],
    )
    .await?;
    let conflict = "Apply failed with 1 conflict: conflict with \"kubectl-patch\"";
    day.refuses("apply -f files.yaml --server-side --field-manager=day", conflict).await?;
    day.files(
        "apply -f files.yaml --server-side --field-manager=day --force-conflicts",
        "serverside-applied",
    )
    .await?;
    day.says("get cm settings -o jsonpath={.data.size}", &["3"]).await?;
    let managers = "get cm settings -o jsonpath={.metadata.managedFields[*].manager}";
    day.says(managers, &["day"]).await.map(|_| ())
}

async fn looks_in_every_form(day: &Day) -> Result<()> {
    day.all(&[
        (
            "get cm,svc,is,route",
            &["DATA", "CLUSTER-IP", "IMAGE REPOSITORY", "HOST/PORT", "route.route.openshift.io/web"],
        ),
        ("get cm,svc -l app=web -o name", &["configmap/settings\nservice/web\n"]),
        ("get cm,svc -l app=web -o json", &["\"kind\": \"List\""]),
        ("get cm settings -o yaml", &["kind: ConfigMap", "colour: green"]),
        ("get cm settings -o go-template={{.data.colour}}", &["green"]),
        ("get cm settings -o custom-columns=N:.metadata.name,C:.data.colour", &["N ", "settings", "green"]),
        ("get cm --sort-by=.metadata.name --no-headers", &["settings"]),
        ("get is web -o wide --show-labels", &["LABELS", "app=web"]),
        ("get svc --field-selector metadata.name=web -o name", &["service/web"]),
        ("get cm -L app --chunk-size=1", &["APP", "web"]),
        ("get route web -o jsonpath={.spec.host}", &["web-day."]),
        ("describe cm settings", &["Name:         settings", "green"]),
        ("describe is web", &["API Version:  image.openshift.io/v1", "Docker Image Repository:"]),
        ("describe svc web", &["Type:              ClusterIP", "TargetPort:"]),
        ("describe route web", &["Router Name:", "Admitted"]),
    ])
    .await
}

async fn changes_in_every_way(day: &Day) -> Result<()> {
    day.all(&[
        ("label cm settings tier=front", &["configmap/settings labeled"]),
        ("label cm settings tier=back --overwrite", &["configmap/settings labeled"]),
        ("label cm settings tier-", &["configmap/settings "]),
        ("annotate is --all note=x", &["imagestream.image.openshift.io/web annotated"]),
        ("patch cm settings -p {\"data\":{\"more\":\"1\"}}", &["configmap/settings patched"]),
        ("patch cm settings --type=json -p [{\"op\":\"remove\",\"path\":\"/data/more\"}]", &["configmap/settings patched"]),
        ("patch is web --type=merge -p {\"spec\":{\"lookupPolicy\":{\"local\":false}}}", &["web patched"]),
        ("patch svc web -p {\"spec\":{\"ports\":[{\"port\":81,\"name\":\"more\"}]}}", &["service/web patched"]),
        ("get svc web -o jsonpath={.spec.ports[*].port}", &["80", "81"]),
        ("patch cm settings --dry-run=server -p {\"data\":{\"colour\":\"red\"}} -o jsonpath={.data.colour}", &["red"]),
        ("edit cm settings", &["configmap/settings edited"]),
        ("get cm settings -o jsonpath={.data.colour}", &["purple"]),
        ("replace -f files.yaml", &["configmap/settings replaced", "web replaced"]),
        ("get cm settings -o jsonpath={.data.colour}", &["green"]),
        ("expose svc web --name=web2 --port=82", &["service/web2 exposed"]),
        ("run once --image=example.com/web:1 --dry-run=server", &["pod/once created (server dry run)"]),
    ])
    .await?;
    day.refuses(
        "patch cm settings --type=json -p [{\"op\":\"test\",\"path\":\"/data/colour\",\"value\":\"x\"}]",
        "",
    )
    .await?;
    day.refuses("patch svc web -p {\"spec\":{\"clusterIP\":\"172.30.0.99\"}}", "may not change once set")
        .await
}

async fn gives_access(day: &Day) -> Result<()> {
    day.all(&[
        ("create secret generic s1 --from-literal=a=b --dry-run=client -o yaml", &["a: Yg=="]),
        ("create secret generic s1 --from-literal=a=b --dry-run=server", &["secret/s1 created (server dry run)"]),
        ("create secret generic s1 --from-literal=a=b", &["secret/s1 created"]),
        ("describe secret s1", &["Type:  Opaque", "a:  1 bytes"]),
        (
            "create secret docker-registry puller --docker-server=x.example --docker-username=u --docker-password=p",
            &["secret/puller created"],
        ),
        ("get secret puller -o jsonpath={.type}", &["kubernetes.io/dockerconfigjson"]),
        ("create sa robot", &["serviceaccount/robot created"]),
        ("create role reader --verb=get,list --resource=configmaps", &["reader created"]),
        ("create rolebinding readers --role=reader --user=bob", &["rolebinding.rbac.authorization.k8s.io/readers created"]),
        ("create rolebinding robots --clusterrole=view --serviceaccount=day:robot", &["robots created"]),
        ("describe rolebinding robots", &["Kind:  ClusterRole", "ServiceAccount  robot  day"]),
        ("set subject rolebinding readers --user=cid", &["rolebinding.rbac.authorization.k8s.io/readers subjects updated"]),
        ("get rolebinding readers -o jsonpath={.subjects[*].name}", &["bob cid"]),
    ])
    .await?;
    let reconciled = day.run("auth reconcile -f role.yaml").await;
    ensure!(reconciled.code == Some(0) && reconciled.said("reconciliation required create"), "{reconciled}");
    day.says("auth reconcile -f role.yaml", &["role.rbac.authorization.k8s.io/watchers "]).await?;
    day.refuses("create secret generic s1 --from-literal=a=b", "secrets \"s1\" already exists").await?;
    let may = "auth can-i list imagestreams.image.openshift.io --as=system:serviceaccount:day:robot";
    eventually("the binding holds", async || (day.run(may).await.stdout == "yes\n").then_some(())).await?;
    let secrets = "get sa robot -o jsonpath={.secrets[*].name}";
    eventually("the account has a token and a pull secret", async || {
        let names = day.run(secrets).await.stdout;
        (names.contains("robot-token-") && names.contains("robot-dockercfg-")).then_some(())
    })
    .await?;
    day.says("describe sa robot", &["Name:", "robot-dockercfg-"]).await?;
    if day.minor >= 24 {
        let token = day.says("create token robot --duration=10m", &["eyJ"]).await?;
        let kubectl = Tool::new(&day.program, &day.home).variable("KUBECONFIG", &day.kubeconfig);
        let seen =
            kubectl.before(["--token", token.trim()]).run(["get", "cm", "settings", "-o", "name"]).await;
        ensure!(seen.stdout == "configmap/settings\n", "{seen}");
    }
    Ok(())
}

/// What a watch prints while an object comes, changes and goes.
async fn watches(day: &Day) -> Result<()> {
    let log = day.home.join("watched");
    let mut watch = day.starts("get cm --watch --output-watch-events --no-headers", "watched")?;
    seen(&log, &["ADDED", "settings"]).await?;
    day.says("create cm passing --from-literal=x=y", &["configmap/passing created"]).await?;
    seen(&log, &["ADDED", "passing"]).await?;
    day.says("label cm passing seen=yes", &["labeled"]).await?;
    seen(&log, &["MODIFIED", "passing"]).await?;
    day.says("patch cm passing -p {\"metadata\":{\"finalizers\":[\"example.com/held\"]}}", &["patched"])
        .await?;
    // Whoever deletes waits until nobody holds on to it.
    let mut delete = day.starts("delete cm passing", "deleted")?;
    let held = "get cm passing -o jsonpath={.metadata.deletionTimestamp}";
    eventually("it is being deleted", async || (!day.run(held).await.stdout.is_empty()).then_some(()))
        .await?;
    ensure!(delete.ended()?.is_none(), "nobody waited: {}", delete.log_tail());
    day.says("patch cm passing -p {\"metadata\":{\"finalizers\":null}}", &["patched"]).await?;
    let status = eventually("the deletion ends", async || delete.ended().ok()?).await?;
    ensure!(status.success(), "{}", delete.log_tail());
    seen(&log, &["DELETED", "passing"]).await?;
    watch.kill()
}

async fn seen(log: &Path, words: &[&str]) -> Result<()> {
    let what = format!("the watch shows {words:?}");
    let found = async || {
        let text = std::fs::read_to_string(log).ok()?;
        text.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    };
    match eventually(&what, found).await {
        Ok(()) => Ok(()),
        Err(error) => bail!("{error}\n{}", std::fs::read_to_string(log).unwrap_or_default()),
    }
}

/// A configuration without replicas is rolled out at once.
async fn rolls_out(day: &Day) -> Result<()> {
    // Older ones merge lists of kinds they do not know as a whole, and cannot tell that nothing changed.
    let again = if day.minor < 27 { "configured" } else { "unchanged" };
    let again = format!("deploymentconfig.apps.openshift.io/web {again}");
    day.all(&[
        ("apply -f deployment.yaml", &["deploymentconfig.apps.openshift.io/web created"]),
        (
            "wait --for=condition=Progressing dc/web --timeout=30s",
            &["deploymentconfig.apps.openshift.io/web condition met"],
        ),
        ("get dc", &["REVISION", "DESIRED", "CURRENT", "TRIGGERED BY", "web", "config"]),
        ("get rc", &["DESIRED", "web-1"]),
        ("apply -f deployment.yaml", &[&again]),
        ("scale dc/web --replicas=1", &["deploymentconfig.apps.openshift.io/web scaled"]),
        (
            "scale dc/web --replicas=0 --current-replicas=1",
            &["deploymentconfig.apps.openshift.io/web scaled"],
        ),
        (
            "get all",
            &["replicationcontroller/web-1", "deploymentconfig.apps.openshift.io/web", "service/web"],
        ),
        ("delete dc web", &["deploymentconfig.apps.openshift.io \"web\" deleted"]),
    ])
    .await?;
    let gone = async || (day.run("get rc -o name").await.stdout.is_empty()).then_some(());
    eventually("what it made is gone with it", gone).await
}

async fn ends_the_day(day: &Day) -> Result<()> {
    if day.minor >= 23 {
        day.says("wait --for=jsonpath={.data.colour}=green cm/settings --timeout=30s", &["condition met"])
            .await?;
    }
    day.says("delete secret,sa --all --dry-run=server", &["(server dry run)"]).await?;
    day.says("delete cm nothing --ignore-not-found", &[]).await?;
    day.refuses("delete cm nothing", "Error from server (NotFound): configmaps \"nothing\" not found")
        .await?;
    let deleted = day.says("delete -f files.yaml --wait", &["configmap \"settings\" deleted"]).await?;
    ensure!(deleted.lines().count() == 4, "{deleted}");
    day.says("delete svc -l app=web", &["service \"web2\" deleted"]).await?;
    day.says("delete project day", &["project.project.openshift.io \"day\" deleted"]).await?;
    day.refuses("get project day", "Error from server (Forbidden)").await
}

async fn a_day(program: PathBuf, minor: u32) -> Result<()> {
    let site = Site::start().await?;
    let day = Day::begin(&site, program, minor).await?;
    let version = day.run("version --client -o json").await.succeeds();
    ensure!(
        version.contains(&format!("\"gitVersion\": \"v1.{minor}.")),
        "this is another kubectl: {version}"
    );
    looks_around(&day).await.context("looking around")?;
    explains(&day).await.context("explaining")?;
    applies_as_ever(&day).await.context("applying")?;
    looks_in_every_form(&day).await.context("looking")?;
    applies_on_the_server(&day).await.context("applying on the server")?;
    changes_in_every_way(&day).await.context("changing")?;
    gives_access(&day).await.context("giving access")?;
    rolls_out(&day).await.context("rolling out")?;
    watches(&day).await.context("watching")?;
    ends_the_day(&day).await.context("ending")?;
    site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_kubectl_of_2020() -> Result<()> {
    a_day(tool("PIERHEAD_KUBECTL_OLD")?, 20).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_kubectl_of_this_machine() -> Result<()> {
    a_day(PathBuf::from("kubectl"), 32).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_the_newest_kubectl() -> Result<()> {
    a_day(tool("PIERHEAD_KUBECTL_NEWEST")?, 37).await
}
