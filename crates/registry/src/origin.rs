//! Where the client believes to be talking to: scheme and host as it typed them.
//!
//! Behind a router these differ from the connection's own. They matter for one address only, the token realm of
//! challenges: every `Location` is relative, and so right whatever stands in between.

use std::fmt;

use http::HeaderMap;
use http::header::{FORWARDED, HOST};
use http::request::Parts;
use pierhead_runtime::listen::ConnectionInfo;

/// Scheme and host, such as `https` and `registry.example.com:5000`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: &'static str,
    host: String,
}

impl Origin {
    /// Reads it from `Forwarded`, else `X-Forwarded-Proto`, `-Host` and `-Port`, else the request itself. Of several
    /// proxies the first, which the client talked to, counts.
    pub(crate) fn of(head: &Parts) -> Self {
        let connection = head.extensions.get::<ConnectionInfo>();
        let (scheme, host) = forwarded(&head.headers);
        let encrypted = connection.is_some_and(|connection| connection.tls.is_some());
        let scheme = scheme.unwrap_or(if encrypted { "https" } else { "http" });
        let authority = || head.uri.authority().map(ToString::to_string);
        let host = host
            .or_else(|| first(&head.headers, HOST.as_str()).and_then(valid_host))
            .or_else(|| authority().and_then(|host| valid_host(&host)))
            .or_else(|| connection.map(|connection| connection.local.to_string()));
        Self { scheme, host: host.unwrap_or_else(|| "localhost".into()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

/// What proxies say of scheme and host. The standard header wins over its predecessors.
fn forwarded(headers: &HeaderMap) -> (Option<&'static str>, Option<String>) {
    if let Some(element) = first(headers, FORWARDED.as_str()) {
        let parameter = |name: &str| {
            element.split(';').filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
            })
        };
        return (parameter("proto").and_then(scheme), parameter("host").and_then(valid_host));
    }
    let host = first(headers, "x-forwarded-host").and_then(valid_host);
    let port = first(headers, "x-forwarded-port").filter(|port| port.parse::<u16>().is_ok());
    let scheme = first(headers, "x-forwarded-proto").and_then(scheme);
    (scheme, host.map(|host| with_port(host, port, scheme)))
}

/// Adds a port that the host does not name itself and the scheme does not imply.
fn with_port(host: String, port: Option<&str>, scheme: Option<&str>) -> String {
    let named = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (port, scheme) {
        (Some(port), Some(scheme)) if !named && port != if scheme == "https" { "443" } else { "80" } => {
            format!("{host}:{port}")
        }
        _ => host,
    }
}

/// The first item of a list header.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.split_once(',').map_or(text, |(first, _)| first).trim()).filter(|first| !first.is_empty())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// Only what can be a host and port goes back into a header.
fn valid_host(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (!text.is_empty() && text.len() <= 255 && text.bytes().all(allowed)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::Origin;

    fn check(headers: &[(&str, &str)], expected: &str) {
        let mut request = Request::builder().uri("/v2/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(Origin::of(&head).to_string(), expected, "{headers:?}");
    }

    #[test]
    fn the_proxy_nearest_to_the_client_counts() {
        check(&[("host", "a:5000")], "http://a:5000");
        check(&[("host", "a"), ("x-forwarded-proto", "https")], "https://a");
        check(
            &[("host", "a"), ("x-forwarded-proto", "HTTPS, http"), ("x-forwarded-host", "b, c")],
            "https://b",
        );
        let port = [("x-forwarded-proto", "https"), ("x-forwarded-host", "b"), ("x-forwarded-port", "8443")];
        check(&port, "https://b:8443");
        let port = [("x-forwarded-proto", "https"), ("x-forwarded-host", "b"), ("x-forwarded-port", "443")];
        check(&port, "https://b");
        let port =
            [("x-forwarded-proto", "http"), ("x-forwarded-host", "b:8080"), ("x-forwarded-port", "80")];
        check(&port, "http://b:8080");
        let standard = "for=1.2.3.4;proto=https;host=\"c:444\", for=5.6.7.8;host=d";
        check(&[("host", "a"), ("forwarded", standard), ("x-forwarded-host", "b")], "https://c:444");
        check(&[("host", "a"), ("forwarded", "for=1.2.3.4")], "http://a");
        check(&[("host", "[::1]:5000")], "http://[::1]:5000");
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        check(&[("host", "a\"b")], "http://localhost");
        check(&[("host", "a"), ("x-forwarded-host", "evil\", x=\"y")], "http://a");
        check(&[("host", "a"), ("x-forwarded-proto", "javascript")], "http://a");
        check(&[("host", "a/b")], "http://localhost");
    }
}
