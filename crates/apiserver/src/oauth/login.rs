//! `/login`, `/login/<idp>` and `/logout`: a form, a session, and its end (platform 2.2).

use http::StatusCode;
use pierhead_auth::oauth::{Door, LoginError};

use super::answer::{Answer, with_query};
use super::browser::{CSRF_COOKIE, SESSION_COOKIE, own_path};
use super::{Exchange, OAuthFailure, pages};
use crate::audit::Decision;

impl Exchange<'_> {
    /// Whether the provider has a form of ours.
    pub(super) fn has_form(&self, provider: &str) -> bool {
        let mut providers = self.server.auth.config().identity_providers.iter();
        providers.any(|of| of.name == provider && of.login && of.kind.has_form())
    }

    /// `GET /login` shows the form; `GET /login/<idp>` that of one provider.
    pub(super) fn login_page(&self, provider: Option<&str>) -> Answer {
        let csrf = self.csrf();
        let then = own_path(self.query.get("then"));
        let form = pages::LoginForm {
            action: self.head.uri.path(),
            provider,
            then,
            csrf: &csrf,
            reason: self.query.get("reason"),
            username: self.query.get("username"),
        };
        let page = pages::login(&form);
        Answer::html(StatusCode::OK, page).cookie(CSRF_COOKIE, &csrf)
    }

    /// `POST /login` begins a session and goes on to `then`, or back to the form with a reason.
    pub(super) async fn log_in(&self, provider: Option<&str>) -> Result<Answer, OAuthFailure> {
        let action = self.head.uri.path();
        let then = own_path(self.form.get("then").or_else(|| self.query.get("then")));
        let name = self.form.get("username").unwrap_or_default();
        let back =
            |reason: &str| Answer::redirect(&with_query(action, &[("reason", reason), ("then", then)]));
        if !self.is_own_form() {
            return Ok(back("token_expired"));
        }
        if name.is_empty() {
            return Ok(back("user_required"));
        }
        let password = self.form.get("password").unwrap_or_default();
        let door = Door::Form(provider);
        match self.server.auth.login_at(door, (name, password), self.address()).await {
            Ok(user) => {
                let session = self.server.auth.session_key().seal(&user, self.server.clock.now());
                let entered = Answer::redirect(then).cookie(SESSION_COOKIE, &session);
                Ok(entered.tried(&user.name, Decision::Allow))
            }
            Err(LoginError::Store(error)) => Err(error.into()),
            Err(error @ LoginError::TooMany { retry_after_s }) => {
                let csrf = self.csrf();
                let form = pages::LoginForm {
                    action,
                    provider,
                    then,
                    csrf: &csrf,
                    reason: Some(reason(&error)),
                    username: Some(name),
                };
                let refused = Answer::html(StatusCode::TOO_MANY_REQUESTS, pages::login(&form));
                let refused = refused.cookie(CSRF_COOKIE, &csrf).retry_after(retry_after_s);
                Ok(refused.tried(name, decision(&error)))
            }
            Err(error) => {
                tracing::info!(%error, "Somebody could not log in by the form");
                Ok(back(reason(&error)).tried(name, decision(&error)))
            }
        }
    }

    /// `POST /logout` ends the session.
    pub(super) fn log_out(&self) -> Result<Answer, OAuthFailure> {
        let asked = self.form.get("then").or_else(|| self.query.get("then"));
        let then = match asked {
            // A client may take people back to itself.
            Some(then) if self.server.auth.is_at_client(then)? => then,
            asked => own_path(asked),
        };
        let left = Answer::redirect(then).cookie(SESSION_COOKIE, "");
        Ok(match self.session_user()? {
            Some(user) => left.known(&user.name),
            None => left,
        })
    }
}

/// What the audit log says of it.
pub(super) const fn decision(error: &LoginError) -> Decision {
    match error {
        LoginError::Credentials(_) | LoginError::TooMany { .. } => Decision::Deny,
        LoginError::Claim { .. }
        | LoginError::Lookup { .. }
        | LoginError::Name { .. }
        | LoginError::Provider { .. }
        | LoginError::Interrupted
        | LoginError::Store(_) => Decision::Error,
    }
}

pub(super) const fn reason(error: &LoginError) -> &'static str {
    match error {
        LoginError::Credentials(_) => "access_denied",
        LoginError::TooMany { .. } => "too_many_attempts",
        LoginError::Claim { .. } => "mapping_claim_error",
        LoginError::Lookup { .. } => "mapping_lookup_error",
        LoginError::Name { .. } => "user_name_error",
        LoginError::Provider { .. } => "provider_unavailable",
        LoginError::Interrupted | LoginError::Store(_) => "authentication_error",
    }
}
