//! Pipelines without a password, keys that are exchanged under way, and secrets that are not in the database's files.
//!
//! The pipeline runs in another cluster, whose service account tokens are the outside tokens: discovery and keys are
//! fetched from it over TLS, as from any issuer.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pierhead_testkit::layout::{Layout, small_layer};
use pierhead_testkit::{Site, SiteOptions, eventually};
use serde_json::json;

/// A cluster whose keys everybody may read, and a token of one of its accounts.
async fn elsewhere() -> Result<Site> {
    let site = Site::start().await?;
    let admin = site.admin()?;
    let discovery = "system:service-account-issuer-discovery";
    let everybody = ["create", "clusterrolebinding", "issuer", "--group=system:unauthenticated"];
    admin.kubectl([&everybody[..], &[&format!("--clusterrole={discovery}")]].concat()).await.succeeds();
    for namespace in ["ci", "production"] {
        admin.kubectl(["create", "namespace", namespace]).await.succeeds();
        admin.kubectl(["create", "serviceaccount", "runner", "-n", namespace]).await.succeeds();
    }
    Ok(site)
}

async fn job_token(site: &Site, namespace: &str) -> Result<String> {
    let create = ["create", "token", "runner", "-n", namespace, "--audience=https://registry.example.com"];
    Ok(site.admin()?.kubectl(create).await.succeeds().trim().to_owned())
}

fn data(site: &Site) -> PathBuf {
    // DIR/pki/ca.crt
    site.authority().ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_of_another_cluster_pushes_without_a_password() -> Result<()> {
    let elsewhere = elsewhere().await?;
    let config = Some("[egress]\nallow = [\"127.0.0.0/8\"]\n".to_owned());
    let site = Site::start_with(SiteOptions { config, ..SiteOptions::default() }).await?;
    let host = site.route_host("docker-registry", "default")?;
    site.admin()?.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
    let registry = format!("{}:{}", host.as_str(), site.addresses().router_http.port());
    let owner = site.user("owner").await?;
    owner.oc(["new-project", "shop"]).await.succeeds();
    owner.oc(["create", "sa", "pusher"]).await.succeeds();
    owner.oc(["policy", "add-role-to-user", "edit", "-z", "pusher"]).await.succeeds();
    let rule = json!({
        "apiVersion": "identity.pierhead.io/v1", "kind": "FederatedIdentity", "metadata": {"name": "ci"},
        "spec": {
            "serviceAccountName": "pusher", "issuer": elsewhere.api_url(),
            "audiences": ["https://registry.example.com"],
            "claims": [{"name": "/kubernetes.io/namespace", "values": ["ci"]}],
            "certificateAuthority": std::fs::read_to_string(elsewhere.authority())?,
        },
    });
    owner.kubectl_with_input(["apply", "-n", "shop", "-f", "-"], &rule.to_string()).await.succeeds();
    let listed = owner.oc(["get", "federatedidentities"]).await.succeeds();
    ensure!(listed.contains("pusher") && listed.contains(&elsewhere.api_url()), "{listed}");

    let pipeline = site.stranger("pipeline")?;
    let token = job_token(&elsewhere, "ci").await?;
    let login = |user: &str, token: &str| {
        ["login", "--tls-verify=false", "-u", user, "-p", token, registry.as_str()].map(str::to_owned)
    };
    eventually("the pipeline can log in", async || {
        pipeline.skopeo(login("shop/pusher", &token)).await.said("Login Succeeded").then_some(())
    })
    .await?;
    let mut layout = Layout::create(&pipeline.home().join("image"))?;
    let image = layout.image("amd64", &small_layer("built"), &["/bin/true"])?;
    layout.name("built", &image)?;
    let target = format!("docker://{registry}/shop/built:1");
    let push = ["copy", "--dest-tls-verify=false", &layout.reference("built"), &target].map(str::to_owned);
    pipeline.skopeo(push.clone()).await.succeeds();

    let others = site.stranger("others")?;
    let other = job_token(&elsewhere, "production").await?;
    for (user, token) in
        [("shop/pusher", &other), ("shop/deployer", &token), ("default/pusher", &token), ("pusher", &token)]
    {
        ensure!(!others.skopeo(login(user, token)).await.said("Login Succeeded"), "{user} logged in");
    }
    owner.oc(["delete", "federatedidentity", "ci"]).await.succeeds();
    pipeline.skopeo(push).await.fails_with("");
    site.stop()?;
    elsewhere.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_exchanged_and_secrets_are_not_in_the_files() -> Result<()> {
    let site = Site::start().await?;
    let owner = site.user("owner").await?;
    owner.oc(["new-project", "shop"]).await.succeeds();
    owner.oc(["create", "sa", "pusher"]).await.succeeds();
    let secret = ["create", "secret", "generic", "s", "--from-literal=password=hunter2-of-the-pier"];
    owner.oc(secret).await.succeeds();
    let token = async || owner.oc(["sa", "get-token", "pusher"]).await;
    let first = eventually("the account has a token", async || {
        let said = token().await;
        said.said("ey").then(|| said.succeeds().trim().to_owned())
    })
    .await?;
    let whoami = async |token: &str| owner.oc(["whoami", &format!("--token={token}")]).await;
    let rotate = |retire: &[&str]| -> Result<String> {
        let mut command = Command::new(site.binary());
        command.arg("rotate-signing-key").arg("--data").arg(data(&site)).args(retire);
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let keys = async || {
        let set = owner.oc(["get", "--raw", "/openid/v1/jwks"]).await.succeeds();
        let set: serde_json::Value = serde_json::from_str(&set).unwrap_or_default();
        set["keys"].as_array().map_or(0, Vec::len)
    };
    rotate(&[])?;
    eventually("both keys are published", async || (keys().await == 2).then_some(())).await?;
    whoami(&first).await.succeeds();
    rotate(&["--retire"])?;
    eventually("the old key is gone", async || (keys().await == 1).then_some(())).await?;
    whoami(&first).await.fails_with("");
    let second = eventually("the account has another token", async || {
        let said = token().await.succeeds().trim().to_owned();
        (said != first).then_some(said)
    })
    .await?;
    whoami(&second).await.succeeds();

    let metadata = data(&site).join("metadata");
    let words = [
        "hunter2-of-the-pier".to_owned(),
        BASE64_STANDARD.encode("hunter2-of-the-pier"),
        BASE64_STANDARD.encode(&second),
    ];
    for entry in std::fs::read_dir(&metadata).context("reading the metadata")? {
        let path = entry?.path();
        let bytes = std::fs::read(&path)?;
        for word in words.iter().chain([&first, &second]) {
            let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
            ensure!(!found, "{} holds a secret", path.display());
        }
    }
    site.stop()
}
