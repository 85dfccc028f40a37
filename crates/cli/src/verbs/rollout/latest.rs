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
    dry_run::{DryRun, DryRunArgs},
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
    #[command(flatten)]
    dry: DryRunArgs,
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
    let dry_run = args.dry.dry_run;
    let stored = match dry_run {
        DryRun::None => start(&client, &kind, &config, !args.again).await?,
        DryRun::Client => config,
        DryRun::Server => bail!("servers cannot try a deployment (did you mean --dry-run=client instead?)"),
    };
    if object::text(&stored, "kind") == "Status" {
        bail!("{}", object::text(&stored, "message"));
    }
    print_done(session, &args.output, &kind, &stored, &dry_run.done("rolled out"))?;
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
