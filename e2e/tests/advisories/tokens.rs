//! Advisories E: forged, foreign, revoked and oversized credentials, at every door that takes any.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use pierhead_e2e::wire::Answer;
use pierhead_testkit::{Site, SiteOptions};
use serde_json::{Value, json};

use crate::cast::{Caller, Cast, REPOSITORY, api_door, binding_path, login};
use crate::door::{Ask, Door};

#[tokio::test(flavor = "multi_thread")]
async fn advisories_e_tokens() -> Result<()> {
    let cast = Cast::start().await?;
    e1_only_our_algorithm_and_key_count(&cast).await.context("E1")?;
    e4_a_token_is_for_its_audience(&cast).await.context("E4")?;
    e5_a_lost_role_is_lost_at_every_door(&cast).await.context("E5, role")?;
    e5_a_revoked_token_is_refused_at_every_door(&cast).await.context("E5, token")?;
    e5_a_deleted_account_is_refused_at_every_door(&cast).await.context("E5, account")?;
    e6_a_token_has_no_other_spelling(&cast).await.context("E6")?;
    e7_codes_and_tokens_go_only_where_they_may(&cast).await.context("E7")?;
    e9_long_credentials_are_refused(&cast).await.context("E9")?;
    cast.stop()
}

const OWN_SELF: &str = "/apis/user.openshift.io/v1/users/~";

/// What the API and the registry say to a token.
async fn at_both_doors(cast: &Cast, token: &str) -> Result<[StatusCode; 2]> {
    let caller = Caller::bearer("somebody", token);
    let api = cast.api.send(Ask::get(OWN_SELF).by(&caller)).await?.status;
    let registry = cast.registry.send(Ask::get("/v2/").by(&caller)).await?.status;
    Ok([api, registry])
}

async fn refused(cast: &Cast, what: &str, token: &str) -> Result<()> {
    let statuses = at_both_doors(cast, token).await?;
    ensure!(statuses == [StatusCode::UNAUTHORIZED; 2], "{what}: {statuses:?}");
    Ok(())
}

async fn e1_only_our_algorithm_and_key_count(cast: &Cast) -> Result<()> {
    let token = cast.account_token("victim", "secret").await?;
    ensure!(at_both_doors(cast, &token).await? == [StatusCode::OK; 2], "the token itself is not good");
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        anyhow::bail!("three parts")
    };
    let real: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
    let kid = real.get("kid").cloned().unwrap_or_default();
    for forged in [
        json!({"alg": "none"}),
        json!({"alg": "none", "kid": kid}),
        json!({"alg": "HS256", "kid": kid}),
        json!({"alg": "ES256", "kid": kid}),
        json!({"alg": "RS256", "kid": "../../dev/null"}),
        json!({"alg": "RS256", "kid": "' OR 1=1 --"}),
        json!({"alg": "RS256", "kid": kid, "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
        json!({"alg": "RS256", "kid": kid, "jku": "https://evil.example/keys"}),
        json!({"alg": "RS256", "kid": kid, "crit": ["b64"], "b64": false}),
        json!({"alg": "RS256", "kid": kid, "zip": "DEF"}),
    ] {
        let header = URL_SAFE_NO_PAD.encode(forged.to_string());
        for signature in [signature, ""] {
            refused(cast, &forged.to_string(), &format!("{header}.{claims}.{signature}")).await?;
        }
    }
    let mut changed: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    changed.as_object_mut().context("claims")?.insert("sub".into(), json!("system:admin"));
    let changed = URL_SAFE_NO_PAD.encode(changed.to_string());
    refused(cast, "other claims", &format!("{header}.{changed}.{signature}")).await
}

async fn e4_a_token_is_for_its_audience(cast: &Cast) -> Result<()> {
    let path = "/api/v1/namespaces/victim/serviceaccounts/secret/token";
    let wish = json!({"spec": {"audiences": ["https://elsewhere.example"]}});
    let made = cast.create(&cast.root, path, &wish).await?;
    let token = made.pointer("/status/token").and_then(Value::as_str).context("no token")?;
    refused(cast, "a token for somebody else", token).await
}

/// Everything somebody may have open: a watch and an upload.
struct Open {
    watch: crate::door::Following,
    upload: String,
}

const CONFIGMAPS: &str = "/api/v1/namespaces/victim/configmaps";

async fn open_everything(cast: &Cast, who: &Caller) -> Result<Open> {
    let mut watch = cast.api.follow(Ask::get(format!("{CONFIGMAPS}?watch=true")).by(who)).await?;
    ensure!(watch.status() == StatusCode::OK, "{} watches: {}", who.name, watch.status());
    ensure!(watch.next().await?.is_some(), "the watch begins with what there is");
    let upload = cast.start_upload(who, REPOSITORY).await?;
    let patch = Ask::new(Method::PATCH, upload.clone()).body("application/octet-stream", "x").by(who);
    cast.registry.send(patch).await?.expect(StatusCode::ACCEPTED)?;
    cast.read(who, CONFIGMAPS).await?;
    Ok(Open { watch, upload })
}

/// Everything is closed from now on: the API with `status`, the registry with 401, and the watch ends.
async fn everything_is_closed(cast: &Cast, who: &Caller, mut open: Open, status: StatusCode) -> Result<()> {
    let api = cast.api.send(Ask::get(CONFIGMAPS).by(who)).await?.status;
    ensure!(api == status, "the API: {api}");
    let place = open.upload;
    for ask in [
        Ask::new(Method::PATCH, place.clone()).body("application/octet-stream", "x"),
        Ask::new(Method::PUT, format!("{place}?digest={}", cast.image.layer.digest)),
        Ask::get(place.clone()),
        Ask::new(Method::DELETE, place),
        Ask::get(format!("/v2/{REPOSITORY}/manifests/v1")),
        Ask::get(format!("/v2/{REPOSITORY}/blobs/{}", cast.image.layer.digest)),
    ] {
        let shown = format!("{ask:?}");
        let status = cast.registry.send(ask.by(who)).await?.status;
        ensure!(status == StatusCode::UNAUTHORIZED, "{shown}: {status}");
    }
    while open.watch.next().await.context("the watch")?.is_some() {}
    Ok(())
}

async fn e5_a_lost_role_is_lost_at_every_door(cast: &Cast) -> Result<()> {
    let leaver = login(&cast.api, "leaver").await?;
    cast.bind("victim", "edit", "leaver").await?;
    let open = open_everything(cast, &leaver).await?;
    cast.delete(&cast.root, &binding_path("victim", "leaver")).await?;
    everything_is_closed(cast, &leaver, open, StatusCode::FORBIDDEN).await
}

async fn e5_a_revoked_token_is_refused_at_every_door(cast: &Cast) -> Result<()> {
    let loser = login(&cast.api, "loser").await?;
    cast.bind("victim", "edit", "loser").await?;
    let open = open_everything(cast, &loser).await?;
    let tokens = "/apis/oauth.openshift.io/v1/oauthaccesstokens";
    let list = cast.read(&cast.root, tokens).await?;
    let items = list.get("items").and_then(Value::as_array).context("no items")?;
    let theirs = items.iter().find(|token| token.get("userName") == Some(&json!("loser")));
    let name = theirs.and_then(|token| token.pointer("/metadata/name")?.as_str()).context("no token")?;
    cast.delete(&cast.root, &format!("{tokens}/{name}")).await?;
    everything_is_closed(cast, &loser, open, StatusCode::UNAUTHORIZED).await?;
    refused(cast, "a revoked token", loser.token()).await
}

async fn e5_a_deleted_account_is_refused_at_every_door(cast: &Cast) -> Result<()> {
    let accounts = "/api/v1/namespaces/victim/serviceaccounts";
    cast.create(&cast.chief, accounts, &json!({"metadata": {"name": "robot"}})).await?;
    let binding = json!({
        "metadata": {"name": "robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "victim"}],
    });
    cast.create(&cast.chief, &binding_path("victim", ""), &binding).await?;
    let robot = Caller::bearer("robot", &cast.account_token("victim", "robot").await?);
    let open = open_everything(cast, &robot).await?;
    cast.delete(&cast.chief, &format!("{accounts}/robot")).await?;
    everything_is_closed(cast, &robot, open, StatusCode::UNAUTHORIZED).await?;
    // One of the same name is another.
    cast.create(&cast.chief, accounts, &json!({"metadata": {"name": "robot"}})).await?;
    refused(cast, "the token of a former account", robot.token()).await
}

async fn e6_a_token_has_no_other_spelling(cast: &Cast) -> Result<()> {
    let token = cast.puller.token().to_owned();
    ensure!(at_both_doors(cast, &token).await? == [StatusCode::OK; 2], "the token itself is not good");
    let raw = token.strip_prefix("sha256~").context("a token of ours")?;
    let mut cut = token.clone();
    cut.pop();
    let listed = cast.read(&cast.puller, "/apis/oauth.openshift.io/v1/useroauthaccesstokens").await?;
    let name = listed.pointer("/items/0/metadata/name").and_then(Value::as_str).context("no token")?;
    for (what, other) in [
        ("without its prefix", raw.to_owned()),
        ("cut", cut),
        ("longer", format!("{token}A")),
        ("padded", format!("{token}=")),
        ("in capitals", format!("sha256~{}", raw.to_uppercase())),
        ("with a loud prefix", format!("SHA256~{raw}")),
        ("the name under which it is stored", name.to_owned()),
        ("twice", format!("{token}{token}")),
        ("with a null", format!("{token}%00")),
    ] {
        refused(cast, what, &other).await?;
    }
    Ok(())
}

/// Neither as a redirect URI nor as the page after a login may an address lead away.
async fn e7_codes_and_tokens_go_only_where_they_may(cast: &Cast) -> Result<()> {
    let own = cast.site.api_url();
    let hostile = [
        "https://evil.example".to_owned(),
        "//evil.example".to_owned(),
        "/\\evil.example".to_owned(),
        "\\\\evil.example".to_owned(),
        "/\t/evil.example".to_owned(),
        "https:evil.example".to_owned(),
        "https:/evil.example".to_owned(),
        "http:///evil.example".to_owned(),
        "javascript:alert(1)//evil.example".to_owned(),
        format!("{own}@evil.example"),
        format!("{own}.evil.example"),
        format!("{own}/oauth/token/implicit@evil.example"),
        format!("{own}/oauth/token/implicit/../../../evil.example"),
        format!("{own}/oauth/token/implicit?evil.example"),
        format!("{own}/oauth/token/implicit#evil.example"),
        format!("{own}/oauth/token/implicit\r\nlocation: //evil.example"),
        format!("{own}%2eevil.example"),
        format!("{own}:443.evil.example"),
        "https://\u{ff45}vil.example".to_owned(),
        "https://127.0.0.1\u{ff0f}evil.example".to_owned(),
        " https://evil.example".to_owned(),
        "https://evil.example\u{0}".to_owned(),
    ];
    let basic = "Basic cHVsbGVyOng="; // `puller:x`, good on this site.
    for address in hostile {
        let escaped: String = address.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for client in ["openshift-challenging-client", "openshift-browser-client", "openshift-cli-client"] {
            for response in ["code", "token"] {
                let path = format!(
                    "/oauth/authorize?client_id={client}&response_type={response}&redirect_uri={escaped}"
                );
                let ask = Ask::get(path).header("authorization", basic).header("x-csrf-token", "1");
                let answer = cast.api.send(ask).await?;
                let place = answer.header("location").unwrap_or_default();
                let harmless = place.is_empty() || (place.starts_with('/') && !place.starts_with("//"));
                ensure!(harmless && !place.contains("access_token"), "{client} {address:?}: {place}");
            }
        }
        let answer = cast.api.send(Ask::get(format!("/login?then={escaped}"))).await?;
        let place = answer.header("location").unwrap_or_default();
        ensure!(!place.contains("evil"), "after a login: {address:?}: {place}");
    }
    Ok(())
}

async fn e9_long_credentials_are_refused(cast: &Cast) -> Result<()> {
    let token = cast.account_token("victim", "secret").await?;
    for length in [17 << 10, 30 << 10] {
        let parts = ["a".repeat(length), format!("{token}.{}", "a".repeat(length)), ".".repeat(length)];
        for long in parts {
            refused(cast, &format!("{length} bytes"), &long).await?;
        }
        let basic =
            Caller { name: "long", authorization: Some(format!("Basic {}", "QUFB".repeat(length / 4))) };
        let status = cast.registry.send(Ask::get("/v2/").by(&basic)).await?.status;
        ensure!(status == StatusCode::UNAUTHORIZED, "a password of {length} bytes: {status}");
    }
    // More than any head may have.
    for (name, door) in [("API", &cast.api), ("registry", &cast.registry), ("router", &cast.router)] {
        let request = format!(
            "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
            "a".repeat(1 << 20)
        );
        let status = door.raw(request.as_bytes()).await?.map(|answer| answer.status);
        ensure!(status.is_none_or(|status| status.is_client_error()), "{name}: {status:?}");
    }
    ensure!(
        at_both_doors(cast, &token).await? == [StatusCode::OK; 2],
        "and then the doors are open as before"
    );
    Ok(())
}

/// Two users whose password is `right`.
const USERS: &str = "ann:{SHA}0nofEXcSAJSXFLGvmfBIpBb11vQ=\nbob:{SHA}0nofEXcSAJSXFLGvmfBIpBb11vQ=\n";

/// What the site says to a password.
async fn say_password(door: &Door, account: &str, password: &str) -> Result<Answer> {
    let path = "/oauth/authorize?client_id=openshift-challenging-client&response_type=token";
    let basic = format!("Basic {}", STANDARD.encode(format!("{account}:{password}")));
    door.send(Ask::get(path).header("authorization", basic).header("x-csrf-token", "1")).await
}

/// Guessing is slowed down for an account at the guesser's address, whether the account exists or not; other accounts
/// and tokens are as before.
#[tokio::test(flavor = "multi_thread")]
async fn advisories_e10_guessing_passwords_leads_nowhere() -> Result<()> {
    let options = SiteOptions { htpasswd: Some(USERS.to_owned()), ..SiteOptions::default() };
    let site = Site::start_with(options).await?;
    let (door, [api, authority]) =
        (api_door(&site)?, [site.api_url(), site.authority().display().to_string()]);
    let log_in = |user, password| {
        ["login", &api, "--certificate-authority", &authority, "-u", user, "-p", password].map(str::to_owned)
    };
    let [ann, guesser] = [site.stranger("ann")?, site.stranger("guesser")?];
    ann.oc(log_in("ann", "right")).await.succeeds();
    let mut answers = Vec::new();
    for account in ["ann", "nobody"] {
        let mut looked_at = 0;
        let refused = loop {
            let answer = say_password(&door, account, &format!("wrong{looked_at}")).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                break answer.expect(StatusCode::TOO_MANY_REQUESTS)?;
            }
            looked_at += 1;
            ensure!(looked_at < 40, "{account}: {looked_at} guesses were looked at");
        };
        ensure!(looked_at >= 10, "{account}: only {looked_at} guesses were looked at");
        let wait: u64 = refused.header("retry-after").context("no Retry-After")?.parse()?;
        ensure!((1..=6).contains(&wait), "Retry-After: {wait}");
        // Not even the right password is looked at now.
        let outcome = guesser.oc(log_in(account, "right")).await;
        let told = outcome.stdout.clone();
        outcome.fails_with("Login failed (429 Too Many Requests)");
        ensure!(told.contains("Too many passwords were wrong; try again in "), "{account}: {told}");
        answers.push((told, refused.body));
    }
    let blind = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let [(told, body), (told_of_nobody, body_of_nobody)] = &answers[..] else { bail!("two accounts") };
    ensure!(blind(told) == blind(told_of_nobody), "{told} {told_of_nobody}");
    let [body, body_of_nobody] = [body, body_of_nobody].map(|body| blind(&String::from_utf8_lossy(body)));
    ensure!(body == body_of_nobody, "{body} {body_of_nobody}");
    ensure!(ann.oc(["whoami"]).await.succeeds().trim() == "ann", "the token is as good as before");
    guesser.oc(log_in("bob", "right")).await.succeeds();
    site.stop()
}
