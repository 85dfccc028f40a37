//! Images of one project in another, by the command line alone: imported, tagged, described.

use anyhow::{Result, ensure};
use pierhead_testkit::layout::{Layout, small_layer};
use pierhead_testkit::{Actor, HostName, Site, eventually};

use crate::seed_story::{admitted, host_port};

/// A site with images in project `pushed`, whose owner also has project `production`.
struct Shelf {
    site: Site,
    ed: Actor,
    _host: HostName,
    registry: String,
}

impl Shelf {
    async fn open() -> Result<Self> {
        let site = Site::start().await?;
        let host = site.route_host("docker-registry", "default")?;
        let admin = site.admin()?;
        admin.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
        admitted(&admin, "docker-registry").await?;
        let registry = host_port(&host, site.addresses().router_http);
        let ed = site.user("ed").await?;
        for project in ["pushed", "production"] {
            ed.oc(["new-project", project]).await.succeeds();
        }
        let token = ed.oc(["whoami", "-t"]).await.succeeds();
        let server = format!("--docker-server={registry}");
        let password = format!("--docker-password={}", token.trim());
        let user = ["--docker-username=ed", "--docker-email=ed@example.com", "-n", "production"];
        let secret = ["secrets", "new-dockercfg", "pushed", &server, &password];
        ed.oc(secret.into_iter().chain(user)).await.succeeds();
        let shelf = Self { site, ed, _host: host, registry };
        shelf.push("app", "one", &["v1", "latest"]).await?;
        Ok(shelf)
    }

    async fn push(&self, stream: &str, text: &str, tags: &[&str]) -> Result<()> {
        let mut layout = Layout::create(&self.ed.home().join(format!("{stream}-{text}")))?;
        let image = layout.image("amd64", &small_layer(text), &["/bin/cat", "/message"])?;
        layout.name("image", &image)?;
        let token = self.ed.oc(["whoami", "-t"]).await.succeeds();
        let credentials = format!("--dest-creds=ed:{}", token.trim());
        for tag in tags {
            let target = format!("docker://{}/pushed/{stream}:{tag}", self.registry);
            let source = layout.reference("image");
            let copy = ["copy", "--dest-tls-verify=false", &credentials, &source, &target];
            self.ed.skopeo(copy).await.succeeds();
        }
        Ok(())
    }

    async fn oc(&self, line: &str) -> String {
        self.ed.oc(line.split(' ').chain(["-n", "production"])).await.succeeds()
    }

    async fn refused(&self, line: &str, text: &str) {
        self.ed.oc(line.split(' ').chain(["-n", "production"])).await.fails_with(text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_follows_an_image_of_another_project() -> Result<()> {
    let shelf = Shelf::open().await?;
    let from = format!("--from={}/pushed/app", shelf.registry);
    shelf
        .refused(
            &format!("import-image app {from} --insecure"),
            "no image stream named \"app\" exists, pass --confirm to create and import",
        )
        .await;
    let line =
        format!("import-image app:v1 {from}:v1 --confirm --insecure --scheduled --reference-policy=local");
    let said = shelf.oc(&line).await;
    ensure!(said.starts_with("The import completed successfully.\n\nName:"), "{said}");
    ensure!(said.contains(" *!  ") && said.contains("* tag is scheduled for periodic import"), "{said}");
    let described = shelf.oc("describe is app --compat=4").await;
    for line in [
        format!("  updates automatically from registry {}/pushed/app:v1", shelf.registry).as_str(),
        "    will use insecure HTTPS or HTTP connections",
        "    prefer registry pullthrough when referencing this tag",
    ] {
        ensure!(described.contains(line), "{line} in {described}");
    }
    let again = shelf.oc("import-image app:v1 --compat=4").await;
    ensure!(again.starts_with("imagestream.image.openshift.io/app imported\n"), "{again}");
    ensure!(again.contains("\nImage Name:") && again.contains("Image Size:"), "{again}");
    shelf
        .refused(
            "import-image app:other",
            "the tag \"other\" does not exist on the image stream - choose an existing tag to import",
        )
        .await;

    // A failed import is told, and stands in the stream.
    let bad = format!("import-image app:bad {from}:nope --confirm --insecure");
    let outcome = shelf.ed.oc(bad.split(' ').chain(["-n", "production"])).await;
    ensure!(outcome.code == Some(1) && outcome.said("tag bad failed:"), "{outcome}");
    let described = shelf.oc("describe is app").await;
    ensure!(described.contains("import failed: "), "{described}");
    let described = shelf.oc("describe is app --compat=4").await;
    ensure!(described.contains("  ! error: Import failed (NotFound): "), "{described}");

    let all = format!("import-image whole --all {from} --confirm --insecure");
    let said = shelf.oc(&all).await;
    ensure!(said.contains("latest") && said.contains("v1"), "{said}");
    shelf.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_point_to_everything_they_can() -> Result<()> {
    let shelf = Shelf::open().await?;
    let said = shelf.oc("tag pushed/app:v1 app:prod").await;
    ensure!(said.starts_with("Tag app:prod set to pushed/app@sha256:"), "{said}");
    let digest = said.trim().trim_end_matches('.').rsplit('@').next().unwrap_or_default().to_owned();
    let said = shelf.oc(&format!("tag app@{digest} app:back")).await;
    ensure!(said == format!("Tag app:back set to production/app@{digest}.\n"), "{said}");
    let said = shelf.oc("tag app:prod app:stable --alias").await;
    ensure!(said == "Tag app:stable set up to track app:prod.\n", "{said}");
    shelf
        .refused("tag app:prod other:stable --alias", "cannot set alias across different Image Streams")
        .await;
    let source = format!("{}/pushed/app:latest", shelf.registry);
    let said = shelf.oc(&format!("tag {source} app:next --scheduled --insecure")).await;
    ensure!(said == format!("Tag app:next set to import {source} periodically.\n"), "{said}");
    eventually("the tag is imported", async || {
        let line = "get istag app:next -n production -o jsonpath={.image.metadata.name}";
        shelf.ed.oc(line.split(' ')).await.said(&digest).then_some(())
    })
    .await?;
    let said = shelf.oc(&format!("tag {source} app:ref --source=docker --reference")).await;
    ensure!(said == format!("Tag app:ref set to {source}.\n"), "{said}");
    let described = shelf.oc("describe is app --compat=4").await;
    for line in [
        "prod (stable)\n  tagged from pushed/app@sha256:",
        format!("ref\n  reference to registry {source}\n").as_str(),
        format!("next\n  updates automatically from registry {source}\n").as_str(),
    ] {
        ensure!(described.contains(line), "{line} in {described}");
    }
    ensure!(shelf.oc("tag -d app:back").await == "Deleted tag production/app:back.\n");
    shelf.refused("tag -d app:back", "not found").await;
    shelf.site.stop()
}
