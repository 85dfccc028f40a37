//! `create configmap|deploymentconfig|imagestreamtag|service`.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{CreateOptions, secret::read_plain_files};
use crate::{session::Session, verbs::run};

/// Create a config map from files and literals
#[derive(Args, Debug)]
pub(crate) struct ConfigMapArgs {
    /// Name of the config map
    name: String,
    /// key=FILE, FILE or directory
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,
    /// key=value
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// File of lines key=value
    #[arg(long, value_name = "FILE")]
    from_env_file: Vec<String>,
    #[command(flatten)]
    options: CreateOptions,
}

/// Create a deployment config that runs an image
#[derive(Args, Debug)]
pub(crate) struct DeploymentConfigArgs {
    /// Name of the deployment config
    name: String,
    /// The image
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Command of the container
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// How many pods
    #[arg(short = 'r', long, default_value_t = 1, value_name = "N")]
    replicas: u32,
    #[command(flatten)]
    options: CreateOptions,
}

/// Create a tag of an image stream
#[derive(Args, Debug)]
pub(crate) struct ImageStreamTagArgs {
    /// NAME:TAG
    name: String,
    /// Image stream tag that it follows, as [PROJECT/]NAME:TAG
    #[arg(long, value_name = "TAG", conflicts_with = "from_image")]
    from: Option<String>,
    /// Image of another registry
    #[arg(long, value_name = "IMAGE")]
    from_image: Option<String>,
    /// Do not import, only refer
    #[arg(long)]
    reference: bool,
    /// Import again from time to time
    #[arg(long)]
    scheduled: bool,
    /// Import over plain HTTP or with an unverified certificate
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    options: CreateOptions,
}

/// Create a deployment that runs images
///
/// Examples:
///   create deployment web --image=registry.example.com/pushed/web:1 --replicas=3 --port=8080
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct DeploymentArgs {
    /// Name of the deployment
    name: String,
    /// An image, one for each container
    #[arg(long, required = true, value_delimiter = ',', value_name = "IMAGE")]
    image: Vec<String>,
    /// Command of the container
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// How many pods
    #[arg(short = 'r', long, default_value_t = 1, value_name = "N")]
    replicas: u32,
    /// Port that the container listens at
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    #[command(flatten)]
    options: CreateOptions,
}

/// Create a service
#[derive(Subcommand, Debug)]
pub(crate) enum ServiceKind {
    /// One address for all pods
    Clusterip(ServiceArgs),
    /// The same, and a port of every node
    Nodeport(ServiceArgs),
    /// The same, and an address outside of the cluster
    Loadbalancer(ServiceArgs),
    /// A name outside of the cluster
    Externalname(ExternalNameArgs),
}

/// A service that stands for a name outside of the cluster
#[derive(Args, Debug)]
pub(crate) struct ExternalNameArgs {
    /// Name of the service
    name: String,
    /// The name outside
    #[arg(long, value_name = "HOST")]
    external_name: String,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    /// Name of the service; its pods have the label app=NAME
    name: String,
    /// PORT[:TARGET]
    #[arg(long, value_delimiter = ',', value_name = "PORT[:TARGET]")]
    tcp: Vec<String>,
    /// The address; None has none
    #[arg(long, value_name = "IP")]
    clusterip: Option<String>,
    /// The port of the nodes
    #[arg(long, value_name = "PORT")]
    node_port: Option<u16>,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) fn config_map(
    args: ConfigMapArgs,
    session: &mut Session,
) -> anyhow::Result<(Value, CreateOptions)> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut data = Map::new();
    let mut binary = Map::new();
    let contents = read_plain_files(&args.from_file, &args.from_literal, &args.from_env_file, session)?;
    for (key, content) in contents {
        match String::from_utf8(content) {
            Ok(text) => {
                data.insert(key, Value::from(text));
            }
            Err(error) => {
                binary.insert(key, Value::from(STANDARD.encode(error.as_bytes())));
            }
        }
    }
    let mut document =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": args.name}, "data": data});
    if !binary.is_empty() {
        document["binaryData"] = Value::Object(binary);
    }
    Ok((document, args.options))
}

pub(super) fn deployment_config(args: DeploymentConfigArgs) -> (Value, CreateOptions) {
    let mut container = json!({"name": "default-container", "image": args.image});
    if !args.command.is_empty() {
        container["command"] = json!(args.command);
    }
    let labels = json!({"deployment-config.name": args.name});
    let spec = json!({"containers": [container]});
    (run::deployment_config(&args.name, args.replicas, &labels, &spec), args.options)
}

pub(super) fn deployment(args: DeploymentArgs) -> (Value, CreateOptions) {
    let labels = json!({"app": args.name});
    let several = args.image.len() > 1;
    let container = |image: &String| {
        // As kubectl names them: the last part of the repository, without tag and digest.
        let last = image.rsplit('/').next().unwrap_or(image);
        let name = last.split([':', '@']).next().unwrap_or(last);
        let mut container = json!({"name": name, "image": image});
        if !several && !args.command.is_empty() {
            container["command"] = json!(args.command);
        }
        if !several && let Some(port) = args.port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        container
    };
    let containers: Vec<Value> = args.image.iter().map(container).collect();
    let document = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": args.name, "labels": labels},
        "spec": {
            "replicas": args.replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    });
    (document, args.options)
}

fn external_name(args: ExternalNameArgs) -> (Value, CreateOptions) {
    let document = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": args.name, "labels": {"app": args.name}},
        "spec": {"type": "ExternalName", "externalName": args.external_name, "selector": {"app": args.name}},
    });
    (document, args.options)
}

pub(super) fn image_stream_tag(args: ImageStreamTagArgs) -> anyhow::Result<(Value, CreateOptions)> {
    let Some((_, tag)) = args.name.split_once(':') else {
        bail!("{:?} is not an image stream tag: use NAME:TAG", args.name);
    };
    let mut spec = json!({"name": tag, "reference": args.reference});
    match (&args.from, &args.from_image) {
        (Some(from), _) => {
            let mut reference = json!({"kind": "ImageStreamTag", "name": from});
            if let Some((namespace, name)) = from.split_once('/') {
                reference = json!({"kind": "ImageStreamTag", "namespace": namespace, "name": name});
            }
            if from.contains('@') {
                reference["kind"] = json!("ImageStreamImage");
            }
            spec["from"] = reference;
        }
        (None, Some(image)) => {
            spec["from"] = json!({"kind": "DockerImage", "name": image});
            spec["importPolicy"] = json!({"scheduled": args.scheduled, "insecure": args.insecure});
        }
        (None, None) => {}
    }
    let document = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag", "metadata": {"name": args.name}, "tag": spec,
    });
    Ok((document, args.options))
}

pub(super) fn service(kind: ServiceKind) -> anyhow::Result<(Value, CreateOptions)> {
    let (service_type, args) = match kind {
        ServiceKind::Clusterip(args) => ("ClusterIP", args),
        ServiceKind::Nodeport(args) => ("NodePort", args),
        ServiceKind::Loadbalancer(args) => ("LoadBalancer", args),
        ServiceKind::Externalname(args) => return Ok(external_name(args)),
    };
    let mut ports = Vec::new();
    for port in &args.tcp {
        let (outer, inner) = port.split_once(':').unwrap_or((port, port));
        let Ok(number) = outer.parse::<u16>() else { bail!("{port:?} is not PORT[:TARGET]") };
        let target = inner.parse::<u16>().map_or_else(|_| json!(inner), |number| json!(number));
        let name = port.replace(':', "-");
        let mut port = json!({"name": name, "port": number, "protocol": "TCP", "targetPort": target});
        if let Some(node_port) = args.node_port.filter(|_| service_type != "ClusterIP") {
            port["nodePort"] = json!(node_port);
        }
        ports.push(port);
    }
    if ports.is_empty() && args.clusterip.as_deref() != Some("None") {
        bail!("at least one tcp port must be specified");
    }
    let mut spec = json!({"type": service_type, "selector": {"app": args.name}, "ports": ports});
    if let Some(address) = &args.clusterip {
        spec["clusterIP"] = json!(address);
    }
    let metadata = json!({"name": args.name, "labels": {"app": args.name}});
    Ok((json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}), args.options))
}
