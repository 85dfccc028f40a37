//! B7: nobody sends more, or takes longer, than is good for us; and nobody holds up others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::{Egress, EgressConfig};
use pierhead_oci::{Digest, MAX_MANIFEST_BYTES};
use tokio::time::Instant;

use super::{
    CANARY, Host, MANIFEST_TYPE, OUTSIDE, Security, challenge, config, keyring, keyring_of, manifest, reply,
    repository, sends_manifest, streamed,
};

fn hasty() -> EgressConfig {
    EgressConfig {
        connect_timeout: Duration::from_millis(500),
        head_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(500),
        small_timeout: Duration::from_millis(1_500),
        turn_timeout: Duration::from_millis(500),
        blobs_per_host: 2,
        ..config()
    }
}

/// A registry that pings well and answers the rest as told.
fn registry(name: &str, answer: impl Fn(&super::Seen) -> super::Reply + Send + Sync + 'static) -> Host {
    Host::start(
        name,
        Security::Trusted,
        move |seen| {
            if seen.path == "/v2/" { reply(200, &[], "") } else { answer(seen) }
        },
    )
}

fn endless() -> impl futures_util::Stream<Item = Bytes> + Send {
    stream::repeat(Bytes::from(vec![b' '; 64 << 10]))
}

#[tokio::test]
async fn b7_endless_answers_end() {
    let home = registry("registry.test", |seen| {
        streamed(200, &[("content-type", MANIFEST_TYPE)], {
            assert!(!seen.path.is_empty());
            endless()
        })
    });
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    for error in [
        remote.manifest(&"a".parse().unwrap()).await.unwrap_err(),
        remote.tags(100).await.unwrap_err(),
        remote.small_blob(&Digest::sha256(b"x"), 1 << 20).await.unwrap_err(),
    ] {
        assert!(matches!(error, RemoteError::TooLarge { .. }), "{error}");
    }
    let at = |length: usize| {
        registry("registry.test", move |_| {
            let padded = [manifest("a").to_vec(), vec![b' '; length - manifest("a").len()]].concat();
            sends_manifest(padded.into())
        })
    };
    let fits = at(MAX_MANIFEST_BYTES);
    repository(&egress, &fits.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await.unwrap();
    let over = at(MAX_MANIFEST_BYTES + 1);
    let error = repository(&egress, &over.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await;
    assert!(matches!(error, Err(RemoteError::TooLarge { limit: MAX_MANIFEST_BYTES })), "{error:?}");
}

#[tokio::test]
async fn b7_an_endless_token_or_ping_ends() {
    let (sender, receiver) = tokio::sync::watch::channel(String::new());
    let home = Host::start("registry.test", Security::Trusted, move |seen| {
        if seen.path.starts_with("/token") {
            streamed(200, &[], endless())
        } else {
            challenge(&receiver.borrow())
        }
    });
    sender.send_replace(format!("Bearer realm=\"https://{}/token\"", home.authority()));
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RemoteError::TooLarge { .. }), "{error}");

    let page = Host::start("page.test", Security::Trusted, |_| streamed(200, &[], endless()));
    let error = repository(&egress, &page.authority(), keyring(&[])).tags(10).await.unwrap_err();
    assert!(matches!(error, RemoteError::NotV2), "{error}");
}

#[tokio::test]
async fn b7_lists_end_at_their_limit_and_where_they_lead_back() {
    let pages = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pages);
    let home = registry("registry.test", move |_| {
        let page = counted.fetch_add(1, Ordering::SeqCst);
        let tags: Vec<String> = (0..100).map(|number| format!("t{page}-{number}")).collect();
        let link = format!("</v2/shop/web/tags/list?last={page}>; rel=\"next\"");
        reply(200, &[("link", &link)], serde_json::json!({"tags": tags}).to_string())
    });
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    assert_eq!(remote.tags(250).await.unwrap().len(), 250);
    assert_eq!(pages.load(Ordering::SeqCst), 3);
    assert_eq!(remote.tags(usize::MAX).await.unwrap().len(), 20_000, "two hundred pages and no more");

    let circle = registry("circle.test", |_| {
        let link = "<?n=1>; rel=\"next\"";
        reply(200, &[("link", link)], r#"{"tags":["a","b","","bad tag","b"]}"#)
    });
    let remote = repository(&egress, &circle.authority(), keyring(&[]));
    assert_eq!(remote.tags(100).await.unwrap(), ["a", "b", ""]);
    assert!(circle.seen().len() <= 3);
    let empty = registry("empty.test", |_| reply(200, &[], r#"{"name":"x","tags":null}"#));
    let none = repository(&egress, &empty.authority(), keyring(&[])).tags(100).await.unwrap();
    assert_eq!(none, [""; 0]);
}

#[tokio::test]
async fn b7_who_stands_still_is_given_up() {
    let home = registry("registry.test", |seen| {
        if seen.path.contains("/manifests/") {
            streamed(200, &[("content-type", MANIFEST_TYPE)], stream::pending())
        } else {
            streamed(200, &[], stream::iter([Bytes::from("some")]).chain(stream::pending()))
        }
    });
    let egress = Egress::new(hasty());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    let started = Instant::now();
    let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error}");
    let mut blob = remote.blob(&Digest::sha256(b"x")).await.unwrap();
    assert_eq!(blob.next().await.unwrap(), Some(Bytes::from("some")));
    let error = blob.next().await.unwrap_err();
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn b7_a_trickle_runs_out_of_time() {
    let home = registry("registry.test", |_| {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Bytes::from(" "), ()))
        });
        streamed(200, &[("content-type", MANIFEST_TYPE)], drops)
    });
    let egress = Egress::new(hasty());
    let error = repository(&egress, &home.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await;
    assert!(matches!(error, Err(RemoteError::Timeout { .. })), "{error:?}");
}

#[tokio::test]
async fn b7_a_stuck_host_holds_up_nobody_else_and_not_its_own_manifests() {
    let stuck = registry("stuck.test", |seen| {
        if seen.path.contains("/blobs/") {
            streamed(200, &[], stream::pending())
        } else {
            sends_manifest(manifest("a"))
        }
    });
    let fine = registry("fine.test", |_| reply(200, &[], "blob"));
    let egress = Egress::new(EgressConfig { idle_timeout: Duration::from_secs(30), ..hasty() });
    let remote = repository(&egress, &stuck.authority(), keyring(&[]));
    let digest = Digest::sha256(b"x");
    let _held = [remote.blob(&digest).await.unwrap(), remote.blob(&digest).await.unwrap()];
    let error = remote.blob(&digest).await.unwrap_err();
    assert!(
        matches!(error, RemoteError::Timeout { .. }),
        "two at a time, and then it is somebody's turn: {error}"
    );
    remote.manifest(&"a".parse().unwrap()).await.unwrap();
    let other = repository(&egress, &fine.authority(), keyring(&[]));
    let mut blob = other.blob(&digest).await.unwrap();
    assert_eq!(blob.next().await.unwrap(), Some(Bytes::from("blob")));
}

#[tokio::test]
async fn b7_who_asks_for_a_pause_gets_it() {
    let home = registry("registry.test", |_| reply(429, &[("retry-after", "3600")], ""));
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    for _ in 0..3 {
        let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
        let RemoteError::TooManyRequests { retry_after: Some(rest) } = error else { panic!("{error}") };
        assert!(rest > Duration::from_secs(3_590), "{rest:?}");
    }
    assert_eq!(home.asked().iter().filter(|asked| asked.contains("manifests")).count(), 1);
}

#[tokio::test]
async fn b7_a_pause_for_one_user_is_not_one_for_others() {
    let rows = [(200, None), (401, Some("the registry refuses further requests for now (429)"))];
    for (for_bob, expected) in rows {
        let home = Host::start("registry.test", Security::Trusted, move |seen| {
            let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{CANARY}")));
            match seen.authorization() {
                Some(authorization) if authorization == basic("ann") => {
                    reply(429, &[("retry-after", "3600")], "")
                }
                Some(authorization) if authorization == basic("bob") && for_bob == 200 => {
                    sends_manifest(manifest("a"))
                }
                _ => challenge("Basic realm=\"x\""),
            }
        });
        let (host, narrow) = (home.authority(), format!("{}/shop", home.authority()));
        let users = keyring_of([(narrow.as_str(), "ann"), (host.as_str(), "bob")]);
        let egress = Egress::new(config());
        for _ in 0..2 {
            let remote = repository(&egress, &host, users.clone());
            let failure = remote.manifest(&"a".parse().unwrap()).await.err().map(|error| error.to_string());
            assert_eq!(failure.as_deref(), expected);
        }
        let ann = home
            .seen()
            .iter()
            .filter(|seen| seen.authorization().is_some_and(|of| of.contains("YW5u")))
            .count();
        assert_eq!(ann, 1, "who should wait is not asked as again");
    }
}

#[tokio::test]
async fn b7_a_dead_address_does_not_hide_the_next() {
    let home = registry("registry.test", |_| sends_manifest(manifest("a")));
    // Whoever connects here waits: the one place in the queue is taken, and nobody accepts.
    let dead = IpAddr::from([127, 0, 0, 3]);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(dead, home.address.port())).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = tokio::net::TcpStream::connect(address).await.unwrap();
    let connecting =
        tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(address));
    assert!(connecting.await.is_err(), "a second one gets no answer");

    let mut config = config();
    config.addresses.allow.push(dead.to_string().parse().unwrap());
    config.resolver = Arc::new(move |_| Box::pin(async move { Ok(vec![dead, dead, OUTSIDE]) }));
    let remote = repository(&Egress::new(config), &home.authority(), keyring(&[]));
    remote.manifest(&"a".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn b7_a_short_pause_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let home = registry("registry.test", move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => reply(429, &[("retry-after", "1")], ""),
        1 => reply(502, &[], ""),
        _ => sends_manifest(manifest("a")),
    });
    let mut patient = config();
    patient.retry.retries = 2;
    patient.retry.after_failure = Duration::from_millis(10);
    let egress = Egress::new(patient);
    repository(&egress, &home.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await.unwrap();
}
