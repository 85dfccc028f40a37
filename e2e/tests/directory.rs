//! People and groups of an LDAP directory: they log in with its passwords, and its groups decide what they see.

use std::fs;

use anyhow::{Result, ensure};
use pierhead_slapd::Directory;
use pierhead_testkit::{Actor, Outcome, Site, SiteOptions};

use crate::login_elsewhere::{NO_AUTHORITY, certificate};

const ENTRIES: &str = "\
dn: cn=Ann,ou=people,dc=acme,dc=com
objectClass: inetOrgPerson
cn: Ann
sn: Archer
uid: ann
userPassword: right

dn: cn=Bob,ou=people,dc=acme,dc=com
objectClass: inetOrgPerson
cn: Bob
sn: Baker
uid: bob
userPassword: right

dn: cn=devs,ou=groups,dc=acme,dc=com
objectClass: groupOfNames
cn: devs
member: cn=Ann,ou=people,dc=acme,dc=com
";

async fn login(site: &Site, actor: &Actor, name: &str, password: &str) -> Outcome {
    let (api, authority) = (site.api_url(), site.authority().display().to_string());
    actor.oc(["login", &api, "-u", name, "-p", password, "--certificate-authority", &authority]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_says_who_people_are_and_which_groups_they_are_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    certificate(
        folder.path(),
        "tls",
        &[&NO_AUTHORITY[..], &["-addext", "subjectAltName=IP:127.0.0.1"]].concat(),
    )?;
    let (shown, key) = (fs::read_to_string(place("tls.crt"))?, fs::read_to_string(place("tls.key"))?);
    let mut directory = Directory::start(ENTRIES, &shown, &key)?;
    let (searcher, password) = Directory::SEARCHER;
    fs::write(place("password"), format!("{password}\n"))?;
    let (url, file, ca) = (directory.plain(), place("password"), place("tls.crt"));
    let config = format!(
        r#"
[[identity-providers]]
name = "acme"
type = "LDAP"
[identity-providers.ldap]
url = "ldap://{url}/ou=people,dc=acme,dc=com?uid"
bindDN = "{searcher}"
bindPasswordFile = "{}"
ca = "{}"
"#,
        file.display(),
        ca.display(),
    );
    let options =
        SiteOptions { config: Some(config), htpasswd: Some(String::new()), ..SiteOptions::default() };
    let site = Site::start_with(options).await?;
    let [ann, bob] = [site.stranger("ann")?, site.stranger("bob")?];
    login(&site, &ann, "ann", "right").await.succeeds();
    login(&site, &bob, "bob", "right").await.succeeds();
    login(&site, &site.stranger("eve")?, "ann", "wrong").await.fails_with("Login failed (401 Unauthorized)");
    assert_eq!(ann.oc(["whoami"]).await.succeeds().trim(), "ann");

    let admin = site.admin()?;
    let sync = format!(
        "kind: LDAPSyncConfig\napiVersion: v1\nurl: ldap://{url}\nca: {}\nbindDN: '{searcher}'\n\
         bindPassword: {{file: {}}}\nrfc2307:\n  \
         groupsQuery: {{baseDN: 'ou=groups,dc=acme,dc=com', filter: '(objectClass=groupOfNames)'}}\n  \
         groupUIDAttribute: dn\n  groupNameAttributes: [cn]\n  groupMembershipAttributes: [member]\n  \
         usersQuery: {{baseDN: 'ou=people,dc=acme,dc=com'}}\n  userUIDAttribute: dn\n  userNameAttributes: [uid]\n",
        ca.display(),
        file.display(),
    );
    fs::write(place("sync.yaml"), sync)?;
    let configured = format!("--sync-config={}", place("sync.yaml").display());
    let synced = admin.oc(["adm", "groups", "sync", &configured, "--confirm"]).await.succeeds();
    assert_eq!(synced, "group/devs\n");

    admin.oc(["adm", "new-project", "apps"]).await.succeeds();
    admin.oc(["policy", "add-role-to-group", "view", "devs", "-n", "apps"]).await.succeeds();
    ann.oc(["get", "imagestreams", "-n", "apps"]).await.succeeds();
    bob.oc(["get", "imagestreams", "-n", "apps"]).await.fails_with("Forbidden");

    directory.stop()?;
    assert_eq!(ann.oc(["whoami"]).await.succeeds().trim(), "ann", "tokens do not depend on the directory");
    let away = login(&site, &site.stranger("late")?, "ann", "right").await;
    ensure!(away.code == Some(1) && !away.said("401"), "an outage is nobody's wrong password: {away}");
    site.stop()
}
