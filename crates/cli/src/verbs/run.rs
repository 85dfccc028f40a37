//! `run`: an image as a pod; in 2016 as a deployment config (platform 9).

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::create::{CreateOptions, create_document};
use crate::{deployments, environment::ExitStatus, globals::Era, session::Session};

/// Run an image
///
/// Examples:
///   run web --image=registry.example.com/pushed/web:1 --port=8080
///   run once --image=… --restart=Never -- echo done
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct RunArgs {
    /// Name of the pod or deployment config
    name: String,
    /// The image
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Arguments for the container, or with --command its command
    #[arg(last = true, value_name = "ARGUMENT")]
    words: Vec<String>,
    /// The arguments are the command
    #[arg(long)]
    command: bool,
    /// KEY=value for the container
    #[arg(short = 'e', long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Port that the container listens at
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// How many pods (of a deployment config)
    #[arg(short = 'r', long, default_value_t = 1, value_name = "N")]
    replicas: u32,
    /// Always, OnFailure or Never: whether ended containers run again
    #[arg(long, default_value = "Always", value_name = "POLICY")]
    restart: String,
    /// Always, IfNotPresent or Never: when the image is pulled
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// Labels, as key=value,…
    #[arg(short = 'l', long, value_delimiter = ',', value_name = "LABELS")]
    labels: Vec<String>,
    /// run/v1 for a deployment config, run-pod/v1 for a pod
    #[arg(long, value_name = "NAME")]
    generator: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

pub(crate) async fn run(args: RunArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let labels = labels(&args)?;
    let spec = pod_spec(&args)?;
    let is_pod = match args.generator.as_deref() {
        None if session.era() == Era::V4 || args.restart != "Always" => true,
        // Kubernetes has no deployment configs.
        None => session.discovery().await?.known(deployments::GROUP, "deploymentconfigs").is_err(),
        Some("run-pod/v1") => true,
        Some("run/v1" | "deploymentconfig/v1") => false,
        Some(other) => bail!("generator {other:?} not found"),
    };
    let document = if is_pod {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": args.name, "labels": labels}, "spec": spec})
    } else {
        deployment_config(&args.name, args.replicas, &labels, &spec)
    };
    create_document(session, document, &args.options, "created").await?;
    Ok(ExitStatus::SUCCESS)
}

/// A config whose pods have these labels.
pub(super) fn deployment_config(name: &str, replicas: u32, labels: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas, "selector": labels, "triggers": [{"type": "ConfigChange"}],
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}

fn labels(args: &RunArgs) -> anyhow::Result<Value> {
    if args.labels.is_empty() {
        return Ok(json!({"run": args.name}));
    }
    let mut labels = json!({});
    for label in &args.labels {
        let Some((key, value)) = label.split_once('=') else { bail!("unexpected label spec: {label}") };
        labels[key] = json!(value);
    }
    Ok(labels)
}

fn pod_spec(args: &RunArgs) -> anyhow::Result<Value> {
    if !matches!(args.restart.as_str(), "Always" | "OnFailure" | "Never") {
        bail!("invalid restart policy: {}", args.restart);
    }
    let mut container = json!({"name": args.name, "image": args.image});
    if !args.words.is_empty() {
        container[if args.command { "command" } else { "args" }] = json!(args.words);
    }
    let mut env = Vec::new();
    for variable in &args.env {
        let Some((name, value)) = variable.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("invalid env: {variable}");
        };
        env.push(json!({"name": name, "value": value}));
    }
    if !env.is_empty() {
        container["env"] = Value::Array(env);
    }
    if let Some(port) = args.port {
        container["ports"] = json!([{"containerPort": port}]);
    }
    if let Some(policy) = &args.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    Ok(json!({"containers": [container], "restartPolicy": args.restart}))
}
