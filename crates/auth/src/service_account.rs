//! Tokens of service accounts: signing, and checking everything that can be checked without the store (platform 4.4).
//!
//! Owns the claims and the checks of a token. The keys are in `keys`; where they are kept is the server's business;
//! whether the secret and the account a token names still exist is checked by `identity`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use pierhead_runtime::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::credentials::InvalidCredentials;
use crate::subject::SERVICE_ACCOUNT_PREFIX;

mod keys;

pub use keys::{KeyError, SigningKey, TokenSigner};

/// Issuer of tokens that live in secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// How far clocks may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(10);

/// What a token that lives in a secret says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyClaims {
    /// Namespace of the account and the secret.
    pub namespace: String,
    /// The secret the token is kept in.
    pub secret_name: String,
    /// The account.
    pub service_account_name: String,
    /// The account's uid, so that a re-created account does not inherit tokens.
    pub service_account_uid: String,
}

/// What a token made on request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundClaims {
    /// Who made it, as verifiers expect.
    pub issuer: String,
    /// Whom it is for.
    pub audiences: Vec<String>,
    /// Namespace of the account.
    pub namespace: String,
    /// The account.
    pub service_account_name: String,
    /// The account's uid.
    pub service_account_uid: String,
    /// The object whose end ends the token.
    pub bound_to: Option<BoundObject>,
    /// Name and uid of the node of the pod it is bound to.
    pub node: Option<(String, String)>,
    /// When whoever uses it should have asked for a newer one.
    pub warn_after: Option<Timestamp>,
    /// When it was made, and from when it is valid.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// A random id.
    pub id: String,
}

/// The object a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundObject {
    /// Which kind.
    pub kind: BoundKind,
    /// Its name, in the account's namespace unless it is a node.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Kinds a token may be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundKind {
    /// A Secret.
    Secret,
    /// A Pod.
    Pod,
    /// A Node, which is in no namespace.
    Node,
    /// The trust rule by which it was given for an outside token.
    FederatedIdentity,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

/// The header as it may look: no `jwk`, `jku`, `x5u`, `x5c`, `crit`, `b64` or `zip`, which are how other verifiers
/// were made to trust a stranger's key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

/// The claims of either kind of token, as far as they are looked at.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(default)]
    exp: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default, rename = "kubernetes.io")]
    kubernetes: Option<BoundSection>,
    #[serde(default, rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: Option<String>,
    #[serde(default, rename = "kubernetes.io/serviceaccount/secret.name")]
    secret_name: Option<String>,
    #[serde(default, rename = "kubernetes.io/serviceaccount/service-account.name")]
    account_name: Option<String>,
    #[serde(default, rename = "kubernetes.io/serviceaccount/service-account.uid")]
    account_uid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Serialize, Deserialize)]
struct BoundSection {
    namespace: String,
    serviceaccount: NameAndUid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<NameAndUid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<NameAndUid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NameAndUid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    federatedidentity: Option<NameAndUid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warnafter: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct NameAndUid {
    name: String,
    uid: String,
}

/// A token whose signature, form and time are right. What it names must still be looked up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Legacy(LegacyClaims),
    Bound(Box<BoundClaims>),
}

impl TokenSigner {
    /// A token for a secret of type `kubernetes.io/service-account-token`; it does not expire.
    pub fn sign_legacy(&self, claims: &LegacyClaims) -> Secret<String> {
        let LegacyClaims { namespace, secret_name, service_account_name, service_account_uid } = claims;
        self.sign(&json!({
            "iss": LEGACY_ISSUER,
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/secret.name": secret_name,
            "kubernetes.io/serviceaccount/service-account.name": service_account_name,
            "kubernetes.io/serviceaccount/service-account.uid": service_account_uid,
            "sub": format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{service_account_name}"),
        }))
    }

    /// A token as `TokenRequest` answers it.
    pub fn sign_bound(&self, claims: &BoundClaims) -> Secret<String> {
        let object = |kind| {
            let bound = claims.bound_to.as_ref().filter(|bound| bound.kind == kind)?;
            Some(NameAndUid { name: bound.name.clone(), uid: bound.uid.clone() })
        };
        let section = BoundSection {
            namespace: claims.namespace.clone(),
            serviceaccount: NameAndUid {
                name: claims.service_account_name.clone(),
                uid: claims.service_account_uid.clone(),
            },
            secret: object(BoundKind::Secret),
            pod: object(BoundKind::Pod),
            node: object(BoundKind::Node).or_else(|| {
                let (name, uid) = claims.node.clone()?;
                Some(NameAndUid { name, uid })
            }),
            federatedidentity: object(BoundKind::FederatedIdentity),
            warnafter: claims.warn_after.map(Timestamp::as_second),
        };
        self.sign(&json!({
            "aud": claims.audiences,
            "exp": claims.expires_at.as_second(),
            "iat": claims.issued_at.as_second(),
            "iss": claims.issuer,
            "jti": claims.id,
            "kubernetes.io": section,
            "nbf": claims.issued_at.as_second(),
            "sub": format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", claims.namespace, claims.service_account_name),
        }))
    }

    fn sign(&self, claims: &Value) -> Secret<String> {
        let key = self.current();
        let header = Header {
            alg: "RS256".to_owned(),
            typ: Some("JWT".to_owned()),
            kid: Some(key.key_id().to_owned()),
        };
        let header = serde_json::to_vec(&header).expect("a struct of strings is always JSON");
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let pair = key.pair();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("the key was accepted for signing and the buffer has its length");
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Secret::new(token)
    }

    /// Whether the token says that a key made it which counts no more. Nothing else of it is looked at.
    pub fn names_lost_key(&self, token: &str) -> bool {
        let header = token.split_once('.').and_then(|(header, _)| decode::<Header>(header, "header").ok());
        header.and_then(|header| header.kid).is_some_and(|kid| !self.knows(&kid))
    }

    /// Checks form, header, signature, issuer, audience and time of a token.
    pub(crate) fn verify(
        &self,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Verified, InvalidCredentials> {
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidCredentials::UnknownForm)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidCredentials::UnknownForm)?;
        if claims.contains('.') {
            return Err(InvalidCredentials::UnknownForm);
        }
        let header: StrictHeader = decode(header, "header")?;
        let known_type = header.typ.is_none_or(|typ| typ == "JWT");
        let known_key = header.kid.as_deref().is_none_or(|kid| self.knows(kid));
        if header.alg != "RS256" || !known_key || !known_type {
            return Err(InvalidCredentials::Jwt("header"));
        }
        let signature =
            BASE64_URL_SAFE_NO_PAD.decode(signature).ok().ok_or(InvalidCredentials::Jwt("signature"))?;
        if !self.is_signature(header.kid.as_deref(), signed.as_bytes(), &signature) {
            return Err(InvalidCredentials::Jwt("signature"));
        }
        let claims: Claims = decode(claims, "claims")?;
        if claims.iss == LEGACY_ISSUER { legacy(claims) } else { bound(claims, expected) }
    }
}

/// What a token made on request must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    /// One of these must be among the token's.
    pub(crate) audiences: &'a [String],
    pub(crate) now: Timestamp,
}

fn legacy(claims: Claims) -> Result<Verified, InvalidCredentials> {
    let missing = InvalidCredentials::Jwt("claims");
    let (Some(namespace), Some(secret_name)) = (claims.namespace, claims.secret_name) else {
        return Err(missing);
    };
    let (Some(name), Some(uid)) = (claims.account_name, claims.account_uid) else { return Err(missing) };
    // Tokens in secrets never had these; one that has them was not made for a secret.
    let foreign = claims.aud.is_some() || claims.exp.is_some() || claims.nbf.is_some();
    if foreign || claims.sub != format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}") || uid.is_empty() {
        return Err(missing);
    }
    Ok(Verified::Legacy(LegacyClaims {
        namespace,
        secret_name,
        service_account_name: name,
        service_account_uid: uid,
    }))
}

fn bound(claims: Claims, expected: &Expected<'_>) -> Result<Verified, InvalidCredentials> {
    if expected.issuer.is_empty() || claims.iss != expected.issuer {
        return Err(InvalidCredentials::Jwt("issuer"));
    }
    let audiences = match claims.aud {
        Some(Audience::One(audience)) => vec![audience],
        Some(Audience::Many(audiences)) => audiences,
        None => Vec::new(),
    };
    if !audiences.iter().any(|audience| expected.audiences.contains(audience)) {
        return Err(InvalidCredentials::Jwt("audience"));
    }
    let time = |second: Option<i64>| {
        let second = second.ok_or(InvalidCredentials::Jwt("claims"))?;
        Timestamp::from_second(second).ok().ok_or(InvalidCredentials::Jwt("claims"))
    };
    let (expires_at, not_before, issued_at) = (time(claims.exp)?, time(claims.nbf)?, time(claims.iat)?);
    let late = expected.now.duration_since(expires_at) >= LEEWAY;
    let early = not_before.duration_since(expected.now) > LEEWAY;
    if late || early {
        return Err(InvalidCredentials::Time);
    }
    let section = claims.kubernetes.ok_or(InvalidCredentials::Jwt("claims"))?;
    let account = section.serviceaccount;
    if claims.sub != format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", section.namespace, account.name) {
        return Err(InvalidCredentials::Jwt("subject"));
    }
    let of = |kind, object: NameAndUid| BoundObject { kind, name: object.name, uid: object.uid };
    let warn_after = section.warnafter.map(|second| time(Some(second))).transpose()?;
    let pod = section.pod.map(|pod| of(BoundKind::Pod, pod));
    let (on_node, node) = match (&pod, section.node) {
        (Some(_), node) => (None, node.map(|node| (node.name, node.uid))),
        (None, node) => (node.map(|node| of(BoundKind::Node, node)), None),
    };
    // A token says one object at most; one that says more ends with any of them, and we give none of those.
    let rule = section.federatedidentity.map(|rule| of(BoundKind::FederatedIdentity, rule));
    let secret = section.secret.map(|secret| of(BoundKind::Secret, secret));
    let mut bound = [secret, pod, on_node, rule].into_iter().flatten();
    let bound_to = bound.next();
    if bound.next().is_some() {
        return Err(InvalidCredentials::Jwt("claims"));
    }
    Ok(Verified::Bound(Box::new(BoundClaims {
        issuer: claims.iss,
        audiences,
        namespace: section.namespace,
        service_account_name: account.name,
        service_account_uid: account.uid,
        bound_to,
        node,
        warn_after,
        issued_at,
        expires_at,
        id: claims.jti.unwrap_or_default(),
    })))
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str, what: &'static str) -> Result<T, InvalidCredentials> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok().ok_or(InvalidCredentials::Jwt(what))?;
    serde_json::from_slice(&json).ok().ok_or(InvalidCredentials::Jwt(what))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}
