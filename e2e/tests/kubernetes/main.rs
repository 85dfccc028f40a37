//! Our command line against Kubernetes' own API server, where nothing of OpenShift is: `cargo xtask real-kubernetes`.
//!
//! Owns how etcd, the API server and its controllers are started. They listen on an address that nobody else has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Outcome, OwnAddress, Process, Tool, eventually, eventually_within};

const FILE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {app: web}}\ndata: {colour: blue}\n---\n\
     apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: {app: web}}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: readers}\n\
     rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]\n";

const KIND: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: tides.example.com}\n\
     spec: {group: example.com, scope: Namespaced, names: {plural: tides, singular: tide, kind: Tide, shortNames: [td]},\n\
     versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {\n\
     spec: {type: object, description: When it comes., properties: {height: {type: integer}}}}}},\n\
     additionalPrinterColumns: [{name: Height, type: integer, jsonPath: .spec.height}]}]}\n";

const TIDE: &str = "apiVersion: example.com/v1\nkind: Tide\nmetadata: {name: high}\nspec: {height: 7}\n";

fn named(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable);
    Ok(path.with_context(|| format!("{variable} is set by cargo xtask real-kubernetes"))?.into())
}

/// The servers; they end with it, the API server before its store.
struct Kubernetes {
    _controllers: Process,
    _api: Process,
    _etcd: Process,
    _address: OwnAddress,
    url: String,
    authority: PathBuf,
}

/// The key pair of service accounts' tokens.
fn keys(folder: &Path) -> Result<(String, String)> {
    let (private, public) = (folder.join("sa.key"), folder.join("sa.pub"));
    let make = |arguments: &[&str]| -> Result<()> {
        let status = Command::new("openssl").args(arguments).current_dir(folder).status()?;
        ensure!(status.success(), "openssl {arguments:?}");
        Ok(())
    };
    make(&["genrsa", "-out", "sa.key", "2048"])?;
    make(&["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"])?;
    Ok((private.display().to_string(), public.display().to_string()))
}

impl Kubernetes {
    async fn start(folder: &Path) -> Result<Self> {
        let (etcd, kubernetes) = (named("PIERHEAD_ETCD")?, named("PIERHEAD_KUBERNETES")?);
        let address = OwnAddress::take()?;
        let ip = address.address();
        let (client, peer, url) =
            (format!("http://{ip}:2379"), format!("http://{ip}:2380"), format!("https://{ip}:6443"));
        let mut command = Command::new(etcd.join("etcd"));
        command.arg("--data-dir").arg(folder.join("etcd")).args(["--listen-client-urls", &client]);
        command.args(["--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
        command.args([
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &format!("default={peer}"),
        ]);
        let etcd = Process::start(&mut command, &folder.join("etcd.log"))?;

        let (private, public) = keys(folder)?;
        std::fs::write(folder.join("tokens.csv"), "the-administrator,admin,1,\"system:masters\"\n")?;
        let mut command = Command::new(kubernetes.join("kube-apiserver"));
        command.current_dir(folder).args([
            "--etcd-servers",
            &client,
            "--secure-port=6443",
            "--cert-dir=certs",
        ]);
        command.arg(format!("--bind-address={ip}")).arg(format!("--advertise-address={ip}"));
        command.args(["--token-auth-file=tokens.csv", "--authorization-mode=RBAC"]);
        command.args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16"]);
        command.args(["--service-account-issuer", &url, "--service-account-key-file", &public]);
        command.args(["--service-account-signing-key-file", &private]);
        let mut api = Process::start(&mut command, &folder.join("api.log"))?;
        let authority = folder.join("certs/apiserver.crt");
        let curl = Tool::new("curl", folder);
        let ready = format!("{url}/readyz");
        let ask = ["--silent", "--insecure", "--header", "Authorization: Bearer the-administrator", &ready];
        let waited = eventually_within(Duration::from_secs(120), "the API server is ready", async || {
            if api.ended().is_ok_and(|ended| ended.is_some()) {
                return Some(false);
            }
            (curl.run(ask).await.stdout == "ok").then_some(true)
        });
        ensure!(waited.await?, "{}", api.log_tail());

        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: {url:?}, certificate-authority: {authority:?}}}}}]\n\
             users: [{{name: u, user: {{token: the-administrator}}}}]\n"
        );
        std::fs::write(folder.join("controllers.yaml"), config)?;
        let mut command = Command::new(kubernetes.join("kube-controller-manager"));
        command.current_dir(folder).args(["--kubeconfig=controllers.yaml", "--leader-elect=false"]);
        command.args([
            "--service-account-private-key-file",
            &private,
            "--use-service-account-credentials=false",
        ]);
        command.arg(format!("--bind-address={ip}"));
        let controllers = Process::start(&mut command, &folder.join("controllers.log"))?;
        Ok(Self { _controllers: controllers, _api: api, _etcd: etcd, _address: address, url, authority })
    }
}

/// Somebody with our command line.
struct Us {
    oc: Tool,
}

impl Us {
    async fn run(&self, line: &str) -> Outcome {
        self.oc.run(line.split(' ')).await
    }

    async fn says(&self, line: &str, texts: &[&str]) -> Result<String> {
        let outcome = self.run(line).await;
        ensure!(outcome.code == Some(0), "{outcome}");
        for text in texts {
            ensure!(outcome.stdout.contains(text), "no {text:?}: {outcome}");
        }
        Ok(outcome.stdout)
    }

    async fn all(&self, rows: &[(&str, &[&str])]) -> Result<()> {
        for (line, texts) in rows {
            self.says(line, texts).await?;
        }
        Ok(())
    }
}

async fn looks_around(us: &Us) -> Result<()> {
    us.all(&[
        ("whoami", &["admin"]),
        ("auth whoami", &["Username", "admin", "system:masters"]),
        ("version", &["Kubernetes Version: v1.37."]),
        ("cluster-info", &["is running at https://"]),
        ("get ns", &["NAME", "STATUS", "default", "kube-system"]),
        ("projects", &["default", "kube-system"]),
        ("api-resources", &["configmaps", "deployments"]),
        (
            "api-resources --api-group=apps --namespaced=true -o name",
            &["deployments.apps", "replicasets.apps"],
        ),
        ("api-versions", &["apps/v1"]),
        ("auth can-i create secrets", &["yes"]),
        ("auth can-i --list", &["*.*"]),
        ("config get-contexts", &["admin"]),
        ("get --raw /livez", &["ok"]),
        ("new-project day", &["Now using project \"day\""]),
        ("project", &["Using project \"day\""]),
    ])
    .await?;
    // What describes the kinds is put together after the start.
    let explained = async || us.run("explain configmap.data").await.said("<map[string]string>").then_some(());
    eventually("the server describes its kinds", explained).await?;
    us.all(&[
        ("explain deployment.spec.strategy.type", &["<string>"]),
        ("explain pods --recursive", &["containers", "imagePullPolicy"]),
    ])
    .await
}

async fn writes(us: &Us) -> Result<()> {
    us.all(&[
        ("apply -f file.yaml --dry-run=server", &["settings"]),
        ("apply -f file.yaml", &["settings", "created", "web"]),
        ("apply -f file.yaml", &["unchanged"]),
        ("diff -f file.yaml", &[]),
        ("apply view-last-applied cm/settings", &["colour: blue"]),
        ("apply -f file.yaml --server-side --force-conflicts", &["settings"]),
        ("get cm settings -o jsonpath={.data.colour}", &["blue"]),
        ("get cm,svc -l app=web -o name", &["configmap/settings", "service/web"]),
        ("get cm settings -o yaml", &["colour: blue"]),
        ("get svc web -o custom-columns=N:.metadata.name,P:.spec.ports[0].port", &["web", "80"]),
        ("patch cm settings -p {\"data\":{\"colour\":\"green\"}}", &["patched"]),
        (
            "patch cm settings --type=json -p [{\"op\":\"add\",\"path\":\"/data/more\",\"value\":\"1\"}]",
            &["patched"],
        ),
        (
            "patch svc web -p {\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":8080}]}} --dry-run=server -o jsonpath={.spec.ports[*].targetPort}",
            &["8080"],
        ),
        ("label cm settings tier=front", &["labeled"]),
        ("annotate cm settings note=x", &["annotated"]),
        ("describe cm settings", &["Name:", "settings", "colour"]),
        ("wait --for=jsonpath={.data.colour}=green cm/settings --timeout=30s", &["condition met"]),
        ("edit cm settings", &["edited"]),
        ("get cm settings -o go-template={{.data.colour}}", &["purple"]),
        ("set data cm/settings size=3", &["updated"]),
        ("replace -f file.yaml", &["\"settings\" replaced", "\"web\" replaced"]),
        ("create cm passing --from-literal=a=b", &["created"]),
        ("delete cm -l app!=web --field-selector=metadata.name=passing", &["\"passing\" deleted"]),
    ])
    .await?;
    let differs = us.run("patch cm settings -p {\"data\":{\"colour\":\"red\"}}").await;
    ensure!(differs.code == Some(0), "{differs}");
    let differs = us.run("diff -f file.yaml").await;
    ensure!(differs.code == Some(1) && differs.said("-  colour: red\n+  colour: blue\n"), "{differs}");
    us.run("get cm nothing").await.fails_with("configmaps \"nothing\" not found");
    us.run("create -f file.yaml").await.fails_with("already exists");
    us.run("get imagestreams").await.fails_with("the server doesn't have a resource type");
    let none = us.run("get limits,ingress").await;
    ensure!(none.code == Some(0) && none.stdout.is_empty(), "{none}");
    ensure!(none.said("No resources found in day namespace."), "{none}");
    Ok(())
}

async fn gives_access(us: &Us) -> Result<()> {
    us.all(&[
        ("create secret generic password --from-literal=p=w", &["password"]),
        ("get secret password -o jsonpath={.data.p}", &["dw=="]),
        ("extract secret/password --to=-", &["w"]),
        ("create secret docker-registry pull --docker-server=x.example --docker-username=u --docker-password=p", &["pull"]),
        ("create sa robot", &["robot"]),
        ("secrets link robot pull --for=pull", &[]),
        ("describe sa robot", &["Image pull secrets:  pull"]),
        ("create rolebinding robots --clusterrole=view --serviceaccount=day:robot", &["robots"]),
        ("describe rolebinding robots", &["ClusterRole", "robot"]),
        ("auth reconcile -f role.yaml", &["readers"]),
        ("auth reconcile -f role.yaml", &["readers"]),
        ("policy add-role-to-user edit bob", &[]),
        ("adm policy add-cluster-role-to-user view cid", &[]),
        ("auth can-i create cm --as=bob", &["yes"]),
        ("auth can-i get cm --as=cid -n kube-system", &["yes"]),
        ("policy remove-role-from-user edit bob", &[]),
        ("adm policy remove-cluster-role-from-user view cid", &[]),
    ])
    .await?;
    for (who, namespace) in [("bob", "day"), ("cid", "kube-system")] {
        let may = format!("auth can-i get cm --as={who} -n {namespace}");
        eventually("the role is taken back", async || {
            (us.run(&may).await.stdout.trim() == "no").then_some(())
        })
        .await?;
    }
    let may = "auth can-i list configmaps --as=system:serviceaccount:day:robot";
    eventually("the binding holds", async || (us.run(may).await.stdout.trim() == "yes").then_some(()))
        .await?;
    let token = us.says("create token robot --duration=10m", &["eyJ"]).await?;
    let seen = us.run(&format!("--token {} get cm settings -o name", token.trim())).await;
    ensure!(seen.stdout.trim() == "configmap/settings", "{seen}");
    us.run(&format!("--token {} get secrets", token.trim())).await.fails_with("forbidden");
    // An old token of an account is filled in by a controller.
    let token = us.says("serviceaccounts new-token robot", &["eyJ"]).await?;
    let robot = us.says(&format!("--token {} whoami", token.trim()), &[]).await?;
    ensure!(robot.trim() == "system:serviceaccount:day:robot", "{robot}");
    Ok(())
}

/// There are no nodes, so that pods stay where they are.
async fn rolls_out(us: &Us) -> Result<()> {
    us.all(&[
        ("create deployment web --image=example.com/web:1 --replicas=0", &["web"]),
        ("rollout status deploy/web --timeout=60s", &["successfully rolled out"]),
        ("set image deploy/web web=example.com/web:2", &["updated"]),
        ("set env deploy/web A=b", &["updated"]),
        ("get deploy web -o wide", &["example.com/web:2"]),
        ("rollout status deploy/web --timeout=60s", &["successfully rolled out"]),
        ("rollout history deploy/web", &["REVISION", "3"]),
        ("rollout undo deploy/web --to-revision=1", &["web"]),
        ("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}", &["example.com/web:1"]),
        ("scale deploy web --replicas=1", &["scaled"]),
        ("wait --for=jsonpath={.status.replicas}=1 deploy/web --timeout=60s", &["condition met"]),
        ("get all -l app=web", &["pod/web-", "deployment.apps/web", "service/web"]),
        ("describe pod -l app=web", &["Image:", "example.com/web:1"]),
        ("expose deploy web --port=80 --name=web2", &["exposed"]),
        ("status", &["In project day", "svc/web"]),
        ("delete deployment web", &["deleted"]),
    ])
    .await?;
    let gone = async || us.run("get rs,pods -o name").await.stdout.is_empty().then_some(());
    eventually("what it made is gone with it", gone).await
}

/// Kinds that were not there when the command line was written.
async fn learns_a_kind(us: &Us) -> Result<()> {
    us.says("apply -f kind.yaml", &["tides.example.com", "created"]).await?;
    us.says("wait --for=condition=Established crd/tides.example.com --timeout=60s", &["condition met"])
        .await?;
    us.all(&[
        ("apply -f tide.yaml", &["\"high\" created"]),
        ("get tides", &["HEIGHT", "high", "7"]),
        ("get td high -o jsonpath={.spec.height}", &["7"]),
        ("patch tide high --type=merge -p {\"spec\":{\"height\":8}}", &["patched"]),
        ("apply -f tide.yaml", &["configured"]),
        ("label td --all seen=yes", &["labeled"]),
        ("describe tide high", &["Name:", "high", "Height:", "7"]),
    ])
    .await?;
    us.run("patch tide high -p {\"spec\":{\"height\":8}}").await.fails_with("UnsupportedMediaType");
    us.run("patch tide high --type=merge -p {\"spec\":{\"height\":\"x\"}}").await.fails_with("spec.height");
    let explained = async || us.run("explain tide.spec").await.said("When it comes.").then_some(());
    eventually("the server describes the kind", explained).await?;
    us.says("delete -f tide.yaml", &["\"high\" deleted"]).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_command_line_works_with_kubernetes() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("ph-k").tempdir_in("/tmp")?;
    let kubernetes = Kubernetes::start(folder.path()).await?;
    let home = folder.path().join("home");
    std::fs::create_dir(&home)?;
    for (name, text) in [("file", FILE), ("role", ROLE), ("kind", KIND), ("tide", TIDE)] {
        std::fs::write(home.join(format!("{name}.yaml")), text)?;
    }
    let oc = home.join("oc");
    std::os::unix::fs::symlink(named("PIERHEAD_BIN")?.canonicalize()?, &oc)?;
    let oc = Tool::new(oc, &home).variable("KUBECONFIG", home.join("kubeconfig"));
    let us = Us { oc: oc.variable("EDITOR", "sed -i s/green/purple/") };
    let authority = kubernetes.authority.display();
    let login =
        format!("login {} --token=the-administrator --certificate-authority={authority}", kubernetes.url);
    us.says(&login, &["admin"]).await?;
    looks_around(&us).await.context("looking around")?;
    writes(&us).await.context("writing")?;
    gives_access(&us).await.context("giving access")?;
    rolls_out(&us).await.context("rolling out")?;
    learns_a_kind(&us).await.context("learning a kind")?;
    us.all(&[
        ("delete -f file.yaml", &["\"settings\" deleted", "\"web\" deleted"]),
        ("delete ns day --wait=false", &["deleted"]),
    ])
    .await?;
    let gone = async || us.run("get ns day").await.said("not found").then_some(());
    eventually_within(Duration::from_secs(120), "the namespace is gone", gone).await
}
