//! The token exchange of RFC 8693: an outside token in, a token of a service account out.
//!
//! Owns the parameters and the errors. Which token is trusted is decided by `pierhead_auth::federation`; whatever it
//! refuses gets the same answer, so that nobody learns here which accounts and rules there are.

use http::StatusCode;
use pierhead_auth::federation::{AccountName, ExchangeError, Presentation};
use serde_json::json;

use super::answer::Answer;
use super::{Exchange, OAuthFailure};
use crate::audit::Decision;

/// The grant type.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Parameters that may be given once at most (RFC 6749, 3.2); RFC 8693 lets `resource` and `audience` repeat.
const ONCE: [&str; 8] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
    "actor_token_type",
    "scope",
    "client_id",
];

impl Exchange<'_> {
    /// `POST /oauth/token` with the grant type of token exchange. The caller needs no credentials of a client: the
    /// token is what they have.
    pub(super) async fn exchange_token(&self) -> Result<Answer, OAuthFailure> {
        let (account, token, issued_type) = match self.exchange_asked() {
            Ok(asked) => asked,
            Err((error, why)) => return Ok(Answer::error(StatusCode::BAD_REQUEST, error, why)),
        };
        let answer = match self.server.auth.exchange(&account, token, Presentation::Exchange).await {
            Ok(given) => Answer::json(
                StatusCode::OK,
                &json!({
                    "access_token": given.token.expose(),
                    "issued_token_type": issued_type,
                    "token_type": "Bearer",
                    "expires_in": given.expires_in,
                }),
            )
            .tried(&account.username(), Decision::Allow),
            Err(ExchangeError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::info!(
                    cause = std::error::Error::source(&error).map(tracing::field::display),
                    namespace = account.namespace,
                    account = account.name,
                    "An outside token was not exchanged: {error}"
                );
                let text = "The subject token is invalid, or it is not accepted for the audience.";
                let refused = Answer::error(StatusCode::BAD_REQUEST, "invalid_request", text);
                refused.tried(&account.username(), Decision::Deny)
            }
        };
        Ok(answer)
    }

    /// The account, the token and the type of token that is wanted; or the error and what to say.
    fn exchange_asked(&self) -> Result<(AccountName, &str, &'static str), (&'static str, &'static str)> {
        const INVALID: &str = "invalid_request";
        let form = &self.form;
        if ONCE.iter().any(|name| form.all(name).count() > 1) {
            return Err((INVALID, "A parameter is given more than once."));
        }
        let token = form.get("subject_token").ok_or((INVALID, "The parameter subject_token is missing."))?;
        match form.get("subject_token_type") {
            Some(JWT | ID_TOKEN) => {}
            Some(_) => {
                return Err((INVALID, "The subject_token_type must be that of a JWT or of an ID token."));
            }
            None => return Err((INVALID, "The parameter subject_token_type is missing.")),
        }
        if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
            return Err((INVALID, "Tokens of actors are not supported."));
        }
        let issued = match form.get("requested_token_type") {
            None | Some(ACCESS_TOKEN) => ACCESS_TOKEN,
            Some(JWT) => JWT,
            Some(_) => return Err((INVALID, "Only access tokens and JWTs can be requested.")),
        };
        if form.get("scope").is_some() {
            return Err(("invalid_scope", "Tokens of service accounts have no scopes."));
        }
        if form.get("resource").is_some() {
            return Err(("invalid_target", "Name the service account as the audience, and no resource."));
        }
        let mut audiences = form.all("audience").filter(|audience| !audience.is_empty());
        let (Some(audience), None) = (audiences.next(), audiences.next()) else {
            return Err((INVALID, "The parameter audience must name one service account."));
        };
        let account = AccountName::parse(audience);
        let account = account.ok_or((
            "invalid_target",
            "The audience must be of the form system:serviceaccount:<project>:<name>.",
        ))?;
        Ok((account, token, issued))
    }
}
