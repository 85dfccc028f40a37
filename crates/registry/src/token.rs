//! `/openshift/token`: where clients exchange credentials for a token.
//!
//! The token is the API token that came as password, so it expires with that and never before. A pipeline's token of an
//! outside issuer, whose user name is `project/account`, becomes a short one of that account. Scopes are read only to
//! refuse repositories that cannot exist; rights are checked with every request.

use http::StatusCode;
use pierhead_auth::federation::{AccountName, ExchangeError, Presentation};
use pierhead_auth::{Auth, Credentials, Unauthenticated};
use serde_json::json;
use tracing::{error, info};

use crate::call::{Call, Presented};
use crate::query::Query;
use crate::response::{self, Response};
use crate::route::Repository;

/// What those get who present nothing. It stands for nobody, and is accepted as such.
const ANONYMOUS: &str = "anonymous";

/// `GET /openshift/token?service=&scope=&account=…` answers with the same token under both names that clients read.
pub(crate) async fn get(auth: &Auth, call: &Call<'_>) -> Response {
    if let Err(detail) = check_scopes(call.query()) {
        return response::json(StatusCode::UNAUTHORIZED, &json!({ "details": detail }));
    }
    let password = match Presented::read(call.headers()) {
        Ok(Presented::Nothing) if !call.headers().contains_key(http::header::AUTHORIZATION) => {
            return granted(ANONYMOUS);
        }
        Ok(Presented::Password { user, password }) if auth.is_outside_token(&password) => {
            return exchanged(auth, &user, &password).await;
        }
        Ok(Presented::Password { user, password }) => {
            auth.authenticate(Credentials::Basic { user: &user, password: &password }).map(|_| password)
        }
        Ok(Presented::Nothing | Presented::Token(_)) | Err(_) => {
            return response::empty(StatusCode::UNAUTHORIZED);
        }
    };
    match password {
        Ok(token) => granted(&token),
        Err(Unauthenticated::Invalid(reason)) => {
            info!(%reason, "Refused a login: {reason}");
            response::empty(StatusCode::UNAUTHORIZED)
        }
        Err(Unauthenticated::Store(source)) => {
            error!(error = %source, "Cannot check a login: {source}");
            let details = json!({ "details": "unable to validate token: the store cannot be read" });
            response::json(StatusCode::UNAUTHORIZED, &details)
        }
    }
}

/// A token for one that somebody else signed, or nothing at all: whoever has no right learns no reason.
async fn exchanged(auth: &Auth, user: &str, token: &str) -> Response {
    let Some(account) = AccountName::parse(user) else {
        info!("Refused an outside token: its user name is not of the form <project>/<service account>");
        return response::empty(StatusCode::UNAUTHORIZED);
    };
    match auth.exchange(&account, token, Presentation::Password).await {
        Ok(given) => {
            let (token, expires_in) = (given.token.expose(), given.expires_in);
            answer(&json!({ "access_token": token, "token": token, "expires_in": expires_in }))
        }
        Err(ExchangeError::Store(source)) => {
            error!(error = %source, "Cannot check an outside token: {source}");
            let details = json!({ "details": "unable to validate token: the store cannot be read" });
            response::json(StatusCode::UNAUTHORIZED, &details)
        }
        Err(reason) => {
            let AccountName { namespace, name } = account;
            let cause = std::error::Error::source(&reason).map(tracing::field::display);
            info!(%reason, cause, "Refused an outside token for {namespace}/{name}: {reason}");
            response::empty(StatusCode::UNAUTHORIZED)
        }
    }
}

fn granted(token: &str) -> Response {
    answer(&json!({ "access_token": token, "token": token }))
}

fn answer(tokens: &serde_json::Value) -> Response {
    let mut response = response::json(StatusCode::OK, tokens);
    let no_store = http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(http::header::CACHE_CONTROL, no_store);
    response
}

/// Scopes are `<type>:<name>:<actions>`, several of them apart by spaces or parameters. Names hold no colon unless a
/// registry's port is in front, which is not for us to serve.
fn check_scopes(query: Query<'_>) -> Result<(), String> {
    for scopes in query.all("scope") {
        for scope in scopes.split_whitespace() {
            let Some((kind, rest)) = scope.split_once(':') else { continue };
            let name = rest.rsplit_once(':').map_or(rest, |(name, _)| name);
            if matches!(kind, "repository" | "signature") && Repository::parse(name).is_err() {
                return Err(format!("scope {scope}: the name must be of the form <project>/<image stream>"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Query, check_scopes};

    #[test]
    fn scopes_name_projects_and_streams() {
        let check = |query: &str, expected: bool| {
            let uri = format!("/openshift/token?{query}").parse().unwrap();
            assert_eq!(check_scopes(Query::of(&uri)).is_ok(), expected, "{query}");
        };
        check("", true);
        check("scope=", true);
        check("service=&scope=repository:shop/front:pull,push&account=a", true);
        check("scope=registry:catalog:*", true);
        check("scope=repository:shop/front:pull%20repository:shop/back:pull", true);
        check("scope=repository:front:pull", false);
        check("scope=repository:shop/front:pull&scope=repository:a/b/c:pull", false);
        check("scope=signature:front:get", false);
    }
}
