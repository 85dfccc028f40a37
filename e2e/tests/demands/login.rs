//! `login` and `logout`.

use anyhow::{Context as _, Result};
use pierhead_testkit::Site;

use super::{does, fails, run, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_login() -> Result<()> {
    let site = Site::start().await?;
    who_is_not_logged_in_is_told_how_to(&site).await?;
    servers_that_are_away_or_unknown_are_named(&site).await?;
    a_login_leads_to_a_project(&site).await?;
    tokens_are_taken_and_reused(&site).await?;
    who_may_not_make_projects_is_told_whom_to_ask(&site).await?;
    accounts_of_programs_log_in_and_out(&site).await?;
    site.stop()
}

async fn who_is_not_logged_in_is_told_how_to(site: &Site) -> Result<()> {
    let stranger = site.stranger("nobody")?;
    fails(&stranger, "get pods", 4, "Missing or incomplete configuration info").await;
    fails(&stranger, "whoami -t", 4, "Missing or incomplete configuration info").await;
    Ok(())
}

async fn servers_that_are_away_or_unknown_are_named(site: &Site) -> Result<()> {
    let stranger = site.stranger("traveller")?;
    fails(&stranger, "login https://127.0.0.1:1 -u ed -p x", 1, "127.0.0.1:1 was refused").await;
    let line = format!("login {} -u ed -p x", site.api_url());
    let outcome = stranger.oc_with_input(super::words(&line), "n\n").await;
    outcome.fails_with("certificate");
    Ok(())
}

async fn a_login_leads_to_a_project(site: &Site) -> Result<()> {
    let ed = site.user("ed").await?;
    let authority = site.authority();
    let authority = authority.to_str().context("UTF-8")?.to_owned();
    let again = format!("login {} -u ed -p x --certificate-authority {authority}", site.api_url());
    says(&ed, &again, "oc new-project <projectname>").await;
    says(&ed, "new-project project-foo", "Now using project \"project-foo\" on server").await;
    says(&ed, &again, "Using project \"project-foo\".").await;
    let context = does(&ed, "whoami -c").await;
    let place = site.addresses().api.to_string().replace('.', "-");
    assert_eq!(context.trim(), format!("project-foo/{place}/ed"));
    says(&ed, "logout", "Logged \"ed\" out on").await;
    fails(&ed, "whoami -t", 1, "no token is currently in use").await;
    let outcome = run(&ed, "get pods").await;
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.said("system:anonymous"), "{outcome}");
    Ok(())
}

async fn tokens_are_taken_and_reused(site: &Site) -> Result<()> {
    let ann = site.user("ann").await?;
    let token = does(&ann, "whoami -t").await;
    let other = site.stranger("machine")?;
    let authority = site.authority();
    let login = format!("login {} --certificate-authority {}", site.api_url(), authority.display());
    fails(&other, &format!("{login} --token=badvalue"), 1, "The token provided is invalid or expired").await;
    says(&other, &format!("{login} --token={}", token.trim()), "using the token provided").await;
    says(&other, "whoami", "ann\n").await;
    says(&other, &login, "using existing credentials").await;
    Ok(())
}

async fn who_may_not_make_projects_is_told_whom_to_ask(site: &Site) -> Result<()> {
    let admin = site.admin()?;
    let line = "cluster-role-from-group self-provisioner system:authenticated:oauth";
    does(&admin, &format!("adm policy remove-{line}")).await;
    let joe = site.user("joe").await?;
    let authority = site.authority();
    let login =
        format!("login {} -u joe -p x --certificate-authority {}", site.api_url(), authority.display());
    says(&joe, &login, "Contact your system administrator to request a project").await;
    fails(&joe, "new-project denied", 1, "You may not request a new project via this API").await;
    does(&admin, "adm policy add-cluster-role-to-group self-provisioner system:authenticated:oauth").await;
    says(&joe, &login, "oc new-project <projectname>").await;
    Ok(())
}

async fn accounts_of_programs_log_in_and_out(site: &Site) -> Result<()> {
    let ed = site.user("edgar").await?;
    does(&ed, "new-project programs").await;
    does(&ed, "create serviceaccount robot").await;
    let token = does(&ed, "sa get-token robot").await;
    let robot = site.stranger("robot")?;
    let authority = site.authority();
    let login = format!(
        "login {} --token={} --certificate-authority {}",
        site.api_url(),
        token.trim(),
        authority.display()
    );
    says(&robot, &login, "system:serviceaccount:programs:robot").await;
    says(&robot, "whoami", "system:serviceaccount:programs:robot\n").await;
    fails(&robot, "new-project more", 1, "You may not request a new project via this API").await;
    says(&robot, "logout", "Logged \"system:serviceaccount:programs:robot\" out").await;
    Ok(())
}
