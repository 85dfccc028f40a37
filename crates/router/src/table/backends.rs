//! Where the requests of a route go.
//!
//! Owns finding the endpoints of a route's services and ports, and spreading requests by weight. Endpoints are taken
//! as told: whether one answers is found out by connecting.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pierhead_api::IntOrString;
use pierhead_api::core::{EndpointPort, Endpoints, Service, ServicePort};
use pierhead_api::route::Route;

const DEFAULT_WEIGHT: i32 = 100;
/// 2^64 divided by the golden ratio: multiples of it spread evenly over all 64-bit numbers.
const EVEN_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The endpoints of a route, grouped by service.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    groups: Vec<Group>,
    balance: Balance,
    /// Goes into the marks of endpoints, so that a mark says nothing about an address.
    salt: u64,
    turn: AtomicU64,
}

/// Who is asked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Balance {
    /// Each in turn, as often as its weight says.
    #[default]
    Turns,
    /// The same one for all requests of a client's address.
    Source,
    /// Any, by weight.
    Random,
}

#[derive(Debug)]
struct Group {
    weight: u64,
    endpoints: Vec<SocketAddr>,
}

impl Backends {
    /// The endpoints to try for the next request of `client`, the one to ask first in front. Empty when there is none.
    pub(crate) fn next(&self, client: IpAddr) -> Vec<SocketAddr> {
        if let [Group { endpoints, .. }] = self.groups.as_slice()
            && let [only] = endpoints.as_slice()
        {
            return vec![*only];
        }
        let turn = match self.balance {
            Balance::Turns => self.turn.fetch_add(1, Ordering::Relaxed),
            // Far from each other, so that neither the group nor the place in it follows from the other.
            Balance::Source => {
                fnv(fnv(FNV_START, &self.salt.to_be_bytes()), client.to_string().as_bytes()) >> 7
            }
            Balance::Random => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                fnv(fnv(FNV_START, &self.salt.to_be_bytes()), &turn.to_be_bytes()) >> 7
            }
        };
        self.order(turn)
    }

    fn order(&self, turn: u64) -> Vec<SocketAddr> {
        let total: u64 = self.groups.iter().map(|group| group.weight).sum();
        if total == 0 {
            return Vec::new();
        }
        let spread = (u128::from(turn.wrapping_mul(EVEN_STEP)) * u128::from(total)) >> 64;
        let mut position = u64::try_from(spread).expect("a 64-bit number times a fraction below one fits");
        let first = self.groups.iter().position(|group| {
            let here = position < group.weight;
            position = position.saturating_sub(group.weight);
            here
        });
        let first = first.unwrap_or_default();
        let in_turn = self.groups.iter().cycle().skip(first).take(self.groups.len());
        in_turn.flat_map(|group| group.in_turn(turn)).collect()
    }

    /// All endpoints.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.groups.iter().flat_map(|group| group.endpoints.iter().copied())
    }

    /// Whether there is more than one endpoint to choose from.
    pub(crate) fn offers_choice(&self) -> bool {
        self.addresses().nth(1).is_some()
    }

    /// What a cookie says to name an endpoint.
    pub(crate) fn mark(&self, address: SocketAddr) -> String {
        format!("{:016x}", fnv(fnv(FNV_START, &self.salt.to_be_bytes()), address.to_string().as_bytes()))
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Fowler, Noll and Vo's hash: the same in every process, which a mark in a cookie has to be.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A name as a number in hexadecimal.
pub(super) fn mark_of(name: &str) -> String {
    format!("{:016x}", fnv(FNV_START, name.as_bytes()))
}

impl Group {
    fn in_turn(&self, turn: u64) -> impl Iterator<Item = SocketAddr> {
        let count = self.endpoints.len();
        let skip = usize::try_from(turn % (count as u64).max(1)).unwrap_or_default();
        self.endpoints.iter().cycle().skip(skip).take(count).copied()
    }
}

const BALANCE_ANNOTATION: &str = "haproxy.router.openshift.io/balance";

/// As the annotation says. Passthrough cannot set cookies, so by default its clients stay where they are by address.
fn balance(route: &Route) -> Balance {
    let passthrough = route.spec.tls.as_ref().is_some_and(|tls| tls.termination == "passthrough");
    match route.metadata.annotation(BALANCE_ANNOTATION) {
        Some("source") => Balance::Source,
        Some("random") => Balance::Random,
        // With one request at a time on a connection the least used one is the one whose turn it is, or near it.
        Some("roundrobin" | "leastconn") => Balance::Turns,
        _ if passthrough => Balance::Source,
        _ => Balance::Turns,
    }
}

/// Services and endpoints by namespace and name.
pub(super) struct Lookup<'a> {
    services: HashMap<(&'a str, &'a str), &'a Service>,
    endpoints: HashMap<(&'a str, &'a str), &'a Endpoints>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(services: &'a [Arc<Service>], endpoints: &'a [Arc<Endpoints>]) -> Self {
        let services = services.iter().map(|service| {
            ((service.metadata.namespace.as_str(), service.metadata.name.as_str()), service.as_ref())
        });
        let endpoints = endpoints.iter().map(|endpoints| {
            ((endpoints.metadata.namespace.as_str(), endpoints.metadata.name.as_str()), endpoints.as_ref())
        });
        Self { services: services.collect(), endpoints: endpoints.collect() }
    }

    /// Services without ready endpoints, or with weight 0, get nothing: their share goes to the others.
    pub(super) fn backends(&self, route: &Route) -> Backends {
        let spec = &route.spec;
        let port = spec.port.as_ref().map(|port| &port.target_port).filter(|port| !port.is_unset());
        let targets = std::iter::once(&spec.to).chain(&spec.alternate_backends);
        let groups = targets.filter_map(|target| {
            let weight = u64::try_from(target.weight.unwrap_or(DEFAULT_WEIGHT)).unwrap_or_default();
            let endpoints = self.endpoints(&route.metadata.namespace, &target.name, port);
            (weight > 0 && !endpoints.is_empty()).then_some(Group { weight, endpoints })
        });
        Backends {
            groups: groups.collect(),
            balance: balance(route),
            salt: fnv(FNV_START, route.metadata.uid.as_bytes()),
            turn: AtomicU64::new(0),
        }
    }

    fn endpoints(&self, namespace: &str, name: &str, wanted: Option<&IntOrString>) -> Vec<SocketAddr> {
        let Some(endpoints) = self.endpoints.get(&(namespace, name)) else { return Vec::new() };
        let ports = self.services.get(&(namespace, name)).map_or(&[][..], |service| &service.spec.ports);
        let mut found: Vec<SocketAddr> = Vec::new();
        for subset in &endpoints.subsets {
            let matching =
                subset.ports.iter().filter(|port| is_tcp(&port.protocol) && leads_to(port, ports, wanted));
            for port in matching {
                let Ok(number) = u16::try_from(port.port) else { continue };
                let addresses =
                    subset.addresses.iter().filter_map(|address| address.ip.parse::<IpAddr>().ok());
                found.extend(addresses.map(|address| SocketAddr::new(address, number)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn is_tcp(protocol: &str) -> bool {
    matches!(protocol, "" | "TCP")
}

/// Whether an endpoint port is the one a route wants: by its own number or name, or through the service port that has
/// that name, number or target. Without a wish every port will do.
fn leads_to(port: &EndpointPort, service_ports: &[ServicePort], wanted: Option<&IntOrString>) -> bool {
    let Some(wanted) = wanted else { return true };
    let is_wanted = |service_port: &ServicePort| match wanted {
        IntOrString::String(name) => service_port.name == *name || service_port.target_port == *wanted,
        IntOrString::Int(number) => service_port.target_port == *wanted || service_port.port == *number,
    };
    let itself = match wanted {
        IntOrString::String(name) => port.name == *name,
        IntOrString::Int(number) => port.port == *number,
    };
    itself
        || service_ports.iter().any(|service_port| service_port.name == port.name && is_wanted(service_port))
}
