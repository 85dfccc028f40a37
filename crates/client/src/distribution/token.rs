//! Tokens of registries, and where credentials may go to get one.
//!
//! A registry names the host that gives tokens, and a hostile one names whichever it likes. Credentials go there only
//! if it is the registry itself, the same host in verified HTTPS, the known companion of Docker Hub, or a host for
//! which a secret holds the same credentials (reliability 7-B B1). That a registry is insecure says nothing about
//! another origin that gives its tokens (B4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::Instant;

use super::error::RemoteError;
use super::{response_error, too_many};
use crate::egress::{Egress, Home, Lane, Mode, Outgoing, Scheme, Target};
use crate::keyring::{Keyring, RegistryCredential, is_docker_hub};

/// Longest answer of a token server, in bytes.
const MAX_ANSWER: usize = 256 << 10;
/// Longest token, in bytes: it has to fit in a header.
const MAX_TOKEN: usize = 48 << 10;
/// How long a token holds that does not say (distribution, token authentication).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
const DOCKER_HUB_REALM: &str = "auth.docker.io";

/// What to send with a request, and until when.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    pub(super) until: Option<Instant>,
}

/// What came of asking for a token.
pub(super) enum TokenOutcome {
    Token(Authorization),
    /// The credentials may not go to that realm.
    Withheld {
        realm: String,
    },
}

/// `Authorization` of a user.
pub(super) fn basic(credential: &RegistryCredential) -> Result<HeaderValue, RemoteError> {
    let pair = format!("{}:{}", credential.username, credential.password.expose());
    sensitive(format!("Basic {}", STANDARD.encode(pair)))
}

fn sensitive(text: String) -> Result<HeaderValue, RemoteError> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_invalid| RemoteError::Malformed { what: "token" })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Asks for a token.
pub(super) struct TokenRequest<'a> {
    pub(super) egress: &'a Egress,
    /// The registry.
    pub(super) home: &'a Home,
    pub(super) keyring: &'a Keyring,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    /// What the token is to allow, such as `repository:a/b:pull`.
    pub(super) scopes: &'a [String],
    pub(super) credential: Option<&'a RegistryCredential>,
}

impl TokenRequest<'_> {
    pub(super) async fn send(&self) -> Result<TokenOutcome, RemoteError> {
        let Some(mut target) = Target::parse(self.realm) else {
            return Err(RemoteError::refused(
                "the registry names a token server whose address is not usable",
            ));
        };
        if target.origin.scheme == Scheme::Http && self.home.origin.scheme == Scheme::Https {
            return Err(RemoteError::refused("the registry names a token server that speaks plain HTTP"));
        }
        let at_home = target.origin == self.home.origin;
        let mode = if at_home { self.home.mode } else { Mode::Verified };
        let home = Home { origin: target.origin.clone(), mode };
        if let Some(credential) = self.credential
            && !at_home
            && !self.may_receive(&target, credential)
        {
            return Ok(TokenOutcome::Withheld { realm: target.origin.to_string() });
        }
        let scopes: Vec<String> =
            self.scopes.iter().map(|scope| format!("scope={}", escaped(scope))).collect();
        let mut query = scopes.join("&");
        if let Some(service) = self.service {
            query = format!("service={}&{query}", escaped(service));
        }
        let separator = if target.path.contains('?') { '&' } else { '?' };
        target.path = format!("{}{separator}{query}", target.path);
        let authorization = self.credential.map(basic).transpose()?;
        let outgoing = Outgoing {
            method: Method::GET,
            target,
            home: &home,
            authorization: authorization.as_ref(),
            accept: Some(HeaderValue::from_static("application/json")),
            range: None,
            body: None,
            lane: Lane::Small,
        };
        let (status, headers, body, _) = self.egress.fetch(outgoing, MAX_ANSWER).await?;
        match status {
            StatusCode::OK => read_token(&body).map(TokenOutcome::Token),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let had_credentials = self.credential.is_some();
                let wrong_password = had_credentials && status == StatusCode::UNAUTHORIZED;
                Err(RemoteError::Unauthorized { had_credentials, wrong_password })
            }
            StatusCode::TOO_MANY_REQUESTS => Err(too_many(&headers)),
            status => Err(response_error(status)),
        }
    }

    /// Whether `credential`, which is for the registry, may go to another origin.
    fn may_receive(&self, realm: &Target, credential: &RegistryCredential) -> bool {
        let (realm, registry) = (&realm.origin, &self.home.origin);
        let hub = is_docker_hub(&registry.host) && realm.host == DOCKER_HUB_REALM && realm.port == 443;
        let named = self.keyring.names(&realm.authority(), credential);
        realm.scheme == Scheme::Https && (realm.host == registry.host || hub || named)
    }
}

fn escaped(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

fn read_token(body: &[u8]) -> Result<Authorization, RemoteError> {
    let malformed = || RemoteError::Malformed { what: "token" };
    let Ok(answer) = serde_json::from_slice::<TokenAnswer>(body) else { return Err(malformed()) };
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    let token = token.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN).ok_or_else(malformed)?;
    let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    // Somewhat less, since the clocks of two machines differ and requests take time.
    let life = life.mul_f64(0.8).min(Duration::from_secs(3_600));
    Ok(Authorization { header: sensitive(format!("Bearer {token}"))?, until: Some(Instant::now() + life) })
}
