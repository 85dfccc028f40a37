//! `rollout undo`: back to an earlier deployment.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{
    ConfigWords,
    history::{replica_sets, revision_of},
};
use crate::{
    deployments,
    describe::pod_template,
    environment::ExitStatus,
    print::{
        output::{OutputArgs, print_done},
        tabwriter,
    },
    session::Session,
    verbs::{create::put, get, rollback},
};

/// Go back to an earlier deployment
#[derive(Args, Debug)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    config: ConfigWords,
    /// The deployment to go back to; 0 is the one before
    #[arg(long, default_value_t = 0, value_name = "N")]
    to_revision: u64,
    /// Show what would run, and do nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", value_name = "WHERE")]
    dry_run: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: UndoArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, name) = args.config.resolve(&discovery)?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let is_dry = args.dry_run.as_deref().is_some_and(|how| how != "none");
    let object = get::read(&client, &kind, &namespace, &name).await?;
    if kind.group != deployments::GROUP {
        let sets = replica_sets(&client, &discovery, &kind, &object).await?;
        let target = match args.to_revision {
            0 => sets.get(1),
            wanted => sets.iter().find(|set| revision_of(set) == wanted),
        };
        let Some(target) = target else { bail!("no rollout history found for deployment {name:?}") };
        let mut template = target["spec"]["template"].clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove("pod-template-hash");
        }
        if is_dry {
            return show(&template, session);
        }
        let stored =
            deployments::patch(&client, &kind, &object, &json!({"spec": {"template": template}})).await?;
        print_done(session, &args.output, &kind, &stored, "rolled back")?;
        return Ok(ExitStatus::SUCCESS);
    }
    let parts = rollback::Parts::default();
    let mut back = rollback::compute(&client, &kind, &object, args.to_revision, parts).await?;
    if is_dry {
        return show(&back["spec"]["template"], session);
    }
    rollback::name_kind(&kind, &mut back);
    let stored = put(&client, &kind, Some(&namespace), &back, "").await?;
    print_done(session, &args.output, &kind, &stored, "rolled back")?;
    rollback::warn_of_disabled(&object, &stored, session)?;
    Ok(ExitStatus::SUCCESS)
}

fn show(template: &Value, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let text = pod_template::describe(template);
    session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
    Ok(ExitStatus::SUCCESS)
}
