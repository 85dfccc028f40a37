//! The authorization endpoint: who asks, for whom, and what they get (platform 2.4).
//!
//! The order matters: client and redirect URI first, because only after them may an error be sent anywhere.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, LINK};
use pierhead_auth::oauth::{Client, CodeRequest, GrantMethod, LoginError, Pkce, User, parse_scopes};

use super::answer::{Answer, with_fragment, with_query};
use super::browser::{CSRF_COOKIE, own_path};
use super::{Exchange, OAuthFailure, login, pages};
use crate::audit::Decision;
use crate::query::Query;

/// How the answer is to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ResponseType {
    Code,
    Token,
}

/// A request whose client and redirect URI are right.
struct Request<'a> {
    client: &'a Client,
    redirect_uri: &'a str,
    state: &'a str,
    response_type: ResponseType,
    scopes: Vec<String>,
    pkce: Option<Pkce>,
}

const NO_CSRF_HEADER: &str = "A non-empty X-CSRF-Token header is required to receive basic-auth challenges";

impl Exchange<'_> {
    /// `GET` and `POST /oauth/authorize`.
    pub(super) async fn authorize(&self, parameters: &Query) -> Result<Answer, OAuthFailure> {
        let bad = |error: &str, text: &str| Ok(Answer::error(StatusCode::BAD_REQUEST, error, text));
        let client = match parameters.get("client_id") {
            Some(id) => self.server.auth.oauth_client(id)?,
            None => None,
        };
        let Some(client) = client else {
            return bad(
                "unauthorized_client",
                "The client is not authorized to request a token using this method.",
            );
        };
        let Some(redirect_uri) = client.redirect_uri(parameters.get("redirect_uri")) else {
            if client.is_account() && client.redirect_uris.is_empty() {
                let text = format!(
                    "{} has no redirectURIs; set serviceaccounts.openshift.io/oauth-redirecturi.<some-value>=<redirect> \
                     or create a dynamic URI using serviceaccounts.openshift.io/oauth-redirectreference.<some-value>=\
                     <reference>",
                    client.name
                );
                return bad("unauthorized_client", &text);
            }
            return bad("invalid_request", "The redirect_uri is not one of those registered for the client.");
        };
        let request = match Request::parse(&client, redirect_uri, parameters) {
            Ok(request) => request,
            Err(refused) => return Ok(refused),
        };
        let user = match self.user(&client, parameters).await? {
            Ok(user) => user,
            Err(answer) => return Ok(answer),
        };
        match client.grant_method {
            GrantMethod::Auto => self.grant(request, &user).await,
            GrantMethod::Deny => Ok(request.refuse("access_denied", "The client is not granted tokens.")),
            GrantMethod::Prompt => {
                let granted = self.server.auth.granted_scopes(&client, &user)?;
                if request.scopes.iter().all(|scope| granted.contains(scope)) {
                    return self.grant(request, &user).await;
                }
                if parameters.get("approval") == Some("denied") {
                    return Ok(request.refuse("access_denied", "The user denied the request."));
                }
                let scopes = request.scopes.join(" ");
                let then = this_request(parameters);
                let ask = [("client_id", client.name.as_str()), ("scope", &scopes), ("then", &then)];
                Ok(Answer::redirect(&with_query("/oauth/authorize/approve", &ask)))
            }
        }
    }

    /// Who logs in, or the answer that makes them.
    async fn user(&self, client: &Client, parameters: &Query) -> Result<Result<User, Answer>, OAuthFailure> {
        if let Some(proxied) = self.proxied_user().await? {
            return Ok(proxied);
        }
        if !client.responds_with_challenges {
            return match self.session_user()? {
                Some(user) => Ok(Ok(user)),
                None => Ok(Err(self.to_login(parameters).await?)),
            };
        }
        let basic = self.basic();
        if let Some(refused) = self.unasked_challenge().filter(|_| basic.is_none()) {
            return Ok(Err(refused.asking()));
        }
        if !self.server.auth.accepts_passwords() {
            return Ok(Err(self.challenge_elsewhere(parameters).unwrap_or_else(|| match &basic {
                Some((name, _)) => self.no_passwords().tried(name, Decision::Deny),
                None => self.no_passwords().asking(),
            })));
        }
        let Some((name, password)) = basic else { return Ok(Err(Answer::challenge().asking())) };
        match self.server.auth.login(&name, &password, self.address()).await {
            Ok(user) => Ok(Ok(user)),
            Err(LoginError::Store(error)) => Err(error.into()),
            Err(error) => Ok(Err(self.refused_login(&error).tried(&name, login::decision(&error)))),
        }
    }

    /// The answer to a name and password that were sent along and let nobody in.
    fn refused_login(&self, error: &LoginError) -> Answer {
        match error {
            LoginError::TooMany { retry_after_s } => {
                let text = format!("Too many wrong passwords. Try again in {retry_after_s} s.\n");
                Answer::text(StatusCode::TOO_MANY_REQUESTS, &text).retry_after(*retry_after_s)
            }
            LoginError::Provider { provider, .. } => {
                let text = format!("The identity provider {provider} does not answer. Try again later.\n");
                Answer::text(StatusCode::SERVICE_UNAVAILABLE, &text).retry_after(30)
            }
            error => {
                tracing::info!(%error, "Somebody could not log in with name and password");
                self.unasked_challenge().unwrap_or_else(Answer::challenge)
            }
        }
    }

    /// The answer to who did not ask to be challenged: a foreign page cannot make a browser send this header, and so not
    /// make it ask for a password either. Whoever sends a password unasked needs no challenge.
    fn unasked_challenge(&self) -> Option<Answer> {
        if self.header("x-csrf-token").is_some_and(|value| !value.is_empty()) {
            return None;
        }
        let refused = Answer::text(StatusCode::UNAUTHORIZED, &format!("{NO_CSRF_HEADER}\n"));
        let warning = HeaderValue::from_str(&format!("199 Origin \"{NO_CSRF_HEADER}\""));
        Some(match warning {
            Ok(warning) => refused.with(WARNING, warning),
            Err(_) => refused,
        })
    }

    /// Passwords are not accepted here; a person may get a token in a browser.
    fn no_passwords(&self) -> Answer {
        let place = format!("{}/oauth/token/request", self.issuer());
        let text = format!("You must obtain an API token by visiting {place}");
        let refused = Answer::text(StatusCode::UNAUTHORIZED, &format!("{text}\n"));
        let warning = HeaderValue::from_str(&format!("199 Origin \"{text}\""));
        let link = HeaderValue::from_str(&format!("<{place}>; rel=\"related\""));
        match (warning, link) {
            (Ok(warning), Ok(link)) => refused.with(WARNING, warning).with(LINK, link),
            _ => refused,
        }
    }

    async fn grant(&self, request: Request<'_>, user: &User) -> Result<Answer, OAuthFailure> {
        let auth = &self.server.auth;
        let Request { client, redirect_uri, state, response_type, scopes, pkce } = request;
        let state = (!state.is_empty()).then_some(("state", state));
        if response_type == ResponseType::Code {
            let code = CodeRequest {
                scopes,
                redirect_uri: redirect_uri.to_owned(),
                state: state.map(|(_, state)| state.to_owned()).unwrap_or_default(),
                pkce,
            };
            let code = auth.grant_code(client, user, code).await?;
            let parameters: Vec<(&str, &str)> =
                [("code", code.expose().as_str())].into_iter().chain(state).collect();
            let place = with_query(redirect_uri, &parameters);
            return Ok(Answer::redirect(&place).tried(&user.name, Decision::Allow));
        }
        let token = auth.grant_token(client, user, scopes, redirect_uri).await?;
        let (life, scopes) = (token.expires_in.to_string(), token.scopes.join(" "));
        let parameters = [
            ("access_token", token.token.expose().as_str()),
            ("expires_in", &life),
            ("scope", &scopes),
            ("token_type", "Bearer"),
        ];
        let parameters: Vec<(&str, &str)> = parameters.into_iter().chain(state).collect();
        Ok(Answer::redirect(&with_fragment(redirect_uri, &parameters)).tried(&user.name, Decision::Allow))
    }

    /// Who sees the pages: whom a proxy names, or who has logged in.
    async fn page_user(&self) -> Result<Option<User>, OAuthFailure> {
        match self.proxied_user().await? {
            Some(proxied) => Ok(proxied.ok()),
            None => self.session_user(),
        }
    }

    /// `GET /oauth/authorize/approve` asks the user.
    pub(super) async fn approval_page(&self) -> Result<Answer, OAuthFailure> {
        let then = own_path(self.query.get("then"));
        let Some(user) = self.page_user().await? else { return Ok(log_in_first(then)) };
        let client = self.query.get("client_id").unwrap_or_default();
        let Some((client, scopes)) = self.asked_grant(client, self.query.get("scope").unwrap_or_default())?
        else {
            return Ok(Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "Unknown client or scope."));
        };
        let csrf = self.csrf();
        let approval =
            pages::Approval { user: &user.name, client: &client.name, scopes: &scopes, then, csrf: &csrf };
        Ok(Answer::html(StatusCode::OK, pages::approval(&approval)).cookie(CSRF_COOKIE, &csrf))
    }

    /// `POST /oauth/authorize/approve` notes the user's answer and goes back to the authorize request.
    pub(super) async fn approve(&self) -> Result<Answer, OAuthFailure> {
        let then = own_path(self.form.get("then"));
        let Some(user) = self.page_user().await? else { return Ok(log_in_first(then)) };
        if !self.is_own_form() {
            let text = "Could not check the form.";
            return Ok(Answer::error(StatusCode::BAD_REQUEST, "invalid_request", text).known(&user.name));
        }
        if self.form.get("approve").is_none() {
            return Ok(Answer::redirect(&with_query(then, &[("approval", "denied")])).known(&user.name));
        }
        let client = self.form.get("client_id").unwrap_or_default();
        let Some((client, scopes)) = self.asked_grant(client, self.form.get("scope").unwrap_or_default())?
        else {
            return Ok(Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "Unknown client or scope."));
        };
        self.server.auth.approve(&client, &user, scopes).await?;
        Ok(Answer::redirect(then).known(&user.name))
    }

    fn asked_grant(&self, client: &str, scope: &str) -> Result<Option<(Client, Vec<String>)>, OAuthFailure> {
        let client = self.server.auth.oauth_client(client)?;
        Ok(client.and_then(|client| {
            let scopes = parse_scopes(scope, &client).ok()?;
            Some((client, scopes))
        }))
    }
}

/// Leads somebody who is nobody yet to where people log in: a request for a token knows where that is.
fn log_in_first(then: &str) -> Answer {
    if then.starts_with("/oauth/authorize?") {
        return Answer::redirect(then);
    }
    Answer::redirect(&with_query("/login", &[("then", then)]))
}

const WARNING: HeaderName = HeaderName::from_static("warning");

impl<'a> Request<'a> {
    /// Reads the rest of the parameters; errors from here on go to the redirect URI.
    fn parse(client: &'a Client, redirect_uri: &'a str, parameters: &'a Query) -> Result<Self, Answer> {
        let state = parameters.get("state").unwrap_or_default();
        let (response_type, known) = match parameters.get("response_type") {
            Some("code") => (ResponseType::Code, true),
            Some("token") if client.may_get_token_at_once() => (ResponseType::Token, true),
            _ => (ResponseType::Code, false),
        };
        let mut request = Self { client, redirect_uri, state, response_type, scopes: Vec::new(), pkce: None };
        if !known {
            let text = "The authorization server does not support obtaining an authorization code using this method.";
            return Err(request.refuse("unsupported_response_type", text));
        }
        let method = parameters.get("code_challenge_method").unwrap_or_default();
        match parameters.get("code_challenge").map(|challenge| Pkce::parse(challenge, method)) {
            Some(None) => return Err(request.refuse("invalid_request", "code_challenge invalid (rfc7636)")),
            None if response_type == ResponseType::Code && client.needs_proof_key() => {
                let text = "code_challenge (rfc7636) required for public clients";
                return Err(request.refuse("invalid_request", text));
            }
            Some(pkce) => request.pkce = pkce,
            None => {}
        }
        match parse_scopes(parameters.get("scope").unwrap_or_default(), client) {
            Ok(scopes) => request.scopes = scopes,
            Err(error) => return Err(request.refuse("invalid_scope", &error.to_string())),
        }
        Ok(request)
    }

    /// Sends an error to the client, where the answer would have gone.
    fn refuse(&self, error: &str, description: &str) -> Answer {
        let state = (!self.state.is_empty()).then_some(("state", self.state));
        let parameters = [("error", error), ("error_description", description)];
        let parameters: Vec<(&str, &str)> = parameters.into_iter().chain(state).collect();
        Answer::redirect(&match self.response_type {
            ResponseType::Code => with_query(self.redirect_uri, &parameters),
            ResponseType::Token => with_fragment(self.redirect_uri, &parameters),
        })
    }
}

/// The path of the same authorize request, to come back to.
pub(super) fn this_request(parameters: &Query) -> String {
    const PARAMETERS: [&str; 8] = [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "nonce",
    ];
    let given: Vec<(&str, &str)> =
        PARAMETERS.iter().filter_map(|name| parameters.get(name).map(|value| (*name, value))).collect();
    with_query("/oauth/authorize", &given)
}
