//! The Recreate strategy: all old pods go, then the new ones come. Also the first rollout of every other one.

use std::time::Duration;

use pierhead_api::apps::{DEFAULT_TIMEOUT_SECONDS, DeploymentConfig, RecreateDeploymentStrategyParams};

use crate::deployer::hooks::Point;
use crate::deployer::play::{Play, Rollout, Stop, Until};
use crate::deployer::rolling::seconds;

pub(super) struct Recreate {
    params: RecreateDeploymentStrategyParams,
    timeout: Duration,
}

impl Recreate {
    pub(super) fn of(config: &DeploymentConfig) -> Self {
        let params = config.spec.strategy.recreate_params.clone().unwrap_or_default();
        let timeout = seconds(params.timeout_seconds, DEFAULT_TIMEOUT_SECONDS);
        Self { params, timeout }
    }

    /// Without hooks, as another strategy's first rollout.
    pub(super) fn first(timeout: Duration) -> Self {
        Self { params: RecreateDeploymentStrategyParams::default(), timeout }
    }

    pub(super) async fn deploy(&self, play: &Play, rollout: &Rollout) -> Result<(), Stop> {
        play.hook(rollout, Point::Pre, self.params.pre.as_ref()).await?;
        self.replace(play, rollout).await?;
        play.hook(rollout, Point::Post, self.params.post.as_ref()).await
    }

    /// Old pods away, mid hook, one new pod to see whether it works, the others.
    pub(super) async fn replace(&self, play: &Play, rollout: &Rollout) -> Result<(), Stop> {
        let (to, desired) = (rollout.to.metadata.name.as_str(), rollout.desired);
        if let Some(from) = &rollout.from {
            self.remove(play, from).await?;
        }
        play.hook(rollout, Point::Mid, self.params.mid.as_ref()).await?;
        if desired <= 0 {
            return Ok(());
        }
        let mut replicas = play.replicas(to).await?;
        if rollout.from.is_some() && replicas < desired {
            if replicas == 0 {
                play.say(&format!("--> Scaling {to} to 1 before performing acceptance check"))?;
                play.scale(to, 1, self.timeout).await?;
                replicas = 1;
            }
            self.accept(play, rollout).await?;
        }
        if replicas != desired {
            play.say(&format!("--> Scaling {to} to {desired}"))?;
        }
        play.scale(to, desired, self.timeout).await?;
        // Where one pod was accepted, the others are taken on trust.
        if rollout.from.is_some() && desired > 1 { Ok(()) } else { self.accept(play, rollout).await }
    }

    async fn remove(&self, play: &Play, from: &str) -> Result<(), Stop> {
        let Some(controller) = play.controller(from).await? else { return Ok(()) };
        if controller.spec.replicas != Some(0) {
            play.say(&format!("--> Scaling {from} down to zero"))?;
        }
        play.scale(from, 0, self.timeout).await?;
        // Two versions must not run at once. Pods that do not end in time are their node's trouble.
        let gone = play.wait_for(self.timeout, Until::Gone(&controller)).await?;
        if !gone {
            play.say(&format!("    Pods of {from} are still there, going on without waiting"))?;
        }
        Ok(())
    }

    async fn accept(&self, play: &Play, rollout: &Rollout) -> Result<(), Stop> {
        if play.wait_for(self.timeout, Until::AllAvailable).await? {
            return Ok(());
        }
        Err(self.not_available(rollout))
    }

    pub(super) fn not_available(&self, rollout: &Rollout) -> Stop {
        let (namespace, name) = (&rollout.to.metadata.namespace, &rollout.to.metadata.name);
        Stop::Failed(format!(
            "update acceptor rejected {name}: pods for rc '{namespace}/{name}' took longer than {} seconds to \
             become available",
            self.timeout.as_secs()
        ))
    }
}
