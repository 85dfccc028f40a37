//! From which registries images may come (images 3.9).
//!
//! Owns the patterns and the refusal's text. Who is exempt, and which references are new, is decided where they are
//! written.

use std::fmt;
use std::str::FromStr;

use pierhead_oci::ImageReference;

/// Patterns shown in a refusal; more are counted.
const SHOWN: usize = 5;

/// A pattern of registries: a host whose labels may hold `*`, and optionally a port. Without one it stands for the port
/// of HTTPS, or for insecure registries for that of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedRegistry {
    host: String,
    port: u16,
}

/// A text is no pattern of registries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no registry: write a host such as `*.example.com`, with a port where it has one of its own"
)]
pub struct AllowedRegistryError(String);

impl AllowedRegistry {
    /// Reads a pattern; `insecure` decides which port it means when it names none.
    pub fn parse(domain: &str, insecure: bool) -> Result<Self, AllowedRegistryError> {
        let error = || AllowedRegistryError(domain.to_owned());
        let (host, port) = match domain.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_no_number| error())?),
            None => (domain, if insecure { 80 } else { 443 }),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'.');
        if host.is_empty() || !host.bytes().all(fits) || host.split('.').any(str::is_empty) {
            return Err(error());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    fn admits(&self, host: &str, ports: &[u16]) -> bool {
        let (ours, theirs) = (self.host.split('.'), host.split('.'));
        ports.contains(&self.port)
            && ours.clone().count() == theirs.clone().count()
            && ours.zip(theirs).all(|(pattern, label)| matches(pattern, label))
    }
}

impl FromStr for AllowedRegistry {
    type Err = AllowedRegistryError;

    fn from_str(text: &str) -> Result<Self, AllowedRegistryError> {
        Self::parse(text, false)
    }
}

impl fmt::Display for AllowedRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whether a label fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(mut left) = label.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(at) = left.find(part) else { return false };
        let (_, after) = left.split_at(at + part.len());
        left = after;
    }
    true
}

/// Says why images may not come from where `reference` points; `None` when they may. An empty list allows nothing.
pub(crate) fn refusal(
    allowed: &[AllowedRegistry],
    reference: &ImageReference,
    insecure: bool,
) -> Option<String> {
    let registry = reference.registry.as_deref().unwrap_or("docker.io");
    // Names of one registry.
    let registry = match registry {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    let (host, ports) = match registry.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) => (host, vec![port]),
        _ if insecure => (registry, vec![443, 80]),
        _ => (registry, vec![443]),
    };
    let host = host.to_ascii_lowercase();
    if allowed.iter().any(|pattern| pattern.admits(&host, &ports)) {
        return None;
    }
    let mut list: Vec<String> = allowed.iter().take(SHOWN).map(|pattern| format!("\"{pattern}\"")).collect();
    if allowed.len() > SHOWN {
        list.push(format!("and {} more", allowed.len() - SHOWN));
    }
    Some(format!(
        "importing images from registry \"{registry}\" is forbidden: registry \"{registry}\" not allowed by \
         whitelist: {}",
        list.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::{AllowedRegistry, refusal};

    #[track_caller]
    fn check(allowed: &[&str], reference: &str, insecure: bool, expected: bool) {
        let allowed: Vec<AllowedRegistry> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let refused = refusal(&allowed, &reference.parse().unwrap(), insecure);
        assert_eq!(refused.is_none(), expected, "{reference}: {refused:?}");
    }

    #[test]
    fn hosts_match_label_by_label_and_ports_exactly() {
        check(&["quay.io"], "quay.io/a/b:1", false, true);
        check(&["quay.io"], "quay.io:443/a/b:1", false, true);
        check(&["quay.io"], "quay.io:5000/a/b:1", false, false);
        check(&["*.example.com"], "r.example.com/a/b", false, true);
        check(&["*.example.com"], "a.r.example.com/a/b", false, false);
        check(&["reg*-eu.example.com:5000"], "reg7-eu.example.com:5000/a/b", false, true);
        check(&["reg*-eu.example.com:5000"], "reg7-us.example.com:5000/a/b", false, false);
        check(&["docker.io"], "busybox", false, true);
        check(&["docker.io"], "index.docker.io/library/busybox", false, true);
        check(&["plain.example.com:80"], "plain.example.com/a/b", false, false);
        check(&["plain.example.com:80"], "plain.example.com/a/b", true, true);
        check(&[], "quay.io/a/b", false, false);
    }

    #[test]
    fn a_refusal_names_the_registry_and_the_first_patterns() {
        let allowed: Vec<AllowedRegistry> = (1..=7)
            .map(|number| AllowedRegistry::parse(&format!("r{number}.io"), number == 1).unwrap())
            .collect();
        assert_eq!(
            refusal(&allowed, &"quay.io/a/b".parse().unwrap(), false).unwrap(),
            "importing images from registry \"quay.io\" is forbidden: registry \"quay.io\" not allowed by whitelist: \
             \"r1.io:80\", \"r2.io:443\", \"r3.io:443\", \"r4.io:443\", \"r5.io:443\", and 2 more"
        );
        for bad in ["", "a b", "a..b", "host:port", "https://quay.io"] {
            assert!(AllowedRegistry::parse(bad, false).is_err(), "`{bad}` should fail");
        }
    }
}
