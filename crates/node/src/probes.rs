//! Asks a running container again and again whether it has started, lives and takes traffic.
//!
//! Owns when to ask and how many answers in a row make a verdict. Verdicts go into the pod's memory; what follows from
//! them is the plan's.

use std::sync::Arc;
use std::time::Duration;

use pierhead_api::core::{Container, Pod, Probe};
use pierhead_runtime::CancellationToken;

use crate::ask::{Answer, Asker};
use crate::events::{Kind, Recorder};
use crate::memory::Health;
use crate::worker::PodState;

/// Answers of one kind in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Streak {
    good: i32,
    bad: i32,
}

impl Streak {
    /// Counts an answer; says yes or no once enough of a kind came in a row.
    fn count(&mut self, good: bool, probe: &Probe) -> Option<bool> {
        *self = if good {
            Self { good: self.good.saturating_add(1), bad: 0 }
        } else {
            Self { good: 0, bad: self.bad.saturating_add(1) }
        };
        let enough = |count: i32, threshold: i32| count >= threshold.max(1);
        if good && enough(self.good, probe.success_threshold) {
            return Some(true);
        }
        (!good && enough(self.bad, probe.failure_threshold)).then_some(false)
    }
}

/// Asks one container until it is told to stop.
pub(crate) struct Prober {
    pub(crate) pod: Arc<Pod>,
    pub(crate) container: Container,
    pub(crate) container_id: String,
    /// For how long it has been running.
    pub(crate) age: Duration,
    pub(crate) asker: Asker,
    pub(crate) state: Arc<PodState>,
    pub(crate) recorder: Recorder,
}

#[derive(Clone, Copy)]
enum Purpose {
    Startup,
    Readiness,
    Liveness,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

impl Prober {
    /// Whether there is anything to ask.
    pub(crate) fn is_needed(container: &Container) -> bool {
        container.startup_probe.is_some()
            || container.liveness_probe.is_some()
            || container.readiness_probe.is_some()
    }

    /// The startup probe first, then the others side by side.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let asking = async {
            self.set(|health| health.dead = None);
            if let Some(probe) = &self.container.startup_probe
                && !self.has_started()
            {
                self.ask(Purpose::Startup, probe).await;
            }
            let has_probe = self.container.readiness_probe.is_some();
            self.set(|health| health.has_started(has_probe));
            let readiness = async {
                if let Some(probe) = &self.container.readiness_probe {
                    self.ask(Purpose::Readiness, probe).await;
                }
            };
            let liveness = async {
                if let Some(probe) = &self.container.liveness_probe {
                    self.ask(Purpose::Liveness, probe).await;
                }
            };
            tokio::join!(readiness, liveness);
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = asking => {}
        }
    }

    /// Asks until the verdict is final: a container that started, or that must end.
    async fn ask(&self, purpose: Purpose, probe: &Probe) {
        let seconds = |number: i32| Duration::from_secs(u64::try_from(number).unwrap_or_default());
        let delay = seconds(probe.initial_delay_seconds).saturating_sub(self.age);
        let mut rounds = tokio::time::interval_at(
            tokio::time::Instant::now() + delay,
            seconds(probe.period_seconds).max(Duration::from_secs(1)),
        );
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut streak = Streak::default();
        let mut left = Vec::new();
        loop {
            rounds.tick().await;
            let good = match self.asker.probe(probe, &mut left).await {
                Answer::Good => true,
                Answer::Bad(why) => {
                    let message = format!("{} probe failed: {why}", purpose.name());
                    let name = Some(self.container.name.as_str());
                    self.recorder.tell(&self.pod, name, Kind::Warning, "Unhealthy", &message);
                    false
                }
                Answer::Unknown => continue,
            };
            let Some(verdict) = streak.count(good, probe) else { continue };
            match (purpose, verdict) {
                (Purpose::Startup, true) => return,
                (Purpose::Readiness, ready) => self.set(|health| health.ready = ready),
                (Purpose::Liveness, true) => {}
                (Purpose::Startup | Purpose::Liveness, false) => {
                    let (name, purpose) = (&self.container.name, purpose.name().to_lowercase());
                    let message = format!("Container {name} failed {purpose} probe, will be restarted");
                    let grace = probe.termination_grace_period_seconds;
                    self.set(|health| health.dead = Some((message, grace)));
                    // What follows ends this container, and with it this probe.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn has_started(&self) -> bool {
        self.state.memory.lock().health.get(&self.container_id).is_some_and(|health| health.started)
    }

    fn set(&self, change: impl FnOnce(&mut Health)) {
        self.state.set_health(&self.container_id, change);
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Probe;

    use super::Streak;

    #[test]
    fn verdicts_need_enough_answers_in_a_row() {
        let probe = Probe { success_threshold: 2, failure_threshold: 3, ..Probe::default() };
        let mut streak = Streak::default();
        let answers = [true, true, false, false, true, false, false, false, false, true, true];
        let verdicts = answers.map(|good| match streak.count(good, &probe) {
            Some(true) => '+',
            Some(false) => '-',
            None => '.',
        });
        assert_eq!(verdicts.iter().collect::<String>(), ".+.....--.+");
        assert_eq!(Streak::default().count(false, &Probe::default()), Some(false));
    }
}
