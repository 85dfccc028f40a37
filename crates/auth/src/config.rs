//! Settings of authentication and authorization, checked by whoever makes them.

use std::time::Duration;

use crate::Era;
use crate::password::IdentityProvider;
use crate::service_account::TokenSigner;

/// How [`crate::Auth`] behaves. Start from [`Config::new`].
#[derive(Clone)]
pub struct Config {
    /// Which bootstrapped roles hold: see [`crate::bootstrap`].
    pub rules: Era,
    /// Whose sentences denials use on the wire.
    pub texts: Era,
    /// The key that signs and verifies service account tokens.
    pub signer: TokenSigner,
    /// `iss` of tokens made on request.
    pub token_issuer: String,
    /// Audiences that mean this API; a token made on request must name one.
    pub token_audiences: Vec<String>,
    /// Where passwords are checked, in this order.
    pub identity_providers: Vec<IdentityProvider>,
    /// Life of an OAuth access token whose client says nothing else.
    pub access_token_life: Duration,
    /// Life of an authorization code.
    pub authorize_code_life: Duration,
}

impl Config {
    /// The seed's rules, texts of era 4, no identity provider.
    pub fn new(signer: TokenSigner) -> Self {
        let issuer = "https://kubernetes.default.svc".to_owned();
        Self {
            rules: Era::V3_2,
            texts: Era::V4,
            signer,
            token_audiences: vec![issuer.clone()],
            token_issuer: issuer,
            identity_providers: Vec::new(),
            access_token_life: Duration::from_secs(86_400),
            authorize_code_life: Duration::from_secs(300),
        }
    }
}
