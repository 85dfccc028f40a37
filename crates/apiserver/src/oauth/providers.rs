//! How people get from here to an identity provider and back: the choice of one, and its answer (platform 2.2, 2.9).
//!
//! Owns where a browser is sent. What a provider says is judged by `pierhead_auth`.

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pierhead_auth::oauth::{LoginError, User};
use pierhead_auth::openid::{Arrival, arrival_cookie};
use pierhead_auth::password::{IdentityProvider, ProviderKind};
use pierhead_auth::request_header::filled;
use pierhead_auth::web::ProviderError;

use super::answer::{Answer, with_query};
use super::authorize::this_request;
use super::browser::{SESSION_COOKIE, own_path};
use super::login::{decision, reason};
use super::{Exchange, OAuthFailure, pages};
use crate::FrontProxy;
use crate::audit::Decision;
use crate::query::Query;

/// Where providers send browsers back to.
pub(super) const CALLBACK: &str = "/oauth2callback/";
/// The form of one provider.
pub(super) const LOGIN: &str = "/login/";
/// What a name keeps as a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A path that ends in the name of a provider.
fn path_of(prefix: &str, provider: &str) -> String {
    format!("{prefix}{}", utf8_percent_encode(provider, SEGMENT))
}

/// The provider that a path names.
pub(super) fn named_in(path: &str, prefix: &str) -> Option<String> {
    let name = path.strip_prefix(prefix).filter(|name| !name.is_empty() && !name.contains('/'))?;
    percent_decode_str(name).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Whether browsers can be sent to it.
fn has_page(provider: &IdentityProvider) -> bool {
    let leads_somewhere = match &provider.kind {
        ProviderKind::RequestHeader(of) => of.login_url.is_some(),
        ProviderKind::OpenId(_) => true,
        kind => kind.has_form(),
    };
    provider.login && leads_somewhere
}

impl Exchange<'_> {
    /// Whom a proxy in front says the caller is, with its own certificate as proof; or the answer to somebody who cannot
    /// be a user here.
    pub(super) async fn proxied_user(&self) -> Result<Option<Result<User, Answer>>, OAuthFailure> {
        let Some(proxy) = self.head.extensions.get::<FrontProxy>() else { return Ok(None) };
        let providers = &self.server.auth.config().identity_providers;
        let mut known = providers.iter().filter(|provider| provider.name == proxy.provider);
        let known = known.find_map(|provider| match &provider.kind {
            ProviderKind::RequestHeader(of) => {
                let mut naming = of.headers.iter().chain(&of.preferred_username_headers);
                if naming.any(|name| self.is_doubtful(name)) {
                    tracing::warn!(provider = provider.name, "A proxy says in two ways who somebody is");
                    return None;
                }
                of.user(&provider.name, &proxy.common_name, |name| self.single_header(name))
            }
            _ => None,
        });
        let Some(known) = known else { return Ok(None) };
        let name = known.name.clone();
        match self.server.auth.user_of(known).await {
            Ok(user) => Ok(Some(Ok(user))),
            Err(LoginError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(%error, "Somebody whom a proxy has authenticated could not log in");
                Ok(Some(Err(login_failure(&error, None).tried(&name, decision(&error)))))
            }
        }
    }

    /// A header that came once, and is text.
    fn single_header(&self, name: &str) -> Option<&str> {
        self.header(name).filter(|_| !self.is_doubtful(name))
    }

    /// Whether a header came twice, or cannot be read: of two, one may be somebody else's. No other header stands in for
    /// it, because the proxy may not guard that one.
    fn is_doubtful(&self, name: &str) -> bool {
        let mut values = self.head.headers.get_all(name).iter();
        let is_unreadable = values.next().is_some_and(|value| value.to_str().is_err());
        is_unreadable || values.next().is_some()
    }

    /// Sends a browser to where people log in, or asks them where that is.
    pub(super) async fn to_login(&self, parameters: &Query) -> Result<Answer, OAuthFailure> {
        let then = this_request(parameters);
        let providers: Vec<&IdentityProvider> =
            self.server.auth.config().identity_providers.iter().filter(|of| has_page(of)).collect();
        let chosen = parameters.get("idp");
        match providers.as_slice() {
            [] => {
                let text = "No identity provider of this server lets people log in with a browser.";
                Ok(Answer::html(StatusCode::FORBIDDEN, pages::failure("Log in", text, None)))
            }
            [only] => self.to_provider(only, &then, true).await,
            several => match several.iter().find(|provider| Some(provider.name.as_str()) == chosen) {
                Some(provider) => self.to_provider(provider, &then, false).await,
                None => {
                    let link = |of: &&IdentityProvider| {
                        (of.name.clone(), with_query(&then, &[("idp", of.name.as_str())]))
                    };
                    let links: Vec<(String, String)> = several.iter().map(link).collect();
                    Ok(Answer::html(StatusCode::OK, pages::choice(&links)))
                }
            },
        }
    }

    async fn to_provider(
        &self,
        provider: &IdentityProvider,
        then: &str,
        is_only: bool,
    ) -> Result<Answer, OAuthFailure> {
        match &provider.kind {
            ProviderKind::OpenId(_) => {
                let callback = self.callback(&provider.name);
                match self.server.auth.depart(&provider.name, &callback, then).await {
                    Ok(Some(departure)) => Ok(Answer::redirect(&departure.location).cookie_for(
                        &departure.cookie,
                        &departure.sealed,
                        CALLBACK_SECONDS,
                    )),
                    Ok(None) => Ok(Answer::text(StatusCode::NOT_FOUND, "404 page not found\n")),
                    Err(error) => Ok(provider_failure(&provider.name, &error, then)),
                }
            }
            ProviderKind::RequestHeader(of) => {
                let url = format!("{}{then}", self.issuer());
                Ok(Answer::redirect(&filled(of.login_url.as_deref().unwrap_or("/"), &url)))
            }
            _ if is_only => Ok(Answer::redirect(&with_query("/login", &[("then", then)]))),
            _ => Ok(Answer::redirect(&with_query(&path_of(LOGIN, &provider.name), &[("then", then)]))),
        }
    }

    /// Where clients that answer challenges are sent by a proxy's provider, if there is one.
    pub(super) fn challenge_elsewhere(&self, parameters: &Query) -> Option<Answer> {
        let providers = self.server.auth.config().identity_providers.iter().filter(|of| of.challenge);
        let mut urls = providers.filter_map(|provider| match &provider.kind {
            ProviderKind::RequestHeader(of) => of.challenge_url.as_deref(),
            _ => None,
        });
        let url = format!("{}{}", self.issuer(), this_request(parameters));
        urls.next().map(|template| Answer::redirect(&filled(template, &url)))
    }

    fn callback(&self, provider: &str) -> String {
        format!("{}{}", self.issuer(), path_of(CALLBACK, provider))
    }

    /// `GET /oauth2callback/<idp>`: somebody comes back from a provider.
    pub(super) async fn called_back(&self, provider: &str) -> Result<Answer, OAuthFailure> {
        let state = self.query.get("state");
        let cookie = state.map(arrival_cookie).unwrap_or_default();
        let arrival = Arrival {
            code: self.query.get("code"),
            state,
            issuer: self.query.get("iss"),
            error: self.query.get("error"),
            cookie: self.cookie(&cookie),
        };
        let auth = &self.server.auth;
        let known = match auth.arrive(provider, &self.callback(provider), arrival).await {
            Ok(Some(known)) => known,
            Ok(None) => return Ok(Answer::text(StatusCode::NOT_FOUND, "404 page not found\n")),
            Err(error) => {
                let again = "/oauth/token/request";
                return Ok(provider_failure(provider, &error, again).without_cookie(&cookie));
            }
        };
        let (known, then) = known;
        let then = own_path(Some(&then)).to_owned();
        let name = known.name.clone();
        match auth.user_of(known).await {
            Ok(user) => {
                let session = auth.session_key().seal(&user, self.server.clock.now());
                let entered = Answer::redirect(&then).cookie(SESSION_COOKIE, &session);
                Ok(entered.without_cookie(&cookie).tried(&user.name, Decision::Allow))
            }
            Err(LoginError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(%error, provider, "Somebody whom {provider} knows could not log in");
                let refused = login_failure(&error, Some(&then)).without_cookie(&cookie);
                Ok(refused.tried(&name, decision(&error)))
            }
        }
    }
}

/// As long as a login at a provider may take.
const CALLBACK_SECONDS: u32 = 600;

/// The page for somebody who cannot have a user.
fn login_failure(error: &LoginError, then: Option<&str>) -> Answer {
    let text = pages::reason_text(reason(error));
    Answer::html(StatusCode::FORBIDDEN, pages::failure("Log in", text, then))
}

fn provider_failure(provider: &str, error: &ProviderError, then: &str) -> Answer {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if error.is_outage() {
        tracing::warn!(%error, cause, provider, "The identity provider {provider} cannot be used");
        let text = format!("The identity provider {provider} does not answer. Please try again later.");
        return Answer::html(StatusCode::SERVICE_UNAVAILABLE, pages::failure("Log in", &text, Some(then)))
            .retry_after(30);
    }
    tracing::info!(%error, cause, provider, "What came back from {provider} was refused");
    let text = match error {
        ProviderError::Refused(said) => {
            format!("The identity provider {provider} refused the login: {said}.")
        }
        ProviderError::Stray(_) => {
            "This login was not begun in this browser, or it took too long.".to_owned()
        }
        _ => format!("What the identity provider {provider} said could not be verified."),
    };
    Answer::html(StatusCode::FORBIDDEN, pages::failure("Log in", &text, Some(then)))
}
