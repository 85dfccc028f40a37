//! `rollout undo`: back to an earlier deployment.

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{
    ConfigWords,
    history::{replica_sets, revision_of},
};
use crate::{
    deployments,
    describe::pod_template,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    object,
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
    #[command(flatten)]
    dry: DryRunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: UndoArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, name) = args.config.resolve(&discovery)?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let dry_run = args.dry.dry_run;
    let done = dry_run.done("rolled back");
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
        if dry_run == DryRun::Client {
            return show(&template, session);
        }
        // The template is replaced as a whole: what the earlier one lacked must go.
        let patch = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
        let path = kind.resource().item(object::namespace(&object), &name, None);
        let path = format!("{path}?{}", dry_run.query());
        let content_type = Some("application/json-patch+json");
        let stored =
            client.request(Method::PATCH, path.trim_end_matches('?'), content_type, Some(&patch)).await?;
        print_done(session, &args.output, &kind, &stored, &done)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let parts = rollback::Parts::default();
    let mut back = rollback::compute(&client, &kind, &object, args.to_revision, parts).await?;
    if dry_run == DryRun::Client {
        return show(&back["spec"]["template"], session);
    }
    rollback::name_kind(&kind, &mut back);
    let stored = put(&client, &kind, Some(&namespace), &back, dry_run.query()).await?;
    print_done(session, &args.output, &kind, &stored, &done)?;
    rollback::warn_of_disabled(&object, &stored, session)?;
    Ok(ExitStatus::SUCCESS)
}

fn show(template: &Value, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let text = pod_template::describe(template);
    session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
    Ok(ExitStatus::SUCCESS)
}
