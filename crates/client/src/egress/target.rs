//! Addresses of HTTP: what is asked, and of whom.
//!
//! Owns a parser that takes less than others do: no user names, no letters beyond ASCII, no numbers that only look like
//! an address, no zones. What it takes has one meaning, so that comparing two hosts means something (reliability K2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest URL that is followed, in bytes. Signed addresses of content networks have 1 to 3 thousand.
const MAX_URL: usize = 16 << 10;

/// How to speak to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Who is asked: credentials for one origin are for no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// Lower case; IPv6 addresses in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// Reads `host` or `host:port`.
    pub(crate) fn parse(scheme: Scheme, authority: &str) -> Option<Self> {
        let (host, port) = if authority.starts_with('[') {
            let (address, port) = authority.split_once(']')?;
            (format!("{address}]"), port)
        } else {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at(end);
            (host.to_ascii_lowercase(), port)
        };
        let port = match port.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if port.is_empty() => scheme.port(),
            None => return None,
        };
        let host = canonical_host(&host)?;
        Some(Self { scheme, host, port })
    }

    /// The host with the port where it is not the usual one.
    pub(crate) fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The address, where the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().ok().map(Into::into),
            None => self.host.parse::<Ipv4Addr>().ok().map(Into::into),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

fn canonical_host(host: &str) -> Option<String> {
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.len() > 253 || !labels.iter().all(is_label) {
        return None;
    }
    // What ends in a number is an address, or an attempt to look like something else than one.
    let last = labels.last()?;
    let numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric {
        return Some(host.to_owned());
    }
    host.parse::<Ipv4Addr>().ok().map(|address| address.to_string())
}

/// What is asked of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) origin: Origin,
    /// Path and query; begins with a slash.
    pub(crate) path: String,
}

impl Target {
    /// Reads a whole URL.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        if url.len() > MAX_URL || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        Some(Self { origin: Origin::parse(scheme, authority)?, path: path_of(path)? })
    }

    /// Follows a reference found in an answer about this target.
    pub(crate) fn join(&self, reference: &str) -> Option<Self> {
        let reference = reference.trim();
        if reference.len() > MAX_URL || !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        if reference.contains("://") && !reference.starts_with(['/', '?', '.']) {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.origin.scheme.as_str()));
        }
        let (current, _) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let path = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.starts_with('?') {
            format!("{current}{reference}")
        } else if reference.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
            return None;
        } else {
            let (folder, _) = current.rsplit_once('/').unwrap_or(("", current));
            format!("{folder}/{reference}")
        };
        Some(Self { origin: self.origin.clone(), path: path_of(&path)? })
    }

    /// Another path at the same origin.
    pub(crate) fn at(origin: &Origin, path: impl Into<String>) -> Self {
        Self { origin: origin.clone(), path: path.into() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// The path without fragment; the empty one is the root.
fn path_of(text: &str) -> Option<String> {
    if text.contains('\\') {
        return None;
    }
    let (path, _) = text.split_once('#').unwrap_or((text, ""));
    Some(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn shown(target: Option<Target>) -> String {
        target.map_or_else(|| "refused".to_owned(), |target| target.to_string())
    }

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(shown(Target::parse(url)), expected, "{url}");
    }

    #[test]
    fn urls_have_one_meaning_or_none() {
        check("https://R.Example.com", "https://r.example.com/");
        check("HTTPS://r.example.com:443/a?b#c", "https://r.example.com/a?b");
        check("http://r.example.com:443/", "http://r.example.com:443/");
        check("https://r.example.com?x=1", "https://r.example.com/?x=1");
        check("https://[::1]:5000/v2/", "https://[::1]:5000/v2/");
        check("https://[0:0:0:0:0:0:0:1]/", "https://[::1]/");
        check("https://127.0.0.1/", "https://127.0.0.1/");
        for refused in [
            "https://",
            "ftp://r.example.com/",
            "r.example.com/",
            "https://user@r.example.com/",
            "https://user:password@r.example.com/",
            "https://r.example.com:/",
            "https://r.example.com:0/",
            "https://r.example.com:65536/",
            "https://r.example.com:+443/",
            "https://r..example.com/",
            "https://r.example.com./",
            "https://0177.0.0.1/",
            "https://0x7f.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://127.1/",
            "https://0/",
            "https://[fe80::1%25eth0]/",
            "https://[::1/",
            "https://[::1]x/",
            "https://b\u{fc}cher.example/",
            "https://r.example.com\\@evil.example/",
            "https://r.example.com/a\\b",
            "https://r.example.com/ a",
            "https://r.example.com/\r\nHost: x",
            "https://r%2eexample.com/",
        ] {
            check(refused, "refused");
        }
    }

    #[test]
    fn references_are_followed_from_where_they_were_found() {
        let base = Target::parse("https://r.example.com/v2/a/b/tags/list?n=1").unwrap();
        let check = |reference: &str, expected: &str| {
            assert_eq!(shown(base.join(reference)), expected, "{reference}");
        };
        check("/v2/x?last=y", "https://r.example.com/v2/x?last=y");
        check("?last=y", "https://r.example.com/v2/a/b/tags/list?last=y");
        check("list?last=y", "https://r.example.com/v2/a/b/tags/list?last=y");
        check("//cdn.example.com/x", "https://cdn.example.com/x");
        check("http://cdn.example.com/x", "http://cdn.example.com/x");
        check("/x?u=http://y", "https://r.example.com/x?u=http://y");
        check("javascript:alert(1)", "refused");
        check("file:///etc/passwd", "refused");
        check("//user@cdn.example.com/", "refused");
    }
}
