//! B1: a registry chooses who gets our credentials. Whatever it says, they go to itself, to its own host in verified
//! HTTPS, and to hosts for which they were stored.

use std::sync::Arc;

use parking_lot::Mutex;
use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::Egress;
use pierhead_oci::Reference;

use super::{
    CANARY, Host, Security, challenge, config, keyring, manifest, redirect, reply, repository, sends_manifest,
};

/// A registry that asks for a token from a realm, and hands out anything to who has the token `good`.
fn registry(name: &str, realm: Arc<Mutex<String>>) -> Host {
    Host::start(name, Security::Trusted, move |seen| {
        let token = |text: &str| reply(200, &[], format!(r#"{{"token":"{text}"}}"#));
        match seen.path.split('?').next().unwrap() {
            "/token" => match seen.authorization() {
                Some(basic) if basic.starts_with("Basic ") => token("good"),
                _ => token("anonymous"),
            },
            "/hop" => redirect(307, &realm.lock()),
            _ if seen.authorization() == Some("Bearer good") => sends_manifest(manifest("a")),
            _ => challenge(&realm.lock().clone()),
        }
    })
}

/// Somebody who takes everything and gives a token for it.
fn sink(name: &str, security: Security) -> Host {
    Host::start(name, security, |_| reply(200, &[], r#"{"token":"stolen"}"#))
}

/// Realms that a hostile registry may name. Ports: of the registry, of a stranger, and of the registry's name without TLS
/// and with a certificate of nobody.
fn hostile_realms(h: u16, e: u16, p: u16, u: u16) -> Vec<String> {
    let long = "a".repeat(20_000);
    vec![
        format!("https://evil.test:{e}/token"),
        format!("HTTPS://EVIL.test:{e}/token"),
        format!("http://evil.test:{e}/token"),
        format!("http://registry.test:{h}/token"),
        format!("http://registry.test:{p}/token"),
        format!("http://127.0.0.2:{p}/token"),
        format!("https://registry.test:{u}/token"),
        format!("https://127.0.0.2:{e}/token"),
        format!("https://[::ffff:127.0.0.2]:{e}/token"),
        format!("https://[::ffff:7f00:2]:{h}/token"),
        format!("https://2130706434:{e}/token"),
        format!("https://0x7f000002:{e}/token"),
        format!("https://0177.0.0.2:{e}/token"),
        format!("https://127.2:{e}/token"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/latest/".to_owned(),
        "http://metadata.google.internal/computeMetadata/v1/".to_owned(),
        "http://localhost/token".to_owned(),
        "https://localhost/token".to_owned(),
        "http://127.0.0.1/token".to_owned(),
        "https://[::1]/token".to_owned(),
        "https://0/token".to_owned(),
        format!("https://registry.test:{h}@evil.test:{e}/token"),
        format!("https://registry.test@evil.test:{e}/token"),
        format!("https://ann:{CANARY}@registry.test:{h}/token"),
        format!("https://evil.test:{e}@registry.test:{h}/token"),
        format!("https://evil.test:{e}#@registry.test:{h}/token"),
        format!("https://evil.test:{e}?@registry.test:{h}/token"),
        format!("https://evil.test:{e}/@registry.test:{h}/token"),
        format!("https://evil.test:{e}\\@registry.test:{h}/token"),
        format!("https://registry.test:{h}\\@evil.test:{e}/token"),
        format!("https://registry.test.evil.test:{e}/token"),
        format!("https://evilregistry.test:{e}/token"),
        format!("https://test:{e}/token"),
        format!("https://sub.registry.test:{e}/token"),
        format!("https://registry.test.:{e}/token"),
        format!("https://registry%2etest:{e}/token"),
        format!("https://registry.test%00.evil.test:{e}/token"),
        format!("https://r\u{435}gistry.test:{e}/token"),
        format!("https://xn--rgistry-8of.test:{e}/token"),
        format!("https://registry\u{3002}test:{e}/token"),
        format!("//evil.test:{e}/token"),
        format!("https:/evil.test:{e}/token"),
        format!("https:evil.test:{e}/token"),
        format!("https:///evil.test:{e}/token"),
        format!(" https://evil.test:{e}/token"),
        format!("https://evil.test:{e} /token"),
        format!("https://evil.test:{e}/tok\ten"),
        "https://registry.test:0/token".to_owned(),
        "https://registry.test:65536/token".to_owned(),
        "https://registry.test:/token".to_owned(),
        "https://:443/token".to_owned(),
        "https://".to_owned(),
        String::new(),
        "/token".to_owned(),
        "token".to_owned(),
        "javascript:alert(1)".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("ftp://registry.test:{h}/token"),
        format!("ws://registry.test:{h}/token"),
        format!("https://registry.test:{h}/hop"),
        format!("https://{long}.test/token"),
        format!("https://evil.test:{e}/{long}"),
    ]
}

#[tokio::test]
async fn b1_no_realm_gets_credentials_that_are_not_for_it() {
    let realm = Arc::new(Mutex::new(String::new()));
    let home = registry("registry.test", Arc::clone(&realm));
    let evil = sink("evil.test", Security::Trusted);
    let plain = sink("registry.test", Security::Plain);
    let untrusted = sink("registry.test", Security::Untrusted);
    let (h, e, p, u) =
        (home.address.port(), evil.address.port(), plain.address.port(), untrusted.address.port());
    let realms = hostile_realms(h, e, p, u);
    assert!(realms.len() >= 60);
    for row in realms {
        let header = format!("Bearer realm=\"{row}\",service=\"s\"");
        *realm.lock() =
            if row.ends_with("/hop") { format!("https://evil.test:{e}/token") } else { header.clone() };
        if row.ends_with("/hop") {
            // The realm is the registry; the token server's redirect is the trap.
            let stubborn = stubborn_home(&row, &realm.lock());
            let egress = Egress::new(config());
            let remote = repository(&egress, &stubborn.authority(), keyring(&[&stubborn.authority()]));
            remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
        } else {
            let egress = Egress::new(config());
            let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
            let outcome = remote.manifest(&"a".parse().unwrap()).await;
            assert!(outcome.is_err(), "{row}: nobody there gives a good token");
        }
        for host in [&evil, &plain, &untrusted] {
            let tainted: Vec<_> = host.seen().into_iter().filter(super::Seen::is_tainted).collect();
            assert!(tainted.is_empty(), "{row}: {} got {tainted:?}", host.name);
        }
    }
}

/// A registry whose own token server leads elsewhere.
fn stubborn_home(_row: &str, target: &str) -> Host {
    let target = target.to_owned();
    let own = Arc::new(Mutex::new(String::new()));
    let realm = Arc::clone(&own);
    let host = Host::start("stubborn.test", Security::Trusted, move |seen| {
        if seen.path.starts_with("/hop") { redirect(307, &target) } else { challenge(&realm.lock()) }
    });
    *own.lock() = format!("Bearer realm=\"https://{}/hop\"", host.authority());
    host
}

#[tokio::test]
async fn b1_a_realm_that_is_meant_gets_credentials() {
    let realm = Arc::new(Mutex::new(String::new()));
    let home = registry("registry.test", Arc::clone(&realm));
    let beside =
        Host::start("registry.test", Security::Trusted, |_| reply(200, &[], r#"{"access_token":"good"}"#));
    let named = Host::start("tokens.test", Security::Trusted, |_| reply(200, &[], r#"{"token":"good"}"#));
    let (own, other) = (home.authority(), named.authority());
    let rows = [
        (format!("https://{own}/token"), vec![own.as_str()], &home),
        (format!("https://{}/token", beside.authority()), vec![own.as_str()], &beside),
        (format!("https://{other}/token"), vec![own.as_str(), other.as_str()], &named),
    ];
    for (url, hosts, receiver) in rows {
        *realm.lock() = format!("Bearer realm=\"{url}\",service=\"a b&c\"");
        let egress = Egress::new(config());
        let remote = repository(&egress, &own, keyring(&hosts));
        remote.manifest(&"a".parse::<Reference>().unwrap()).await.unwrap();
        let seen = receiver.seen();
        let asked = seen.iter().rfind(|seen| seen.path.contains("scope=")).unwrap();
        assert!(asked.authorization().is_some_and(|value| value.starts_with("Basic ")), "{url}");
        assert!(
            asked.path.contains("service=a%20b%26c&scope=repository%3Ashop%2Fweb%3Apull"),
            "{}",
            asked.path
        );
    }
}

#[tokio::test]
async fn b1_a_realm_that_is_not_meant_is_named_to_who_asks() {
    let realm = Arc::new(Mutex::new(String::new()));
    let home = registry("registry.test", Arc::clone(&realm));
    let evil = sink("evil.test", Security::Trusted);
    *realm.lock() = format!("Bearer realm=\"https://{}/token\"", evil.authority());
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
    let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
    let RemoteError::UntrustedRealm { realm } = error else { panic!("{error}") };
    assert_eq!(realm, format!("https://{}", evil.authority()));
}

#[tokio::test]
async fn b1_a_second_challenge_gets_no_more_than_the_first() {
    let evil = sink("evil.test", Security::Trusted);
    let to_evil = format!("Bearer realm=\"https://{}/token\"", evil.authority());
    let headers = vec![
        format!("{to_evil}, Basic realm=\"x\""),
        format!("Basic realm=\"x\", {to_evil}"),
        format!("{to_evil}, {to_evil}"),
    ];
    for header in headers {
        let home = Host::start("registry.test", Security::Trusted, move |_| challenge(&header));
        let egress = Egress::new(config());
        let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
        remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
        assert!(evil.seen().iter().all(|seen| !seen.is_tainted()));
        let basic = home.seen().into_iter().filter(super::Seen::is_tainted).count();
        assert_eq!(
            basic,
            home.seen().iter().filter(|seen| seen.authorization() == Some("Bearer stolen")).count()
        );
    }
}

#[tokio::test]
async fn every_credential_that_matches_is_tried_and_then_none() {
    use pierhead_api::core::Secret;
    use pierhead_api::from_value;
    use pierhead_client::keyring::Keyring;
    use serde_json::json;

    let home = Host::start("registry.test", Security::Trusted, |seen| match seen.authorization() {
        Some("Basic Ym9iOnBi") => sends_manifest(manifest("bob's")), // bob:pb
        _ => challenge("Basic realm=\"x\""),
    });
    let host = home.authority();
    let entry = |user: &str| json!({"username": user, "password": "pb"});
    let document = json!({
        "metadata": {"name": "pull"}, "type": "kubernetes.io/dockercfg",
        "stringData": {".dockercfg": json!({
            format!("{host}/shop/web"): entry("eve"), format!("{host}/shop"): entry("bob"), host.clone(): entry("mo"),
        }).to_string()},
    });
    let mut secret: Secret = from_value(&document).unwrap();
    secret.set_defaults();
    let egress = Egress::new(config());
    let remote = repository(&egress, &host, Keyring::from_secrets([&secret]));
    remote.manifest(&"a".parse().unwrap()).await.unwrap();
    remote.manifest(&"b".parse().unwrap()).await.unwrap();
    let users: Vec<_> =
        home.seen().iter().filter_map(|seen| seen.authorization().map(str::to_owned)).collect();
    assert_eq!(
        users,
        ["Basic ZXZlOnBi", "Basic Ym9iOnBi", "Basic Ym9iOnBi"],
        "who was answered is asked first"
    );

    let open = Host::start("open.test", Security::Trusted, |seen| match seen.authorization() {
        None if seen.path != "/v2/" => sends_manifest(manifest("for all")),
        _ => challenge("Basic realm=\"x\""),
    });
    let remote = repository(&egress, &open.authority(), keyring(&[&open.authority()]));
    remote.manifest(&"a".parse().unwrap()).await.unwrap();

    let shut = Host::start("shut.test", Security::Trusted, |_| challenge("Basic realm=\"x\""));
    for (hosts, expected) in [(vec![shut.authority()], true), (vec![], false)] {
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let remote = repository(&egress, &shut.authority(), keyring(&hosts));
        let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
        let RemoteError::Unauthorized { had_credentials, .. } = error else { panic!("{error}") };
        assert_eq!(had_credentials, expected);
    }
}
