//! Fields of a pod as values: of variables (`fieldRef`, `resourceFieldRef`) and of files (`downwardAPI`).

use std::collections::BTreeMap;

use pierhead_api::core::{Container, Pod, Quantity, ResourceFieldSelector};

/// What a pod's fields say that only its node knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// Address of the pod.
    pub(crate) pod_ip: String,
    /// Address of this machine.
    pub(crate) host_ip: String,
    /// Processors of this machine: the limit of a container without one.
    pub(crate) cpu: Quantity,
    /// Memory of this machine.
    pub(crate) memory: Quantity,
}

/// A field that cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("unsupported fieldPath: {path}")]
    Unknown { path: String },
    #[error("container {container} not found")]
    NoContainer { container: String },
    #[error("unsupported container resource: {resource}")]
    UnknownResource { resource: String },
}

/// The value of `fieldRef.fieldPath`.
pub(crate) fn pod_field(pod: &Pod, path: &str, place: &Place) -> Result<String, FieldError> {
    let metadata = &pod.metadata;
    let value = match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => lines(&metadata.labels),
        "metadata.annotations" => lines(&metadata.annotations),
        "spec.nodeName" => pod.spec.node_name.clone(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone(),
        "status.hostIP" | "status.hostIPs" => place.host_ip.clone(),
        "status.podIP" | "status.podIPs" => place.pod_ip.clone(),
        _ => {
            let key = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']").map(str::to_owned);
            let found = match (key("metadata.labels['"), key("metadata.annotations['")) {
                (Some(key), _) => metadata.labels.get(&key),
                (_, Some(key)) => metadata.annotations.get(&key),
                (None, None) => return Err(FieldError::Unknown { path: path.to_owned() }),
            };
            found.cloned().unwrap_or_default()
        }
    };
    Ok(value)
}

/// Labels or annotations as a file has them: a line each, values quoted.
fn lines(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

/// The value of `resourceFieldRef`: a whole number of the divisor, rounded up. `own` is the container that asks.
pub(crate) fn resource_field(
    pod: &Pod,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
    place: &Place,
) -> Result<String, FieldError> {
    let named = |container: &&Container| container.name == selector.container_name;
    let container = match own {
        Some(own) if selector.container_name.is_empty() => own,
        _ => pod
            .spec
            .containers
            .iter()
            .chain(&pod.spec.init_containers)
            .find(named)
            .ok_or_else(|| FieldError::NoContainer { container: selector.container_name.clone() })?,
    };
    let unknown = || FieldError::UnknownResource { resource: selector.resource.clone() };
    let (list, name) = selector.resource.split_once('.').ok_or_else(unknown)?;
    let resources = &container.resources;
    let of_machine = match name {
        "cpu" => place.cpu,
        "memory" => place.memory,
        _ => Quantity::default(),
    };
    let amount = match list {
        "limits" => resources.limits.get(name).copied().unwrap_or(of_machine),
        "requests" => resources.requests.get(name).copied().unwrap_or_default(),
        _ => return Err(unknown()),
    };
    let divisor = selector.divisor.map(|divisor| divisor.nano_value()).filter(|divisor| *divisor > 0);
    let divisor = divisor.unwrap_or_else(|| Quantity::whole(1).nano_value());
    Ok(((amount.nano_value() + divisor - 1) / divisor).to_string())
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::{Pod, Quantity, ResourceFieldSelector};
    use pierhead_api::from_value;
    use serde_json::json;

    use super::{Place, pod_field, resource_field};

    fn pod() -> Pod {
        from_value(&json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u1",
                         "labels": {"app": "web", "tier": "a \"b\""}, "annotations": {"x/y": "z"}},
            "spec": {"nodeName": "n1", "serviceAccountName": "default", "containers": [
                {"name": "c", "image": "i", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}},
                {"name": "d", "image": "i"}]},
        }))
        .unwrap()
    }

    fn place() -> Place {
        Place {
            pod_ip: "10.0.0.2".into(),
            host_ip: "10.0.0.1".into(),
            cpu: Quantity::whole(4),
            memory: Quantity::bytes(1 << 30),
        }
    }

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let value = pod_field(&pod(), path, &place()).unwrap_or_else(|error| error.to_string());
        assert_eq!(value, expected);
    }

    #[test]
    fn fields_of_pods() {
        check("metadata.name", "web");
        check("metadata.labels", "app=\"web\"\ntier=\"a \\\"b\\\"\"");
        check("metadata.labels['app']", "web");
        check("metadata.annotations['x/y']", "z");
        check("metadata.annotations['none']", "");
        check("status.podIP", "10.0.0.2");
        check("status.hostIP", "10.0.0.1");
        check("spec.nodeName", "n1");
        check("spec.containers", "unsupported fieldPath: spec.containers");
    }

    #[track_caller]
    fn check_resource(container: &str, resource: &str, divisor: &str, expected: &str) {
        let selector = ResourceFieldSelector {
            container_name: container.to_owned(),
            resource: resource.to_owned(),
            divisor: (!divisor.is_empty()).then(|| divisor.parse().unwrap()),
        };
        let pod = pod();
        let value = resource_field(&pod, pod.spec.containers.first(), &selector, &place());
        assert_eq!(value.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn resources_are_rounded_up_and_fall_back_to_the_machine() {
        check_resource("", "limits.cpu", "", "2");
        check_resource("", "limits.cpu", "1m", "1500");
        check_resource("", "limits.memory", "1Mi", "64");
        check_resource("", "requests.memory", "", "0");
        check_resource("d", "limits.cpu", "", "4");
        check_resource("d", "limits.memory", "1Mi", "1024");
        check_resource("e", "limits.cpu", "", "container e not found");
        check_resource("", "cpu", "", "unsupported container resource: cpu");
    }
}
