//! `rollout retry`: begin a failed deployment anew.

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{ApiRequest, Client};
use serde_json::{Value, json};

use super::{ConfigWords, Found};
use crate::{
    deployments::{self, CANCELLED, DEPLOYER_POD_FOR, PHASE, STATUS_REASON},
    discovery::Discovery,
    environment::ExitStatus,
    object,
    print::output::{OutputArgs, print_done},
    session::Session,
    verbs::get,
};

/// Begin the failed deployment anew
#[derive(Args, Debug)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    config: ConfigWords,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: RetryArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let Found { discovery, client, namespace, kind, name, config } = args.config.read(session).await?;
    if super::latest::is_paused(&config) {
        bail!("unable to retry paused deployment config {name:?}");
    }
    let version = deployments::latest_version(&config);
    if version == 0 {
        bail!("no rollouts found for {name:?}");
    }
    let again = format!("You can start a new rollout with 'oc rollout latest dc/{name}'.");
    let Some(latest) = deployments::latest(&client, &discovery, &namespace, &config).await? else {
        bail!("unable to find the latest rollout (#{version}).\n{again}");
    };
    let phase = deployments::phase(&latest);
    if phase != "Failed" {
        let advice = if phase == "Complete" {
            again
        } else {
            format!("Optionally, you can cancel this deployment with 'oc rollout cancel dc/{name}'.")
        };
        bail!(
            "rollout #{version} is {}; only failed rollouts can be retried.\n{advice}",
            phase.to_lowercase()
        );
    }
    restart(&client, &discovery, &latest).await?;
    print_done(session, &args.output, &kind, &config, "retried rollout")?;
    Ok(ExitStatus::SUCCESS)
}

/// Removes what the failed attempt left and lets the controllers see the rollout as new.
pub(crate) async fn restart(client: &Client, discovery: &Discovery, rollout: &Value) -> anyhow::Result<()> {
    let namespace = object::namespace(rollout).unwrap_or_default();
    let pods = discovery.known("", "pods")?;
    let selector = format!("{DEPLOYER_POD_FOR}={}", object::name(rollout));
    for pod in get::read_all(client, pods, Some(namespace), &[("labelSelector", &selector)]).await? {
        let path = pods.resource().item(Some(namespace), object::name(&pod), None);
        let options = serde_json::to_vec(
            &json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}),
        )?;
        match client.send(ApiRequest::new(Method::DELETE, path, options.into())).await {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    let controllers = discovery.known("", "replicationcontrollers")?;
    let patch = json!({"metadata": {"annotations": {PHASE: "New", STATUS_REASON: null, CANCELLED: null}}});
    deployments::patch(client, controllers, rollout, &patch).await?;
    Ok(())
}
