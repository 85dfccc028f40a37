//! `deploy`: the verb of 3.x for deployments (platform 8.4, 8.5).

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::Client;
use serde_json::{Value, json};

use super::{get, logs, rollout::retry_of};
use crate::{deployments, describe, discovery::Discovery, environment::ExitStatus, object, session::Session};

/// Show, start, retry or cancel the deployment of a config
///
/// Examples:
///   deploy web                       how it stands
///   deploy web --latest              deploy now
///   deploy web --cancel
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct DeployArgs {
    /// Deployment config, as NAME or dc/NAME
    name: String,
    /// Start a deployment
    #[arg(long, conflicts_with_all = ["retry", "cancel", "enable_triggers"])]
    latest: bool,
    /// Begin the failed deployment anew
    #[arg(long, conflicts_with_all = ["cancel", "enable_triggers"])]
    retry: bool,
    /// End the deployment that is under way
    #[arg(long, conflicts_with = "enable_triggers")]
    cancel: bool,
    /// Let changes of images deploy again
    #[arg(long)]
    enable_triggers: bool,
    /// Show the log of the deployment that was started
    #[arg(long)]
    follow: bool,
}

/// The config in question and where it is.
struct Subject {
    client: Client,
    discovery: std::sync::Arc<Discovery>,
    namespace: String,
    config: Value,
}

pub(crate) async fn run(args: DeployArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let name = match args.name.split_once('/') {
        Some((word, name)) if discovery.resolve(word)?.plural == "deploymentconfigs" => name,
        Some(_) => bail!("{} is not a deployment config", args.name),
        None => &args.name,
    };
    let config = get::read(&client, deployments::configs(&discovery)?, &namespace, name).await?;
    let subject = Subject { client, discovery, namespace, config };
    if args.latest {
        subject.start(session).await?;
    } else if args.retry {
        subject.retry(session).await?;
    } else if args.cancel {
        subject.cancel(session).await?;
    } else if args.enable_triggers {
        subject.enable_triggers(session).await?;
    } else {
        let rollouts = deployments::rollouts(
            &subject.client,
            &subject.discovery,
            &subject.namespace,
            object::name(&subject.config),
        )
        .await?;
        let now = (session.environment.now)();
        for line in describe::rollout_lines(&subject.config, &rollouts, usize::MAX, now) {
            session.say(&format!("{} {line}", object::name(&subject.config)))?;
        }
    }
    if args.follow && (args.latest || args.retry) {
        return logs::follow_config(object::name(&subject.config), session).await;
    }
    Ok(ExitStatus::SUCCESS)
}

impl Subject {
    async fn latest_rollout(&self) -> anyhow::Result<Option<Value>> {
        deployments::latest(&self.client, &self.discovery, &self.namespace, &self.config).await
    }

    async fn replace(&self, config: &Value) -> anyhow::Result<Value> {
        let kind = deployments::configs(&self.discovery)?;
        let path = kind.resource().item(Some(&self.namespace), object::name(config), None);
        Ok(self.client.request(Method::PUT, &path, None, Some(config)).await?)
    }

    async fn start(&self, session: &mut Session) -> anyhow::Result<()> {
        if let Some(running) = self.latest_rollout().await?.filter(|rollout| !deployments::is_over(rollout)) {
            bail!(
                "#{} is already in progress ({}).\nOptionally, you can cancel this deployment using the --cancel option.",
                deployments::version(&running),
                deployments::phase(&running)
            );
        }
        let mut next = self.config.clone();
        let version = deployments::latest_version(&next) + 1;
        object::object_mut(&mut next, "status").insert("latestVersion".to_owned(), json!(version));
        let stored = self.replace(&next).await?;
        session.say(&format!("Started deployment #{}", deployments::latest_version(&stored).max(version)))?;
        Ok(())
    }

    async fn retry(&self, session: &mut Session) -> anyhow::Result<()> {
        let name = object::name(&self.config);
        let version = deployments::latest_version(&self.config);
        if version == 0 {
            bail!("no deployments found for {}/{name}", self.namespace);
        }
        let again = "You can start a new deployment using the --latest option.";
        let Some(latest) = self.latest_rollout().await? else {
            bail!("unable to find the latest deployment (#{version}).\n{again}");
        };
        let phase = deployments::phase(&latest);
        if phase != "Failed" {
            let advice = if phase == "Complete" {
                again
            } else {
                "Optionally, you can cancel this deployment using the --cancel option."
            };
            bail!("#{version} is {phase}; only failed deployments can be retried.\n{advice}");
        }
        retry_of(&self.client, &self.discovery, &latest).await?;
        session.say(&format!("Retried #{version}"))?;
        Ok(())
    }

    async fn cancel(&self, session: &mut Session) -> anyhow::Result<()> {
        let name = object::name(&self.config);
        let rollouts = deployments::rollouts(&self.client, &self.discovery, &self.namespace, name).await?;
        let Some(latest) = rollouts.first() else {
            session.say(&format!("There have been no deployments for {}/{name}", self.namespace))?;
            return Ok(());
        };
        let cancelled = deployments::cancel(&self.client, &self.discovery, &rollouts).await?;
        for rollout in &cancelled.now {
            session.say(&format!("Cancelled deployment #{}", deployments::version(rollout)))?;
        }
        if cancelled.now.is_empty() && !cancelled.before {
            let ended = deployments::ended(latest, (session.environment.now)());
            session.say(&format!("No deployments are in progress (latest deployment {ended})"))?;
        }
        Ok(())
    }

    async fn enable_triggers(&self, session: &mut Session) -> anyhow::Result<()> {
        let mut next = self.config.clone();
        let mut enabled = Vec::new();
        if let Some(triggers) = next.pointer_mut("/spec/triggers").and_then(Value::as_array_mut) {
            for trigger in triggers {
                if object::text(trigger, "type") == "ImageChange" {
                    enabled.push(object::text(trigger, "imageChangeParams.from.name").to_owned());
                    trigger["imageChangeParams"]["automatic"] = json!(true);
                }
            }
        }
        if enabled.is_empty() {
            session.say(&format!("{} has no image triggers to enable", object::name(&self.config)))?;
            return Ok(());
        }
        self.replace(&next).await?;
        session.say(&format!("Enabled image triggers: {}", enabled.join(",")))?;
        Ok(())
    }
}
