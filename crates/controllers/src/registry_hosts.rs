//! Under which names the integrated registry can be reached, now.
//!
//! Service accounts get credentials for each of them: the configured ones, those of the service
//! `default/docker-registry`, and the hosts of its admitted routes (platform 4.2, images 5.6).

use std::collections::BTreeSet;

use pierhead_api::core::Service;
use pierhead_api::route::Route;
use pierhead_client::Reflected;
use tokio::sync::watch;

/// Where the registry's service and its routes are.
pub(crate) const NAMESPACE: &str = "default";
const SERVICE: &str = "docker-registry";

#[derive(Clone)]
pub(crate) struct RegistryHosts {
    /// From the configuration, with ports.
    pub(crate) configured: Vec<String>,
    /// Ports of the router that clients must write behind a host, so neither 80 nor 443.
    pub(crate) route_ports: Vec<u16>,
    pub(crate) services: Reflected<Service>,
    pub(crate) routes: Reflected<Route>,
}

impl RegistryHosts {
    pub(crate) fn triggers(&self) -> [watch::Receiver<u64>; 2] {
        [self.services.changed(), self.routes.changed()]
    }

    pub(crate) async fn synced(&self) {
        self.services.synced().await;
        self.routes.synced().await;
    }

    /// Every name, with ports where clients write them.
    pub(crate) fn current(&self) -> BTreeSet<String> {
        let mut hosts: BTreeSet<String> = self.configured.iter().cloned().collect();
        if let Some(service) = self.services.get(Some(NAMESPACE), SERVICE) {
            hosts.extend(service_hosts(&service));
        }
        for route in self.routes.list_in(NAMESPACE) {
            hosts.extend(route_hosts(&route, &self.route_ports));
        }
        hosts
    }
}

fn service_hosts(service: &Service) -> Vec<String> {
    let Some(port) = service.spec.ports.first().map(|port| port.port) else { return Vec::new() };
    let name = format!("{SERVICE}.{NAMESPACE}.svc");
    let mut hosts = vec![format!("{name}:{port}"), format!("{name}.cluster.local:{port}")];
    let ip = &service.spec.cluster_ip;
    if !ip.is_empty() && !service.is_headless() {
        hosts.push(format!("{ip}:{port}"));
    }
    hosts
}

fn route_hosts(route: &Route, ports: &[u16]) -> Vec<String> {
    if !route.leads_to(SERVICE) {
        return Vec::new();
    }
    let admitted = route.status.ingress.iter().filter(|ingress| ingress.is_admitted());
    admitted
        .filter(|ingress| !ingress.host.is_empty())
        .flat_map(|ingress| {
            let host = &ingress.host;
            std::iter::once(host.clone()).chain(ports.iter().map(move |port| format!("{host}:{port}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Service;
    use pierhead_api::from_value;
    use pierhead_api::route::Route;
    use serde_json::{Value, json};

    use super::{route_hosts, service_hosts};

    fn check_service(spec: &Value, expected: &[&str]) {
        let document = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "docker-registry"}, "spec": spec,
        });
        let service: Service = from_value(&document).unwrap();
        assert_eq!(service_hosts(&service), expected, "{spec}");
    }

    #[test]
    fn a_service_has_an_address_and_two_names() {
        let names = ["docker-registry.default.svc:5000", "docker-registry.default.svc.cluster.local:5000"];
        let port = json!([{"port": 5000}]);
        check_service(
            &json!({"clusterIP": "172.30.1.9", "ports": port}),
            &[names[0], names[1], "172.30.1.9:5000"],
        );
        check_service(&json!({"clusterIP": "None", "ports": port}), &names);
        check_service(&json!({"clusterIP": "172.30.1.9"}), &[]);
    }

    fn check_route(to: &str, admitted: &str, ports: &[u16], expected: &[&str]) {
        let document = json!({
            "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": "r"},
            "spec": {"host": "spec.example", "to": {"kind": "Service", "name": to}},
            "status": {"ingress": [{
                "host": "registry.example", "conditions": [{"type": "Admitted", "status": admitted}],
            }]},
        });
        let route: Route = from_value(&document).unwrap();
        assert_eq!(route_hosts(&route, ports), expected);
    }

    #[test]
    fn a_route_counts_once_it_is_served() {
        check_route("docker-registry", "True", &[], &["registry.example"]);
        check_route("docker-registry", "True", &[8444], &["registry.example", "registry.example:8444"]);
        check_route("docker-registry", "False", &[], &[]);
        check_route("shop", "True", &[], &[]);
    }
}
