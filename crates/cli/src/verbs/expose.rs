//! `expose service`: a route to a service (platform 7.2).

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{
    create::{CreateOptions, create_document},
    get,
};
use crate::{environment::ExitStatus, object, resource_args, session::Session};

/// Make a service reachable from outside by a route
///
/// Examples:
///   expose service docker-registry -n default
///   expose svc/web --hostname=www.example.com --path=/shop
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExposeArgs {
    /// service NAME | service/NAME
    #[arg(value_name = "SERVICE", required = true)]
    words: Vec<String>,
    /// Host name; made by the server unless given
    #[arg(long, value_name = "HOST")]
    hostname: Option<String>,
    /// Name of the route; the service's unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Port of the service, by name or number
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Path below which requests match
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Labels of the route; the service's unless given
    #[arg(short = 'l', long, value_name = "LABELS")]
    labels: Option<String>,
    /// None or Subdomain
    #[arg(long, value_name = "POLICY")]
    wildcard_policy: Option<String>,
    /// Accepted for old scripts: a service is always exposed by a route
    #[arg(long, value_name = "NAME", hide = true)]
    generator: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

pub(crate) async fn run(args: ExposeArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, service) = resource_args::parse_one(&discovery, &args.words)?;
    if kind.plural != "services" {
        bail!("cannot expose a {}: only services can be exposed by a route", kind.display_name());
    }
    let name = args.name.as_deref().unwrap_or(&service);
    let mut route = route_to_service(session, &service, name, args.port.as_deref()).await?;
    for (field, value) in
        [("host", &args.hostname), ("path", &args.path), ("wildcardPolicy", &args.wildcard_policy)]
    {
        if let Some(value) = value {
            route["spec"][field] = json!(value);
        }
    }
    if let Some(labels) = &args.labels {
        let mut map = serde_json::Map::new();
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let Some((key, value)) = label.split_once('=') else { bail!("unexpected label spec: {label}") };
            map.insert(key.to_owned(), Value::from(value));
        }
        route["metadata"]["labels"] = Value::Object(map);
    }
    create_document(session, route, &args.options, "exposed").await?;
    Ok(ExitStatus::SUCCESS)
}

/// A plain route to a service: its labels, and the port it is to reach.
pub(crate) async fn route_to_service(
    session: &mut Session,
    service: &str,
    name: &str,
    port: Option<&str>,
) -> anyhow::Result<Value> {
    let discovery = session.discovery().await?;
    let namespace = session.namespace()?;
    let found = get::read(&session.client()?, discovery.known("", "services")?, &namespace, service).await?;
    let ports = object::list(&found, "spec.ports");
    let is_tcp = |port: &&Value| matches!(object::text(port, "protocol"), "" | "TCP");
    let Some(first) = ports.iter().find(is_tcp) else {
        bail!("service {service:?} doesn't support TCP");
    };
    let target = match port {
        Some(port) => Some(port.parse::<u16>().map_or_else(|_| json!(port), |number| json!(number))),
        None => match object::text(first, "name") {
            "" => first.get("targetPort").or(first.get("port")).cloned(),
            name => Some(json!(name)),
        },
    };
    let mut route = json!({
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": name},
        "spec": {"to": {"kind": "Service", "name": service}},
    });
    if let Some(labels) = object::at(&found, "metadata.labels") {
        route["metadata"]["labels"] = labels.clone();
    }
    if let Some(target) = target {
        route["spec"]["port"] = json!({"targetPort": target});
    }
    Ok(route)
}
