//! `rollout cancel`: end the deployment that is under way.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::{ConfigWords, Found};
use crate::{
    deployments::{self, CANCELLED, CANCELLED_BY_USER, STATUS_REASON},
    environment::ExitStatus,
    object,
    print::{
        age,
        output::{OutputArgs, print_done},
    },
    session::Session,
};

/// End the deployment that is under way
#[derive(Args, Debug)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    config: ConfigWords,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: CancelArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let Found { discovery, client, namespace, kind, name, config } = args.config.read(session).await?;
    if super::latest::is_paused(&config) {
        bail!("unable to cancel paused deployment {namespace}/{name}");
    }
    let controllers = discovery.known("", "replicationcontrollers")?;
    let rollouts = deployments::rollouts(&client, &discovery, &namespace, &name).await?;
    let mut done = None;
    for rollout in rollouts.iter().filter(|rollout| !deployments::is_over(rollout)) {
        if deployments::is_cancelled(rollout) {
            done = done.or(Some("already cancelled"));
            continue;
        }
        let patch =
            json!({"metadata": {"annotations": {CANCELLED: "true", STATUS_REASON: CANCELLED_BY_USER}}});
        deployments::patch(&client, controllers, rollout, &patch).await?;
        done = Some("cancelling");
    }
    if let Some(done) = done {
        print_done(session, &args.output, &kind, &config, done)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let Some(latest) = rollouts.first() else {
        session.say(&format!("There have been no rollouts for {namespace}/{name}"))?;
        return Ok(ExitStatus::SUCCESS);
    };
    let created = object::text(latest, "metadata.creationTimestamp");
    session.say(&format!(
        "No rollout is in progress (latest rollout #{} {} {} ago)",
        deployments::version(latest),
        deployments::phase(latest).to_lowercase(),
        age::words(Some(created), (session.environment.now)()).to_lowercase(),
    ))?;
    Ok(ExitStatus::SUCCESS)
}
