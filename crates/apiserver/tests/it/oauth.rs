//! Logging in over HTTP, as `oc login` and a browser do it.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use pierhead_apiserver::{ApiServer, Config};
use pierhead_auth::Auth;
use pierhead_auth::password::{IdentityProvider, ProviderKind};
use pierhead_blobs::Blobs;
use pierhead_images::Images;
use pierhead_runtime::ManualClock;
use serde_json::{Value, json};

use crate::world::World;

const URL: &str = "https://127.0.0.1:8443";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A server on which every password but a blank one is right.
struct Site {
    server: ApiServer,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The `name=value` part of a cookie it sets.
    fn cookie(&self, name: &str) -> String {
        let mut cookies = self.headers.get_all("set-cookie").into_iter().map(|value| value.to_str().unwrap());
        let start = format!("{name}=");
        let found = cookies.rfind(|cookie| cookie.starts_with(&start)).unwrap();
        for part in ["; HttpOnly", "; Secure", "; SameSite=Lax"] {
            assert!(found.contains(part), "{found}");
        }
        found.split(';').next().unwrap().to_owned()
    }

    /// A parameter of the place it redirects to.
    fn parameter(&self, name: &str) -> Option<String> {
        let (_, parameters) = self.header("location").split_once(['?', '#'])?;
        let mut pairs = form_urlencoded::parse(parameters.as_bytes());
        pairs.find(|(of, _)| of == name).map(|(_, value)| value.into_owned())
    }
}

impl Site {
    async fn new() -> Self {
        Self::with(Some(ProviderKind::AllowAny)).await
    }

    async fn with(kind: Option<ProviderKind>) -> Self {
        let world = World::new().await;
        let clock = ManualClock::default().shared();
        let mut config = pierhead_auth::Config::new(world.auth.signer().clone());
        config.identity_providers = kind.into_iter().map(|kind| IdentityProvider::new("any", kind)).collect();
        let auth = Auth::open(world.store.clone(), config, Arc::clone(&clock)).unwrap();
        let blobs = Blobs::memory(Arc::clone(&clock));
        let images = pierhead_images::Config::new("172.30.0.1:5000");
        let images = Images::open(world.store.clone(), blobs, images, Arc::clone(&clock)).unwrap();
        let server = ApiServer::new(world.store, auth, images, Config::new(URL, "apps.example.com"), clock);
        Self { server }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let path = path.strip_prefix(URL).unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.server.handle(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, "").await
    }

    async fn user_of(&self, token: &str) -> (StatusCode, Value) {
        let bearer = format!("Bearer {token}");
        let path = "/apis/user.openshift.io/v1/users/~";
        let reply = self.get(path, &[("authorization", &bearer)]).await;
        let name = reply.json()["metadata"]["name"].clone();
        (reply.status, name)
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

const IMPLICIT: &str = "/oauth/authorize?client_id=openshift-challenging-client&response_type=token";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn metadata_says_where_to_go() {
    let site = Site::new().await;
    let reply = site.get("/.well-known/oauth-authorization-server", &[]).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["issuer"], URL);
    assert_eq!(reply.json()["token_endpoint"], format!("{URL}/oauth/token"));
    assert_eq!(reply.json()["code_challenge_methods_supported"], json!(["plain", "S256"]));
    assert_eq!(reply.header("x-frame-options"), "DENY");
    assert_eq!(reply.header("cache-control"), "no-cache, no-store, max-age=0, must-revalidate");
}

#[tokio::test]
async fn a_challenged_client_gets_a_token_for_a_password() {
    let site = Site::new().await;
    for headers in [&[][..], &[("authorization", &*basic("dev", ""))]] {
        let without = site.get(IMPLICIT, headers).await;
        assert_eq!(without.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            without.header("www-authenticate"),
            "",
            "a foreign page must not make a browser ask for a password"
        );
        assert!(without.header("warning").contains("A non-empty X-CSRF-Token header is required"));
    }
    let unasked = site.get(IMPLICIT, &[("authorization", &basic("dev", "x"))]).await;
    assert_eq!(unasked.status, StatusCode::FOUND, "some clients send the password at once, and no header");

    let csrf = ("x-csrf-token", "1");
    for credentials in [None, Some(basic("dev", "")), Some(basic("", "x")), Some("Basic !".to_owned())] {
        let headers: Vec<(&str, &str)> =
            [csrf].into_iter().chain(credentials.as_deref().map(|value| ("authorization", value))).collect();
        let challenged = site.get(IMPLICIT, &headers).await;
        assert_eq!(challenged.status, StatusCode::UNAUTHORIZED, "{credentials:?}");
        assert_eq!(challenged.header("www-authenticate"), "Basic realm=\"openshift\"");
    }
    let granted =
        site.get(&format!("{IMPLICIT}&state=s+1"), &[csrf, ("authorization", &basic("dev", "x"))]).await;
    assert_eq!(granted.status, StatusCode::FOUND);
    assert!(
        granted.header("location").starts_with(&format!("{URL}/oauth/token/implicit#access_token=sha256~"))
    );
    assert_eq!(granted.parameter("expires_in").as_deref(), Some("86400"));
    assert_eq!(granted.parameter("scope").as_deref(), Some("user:full"));
    assert_eq!(granted.parameter("state").as_deref(), Some("s 1"));
    let token = granted.parameter("access_token").unwrap();
    assert_eq!(site.user_of(&token).await, (StatusCode::OK, json!("dev")));
    assert_eq!(site.user_of(&format!("{token}x")).await.0, StatusCode::UNAUTHORIZED);
    let info = site.get(&format!("/oauth/info?code={token}"), &[]).await;
    assert_eq!(info.json()["scope"], "user:full");
}

#[tokio::test]
async fn clients_of_2016_log_out_by_the_token_itself() {
    let site = Site::new().await;
    let headers = [("x-csrf-token", "1"), ("authorization", &*basic("dev", "x"))];
    let token = site.get(IMPLICIT, &headers).await.parameter("access_token").unwrap();
    let bearer = format!("Bearer {token}");
    let log_out = async |token: &str| {
        let path = format!("/oapi/v1/oauthaccesstokens/{token}");
        site.send("DELETE", &path, &[("authorization", &bearer)], "").await
    };
    let unknown = log_out("sha256~nobody-has-this").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json()["details"]["name"], "sha256~nobody-has-this");
    assert_eq!(site.user_of(&token).await.0, StatusCode::OK);
    assert_eq!(log_out(&token).await.status, StatusCode::OK);
    assert_eq!(site.user_of(&token).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_becomes_a_token_for_who_has_the_verifier() {
    let site = Site::new().await;
    let redirect = format!("{URL}/oauth/token/implicit");
    let parameters = form(&[
        ("client_id", "openshift-challenging-client"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("redirect_uri", &redirect),
        ("response_type", "code"),
    ]);
    let headers = [("x-csrf-token", "1"), ("authorization", &*basic("dev", "x"))];
    let granted = site.get(&format!("/oauth/authorize?{parameters}"), &headers).await;
    let code = granted.parameter("code").unwrap();
    let body = |verifier| {
        form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("code_verifier", verifier),
            ("redirect_uri", &redirect),
        ])
    };
    let client = basic("openshift-challenging-client", "");
    let anonymous = site.send("POST", "/oauth/token", &[FORM], &body(VERIFIER)).await;
    assert_eq!(
        (anonymous.status, anonymous.json()["error"].clone()),
        (StatusCode::UNAUTHORIZED, json!("unauthorized_client"))
    );
    let wrong = [FORM, ("authorization", &*basic("openshift-challenging-client", "guess"))];
    assert_eq!(
        site.send("POST", "/oauth/token", &wrong, &body(VERIFIER)).await.status,
        StatusCode::UNAUTHORIZED
    );
    let headers = [FORM, ("authorization", client.as_str())];
    let answer = site.send("POST", "/oauth/token", &headers, &body(VERIFIER)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 86_400);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.user_of(&token).await, (StatusCode::OK, json!("dev")));

    let again = site.send("POST", "/oauth/token", &headers, &body(VERIFIER)).await;
    assert_eq!(
        (again.status, again.json()["error"].clone()),
        (StatusCode::BAD_REQUEST, json!("invalid_grant"))
    );
    assert_eq!(site.user_of(&token).await.0, StatusCode::UNAUTHORIZED, "the code was used twice");
    let other =
        site.send("POST", "/oauth/token", &headers, "grant_type=password&username=a&password=b").await;
    assert_eq!(other.json()["error"], "unsupported_grant_type");
    assert_eq!(site.get("/oauth/token", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_person_gets_a_token_in_a_browser() {
    let site = Site::new().await;
    let start = site.get("/oauth/token/request", &[]).await;
    let authorize = start.header("location").to_owned();
    let to_login = site.get(&authorize, &[]).await;
    let login = to_login.header("location").to_owned();
    assert!(login.starts_with("/login?then=%2Foauth%2Fauthorize%3F"), "{login}");
    let page = site.get(&login, &[]).await;
    assert!(page.body.contains("name=\"password\""), "{}", page.body);
    let csrf = page.cookie("csrf");
    let (_, value) = csrf.split_once('=').unwrap();
    let then = to_login.parameter("then").unwrap();

    let body = |csrf| form(&[("csrf", csrf), ("then", &then), ("username", "dev"), ("password", "x")]);
    let forged = site.send("POST", "/login", &[FORM, ("cookie", &csrf)], &body("")).await;
    assert_eq!(forged.parameter("reason").as_deref(), Some("token_expired"));
    let forged = site.send("POST", "/login", &[FORM], &body(value)).await;
    assert_eq!(forged.parameter("reason").as_deref(), Some("token_expired"), "the cookie is missing");
    let entered = site.send("POST", "/login", &[FORM, ("cookie", &csrf)], &body(value)).await;
    assert_eq!(entered.header("location"), then);
    let cookies = format!("{csrf}; {}", entered.cookie("ssn"));

    let granted = site.get(&then, &[("cookie", &cookies)]).await;
    let display = granted.header("location").to_owned();
    assert!(display.starts_with(&format!("{URL}/oauth/token/display?code=sha256~")), "{display}");
    let page = site.get(&display, &[("cookie", &cookies)]).await;
    assert!(page.body.contains("Display Token"));
    let code = granted.parameter("code").unwrap();
    let headers = [FORM, ("cookie", cookies.as_str())];
    let shown =
        site.send("POST", "/oauth/token/display", &headers, &form(&[("code", &code), ("csrf", value)])).await;
    let (_, rest) = shown.body.split_once("oc login --token=").unwrap();
    let token = rest.split(' ').next().unwrap();
    assert_eq!(site.user_of(token).await, (StatusCode::OK, json!("dev")));
    let left = site.send("POST", "/logout", &[("cookie", &cookies)], "then=//evil.example").await;
    assert_eq!(left.header("location"), "/");
    assert_eq!(left.cookie("ssn"), "ssn=");
    assert_eq!(site.get("/logout", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn errors_go_only_where_answers_may_go() {
    let site = Site::new().await;
    let headers = [("x-csrf-token", "1"), ("authorization", &*basic("dev", "x"))];
    let check = async |parameters: &[(&str, &str)], status: StatusCode, error: &str| {
        let reply = site.get(&format!("/oauth/authorize?{}", form(parameters)), &headers).await;
        assert_eq!(reply.status, status, "{parameters:?}: {}", reply.body);
        if status == StatusCode::FOUND {
            assert!(reply.header("location").starts_with(URL), "{}", reply.header("location"));
            assert_eq!(reply.parameter("error").as_deref(), Some(error));
        } else {
            assert_eq!(reply.header("location"), "");
            assert_eq!(reply.json()["error"], error);
        }
    };
    let client = ("client_id", "openshift-challenging-client");
    let (bad, found) = (StatusCode::BAD_REQUEST, StatusCode::FOUND);
    check(&[("response_type", "token")], bad, "unauthorized_client").await;
    check(&[("client_id", "nobody"), ("response_type", "token")], bad, "unauthorized_client").await;
    for elsewhere in [
        "https://evil.example/",
        "//evil.example",
        "https://127.0.0.1:8443@evil.example/oauth/token/implicit",
    ] {
        check(&[client, ("response_type", "token"), ("redirect_uri", elsewhere)], bad, "invalid_request")
            .await;
    }
    check(&[client], found, "unsupported_response_type").await;
    check(&[client, ("response_type", "code")], found, "invalid_request").await;
    check(&[client, ("response_type", "code"), ("code_challenge", "short")], found, "invalid_request").await;
    check(&[client, ("response_type", "token"), ("scope", "user:all")], found, "invalid_scope").await;
}

#[tokio::test]
async fn without_passwords_one_is_told_where_to_get_a_token() {
    let site = Site::with(None).await;
    let refused = site.get(IMPLICIT, &[("x-csrf-token", "1"), ("authorization", &basic("dev", "x"))]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("www-authenticate"), "");
    assert_eq!(refused.header("link"), format!("<{URL}/oauth/token/request>; rel=\"related\""));
    let denied = Site::with(Some(ProviderKind::DenyAll)).await;
    let refused = denied.get(IMPLICIT, &[("x-csrf-token", "1"), ("authorization", &basic("dev", "x"))]).await;
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"openshift\"");
}
