//! `rollback`: back to an earlier deployment, with what to take back chosen by flags (platform 8.4, 8.5).

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError};
use serde_json::{Value, json};

use super::{create::put, get};
use crate::{
    deployments,
    describe::pod_template,
    discovery::{ApiKind, Discovery},
    environment::ExitStatus,
    globals::Era,
    object,
    print::{
        output::{Form, OutputArgs, print_objects},
        tabwriter,
    },
    session::Session,
};

/// Go back to an earlier deployment
///
/// Examples:
///   rollback web                     to the last deployment that succeeded before
///   rollback web --to-version=3
///   rollback web-3                   to that deployment
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct RollbackArgs {
    /// Deployment config (dc/NAME) or deployment (rc/NAME)
    name: String,
    /// The deployment to go back to
    #[arg(long, default_value_t = 0, value_name = "N")]
    to_version: u64,
    /// Take back the triggers, too
    #[arg(long)]
    change_triggers: bool,
    /// Take back the strategy, too
    #[arg(long)]
    change_strategy: bool,
    /// Take back the number of replicas and the selector, too
    #[arg(long)]
    change_scaling_settings: bool,
    /// Show what would run, and do nothing
    #[arg(short = 'd', long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a rollback takes back besides the pod template.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) triggers: bool,
    pub(super) strategy: bool,
    pub(super) scaling: bool,
}

pub(crate) async fn run(args: RollbackArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let kind = deployments::configs(&discovery)?.clone();
    let (config, target) = find(&args, &client, &discovery, &namespace).await?;
    let parts = Parts {
        triggers: args.change_triggers,
        strategy: args.change_strategy,
        scaling: args.change_scaling_settings,
    };
    let name = object::name(&config).to_owned();
    let rollouts = deployments::rollouts(&client, &discovery, &namespace, &name).await?;
    let latest = deployments::latest_version(&config);
    let found = rollouts.iter().find(|rollout| match target {
        0 => deployments::phase(rollout) == "Complete" && deployments::version(rollout) < latest,
        wanted => deployments::version(rollout) == wanted,
    });
    let Some(found) = found else { bail!("couldn't find deployment for rollback") };
    let mut back = compute(&client, &kind, &config, deployments::version(found), parts).await?;
    name_kind(&kind, &mut back);
    let form = args.output.form(session)?;
    if !matches!(form, Form::Table { .. }) {
        print_objects(session, &form, vec![back], false, args.output.show_managed_fields)?;
        return Ok(ExitStatus::SUCCESS);
    }
    if args.dry_run {
        let text = pod_template::describe(&back["spec"]["template"]);
        session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
        return Ok(ExitStatus::SUCCESS);
    }
    let stored = put(&client, &kind, Some(&namespace), &back, "").await?;
    let version = deployments::latest_version(&stored);
    let subject = match session.era() {
        Era::V3_2 => String::new(),
        Era::V4 => format!("{}/{name} deployment ", kind.display_name()),
    };
    session.say(&format!("{subject}#{version} rolled back to {}", object::name(found)))?;
    warn_of_disabled(&config, &stored, session)?;
    Ok(ExitStatus::SUCCESS)
}

/// The config that a name means, and the version of the rollout if it means one (else what the flag says).
async fn find(
    args: &RollbackArgs,
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
) -> anyhow::Result<(Value, u64)> {
    let configs = deployments::configs(discovery)?;
    let controllers = discovery.known("", "replicationcontrollers")?;
    let (kind, name) = match args.name.split_once('/') {
        Some((word, name)) => (Some(discovery.resolve(word)?), name),
        None => (None, args.name.as_str()),
    };
    if kind.is_none_or(|kind| kind == configs) {
        match get::read(client, configs, namespace, name).await {
            Ok(config) => return Ok((config, args.to_version)),
            Err(error) if error.is_not_found() && kind.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    } else if kind != Some(controllers) {
        bail!("cannot roll back {}", args.name);
    }
    let rollout = match get::read(client, controllers, namespace, name).await {
        Err(error) if error.is_not_found() && kind.is_none() => {
            bail!("{name} is not a valid deployment or deployment config")
        }
        found => found?,
    };
    let config = deployments::annotation(&rollout, deployments::CONFIG);
    if config.is_empty() {
        bail!("{name} is not a valid deployment or deployment config");
    }
    Ok((get::read(client, configs, namespace, config).await?, deployments::version(&rollout)))
}

/// Asks the server what the config would be; nothing is stored. Version 0 is the one before.
pub(super) async fn compute(
    client: &Client,
    kind: &ApiKind,
    config: &Value,
    version: u64,
    parts: Parts,
) -> Result<Value, ClientError> {
    let name = object::name(config);
    let mut request = json!({
        "apiVersion": kind.api_version(), "kind": "DeploymentConfigRollback", "name": name,
        "spec": {
            "from": {}, "revision": version, "includeTriggers": parts.triggers, "includeTemplate": true,
            "includeReplicationMeta": parts.scaling, "includeStrategy": parts.strategy,
        },
    });
    let path = kind.resource().item(object::namespace(config), name, Some("rollback"));
    match client.request(Method::POST, &path, None, Some(&request)).await {
        // Servers of 2016 know only the collection of rollbacks, which names the deployment.
        Err(error) if matches!(error.code(), Some(404 | 405)) && version > 0 => {
            request["spec"]["from"] = json!({"name": deployments::rollout_name(name, version)});
            let mut rollbacks = kind.resource();
            "deploymentconfigrollbacks".clone_into(&mut rollbacks.plural);
            let path = rollbacks.collection(object::namespace(config));
            match client.request(Method::POST, &path, None, Some(&request)).await {
                Err(second) if second.is_not_found() => Err(error),
                answered => answered,
            }
        }
        answered => answered,
    }
}

/// Documents that are sent back say what they are.
pub(super) fn name_kind(kind: &ApiKind, document: &mut Value) {
    object::set_text(document, "apiVersion", &kind.api_version());
    object::set_text(document, "kind", &kind.kind);
}

/// Image triggers that were automatic before and are not after would undo the rollback; the server turned them off.
pub(super) fn warn_of_disabled(before: &Value, after: &Value, session: &mut Session) -> anyhow::Result<()> {
    let images = |config: &Value, automatic: bool| -> Vec<String> {
        object::list(config, "spec.triggers")
            .iter()
            .filter(|trigger| object::text(trigger, "type") == "ImageChange")
            .filter(|trigger| {
                let value = object::at(trigger, "imageChangeParams.automatic").and_then(Value::as_bool);
                value.unwrap_or(false) == automatic
            })
            .map(|trigger| object::text(trigger, "imageChangeParams.from.name").to_owned())
            .collect()
    };
    let active = images(before, true);
    let disabled: Vec<String> =
        images(after, false).into_iter().filter(|image| active.contains(image)).collect();
    if disabled.is_empty() {
        return Ok(());
    }
    let name = object::name(after);
    let command = match session.era() {
        Era::V3_2 => {
            format!("oc deploy {name} --enable-triggers -n {}", object::namespace(after).unwrap_or_default())
        }
        Era::V4 => format!("oc set triggers dc/{name} --auto"),
    };
    session.say(&format!(
        "Warning: the following images triggers were disabled: {}\n  You can re-enable them with: {command}",
        disabled.join(",")
    ))?;
    Ok(())
}
