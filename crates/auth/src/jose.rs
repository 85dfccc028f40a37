//! Signed tokens of others: JSON web tokens (RFC 7519) and the key sets (RFC 7517) they are checked with.
//!
//! Owns the form of tokens and keys and the check of a signature. A key says which algorithms it is for, never the
//! token: a public RSA key is no secret of an HMAC, and there is no algorithm `none` here. What claims must say is the
//! caller's business, and so is where a key set comes from. Our own tokens are `service_account`'s.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// Keys of one set that are looked at; more are not read.
const MAX_KEYS: usize = 100;
/// Keys that are tried on one token, of those that it may mean: an issuer that has more names them.
const MAX_TRIED: usize = 4;
/// Longest modulus, in bytes: a longer one costs whoever verifies more than it is worth.
const MAX_MODULUS: usize = 1_024;

/// Why a token or a key set is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// Not three parts of base64url.
    #[error("it is no JSON web token")]
    Form,
    /// The header cannot be read, or asks for what is not understood.
    #[error("its header is not acceptable")]
    Header,
    /// An algorithm that proves nothing, or that is not known.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// The claims are no JSON object.
    #[error("its claims cannot be read")]
    Claims,
    /// No key of the set has its `kid` and is for its algorithm.
    #[error("no key of the issuer is the one it names")]
    UnknownKey,
    /// The signature is another's.
    #[error("its signature is wrong")]
    Signature,
    /// A document that is no key set.
    #[error("the key set cannot be read")]
    KeySet,
}

/// What proves a signature, of those that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// A public key.
#[derive(Clone)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Clone)]
struct Key {
    kid: Option<String>,
    /// The one algorithm it is for, where the set says so.
    alg: Option<Algorithm>,
    material: Material,
}

impl Key {
    /// Whether it proves `signature` of `message` under `algorithm`; false also where it is for another algorithm.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, algorithm) => algorithm
                .rsa()
                .is_some_and(|how| RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()),
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            (Material::P384(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok()
            }
            (Material::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
            (Material::P256(_) | Material::P384(_) | Material::Ed25519(_), _) => false,
        }
    }

    /// Whether it may be used with `algorithm` at all.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match &self.material {
            Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        kind && self.alg.is_none_or(|only| only == algorithm)
    }
}

/// The public keys of one issuer.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish()
    }
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds and for other purposes are left out, as RFC 7517 asks; secret keys too, for
    /// what is published proves nothing.
    ///
    /// # Errors
    /// [`JoseError::KeySet`]: no object with a list of keys.
    pub fn parse(json: &[u8]) -> Result<Self, JoseError> {
        let set: RawSet = serde_json::from_slice(json).ok().ok_or(JoseError::KeySet)?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let read = |key| serde_json::from_value::<RawKey>(key).ok().and_then(RawKey::key);
        Ok(Self { keys: keys.filter_map(read).collect() })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl RawKey {
    fn key(self) -> Option<Key> {
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let verifies = self.key_ops.is_none_or(|uses| uses.iter().any(|of| of == "verify"));
        if !signs || !verifies {
            return None;
        }
        // A key for an algorithm that is not known here is for none.
        let alg = match self.alg.as_deref() {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let bytes = |text: Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text?).ok();
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let n: Vec<u8> = bytes(self.n)?.into_iter().skip_while(|byte| *byte == 0).collect();
                let e = bytes(self.e)?;
                if n.len() > MAX_MODULUS || e.is_empty() || e.len() > 8 {
                    return None;
                }
                Material::Rsa { n, e }
            }
            ("EC", Some("P-256")) => Material::P256(point(bytes(self.x)?, bytes(self.y)?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(bytes(self.x)?, bytes(self.y)?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(self.x).filter(|key| key.len() == 32)?),
            _ => return None,
        };
        Some(Key { kid: self.kid, alg, material })
    }
}

fn point(x: Vec<u8>, y: Vec<u8>, size: usize) -> Option<Vec<u8>> {
    (x.len() == size && y.len() == size).then(|| [vec![4], x, y].concat())
}

/// The header: what would bring a key of the token's own, or change what the signature covers, is refused.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    jwk: Option<IgnoredAny>,
    #[serde(default)]
    jku: Option<IgnoredAny>,
    #[serde(default)]
    x5u: Option<IgnoredAny>,
    #[serde(default)]
    x5c: Option<IgnoredAny>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
    #[serde(default)]
    b64: Option<IgnoredAny>,
    #[serde(default)]
    zip: Option<IgnoredAny>,
    #[serde(default)]
    enc: Option<IgnoredAny>,
}

/// A token that was taken apart. Nothing it says is true before [`SignedToken::verify`] says so.
pub struct SignedToken<'t> {
    /// What the signature covers.
    signed: &'t str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
    claims: Map<String, Value>,
}

impl<'t> SignedToken<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// Whatever is wrong with its form, header or algorithm.
    pub fn parse(token: &'t str) -> Result<Self, JoseError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JoseError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(JoseError::Form)?;
        if claims.contains('.') {
            return Err(JoseError::Form);
        }
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok().ok_or(JoseError::Form);
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let header: Header = serde_json::from_slice(&header).ok().ok_or(JoseError::Header)?;
        let foreign = [&header.jwk, &header.jku, &header.x5u, &header.x5c];
        let unknown = [&header.crit, &header.b64, &header.zip, &header.enc];
        let is_token = header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        if foreign.into_iter().chain(unknown).any(Option::is_some) || !is_token {
            return Err(JoseError::Header);
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or(JoseError::Algorithm)?;
        let claims = serde_json::from_slice(&claims).ok().ok_or(JoseError::Claims)?;
        Ok(Self { signed, signature, algorithm, kid: header.kid, claims })
    }

    /// What its claim `iss` says, proven or not: to find out whose keys to ask for.
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims, proven or not: to find out whether the proof is worth its time.
    pub(crate) fn unverified_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// What the signature covers: the same for all forms that the signature of one token may take.
    pub fn signed_part(&self) -> &'t str {
        self.signed
    }

    /// The claims, if a key of the set made the signature.
    ///
    /// # Errors
    /// [`JoseError::UnknownKey`] where the set has no such key, so that a newer set may be asked for;
    /// [`JoseError::Signature`] where it has, and it did not sign this.
    pub fn verify(&self, keys: &KeySet) -> Result<&Map<String, Value>, JoseError> {
        let named = |key: &&Key| self.kid.is_none() || key.kid.is_none() || key.kid == self.kid;
        let mut fitting = keys.keys.iter().filter(named).filter(|key| key.is_for(self.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(JoseError::UnknownKey);
        }
        let genuine = fitting
            .take(MAX_TRIED)
            .any(|key| key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature));
        if genuine { Ok(&self.claims) } else { Err(JoseError::Signature) }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::{JoseError, KeySet, SignedToken};
    use crate::service_account::{LegacyClaims, TokenSigner};

    fn encoded(value: &Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn key_set(value: &Value) -> KeySet {
        KeySet::parse(value.to_string().as_bytes()).unwrap()
    }

    fn outcome(token: &str, keys: &KeySet) -> Result<(), JoseError> {
        SignedToken::parse(token)?.verify(keys).map(drop)
    }

    struct Issuer {
        token: String,
        set: Value,
    }

    /// A token with a good signature, and the set that says so.
    fn issuer() -> Issuer {
        let signer = TokenSigner::generate().unwrap();
        let claims = LegacyClaims {
            namespace: "shop".into(),
            secret_name: "s".into(),
            service_account_name: "pusher".into(),
            service_account_uid: "1".into(),
        };
        Issuer { token: signer.sign_legacy(&claims).into_exposed(), set: signer.jwks() }
    }

    #[test]
    fn a_key_decides_which_algorithm_it_is_for() {
        let Issuer { token, set } = issuer();
        let check = |keys: &Value, expected: Result<(), JoseError>| {
            assert_eq!(outcome(&token, &key_set(keys)), expected, "{keys}");
        };
        check(&set, Ok(()));
        let with = |field: &str, value: Value| {
            let mut set = set.clone();
            set["keys"][0][field] = value;
            set
        };
        check(&with("kid", json!("another")), Err(JoseError::UnknownKey));
        check(&with("alg", json!("RS512")), Err(JoseError::UnknownKey));
        check(&with("alg", json!("HS256")), Err(JoseError::UnknownKey));
        check(&with("use", json!("enc")), Err(JoseError::UnknownKey));
        check(&with("key_ops", json!(["sign"])), Err(JoseError::UnknownKey));
        check(&with("kty", json!("oct")), Err(JoseError::UnknownKey));
        check(&json!({"keys": []}), Err(JoseError::UnknownKey));
        let other = issuer().set["keys"][0].clone();
        let same_name =
            json!({"keys": [{"kty": "RSA", "kid": set["keys"][0]["kid"], "n": other["n"], "e": "AQAB"}]});
        check(&same_name, Err(JoseError::Signature));
        let after = |count: usize| {
            let mut keys = vec![same_name["keys"][0].clone(); count];
            keys.push(set["keys"][0].clone());
            json!({"keys": keys})
        };
        check(&after(3), Ok(()));
        check(&after(4), Err(JoseError::Signature));
        assert_eq!(KeySet::parse(b"{}").unwrap_err(), JoseError::KeySet);
    }

    #[test]
    fn headers_bring_neither_keys_nor_other_rules() {
        let Issuer { token, set } = issuer();
        let keys = key_set(&set);
        let [_, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let check = |header: Value, expected: JoseError| {
            let forged = format!("{}.{claims}.{signature}", encoded(&header));
            assert_eq!(outcome(&forged, &keys), Err(expected), "{header}");
        };
        let kid = set["keys"][0]["kid"].clone();
        for algorithm in ["none", "None", "", "HS256", "HS512", "rs256", "ES512"] {
            check(json!({"alg": algorithm, "kid": kid}), JoseError::Algorithm);
        }
        check(json!({"alg": "ES256", "kid": kid}), JoseError::UnknownKey);
        check(json!({"alg": "PS256", "kid": kid}), JoseError::UnknownKey);
        check(json!({"alg": "RS256", "kid": "../../dev/null"}), JoseError::UnknownKey);
        for field in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"] {
            check(json!({"alg": "RS256", "kid": kid, field: set["keys"][0]}), JoseError::Header);
        }
        check(json!({"alg": "RS256", "kid": kid, "typ": "logout+jwt"}), JoseError::Header);
        let twice = format!(
            "{}.{claims}.{signature}",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","alg":"none"}"#)
        );
        assert_eq!(outcome(&twice, &keys), Err(JoseError::Header));
        for form in ["", "a", "a.b", "a.b.c.d", "..", &format!("{token}=")] {
            let refused = outcome(form, &keys);
            assert!(matches!(refused, Err(JoseError::Form | JoseError::Header)), "{form}: {refused:?}");
        }
    }

    #[test]
    fn elliptic_keys_are_read() {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        };
        let signed =
            format!("{}.{}", encoded(&json!({"alg": "ES256"})), encoded(&json!({"iss": "https://i"})));
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        let (x, y) = key.public_key().as_ref().split_at(33);
        let coordinate = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let set =
            json!({"keys": [{"kty": "EC", "crv": "P-256", "x": coordinate(&x[1..]), "y": coordinate(y)}]});
        assert_eq!(outcome(&token, &key_set(&set)), Ok(()));
        let signed = format!("{}.{}", encoded(&json!({"alg": "EdDSA"})), encoded(&json!({})));
        let key = Ed25519KeyPair::generate().unwrap();
        let token = format!("{signed}.{}", coordinate(key.sign(signed.as_bytes()).as_ref()));
        let set =
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": coordinate(key.public_key().as_ref())}]});
        assert_eq!(outcome(&token, &key_set(&set)), Ok(()));
        assert_eq!(outcome(&token, &key_set(&issuer().set)), Err(JoseError::UnknownKey));
    }
}
