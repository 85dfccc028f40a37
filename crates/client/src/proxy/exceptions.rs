//! `NO_PROXY`: who is asked without a proxy, as Go's programs read it.

use std::net::IpAddr;

use crate::egress::Network;

/// Those who are asked without a proxy.
#[derive(Debug)]
pub(super) struct Exceptions {
    this_machine: bool,
    everybody: bool,
    listed: Vec<(Who, Option<u16>)>,
}

#[derive(Debug)]
enum Who {
    Network(Network),
    /// Everything that ends with it, which begins with a dot; perhaps also what it is without the dot.
    Domain {
        suffix: String,
        itself: bool,
    },
}

impl Exceptions {
    /// Those of a list, and this machine.
    pub(super) fn parse(list: &str) -> Self {
        let entries = || list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Self {
            this_machine: true,
            everybody: entries().any(|entry| entry == "*"),
            listed: entries().filter_map(parse_entry).collect(),
        }
    }

    pub(super) const fn nobody() -> Self {
        Self { this_machine: false, everybody: false, listed: Vec::new() }
    }

    /// Whether a host, as it stands in a URL, is asked directly.
    pub(super) fn contains(&self, host: &str, port: u16) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        // IPv4 in an IPv6 address (`::ffff:10.1.2.3`) is nothing but IPv4.
        let address = host.parse::<IpAddr>().ok().map(|written| written.to_canonical());
        let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        if self.everybody || (self.this_machine && is_here) {
            return true;
        }
        self.listed.iter().any(|(who, only)| {
            only.is_none_or(|only| only == port)
                && match who {
                    Who::Network(network) => address.is_some_and(|address| network.contains(address)),
                    Who::Domain { suffix, itself } => {
                        host.ends_with(suffix) || (*itself && suffix.strip_prefix('.') == Some(&host))
                    }
                }
        })
    }
}

fn parse_entry(entry: &str) -> Option<(Who, Option<u16>)> {
    if let Some(network) = network(entry) {
        return Some((Who::Network(network), None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let host = host.trim_matches(['[', ']']);
    if let Some(network) = network(host) {
        return Some((Who::Network(network), port));
    }
    let host = host.strip_prefix("*.").map_or_else(|| host.to_owned(), |rest| format!(".{rest}"));
    let host = host.to_ascii_lowercase();
    let itself = !host.starts_with('.');
    let suffix = if itself { format!(".{host}") } else { host };
    (suffix.len() > 1).then_some((Who::Domain { suffix, itself }, port))
}

/// An address or a network, that of IPv4 addresses in IPv6 ones as theirs.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "128"));
    match address.parse::<IpAddr>().map(|address| address.is_ipv6().then(|| address.to_canonical())) {
        Ok(Some(address @ IpAddr::V4(_))) => {
            let prefix = prefix.parse::<u8>().ok()?.checked_sub(96)?;
            format!("{address}/{prefix}").parse().ok()
        }
        _ => text.parse().ok(),
    }
}
