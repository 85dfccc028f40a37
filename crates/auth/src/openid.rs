//! The provider `OpenID`: people log in at another server, which says who they are (OpenID Connect Core 1.0).
//!
//! Owns the code flow as its client, with PKCE, nonce and a state that is sealed into a cookie of the browser, so that
//! an answer counts only where the login began; and what claims mean. Signatures are `jose`'s, keys `federation`'s.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use pierhead_runtime::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::auth::Auth;
use crate::federation::time;
use crate::identity::MAX_TOKEN_BYTES;
use crate::jose::{JoseError, SignedToken};
use crate::oauth::random_text;
use crate::password::{MAX_ID, ProviderKind, ProviderUser, Said};
use crate::service_account::sha256;
use crate::web::{self, ProviderError, WebAnswer, WebRequest};

/// What a sealed departure is for.
const PURPOSE: &[u8] = b"pierhead departure to a provider 1";
/// How long a login at the provider may take.
const LIFE: SignedDuration = SignedDuration::from_mins(10);
/// How far clocks may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long the provider's metadata are taken from memory; while it does not answer, for a day.
const FRESH: Duration = Duration::from_secs(600);
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How long the provider is not asked again after it did not answer.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// A provider and our registration there.
#[derive(Debug)]
pub struct OpenId {
    /// Its name, an `https` URL; metadata are below it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Secret<String>,
    /// Certificate authorities, PEM, to trust besides the usual ones.
    pub authority: Option<Arc<str>>,
    /// Scopes asked for besides `openid`.
    pub extra_scopes: Vec<String>,
    /// More parameters of the authorize request.
    pub extra_authorize_parameters: Vec<(String, String)>,
    /// Which claims say what.
    pub claims: ClaimNames,
    metadata: Mutex<Known>,
}

/// For each thing the claims that may say it; the first one that does counts.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    /// What the provider never gives to another user.
    pub id: Vec<String>,
    /// The preferred name of the User.
    pub preferred_username: Vec<String>,
    /// The name that people read.
    pub name: Vec<String>,
    /// The address for mail.
    pub email: Vec<String>,
    /// Groups; none are kept in step where this is empty.
    pub groups: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let one = |name: &str| vec![name.to_owned()];
        Self {
            id: one("sub"),
            preferred_username: one("preferred_username"),
            name: one("name"),
            email: one("email"),
            groups: Vec::new(),
        }
    }
}

/// What the provider says about itself.
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of the provider's metadata.
#[derive(Debug, Default)]
struct Known {
    found: Option<(Arc<Metadata>, Instant)>,
    failed: Option<Instant>,
}

impl Known {
    fn younger_than(&self, age: Duration) -> Option<Arc<Metadata>> {
        let found = self.found.as_ref().filter(|(_, at)| at.elapsed() < age);
        found.map(|(metadata, _)| Arc::clone(metadata))
    }
}

/// Where a browser goes, and the cookie it needs to come back.
#[derive(Debug)]
pub struct Departure {
    /// The provider's page.
    pub location: String,
    /// The cookie's name; each login has its own, so that two tabs do not disturb each other.
    pub cookie: String,
    /// Its value.
    pub sealed: String,
}

/// What a browser brings back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival<'a> {
    /// The parameter `code`.
    pub code: Option<&'a str>,
    /// The parameter `state`.
    pub state: Option<&'a str>,
    /// The parameter `iss`.
    pub issuer: Option<&'a str>,
    /// The parameter `error`.
    pub error: Option<&'a str>,
    /// The value of the cookie that [`arrival_cookie`] names.
    pub cookie: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    then: String,
    end: i64,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

/// The name of the cookie of the login with this `state`.
pub fn arrival_cookie(state: &str) -> String {
    let name: String = state.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    format!("idp-{name}")
}

impl OpenId {
    /// A provider that nobody has asked yet.
    pub fn new(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Secret<String>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            client_secret,
            authority: None,
            extra_scopes: Vec::new(),
            extra_authorize_parameters: Vec::new(),
            claims: ClaimNames::default(),
            metadata: Mutex::default(),
        }
    }

    fn scopes(&self) -> String {
        let extra = self.extra_scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        std::iter::once("openid").chain(extra).collect::<Vec<_>>().join(" ")
    }

    /// The user that claims speak of.
    fn user(&self, provider: &str, claims: &Map<String, Value>) -> Result<ProviderUser, ProviderError> {
        let text = |names: &[String]| {
            let values = names.iter().filter_map(|name| claims.get(name)?.as_str());
            values.map(str::trim).find(|value| !value.is_empty()).map(str::to_owned)
        };
        let names = &self.claims;
        let id = text(&names.id).ok_or(ProviderError::Claims("no claim says who it is"))?;
        if id.len() > MAX_ID {
            return Err(ProviderError::Claims("what says who it is is too long"));
        }
        let said = Said {
            name: text(&names.name),
            email: text(&names.email),
            preferred_username: text(&names.preferred_username),
        };
        let mut user = ProviderUser::known(provider, &id, said);
        let groups = names.groups.iter().find_map(|name| claims.get(name));
        user.groups = (!names.groups.is_empty()).then(|| match groups {
            Some(Value::Array(groups)) => {
                groups.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(Value::String(group)) => vec![group.clone()],
            _ => Vec::new(),
        });
        Ok(user)
    }

    /// Whether something that is configured is still to be found out.
    fn lacks(&self, claims: &Map<String, Value>) -> bool {
        let ClaimNames { id, preferred_username, name, email, groups } = &self.claims;
        let wanted = [id, preferred_username, name, email, groups];
        wanted.iter().any(|names| !names.is_empty() && !names.iter().any(|name| claims.contains_key(name)))
    }

    fn check(
        &self,
        claims: &Map<String, Value>,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        let refused = |why| Err(ProviderError::Claims(why));
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(self.issuer.as_str()) {
            return refused("it is another issuer's");
        }
        let (audience, others) = match claims.get("aud") {
            Some(Value::String(audience)) => (*audience == self.client_id, false),
            Some(Value::Array(all)) => {
                (all.iter().any(|of| of.as_str() == Some(&self.client_id)), all.len() > 1)
            }
            _ => (false, false),
        };
        if !audience {
            return refused("it is for somebody else");
        }
        match claims.get("azp") {
            None if !others => {}
            Some(Value::String(party)) if *party == self.client_id => {}
            _ => return refused("it was given to somebody else"),
        }
        if nonce.is_some_and(|nonce| text("nonce") != Some(nonce)) {
            return refused("it is of another login");
        }
        if text("sub").is_none_or(str::is_empty) {
            return refused("it names no subject");
        }
        let time = |name: &str| time(claims.get(name)?);
        let later = now.saturating_add(LEEWAY).unwrap_or(now);
        let earlier = now.saturating_sub(LEEWAY).unwrap_or(now);
        if time("exp").is_none_or(|end| end <= earlier) {
            return refused("its time is over");
        }
        if time("iat").is_none_or(|made| made > later) || time("nbf").is_some_and(|from| from > later) {
            return refused("its time has not begun");
        }
        Ok(())
    }
}

impl OpenId {
    fn token_request(&self, metadata: &Metadata, form: &[(&str, &str)]) -> WebRequest {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = self.client_secret.expose().as_str();
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let by_header = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let authorization = if by_header {
            let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret));
            Some(Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair))))
        } else {
            body.extend_pairs([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
            None
        };
        WebRequest {
            url: metadata.token_endpoint.clone(),
            form: Some(Secret::new(body.finish())),
            authorization,
            authority: self.authority.clone(),
        }
    }
}

impl Auth {
    /// Sends a browser to the provider called `provider`, to come back to `callback` and then to go on to `then`.
    /// `None` where there is no such provider.
    ///
    /// # Errors
    /// When the provider cannot be asked where people log in.
    pub async fn depart(
        &self,
        provider: &str,
        callback: &str,
        then: &str,
    ) -> Result<Option<Departure>, ProviderError> {
        let Some(openid) = self.openid(provider) else { return Ok(None) };
        let metadata = self.openid_metadata(openid).await?;
        let sealed = Sealed {
            provider: provider.to_owned(),
            state: random_text(),
            nonce: random_text(),
            verifier: random_text(),
            then: then.to_owned(),
            end: self.now().saturating_add(LIFE).unwrap_or(Timestamp::MAX).as_second(),
        };
        let scopes = openid.scopes();
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha256(sealed.verifier.as_bytes()));
        let parameters = [
            ("client_id", openid.client_id.as_str()),
            ("redirect_uri", callback),
            ("response_type", "code"),
            ("scope", &scopes),
            ("state", &sealed.state),
            ("nonce", &sealed.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let own = |name: &str| parameters.iter().any(|(of, _)| *of == name);
        let extra = openid.extra_authorize_parameters.iter().filter(|(name, _)| !own(name));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .extend_pairs(extra)
            .finish();
        let place = &metadata.authorization_endpoint;
        let separator = if place.contains('?') { '&' } else { '?' };
        let bytes = serde_json::to_vec(&sealed).expect("a struct of strings is always JSON");
        Ok(Some(Departure {
            location: format!("{place}{separator}{query}"),
            cookie: arrival_cookie(&sealed.state),
            sealed: self.session_key().seal_bytes(PURPOSE, bytes),
        }))
    }

    /// Who came back from the provider, and where they wanted to go. `None` where there is no such provider.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn arrive(
        &self,
        provider: &str,
        callback: &str,
        arrival: Arrival<'_>,
    ) -> Result<Option<(ProviderUser, String)>, ProviderError> {
        let Some(openid) = self.openid(provider) else { return Ok(None) };
        let sealed = self.departed(provider, &arrival)?;
        let metadata = self.openid_metadata(openid).await?;
        // Another provider's answer must not be taken to this one (RFC 9207).
        let issuer_said = arrival.issuer.map(|issuer| issuer == openid.issuer);
        if !issuer_said.unwrap_or(!metadata.authorization_response_iss_parameter_supported) {
            return Err(ProviderError::Stray("it is from another issuer"));
        }
        if let Some(error) = arrival.error {
            return Err(ProviderError::Refused(error.chars().take(100).collect()));
        }
        let code = arrival.code.ok_or(ProviderError::Stray("there is no code"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", &sealed.verifier),
        ];
        let answer = self.openid_tokens(openid, &metadata, &form).await?;
        let tokens: Tokens = web::read(&metadata.token_endpoint, &answer)?;
        let user = self.openid_user((provider, openid), &metadata, tokens, Some(&sealed.nonce)).await?;
        Ok(Some((user, sealed.then)))
    }

    /// Who has this name and password at the provider, where it takes passwords from us; `None` where they are wrong.
    pub(crate) async fn openid_password(
        &self,
        provider: &str,
        openid: &OpenId,
        (name, password): (&str, &str),
    ) -> Result<Option<ProviderUser>, ProviderError> {
        let metadata = self.openid_metadata(openid).await?;
        let scopes = openid.scopes();
        let form =
            [("grant_type", "password"), ("username", name), ("password", password), ("scope", &scopes)];
        let answer = self.openid_tokens(openid, &metadata, &form).await?;
        if matches!(answer.status, 400 | 401 | 403) {
            return Ok(None);
        }
        let tokens: Tokens = web::read(&metadata.token_endpoint, &answer)?;
        self.openid_user((provider, openid), &metadata, tokens, None).await.map(Some)
    }

    fn openid(&self, provider: &str) -> Option<&OpenId> {
        let found = self.config().identity_providers.iter().find(|of| of.name == provider);
        match found.map(|provider| &provider.kind) {
            Some(ProviderKind::OpenId(openid)) => Some(openid),
            _ => None,
        }
    }

    fn departed(&self, provider: &str, arrival: &Arrival<'_>) -> Result<Sealed, ProviderError> {
        let state = arrival.state.ok_or(ProviderError::Stray("there is no state"))?;
        let cookie = arrival.cookie.ok_or(ProviderError::Stray("there is no cookie of it"))?;
        let bytes = self.session_key().open_bytes(PURPOSE, cookie);
        let sealed = bytes.and_then(|bytes| serde_json::from_slice::<Sealed>(&bytes).ok());
        let sealed = sealed.ok_or(ProviderError::Stray("the cookie is not ours"))?;
        if sealed.state != state || sealed.provider != provider {
            return Err(ProviderError::Stray("it is another login's"));
        }
        if self.now().as_second() >= sealed.end {
            return Err(ProviderError::Stray("it took too long"));
        }
        Ok(sealed)
    }

    async fn openid_metadata(&self, openid: &OpenId) -> Result<Arc<Metadata>, ProviderError> {
        let mut known = openid.metadata.lock().await;
        let is_down = known.failed.is_some_and(|at| at.elapsed() < AFTER_FAILURE);
        if let Some(metadata) = known.younger_than(if is_down { KEPT } else { FRESH }) {
            return Ok(metadata);
        }
        if is_down {
            return Err(ProviderError::Slow { url: openid.issuer.clone() });
        }
        match self.fetch_metadata(openid).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known { found: Some((Arc::clone(&metadata), Instant::now())), failed: None };
                Ok(metadata)
            }
            Err(error) => {
                known.failed = Some(Instant::now());
                known.younger_than(KEPT).ok_or(error)
            }
        }
    }

    async fn fetch_metadata(&self, openid: &OpenId) -> Result<Metadata, ProviderError> {
        let url = format!("{}/.well-known/openid-configuration", openid.issuer.trim_end_matches('/'));
        let request = WebRequest {
            url: url.clone(),
            form: None,
            authorization: None,
            authority: openid.authority.clone(),
        };
        let metadata: Metadata = web::read(&url, &web::ask(self.config().web.as_ref(), request).await?)?;
        if metadata.issuer != openid.issuer {
            return Err(ProviderError::Metadata("they name another issuer"));
        }
        if !metadata.authorization_endpoint.starts_with("https://") {
            return Err(ProviderError::Metadata("people log in at an address that is no https URL"));
        }
        Ok(metadata)
    }

    /// Asks the token endpoint, as the client that we are there.
    async fn openid_tokens(
        &self,
        openid: &OpenId,
        metadata: &Metadata,
        form: &[(&str, &str)],
    ) -> Result<WebAnswer, ProviderError> {
        let request = openid.token_request(metadata, form);
        web::ask(self.config().web.as_ref(), request).await
    }

    async fn openid_user(
        &self,
        (provider, openid): (&str, &OpenId),
        metadata: &Metadata,
        tokens: Tokens,
        nonce: Option<&str>,
    ) -> Result<ProviderUser, ProviderError> {
        if tokens.id_token.len() > MAX_TOKEN_BYTES {
            return Err(ProviderError::Claims("it is too long"));
        }
        let signed = SignedToken::parse(&tokens.id_token)?;
        let issuers = &self.inner.issuers;
        let keys = issuers.keys(&openid.issuer, openid.authority.clone(), None).await?;
        let mut claims = match signed.verify(&keys) {
            Err(JoseError::UnknownKey) => {
                let newer = issuers.keys(&openid.issuer, openid.authority.clone(), Some(&keys)).await?;
                signed.verify(&newer)?.clone()
            }
            verified => verified?.clone(),
        };
        openid.check(&claims, nonce, self.now())?;
        if let (true, Some(url), Some(token)) =
            (openid.lacks(&claims), &metadata.userinfo_endpoint, tokens.access_token)
        {
            let request = WebRequest {
                url: url.clone(),
                form: None,
                authorization: Some(Secret::new(format!("Bearer {token}"))),
                authority: openid.authority.clone(),
            };
            let answer = web::ask(self.config().web.as_ref(), request).await?;
            let more: Map<String, Value> = web::read(url, &answer)?;
            // Otherwise a stolen access token could speak for another user (Core, 5.3.2).
            if more.get("sub") != claims.get("sub") {
                return Err(ProviderError::Claims("the user's data are of another user"));
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        openid.user(provider, &claims)
    }
}
