//! `rollout`: start, follow and take back deployments (platform 8.5).

mod cancel;
mod history;
mod latest;
mod pause;
mod retry;
pub(crate) mod status;
mod undo;

use std::sync::Arc;

use anyhow::bail;
use clap::{Args, Subcommand};
use pierhead_client::Client;
use serde_json::Value;

use crate::{
    deployments,
    discovery::{ApiKind, Discovery},
    environment::ExitStatus,
    resource_args,
    session::Session,
    verbs::get,
};

pub(crate) use retry::restart as retry_of;

/// Start, follow and take back deployments
///
/// Examples:
///   rollout latest dc/web            deploy now
///   rollout status dc/web            wait until it is done
///   rollout history dc/web
///   rollout undo dc/web              go back to the deployment before
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct RolloutArgs {
    #[command(subcommand)]
    verb: RolloutVerb,
}

#[derive(Subcommand, Debug)]
enum RolloutVerb {
    Latest(latest::LatestArgs),
    Status(status::StatusArgs),
    History(history::HistoryArgs),
    Undo(undo::UndoArgs),
    Cancel(cancel::CancelArgs),
    Retry(retry::RetryArgs),
    /// Start no deployments until `rollout resume`
    Pause(pause::PauseArgs),
    /// Start deployments again
    Resume(pause::PauseArgs),
    /// Replace the pods of a deployment one after the other
    Restart(pause::PauseArgs),
}

pub(crate) async fn run(args: RolloutArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        RolloutVerb::Latest(args) => latest::run(args, session).await,
        RolloutVerb::Status(args) => status::run(args, session).await,
        RolloutVerb::History(args) => history::run(args, session).await,
        RolloutVerb::Undo(args) => undo::run(args, session).await,
        RolloutVerb::Cancel(args) => cancel::run(args, session).await,
        RolloutVerb::Retry(args) => retry::run(args, session).await,
        RolloutVerb::Pause(args) => pause::run(args, pause::Change::Pause, session).await,
        RolloutVerb::Resume(args) => pause::run(args, pause::Change::Resume, session).await,
        RolloutVerb::Restart(args) => pause::run(args, pause::Change::Restart, session).await,
    }
}

/// `TYPE NAME`, `TYPE/NAME`, or the name of a deployment config.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigWords {
    /// dc/NAME
    #[arg(value_name = "NAME", required = true)]
    pub(crate) words: Vec<String>,
}

impl ConfigWords {
    /// Which object is meant.
    pub(crate) fn resolve(&self, discovery: &Discovery) -> anyhow::Result<(ApiKind, String)> {
        match self.words.as_slice() {
            [name] if !name.contains('/') => Ok((deployments::configs(discovery)?.clone(), name.clone())),
            words => resource_args::parse_one(discovery, words),
        }
    }

    /// The deployment config that is meant, as it is now; other kinds are refused.
    async fn read(&self, session: &mut Session) -> anyhow::Result<Found> {
        let discovery = session.discovery().await?;
        let (kind, name) = self.resolve(&discovery)?;
        if kind.group != deployments::GROUP || kind.plural != "deploymentconfigs" {
            bail!("expected deployment configuration, got {}", kind.plural);
        }
        let (client, namespace) = (session.client()?, session.namespace()?);
        let kind = deployments::configs(&discovery)?.clone();
        let config = get::read(&client, &kind, &namespace, &name).await?;
        Ok(Found { discovery, client, namespace, kind, name, config })
    }
}

/// A deployment config, and where it was found.
struct Found {
    discovery: Arc<Discovery>,
    client: Client,
    namespace: String,
    kind: ApiKind,
    name: String,
    config: Value,
}
