//! `whoami` and `auth whoami`.

use anyhow::Result;
use pierhead_testkit::Site;

use super::{does, fails, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_whoami() -> Result<()> {
    let site = Site::start().await?;
    one_learns_who_and_where_one_is(&site).await?;
    the_administrator_has_a_certificate(&site).await?;
    site.stop()
}

async fn one_learns_who_and_where_one_is(site: &Site) -> Result<()> {
    let ed = site.user("ed").await?;
    assert_eq!(does(&ed, "whoami").await, "ed\n");
    assert_eq!(does(&ed, "whoami --show-server").await, format!("{}\n", site.api_url()));
    assert!(does(&ed, "whoami -t").await.len() > 20);
    says(&ed, "auth whoami", "system:authenticated:oauth").await;
    assert_eq!(does(&ed, "auth whoami -o jsonpath={.status.userInfo.username}").await, "ed");
    fails(&ed, "whoami -t -c", 2, "stand alone").await;
    fails(&ed, "whoami --token=wrong", 4, "You must be logged in to the server").await;
    Ok(())
}

async fn the_administrator_has_a_certificate(site: &Site) -> Result<()> {
    let admin = site.admin()?;
    assert_eq!(does(&admin, "whoami").await, "system:admin\n");
    fails(&admin, "whoami -t", 1, "no token is currently in use for this session").await;
    assert_eq!(does(&admin, "whoami --as=ann --as-group=testers").await, "ann\n");
    fails(&admin, "whoami --as-group=testers", 1, "--as-group needs --as").await;
    fails(&site.user("ann").await?, "whoami --as=ed", 1, "cannot impersonate").await;
    Ok(())
}
