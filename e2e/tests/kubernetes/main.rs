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
        ("version", &["1.37"]),
        ("get ns", &["NAME", "STATUS", "default", "kube-system"]),
        ("api-resources", &["configmaps", "deployments"]),
        ("api-versions", &["apps/v1"]),
        ("explain configmap.data", &["data"]),
        ("auth can-i create secrets", &["yes"]),
        ("config get-contexts", &["admin"]),
        ("create namespace day", &["day"]),
        ("config set-context --current --namespace=day", &[]),
    ])
    .await
}

async fn writes(us: &Us) -> Result<()> {
    us.all(&[
        ("apply -f file.yaml --dry-run=server", &["settings"]),
        ("apply -f file.yaml", &["settings", "created", "web"]),
        ("apply -f file.yaml", &["unchanged"]),
        ("diff -f file.yaml", &[]),
        ("apply -f file.yaml --server-side --force-conflicts", &["settings"]),
        ("get cm settings -o jsonpath={.data.colour}", &["blue"]),
        ("get cm,svc -l app=web -o name", &["configmap/settings", "service/web"]),
        ("get cm settings -o yaml", &["colour: blue"]),
        ("patch cm settings -p {\"data\":{\"colour\":\"green\"}}", &["patched"]),
        (
            "patch cm settings --type=json -p [{\"op\":\"add\",\"path\":\"/data/more\",\"value\":\"1\"}]",
            &["patched"],
        ),
        ("label cm settings tier=front", &["labeled"]),
        ("annotate cm settings note=x", &["annotated"]),
        ("describe cm settings", &["Name:", "settings", "colour"]),
        ("wait --for=jsonpath={.data.colour}=green cm/settings --timeout=30s", &["condition met"]),
        ("create secret generic password --from-literal=p=w", &["password"]),
        ("get secret password -o jsonpath={.data.p}", &["dw=="]),
        ("create sa robot", &["robot"]),
        ("create rolebinding robots --clusterrole=view --serviceaccount=day:robot", &["robots"]),
        ("create deployment web --image=example.com/web:1 --replicas=0", &["web"]),
    ])
    .await?;
    let may = "auth can-i list configmaps --as=system:serviceaccount:day:robot";
    eventually("the binding holds", async || (us.run(may).await.stdout.trim() == "yes").then_some(()))
        .await?;
    let token = us.says("create token robot --duration=10m", &["eyJ"]).await?;
    let seen = us.run(&format!("--token {} get cm settings -o name", token.trim())).await;
    ensure!(seen.stdout.trim() == "configmap/settings", "{seen}");
    us.run(&format!("--token {} get secrets", token.trim())).await.fails_with("forbidden");
    us.run("get cm nothing").await.fails_with("configmaps \"nothing\" not found");
    us.run("get imagestreams").await.fails_with("the server doesn't have a resource type");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_command_line_works_with_kubernetes() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("ph-k").tempdir_in("/tmp")?;
    let kubernetes = Kubernetes::start(folder.path()).await?;
    let home = folder.path().join("home");
    std::fs::create_dir(&home)?;
    std::fs::write(home.join("file.yaml"), FILE)?;
    let oc = home.join("oc");
    std::os::unix::fs::symlink(named("PIERHEAD_BIN")?.canonicalize()?, &oc)?;
    let us = Us { oc: Tool::new(oc, &home).variable("KUBECONFIG", home.join("kubeconfig")) };
    let authority = kubernetes.authority.display();
    let login =
        format!("login {} --token=the-administrator --certificate-authority={authority}", kubernetes.url);
    us.says(&login, &["admin"]).await?;
    looks_around(&us).await?;
    writes(&us).await?;
    us.all(&[
        ("delete -f file.yaml", &["\"settings\" deleted", "\"web\" deleted"]),
        ("delete deployment web", &["deleted"]),
        ("delete ns day", &["deleted"]),
    ])
    .await?;
    let gone = async || us.run("get ns day").await.said("not found").then_some(());
    eventually("the namespace is gone", gone).await
}
