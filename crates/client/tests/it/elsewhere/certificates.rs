//! B4: nobody but a registry that was called insecure is believed without a certificate; and B5: nothing of ours is ever
//! in a request.

use http::{HeaderMap, Method};
use pierhead_client::distribution::RemoteError;
use pierhead_client::egress::{Authorities, Egress, EgressConfig};
use pierhead_client::{HttpClient, Trust};
use pierhead_oci::Digest;

use super::{
    Host, OUTSIDE, Security, TRUSTED, UNTRUSTED, challenge, config, keyring, manifest, redirect, reply,
    repository, repository_of, sends_manifest,
};

fn open(name: &str, security: Security) -> Host {
    Host::start(name, security, |_| sends_manifest(manifest("a")))
}

#[tokio::test]
async fn b4_every_hop_is_verified() {
    let untrusted = open("registry.test", Security::Untrusted);
    let egress = Egress::new(config());
    let error =
        repository(&egress, &untrusted.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await;
    let text = error.unwrap_err().to_string();
    assert!(text.ends_with("x509: certificate signed by unknown authority"), "{text}");

    let other_name = Host::start("other.test", Security::Trusted, |_| sends_manifest(manifest("a")));
    let host = format!("registry.test:{}", other_name.address.port());
    let error = repository(&egress, &host, keyring(&[])).manifest(&"a".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().ends_with("x509: certificate is not valid for registry.test"), "{error}");
    assert!(untrusted.seen().is_empty() && other_name.seen().is_empty());
}

#[tokio::test]
async fn b4_insecure_is_for_the_registry_and_not_for_its_token_server_or_store() {
    let store = open("cdn.test", Security::Untrusted);
    let tokens = Host::start("tokens.test", Security::Untrusted, |_| reply(200, &[], r#"{"token":"good"}"#));
    let url = format!("https://{}/x", store.authority());
    let realm = format!("Bearer realm=\"https://{}/token\"", tokens.authority());
    for security in [Security::Untrusted, Security::Plain] {
        let (url, realm) = (url.clone(), realm.clone());
        let home = Host::start("registry.test", security, move |seen| {
            if seen.path.contains("/blobs/") {
                redirect(307, &url)
            } else if seen.path.contains("/private") {
                challenge(&realm)
            } else {
                sends_manifest(manifest("a"))
            }
        });
        let egress = Egress::new(config());
        let remote = repository_of(&egress, &home.authority(), keyring(&[]), true);
        remote.manifest(&"a".parse().unwrap()).await.unwrap();
        let error = remote.blob(&Digest::sha256(b"x")).await.unwrap_err();
        assert!(error.to_string().contains("certificate signed by unknown authority"), "{error}");
        let error = remote.manifest(&"private".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("certificate signed by unknown authority"), "{error}");
    }
    assert!(store.seen().is_empty() && tokens.seen().is_empty());
}

#[tokio::test]
async fn b4_plain_http_is_for_insecure_registries() {
    let plain = open("registry.test", Security::Plain);
    let egress = Egress::new(config());
    let remote = repository(&egress, &plain.authority(), keyring(&[]));
    let error = remote.manifest(&"a".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RemoteError::HttpOnly), "{error}");
    let remote = repository_of(&egress, &plain.authority(), keyring(&[]), true);
    remote.manifest(&"a".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn b4_an_authority_for_one_host_is_for_no_other() {
    let (one, two) = (open("one.test", Security::Untrusted), open("two.test", Security::Untrusted));
    let authorities =
        Authorities::none().with_host(&one.authority(), UNTRUSTED.certificate().as_bytes()).unwrap();
    let egress = Egress::new(EgressConfig { authorities, ..config() });
    repository(&egress, &one.authority(), keyring(&[])).manifest(&"a".parse().unwrap()).await.unwrap();
    let other = repository(&egress, &two.authority(), keyring(&[]));
    other.manifest(&"a".parse().unwrap()).await.unwrap_err();
}

#[tokio::test]
async fn b5_a_request_carries_nothing_of_ours() {
    let host = open("registry.test", Security::Trusted);
    let egress = Egress::new(config());
    repository(&egress, &host.authority(), keyring(&["other.test"]))
        .manifest(&"a".parse().unwrap())
        .await
        .unwrap();
    for seen in host.seen() {
        let mut names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| *name != "accept");
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "host", "user-agent"], "{}", seen.path);
    }
}

/// Set in the process in which the environment is another one.
const SERVER: &str = "PIERHEAD_TEST_SERVER";

#[tokio::test]
async fn the_environment_names_authorities() {
    if let Some(server) = std::env::var_os(SERVER) {
        let host = server.into_string().unwrap();
        let fetched = HttpClient::new(&Trust::default()).unwrap();
        let url = format!("https://{host}/version");
        fetched.fetch(Method::GET, &url, HeaderMap::new(), bytes::Bytes::new()).await.unwrap();
        let egress = Egress::new(EgressConfig { authorities: Authorities::system(), ..config() });
        repository(&egress, &host, keyring(&[])).manifest(&"a".parse().unwrap()).await.unwrap();
        return;
    }
    let host = open(&OUTSIDE.to_string(), Security::Trusted);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, TRUSTED.certificate()).unwrap();
    let test = "elsewhere::certificates::the_environment_names_authorities";
    let itself = std::env::current_exe().unwrap();
    for (variable, value, believed) in [
        ("SSL_CERT_FILE", file.as_path(), true),
        ("SSL_CERT_DIR", folder.path(), true),
        ("LANG", &file, false),
    ] {
        let mut command = tokio::process::Command::new(&itself);
        command.args(["--exact", test]).env(SERVER, host.authority()).env(variable, value);
        let output = command.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), believed, "{variable}: {text}");
        assert!(text.contains("running 1 test"), "{text}");
    }
}
