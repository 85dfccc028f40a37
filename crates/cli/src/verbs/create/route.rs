//! `create route edge|passthrough|reencrypt`.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::CreateOptions;
use crate::{session::Session, verbs::expose};

/// Create a route with TLS; for plain HTTP see `expose service`
#[derive(Subcommand, Debug)]
pub(crate) enum RouteKind {
    /// TLS ends at the router
    Edge(RouteArgs),
    /// TLS goes through to the service
    Passthrough(RouteArgs),
    /// TLS ends at the router, which speaks TLS to the service
    Reencrypt(RouteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct RouteArgs {
    /// Name of the route; the service's unless given
    name: Option<String>,
    /// Service that the route leads to
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Host name; made by the server unless given
    #[arg(long, value_name = "HOST")]
    hostname: Option<String>,
    /// Port of the service, by name or number
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Path below which requests match
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// File with the certificate
    #[arg(long, value_name = "FILE")]
    cert: Option<String>,
    /// File with the key
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// File with the certificate's chain
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<String>,
    /// File with the authorities that sign the service's certificate
    #[arg(long, value_name = "FILE")]
    dest_ca_cert: Option<String>,
    /// What plain HTTP gets: None, Allow or Redirect
    #[arg(long, value_name = "POLICY")]
    insecure_policy: Option<String>,
    /// None or Subdomain
    #[arg(long, value_name = "POLICY")]
    wildcard_policy: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) async fn document(
    kind: RouteKind,
    session: &mut Session,
) -> anyhow::Result<(Value, CreateOptions)> {
    let (termination, args) = match kind {
        RouteKind::Edge(args) => ("edge", args),
        RouteKind::Passthrough(args) => ("passthrough", args),
        RouteKind::Reencrypt(args) => ("reencrypt", args),
    };
    let has_certificates = args.cert.is_some() || args.key.is_some() || args.ca_cert.is_some();
    if termination == "passthrough" && (has_certificates || args.dest_ca_cert.is_some()) {
        bail!("passthrough termination does not support certificates");
    }
    if termination == "edge" && args.dest_ca_cert.is_some() {
        bail!("edge termination does not support destination certificates");
    }
    let service = args.service.as_deref().context("you need to provide a service name via --service")?;
    let name = args.name.as_deref().unwrap_or(service);
    let mut document = expose::route_to_service(session, service, name, args.port.as_deref()).await?;
    let mut tls = Map::new();
    tls.insert("termination".to_owned(), Value::from(termination));
    for (field, file) in [
        ("certificate", &args.cert),
        ("key", &args.key),
        ("caCertificate", &args.ca_cert),
        ("destinationCACertificate", &args.dest_ca_cert),
    ] {
        if let Some(file) = file {
            let content = session.read_file(file)?;
            let text = String::from_utf8(content).with_context(|| format!("{file} is not PEM"))?;
            tls.insert(field.to_owned(), Value::from(text));
        }
    }
    if let Some(policy) = &args.insecure_policy {
        tls.insert("insecureEdgeTerminationPolicy".to_owned(), Value::from(policy.as_str()));
    }
    document["spec"]["tls"] = Value::Object(tls);
    for (field, value) in
        [("host", &args.hostname), ("path", &args.path), ("wildcardPolicy", &args.wildcard_policy)]
    {
        if let Some(value) = value {
            document["spec"][field] = json!(value);
        }
    }
    Ok((document, args.options))
}
