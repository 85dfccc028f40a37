//! Outside tokens: which are exchanged for whose, and that none is taken for anything else.

use jiff::SignedDuration;
use pierhead_auth::Era;
use pierhead_auth::federation::{AccountName, Presentation};
use pierhead_auth::jose::{KeySet, SignedToken};
use pierhead_runtime::Clock as _;
use proptest::prelude::{any, prop_assert, proptest};
use serde_json::{Value, json};

use crate::cluster::{Cluster, SIGNER};
use crate::outside::{Signer, encoded};

const ISSUER: &str = "https://ci.example.com";
/// The name of every outside key.
const KEY: &str = "k";
const OWN_ISSUER: &str = "https://kubernetes.default.svc";

fn rule(outside: &Signer, namespace: &str, changes: Value) -> Value {
    let mut spec = json!({
        "serviceAccountName": "pusher", "issuer": ISSUER, "audiences": ["registry"],
        "claims": [{"name": "repository", "values": ["acme/shop"]}],
        "tokenExpirationSeconds": 900, "jwks": outside.jwks(KEY),
    });
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let metadata = json!({"name": "ci", "namespace": namespace, "uid": format!("rule-{namespace}")});
    json!({"kind": "FederatedIdentity", "metadata": metadata, "spec": spec})
}

fn account(namespace: &str) -> Value {
    json!({"kind": "ServiceAccount", "metadata": {"name": "pusher", "namespace": namespace, "uid": "uid-1"}})
}

struct World {
    cluster: Cluster,
    outside: Signer,
}

impl World {
    async fn new(changes: Value) -> Self {
        let world = Self { cluster: Cluster::start(Era::V4).await, outside: Signer::new() };
        for namespace in ["shop", "yard"] {
            world.cluster.put(account(namespace)).await;
        }
        world.cluster.put(rule(&world.outside, "shop", changes)).await;
        world
    }

    fn claims(&self, changes: Value) -> Value {
        let now = self.cluster.clock.now().as_second();
        let mut claims = json!({
            "iss": ISSUER, "aud": "registry", "sub": "repo:acme/shop", "repository": "acme/shop",
            "iat": now, "exp": now + 300, "jti": "one",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    async fn exchange(&self, account: &str, token: &str) -> Result<String, String> {
        self.present(account, token, Presentation::Exchange).await
    }

    async fn present(&self, account: &str, token: &str, how: Presentation) -> Result<String, String> {
        let account = AccountName::parse(account).unwrap();
        let exchanged = self.cluster.auth.exchange(&account, token, how).await;
        exchanged.map(|given| given.token.into_exposed()).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn an_outside_token_becomes_a_short_one_of_the_account() {
    let world = World::new(json!({})).await;
    let token = world.outside.sign(KEY, &world.claims(json!({})));
    assert!(world.cluster.auth.is_outside_token(&token));
    let given = world.exchange("shop/pusher", &token).await.unwrap();
    let subject = world.cluster.bearer(&given).unwrap();
    assert_eq!(subject.username, "system:serviceaccount:shop:pusher");
    assert_eq!(subject.extra["identity.pierhead.io/federated-identity-name"], ["ci"]);
    world.exchange("system:serviceaccount:shop:pusher", &token).await.unwrap();
    world.present("shop/pusher", &token, Presentation::Password).await.unwrap();
    world.cluster.clock.advance(SignedDuration::from_secs(899));
    world.cluster.bearer(&given).unwrap();
    world.cluster.clock.advance(SignedDuration::from_secs(30));
    assert!(world.cluster.bearer(&given).is_err(), "its time is over");
}

#[tokio::test]
async fn what_was_given_ends_with_rule_and_account() {
    let world = World::new(json!({})).await;
    let token = world.outside.sign(KEY, &world.claims(json!({})));
    let given = world.exchange("shop/pusher", &token).await.unwrap();
    world.cluster.bearer(&given).unwrap();
    world.cluster.delete("federatedidentities.identity.pierhead.io", "shop", "ci").await;
    assert!(world.cluster.bearer(&given).is_err());
    let mut again = rule(&world.outside, "shop", json!({}));
    again["metadata"]["uid"] = json!("another");
    world.cluster.put(again).await;
    assert!(world.cluster.bearer(&given).is_err(), "a rule of the same name is another rule");
    let given = world.exchange("shop/pusher", &token).await.unwrap();
    world.cluster.bearer(&given).unwrap();
    world.cluster.delete("serviceaccounts", "shop", "pusher").await;
    assert!(world.cluster.bearer(&given).is_err());
    assert!(world.exchange("shop/pusher", &token).await.is_err());
}

#[tokio::test]
async fn no_token_counts_anywhere_else() {
    let world = World::new(json!({})).await;
    let token = world.outside.sign(KEY, &world.claims(json!({})));
    let no_rule = |account: &str| format!("no rule of {account} is for its issuer");
    assert_eq!(world.exchange("yard/pusher", &token).await, Err(no_rule("yard/pusher")), "another project");
    assert_eq!(
        world.exchange("shop/deployer", &token).await,
        Err(no_rule("shop/deployer")),
        "another account"
    );
    assert_eq!(world.exchange("none/pusher", &token).await, Err(no_rule("none/pusher")), "no such project");
    // The other project trusts the same issuer, and other repositories of it.
    let other = json!({"claims": [{"name": "repository", "values": ["acme/yard"]}]});
    world.cluster.put(rule(&world.outside, "yard", other)).await;
    let refused =
        "the rule yard/ci refuses it: the claim repository has another value than the rule asks for";
    assert_eq!(world.exchange("yard/pusher", &token).await, Err(refused.to_owned()));
    assert!(world.cluster.bearer(&token).is_err(), "the API takes no outside token");
    // Another issuer's key, with the same name.
    let forged = Signer::new().sign(KEY, &world.claims(json!({})));
    let refused = world.exchange("shop/pusher", &forged).await;
    assert_eq!(refused, Err("the token cannot be trusted: its signature is wrong".to_owned()));
    let forged = Signer::new().sign(KEY, &world.claims(json!({"aud": "others"})));
    let refused = world.exchange("shop/pusher", &forged).await;
    let why = "the rule shop/ci refuses it: it is for another audience";
    assert_eq!(refused, Err(why.to_owned()), "its signature is not worth a look");
}

#[tokio::test]
async fn a_rule_is_found_behind_others_as_far_as_rules_are_looked_at() {
    let world = World::new(json!({})).await;
    let token = world.outside.sign(KEY, &world.claims(json!({})));
    let other = async |name: &str, changes: Value| {
        let mut other = rule(&world.outside, "shop", changes);
        other["metadata"]["name"] = json!(name);
        other["metadata"]["uid"] = json!(name);
        world.cluster.put(other).await;
    };
    for number in 0..25 {
        other(&format!("a{number:03}"), json!({"serviceAccountName": "deployer"})).await;
    }
    world.exchange("shop/pusher", &token).await.unwrap();
    // Another issuer's keys, and claims that nobody has: the right one is behind them.
    for number in 25..30 {
        other(&format!("a{number:03}"), json!({"jwks": Signer::new().jwks(KEY)})).await;
        let claims = json!([{"name": "repository", "values": ["acme/yard"]}]);
        other(&format!("b{number:03}"), json!({"claims": claims})).await;
    }
    world.exchange("shop/pusher", &token).await.unwrap();
    for number in 30..95 {
        other(&format!("a{number:03}"), json!({"serviceAccountName": "deployer"})).await;
    }
    let why = "the rule shop/b029 refuses it: the claim repository has another value than the rule asks for";
    assert_eq!(world.exchange("shop/pusher", &token).await, Err(why.to_owned()), "it is the 101st");
}

#[tokio::test]
async fn our_own_tokens_are_nobodys_outside_tokens() {
    let world = World::new(json!({})).await;
    let token = world.outside.sign(KEY, &world.claims(json!({})));
    let given = world.exchange("shop/pusher", &token).await.unwrap();
    assert!(!world.cluster.auth.is_outside_token(&given));
    // Even where a rule names us as the issuer, with our own keys.
    let us = json!({"issuer": OWN_ISSUER, "audiences": [OWN_ISSUER], "jwks": SIGNER.jwks(),
        "claims": [{"name": "sub", "patterns": ["system:*"]}]});
    world.cluster.put(rule(&world.outside, "yard", us)).await;
    assert_eq!(
        world.exchange("yard/pusher", &given).await,
        Err("the token is not an outside one".to_owned())
    );
    // An outsider who says that they are us.
    for issuer in [OWN_ISSUER, "kubernetes/serviceaccount"] {
        let posing = json!({"iss": issuer, "sub": "system:serviceaccount:shop:pusher", "aud": [OWN_ISSUER]});
        let posing = world.outside.sign(KEY, &world.claims(posing));
        assert!(world.exchange("shop/pusher", &posing).await.is_err());
        assert!(world.cluster.bearer(&posing).is_err());
    }
}

#[tokio::test]
async fn a_token_is_taken_once_where_the_rule_says_so() {
    let world = World::new(json!({"singleUse": true})).await;
    let token = world.outside.sign(KEY, &world.claims(json!({})));
    let refused = world.present("shop/pusher", &token, Presentation::Password).await;
    assert_eq!(refused, Err("the rule shop/ci takes no token as a password".to_owned()));
    world.exchange("shop/pusher", &token).await.unwrap();
    let before = Err("the rule shop/ci took it before".to_owned());
    assert_eq!(world.exchange("shop/pusher", &token).await, before);
    let same_number = world.outside.sign(KEY, &world.claims(json!({"extra": 1})));
    assert_eq!(world.exchange("shop/pusher", &same_number).await, before, "its number is the same");
    let number = |number: Value| world.outside.sign(KEY, &world.claims(json!({"jti": number})));
    world.exchange("shop/pusher", &number(json!("two"))).await.unwrap();
    let unnumbered = number(Value::Null);
    world.exchange("shop/pusher", &unnumbered).await.unwrap();
    assert_eq!(world.exchange("shop/pusher", &unnumbered).await, before);
    // ECDSA signatures of one text are many: the text counts.
    let again = number(Value::Null);
    assert_ne!(again, unnumbered);
    assert_eq!(world.exchange("shop/pusher", &again).await, before);
    let (first, second) = {
        let third = number(json!("three"));
        tokio::join!(world.exchange("shop/pusher", &third), world.exchange("shop/pusher", &third))
    };
    assert_ne!(first.is_ok(), second.is_ok(), "one of two at the same time");
    assert_eq!(world.cluster.auth.sweep_outside_tokens().await.unwrap(), 0);
    assert_eq!(world.exchange("shop/pusher", &token).await, before);
    world.cluster.clock.advance(SignedDuration::from_secs(400));
    assert_eq!(world.cluster.auth.sweep_outside_tokens().await.unwrap(), 4);
    assert!(
        world.exchange("shop/pusher", &token).await.unwrap_err().ends_with("it is not valid at this time")
    );
}

#[test]
fn accounts_are_named_in_two_ways() {
    let check = |text: &str, expected: Option<&str>| {
        let name =
            AccountName::parse(text).map(|AccountName { namespace, name }| format!("{namespace} {name}"));
        assert_eq!(name.as_deref(), expected, "{text}");
    };
    check("shop/pusher", Some("shop pusher"));
    check("system:serviceaccount:shop:pusher", Some("shop pusher"));
    for text in [
        "pusher",
        "shop/",
        "/pusher",
        "shop/a/b",
        "../x",
        "shop:pusher",
        "system:serviceaccount:shop",
        "Shop/x",
    ] {
        check(text, None);
    }
}

proptest! {
    /// Nothing that anybody can send as a token or a key set does more than be refused.
    #[test]
    fn no_text_crashes_the_readers_of_outside_tokens(
        text in ".{0,200}", parts in proptest::collection::vec(any::<Vec<u8>>(), 3), keys in any::<Vec<u8>>()
    ) {
        let set = Signer::new().jwks(KEY).to_string();
        let set = KeySet::parse(set.as_bytes()).unwrap();
        let encoded: Vec<String> = parts.iter().map(encoded).collect();
        for token in [text, encoded.join(".")] {
            let passes = SignedToken::parse(&token).is_ok_and(|token| token.verify(&set).is_ok());
            prop_assert!(!passes, "{}", token);
        }
        prop_assert!(KeySet::parse(&keys).is_err());
    }
}
