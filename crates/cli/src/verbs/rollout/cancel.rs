//! `rollout cancel`: end the deployment that is under way.

use anyhow::bail;
use clap::Args;

use super::{ConfigWords, Found};
use crate::{
    deployments,
    environment::ExitStatus,
    print::output::{OutputArgs, print_done},
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
    let rollouts = deployments::rollouts(&client, &discovery, &namespace, &name).await?;
    let cancelled = deployments::cancel(&client, &discovery, &rollouts).await?;
    if !cancelled.now.is_empty() || cancelled.before {
        let done = if cancelled.now.is_empty() { "already cancelled" } else { "cancelling" };
        print_done(session, &args.output, &kind, &config, done)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let Some(latest) = rollouts.first() else {
        session.say(&format!("There have been no rollouts for {namespace}/{name}"))?;
        return Ok(ExitStatus::SUCCESS);
    };
    let ended = deployments::ended(latest, (session.environment.now)());
    session.say(&format!("No rollout is in progress (latest rollout {ended})"))?;
    Ok(ExitStatus::SUCCESS)
}
