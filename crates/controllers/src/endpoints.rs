//! Endpoints of services with selectors: the addresses of the pods behind them, ready or not yet.
//!
//! Owns only endpoints it made itself, which carry a label: those of services without a selector, and those that
//! stand for our own listeners, are somebody else's. A pod that is going leaves at once, before it stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use pierhead_api::IntOrString;
use pierhead_api::core::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service, ServicePort,
};
use pierhead_api::meta::{DeleteOptions, ObjectMeta, Preconditions};
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;

use crate::names::NamespacedName;
use crate::pods::{is_active, selects};
use crate::runner::{Outcome, Reconciler};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OURSELVES: &str = "endpoint-controller";

pub(crate) struct ServiceEndpoints {
    pub(crate) client: Client,
    pub(crate) services: Reflected<Service>,
    pub(crate) endpoints: Reflected<Endpoints>,
    pub(crate) pods: Reflected<Pod>,
}

impl Reconciler for ServiceEndpoints {
    type Key = NamespacedName;
    type Error = ClientError;

    const NAME: &'static str = "endpoints";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.services.changed(), self.endpoints.changed(), self.pods.changed()]
    }

    async fn synced(&self) {
        self.services.synced().await;
        self.endpoints.synced().await;
        self.pods.synced().await;
    }

    fn due(&self) -> Vec<NamespacedName> {
        let mut due = Vec::new();
        let services = self.services.list();
        let of_services = services.iter().filter(|service| {
            let ObjectMeta { namespace, name, .. } = &service.metadata;
            let endpoints = self.endpoints.get(Some(namespace), name);
            let pods = self.pods.list_in(namespace);
            plan(Some(service), endpoints.as_deref(), &pods).is_some()
        });
        due.extend(of_services.map(|service| NamespacedName::of(&service.metadata)));
        let endpoints = self.endpoints.list();
        let left_behind = endpoints.iter().filter(|endpoints| {
            let ObjectMeta { namespace, name, .. } = &endpoints.metadata;
            is_ours(endpoints) && self.services.get(Some(namespace), name).is_none()
        });
        due.extend(left_behind.map(|endpoints| NamespacedName::of(&endpoints.metadata)));
        due
    }

    async fn reconcile(&self, key: &NamespacedName) -> Result<Outcome, ClientError> {
        let namespace = Some(key.namespace.as_str());
        let service = self.client.find::<Service>(namespace, &key.name).await?;
        let endpoints = self.client.find::<Endpoints>(namespace, &key.name).await?;
        // Pods may come from the cache: when it learns of the next change, this runs again.
        match plan(service.as_ref(), endpoints.as_ref(), &self.pods.list_in(&key.namespace)) {
            None => return Ok(Outcome::Nothing),
            Some(Step::Create(endpoints)) => self.client.create(namespace, &endpoints).await.map(drop)?,
            Some(Step::Replace(endpoints)) => self.client.replace(namespace, &endpoints).await.map(drop)?,
            Some(Step::Delete { uid }) => {
                let preconditions = Preconditions { uid: Some(uid), ..Preconditions::default() };
                let options =
                    DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
                self.client.delete::<Endpoints>(namespace, &key.name, &options).await.map(drop)?;
            }
        }
        Ok(Outcome::Changed)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Create(Endpoints),
    Replace(Endpoints),
    Delete { uid: String },
}

fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.metadata.label(MANAGED_BY) == Some(OURSELVES)
}

/// What is to be done so that the endpoints of a name are what its service and the pods say.
fn plan(service: Option<&Service>, endpoints: Option<&Endpoints>, pods: &[Arc<Pod>]) -> Option<Step> {
    let service = service
        .filter(|service| !service.spec.selector.is_empty() && service.metadata.deletion_timestamp.is_none());
    let Some(service) = service else {
        let ours = endpoints.filter(|endpoints| is_ours(endpoints))?;
        return Some(Step::Delete { uid: ours.metadata.uid.clone() });
    };
    let subsets = subsets(service, pods);
    let mut labels = service.metadata.labels.clone();
    labels.insert(MANAGED_BY.into(), OURSELVES.into());
    let Some(endpoints) = endpoints else {
        let ObjectMeta { namespace, name, .. } = &service.metadata;
        let metadata = ObjectMeta { labels, ..ObjectMeta::in_namespace(namespace.as_str(), name.as_str()) };
        return Some(Step::Create(Endpoints { metadata, subsets }));
    };
    if !is_ours(endpoints) || (endpoints.subsets == subsets && endpoints.metadata.labels == labels) {
        return None;
    }
    let metadata = ObjectMeta { labels, ..endpoints.metadata.clone() };
    Some(Step::Replace(Endpoints { metadata, subsets }))
}

/// Name, number and protocol of each port, in an order that can be compared.
type Ports = Vec<(String, i32, String, Option<String>)>;

/// The addresses of the pods of a service; those with the same ports together, in order.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let mut subsets = BTreeMap::<Ports, EndpointSubset>::new();
    let chosen = pods.iter().filter(|pod| {
        selects(&service.spec.selector, &pod.metadata.labels)
            && is_active(pod)
            && !pod.status.pod_ip.is_empty()
    });
    for pod in chosen {
        let ports: Ports = service.spec.ports.iter().filter_map(|port| resolve(port, pod)).collect();
        if ports.is_empty() && !service.spec.ports.is_empty() {
            continue;
        }
        let subset = subsets.entry(ports).or_default();
        let ready = pod.is_ready() || service.spec.publish_not_ready_addresses;
        let addresses = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        addresses.push(address(pod));
    }
    let with_ports = subsets.into_iter().map(|(ports, mut subset)| {
        subset.addresses.sort_by(|one, other| one.ip.cmp(&other.ip));
        subset.not_ready_addresses.sort_by(|one, other| one.ip.cmp(&other.ip));
        let ports = ports.into_iter();
        subset.ports = ports
            .map(|(name, port, protocol, app_protocol)| EndpointPort { name, port, protocol, app_protocol })
            .collect();
        subset
    });
    with_ports.collect()
}

/// The port of a pod that a service's port leads to; none if the pod has no port of that name.
fn resolve(port: &ServicePort, pod: &Pod) -> Option<(String, i32, String, Option<String>)> {
    let protocol = if port.protocol.is_empty() { "TCP" } else { port.protocol.as_str() };
    let number = match &port.target_port {
        target if target.is_unset() => port.port,
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
            let same_protocol = |of_pod: &str| of_pod == protocol || (of_pod.is_empty() && protocol == "TCP");
            let mut named = ports.filter(|of_pod| of_pod.name == *name && same_protocol(&of_pod.protocol));
            named.next()?.container_port
        }
    };
    Some((port.name.clone(), number, protocol.to_owned(), port.app_protocol.clone()))
}

fn address(pod: &Pod) -> EndpointAddress {
    let ObjectMeta { namespace, name, uid, .. } = pod.metadata.clone();
    let target = ObjectReference { kind: "Pod".into(), namespace, name, uid, ..ObjectReference::default() };
    let node = &pod.spec.node_name;
    EndpointAddress {
        ip: pod.status.pod_ip.clone(),
        hostname: String::new(),
        node_name: (!node.is_empty()).then(|| node.clone()),
        target_ref: Some(target),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pierhead_api::core::{Endpoints, Pod, Service};
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::{Step, plan, subsets};

    fn service(spec: &Value) -> Service {
        from_value(&json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec})).unwrap()
    }

    /// A pod of the service with a port `http`, changed by a merge.
    fn pod(name: &str, ip: &str, ready: &str, http: i32) -> Value {
        json!({
            "metadata": {"namespace": "shop", "name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "ports": [{"name": "http", "containerPort": http}]}]},
            "status": {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    fn pods(documents: &[Value]) -> Vec<Arc<Pod>> {
        documents.iter().map(|document| Arc::new(from_value(document).unwrap())).collect()
    }

    /// `ready ready (waiting):ports` of each subset.
    #[track_caller]
    fn check(spec: &Value, documents: &[Value], expected: &[&str]) {
        let subsets = subsets(&service(spec), &pods(documents));
        let shown: Vec<String> = subsets
            .iter()
            .map(|subset| {
                let mut shown: Vec<String> = subset.addresses.iter().map(|a| a.ip.clone()).collect();
                shown.extend(subset.not_ready_addresses.iter().map(|a| format!("({})", a.ip)));
                let ports = subset.ports.iter().map(|p| format!("{}{}/{}", p.name, p.port, p.protocol));
                format!("{}:{}", shown.join(" "), ports.collect::<Vec<_>>().join(","))
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn groups_the_addresses_of_pods_by_ports() {
        let by_name = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]});
        let by_number = json!({"selector": {"app": "web"}, "ports": [
            {"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81, "protocol": "UDP"},
        ]});
        let all = [
            pod("c", "10.0.0.3", "True", 8080),
            pod("a", "10.0.0.1", "True", 8080),
            pod("b", "10.0.0.2", "False", 8080),
            pod("d", "10.0.0.4", "True", 9090),
        ];
        check(&by_name, &all, &["10.0.0.1 10.0.0.3 (10.0.0.2):8080/TCP", "10.0.0.4:9090/TCP"]);
        check(&by_number, &all, &["10.0.0.1 10.0.0.3 10.0.0.4 (10.0.0.2):a8080/TCP,b81/UDP"]);
        let other_name =
            json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "metrics"}]});
        check(&other_name, &all, &[]);
        check(&json!({"selector": {"app": "web"}}), &all[..1], &["10.0.0.3:"]);
        let eager = json!({"selector": {"app": "web"}, "publishNotReadyAddresses": true});
        check(&eager, &all[2..3], &["10.0.0.2:"]);
    }

    #[test]
    fn pods_that_are_going_gone_elsewhere_or_without_address_are_left_out() {
        let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
        let changed = |path: &str, value: Value| {
            let mut document = pod("a", "10.0.0.1", "True", 80);
            *document.pointer_mut(path).unwrap() = value;
            document
        };
        check(&spec, &[pod("a", "10.0.0.1", "True", 80)], &["10.0.0.1:80/TCP"]);
        check(&spec, &[changed("/status/podIP", json!(""))], &[]);
        check(&spec, &[changed("/status/phase", json!("Failed"))], &[]);
        check(&spec, &[changed("/metadata/labels", json!({"app": "db"}))], &[]);
        let going = json!({
            "namespace": "shop", "name": "a", "labels": {"app": "web"},
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        });
        check(&spec, &[changed("/metadata", going)], &[]);
    }

    #[test]
    fn touches_only_what_it_made() {
        let chosen = service(&json!({"selector": {"app": "web"}}));
        let unchosen = service(&json!({}));
        let by_hand: Endpoints =
            from_value(&json!({"metadata": {"namespace": "shop", "name": "web"}})).unwrap();
        let Some(Step::Create(ours)) = plan(Some(&chosen), None, &[]) else { panic!("nothing was created") };
        assert_eq!(ours.metadata.label("endpoints.kubernetes.io/managed-by"), Some("endpoint-controller"));
        assert_eq!(plan(Some(&chosen), Some(&ours), &[]), None);
        let added = pods(&[pod("a", "10.0.0.1", "True", 80)]);
        assert!(matches!(plan(Some(&chosen), Some(&ours), &added), Some(Step::Replace(_))));
        assert!(matches!(plan(None, Some(&ours), &added), Some(Step::Delete { .. })));
        assert!(matches!(plan(Some(&unchosen), Some(&ours), &added), Some(Step::Delete { .. })));
        for service in [None, Some(&chosen), Some(&unchosen)] {
            assert_eq!(plan(service, Some(&by_hand), &added), None);
        }
        assert_eq!(plan(Some(&unchosen), None, &added), None);
    }
}
