//! What happens to headers between client and backend.
//!
//! Owns removing what concerns one connection only (RFC 9110 7.6.1), removing forwarding headers that clients made up,
//! and adding ours (`openshift-platform.md` 7.4; `reliability-and-security.md` 7-F F4, 7-J J1 J2).

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::cookie;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How a request reached the router.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// The client.
    pub(crate) peer: IpAddr,
    /// The port of ours it came to.
    pub(crate) port: u16,
    /// Whether it came over TLS.
    pub(crate) encrypted: bool,
    /// The host it asked for, with the port it gave.
    pub(crate) authority: &'a HeaderValue,
}

/// Prepares the headers of a request for the backend. An upgrade that was asked for stays asked for.
pub(crate) fn prepare_request(headers: &mut HeaderMap, origin: Origin<'_>) {
    let upgrade = wanted_upgrade(headers);
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH); // the body's framing is made anew; two lengths must never leave here
    }
    strip_connection_headers(headers);
    headers.remove(PROXY_AUTHORIZATION);
    strip_forwarding_headers(headers);
    cookie::join(headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    headers.insert(HOST, origin.authority.clone());
    add_forwarding_headers(headers, origin);
}

/// Prepares the headers of an answer for the client.
pub(crate) fn prepare_response(headers: &mut HeaderMap, upgraded: bool) {
    let protocol = headers.get(UPGRADE).cloned().filter(|_| upgraded);
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip_connection_headers(headers);
    headers.remove(PROXY_AUTHENTICATE);
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// The protocol that the client asks to change to, if it does.
pub(crate) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = listed(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
}

fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|option| !option.is_empty())
}

fn strip_connection_headers(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> =
            listed(headers, CONNECTION).filter_map(|name| name.parse().ok()).collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Removes them in either spelling: some backends read `X_Forwarded_For` as `X-Forwarded-For`.
fn strip_forwarding_headers(headers: &mut HeaderMap) {
    let forged: Vec<HeaderName> =
        headers.keys().filter(|name| is_forwarding(name.as_str())).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

fn is_forwarding(name: &str) -> bool {
    let prefix = name.bytes().take(11).map(|byte| if byte == b'_' { b'-' } else { byte });
    name == "forwarded" || prefix.eq(*b"x-forwarded")
}

fn add_forwarding_headers(headers: &mut HeaderMap, origin: Origin<'_>) {
    let proto = if origin.encrypted { "https" } else { "http" };
    let peer = origin.peer.to_canonical();
    let host = origin.authority.to_str().unwrap_or_default();
    let node = match peer {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let quote = if host.contains(':') { "\"" } else { "" };
    let forwarded = format!("for={node};host={quote}{host}{quote};proto={proto}");
    let added = [
        (FORWARDED_HOST, HeaderValue::try_from(host)),
        (FORWARDED_PORT, Ok(HeaderValue::from(origin.port))),
        (FORWARDED_PROTO, Ok(HeaderValue::from_static(proto))),
        (FORWARDED_FOR, HeaderValue::try_from(peer.to_string())),
        (FORWARDED, HeaderValue::try_from(forwarded)),
    ];
    for (name, value) in added {
        headers.insert(name, value.expect("hosts are checked before, addresses are plain ASCII"));
    }
}

/// The host a request is for, without port, in lower case, with the authority it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedHost {
    pub(crate) host: String,
    pub(crate) authority: HeaderValue,
}

/// Why no host can be taken from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// None, several, or not a host.
    Invalid,
    /// The target and the `Host` header say different things.
    Contradiction,
}

/// Reads the host from the target (`:authority` of HTTP/2, absolute form of HTTP/1.1) and the `Host` header.
pub(crate) fn requested_host(uri: &Uri, headers: &HeaderMap) -> Result<RequestedHost, HostError> {
    let mut values = headers.get_all(HOST).into_iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(HostError::Invalid);
    }
    let header = header.map(|value| parse_authority(value.to_str().ok())).transpose()?;
    let target = uri.authority().map(|authority| parse_authority(Some(authority.as_str()))).transpose()?;
    match (target, header) {
        (Some(target), Some(header)) if target.host != header.host => Err(HostError::Contradiction),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(HostError::Invalid),
    }
}

fn parse_authority(text: Option<&str>) -> Result<RequestedHost, HostError> {
    let text = text.ok_or(HostError::Invalid)?;
    let host = host_of(text).ok_or(HostError::Invalid)?;
    Ok(RequestedHost { host, authority: HeaderValue::try_from(text).ok().ok_or(HostError::Invalid)? })
}

/// `Registry.example.com.:80` is `registry.example.com`. Only letters, digits, `-`, `_`, `.` and addresses in brackets.
fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let host = host.strip_suffix('.').unwrap_or(host);
    let valid =
        !host.is_empty() && host.len() <= 253 && host.bytes().all(allowed) && port.is_none_or(is_port);
    valid.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Uri};

    use super::{HostError, Origin, prepare_request, requested_host};

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[track_caller]
    fn check_request(sent: &[(&str, &str)], expected: &[(&str, &str)]) {
        let authority = HeaderValue::from_static("shop.example.com:8080");
        let origin = Origin {
            peer: "192.0.2.7".parse().unwrap(),
            port: 8080,
            encrypted: false,
            authority: &authority,
        };
        let mut headers = headers(sent);
        prepare_request(&mut headers, origin);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        lines.sort_unstable();
        let ours = [
            ("forwarded", "for=192.0.2.7;host=\"shop.example.com:8080\";proto=http"),
            ("host", "shop.example.com:8080"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "shop.example.com:8080"),
            ("x-forwarded-port", "8080"),
            ("x-forwarded-proto", "http"),
        ];
        let mut expected: Vec<_> = expected.iter().copied().chain(ours).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }

    #[test]
    fn forwarding_headers_of_clients_are_replaced() {
        check_request(
            &[
                ("host", "shop.example.com:8080"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x_forwarded_for", "10.0.0.1"),
                ("X-Forwarded-Proto", "https"),
                ("x-forwarded-prefix", "/admin"),
                ("Forwarded", "for=10.0.0.1"),
                ("accept", "*/*"),
            ],
            &[("accept", "*/*")],
        );
    }

    #[test]
    fn connection_headers_end_here_and_an_upgrade_goes_on() {
        check_request(
            &[
                ("connection", "keep-alive, x-private"),
                ("x-private", "1"),
                ("te", "trailers"),
                ("keep-alive", "5"),
            ],
            &[],
        );
        check_request(
            &[("connection", "Upgrade"), ("upgrade", "websocket")],
            &[("connection", "upgrade"), ("upgrade", "websocket")],
        );
        check_request(&[("upgrade", "h2c")], &[]);
        check_request(&[("cookie", "a=1"), ("cookie", "b=2")], &[("cookie", "a=1; b=2")]);
        check_request(&[("transfer-encoding", "chunked"), ("content-length", "5")], &[]);
        check_request(&[("connection", "x-forwarded-for")], &[]);
    }

    #[track_caller]
    fn check_host(uri: &str, hosts: &[&str], expected: Result<&str, HostError>) {
        let lines: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let found = requested_host(&uri.parse::<Uri>().unwrap(), &headers(&lines)).map(|found| found.host);
        assert_eq!(found, expected.map(str::to_owned));
    }

    #[test]
    fn the_host_is_read_without_port_and_case() {
        check_host("/", &["Shop.Example.com:8080"], Ok("shop.example.com"));
        check_host("/", &["shop.example.com."], Ok("shop.example.com"));
        check_host("/", &["[::1]:80"], Ok("::1"));
        check_host("http://shop.example.com/x", &["SHOP.example.com:80"], Ok("shop.example.com"));
        check_host("http://shop.example.com/x", &[], Ok("shop.example.com"));
        check_host("http://shop.example.com/x", &["evil.example.com"], Err(HostError::Contradiction));
        check_host("/", &[], Err(HostError::Invalid));
        check_host("/", &["a.example.com", "b.example.com"], Err(HostError::Invalid));
        check_host("/", &["a b"], Err(HostError::Invalid));
        check_host("/", &["a.example.com:99999"], Err(HostError::Invalid));
        check_host("/", &["a.example.com:x"], Err(HostError::Invalid));
        check_host("/", &["user@a.example.com"], Err(HostError::Invalid));
    }
}
