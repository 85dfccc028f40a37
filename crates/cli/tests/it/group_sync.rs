//! `adm groups sync|prune` against OpenLDAP's own server, `slapd`, in a folder of its own.

use std::{fs, net::SocketAddr};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{Api, Outcome};

const GROUPS: &str = "/apis/user.openshift.io/v1/groups";

/// Groups that list their members; people who say which groups they are in, by name and by entry. One member is nowhere,
/// one elsewhere.
const ENTRIES: &str = "\
dn: cn=Ann,ou=people,dc=acme,dc=com
objectClass: inetOrgPerson
cn: Ann
sn: Ann
uid: ann
mail: ann@acme.com
employeeType: staff
employeeType: leads
seeAlso: cn=admins,ou=groups,dc=acme,dc=com

dn: cn=Bob,ou=people,dc=acme,dc=com
objectClass: inetOrgPerson
cn: Bob
sn: Bob
uid: bob
employeeType: staff
seeAlso: cn=admins,ou=groups,dc=acme,dc=com

dn: cn=Guest,ou=guests,dc=acme,dc=com
objectClass: inetOrgPerson
cn: Guest
sn: Guest
uid: guest

dn: cn=admins,ou=groups,dc=acme,dc=com
objectClass: groupOfNames
cn: admins
description: team-admins
member: cn=Ann,ou=people,dc=acme,dc=com
member: cn=bob,ou=People,dc=acme,dc=com

dn: cn=devs,ou=groups,dc=acme,dc=com
objectClass: groupOfNames
cn: devs
member: cn=Bob,ou=people,dc=acme,dc=com

dn: cn=odd,ou=groups,dc=acme,dc=com
objectClass: groupOfNames
cn: odd
member: cn=Gone,ou=people,dc=acme,dc=com
member: cn=Ann,ou=people,dc=acme,dc=com
member: cn=Guest,ou=guests,dc=acme,dc=com
";

const RFC2307: &str = "\
rfc2307:
  groupsQuery: {baseDN: 'ou=groups,dc=acme,dc=com', scope: sub, derefAliases: never, pageSize: 2, filter: '(objectClass=groupOfNames)'}
  groupUIDAttribute: dn
  groupNameAttributes: [description, cn]
  groupMembershipAttributes: [member]
  usersQuery: {baseDN: 'ou=people,dc=acme,dc=com', scope: sub, derefAliases: never}
  userUIDAttribute: dn
  userNameAttributes: [mail, uid]
";

const ACTIVE: &str = "\
activeDirectory:
  usersQuery: {baseDN: 'ou=people,dc=acme,dc=com', filter: objectClass=inetOrgPerson}
  userNameAttributes: [uid]
  groupMembershipAttributes: [employeeType]
";

const AUGMENTED: &str = "\
augmentedActiveDirectory:
  groupsQuery: {baseDN: 'ou=groups,dc=acme,dc=com'}
  groupUIDAttribute: dn
  groupNameAttributes: [cn]
  usersQuery: {baseDN: 'ou=people,dc=acme,dc=com'}
  userNameAttributes: [uid]
  groupMembershipAttributes: [seeAlso]
";

/// What a dry run prints.
const TEAM_ADMINS: &str = r#"apiVersion: v1
items:
- apiVersion: user.openshift.io/v1
  kind: Group
  metadata:
    annotations:
      openshift.io/ldap.sync-time: "2016-03-30T12:00:00Z"
      openshift.io/ldap.uid: cn=admins,ou=groups,dc=acme,dc=com
      openshift.io/ldap.url: 127.0.0.1:389
    labels:
      openshift.io/ldap.host: 127.0.0.1
    name: team-admins
  users:
  - ann@acme.com
  - bob
kind: List
metadata:
  resourceVersion: ""
"#;

const SEARCHER: &str = "bindDN: 'cn=searcher,dc=acme,dc=com'\nbindPassword: look\n";

/// A running server, and a folder with what the verbs read.
struct Directory {
    _server: pierhead_slapd::Directory,
    address: SocketAddr,
    home: TempDir,
    api: Api,
}

impl Directory {
    fn start() -> Self {
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let server = pierhead_slapd::Directory::start(ENTRIES, &certificate, &key).unwrap();
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("server.pem"), certificate).unwrap();
        Self { address: server.plain(), _server: server, home, api: Api::default() }
    }

    /// Writes the configuration that `run` names as `C`.
    fn configure(&self, text: &str) {
        let head = format!("kind: LDAPSyncConfig\napiVersion: v1\nurl: ldap://{}\n", self.address);
        fs::write(self.home.path().join("sync.yaml"), head + text).unwrap();
    }

    async fn run(&self, line: &str) -> Outcome {
        let line = line.replace('C', "--sync-config=sync.yaml");
        let outcome = self.api.run_among(&[("LDAP_PASSWORD", "look")], self.home.path(), &line, "").await;
        let hide = |text: String| text.replace(&self.address.to_string(), "127.0.0.1:389");
        Outcome { code: outcome.code, stdout: hide(outcome.stdout), stderr: hide(outcome.stderr) }
    }

    fn group(&self, name: &str) -> Value {
        self.api.object(&format!("{GROUPS}/{name}"))
    }

    /// Puts a Group that was made from a record.
    fn put(&self, name: &str, uid: &str) {
        let group = json!({
            "apiVersion": "user.openshift.io/v1", "kind": "Group",
            "metadata": {
                "name": name, "uid": "u0", "labels": {"openshift.io/ldap.host": "127.0.0.1"},
                "annotations": {"openshift.io/ldap.url": self.address.to_string(), "openshift.io/ldap.uid": uid},
            },
            "users": ["old"],
        });
        self.api.put(&format!("{GROUPS}/{name}"), group);
    }
}

#[tokio::test]
async fn groups_that_list_their_members_are_synchronized() {
    let directory = Directory::start();
    directory.configure(&format!("insecure: true\n{SEARCHER}{RFC2307}"));
    let line = "adm groups sync C cn=admins,ou=groups,dc=acme,dc=com";
    assert_eq!(directory.run(line).await.ok(), TEAM_ADMINS);
    assert!(directory.api.changes().is_empty());
    assert!(
        directory
            .run(&format!("{line} -o name"))
            .await
            .ok()
            .starts_with("group.user.openshift.io/team-admins\n")
    );

    // One that lists nobody who can be found spoils itself, and not the others.
    let outcome = directory.run("adm groups sync C --confirm").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, "group/team-admins\ngroup/devs\n"));
    assert_eq!(
        outcome.stderr,
        "error: determining LDAP group membership for \"cn=odd,ou=groups,dc=acme,dc=com\": membership lookup failed \
         for user \"cn=Gone,ou=people,dc=acme,dc=com\": search for entry with base \
         dn=\"cn=Gone,ou=people,dc=acme,dc=com\" and filter \"(objectClass=*)\" did not return any results\n"
    );
    assert_eq!(directory.group("team-admins")["users"], json!(["ann@acme.com", "bob"]));

    // Whoever is tolerated is passed over; those that are there are brought up to date.
    directory.put("devs", "cn=devs,ou=groups,dc=acme,dc=com");
    fs::write(directory.home.path().join("not.txt"), "\n cn=admins,ou=groups,dc=acme,dc=com \n").unwrap();
    let tolerant = "  tolerateMemberNotFoundErrors: true\n  tolerateMemberOutOfScopeErrors: true\n";
    let named = "groupUIDNameMapping: {'cn=odd,ou=groups,dc=acme,dc=com': strange}\n";
    directory.configure(&format!("insecure: true\n{named}{SEARCHER}{RFC2307}{tolerant}"));
    let outcome = directory.run("adm groups sync C --blacklist=not.txt --confirm").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "group/devs\ngroup/strange\n"));
    assert!(
        outcome.stderr.contains("ignoring member \"cn=Gone,ou=people,dc=acme,dc=com\""),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("ignoring member \"cn=Guest,ou=guests,dc=acme,dc=com\""),
        "{}",
        outcome.stderr
    );
    assert_eq!(directory.group("strange")["users"], json!(["ann@acme.com"]));
    let devs = directory.group("devs");
    assert_eq!((&devs["users"], &devs["metadata"]["uid"]), (&json!(["bob"]), &json!("u0")));
}

#[tokio::test]
async fn groups_of_others_are_left_alone() {
    let directory = Directory::start();
    directory.configure(&format!("insecure: true\n{SEARCHER}{RFC2307}"));
    let own = json!({"metadata": {"name": "devs", "uid": "u"}, "users": ["eve"]});
    directory.api.put(&format!("{GROUPS}/devs"), own.clone());
    directory.put("team-admins", "cn=others,ou=groups,dc=acme,dc=com");
    let line =
        "adm groups sync C cn=admins,ou=groups,dc=acme,dc=com cn=devs,ou=groups,dc=acme,dc=com --confirm";
    assert_eq!(
        directory.run(line).await.failed(),
        "error: building OpenShift group for LDAP group \"cn=admins,ou=groups,dc=acme,dc=com\": group \
         \"team-admins\": openshift.io/ldap.uid annotation did not match LDAP UID: wanted \
         cn=admins,ou=groups,dc=acme,dc=com, got cn=others,ou=groups,dc=acme,dc=com\n\
         error: building OpenShift group for LDAP group \"cn=devs,ou=groups,dc=acme,dc=com\": group \"devs\": \
         openshift.io/ldap.host label did not match sync host: wanted 127.0.0.1, got nothing\n"
    );
    assert_eq!(directory.group("devs"), own);
    assert_eq!(directory.group("team-admins")["users"], json!(["old"]));
    let error = directory.run("adm groups sync C --type=openshift groups/devs").await.failed();
    assert!(error.contains("did not have an openshift.io/ldap.url annotation"), "{error}");
    let error = directory.run("adm groups sync C --type=openshift users/ann").await.failed();
    assert_eq!(error, "error: \"users/ann\" is not a valid OpenShift group\n");
}

#[tokio::test]
async fn groups_that_their_members_name_are_synchronized() {
    let directory = Directory::start();
    directory.configure(&format!("insecure: true\n{SEARCHER}{ACTIVE}"));
    assert_eq!(directory.run("adm groups sync C --confirm").await.ok(), "group/leads\ngroup/staff\n");
    assert_eq!(directory.group("staff")["users"], json!(["ann", "bob"]));
    assert_eq!(directory.group("leads")["users"], json!(["ann"]));
    // By the names of those that were made.
    let text = directory.run("adm groups sync C --type=openshift groups/leads -o name").await.ok();
    assert_eq!(text, "group.user.openshift.io/leads\n");
    let text = directory.run("adm groups sync C staff -o jsonpath={.items[*].users}").await.ok();
    assert_eq!(text, "[\"ann\",\"bob\"]");

    directory.configure(&format!("insecure: true\n{SEARCHER}{AUGMENTED}"));
    assert_eq!(directory.run("adm groups sync C --confirm").await.ok(), "group/admins\n");
    let admins = directory.group("admins");
    assert_eq!(admins["users"], json!(["ann", "bob"]));
    assert_eq!(
        admins["metadata"]["annotations"]["openshift.io/ldap.uid"],
        "cn=admins,ou=groups,dc=acme,dc=com"
    );

    // Whose entry is not looked at is left out; who asks for it by name is told.
    let elsewhere = |schema: &str| schema.replace("ou=groups", "ou=guests");
    directory.configure(&format!("insecure: true\n{SEARCHER}{}", elsewhere(AUGMENTED)));
    let outcome = directory.run("adm groups sync C -o name").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""));
    assert!(outcome.stderr.contains("would search outside of the base dn"), "{}", outcome.stderr);
    directory.configure(&format!("insecure: true\n{SEARCHER}{}", elsewhere(RFC2307)));
    let error = directory.run("adm groups sync C cn=devs,ou=groups,dc=acme,dc=com").await.failed();
    assert!(error.contains("would search outside of the base dn"), "{error}");
}

#[tokio::test]
async fn groups_whose_record_is_gone_are_pruned() {
    let directory = Directory::start();
    directory.configure(&format!("insecure: true\n{SEARCHER}{RFC2307}"));
    directory.put("devs", "cn=devs,ou=groups,dc=acme,dc=com");
    directory.put("gone", "cn=gone,ou=groups,dc=acme,dc=com");
    directory.put("lost", "cn=lost,ou=groups,dc=acme,dc=com");
    directory.put("far", "cn=far,ou=elsewhere,dc=acme,dc=com");
    directory.api.put(&format!("{GROUPS}/own"), json!({"metadata": {"name": "own"}}));
    fs::write(directory.home.path().join("not.txt"), "groups/lost\n").unwrap();
    // What lies outside of what is looked at is not known to be gone.
    let outcome = directory.run("adm groups prune C").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, "group/gone\ngroup/lost\n"));
    assert!(outcome.stderr.contains("would search outside of the base dn"), "{}", outcome.stderr);
    assert!(directory.api.changes().is_empty());
    let outcome = directory.run("adm prune groups C --blacklist=not.txt --confirm").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, "group/gone\n"));
    assert_eq!(directory.api.changes(), [format!("DELETE {GROUPS}/gone")]);
    assert_eq!(
        directory.run("adm groups prune C groups/lost groups/devs --confirm").await.ok(),
        "group/lost\n"
    );
    // Nor is anything gone because a query leads nowhere, finds nothing, or we may not look.
    let nameless = RFC2307.replacen("ou=groups", "ou=people", 1).replace("Attribute: dn", "Attribute: cn");
    let rows = [
        (ACTIVE.replace("ou=people", "ou=nobody"), SEARCHER, "searching below \"ou=nobody,dc=acme,dc=com\""),
        (
            ACTIVE.replace("[employeeType]", "[title]"),
            SEARCHER,
            "nothing that matches \"(&(objectClass=inetOrgPerson)",
        ),
        (AUGMENTED.replace("ou=groups", "ou=devices"), SEARCHER, "would search outside of the base dn"),
        (nameless, SEARCHER, "which groups are gone cannot be told: nothing that matches"),
        (RFC2307.replacen("ou=groups", "groups", 1), SEARCHER, "is no name of an entry"),
        (RFC2307.to_owned(), "", "searching below \"ou=groups,dc=acme,dc=com\": there is no such entry"),
    ];
    for (schema, searcher, expected) in rows {
        directory.configure(&format!("insecure: true\n{searcher}{schema}"));
        let error = directory.run("adm groups prune C groups/devs --confirm").await.failed();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(directory.group("devs").is_object());
    }
}

#[tokio::test]
async fn passwords_and_certificates_of_directories() {
    let directory = Directory::start();
    fs::write(directory.home.path().join("password"), "look\n").unwrap();
    let bind = |password: &str| format!("bindDN: 'cn=searcher,dc=acme,dc=com'\nbindPassword: {password}\n");
    let line = "adm groups sync C cn=devs,ou=groups,dc=acme,dc=com -o name";
    // StartTLS, with the certificate's own authority.
    for password in ["{value: look}", "{file: password}", "{env: LDAP_PASSWORD}"] {
        directory.configure(&format!("ca: server.pem\n{}{RFC2307}", bind(password)));
        assert_eq!(directory.run(line).await.ok(), "group.user.openshift.io/devs\n", "{password}");
    }
    let rows = [
        (bind("look"), "UnknownIssuer"),
        (
            format!("insecure: true\n{}", bind("wrong")),
            "does not let us search: the name or the password is wrong",
        ),
        ("insecure: true\n".to_owned(), "did not return any results"),
        (format!("insecure: true\n{}", bind("''")), "bindPassword: is required where there is a bindDN"),
        (
            format!("insecure: true\nca: server.pem\n{SEARCHER}"),
            "ca: nothing is verified where insecure is true",
        ),
        (format!("{ACTIVE}{SEARCHER}"), "exactly one of rfc2307, activeDirectory, augmentedActiveDirectory"),
        ("colour: red\n".to_owned(), "unknown field `colour`"),
        (bind("{keyFile: a, file: b}"), "keyFile: encrypted values are not supported"),
    ];
    for (text, expected) in rows {
        directory.configure(&format!("{text}{RFC2307}"));
        let error = directory.run(line).await.failed();
        assert!(error.contains(expected) && !error.contains("look"), "{text}: {error}");
    }
}
