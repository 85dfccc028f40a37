//! The Rolling strategy: pods of the new version come and pods of the old one go, a few at a time.
//!
//! `scaled_up` and `scaled_down` say how far, from the numbers alone; everything else is waiting.

use std::time::Duration;

use pierhead_api::apps::{DEFAULT_TIMEOUT_SECONDS, DeploymentConfig, RollingDeploymentStrategyParams};
use tokio::time::{Instant, sleep};

use crate::deployer::hooks::Point;
use crate::deployer::play::{Play, Rollout, Stop, Until};
use crate::deployer::recreate::Recreate;
use crate::rollout_limits::Limits;

pub(super) struct Rolling {
    params: RollingDeploymentStrategyParams,
    timeout: Duration,
}

/// The limits of one rollout, in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    desired: i32,
    max_surge: i32,
    min_available: i32,
}

impl Bounds {
    fn of(params: &RollingDeploymentStrategyParams, desired: i32) -> Self {
        let surge = params.max_surge.as_ref();
        let limits = Limits::resolve(surge, params.max_unavailable.as_ref(), desired);
        let min_available = (desired - limits.max_unavailable).max(0);
        Self { desired, max_surge: limits.max_surge, min_available }
    }

    /// How many pods the new version may have now.
    fn scaled_up(self, new: i32, old: i32) -> i32 {
        let most = self.desired.saturating_add(self.max_surge);
        let room = if old == 0 { self.desired - new } else { most.saturating_sub(old.saturating_add(new)) };
        if new == self.desired || room <= 0 { new } else { (new + room).min(self.desired) }
    }

    /// How many pods the old version needs still, when so many of the new one are available.
    fn scaled_down(self, new: i32, old: i32, new_available: i32) -> i32 {
        let new_unavailable = new - new_available;
        let spare = old.saturating_add(new) - self.min_available - new_unavailable;
        if new == self.desired && new_available >= self.desired {
            return 0;
        }
        if spare <= 0 { old } else { (old - spare).max(0) }
    }
}

impl Rolling {
    pub(super) fn of(config: &DeploymentConfig) -> Self {
        let params = config.spec.strategy.rolling_params.clone().unwrap_or_default();
        let timeout = seconds(params.timeout_seconds, DEFAULT_TIMEOUT_SECONDS);
        Self { params, timeout }
    }

    pub(super) async fn deploy(&self, play: &Play, rollout: &Rollout) -> Result<(), Stop> {
        play.hook(rollout, Point::Pre, self.params.pre.as_ref()).await?;
        match &rollout.from {
            Some(from) => self.roll(play, rollout, from).await?,
            // There is nothing to roll away: all pods may come at once.
            None => Recreate::first(self.timeout).replace(play, rollout).await?,
        }
        play.hook(rollout, Point::Post, self.params.post.as_ref()).await
    }

    async fn roll(&self, play: &Play, rollout: &Rollout, from: &str) -> Result<(), Stop> {
        let to = rollout.to.metadata.name.as_str();
        let bounds = Bounds::of(&self.params, rollout.desired);
        let Bounds { desired, max_surge, min_available } = bounds;
        let pause = seconds(self.params.update_period_seconds, 1);
        let (mut new, mut old) = (play.replicas(to).await?, play.replicas(from).await?);
        play.say(&format!(
            "--> Scaling up {to} from {new} to {desired}, scaling down {from} from {old} to 0 \
             (keep {min_available} pods available, don't exceed {} pods)",
            desired.saturating_add(max_surge)
        ))?;
        let mut deadline = Instant::now() + self.timeout;
        while new != desired || old != 0 {
            let before = (new, old);
            let changes = play.changes();
            let up = bounds.scaled_up(new, old);
            if up != new {
                play.say(&format!("    Scaling {to} up to {up}"))?;
                play.scale(to, up, self.timeout).await?;
                new = up;
            }
            sleep(pause).await;
            let target = play.target().await?;
            let down = bounds.scaled_down(new, old, play.available(&target));
            if down != old {
                play.say(&format!("    Scaling {from} down to {down}"))?;
                play.scale(from, down, self.timeout).await?;
            }
            (new, old) = (play.replicas(to).await?, play.replicas(from).await?);
            let now = Instant::now();
            if before != (new, old) {
                deadline = now + self.timeout;
            } else if now > deadline {
                return Err(Stop::Failed("timed out waiting for any update progress to be made".into()));
            } else {
                changes.next(now + seconds(self.params.interval_seconds, 1)).await;
            }
        }
        self.settle(play, rollout, min_available).await
    }

    /// The old version may have had no pods to wait for; the new one has to work all the same.
    async fn settle(&self, play: &Play, rollout: &Rollout, enough: i32) -> Result<(), Stop> {
        if play.wait_for(self.timeout, Until::Available(enough)).await? {
            return Ok(());
        }
        Err(Recreate::first(self.timeout).not_available(rollout))
    }
}

/// No wait of a rollout is longer. Any number may be given, and a time must be able to bear it.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Seconds of a parameter, or what is meant without one.
pub(super) fn seconds(given: Option<i64>, otherwise: i64) -> Duration {
    Duration::from_secs(u64::try_from(given.unwrap_or(otherwise)).unwrap_or_default()).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{Bounds, seconds};

    /// Plays a rollout in which all pods become available at once; shows `new/old` after each step.
    #[track_caller]
    fn check(desired: i32, max_surge: i32, min_available: i32, old: i32, expected: &str) {
        let bounds = Bounds { desired, max_surge, min_available };
        let (mut new, mut old) = (0, old);
        let mut steps = Vec::new();
        while (new != desired || old != 0) && steps.len() < 50 {
            new = bounds.scaled_up(new, old);
            steps.push(format!("{new}/{old}"));
            old = bounds.scaled_down(new, old, new);
            steps.push(format!("{new}/{old}"));
        }
        assert_eq!(steps.join(" "), expected);
    }

    #[test]
    fn goes_step_by_step_within_the_limits() {
        check(1, 1, 1, 1, "1/1 1/0");
        check(1, 0, 0, 1, "0/1 0/0 1/0 1/0");
        check(4, 1, 3, 4, "1/4 1/2 3/2 3/0 4/0 4/0");
        check(3, 3, 3, 3, "3/3 3/0");
        check(3, 0, 0, 3, "0/3 0/0 3/0 3/0");
        check(2, 1, 2, 5, "0/5 0/2 1/2 1/1 2/1 2/0");
        check(5, 2, 4, 2, "5/2 5/0");
        check(0, 0, 0, 2, "0/2 0/0");
        check(3, 1, 3, 0, "3/0 3/0");
        check(3, i32::MAX, 3, 3, "3/3 3/0");
    }

    #[test]
    fn waits_for_pods_of_the_new_version() {
        let bounds = Bounds { desired: 4, max_surge: 1, min_available: 3 };
        assert_eq!(bounds.scaled_down(1, 4, 0), 3);
        assert_eq!(bounds.scaled_down(2, 3, 0), 3);
        assert_eq!(bounds.scaled_down(2, 3, 1), 2);
        assert_eq!(bounds.scaled_up(1, 4), 1);
        assert_eq!(bounds.scaled_up(1, 3), 2);
        // Pods that die while it goes on do not make it go back.
        assert_eq!(bounds.scaled_down(3, 1, 0), 1);
        assert_eq!(bounds.scaled_down(4, 1, 4), 0);
    }

    #[test]
    fn every_number_of_seconds_can_be_waited() {
        assert_eq!(seconds(None, 600).as_secs(), 600);
        assert_eq!(seconds(Some(-1), 600).as_secs(), 0);
        assert!(Instant::now().checked_add(seconds(Some(i64::MAX), 600)).is_some());
    }
}
