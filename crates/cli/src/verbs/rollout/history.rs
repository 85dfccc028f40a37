//! `rollout history`: the deployments there were.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::ConfigWords;
use crate::{
    deployments::{self, annotation},
    describe::pod_template,
    discovery::{ApiKind, Discovery},
    environment::ExitStatus,
    globals::Era,
    object,
    print::tabwriter,
    session::Session,
    verbs::get,
};

/// Show the deployments that there were
#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    config: ConfigWords,
    /// Show what this deployment ran
    #[arg(long, default_value_t = 0, value_name = "N")]
    revision: u64,
}

pub(crate) async fn run(args: HistoryArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, name) = args.config.resolve(&discovery)?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let object = get::read(&client, &kind, &namespace, &name).await?;
    let title = match session.era() {
        Era::V3_2 => format!("{} {name:?}", kind.plural),
        Era::V4 => format!("{}/{name}", kind.display_name()),
    };
    let is_config = kind.group == deployments::GROUP;
    let mut revisions = if is_config {
        deployments::rollouts(&client, &discovery, &namespace, &name).await?
    } else {
        replica_sets(&client, &discovery, &kind, &object).await?
    };
    revisions.reverse();
    if args.revision > 0 {
        let number = |revision: &&Value| revision_of(revision) == args.revision;
        let Some(found) = revisions.iter().find(number) else {
            bail!("unable to find the specified revision");
        };
        session.say(&format!("{title} with revision #{}", args.revision))?;
        let text = pod_template::describe(&found["spec"]["template"]);
        session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if revisions.is_empty() {
        bail!("No rollout history found in {}", kind.display_name());
    }
    let mut text =
        if is_config { "REVISION\tSTATUS\tCAUSE\n" } else { "REVISION\tCHANGE-CAUSE\n" }.to_owned();
    for revision in &revisions {
        let number = revision_of(revision);
        if is_config {
            let cause = or_unknown(annotation(revision, deployments::STATUS_REASON));
            let status = or_unknown(deployments::phase(revision));
            text.push_str(&format!("{number}\t{status}\t{cause}\n"));
        } else {
            let cause = annotation(revision, "kubernetes.io/change-cause");
            text.push_str(&format!("{number}\t{}\n", if cause.is_empty() { "<none>" } else { cause }));
        }
    }
    session.say(&title)?;
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    session.say("")?;
    Ok(ExitStatus::SUCCESS)
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "<unknown>" } else { text }
}

/// The number of a rollout or of a replica set.
pub(super) fn revision_of(revision: &Value) -> u64 {
    match deployments::version(revision) {
        0 => annotation(revision, "deployment.kubernetes.io/revision").parse().unwrap_or(0),
        version => version,
    }
}

/// The replica sets of a deployment, newest first.
pub(super) async fn replica_sets(
    client: &pierhead_client::Client,
    discovery: &Discovery,
    kind: &ApiKind,
    deployment: &Value,
) -> anyhow::Result<Vec<Value>> {
    let sets = discovery.known(&kind.group, "replicasets")?;
    let uid = object::text(deployment, "metadata.uid");
    let mut found = get::read_all(client, sets, object::namespace(deployment), &[]).await?;
    found.retain(|set| {
        object::list(set, "metadata.ownerReferences").iter().any(|owner| object::text(owner, "uid") == uid)
    });
    found.sort_by_key(|set| std::cmp::Reverse(revision_of(set)));
    Ok(found)
}
