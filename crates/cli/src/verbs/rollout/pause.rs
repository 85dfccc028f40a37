//! `rollout pause`, `rollout resume` and `rollout restart`: patches of one field.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::{ConfigWords, latest::is_paused};
use crate::{
    deployments,
    environment::ExitStatus,
    print::output::{OutputArgs, print_done},
    session::Session,
    verbs::get,
};

#[derive(Args, Debug)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    config: ConfigWords,
    #[command(flatten)]
    output: OutputArgs,
}

/// What to do with the deployments of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Pause,
    Resume,
    Restart,
}

pub(super) async fn run(
    args: PauseArgs,
    change: Change,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, name) = args.config.resolve(&discovery)?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let object = get::read(&client, &kind, &namespace, &name).await?;
    let (patch, done) = match change {
        Change::Pause if is_paused(&object) => {
            bail!("{} {name:?} is already paused", kind.qualified_plural())
        }
        Change::Resume if !is_paused(&object) => bail!("{} {name:?} is not paused", kind.qualified_plural()),
        Change::Pause => (json!({"spec": {"paused": true}}), "paused"),
        Change::Resume => (json!({"spec": {"paused": false}}), "resumed"),
        Change::Restart => {
            let now = (session.environment.now)().to_string();
            let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
            (json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}), "restarted")
        }
    };
    let stored = deployments::patch(&client, &kind, &object, &patch).await?;
    print_done(session, &args.output, &kind, &stored, done)?;
    Ok(ExitStatus::SUCCESS)
}
