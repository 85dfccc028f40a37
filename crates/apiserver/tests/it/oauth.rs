//! Logging in over HTTP, as `oc login` and a browser do it.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use pierhead_apiserver::{ApiServer, Config, FrontProxy};
use pierhead_auth::Auth;
use pierhead_auth::password::{Htpasswd, IdentityProvider, ProviderKind};
use pierhead_auth::request_header::RequestHeader;
use pierhead_blobs::Blobs;
use pierhead_images::Images;
use pierhead_runtime::ManualClock;
use pierhead_runtime::audit::{AuditFile, AuditLog};
use serde_json::{Value, json};

use crate::world::{World, admin};

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
        Self::with_providers(kind.into_iter().map(|kind| IdentityProvider::new("any", kind)).collect()).await
    }

    async fn with_providers(providers: Vec<IdentityProvider>) -> Self {
        Self::configured(providers, |_| {}).await
    }

    async fn configured(providers: Vec<IdentityProvider>, configure: impl FnOnce(&mut Config)) -> Self {
        let world = World::new().await;
        let clock = ManualClock::default().shared();
        let mut config = pierhead_auth::Config::new(world.auth.signer().clone());
        config.identity_providers = providers;
        let auth = Auth::open(world.store.clone(), config, Arc::clone(&clock)).unwrap();
        let blobs = Blobs::memory(Arc::clone(&clock));
        let images = pierhead_images::Config::new("172.30.0.1:5000");
        let images = Images::open(world.store.clone(), blobs, images, Arc::clone(&clock)).unwrap();
        let mut config = Config::new(URL, "apps.example.com");
        configure(&mut config);
        let server = ApiServer::new(world.store, auth, images, config, clock);
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

    /// A request of the administrator.
    async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        let request = Request::builder().method(method).uri(path);
        let mut request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
        request.extensions_mut().insert(admin());
        let response = self.server.handle(request).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The cookies of somebody who has logged in by the form, and what forms must repeat.
    async fn browser(&self, name: &str) -> (String, String) {
        let csrf = self.get("/login", &[]).await.cookie("csrf");
        let (_, value) = csrf.split_once('=').unwrap();
        let body = form(&[("csrf", value), ("username", name), ("password", "x")]);
        let entered = self.send("POST", "/login", &[FORM, ("cookie", &csrf)], &body).await;
        (format!("{csrf}; {}", entered.cookie("ssn")), value.to_owned())
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
async fn who_takes_back_a_code_takes_back_its_token() {
    let site = Site::new().await;
    let (cookies, csrf) = site.browser("dev").await;
    let with = [("cookie", cookies.as_str())];
    let code = site.get(&ask("openshift-browser-client", &[]), &with).await.parameter("code").unwrap();
    let body = form(&[("code", &code), ("csrf", &csrf)]);
    let shown = site.send("POST", "/oauth/token/display", &[FORM, ("cookie", &cookies)], &body).await;
    let token = shown.body.split_once("--token=").unwrap().1.split(' ').next().unwrap();
    assert_eq!(site.user_of(token).await.0, StatusCode::OK);
    let name = pierhead_auth::oauth_object_name(&code).unwrap();
    let codes = "/apis/oauth.openshift.io/v1/oauthauthorizetokens";
    let bearer = format!("Bearer {token}");
    let deleted = site.send("DELETE", &format!("{codes}/{name}"), &[("authorization", &bearer)], "").await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.body);
    assert_eq!(site.user_of(token).await.0, StatusCode::UNAUTHORIZED);
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
    check(&[client, ("response_type", "code"), ("code_challenge", "short")], found, "invalid_request").await;
    check(&[client, ("response_type", "token"), ("scope", "user:all")], found, "invalid_scope").await;
    let without_proof = site.get(&ask("openshift-cli-client", &[]), &[]).await;
    assert!(without_proof.header("location").starts_with("http://127.0.0.1/callback?error=invalid_request"));
    // Whoever listens first on a port of a shared host would have the token.
    let program = form(&[("client_id", "openshift-cli-client"), ("response_type", "token")]);
    let at_once = site.get(&format!("/oauth/authorize?{program}"), &[]).await;
    assert_eq!(at_once.parameter("error").as_deref(), Some("unsupported_response_type"));
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

const CLIENTS: &str = "/apis/oauth.openshift.io/v1/oauthclients";

fn ask(client: &str, more: &[(&str, &str)]) -> String {
    let pairs = [&[("client_id", client), ("response_type", "code"), ("state", "s")], more].concat();
    format!("/oauth/authorize?{}", form(&pairs))
}

/// It asks, is remembered, proves itself in any of its ways, and gets no more than it may.
#[tokio::test]
async fn a_client_of_ones_own_asks_once_and_proves_itself() {
    let site = Site::new().await;
    let redirect = "https://shop.example.com/cb";
    let client = json!({
        "metadata": {"name": "shop"}, "secret": "one", "additionalSecrets": ["two"], "redirectURIs": [redirect],
        "grantMethod": "prompt", "accessTokenMaxAgeSeconds": 0, "accessTokenInactivityTimeoutSeconds": 600,
        "scopeRestrictions": [{"literals": ["user:info"]}],
    });
    let mut client = site.admin("POST", CLIENTS, client).await;
    let (cookies, csrf) = site.browser("dev").await;
    let with = [("cookie", cookies.as_str())];
    let wanted = ask("shop", &[("scope", "user:info")]);
    let asked = site.get(&wanted, &with).await;
    assert!(
        asked.header("location").starts_with("/oauth/authorize/approve?"),
        "{}",
        asked.header("location")
    );
    let page = site.get(asked.header("location"), &with).await;
    assert!(page.body.contains("<b>shop</b>") && page.body.contains("user:info"), "{}", page.body);
    let then = asked.parameter("then").unwrap();
    let answer = async |fields: &[(&str, &str)]| {
        let usual = [("client_id", "shop"), ("scope", "user:info"), ("then", then.as_str())];
        let body = form(&[&usual[..], fields].concat());
        site.send("POST", "/oauth/authorize/approve", &[FORM, ("cookie", &cookies)], &body).await
    };
    let forged = answer(&[("approve", "true")]).await;
    assert_eq!(forged.status, StatusCode::BAD_REQUEST, "the form did not repeat the cookie");
    let denied = answer(&[("csrf", &csrf), ("deny", "true")]).await;
    let denied = site.get(denied.header("location"), &with).await;
    assert!(denied.header("location").starts_with(redirect));
    assert_eq!(denied.parameter("error").as_deref(), Some("access_denied"));
    assert_eq!(denied.parameter("state").as_deref(), Some("s"));
    let allowed = answer(&[("csrf", &csrf), ("approve", "true")]).await;
    let granted = site.get(allowed.header("location"), &with).await;
    assert!(granted.parameter("code").is_some(), "{}", granted.header("location"));
    let grants = "/apis/oauth.openshift.io/v1/oauthclientauthorizations";
    let grant = site.admin("GET", &format!("{grants}/dev:shop"), Value::Null).await;
    assert_eq!(grant["scopes"], json!(["user:info"]));

    let redeem = async |headers: &[(&str, &str)], fields: &[(&str, &str)]| {
        let code = site.get(&wanted, &with).await.parameter("code").unwrap();
        let usual =
            [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", redirect)];
        let body = form(&[&usual[..], fields].concat());
        site.send("POST", "/oauth/token", &[&[FORM], headers].concat(), &body).await
    };
    for secret in ["one", "two"] {
        let token = redeem(&[("authorization", &basic("shop", secret))], &[]).await;
        assert_eq!(token.status, StatusCode::OK, "{}", token.body);
        assert_eq!(token.json().get("expires_in"), None, "it does not end by age");
        assert_eq!(token.json()["scope"], "user:info");
    }
    let by_form = redeem(&[], &[("client_id", "shop"), ("client_secret", "two")]).await;
    assert_eq!(by_form.status, StatusCode::OK, "{}", by_form.body);
    let by_form = [("client_id", "shop"), ("client_secret", "two")];
    for (authorization, fields) in [
        (basic("shop", ""), &[][..]),
        (basic("shop", "three"), &[]),
        (basic("shop", "three"), &by_form),
        ("Bearer two".to_owned(), &by_form),
        (String::new(), &[("client_id", "shop")]),
        (String::new(), &[("client_id", "openshift-cli-client"), ("client_secret", "")]),
    ] {
        let headers = [("authorization", authorization.as_str())];
        let headers = if authorization.is_empty() { &[][..] } else { &headers };
        let refused = redeem(headers, fields).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{authorization} {fields:?}");
        assert_eq!(refused.json()["error"], "unauthorized_client");
        assert_eq!(refused.header("www-authenticate"), "Basic realm=\"openshift\"");
    }
    let more = site.get(&ask("shop", &[("scope", "user:full")]), &with).await;
    assert_eq!(more.parameter("error").as_deref(), Some("invalid_scope"));
    client["grantMethod"] = json!("deny");
    site.admin("PUT", &format!("{CLIENTS}/shop"), client).await;
    assert_eq!(site.get(&wanted, &with).await.parameter("error").as_deref(), Some("access_denied"));
}

/// Each with a good request but for one thing.
#[tokio::test]
async fn the_token_endpoint_says_what_is_wrong() {
    let site = Site::new().await;
    let redirect = format!("{URL}/oauth/token/implicit");
    let client = basic("openshift-challenging-client", "");
    let proof =
        [("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("redirect_uri", &redirect)];
    let wanted = ask("openshift-challenging-client", &proof);
    let login = basic("dev", "x");
    let headers = [("x-csrf-token", "1"), ("authorization", login.as_str())];
    type Fields = Vec<(&'static str, String)>;
    let check = async |change: &dyn Fn(&mut Fields), expected: (u16, &str)| {
        let code = site.get(&wanted, &headers).await.parameter("code").unwrap();
        let mut fields: Fields = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("code_verifier", VERIFIER.to_owned()),
            ("redirect_uri", redirect.clone()),
        ];
        change(&mut fields);
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply =
            site.send("POST", "/oauth/token", &[FORM, ("authorization", &client)], &form(&pairs)).await;
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!((reply.status.as_u16(), error.as_str()), expected, "{pairs:?}");
        assert_eq!(reply.header("pragma"), "no-cache");
        let told = reply.json()["error_description"].as_str().is_some_and(|text| !text.is_empty());
        assert_eq!(told, !error.is_empty());
    };
    let with = |name: &'static str, value: &'static str| {
        move |fields: &mut Fields| {
            value.clone_into(&mut fields.iter_mut().find(|(of, _)| *of == name).unwrap().1);
        }
    };
    let without = |name: &'static str| move |fields: &mut Fields| fields.retain(|(of, _)| *of != name);
    check(&|_| {}, (200, "")).await;
    check(&without("grant_type"), (400, "invalid_request")).await;
    check(&without("code"), (400, "invalid_request")).await;
    check(&|fields| fields.push(("code", "sha256~another".to_owned())), (400, "invalid_request")).await;
    check(&with("grant_type", "password"), (400, "unsupported_grant_type")).await;
    check(&with("grant_type", "refresh_token"), (400, "unsupported_grant_type")).await;
    check(&with("code", "sha256~unknown"), (400, "invalid_grant")).await;
    check(&with("code_verifier", CHALLENGE), (400, "invalid_grant")).await;
    check(&without("code_verifier"), (400, "invalid_grant")).await;
    check(&with("redirect_uri", "https://evil.example/"), (400, "invalid_grant")).await;
}

#[tokio::test]
async fn several_providers_are_offered_and_each_has_its_own_door() {
    // The password is `x`.
    let users = |name: &str| {
        ProviderKind::Htpasswd(Htpasswd::parse(&format!("{name}:{{SHA}}EfatjsUqKYSrqv18O1FlA3hcIHI=\n")))
    };
    let proxy = RequestHeader { headers: vec!["X-Remote-User".to_owned()], ..RequestHeader::default() };
    let site = Site::with_providers(vec![
        IdentityProvider::new("staff", users("ann")),
        IdentityProvider::new("a guest", users("bob")),
        IdentityProvider { login: false, ..IdentityProvider::new("robots", users("cid")) },
        IdentityProvider::new("sso", ProviderKind::RequestHeader(Arc::new(proxy))),
    ])
    .await;
    let authorize = ask("openshift-browser-client", &[]);
    let choice = site.get(&authorize, &[]).await;
    assert_eq!(choice.status, StatusCode::OK);
    for (name, expected) in
        [("idp=staff\"", true), ("idp=a+guest\"", true), ("robots", false), ("sso", false)]
    {
        assert_eq!(choice.body.contains(name), expected, "{name}: {}", choice.body);
    }
    let door = site.get(&format!("{authorize}&idp=a+guest"), &[]).await;
    let location = door.header("location");
    assert!(location.starts_with("/login/a%20guest?then=%2Foauth%2Fauthorize"), "{location}");
    let enter = async |path: &str, name: &str| {
        let page = site.get(path, &[]).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let csrf = page.cookie("csrf");
        let value = csrf.split_once('=').unwrap().1;
        let body = form(&[("csrf", value), ("username", name), ("password", "x"), ("then", "/x")]);
        let entered = site.send("POST", path, &[FORM, ("cookie", &csrf)], &body).await;
        (entered.header("location").to_owned(), entered.parameter("reason"))
    };
    assert_eq!(enter("/login/a%20guest", "bob").await, ("/x".to_owned(), None));
    let refused = enter("/login/a%20guest", "ann").await;
    assert!(refused.0.starts_with("/login/a%20guest?reason=access_denied"), "{refused:?}");
    assert_eq!(enter("/login", "ann").await.1, None);
    assert_eq!(enter("/login", "cid").await.1.as_deref(), Some("access_denied"), "robots have no page");
    for path in ["/login/nobody", "/login/robots", "/login/sso", "/oauth2callback/nobody", "/login/staff/x"] {
        assert_eq!(site.get(path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let robot = site.get(IMPLICIT, &[("x-csrf-token", "1"), ("authorization", &basic("cid", "x"))]).await;
    assert!(robot.parameter("access_token").is_some(), "{}", robot.body);

    let proxied = async |proxy: Option<&str>, header: &str| {
        let mut request = Request::builder().uri(&authorize).header("x-remote-user", header);
        if let Some(provider) = proxy {
            let (provider, common_name) = (provider.to_owned(), "proxy".to_owned());
            request = request.extension(FrontProxy { provider, common_name });
        }
        site.server.handle(request.body(Full::new(Bytes::new())).unwrap()).await.status()
    };
    assert_eq!(proxied(Some("sso"), "pat").await, StatusCode::FOUND);
    assert_eq!(proxied(None, "pat").await, StatusCode::OK, "headers alone say nothing");
    assert_eq!(proxied(Some("staff"), "pat").await, StatusCode::OK, "that authority is for another provider");
    assert_eq!(proxied(Some("sso"), "ann").await, StatusCode::FORBIDDEN, "the name is somebody else's");
}

/// A server behind a proxy that logs people in, and what a browser gets through it.
#[tokio::test]
async fn a_proxy_names_who_approves_and_names_them_once() {
    let headers = ["X-Remote-User", "SSO-User"].map(str::to_owned).to_vec();
    let proxy = RequestHeader { headers, ..RequestHeader::default() };
    let site = Site::with_providers(vec![
        IdentityProvider::new("any", ProviderKind::AllowAny),
        IdentityProvider::new("sso", ProviderKind::RequestHeader(Arc::new(proxy))),
    ])
    .await;
    let client =
        json!({"metadata": {"name": "shop"}, "redirectURIs": ["https://shop.example.com/cb"], "secret": "s"});
    site.admin("POST", CLIENTS, client).await;
    let send = async |method: &str, path: &str, headers: &[(&str, &[u8])], body: String| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let proxy = FrontProxy { provider: "sso".to_owned(), common_name: "proxy".to_owned() };
        let request = request.extension(proxy).body(Full::new(Bytes::from(body))).unwrap();
        let (parts, body) = site.server.handle(request).await.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, body }
    };
    // Somebody else's session is still in the browser.
    let (cookies, csrf) = site.browser("eve").await;
    let pat: &[(&str, &[u8])] = &[("x-remote-user", b"pat"), ("cookie", cookies.as_bytes())];
    let asked = send("GET", &ask("shop", &[("scope", "user:info")]), pat, String::new()).await;
    let approval = asked.header("location").to_owned();
    let page = send("GET", &approval, pat, String::new()).await;
    assert!(page.body.contains("<b>pat</b>") && !page.body.contains("eve"), "{}", page.body);
    let then = asked.parameter("then").unwrap();
    let yes =
        [("client_id", "shop"), ("scope", "user:info"), ("then", &then), ("csrf", &csrf), ("approve", "1")];
    let approved = send("POST", "/oauth/authorize/approve", pat, form(&yes)).await;
    let granted = send("GET", approved.header("location"), pat, String::new()).await;
    assert!(granted.parameter("code").is_some(), "{}", granted.header("location"));
    let grants = "/apis/oauth.openshift.io/v1/oauthclientauthorizations";
    site.admin("GET", &format!("{grants}/pat:shop"), Value::Null).await;
    // Who is nobody is led back to where people log in.
    let nobody = site.get(&approval, &[]).await;
    assert_eq!(nobody.header("location"), then);

    let check = async |headers: &[(&str, &[u8])], expected: bool| {
        let reply = send("GET", &ask("openshift-browser-client", &[]), headers, String::new()).await;
        assert_eq!(reply.parameter("code").is_some(), expected, "{headers:?}");
    };
    check(&[("x-remote-user", b"pat")], true).await;
    check(&[("sso-user", b"pat")], true).await;
    check(&[("x-remote-user", b"pat"), ("x-remote-user", b"pat")], false).await;
    check(&[("x-remote-user", b"pat"), ("x-remote-user", b"eve"), ("sso-user", b"pat")], false).await;
    check(&[("x-remote-user", "pät".as_bytes()), ("sso-user", b"pat")], false).await;
}

#[tokio::test]
async fn the_audit_log_knows_who_logged_in_and_who_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = AuditLog::open(AuditFile { path: path.clone(), max_bytes: 1 << 30, keep: 1 }).unwrap();
    // The password is `x`.
    let users = Htpasswd::parse("ann:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=\n");
    let provider = IdentityProvider::new("staff", ProviderKind::Htpasswd(users));
    let site = Site::configured(vec![provider], |config| config.audit = log).await;
    let seen = std::cell::Cell::new([0; 2]);
    // User, code, decision and name of each record since the last look.
    let new = || {
        let text = |record: &Value, pointer: &str| {
            record.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned()
        };
        let [known, strangers] = seen.get();
        let known_records = records(&path, known);
        let strangers_records = records(&folder.path().join("audit-refused.log"), strangers);
        seen.set([known + known_records.len(), strangers + strangers_records.len()]);
        known_records
            .iter()
            .chain(&strangers_records)
            .map(|record| {
                let of = "/annotations/authentication.openshift.io~1";
                let [user, decision, name] =
                    ["/user/username".to_owned(), format!("{of}decision"), format!("{of}username")]
                        .map(|pointer| text(record, &pointer));
                format!("{user} {} {decision} {name}", record["responseStatus"]["code"])
            })
            .collect::<Vec<_>>()
    };
    let csrf = ("x-csrf-token", "1");
    let try_in = async |name: &str, password: &str| {
        site.get(IMPLICIT, &[csrf, ("authorization", &basic(name, password))]).await
    };
    new();
    site.get(IMPLICIT, &[csrf]).await;
    site.get(IMPLICIT, &[]).await;
    assert_eq!(new(), [""; 0], "to be asked is to be refused nothing");
    try_in("ann", "x").await;
    assert_eq!(new(), ["ann 302 allow ann"]);
    try_in("ann", "y").await;
    try_in("eve", "y").await;
    assert_eq!(new(), ["- 401 deny ann", "- 401 deny eve"]);

    let page = site.get("/login", &[]).await.cookie("csrf");
    let value = page.split_once('=').unwrap().1;
    let enter = async |name: &str, password: &str, then: &str| {
        let body = form(&[("csrf", value), ("username", name), ("password", password), ("then", then)]);
        site.send("POST", "/login", &[FORM, ("cookie", &page)], &body).await
    };
    // The place where somebody wants to go says nothing.
    let entered = enter("ann", "x", "/?reason=access_denied").await;
    enter("ann", "y", "/").await;
    assert_eq!(new(), ["ann 302 allow ann", "- 302 deny ann"]);
    site.send("POST", "/logout", &[FORM], "then=%2F%3Freason%3Daccess_denied&username=ann").await;
    assert_eq!(new(), ["- 302 - -"]);
    let cookies = format!("{page}; {}", entered.cookie("ssn"));
    let with = ("cookie", cookies.as_str());
    let code = site.get(&ask("openshift-browser-client", &[]), &[with]).await.parameter("code").unwrap();
    let body = form(&[("code", &code), ("csrf", value)]);
    site.send("POST", "/oauth/token/display", &[FORM, with], &body).await;
    site.send("POST", "/logout", &[FORM, with], "").await;
    assert_eq!(new(), ["ann 302 allow ann", "ann 200 allow ann", "ann 302 - -"]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("sha256~"), "{text}");
}

/// The records of a log behind the first so many.
fn records(path: &std::path::Path, from: usize) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().skip(from).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_account_is_a_client_with_its_token_as_secret() {
    let site = Site::new().await;
    let project = json!({"metadata": {"name": "shop"}});
    site.admin("POST", "/apis/project.openshift.io/v1/projectrequests", project).await;
    let accounts = "/api/v1/namespaces/shop/serviceaccounts";
    let redirect = "https://ci.example.com/cb";
    let annotations = json!({"serviceaccounts.openshift.io/oauth-redirecturi.cb": redirect});
    site.admin("POST", accounts, json!({"metadata": {"name": "ci", "annotations": annotations}})).await;
    site.admin("POST", accounts, json!({"metadata": {"name": "bare"}})).await;
    let token = async |account: &str| {
        let made = site.admin("POST", &format!("{accounts}/{account}/token"), json!({"spec": {}})).await;
        made["status"]["token"].as_str().unwrap().to_owned()
    };
    let id = "system:serviceaccount:shop:ci";
    let (cookies, csrf) = site.browser("dev").await;
    let with = [("cookie", cookies.as_str())];
    let bare = site.get(&ask("system:serviceaccount:shop:bare", &[]), &with).await;
    assert_eq!(bare.status, StatusCode::BAD_REQUEST);
    assert!(bare.body.contains("has no redirectURIs; set serviceaccounts.openshift.io/"), "{}", bare.body);
    let full = site.get(&ask(id, &[]), &with).await;
    assert_eq!(full.parameter("error").as_deref(), Some("invalid_scope"));
    let asked = site.get(&ask(id, &[("scope", "user:info role:view:shop")]), &with).await;
    let (then, scope) = (asked.parameter("then").unwrap(), asked.parameter("scope").unwrap());
    let yes = [("client_id", id), ("scope", &scope), ("then", &then), ("csrf", &csrf), ("approve", "true")];
    site.send("POST", "/oauth/authorize/approve", &[FORM, ("cookie", &cookies)], &form(&yes)).await;
    let escaped = id.replace(':', "%3A");
    for (account, expected) in [("bare", StatusCode::UNAUTHORIZED), ("ci", StatusCode::OK)] {
        let code = site.get(&then, &with).await.parameter("code").unwrap();
        let body = form(&[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", redirect)]);
        let headers = [FORM, ("authorization", &*basic(&escaped, &token(account).await))];
        let reply = site.send("POST", "/oauth/token", &headers, &body).await;
        assert_eq!(reply.status, expected, "{account}: {}", reply.body);
        if expected == StatusCode::OK {
            let token = reply.json()["access_token"].as_str().unwrap().to_owned();
            assert_eq!(site.user_of(&token).await, (StatusCode::OK, json!("dev")));
        }
    }
}

#[tokio::test]
async fn owners_watch_their_tokens_and_nobody_elses() {
    let site = Site::new().await;
    let (cookies, csrf) = site.browser("dev").await;
    let with = [("cookie", cookies.as_str())];
    let code = site.get(&ask("openshift-browser-client", &[]), &with).await.parameter("code").unwrap();
    let body = form(&[("code", &code), ("csrf", &csrf)]);
    let shown = site.send("POST", "/oauth/token/display", &[FORM, ("cookie", &cookies)], &body).await;
    let token = shown.body.split_once("--token=").unwrap().1.split(' ').next().unwrap();
    let bearer = format!("Bearer {token}");
    let mine = "/apis/oauth.openshift.io/v1/useroauthaccesstokens";
    let listed = site.get(mine, &[("authorization", &bearer)]).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    let log_in = async |name: &str| {
        let headers = [("x-csrf-token", "1"), ("authorization", &*basic(name, "x"))];
        assert!(site.get(IMPLICIT, &headers).await.parameter("access_token").is_some());
    };
    log_in("eve").await;
    let request = Request::builder().uri(format!("{mine}?watch=true")).header("authorization", &bearer);
    let mut body = site.server.handle(request.body(Full::new(Bytes::new())).unwrap()).await.into_body();
    let mut event = async || {
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let event: Value = serde_json::from_slice(&bytes).unwrap();
        let part = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        (part("/type"), part("/object/kind"), part("/object/userName"))
    };
    let expected = |of: &str| (of.to_owned(), "UserOAuthAccessToken".to_owned(), "dev".to_owned());
    assert_eq!(event().await, expected("ADDED"));
    log_in("eve").await;
    log_in("dev").await;
    assert_eq!(event().await, expected("ADDED"), "none of eve's");
}

#[tokio::test]
async fn a_logout_leads_back_to_a_client_or_nowhere_else() {
    let site = Site::new().await;
    let object = json!({"metadata": {"name": "shop"}, "redirectURIs": ["https://shop.example.com/cb"]});
    site.admin("POST", CLIENTS, object).await;
    for (then, expected) in [
        ("/oauth/token/request", "/oauth/token/request"),
        ("https://shop.example.com/bye", "https://shop.example.com/bye"),
        ("https://shop.example.com@evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("http://127.0.0.1/callback", "/"),
        ("//evil.example", "/"),
    ] {
        let left = site.send("POST", "/logout", &[FORM], &form(&[("then", then)])).await;
        assert_eq!(left.header("location"), expected, "{then}");
    }
}
