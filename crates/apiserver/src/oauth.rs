//! The OAuth server's endpoints (platform 2): every path below `/oauth`, `/login`, `/logout` and `/oauth2callback`, and the
//! metadata.
//!
//! Owns HTTP: parameters, forms, cookies, headers. What a client may have and what is stored is decided by
//! `pierhead_auth::oauth`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts as Head;
use http::{Method, Response, StatusCode};
use pierhead_runtime::listen::ConnectionInfo;
use pierhead_store::StoreError;
use serde_json::json;

use crate::ResponseBody;
use crate::query::Query;
use crate::server::Parts;

mod answer;
mod authorize;
mod browser;
mod exchange;
mod login;
mod pages;
mod providers;
mod token;

use answer::Answer;

/// Bytes a form may have. Forms come from anybody.
pub(crate) const MAX_FORM: usize = 64 * 1024;

/// What a handler gets: the parts of the server, the request, and its parameters from query and form.
struct Exchange<'a> {
    server: &'a Parts,
    head: &'a Head,
    query: Query,
    form: Query,
}

/// Why a request of the OAuth flow gets no proper answer.
#[derive(Debug, thiserror::Error)]
enum OAuthFailure {
    #[error("the metadata store failed")]
    Store(#[from] StoreError),
}

/// On every answer (platform 2.2), and none of the pages may load or be framed by anything.
const HEADERS: [(&str, &str); 9] = [
    ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
    ("pragma", "no-cache"),
    ("expires", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-xss-protection", "1; mode=block"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
];

/// Answers a request of the OAuth flow. The caller is not authenticated yet.
pub(crate) async fn serve(server: &Arc<Parts>, head: Head, body: Bytes) -> Response<ResponseBody> {
    let query = Query::parse(head.uri.query());
    let form = Query::parse(std::str::from_utf8(&body).ok());
    let exchange = Exchange { server, head: &head, query, form };
    let answer = exchange.answer().await.unwrap_or_else(|failure| {
        tracing::error!(error = %failure, cause = ?std::error::Error::source(&failure), "An OAuth request failed");
        Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The request could not be completed.")
    });
    let mut response = answer.into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Exchange<'_> {
    async fn answer(&self) -> Result<Answer, OAuthFailure> {
        self.server.auth.ensure_oauth_clients(self.issuer()).await?;
        let (get, post) = (self.head.method == Method::GET, self.head.method == Method::POST);
        match self.head.uri.path() {
            "/.well-known/oauth-authorization-server" if get => Ok(self.metadata()),
            "/oauth/authorize" if get => self.authorize(&self.query).await,
            "/oauth/authorize" if post => self.authorize(&self.form).await,
            "/oauth/authorize/approve" if get => self.approval_page().await,
            "/oauth/authorize/approve" if post => self.approve().await,
            "/oauth/token" if post => self.token().await,
            "/oauth/info" if get => self.info(),
            "/oauth/token/request" if get => Ok(self.token_request()),
            "/oauth/token/display" if get => Ok(self.display_page()),
            "/oauth/token/display" if post => self.display_token().await,
            "/oauth/token/implicit" if get => Ok(pages::implicit(self.issuer())),
            "/login" if get => Ok(self.login_page(None)),
            "/login" if post => self.log_in(None).await,
            "/logout" if post => self.log_out(),
            path => self.answer_below(path, (get, post)).await,
        }
    }

    /// Paths that end in the name of an identity provider, and those there are none of.
    async fn answer_below(&self, path: &str, (get, post): (bool, bool)) -> Result<Answer, OAuthFailure> {
        if let Some(provider) = providers::named_in(path, providers::CALLBACK) {
            return match get {
                true => self.called_back(&provider).await,
                false => Ok(Answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
            };
        }
        if let Some(provider) = providers::named_in(path, providers::LOGIN).filter(|name| self.has_form(name))
        {
            return match (get, post) {
                (true, _) => Ok(self.login_page(Some(&provider))),
                (_, true) => self.log_in(Some(&provider)).await,
                _ => Ok(Answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
            };
        }
        match path {
            path if is_known(path) => Ok(Answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
            _ => Ok(Answer::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        }
    }

    /// Our public URL without a slash at the end.
    fn issuer(&self) -> &str {
        self.server.config.public_url.trim_end_matches('/')
    }

    /// `GET /.well-known/oauth-authorization-server` (platform 2.1).
    fn metadata(&self) -> Answer {
        let issuer = self.issuer();
        Answer::json(
            StatusCode::OK,
            &json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/oauth/authorize"),
                "token_endpoint": format!("{issuer}/oauth/token"),
                "scopes_supported": [
                    "user:check-access", "user:full", "user:info", "user:list-projects", "user:list-scoped-projects",
                ],
                "response_types_supported": ["code", "token"],
                "grant_types_supported": ["authorization_code", "implicit", exchange::GRANT_TYPE],
                "code_challenge_methods_supported": ["plain", "S256"],
            }),
        )
    }

    /// Where the request comes from, as far as its connection says.
    fn address(&self) -> Option<IpAddr> {
        self.head.extensions.get::<ConnectionInfo>().map(|connection| connection.peer.ip())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Whether some method is allowed on this path.
fn is_known(path: &str) -> bool {
    matches!(
        path,
        "/.well-known/oauth-authorization-server"
            | "/oauth/authorize"
            | "/oauth/authorize/approve"
            | "/oauth/token"
            | "/oauth/info"
            | "/oauth/token/request"
            | "/oauth/token/display"
            | "/oauth/token/implicit"
            | "/login"
            | "/logout"
    )
}
