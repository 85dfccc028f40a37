//! `rollout latest`: deploy a config as it is now.

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError};
use serde_json::{Value, json};

use super::{ConfigWords, Found};
use crate::{
    deployments,
    discovery::ApiKind,
    environment::ExitStatus,
    object,
    print::output::{OutputArgs, print_done},
    session::Session,
};

/// Start a deployment of what the config says now
#[derive(Args, Debug)]
pub(crate) struct LatestArgs {
    #[command(flatten)]
    config: ConfigWords,
    /// Deploy the images of the last deployment again, instead of the newest
    #[arg(long)]
    again: bool,
    /// Only check
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", value_name = "WHERE")]
    dry_run: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: LatestArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let Found { discovery, client, namespace, kind, config, .. } = args.config.read(session).await?;
    if is_paused(&config) {
        bail!("cannot deploy a paused deployment config");
    }
    if let Some(running) = deployments::latest(&client, &discovery, &namespace, &config).await?
        && !deployments::is_over(&running)
    {
        bail!(
            "#{} is already in progress ({}).",
            deployments::version(&running),
            deployments::phase(&running)
        );
    }
    let (stored, done) = match args.dry_run.as_deref() {
        None | Some("none") => (start(&client, &kind, &config, !args.again).await?, "rolled out"),
        Some(_) => (config, "rolled out (dry run)"),
    };
    if object::text(&stored, "kind") == "Status" {
        bail!("{}", object::text(&stored, "message"));
    }
    print_done(session, &args.output, &kind, &stored, done)?;
    Ok(ExitStatus::SUCCESS)
}

/// Whether deployments are stopped.
pub(super) fn is_paused(config: &Value) -> bool {
    object::at(config, "spec.paused").and_then(Value::as_bool).unwrap_or(false)
}

/// Starts a deployment; with a new version by hand where the server (of 2016) cannot do it.
async fn start(client: &Client, kind: &ApiKind, config: &Value, latest: bool) -> Result<Value, ClientError> {
    let name = object::name(config);
    let path = kind.resource().item(object::namespace(config), name, Some("instantiate"));
    let request = json!({
        "apiVersion": kind.api_version(), "kind": "DeploymentRequest",
        "name": name, "latest": latest, "force": true,
    });
    match client.request(Method::POST, &path, None, Some(&request)).await {
        Err(error) if matches!(error.code(), Some(403..=405)) => {
            let mut next = config.clone();
            let version = deployments::latest_version(config) + 1;
            object::object_mut(&mut next, "status").insert("latestVersion".to_owned(), json!(version));
            let path = kind.resource().item(object::namespace(config), name, None);
            match client.request(Method::PUT, &path, None, Some(&next)).await {
                Err(second) if second.is_forbidden() => Err(error),
                answered => answered,
            }
        }
        answered => answered,
    }
}
