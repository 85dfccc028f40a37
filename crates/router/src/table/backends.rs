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
    turn: AtomicU64,
}

#[derive(Debug)]
struct Group {
    weight: u64,
    endpoints: Vec<SocketAddr>,
}

impl Backends {
    /// The endpoints to try for the next request, the one whose turn it is first. Empty when there is none.
    pub(crate) fn next(&self) -> Vec<SocketAddr> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let [Group { endpoints, .. }] = self.groups.as_slice()
            && let [only] = endpoints.as_slice()
        {
            return vec![*only];
        }
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
}

impl Group {
    fn in_turn(&self, turn: u64) -> impl Iterator<Item = SocketAddr> {
        let count = self.endpoints.len();
        let skip = usize::try_from(turn % (count as u64).max(1)).unwrap_or_default();
        self.endpoints.iter().cycle().skip(skip).take(count).copied()
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
        Backends { groups: groups.collect(), turn: AtomicU64::new(0) }
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
