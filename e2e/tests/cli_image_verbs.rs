//! The image verbs against our own registry: an image is made, shown, copied to another project, changed and unpacked,
//! with credentials that `registry login` saved.

use anyhow::{Result, ensure};
use pierhead_testkit::layout::small_layer;
use pierhead_testkit::{Actor, HostName, Site};

use crate::seed_story::{admitted, host_port};

struct Shop {
    site: Site,
    ed: Actor,
    _host: HostName,
    registry: String,
}

impl Shop {
    async fn open() -> Result<Self> {
        let site = Site::start().await?;
        let host = site.route_host("docker-registry", "default")?;
        let registry = host_port(&host, site.addresses().router_http);
        let admin = site.admin()?;
        admin.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
        admitted(&admin, "docker-registry").await?;
        let ed = site.user("ed").await?;
        for project in ["shop", "other"] {
            ed.oc(["new-project", project]).await.succeeds();
        }
        std::fs::write(ed.home().join("layer.tar"), small_layer("hello"))?;
        Ok(Self { site, ed, _host: host, registry })
    }

    fn words(&self, line: &str) -> Vec<String> {
        line.split(' ').map(|word| word.replace("R/", &format!("{}/", self.registry))).collect()
    }

    async fn oc(&self, line: &str) -> String {
        self.ed.oc(self.words(line)).await.succeeds()
    }

    async fn refused(&self, line: &str, text: &str) {
        self.ed.oc(self.words(line)).await.fails_with(text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_made_copied_and_unpacked_without_an_engine() -> Result<()> {
    let shop = Shop::open().await?;
    shop.refused("image append --to=R/shop/web:1 layer.tar --insecure", "there are no credentials for it")
        .await;
    let login = format!("registry login --registry={} --insecure", shop.registry);
    let said = shop.oc(&login).await;
    ensure!(said.starts_with(&format!("Saved credentials for {} into ", shop.registry)), "{said}");
    let pushed = shop.oc("image append --to=R/shop/web:1 layer.tar --insecure").await;
    let digest = pushed.split(' ').nth(1).unwrap_or_default().to_owned();
    ensure!(pushed == format!("Pushed {digest} to {}/shop/web:1\n", shop.registry), "{pushed}");
    let described = shop.oc("describe is web -n shop --compat=4").await;
    ensure!(described.contains(&digest), "{described}");
    let shown = shop.oc("image info R/shop/web:1 --insecure").await;
    ensure!(shown.contains(&digest) && shown.contains(" in 1 layers"), "{shown}");

    let mirrored = shop.ed.oc(shop.words("image mirror R/shop/web:1 R/other/web:prod --insecure")).await;
    ensure!(mirrored.said("mounted: "), "{mirrored:?}");
    ensure!(mirrored.succeeds() == format!("{digest} {}/other/web:prod\n", shop.registry), "another digest");
    let stream = shop.oc("get istag web:prod -n other -o jsonpath={.image.metadata.name}").await;
    ensure!(stream == digest, "{stream}");

    let change = r#"--image={"Labels":{"a":"b"}}"#;
    shop.oc(&format!("image append --from=R/other/web:prod --to=R/other/web:next --insecure {change}")).await;
    ensure!(
        shop.oc("image info R/other/web:next --insecure -o json").await.contains(r#""a": "b""#),
        "no label"
    );
    std::fs::create_dir(shop.ed.home().join("out"))?;
    shop.oc("image extract R/other/web:next --path=/message:out --insecure").await;
    ensure!(std::fs::read_to_string(shop.ed.home().join("out/message"))? == "hello", "another message");
    shop.refused("image append --to=R/nowhere/web:1 layer.tar --insecure", "error: ").await;
    shop.site.stop()
}
