//! From user name and password to a token: the challenge of the authorization endpoint, with PKCE where the
//! server has it, by the implicit flow of 3.x where not (platform 2.4).

use anyhow::{Context as _, bail};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use pierhead_client::{HttpAnswer, HttpClient};
use rand::Rng as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const CLIENT_ID: &str = "openshift-challenging-client";
const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
/// Redirects within the OAuth server, for example to a provider and back.
const MAX_HOPS: usize = 10;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum OAuthError {
    /// User name or password is wrong.
    #[error("401 Unauthorized")]
    Unauthorized,
    /// Too many passwords were wrong; the server did not look at this one.
    #[error("429 Too Many Requests")]
    TooMany {
        /// Seconds after which it will look at one.
        retry_after: Option<u64>,
    },
    /// The server says so in the redirect.
    #[error("{error}: {description}")]
    Refused {
        /// OAuth error code.
        error: String,
        /// Text for people.
        description: String,
    },
    /// The server wants something that a password cannot give.
    #[error("{message}")]
    NoChallenge {
        /// What it says.
        message: String,
    },
    /// The server asks to send the password to another host.
    #[error("the server redirects the login to {url}, which is another host: not sending the password there")]
    ForeignHost {
        /// Where to.
        url: String,
    },
    /// Something else than OAuth.
    #[error("unexpected response: {status}")]
    Unexpected {
        /// HTTP status.
        status: u16,
    },
}

/// Where the OAuth server is.
pub(super) struct Endpoints {
    issuer: String,
    pub(super) authorize: String,
    pub(super) token: String,
    pub(super) pkce: bool,
}

/// As which client a code is exchanged; it has no secret.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    /// Where the code was sent.
    pub(super) redirect: &'a str,
}

/// Gets a token for a user.
pub(super) async fn request_token(
    http: &HttpClient,
    server: &str,
    username: &str,
    password: &str,
) -> anyhow::Result<String> {
    let endpoints = discover(http, server).await?;
    let redirect = format!("{}/oauth/token/implicit", endpoints.issuer);
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let verifier = URL_SAFE_NO_PAD.encode(bytes);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", CLIENT_ID);
    if endpoints.pkce {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        query.append_pair("code_challenge", &challenge);
        query.append_pair("code_challenge_method", "S256");
        query.append_pair("redirect_uri", &redirect);
        query.append_pair("response_type", "code");
    } else {
        query.append_pair("response_type", "token");
    }
    let url = format!("{}?{}", endpoints.authorize, query.finish());
    let parameters = authorize(http, url, &redirect, username, password).await?;
    let find = |key: &str| {
        parameters
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    if let Some(error) = find("error") {
        let description = find("error_description").unwrap_or_default();
        return Err(OAuthError::Refused { error, description }.into());
    }
    if let Some(token) = find("access_token") {
        return Ok(token);
    }
    let code = find("code").context("the OAuth server gave neither a token nor a code")?;
    let client = Client { id: CLIENT_ID, redirect: &redirect };
    exchange(http, &endpoints.token, client, (&code, &verifier)).await
}

pub(super) async fn discover(http: &HttpClient, server: &str) -> anyhow::Result<Endpoints> {
    let fixed = || Endpoints {
        issuer: server.to_owned(),
        authorize: format!("{server}/oauth/authorize"),
        token: format!("{server}/oauth/token"),
        pkce: false,
    };
    let url = format!("{server}{METADATA_PATH}");
    let answer = http.fetch(Method::GET, &url, HeaderMap::new(), Bytes::new()).await?;
    if answer.status != StatusCode::OK {
        // Servers before 3.6 have no such document, and everything under one URL.
        return Ok(fixed());
    }
    let metadata: Value =
        serde_json::from_slice(&answer.body).with_context(|| format!("{url} is not JSON"))?;
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    let methods = metadata.get("code_challenge_methods_supported").and_then(Value::as_array);
    Ok(Endpoints {
        issuer: text("issuer").context("the OAuth metadata has no issuer")?,
        authorize: text("authorization_endpoint")
            .context("the OAuth metadata has no authorization_endpoint")?,
        token: text("token_endpoint").context("the OAuth metadata has no token_endpoint")?,
        pkce: methods.is_some_and(|methods| methods.iter().any(|method| method == "S256")),
    })
}

/// Walks from the authorization endpoint to the redirect that carries the result; gives its parameters.
async fn authorize(
    http: &HttpClient,
    first: String,
    redirect: &str,
    username: &str,
    password: &str,
) -> anyhow::Result<Vec<(String, String)>> {
    let origin = origin_of(&first)?;
    let mut url = first;
    let mut authorization: Option<HeaderValue> = None;
    for _ in 0..MAX_HOPS {
        let mut headers = HeaderMap::new();
        headers.insert("x-csrf-token", HeaderValue::from_static("1"));
        if let Some(authorization) = &authorization {
            if origin_of(&url)? != origin {
                return Err(OAuthError::ForeignHost { url }.into());
            }
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let answer = http.fetch(Method::GET, &url, headers, Bytes::new()).await?;
        match answer.status {
            StatusCode::FOUND | StatusCode::SEE_OTHER => {
                let location = location_of(&answer, &url)?;
                if location.starts_with(redirect) {
                    return Ok(parameters_of(&location));
                }
                url = location;
            }
            StatusCode::UNAUTHORIZED if authorization.is_some() => {
                return Err(OAuthError::Unauthorized.into());
            }
            StatusCode::UNAUTHORIZED if offers_basic(&answer) => {
                let mut value = HeaderValue::try_from(format!(
                    "Basic {}",
                    STANDARD.encode(format!("{username}:{password}"))
                ))?;
                value.set_sensitive(true);
                authorization = Some(value);
            }
            StatusCode::UNAUTHORIZED => {
                let message = String::from_utf8_lossy(&answer.body).trim().to_owned();
                return Err(OAuthError::NoChallenge { message }.into());
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let retry_after = answer.headers.get(header::RETRY_AFTER);
                let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
                return Err(OAuthError::TooMany { retry_after }.into());
            }
            StatusCode::BAD_REQUEST => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                return Err(OAuthError::Refused {
                    error: text("error"),
                    description: text("error_description"),
                }
                .into());
            }
            status => return Err(OAuthError::Unexpected { status: status.as_u16() }.into()),
        }
    }
    bail!("the OAuth server redirects in circles")
}

fn origin_of(url: &str) -> anyhow::Result<(String, String)> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    Ok((uri.scheme_str().unwrap_or_default().to_owned(), authority))
}

fn location_of(answer: &HttpAnswer, url: &str) -> anyhow::Result<String> {
    let location =
        answer.headers.get(header::LOCATION).context("the OAuth server redirects nowhere")?.to_str()?;
    if location.starts_with('/') {
        let (scheme, authority) = origin_of(url)?;
        return Ok(format!("{scheme}://{authority}{location}"));
    }
    Ok(location.to_owned())
}

fn offers_basic(answer: &HttpAnswer) -> bool {
    let mut challenges = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
    challenges.any(|challenge| challenge.to_str().is_ok_and(|text| text.to_lowercase().starts_with("basic")))
}

/// Query and fragment: the flows differ in which of them they use.
fn parameters_of(location: &str) -> Vec<(String, String)> {
    let (rest, fragment) = location.split_once('#').unwrap_or((location, ""));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    [query, fragment]
        .iter()
        .flat_map(|part| form_urlencoded::parse(part.as_bytes()))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

pub(super) async fn exchange(
    http: &HttpClient,
    url: &str,
    client: Client<'_>,
    (code, verifier): (&str, &str),
) -> anyhow::Result<String> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("code_verifier", verifier)
        .append_pair("redirect_uri", client.redirect)
        .finish();
    let mut headers = HeaderMap::new();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:", client.id)));
    headers.insert(header::AUTHORIZATION, HeaderValue::try_from(basic)?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let answer = http.fetch(Method::POST, url, headers, Bytes::from(form)).await?;
    let body: Value = serde_json::from_slice(&answer.body)
        .with_context(|| format!("the token endpoint answered {} without JSON", answer.status))?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    match text("access_token") {
        Some(token) => Ok(token),
        None => {
            let error = text("error").unwrap_or_else(|| answer.status.to_string());
            Err(OAuthError::Refused { error, description: text("error_description").unwrap_or_default() }
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parameters_of;

    #[test]
    fn results_are_in_query_or_fragment() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let implicit = parameters_of("https://h/oauth/token/implicit#access_token=t&scope=user%3Afull");
        assert_eq!(implicit, [pair("access_token", "t"), pair("scope", "user:full")]);
        assert_eq!(parameters_of("https://h/cb?code=c&state="), [pair("code", "c"), pair("state", "")]);
    }
}
