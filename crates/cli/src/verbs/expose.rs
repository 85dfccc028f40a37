//! `expose`: a route to a service, a service for pods (platform 7.2).

use anyhow::bail;
use clap::Args;
use pierhead_client::Client;
use serde_json::{Map, Value, json};

use super::{
    create::{CreateOptions, create_document},
    get,
};
use crate::{discovery::ApiKind, environment::ExitStatus, object, resource_args, session::Session};

/// Make a service reachable from outside by a route, or pods by a service
///
/// Examples:
///   expose service docker-registry -n default
///   expose svc/web --hostname=www.example.com --path=/shop
///   expose dc web --port=8080
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExposeArgs {
    /// TYPE NAME | TYPE/NAME of a service, dc, rc or pod
    #[arg(value_name = "TYPE", required = true)]
    words: Vec<String>,
    /// Host name of the route; made by the server unless given
    #[arg(long, value_name = "HOST")]
    hostname: Option<String>,
    /// Name of what is made; that of what is exposed unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Port of the service, by name or number
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Port of the pods that the new service leads to; the service's unless given
    #[arg(long, value_name = "PORT")]
    target_port: Option<String>,
    /// Protocol of the new service
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Labels of the pods of the new service
    #[arg(long, value_name = "LABELS")]
    selector: Option<String>,
    /// ClusterIP, NodePort or LoadBalancer
    #[arg(long = "type", value_name = "TYPE")]
    service_type: Option<String>,
    /// Address of the new service; None has none
    #[arg(long, value_name = "IP")]
    cluster_ip: Option<String>,
    /// None or ClientIP: whether a client keeps its pod
    #[arg(long, value_name = "HOW")]
    session_affinity: Option<String>,
    /// Path below which requests match
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Labels of what is made; those of what is exposed unless given
    #[arg(short = 'l', long, value_name = "LABELS")]
    labels: Option<String>,
    /// None or Subdomain
    #[arg(long, value_name = "POLICY")]
    wildcard_policy: Option<String>,
    /// route/v1 or service/v1
    #[arg(long, value_name = "NAME", hide = true)]
    generator: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

pub(crate) async fn run(args: ExposeArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, exposed) = resource_args::parse_one(&discovery, &args.words)?;
    let name = args.name.as_deref().unwrap_or(&exposed);
    let makes_route = match args.generator.as_deref() {
        Some(generator) => generator.starts_with("route/"),
        None => kind.plural == "services" && args.service_type.is_none(),
    };
    let mut document = if makes_route {
        if kind.plural != "services" {
            bail!(
                "cannot expose a {} as a route: only services can be exposed by a route",
                kind.display_name()
            );
        }
        let mut route = route_to_service(session, &exposed, name, args.port.as_deref()).await?;
        for (field, value) in
            [("host", &args.hostname), ("path", &args.path), ("wildcardPolicy", &args.wildcard_policy)]
        {
            if let Some(value) = value {
                route["spec"][field] = json!(value);
            }
        }
        route
    } else {
        let (client, namespace) = (session.client()?, session.namespace()?);
        service_for(&args, &client, &kind, &namespace, &exposed, name).await?
    };
    if let Some(labels) = &args.labels {
        document["metadata"]["labels"] = Value::Object(pairs(labels)?);
    }
    create_document(session, document, &args.options, "exposed").await?;
    Ok(ExitStatus::SUCCESS)
}

fn pairs(text: &str) -> anyhow::Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else { bail!("unexpected label spec: {pair}") };
        map.insert(key.to_owned(), Value::from(value));
    }
    Ok(map)
}

/// A service for the pods of something.
async fn service_for(
    args: &ExposeArgs,
    client: &Client,
    kind: &ApiKind,
    namespace: &str,
    exposed: &str,
    name: &str,
) -> anyhow::Result<Value> {
    let found = get::read(client, kind, namespace, exposed).await?;
    let selected = match kind.plural.as_str() {
        "services" | "replicationcontrollers" | "deploymentconfigs" => "spec.selector",
        "deployments" | "replicasets" => "spec.selector.matchLabels",
        "pods" => "metadata.labels",
        _ => bail!("cannot expose a {}", kind.display_name()),
    };
    let selector = match &args.selector {
        Some(selector) => Value::Object(pairs(selector)?),
        None => object::at(&found, selected).cloned().unwrap_or_default(),
    };
    if selector.as_object().is_none_or(Map::is_empty) {
        bail!(
            "couldn't retrieve selectors via --selector flag or introspection: the {} has no labels",
            kind.singular
        );
    }
    let mut spec = json!({"ports": ports(args, &found)?, "selector": selector});
    for (field, value) in [
        ("type", &args.service_type),
        ("clusterIP", &args.cluster_ip),
        ("sessionAffinity", &args.session_affinity),
    ] {
        if let Some(value) = value {
            spec[field] = json!(value);
        }
    }
    let mut document =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    if let Some(labels) = object::at(&found, "metadata.labels") {
        document["metadata"]["labels"] = labels.clone();
    }
    Ok(document)
}

/// The ports of a new service: those of the flag, or all that the containers name.
fn ports(args: &ExposeArgs, found: &Value) -> anyhow::Result<Vec<Value>> {
    let number = |text: &str| text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number));
    let protocol = args.protocol.as_deref().unwrap_or("TCP");
    let mut ports: Vec<(Value, String)> = Vec::new();
    match &args.port {
        Some(text) => {
            for port in text.split(',') {
                let Ok(port) = port.parse::<u16>() else { bail!("invalid port: {port:?}") };
                ports.push((json!(port), protocol.to_owned()));
            }
        }
        None => {
            let spec = found.pointer("/spec/template/spec").or(found.get("spec")).unwrap_or(&Value::Null);
            let of_service = object::list(found, "spec.ports").iter().map(|port| (port, "port"));
            let of_containers = object::list(spec, "containers")
                .iter()
                .flat_map(|container| object::list(container, "ports"))
                .map(|port| (port, "containerPort"));
            for (port, field) in of_service.chain(of_containers) {
                let own = match object::text(port, "protocol") {
                    "" => protocol,
                    own => own,
                };
                if let Some(number) = port.get(field) {
                    ports.push((number.clone(), own.to_owned()));
                }
            }
        }
    }
    if ports.is_empty() {
        bail!("couldn't find port via --port flag or introspection");
    }
    let several = ports.len() > 1;
    let made = ports.into_iter().enumerate().map(|(position, (port, protocol))| {
        let target = args.target_port.as_deref().map_or_else(|| port.clone(), number);
        let mut made = json!({"port": port, "protocol": protocol, "targetPort": target});
        if several {
            made["name"] = json!(format!("port-{}", position + 1));
        }
        made
    });
    Ok(made.collect())
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
    let found = get::read(&session.client()?, discovery.known("", "services")?, &namespace, service).await;
    let found = match found {
        // A route may wait for its service, if the port is known.
        Err(error) if error.is_not_found() && port.is_some() => {
            json!({"spec": {"ports": [{"protocol": "TCP"}]}})
        }
        found => found?,
    };
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
