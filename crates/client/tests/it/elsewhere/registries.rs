//! B6: content is what its digest says, and the plain working of the protocol.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::{Egress, EgressConfig};
use pierhead_oci::{Digest, Tag};

use super::{
    Host, MANIFEST_TYPE, Security, config, host_headers, keyring, manifest, reply, repository, repository_of,
    sends_manifest,
};

#[tokio::test]
async fn b6_a_manifest_is_the_one_that_was_asked_for() {
    let home = Host::start("registry.test", Security::Trusted, |_| sends_manifest(manifest("other")));
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    let wanted = Digest::sha256(&manifest("wanted"));
    let error = remote.manifest(&wanted.to_string().parse().unwrap()).await.unwrap_err();
    let RemoteError::Mismatch { expected, actual } = error else { panic!("{error}") };
    assert_eq!((*expected, *actual), (wanted, Digest::sha256(&manifest("other"))));
    let sound = Digest::sha256(&manifest("other"));
    assert_eq!(remote.manifest(&sound.to_string().parse().unwrap()).await.unwrap().digest, sound);
}

#[tokio::test]
async fn b6_what_is_announced_must_come() {
    let home = Host::start("registry.test", Security::Trusted, |seen| {
        let other = Digest::sha256(b"other").to_string();
        let headers = [("content-type", MANIFEST_TYPE), ("docker-content-digest", other.as_str())];
        if seen.path == "/v2/" { reply(200, &[], "") } else { reply(200, &headers, manifest("a")) }
    });
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn b6_a_tag_that_moves_between_two_looks_is_two_manifests_and_never_a_mixture() {
    let asked = AtomicUsize::new(0);
    let home = Host::start("registry.test", Security::Trusted, move |seen| {
        if !seen.path.contains("/manifests/") {
            return reply(200, &[], "");
        }
        let bytes = manifest(&asked.fetch_add(1, Ordering::SeqCst).to_string());
        let digest = Digest::sha256(&bytes).to_string();
        let headers = [("content-type", MANIFEST_TYPE), ("docker-content-digest", digest.as_str())];
        reply(200, &headers, bytes)
    });
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    let tag: Tag = "a".parse().unwrap();
    let first = remote.manifest(&tag.to_string().parse().unwrap()).await.unwrap().digest;
    let second = remote.manifest(&tag.to_string().parse().unwrap()).await.unwrap();
    assert_ne!(first, second.digest);
    assert_eq!(Digest::sha256(&second.bytes), second.digest);
    let error = remote.manifest(&first.to_string().parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn b6_a_config_is_the_one_that_was_asked_for() {
    let home = Host::start("registry.test", Security::Trusted, |seen| {
        if seen.path == "/v2/" { reply(200, &[], "") } else { reply(200, &[], r#"{"a":1}"#) }
    });
    let egress = Egress::new(config());
    let remote = repository(&egress, &home.authority(), keyring(&[]));
    let sound = Digest::sha256(br#"{"a":1}"#);
    assert_eq!(remote.small_blob(&sound, 100).await.unwrap(), Bytes::from(r#"{"a":1}"#));
    let error = remote.small_blob(&Digest::sha256(b"{}"), 100).await.unwrap_err();
    assert!(matches!(error, RemoteError::Mismatch { .. }), "{error}");
    let error = remote.small_blob(&sound, 3).await.unwrap_err();
    assert!(matches!(error, RemoteError::TooLarge { limit: 3 }), "{error}");
}

#[tokio::test]
async fn what_answers_is_told_from_what_does_not() {
    let none: &[(&str, &str)] = &[];
    let rows = [
        (404, none, "the host does not support the v2 Registry API"),
        (301, none, "the redirect leads to no address that can be followed"),
        (429, &[("retry-after", "7")][..], "the registry refuses further requests for now (429)"),
        (503, none, "the registry answered 503"),
        (404, &[("docker-distribution-api-version", "registry/2.0")][..], "the registry has no such"),
        (200, none, "the registry has no such repository, manifest or blob"),
    ];
    for (status, headers, expected) in rows {
        let home = Host::start("registry.test", Security::Trusted, move |seen| {
            if seen.path == "/v2/" { reply(status, headers, "secret") } else { reply(404, &[], "secret") }
        });
        let egress = Egress::new(config());
        let remote = repository(&egress, &home.authority(), keyring(&[]));
        let text = remote.manifest(&"a".parse().unwrap()).await.unwrap_err().to_string();
        assert!(text.contains(expected), "{status}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn our_own_registry_is_reached_where_it_listens_and_nowhere_else_is_by_its_name() {
    let own = Host::start_at("127.0.0.1".parse().unwrap(), "own.test", Security::Plain, |seen| {
        if seen.path == "/v2/" { reply(200, &[], "") } else { sends_manifest(manifest("ours")) }
    });
    let address = own.address;
    let names = std::sync::Arc::new(move |host: &str| {
        ["own.test", "own.test:5000"].contains(&host).then_some(address)
    });
    let egress = Egress::new(EgressConfig { own: names, ..config() });
    for host in ["own.test", "own.test:5000", "OWN.test:443"] {
        repository_of(&egress, host, keyring(&[]), false).manifest(&"a".parse().unwrap()).await.unwrap();
    }
    assert!(host_headers(&own).contains(&"own.test:5000".to_owned()));

    // A redirect or a realm that names it is met like everybody else.
    let url = format!("http://own.test:5000/{}", "secrets");
    let plain = Host::start("registry.test", Security::Plain, move |seen| {
        if seen.path == "/v2/" { reply(200, &[], "") } else { super::redirect(307, &url) }
    });
    let before = own.seen().len();
    let remote = repository_of(&egress, &plain.authority(), keyring(&[]), true);
    remote.blob(&Digest::sha256(b"x")).await.unwrap_err();
    assert_eq!(own.seen().len(), before);
}
