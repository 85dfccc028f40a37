//! `secrets` and `create secret`.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_secrets() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project secrets").await;
    secrets_are_made_of_what_one_has(&ed).await?;
    accounts_are_given_secrets_in_all_forms_of_names(&ed).await?;
    values_are_extracted(&ed).await?;
    site.stop()
}

async fn secrets_are_made_of_what_one_has(ed: &Actor) -> Result<()> {
    std::fs::write(ed.home().join("settings"), "level=debug")?;
    std::fs::write(ed.home().join("id"), "private")?;
    does(ed, "secrets new from-file settings").await;
    does(ed, "secrets new-dockercfg registry --docker-server=hub.example.com --docker-username=ed --docker-password=x --docker-email=ed@example.com").await;
    says(ed, "get secret registry -o jsonpath={.type}", "kubernetes.io/dockercfg").await;
    does(ed, "secrets new-basicauth basic --username=ed --password=x").await;
    does(ed, "secrets new-sshauth ssh --ssh-privatekey=id").await;
    does(ed, "create secret generic literal --from-literal=a=b").await;
    does(ed, "create secret docker-registry pull --docker-server=hub.example.com --docker-username=ed --docker-password=x").await;
    says(ed, "get secret pull -o jsonpath={.type}", "kubernetes.io/dockerconfigjson").await;
    fails(ed, "create secret generic wrong --from-literal=a", 1, "expected key=value").await;
    fails(ed, "secrets new-dockercfg", 2, "<NAME>").await;
    says(ed, "create secret generic tried --from-literal=a=b --dry-run", "created (dry run)").await;
    fails(ed, "get secret tried", 1, "not found").await;
    Ok(())
}

async fn accounts_are_given_secrets_in_all_forms_of_names(ed: &Actor) -> Result<()> {
    for line in [
        "secrets add default registry",
        "secrets add serviceaccount/default secrets/registry",
        "secrets link sa/default secret/registry",
        "secrets add default basic ssh --for=mount",
        "secrets link default registry pull --for=pull,mount",
    ] {
        does(ed, line).await;
        does(ed, line).await;
    }
    let mounted = does(ed, "get sa default -o jsonpath={.secrets[*].name}").await;
    assert_eq!(mounted.split(' ').filter(|name| *name == "registry").count(), 1, "{mounted}");
    says(ed, "get sa default -o jsonpath={.imagePullSecrets[*].name}", "pull").await;
    fails(ed, "secrets link default none", 1, "\"none\" not found").await;
    fails(ed, "secrets link nobody registry", 1, "\"nobody\" not found").await;
    does(ed, "secrets unlink default basic registry").await;
    let mounted = does(ed, "get sa default -o jsonpath={.secrets[*].name}").await;
    assert!(!mounted.contains("basic") && !mounted.contains("registry"), "{mounted}");
    Ok(())
}

async fn values_are_extracted(ed: &Actor) -> Result<()> {
    assert!(does(ed, "extract secret/literal --to=-").await.contains('b'));
    std::fs::create_dir(ed.home().join("out"))?;
    does(ed, "extract secret/literal --to=out").await;
    assert_eq!(std::fs::read_to_string(ed.home().join("out/a"))?, "b");
    Ok(())
}
