//! B2: credentials do not survive a hop to another origin, whatever kind of hop it is.

use std::collections::BTreeSet;

use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::Egress;
use pierhead_oci::Digest;

use super::{
    Host, Security, challenge, config, keyring, manifest, redirect, reply, repository, sends_manifest,
};

/// A registry that wants a password, and then sends clients where `locate` says.
fn leading(name: &str, locate: impl Fn(&str) -> Option<super::Reply> + Send + Sync + 'static) -> Host {
    Host::start(name, Security::Trusted, move |seen| match seen.authorization() {
        Some(_) => locate(&seen.path).unwrap_or_else(|| reply(404, &[], "")),
        None => challenge("Basic realm=\"x\""),
    })
}

#[tokio::test]
async fn b2_a_redirect_takes_no_credentials_along() {
    let content = Host::start("cdn.test", Security::Trusted, |_| sends_manifest(manifest("a")));
    for status in [301, 302, 303, 307, 308] {
        let url = format!("https://{}/x?signature=1", content.authority());
        let home = leading("registry.test", move |_| Some(redirect(status, &url)));
        let egress = Egress::new(config());
        let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
        remote.manifest(&"a".parse().unwrap()).await.unwrap();
        let mut blob = remote.blob(&Digest::sha256(b"x")).await.unwrap();
        assert!(blob.next().await.unwrap().is_some());
        assert!(home.seen().iter().any(super::Seen::is_tainted), "{status}: the registry itself got them");
    }
    let seen = content.seen();
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|seen| !seen.is_tainted()), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.path == "/x?signature=1"), "{seen:?}");
}

#[tokio::test]
async fn b2_who_comes_back_home_has_lost_the_credentials() {
    let (sender, receiver) = std::sync::mpsc::channel::<String>();
    let back = parking_lot::Mutex::new(receiver);
    let away = Host::start("cdn.test", Security::Trusted, move |_| {
        let target = back.lock().recv().unwrap();
        redirect(307, &target)
    });
    let url = format!("https://{}/away", away.authority());
    let home = Host::start("registry.test", Security::Trusted, move |seen| {
        match (seen.path.as_str(), seen.authorization()) {
            ("/secret", _) => reply(200, &[], "it"),
            (_, Some(_)) => redirect(307, &url),
            (_, None) => challenge("Basic realm=\"x\""),
        }
    });
    sender.send(format!("https://{}/secret", home.authority())).unwrap();
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
    remote.blob(&Digest::sha256(b"x")).await.unwrap();
    let last = home.seen().into_iter().last().unwrap();
    assert_eq!((last.path.as_str(), last.authorization()), ("/secret", None));
    assert!(away.seen().iter().all(|seen| !seen.is_tainted()));
}

#[tokio::test]
async fn a_redirect_keeps_the_connection() {
    let content = Host::start("cdn.test", Security::Trusted, |_| sends_manifest(manifest("a")));
    let url = format!("https://{}/x", content.authority());
    let home = Host::start("registry.test", Security::Trusted, move |seen| {
        if seen.path == "/v2/" {
            reply(200, &[], "")
        } else {
            reply(307, &[("location", &url)], vec![b' '; 60 << 10])
        }
    });
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    for _ in 0..5 {
        remote.manifest(&"a".parse().unwrap()).await.unwrap();
    }
    for host in [&home, &content] {
        let peers: BTreeSet<_> = host.seen().iter().map(|seen| seen.peer).collect();
        assert_eq!(peers.len(), 1, "{}: {peers:?}", host.name);
    }
}

#[tokio::test]
async fn b2_the_same_host_on_another_port_is_another_origin() {
    let other = Host::start("registry.test", Security::Trusted, |_| reply(200, &[], "x"));
    let url = format!("https://{}/x", other.authority());
    let home = leading("registry.test", move |_| Some(redirect(302, &url)));
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
    remote.blob(&Digest::sha256(b"x")).await.unwrap();
    assert!(other.seen().iter().all(|seen| !seen.is_tainted()));
}

#[tokio::test]
async fn b2_no_redirect_leads_to_plain_http_or_around_in_circles() {
    let plain = Host::start("cdn.test", Security::Plain, |_| reply(200, &[], "x"));
    let http = format!("http://{}/x", plain.authority());
    let rows = [
        (http, "the redirect leads from HTTPS to plain HTTP"),
        ("/again".to_owned(), "the redirect is one too many"),
        ("ftp://cdn.test/x".to_owned(), "the redirect leads to no address that can be followed"),
        ("https://ann:pw@cdn.test/x".to_owned(), "the redirect leads to no address that can be followed"),
        (String::new(), "the redirect is one too many"),
    ];
    for (location, expected) in rows {
        let home = Host::start("registry.test", Security::Trusted, move |seen| {
            if seen.path == "/v2/" { reply(200, &[], "") } else { redirect(302, &location) }
        });
        let egress = Egress::new(config());
        let remote = repository(&egress, &home.authority(), keyring(&[]));
        let error = remote.blob(&Digest::sha256(b"x")).await.unwrap_err();
        let RemoteError::Refused { reason, .. } = error else { panic!("{error}") };
        assert!(reason.ends_with(expected), "{reason}");
        assert!(home.seen().len() <= 7, "at most five redirects are followed");
    }
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn b2_a_list_does_not_go_on_at_another_host() {
    let evil = Host::start("evil.test", Security::Trusted, |_| reply(200, &[], r#"{"tags":["stolen"]}"#));
    for link in
        [format!("<https://{}/v2/>; rel=\"next\"", evil.authority()), "<//evil.test/>; rel=next".into()]
    {
        let home =
            leading("registry.test", move |_| Some(reply(200, &[("link", &link)], r#"{"tags":["a"]}"#)));
        let egress = Egress::new(config());
        let remote = repository(&egress, &home.authority(), keyring(&[&home.authority()]));
        let error = remote.tags(100).await.unwrap_err();
        assert!(matches!(error, RemoteError::Refused { .. }), "{error}");
    }
    assert!(evil.seen().is_empty());
}

#[tokio::test]
async fn b2_a_challenge_of_another_host_is_not_answered() {
    let evil = Host::start("evil.test", Security::Trusted, |_| challenge("Basic realm=\"x\""));
    let url = format!("https://{}/v2/", evil.authority());
    let home = Host::start("registry.test", Security::Trusted, move |_| redirect(307, &url));
    let egress = Egress::new(config());
    let hosts = [home.authority(), evil.authority()];
    let remote = repository(&egress, &home.authority(), keyring(&[&hosts[0], &hosts[1]]));
    remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
    assert!(evil.seen().iter().all(|seen| !seen.is_tainted()));
    assert!(!evil.seen().is_empty());
}
