//! `/login` and `/logout`: a form, a session, and its end (platform 2.2).

use http::StatusCode;
use pierhead_auth::oauth::LoginError;

use super::answer::{Answer, with_query};
use super::browser::{CSRF_COOKIE, SESSION_COOKIE, own_path};
use super::{Exchange, OAuthFailure, pages};

impl Exchange<'_> {
    /// `GET /login` shows the form.
    pub(super) fn login_page(&self) -> Answer {
        let csrf = self.csrf();
        let then = own_path(self.query.get("then"));
        let page = pages::login(then, &csrf, self.query.get("reason"), self.query.get("username"));
        Answer::html(StatusCode::OK, page).cookie(CSRF_COOKIE, &csrf)
    }

    /// `POST /login` begins a session and goes on to `then`, or back to the form with a reason.
    pub(super) async fn log_in(&self) -> Result<Answer, OAuthFailure> {
        let then = own_path(self.form.get("then").or_else(|| self.query.get("then")));
        let name = self.form.get("username").unwrap_or_default();
        let back =
            |reason: &str| Answer::redirect(&with_query("/login", &[("reason", reason), ("then", then)]));
        if !self.is_own_form() {
            return Ok(back("token_expired"));
        }
        if name.is_empty() {
            return Ok(back("user_required"));
        }
        let password = self.form.get("password").unwrap_or_default();
        match self.server.auth.login(name, password, self.address()).await {
            Ok(user) => {
                let session = self.server.auth.session_key().seal(&user, self.server.clock.now());
                Ok(Answer::redirect(then).cookie(SESSION_COOKIE, &session))
            }
            Err(LoginError::Store(error)) => Err(error.into()),
            Err(error @ LoginError::TooMany { retry_after_s }) => {
                let csrf = self.csrf();
                let page = pages::login(then, &csrf, Some(reason(&error)), Some(name));
                let refused = Answer::html(StatusCode::TOO_MANY_REQUESTS, page);
                Ok(refused.cookie(CSRF_COOKIE, &csrf).retry_after(retry_after_s))
            }
            Err(error) => {
                tracing::info!(%error, "Somebody could not log in by the form");
                Ok(back(reason(&error)))
            }
        }
    }

    /// `POST /logout` ends the session.
    pub(super) fn log_out(&self) -> Answer {
        let then = own_path(self.form.get("then").or_else(|| self.query.get("then")));
        Answer::redirect(then).cookie(SESSION_COOKIE, "")
    }
}

const fn reason(error: &LoginError) -> &'static str {
    match error {
        LoginError::Credentials(_) => "access_denied",
        LoginError::TooMany { .. } => "too_many_attempts",
        LoginError::Claim { .. } => "mapping_claim_error",
        LoginError::Lookup { .. } => "mapping_lookup_error",
        LoginError::Interrupted | LoginError::Store(_) => "authentication_error",
    }
}
