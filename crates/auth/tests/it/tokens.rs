//! Tokens: what is accepted, what ends them, and what must never pass for one.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use pierhead_auth::service_account::{BoundClaims, BoundKind, BoundObject, LegacyClaims, TokenSigner};
use pierhead_auth::{Attributes, Credentials, Era, MAX_TOKEN_BYTES};
use proptest::prelude::{any, prop_assert, proptest};
use proptest::test_runner::Config as Cases;
use serde_json::{Value, json};

use crate::cluster::{Cluster, SIGNER, bound_claims};

fn legacy_claims() -> LegacyClaims {
    LegacyClaims {
        namespace: "shop".to_owned(),
        secret_name: "pusher-token-x".to_owned(),
        service_account_name: "pusher".to_owned(),
        service_account_uid: "uid-1".to_owned(),
    }
}

fn secret(token: &str) -> Value {
    json!({
        "kind": "Secret",
        "metadata": {
            "name": "pusher-token-x", "namespace": "shop", "uid": "secret-1",
            "annotations": {
                "kubernetes.io/service-account.name": "pusher", "kubernetes.io/service-account.uid": "uid-1",
            },
        },
        "type": "kubernetes.io/service-account-token",
        "data": {"token": BASE64_STANDARD.encode(token)},
    })
}

fn account(uid: &str) -> Value {
    json!({"kind": "ServiceAccount", "metadata": {"name": "pusher", "namespace": "shop", "uid": uid}})
}

/// A cluster in which this legacy token is good.
async fn with_token() -> (Cluster, String) {
    let cluster = Cluster::start(Era::V3_2).await;
    let token = SIGNER.sign_legacy(&legacy_claims()).into_exposed();
    cluster.put(account("uid-1")).await;
    cluster.put(secret(&token)).await;
    (cluster, token)
}

#[tokio::test]
async fn a_token_in_a_secret_stands_for_its_account() {
    let (cluster, token) = with_token().await;
    let subject = cluster.bearer(&token).unwrap();
    assert_eq!(subject.username, "system:serviceaccount:shop:pusher");
    assert_eq!(subject.uid, "uid-1");
    assert_eq!(
        subject.groups,
        ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]
    );
    let basic = Credentials::Basic { user: "anything", password: &token };
    assert_eq!(cluster.auth.authenticate(basic).unwrap(), subject);
}

#[tokio::test]
async fn what_a_token_depends_on_ends_it_at_once() {
    let (cluster, token) = with_token().await;
    let check = |expected: bool, why: &str| assert_eq!(cluster.bearer(&token).is_ok(), expected, "{why}");
    check(true, "all is there");
    cluster.delete("secrets", "shop", "pusher-token-x").await;
    check(false, "no secret");
    cluster.put(secret(&token)).await;
    check(true, "the secret is back");
    cluster.put(secret("another token")).await;
    check(false, "the secret holds another token");
    let mut ending = secret(&token);
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    cluster.put(ending).await;
    check(false, "the secret is being deleted");
    let mut opaque = secret(&token);
    opaque["type"] = json!("Opaque");
    cluster.put(opaque).await;
    check(false, "a secret of another type, which its user could have written");
    let mut foreign = secret(&token);
    foreign["metadata"]["annotations"]["kubernetes.io/service-account.name"] = json!("builder");
    cluster.put(foreign).await;
    check(false, "another account's secret");
    cluster.put(secret(&token)).await;
    check(true, "the secret is back");
    cluster.put(account("uid-2")).await;
    check(false, "the account was made anew");
    cluster.delete("serviceaccounts", "shop", "pusher").await;
    check(false, "no account");
}

#[tokio::test]
async fn a_requested_token_ends_with_its_time_and_what_it_is_bound_to() {
    let (cluster, _) = with_token().await;
    cluster
        .put(json!({"kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "uid": "pod-1"}}))
        .await;
    let plain = SIGNER.sign_bound(&bound_claims(&cluster)).into_exposed();
    let pod = BoundObject { kind: BoundKind::Pod, name: "web".to_owned(), uid: "pod-1".to_owned() };
    let in_pod =
        SIGNER.sign_bound(&BoundClaims { bound_to: Some(pod), ..bound_claims(&cluster) }).into_exposed();
    let subject = cluster.bearer(&in_pod).unwrap();
    assert_eq!(subject.extra["authentication.kubernetes.io/pod-name"], ["web"]);
    assert_eq!(subject.extra["authentication.kubernetes.io/credential-id"], ["JTI=id-1"]);
    cluster.delete("pods", "shop", "web").await;
    assert!(cluster.bearer(&in_pod).is_err());
    cluster.bearer(&plain).unwrap();
    cluster.clock.advance(SignedDuration::from_secs(620));
    assert!(cluster.bearer(&plain).is_err(), "its time is over, although it was cached");
}

#[tokio::test]
async fn a_requested_token_is_for_its_issuer_audience_and_time() {
    let (cluster, _) = with_token().await;
    let check = |change: &dyn Fn(&mut BoundClaims), expected: &str| {
        let mut claims = bound_claims(&cluster);
        change(&mut claims);
        let token = SIGNER.sign_bound(&claims);
        let result = cluster.bearer(token.expose()).map(|subject| subject.username.clone());
        assert_eq!(result.unwrap_or_else(|error| error), expected);
    };
    let refused = |what: &str| format!("the credentials are not valid: {what}");
    check(&|_| {}, "system:serviceaccount:shop:pusher");
    check(
        &|claims| claims.issuer = "https://elsewhere".into(),
        &refused("the token's issuer is not acceptable"),
    );
    check(
        &|claims| claims.audiences = vec!["vault".into()],
        &refused("the token's audience is not acceptable"),
    );
    check(&|claims| claims.audiences.clear(), &refused("the token's audience is not acceptable"));
    check(
        &|claims| claims.expires_at = claims.issued_at - SignedDuration::from_secs(60),
        &refused("the token is not valid at this time"),
    );
    check(&|claims| claims.issued_at = claims.expires_at, &refused("the token is not valid at this time"));
    check(
        &|claims| claims.service_account_uid = "uid-9".into(),
        &refused("the service account does not exist or is not the one the token was made for"),
    );
}

/// A server that has two names of its own, and takes tokens for either.
#[tokio::test]
async fn a_token_for_one_audience_is_for_no_other() {
    let audiences = ["https://kubernetes.default.svc", "https://ph.example"];
    let ours = audiences.map(str::to_owned).to_vec();
    let cluster = Cluster::with(|config| config.token_audiences = ours).await;
    cluster.put(account("uid-1")).await;
    let check = |token: &[&str], asked: &[&str], expected: Option<&[&str]>| {
        let owned = |of: &[&str]| of.iter().map(|of| (*of).to_owned()).collect::<Vec<_>>();
        let claims = BoundClaims { audiences: owned(token), ..bound_claims(&cluster) };
        let token = SIGNER.sign_bound(&claims).into_exposed();
        let reviewed = cluster.auth.review(&token, &owned(asked)).ok();
        assert_eq!(reviewed.map(|(_, shared)| shared), expected.map(owned), "{asked:?}");
    };
    let [first, second] = audiences;
    check(&[first], &[first], Some(&[first]));
    check(&[first], &[second], None);
    check(&[first, second], &[second], Some(&[second]));
    check(&[first], &[], Some(&[]));
    check(&["vault"], &["vault", second], Some(&["vault"]));
    check(&["vault"], &[], None);
}

#[tokio::test]
async fn forged_headers_are_refused() {
    let (cluster, token) = with_token().await;
    let [_, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let kid = SIGNER.key_id();
    let other = TokenSigner::generate().unwrap();
    let foreign = other.sign_legacy(&legacy_claims()).into_exposed();
    let headers = [
        r#"{"alg":"none"}"#.to_owned(),
        r#"{"alg":"None","typ":"JWT"}"#.to_owned(),
        r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
        r#"{"alg":"ES256","typ":"JWT"}"#.to_owned(),
        r#"{"alg":"RS512","typ":"JWT"}"#.to_owned(),
        r#"{"alg":"rs256","typ":"JWT"}"#.to_owned(),
        r#"{"typ":"JWT"}"#.to_owned(),
        r#"{"alg":"RS256","alg":"none"}"#.to_owned(),
        r#"{"alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}"#.to_owned(),
        r#"{"alg":"RS256","jku":"https://evil.example/keys"}"#.to_owned(),
        r#"{"alg":"RS256","x5u":"https://evil.example/key"}"#.to_owned(),
        r#"{"alg":"RS256","x5c":["AA"]}"#.to_owned(),
        r#"{"alg":"RS256","crit":["b64"],"b64":false}"#.to_owned(),
        r#"{"alg":"RS256","zip":"DEF"}"#.to_owned(),
        r#"{"alg":"RS256","kid":"../../etc/passwd"}"#.to_owned(),
        r#"{"alg":"RS256","kid":"' OR 1=1"}"#.to_owned(),
        format!(r#"{{"alg":"RS256","kid":"{}"}}"#, other.key_id()),
        format!(r#"{{"alg":"none","typ":"JWT","kid":"{kid}"}}"#),
        "[]".to_owned(),
        String::new(),
    ];
    for header in headers {
        for signature in [signature, "", foreign.rsplit('.').next().unwrap_or_default()] {
            let forged = format!("{}.{claims}.{signature}", encode(&header));
            assert!(cluster.bearer(&forged).is_err(), "{header}");
        }
    }
    assert!(cluster.bearer(&foreign).is_err(), "signed by another key");
    for forged in [
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        token.to_ascii_uppercase(),
        "..".to_owned(),
        "a".repeat(MAX_TOKEN_BYTES + 1),
        String::new(),
    ] {
        assert!(cluster.bearer(&forged).is_err(), "{forged}");
    }
    assert!(cluster.bearer(&token).is_ok(), "the genuine one still is");
}

#[tokio::test]
async fn no_changed_or_cut_token_is_accepted() {
    let (cluster, token) = with_token().await;
    cluster.bearer(&token).unwrap();
    for at in 0..token.len() {
        assert!(cluster.bearer(token.split_at(at).0).is_err(), "the first {at} characters");
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(cluster.bearer(&String::from_utf8(bytes).unwrap()).is_err(), "character {at} changed");
    }
}

#[test]
fn keys_survive_pem_and_are_published() {
    let pem = SIGNER.current().to_pem().unwrap();
    let same = TokenSigner::from_pem(pem.expose()).unwrap();
    assert_eq!(same.key_id(), SIGNER.key_id());
    let key = &same.jwks()["keys"][0];
    assert_eq!(key["kid"], SIGNER.key_id());
    assert_eq!(key["e"], "AQAB");
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap().len(), 256);
    let error = TokenSigner::from_pem("-----BEGIN RSA PRIVATE KEY-----").err().unwrap();
    assert_eq!(error.to_string(), "the signing key is no PEM block of type PRIVATE KEY");
}

#[tokio::test]
async fn certificates_and_their_absence() {
    let cluster = Cluster::start(Era::V4).await;
    let organizations = ["system:masters".to_owned(), "system:masters".to_owned()];
    let certificate =
        Credentials::ClientCertificate { common_name: "system:admin", organizations: &organizations };
    let admin = cluster.auth.authenticate(certificate).unwrap();
    assert_eq!(admin.groups, ["system:masters", "system:authenticated"]);
    assert!(cluster.may(&admin, &Attributes::new("delete", "", "nodes").name("n")));
    for credentials in [Credentials::None, Credentials::Bearer("anonymous")] {
        assert!(cluster.auth.authenticate(credentials).unwrap().is_anonymous());
    }
    let nobody = Credentials::ClientCertificate { common_name: "", organizations: &organizations };
    assert!(cluster.auth.authenticate(nobody).is_err());
}

proptest! {
    #![proptest_config(Cases::with_cases(64))]

    #[test]
    fn no_text_crashes_the_parser_or_passes(text in any::<String>(), header in any::<Vec<u8>>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cluster = runtime.block_on(Cluster::start(Era::V4));
        let header = BASE64_URL_SAFE_NO_PAD.encode(header);
        for token in [text.clone(), format!("sha256~{text}"), format!("{header}.{text}.{header}")] {
            prop_assert!(token == "anonymous" || cluster.bearer(&token).is_err());
        }
    }
}
