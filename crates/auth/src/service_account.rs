//! Tokens of service accounts: signing, and checking everything that can be checked without the store (platform 4.4).
//!
//! Owns the RS256 key in memory and the claims. Where the key is kept is the server's business; whether the secret
//! and the account a token names still exist is checked by `identity`.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use pierhead_runtime::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::credentials::InvalidCredentials;
use crate::subject::SERVICE_ACCOUNT_PREFIX;

/// Issuer of tokens that live in secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// How far clocks may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(10);
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// A signing key that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The cryptographic library could not make one.
    #[error("making an RSA key failed")]
    Generate(#[source] aws_lc_rs::error::Unspecified),
    /// The text is no PEM block of type PRIVATE KEY.
    #[error("the signing key is no PEM block of type PRIVATE KEY")]
    NotPem,
    /// The base64 of the PEM block.
    #[error("the signing key's PEM block is no base64")]
    Base64(#[from] base64::DecodeError),
    /// The block holds no RSA key of at least 2048 bits.
    #[error("the signing key is no usable RSA key")]
    Rejected(#[from] aws_lc_rs::error::KeyRejected),
    /// The public half cannot be put into the form others read.
    #[error("the signing key has no readable public half")]
    Public(#[source] aws_lc_rs::error::Unspecified),
}

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
    /// Its name, in the account's namespace.
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
}

/// Signs and checks tokens with one RSA key. Cheap to clone.
#[derive(Clone)]
pub struct TokenSigner {
    inner: Arc<Inner>,
}

struct Inner {
    key: KeyPair,
    public: ParsedPublicKey,
    key_id: String,
    /// Modulus and exponent, for the key set.
    numbers: (Vec<u8>, Vec<u8>),
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
    Bound(BoundClaims),
}

impl TokenSigner {
    /// Makes a new 2048-bit key. Takes up to a second.
    pub fn generate() -> Result<Self, KeyError> {
        Self::with_key(KeyPair::generate(KeySize::Rsa2048).map_err(KeyError::Generate)?)
    }

    /// Reads a key that [`TokenSigner::to_pem`] wrote, or any RSA key in PKCS #8.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (_, rest) = pem.split_once(PEM_BEGIN).ok_or(KeyError::NotPem)?;
        let (body, _) = rest.split_once(PEM_END).ok_or(KeyError::NotPem)?;
        let base64: String = body.split_ascii_whitespace().collect();
        let der = BASE64_STANDARD.decode(base64)?;
        Self::with_key(KeyPair::from_pkcs8(&der)?)
    }

    fn with_key(key: KeyPair) -> Result<Self, KeyError> {
        let pkcs1 = key.public_key().as_ref();
        let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1)?;
        let numbers = public_numbers(pkcs1).ok_or(KeyError::Public(aws_lc_rs::error::Unspecified))?;
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(KeyError::Public)?;
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(sha256(spki.as_ref()));
        Ok(Self { inner: Arc::new(Inner { key, public, key_id, numbers }) })
    }

    /// The key in PKCS #8 PEM, to be kept where only the server can read it.
    pub fn to_pem(&self) -> Result<Secret<String>, KeyError> {
        let der: Pkcs8V1Der<'_> = self.inner.key.as_der().map_err(KeyError::Generate)?;
        let base64 = BASE64_STANDARD.encode(der.as_ref());
        let mut pem = format!("{PEM_BEGIN}\n");
        for line in base64.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str(PEM_END);
        pem.push('\n');
        Ok(Secret::new(pem))
    }

    /// Base64url of the SHA-256 of the public key.
    pub fn key_id(&self) -> &str {
        &self.inner.key_id
    }

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
        let header = Header {
            alg: "RS256".to_owned(),
            typ: Some("JWT".to_owned()),
            kid: Some(self.inner.key_id.clone()),
        };
        let header = serde_json::to_vec(&header).expect("a struct of strings is always JSON");
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let mut signature = vec![0; self.inner.key.public_modulus_len()];
        self.inner
            .key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("the key was accepted for signing and the buffer has its length");
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Secret::new(token)
    }

    /// The public key as `/openid/v1/jwks` shows it.
    pub fn jwks(&self) -> Value {
        let (modulus, exponent) = &self.inner.numbers;
        json!({"keys": [{
            "use": "sig",
            "kty": "RSA",
            "kid": self.inner.key_id,
            "alg": "RS256",
            "n": BASE64_URL_SAFE_NO_PAD.encode(modulus),
            "e": BASE64_URL_SAFE_NO_PAD.encode(exponent),
        }]})
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
        let known_key = header.kid.is_none_or(|kid| kid == self.inner.key_id);
        let known_type = header.typ.is_none_or(|typ| typ == "JWT");
        if header.alg != "RS256" || !known_key || !known_type {
            return Err(InvalidCredentials::Jwt("header"));
        }
        let signature =
            BASE64_URL_SAFE_NO_PAD.decode(signature).ok().ok_or(InvalidCredentials::Jwt("signature"))?;
        let genuine = self.inner.public.verify_sig(signed.as_bytes(), &signature);
        genuine.ok().ok_or(InvalidCredentials::Jwt("signature"))?;
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
    let secret = section.secret.map(|secret| of(BoundKind::Secret, secret));
    let bound_to = secret.or_else(|| section.pod.map(|pod| of(BoundKind::Pod, pod)));
    Ok(Verified::Bound(BoundClaims {
        issuer: claims.iss,
        audiences,
        namespace: section.namespace,
        service_account_name: account.name,
        service_account_uid: account.uid,
        bound_to,
        issued_at,
        expires_at,
        id: claims.jti.unwrap_or_default(),
    }))
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str, what: &'static str) -> Result<T, InvalidCredentials> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok().ok_or(InvalidCredentials::Jwt(what))?;
    serde_json::from_slice(&json).ok().ok_or(InvalidCredentials::Jwt(what))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// Modulus and exponent of an `RSAPublicKey` in DER: a sequence of two integers.
fn public_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (sequence, _) = der_value(der, SEQUENCE)?;
    let (modulus, rest) = der_value(sequence, INTEGER)?;
    let (exponent, _) = der_value(rest, INTEGER)?;
    let unsigned = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    Some((unsigned(modulus), unsigned(exponent)))
}

/// The value of the first element, which must have this tag, and what follows the element.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        (bytes.iter().fold(0_usize, |length, byte| length.wrapping_mul(256) + usize::from(*byte)), rest)
    };
    let (value, rest) = rest.split_at_checked(length)?;
    (found == tag).then_some((value, rest))
}
