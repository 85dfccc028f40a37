//! Settings of authentication and authorization, checked by whoever makes them.

use std::time::Duration;

use crate::Era;
use crate::federation::FetchDocument;
use crate::password::IdentityProvider;
use crate::service_account::TokenSigner;
use crate::web::Web;

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
    /// Who knows the users, in the order in which they are asked.
    pub identity_providers: Vec<IdentityProvider>,
    /// Life of an OAuth access token whose client says nothing else.
    pub access_token_life: Duration,
    /// After how long without use a token ends whose client says nothing else; zero for never.
    pub access_token_idle: Duration,
    /// Life of an authorization code.
    pub authorize_code_life: Duration,
    /// How identity providers elsewhere are asked; `None`: they are not.
    pub web: Option<Web>,
    /// How documents of outside issuers are fetched; `None`: they are not.
    pub fetch: Option<FetchDocument>,
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
            access_token_idle: Duration::ZERO,
            authorize_code_life: Duration::from_secs(300),
            web: None,
            fetch: None,
        }
    }
}
