//! Advisories B: what a registry that somebody imports from may do to us, and make us do. The parts are tried one by one
//! in `client`; here it is the whole server, with its own configuration.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pierhead_e2e::sample::SampleImage;
use pierhead_testkit::{Actor, Script, ScriptedRegistry, Site, SiteOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// The password that must not get where it does not belong.
const CANARY: &str = "canary-4711";
/// One address of this machine is outside, the others are as forbidden as ever.
const CONFIG: &str = "[egress]\nallow = [\"127.0.0.2\"]\n";
const OUTSIDE: [u8; 4] = [127, 0, 0, 2];
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test(flavor = "multi_thread")]
async fn advisories_b_egress() -> Result<()> {
    let options = SiteOptions { config: Some(CONFIG.to_owned()), ..SiteOptions::default() };
    let site = Site::start_with(options).await?;
    let ann = site.user("ann").await?;
    ann.oc(["new-project", "prod"]).await.succeeds();
    b1_a_realm_gets_no_credentials_of_others(&ann).await.context("B1")?;
    b2_a_hop_takes_no_credentials_along(&ann).await.context("B2")?;
    b3_forbidden_addresses_are_not_connected_to(&ann).await.context("B3")?;
    b3_a_status_shows_nothing_of_an_answer(&ann).await.context("B3, answers")?;
    b6_content_is_what_was_asked_for(&ann).await.context("B6")?;
    b7_endless_and_silent_sources_end(&ann).await.context("B7")?;
    site.stop()
}

async fn hostile() -> Result<ScriptedRegistry> {
    ScriptedRegistry::start(OUTSIDE.into()).await
}

/// Imports, insecurely, and answers the status of the image.
async fn import(ann: &Actor, from: &str) -> Result<Value> {
    let import = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport",
        "metadata": {"name": "tried", "namespace": "prod"},
        "spec": {"import": false, "images": [{
            "from": {"kind": "DockerImage", "name": from}, "importPolicy": {"insecure": true},
        }]},
    });
    let made = ann.kubectl_with_input(["create", "-f", "-", "-o", "json"], &import.to_string()).await;
    let answer: Value = serde_json::from_str(&made.succeeds())?;
    Ok(answer["status"]["images"][0]["status"].clone())
}

async fn give_credentials(ann: &Actor, name: &str, host: &str) {
    let (server, password) = (format!("--docker-server={host}"), format!("--docker-password={CANARY}"));
    let made = ["create", "secret", "docker-registry", name, &server, "--docker-username=ann", &password];
    let mail = "--docker-email=ann@example.com";
    ann.oc(made.into_iter().chain([mail])).await.succeeds();
}

fn is_untouched(registry: &ScriptedRegistry) -> Result<()> {
    let tainted = registry.asked().into_iter().find(|asked| asked.authorization.is_some());
    ensure!(tainted.is_none(), "it got {tainted:?}");
    Ok(())
}

async fn b1_a_realm_gets_no_credentials_of_others(ann: &Actor) -> Result<()> {
    let (home, evil) = (hostile().await?, hostile().await?);
    give_credentials(ann, "b1", &home.host()).await;
    evil.on("/token", Script::sends(r#"{"token":"stolen"}"#));
    let port = home.host().rsplit_once(':').context("it has a port")?.1.to_owned();
    for realm in [
        format!("http://{}/token", evil.host()),
        format!("https://{}/token", evil.host()),
        format!("http://{}@{}/token", home.host(), evil.host()),
        format!("http://ann:{CANARY}@{}/token", evil.host()),
        format!("http://[::ffff:127.0.0.2]:{port}/token"),
        "http://169.254.169.254/latest/".to_owned(),
    ] {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"x\"");
        home.on("/v2/", Script::refuses(401).header("www-authenticate", &challenge));
        home.on("/v2/lib/app/manifests/latest", Script::refuses(401).header("www-authenticate", &challenge));
        let status = import(ann, &format!("{}/lib/app:latest", home.host())).await?;
        ensure!(status["status"] == "Failure", "{realm}: {status}");
        is_untouched(&evil).with_context(|| realm.clone())?;
        let basic = home
            .asked()
            .into_iter()
            .find(|asked| asked.authorization.as_ref().is_some_and(|value| value.starts_with("Basic")));
        ensure!(basic.is_none(), "{realm}: nobody asked for the password itself: {basic:?}");
    }
    Ok(())
}

async fn b2_a_hop_takes_no_credentials_along(ann: &Actor) -> Result<()> {
    let (home, evil) = (hostile().await?, hostile().await?);
    give_credentials(ann, "b2", &home.host()).await;
    let image = SampleImage::random(&mut rand::rng(), 1_000);
    home.on("/v2/", Script::refuses(401).header("www-authenticate", "Basic realm=\"x\""));
    let there =
        |path: &str| Script::refuses(307).header("location", &format!("http://{}/{path}", evil.host()));
    home.on("/v2/lib/app/manifests/latest", there("manifest"));
    home.on(format!("/v2/lib/app/blobs/{}", image.config.digest), there("config"));
    evil.on("/manifest", Script::sends(image.manifest.bytes.to_vec()).header("content-type", OCI));
    evil.on("/config", Script::sends(image.config.bytes.to_vec()));
    let status = import(ann, &format!("{}/lib/app:latest", home.host())).await?;
    ensure!(status["status"] == "Success", "{status}");
    ensure!(evil.count("GET /") == 2, "{:?}", evil.asked());
    ensure!(home.asked().iter().any(|asked| asked.authorization.is_some()), "the registry itself gets them");
    is_untouched(&evil)
}

async fn b3_forbidden_addresses_are_not_connected_to(ann: &Actor) -> Result<()> {
    let inside = TcpListener::bind("127.0.0.1:0").await?;
    let port = inside.local_addr()?.port();
    let hostile = hostile().await?;
    for host in
        ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "169.254.169.254", "2130706433"]
    {
        let redirect = format!("http://{host}:{port}/latest");
        hostile.on("/v2/lib/app/manifests/latest", Script::refuses(302).header("location", &redirect));
        for from in [format!("{host}:{port}/lib/app:latest"), format!("{}/lib/app:latest", hostile.host())] {
            let refused = match import(ann, &from).await {
                Ok(status) => status["status"] == "Failure",
                Err(error) => return Err(error.context(from)),
            };
            ensure!(refused, "{from} by {host}");
        }
    }
    ensure!(timeout(Duration::from_millis(100), inside.accept()).await.is_err(), "somebody knocked");
    Ok(())
}

async fn b3_a_status_shows_nothing_of_an_answer(ann: &Actor) -> Result<()> {
    let secret = "the-inside-of-somewhere";
    let hostile = hostile().await?;
    for status in [200, 400, 403, 404, 418] {
        let page = Script::sends(format!(r#"{{"errors":[{{"code":"{secret}","message":"{secret}"}}]}}"#));
        hostile.on("/v2/lib/app/manifests/latest", page.header("x-secret", secret).status(status));
        let shown = import(ann, &format!("{}/lib/app:latest", hostile.host())).await?.to_string();
        ensure!(!shown.contains(secret), "{status}: {shown}");
    }
    Ok(())
}

async fn b6_content_is_what_was_asked_for(ann: &Actor) -> Result<()> {
    let hostile = hostile().await?;
    let [wanted, other] = [(); 2].map(|()| SampleImage::random(&mut rand::rng(), 1_000));
    let manifest =
        |image: &SampleImage| Script::sends(image.manifest.bytes.to_vec()).header("content-type", OCI);
    let digest = &wanted.manifest.digest;
    hostile.on(format!("/v2/lib/app/manifests/{digest}"), manifest(&other));
    let status = import(ann, &format!("{}/lib/app@{digest}", hostile.host())).await?;
    ensure!(status["status"] == "Failure", "another manifest: {status}");
    let lying = manifest(&wanted).header("docker-content-digest", &other.manifest.digest);
    hostile.on("/v2/lib/app/manifests/latest", lying);
    let status = import(ann, &format!("{}/lib/app:latest", hostile.host())).await?;
    ensure!(status["status"] == "Failure", "another announcement: {status}");
    Ok(())
}

async fn b7_endless_and_silent_sources_end(ann: &Actor) -> Result<()> {
    let hostile = hostile().await?;
    let endless = Script::sends(vec![b' '; 64 << 10]).header("content-type", OCI).endless();
    hostile.on("/v2/lib/app/manifests/latest", endless.clone());
    let limit = Duration::from_secs(60);
    let status = timeout(limit, import(ann, &format!("{}/lib/app:latest", hostile.host()))).await??;
    ensure!(status["status"] == "Failure", "{status}");
    hostile.on("/v2/", endless);
    let image = format!("{}/lib/app:latest", hostile.host());
    timeout(limit * 2, import(ann, &image)).await??;
    Ok(())
}
