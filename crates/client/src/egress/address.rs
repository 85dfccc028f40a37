//! Which addresses this server connects to on behalf of its users.
//!
//! Owns the decision, which is made on the address that is connected to and never on a name: names change what they
//! mean. An IPv6 address that stands for an IPv4 address counts as both (reliability 7-B B3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let [a, b, c, d, e, f, g, h] = segments;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix }
    }

    /// Whether `address` lies in it. Addresses of the two families are never in each other's ranges.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let host_bits = 32 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let host_bits = 128 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// A text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(left, right)| (left, Some(right)));
        let Ok(address) = address.parse::<IpAddr>() else { return Err(error()) };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let Some(prefix) = prefix else { return Ok(Self { address, prefix: longest }) };
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        match prefix.parse() {
            Ok(prefix) if digits && prefix <= longest => Ok(Self { address, prefix }),
            _ => Err(error()),
        }
    }
}

/// Which addresses may be connected to. What is denied counts before what is allowed, and that before the rules that
/// hold anyway: no loopback, link-local, unspecified, multicast, broadcast or reserved addresses, and none of those at
/// which clouds hand out credentials. Private networks are allowed.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Allowed although the rules would forbid them.
    pub allow: Vec<Network>,
    /// Forbidden in any case.
    pub deny: Vec<Network>,
}

/// An address that the policy forbids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connecting to {address} is not allowed: {reason}")]
pub struct ForbiddenAddress {
    /// The address as it was resolved.
    pub address: IpAddr,
    /// What it is.
    pub reason: &'static str,
}

const LOOPBACK: &str = "it is a loopback address";
const LINK_LOCAL: &str = "it is a link-local address";
const UNSPECIFIED: &str = "it is not the address of any host";
const MULTICAST: &str = "it is a multicast address";
const RESERVED: &str = "it is a reserved address";
const METADATA: &str = "it is the metadata service of a cloud";
const TRANSLATED: &str = "it may stand for any IPv4 address";

static FORBIDDEN: [(Network, &str); 22] = [
    (Network::v4(0, 0, 0, 0, 8), UNSPECIFIED),
    (Network::v4(127, 0, 0, 0, 8), LOOPBACK),
    (Network::v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (Network::v4(192, 0, 0, 0, 24), RESERVED),
    (Network::v4(224, 0, 0, 0, 4), MULTICAST),
    (Network::v4(240, 0, 0, 0, 4), RESERVED),
    // Alibaba, Azure, and what two clouds have in IPv6.
    (Network::v4(100, 100, 100, 200, 32), METADATA),
    (Network::v4(168, 63, 129, 16, 32), METADATA),
    (Network::v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254], 128), METADATA),
    (Network::v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254], 128), METADATA),
    (Network::v6([0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), METADATA),
    (Network::v6([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042], 128), METADATA),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), UNSPECIFIED),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (Network::v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), RESERVED),
    (Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
    (Network::v6([0x0100, 0, 0, 0, 0, 0, 0, 0], 64), RESERVED),
    // Local NAT64 and Teredo: where the IPv4 address stands in them depends on the network.
    (Network::v6([0x0064, 0xff9b, 0x0001, 0, 0, 0, 0, 0], 48), TRANSLATED),
    (Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), TRANSLATED),
    (Network::v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), RESERVED),
    (Network::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), RESERVED),
];

impl AddressPolicy {
    /// Whether `address` may be connected to.
    ///
    /// # Errors
    /// [`ForbiddenAddress`] says why not.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let forbidden = |reason| Err(ForbiddenAddress { address, reason });
        for meant in meanings(address) {
            if self.deny.iter().any(|network| network.contains(meant)) {
                return forbidden("the configuration denies it");
            }
            if self.allow.iter().any(|network| network.contains(meant)) {
                continue;
            }
            if let Some((_, reason)) = FORBIDDEN.iter().find(|(network, _)| network.contains(meant)) {
                return forbidden(reason);
            }
        }
        Ok(())
    }
}

/// The address, and the IPv4 address that it stands for. Mapped addresses are nothing but IPv4.
fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else { return vec![address] };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return vec![v4.into()];
    }
    let mut meanings = vec![address];
    meanings.extend(embedded(v6).map(IpAddr::V4));
    meanings
}

/// The IPv4 address in an IPv6 address: compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056)
/// and ISATAP (RFC 5214).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |[high, low]: [u16; 2]| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => last([high, low]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressPolicy, Network};

    #[track_caller]
    fn check(text: &str, address: &str, expected: bool) {
        let network: Network = text.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expected, "{address} in {text}");
    }

    #[test]
    fn networks_are_read_and_compared_by_their_prefix() {
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "10.1.2.2", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("::/0", "1.2.3.4", false);
        check("::/0", "fe80::1", true);
        check("fd00::/8", "fdff::1", true);
        check("fd00::1/128", "fd00::2", false);
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/+8", "10.0.0.0/", "host/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_configuration_counts_before_the_rules_and_denying_before_allowing() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let policy =
            AddressPolicy { allow: networks(&["127.0.0.0/8"]), deny: networks(&["127.0.0.9", "10.0.0.0/8"]) };
        let check = |address: &str, expected: bool| {
            assert_eq!(policy.check(address.parse().unwrap()).is_ok(), expected, "{address}");
        };
        check("127.0.0.1", true);
        check("::ffff:127.0.0.1", true);
        check("127.0.0.9", false);
        check("10.1.2.3", false);
        check("::ffff:10.1.2.3", false);
        check("64:ff9b::10.1.2.3", false);
        check("192.168.0.1", true);
        check("::1", false);
    }
}
