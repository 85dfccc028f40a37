//! B3: which addresses are connected to, however they are written, and whatever a name says the second time.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::{AddressPolicy, Egress, EgressConfig, Resolver};
use pierhead_oci::Digest;

use super::{
    Host, MANIFEST_TYPE, OUTSIDE, Security, config, keyring, manifest, redirect, reply, repository,
    repository_of, sends_manifest,
};

/// Addresses that nobody is connected to.
const FORBIDDEN: &[&str] = &[
    // Loopback, as an address and in disguise.
    "127.0.0.1",
    "127.0.0.0",
    "127.1.2.3",
    "127.255.255.255",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:7f00:1",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::127.0.0.1",
    "64:ff9b:1:7f00:0:100::",
    "2002:7f00:1::",
    "2002:7f00:1::1",
    "2002:7f00:0001:0:0:0:0:1",
    "2001:0:7f00:1::",
    "2001:0:0:0:0:0:80ff:fffe",
    "fd00::5efe:127.0.0.1",
    "2001:db8::200:5efe:7f00:1",
    "2001:db8:0:0:0:5efe:7f00:1",
    // No host at all.
    "0.0.0.0",
    "0.0.0.1",
    "0.1.2.3",
    "0.255.255.255",
    "::",
    "::ffff:0.0.0.0",
    "::ffff:0:0",
    "64:ff9b::",
    "64:ff9b::0.0.0.0",
    "2002::",
    "2002::1",
    "::ffff:0:0.0.0.0",
    // Link-local, with the metadata services that live there.
    "169.254.0.0",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.169.253",
    "169.254.169.123",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.0.23",
    "169.254.42.42",
    "169.254.255.255",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "::a9fe:a9fe",
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "2002:a9fe:a9fe::1",
    "::ffff:0:a9fe:a9fe",
    "2001:db8::5efe:a9fe:a9fe",
    "fe80::1",
    "fe80::",
    "fe80::a9fe:a9fe",
    "fe90::1",
    "fea0::1",
    "febf:ffff::1",
    "fe80::ffff:ffff:ffff:ffff",
    // Metadata services elsewhere.
    "100.100.100.200",
    "::ffff:100.100.100.200",
    "64:ff9b::100.100.100.200",
    "2002:6464:64c8::",
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "64:ff9b::168.63.129.16",
    "192.0.0.192",
    "::ffff:192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2:0:0:0:0:0:254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "192.0.0.170",
    "192.0.0.8",
    // Many hosts at once.
    "224.0.0.1",
    "224.0.0.251",
    "239.255.255.250",
    "239.255.255.255",
    "232.1.2.3",
    "::ffff:224.0.0.1",
    "64:ff9b::224.0.0.1",
    "2002:e000:1::",
    "ff02::1",
    "ff01::1",
    "ff05::1:3",
    "ff0e::1",
    "ffff::1",
    "ff00::",
    "255.255.255.255",
    "::ffff:255.255.255.255",
    "64:ff9b::255.255.255.255",
    "2002:ffff:ffff::",
    // Reserved.
    "240.0.0.1",
    "240.0.0.0",
    "250.1.2.3",
    "254.254.254.254",
    "255.0.0.0",
    "::ffff:240.0.0.1",
    "192.0.0.0",
    "192.0.0.1",
    "192.0.0.255",
    "fec0::1",
    "fec0::",
    "feff::1",
    "100::",
    "100::1",
    "5f00::1",
    "3fff::1",
    "64:ff9b:1::",
    "64:ff9b:1:ffff::1",
    "64:ff9b:1::8.8.8.8",
    "2001::",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
];

/// Addresses that are.
const PERMITTED: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.199",
    "100.100.100.201",
    "168.63.129.15",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.1",
    "223.255.255.255",
    "192.0.1.1",
    "191.255.255.255",
    "203.0.113.7",
    "198.51.100.7",
    "::ffff:8.8.8.8",
    "::ffff:10.0.0.1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "fd00::1",
    "fdff:ffff::1",
    "fd00:ec2::253",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:db8::1",
    "2001:4860:4860::8888",
    "fe00::1",
];

/// Texts that other parsers take for addresses.
const DISGUISED: &[&str] = &[
    "0",
    "0x0",
    "00",
    "1",
    "127",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F000001",
    "0X7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "0177.0.0.01",
    "127.0.0.01",
    "127.0.0.0x1",
    "00000177.0.0.1",
    "127.000.000.001",
    "127.0.0.1.",
    "127.0.0.256",
    "127.0.0.1.1",
    "256.256.256.256",
    "4294967295",
    "4294967296",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "1e3",
    "127.0.0.1%00",
    "127.0.0.1%2f",
    "[::1%25lo]",
    "[::1%lo]",
    "[fe80::1%25eth0]",
    "[::ffff:0x7f.0.0.1]",
    "[::ffff:127.0.0.01]",
    "[::127.1]",
    "[1]",
    "[]",
    "[::1",
    "::1",
    "\u{2460}27.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{ff10}",
    "localhost.",
    "local host",
    "127.0.0.1@registry.test",
];

fn host_of(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[test]
fn b3_addresses_are_judged_by_what_they_mean() {
    assert!(FORBIDDEN.len() + PERMITTED.len() + DISGUISED.len() >= 200);
    let policy = AddressPolicy::default();
    for text in FORBIDDEN {
        let address: IpAddr = text.parse().unwrap();
        assert!(policy.check(address).is_err(), "{text} is permitted");
    }
    for text in PERMITTED {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(policy.check(address), Ok(()), "{text}");
    }
}

#[tokio::test]
async fn b3_no_spelling_of_a_forbidden_address_is_connected_to() {
    let inside =
        Host::start_at("127.0.0.1".parse().unwrap(), "x", Security::Plain, |_| reply(200, &[], "inside"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let resolver: Resolver = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(vec![OUTSIDE]) })
    });
    let egress = Egress::new(EgressConfig { resolver, ..config() });
    let port = inside.address.port();
    let hosts = FORBIDDEN
        .iter()
        .map(|address| host_of(address))
        .chain(DISGUISED.iter().map(|text| (*text).to_owned()));
    for host in hosts {
        for insecure in [false, true] {
            let remote = repository_of(&egress, &format!("{host}:{port}"), keyring(&[]), insecure);
            let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
            if host == "1e3" {
                continue; // a name like any other
            }
            assert!(matches!(error, RemoteError::Refused { .. }), "{host}: {error}");
        }
    }
    assert!(inside.seen().is_empty());
    assert!(asked.load(Ordering::SeqCst) <= 4, "addresses are not asked of name servers");
}

#[tokio::test]
async fn b3_a_name_means_the_address_that_is_connected_to() {
    let inside =
        Host::start_at("127.0.0.1".parse().unwrap(), "x", Security::Plain, |_| reply(200, &[], "inside"));
    let rows: [&[&str]; 6] = [
        &["127.0.0.1"],
        &["127.0.0.1", "::1"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254"],
        &["0.0.0.0"],
        &["127.0.0.1", "127.0.0.1", "127.0.0.1"],
    ];
    for addresses in rows {
        let answer: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let resolver: Resolver = Arc::new(move |_| {
            let answer = answer.clone();
            Box::pin(async { Ok(answer) })
        });
        let egress = Egress::new(EgressConfig { resolver, ..config() });
        for name in ["localhost", "kubernetes.default.svc", "metadata.google.internal", "registry.test"] {
            let host = format!("{name}:{}", inside.address.port());
            let remote = repository_of(&egress, &host, keyring(&[]), true);
            let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
            assert!(matches!(error, RemoteError::Refused { .. }), "{name} {addresses:?}: {error}");
        }
    }
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn b3_of_several_addresses_the_permitted_ones_are_tried() {
    let outside = Host::start("registry.test", Security::Plain, |_| sends_manifest(manifest("a")));
    let inside = tokio::net::TcpListener::bind(("127.0.0.1", outside.address.port())).await.unwrap();
    let resolver: Resolver = Arc::new(|_| {
        Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap(), OUTSIDE]) })
    });
    let egress = Egress::new(EgressConfig { resolver, ..config() });
    let remote = repository_of(&egress, &outside.authority(), keyring(&[]), true);
    remote.manifest(&"a".parse().unwrap()).await.unwrap();
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(50), inside.accept()).await;
    assert!(knocked.is_err(), "the forbidden address was not even knocked at");
}

#[tokio::test]
async fn b3_a_name_that_changes_its_mind_gains_nothing() {
    let close = [("connection", "close"), ("content-type", super::MANIFEST_TYPE)];
    let outside =
        Host::start("registry.test", Security::Plain, move |_| reply(200, &close, manifest("outside")));
    let inside = tokio::net::TcpListener::bind(("127.0.0.1", outside.address.port())).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // Outside for the look of whoever checks first, inside ever after.
    let resolver: Resolver = Arc::new(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) < 3;
        Box::pin(async move { Ok(vec![if first { OUTSIDE } else { "127.0.0.1".parse().unwrap() }]) })
    });
    let egress = Egress::new(EgressConfig { resolver, ..config() });
    let remote = repository_of(&egress, &outside.authority(), keyring(&[]), true);
    let mut refused = 0;
    for _ in 0..5 {
        match remote.manifest(&"a".parse().unwrap()).await {
            Ok(found) => assert_eq!(found.bytes, manifest("outside")),
            Err(RemoteError::Refused { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused >= 2, "{refused}");
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(50), inside.accept()).await;
    assert!(knocked.is_err());
}

#[tokio::test]
async fn b3_redirects_and_realms_are_judged_like_hosts() {
    let inside =
        Host::start_at("127.0.0.1".parse().unwrap(), "x", Security::Plain, |_| reply(200, &[], "inside"));
    let targets = ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "2130706433"];
    for target in targets {
        let url = format!("http://{target}:{}/latest", inside.address.port());
        let (location, realm) = (url.clone(), format!("Bearer realm=\"{url}\""));
        let home = Host::start("registry.test", Security::Plain, move |seen| match seen.path.as_str() {
            "/v2/" => reply(200, &[], ""),
            path if path.contains("/blobs/") => redirect(307, &location),
            _ => super::challenge(&realm),
        });
        let egress = Egress::new(config());
        let remote = repository_of(&egress, &home.authority(), keyring(&[]), true);
        for error in [
            remote.blob(&Digest::sha256(b"x")).await.unwrap_err(),
            remote.manifest(&"a".parse().unwrap()).await.unwrap_err(),
        ] {
            assert!(matches!(error, RemoteError::Refused { .. }), "{url}: {error}");
        }
    }
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn b3_no_text_shows_what_the_other_side_wrote() {
    let secret = "the-inside-of-somewhere";
    for status in [200, 400, 401, 403, 404, 418, 429, 500, 502] {
        let home = Host::start("registry.test", Security::Trusted, move |seen| {
            let challenge = format!("Basic realm=\"{secret}\"");
            let headers = [("www-authenticate", challenge.as_str()), ("x-secret", secret)];
            let body = format!(r#"{{"errors":[{{"code":"{secret}","message":"{secret}"}}],"{secret}":"#);
            if seen.path == "/v2/" { reply(200, &[], "") } else { reply(status, &headers, body) }
        });
        let egress = Egress::new(config());
        let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
        let errors = [
            remote.manifest(&"a".parse().unwrap()).await.unwrap_err(),
            remote.tags(10).await.unwrap_err(),
            remote.small_blob(&Digest::sha256(b"x"), 1_000).await.unwrap_err(),
        ];
        for error in errors {
            let text = whole_text(&error);
            assert!(!text.contains(secret), "{status}: {text}");
        }
    }
}

#[tokio::test]
async fn b3_no_text_shows_a_manifest_that_cannot_be_used() {
    let secret = "the-inside-of-somewhere";
    let of_type = |media_type: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}"}}"#);
    let (ours, other) = (MANIFEST_TYPE.to_owned(), format!("application/{secret}"));
    let rows = [
        (
            &ours,
            format!(r#"{{"schemaVersion":"{secret}"}}"#),
            "a field has not the form that it must have (line 1,",
        ),
        (
            &ours,
            format!(r#"{{"{secret}":1,"{secret}":2}}"#),
            "a field has not the form that it must have (line 1,",
        ),
        (&ours, format!(r#"{{"schemaVersion":2,{secret}"#), "it is not JSON (line 1,"),
        (&ours, r#"{"schemaVersion":4711}"#.to_owned(), "its schemaVersion is not 2"),
        (&ours, of_type(&other), "it was sent as another type than it says"),
        (&other, of_type(&other), "its type is not supported"),
        (&secret.to_owned(), of_type(&ours), "its content type cannot be read"),
        (&ours, of_type(&ours), "the manifest has no config"),
    ];
    for (content_type, body, expected) in rows {
        let (content_type, sent) = (content_type.clone(), body.clone());
        let home = Host::start("registry.test", Security::Trusted, move |seen| {
            let headers = [("content-type", content_type.as_str())];
            if seen.path == "/v2/" { reply(200, &[], "") } else { reply(200, &headers, sent.clone()) }
        });
        let remote = repository(&Egress::new(config()), &home.authority(), keyring(&[]));
        let text = whole_text(&remote.manifest(&"a".parse().unwrap()).await.unwrap_err());
        assert!(text.contains(expected), "{body}: {text}");
        assert!(!text.contains(secret) && !text.contains("4711"), "{body}: {text}");
    }
}

/// All that an error says, its causes included.
fn whole_text(error: &RemoteError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
