//! Services with their endpoints.

use serde_json::Value;

use super::Context;
use crate::object;

pub(super) async fn describe(context: &Context<'_>, service: &Value) -> String {
    let mut text = super::head(service);
    let or_none = |value: String| if value.is_empty() { "<none>".to_owned() } else { value };
    text.push_str(&format!("Selector:\t{}\n", super::map_line(service, "spec.selector")));
    text.push_str(&format!("Type:\t{}\n", object::text(service, "spec.type")));
    text.push_str(&format!("IP:\t{}\n", or_none(object::text(service, "spec.clusterIP").to_owned())));
    let endpoints = endpoints(context, service).await;
    for port in object::list(service, "spec.ports") {
        let name = object::text(port, "name");
        let shown = if name.is_empty() { "<unset>" } else { name };
        let protocol = object::text(port, "protocol");
        let number = |field: &str| port.get(field).map(object::plain).unwrap_or_default();
        text.push_str(&format!("Port:\t{shown}\t{}/{protocol}\n", number("port")));
        if port.get("targetPort").is_some() {
            text.push_str(&format!("TargetPort:\t{}/{protocol}\n", number("targetPort")));
        }
        text.push_str(&format!("Endpoints:\t{}\n", or_none(addresses(endpoints.as_ref(), name).join(","))));
    }
    text.push_str(&format!("Session Affinity:\t{}\n", object::text(service, "spec.sessionAffinity")));
    text
}

/// The endpoints object of a service, if the user may see it.
pub(super) async fn endpoints(context: &Context<'_>, service: &Value) -> Option<Value> {
    let namespace = object::namespace(service).unwrap_or_default();
    let selector = format!("metadata.name={}", object::name(service));
    context.related("endpoints", namespace, &[("fieldSelector", &selector)]).await.into_iter().next()
}

/// `IP:port` of every address behind the port of that name (of all ports if none has it).
pub(super) fn addresses(endpoints: Option<&Value>, port_name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let subsets = endpoints.map_or(&[] as &[Value], |endpoints| object::list(endpoints, "subsets"));
    for subset in subsets {
        let ports = object::list(subset, "ports");
        let is_wanted = |port: &&Value| ports.len() == 1 || object::text(port, "name") == port_name;
        for port in ports.iter().filter(is_wanted) {
            for address in object::list(subset, "addresses") {
                let number = port.get("port").map(object::plain).unwrap_or_default();
                out.push(format!("{}:{number}", object::text(address, "ip")));
            }
        }
    }
    out
}

/// An endpoints object by itself.
pub(super) fn describe_endpoints(endpoints: &Value) -> String {
    let mut text = super::head(endpoints);
    let subsets = object::list(endpoints, "subsets");
    if subsets.is_empty() {
        text.push_str("Subsets:\t<none>\n");
        return text;
    }
    text.push_str("Subsets:\n");
    for subset in subsets {
        let addresses = |field: &str| {
            let all: Vec<&str> =
                object::list(subset, field).iter().map(|address| object::text(address, "ip")).collect();
            if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
        };
        text.push_str(&format!(
            "  Addresses:\t{}\n  NotReadyAddresses:\t{}\n",
            addresses("addresses"),
            addresses("notReadyAddresses")
        ));
        let ports = object::list(subset, "ports");
        if !ports.is_empty() {
            text.push_str("  Ports:\n    Name\tPort\tProtocol\n    ----\t----\t--------\n");
        }
        for port in ports {
            let name = match object::text(port, "name") {
                "" => "<unset>",
                name => name,
            };
            let number = port.get("port").map(object::plain).unwrap_or_default();
            text.push_str(&format!("    {name}\t{number}\t{}\n", object::text(port, "protocol")));
        }
    }
    text
}

/// `IP:port` of every ready address.
pub(crate) fn all_addresses(endpoints: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for subset in object::list(endpoints, "subsets") {
        for port in object::list(subset, "ports") {
            for address in object::list(subset, "addresses") {
                let ip = object::text(address, "ip");
                let number = port.get("port").map(object::plain).unwrap_or_default();
                out.push(if ip.contains(':') {
                    format!("[{ip}]:{number}")
                } else {
                    format!("{ip}:{number}")
                });
            }
        }
    }
    out
}
