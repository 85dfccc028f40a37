//! What one object uses of what quotas count.
//!
//! Every object counts as one of its kind; pods and services use more than that. Which pods a quota with scopes is about
//! is said here, too.

use std::collections::{BTreeMap, BTreeSet};

use pierhead_api::core::{Container, Pod, Quantity, ResourceQuotaSpec, Service};
use pierhead_api::{DecodeError, from_slice};

use crate::STREAMS;

/// Amounts by what is counted.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// Resources that are counted under their own name as well as under `count/…`.
pub(crate) const COUNTED: [&str; 6] = [
    "secrets",
    "configmaps",
    "replicationcontrollers",
    "resourcequotas",
    "persistentvolumeclaims",
    "services",
];
/// What containers use.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// An object, as far as quotas look at it.
pub(crate) struct Counted<'a> {
    resource: &'a str,
    content: Content,
}

enum Content {
    Pod(Box<Pod>),
    Service(Box<Service>),
    Other,
}

impl<'a> Counted<'a> {
    /// An object stored under `resource` (`plural.group`).
    pub(crate) fn read(resource: &'a str, document: &[u8]) -> Result<Self, DecodeError> {
        let content = match resource {
            "pods" => Content::Pod(Box::new(from_slice(document)?)),
            "services" => Content::Service(Box::new(from_slice(document)?)),
            _ => Content::Other,
        };
        Ok(Self { resource, content })
    }

    /// An image stream, of which only that it is there counts.
    pub(crate) const fn stream() -> Self {
        Self { resource: STREAMS, content: Content::Other }
    }

    /// What the object uses of what `spec` counts.
    pub(crate) fn amounts(&self, spec: &ResourceQuotaSpec) -> Amounts {
        let mut amounts = Amounts::new();
        if self.is_in_scope(spec) {
            let mut add = |name: String, amount: Quantity| {
                if spec.hard.contains_key(&name) {
                    amounts.insert(name, amount);
                }
            };
            self.each_amount(&mut add);
        }
        amounts
    }

    fn each_amount(&self, add: &mut impl FnMut(String, Quantity)) {
        let one = Quantity::whole(1);
        add(format!("count/{}", self.resource), one);
        if COUNTED.contains(&self.resource) {
            add(self.resource.to_owned(), one);
        }
        if self.resource == STREAMS {
            add("openshift.io/imagestreams".to_owned(), one);
        }
        match &self.content {
            Content::Pod(pod) if !has_ended(pod) => {
                add("pods".to_owned(), one);
                compute(pod, add);
            }
            Content::Service(service) => ports(service, add),
            Content::Pod(_) | Content::Other => {}
        }
    }

    /// Whether a quota's scopes, if it has any, include the object; only pods are in scopes.
    fn is_in_scope(&self, spec: &ResourceQuotaSpec) -> bool {
        let expressions = spec.scope_selector.iter().flat_map(|selector| &selector.match_expressions);
        let mut expressions = expressions.peekable();
        if spec.scopes.is_empty() && expressions.peek().is_none() {
            return true;
        }
        let Content::Pod(pod) = &self.content else { return false };
        let class = pod.spec.priority_class_name.as_str();
        spec.scopes.iter().all(|scope| fits(pod, scope))
            && expressions.all(|expression| {
                match (expression.scope_name.as_str(), expression.operator.as_str()) {
                    ("PriorityClass", "In") => expression.values.iter().any(|value| value == class),
                    ("PriorityClass", "NotIn") => expression.values.iter().all(|value| value != class),
                    ("PriorityClass", "DoesNotExist") => class.is_empty(),
                    (scope, _) => fits(pod, scope),
                }
            })
    }

    /// What the quota is about and the containers of a pod do not say: by resource, which containers.
    pub(crate) fn unsaid(&self, spec: &ResourceQuotaSpec) -> BTreeMap<String, BTreeSet<String>> {
        let mut unsaid: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let Content::Pod(pod) = &self.content else { return unsaid };
        if !self.is_in_scope(spec) {
            return unsaid;
        }
        for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
            for name in spec.hard.keys() {
                let said = match name.split_once('.') {
                    Some(("requests", resource)) if is_needed(resource) => {
                        requests(container, resource).is_some()
                    }
                    Some(("limits", resource)) if is_needed(resource) => {
                        container.resources.limits.contains_key(resource)
                    }
                    None if is_needed(name) => requests(container, name).is_some(),
                    _ => true,
                };
                if !said {
                    unsaid.entry(name.clone()).or_default().insert(container.name.clone());
                }
            }
        }
        unsaid
    }
}

/// What every container must say something about where a quota counts it.
fn is_needed(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory")
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
}

fn fits(pod: &Pod, scope: &str) -> bool {
    match scope {
        "Terminating" => pod.spec.active_deadline_seconds.is_some(),
        "NotTerminating" => pod.spec.active_deadline_seconds.is_none(),
        "BestEffort" => pod.qos_class() == "BestEffort",
        "NotBestEffort" => pod.qos_class() != "BestEffort",
        "PriorityClass" => !pod.spec.priority_class_name.is_empty(),
        _ => false,
    }
}

/// A limit without a request is a request.
fn requests(container: &Container, resource: &str) -> Option<Quantity> {
    let resources = &container.resources;
    resources.requests.get(resource).or_else(|| resources.limits.get(resource)).copied()
}

fn compute(pod: &Pod, add: &mut impl FnMut(String, Quantity)) {
    for resource in COMPUTE {
        let asked = total(pod, |container| requests(container, resource));
        if let Some(asked) = asked {
            add(resource.to_owned(), asked);
            add(format!("requests.{resource}"), asked);
        }
        if let Some(limit) = total(pod, |container| container.resources.limits.get(resource).copied()) {
            add(format!("limits.{resource}"), limit);
        }
    }
}

/// All containers together, or the init container that needs more: they run one after the other.
fn total(pod: &Pod, of: impl Fn(&Container) -> Option<Quantity>) -> Option<Quantity> {
    let together = pod.spec.containers.iter().filter_map(&of).reduce(|sum, more| sum + more);
    let single = pod.spec.init_containers.iter().filter_map(&of).max();
    together.max(single)
}

fn ports(service: &Service, add: &mut impl FnMut(String, Quantity)) {
    let balanced = service.spec.service_type == "LoadBalancer";
    if balanced {
        add("services.loadbalancers".to_owned(), Quantity::whole(1));
    }
    if balanced || service.spec.service_type == "NodePort" {
        let ports = i64::try_from(service.spec.ports.len()).unwrap_or(i64::MAX);
        add("services.nodeports".to_owned(), Quantity::whole(ports));
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::ResourceQuotaSpec;
    use serde_json::{Value, json};

    use super::Counted;

    #[track_caller]
    fn check(resource: &str, document: Value, spec: Value, expected: Value) {
        let bytes = document.to_string();
        let counted = Counted::read(resource, bytes.as_bytes()).unwrap();
        let spec: ResourceQuotaSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(serde_json::to_value(counted.amounts(&spec)).unwrap(), expected);
    }

    fn pod(phase: &str, resources: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "a", "resources": resources}, {"name": "b", "resources": resources}]},
            "status": {"phase": phase},
        })
    }

    #[test]
    fn objects_count_as_one_of_their_kind() {
        let hard = json!({"hard": {"secrets": 1, "count/secrets": 1, "pods": 1}});
        check("secrets", json!({}), hard, json!({"secrets": "1", "count/secrets": "1"}));
        let hard = json!({"hard": {"count/routes.route.openshift.io": 1, "services": 1}});
        check("routes.route.openshift.io", json!({}), hard, json!({"count/routes.route.openshift.io": "1"}));
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]},
        });
        let hard = json!({"hard": {"services": 1, "services.nodeports": 1, "services.loadbalancers": 1}});
        check("services", service, hard, json!({"services": "1", "services.nodeports": "2"}));
    }

    #[test]
    fn pods_use_until_they_end() {
        let hard =
            json!({"hard": {"pods": 1, "count/pods": 1, "requests.cpu": 1, "limits.cpu": 1, "memory": 1}});
        let resources = json!({"requests": {"cpu": "250m"}, "limits": {"cpu": 1, "memory": "1Gi"}});
        check(
            "pods",
            pod("Running", &resources),
            hard.clone(),
            json!({"pods": "1", "count/pods": "1", "requests.cpu": "500m", "limits.cpu": "2", "memory": "2Gi"}),
        );
        check("pods", pod("Succeeded", &resources), hard, json!({"count/pods": "1"}));
        let scoped = json!({"hard": {"pods": 1}, "scopes": ["BestEffort"]});
        check("pods", pod("Running", &resources), scoped.clone(), json!({}));
        check("pods", pod("Running", &json!({})), scoped, json!({"pods": "1"}));
    }

    #[test]
    fn containers_must_say_what_is_counted() {
        let bytes = pod("Pending", &json!({"requests": {"cpu": "1"}})).to_string();
        let counted = Counted::read("pods", bytes.as_bytes()).unwrap();
        let spec = json!({"hard": {"requests.cpu": 1, "limits.cpu": 1, "pods": 1}});
        let unsaid = counted.unsaid(&serde_json::from_value(spec).unwrap());
        let expected = json!({"limits.cpu": ["a", "b"]});
        assert_eq!(serde_json::to_value(unsaid).unwrap(), expected);
    }
}
