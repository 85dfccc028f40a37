//! Routes: who exposes them and where they lead (platform 7.4).

use serde_json::Value;

use super::{Context, service};
use crate::{object, print::age, verbs::get};

pub(super) async fn describe(context: &Context<'_>, route: &Value) -> String {
    let created = age::words(Some(object::text(route, "metadata.creationTimestamp")), context.now);
    let mut text = format!(
        "Name:\t{}\nNamespace:\t{}\nCreated:\t{created} ago\n{}{}",
        object::name(route),
        object::namespace(route).unwrap_or_default(),
        super::map_lines("Labels", route, "metadata.labels", '='),
        super::map_lines("Annotations", route, "metadata.annotations", '='),
    );
    text.push_str(&hosts(context, route));
    let or_none = |value: &str| if value.is_empty() { "<none>".to_owned() } else { value.to_owned() };
    let termination = object::text(route, "spec.tls.termination");
    text.push_str(&format!("Path:\t{}\n", or_none(object::text(route, "spec.path"))));
    text.push_str(&format!("TLS Termination:\t{}\n", or_none(termination)));
    let insecure = object::text(route, "spec.tls.insecureEdgeTerminationPolicy");
    text.push_str(&format!("Insecure Policy:\t{}\n", or_none(insecure)));
    let port = object::at(route, "spec.port.targetPort").map(object::plain);
    text.push_str(&format!("Endpoint Port:\t{}\n", port.as_deref().unwrap_or("<all endpoint ports>")));

    let mut backends = vec![object::at(route, "spec.to").cloned().unwrap_or(Value::Null)];
    backends.extend_from_slice(object::list(route, "spec.alternateBackends"));
    let weight = |backend: &Value| backend.get("weight").and_then(Value::as_u64).unwrap_or(100);
    let total: u64 = backends.iter().map(weight).sum();
    for backend in &backends {
        let name = object::text(backend, "name");
        let share = (weight(backend) * 100).checked_div(total).unwrap_or(0);
        text.push_str(&format!("\nService:\t{name}\nWeight:\t{} ({share}%)\n", weight(backend)));
        text.push_str(&format!("Endpoints:\t{}\n", endpoints(context, route, name).await));
    }
    text
}

/// `Requested Host` and what each router made of it.
fn hosts(context: &Context<'_>, route: &Value) -> String {
    let host = object::text(route, "spec.host");
    let mut text = format!("Requested Host:\t{}\n", if host.is_empty() { "<auto>" } else { host });
    for ingress in object::list(route, "status.ingress") {
        let router = object::text(ingress, "routerName");
        let canonical = object::text(ingress, "routerCanonicalHostname");
        let canonical = if canonical.is_empty() { String::new() } else { format!(" (host {canonical})") };
        for condition in object::list(ingress, "conditions") {
            if object::text(condition, "type") != "Admitted" {
                continue;
            }
            let since = age::words(Some(object::text(condition, "lastTransitionTime")), context.now);
            if object::text(condition, "status") == "True" {
                text.push_str(&format!("\texposed on router {router}{canonical} {since} ago\n"));
            } else {
                let reason = object::text(condition, "reason");
                let message = object::text(condition, "message");
                text.push_str(&format!("\trejected by router {router}: {message} ({reason})\n"));
            }
        }
    }
    text
}

async fn endpoints(context: &Context<'_>, route: &Value, service: &str) -> String {
    let namespace = object::namespace(route).unwrap_or_default();
    let Ok(kind) = context.discovery.known("", "services") else { return "<none>".to_owned() };
    let service = match get::read(context.client, kind, namespace, service).await {
        Ok(service) => service,
        Err(error) => return format!("<error: {error}>"),
    };
    let endpoints = service::endpoints(context, &service).await;
    let ports = object::list(&service, "spec.ports");
    let wanted = object::at(route, "spec.port.targetPort").map(object::plain);
    let mut all = Vec::new();
    for port in ports {
        let name = object::text(port, "name");
        let number = port.get("targetPort").map(object::plain).unwrap_or_default();
        if wanted.as_deref().is_none_or(|wanted| wanted == name || wanted == number) {
            all.extend(service::addresses(endpoints.as_ref(), name));
        }
    }
    if all.is_empty() { "<none>".to_owned() } else { all.join(", ") }
}
