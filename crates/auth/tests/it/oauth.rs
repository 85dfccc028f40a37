//! Logging in, codes and tokens.

use std::net::IpAddr;

use jiff::SignedDuration;
use pierhead_auth::oauth::{
    BROWSER_CLIENT, CHALLENGING_CLIENT, CLI_CLIENT, CodeRequest, LoginError, Pkce, Redemption, User,
    parse_scopes,
};
use pierhead_auth::password::{Htpasswd, IdentityProvider, ProviderKind};
use pierhead_auth::{Attributes, Auth, Config, oauth_object_name};
use serde_json::json;

use crate::cluster::{Cluster, SIGNER};

const ISSUER: &str = "https://ph.example:8443";
const USERS: &str = "users.user.openshift.io";
const TOKENS: &str = "oauthaccesstokens.oauth.openshift.io";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A cluster where anybody may log in, with the built-in clients.
async fn open_cluster() -> Cluster {
    let provider = IdentityProvider::new("anypassword", ProviderKind::AllowAny);
    let cluster = Cluster::with(|config| config.identity_providers = vec![provider]).await;
    cluster.auth.ensure_oauth_clients(ISSUER).await.unwrap();
    cluster
}

async fn token_of(cluster: &Cluster, user: &User, scopes: &[&str]) -> String {
    let client = cluster.auth.oauth_client(CHALLENGING_CLIENT).unwrap().unwrap();
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let granted = cluster.auth.grant_token(&client, user, scopes, "https://x").await.unwrap();
    assert_eq!(granted.expires_in, 86_400);
    granted.token.into_exposed()
}

/// The life of the cluster holds for clients that have none of their own; after it, a token is nobody's.
#[tokio::test]
async fn tokens_live_as_long_as_configured() {
    let cluster = Cluster::with(|config| {
        config.identity_providers = vec![IdentityProvider::new("any", ProviderKind::AllowAny)];
        config.access_token_life = std::time::Duration::from_secs(7_200);
    })
    .await;
    cluster.auth.ensure_oauth_clients(ISSUER).await.unwrap();
    let brief = json!({
        "apiVersion": "oauth.openshift.io/v1", "kind": "OAuthClient", "metadata": {"name": "brief"},
        "redirectURIs": ["https://x"], "accessTokenMaxAgeSeconds": 600,
    });
    cluster.put(brief).await;
    let user = cluster.auth.login("dev", "x", None).await.unwrap();
    for (name, life) in [(CHALLENGING_CLIENT, 7_200), ("brief", 600)] {
        let client = cluster.auth.oauth_client(name).unwrap().unwrap();
        let scopes = vec!["user:full".to_owned()];
        let granted = cluster.auth.grant_token(&client, &user, scopes, "https://x").await.unwrap();
        assert_eq!(granted.expires_in, life);
        let token = granted.token.into_exposed();
        cluster.clock.advance(SignedDuration::from_secs(life - 1));
        cluster.bearer(&token).unwrap();
        cluster.clock.advance(SignedDuration::from_secs(1));
        assert!(cluster.bearer(&token).is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_first_login_makes_user_and_identity() {
    let cluster = open_cluster().await;
    let user = cluster.auth.login("dev", "x", None).await.unwrap();
    assert_eq!(cluster.auth.login("dev", "y", None).await.unwrap(), user, "the second finds them");
    let stored = cluster.get(USERS, "", "dev").unwrap();
    assert_eq!(stored["identities"], json!(["anypassword:dev"]));
    assert_eq!(stored["metadata"]["uid"], json!(user.uid));
    let identity = cluster.get("identities.user.openshift.io", "", "anypassword:dev").unwrap();
    assert_eq!(identity["user"], json!({"name": "dev", "uid": user.uid}));
    assert_eq!(identity["providerUserName"], "dev");

    cluster.put(json!({"kind": "User", "metadata": {"name": "ann", "uid": "1"}})).await;
    let claimed = cluster.auth.login("ann", "x", None).await.unwrap_err();
    assert!(matches!(claimed, LoginError::Claim { .. }), "{claimed}");
    cluster.delete(USERS, "", "dev").await;
    let lost = cluster.auth.login("dev", "x", None).await.unwrap_err();
    assert!(matches!(lost, LoginError::Lookup { .. }), "{lost}");
    assert!(matches!(cluster.auth.login("", "x", None).await, Err(LoginError::Credentials(_))));
}

#[tokio::test]
async fn a_token_is_its_users_until_something_ends_it() {
    let cluster = open_cluster().await;
    let user = cluster.auth.login("dev", "x", None).await.unwrap();
    let token = token_of(&cluster, &user, &["user:full"]).await;
    cluster.put(json!({"kind": "Group", "metadata": {"name": "ops"}, "users": ["dev"]})).await;
    let subject = cluster.bearer(&token).unwrap();
    assert_eq!((subject.username.as_str(), &subject.uid), ("dev", &user.uid));
    assert_eq!(subject.groups, ["ops", "system:authenticated:oauth", "system:authenticated"]);
    cluster.put(json!({"kind": "Group", "metadata": {"name": "ops"}, "users": []})).await;
    assert_eq!(cluster.bearer(&token).unwrap().groups.len(), 2, "no longer in the group");

    let name = oauth_object_name(&token).unwrap();
    let stored = cluster.get(TOKENS, "", &name).unwrap();
    let secret = token.strip_prefix("sha256~").unwrap();
    assert!(!stored.to_string().contains(secret), "the token itself is not stored");
    assert!(cluster.bearer(&name).is_err(), "the name is not a token");
    assert!(cluster.bearer(secret).is_err(), "without its prefix it is none");
    for at in 1..token.len() {
        assert!(cluster.bearer(token.split_at(at).0).is_err(), "the first {at} characters");
    }
    assert!(cluster.bearer(&format!("{token}a")).is_err());
    cluster.delete(TOKENS, "", &name).await;
    assert!(cluster.bearer(&token).is_err(), "logged out");

    let token = token_of(&cluster, &user, &["user:full"]).await;
    cluster.bearer(&token).unwrap();
    cluster.clock.advance(SignedDuration::from_secs(86_400));
    assert!(cluster.bearer(&token).is_err(), "over");
    let token = token_of(&cluster, &user, &["user:full"]).await;
    cluster.bearer(&token).unwrap();
    cluster.put(json!({"kind": "User", "metadata": {"name": "dev", "uid": "new"}})).await;
    assert!(cluster.bearer(&token).is_err(), "another user of that name");
}

#[tokio::test]
async fn scopes_of_a_token_limit_it() {
    let cluster = open_cluster().await;
    let user = cluster.auth.login("dev", "x", None).await.unwrap();
    cluster.bind("shop", "admin", "dev").await;
    let limited = cluster.bearer(&token_of(&cluster, &user, &["user:info"]).await).unwrap();
    let full = cluster.bearer(&token_of(&cluster, &user, &["user:full"]).await).unwrap();
    cluster.auth.permit_pull(&full, "shop", "web").unwrap();
    assert!(cluster.auth.permit_pull(&limited, "shop", "web").is_err());
    assert!(cluster.may(&limited, &Attributes::new("get", "user.openshift.io", "users").name("~")));
    let client = cluster.auth.oauth_client(CHALLENGING_CLIENT).unwrap().unwrap();
    assert_eq!(parse_scopes("", &client).unwrap(), ["user:full"]);
    assert_eq!(parse_scopes("user:info user:info", &client).unwrap(), ["user:info"]);
    assert_eq!(
        parse_scopes("user:nonsense", &client).unwrap_err().to_string(),
        "\"user:nonsense\" is not a known scope"
    );
    let name = "dev:openshift-challenging-client";
    let grant = cluster.get("oauthclientauthorizations.oauth.openshift.io", "", name).unwrap();
    assert_eq!(grant["scopes"], json!(["user:info", "user:full"]));
}

/// Guesses at one address are refused unread after ten, whether or not the account exists, also after a restart;
/// at another address, and for tokens, nothing changes.
#[tokio::test]
async fn guesses_are_counted_and_a_restart_forgets_nothing() {
    let users = Htpasswd::parse(&format!("dev:{}\n", bcrypt::hash("right", 4).unwrap()));
    let provider = IdentityProvider::new("file", ProviderKind::Htpasswd(users));
    let cluster = Cluster::with(|config| config.identity_providers = vec![provider]).await;
    cluster.auth.ensure_oauth_clients(ISSUER).await.unwrap();
    let [guesser, home] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
    let user = cluster.auth.login("dev", "right", home).await.unwrap();
    let token = token_of(&cluster, &user, &["user:full"]).await;
    for account in ["dev", "nobody"] {
        let mut refused = Vec::new();
        for guess in 0..12 {
            let wrong = cluster.auth.login(account, &format!("wrong{guess}"), guesser).await.unwrap_err();
            refused.push(wrong.to_string());
        }
        let (looked_at, unread) = refused.split_at(10);
        let wrong = "no identity provider accepts this name and password";
        assert!(looked_at.iter().all(|text| text == wrong), "{account}: {looked_at:?}");
        let unread_text = "too many wrong passwords; the next is looked at in 6 s";
        assert!(unread.iter().all(|text| text == unread_text), "{account}: {unread:?}");
    }
    let restarted = Auth::open(cluster.store.clone(), cluster.auth.config().clone(), cluster.clock.shared());
    for auth in [&cluster.auth, &restarted.unwrap()] {
        let locked = auth.login("dev", "right", guesser).await.unwrap_err();
        assert!(matches!(locked, LoginError::TooMany { retry_after_s: 6 }), "{locked}");
        assert_eq!(auth.login("dev", "right", home).await.unwrap(), user, "at another address");
    }
    assert_eq!(cluster.bearer(&token).unwrap().username, "dev");
    cluster.clock.advance(SignedDuration::from_secs(6));
    assert_eq!(cluster.auth.login("dev", "right", guesser).await.unwrap(), user);
    cluster.clock.advance(SignedDuration::from_secs(120));
    cluster.auth.sweep_oauth().await.unwrap();
    let restarted = Auth::open(cluster.store.clone(), cluster.auth.config().clone(), cluster.clock.shared());
    assert_eq!(restarted.unwrap().login("dev", "right", guesser).await.unwrap(), user);
}

fn good<'a>(redirect_uri: &'a str, code: &'a str) -> Redemption<'a> {
    Redemption { code, redirect_uri, verifier: VERIFIER }
}

#[tokio::test]
async fn a_code_is_redeemed_once_by_who_asked_for_it() {
    let cluster = open_cluster().await;
    let auth = &cluster.auth;
    let user = auth.login("dev", "x", None).await.unwrap();
    let client = auth.oauth_client(CHALLENGING_CLIENT).unwrap().unwrap();
    let browser = auth.oauth_client(BROWSER_CLIENT).unwrap().unwrap();
    let redirect_uri = client.redirect_uri(None).unwrap();
    let code = async |pkce: Option<Pkce>| {
        let request = CodeRequest {
            scopes: vec!["user:full".to_owned()],
            redirect_uri: redirect_uri.to_owned(),
            state: String::new(),
            pkce,
        };
        auth.grant_code(&client, &user, request).await.unwrap().into_exposed()
    };
    let pkce = || Pkce::parse(CHALLENGE, "S256");

    let first = code(pkce()).await;
    let token = auth.redeem_code(&client, good(redirect_uri, &first)).await.unwrap();
    let token = token.token.into_exposed();
    assert_eq!(cluster.bearer(&token).unwrap().username, "dev");
    let again = auth.redeem_code(&client, good(redirect_uri, &first)).await.unwrap_err();
    assert_eq!(again.to_string(), "the code is not valid: it was redeemed before; its token is revoked");
    assert!(cluster.bearer(&token).is_err(), "a code used twice ends the token of the first use");
    assert!(cluster.bearer(&first).is_err(), "a code is no token");

    let check = async |pkce: Option<Pkce>, by: &_, change: &dyn Fn(&mut Redemption<'_>), why: &str| {
        let code = code(pkce).await;
        let mut redemption = good(redirect_uri, &code);
        change(&mut redemption);
        let refused = auth.redeem_code(by, redemption).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("the code is not valid: {why}"));
        let after = auth.redeem_code(&client, good(redirect_uri, &code)).await.unwrap_err();
        assert_eq!(after.to_string(), "the code is not valid: it does not exist", "it was in wrong hands");
    };
    check(pkce(), &browser, &|_| {}, "it was made for another client").await;
    check(pkce(), &client, &|redemption| redemption.verifier = CHALLENGE, "the code verifier is wrong").await;
    check(pkce(), &client, &|redemption| redemption.verifier = "", "the code verifier is wrong").await;
    check(
        pkce(),
        &client,
        &|redemption| redemption.redirect_uri = "https://x",
        "the redirect URI is another",
    )
    .await;

    let late = code(pkce()).await;
    cluster.clock.advance(SignedDuration::from_secs(300));
    let refused = auth.redeem_code(&client, good(redirect_uri, &late)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the code is not valid: its time is over");
}

#[tokio::test]
async fn only_who_reads_the_code_from_its_own_answer_needs_no_proof_key() {
    let cluster = open_cluster().await;
    let auth = &cluster.auth;
    let user = auth.login("dev", "x", None).await.unwrap();
    let needed = "the code is not valid: the client must use a proof key";
    let stripped = "the code is not valid: there is a code verifier and no challenge";
    for (name, verifier, expected) in [
        (CHALLENGING_CLIENT, "", Ok(())),
        (CHALLENGING_CLIENT, VERIFIER, Err(stripped.to_owned())),
        (CLI_CLIENT, VERIFIER, Err(needed.to_owned())),
    ] {
        let client = auth.oauth_client(name).unwrap().unwrap();
        let redirect_uri = "http://127.0.0.1/callback";
        let redirect_uri = client.redirect_uri(None).unwrap_or(redirect_uri).to_owned();
        let (scopes, state) = (vec!["user:full".to_owned()], String::new());
        let request = CodeRequest { scopes, redirect_uri: redirect_uri.clone(), state, pkce: None };
        let code = auth.grant_code(&client, &user, request).await.unwrap().into_exposed();
        let mut redemption = good(&redirect_uri, &code);
        redemption.verifier = verifier;
        let answer = auth.redeem_code(&client, redemption).await;
        assert_eq!(answer.map(|_| ()).map_err(|error| error.to_string()), expected, "{name} {verifier}");
    }
}

#[tokio::test]
async fn what_ended_long_ago_is_swept() {
    let cluster = open_cluster().await;
    let user = cluster.auth.login("dev", "x", None).await.unwrap();
    token_of(&cluster, &user, &["user:full"]).await;
    cluster.clock.advance(SignedDuration::from_secs(86_400));
    let young = token_of(&cluster, &user, &["user:full"]).await;
    assert_eq!(cluster.auth.sweep_oauth().await.unwrap(), 0, "listed for an hour after its end");
    cluster.clock.advance(SignedDuration::from_secs(3_601));
    assert_eq!(cluster.auth.sweep_oauth().await.unwrap(), 1);
    cluster.bearer(&young).unwrap();
    assert_eq!(cluster.list(TOKENS).len(), 1);
}

#[tokio::test]
async fn built_in_clients_keep_their_secrets_when_the_address_changes() {
    let cluster = open_cluster().await;
    let client = |name| cluster.get("oauthclients.oauth.openshift.io", "", name).unwrap();
    let before = client(BROWSER_CLIENT);
    let restarted =
        Auth::open(cluster.store.clone(), Config::new(SIGNER.clone()), cluster.clock.shared()).unwrap();
    restarted.ensure_oauth_clients("https://new.example").await.unwrap();
    let after = client(BROWSER_CLIENT);
    assert_eq!(before["secret"], after["secret"]);
    assert_eq!(after["redirectURIs"], json!(["https://new.example/oauth/token/display"]));
    let browser = cluster.auth.oauth_client(BROWSER_CLIENT).unwrap().unwrap();
    assert!(!browser.accepts_secret(""), "only public clients have the empty secret");
    assert!(browser.accepts_secret(before["secret"].as_str().unwrap()));
}
