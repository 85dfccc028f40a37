//! The keys that sign tokens of service accounts, and those that did so before and still count.
//!
//! Owns RSA keys in memory and their forms: PEM to be kept, a key set to be published. One key signs; all verify. A key
//! is replaced while tokens of the one before are in use, so they are exchanged as a whole, without a moment in which a
//! good token is refused.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use pierhead_runtime::Secret;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::sha256;

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

/// One RSA key. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey {
    inner: Arc<Inner>,
}

struct Inner {
    pair: KeyPair,
    public: ParsedPublicKey,
    key_id: String,
    /// Modulus and exponent, for the key set.
    numbers: (Vec<u8>, Vec<u8>),
}

impl SigningKey {
    /// Makes a new 2048-bit key. Takes up to a second.
    ///
    /// # Errors
    /// When the cryptographic library cannot make one.
    pub fn generate() -> Result<Self, KeyError> {
        Self::with_pair(KeyPair::generate(KeySize::Rsa2048).map_err(KeyError::Generate)?)
    }

    /// Reads a key that [`SigningKey::to_pem`] wrote, or any RSA key in PKCS #8.
    ///
    /// # Errors
    /// What the text is instead.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (_, rest) = pem.split_once(PEM_BEGIN).ok_or(KeyError::NotPem)?;
        let (body, _) = rest.split_once(PEM_END).ok_or(KeyError::NotPem)?;
        let base64: String = body.split_ascii_whitespace().collect();
        let der = BASE64_STANDARD.decode(base64)?;
        Self::with_pair(KeyPair::from_pkcs8(&der)?)
    }

    fn with_pair(pair: KeyPair) -> Result<Self, KeyError> {
        let pkcs1 = pair.public_key().as_ref();
        let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1)?;
        let numbers = public_numbers(pkcs1).ok_or(KeyError::Public(aws_lc_rs::error::Unspecified))?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(KeyError::Public)?;
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(sha256(spki.as_ref()));
        Ok(Self { inner: Arc::new(Inner { pair, public, key_id, numbers }) })
    }

    /// The key in PKCS #8 PEM, to be kept where only the server can read it.
    ///
    /// # Errors
    /// When the cryptographic library cannot write it.
    pub fn to_pem(&self) -> Result<Secret<String>, KeyError> {
        let der: Pkcs8V1Der<'_> = self.inner.pair.as_der().map_err(KeyError::Generate)?;
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

    pub(super) fn pair(&self) -> &KeyPair {
        &self.inner.pair
    }

    fn jwk(&self) -> Value {
        let (modulus, exponent) = &self.inner.numbers;
        json!({
            "use": "sig",
            "kty": "RSA",
            "kid": self.inner.key_id,
            "alg": "RS256",
            "n": BASE64_URL_SAFE_NO_PAD.encode(modulus),
            "e": BASE64_URL_SAFE_NO_PAD.encode(exponent),
        })
    }
}

/// Signs tokens with one key and checks them with that and older ones. Cheap to clone; all clones share the keys.
#[derive(Clone)]
pub struct TokenSigner {
    /// The first one signs.
    keys: Arc<ArcSwap<Vec<SigningKey>>>,
    /// Counts exchanges of the keys.
    replaced: Arc<watch::Sender<u64>>,
}

impl TokenSigner {
    /// Signs with `current`; `older` keys only verify.
    pub fn new(current: SigningKey, older: Vec<SigningKey>) -> Self {
        let keys = Arc::new(ArcSwap::from_pointee(ring(current, older)));
        Self { keys, replaced: Arc::new(watch::Sender::new(0)) }
    }

    /// With one new key. Takes up to a second.
    ///
    /// # Errors
    /// As [`SigningKey::generate`].
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::new(SigningKey::generate()?, Vec::new()))
    }

    /// With one key.
    ///
    /// # Errors
    /// As [`SigningKey::from_pem`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Ok(Self::new(SigningKey::from_pem(pem)?, Vec::new()))
    }

    /// From now on `current` signs, and it and `older` verify: what other keys signed counts no more.
    pub fn replace(&self, current: SigningKey, older: Vec<SigningKey>) {
        self.keys.store(Arc::new(ring(current, older)));
        self.replaced.send_modify(|count| *count += 1);
    }

    /// Told after every [`TokenSigner::replace`]; the value counts them.
    pub fn replaced(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// Moves on with every [`TokenSigner::replace`].
    pub(crate) fn generation(&self) -> u64 {
        *self.replaced.borrow()
    }

    /// The key that signs.
    pub fn current(&self) -> SigningKey {
        self.keys.load().first().cloned().expect("there is always one key: `ring` puts it there")
    }

    /// Base64url of the SHA-256 of the public key that signs.
    pub fn key_id(&self) -> String {
        self.current().key_id().to_owned()
    }

    pub(super) fn knows(&self, key_id: &str) -> bool {
        self.keys.load().iter().any(|key| key.key_id() == key_id)
    }

    /// Whether the named key made this signature; any, where none is named.
    pub(super) fn is_signature(&self, key_id: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        let keys = self.keys.load();
        let mut named = keys.iter().filter(|key| key_id.is_none_or(|id| key.key_id() == id));
        named.any(|key| key.inner.public.verify_sig(message, signature).is_ok())
    }

    /// The public keys as `/openid/v1/jwks` shows them.
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.keys.load().iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys })
    }
}

fn ring(current: SigningKey, older: Vec<SigningKey>) -> Vec<SigningKey> {
    let mut keys = vec![current];
    for key in older {
        if !keys.iter().any(|known| known.key_id() == key.key_id()) {
            keys.push(key);
        }
    }
    keys
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
