//! `login --web`: a token by a browser that is already open (platform 2.4; RFC 8252).
//!
//! Owns the listener on this machine that the browser comes back to. The code it brings is worth nothing without the
//! verifier, which stays here.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pierhead_client::HttpClient;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::oauth::{self, Client, OAuthError};
use crate::session::Session;

const CLIENT_ID: &str = "openshift-cli-client";
/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long a connection may take to say what it wants.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long until its first byte: browsers open connections ahead, and use another.
const IDLE_LIMIT: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 16 << 10;

/// What the browser brought.
type Parameters = Vec<(String, String)>;

/// Opens a browser and waits for it to come back with a code, which becomes a token.
pub(super) async fn request_token(
    http: &HttpClient,
    server: &str,
    port: u16,
    session: &mut Session,
) -> anyhow::Result<String> {
    let endpoints = oauth::discover(http, server).await?;
    if !endpoints.pkce {
        bail!("the server has no login for programs on this machine (PKCE): use --username or --token");
    }
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .with_context(|| format!("cannot listen on port {port} of this machine"))?;
    let redirect = format!("http://{}/callback", listener.local_addr()?);
    let (verifier, state) = (random(), random());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("redirect_uri", &redirect)
        .append_pair("response_type", "code")
        .append_pair("state", &state)
        .finish();
    let url = format!("{}?{query}", endpoints.authorize);
    session.say(&format!("Opening login URL in the default browser: {url}"))?;
    if let Err(error) = open(&url, session) {
        session.remark(&format!("No browser could be opened ({error:#}); open the address yourself."))?;
    }
    let answered = tokio::time::timeout(PATIENCE, answer(&listener, &state)).await;
    let parameters = answered.ok().context("nobody came back from the browser")??;
    let find = |key: &str| parameters.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
    if let Some(error) = find("error") {
        let description = find("error_description").unwrap_or_default();
        return Err(OAuthError::Refused { error, description }.into());
    }
    let code = find("code").context("the browser came back without a code")?;
    oauth::exchange(http, &endpoints.token, Client { id: CLIENT_ID, redirect: &redirect }, (&code, &verifier))
        .await
}

fn random() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Opens the address with `$BROWSER`, or with what this system opens addresses with.
fn open(url: &str, session: &Session) -> anyhow::Result<()> {
    let usual = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program = session.environment.vars.get("BROWSER").cloned().unwrap_or_else(|| usual.into());
    let mut command = std::process::Command::new(&program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| program.to_string_lossy().into_owned())?;
    Ok(())
}

/// Waits for the one request that is the browser's: others at this port are answered and forgotten.
async fn answer(listener: &TcpListener, state: &str) -> anyhow::Result<Parameters> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        if tokio::time::timeout(IDLE_LIMIT, stream.peek(&mut [0])).await.is_err() {
            continue;
        }
        let asked = tokio::time::timeout(REQUEST_LIMIT, target(&mut stream)).await;
        let parameters = asked.ok().and_then(Result::ok).and_then(|target| ours(&target, state));
        let (status, text) = match &parameters {
            Some(parameters) if parameters.iter().any(|(key, _)| key == "code") => {
                ("200 OK", "You are logged in. Go back to the terminal; this page can be closed.")
            }
            Some(_) => ("200 OK", "The login failed. Go back to the terminal; this page can be closed."),
            None => ("404 Not Found", "There is nothing here."),
        };
        let page = format!(
            "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Login</title><p>{text}</p></html>\n"
        );
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nCache-Control: no-store\r\n\
             Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
        // A browser that does not listen any more has brought what it had to.
        stream.write_all(answer.as_bytes()).await.unwrap_or_default();
        stream.shutdown().await.unwrap_or_default();
        if let Some(parameters) = parameters {
            return Ok(parameters);
        }
    }
}

/// The target of a GET request.
async fn target(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut part).await?;
        if count == 0 || head.len() > MOST_BYTES {
            bail!("no request");
        }
        head.extend(part.iter().take(count));
    }
    let text = String::from_utf8(head)?;
    let target = text.strip_prefix("GET ").and_then(|rest| rest.split_whitespace().next());
    target.map(str::to_owned).context("no GET")
}

/// The parameters of a request, if it is the answer to ours.
fn ours(target: &str, state: &str) -> Option<Parameters> {
    let query = target.strip_prefix("/callback?")?;
    let parameters: Parameters = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    parameters.iter().any(|(key, value)| key == "state" && value == state).then_some(parameters)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::{answer, ours};

    #[tokio::test]
    async fn connections_that_say_nothing_hold_nobody_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _idle = TcpStream::connect(address).await.unwrap();
        let mut browser = TcpStream::connect(address).await.unwrap();
        browser.write_all(b"GET /callback?code=c&state=s HTTP/1.1\r\n\r\n").await.unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(5), answer(&listener, "s")).await;
        let code = ("code".to_owned(), "c".to_owned());
        assert!(answered.expect("soon").unwrap().contains(&code));
        let mut page = String::new();
        browser.read_to_string(&mut page).await.unwrap();
        assert!(page.contains("You are logged in"), "{page}");
    }

    #[test]
    fn only_the_answer_to_our_request_counts() {
        let check =
            |target: &str, expected: bool| assert_eq!(ours(target, "s").is_some(), expected, "{target}");
        check("/callback?code=c&state=s", true);
        check("/callback?error=access_denied&state=s", true);
        check("/callback?code=c&state=other", false);
        check("/callback?code=c", false);
        check("/favicon.ico?state=s", false);
    }
}
