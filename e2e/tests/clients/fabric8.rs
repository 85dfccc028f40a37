//! A day with Java: Fabric8's OpenShift client, which logs in with a password. The program is in `e2e/clients/fabric8`.

use anyhow::{Context as _, Result, ensure};
use pierhead_e2e::sample::{Blob, SampleImage};
use pierhead_testkit::{Script, ScriptedRegistry, Site, SiteOptions, Tool};

use super::{program, tool};

/// Tests are all on one machine, whose own addresses are otherwise nobody's to import from.
const CONFIG: &str = "[egress]\nallow = [\"127.0.0.0/8\"]\n";

const MORE: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: more, labels: {more: "yes"}}
---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: more}
"#;

/// A registry with `lib/app:latest`.
async fn source() -> Result<ScriptedRegistry> {
    let registry = ScriptedRegistry::start([127, 0, 0, 1].into()).await?;
    let image = SampleImage::of_layer(Blob::new("a layer"));
    for reference in ["latest", &image.manifest.digest] {
        let manifest = Script::sends(image.manifest.bytes.to_vec());
        let manifest = manifest.header("content-type", "application/vnd.oci.image.manifest.v1+json");
        registry.on(format!("/v2/lib/app/manifests/{reference}"), manifest);
    }
    registry
        .on(format!("/v2/lib/app/blobs/{}", image.config.digest), Script::sends(image.config.bytes.to_vec()));
    Ok(registry)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_fabric8() -> Result<()> {
    let options = SiteOptions { config: Some(CONFIG.to_owned()), ..SiteOptions::default() };
    let (site, source) = (Site::start_with(options).await?, source().await?);
    let joe = site.stranger("joe")?;
    std::fs::write(joe.home().join("more.yaml"), MORE)?;
    let libraries = tool("PIERHEAD_FABRIC8")?.join("*");
    let java = Tool::new("java", joe.home()).before(["--class-path".as_ref(), libraries.as_os_str()]);
    let (day, authority) = (program("fabric8/Day.java"), site.authority());
    let [day, authority] = [&day, &authority].map(|path| path.to_str());
    let (day, authority) = (day.context("a path")?, authority.context("a path")?);
    let day = java.run([day, &site.api_url(), authority, "joe", "secret", &source.host()]).await;
    ensure!(day.code == Some(0) && day.stdout == "fine\n", "{day}");
    site.stop()
}
