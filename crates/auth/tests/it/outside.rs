//! Somebody elsewhere who signs tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key for ES256.
pub(crate) struct Signer(EcdsaKeyPair);

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// The key set that has it under this name, and nothing else.
    pub(crate) fn jwks(&self, name: &str) -> Value {
        let (x, y) = self.0.public_key().as_ref().split_at(33);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": name, "x": encoded(&x[1..]), "y": encoded(y)}]})
    }

    /// A token that names the key so.
    pub(crate) fn sign(&self, name: &str, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": name, "typ": "JWT"});
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encoded(signature))
    }
}
