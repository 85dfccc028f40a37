//! The token endpoint, and the pages on which people get a token by hand (platform 2.2, 2.4).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use pierhead_auth::oauth::{AccessToken, BROWSER_CLIENT, Client, RedeemError, Redemption};
use serde_json::{Value, json};

use super::answer::{Answer, with_query};
use super::browser::CSRF_COOKIE;
use super::{Exchange, OAuthFailure, exchange, pages};
use crate::audit::Decision;

impl Exchange<'_> {
    /// `POST /oauth/token` turns a code into a token, for the client that names itself by `Authorization: Basic`.
    pub(super) async fn token(&self) -> Result<Answer, OAuthFailure> {
        if self.form.get("grant_type") == Some(exchange::GRANT_TYPE) {
            return self.exchange_token().await;
        }
        let Some(client) = self.client()? else {
            let refused = Answer::error(
                StatusCode::UNAUTHORIZED,
                "unauthorized_client",
                "The client is not authorized to request a token using this method.",
            );
            return Ok(refused.with(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"openshift\"")));
        };
        let bad = |error: &str, text: &str| Ok(Answer::error(StatusCode::BAD_REQUEST, error, text));
        if ONCE.iter().any(|name| self.form.all(name).nth(1).is_some()) {
            return bad("invalid_request", MALFORMED);
        }
        match self.form.get("grant_type") {
            Some("authorization_code") => {}
            Some(_) => {
                let text = "The authorization grant type is not supported by the authorization server.";
                return bad("unsupported_grant_type", text);
            }
            None => return bad("invalid_request", MALFORMED),
        }
        let Some(code) = self.form.get("code") else { return bad("invalid_request", MALFORMED) };
        let redirect_uri = self.form.get("redirect_uri");
        let redirect_uri = redirect_uri.or_else(|| client.redirect_uri(None)).unwrap_or_default();
        let verifier = self.form.get("code_verifier").unwrap_or_default();
        match self.server.auth.redeem_code(&client, Redemption { code, redirect_uri, verifier }).await {
            Ok(token) => {
                Ok(Answer::json(StatusCode::OK, &token_json(&token)).tried(&token.user, Decision::Allow))
            }
            Err(RedeemError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(%error, client = client.name, "A code was refused");
                let text =
                    "The provided authorization grant or refresh token is invalid, expired or revoked.";
                bad("invalid_grant", text)
            }
        }
    }

    /// The client of the `Authorization: Basic` header, whose id and secret are form-encoded (RFC 6749, 2.3.1). Those
    /// that have a secret may also send it in the form.
    fn client(&self) -> Result<Option<Client>, OAuthFailure> {
        let by_header = self.basic().map(|(id, secret)| (form_decoded(&id), form_decoded(&secret)));
        let form = || {
            let (id, secret) = (self.form.get("client_id")?, self.form.get("client_secret")?);
            Some((id.to_owned(), secret.to_owned()))
        };
        let has_header = self.header("authorization").is_some();
        let Some((id, secret)) = by_header.or_else(|| form().filter(|_| !has_header)) else {
            return Ok(None);
        };
        let auth = &self.server.auth;
        match auth.oauth_client(&id)? {
            Some(client) if auth.proves_client(&client, &secret)? => Ok(Some(client)),
            _ => Ok(None),
        }
    }

    /// Name and password of the `Authorization: Basic` header.
    pub(super) fn basic(&self) -> Option<(String, String)> {
        let (scheme, value) = self.header("authorization")?.split_once(' ')?;
        let decoded =
            BASE64_STANDARD.decode(value.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(decoded).ok()?;
        text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
    }

    /// `GET /oauth/info?code=<token>` tells who holds a token what it is.
    pub(super) fn info(&self) -> Result<Answer, OAuthFailure> {
        let token = self.query.get("code").unwrap_or_default();
        Ok(match self.server.auth.access_token(token)? {
            Some(token) => Answer::json(StatusCode::OK, &token_json(&token)),
            None => Answer::error(StatusCode::BAD_REQUEST, "invalid_request", MALFORMED),
        })
    }

    /// `GET /oauth/token/request` sends a browser on its way to a token.
    pub(super) fn token_request(&self) -> Answer {
        let redirect_uri = self.display_uri();
        let parameters =
            [("client_id", BROWSER_CLIENT), ("redirect_uri", &redirect_uri), ("response_type", "code")];
        Answer::redirect(&with_query("/oauth/authorize", &parameters))
    }

    fn display_uri(&self) -> String {
        format!("{}/oauth/token/display", self.issuer())
    }

    /// `GET /oauth/token/display?code=…` asks before it shows: a link alone must not reveal a token.
    pub(super) fn display_page(&self) -> Answer {
        if let Some(error) = self.query.get("error") {
            let text = self.query.get("error_description").unwrap_or(error);
            return Answer::html(StatusCode::BAD_REQUEST, pages::display_error(text));
        }
        match self.query.get("code") {
            Some(code) => {
                let csrf = self.csrf();
                Answer::html(StatusCode::OK, pages::display_form(code, &csrf)).cookie(CSRF_COOKIE, &csrf)
            }
            None => {
                Answer::html(StatusCode::BAD_REQUEST, pages::display_error("There is no code to exchange."))
            }
        }
    }

    /// `POST /oauth/token/display` exchanges the code and shows the token.
    pub(super) async fn display_token(&self) -> Result<Answer, OAuthFailure> {
        let refused = |text: &str| Ok(Answer::html(StatusCode::BAD_REQUEST, pages::display_error(text)));
        if !self.is_own_form() {
            return refused("Could not check the form. Please try again.");
        }
        let Some(client) = self.server.auth.oauth_client(BROWSER_CLIENT)? else {
            return refused("Tokens cannot be requested by browsers on this server.");
        };
        let code = self.form.get("code").unwrap_or_default();
        let redirect_uri = self.display_uri();
        let redemption = Redemption { code, redirect_uri: &redirect_uri, verifier: "" };
        match self.server.auth.redeem_code(&client, redemption).await {
            Ok(token) => {
                let page = pages::token(token.token.expose(), self.issuer());
                Ok(Answer::html(StatusCode::OK, page).tried(&token.user, Decision::Allow))
            }
            Err(RedeemError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(%error, "A code shown to a person was refused");
                refused("The code is not valid, expired or was used before.")
            }
        }
    }
}

/// Parameters that may be given once at most (RFC 6749, 3.2).
const ONCE: [&str; 6] = ["grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"];
const MALFORMED: &str = "The request is missing a required parameter, includes an invalid parameter value, includes a \
                         parameter more than once, or is otherwise malformed.";

fn token_json(token: &AccessToken) -> Value {
    let mut answer = json!({
        "access_token": token.token.expose(),
        "scope": token.scopes.join(" "),
        "token_type": "Bearer",
    });
    if token.expires_in > 0 {
        answer["expires_in"] = json!(token.expires_in);
    }
    answer
}

fn form_decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}
