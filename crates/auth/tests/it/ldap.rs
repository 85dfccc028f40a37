//! The provider `LDAP` against OpenLDAP's own server, `slapd`, in a folder of its own.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pierhead_auth::ldap::{AttributeNames, Ldap, verifying};
use pierhead_auth::oauth::{Door, LoginError};
use pierhead_auth::password::{IdentityProvider, ProviderKind};
use pierhead_runtime::tls::{Authority, Leaf, Purpose, install_provider, roots};
use pierhead_runtime::{Clock as _, Secret, SystemClock};
use serde_json::json;

use crate::cluster::Cluster;

const USERS: &str = "users.user.openshift.io";
const IDENTITIES: &str = "identities.user.openshift.io";
const PEOPLE: &str = "ou=people,dc=acme,dc=com";
const SEARCHER: &str = pierhead_slapd::Directory::SEARCHER.0;

/// A referral; the people are made by [`person`].
const AWAY: &str = "\
dn: uid=away,ou=people,dc=acme,dc=com
objectClass: referral
objectClass: extensibleObject
uid: away
ref: ldap://127.0.0.1:1/uid=away,dc=acme,dc=com
";

fn person(place: &str, uid: &str, cn: &str, password: Option<&str>) -> String {
    let mut entry =
        format!("\ndn: cn={cn},{place}\nobjectClass: inetOrgPerson\ncn: {cn}\nsn: {cn}\nuid: {uid}\n");
    writeln!(entry, "mail: {cn}@acme.com").unwrap();
    if let Some(password) = password {
        writeln!(entry, "userPassword: {password}").unwrap();
    }
    entry
}

/// A running server, and the authority of its certificate.
struct Directory {
    server: pierhead_slapd::Directory,
    plain: SocketAddr,
    secure: SocketAddr,
    authority: Authority,
}

impl Directory {
    /// With `ann` and `bäse` who have passwords, two called `twin`, one without a password, and a referral.
    fn start() -> Self {
        install_provider();
        let now = SystemClock.now();
        let authority = Authority::create("directories", now).unwrap();
        let leaf = Leaf {
            common_name: "127.0.0.1".to_owned(),
            organizations: Vec::new(),
            names: vec!["127.0.0.1".to_owned()],
            purpose: Purpose::Server,
            valid_for: Duration::from_secs(86_400),
        };
        let pair = authority.issue(&leaf, now).unwrap();
        let people = [
            person(PEOPLE, "ann", "Ann", Some("right")),
            person(PEOPLE, "bäse", "Base", Some("pässword")),
            person(PEOPLE, "twin", "Castor", Some("right")),
            person(PEOPLE, "twin", "Pollux", Some("right")),
            person(PEOPLE, "bare", "Bare", None),
            person("ou=guests,dc=acme,dc=com", "guest", "Guest", Some("right")),
        ];
        let entries = AWAY.to_owned() + &people.concat();
        let server =
            pierhead_slapd::Directory::start(&entries, &pair.certificate, pair.key.expose()).unwrap();
        Self { plain: server.plain(), secure: server.secure(), server, authority }
    }

    /// A provider that searches below `ou=people` over StartTLS, changed by `change`.
    fn provider(&self, change: impl FnOnce(&mut Ldap)) -> Ldap {
        let url = format!("ldap://{}/{PEOPLE}", self.plain).parse().unwrap();
        let mut ldap = Ldap {
            attributes: AttributeNames::usual(&url),
            url,
            searcher: Some((SEARCHER.to_owned(), Secret::new("look".to_owned()))),
            tls: Some(verifying(roots(self.authority.certificate().as_bytes()).unwrap()).unwrap()),
        };
        change(&mut ldap);
        ldap
    }

    async fn cluster(&self, change: impl FnOnce(&mut Ldap)) -> Cluster {
        let ldap = self.provider(change);
        let provider = IdentityProvider::new("ds", ProviderKind::Ldap(Arc::new(ldap)));
        Cluster::with(|config| config.identity_providers = vec![provider]).await
    }
}

/// Who logs in so, or what is said.
async fn log_in(cluster: &Cluster, name: &str, password: &str) -> Result<String, &'static str> {
    match cluster.auth.login(name, password, None).await {
        Ok(user) => Ok(user.name),
        Err(LoginError::Credentials(_)) => Err("refused"),
        Err(LoginError::TooMany { .. }) => Err("too many"),
        Err(LoginError::Name { .. }) => Err("name"),
        Err(LoginError::Provider { .. }) => Err("outage"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn people_of_a_directory_log_in_with_its_passwords() {
    let directory = Directory::start();
    let cluster = directory.cluster(|_| {}).await;
    assert_eq!(log_in(&cluster, "ann", "right").await.as_deref(), Ok("ann"));
    let identity = format!("ds:{}", BASE64_URL_SAFE_NO_PAD.encode(format!("cn=Ann,{PEOPLE}")));
    let user = cluster.get(USERS, "", "ann").unwrap();
    assert_eq!((&user["fullName"], &user["identities"]), (&json!("Ann"), &json!([identity])));
    let stored = cluster.get(IDENTITIES, "", &identity).unwrap();
    let extra = json!({"name": "Ann", "email": "Ann@acme.com", "preferred_username": "ann"});
    assert_eq!(stored["extra"], extra);
    assert_eq!(log_in(&cluster, "ann", "right").await.as_deref(), Ok("ann"), "the second time");
    assert_eq!(log_in(&cluster, "ANN", "right").await.as_deref(), Ok("ann"), "as directories compare");
    assert_eq!(log_in(&cluster, "bäse", "pässword").await.as_deref(), Ok("bäse"));
    let form = cluster.auth.login_at(Door::Form(Some("ds")), ("ann", "right"), None).await;
    assert_eq!(form.unwrap().name, "ann");
    for (name, password) in [
        ("ann", "wrong"),
        // A directory takes these for a wish to be anonymous, and grants it.
        ("ann", ""),
        ("ann", "\0"),
        ("", "right"),
        ("nobody", "right"),
        ("guest", "right"),
        ("bare", "right"),
        ("twin", "right"),
        ("away", "right"),
    ] {
        assert_eq!(log_in(&cluster, name, password).await, Err("refused"), "{name:?} {password:?}");
    }
}

#[tokio::test]
async fn no_name_is_more_than_a_name_to_the_filter() {
    let directory = Directory::start();
    let cluster = directory.cluster(|_| {}).await;
    for name in
        ["*", "an*", "ann)(uid=*", "ann)(|(uid=*", "*)(&", r"\61nn", r"ann\", "(ann)", "a&nn", "a\u{ad}nn"]
    {
        assert_eq!(log_in(&cluster, name, "right").await, Err("refused"), "{name:?}");
    }
}

#[tokio::test]
async fn certificates_are_verified_unless_everything_is_in_the_clear() {
    let directory = Directory::start();
    let secure =
        |ldap: &mut Ldap| ldap.url = format!("ldaps://{}/{PEOPLE}", directory.secure).parse().unwrap();
    let strange = Authority::create("others", SystemClock.now()).unwrap();
    let strange = verifying(roots(strange.certificate().as_bytes()).unwrap()).unwrap();
    // The certificate names the address and no name.
    let named = |scheme: &str, at: SocketAddr| {
        let url = format!("{scheme}://localhost:{}/{PEOPLE}", at.port());
        move |ldap: &mut Ldap| ldap.url = url.parse().unwrap()
    };
    let check = async |change: &dyn Fn(&mut Ldap), expected: Result<&str, &'static str>| {
        let cluster = directory.cluster(change).await;
        assert_eq!(log_in(&cluster, "ann", "right").await.as_deref().map_err(|why| *why), expected);
    };
    check(&secure, Ok("ann")).await;
    check(&|ldap| ldap.tls = None, Ok("ann")).await;
    check(&|ldap| ldap.tls = Some(Arc::clone(&strange)), Err("outage")).await;
    check(
        &|ldap| {
            secure(ldap);
            ldap.tls = Some(Arc::clone(&strange));
        },
        Err("outage"),
    )
    .await;
    check(&named("ldap", directory.plain), Err("outage")).await;
    check(&named("ldaps", directory.secure), Err("outage")).await;
}

#[tokio::test]
async fn an_address_says_who_of_a_directory_is_meant() {
    let directory = Directory::start();
    let check = async |search: &str, name: &str, expected: Result<&str, &'static str>| {
        let url = format!("ldap://{}/{search}", directory.plain);
        let cluster = directory.cluster(|ldap| ldap.url = url.parse().unwrap()).await;
        assert_eq!(
            log_in(&cluster, name, "right").await.as_deref().map_err(|why| *why),
            expected,
            "{search}"
        );
    };
    check("dc=acme,dc=com", "guest", Ok("guest")).await;
    check("dc=acme,dc=com?uid?one", "guest", Err("refused")).await;
    check("dc=acme,dc=com?mail", "Guest@acme.com", Ok("guest")).await;
    check("dc=acme,dc=com???(cn=Guest)", "guest", Ok("guest")).await;
    check("dc=acme,dc=com???(!(cn=Guest))", "guest", Err("refused")).await;
    check("cn=Guest,ou=guests,dc=acme,dc=com??base", "guest", Ok("guest")).await;
    check("ou=nowhere,dc=acme,dc=com", "guest", Err("refused")).await;
    let by_id = directory.cluster(|ldap| ldap.attributes.id = vec!["entryUUID".into(), "UID".into()]).await;
    assert_eq!(log_in(&by_id, "ann", "right").await.as_deref(), Ok("ann"));
    assert_eq!(by_id.list(IDENTITIES).len(), 1);
    assert!(by_id.get(IDENTITIES, "", &format!("ds:{}", BASE64_URL_SAFE_NO_PAD.encode("ann"))).is_none());
    let unnamed = directory.cluster(|ldap| ldap.attributes.preferred_username = vec!["title".into()]).await;
    let name = log_in(&unnamed, "ann", "right").await.unwrap();
    assert_eq!(name, BASE64_URL_SAFE_NO_PAD.encode(format!("cn=Ann,{PEOPLE}")), "as OpenShift has it");
    let lacking = directory.cluster(|ldap| ldap.attributes.id = vec!["title".into()]).await;
    assert_eq!(log_in(&lacking, "ann", "right").await, Err("refused"));
}

#[tokio::test]
async fn a_directory_that_is_away_or_unwilling_is_called_so() {
    let mut directory = Directory::start();
    let anonymous = directory.cluster(|ldap| ldap.searcher = None).await;
    assert_eq!(log_in(&anonymous, "ann", "right").await, Err("refused"), "nobody may search without a name");
    let searcher = |password: &str| Some((SEARCHER.to_owned(), Secret::new(password.to_owned())));
    let locked_out = directory.cluster(|ldap| ldap.searcher = searcher("wrong")).await;
    for _ in 0..12 {
        assert_eq!(log_in(&locked_out, "ann", "right").await, Err("outage"), "that is nobody's guess");
    }
    let cluster = directory.cluster(|_| {}).await;
    for _ in 0..10 {
        assert_eq!(log_in(&cluster, "ann", "wrong").await, Err("refused"));
    }
    assert_eq!(
        log_in(&cluster, "Ann ", "right").await,
        Err("too many"),
        "guesses are counted, however spelt"
    );
    directory.server.stop().unwrap();
    assert_eq!(log_in(&cluster, "bäse", "pässword").await, Err("outage"));
}

/// What answers on the port is no directory: it says nothing, hangs up, or talks nonsense.
#[tokio::test]
async fn what_is_no_directory_holds_nobody_up() {
    let directory = Directory::start();
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x00",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x84\xff\xff\xff\xff",
    ] {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            // Until the other side has had enough.
            let mut rest = Vec::new();
            drop(stream.read_to_end(&mut rest).await);
        };
        let cluster = directory
            .cluster(|ldap| {
                ldap.url = format!("ldap://{at}/{PEOPLE}").parse().unwrap();
                ldap.tls = None;
            })
            .await;
        let (outcome, ()) = tokio::join!(log_in(&cluster, "ann", "right"), serving);
        assert_eq!(outcome, Err("outage"), "{answer:?}");
    }
}
