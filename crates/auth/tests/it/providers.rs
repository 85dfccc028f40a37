//! Identity providers elsewhere, mapping methods, groups, tokens that end unused, and accounts as clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use pierhead_auth::oauth::{CHALLENGING_CLIENT, Door, LoginError, User, parse_scopes};
use pierhead_auth::openid::{Arrival, OpenId, arrival_cookie};
use pierhead_auth::password::{IdentityProvider, MappingMethod, ProviderKind, ProviderUser};
use pierhead_auth::remote_password::BasicAuth;
use pierhead_auth::web::WebAnswer;
use pierhead_runtime::{Clock as _, Secret};
use serde_json::{Map, Value, json};

use crate::cluster::Cluster;
use crate::outside::{Signer, encoded};

const ISSUER: &str = "https://id.example.com";
const CALLBACK: &str = "https://ph.example:8443/oauth2callback/corp";
const USERS: &str = "users.user.openshift.io";
const IDENTITIES: &str = "identities.user.openshift.io";
const GROUPS: &str = "groups.user.openshift.io";

/// A change of the claims of an ID token.
type Change = fn(&mut Map<String, Value>);

/// A provider in this process.
#[derive(Clone)]
struct Provider(Arc<State>);

struct State {
    key: Mutex<Signer>,
    /// What the keys of other names are signed with.
    forger: Signer,
    forges: AtomicBool,
    is_down: AtomicBool,
    key_id: Mutex<u32>,
    change: Mutex<Change>,
    userinfo: Mutex<Value>,
    /// Parameters of the last departure.
    asked: Mutex<HashMap<String, String>>,
    clock: Mutex<Timestamp>,
}

impl Provider {
    fn new() -> Self {
        Self(Arc::new(State {
            key: Mutex::new(Signer::new()),
            forger: Signer::new(),
            forges: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            key_id: Mutex::new(1),
            change: Mutex::new(|_| {}),
            userinfo: Mutex::new(
                json!({"sub": "7", "preferred_username": "ann", "name": "Ann A.", "groups": ["dev", "ops"]}),
            ),
            asked: Mutex::default(),
            clock: Mutex::new(Timestamp::UNIX_EPOCH),
        }))
    }

    fn answer(&self, url: &str, form: Option<&str>) -> Option<(u16, Value)> {
        let State { key, key_id, userinfo, is_down, .. } = &*self.0;
        if is_down.load(Ordering::Relaxed) {
            return None;
        }
        let answer = match url.strip_prefix(ISSUER)? {
            "/.well-known/openid-configuration" => json!({
                "issuer": ISSUER,
                "authorization_endpoint": format!("{ISSUER}/authorize"),
                "token_endpoint": format!("{ISSUER}/token"),
                "userinfo_endpoint": format!("{ISSUER}/me"),
                "jwks_uri": format!("{ISSUER}/keys"),
                "authorization_response_iss_parameter_supported": true,
            }),
            "/keys" => key.lock().jwks(&key_id.lock().to_string()),
            "/me" => userinfo.lock().clone(),
            "/token" => return Some(self.tokens(form?)),
            _ => return None,
        };
        Some((200, answer))
    }

    fn tokens(&self, form: &str) -> (u16, Value) {
        let form: HashMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let asked = self.0.asked.lock().clone();
        let good = match form["grant_type"].as_str() {
            "authorization_code" => {
                let hash =
                    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
                form["code"] == "the-code"
                    && encoded(hash) == asked["code_challenge"]
                    && form["redirect_uri"] == CALLBACK
            }
            "password" => form["password"] == "right",
            _ => false,
        };
        if !good {
            return (400, json!({"error": "invalid_grant"}));
        }
        let now = self.0.clock.lock().as_second();
        let mut claims = json!({"iss": ISSUER, "sub": "7", "aud": "pierhead", "exp": now + 300, "iat": now, "nonce": asked.get("nonce")});
        (*self.0.change.lock())(claims.as_object_mut().unwrap());
        let kid = self.0.key_id.lock().to_string();
        let own = self.0.key.lock();
        let signer = if self.0.forges.load(Ordering::Relaxed) { &self.0.forger } else { &*own };
        let token = signer.sign(&kid, &claims);
        (200, json!({"id_token": token, "access_token": "a", "token_type": "Bearer"}))
    }

    /// A cluster whose provider `corp` this is.
    async fn cluster(&self, change: impl FnOnce(&mut OpenId), mapping: MappingMethod) -> Cluster {
        let mut openid = OpenId::new(ISSUER, "pierhead", Secret::new("s".to_owned()));
        change(&mut openid);
        let mut provider = IdentityProvider::new("corp", ProviderKind::OpenId(Arc::new(openid)));
        provider.mapping = mapping;
        let (web, fetch) = (self.clone(), self.clone());
        let cluster = Cluster::with(|config| {
            config.identity_providers = vec![provider];
            config.web = Some(Arc::new(move |request| {
                let form = request.form.map(Secret::into_exposed);
                let answer = web.answer(&request.url, form.as_deref());
                Box::pin(async move {
                    let (status, body) = answer.ok_or("connection refused")?;
                    Ok(WebAnswer { status, body: Bytes::from(body.to_string()) })
                })
            }));
            config.fetch = Some(Arc::new(move |request| {
                let answer = fetch.answer(&request.url, None);
                Box::pin(async move { Ok(Bytes::from(answer.ok_or("connection refused")?.1.to_string())) })
            }));
        })
        .await;
        *self.0.clock.lock() = cluster.clock.now();
        cluster
    }

    /// Leaves, and comes back with what `bring` makes of it.
    async fn log_in(
        &self,
        cluster: &Cluster,
        bring: impl FnOnce(&mut Arrival<'_>),
    ) -> Result<(User, String), String> {
        let auth = &cluster.auth;
        let text = |error: &dyn std::error::Error| match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let departure = auth.depart("corp", CALLBACK, "/then").await.map_err(|error| text(&error))?.unwrap();
        let (place, query) = departure.location.split_once('?').unwrap();
        assert_eq!(place, format!("{ISSUER}/authorize"));
        let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert_eq!(departure.cookie, arrival_cookie(&asked["state"]));
        let state = asked["state"].clone();
        *self.0.asked.lock() = asked;
        let mut arrival = Arrival {
            code: Some("the-code"),
            state: Some(&state),
            issuer: Some(ISSUER),
            error: None,
            cookie: Some(&departure.sealed),
        };
        bring(&mut arrival);
        let (known, then) =
            auth.arrive("corp", CALLBACK, arrival).await.map_err(|error| text(&error))?.unwrap();
        Ok((auth.user_of(known).await.map_err(|error| text(&error))?, then))
    }
}

fn groups_too(openid: &mut OpenId) {
    openid.claims.groups = vec!["groups".to_owned()];
}

#[tokio::test]
async fn a_login_elsewhere_makes_user_identity_and_groups() {
    let provider = Provider::new();
    let cluster = provider.cluster(groups_too, MappingMethod::Claim).await;
    cluster.put(json!({"kind": "Group", "metadata": {"name": "ops"}, "users": ["eve"]})).await;
    let (user, then) = provider.log_in(&cluster, |_| {}).await.unwrap();
    assert_eq!((user.name.as_str(), then.as_str()), ("ann", "/then"));
    let stored = cluster.get(USERS, "", "ann").unwrap();
    assert_eq!((&stored["fullName"], &stored["identities"]), (&json!("Ann A."), &json!(["corp:7"])));
    let identity = cluster.get(IDENTITIES, "", "corp:7").unwrap();
    assert_eq!(identity["extra"], json!({"name": "Ann A.", "preferred_username": "ann"}));
    assert_eq!(identity["user"], json!({"name": "ann", "uid": user.uid}));
    let users = |group: &str| cluster.get(GROUPS, "", group).map(|group| group["users"].clone());
    assert_eq!(users("dev"), Some(json!(["ann"])));
    assert_eq!(users("ops"), Some(json!(["eve"])), "a group that an admin made is the admin's");

    *provider.0.userinfo.lock() =
        json!({"sub": "7", "preferred_username": "another", "name": "", "groups": ["qa"]});
    let (again, _) = provider.log_in(&cluster, |_| {}).await.unwrap();
    assert_eq!(again, user, "it is the identity that says who logs in, not the name");
    assert_eq!((users("dev"), users("qa")), (Some(Value::Null), Some(json!(["ann"]))));
    let annotations = cluster.get(GROUPS, "", "qa").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations["oauth.openshift.io/idp.corp"], "synced");

    cluster
        .put(json!({"kind": "User", "metadata": {"name": "bob", "uid": "b"}, "identities": ["other:bob"]}))
        .await;
    *provider.0.userinfo.lock() = json!({"sub": "8", "preferred_username": "bob", "groups": []});
    *provider.0.change.lock() = |claims| drop(claims.insert("sub".into(), json!("8")));
    let clash = provider.log_in(&cluster, |_| {}).await.unwrap_err();
    assert!(clash.contains("cannot be claimed by identity \"corp:8\""), "{clash}");
    assert_eq!(cluster.get(IDENTITIES, "", "corp:8"), None, "nothing is left of a login that failed");
}

#[tokio::test]
async fn what_is_forged_stale_or_for_others_logs_nobody_in() {
    let provider = Provider::new();
    let cluster = provider.cluster(|_| {}, MappingMethod::Claim).await;
    let token = async |change: Change, expected: &str| {
        *provider.0.change.lock() = change;
        let refused = provider.log_in(&cluster, |_| {}).await.unwrap_err();
        assert_eq!(refused, format!("its ID token is not acceptable: {expected}"));
    };
    token(|claims| drop(claims.insert("iss".into(), json!("https://evil"))), "it is another issuer's").await;
    token(|claims| drop(claims.insert("aud".into(), json!("other"))), "it is for somebody else").await;
    token(
        |claims| drop(claims.insert("aud".into(), json!(["pierhead", "other"]))),
        "it was given to somebody else",
    )
    .await;
    token(|claims| drop(claims.insert("azp".into(), json!("other"))), "it was given to somebody else").await;
    token(|claims| drop(claims.insert("azp".into(), json!(["other"]))), "it was given to somebody else")
        .await;
    token(|claims| drop(claims.insert("nonce".into(), json!("n"))), "it is of another login").await;
    token(|claims| drop(claims.remove("nonce")), "it is of another login").await;
    token(|claims| drop(claims.remove("exp")), "its time is over").await;
    token(|claims| drop(claims.insert("exp".into(), json!(-3_600))), "its time is over").await;
    token(|claims| drop(claims.insert("iat".into(), json!(4_000_000_000_u32))), "its time has not begun")
        .await;
    token(|claims| drop(claims.remove("sub")), "it names no subject").await;
    *provider.0.change.lock() = |claims| drop(claims.insert("sub".into(), json!("9")));
    let refused = provider.log_in(&cluster, |_| {}).await.unwrap_err();
    assert_eq!(refused, "its ID token is not acceptable: the user's data are of another user");
    *provider.0.change.lock() = |_| {};
    provider.0.forges.store(true, Ordering::Relaxed);
    let refused = provider.log_in(&cluster, |_| {}).await.unwrap_err();
    assert_eq!(refused, "its ID token is not acceptable: its signature is wrong");
    provider.0.forges.store(false, Ordering::Relaxed);

    let stray = |why: &str| format!("the answer belongs to no login that was begun in this browser: {why}");
    let other: &str = cluster.auth.depart("corp", CALLBACK, "/").await.unwrap().unwrap().sealed.leak();
    let refused = provider.log_in(&cluster, |back| back.cookie = None).await;
    assert_eq!(refused.unwrap_err(), stray("there is no cookie of it"));
    let refused = provider.log_in(&cluster, |back| back.cookie = Some(other)).await;
    assert_eq!(refused.unwrap_err(), stray("it is another login's"));
    let refused = provider.log_in(&cluster, |back| back.cookie = Some("AAAA")).await;
    assert_eq!(refused.unwrap_err(), stray("the cookie is not ours"));
    for issuer in [None, Some("https://evil")] {
        let refused = provider.log_in(&cluster, |back| back.issuer = issuer).await;
        assert_eq!(refused.unwrap_err(), stray("it is from another issuer"));
    }
    let refused = provider.log_in(&cluster, |back| back.error = Some("access_denied")).await;
    assert_eq!(refused.unwrap_err(), "it answered the login with the error \"access_denied\"");
    let refused = provider.log_in(&cluster, |_| cluster.clock.advance(SignedDuration::from_mins(10))).await;
    assert_eq!(refused.unwrap_err(), stray("it took too long"));
    assert!(cluster.list(USERS).is_empty() && cluster.list(IDENTITIES).is_empty());
}

#[tokio::test(start_paused = true)]
async fn new_keys_are_learned_and_an_outage_is_called_one() {
    let provider = Provider::new();
    let cluster = provider.cluster(|_| {}, MappingMethod::Claim).await;
    provider.log_in(&cluster, |_| {}).await.unwrap();
    *provider.0.key.lock() = Signer::new();
    *provider.0.key_id.lock() = 2;
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    provider.log_in(&cluster, |_| {}).await.unwrap();
    provider.0.is_down.store(true, Ordering::Relaxed);
    let away = provider.log_in(&cluster, |_| {}).await.unwrap_err();
    assert_eq!(away, "https://id.example.com/token cannot be reached: connection refused");
    let wrong = cluster.auth.login("ann", "right", None).await.unwrap_err();
    assert!(matches!(&wrong, LoginError::Provider { provider, .. } if provider == "corp"), "{wrong}");
    for _ in 0..30 {
        cluster.auth.login("ann", "right", None).await.unwrap_err();
    }
    provider.0.is_down.store(false, Ordering::Relaxed);
    *provider.0.change.lock() = |claims| drop(claims.remove("nonce"));
    let user = cluster.auth.login("ann", "right", None).await.unwrap();
    assert_eq!(user.name, "ann", "while nobody could say, nothing was counted as a guess");
    assert!(matches!(cluster.auth.login("ann", "wrong", None).await, Err(LoginError::Credentials(_))));
    let at_form = cluster.auth.login_at(Door::Form(None), ("ann", "right"), None).await;
    assert!(at_form.is_err(), "people give that password to the provider, not to us");
}

/// The outcome of a first login of `id` as `name`, with this method.
async fn first(cluster: &Cluster, id: &str, name: &str) -> Result<String, &'static str> {
    let known = ProviderUser { name: name.to_owned(), ..ProviderUser::named("corp", id) };
    match cluster.auth.user_of(known).await {
        Ok(user) => Ok(user.name),
        Err(LoginError::Claim { .. }) => Err("claim"),
        Err(LoginError::Lookup { .. }) => Err("lookup"),
        Err(LoginError::Name { .. }) => Err("name"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn mapping_methods_decide_who_gets_which_name() {
    for (method, taken, free) in [
        (MappingMethod::Claim, Err("claim"), Ok("ann")),
        (MappingMethod::Lookup, Err("lookup"), Err("lookup")),
        (MappingMethod::Generate, Ok("bob2"), Ok("ann")),
        (MappingMethod::Add, Ok("bob"), Ok("ann")),
    ] {
        let cluster = Provider::new().cluster(|_| {}, method).await;
        let bob =
            json!({"kind": "User", "metadata": {"name": "bob", "uid": "b"}, "identities": ["other:bob"]});
        cluster.put(bob).await;
        assert_eq!(first(&cluster, "1", "bob").await.as_deref(), taken.as_ref().copied(), "{method:?}");
        assert_eq!(first(&cluster, "1", "bob").await.as_deref(), taken.as_ref().copied(), "{method:?} again");
        assert_eq!(first(&cluster, "2", "ann").await.as_deref(), free.as_ref().copied(), "{method:?}");
        let identities = cluster.get(USERS, "", "bob").unwrap()["identities"].clone();
        let expected =
            if method == MappingMethod::Add { json!(["other:bob", "corp:1"]) } else { json!(["other:bob"]) };
        assert_eq!(identities, expected, "{method:?}");
    }
    let cluster = Provider::new().cluster(|_| {}, MappingMethod::Claim).await;
    assert_eq!(first(&cluster, "9", "a/b").await, Err("name"));
    assert_eq!(first(&cluster, "auth0|7:x", "ann").await.as_deref(), Ok("ann"));
    assert!(cluster.get(IDENTITIES, "", "corp:b64-YXV0aDB8Nzp4").is_some());
    assert_eq!(first(&cluster, "b64-YXV0aDB8Nzp4", "eve").await.as_deref(), Ok("eve"), "another person");
    let mapped = json!({"kind": "User", "metadata": {"name": "cid", "uid": "c"}, "identities": ["corp:5"]});
    cluster.put(mapped).await;
    assert_eq!(
        first(&cluster, "5", "cid").await.as_deref(),
        Ok("cid"),
        "the user names the identity already"
    );
}

/// A finalizer may hold a user for long after somebody deleted it.
#[tokio::test]
async fn nobody_logs_in_as_a_user_that_is_being_deleted() {
    for (method, expected) in [
        (MappingMethod::Claim, Err("lookup")),
        (MappingMethod::Add, Err("lookup")),
        (MappingMethod::Generate, Ok("bob2")),
    ] {
        let cluster = Provider::new().cluster(|_| {}, method).await;
        cluster.auth.ensure_oauth_clients("https://ph.example:8443").await.unwrap();
        assert_eq!(first(&cluster, "1", "ann").await.as_deref(), Ok("ann"));
        let client = cluster.auth.oauth_client(CHALLENGING_CLIENT).unwrap().unwrap();
        let mut ann = cluster.get(USERS, "", "ann").unwrap();
        let user = User { name: "ann".to_owned(), uid: ann["metadata"]["uid"].as_str().unwrap().to_owned() };
        let scopes = vec!["user:full".to_owned()];
        let token = cluster.auth.grant_token(&client, &user, scopes, "https://x").await.unwrap().token;
        cluster.bearer(token.expose()).unwrap();
        assert_eq!(cluster.auth.current_user(&user).unwrap(), Some(user.clone()));
        ann["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        ann["kind"] = json!("User");
        cluster.put(ann).await;
        assert!(cluster.bearer(token.expose()).is_err(), "its tokens");
        assert_eq!(cluster.auth.current_user(&user).unwrap(), None, "its sessions");
        assert_eq!(first(&cluster, "1", "ann").await, Err("lookup"), "its identity");
        let metadata = json!({"name": "bob", "uid": "b", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        cluster.put(json!({"kind": "User", "metadata": metadata, "identities": ["corp:2"]})).await;
        assert_eq!(first(&cluster, "2", "bob").await.as_deref(), expected.as_ref().copied(), "{method:?}");
    }
}

#[tokio::test]
async fn another_server_can_be_asked_for_passwords() {
    let url = "https://sso.example.com/check";
    let remote = Arc::new(BasicAuth { url: url.to_owned(), authority: None });
    let provider = IdentityProvider::new("sso", ProviderKind::BasicAuth(remote));
    let cluster = Cluster::with(|config| {
        config.identity_providers = vec![provider];
        config.web = Some(Arc::new(|request| {
            let authorization = request.authorization.map(Secret::into_exposed).unwrap_or_default();
            Box::pin(async move {
                // ann:right
                let (status, body) = match authorization.as_str() {
                    "Basic YW5uOnJpZ2h0" => {
                        (200, json!({"sub": "7", "preferred_username": "ann", "email": "a@x"}))
                    }
                    "Basic YW5uOmVycm9y" => (200, json!({"error": "locked"})),
                    "Basic YW5uOmJyb2tlbg==" => (500, json!({})),
                    _ => (401, json!({})),
                };
                Ok(WebAnswer { status, body: Bytes::from(body.to_string()) })
            })
        }));
    })
    .await;
    let login = async |password: &str| cluster.auth.login("ann", password, None).await;
    assert_eq!(login("right").await.unwrap().name, "ann");
    assert_eq!(cluster.get(IDENTITIES, "", "sso:7").unwrap()["extra"]["email"], "a@x");
    assert!(matches!(login("wrong").await, Err(LoginError::Credentials(_))));
    assert!(matches!(login("broken").await, Err(LoginError::Provider { .. })));
}

#[tokio::test]
async fn a_token_that_nobody_uses_ends_and_one_in_use_does_not() {
    let cluster = Cluster::with(|config| {
        config.identity_providers = vec![IdentityProvider::new("any", ProviderKind::AllowAny)];
        config.access_token_idle = std::time::Duration::from_secs(300);
    })
    .await;
    let auth = &cluster.auth;
    auth.ensure_oauth_clients("https://ph.example").await.unwrap();
    let client = auth.oauth_client(CHALLENGING_CLIENT).unwrap().unwrap();
    let user = auth.login("dev", "x", None).await.unwrap();
    let scopes = parse_scopes("", &client).unwrap();
    let token = auth.grant_token(&client, &user, scopes, "").await.unwrap().token.into_exposed();
    let later = |seconds| cluster.clock.advance(SignedDuration::from_secs(seconds));
    let stored =
        || cluster.list("oauthaccesstokens.oauth.openshift.io")[0]["inactivityTimeoutSeconds"].clone();
    assert_eq!(stored(), 300);
    for _ in 0..5 {
        later(200);
        cluster.bearer(&token).unwrap();
        assert_eq!(auth.keep_used_tokens().await.unwrap(), 1);
    }
    assert_eq!(stored(), 1_300, "each use was written as time after the creation");
    later(299);
    cluster.bearer(&token).unwrap();
    later(290);
    cluster.bearer(&token).unwrap();
    later(300);
    assert!(cluster.bearer(&token).is_err());
    assert!(cluster.bearer(&token).is_err(), "asking is no use");

    let kept = auth
        .grant_token(&client, &user, vec!["user:full".to_owned()], "")
        .await
        .unwrap()
        .token
        .into_exposed();
    let restarted =
        pierhead_auth::Auth::open(cluster.store.clone(), auth.config().clone(), cluster.clock.shared());
    later(301);
    let credentials = pierhead_auth::Credentials::Bearer(&kept);
    assert!(restarted.unwrap().authenticate(credentials).is_err(), "nobody used it");
}

#[tokio::test]
async fn an_account_is_a_client_of_its_project() {
    let cluster = Cluster::with(|_| {}).await;
    let name = "system:serviceaccount:shop:ci";
    assert!(cluster.auth.oauth_client(name).unwrap().is_none());
    cluster
        .put(json!({"kind": "ServiceAccount", "metadata": {"name": "ci", "namespace": "shop", "uid": "1", "annotations": {
            "serviceaccounts.openshift.io/oauth-redirecturi.a": "https://ci.example.com/cb",
            "serviceaccounts.openshift.io/oauth-want-challenges": "true",
        }}}))
        .await;
    let client = cluster.auth.oauth_client(name).unwrap().unwrap();
    assert!(client.is_account() && client.responds_with_challenges && !client.is_public());
    assert_eq!(client.redirect_uri(Some("https://ci.example.com/cb/x")), Some("https://ci.example.com/cb/x"));
    assert_eq!(client.redirect_uri(Some("https://evil.example/cb")), None);
    let scopes = |asked: &str| {
        parse_scopes(asked, &client).map(|scopes| scopes.len()).map_err(|error| error.to_string())
    };
    assert_eq!(scopes("user:info user:check-access role:edit:shop role:admin:shop:!"), Ok(4));
    for refused in ["user:full", "role:edit:yard", "role:edit:*", "user:list-projects"] {
        assert_eq!(scopes(refused), Err(format!("scope {refused:?} is not allowed for this client")));
    }
    assert_eq!(scopes(""), Err("scope \"user:full\" is not allowed for this client".to_owned()));
    let proves = |secret: &str| cluster.auth.proves_client(&client, secret).unwrap();
    assert!(!proves("") && !proves("guess"));
}
