//! `adm groups sync` against directories that answer as `slapd` never would.

use std::{fs, net::SocketAddr};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::api::{Api, Outcome};

const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const SEARCH: u8 = 0x63;

/// The operations that a search is answered with, by what stands in the request; none ends the connection.
type Answers = fn(&str) -> Vec<Vec<u8>>;

/// Tag, length and content (X.690).
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], content].concat()
}

fn text(text: &str) -> Vec<u8> {
    tlv(0x04, text.as_bytes())
}

fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Vec<u8> {
    let attribute = |(name, values): &(&str, &[&str])| {
        let values: Vec<u8> = values.iter().flat_map(|value| text(value)).collect();
        tlv(0x30, &[text(name), tlv(0x31, &values)].concat())
    };
    let attributes: Vec<u8> = attributes.iter().flat_map(attribute).collect();
    tlv(ENTRY, &[text(dn), tlv(0x30, &attributes)].concat())
}

fn done() -> Vec<u8> {
    tlv(DONE, &[tlv(0x0a, &[0]), text(""), text("")].concat())
}

async fn answer(mut stream: TcpStream, answers: Answers) -> std::io::Result<()> {
    loop {
        let [_sequence, first] = [stream.read_u8().await?, stream.read_u8().await?];
        let length = match first {
            0x81 => stream.read_u8().await?.into(),
            0x82 => stream.read_u16().await?,
            short => short.into(),
        };
        let mut request = vec![0; length.into()];
        stream.read_exact(&mut request).await?;
        let (id, operation) = request.split_at(3);
        if operation[0] != SEARCH {
            continue;
        }
        let messages = answers(&String::from_utf8_lossy(operation));
        if messages.is_empty() {
            return Ok(());
        }
        for message in messages {
            stream.write_all(&tlv(0x30, &[id, &message].concat())).await?;
        }
    }
}

struct Odd {
    _tasks: JoinSet<()>,
    home: TempDir,
    api: Api,
}

impl Odd {
    async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(answer(stream, answers).await);
            }
        });
        let home = tempfile::tempdir().unwrap();
        // A path in the URL, nothing where something may stand, and names with escapes mean nothing special.
        let config = format!(
            "kind: LDAPSyncConfig
apiVersion: v1
url: ldap://{address}/dc=acme?cn
insecure: true
bindDN: null
rfc2307:
  groupsQuery: {{baseDN: 'ou=gr\\6Fups,dc=acme', filter: null, derefAliases: never}}
  groupUIDAttribute: dn
  groupNameAttributes: [cn]
  groupMembershipAttributes: [member]
  usersQuery: {{baseDN: 'ou=people,dc=acme'}}
  userUIDAttribute: dn
  userNameAttributes: [uid]
"
        );
        fs::write(home.path().join("sync.yaml"), config).unwrap();
        Self { _tasks: tasks, home, api: Api::default() }
    }

    async fn sync(&self, groups: &str) -> Outcome {
        let line =
            format!("adm groups sync {groups} --sync-config=sync.yaml -o jsonpath={{.items[*].users}}");
        self.api.run_among(&[], self.home.path(), &line, "").await
    }
}

/// As Active Directory gives groups of more than 1500 members: some at a time.
fn in_ranges(request: &str) -> Vec<Vec<u8>> {
    let big = "cn=big,ou=groups,dc=acme";
    let found = if request.contains("member;range=3-*") {
        entry(big, &[("member;range=3-*", &["cn=d,ou=people,dc=acme"])])
    } else if request.contains("member;range=2-*") {
        entry(big, &[("member;range=2-2", &["cn=c,ou=people,dc=acme"])])
    } else if request.contains(big) {
        let some: &[&str] = &["cn=a,ou=people,dc=acme", "cn=b,ou=people,dc=acme"];
        entry(big, &[("cn", &["big"]), ("member", &[]), ("member;range=0-1", some)])
    } else {
        let (_, rest) = request.split_once("cn=").unwrap();
        let (name, _) = rest.split_once(',').unwrap();
        entry(&format!("cn={name},ou=people,dc=acme"), &[("uid", &[name])])
    };
    vec![found, done()]
}

#[tokio::test]
async fn members_that_come_in_ranges_are_all_asked_for() {
    let directory = Odd::start(in_ranges).await;
    assert_eq!(directory.sync("cn=big,ou=groups,dc=acme").await.ok(), r#"["a","b","c","d"]"#);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_costs_one_group() {
    let directory = Odd::start(|request| {
        if request.contains("cn=bad") {
            vec![tlv(ENTRY, &tlv(0x02, &[7])), done()]
        } else {
            in_ranges(request)
        }
    })
    .await;
    let outcome = directory.sync("cn=bad,ou=groups,dc=acme cn=big,ou=groups,dc=acme").await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, r#"["a","b","c","d"]"#));
    assert!(outcome.stderr.contains("answers in a way that cannot be read"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_asked_again() {
    let directory = Odd::start(|_| Vec::new()).await;
    let error = directory.sync("cn=a,ou=groups,dc=acme cn=b,ou=groups,dc=acme").await.failed();
    assert!(
        error.contains("cannot be asked") && error.contains("cn=a") && !error.contains("cn=b"),
        "{error}"
    );
}
