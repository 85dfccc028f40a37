//! `registry info` and `registry login`.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, says};
use crate::seed_story::admitted;

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_registry() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project registries").await;
    the_registry_is_known_by_a_stream(&ed).await?;
    credentials_of_an_account_are_saved(&ed).await?;
    a_route_gives_it_a_public_name(&site, &ed).await?;
    site.stop()
}

async fn the_registry_is_known_by_a_stream(ed: &Actor) -> Result<()> {
    does(ed, "create imagestream any").await;
    says(ed, "registry info", "127.0.0.1:").await;
    fails(ed, "registry info --public", 1, "registry does not have public hostname").await;
    Ok(())
}

async fn credentials_of_an_account_are_saved(ed: &Actor) -> Result<()> {
    let saved = does(ed, "registry login -z default --registry=hub.example.com --to=- --skip-check").await;
    assert!(saved.contains("hub.example.com"), "{saved}");
    fails(ed, "registry login -z nobody --to=- --skip-check", 1, "nobody").await;
    fails(ed, "registry login --registry=127.0.0.1:1 --to=auth.json", 1, "127.0.0.1:1").await;
    Ok(())
}

async fn a_route_gives_it_a_public_name(site: &Site, ed: &Actor) -> Result<()> {
    let _host = site.route_host("docker-registry", "default")?;
    let admin = site.admin()?;
    does(&admin, "expose service docker-registry -n default").await;
    admitted(&admin, "docker-registry").await?;
    says(ed, "registry info --public", "docker-registry-default.").await;
    Ok(())
}
