//! Service accounts and the forms of their tokens.

use anyhow::Result;
use pierhead_testkit::Site;

use super::{does, fails, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_service_accounts() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project robots").await;
    does(&ed, "create sa robot").await;
    a_service_account_works_from_a_kubeconfig_of_its_own(&site, &ed).await?;
    a_token_is_asked_for(&site, &ed).await?;
    site.stop()
}

async fn a_service_account_works_from_a_kubeconfig_of_its_own(
    site: &Site,
    ed: &pierhead_testkit::Actor,
) -> Result<()> {
    let kubeconfig = does(ed, "sa create-kubeconfig robot").await;
    let robot = site.stranger("robot")?;
    std::fs::write(robot.kubeconfig(), kubeconfig)?;
    says(&robot, "whoami", "system:serviceaccount:robots:robot\n").await;
    fails(&robot, "get secrets", 1, "cannot list").await;
    does(ed, "policy add-role-to-user edit -z robot").await;
    does(&robot, "get secrets").await;
    Ok(())
}

async fn a_token_is_asked_for(site: &Site, ed: &pierhead_testkit::Actor) -> Result<()> {
    let token = does(ed, "create token robot --duration=20m").await;
    let authority = site.authority();
    let line = format!(
        "whoami --server {} --certificate-authority {} --token={}",
        site.api_url(),
        authority.display(),
        token.trim()
    );
    says(&site.stranger("guest")?, &line, "system:serviceaccount:robots:robot\n").await;
    fails(ed, "create token nobody", 1, "serviceaccounts \"nobody\" not found").await;
    Ok(())
}
