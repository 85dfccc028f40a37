//! WebSockets (RFC 6455): the handshake, tokens in subprotocols, and text messages until one side has enough.
//!
//! Owns what is accepted of an opening request, and the life of a connection after it was answered with 101. Framing is
//! tungstenite's; what is sent is the watch's. Nothing is expected of clients once a connection is open: what they send is
//! read and forgotten, pings are answered. Reliability 7-J J7: who asks is known, and allowed, before anything is
//! upgraded, and a refusal is an ordinary answer.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts as Head;
use http::{Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use pierhead_api::meta::{Status, StatusReason};
use pierhead_runtime::listen::{ConnectionInfo, Slot};
use pierhead_runtime::{CancellationToken, Secret, Tasks};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tracing::debug;

use crate::ResponseBody;
use crate::error::ApiError;

/// A subprotocol that begins so is a token, in base64url. Pages can set no headers.
const TOKEN: &str = "base64url.bearer.authorization.k8s.io.";
/// Bytes a key of a handshake has.
const KEY_BYTES: usize = 16;
/// Bytes of one message of a client, and of what is read at once; none are expected.
const MAX_RECEIVED: usize = 4 << 10;
/// How long one message may take to go out.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// How long a client may take to answer that a connection is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Whether a request asks for a WebSocket.
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    let has =
        |name: HeaderName, wanted: &str| words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted));
    has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

/// The token that a request for a WebSocket has among its subprotocols; 401 for one that cannot be valid, and for one
/// that comes alone: no other could be answered, and clients fail that are answered none of what they offer.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<Secret<String>>, ApiError> {
    if !is_asked(headers) {
        return Ok(None);
    }
    let mut tokens = words(headers, SEC_WEBSOCKET_PROTOCOL).filter_map(|word| word.strip_prefix(TOKEN));
    let Some(encoded) = tokens.next() else { return Ok(None) };
    let decoded = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.filter(|token| !token.is_empty()) {
        Some(token) if tokens.next().is_none() && protocol(headers).is_some() => Ok(Some(Secret::new(token))),
        _ => Err(Status::unauthorized().into()),
    }
}

/// The subprotocol that is answered: the first that is no token. All mean the same here, as in Kubernetes.
fn protocol(headers: &HeaderMap) -> Option<&str> {
    words(headers, SEC_WEBSOCKET_PROTOCOL).find(|word| !word.starts_with(TOKEN))
}

/// The items of headers that are lists.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// A request for a WebSocket that can be granted.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    /// The connection goes on, and so counts.
    slot: Slot,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
}

impl Handshake {
    /// Checks a request that asks for a WebSocket. Pages elsewhere are heard only if they bring a token themselves
    /// (`brings_token`): a browser shows its certificate whoever makes it ask.
    pub(crate) fn read(head: &Head, brings_token: bool) -> Result<Self, ApiError> {
        let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        if text(SEC_WEBSOCKET_VERSION) != Some("13") {
            let why = "WebSockets of version 13 are spoken here";
            return Err(Status::failure(426, StatusReason::Unknown, why).into());
        }
        let key = text(SEC_WEBSOCKET_KEY).unwrap_or_default();
        if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != KEY_BYTES {
            return Err(Status::bad_request("the header sec-websocket-key is not 16 bytes in base64").into());
        }
        let connection = head.extensions.get::<ConnectionInfo>();
        let is_encrypted = connection.is_some_and(|connection| connection.tls.is_some());
        if !brings_token && !is_of_us(&head.headers, is_encrypted) {
            return Err(
                Status::forbidden_message("a page of another origin must bring a token of its own").into()
            );
        }
        let Some(upgrade) = head.extensions.get::<OnUpgrade>() else {
            return Err(Status::bad_request("this connection cannot become a WebSocket").into());
        };
        let accept = derive_accept_key(key.as_bytes());
        let header = |text: &str| HeaderValue::from_str(text).ok();
        Ok(Self {
            upgrade: upgrade.clone(),
            slot: connection.map(|connection| connection.slot.clone()).unwrap_or_default(),
            accept: header(&accept).expect("base64 is text of a header"),
            protocol: protocol(&head.headers).and_then(header),
        })
    }

    /// The answer 101, after which each of `messages` is sent, until they end, the client goes, or `tasks` stop.
    pub(crate) fn accept(self, tasks: &Tasks, messages: BoxStream<'static, Bytes>) -> Response<ResponseBody> {
        let Self { upgrade, slot, accept, protocol } = self;
        tasks.spawn("WebSocket", |stop| async move {
            let open = async {
                match upgrade.await {
                    Ok(upgraded) => converse(TokioIo::new(upgraded), messages, &stop).await,
                    Err(error) => debug!(%error, "A connection did not become a WebSocket: {error}"),
                }
            };
            let _slot = slot;
            // Neither a client that takes nothing nor one that was not answered yet holds up the end.
            tokio::select! {
                () = open => {}
                () = async { stop.cancelled().await; tokio::time::sleep(2 * CLOSE_LIMIT).await } => {}
            }
        });
        let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        headers.extend(protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
        response
    }
}

/// Whether no page asks, or one of our own: one that came over a connection like this, which nobody else can change if it
/// is encrypted.
fn is_of_us(headers: &HeaderMap, is_encrypted: bool) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Some(origin) = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok()) else { return false };
    let usual_port = match origin.scheme_str() {
        Some("https") => ":443",
        Some("http") if !is_encrypted => ":80",
        _ => return false,
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let usual = |name: &str| name.strip_suffix(usual_port).unwrap_or(name).to_ascii_lowercase();
    match (origin.authority(), host) {
        (Some(origin), Some(host)) => usual(origin.as_str()) == usual(host),
        _ => false,
    }
}

/// Sends messages and a word of farewell: 1000 where they ended by themselves, 1001 where the server stops, and what a
/// client did wrong (RFC 6455 7.4.1).
async fn converse<T>(io: T, mut messages: BoxStream<'static, Bytes>, stop: &CancellationToken)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let limits = WebSocketConfig::default()
        .read_buffer_size(MAX_RECEIVED)
        .max_message_size(Some(MAX_RECEIVED))
        .max_frame_size(Some(MAX_RECEIVED));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await;
    let (mut out, mut received) = socket.split();
    // Reading answers pings and the client's farewell, and ends with either side's.
    let hearing = async {
        loop {
            match received.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return wrong(&error),
                None => return None,
            }
        }
    };
    let telling = async {
        let mut send = async |message| {
            let sent = tokio::time::timeout(SEND_LIMIT, out.send(message)).await;
            matches!(sent, Ok(Ok(())))
        };
        while let Some(line) = messages.next().await {
            let Ok(text) = Utf8Bytes::try_from(without_end(line)) else { return };
            if !send(Message::Text(text)).await {
                return;
            }
        }
        let code = if stop.is_cancelled() { CloseCode::Away } else { CloseCode::Normal };
        let farewell = CloseFrame { code, reason: Utf8Bytes::default() };
        if send(Message::Close(Some(farewell))).await {
            tokio::time::sleep(CLOSE_LIMIT).await;
        }
    };
    let wrong = tokio::select! {
        wrong = hearing => wrong,
        () = telling => None,
    };
    let ending = async {
        if let Some(code) = wrong {
            // Whoever does not hear it knows what they did.
            out.send(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }))).await.ok();
        }
        if let Ok(mut socket) = out.reunite(received) {
            socket.get_mut().shutdown().await.ok();
        }
    };
    tokio::time::timeout(CLOSE_LIMIT, ending).await.ok();
}

/// The code for what a client did wrong; `None` where it only went.
fn wrong(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// A line without the line break, which no message needs.
fn without_end(mut line: Bytes) -> Bytes {
    if line.ends_with(b"\n") {
        line.truncate(line.len() - 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use pierhead_runtime::CancellationToken;
    use tokio::time::Instant;

    use super::{SEND_LIMIT, bearer, converse, is_asked, is_of_us, protocol};

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in given.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn both_headers_ask_for_a_websocket() {
        let check = |connection: &str, upgrade: &str, expected: bool| {
            assert_eq!(is_asked(&headers(&[("connection", connection), ("upgrade", upgrade)])), expected);
        };
        check("Upgrade", "websocket", true);
        check("keep-alive, upgrade", "WebSocket", true);
        check("keep-alive", "websocket", false);
        check("Upgrade", "SPDY/3.1", false);
        assert!(!is_asked(&headers(&[("upgrade", "websocket")])));
    }

    #[test]
    fn a_token_among_the_protocols_is_read_and_never_answered() {
        let check = |protocols: &[&str], token: Result<Option<&str>, u16>, answered: Option<&str>| {
            let mut given = vec![("connection", "Upgrade"), ("upgrade", "websocket")];
            given.extend(protocols.iter().map(|protocol| ("sec-websocket-protocol", *protocol)));
            let headers = headers(&given);
            let read = bearer(&headers).map_err(|error| error.status().code);
            let read = read.as_ref().map(|token| token.as_ref().map(|token| token.expose().as_str()));
            assert_eq!((read, protocol(&headers)), (token.as_ref().map(|token| *token), answered));
        };
        check(&[], Ok(None), None);
        check(&["v1, v2"], Ok(None), Some("v1"));
        let token = "base64url.bearer.authorization.k8s.io.c2VjcmV0Pz8_";
        check(&[token, "binary.k8s.io"], Ok(Some("secret???")), Some("binary.k8s.io"));
        check(
            &[&format!("base64.binary.k8s.io,{token}")],
            Ok(Some("secret???")),
            Some("base64.binary.k8s.io"),
        );
        check(&[token], Err(401), None);
        check(&[token, token, "v1"], Err(401), Some("v1"));
        check(&["base64url.bearer.authorization.k8s.io.", "v1"], Err(401), Some("v1"));
        check(&["base64url.bearer.authorization.k8s.io.c2V=", "v1"], Err(401), Some("v1"));
        check(&["base64url.bearer.authorization.k8s.io.__8", "v1"], Err(401), Some("v1"));
        let elsewhere = headers(&[("sec-websocket-protocol", token), ("sec-websocket-protocol", "v1")]);
        assert!(bearer(&elsewhere).unwrap().is_none(), "no WebSocket is asked for");
    }

    #[test]
    fn a_page_is_of_us_if_it_came_from_here() {
        let checked = |origin: &str, host: &str, is_encrypted: bool, expected: bool| {
            let headers = headers(&[("origin", origin), ("host", host)]);
            assert_eq!(is_of_us(&headers, is_encrypted), expected, "{origin} {host} {is_encrypted}");
        };
        let check = |origin: &str, host: &str, expected: bool| checked(origin, host, true, expected);
        check("https://api.example.com:8443", "api.example.com:8443", true);
        check("https://API.example.com", "api.example.com:443", true);
        check("https://api.example.com", "api.example.com:8443", false);
        check("https://evil.example.com:8443", "api.example.com:8443", false);
        check("null", "api.example.com:8443", false);
        check("file://", "api.example.com:8443", false);
        check("http://api.example.com", "api.example.com", false);
        check("http://api.example.com:8443", "api.example.com:8443", false);
        checked("http://api.example.com:80", "api.example.com", false, true);
        checked("http://api.example.com", "api.example.com:443", false, false);
        checked("https://api.example.com", "api.example.com", false, true);
        assert!(is_of_us(&headers(&[("host", "api.example.com:8443")]), true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off() {
        let (ours, _theirs) = tokio::io::duplex(1 << 10);
        let began = Instant::now();
        let lines = stream::repeat(Bytes::from_static(b"{\"type\":\"ADDED\"}\n")).boxed();
        converse(ours, lines, &CancellationToken::new()).await;
        let took = began.elapsed();
        assert!((SEND_LIMIT..SEND_LIMIT + Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}
